//! `spec`: what a person wants. The operator reads it and never writes it.
//!
//! A field that does nothing yet is not here. Defaults are static and in the schema, so that the stored object
//! shows them; each `Default` below is what the schema says. The last sentence of a description says what a
//! change does (see [`super::Change`]).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::durations::Period;
use super::services::Services;
use super::shapes;
use super::status::RedisReplicaSetStatus;
use super::template::{Metadata, Template};
use super::tiers::{TIERS, TierSpec};
use super::words::words;

/// What a person wants of one replicated Redis.
#[expect(clippy::duplicated_attributes, reason = "columns share a type and a priority")]
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "redisreplicaset.dev",
    version = "v1alpha1",
    kind = "RedisReplicaSet",
    namespaced,
    status = "RedisReplicaSetStatus",
    shortname = "rrs",
    category = "all",
    derive = "PartialEq",
    derive = "Default",
    doc = "A replicated Redis or Valkey: one master behind one stable address, and its replicas.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Master", type_ = "string", json_path = ".status.master.name"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Epoch", type_ = "integer", json_path = ".status.epoch", priority = 1),
    printcolumn(
        name = "Version",
        type_ = "string",
        json_path = ".status.version.version",
        priority = 1
    ),
    printcolumn(
        name = "Failover",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="FailoverBlocked")].reason"#,
        priority = 1
    ),
    printcolumn(
        name = "Changed",
        type_ = "date",
        json_path = ".status.failovers[0].startedAt",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RedisReplicaSetSpec {
    /// Image of the server: stock Redis from 7.0 or Valkey from 7.2, a digest is welcome. Engine and version are
    /// read from the running server, never guessed from the tag. Takes effect in a pod when it is made anew.
    #[schemars(length(min = 1, max = 512), regex(pattern = shapes::IMAGE))]
    pub image: String,

    /// When the kubelet fetches the image: Always, IfNotPresent or Never. Takes effect in a pod when it is made anew.
    #[serde(default)]
    pub image_pull_policy: ImagePullPolicy,

    /// Secrets of this namespace with which the image is fetched, at most 8. Takes effect in a pod when it is made anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub image_pull_secrets: Vec<LocalRef>,

    /// Number of the master's replicas, the master not counted; 0 leaves nobody who could take over. Target of
    /// kubectl scale and of a HorizontalPodAutoscaler. May change at any time.
    #[serde(default = "two")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: i32,

    /// What the Redis container asks of its node and may use.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,

    /// The volume of each pod.
    #[serde(default)]
    pub storage: Storage,

    /// How Redis writes its append-only file, which is always on.
    #[serde(default)]
    pub persistence: Persistence,

    /// Directives of redis.conf by name, at most 64; values are strings up to 1024 characters ("yes", "10": quote
    /// them). Keys that the operator manages or that open the server are refused. Applied to running servers where
    /// Redis can, else when a pod is made anew.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "shapes::config")]
    pub config: BTreeMap<String, String>,

    /// Replicas below the master's own, at most 8 tiers; their order means nothing. The set has at most 200 pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = TIERS),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub tiers: Vec<TierSpec>,

    /// The application's login.
    #[serde(default)]
    pub auth: Auth,

    /// When a replica takes over from the master.
    #[serde(default)]
    pub failover: Failover,

    /// How pods take up what only a new pod can.
    #[serde(default)]
    pub update: Update,

    /// The addresses that applications use.
    #[serde(default)]
    pub services: Services,

    /// The pods: a checked subset of a pod template, at the paths a pod template has.
    #[serde(default)]
    pub template: Template,

    /// Labels and annotations for every object the operator makes for this set, such as a cost centre.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub common_metadata: Metadata,

    /// While true the operator only looks: no role changes, no failover, no write to any object of the set; status
    /// goes on. A master that restarts meanwhile stays fenced. May change at any time.
    #[serde(default)]
    pub paused: bool,
}

fn two() -> i32 {
    2
}

impl RedisReplicaSetSpec {
    /// A spec with this image and every default, as the apiserver would store it.
    pub fn new(image: impl Into<String>) -> Self {
        Self {
            image: image.into(),
            replicas: two(),
            ..Self::default()
        }
    }
}

/// An object of the set's own namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LocalRef {
    /// Name of the Secret. Takes effect in a pod when it is made anew.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// `requests` and `limits` of the Redis container.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    /// What the scheduler sets aside for Redis, by resource name. Takes effect in a pod when it is made anew.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "shapes::quantities")]
    pub requests: BTreeMap<String, Quantity>,

    /// What Redis may use at most, by resource name; memory is at least 64Mi. Redis's maxmemory is 75 % of the memory
    /// limit unless config names it. Takes effect in a pod when it is made anew.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "shapes::quantities")]
    pub limits: BTreeMap<String, Quantity>,
}

