//! A role change under way: bootstrap of a new set, or the recorded master's role granted again.
//!
//! Its progress is seen in the world, never kept: an operator that is killed between any two steps leaves a state
//! from which [`proceed`] goes on. Nothing is granted to a pod without the data the set had.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::SignedDuration;

use super::founding::loaded;
use super::hold::Hold;
use super::quorum::{min_target, wait_target};
use super::replicas;
use super::roles::Roles;
use super::rules::{self, Rule};
use super::view::{View, target};
use super::{awaiting, emptiness, fate, handover, links, report};
use crate::api::status::{Elector, History, Identity, Operation, OperationKind, OperationReason, Quorum};
use crate::model::observed::Member;
use crate::model::plan::{Authority, Step};
use crate::model::redis::{Facts, RoleState, Seen};

/// How long a new master waits for the replicas that its min-replicas-to-write asks for.
const AWAIT_REPLICAS: SignedDuration = SignedDuration::from_secs(10);
/// Lineages that are remembered; a replica can not meet more (Redis keeps two).
const HISTORIES: usize = 10;

/// Names a pod master of a new epoch, before anything is done to it.
pub(super) fn begin(view: &View, member: &Member, kind: OperationKind, reason: OperationReason, epoch: i64) -> Roles {
    let before = view.authority.master.as_ref();
    let operation = Operation {
        kind,
        from: before.filter(|m| m.name != member.name).map(|m| m.name.clone()),
        to: member.name.clone(),
        source: None,
        epoch,
        reason,
        request_id: None,
        started_at: MicroTime(view.now),
        verdict: None,
    };
    name(view, member, operation)
}

/// Records that a pod is master of the epoch that an operation makes.
pub(super) fn name(view: &View, member: &Member, operation: Operation) -> Roles {
    let Some(identity) = member.identity() else {
        return Roles::held(Hold::WaitsForPods {
            pod: member.name.clone(),
            why: "its volume is not known yet".into(),
        });
    };
    let before = &view.authority;
    let pods = view.pods();
    let (kind, epoch, reason) = (operation.kind, operation.epoch, operation.reason);
    let authority = Authority {
        epoch,
        electors: with_master(&before.electors, &identity),
        quorum: Some(Quorum {
            wait: before.quorum.map_or(wait_target(pods), |q| q.wait),
            min_replicas_to_write: 0,
            degraded: min_target(pods) > 0,
        }),
        histories: before.histories.clone(),
        master: Some(identity),
        operation: Some(operation),
        pending_fences: before.pending_fences.clone(),
        fenced: before.fenced.clone(),
        failovers: report::so_far(view),
    };
    Roles::steps(vec![Step::Record {
        authority,
        why: format!("{kind} of {} in epoch {epoch} ({reason})", member.name),
    }])
}

/// The electors with the master among them, as the process it is now.
pub(super) fn with_master(electors: &[Elector], master: &Identity) -> Vec<Elector> {
    let entry = Elector {
        name: master.name.clone(),
        uid: master.uid.clone(),
        volume: master.volume.clone(),
        learner: false,
        entered_with: None,
    };
    let others = electors.iter().filter(|e| e.volume != master.volume).cloned();
    std::iter::once(entry).chain(others).collect()
}

/// The recorded master does not serve and no role change is under way: its data is granted again, never empty.
pub(super) fn grant_again(view: &View) -> Roles {
    let member = match awaited(view) {
        Ok(member) => member,
        Err(hold) => return Roles::held(hold),
    };
    let facts = match ready(view, member) {
        Ok(facts) => facts,
        Err(hold) => return Roles::held(hold),
    };
    // A bare master of this very epoch lost only its min-replicas-to-write.
    if facts.state() == RoleState::Bare && is_recorded_process(view, member) && has_history(view, facts) {
        return arm(view, member);
    }
    let others_down = view
        .others()
        .all(|m| m.facts().is_none_or(|f| f.state() == RoleState::Fenced));
    let reason = match (is_recorded_process(view, member), others_down) {
        (false, _) => OperationReason::PodGone,
        (true, true) => OperationReason::ColdStart,
        (true, false) => OperationReason::Restarted,
    };
    begin(
        view,
        member,
        OperationKind::Grant,
        reason,
        view.authority.epoch.saturating_add(1),
    )
}

