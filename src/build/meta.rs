//! Metadata of everything a set consists of: labels, ownership, selectors and the seal.
//!
//! Whoever writes a label or an owner reference of a child does it here. Names are in [`crate::names`].

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::BuildError;
use crate::api::Metadata;
use crate::model::cluster::Cluster;
use crate::names::{self, annotation, label};

/// String to string, as labels, annotations and selectors are.
pub type Map = BTreeMap<String, String>;

/// What an object is for, in `app.kubernetes.io/component`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// The pods and what they are made from.
    Redis,
    /// The address of the master.
    Vip,
    /// The address of the replicas.
    Replicas,
    /// The pods' own names.
    Nodes,
    /// redis.conf.
    Config,
    /// Passwords.
    Credentials,
    /// The PodDisruptionBudget.
    DisruptionBudget,
}

impl Component {
    /// The value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Redis => names::COMPONENT,
            Self::Vip => "master",
            Self::Replicas => "replicas",
            Self::Nodes => "nodes",
            Self::Config => "config",
            Self::Credentials => "credentials",
            Self::DisruptionBudget => "disruption-budget",
        }
    }
}

/// Metadata of a child: named, labelled, with the set's common metadata, owned by the set and by nobody else.
pub fn object(cluster: &Cluster, component: Component, name: String) -> ObjectMeta {
    object_with(cluster, component, name, &Metadata::default())
}

/// [`object`] with metadata that the spec gives to this one object. It wins over the common metadata, ours over both.
pub fn object_with(cluster: &Cluster, component: Component, name: String, own: &Metadata) -> ObjectMeta {
    let common = &cluster.spec.common_metadata;
    ObjectMeta {
        name: Some(name),
        namespace: Some(cluster.namespace.clone()),
        labels: Some(merged([&common.labels, &own.labels, &labels(cluster, component)])),
        annotations: some(merged([&common.annotations, &own.annotations])),
        owner_references: Some(vec![owner(cluster)]),
        ..ObjectMeta::default()
    }
}

/// Labels of ours on every object: the set's two and the recommended ones. The tier is added where an object has one.
pub fn labels(cluster: &Cluster, component: Component) -> Map {
    map([
        (label::SET, &cluster.name),
        (label::APP_NAME, names::COMPONENT),
        (label::APP_INSTANCE, &cluster.name),
        (label::APP_COMPONENT, component.as_str()),
        (label::APP_MANAGED_BY, names::MANAGED_BY),
    ])
}

/// All pods of the set, whatever their tier.
pub fn set_selector(cluster: &Cluster) -> Map {
    map([(label::SET, &cluster.name)])
}

/// The pods and claims of a tier. These two labels only: a claim inherits them and has no owner.
pub fn tier_selector(cluster: &Cluster, tier: &str) -> Map {
    map([(label::SET, &cluster.name), (label::TIER, tier)])
}

/// A selector in the form that StatefulSets and budgets take.
pub fn label_selector(labels: Map) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels),
        match_expressions: None,
    }
}

/// The set as the one controller of a child. `blockOwnerDeletion` stays unset: where that permission is enforced it
/// would need the right to update finalizers, and nothing waits for it.
pub fn owner(cluster: &Cluster) -> OwnerReference {
    OwnerReference {
        api_version: names::API_VERSION.into(),
        kind: names::KIND.into(),
        name: cluster.name.clone(),
        uid: cluster.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// The JSON to apply: the object with [`annotation::REVISION`], the hash of all else in it. So a field that we no longer
/// want makes a difference too, although the live object still has it.
///
/// # Errors
/// [`BuildError::NotAnObject`] for a value that is no JSON object.
pub fn seal<K: Serialize>(object: &K) -> Result<Value, BuildError> {
    let mut value = serde_json::to_value(object).map_err(|error| BuildError::NotAnObject(error.to_string()))?;
    let revision = short_hash(value.to_string().as_bytes());
    let not_an_object = || BuildError::NotAnObject("it has no metadata".into());
    let metadata = value
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
        .ok_or_else(not_an_object)?;
    let annotations = metadata
        .entry("annotations")
        .or_insert_with(|| Value::Object(serde_json::Map::new()));
    let annotations = annotations.as_object_mut().ok_or_else(not_an_object)?;
    annotations.insert(annotation::REVISION.into(), Value::String(revision));
    Ok(value)
}

/// The first ten hex digits of the content's SHA-256: enough to tell revisions of one set apart.
pub fn short_hash(content: &[u8]) -> String {
    hex::encode(&Sha256::digest(content)[..5])
}

/// A map of borrowed pairs.
pub fn map<const N: usize>(pairs: [(&str, &str); N]) -> Map {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// All of the maps in one; a later one wins.
pub fn merged<'a>(maps: impl IntoIterator<Item = &'a Map>) -> Map {
    maps.into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// `None` for an empty map, which an apiserver does not store.
pub fn some(map: Map) -> Option<Map> {
    (!map.is_empty()).then_some(map)
}
