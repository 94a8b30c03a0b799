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

use super::stores::Stores;
use crate::model::cluster::Cluster;
use crate::model::observed::{ClaimFacts, InternalSecret, Live, Member, ObjectId, PodFacts, Trouble};
use crate::model::redis::{PodUid, ProbeError, Seen};
use crate::names::{self, annotation, label, user};
use crate::redis::probe::Target;
use crate::redis::{Endpoint, View};

/// Longest text of a kubelet or scheduler that is kept.
const WORDS: usize = 200;

/// A member before its Redis is asked.
pub(super) struct Found {
    name: String,
    ordinal: u32,
    pod: Option<PodFacts>,
    claim: Option<ClaimFacts>,
}

/// Every member that exists or should, by ordinal. Pods of an earlier scale-in may still be there, and they do not end
/// in the order of their ordinals.
pub(super) fn find(stores: &Stores, cluster: &Cluster, objects: &BTreeMap<ObjectId, Live>) -> Vec<Found> {
    let controller = owner_of_pods(cluster, objects);
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
            .map(|p| pod_facts(&p))
    };
    let claim = |name: &str| {
        let claim = stores.claims.get(&cluster.namespace, &names::claim(name))?;
        (claim.labels().get(label::SET) == Some(&cluster.name)).then(|| claim_facts(&claim))
    };
    let mut count = cluster.pods();
    let asked = objects.get(&ObjectId {
        kind: "StatefulSet",
        name: names::stateful_set(&cluster.name),
    });
    if let Some(Live::Ours(body)) = asked {
        count = count.max(u32::try_from(super::stateful_set_facts(body).replicas).unwrap_or(0));
    }
    let there = stores.pods.all();
    let ending = there
        .iter()
        .filter(|p| p.namespace().as_deref() == Some(&cluster.namespace) && ours(p))
        .filter_map(|p| names::ordinal(&cluster.name, &p.name_any()));
    let ordinals: BTreeSet<u32> = (0..count).chain(ending).collect();
    ordinals
        .into_iter()
        .map(|ordinal| {
            let name = names::pod(&cluster.name, ordinal);
            Found {
                pod: pod(&name),
                claim: claim(&name),
                ordinal,
                name,
            }
        })
        .collect()
}

/// Claims of the set whose pod is no member, by the name that pod would have.
pub(super) fn spare(stores: &Stores, cluster: &Cluster, members: &[Found]) -> Vec<(String, ClaimFacts)> {
    let ordinals: BTreeSet<u32> = members.iter().map(|m| m.ordinal).collect();
    let of_set = |claim: &PersistentVolumeClaim| {
        claim.namespace().as_deref() == Some(&cluster.namespace)
            && claim.labels().get(label::SET) == Some(&cluster.name)
    };
    let all = stores.claims.all();
    all.iter()
        .filter(|claim| of_set(claim))
        .filter_map(|claim| {
            let pod = claim.name_any().strip_prefix(&names::claim(""))?.to_owned();
            let ordinal = names::ordinal(&cluster.name, &pod)?;
            (!ordinals.contains(&ordinal)).then(|| (pod, claim_facts(claim)))
        })
        .collect()
}

/// UID of the set's StatefulSet, which controls its pods.
fn owner_of_pods<'a>(cluster: &Cluster, objects: &'a BTreeMap<ObjectId, Live>) -> Option<&'a str> {
    let id = ObjectId {
        kind: "StatefulSet",
        name: names::stateful_set(&cluster.name),
    };
    match objects.get(&id)? {
        Live::Ours(body) => body["metadata"]["uid"].as_str(),
        Live::Foreign { .. } | Live::Unread => None,
    }
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
            ordinal: m.ordinal,
            pod: m.pod,
            claim: m.claim,
        })
        .collect()
}

fn pod_facts(pod: &Pod) -> PodFacts {
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
    PodFacts {
        uid: pod.uid().unwrap_or_default(),
        ip: status.pod_ip,
        node: pod.spec.as_ref().and_then(|s| s.node_name.clone()),
        zone: pod.labels().get(label::ZONE).cloned(),
        deleting: pod.metadata.deletion_timestamp.is_some(),
        started: running.and_then(|r| r.started_at.as_ref()).map(|t| t.0),
        terminated: container.as_ref().is_some_and(has_ended),
        trouble,
        revision: pod.annotations().get(annotation::REVISION).cloned(),
        config_revision: pod.annotations().get(annotation::CONFIG_REVISION).cloned(),
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

/// What a log ends with: Redis's complaint about its configuration with the line it names, else the last line.
fn last_words(log: &str) -> String {
    const COMPLAINTS: [&str; 2] = ["*** FATAL CONFIG FILE ERROR", "Unresolved Configuration(s) Detected"];
    let lines: Vec<&str> = log
        .lines()
        .map(|line| unstamped(line.trim()))
        .filter(|line| !line.is_empty())
        .collect();
    let complaint = lines
        .iter()
        .position(|line| COMPLAINTS.iter().any(|c| line.contains(c)));
    match complaint {
        Some(at) => lines[at..].join(" "),
        None => lines.last().map(|line| (*line).to_owned()).unwrap_or_default(),
    }
}

/// A line of a server's log without process, time and level (`1:M 25 Nov 2026 03:27:28.833 # `): with them, a container
/// that ends again and again would say something new each time.
fn unstamped(line: &str) -> &str {
    let stamped = line
        .split_once(':')
        .is_some_and(|(pid, _)| !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()));
    let levels = [" # ", " * ", " - ", " . "];
    let after = levels
        .iter()
        .filter_map(|level| line.find(level).map(|at| at + level.len()))
        .min();
    match after {
        Some(at) if stamped => &line[at..],
        _ => line,
    }
}

/// The head of a text without control characters, which shall not reach status or logs.
fn words(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let clean = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    clean.chars().take(WORDS).collect()
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

    #[test]
    fn a_log_ends_with_its_last_line_without_stamps() {
        let log = "1:C 25 Nov 2026 03:27:28.800 * oO0\n1:M 25 Nov 2026 03:27:28.833 # Out of disk\n\n";
        assert_eq!(last_words(log), "Out of disk");
        assert_eq!(last_words("a: b - c"), "a: b - c");
        assert_eq!(last_words(""), "");
    }

    #[test]
    fn a_complaint_about_the_configuration_is_told_with_the_line_it_names() {
        let seven = "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at line 33\n\
                     >>> 'foo-bar \"1\"'\nBad directive or wrong number of arguments\n";
        assert!(last_words(seven).starts_with("*** FATAL CONFIG FILE ERROR"));
        assert!(last_words(seven).contains("'foo-bar"));
        let eight = "1:S 25 Nov 2026 03:27:28.833 # Unresolved Configuration(s) Detected:\n\
                     1:S 25 Nov 2026 03:27:28.833 # >>> 'foo-bar 1'\n1:S 25 Nov 2026 03:27:28.834 # aborting\n";
        assert_eq!(
            last_words(eight),
            "Unresolved Configuration(s) Detected: >>> 'foo-bar 1' aborting"
        );
    }

    #[test]
    fn control_characters_reach_nobody() {
        assert_eq!(words("a\u{1b}[31m\tb\n"), "a [31m b");
    }
}