/// A demoted master that holds the most takes its role again, under a new epoch.
pub(super) fn grant_back(view: &View, old: &Member) -> Roles {
    begin(
        view,
        old,
        OperationKind::Grant,
        OperationReason::Restarted,
        view.authority.epoch.saturating_add(1),
    )
}

/// Goes on with what is under way.
pub(super) fn proceed(view: &View, under_way: &Operation) -> Roles {
    if under_way.kind.is_handover() {
        return handover::promote(view, under_way);
    }
    if let Some(roles) = awaiting::interrupted(view, under_way) {
        return roles;
    }
    let member = match awaited(view) {
        Ok(member) => member,
        Err(hold) => return Roles::held(hold),
    };
    if let Some((_, facts, min)) = view.serving() {
        return finish(view, member, facts, min, under_way);
    }
    let facts = match ready(view, member) {
        Ok(facts) => facts,
        Err(hold) => return Roles::held(hold),
    };
    // The process it was begun for is gone: what it had done is gone with it.
    if !is_recorded_process(view, member) {
        return begin(
            view,
            member,
            under_way.kind,
            OperationReason::PodGone,
            view.authority.epoch.saturating_add(1),
        );
    }
    match facts.state() {
        RoleState::Bare if !has_history(view, facts) => Roles::steps(vec![record_history(view, facts)]),
        RoleState::Bare => match under_way.kind {
            OperationKind::Bootstrap => await_replicas(view, member, facts, under_way),
            OperationKind::Grant | OperationKind::Failover | OperationKind::Switchover => {
                end_of_the_old(view, member, under_way).unwrap_or_else(|| arm(view, member))
            }
        },
        RoleState::Fenced | RoleState::Attached { .. } | RoleState::Armed { .. } => {
            Roles::waiting(target(member).map(|to| Step::Bare { to }).into_iter().collect())
        }
    }
}

/// A pod that was deleted by force may live on and take writes for as long as replicas acknowledge them. So before its
/// successor takes any, whoever may still follow it is detached, and the time passes after which it fences itself.
fn end_of_the_old(view: &View, member: &Member, under_way: &Operation) -> Option<Roles> {
    if under_way.reason != OperationReason::PodGone || !rules::holds(Rule::TheOldEndsFirst) {
        return None;
    }
    let ip = member.pod.as_ref().and_then(|p| p.ip.as_deref());
    let follows_another = |f: &Facts| match f.state() {
        RoleState::Attached { host } => Some(host.as_str()) != ip,
        RoleState::Fenced | RoleState::Bare | RoleState::Armed { .. } => false,
    };
    let attached = view
        .others()
        .filter(|m| m.facts().is_some_and(|f| f.loading.is_none() && follows_another(f)));
    let fences: Vec<_> = attached.filter_map(target).map(|to| Step::Fence { to }).collect();
    if !fences.is_empty() {
        return Some(Roles::waiting(fences));
    }
    (view.since(under_way.started_at.0) < fate::self_fence(view)).then(|| Roles::waiting(Vec::new()))
}

/// A new set's master waits until k replicas hold everything, so that its first write can be confirmed.
fn await_replicas(view: &View, member: &Member, facts: &Facts, under_way: &Operation) -> Roles {
    let attach = replicas::decide(view, member, facts, 0);
    if !attach.steps.is_empty() {
        return attach;
    }
    let want = min_target(view.pods());
    let holders = view.others().filter(|m| view.holds_everything(m, facts)).count();
    let in_time = view.since(under_way.started_at.0) < AWAIT_REPLICAS;
    if holders < want as usize && in_time {
        return Roles::waiting(Vec::new());
    }
    let quorum = view.authority.quorum.unwrap_or_default();
    let reached = if holders >= want as usize { want } else { 0 };
    if quorum.min_replicas_to_write != reached {
        let quorum = Quorum {
            min_replicas_to_write: reached,
            degraded: reached < want,
            ..quorum
        };
        let authority = Authority {
            quorum: Some(quorum),
            ..view.authority.clone()
        };
        return Roles::steps(vec![Step::Record {
            authority,
            why: format!("{holders} replicas hold everything"),
        }]);
    }
    arm(view, member)
}

