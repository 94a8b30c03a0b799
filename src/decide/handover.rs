//! Another pod becomes master: it is promoted, armed beside its siblings' attaches, and reported once the VIP leads to it.
//!
//! Who that is was chosen by [`failover`] or [`switchover`](super::switchover), and is recorded before anything here is done.

use k8s_openapi::jiff::SignedDuration;

use super::operation::{arm, grant_again, is_recorded_process, new_lineage, with_master};
use super::replicas::{self, continues};
use super::roles::Roles;
use super::view::{View, target};
use super::{failover, lineage, links, objects, report, status, sync, takeover, tree};
use crate::api::status::Operation;
use crate::model::observed::{Mark, Member};
use crate::model::plan::{Authority, Step};
use crate::model::redis::{Facts, RoleState};

/// How long a report waits for the EndpointSlices and the replicas.
const SETTLE: SignedDuration = SignedDuration::from_secs(3);
/// How long a new master takes no writes for the sake of its children. Each comes along within milliseconds, or the few times
/// that a message takes to where it is; one that hangs is left behind, for a full resync.
const COME_ALONG: SignedDuration = SignedDuration::from_millis(500);

/// The authority once another pod has taken over.
pub(super) fn handed_over(view: &View, winner: &Member, operation: Operation) -> Authority {
    let before = &view.authority;
    let master = winner.identity();
    Authority {
        epoch: operation.epoch,
        electors: master
            .as_ref()
            .map_or_else(|| before.electors.clone(), |m| with_master(&before.electors, m)),
        master,
        operation: Some(operation),
        failovers: report::so_far(view),
        ..before.clone()
    }
}

/// A pod takes over whose position was the largest: its data is not judged again. It is armed and its siblings are attached
/// side by side; with a minimum it takes its first write when so many have.
pub(super) fn promote(view: &View, under_way: &Operation) -> Roles {
    if let (Some(master), Some((_, facts, min))) = (view.master(), view.serving()) {
        return close(view, master, facts, min, under_way);
    }
    let recorded = view.master().filter(|m| is_recorded_process(view, m));
    let Some((member, facts)) = recorded.and_then(|m| Some((m, m.facts()?))) else {
        return failover::decide(view).unwrap_or_else(|| grant_again(view));
    };
    match facts.state() {
        _ if facts.loading.is_some() => failover::decide(view).unwrap_or_else(|| grant_again(view)),
        RoleState::Bare => {
            let attach = replicas::decide(view, member, facts, 0);
            let records = attach.steps.iter().any(|s| matches!(s, Step::Record { .. }));
            let mut attach = if records { Vec::new() } else { attach.steps };
            // Clients wait for this one, and for nothing that tiers need.
            attach.retain(|step| !matches!(step, Step::Attach { child, .. } if !view.is_core_name(&child.name)));
            let mut roles = come_along(view, member, facts).unwrap_or_else(|| arm(view, member));
            roles.steps.extend(attach);
            roles
        }
        // Another process than the one that was chosen: it has what its file has.
        RoleState::Fenced if lineage::position(view, facts).is_none() && !takeover::is_named(under_way) => {
            failover::decide(view).unwrap_or_else(|| grant_again(view))
        }
        RoleState::Fenced | RoleState::Attached { .. } | RoleState::Armed { .. } => {
            let former = links::take_back(view, member);
            if !former.is_empty() {
                return Roles::waiting(former);
            }
            Roles::waiting(target(member).map(|to| Step::Bare { to }).into_iter().collect())
        }
    }
}

/// The children of the pod that takes over, as long as they are awaited in its lineage: by a partial resync they get there by
/// themselves. One that was cut off before could go on from the lineage before only where somebody else went through its place.
fn come_along(view: &View, winner: &Member, facts: &Facts) -> Option<Roles> {
    let named = view.observed.marks.get(&Mark::Named).copied();
    named.filter(|at| view.since(*at) < COME_ALONG)?;
    let is_late = |child: &Facts| {
        let is_there = child.replid == facts.replid && sync::linked(child);
        let goes_on = child.loading.is_none() && continues(child, facts);
        goes_on && !is_there && tree::parent(view, child).is_some_and(|parent| parent.is(winner))
    };
    let late = links::children_of_tiers(view, facts).filter(|m| m.facts().is_some_and(is_late));
    let steps: Vec<_> = late
        .filter_map(target)
        .map(|to| Step::ComeAlong {
            to,
            lineage: facts.replid.clone(),
        })
        .collect();
    (!steps.is_empty()).then(|| Roles::waiting(steps))
}

/// The new master takes writes. The report is made once the VIP leads to it and its replicas hang under it, or after a
/// while without.
fn close(view: &View, master: &Member, facts: &Facts, min: i32, under_way: &Operation) -> Roles {
    if let Some(step) = new_lineage(view, facts) {
        return Roles::steps(vec![step]);
    }
    let attach = replicas::decide(view, master, facts, min);
    if !attach.steps.is_empty() {
        return attach;
    }
    let vip = objects::vip_names(view, &master.name);
    let led = vip && status::converged(view);
    let hangs = |f: &Facts| f.loading.is_some() || sync::linked(f) || !continues(f, facts);
    let leaves = |m: &Member| view.is_fenced(&m.name) || m.pod.as_ref().is_none_or(|p| p.deleting);
    let settled = led && view.others().all(|m| leaves(m) || m.facts().is_none_or(hangs));
    let armed = view
        .observed
        .marks
        .get(&Mark::Armed)
        .copied()
        .unwrap_or(under_way.started_at.0);
    if !vip || !settled && view.since(armed) < SETTLE {
        return Roles::waiting(Vec::new());
    }
    let authority = Authority {
        operation: None,
        failovers: report::with(view, under_way, facts),
        ..view.authority.clone()
    };
    Roles::steps(vec![Step::Record {
        authority,
        why: format!("{} serves, and the VIP leads to it", master.name),
    }])
}
