//! The replicas: who is attached next and to whom, and in which order it is done beside changes of the `electors`.
//!
//! Only the operator attaches. Full resyncs are given one after the other; a partial one costs nothing and waits for nobody.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::roles::Roles;
use super::rules::{self, Rule};
use super::view::{View, target};
use super::{electors, sync, tree};
use crate::api::status::MemberState;
use crate::model::observed::Member;
use crate::model::plan::Step;
use crate::model::redis::{Backlog, Facts, RoleState};

/// Full resyncs at once from one parent (FACTS.md 8.2: the master's write p99 is four times better than with all at once).
const FULL_RESYNCS: usize = 1;
/// Full resyncs at once in a set, whose parents may share a network: more begin only in the core.
const FULL_RESYNCS_OF_ALL: usize = 2;
/// A link that stays down this long although nothing is missing is given its credentials again, which is harmless.
const RETRY_LINK: SignedDuration = SignedDuration::from_secs(5);

pub(super) fn decide(view: &View, master: &Member, facts: &Facts, _: i32) -> Roles {
    if let Some(step) = strangers(view) {
        return Roles::steps(vec![step]);
    }
    if let Some(step) = electors::lost(view, master, facts) {
        return Roles::steps(vec![step]);
    }
    if let Some(step) = electors::decide(view, facts) {
        return Roles::steps(vec![step]);
    }
    // Whoever is attached keeps the seat that it has: first it is seen whether it may enter again.
    let looks = if electors::enter_again(view) {
        younger_looks(view, facts)
    } else {
        Vec::new()
    };
    if !looks.is_empty() {
        return Roles::steps(looks);
    }
    attach(view, master, facts)
}

/// A pod that is master of its own although nobody named it follows nobody again. It took no write: it is not armed, or it is of
/// a tier, whose pods nobody ever names.
fn strangers(view: &View) -> Option<Step> {
    let is_stranger = |member: &Member, facts: &Facts| match facts.state() {
        RoleState::Bare => true,
        RoleState::Armed { .. } => !member.is_core(),
        RoleState::Fenced | RoleState::Attached { .. } => false,
    };
    view.replicas()
        .find(|m| m.facts().is_some_and(|f| f.loading.is_none() && is_stranger(m, f)))
        .and_then(target)
        .map(|to| Step::Fence { to })
}

/// Attaches whoever hangs wrong to the parent it is to have: partial resyncs at once, full ones one by one.
fn attach(view: &View, master: &Member, facts: &Facts) -> Roles {
    let parents = tree::parents(view, master, facts);
    // Of a tier it counts where the resync runs, which may not be where the child is to be.
    let running = parents.iter().filter_map(|(child, parent)| {
        let now = child.facts().and_then(|f| tree::parent(view, f));
        let parent = now.filter(|_| !child.is_core()).unwrap_or(parent);
        let full = parent.facts().is_some_and(|f| takes_full(view, child, parent, f));
        full.then_some(parent)
    });
    let mut running: Vec<&Member> = running.collect();
    let mut steps = Vec::new();
    // Whoever could not attach for long is tried again, after the others: it must not keep them waiting.
    let wanted = parents
        .into_iter()
        .filter(|(m, _)| view.wanted(m) && !electors::stays_out(view, m));
    let (overdue, others): (Vec<_>, Vec<_>) = wanted.partition(|(m, _)| overdue(view, m));
    let mut waits = !overdue.is_empty() || electors::await_a_look(view, facts) || is_orphan_there(view);
    for (child, parent) in others.into_iter().chain(overdue) {
        let (Some(child_facts), Some(parent_facts)) = (child.facts(), parent.facts()) else {
            continue;
        };
        // Without a volume of this set it has no identity. A claim of its name that another set left has data of that set, which a
        // full resync would throw away.
        let Some(identity) = child.identity() else { continue };
        let entered = view.elector(&identity).is_some();
        let may_follow = entered || !parent.is(master) || !rules::holds(Rule::EnterFirst);
        let deleting = child.pod.as_ref().is_none_or(|p| p.deleting);
        // Half of a full resync is worth nothing at another parent.
        let is_fed = !child.is_core() && child_facts.replica_link().is_some_and(|link| link.syncing);
        if is_fed
            || child_facts.loading.is_some()
            || deleting
            || !may_follow
            || hangs_right(view, child, child_facts, parent, parent_facts)
        {
            waits |= child_facts.loading.is_some() || is_fed;
            continue;
        }
        if !is_partial(child_facts, parent_facts) {
            let of_parent = running.iter().filter(|p| p.is(parent)).count();
            // The core's own come first: without them the set has nobody who could take over.
            let is_crowded = !child.is_core() && running.len() >= FULL_RESYNCS_OF_ALL;
            if of_parent >= FULL_RESYNCS || is_crowded {
                waits = true;
                continue;
            }
            running.push(parent);
        }
        if let (Some(child), Some(parent)) = (target(child), target(parent)) {
            steps.push(Step::Attach {
                child,
                parent,
                epoch: view.authority.epoch,
            });
        }
    }
    if steps.is_empty() && electors::await_a_look(view, facts) {
        steps = younger_looks(view, facts);
    }
    Roles {
        waits: waits || !running.is_empty(),
        steps,
        ..Roles::default()
    }
}

