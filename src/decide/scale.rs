//! Scaling in: one pod at a time, of the lowest tier the highest ordinal first, never the master.
//!
//! A pod is locked out, leaves the electors, and only then the StatefulSet is made smaller by one. Of a tier that spec does
//! not have any more all pods part so, and then `leftovers` deletes its StatefulSet.

use super::electors::may_leave;
use super::replicas::younger_looks;
use super::roles::Roles;
use super::switchover::{self, To};
use super::view::{View, target};
use super::{links, tree};
use crate::api::status::OperationReason;
use crate::model::cluster::Tier;
use crate::model::observed::Member;
use crate::model::plan::{Authority, Step};
use crate::model::redis::{Facts, RoleState};

pub(super) fn decide(view: &View, master: &Member, facts: &Facts, _: i32) -> Roles {
    // The master is never scaled away: it hands over to a pod that stays.
    let mut tiers = view.cluster.tiers();
    let stays = tiers.any(|tier| tier.name == master.tier && master.ordinal < tier.pods);
    if !stays && let Ok(target) = switchover::choose(view, facts, To::Below(view.pods())) {
        return switchover::begin(view, target, OperationReason::ScaleIn, None);
    }
    let Some(victim) = victim(view) else {
        return Roles::default();
    };
    let Some(volume) = victim.claim.as_ref().map(|c| c.uid.as_str()) else {
        return Roles::default();
    };
    let parting = part(view, victim, master, facts, "it is scaled away");
    let is_elector = view.authority.electors.iter().any(|e| e.volume == volume);
    Roles {
        waits: parting.waits || !is_elector,
        ..parting
    }
}

/// A pod is locked out, detached, and leaves the electors when it may.
pub(super) fn part(view: &View, victim: &Member, master: &Member, facts: &Facts, why: &str) -> Roles {
    if target(master).is_none() {
        return Roles::default();
    }
    if let Some(parent) = parent(view, victim).and_then(target) {
        return Roles::steps(vec![Step::LockOut {
            parent,
            child: victim.name.clone(),
        }]);
    }
    if let Some(to) = target(victim).filter(|_| {
        victim
            .facts()
            .is_some_and(|f| f.loading.is_none() && f.state() != RoleState::Fenced)
    }) {
        return Roles::steps(vec![Step::Fence { to }]);
    }
    let Some(volume) = victim.claim.as_ref().map(|c| c.uid.as_str()) else {
        return Roles::default();
    };
    let Some(entry) = view.authority.electors.iter().find(|e| e.volume == volume) else {
        return Roles::default();
    };
    if !may_leave(view, &view.authority.electors, entry, facts) {
        return Roles {
            waits: true,
            steps: younger_looks(view, facts),
            ..Roles::default()
        };
    }
    let electors = view
        .authority
        .electors
        .iter()
        .filter(|e| e.volume != volume)
        .cloned()
        .collect();
    let authority = Authority {
        electors,
        ..view.authority.clone()
    };
    Roles::steps(vec![Step::Record {
        authority,
        why: format!("electors: {} leaves, {why}", victim.name),
    }])
}

/// Who lets a pod replicate: the master, or of a tier below the core whom it follows.
fn parent<'a>(view: &View<'a>, child: &Member) -> Option<&'a Member> {
    let below = child.facts().filter(|_| !child.is_core());
    let followed = below.and_then(|facts| tree::parent(view, facts));
    let mut parents = view.master().into_iter().chain(followed);
    parents.find(|m| m.facts().is_some_and(|facts| links::may_attach(facts, &child.name)))
}

/// The pod that goes next, while a StatefulSet has more than spec leads to, or is of no tier of spec.
fn victim<'a>(view: &View<'a>) -> Option<&'a Member> {
    let tiers: Vec<_> = view.cluster.tiers().collect();
    let members = || view.observed.members.iter().filter(|m| !view.is_master(m));
    let is_removed = |m: &&Member| tiers.iter().all(|tier| tier.name != m.tier);
    let removed = members().filter(is_removed).filter(|m| !is_apart(view, m));
    let beyond = |tier: &Tier<'_>| {
        let now = usize::try_from(view.observed.stateful_set(tier.name)?.replicas).ok()?;
        let ordinal = (now > view.stateful_set_goal(*tier)).then(|| now - 1)?;
        members().find(|m| is_at(m, *tier, ordinal))
    };
    removed
        .max_by_key(|m| m.ordinal)
        .or_else(|| tiers.iter().rev().find_map(beyond))
}

fn is_at(member: &Member, tier: Tier<'_>, ordinal: usize) -> bool {
    member.tier == tier.name && member.ordinal as usize == ordinal
}

/// Whether nothing holds a pod any more: it confirms nothing, and nobody lets it replicate.
fn is_free(view: &View, member: &Member) -> bool {
    let is_elector = member
        .claim
        .as_ref()
        .is_some_and(|c| view.authority.electors.iter().any(|e| e.volume == c.uid));
    !is_elector && view.serving().is_some() && parent(view, member).is_none()
}

/// Whether a pod is free, and fenced if it answers.
fn is_apart(view: &View, member: &Member) -> bool {
    let answers = member.facts().filter(|f| f.loading.is_none());
    is_free(view, member) && answers.is_none_or(|f| f.state() == RoleState::Fenced)
}

/// Whether all pods of a tier have parted from the set. Before there is a master any pod may be the one that is to be it.
pub(super) fn has_parted(view: &View, tier: &str) -> bool {
    let mut members = view.observed.members.iter().filter(|m| m.tier == tier);
    view.serving().is_some() && members.all(|m| !view.is_master(m) && is_apart(view, m))
}

/// Number of pods a tier's StatefulSet is to have now: it grows at once and shrinks by one when the last pod has left.
pub(super) fn stateful_set_replicas(view: &View, tier: Tier<'_>) -> i32 {
    let goal = i32::try_from(view.stateful_set_goal(tier)).unwrap_or(i32::MAX);
    let Some(now) = view.observed.stateful_set(tier.name).map(|s| s.replicas) else {
        return goal;
    };
    if goal >= now {
        return goal;
    }
    // Before there is a master any pod may be the one that is to be it.
    if view.authority.master.is_none() {
        return now;
    }
    let last = usize::try_from(now - 1).ok();
    let mut members = view.observed.members.iter();
    match last.and_then(|last| members.find(|m| is_at(m, tier, last))) {
        Some(last) if !is_free(view, last) => now,
        Some(_) | None => now - 1,
    }
}
