//! What was seen of one set at one moment: the only input of [`crate::decide`] beside the set itself.
//!
//! "Not known" is a value here, never an error. Nothing in this module looks anything up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::redis::Seen;
use super::secret::Secret;
use super::timeline::CutOff;
use crate::api::status::{Identity, RedisReplicaSetStatus};
use crate::names;

/// Everything that was seen of one set.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Status as it was last read or answered, never older than our own last write.
    pub status: RedisReplicaSetStatus,
    /// Whether the set is being deleted: then nothing is done but status.
    pub deleting: bool,
    /// When the set was created; a volume older than it may hold data.
    pub created: Option<Timestamp>,
    /// Every pod that exists or should, by tier and ordinal, the core first.
    pub members: Vec<Member>,
    /// Volumes of the core tier beyond its members: kept when it was smaller, or of an earlier set of its name.
    pub spare: Vec<(String, ClaimFacts)>,
    /// Objects of the names we use, as they are in the cluster; an absent object has no entry.
    pub objects: BTreeMap<ObjectId, Live>,
    /// What each tier's StatefulSet says, once it exists.
    pub stateful_sets: BTreeMap<String, StatefulSetFacts>,
    /// The operator's own credentials of this set.
    pub internal: InternalSecret,
    /// The application's password.
    pub app: AppSecret,
    /// Names of the pods that the VIP's EndpointSlices show.
    pub vip_pods: BTreeSet<String>,
    /// What Redis answered to directives and values that it does not show as they were given, since this operator leads.
    pub refused: BTreeMap<(String, String), Refusal>,
    /// When which process, by run id, was last attached by this operator.
    pub attached: BTreeMap<String, Timestamp>,
    /// Since when which process, by run id, was seen by this operator to follow nobody without interruption.
    pub detached: BTreeMap<String, Timestamp>,
    /// When which process, by run id, was last seen by this operator to take in its parent's stream.
    pub followed: BTreeMap<String, Timestamp>,
    /// Since when nothing answers at the address of which pod, by uid, not even with a refusal, as far as this operator saw.
    pub mute: BTreeMap<String, Timestamp>,
    /// Since when the node of which pod, by uid, is about to lose its pods, as far as this operator saw.
    pub draining: BTreeMap<String, Timestamp>,
    /// When applications were last cut off from which process, by run id.
    pub cut_off: BTreeMap<String, CutOff>,
    /// When the node proxies take, or took, what this set gave them last, as far as this operator saw it.
    pub rerouted: Option<Timestamp>,
    /// Which master, by UID of its pod, was last seen demoted with nobody named in its place yet, and when.
    pub demoted: Option<(String, Timestamp)>,
    /// Whether nodes are looked at; else nobody's node is known to be draining.
    pub sees_nodes: bool,
    /// When this operator saw each phase of the operation under way end; empty while there is none.
    pub marks: BTreeMap<Mark, Timestamp>,
    /// What people ask by annotation: names without our prefix, and values.
    pub requests: BTreeMap<String, String>,
    /// Steps of the last pass that failed, in one sentence each; lost races are not among them.
    pub failures: Vec<String>,
}

impl Observed {
    /// The member on the recorded master's volume, whatever process runs on it.
    pub fn recorded_master(&self) -> Option<&Member> {
        let volume = &self.status.master.as_ref()?.volume;
        self.members
            .iter()
            .find(|m| m.claim.as_ref().is_some_and(|c| &c.uid == volume))
    }

    /// What a tier's StatefulSet says, once it exists.
    pub fn stateful_set(&self, tier: &str) -> Option<&StatefulSetFacts> {
        self.stateful_sets.get(tier)
    }

    /// The member of a pod's name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|m| m.name == name)
    }
}

/// Ends of the phases of a change of the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// The first sign: the end of the master's connection, its first silence, or the request.
    Sign,
    /// The decision to act.
    Detected,
    /// The demotion of the master before was begun.
    Demoting,
    /// It was demoted by command.
    Demoted,
    /// The last vote was read, or the target caught up.
    Voted,
    /// The new master was recorded.
    Named,
    /// It was armed.
    Armed,
    /// The VIP's selector named it.
    Switched,
    /// The EndpointSlices were seen to show it alone.
    Converged,
    /// The first replica was attached to it.
    Attached,
}

/// Kind and name of an object in the set's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// Kubernetes kind, such as `Service`.
    pub kind: &'static str,
    /// Name.
    pub name: String,
}

/// An object as it is in the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Live {
    /// Controlled by this set, by owner UID.
    Ours(Value),
    /// It could not be read, or is about to go: nothing is known that anything could be built on.
    Unread,
    /// Controlled by somebody else or by nobody: never touched.
    Foreign {
        /// Who owns it, for people.
        owner: String,
    },
}

/// What a StatefulSet says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatefulSetFacts {
    /// Pods it is asked to have.
    pub replicas: i32,
    /// Revision a pod made now would have.
    pub update_revision: Option<String>,
    /// Name of the ConfigMap its template mounts.
    pub config_map: Option<String>,
}

/// One member of a tier: a name, and what stands behind it at the moment.
#[derive(Clone, Debug)]
pub struct Member {
    /// Name of the pod: no two members of a set have the same.
    pub name: String,
    /// Name of its tier.
    pub tier: String,
    /// Ordinal of the pod.
    pub ordinal: u32,
    /// The pod, if it exists.
    pub pod: Option<PodFacts>,
    /// The claim, if it exists.
    pub claim: Option<ClaimFacts>,
    /// What the operator's own connection says.
    pub redis: Seen,
}