/// Whether a pod of a tier is without a stream, and somebody of the core has one to give: no event tells when the pod may hang there.
fn is_orphan_there(view: &View) -> bool {
    let is_orphan = |m: &Member| m.facts().is_some_and(|f| f.loading.is_none() && !sync::linked(f));
    let may_hang = |m: &&Member| !m.is_core() && view.wanted(m) && !electors::stays_out(view, m);
    let gives = |m: &Member| view.wanted(m) && !electors::stays_out(view, m) && m.facts().is_some_and(sync::linked);
    view.others().any(gives) && view.replicas().filter(may_hang).any(is_orphan)
}

/// Looks at replicas whose last look is older than the one at the master. Looks at all of them come at the same
/// interval and keep their distance: without this, one that is always looked at just before the master may never vote.
pub(super) fn younger_looks(view: &View, master: &Facts) -> Vec<Step> {
    let older = |f: &Facts| sync::linked(f) && f.replid == master.replid && f.asked_at < master.answered_at;
    let offset = master.offset;
    view.others()
        .filter(|m| m.facts().is_some_and(older))
        .filter_map(target)
        .map(|to| Step::CatchUp { to, offset })
        .collect()
}

/// Whether a replica receives a full resync from its parent, or will as soon as its link is up: after an attach Redis says
/// for a moment only that the link is down.
fn takes_full(view: &View, member: &Member, parent: &Member, facts: &Facts) -> bool {
    let Some(own) = member.facts() else { return false };
    let Some(link) = own.replica_link() else { return false };
    let begins = !link.up && !is_partial(own, facts) && view.attached(own, parent, facts, &member.name);
    link.syncing || begins && (tried(own, facts) || !overdue(view, member))
}

/// Whether the child was attached since it was last looked at: an attach looks at the parent last.
pub(super) fn tried(child: &Facts, parent: &Facts) -> bool {
    child.asked_at < parent.answered_at
}

/// Whether a replica's link has been down for so long that its attach is to be tried again.
fn overdue(view: &View, member: &Member) -> bool {
    let long_ago = |since: Timestamp| view.since(since) >= RETRY_LINK;
    let known = view.observed.status.members.iter().find(|m| m.name == member.name);
    let attached = member.facts().and_then(|f| view.observed.attached.get(&f.run_id));
    known.is_some_and(|m| m.state == MemberState::LinkDown && long_ago(m.since.0))
        && attached.is_none_or(|at| long_ago(*at))
}

/// Whether the resync is a partial one: the history is one that the parent can go on with, and what is missing is kept there.
fn is_partial(child: &Facts, parent: &Facts) -> bool {
    let kept = |backlog: &Backlog| backlog.reaches(child.offset, 0);
    continues(child, parent) && parent.backlog.as_ref().is_none_or(kept)
}

/// Whether the replica's own history is one that the parent can go on with, so that the resync is partial.
pub(super) fn continues(child: &Facts, parent: &Facts) -> bool {
    let before = parent.replid2.as_ref() == Some(&child.replid);
    child.replid == parent.replid || before && parent.second_offset.is_some_and(|end| child.offset < end)
}

fn hangs_right(view: &View, child: &Member, child_facts: &Facts, parent: &Member, facts: &Facts) -> bool {
    if !view.attached(child_facts, parent, facts, &child.name) {
        return false;
    }
    let up = child_facts.replica_link().is_some_and(|link| link.up || link.syncing);
    up || tried(child_facts, facts) || !overdue(view, child)
}
