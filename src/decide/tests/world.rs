//! A toy cluster: pods with a Redis each, claims with an append-only file, the set's objects, and a clock that only moves
//! when told to.
//!
//! It keeps what is true apart from what the operator saw of it: [`observe`] gives the latter. No rule of the operator is
//! repeated here.

mod act;
mod faults;
mod kubernetes;
mod observe;
pub mod redis;

pub use faults::Event;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use self::redis::Redis;
use crate::api::RedisReplicaSetSpec;
use crate::api::status::RedisReplicaSetStatus;
use crate::model::cluster::Cluster;
use crate::model::observed::{AppSecret, Credentials, Draining, InternalSecret, Live, ObjectId, Trouble};
use crate::model::redis::{Facts, RoleState, Seen};
use crate::model::secret::Secret;
use crate::model::timeline::Timeline;
use crate::names;

/// Name of the set; its pods are `s-0`, `s-1`, ...
pub const SET: &str = "s";

/// Tiers that a set may have beside the core; their pods are `s-edge-0`, ...
pub const TIERS: [&str; 3] = ["edge", "leaf", "west"];
/// Places of each tier's pods, those of the core first.
pub const PLACES: usize = 16;
/// Places of processes whose pod was deleted by force: they live on where nobody sees them.
pub const GHOSTS: usize = (1 + TIERS.len()) * PLACES;

/// Name of the tier of a place.
pub fn tier_at(at: usize) -> &'static str {
    (at / PLACES)
        .checked_sub(1)
        .map_or(names::CORE_TIER, |tier| TIERS[tier])
}

/// Name of the pod at a place.
pub fn pod_name(at: usize) -> String {
    names::pod(&names::stateful_set(SET, tier_at(at)), (at % PLACES) as u32)
}

/// The place of a pod of this name.
pub fn place_of(pod: &str) -> Option<usize> {
    let of = |first: usize| names::ordinal(&names::stateful_set(SET, tier_at(first)), pod).map(|o| first + o as usize);
    (0..=TIERS.len()).find_map(|tier| of(tier * PLACES))
}

/// The place of a tier's first pod.
pub fn first_of(tier: &str) -> usize {
    (0..=TIERS.len())
        .map(|tier| tier * PLACES)
        .find(|at| tier_at(*at) == tier)
        .unwrap()
}

/// Everything there is.
#[derive(Clone, Debug)]
pub struct World {
    pub cluster: Cluster,
    pub status: RedisReplicaSetStatus,
    pub deleting: bool,
    pub now: Timestamp,
    pub created: Timestamp,
    /// Pod and claim of each place.
    pub slots: Vec<Slot>,
    /// Places of those that had data and began a full resync.
    pub resynced: Vec<usize>,
    pub objects: BTreeMap<ObjectId, Live>,
    pub app: AppSecret,
    pub internal: InternalSecret,
    /// Pods that the VIP's EndpointSlices show; they follow the Service one tick later.
    pub vip_pods: BTreeSet<String>,
    pub refused: BTreeMap<(String, String), crate::model::observed::Refusal>,
    /// Directives the servers do not know.
    pub unknown_directives: Vec<String>,
    /// The operator's process ends after this many more steps.
    pub crash_after: Option<usize>,
    /// Role steps that were done, in words.
    pub done: Vec<String>,
    /// Reasons of the events that went with a write of status.
    pub told: Vec<&'static str>,
    /// Of the objects there are only the StatefulSet and the VIP, and of these only what roles depend on.
    pub lean: bool,
    /// Writes that were answered.
    pub written: u32,
    /// Where in the stream each write ends.
    pub ends: BTreeMap<u32, u64>,
    /// Writes that masters by status answered, but for those that were lost when another one took over.
    pub kept: BTreeSet<u32>,
    /// Writes that were confirmed by as many replicas as `status.quorum.wait` asked for.
    pub confirmed: BTreeSet<u32>,
    /// Former masters, by UID, in whose place a person named another without proof that they are dead.
    pub disowned: BTreeSet<String>,
    /// The process that was to take over when the master changed last: its data was judged then.
    pub chosen: Option<String>,
    /// What the operator's process remembers of times.
    pub timeline: Timeline,
    /// When the node proxies last had something to do.
    pub rerouted: Option<Timestamp>,
    /// Revisions of which no container starts, as with an image that nobody has.
    pub unpullable: BTreeSet<String>,
    /// Whether the operator looks at nodes.
    pub sees_nodes: bool,
    /// Nodes that are about to lose their pods.
    pub draining: BTreeMap<String, Draining>,
    /// What people ask by annotation.
    pub requests: BTreeMap<String, String>,
    /// When this process of the operator last attached which process.
    pub attached: BTreeMap<String, Timestamp>,
    serial: u64,
}

