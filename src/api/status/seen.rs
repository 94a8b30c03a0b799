//! What else was seen, and what an application needs to connect. Nothing here is the authority.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Whether the master's append-only file has every write that it answered in this epoch: appendfsync is always, and the
    /// rewrite after its last full resync has ended. Only then is its return awaited (failover.awaitReturn).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub file_complete: bool,
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
