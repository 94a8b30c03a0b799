//! Pods that are to be made anew: replicas one by one, of the lowest tier first, then the master by a switchover.
//!
//! A pod goes only while everybody else is in sync, so that a revision that does not come up stops the roll at its first
//! pod, and a spec that is put back undoes it: what is broken is made anew first.

use std::cmp::Reverse;

use super::roles::Roles;
use super::switchover::{self, To};
use super::sync;
use super::view::View;
use crate::api::status::{OperationReason, Role};
use crate::model::observed::{Member, PodFacts};
use crate::model::plan::Step;
use crate::model::redis::Facts;
use crate::names;

pub(super) fn decide(view: &View, master: &Member, facts: &Facts, due: &[&Member]) -> Roles {
    let Some(next) = next(view, due).filter(|next| is_template_current(view, next)) else {
        return Roles::default();
    };
    if awaited(view, Some(next)).is_some() {
        return Roles::default();
    }
    if !next.is(master) {
        return delete(next, "it is to be made anew");
    }
    if view.others().next().is_none() {
        return delete(master, "it is to be made anew, and there is no replica to take over");
    }
    match switchover::choose(view, facts, To::Any) {
        Ok(target) => switchover::begin(view, target, OperationReason::Update, None),
        Err(_) => Roles::default(),
    }
}

/// The pod that goes next: what is broken first, then whoever has others above it, then the highest ordinal, the master last.
pub(super) fn next<'a>(view: &View, due: &[&'a Member]) -> Option<&'a Member> {
    let depth = |m: &Member| {
        view.cluster
            .tiers()
            .find(|tier| tier.name == m.tier)
            .map(|tier| tier.index)
    };
    let turn = |m: &&Member| (view.is_master(m), is_in_sync(view, m), Reverse((depth(m), m.ordinal)));
    due.iter().copied().min_by_key(turn)
}

/// Who is to be in sync before that pod goes: anybody else, and whoever is on its way out or not there yet.
pub(super) fn awaited<'a>(view: &View<'a>, next: Option<&Member>) -> Option<&'a Member> {
    let is_leaving = |m: &&Member| m.pod.as_ref().is_none_or(|p| p.deleting);
    let is_next = |m: &Member| next.is_some_and(|next| next.is(m));
    let leaving = view.observed.members.iter().find(is_leaving);
    // Without a replica in the core tiers have no stream, and nobody waits for that.
    let may_be = |m: &Member| m.is_core() || view.others().next().is_some();
    leaving.or_else(|| {
        view.replicas()
            .find(|m| !is_next(m) && !is_in_sync(view, m) && may_be(m))
    })
}

/// A pod that does not run and is to be made anew, while nobody serves: it would not come up as it is, as with the image of
/// a spec that was mended since, and what does not run holds no role. Its volume stays.
pub(super) fn dead(view: &View, due: &[&Member]) -> Option<Step> {
    let is_dead = |m: &&&Member| {
        let never_comes = |p: &PodFacts| !p.deleting && p.started.is_none() && p.trouble.is_some();
        m.facts().is_none() && m.pod.as_ref().is_some_and(never_comes)
    };
    let member = due.iter().find(is_dead).filter(|m| is_template_current(view, m))?;
    delete_step(member, "it does not run, and is to be made anew")
}

fn is_in_sync(view: &View, member: &Member) -> bool {
    sync::is_in_sync(view, member) && is_settled(view, member)
}

/// Whether a pod has the role that it shows: clients of a former master have left it.
fn is_settled(view: &View, member: &Member) -> bool {
    let shown = member.pod.as_ref().and_then(|p| p.role.as_deref());
    let elector = member.identity().and_then(|i| view.elector(&i));
    let votes = elector.is_some_and(|e| !e.learner);
    (votes || !member.is_core()) && shown == Some(Role::Replica.as_str())
}

/// Whether a pod made now in a member's place would be of the template that we applied.
fn is_template_current(view: &View, member: &Member) -> bool {
    let set = view.ours("StatefulSet", &names::stateful_set(&view.cluster.name, &member.tier));
    set.is_some_and(|body| {
        let generation = body["metadata"]["generation"].as_i64();
        generation.is_some() && body["status"]["observedGeneration"].as_i64() >= generation
    })
}

fn delete(member: &Member, why: &str) -> Roles {
    Roles::steps(delete_step(member, why).into_iter().collect())
}

fn delete_step(member: &Member, why: &str) -> Option<Step> {
    member.uid().map(|uid| Step::DeletePod {
        pod: member.name.clone(),
        uid: uid.to_owned(),
        why: why.to_owned(),
    })
}
