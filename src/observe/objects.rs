//! The set's objects as they are in the cluster, by kind and name.
//!
//! What the watches do not show is asked for: it is missing, or it is somebody else's, or it lost our label.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::stores::{Newest, Stores};
use crate::build;
use crate::model::cluster::Cluster;
use crate::model::observed::{Live, ObjectId};
use crate::names;

/// A read that takes longer leaves the object unknown for this pass.
const READ: Duration = Duration::from_secs(1);

/// "It is not there" stands this long for a set that does not make it: one that waits for a Secret asks no more often.
/// One that does make it creates without force, so that what came meanwhile is not taken over.
const ABSENT: Duration = Duration::from_secs(20);

/// Objects that were looked for and are not there, and since when.
pub type Absences = BTreeMap<ObjectId, Instant>;

/// Where objects of a kind are in the API.
pub fn resource(kind: &str) -> Option<ApiResource> {
    Some(match kind {
        "ConfigMap" => ApiResource::erase::<ConfigMap>(&()),
        "Service" => ApiResource::erase::<Service>(&()),
        "StatefulSet" => ApiResource::erase::<StatefulSet>(&()),
        "PodDisruptionBudget" => ApiResource::erase::<PodDisruptionBudget>(&()),
        _ => return None,
    })
}

/// The objects of the set's names, and all ConfigMaps of the set.
pub(super) async fn live(
    client: &Client,
    stores: &Stores,
    cluster: &Cluster,
    absent: &mut Absences,
) -> BTreeMap<ObjectId, Live> {
    let mut found = BTreeMap::new();
    take("ConfigMap", &stores.config_maps, cluster, &mut found);
    take("Service", &stores.services, cluster, &mut found);
    take("StatefulSet", &stores.stateful_sets, cluster, &mut found);
    take("PodDisruptionBudget", &stores.budgets, cluster, &mut found);
    absent.retain(|id, since| since.elapsed() < ABSENT && !found.contains_key(id));
    let wanted = ids(cluster).into_iter();
    let missing: Vec<_> = wanted
        .filter(|id| !found.contains_key(id) && !absent.contains_key(id))
        .collect();
    let answers = futures::future::join_all(missing.into_iter().map(|id| ask(client, cluster, id))).await;
    for (id, answer) in answers.into_iter().flatten() {
        match answer {
            Some(live) => drop(found.insert(id, live)),
            None => drop(absent.insert(id, Instant::now())),
        }
    }
    found
}

/// Names of the set's objects; a redis.conf by the revision that is wanted now.
fn ids(cluster: &Cluster) -> Vec<ObjectId> {
    let mut ids: Vec<_> = build::ids(cluster)
        .into_iter()
        .map(|(kind, name)| ObjectId {
            kind: kind.as_str(),
            name,
        })
        .collect();
    for conf in cluster
        .tiers()
        .filter_map(|tier| build::conf::build(cluster, tier).ok())
    {
        let name = names::config_map(&cluster.name, &conf.revision);
        ids.push(ObjectId {
            kind: build::Kind::ConfigMap.as_str(),
            name,
        });
    }
    ids.sort();
    ids.dedup();
    ids
}

fn take<K>(kind: &'static str, store: &Newest<K>, cluster: &Cluster, found: &mut BTreeMap<ObjectId, Live>)
where
    K: Resource<DynamicType = ()> + Clone + Serialize + 'static,
{
    let of_set = |o: &K| {
        o.namespace().as_deref() == Some(&cluster.namespace) && o.labels().get(names::label::SET) == Some(&cluster.name)
    };
    let ids = ids(cluster);
    let named = ids
        .iter()
        .filter(|id| id.kind == kind)
        .filter_map(|id| store.get(&cluster.namespace, &id.name));
    let labelled = store.all().into_iter().filter(|o| of_set(o));
    for object in named.chain(labelled) {
        let id = ObjectId {
            kind,
            name: object.name_any(),
        };
        found.entry(id).or_insert_with(|| {
            classify(cluster, object.meta(), || {
                serde_json::to_value(object.as_ref()).unwrap_or_default()
            })
        });
    }
}

/// What an object is; nothing if it certainly is not there.
async fn ask(client: &Client, cluster: &Cluster, id: ObjectId) -> Option<(ObjectId, Option<Live>)> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &cluster.namespace, &resource(id.kind)?);
    match tokio::time::timeout(READ, api.get_opt(&id.name)).await {
        Ok(Ok(object)) => {
            let live = object.map(|object| {
                classify(cluster, &object.metadata, || {
                    serde_json::to_value(&object).unwrap_or_default()
                })
            });
            Some((id, live))
        }
        // Unknown is not absent: nothing is created over an object that could not be read.
        Ok(Err(error)) => {
            tracing::warn!(kind = id.kind, name = %id.name, %error, "reading an object");
            Some((id, Some(Live::Unread)))
        }
        Err(_) => Some((id, Some(Live::Unread))),
    }
}

fn classify(cluster: &Cluster, meta: &ObjectMeta, body: impl FnOnce() -> Value) -> Live {
    let own_name = format!("{} {}", names::KIND, cluster.name);
    match owner(meta) {
        Some((uid, _)) if uid == cluster.uid && meta.deletion_timestamp.is_none() => Live::Ours(body()),
        // On its way out, or left by an earlier set of this name: the garbage collector takes it.
        Some((uid, owner)) if uid == cluster.uid || owner == own_name => Live::Unread,
        Some((_, owner)) => Live::Foreign {
            owner: format!("controlled by {owner}"),
        },
        None => Live::Foreign {
            owner: "it has no owner".into(),
        },
    }
}

/// UID and name of an object's controller.
pub fn owner(meta: &ObjectMeta) -> Option<(String, String)> {
    let owner = meta
        .owner_references
        .as_ref()?
        .iter()
        .find(|o| o.controller == Some(true))?;
    Some((owner.uid.clone(), format!("{} {}", owner.kind, owner.name)))
}

/// Tiers that have a StatefulSet of ours and are not in spec any more, by name.
pub(super) fn removed_tiers<'a>(
    cluster: &Cluster,
    objects: &'a BTreeMap<ObjectId, Live>,
) -> impl Iterator<Item = &'a str> {
    let wanted: Vec<_> = cluster.tiers().map(|tier| tier.name.to_owned()).collect();
    let tier = |(id, live): (&'a ObjectId, &'a Live)| match live {
        Live::Ours(body) if id.kind == "StatefulSet" => body["metadata"]["labels"][names::label::TIER].as_str(),
        Live::Ours(_) | Live::Foreign { .. } | Live::Unread => None,
    };
    let all = objects.iter().filter_map(tier);
    all.filter(move |tier| !wanted.iter().any(|name| name == tier))
}

/// A tier's StatefulSet, if it is ours: one of its name may be that of another set's.
pub(super) fn stateful_set<'a>(
    cluster: &Cluster,
    tier: &str,
    objects: &'a BTreeMap<ObjectId, Live>,
) -> Option<&'a Value> {
    match objects.get(&ObjectId {
        kind: "StatefulSet",
        name: names::stateful_set(&cluster.name, tier),
    })? {
        Live::Ours(body) => Some(body),
        Live::Foreign { .. } | Live::Unread => None,
    }
}
