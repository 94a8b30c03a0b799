//! What the operator sees: facts as of its last look at each pod, objects as the API server has them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::redis::{Link, Redis, Role};
use super::{GHOSTS, PLACES, Pod, Reach, SET, World, first_of, pod_name, tier_at};
use crate::model::observed::{ClaimFacts, Live, Member, ObjectId, Observed, PodFacts, StatefulSetFacts, Trouble};
use crate::model::redis::{
    AclUser, Aof, Backlog, ConnectedReplica, Engine, Facts, Link as SeenLink, Loading, NOWHERE, ProbeError,
    ReplicaLink, Seen, Version,
};
use crate::names;

impl World {
    /// One value with everything, as `observe` makes it.
    pub fn observe(&self) -> Observed {
        let tiers: Vec<_> = self
            .cluster
            .tiers()
            .map(|tier| (tier.name.to_owned(), tier.pods))
            .collect();
        let members: Vec<_> = tiers
            .iter()
            .flat_map(|(tier, wanted)| {
                let count = self.stateful_set_of(tier).map_or(0, |s| s.replicas as u32);
                let first = first_of(tier);
                let wanted = first..first + (*wanted).max(count) as usize;
                let ending = (first..first + PLACES).filter(|at| self.pod(*at).is_some());
                wanted.chain(ending).collect::<BTreeSet<_>>()
            })
            .map(|at| self.member(at))
            .collect();
        let stateful_sets = tiers
            .into_iter()
            .filter_map(|(tier, _)| Some((self.stateful_set_of(&tier)?, tier)))
            .map(|(facts, tier)| (tier, facts))
            .collect();
        let mut timeline = self.timeline.clone();
        timeline.see(&self.status, &members, &self.vip_pods, self.now);
        Observed {
            detached: timeline.detached,
            followed: timeline.followed,
            mute: timeline.mute,
            draining: timeline.draining,
            cut_off: timeline.cut_off,
            rerouted: self.rerouted,
            demoted: timeline.demoted,
            sees_nodes: self.sees_nodes,
            marks: timeline.marks,
            requests: self.requests.clone(),
            status: self.status.clone(),
            deleting: self.deleting,
            created: Some(self.created),
            members,
            objects: self.objects.clone(),
            stateful_sets,
            internal: self.internal.clone(),
            app: self.app.clone(),
            vip_pods: self.vip_pods.clone(),
            spare: Vec::new(),
            attached: self.attached.clone(),
            failures: Vec::new(),
            refused: self.refused.clone(),
        }
    }

    fn member(&self, ordinal: usize) -> Member {
        let (pod, claim) = self
            .slots
            .get(ordinal)
            .map_or((None, None), |s| (s.pod.as_ref(), s.claim.as_ref()));
        let never = || Seen::Unknown {
            since: self.now,
            error: ProbeError::NotAsked,
            eof: false,
            last: None,
            offsets: Arc::default(),
        };
        Member {
            name: pod_name(ordinal),
            tier: tier_at(ordinal).to_owned(),
            ordinal: (ordinal % PLACES) as u32,
            pod: pod.map(|p| PodFacts {
                uid: p.uid.clone(),
                ip: p.started.is_some().then(|| p.ip.clone()),
                node: p.node.clone(),
                draining: p.node.as_ref().and_then(|node| self.draining.get(node)).copied(),
                zone: None,
                deleting: p.deleting,
                started: p.started,
                terminated: p.redis.is_none() && matches!(p.trouble, Some(Trouble::Terminated(_))),
                trouble: p.trouble.clone(),
                revision: p.revision.clone(),
                config_revision: p.config_revision.clone(),
                restart: p.restart.clone(),
                role: p.role.clone(),
                in_sync: p.in_sync,
                gate: p.gate,
            }),
            claim: claim.map(|c| ClaimFacts {
                uid: c.uid.clone(),
                created: Some(c.created),
                bound: true,
                size: None,
                capacity: None,
                epoch: c.epoch,
                role: c.role.clone(),
            }),
            redis: pod.map_or_else(never, |p| p.seen.clone()),
        }
    }

