//! `status`: what was seen, and who is master.
//!
//! The fields marked *compare-and-set* are the authority: they change only together with the object's
//! resourceVersion, before the effect they announce. All others are observations. Offsets and other numbers that
//! always move are not here: they are metrics, so that a quiet set writes nothing.
//!
//! [`RedisReplicaSetStatus`] is the whole; its parts are by subject in the modules below.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod authority;
mod members;
mod report;
mod requests;
mod seen;

pub use authority::{
    Elector, Fenced, History, Identity, Operation, OperationKind, OperationReason, PendingFence, Quorum,
};
pub use members::{MemberState, MemberStatus, Role, TierStatus};
pub use report::{FailoverReport, FenceState, Phases, Point, Positions, Proof, Resyncs, Verdict, Witnesses};
pub use requests::{Outcome, Request};
pub use seen::{Binding, ConfigStatus, Derived, Endpoints, HighWaterMark, ServerVersion, UpdateStatus};

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

    /// Core replicas that are in sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,

    /// Label selector of the core replicas' pods; read by a HorizontalPodAutoscaler.
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

    /// Every tier below the core, at most 8.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub tiers: Vec<TierStatus>,

    /// Every pod, by tier and ordinal, at most 200.
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