impl Resources {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.limits.is_empty()
    }
}

/// The volume of each pod.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Storage {
    /// Size of one volume, a quantity from 128Mi to 64Ti; an append-only file needs about three times the data while
    /// it is rewritten. Can only grow.
    #[schemars(schema_with = "shapes::size")]
    pub size: Quantity,

    /// StorageClass of the volumes; absent is the cluster's default class. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,

    /// ReadWriteOnce, or ReadWriteOncePod where the driver can: then the storage too admits one pod only. Immutable.
    pub access_mode: AccessMode,

    /// What becomes of volumes that no pod needs any more.
    pub retention: VolumeRetention,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            size: Quantity("1Gi".into()),
            storage_class_name: None,
            access_mode: AccessMode::default(),
            retention: VolumeRetention::default(),
        }
    }
}

/// What becomes of volumes that no pod needs any more.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeRetention {
    /// Retain or Delete the volumes after the set, or their tier, is removed. May change at any time.
    pub when_deleted: Retain,
    /// Retain or Delete the volumes of replicas that were scaled away. May change at any time.
    pub when_scaled: Retain,
}

/// How Redis writes its append-only file.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Persistence {
    /// When the append-only file is flushed to disk: everysec may lose a second of one pod's own writes if its node
    /// dies, always answers a write after the flush. Applied to running servers where Redis can, else when a pod is
    /// made anew.
    pub append_fsync: AppendFsync,
}

/// The application's login.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Auth {
    /// The application's user: all keys and channels, no administrative or dangerous commands. Take default for
    /// clients that send only a password; otherwise Redis's user default is off. Immutable.
    #[schemars(length(min = 1, max = 64), regex(pattern = shapes::USER))]
    pub username: String,

    /// Where the user's password comes from; read, never written. Absent: the operator generates the password into
    /// the Secret that status.binding names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            username: "app".into(),
            secret_ref: None,
        }
    }
}

/// When a replica takes over from the master. A proven death never waits for any of this.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Failover {
    /// What becomes of a master that is silent without proof of death: Quorum replaces it when it can no longer take
    /// writes, Always also when it may, Never leaves it to a person. May change at any time.
    pub when_unreachable: WhenUnreachable,

    /// Silence after which a master counts as unreachable, from 300ms to 60s. Below 300 ms a fork of a large data set
    /// looks like a death. Also the time after which a server with a busy script answers BUSY (busy-reply-threshold), if
    /// config does not say otherwise and this is below 5s. May change at any time.
    pub down_after: Period,

    /// Redis's min-replicas-max-lag, whole seconds from 1s to 60s: a master that its replicas do not hear stops taking
    /// writes at most this and 2 s after their last acknowledgement, and the operator waits for as long. Applied to
    /// running servers where Redis can, else when a pod is made anew.
    pub self_fence_after: Period,

    /// What becomes of writes that only a former master has when it comes back: Discard drops them with its next full
    /// resync, Hold keeps it fenced with its data until a person lets them go by the annotation discard. May change at any
    /// time.
    pub on_divergence: OnDivergence,

    /// For this long after a failover, from 0s to 1h, a further one needs proof of the master's death. May change at any
    /// time.
    pub cooldown: Period,

    /// How long a master whose process died is awaited with its append-only file before a replica takes over, from 0s to
    /// 10m, so that no acknowledged write is lost: a replica may lack the last ones. Needs persistence.appendFsync always.
    /// Its return costs a full resync of every replica. May change at any time.
    pub await_return: Period,

    /// Where the master should be, at most 16 rules of which the first that names a pod's zone or node counts; a pod that
    /// none names has 100. Among pods that hold the same data, the lowest priority becomes master; 0 never does. No
    /// change of it moves the master. May change at any time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub priorities: Vec<Priority>,
}

