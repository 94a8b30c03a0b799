//! Pods and claims of a set, as members; and where the probes find their Redis.
//!
//! A pod counts only if this set's own StatefulSet controls it, a claim only by its name and label.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::nodes::Nodes;
use super::stores::Stores;
use super::words::{last_words, words};
use crate::model::cluster::Cluster;
use crate::model::observed::{ClaimFacts, InternalSecret, Live, Member, ObjectId, PodFacts, Trouble};
use crate::model::redis::{PodUid, ProbeError, Seen};
use crate::names::{self, annotation, label, user};
use crate::redis::probe::Target;
use crate::redis::{Endpoint, View};

/// A member before its Redis is asked.
pub(super) struct Found {
    name: String,
    tier: String,
    ordinal: u32,
    pod: Option<PodFacts>,
    claim: Option<ClaimFacts>,
}

/// Every member that exists or should, by tier and ordinal; last those of tiers that are not in spec any more.
pub(super) fn find(
    stores: &Stores,
    nodes: &Nodes,
    cluster: &Cluster,
    objects: &BTreeMap<ObjectId, Live>,
) -> Vec<Found> {
    let wanted = cluster.tiers().map(|tier| (tier.name, tier.pods));
    let removed = super::objects::removed_tiers(cluster, objects).map(|tier| (tier, 0));
    let all: Vec<_> = wanted.chain(removed).collect();
    let members = all
        .into_iter()
        .flat_map(|(tier, pods)| of_tier(stores, nodes, cluster, tier, pods, objects));
    members.collect()
}

/// A tier's members. Pods of an earlier scale-in may still be there, and they do not end in the order of their ordinals.
fn of_tier(
    stores: &Stores,
    nodes: &Nodes,
    cluster: &Cluster,
    tier: &str,
    pods: u32,
    objects: &BTreeMap<ObjectId, Live>,
) -> Vec<Found> {
    let stateful_set = names::stateful_set(&cluster.name, tier);
    let live = super::objects::stateful_set(cluster, tier, objects);
    let controller = live.and_then(|body| body["metadata"]["uid"].as_str());
    let ours = |pod: &Pod| {
        let by = pod
            .owner_references()
            .iter()
            .find(|o| o.controller == Some(true))
            .map(|o| o.uid.as_str());
        by.is_some() && by == controller
    };
    let pod = |name: &str| {
        stores
            .pods
            .get(&cluster.namespace, name)
            .filter(|p| ours(p))
            .map(|p| pod_facts(&p, nodes))
    };
    let claim = |name: &str| {
        let claim = stores.claims.get(&cluster.namespace, &names::claim(name))?;
        (claim.labels().get(label::SET) == Some(&cluster.name)).then(|| claim_facts(&claim))
    };
    let asked = live.map_or(0, |body| super::stateful_set_facts(body).replicas);
    let count = pods.max(u32::try_from(asked).unwrap_or(0));
    let there = stores.pods.all();
    let ending = there
        .iter()
        .filter(|p| p.namespace().as_deref() == Some(&cluster.namespace) && ours(p))
        .filter_map(|p| names::ordinal(&stateful_set, &p.name_any()));
    let ordinals: BTreeSet<u32> = (0..count).chain(ending).collect();
    ordinals
        .into_iter()
        .map(|ordinal| {
            let name = names::pod(&stateful_set, ordinal);
            Found {
                pod: pod(&name),
                claim: claim(&name),
                tier: tier.to_owned(),
                ordinal,
                name,
            }
        })
        .collect()
}

/// Claims of the core tier whose pod is no member, by the name that pod would have.
pub(super) fn spare(stores: &Stores, cluster: &Cluster, members: &[Found]) -> Vec<(String, ClaimFacts)> {
    let core = names::stateful_set(&cluster.name, names::CORE_TIER);
    let of_set = |claim: &PersistentVolumeClaim| {
        claim.namespace().as_deref() == Some(&cluster.namespace)
            && claim.labels().get(label::SET) == Some(&cluster.name)
    };
    let all = stores.claims.all();
    all.iter()
        .filter(|claim| of_set(claim))
        .filter_map(|claim| {
            let pod = claim.name_any().strip_prefix(&names::claim(""))?.to_owned();
            names::ordinal(&core, &pod)?;
            let is_member = members.iter().any(|m| m.name == pod);
            (!is_member).then(|| (pod, claim_facts(claim)))
        })
        .collect()
}

/// Whom the probes shall hold connections to.
pub(super) fn targets(
    cluster: &Cluster,
    found: &[Found],
    internal: &InternalSecret,
    directives: &BTreeSet<String>,
) -> Vec<Target> {
    let Some(credentials) = internal.credentials() else {
        return Vec::new();
    };
    let target = |member: &Found| {
        let pod = member.pod.as_ref()?;
        Some(Target {
            pod: member.name.clone(),
            uid: PodUid(pod.uid.clone()),
            endpoint: Endpoint {
                address: SocketAddr::new(pod.ip.as_ref()?.parse().ok()?, names::REDIS_PORT),
                announced: names::dns(&cluster.name, &cluster.namespace, &member.name),
                user: user::OPERATOR.to_owned(),
                password: credentials.operator.clone(),
            },
            view: View {
                app_user: cluster.spec.auth.username.clone(),
                managed: directives.iter().cloned().collect(),
                down_after: cluster.spec.failover.down_after.into(),
            },
        })
    };
    found.iter().filter_map(target).collect()
}