impl Member {
    /// Process and data of this member, once it has both.
    pub fn identity(&self) -> Option<Identity> {
        Some(Identity {
            name: self.name.clone(),
            uid: self.pod.as_ref()?.uid.clone(),
            volume: self.claim.as_ref()?.uid.clone(),
        })
    }

    /// What Redis said, if it answers.
    pub fn facts(&self) -> Option<&super::redis::Facts> {
        self.redis.facts().map(AsRef::as_ref)
    }

    /// Whether it is of the master's tier: who may be master, votes, and may replicate from the master itself.
    pub fn is_core(&self) -> bool {
        self.tier == names::CORE_TIER
    }

    /// Whether it is the same member, whatever stands behind it.
    pub fn is(&self, other: &Member) -> bool {
        self.name == other.name
    }

    /// UID of the pod; commands are addressed to it.
    pub fn uid(&self) -> Option<&str> {
        self.pod.as_ref().map(|p| p.uid.as_str())
    }
}

/// A pod as the API server shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    /// UID of the pod.
    pub uid: String,
    /// Address, once it has one.
    pub ip: Option<String>,
    /// Node, once it is scheduled.
    pub node: Option<String>,
    /// That its node is to lose its pods, if so.
    pub draining: Option<Draining>,
    /// Zone from the pod's labels.
    pub zone: Option<String>,
    /// Whether the pod is being deleted.
    pub deleting: bool,
    /// When the Redis container was last started.
    pub started: Option<Timestamp>,
    /// Whether the kubelet says that the Redis container does not run, after it did.
    pub terminated: bool,
    /// What the kubelet or the scheduler says of a pod that does not run, if anything.
    pub trouble: Option<Trouble>,
    /// Revision of what only a new pod can take up, as the pod was made with it.
    pub revision: Option<String>,
    /// Revision of redis.conf the pod was made with.
    pub config_revision: Option<String>,
    /// The last restart that was asked for when the pod was made.
    pub restart: Option<String>,
    /// Value of the role label.
    pub role: Option<String>,
    /// Whether the in-sync label is `true`.
    pub in_sync: bool,
    /// Status of the readiness gate, once written.
    pub gate: Option<bool>,
}

/// How a node is about to lose its pods. The later is the more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Draining {
    /// It takes no new pods, and those that it has are expected to leave.
    Cordoned,
    /// It shuts down: its pods end soon, and none of them is asked.
    ShuttingDown,
}

impl fmt::Display for Draining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cordoned => "is cordoned",
            Self::ShuttingDown => "is shutting down",
        })
    }
}

/// Why a pod does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The scheduler finds no node.
    Unschedulable(String),
    /// The image cannot be fetched.
    ImagePull(String),
    /// The container ended; the last words of its log.
    Terminated(String),
    /// The kubelet waits for something else.
    Waiting(String),
}

/// A claim as the API server shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimFacts {
    /// UID of the claim.
    pub uid: String,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Whether a volume is bound to it.
    pub bound: bool,
    /// Size it asks for.
    pub size: Option<String>,
    /// Size of its volume.
    pub capacity: Option<String>,
    /// Epoch it carries.
    pub epoch: Option<i64>,
    /// Role it carries.
    pub role: Option<String>,
}

/// The operator's own credentials of a set.
#[derive(Clone, Debug)]
pub enum InternalSecret {
    /// Not read yet.
    Unknown,
    /// There is none.
    Absent,
    /// There is none any more, but this process knows what it held, and running servers still go by it.
    Lost(Credentials),
    /// It is there, but not ours or not readable as ours.
    Unusable {
        /// Why, for people.
        why: String,
        /// What it held before, if this process knows: running servers still go by it.
        known: Option<Credentials>,
    },
    /// It is there.
    Present(Credentials),
}

impl InternalSecret {
    /// The credentials that running servers go by, as far as they are known.
    pub fn credentials(&self) -> Option<&Credentials> {
        match self {
            Self::Present(credentials) | Self::Lost(credentials) => Some(credentials),
            Self::Unusable { known, .. } => known.as_ref(),
            Self::Unknown | Self::Absent => None,
        }
    }
}

/// What Secret `<set>-internal` holds.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Password of `rrs-operator`.
    pub operator: Secret,
    /// Password of `rrs-probe`.
    pub probe: Secret,
    /// Key of the link secrets.
    pub link_key: Secret,
    /// The aclfile in it; hashes only.
    pub acl: String,
}

/// The application's password as its Secret has it.
#[derive(Clone, Debug)]
pub enum AppSecret {
    /// Not read yet.
    Unknown,
    /// The Secret does not exist; we generate it if the user names none.
    Absent,
    /// There is a Secret of that name that is not usable, with the condition's reason and words.
    Unusable(Unusable),
    /// The password's SHA-256 in hexadecimal. The password itself is not needed after this.
    Present {
        /// SHA-256 of the password's bytes, lower-case hexadecimal.
        sha256: String,
    },
}

/// Why a Secret cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// The key is missing.
    KeyMissing,
    /// The value is empty.
    Empty,
    /// The value is too long, bytes.
    TooLong(usize),
    /// The Secret of the generated name belongs to somebody else.
    Foreign,
    /// The operator may not read it.
    Forbidden,
}

/// What Redis answered to a configuration value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It can be changed only by a restart.
    Immutable,
    /// Redis refused the value, in its words.
    Refused(String),
    /// It was taken, and Redis shows it like this.
    Shown(String),
}
