//! What may happen next: a client, a fault, time, or one step of the operator.

use super::operator;
use super::state::{Act, Age, Link, Pod, Reach, Redis, Role, State, Uid, Watch};
use super::{Lapse, Setting};

/// Something that happens, by where it happens in [`State::all`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Write(usize),
    /// A replica takes in the next write.
    Replicate(usize),
    /// A full resync is complete.
    Synced(usize),
    /// ... and so is the rewrite of the file after it.
    Rewritten(usize),
    /// A process is killed, and may lose the last write from its file.
    Crash {
        at: usize,
        tail: bool,
    },
    /// A container is started, with the place in the stream that an RDB gives back or without.
    Start {
        at: usize,
        dump: bool,
    },
    Reach(usize, Reach),
    /// Everybody reaches everybody.
    Heal,
    /// A kubelet ends a process whose pod is gone.
    Reap(usize),
    Delete(usize),
    /// A deleted pod is gone, and the next one of its name is made.
    End(usize),
    /// A pod's object is gone, with its claim or without; its process lives on.
    ForceDelete {
        at: usize,
        volume: bool,
    },
    LoseVolume(usize),
    Scale(u8),
    Tick,
    /// The operator looks at everybody, decides, and does the first step.
    Operator,
    /// It decides; the steps are done later.
    Plan,
    /// One of the steps that are under way is done.
    Late(usize),
    /// The operator ends; the next one knows nothing.
    Restart,
    /// The operator's lease ends while its steps are under way, and another one begins.
    Lease,
    /// The operator looks at one pod.
    Look(usize),
    /// What the operator has seen of one pod is what it decides upon for a while.
    OldLook(usize),
}

impl Setting {
    /// What may happen in a state.
    pub fn may_happen(&self, state: &State, actions: &mut Vec<Action>) {
        let left = &state.left;
        actions.push(Action::Operator);
        for at in 0..state.count() {
            if left.writes > 0 && state.takes_writes(at) {
                actions.push(Action::Write(at));
            }
            if state.lags(at) {
                actions.push(Action::Replicate(at));
            }
            if state.redis(at).and_then(Redis::link) == Some(Link::Syncing) {
                actions.push(Action::Synced(at));
            }
            if state.redis(at).is_some_and(|r| r.rewrites) {
                actions.push(Action::Rewritten(at));
            }
        }
        for (at, pod) in state.pods.iter().enumerate() {
            self.faults(state, at, pod, actions);
        }
        let ghosts = state.pods.len()..state.count();
        actions.extend(ghosts.filter(|at| state.at(*at).reach == Reach::All).map(Action::Reap));
        if state.all().any(|p| p.reach != Reach::All) {
            actions.push(Action::Heal);
        }
        actions.extend(left.scale.map(Action::Scale));
        actions.push(Action::Tick);
        if left.restarts > 0 {
            actions.push(Action::Restart);
        }
        if left.leases > 0 {
            actions.push(Action::Lease);
        }
        match &state.late {
            Some(late) => actions.extend((0..late.acts.len()).map(Action::Late)),
            None if left.plans > 0 => actions.push(Action::Plan),
            None => {}
        }
    }

    /// The state after it; none if nothing changes.
    pub fn happens(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Write(at) => {
                state.left.writes -= 1;
                state.write(at);
            }
            Action::Replicate(at) => state.replicate(at),
            Action::Synced(at) => state.synced(at),
            Action::Rewritten(at) => state.rewritten(at),
            Action::Operator => self.first_step(&mut state)?,
            Action::Plan => self.plan(&mut state)?,
            Action::Late(nth) => self.late(&mut state, nth),
            Action::Tick => {
                state.late = state.late.filter(|late| late.foreign);
                state.tick();
            }
            other => state.fault(other, || operator::plan(before, self.rule)),
        }
        state.settle();
        (state != *before).then_some(state)
    }

    fn first_step(&self, state: &mut State) -> Option<()> {
        if state.late.as_ref().is_some_and(|late| !late.foreign) {
            return None;
        }
        let acts = operator::plan(state, self.rule);
        state.carry_out(acts.first()?, operator::By::Leader);
        Some(())
    }

    fn plan(&self, state: &mut State) -> Option<()> {
        let acts = operator::plan(state, self.rule);
        if acts.is_empty() {
            return None;
        }
        state.left.plans -= 1;
        state.late = Some(super::state::Late {
            acts,
            newest: true,
            foreign: false,
        });
        Some(())
    }

    fn late(&self, state: &mut State, nth: usize) {
        let Some(mut late) = state.late.take() else { return };
        let act = late.acts.remove(nth);
        let by = operator::By::Late {
            foreign: late.foreign,
            newest: late.newest || self.lapse == Some(Lapse::RecordsAnyway),
        };
        state.late = (!late.acts.is_empty()).then_some(late);
        state.carry_out(&act, by);
    }

    /// What strikes a pod, and what ends it.
    fn faults(&self, state: &State, at: usize, pod: &Pod, actions: &mut Vec<Action>) {
        let left = &state.left;
        let runs = pod.redis.is_some();
        let mut may = |left: u8, action| {
            if left > 0 {
                actions.push(action);
            }
        };
        if runs && self.at.dies.contains(&pod.uid.name) {
            may(left.crashes, Action::Crash { at, tail: false });
            may(left.tails, Action::Crash { at, tail: true });
            may(
                u8::from(!pod.deleting && pod.reach == Reach::All) * left.deletes,
                Action::Delete(at),
            );
        }
        let strikes = self.at.cut.contains(&pod.uid.name);
        if runs && strikes {
            let cut = u8::from(matches!(pod.reach, Reach::Apart | Reach::Peers));
            may(cut * left.forced, Action::ForceDelete { at, volume: false });
            may(cut * left.volumes, Action::ForceDelete { at, volume: true });
        }
        if pod.reach == Reach::All && strikes {
            may(left.cuts, Action::Reach(at, Reach::Apart));
            may(left.mutes, Action::Reach(at, Reach::Peers));
            may(left.resets, Action::Reach(at, Reach::Reset));
            may(left.lonely, Action::Reach(at, Reach::Operator));
            may(left.volumes, Action::LoseVolume(at));
        }
        may(u8::from(pod.deleting), Action::End(at));
        may(u8::from(!runs && !pod.deleting), Action::Start { at, dump: false });
        may(
            u8::from(!runs && pod.dump.is_some()) * left.dumps,
            Action::Start { at, dump: true },
        );
        may(u8::from(!pod.watch.asked || pod.watch.old.is_some()), Action::Look(at));
        may(
            u8::from(pod.answers() && pod.watch.old.is_none()) * left.looks,
            Action::OldLook(at),
        );
    }
}

