//! The two numbers of a set: k of `WAIT k`, and min-replicas-to-write.
//!
//! Both are state, recorded before they fall and after they were reached; neither is computed from spec at the
//! moment of need. Lowering needs proof that the missing pods confirm nothing.

use super::replicas::younger_looks;
use super::roles::Roles;
use super::rules::{self, Rule};
use super::view::{View, target};
use super::{cut, fate, links};
use crate::api::status::Quorum;
use crate::model::observed::Member;
use crate::model::plan::{Authority, Step};
use crate::model::redis::{Facts, RoleState, Seen};

/// k for a number of pods: `floor(N/2)`, the number for `WAIT` that survives any failover.
pub fn wait_target(pods: usize) -> i32 {
    i32::try_from(pods / 2).unwrap_or(i32::MAX)
}

/// min-replicas-to-write for a number of pods: k from three pods on, else 0.
pub fn min_target(pods: usize) -> i32 {
    if pods < 3 { 0 } else { wait_target(pods) }
}

pub(super) fn decide(view: &View, master: &Member, facts: &Facts, min: i32) -> Roles {
    let pods = view.pods();
    let (wait_goal, min_goal) = (wait_target(pods), min_target(pods));
    let Some(quorum) = view.authority.quorum else {
        return record(
            view,
            Quorum {
                wait: wait_goal,
                min_replicas_to_write: min,
                degraded: min < min_goal,
            },
            "numbers in force",
        );
    };
    let linked = acknowledging(view, master, facts);
    let in_force = quorum.min_replicas_to_write;
    let arm = |min| {
        Roles::steps(
            target(master)
                .map(|to| Step::Arm {
                    to,
                    min,
                    epoch: view.authority.epoch,
                })
                .into_iter()
                .collect(),
        )
    };

    // A set that shrank to what is in force is not degraded any more.
    let recovered = quorum.degraded && min_goal <= in_force;
    if wait_goal < quorum.wait || min_goal < in_force || recovered {
        let min = in_force.min(min_goal);
        let falls = Quorum {
            wait: wait_goal.min(quorum.wait),
            min_replicas_to_write: min,
            degraded: min < min_goal,
        };
        return record(view, falls, "fewer pods are wanted");
    }
    if let Some(steps) = lowering(view, master, facts) {
        return Roles::steps(steps);
    }
    let may_rise = !rules::holds(Rule::KRisesLast) || may_rise(view, facts, wait_goal);
    if wait_goal > quorum.wait && may_rise {
        return if min == min_goal {
            record(
                view,
                Quorum {
                    wait: wait_goal,
                    min_replicas_to_write: min_goal,
                    degraded: false,
                },
                "enough hold everything",
            )
        } else {
            arm(min_goal)
        };
    }
    if wait_goal == quorum.wait && in_force < min_goal && linked >= min_goal {
        return if min == min_goal {
            record(
                view,
                Quorum {
                    min_replicas_to_write: min_goal,
                    degraded: false,
                    ..quorum
                },
                "enough replicas are in sync",
            )
        } else {
            arm(min_goal)
        };
    }
    if min < in_force || (min > in_force && (wait_goal == quorum.wait || linked < min)) {
        return arm(in_force);
    }
    let rises = wait_goal > quorum.wait;
    Roles {
        waits: rises || in_force < min_goal,
        steps: if rises { younger_looks(view, facts) } else { Vec::new() },
        ..Roles::default()
    }
}

fn record(view: &View, quorum: Quorum, why: &str) -> Roles {
    let authority = Authority {
        quorum: Some(quorum),
        ..view.authority.clone()
    };
    let why = format!(
        "wait {}, min-replicas-to-write {}: {why}",
        quorum.wait, quorum.min_replicas_to_write
    );
    Roles::steps(vec![Step::Record { authority, why }])
}

/// Replicas that the master does not reach are detached, so that it may go on without them. Asked before anybody is attached:
/// what is about to be detached is not tried once more.
pub(super) fn detach_cut_off(view: &View, master: &Member, facts: &Facts, _: i32) -> Roles {
    let detaches = |steps: &Vec<Step>| steps.iter().any(|step| matches!(step, Step::Fence { .. }));
    Roles::steps(lowering(view, master, facts).filter(detaches).unwrap_or_default())
}

/// Lowers the number to the replicas that acknowledge, if it is certain that the others do not. Whoever is to be detached for
/// that goes first: if one of them fails, nothing is recorded.
fn lowering(view: &View, master: &Member, facts: &Facts) -> Option<Vec<Step>> {
    let quorum = view.authority.quorum?;
    let linked = acknowledging(view, master, facts);
    if linked >= quorum.min_replicas_to_write {
        return None;
    }
    let none = || (!rules::holds(Rule::MinFallsByProof)).then(Vec::new);
    let mut steps = silenced(view, master, facts).or_else(none)?;
    let lowered = Quorum {
        min_replicas_to_write: linked,
        degraded: linked < min_target(view.pods()),
        ..quorum
    };
    steps.extend(
        record(
            view,
            lowered,
            "the missing replicas are dead, locked out, or answered fenced",
        )
        .steps,
    );
    Some(steps)
}

/// Replicas whose acknowledgement counts for the master now.
fn acknowledging(view: &View, master: &Member, facts: &Facts) -> i32 {
    let replicas = view.others().filter(|m| acknowledges(view, m, master, facts));
    i32::try_from(replicas.count()).unwrap_or(i32::MAX)
}

/// Whether a replica's acknowledgement counts for the master now.
fn acknowledges(view: &View, member: &Member, master: &Member, facts: &Facts) -> bool {
    let linked = |f: &Facts| super::sync::linked(f) && view.attached(f, master, facts, &member.name);
    member.facts().is_some_and(linked) && !cut::is_cut(view, member)
}

/// k rises after the electors have grown and k' replicas hold everything.
fn may_rise(view: &View, facts: &Facts, wait: i32) -> bool {
    let holders = view.others().filter(|m| view.holds_everything(m, facts)).count();
    view.authority.electors.len() >= view.pods() && holders >= usize::try_from(wait).unwrap_or(usize::MAX)
}

/// What makes certain that nobody who does not acknowledge could: nothing for whoever is known not to, a detach for whoever
/// the master can not reach and the operator can. Nothing at all if it can not be made certain.
fn silenced(view: &View, master: &Member, facts: &Facts) -> Option<Vec<Step>> {
    let missing = view
        .others()
        .filter(|m| view.wanted(m) && !acknowledges(view, m, master, facts));
    missing
        .filter(|m| !is_proven(view, m, facts))
        .map(|m| target(m).filter(|_| cut::is_cut(view, m)))
        .map(|to| to.map(|to| Step::Fence { to }))
        .collect()
}

/// Whether a replica is known not to acknowledge: its process is dead, it is locked out at the master, or it answered that it
/// follows nobody, loads, or is in a full resync.
///
/// A refused connection alone proves nothing: a firewall refuses too. The end of a held connection must have been seen
/// before it, or the kubelet says that the container ended; and a replica that the master still hears is alive.
fn is_proven(view: &View, member: &Member, master: &Facts) -> bool {
    if links::may_be_outlived(view, member, master) {
        return false;
    }
    match &member.redis {
        Seen::Answers { facts, .. } => {
            facts.loading.is_some()
                || facts.state() == RoleState::Fenced
                || facts.replica_link().is_some_and(|link| link.syncing)
        }
        Seen::Unknown { .. } if !links::may_attach(master, &member.name) => true,
        Seen::Unknown { .. } => {
            member.pod.is_some() && fate::death(member).is_some() && !super::sync::may_be_connected(view, member)
        }
    }
}
