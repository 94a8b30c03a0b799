//! `spec.template`: a checked subset of a pod template, at the same paths; and metadata for objects we make.
//!
//! What could reach the host or leave the Pod Security profile "restricted" has no field.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, Toleration, TopologySpreadConstraint};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shapes;
use super::words::words;

/// Labels and annotations for objects the operator makes.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Labels, at most 32. May change at any time.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "shapes::labels")]
    pub labels: BTreeMap<String, String>,

    /// Annotations, at most 32 of up to 4096 characters. May change at any time.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "shapes::annotations")]
    pub annotations: BTreeMap<String, String>,
}

impl Metadata {
    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}

/// Labels and annotations of the pods.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct PodMetadata {
    /// Labels, at most 32. Takes effect in a pod when it is made anew.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "shapes::labels")]
    pub labels: BTreeMap<String, String>,

    /// Annotations, at most 32 of up to 4096 characters. Takes effect in a pod when it is made anew.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "shapes::annotations")]
    pub annotations: BTreeMap<String, String>,
}

impl PodMetadata {
    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}

/// The pods of the set.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Template {
    /// Labels and annotations of the pods.
    #[serde(skip_serializing_if = "PodMetadata::is_empty")]
    pub metadata: PodMetadata,
    /// Where the pods run and as whom.
    pub spec: PodSpec,
}

/// Where the pods run and as whom.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Labels a node must have, at most 32. Takes effect in a pod when it is made anew.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "shapes::node_selector")]
    pub node_selector: BTreeMap<String, String>,

    /// Affinity as in a pod. Takes effect in a pod when it is made anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "shapes::embedded::<Affinity>")]
    pub affinity: Option<Affinity>,

    /// Tolerations as in a pod, at most 32. Takes effect in a pod when it is made anew.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "shapes::tolerations")]
    pub tolerations: Vec<Toleration>,

    /// Spread as in a pod, at most 8; replaces the operator's own, which is one pod per node if it can be, then zones. An
    /// absent labelSelector is filled in. Takes effect in a pod when it is made anew.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "shapes::spread")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,

    /// PriorityClass of the pods. Takes effect in a pod when it is made anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,

    /// RuntimeClass of the pods. Takes effect in a pod when it is made anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub runtime_class_name: Option<String>,

    /// Scheduler of the pods. Takes effect in a pod when it is made anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub scheduler_name: Option<String>,

    /// Seconds a pod has to end, 15 to 3600; absent leaves it to the operator. Takes effect in a pod when it is made
    /// anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 15, max = 3600))]
    pub termination_grace_period_seconds: Option<i64>,

    /// User and groups of the pods; everything else is fixed to Pod Security "restricted".
    pub security_context: PodSecurity,
}

/// User and groups of the pods.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSecurity {
    /// User id of Redis, at least 1. Takes effect in a pod when it is made anew.
    #[schemars(range(min = 1, max = 4_294_967_294_i64))]
    pub run_as_user: i64,
    /// Group id of Redis, at least 1. Takes effect in a pod when it is made anew.
    #[schemars(range(min = 1, max = 4_294_967_294_i64))]
    pub run_as_group: i64,
    /// Group that owns the volume's files, at least 1. Takes effect in a pod when it is made anew.
    #[schemars(range(min = 1, max = 4_294_967_294_i64))]
    pub fs_group: i64,
    /// When the kubelet gives the volume's files to fsGroup: OnRootMismatch or Always. Takes effect in a pod when it is
    /// made anew.
    pub fs_group_change_policy: FsGroupChangePolicy,
}

impl Default for PodSecurity {
    fn default() -> Self {
        Self {
            run_as_user: 999,
            run_as_group: 999,
            fs_group: 999,
            fs_group_change_policy: FsGroupChangePolicy::default(),
        }
    }
}

words! {
    /// When the kubelet gives the volume's files to fsGroup.
    #[derive(Default)]
    pub enum FsGroupChangePolicy {
        /// Only if the volume's root does not belong to it.
        #[default]
        OnRootMismatch = "OnRootMismatch",
        /// At each mount.
        Always = "Always",
    }
}
