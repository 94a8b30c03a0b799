//! Scaling in: one pod at a time, the highest ordinal first, never the master.
//!
//! A pod is locked out, leaves the electors, and only then the StatefulSet is made smaller by one.

use super::electors::may_leave;
use super::replicas::younger_looks;
use super::roles::Roles;
use super::switchover::{self, To};
use super::view::{View, target};
use crate::api::status::OperationReason;
use crate::model::cluster::Tier;
use crate::model::observed::Member;
use crate::model::plan::{Authority, Step};
use crate::model::redis::{Facts, RoleState};
use crate::names;

pub(super) fn decide(view: &View, master: &Member, facts: &Facts, _: i32) -> Roles {
    // The master is never scaled away: it hands over to a pod that stays.
    if master.ordinal as usize >= view.pods()
        && let Ok(target) = switchover::choose(view, facts, To::Below(view.pods()))
    {
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
    let Some(parent) = target(master) else {
        return Roles::default();
    };
    if facts.link_users.contains(&names::link_user(&victim.name)) {
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

/// The pod that goes next, while a StatefulSet has more than spec leads to.
fn victim<'a>(view: &View<'a>) -> Option<&'a Member> {
    view.cluster.tiers().find_map(|tier| {
        let now = usize::try_from(view.observed.stateful_set(tier.name)?.replicas).ok()?;
        let ordinal = (now > view.stateful_set_goal(tier)).then_some(now - 1)?;
        view.others().find(|m| is_at(m, tier, ordinal))
    })
}

fn is_at(member: &Member, tier: Tier<'_>, ordinal: usize) -> bool {
    member.tier == tier.name && member.ordinal as usize == ordinal
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
    let Some(last) = last.and_then(|last| members.find(|m| is_at(m, tier, last))) else {
        return now - 1;
    };
    let is_elector = last
        .claim
        .as_ref()
        .is_some_and(|c| view.authority.electors.iter().any(|e| e.volume == c.uid));
    let locked_out = view
        .serving()
        .is_some_and(|(_, facts, _)| !facts.link_users.contains(&names::link_user(&last.name)));
    if is_elector || !locked_out { now } else { now - 1 }
}
