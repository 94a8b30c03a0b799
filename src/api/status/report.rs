//! What one change of the master rested on and what it cost: the verdict while it is under way, the report of it after.
//! Nothing that says what is to be done belongs here.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::words::words;
use super::authority::{OperationKind, OperationReason};

/// What the choice of a new master rested on.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// What showed that the master before takes no more writes.
    pub proof: Proof,
    /// Replicas that were asked whether they hear the master, and how many do not.
    pub witnesses: Witnesses,
    /// Electors, votes that were needed, and positions that were read.
    pub positions: Positions,
    /// The last that was seen of the master before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_history: Option<Point>,
    /// What the new master held when it was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_history: Option<Point>,
    /// Upper bound of acknowledged bytes that nobody holds any more; 0 for a switchover, absent if it can not be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lost_bytes: Option<i64>,
    /// Bytes of its stream that the master before had beyond the place where the new history begins, when it was fenced after all:
    /// nobody has them. Absent while it is not, and if it has another stream by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zombie_bytes: Option<i64>,
    /// Resyncs that the new master's process had given before.
    #[serde(default)]
    pub resyncs_before: Resyncs,
}

/// Replicas as witnesses of the master's silence.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Witnesses {
    /// Replicas that answered.
    pub asked: i32,
    /// Those of them that do not hear the master.
    pub agreed: i32,
}

/// Votes of an election.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Positions {
    /// Electors.
    pub electors: i32,
    /// Votes that were needed.
    pub needed: i32,
    /// Votes that were read.
    pub read: i32,
}

/// A place in the replication stream.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// Replication id.
    pub replid: String,
    /// Offset, bytes.
    pub offset: i64,
}

/// What one change of the master was and what it cost.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FailoverReport {
    /// Epoch that it made.
    pub epoch: i64,
    /// Failover or Switchover; Grant for a master that was awaited (failover.awaitReturn).
    pub kind: OperationKind,
    /// Why.
    pub reason: OperationReason,
    /// Id of the request that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What the choice rested on.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The master before.
    pub from: String,
    /// The master since.
    pub to: String,
    /// Whether the master before was seen dead or demoted, was waited out, or is still to be fenced.
    pub fence: FenceState,
    /// Milliseconds from the first sign, or from a planned demotion, until each phase was done; a phase that this operator did
    /// not see is absent.
    pub phases_ms: Phases,
    /// Resyncs of the replicas that were under the new master at the end of it.
    pub resyncs: Resyncs,
    /// When it was begun, microseconds.
    pub started_at: MicroTime,
    /// When the VIP led to the new master, microseconds.
    pub finished_at: MicroTime,
    /// All of it in one sentence.
    pub message: String,
}

/// Milliseconds since the first sign of trouble, or since a planned demotion was begun, until each phase was done.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Phases {
    /// Before a planned change: how long the master before served on until the node proxies would take a change at once.
    /// Part of no other phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxies: Option<i64>,
    /// The operator knew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detect: Option<i64>,
    /// The master before takes no more writes: dead, demoted, or waited out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fence: Option<i64>,
    /// Every vote was read; in a switchover the target holds everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<i64>,
    /// The new master was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choose: Option<i64>,
    /// It was armed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promote: Option<i64>,
    /// The VIP's selector named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vip: Option<i64>,
    /// The EndpointSlices were seen to show it alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<i64>,
    /// The first replica was attached to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub siblings: Option<i64>,
    /// All of it.
    pub total: i64,
}

/// Resyncs that replicas got.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Resyncs {
    /// Only what was missing was sent.
    pub partial: i64,
    /// Everything was sent.
    pub full: i64,
}

words! {
    /// What showed that a former master takes no more writes.
    #[derive(Default)]
    pub enum Proof {
        /// Its connection ended, and then it refused connections.
        ConnectionRefused = "ConnectionRefused",
        /// The kubelet says that its container ended.
        ContainerTerminated = "ContainerTerminated",
        /// Another process answers in its place.
        ProcessReplaced = "ProcessReplaced",
        /// Its pod is gone, and the time passed after which it fences itself.
        PodGone = "PodGone",
        /// The time passed after which it fences itself.
        FenceTimeElapsed = "FenceTimeElapsed",
        /// It answered that it was demoted.
        Demoted = "Demoted",
        /// Nothing.
        #[default]
        None = "None",
    }

    /// How sure it is that a former master takes no more writes.
    pub enum FenceState {
        /// It was seen dead or demoted.
        Proven = "Proven",
        /// It fenced itself by the passing of time, and is still to be fenced by command.
        TimeElapsed = "TimeElapsed",
        /// It may take writes from clients that hold a connection.
        Pending = "Pending",
    }
}
