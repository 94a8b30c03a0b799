//! `spec.tiers`: replicas below replicas.
//!
//! Tiers are known by name, so that one can be patched alone, and their order in the list means nothing. What a tier leaves
//! out is the set's: that is no default, and is never copied into the tier.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::services::ReplicasService;
use super::shapes;
use super::spec::{Resources, Storage};
use super::template::Template;

/// Most tiers of a set; rules that compare tiers with each other are priced by it.
pub const TIERS: u32 = 8;

/// Replicas that replicate from replicas.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TierSpec {
    /// Name of the tier: a DNS-1035 label of at most 16 characters, and of at most 51 with the set's name. Pods, StatefulSet
    /// and Service are called SET-NAME. A tier of another name is another tier. Immutable.
    #[schemars(length(min = 1, max = 16), regex(pattern = shapes::DNS_LABEL))]
    pub name: String,

    /// Tier whose pods these replicate from: core, which is the master's own replicas, or another tier, at most 4 steps to
    /// core. Nobody of a tier replicates from the master itself, or becomes master. May change at any time.
    #[serde(default = "core")]
    #[schemars(length(min = 1, max = 16))]
    pub from: String,

    /// Number of pods. May change at any time.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: i32,

    /// Pods of this tier on one parent, 1 to 32. What finds no place in the tier that from names replicates from one a step
    /// further up, at last from core replicas beyond this number. May change at any time.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 32))]
    pub max_replicas_per_parent: i32,

    /// What Redis asks of its node and may use in this tier; replaces the set's resources as a whole. Absent: the set's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// The volume of each pod of this tier; replaces the set's storage as a whole, so it needs a size. Absent: the set's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "storage")]
    pub storage: Option<Storage>,

    /// Directives of redis.conf for this tier, at most 64, beside those of the set: a key given here counts, the others stay.
    /// Applied to running servers where Redis can, else when a pod is made anew.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "shapes::config")]
    pub config: BTreeMap<String, String>,

    /// The pods of this tier; replaces the set's template as a whole. Absent: the set's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,

    /// The address for reads from this tier: Service SET-NAME, its pods that are in sync.
    #[serde(default)]
    pub service: ReplicasService,
}

impl TierSpec {
    /// A tier of this name with every default, as the apiserver would store it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            from: core(),
            replicas: one(),
            max_replicas_per_parent: four(),
            resources: None,
            storage: None,
            config: BTreeMap::new(),
            template: None,
            service: ReplicasService::default(),
        }
    }
}

fn core() -> String {
    "core".into()
}

fn one() -> i32 {
    1
}

fn four() -> i32 {
    4
}

/// A volume whose size is given: the default of the set's would make a block that only names a class a smaller volume.
fn storage(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<Storage>();
    if let Some(Value::Object(size)) = schema.pointer_mut("/properties/size") {
        size.remove("default");
    }
    schema.ensure_object().insert("required".into(), json!(["size"]));
    schema
}