/// The members with what their Redis said.
pub(super) fn with_redis(found: Vec<Found>, seen: &BTreeMap<PodUid, Seen>) -> Vec<Member> {
    let redis = |uid: Option<&String>| uid.and_then(|uid| seen.get(&PodUid(uid.clone()))).cloned();
    found
        .into_iter()
        .map(|m| Member {
            redis: redis(m.pod.as_ref().map(|p| &p.uid)).unwrap_or_else(|| Seen::Unknown {
                since: m.pod.as_ref().and_then(|p| p.started).unwrap_or(Timestamp::UNIX_EPOCH),
                error: ProbeError::NotAsked,
                eof: false,
                last: None,
                offsets: Arc::default(),
            }),
            name: m.name,
            tier: m.tier,
            ordinal: m.ordinal,
            pod: m.pod,
            claim: m.claim,
        })
        .collect()
}

fn pod_facts(pod: &Pod, nodes: &Nodes) -> PodFacts {
    let status = pod.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let container = status
        .container_statuses
        .unwrap_or_default()
        .into_iter()
        .find(|c| c.name == names::CONTAINER);
    let running = container.as_ref().and_then(|c| c.state.as_ref()?.running.as_ref());
    let unscheduled = conditions
        .iter()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False");
    let trouble = match (unscheduled, &container) {
        (Some(c), _) => Some(Trouble::Unschedulable(words(
            c.message.as_deref().unwrap_or("no node yet"),
        ))),
        (None, Some(container)) => trouble(container),
        (None, None) => None,
    };
    let node = pod.spec.as_ref().and_then(|s| s.node_name.clone());
    PodFacts {
        uid: pod.uid().unwrap_or_default(),
        ip: status.pod_ip,
        draining: node.as_deref().and_then(|node| nodes.draining(node)),
        node,
        zone: pod.labels().get(label::ZONE).cloned(),
        deleting: pod.metadata.deletion_timestamp.is_some(),
        started: running.and_then(|r| r.started_at.as_ref()).map(|t| t.0),
        terminated: container.as_ref().is_some_and(has_ended),
        trouble,
        revision: pod.annotations().get(annotation::REVISION).cloned(),
        config_revision: pod.annotations().get(annotation::CONFIG_REVISION).cloned(),
        restart: pod.annotations().get(annotation::RESTART).cloned(),
        role: pod.labels().get(label::ROLE).cloned(),
        in_sync: pod.labels().get(label::IN_SYNC).is_some_and(|v| v == "true"),
        gate: conditions
            .iter()
            .find(|c| c.type_ == names::READINESS_GATE)
            .map(|c| c.status == "True"),
    }
}

/// Whether the kubelet says that a container does not run, after it did.
fn has_ended(container: &ContainerStatus) -> bool {
    let Some(state) = &container.state else { return false };
    let ran = || {
        container
            .last_state
            .as_ref()
            .is_some_and(|last| last.terminated.is_some())
    };
    state.terminated.is_some() || state.waiting.is_some() && ran()
}

/// Why a container does not run, in the kubelet's words.
fn trouble(container: &ContainerStatus) -> Option<Trouble> {
    let state = container.state.as_ref()?;
    let ended = |s: &ContainerState| {
        let t = s.terminated.as_ref()?;
        let said = t.message.as_deref().map(last_words).filter(|said| !said.is_empty());
        let why = said.or_else(|| t.reason.clone()).unwrap_or_default();
        Some(Trouble::Terminated(words(&format!("exit code {}: {why}", t.exit_code))))
    };
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let said = format!("{reason}: {}", waiting.message.as_deref().unwrap_or_default());
        return match reason {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                Some(Trouble::ImagePull(words(&said)))
            }
            "CrashLoopBackOff" => container
                .last_state
                .as_ref()
                .and_then(ended)
                .or(Some(Trouble::Waiting(words(&said)))),
            "ContainerCreating" | "PodInitializing" => None,
            _ => Some(Trouble::Waiting(words(&said))),
        };
    }
    // One that ends again and again runs for a moment in between: that is no news until it is ready.
    let began_again = state.running.is_some() && !container.ready && container.restart_count > 0;
    let last = container.last_state.as_ref().filter(|_| began_again);
    ended(state).or_else(|| last.and_then(ended))
}

fn storage(quantities: Option<&BTreeMap<String, Quantity>>) -> Option<String> {
    quantities?.get("storage").map(|quantity| quantity.0.clone())
}

