//! What is to be done: steps as data, in order, with the conditions that explain them.
//!
//! A step says what and to whom, never how. Nothing here does anything.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::observed::ObjectId;
use crate::api::status::{
    Elector, FailoverReport, Fenced, History, Identity, Operation, PendingFence, Quorum, RedisReplicaSetStatus, Role,
};
use crate::names::manager;

/// What one pass decided.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// In the order they are to be done.
    pub steps: Vec<Step>,
    /// The observed part of status as it should read now, if that is not what it says.
    pub status: Option<RedisReplicaSetStatus>,
    /// What people should be told of the steps.
    pub events: Vec<Note>,
    /// What people should be told of conditions that turned, once the status is written.
    pub turned: Vec<Note>,
    /// Whether a role decision waits for time to pass: failing objects must not slow it down.
    pub roles_wait: bool,
    /// When to look again if nothing happens before.
    pub next: Duration,
}

/// One effect on the world.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a plan has at most one Record, and few steps")]
pub enum Step {
    /// Changes the authority fields of status by compare-and-set.
    Record {
        /// All of them, as they shall be.
        authority: Authority,
        /// What for, in the log.
        why: String,
    },
    /// Creates Secret `<set>-internal` with new random credentials; an existing one is left alone.
    CreateInternal {
        /// SHA-256 of the application's password, which the aclfile needs.
        app_sha256: String,
    },
    /// Creates the application's Secret with a new random password; an existing one is left alone.
    CreateApp,
    /// Replaces the aclfile in Secret `<set>-internal`.
    WriteAcl {
        /// The file; hashes only.
        acl: String,
    },
    /// Asks for a larger volume.
    Grow {
        /// Name of the claim.
        claim: String,
        /// UID of the claim.
        uid: String,
        /// Size, a quantity.
        size: String,
    },
    /// Creates an object that does not exist.
    Create(Object),
    /// Puts our fields of an object back, or changes them.
    Apply {
        /// The object as it shall be.
        object: Object,
        /// What differs, if it is ours and was changed by somebody else.
        because: Option<String>,
    },
    /// Deletes an object of ours that nothing needs any more.
    Delete {
        /// Which.
        id: ObjectId,
        /// UID of the object that was seen.
        uid: String,
    },
    /// Makes a pod that follows nobody a master that takes no writes.
    Bare {
        /// Whom.
        to: Target,
    },
    /// Lets the recorded master take writes, or changes how many replicas it needs for that.
    Arm {
        /// Whom.
        to: Target,
        /// min-replicas-to-write.
        min: i32,
        /// Epoch that named it.
        epoch: i64,
    },
    /// Makes a pod follow nobody and serve nobody; its data stays. Of a master this is the demotion, of a replica its vote:
    /// what it holds is read after it.
    Fence {
        /// Whom.
        to: Target,
    },
    /// Looks at a replica of a dead master until its link is down by itself, for a bounded time: until then it may hold
    /// unread stream that a detach would drop.
    Drain {
        /// Whom.
        to: Target,
    },
    /// Looks at a replica of a demoted master until it holds the stream up to an offset, for a bounded time.
    CatchUp {
        /// Whom.
        to: Target,
        /// Bytes.
        offset: u64,
    },
    /// Looks at a child of a pod that takes over until it follows that into its lineage, for a bounded time.
    ComeAlong {
        /// Whom.
        to: Target,
        /// Replication id.
        lineage: String,
    },
    /// Closes the connections of applications to a former master, so that they come back through the VIP.
    KillClients {
        /// Whom.
        to: Target,
        /// Writes it had refused as a replica by the look that decided this.
        refused: u64,
    },
    /// Deletes a pod, so that it is made anew.
    DeletePod {
        /// Name of the pod.
        pod: String,
        /// UID of the pod that was seen.
        uid: String,
        /// Why, in one sentence.
        why: String,
    },
    /// Mints link credentials on the parent and attaches the child with them.
    Attach {
        /// The child.
        child: Target,
        /// The parent.
        parent: Target,
        /// Epoch of the attachment.
        epoch: i64,
    },
    /// Takes a child's link credentials away at its parent, which cuts the link and keeps it cut.
    LockOut {
        /// Where.
        parent: Target,
        /// Whose: the child's pod name.
        child: String,
    },
    /// Changes directives of a running server.
    Configure {
        /// Whom.
        to: Target,
        /// Directives and values.
        values: BTreeMap<String, String>,
    },
    /// Makes the application's user of a running server what it shall be.
    Login {
        /// Whom.
        to: Target,
        /// SHA-256 of the password.
        sha256: String,
    },
    /// Labels a pod with its role and with whether it may serve reads.
    Label {
        /// Name of the pod.
        pod: String,
        /// UID of the pod.
        uid: String,
        /// Its role.
        role: Role,
        /// Whether it may serve reads.
        in_sync: bool,
    },
    /// Sets a pod's readiness gate.
    Gate {
        /// Name of the pod.
        pod: String,
        /// UID of the pod.
        uid: String,
        /// Value of the gate.
        ready: bool,
        /// In one sentence.
        message: String,
    },
    /// Writes epoch and role on a claim, so that the data says what it was even without status.
    Mark {
        /// Name of the claim.
        claim: String,
        /// UID of the claim.
        uid: String,
        /// Epoch.
        epoch: i64,
        /// Role of its pod.
        role: Role,
    },
}

