//! One process of Redis: role, history, data, and the procedures that change its role, as `redis::roles` does them.
//!
//! Data is the list of writes in order. A stream offset counts writes and pings.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{Pod, World, pod_name};
use crate::model::redis::UNARMED;

/// A master that hears nobody takes writes for the lag and 2 s.
const SELF_FENCE: SignedDuration = SignedDuration::from_secs(4);

/// A running process.
#[derive(Clone, Debug)]
pub struct Redis {
    pub run_id: String,
    pub role: Role,
    pub min: u32,
    pub serve_stale: bool,
    pub replid: String,
    /// The history before, and the offset after its last byte.
    pub before: Option<(String, u64)>,
    pub offset: u64,
    pub data: Vec<u32>,
    /// Ticks until its data is loaded.
    pub loading: u32,
    /// Link users on this process: child and secret.
    pub links: BTreeMap<String, String>,
    /// What it would log in with at a parent.
    pub secret: Option<String>,
    /// SHA-256 of the application's password.
    pub login: Option<String>,
    pub config: BTreeMap<String, String>,
    pub version: (u16, u16),
    /// A full resync has thrown the data away and is not complete: the file still has the old ones.
    pub flushed: bool,
    /// The rewrite after a full resync runs: until it has ended the file is the one of before.
    pub rewrites: bool,
    /// Offset of the oldest byte of the stream that it can still give.
    pub backlog: u64,
    /// When each replica, by its pod, last acknowledged to this process.
    pub heard: BTreeMap<String, Timestamp>,
    /// Writes it was asked for as a replica.
    pub refused_writes: u64,
}

/// What it follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    Master,
    /// Follows an address at which nothing listens.
    Fenced,
    Follows {
        ip: String,
        link: Link,
    },
}

/// A replica's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Down,
    /// A full resync, with the ticks it still takes.
    Syncing(u32),
    /// The stream flows; ticks since the parent was last heard.
    Up(u32),
}

impl Redis {
    /// A process as a container starts it: fenced, with the data of its volume and a history of its own.
    pub fn boot(run_id: String, replid: String, data: Vec<u32>, loading: u32) -> Self {
        Self {
            run_id,
            role: Role::Fenced,
            min: UNARMED,
            serve_stale: false,
            replid,
            before: None,
            offset: 1,
            data,
            loading,
            links: BTreeMap::new(),
            secret: None,
            login: None,
            config: BTreeMap::new(),
            version: (8, 2),
            flushed: false,
            rewrites: false,
            backlog: 1,
            heard: BTreeMap::new(),
            refused_writes: 0,
        }
    }

    pub fn is_armed(&self) -> bool {
        self.role == Role::Master && self.min != UNARMED && self.loading == 0
    }

    pub fn link(&self) -> Option<Link> {
        match &self.role {
            Role::Follows { link, .. } => Some(*link),
            Role::Master | Role::Fenced => None,
        }
    }

    pub fn linked(&self) -> bool {
        matches!(self.link(), Some(Link::Up(_)))
    }

    /// The history of its own stays, and so does the offset, but for one that threw its data away: it holds nothing.
    pub fn fence(&mut self) {
        self.role = Role::Fenced;
        self.min = UNARMED;
        self.serve_stale = false;
    }

    /// A replica that becomes a master begins a history of its own and remembers the one before.
    pub fn bare(&mut self, replid: String) {
        self.min = UNARMED;
        if self.role != Role::Master {
            self.role = Role::Master;
            self.before = Some((std::mem::replace(&mut self.replid, replid), self.offset + 1));
        }
    }

    pub fn follow(&mut self, ip: &str, secret: String) {
        self.min = UNARMED;
        self.serve_stale = true;
        self.secret = Some(secret);
        if !matches!(&self.role, Role::Follows { ip: now, .. } if now == ip) {
            self.role = Role::Follows {
                ip: ip.into(),
                link: Link::Down,
            };
        }
    }

    /// Whether a child with this history and offset may go on from here without a full resync.
    pub fn continues(&self, replid: &str, offset: u64) -> bool {
        let known = (replid == self.replid && offset <= self.offset)
            || self
                .before
                .as_ref()
                .is_some_and(|(before, end)| before == replid && offset < *end);
        known && offset + 1 >= self.backlog
    }
}