    pub fn live(&self, kind: &'static str, name: &str) -> Option<&Value> {
        match self.objects.get(&ObjectId {
            kind,
            name: name.to_owned(),
        })? {
            Live::Ours(body) => Some(body),
            Live::Foreign { .. } | Live::Unread => None,
        }
    }

    pub fn stateful_set(&self) -> Option<StatefulSetFacts> {
        self.stateful_set_of(names::CORE_TIER)
    }

    pub fn stateful_set_of(&self, tier: &str) -> Option<StatefulSetFacts> {
        let body = self.live("StatefulSet", &names::stateful_set(SET, tier))?;
        let sources = body["spec"]["template"]["spec"]["volumes"]
            .as_array()
            .into_iter()
            .flatten();
        let sources = sources.filter_map(|v| v["projected"]["sources"].as_array()).flatten();
        Some(StatefulSetFacts {
            replicas: body["spec"]["replicas"].as_i64().unwrap() as i32,
            update_revision: body["status"]["updateRevision"].as_str().map(str::to_owned),
            config_map: sources
                .filter_map(|s| s["configMap"]["name"].as_str())
                .map(str::to_owned)
                .next(),
        })
    }

    /// Every probe looks, but those of `except`, which are slow. Who looks first changes from second to second.
    pub fn probe_all(&mut self, except: &BTreeSet<usize>) {
        let (pods, second) = (self.slots.len().min(GHOSTS), self.now.as_second() as usize);
        let order = (0..pods).map(|ordinal| (ordinal + second) % pods);
        for ordinal in order.filter(|o| !except.contains(o)).collect::<Vec<_>>() {
            self.probe(ordinal);
        }
    }

    /// The operator looks at one pod.
    pub fn probe(&mut self, ordinal: usize) {
        let (asked_at, answered_at) = (self.moment(), self.moment());
        let facts = self.facts(ordinal, asked_at, answered_at);
        self.look(ordinal, asked_at, facts);
        let members: Vec<_> = (0..self.slots.len().min(GHOSTS))
            .map(|ordinal| self.member(ordinal))
            .collect();
        let mut timeline = std::mem::take(&mut self.timeline);
        timeline.see(&self.status, &members, &self.vip_pods, self.now);
        self.timeline = timeline;
    }

    fn look(&mut self, ordinal: usize, asked_at: Timestamp, facts: Option<Facts>) {
        let Some(pod) = self.pod_mut(ordinal) else { return };
        let (last, mut offsets) = (pod.seen.last_facts().cloned(), pod.seen.offsets().clone());
        pod.seen = match (pod.reach, facts) {
            (Reach::All | Reach::Operator, Some(facts)) => {
                if last.is_none_or(|last| last.run_id != facts.run_id) {
                    offsets = Arc::default();
                }
                Arc::make_mut(&mut offsets).record(asked_at, facts.offset);
                Seen::Answers {
                    facts: Arc::new(facts),
                    offsets,
                }
            }
            (Reach::All | Reach::Operator, None) if pod.started.is_none() && last.is_none() => return,
            (reach, _) => {
                let runs = pod.redis.is_some();
                let (error, eof) = match reach {
                    Reach::Locked if runs => (ProbeError::Auth, false),
                    Reach::All | Reach::Operator | Reach::Reset | Reach::Locked => (ProbeError::Refused, true),
                    Reach::Rejected => (ProbeError::Refused, false),
                    Reach::Peers | Reach::Nobody | Reach::Apart => (ProbeError::Timeout, false),
                };
                let since = match &pod.seen {
                    Seen::Answers { .. } => asked_at,
                    Seen::Unknown { since, .. } => *since,
                };
                Seen::Unknown {
                    since,
                    error,
                    eof,
                    last,
                    offsets,
                }
            }
        };
    }