fn claim_facts(claim: &PersistentVolumeClaim) -> ClaimFacts {
    ClaimFacts {
        uid: claim.uid().unwrap_or_default(),
        created: claim.metadata.creation_timestamp.as_ref().map(|t| t.0),
        bound: claim.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Bound"),
        size: storage(
            claim
                .spec
                .as_ref()
                .and_then(|s| s.resources.as_ref()?.requests.as_ref()),
        ),
        capacity: storage(claim.status.as_ref().and_then(|s| s.capacity.as_ref())),
        epoch: claim.annotations().get(annotation::EPOCH).and_then(|e| e.parse().ok()),
        role: claim.annotations().get(annotation::ROLE).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::TierSpec;
    use serde_json::{Value, json};

    const OWNER: &str = "uid-of-the-stateful-set";

    fn stateful_set(replicas: u32) -> BTreeMap<ObjectId, Live> {
        let id = ObjectId {
            kind: "StatefulSet",
            name: names::stateful_set("cache", names::CORE_TIER),
        };
        let body = json!({"metadata": {"uid": OWNER}, "spec": {"replicas": replicas}});
        BTreeMap::from([(id, Live::Ours(body))])
    }

    fn object<K: serde::de::DeserializeOwned>(name: &str, metadata: &Value) -> K {
        let mut metadata = metadata.clone();
        metadata["namespace"] = json!("shop");
        metadata["name"] = json!(name);
        metadata["labels"] = json!({label::SET: "cache"});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    fn pods(names: &[&str], owner: &str) -> Vec<Pod> {
        let owner =
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "cache", "uid": owner, "controller": true});
        let one = |name: &&str| object(name, &json!({"uid": name, "ownerReferences": [owner]}));
        names.iter().map(one).collect()
    }

    /// A set of three pods.
    fn cluster() -> Cluster {
        let set = json!({
            "apiVersion": "redisreplicaset.dev/v1alpha1",
            "kind": "RedisReplicaSet",
            "metadata": {"name": "cache", "namespace": "shop", "uid": "u", "generation": 1},
            "spec": {"image": "redis:8.0", "replicas": 2},
        });
        Cluster::new(&serde_json::from_value(set).unwrap()).unwrap()
    }

    fn names_of(found: &[Found]) -> Vec<(&str, bool)> {
        found.iter().map(|m| (m.name.as_str(), m.pod.is_some())).collect()
    }

    #[test]
    fn a_pod_of_an_earlier_scale_in_is_a_member_also_when_the_one_before_it_has_ended() {
        let stores = Stores::of(pods(&["cache-0", "cache-1", "cache-2", "cache-4"], OWNER), Vec::new());
        let found = find(&stores, &Nodes::default(), &cluster(), &stateful_set(3));
        let want = [
            ("cache-0", true),
            ("cache-1", true),
            ("cache-2", true),
            ("cache-4", true),
        ];
        assert_eq!(names_of(&found), want);
    }

    #[test]
    fn a_pod_that_is_not_there_yet_is_a_member_and_one_of_somebody_else_is_not() {
        let stores = Stores::of(pods(&["cache-1", "cache-7"], "another"), Vec::new());
        let found = find(&stores, &Nodes::default(), &cluster(), &stateful_set(3));
        assert_eq!(
            names_of(&found),
            [("cache-0", false), ("cache-1", false), ("cache-2", false)]
        );
    }

    #[test]
    fn the_pods_of_every_tier_are_members_also_of_one_that_is_gone_from_spec() {
        let mut cluster = cluster();
        cluster.spec.tiers = vec![TierSpec {
            replicas: 2,
            ..TierSpec::new("edge")
        }];
        let mut objects = stateful_set(3);
        for (tier, owner) in [("edge", "uid-of-edge"), ("gone", "uid-of-gone")] {
            let id = ObjectId {
                kind: "StatefulSet",
                name: names::stateful_set("cache", tier),
            };
            let metadata = json!({"uid": owner, "labels": {label::TIER: tier}});
            let body = json!({"metadata": metadata, "spec": {"replicas": 1}});
            objects.insert(id, Live::Ours(body));
        }
        let mut there = pods(&["cache-0", "cache-edge-1"], OWNER);
        there.extend(pods(&["cache-edge-0"], "uid-of-edge"));
        there.extend(pods(&["cache-gone-0"], "uid-of-gone"));
        let stores = Stores::of(there, Vec::new());
        let found = find(&stores, &Nodes::default(), &cluster, &objects);
        let want = [
            ("cache-0", true),
            ("cache-1", false),
            ("cache-2", false),
            ("cache-edge-0", true),
            // Another StatefulSet controls it.
            ("cache-edge-1", false),
            ("cache-gone-0", true),
        ];
        assert_eq!(names_of(&found), want);
        assert_eq!(found.last().map(|m| m.tier.as_str()), Some("gone"));
    }

    #[test]
    fn a_volume_between_two_members_is_a_spare_one() {
        let claims = ["data-cache-0", "data-cache-3", "data-cache-4"].map(|name| object(name, &json!({})));
        let stores = Stores::of(pods(&["cache-4"], OWNER), claims.to_vec());
        let found = find(&stores, &Nodes::default(), &cluster(), &stateful_set(3));
        let spare = spare(&stores, &cluster(), &found);
        let names: Vec<_> = spare.iter().map(|(pod, _)| pod.as_str()).collect();
        assert_eq!(names, ["cache-3"]);
    }
}
