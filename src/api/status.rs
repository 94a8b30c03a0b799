//! `status`: what was seen, and who is master.
//!
//! The fields marked *compare-and-set* are the authority: they change only together with the object's
//! resourceVersion, before the effect they announce. All others are observations. Offsets and other numbers that
//! always move are not here: they are metrics, so that a quiet set writes nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::words;

/// What was seen of one set, and who is its master.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct RedisReplicaSetStatus {
    /// The generation of spec that the rest of status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Rises by one with every grant of the master's role (compare-and-set).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,

    /// Who is master (compare-and-set).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master: Option<Identity>,

    /// Members that can hold a confirmed write, at most 200 (compare-and-set).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub electors: Vec<Elector>,

    /// The numbers in force for confirming and for taking writes (compare-and-set).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Quorum>,

    /// Where each lineage began, newest first, at most 10 (compare-and-set).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub histories: Vec<History>,

    /// The role change under way; absent when idle (compare-and-set).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,

    /// Former masters that were not yet seen dead or demoted; each is fenced as soon as it answers, at most 16
    /// (compare-and-set).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub pending_fences: Vec<PendingFence>,

    /// Pods that a person took out of service by annotation, until a person lets them go, at most 200 (compare-and-set).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub fenced: Vec<Fenced>,

    /// Changes of the master, newest first, at most 10 (compare-and-set, with the end of the operation).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub failovers: Vec<FailoverReport>,

    /// What people asked by annotation, the last of each kind, at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub requests: Vec<Request>,

    /// What the set was last known to have; guards against an empty or unknown pod becoming master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_water_mark: Option<HighWaterMark>,

    /// Core replicas that exist, the master not counted; read by kubectl scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,

    /// Replicas that are in sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,

    /// Label selector of the replicas' pods; read by a HorizontalPodAutoscaler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// What the servers say they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<ServerVersion>,

    /// The addresses an application uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,

    /// The Secret an application needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,

    /// Every pod, by ordinal, at most 200.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub members: Vec<MemberStatus>,

    /// How far pods are with what only a new pod takes up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateStatus>,

    /// What of spec.config and of the operator's own settings is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigStatus>,

    /// Every condition, in the order of the reference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

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
    /// The pod that is to be master; empty while the votes are being taken.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
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

/// What one change of the master was and what it cost.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FailoverReport {
    /// Epoch that it made.
    pub epoch: i64,
    /// Failover or Switchover.
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
    /// Milliseconds from the first sign until each phase was done; a phase that this operator did not see is absent.
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

/// Milliseconds since the first sign of trouble, or since the request, until each phase was done.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Phases {
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

/// What came of a request by annotation.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Name of the annotation, without our prefix.
    pub name: String,
    /// Its value; the same value again is no new request.
    pub value: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it was refused, one word; empty otherwise.
    pub reason: String,
    /// One sentence, at most 1024 characters.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// When the outcome was reached.
    pub at: Time,
}

/// What the set was last known to have.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HighWaterMark {
    /// Epoch of the observation.
    pub epoch: i64,
    /// Replication id of the master then.
    pub replid: String,
    /// Offset of the master when it had these keys, bytes.
    pub offset: i64,
    /// Number of keys of the master.
    pub keys: i64,
    /// When it was seen.
    pub at: Time,
}

/// What the servers say they are.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServerVersion {
    /// Redis or Valkey.
    pub engine: String,
    /// The master's version, else the lowest pod's that answers.
    pub version: String,
    /// True while pods differ.
    pub mixed: bool,
}

/// The addresses an application uses.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// Host and port of the master's Service.
    pub master: String,
    /// Host and port of the replicas' Service.
    pub replicas: String,
    /// When the EndpointSlices were first seen to show exactly the master's pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub converged_at: Option<MicroTime>,
}

/// The Secret an application needs, in the layout of the Service Binding specification.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// Name of the Secret.
    pub name: String,
}

/// One pod as it was seen.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Name of the pod.
    pub name: String,
    /// UID of the pod; absent while there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Tier of the pod.
    pub tier: String,
    /// master, replica or fenced, as the pod's label.
    pub role: Role,
    /// The pod it replicates from; absent for the master and the fenced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Node of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Zone of the pod, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What it is doing.
    pub state: MemberState,
    /// Since when it does so.
    pub since: Time,
    /// Template revision of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Its priority by failover.priorities; only if not 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Only if there is something to say, at most 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub message: Option<String>,
}

/// How far pods are with what only a new pod takes up.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStatus {
    /// What every pod is to be made with, template and redis.conf; approve-update names it.
    pub revision: String,
    /// Pods that need not be made anew.
    pub updated: i32,
    /// Pods.
    pub total: i32,
    /// What the next pod waits for; empty if for nothing.
    pub waiting_for: String,
}

/// What of the configuration is in force.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ConfigStatus {
    /// Revision of redis.conf that running servers follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied_revision: Option<String>,
    /// Directives that wait for pods to be made anew, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub pending_restart: Vec<String>,
    /// Values that were derived from something else, with the reason, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub derived: Vec<Derived>,
}

/// A value that was derived from something else.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Derived {
    /// The directive.
    pub key: String,
    /// Its value.
    pub value: String,
    /// From what and why.
    pub reason: String,
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

    /// What came of a request.
    pub enum Outcome {
        /// It is being done.
        Running = "Running",
        /// It was done, or answered.
        Done = "Done",
        /// It was not done.
        Refused = "Refused",
        /// It was found on a set without a status, such as a copied manifest, and not done.
        Stale = "Stale",
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
        /// The master's pod is to be made anew.
        Update = "Update",
        /// The master's pod is beyond the number of pods that spec asks for.
        ScaleIn = "ScaleIn",
        /// All pods were started again, or the volumes outlived their set.
        ColdStart = "ColdStart",
    }

    /// Role of a pod, also its label.
    #[derive(Default)]
    pub enum Role {
        /// Takes writes.
        Master = "master",
        /// Replicates.
        Replica = "replica",
        /// Neither.
        #[default]
        Fenced = "fenced",
    }

    /// What a pod is doing.
    #[derive(Default)]
    pub enum MemberState {
        /// The pod or its container is not running yet.
        #[default]
        Starting = "Starting",
        /// Redis reads its data.
        Loading = "Loading",
        /// It receives a full resync.
        Syncing = "Syncing",
        /// It is further behind than services.replicas.maxLag.
        Lagging = "Lagging",
        /// It follows the master.
        InSync = "InSync",
        /// It cannot reach its parent.
        LinkDown = "LinkDown",
        /// It does not answer the operator.
        Unreachable = "Unreachable",
        /// It waits for the operator to give it a role.
        Fenced = "Fenced",
        /// It has writes that nobody else has, and waits for a person.
        Diverged = "Diverged",
        /// The pod does not exist.
        Gone = "Gone",
        /// The master takes writes.
        Serving = "Serving",
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