impl Step {
    /// Whether it is about who may do what: such steps go first and in order, and the first failure among them ends them.
    pub fn is_role(&self) -> bool {
        match self {
            Self::Record { .. }
            | Self::Bare { .. }
            | Self::Arm { .. }
            | Self::Fence { .. }
            | Self::Drain { .. }
            | Self::CatchUp { .. }
            | Self::ComeAlong { .. }
            | Self::Attach { .. }
            | Self::LockOut { .. } => true,
            Self::KillClients { .. }
            | Self::DeletePod { .. }
            | Self::CreateInternal { .. }
            | Self::CreateApp
            | Self::WriteAcl { .. }
            | Self::Grow { .. }
            | Self::Create(_)
            | Self::Apply { .. }
            | Self::Delete { .. }
            | Self::Configure { .. }
            | Self::Login { .. }
            | Self::Label { .. }
            | Self::Gate { .. }
            | Self::Mark { .. } => false,
        }
    }

    /// Whether it points the VIP at its pod: done beside the role steps of its round.
    pub fn is_vip(&self) -> bool {
        matches!(self, Self::Apply { object, .. } if object.manager == manager::VIP)
    }
}

/// A process of Redis: commands go to exactly this pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Name of the pod.
    pub name: String,
    /// UID of the pod.
    pub uid: String,
    /// Run id the decision was made for; another process must not get the command.
    pub run_id: String,
    /// Address of the pod.
    pub ip: String,
}

/// An object to be created or applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Kind and name.
    pub id: ObjectId,
    /// The whole of our fields.
    pub body: Value,
    /// The field manager that owns these fields.
    pub manager: &'static str,
    /// UID of the object that was seen; another one of the same name must not be touched.
    pub uid: Option<String>,
    /// Version of the object that was seen: the VIP and the StatefulSet are written over no other.
    pub resource_version: Option<String>,
}

/// The fields of status that change by compare-and-set only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Authority {
    /// Epoch; 0 before the first master.
    pub epoch: i64,
    /// Who is master.
    pub master: Option<Identity>,
    /// Who can hold a confirmed write.
    pub electors: Vec<Elector>,
    /// Numbers in force.
    pub quorum: Option<Quorum>,
    /// Lineages.
    pub histories: Vec<History>,
    /// Role change under way.
    pub operation: Option<Operation>,
    /// Former masters that are still to be fenced.
    pub pending_fences: Vec<PendingFence>,
    /// Pods that a person took out of service.
    pub fenced: Vec<Fenced>,
    /// Reports, newest first.
    pub failovers: Vec<FailoverReport>,
}

impl From<&RedisReplicaSetStatus> for Authority {
    fn from(status: &RedisReplicaSetStatus) -> Self {
        Self {
            epoch: status.epoch.unwrap_or(0),
            master: status.master.clone(),
            electors: status.electors.clone(),
            quorum: status.quorum,
            histories: status.histories.clone(),
            operation: status.operation.clone(),
            pending_fences: status.pending_fences.clone(),
            fenced: status.fenced.clone(),
            failovers: status.failovers.clone(),
        }
    }
}

/// Something people should be told once: an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether it is a warning.
    pub warning: bool,
    /// Reason, one word of the reference.
    pub reason: &'static str,
    /// Action, one word of the reference.
    pub action: &'static str,
    /// One sentence.
    pub message: String,
}
