//! Every pod and every tier as it was seen. Nothing here is the authority: who is master is not told by a pod's role or state.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::words::words;

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

/// One tier below the core as it was seen.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TierStatus {
    /// Name of the tier.
    pub name: String,
    /// Pods of the tier that exist.
    pub replicas: i32,
    /// Pods of the tier that are in sync.
    pub ready_replicas: i32,
    /// Pods that feed pods of the tier.
    pub parents: i32,
}

words! {
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
        /// It is further behind than its read Service allows (maxLag).
        Lagging = "Lagging",
        /// It follows the master, or a pod that does.
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