impl State {
    fn fault(&mut self, fault: Action, plan: impl FnOnce() -> Vec<Act>) {
        match fault {
            Action::Crash { at, tail } => self.crash(at, tail),
            Action::Start { at, dump } => self.start(at, dump),
            Action::Reach(at, reach) => {
                let left = &mut self.left;
                let budget = match reach {
                    Reach::Apart => &mut left.cuts,
                    Reach::Peers => &mut left.mutes,
                    Reach::Reset => &mut left.resets,
                    Reach::Operator | Reach::All => &mut left.lonely,
                };
                *budget -= 1;
                self.at_mut(at).reach = reach;
            }
            Action::Heal => (0..self.count()).for_each(|at| self.at_mut(at).reach = Reach::All),
            Action::Reap(at) => drop(self.ghosts.remove(at - self.pods.len())),
            Action::Delete(at) => {
                self.left.deletes -= 1;
                self.pods[at].deleting = true;
            }
            Action::End(at) => self.make_anew(at, false),
            Action::ForceDelete { at, volume } => {
                let budget = if volume {
                    &mut self.left.volumes
                } else {
                    &mut self.left.forced
                };
                *budget -= 1;
                self.ghosts.push(self.pods[at].clone());
                self.make_anew(at, volume);
            }
            Action::LoseVolume(at) => {
                self.left.volumes -= 1;
                self.make_anew(at, true);
            }
            Action::Scale(pods) => (self.wanted, self.left.scale) = (pods, None),
            Action::Restart => {
                self.left.restarts -= 1;
                self.late = None;
                self.forget(true);
            }
            Action::Lease => {
                self.left.leases -= 1;
                let acts = match self.late.take() {
                    Some(late) => late.acts,
                    None => plan(),
                };
                self.late = (!acts.is_empty()).then_some(super::state::Late {
                    acts,
                    newest: true,
                    foreign: true,
                });
                self.forget(false);
            }
            Action::Look(at) => (self.pods[at].watch.asked, self.pods[at].watch.old) = (true, None),
            Action::OldLook(at) => {
                self.left.looks -= 1;
                self.pods[at].watch.old = Some(Box::new(super::sight::look(self, at)));
            }
            other => unreachable!("{other:?} is no fault"),
        }
    }

    fn crash(&mut self, at: usize, tail: bool) {
        let budget = if tail {
            &mut self.left.tails
        } else {
            &mut self.left.crashes
        };
        *budget -= 1;
        let dumps = self.left.dumps > 0;
        let pod = &mut self.pods[at];
        let unwritten = pod
            .redis
            .as_ref()
            .filter(|r| r.rewrites)
            .map_or(0, |r| r.data & !pod.disk);
        pod.lost |= unwritten;
        pod.dump = pod
            .redis
            .take()
            .filter(|r| dumps && !r.flushed)
            .map(|r| (r.line, r.offset));
        if tail && pod.disk != 0 {
            let last = 1 << pod.disk.ilog2();
            (pod.disk, pod.lost) = (pod.disk ^ last, pod.lost | last);
        }
    }

    fn start(&mut self, at: usize, dump: bool) {
        let pod = &mut self.pods[at];
        let mut redis = Redis::boot(pod.uid.name, pod.runs, pod.disk);
        if let Some((line, offset)) = pod.dump.take().filter(|_| dump) {
            (redis.line, redis.offset) = (line, offset);
            self.left.dumps -= 1;
        }
        pod.redis = Some(redis);
        (pod.runs, pod.started) = (pod.runs + 1, true);
    }

    /// The next pod of a name, on the same volume or on another.
    fn make_anew(&mut self, at: usize, volume: bool) {
        let old = &self.pods[at];
        let uid = Uid {
            nth: old.uid.nth + 1,
            ..old.uid
        };
        self.pods[at] = Pod {
            disk: if volume { 0 } else { old.disk },
            lost: if volume { 0 } else { old.lost },
            runs: old.runs,
            watch: Watch {
                asked: true,
                ..Watch::default()
            },
            ..Pod::new(uid, old.volume + u8::from(volume))
        };
    }

    /// A new process of the operator.
    fn forget(&mut self, asked: bool) {
        for pod in &mut self.pods {
            pod.watch = Watch {
                asked,
                silent: Age::Now,
                ..Watch::default()
            };
        }
    }

    /// Whether a process is a master that nobody has named.
    pub fn is_named(&self, pod: &Pod) -> bool {
        pod.uid == self.status.master.uid
    }
}

impl Redis {
    /// Whether it follows the pod of an address.
    pub fn follows(&self, uid: Uid) -> bool {
        matches!(self.role, Role::Follows { parent, .. } if parent == uid)
    }
}
