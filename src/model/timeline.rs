//! What only time tells of a set: since when who is detached, and when each phase of a change of the master ended.
//!
//! Seen by this process alone and lost with it: a new leader counts from its own first look, which errs towards waiting.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::observed::{Mark, Member};
use super::plan::Step;
use super::redis::{ProbeError, ReplicaLink, RoleState, Seen};
use crate::api::status::{Operation, OperationKind, RedisReplicaSetStatus};

/// A node proxy takes changes at most this often (kube-proxy's `minSyncPeriod`); what comes in between waits for the next time.
pub const PROXY_PERIOD: SignedDuration = SignedDuration::from_secs(1);

/// A cut of applications' connections to one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutOff {
    /// When.
    pub at: Timestamp,
    /// Writes the process had refused as a replica shortly before.
    pub refused: u64,
}

/// The times of one set.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Since when which process, by run id, follows nobody without interruption.
    pub detached: BTreeMap<String, Timestamp>,
    /// When which process, by run id, was last seen to take in its parent's stream.
    pub followed: BTreeMap<String, Timestamp>,
    /// Since when nothing answers at the address of which pod, by uid, not even with a refusal.
    pub mute: BTreeMap<String, Timestamp>,
    /// Since when the node of which pod, by uid, is about to lose its pods.
    pub draining: BTreeMap<String, Timestamp>,
    /// When applications were last cut off from which process, by run id.
    pub cut_off: BTreeMap<String, CutOff>,
    /// Which master, by UID of its pod, was last seen demoted in a switchover before anybody was named, and when.
    pub demoted: Option<(String, Timestamp)>,
    /// When each phase of the change of the master under way ended.
    pub marks: BTreeMap<Mark, Timestamp>,
    /// When the node proxies take, or took, what this set gave them last, as far as this process saw it.
    pub rerouted: Option<Timestamp>,
    routes: BTreeMap<String, u128>,
    leaving: BTreeSet<String>,
}

