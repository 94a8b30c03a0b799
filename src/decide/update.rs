//! Pods that are to be made anew: replicas one by one, then the master by a switchover.
//!
//! A pod goes only while everybody else is in sync, so that a revision that does not come up stops the roll at its first
//! pod, and a spec that is put back undoes it: what is broken is made anew first.

use super::roles::Roles;
use super::switchover::{self, To};
use super::sync;
use super::view::View;
use crate::api::status::{OperationReason, Role};
use crate::model::observed::Member;
use crate::model::plan::Step;
use crate::model::redis::Facts;

pub(super) fn decide(view: &View, master: &Member, facts: &Facts, due: &[&Member]) -> Roles {
    if due.is_empty() || !is_template_current(view) {
        return Roles::default();
    }
    let leaving = |m: &Member| m.pod.as_ref().is_none_or(|p| p.deleting);
    if view.observed.members.iter().any(leaving) {
        return Roles::default();
    }
    let is_master = |m: &&&Member| m.ordinal == master.ordinal;
    let in_sync = |m: &Member| sync::may_serve_reads(sync::state(view, m)) && is_settled(view, m);
    let mut replicas: Vec<_> = due.iter().filter(|m| !is_master(m)).collect();
    // What is broken goes first, then the highest ordinal.
    replicas.sort_by_key(|m| (in_sync(m), std::cmp::Reverse(m.ordinal)));
    let broken = |but: Option<&Member>| {
        let others = view
            .others()
            .filter(move |m| but.is_none_or(|but| but.ordinal != m.ordinal));
        others.filter(|m| !in_sync(m)).count()
    };
    if let Some(next) = replicas.first() {
        return if broken(Some(next)) == 0 {
            delete(next, "it is to be made anew")
        } else {
            Roles::default()
        };
    }
    if broken(None) > 0 {
        return Roles::default();
    }
    if view.others().next().is_none() {
        return delete(master, "it is to be made anew, and there is no replica to take over");
    }
    match switchover::choose(view, facts, To::Any) {
        Ok(target) => switchover::begin(view, target, OperationReason::Update, None),
        Err(_) => Roles::default(),
    }
}

/// Whether a pod has the role that it shows: clients of a former master have left it.
fn is_settled(view: &View, member: &Member) -> bool {
    let shown = member.pod.as_ref().and_then(|p| p.role.as_deref());
    let votes = member
        .identity()
        .and_then(|i| view.elector(&i))
        .is_some_and(|e| !e.learner);
    votes && shown == Some(Role::Replica.as_str())
}

/// Whether a pod made now would be of the template that we applied.
fn is_template_current(view: &View) -> bool {
    let set = view.ours("StatefulSet", &crate::names::stateful_set(&view.cluster.name));
    set.is_some_and(|body| {
        let generation = body["metadata"]["generation"].as_i64();
        generation.is_some() && body["status"]["observedGeneration"].as_i64() >= generation
    })
}

fn delete(member: &Member, why: &str) -> Roles {
    let step = member.uid().map(|uid| Step::DeletePod {
        pod: member.name.clone(),
        uid: uid.to_owned(),
        why: why.to_owned(),
    });
    Roles::steps(step.into_iter().collect())
}