impl Default for Failover {
    fn default() -> Self {
        Self {
            when_unreachable: WhenUnreachable::default(),
            down_after: Period::seconds(1),
            self_fence_after: Period::seconds(2),
            on_divergence: OnDivergence::default(),
            cooldown: Period::seconds(30),
            await_return: Period::seconds(0),
            priorities: Vec::new(),
        }
    }
}

/// The priority of the pods in a zone or on a node; exactly one of the two is given.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Priority {
    /// Name of a zone, as the pods' label topology.kubernetes.io/zone has it. May change at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub zone: Option<String>,

    /// Name of a node. May change at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub node: Option<String>,

    /// Redis's replica-priority, from 0 to 1000: lower first, 0 never. May change at any time.
    #[schemars(range(min = 0, max = 1000))]
    pub priority: i32,
}

/// How pods take up what only a new pod can.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Update {
    /// Automatic makes pods anew one by one, the master last and by a switchover; with Supervised the master waits for the
    /// annotation approve-update; OnDelete waits for a person to delete each. May change at any time.
    pub strategy: UpdateStrategy,
}

/// A key of a Secret in the set's own namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret. May change at any time.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// Key in the Secret. May change at any time.
    #[serde(default = "password")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn password() -> String {
    "password".into()
}

words! {
    /// When the kubelet fetches the image.
    #[derive(Default)]
    pub enum ImagePullPolicy {
        /// At each start of a pod.
        Always = "Always",
        /// If the node has it not.
        #[default]
        IfNotPresent = "IfNotPresent",
        /// The node must have it.
        Never = "Never",
    }

    /// Access mode of a volume.
    #[derive(Default)]
    pub enum AccessMode {
        /// One node at a time.
        #[default]
        ReadWriteOnce = "ReadWriteOnce",
        /// One pod at a time.
        ReadWriteOncePod = "ReadWriteOncePod",
    }

    /// Keep a volume, or delete it with its data.
    #[derive(Default)]
    pub enum Retain {
        /// Keep it: nothing of ours deletes data that nobody asked to delete.
        #[default]
        Retain = "Retain",
        /// Delete it.
        Delete = "Delete",
    }

    /// What becomes of a master that is silent without proof of death.
    #[derive(Default)]
    pub enum WhenUnreachable {
        /// It is replaced once too few replicas are left to it for taking writes.
        #[default]
        Quorum = "Quorum",
        /// It is replaced also if it may still take writes, which are lost then.
        Always = "Always",
        /// It is not replaced.
        Never = "Never",
    }

    /// What becomes of writes that only a former master has.
    #[derive(Default)]
    pub enum OnDivergence {
        /// They are dropped with its next full resync.
        #[default]
        Discard = "Discard",
        /// It stays fenced with its data until a person lets them go.
        Hold = "Hold",
    }

    /// Who makes pods anew.
    #[derive(Default)]
    pub enum UpdateStrategy {
        /// The operator, one by one.
        #[default]
        Automatic = "Automatic",
        /// The operator, but the master's only when a person approves.
        Supervised = "Supervised",
        /// A person, by deleting them.
        OnDelete = "OnDelete",
    }

    /// Redis's word for when the append-only file is flushed.
    #[derive(Default)]
    pub enum AppendFsync {
        /// Once a second.
        #[default]
        Everysec = "everysec",
        /// Before each reply.
        Always = "always",
    }
}
