//! The operator: the shipped decisions upon what is seen, and what its steps do to the set.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::sight::{self, NOW};
use super::state::{Act, Broken, Link, PODS, Pod, Process, Redis, Role, Seat, State, Status, Uid, Watch};
use crate::api::status::{OperationKind, OperationReason};
use crate::decide::rules::Rule;
use crate::decide::tests::rules;
use crate::decide::view::View;
use crate::decide::{min_target, roles, scale};
use crate::model::cluster::Cluster;

/// By whom a step is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Upon what was seen just now.
    Leader,
    /// Upon what was seen before.
    Late {
        /// By an operator that does not lead any more: the next one closes its connections when it opens its own.
        foreign: bool,
        /// Nobody has written status since.
        newest: bool,
    },
}

/// What the operator would do now, all or without one rule.
pub fn plan(state: &State, without: Option<Rule>) -> Vec<Act> {
    type Kind = (u8, bool, Option<u8>);
    static CLUSTERS: LazyLock<BTreeMap<Kind, Cluster>> = LazyLock::new(|| {
        let pods = u8::try_from(PODS).unwrap();
        let never = || (0..pods).map(Some).chain([None]);
        let kinds = (0..=pods).flat_map(|n| [false, true].map(|awaits| (n, awaits)));
        let kinds = kinds.flat_map(|(n, awaits)| never().map(move |never| (n, awaits, never)));
        kinds
            .map(|kind| (kind, sight::cluster(kind.0, kind.1, kind.2)))
            .collect()
    });
    let left = &state.left;
    let cluster = &CLUSTERS[&(state.wanted, left.awaits, left.never)];
    rules::without(without, || {
        let observed = sight::observe(state);
        let view = View::new(cluster, &observed, *NOW);
        let roles = roles::decide(&view, &[]);
        let mut acts: Vec<_> = roles.steps.iter().filter_map(sight::act).collect();
        let size = u8::try_from(scale::stateful_set_replicas(&view, view.cluster.core())).unwrap();
        if usize::from(size) != state.pods.len() {
            acts.push(Act::Size(size));
        }
        acts
    })
}

impl State {
    /// Does a step, if the process it was decided for is there and can be reached.
    pub fn carry_out(&mut self, act: &Act, by: By) {
        match act {
            Act::Record(new) => self.record(new, by),
            Act::Bare(to) => {
                let source = self.status.operation.and_then(|o| o.source);
                let recorded = to.uid == self.status.master.uid || source == Some(to.uid.name);
                let by_votes = self.status.operation.is_some_and(|o| o.kind.is_handover());
                let had_data = self.status.had_keys && !by_votes;
                let Some(pod) = self.reached(*to, by) else { return };
                let name = pod.uid.name;
                let Some(redis) = &mut pod.redis else { return };
                let empty = redis.data == 0 && had_data;
                redis.bare(name);
                if by == By::Leader && !recorded {
                    self.breaks(Broken::PromotedUnrecorded);
                } else if by == By::Leader && empty {
                    self.breaks(Broken::EmptyPromoted);
                }
            }
            Act::Arm(to, min) => self.on(*to, by, |redis| redis.min = Some(*min)),
            Act::Fence(to) => self.on(*to, by, Redis::fence),
            Act::Attach { child, parent } => self.attach(*child, *parent, by),
            Act::LockOut { parent, child } => self.revoke(*parent, *child, by),
            Act::Size(size) => {
                self.pods.truncate(usize::from(*size));
                let first = u8::try_from(self.pods.len()).unwrap();
                for name in first..*size {
                    let watch = Watch {
                        asked: true,
                        ..Watch::default()
                    };
                    self.pods.push(Pod {
                        watch,
                        ..Pod::new(Uid { name, nth: 0 }, 0)
                    });
                }
            }
        }
    }

    fn breaks(&mut self, broken: Broken) {
        self.broken = self.broken.or(Some(broken));
    }

    /// The pod that a command gets to, if it does.
    fn reached(&mut self, to: Process, by: By) -> Option<&mut Pod> {
        let gets_there = |pod: &Pod| match by {
            By::Leader => pod.answers(),
            By::Late { foreign: false, .. } => pod.operator_reaches(),
            By::Late { foreign: true, .. } => !pod.watch.held,
        };
        let is = |pod: &&mut Pod| pod.uid == to.uid && pod.redis.as_ref().is_some_and(|r| r.run == to.run);
        let pod = self
            .pods
            .iter_mut()
            .chain(&mut self.ghosts)
            .find(is)
            .filter(|pod| gets_there(pod))?;
        // Its answer is the newest look.
        pod.watch.old = None;
        Some(pod)
    }

    fn on(&mut self, to: Process, by: By, command: impl FnOnce(&mut Redis)) {
        if let Some(redis) = self.reached(to, by).and_then(|pod| pod.redis.as_mut()) {
            command(redis);
        }
    }

