//! Labels, gates and marks that follow from what was seen: for the read Service, disruption budgets, and the day when
//! status is lost. Never a change of role.

use k8s_openapi::jiff::SignedDuration;

use super::sync;
use super::view::{View, target};
use crate::api::status::{MemberState, Role};
use crate::model::observed::{Member, PodFacts};
use crate::model::plan::Step;
use crate::names;

pub(super) fn decide(view: &View) -> Vec<Step> {
    view.observed
        .members
        .iter()
        .flat_map(|member| of_member(view, member))
        .collect()
}

fn of_member(view: &View, member: &Member) -> Vec<Step> {
    let left = is_left_by_clients(view, member);
    let mut steps = Vec::new();
    if left == Some(false) {
        steps.extend(cut_off(view, member));
    }
    let Some(pod) = member.pod.as_ref().filter(|p| !p.deleting) else {
        return steps;
    };
    let state = sync::state(view, member);
    let role = role(view, member, state);
    let in_sync = role == Role::Replica && sync::may_serve_reads(state);
    let differs = pod.role.as_deref() != Some(role.as_str()) || pod.in_sync != in_sync;
    if differs && left != Some(false) {
        steps.push(Step::Label {
            pod: member.name.clone(),
            uid: pod.uid.clone(),
            role,
            in_sync,
        });
    }
    steps.extend(gate(member, pod, state));
    steps.extend(mark(view, member, role));
    steps
}

/// Between two cuts: clients come back through the VIP, and until that has moved everywhere it leads some of them back.
const CUT_AGAIN: SignedDuration = SignedDuration::from_millis(200);
/// For so long after the EndpointSlices show the new master, clients may still come to the old one through the VIP: a kube-proxy
/// that has just written its rules waits a second (its `minSyncPeriod`) before it writes them again, which takes a
/// while on a busy node; and who was sent to a pod that did not answer sends again a second later, by the old rules.
const VIP_SETTLES: SignedDuration = SignedDuration::from_secs(3);

/// Whether anybody is being cut off from a former master, which no event announces the end of.
pub(super) fn cuts_off(view: &View) -> bool {
    let mut members = view.observed.members.iter();
    members.any(|m| is_left_by_clients(view, m) == Some(false))
}

/// Of a former master that answers and is no replica yet by its label, also if its process is a new one: whether the clients
/// that held a connection to it were cut off once more after the VIP had moved everywhere. Who comes later was not led there
/// by the VIP. It serves no reads before, as a client that reads there may believe that it can write there.
fn is_left_by_clients(view: &View, member: &Member) -> Option<bool> {
    let is_replica = member.pod.as_ref()?.role.as_deref() == Some(Role::Replica.as_str());
    let recorded = view.authority.master.as_ref()?.uid.as_str();
    if is_replica || member.uid() == Some(recorded) || !was_master(view, member) {
        return None;
    }
    let facts = member.facts().filter(|f| f.loading.is_none())?;
    let endpoints = view.observed.status.endpoints.as_ref();
    let shown = endpoints.and_then(|e| e.converged_at.as_ref()).map(|at| at.0);
    let reported = view.authority.failovers.first().map(|r| r.finished_at.0);
    let moved = shown
        .max(reported)
        .filter(|_| shown.is_some() && view.authority.operation.is_none());
    let cut = view.observed.cut_off.get(&facts.run_id);
    Some(cut.is_some_and(|at| moved.is_some_and(|moved| *at >= moved + VIP_SETTLES)))
}

/// Whether a pod handed over or was replaced, as far as status goes back; a label alone may be somebody's edit.
fn was_master(view: &View, member: &Member) -> bool {
    let under_way = view.authority.operation.as_ref().and_then(|o| o.from.as_deref());
    let mut reports = view.authority.failovers.iter();
    under_way == Some(member.name.as_str()) || reports.any(|r| r.from == member.name)
}

fn cut_off(view: &View, member: &Member) -> Option<Step> {
    let last = member.facts().and_then(|f| view.observed.cut_off.get(&f.run_id));
    if last.is_some_and(|at| view.since(*at) < CUT_AGAIN) {
        return None;
    }
    target(member).map(|to| Step::KillClients { to })
}

/// The role as the label has it. A pod that is silent keeps what it had: the label is no authority.
pub(super) fn role(view: &View, member: &Member, state: MemberState) -> Role {
    if view.is_fenced(&member.name) {
        return Role::Fenced;
    }
    let had = member.pod.as_ref().and_then(|p| p.role.as_deref());
    let kept = [Role::Master, Role::Replica, Role::Fenced]
        .into_iter()
        .find(|r| Some(r.as_str()) == had);
    let is_master = view.master().is_some_and(|m| m.ordinal == member.ordinal);
    match state {
        MemberState::Serving => Role::Master,
        MemberState::InSync | MemberState::Lagging | MemberState::Syncing | MemberState::LinkDown => Role::Replica,
        MemberState::Unreachable => kept.filter(|r| (*r == Role::Master) == is_master).unwrap_or_default(),
        MemberState::Fenced
        | MemberState::Diverged
        | MemberState::Loading
        | MemberState::Starting
        | MemberState::Gone => Role::Fenced,
    }
}

/// The readiness gate: in sync, or the master that takes writes.
fn gate(member: &Member, pod: &PodFacts, state: MemberState) -> Option<Step> {
    let (ready, message) = match state {
        MemberState::Serving => (true, "the master takes writes"),
        MemberState::InSync => (true, "in sync with the master"),
        MemberState::Lagging => (false, "further behind the master than services.replicas.maxLag"),
        MemberState::Syncing => (false, "a full resync is under way"),
        MemberState::LinkDown => (false, "the link to the master is down"),
        MemberState::Loading => (false, "Redis loads its data"),
        MemberState::Fenced => (false, "waits for a role"),
        MemberState::Diverged => (false, "has writes that nobody else has, and waits for a person"),
        MemberState::Unreachable => (false, "does not answer the operator"),
        MemberState::Starting | MemberState::Gone => return None,
    };
    (pod.gate != Some(ready)).then(|| Step::Gate {
        pod: member.name.clone(),
        uid: pod.uid.clone(),
        ready,
        message: message.to_owned(),
    })
}

/// Epoch and role on the claim. Only a settled role is written, and never an epoch below the one that stands there.
fn mark(view: &View, member: &Member, role: Role) -> Option<Step> {
    let claim = member.claim.as_ref()?;
    let epoch = view.authority.epoch;
    if view.authority.master.is_none() || role == Role::Fenced || claim.epoch.is_some_and(|e| e > epoch) {
        return None;
    }
    let stands = claim.epoch == Some(epoch) && claim.role.as_deref() == Some(role.as_str());
    (!stands).then(|| Step::Mark {
        claim: names::claim(&member.name),
        uid: claim.uid.clone(),
        epoch,
        role,
    })
}