impl World {
    /// Replicas whose link to this process is up, by the truth.
    pub fn followers(&self, ip: &str) -> BTreeSet<usize> {
        let follows = |redis: &Redis| matches!(&redis.role, Role::Follows { ip: to, link: Link::Up(_) } if to == ip);
        self.processes()
            .filter(|(_, _, redis)| follows(redis))
            .map(|(ordinal, ..)| ordinal)
            .collect()
    }

    /// Whether a process answers a write with OK: armed, and enough replicas acknowledged within the lag and 2 s. A replica
    /// that went away in sight of the process counts no more; one that is out of its sight counts until then.
    pub fn takes_writes(&self, ordinal: usize) -> bool {
        let Some(redis) = self.redis(ordinal) else {
            return false;
        };
        let good = |at: &&Timestamp| self.now.duration_since(**at) <= SELF_FENCE;
        redis.is_armed() && redis.heard.values().filter(good).count() >= redis.min as usize
    }

    /// What each process knows of acknowledgements, as of now.
    pub(super) fn hear(&mut self) {
        for parent in 0..self.slots.len() {
            let (Some(pod), Some(redis)) = (self.pod(parent), self.redis(parent)) else {
                continue;
            };
            let mut heard = BTreeMap::new();
            for child in (0..self.slots.len()).filter(|child| *child != parent) {
                let Some(other) = self.pod(child) else { continue };
                if !redis.links.contains_key(&pod_name(other.name)) {
                    continue;
                }
                let up = |r: &Redis| matches!(&r.role, Role::Follows { ip, link: Link::Up(_) } if *ip == pod.ip);
                let at = match (other.redis.as_ref().is_some_and(up), redis.heard.get(&other.uid)) {
                    (true, _) if other.peers_with(pod) => Some(self.now),
                    (_, Some(at)) if !other.peers_with(pod) => Some(*at),
                    _ => None,
                };
                heard.extend(at.map(|at| (other.uid.clone(), at)));
            }
            if let Some(redis) = self.pod_mut(parent).and_then(|p| p.redis.as_mut()) {
                redis.heard = heard;
            }
        }
    }

    /// Writes that as many replicas acknowledged as clients ask for are confirmed.
    fn confirm(&mut self) {
        let wait = self.status.quorum.map_or(0, |q| q.wait as usize);
        let is_master = |at: usize, pod: &Pod, r: &Redis| r.is_armed() && wait > 0 && !self.is_disowned(at, pod);
        let masters: Vec<_> = self.processes().filter(|(at, pod, r)| is_master(*at, pod, r)).collect();
        let mut confirmed = Vec::new();
        for (_, pod, master) in masters {
            let holding = |write: &u32| {
                let holds = |(.., child): &(usize, &Pod, &Redis)| {
                    matches!(&child.role, Role::Follows { ip, link: Link::Up(0) } if *ip == pod.ip)
                        && child.data.contains(write)
                };
                self.processes().filter(holds).count()
            };
            confirmed.extend(master.data.iter().copied().filter(|write| holding(write) >= wait));
        }
        self.confirmed.extend(confirmed);
    }

    /// Moves every stream and link on by one tick.
    pub(super) fn replicate(&mut self) {
        for slot in &mut self.slots {
            let Some(redis) = slot.pod.as_mut().and_then(|p| p.redis.as_mut()) else {
                continue;
            };
            redis.loading = redis.loading.saturating_sub(1);
            if redis.role == Role::Master {
                redis.offset += 1;
            }
        }
        for ordinal in 0..self.slots.len() {
            self.replicate_one(ordinal);
        }
        self.hear();
        self.confirm();
        for slot in &mut self.slots {
            if let (Some(claim), Some(redis)) = (&mut slot.claim, slot.pod.as_ref().and_then(|p| p.redis.as_ref()))
                && redis.loading == 0
                && !redis.flushed
                && !redis.rewrites
            {
                claim.disk.clone_from(&redis.data);
                claim.synced = claim.written.min(claim.disk.len());
                claim.written = claim.disk.len();
                claim.lost.retain(|write| !redis.data.contains(write));
            }
        }
    }