    fn facts(&self, ordinal: usize, asked_at: Timestamp, answered_at: Timestamp) -> Option<Facts> {
        let pod = self.pod(ordinal)?;
        let redis = pod.redis.as_ref()?;
        let version = Version {
            major: redis.version.0,
            minor: redis.version.1,
            patch: 0,
        };
        Some(Facts {
            asked_at,
            answered_at,
            run_id: redis.run_id.clone(),
            engine: Engine::Redis,
            version,
            announced: names::dns(SET, "ns", &pod_name(ordinal)),
            min_replicas_to_write: redis.min,
            serve_stale: redis.serve_stale,
            loading: (redis.loading > 0).then_some(Loading { percent: Some(50) }),
            link: link(redis),
            replid: redis.replid.clone(),
            replid2: redis.before.as_ref().map(|(replid, _)| replid.clone()),
            offset: redis.offset,
            second_offset: redis.before.as_ref().map(|(_, end)| *end),
            backlog: Some(Backlog {
                from: redis.backlog,
                full: false,
            }),
            replicas: self.connected(pod),
            aof: Aof {
                enabled: true,
                rewrite_in_progress: redis.rewrites,
                rewrite_scheduled: false,
                write_ok: true,
                rewrite_ok: true,
                delayed_fsync: Some(0),
            },
            bgsave_in_progress: false,
            keys: redis.data.len() as u64,
            used_memory: 1,
            maxmemory: 0,
            sync_full: 0,
            sync_partial_ok: 0,
            sync_partial_err: 0,
            refused_writes: redis.refused_writes,
            link_users: redis.links.keys().map(|child| names::link_user(child)).collect(),
            app: redis.login.as_ref().map(|hash| AclUser {
                enabled: true,
                hashes: BTreeSet::from([hash.clone()]),
                commands: String::new(),
                keys: String::new(),
                channels: String::new(),
            }),
            managed: self.managed(redis),
        })
    }

    fn connected(&self, parent: &Pod) -> Vec<ConnectedReplica> {
        let of = |(_, pod, redis): (usize, &Pod, &Redis)| {
            let Role::Follows { ip, link } = &redis.role else {
                return None;
            };
            let (state, lag) = match link {
                Link::Down => return None,
                Link::Syncing(_) => ("send_bulk", 0),
                Link::Up(silent) => ("online", u64::from(*silent)),
            };
            (*ip == parent.ip).then(|| ConnectedReplica {
                ip: names::dns(SET, "ns", &pod_name(pod.name)),
                port: names::REDIS_PORT,
                state: state.into(),
                offset: redis.offset,
                lag,
            })
        };
        self.processes().filter_map(of).collect()
    }

    fn managed(&self, redis: &Redis) -> BTreeMap<String, Option<String>> {
        let wanted = crate::build::conf::live_values(&self.cluster, self.cluster.core()).unwrap();
        let value = |key: &String, wanted: &String| {
            let known = !self.unknown_directives.contains(key);
            known.then(|| redis.config.get(key).unwrap_or(wanted).clone())
        };
        wanted
            .iter()
            .map(|(key, wanted)| (key.clone(), value(key, wanted)))
            .collect()
    }
}

fn link(redis: &Redis) -> SeenLink {
    let (host, port, link) = match &redis.role {
        Role::Master => return SeenLink::Master,
        Role::Fenced => (NOWHERE.0.to_owned(), NOWHERE.1, Link::Down),
        Role::Follows { ip, link } => (ip.clone(), names::REDIS_PORT, *link),
    };
    SeenLink::Replica(ReplicaLink {
        host,
        port,
        up: matches!(link, Link::Up(_)),
        syncing: matches!(link, Link::Syncing(_)),
        sync_left_bytes: None,
        sync_total_bytes: None,
        last_io_seconds: match link {
            Link::Up(silent) => Some(u64::from(silent)),
            Link::Syncing(_) | Link::Down => None,
        },
    })
}
