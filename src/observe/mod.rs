//! I/O in: what the API server and the Redises say of one set, as one [`Observed`] value.
//!
//! Reads only. What could not be read is a value ("unknown"), never an error, and nothing here decides anything.

mod members;
mod nodes;
mod objects;
mod secrets;
mod stores;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::jiff::Timestamp;
use kube::{Client, ResourceExt};

use crate::api::RedisReplicaSet;
use crate::model::cluster::{Cluster, Tier};
use crate::model::observed::{Live, ObjectId, Observed, Refusal, StatefulSetFacts};
use crate::model::redis::{Seen, SetKey};
use crate::model::timeline::Timeline;
use crate::names::{self, annotation, label};
use crate::redis::clock;
use crate::redis::probe::Probes;

pub use nodes::Nodes;
pub use objects::{Absences, owner, resource};
pub use secrets::SecretCache;
pub use stores::{Newest, Scope, Stores, WATCH_SECONDS, version};

/// What this process remembers of a set between two passes. Lost with the process, and harmless when lost.
#[derive(Default)]
pub struct Memory {
    /// The set as our own last write answered it, while the watch may still be behind.
    pub newest: Option<RedisReplicaSet>,
    /// Secrets as they were read last.
    pub secrets: SecretCache,
    /// What Redis answered to directives and values.
    pub refused: BTreeMap<(String, String), Refusal>,
    /// Image that these answers are from: another server may answer otherwise.
    pub refused_by: String,
    /// When which process, by run id, was last attached.
    pub attached: BTreeMap<String, Timestamp>,
    /// What only time tells.
    pub timeline: Timeline,
    /// Objects that were looked for and are not there.
    pub absent: Absences,
    /// Steps of the last pass that failed, in one sentence each; lost races are not among them.
    pub failures: Vec<String>,
}

/// Reads everything about one set.
pub async fn observe(
    client: &Client,
    stores: &Stores,
    nodes: &Nodes,
    probes: &Probes,
    cluster: &Cluster,
    set: &RedisReplicaSet,
    memory: &mut Memory,
) -> Observed {
    let key = SetKey {
        namespace: cluster.namespace.clone(),
        name: cluster.name.clone(),
    };
    memory.secrets.refresh(client, cluster).await;
    if memory.refused_by != cluster.spec.image {
        memory.refused.clear();
        memory.refused_by.clone_from(&cluster.spec.image);
    }
    let objects = objects::live(client, stores, cluster, &mut memory.absent).await;
    let found = members::find(stores, nodes, cluster, &objects);
    probes.keep(
        &key,
        members::targets(cluster, &found, &memory.secrets.internal, &probed_directives(cluster)),
    );
    let seen = probes.look(&key);
    let runs = |run: &String| {
        seen.values()
            .filter_map(Seen::last_facts)
            .any(|facts| facts.run_id == *run)
    };
    memory.attached.retain(|run, _| runs(run));
    let status = set.status.clone().unwrap_or_default();
    let spare = members::spare(stores, cluster, &found);
    let members = members::with_redis(found, &seen);
    let vip_pods = vip_pods(stores, cluster);
    memory.timeline.see(&status, &members, &vip_pods, clock::now());
    memory
        .timeline
        .see_routes(routes(stores, cluster), &members, clock::now());
    Observed {
        status,
        deleting: set.metadata.deletion_timestamp.is_some(),
        created: set.metadata.creation_timestamp.as_ref().map(|t| t.0),
        spare,
        members,
        stateful_sets: stateful_sets(cluster, &objects),
        objects,
        internal: memory.secrets.internal.clone(),
        app: memory.secrets.app.clone(),
        vip_pods,
        refused: memory.refused.clone(),
        attached: memory.attached.clone(),
        detached: memory.timeline.detached.clone(),
        followed: memory.timeline.followed.clone(),
        mute: memory.timeline.mute.clone(),
        draining: memory.timeline.draining.clone(),
        cut_off: memory.timeline.cut_off.clone(),
        rerouted: memory.timeline.rerouted,
        demoted: memory.timeline.demoted.clone(),
        sees_nodes: nodes.are_seen(),
        marks: memory.timeline.marks.clone(),
        requests: requests(set),
        failures: memory.failures.clone(),
    }
}

/// What people ask by annotation: every annotation with our prefix, without it.
fn requests(set: &RedisReplicaSet) -> BTreeMap<String, String> {
    let ours = |(key, value): (&String, &String)| {
        let name = key.strip_prefix(annotation::REQUESTS)?;
        Some((name.to_owned(), value.clone()))
    };
    set.annotations().iter().filter_map(ours).collect()
}

/// What the probes ask each server for: the directives whose values the set has an opinion on.
fn probed_directives(cluster: &Cluster) -> BTreeSet<String> {
    let of_tier = |tier: Tier| crate::build::conf::live_values(cluster, tier).unwrap_or_default();
    cluster.tiers().flat_map(of_tier).map(|(key, _)| key).collect()
}

/// The set's EndpointSlices that node proxies follow, each with its version: all but those of headless Services.
fn routes(stores: &Stores, cluster: &Cluster) -> BTreeMap<String, u128> {
    let slices = stores.slices.all();
    let followed = slices.iter().filter(|slice| {
        let labels = slice.labels();
        slice.namespace().as_deref() == Some(&cluster.namespace)
            && labels.get(label::SET) == Some(&cluster.name)
            && !labels.contains_key("service.kubernetes.io/headless")
    });
    followed
        .map(|slice| (slice.name_any(), version(slice.as_ref())))
        .collect()
}

/// Pods that the VIP's EndpointSlices show.
fn vip_pods(stores: &Stores, cluster: &Cluster) -> BTreeSet<String> {
    let vip = names::vip(&cluster.name);
    let of_vip = |slice: &EndpointSlice| {
        slice.namespace().as_deref() == Some(&cluster.namespace)
            && slice.labels().get("kubernetes.io/service-name") == Some(&vip)
    };
    let slices = stores.slices.all();
    let endpoints = slices
        .iter()
        .filter(|s| of_vip(s))
        .flat_map(|s| s.endpoints.iter().flatten());
    endpoints.filter_map(|e| e.target_ref.as_ref()?.name.clone()).collect()
}

/// What the StatefulSets of the tiers say, as far as they exist, also of those that spec does not have any more.
fn stateful_sets(cluster: &Cluster, objects: &BTreeMap<ObjectId, Live>) -> BTreeMap<String, StatefulSetFacts> {
    let wanted = cluster.tiers().map(|tier| tier.name.to_owned());
    let all = wanted.chain(objects::removed_tiers(cluster, objects).map(str::to_owned));
    let of_tier = |tier: String| {
        let facts = stateful_set_facts(objects::stateful_set(cluster, &tier, objects)?);
        Some((tier, facts))
    };
    all.filter_map(of_tier).collect()
}

/// A StatefulSet's numbers from its JSON.
pub(super) fn stateful_set_facts(body: &serde_json::Value) -> StatefulSetFacts {
    let volumes = body["spec"]["template"]["spec"]["volumes"].as_array();
    let sources = volumes
        .into_iter()
        .flatten()
        .filter_map(|v| v["projected"]["sources"].as_array())
        .flatten();
    StatefulSetFacts {
        replicas: body["spec"]["replicas"]
            .as_i64()
            .and_then(|n| i32::try_from(n).ok())
            .unwrap_or(0),
        update_revision: body["status"]["updateRevision"].as_str().map(str::to_owned),
        config_map: sources
            .filter_map(|s| s["configMap"]["name"].as_str())
            .map(str::to_owned)
            .next(),
    }
}