/// What stands behind one ordinal.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    pub pod: Option<Pod>,
    pub claim: Option<Claim>,
}

/// A claim and what is on its volume.
#[derive(Clone, Debug)]
pub struct Claim {
    pub uid: String,
    pub created: Timestamp,
    pub epoch: Option<i64>,
    pub role: Option<String>,
    /// The append-only file: writes in order.
    pub disk: Vec<u32>,
    /// How many of them a kill can not take away: those of the second before the last, as with `everysec`.
    pub synced: usize,
    /// How many were written by the end of the last second.
    pub written: usize,
    /// Writes at its end that a kill took away, and that did not come back.
    pub lost: BTreeSet<u32>,
    /// A process lives on that had it as its file, and writes to it no more.
    pub outlived: bool,
}

/// A pod, and the process in it if it runs.
#[derive(Clone, Debug)]
pub struct Pod {
    /// The place that its name stands for.
    pub name: usize,
    pub uid: String,
    pub ip: String,
    pub node: Option<String>,
    pub started: Option<Timestamp>,
    pub deleting: bool,
    /// Ticks that its preStop hook holds a deleted pod.
    pub grace: u32,
    pub trouble: Option<Trouble>,
    pub revision: Option<String>,
    pub config_revision: Option<String>,
    pub restart: Option<String>,
    pub role: Option<String>,
    pub in_sync: bool,
    pub gate: Option<bool>,
    pub redis: Option<Redis>,
    /// Ticks until the container is started; `None` keeps it from starting.
    pub starts_in: Option<u32>,
    pub reach: Reach,
    /// Its stream comes one write a second.
    pub slow: bool,
    /// What the operator's probe knows.
    pub seen: Seen,
}

/// Who gets through to a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Everybody.
    #[default]
    All,
    /// Its peers, but the operator times out.
    Peers,
    /// Its peers, but the operator's connections are refused by a firewall.
    Rejected,
    /// Its peers, but a firewall ended the operator's connection and refuses others.
    Reset,
    /// The operator, but its peers do not.
    Operator,
    /// Nobody: its node is off the network. The process lives.
    Nobody,
    /// Everybody, but it refuses the operator's password.
    Locked,
    /// Only the others of which this is so: they are on the far side of a partition, and so are some of their clients.
    Apart,
}

impl World {
    /// A set that was just created, on a cluster that has nothing of it.
    pub fn new(replicas: i32) -> Self {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut spec = RedisReplicaSetSpec::new("redis:8.2");
        spec.replicas = replicas;
        let cluster = Cluster {
            name: SET.into(),
            namespace: "ns".into(),
            uid: "set-uid".into(),
            generation: 1,
            spec,
        };
        Self {
            cluster,
            status: RedisReplicaSetStatus::default(),
            deleting: false,
            now,
            created: now,
            slots: Vec::new(),
            resynced: Vec::new(),
            objects: BTreeMap::new(),
            app: AppSecret::Absent,
            internal: InternalSecret::Absent,
            vip_pods: BTreeSet::new(),
            refused: BTreeMap::new(),
            unknown_directives: Vec::new(),
            crash_after: None,
            done: Vec::new(),
            told: Vec::new(),
            lean: false,
            written: 0,
            ends: BTreeMap::new(),
            kept: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            disowned: BTreeSet::new(),
            chosen: None,
            timeline: Timeline::default(),
            rerouted: None,
            unpullable: BTreeSet::new(),
            sees_nodes: true,
            draining: BTreeMap::new(),
            requests: BTreeMap::new(),
            attached: BTreeMap::new(),
            serial: 0,
        }
    }

    /// A name that was never used before.
    pub fn fresh(&mut self, kind: &str) -> String {
        self.serial += 1;
        format!("{kind}{}", self.serial)
    }

    /// Lets a little time pass, so that no two looks are at the same time.
    pub fn moment(&mut self) -> Timestamp {
        self.now += SignedDuration::from_millis(1);
        self.now
    }

    pub fn slot(&mut self, ordinal: usize) -> &mut Slot {
        if self.slots.len() <= ordinal {
            self.slots.resize_with(ordinal + 1, Slot::default);
        }
        &mut self.slots[ordinal]
    }

