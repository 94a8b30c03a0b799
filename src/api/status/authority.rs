//! Who is master: what changes only by compare-and-set, before the effect it announces. Nothing that is merely seen
//! belongs here.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::words::words;
use super::report::Verdict;

/// One member: the process is known by its pod, the data by its volume.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Name of the pod.
    pub name: String,
    /// UID of the pod.
    pub uid: String,
    /// UID of the pod's claim.
    pub volume: String,
}

/// A member that can hold a confirmed write.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Elector {
    /// Name of the pod.
    pub name: String,
    /// UID of the pod.
    pub uid: String,
    /// UID of the pod's claim.
    pub volume: String,
    /// True until it was seen to hold everything the master had when it was attached: it counts, but does not vote.
    #[serde(default)]
    pub learner: bool,
    /// The replication id of its own that it had when it entered. As long as it reports this one, its first full resync is not
    /// complete: it has confirmed nothing, and votes with nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entered_with: Option<String>,
}

/// The numbers in force for confirming and for taking writes.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Quorum {
    /// The k for which a write confirmed by WAIT k survives any failover.
    pub wait: i32,
    /// The value of min-replicas-to-write in force on the master.
    pub min_replicas_to_write: i32,
    /// True while that value is lower than it should be, because replicas are missing.
    pub degraded: bool,
}

/// The beginning of one lineage of the replication stream.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// Redis's replication id.
    pub replid: String,
    /// Offset at which the lineage began, bytes.
    pub began: i64,
    /// Epoch in which it began.
    pub epoch: i64,
}

/// A role change under way. How far it got is seen in the world, not written here.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Bootstrap, Grant, Failover or Switchover.
    pub kind: OperationKind,
    /// The master before, if another pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The pod that is to be master; empty while the votes are being taken, or the master before is awaited.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// The pod with the most, if it may not be master: a master without writes, from which one that may takes in what it lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The epoch it makes.
    pub epoch: i64,
    /// Why.
    pub reason: OperationReason,
    /// Id of the request that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// When it was begun, microseconds.
    pub started_at: MicroTime,
    /// What was known when the new master was chosen; becomes part of the report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// A former master that may still take writes from clients that hold a connection.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PendingFence {
    /// Name of the pod.
    pub name: String,
    /// UID of the pod.
    pub uid: String,
    /// Epoch in which it was master.
    pub epoch: i64,
    /// Since when it is to be fenced.
    pub since: Time,
}

/// A pod that a person took out of service.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Fenced {
    /// Name of the pod.
    pub name: String,
    /// The request as it was written.
    pub request: String,
    /// Since when.
    pub since: Time,
}

words! {
    /// Kind of a role change.
    pub enum OperationKind {
        /// The first master of a new set.
        Bootstrap = "Bootstrap",
        /// The recorded master's role given again.
        Grant = "Grant",
        /// A replica takes over from a master that is dead or out of reach.
        Failover = "Failover",
        /// A replica takes over from a master that hands over.
        Switchover = "Switchover",
    }

    /// Why a role change was begun.
    pub enum OperationReason {
        /// A new set.
        New = "New",
        /// The master's process was started again.
        Restarted = "Restarted",
        /// The master's pod was made anew on its volume, or is gone.
        PodGone = "PodGone",
        /// The master's process died.
        ProcessDied = "ProcessDied",
        /// The master does not answer, and no replica hears it.
        Unreachable = "Unreachable",
        /// A person asked for it.
        Requested = "Requested",
        /// The master's pod is being deleted.
        PodDeleted = "PodDeleted",
        /// The master's node is cordoned, or shuts down.
        NodeDraining = "NodeDraining",
        /// The master's pod is to be made anew.
        Update = "Update",
        /// The master's pod is beyond the number of pods that spec asks for.
        ScaleIn = "ScaleIn",
        /// All pods were started again, or the volumes outlived their set.
        ColdStart = "ColdStart",
    }
}

impl OperationKind {
    /// Whether another pod becomes master.
    pub const fn is_handover(self) -> bool {
        match self {
            Self::Failover | Self::Switchover => true,
            Self::Bootstrap | Self::Grant => false,
        }
    }
}