impl Timeline {
    /// Takes over what was just seen.
    pub fn see<'a>(
        &mut self,
        status: &RedisReplicaSetStatus,
        members: &[Member],
        vip_pods: impl IntoIterator<Item = &'a String>,
        now: Timestamp,
    ) {
        self.see_detached(members);
        self.see_followed(members);
        self.see_mute(members, now);
        self.see_draining(members, now);
        let master = status.master.as_ref();
        let process = members
            .iter()
            .find(|m| m.uid().is_some() && m.uid() == master.map(|m| m.uid.as_str()));
        let serves = process
            .and_then(Member::facts)
            .is_some_and(|f| matches!(f.state(), RoleState::Armed { .. }));
        let Some(under_way) = &status.operation else {
            match process.map(|m| &m.redis) {
                Some(Seen::Unknown { since, .. }) => self.first(Mark::Sign, *since),
                _ if serves => self.marks.clear(),
                _ => {}
            }
            return;
        };
        let is_intent = under_way.kind == OperationKind::Switchover && status.epoch < Some(under_way.epoch);
        let is_demoted = |m: &&Member| m.facts().is_some_and(|f| f.state() == RoleState::Fenced);
        if let Some(uid) = process.filter(is_demoted).and_then(Member::uid).filter(|_| is_intent) {
            self.demoted = Some((uid.to_owned(), now));
        }
        let handed_over = under_way.kind.is_handover() && status.epoch == Some(under_way.epoch);
        if handed_over && vip_pods.into_iter().eq(master.map(|m| &m.name)) {
            self.first(Mark::Converged, now);
        }
    }

    /// Takes over the versions of the EndpointSlices that node proxies follow, by name. A pod that begins to end changes
    /// them too, a moment after its own change is seen.
    pub fn see_routes(&mut self, routes: BTreeMap<String, u128>, members: &[Member], now: Timestamp) {
        let pods = members.iter().filter_map(|m| m.pod.as_ref());
        let leaving: BTreeSet<_> = pods.filter(|p| p.deleting).map(|p| p.uid.clone()).collect();
        if routes != self.routes || !leaving.is_subset(&self.leaving) {
            self.rerouted = Some(match self.rerouted {
                Some(pending) if pending > now => pending,
                Some(last) => now.max(last + PROXY_PERIOD),
                None => now,
            });
        }
        (self.routes, self.leaving) = (routes, leaving);
    }

    fn see_detached(&mut self, members: &[Member]) {
        let mut known = BTreeMap::new();
        for facts in members.iter().filter_map(|m| m.redis.last_facts()) {
            if facts.state() == RoleState::Fenced {
                let since = self.detached.get(&facts.run_id).copied().unwrap_or(facts.answered_at);
                known.insert(facts.run_id.clone(), since);
            }
        }
        self.detached = known;
        let runs = |run: &String| {
            members
                .iter()
                .filter_map(|m| m.redis.last_facts())
                .any(|f| f.run_id == *run)
        };
        self.cut_off.retain(|run, _| runs(run));
        self.followed.retain(|run, _| runs(run));
    }

    /// A link that is up and silent may be cut: the parent sends something every second.
    fn see_followed(&mut self, members: &[Member]) {
        for facts in members.iter().filter_map(|m| m.redis.last_facts()) {
            let hears = |link: &ReplicaLink| link.up && !link.syncing && link.last_io_seconds.is_some_and(|s| s <= 2);
            if facts.replica_link().is_some_and(hears) {
                self.followed.insert(facts.run_id.clone(), facts.asked_at);
            }
        }
    }

    fn see_mute(&mut self, members: &[Member], now: Timestamp) {
        let is_mute = |m: &&Member| {
            let Seen::Unknown { error, .. } = &m.redis else {
                return false;
            };
            matches!(error, ProbeError::Timeout | ProbeError::Unreachable(_))
        };
        let before = std::mem::take(&mut self.mute);
        let since = |uid: &str| before.get(uid).copied().unwrap_or(now);
        let mute = members.iter().filter(is_mute).filter_map(Member::uid);
        self.mute = mute.map(|uid| (uid.to_owned(), since(uid))).collect();
    }

    fn see_draining(&mut self, members: &[Member], now: Timestamp) {
        let before = std::mem::take(&mut self.draining);
        let since = |uid: &str| before.get(uid).copied().unwrap_or(now);
        let pods = members.iter().filter_map(|m| m.pod.as_ref());
        let draining = pods.filter(|p| p.draining.is_some());
        self.draining = draining.map(|p| (p.uid.clone(), since(&p.uid))).collect();
    }

    fn first(&mut self, mark: Mark, at: Timestamp) {
        self.marks.entry(mark).or_insert(at);
    }

    /// Takes over that a step was done, begun at one time and ended at another.
    pub fn done(&mut self, status: &RedisReplicaSetStatus, step: &Step, began: Timestamp, ended: Timestamp) {
        let master = status.master.as_ref().map(|m| m.uid.as_str());
        match step {
            Step::Fence { to } if Some(to.uid.as_str()) == master => {
                self.first(Mark::Detected, began);
                self.first(Mark::Demoting, began);
                self.first(Mark::Demoted, ended);
            }
            Step::Drain { .. } => self.first(Mark::Detected, began),
            // A look at a replica before anything was begun is part of no change.
            Step::CatchUp { .. } if status.operation.is_none() => {}
            Step::Fence { .. } | Step::CatchUp { .. } => {
                self.first(Mark::Detected, began);
                if !self.marks.contains_key(&Mark::Named) {
                    self.marks.insert(Mark::Voted, ended);
                }
            }
            Step::Record { authority, .. } => {
                self.first(Mark::Detected, began);
                let named = |o: &Operation| o.kind.is_handover() && !o.to.is_empty() && o.epoch == authority.epoch;
                if authority.operation.as_ref().is_some_and(named) {
                    self.first(Mark::Named, ended);
                }
            }
            Step::Arm { .. } => self.first(Mark::Armed, ended),
            Step::Attach { .. } => self.first(Mark::Attached, ended),
            Step::Apply { .. } if self.marks.contains_key(&Mark::Named) => self.first(Mark::Switched, ended),
            Step::Apply { .. }
            | Step::ComeAlong { .. }
            | Step::Bare { .. }
            | Step::LockOut { .. }
            | Step::KillClients { .. }
            | Step::DeletePod { .. }
            | Step::CreateInternal { .. }
            | Step::CreateApp
            | Step::WriteAcl { .. }
            | Step::Grow { .. }
            | Step::Create(_)
            | Step::Delete { .. }
            | Step::Configure { .. }
            | Step::Login { .. }
            | Step::Label { .. }
            | Step::Gate { .. }
            | Step::Mark { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(version: u128) -> BTreeMap<String, u128> {
        BTreeMap::from([("cache-x7".to_owned(), version)])
    }

    #[test]
    fn node_proxies_have_something_to_do_when_a_slice_changes_and_not_when_none_does() {
        let mut timeline = Timeline::default();
        let at = |tenth: i64| Timestamp::from_millisecond(100 * tenth).unwrap();
        let mut rerouted = |version, tenth| {
            timeline.see_routes(routes(version), &[], at(tenth));
            timeline.rerouted
        };
        assert_eq!(rerouted(1, 10), Some(at(10)), "a new leader counts from its first look");
        assert_eq!(rerouted(1, 30), Some(at(10)));
        assert_eq!(rerouted(2, 50), Some(at(50)));
        assert_eq!(
            [rerouted(3, 53), rerouted(4, 57)],
            [Some(at(60)); 2],
            "within a second they wait"
        );
        assert_eq!(rerouted(5, 65), Some(at(70)));
    }
}