    pub(super) fn replicate_one(&mut self, ordinal: usize) {
        let Some((pod, child)) = self.pod(ordinal).and_then(|p| Some((p, p.redis.as_ref()?))) else {
            return;
        };
        let Role::Follows { ip, link } = &child.role else {
            return;
        };
        let parent = self.at(ip).filter(|at| *at != ordinal);
        let (before, had_data) = (*link, !child.data.is_empty());
        let (link, change) = match parent.and_then(|at| Some((self.pod(at)?, self.redis(at)?))) {
            // The other side's sockets are closed.
            None => (Link::Down, Change::Nothing),
            Some((at, _)) if !pod.peers_with(at) => match link {
                Link::Up(silent) if *silent < 15 => (Link::Up(silent + 1), Change::Nothing),
                Link::Up(_) | Link::Syncing(_) | Link::Down => (Link::Down, Change::Nothing),
            },
            Some((_, parent)) => self.next(&pod_name(pod.name), child, parent, *link, pod.slow),
        };
        let Some(child) = self.pod_mut(ordinal).and_then(|p| p.redis.as_mut()) else {
            return;
        };
        if let Role::Follows { link: now, .. } = &mut child.role {
            *now = link;
        }
        let begins = matches!(link, Link::Syncing(_)) && !matches!(before, Link::Syncing(_));
        if begins && had_data {
            self.resynced.push(ordinal);
        }
        let Some(child) = self.pod_mut(ordinal).and_then(|p| p.redis.as_mut()) else {
            return;
        };
        match change {
            Change::Nothing => {}
            Change::Flush => (child.data, child.offset, child.flushed) = (Vec::new(), 0, true),
            Change::Holds { replid, offset, data } => {
                if std::mem::take(&mut child.flushed) {
                    (child.before, child.backlog) = (None, offset + 1);
                } else if child.replid != replid {
                    child.before = Some((child.replid.clone(), child.offset + 1));
                }
                (child.replid, child.offset, child.data) = (replid, offset, data);
            }
        }
    }

    /// The next state of a link whose ends reach each other, and what becomes of the child's data.
    fn next(&self, name: &str, child: &Redis, parent: &Redis, link: Link, slow: bool) -> (Link, Change) {
        // A demoted master goes on with the links it has, and gives no new one; so does a replica without a link of its own, until
        // it throws its data away.
        let goes_on_serving = !parent.flushed && matches!(link, Link::Up(_));
        let serves = parent.role == Role::Master || parent.linked() || goes_on_serving;
        if parent.loading > 0 || child.loading > 0 || !serves || !parent.links.contains_key(name) {
            return (Link::Down, Change::Nothing);
        }
        let goes_on = link != Link::Down || parent.links.get(name) == child.secret.as_ref();
        match link {
            Link::Down if !goes_on => (Link::Down, Change::Nothing),
            Link::Up(_) | Link::Down if !child.flushed && parent.continues(&child.replid, child.offset) => {
                assert!(
                    parent.data.starts_with(&child.data),
                    "a stream went on although the data before it differs"
                );
                // The first reply gives the parent's id; what is missing comes after it.
                let more = match (slow, link) {
                    (false, _) => usize::MAX,
                    (true, Link::Down) => 0,
                    (true, Link::Up(_) | Link::Syncing(_)) => 1,
                };
                (Link::Up(0), self.stream(child, parent, more))
            }
            Link::Up(_) | Link::Down => (Link::Syncing(1), Change::Nothing),
            Link::Syncing(0) => (Link::Up(0), self.stream(parent, parent, 0)),
            Link::Syncing(1) => (Link::Syncing(0), Change::Flush),
            Link::Syncing(ticks) => (Link::Syncing(ticks - 1), Change::Nothing),
        }
    }

    /// What a child holds after so many more writes of the parent's stream.
    fn stream(&self, child: &Redis, parent: &Redis, more: usize) -> Change {
        let held = child.data.len().saturating_add(more).min(parent.data.len());
        let next = parent.data.get(held).and_then(|write| self.ends.get(write));
        Change::Holds {
            replid: parent.replid.clone(),
            offset: next.map_or(parent.offset, |end| end - 1),
            data: parent.data[..held].to_vec(),
        }
    }
}

/// What a look at its parent does to a child.
enum Change {
    Nothing,
    /// A full resync is received in place of what it had.
    Flush,
    Holds {
        replid: String,
        offset: u64,
        data: Vec<u32>,
    },
}