    fn attach(&mut self, child: Process, parent: Process, by: By) {
        let name = usize::from(child.uid.name);
        if self.reached(parent, by).is_none() {
            return;
        }
        // Whoever holds a link under this name loses it first.
        self.revoke(parent, child.uid.name, by);
        self.on(parent, by, |redis| redis.links[name] = Some(child.run));
        self.on(child, by, |redis| redis.follow(parent.uid));
    }

    fn revoke(&mut self, parent: Process, child: u8, by: By) {
        self.on(parent, by, |redis| redis.links[usize::from(child)] = None);
        let open = self
            .process_at(parent.uid)
            .and_then(|at| self.redis(at))
            .map(|r| r.links[usize::from(child)]);
        if open != Some(None) {
            return;
        }
        let Some(host) = self.process_at(parent.uid) else {
            return;
        };
        for at in 0..self.count() {
            let (pod, host) = (self.at(at), self.at(host));
            if pod.uid.name == child && pod.reaches(host) && pod.redis.as_ref().is_some_and(|r| r.follows(parent.uid)) {
                let redis = self.at_mut(at).redis.as_mut().unwrap();
                redis.role = Role::Follows {
                    parent: parent.uid,
                    link: Link::Down,
                };
            }
        }
    }

    fn record(&mut self, new: &Status, by: By) {
        if matches!(by, By::Late { newest: false, .. }) {
            return;
        }
        self.judge(new, by);
        let needed = needed(self.status.electors.len(), self.status.wait.into());
        let last_resort = self.votes() < needed;
        let rises = new.epoch > self.status.epoch;
        let old = std::mem::replace(&mut self.status, new.clone());
        (self.status.had_keys, self.status.complete) = (old.had_keys, old.complete);
        if let Some(late) = &mut self.late {
            late.newest = false;
        }
        // A file is the source of last resort, and may lack what it lost itself; but not one that was awaited.
        let operation = self.status.operation.as_ref();
        let granted = operation.is_some_and(|o| !o.kind.is_handover() && !o.awaited) && rises;
        if granted && last_resort {
            let pod = self.master().and_then(|p| Some((p.redis.as_ref()?.data, p.lost)));
            self.confirmed &= pod.map_or(self.confirmed, |(held, lost)| held | !lost);
        }
    }

    /// Votes that could be taken now.
    fn votes(&self) -> usize {
        let redis = |seat: &Seat| {
            let member = seat.member;
            let of_volume = |p: &&Pod| p.volume == member.volume && p.uid.name == member.uid.name;
            let pod = self.pods.iter().find(of_volume).filter(|p| p.answers())?;
            pod.redis.as_ref().filter(|r| !r.is_armed())
        };
        let known = |r: &Redis| !r.flushed && self.status.histories.iter().any(|(line, ..)| *line == r.line);
        let seats = || {
            self.status
                .electors
                .iter()
                .filter_map(|seat| Some((seat, redis(seat)?)))
        };
        let positions = seats().filter(|(seat, r)| !seat.learner && known(r)).count();
        let nothing = seats()
            .filter(|(seat, r)| seat.learner && seat.entered_with == Some(r.line))
            .count();
        if positions == 0 { 0 } else { positions + nothing }
    }

    /// What only the change shows.
    fn judge(&mut self, new: &Status, by: By) {
        let old = &self.status;
        if new.epoch < old.epoch {
            return self.breaks(Broken::EpochFalls);
        }
        if new.epoch == old.epoch && new.master != old.master {
            return self.breaks(Broken::TwoMastersOfAnEpoch);
        }
        if by != By::Leader || self.pods.iter().any(|p| p.watch.old.is_some()) {
            return;
        }
        let host = self.process_at(old.master.uid);
        let heard = |at: &usize| self.at(*at).answers();
        let by_spec = min_target(self.wanted.into());
        let falls = new.epoch == old.epoch && i32::from(new.min) < i32::from(old.min).min(by_spec);
        let linked = host.map_or(0, |host| self.replicas(host).filter(|at| *at < self.pods.len()).count());
        let begins = |s: &Status| {
            s.operation.as_ref().is_some_and(|o| {
                o.kind == OperationKind::Failover && o.to.is_none() && o.reason == OperationReason::Unreachable
            })
        };
        let needless = !begins(old) && begins(new) && host.is_some_and(|host| self.replicas(host).any(|at| heard(&at)));
        if falls && linked > usize::from(new.min) {
            self.breaks(Broken::MinFellUnderReplicas);
        } else if needless {
            self.breaks(Broken::ReplacedWhileHeard);
        }
    }
}

/// With fewer votes of so many electors a write that k replicas confirmed may be on none of them.
fn needed(electors: usize, k: usize) -> usize {
    electors.saturating_sub(k).min(electors.saturating_sub(1)).max(1)
}