    /// A new process of the operator knows nothing of what the one before saw.
    pub fn restart_operator(&mut self) {
        (self.crash_after, self.timeline) = (None, Timeline::default());
        self.attached.clear();
        let now = self.now;
        for pod in self.slots.iter_mut().filter_map(|slot| slot.pod.as_mut()) {
            pod.seen = unseen(now);
        }
    }

    pub fn pod(&self, ordinal: usize) -> Option<&Pod> {
        self.slots.get(ordinal)?.pod.as_ref()
    }

    pub fn pod_mut(&mut self, ordinal: usize) -> Option<&mut Pod> {
        self.slots.get_mut(ordinal)?.pod.as_mut()
    }

    pub fn redis(&self, ordinal: usize) -> Option<&Redis> {
        self.pod(ordinal)?.redis.as_ref()
    }

    /// Every process, whether or not anybody reaches it.
    pub fn processes(&self) -> impl Iterator<Item = (usize, &Pod, &Redis)> {
        self.slots.iter().enumerate().filter_map(|(ordinal, slot)| {
            let pod = slot.pod.as_ref()?;
            Some((ordinal, pod, pod.redis.as_ref()?))
        })
    }

    /// The pod with an address, if a process runs in it.
    pub fn at(&self, ip: &str) -> Option<usize> {
        self.processes()
            .find(|(_, pod, _)| pod.ip == ip)
            .map(|(ordinal, ..)| ordinal)
    }

    /// The ordinal on the recorded master's volume.
    pub fn master(&self) -> Option<usize> {
        let volume = &self.status.master.as_ref()?.volume;
        self.slots
            .iter()
            .position(|s| s.claim.as_ref().is_some_and(|c| &c.uid == volume))
    }

    /// Whether a person said of a process, without proof, that it takes no more writes: another was named in its place by
    /// force.
    pub fn is_disowned(&self, at: usize, pod: &Pod) -> bool {
        let pending = self.status.pending_fences.iter().any(|f| f.uid == pod.uid);
        self.disowned.contains(&pod.uid) && (pending || at >= GHOSTS)
    }

    /// Whether the recorded master's file may lack a confirmed write: its tail was lost with it; or its process outlived its pod,
    /// and nobody who answers follows somebody or has kept a place in the stream.
    pub fn may_lack(&self, write: u32) -> bool {
        let Some(master) = self.master() else { return false };
        let Some(file) = &self.slots[master].claim else {
            return false;
        };
        let known = |f: &Facts| f.offset > 1 && self.status.histories.iter().any(|h| h.replid == f.replid);
        let kept = |f: &Facts| matches!(f.state(), RoleState::Attached { .. }) || known(f);
        let others = (0..self.slots.len().min(PLACES)).filter(|o| *o != master);
        let mut seen = others.filter_map(|o| self.pod(o)?.seen.facts());
        file.lost.contains(&write) || file.outlived && !seen.any(|f| kept(f))
    }

    /// What the operator's own Secret holds once it was made.
    pub fn credentials(acl: String) -> InternalSecret {
        InternalSecret::Present(Credentials {
            operator: Secret::new(*b"operator"),
            probe: Secret::new(*b"probe"),
            link_key: Secret::new(*b"link"),
            acl,
        })
    }
}

/// What is known of a pod before the first look.
fn unseen(now: Timestamp) -> Seen {
    Seen::Unknown {
        since: now,
        error: crate::model::redis::ProbeError::NotAsked,
        eof: false,
        last: None,
        offsets: Arc::default(),
    }
}

impl Pod {
    /// A pod that was just made.
    pub fn new(name: usize, uid: String, ip: String, now: Timestamp) -> Self {
        Self {
            name,
            uid,
            ip,
            node: None,
            started: None,
            deleting: false,
            grace: 0,
            trouble: None,
            revision: None,
            config_revision: None,
            restart: None,
            role: None,
            in_sync: false,
            gate: None,
            redis: None,
            starts_in: Some(1),
            reach: Reach::All,
            slow: false,
            seen: unseen(now),
        }
    }

    pub fn peers_reach(&self) -> bool {
        !matches!(self.reach, Reach::Nobody | Reach::Operator | Reach::Apart)
    }

    /// Whether it and another pod reach each other.
    pub fn peers_with(&self, other: &Self) -> bool {
        let apart = |pod: &Self| pod.reach == Reach::Apart;
        self.peers_reach() && other.peers_reach() || apart(self) && apart(other)
    }

    pub fn operator_reaches(&self) -> bool {
        matches!(self.reach, Reach::All | Reach::Operator)
    }
}