/// Takes writes with the number that is recorded as in force, once nobody hangs on it who has no vote.
pub(super) fn arm(view: &View, member: &Member) -> Roles {
    let tiers = links::take_back_of_tiers(view, member);
    if !tiers.is_empty() {
        return Roles::waiting(tiers);
    }
    let min = view.authority.quorum.map_or(0, |q| q.min_replicas_to_write);
    let step = target(member).map(|to| Step::Arm {
        to,
        min,
        epoch: view.authority.epoch,
    });
    Roles::waiting(step.into_iter().collect())
}

/// The master takes writes: once the VIP names it, nothing is left to do.
fn finish(view: &View, member: &Member, facts: &Facts, min: i32, under_way: &Operation) -> Roles {
    let attach = replicas::decide(view, member, facts, min);
    let vip = super::objects::vip_names(view, &member.name);
    if !vip {
        return Roles { waits: true, ..attach };
    }
    // A master that was awaited has a report, as it might have been replaced.
    let failovers = match &under_way.verdict {
        Some(_) => report::with(view, under_way, facts),
        None => view.authority.failovers.clone(),
    };
    let authority = Authority {
        operation: None,
        failovers,
        ..view.authority.clone()
    };
    Roles::steps(vec![Step::Record {
        authority,
        why: format!("{} serves, and the VIP names it", member.name),
    }])
}

/// Redis begins a new lineage by itself when a master without a backlog gets its first replica.
pub(super) fn new_lineage(view: &View, facts: &Facts) -> Option<Step> {
    (!has_history(view, facts)).then(|| record_history(view, facts))
}

fn record_history(view: &View, facts: &Facts) -> Step {
    // What did not go on from another lineage holds all its bytes itself, whatever their offsets.
    let began = facts.second_offset.map_or(0, |second| second.saturating_sub(1));
    let new = History {
        replid: facts.replid.clone(),
        began: i64::try_from(began).unwrap_or(i64::MAX),
        epoch: view.authority.epoch,
    };
    let histories = std::iter::once(new)
        .chain(view.authority.histories.iter().cloned())
        .take(HISTORIES)
        .collect();
    let authority = Authority {
        histories,
        ..view.authority.clone()
    };
    Step::Record {
        authority,
        why: format!("lineage {} begins at {began}", facts.replid),
    }
}

fn has_history(view: &View, facts: &Facts) -> bool {
    view.authority
        .histories
        .first()
        .is_some_and(|h| h.replid == facts.replid && h.epoch == view.authority.epoch)
}

pub(super) fn is_recorded_process(view: &View, member: &Member) -> bool {
    view.authority
        .master
        .as_ref()
        .is_some_and(|m| member.uid() == Some(m.uid.as_str()))
}

/// The member on the recorded master's volume, answering.
fn awaited<'a>(view: &View<'a>) -> Result<&'a Member, Hold> {
    let recorded = view.authority.master.as_ref();
    let name = recorded.map_or_else(String::new, |m| m.name.clone());
    let Some(member) = view.master() else {
        let why = match view.observed.member(&name).and_then(|m| m.claim.as_ref()) {
            Some(_) => "a new volume has its name",
            None => "no volume has its name",
        };
        return Err(emptiness::data_lost(view).unwrap_or(Hold::MasterGone {
            pod: name,
            why: why.into(),
        }));
    };
    if let (Seen::Unknown { since, error, .. }, Some(pod)) = (&member.redis, &member.pod)
        && pod.trouble.is_none()
        && pod.started.is_some()
    {
        return Err(Hold::MasterSilent {
            pod: member.name.clone(),
            since: *since,
            error: error.to_string(),
        });
    }
    Ok(member)
}

/// Whether the member has loaded the data that the set had.
pub(super) fn ready<'a>(view: &View, member: &'a Member) -> Result<&'a Facts, Hold> {
    let facts = match (loaded(member), member.facts()) {
        (Ok(facts), _) => facts,
        // A master that follows somebody was told so by a person; its data is still the set's.
        (Err(Hold::WaitsForPods { .. }), Some(facts)) if stays(member) && facts.loading.is_none() => facts,
        (Err(hold), _) => return Err(hold),
    };
    match emptiness::of_recorded(view, member, facts) {
        Some(hold) if rules::holds(Rule::NobodyEmpty) => Err(hold),
        Some(_) | None => Ok(facts),
    }
}

/// Whether the member's pod is not on its way out: a role given to it now would go with it.
fn stays(member: &Member) -> bool {
    member.pod.as_ref().is_some_and(|p| !p.deleting)
}
