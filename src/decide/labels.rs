//! Labels, gates and marks that follow from what was seen: for the read Service, disruption budgets, and the day when
//! status is lost. Never a change of role.

use super::view::View;
use super::{clients, moving, sync};
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
    let left = clients::have_left(view, member);
    let mut steps: Vec<_> = clients::cut_off(view, member, left).into_iter().collect();
    let Some(pod) = member.pod.as_ref().filter(|p| !p.deleting) else {
        return steps;
    };
    let state = sync::shown(view, member);
    let role = role(view, member, state);
    let in_sync = role == Role::Replica && sync::serves_reads(view, member);
    let differs = pod.role.as_deref() != Some(role.as_str()) || pod.in_sync != in_sync;
    if differs && left != Some(false) {
        steps.push(Step::Label {
            pod: member.name.clone(),
            uid: pod.uid.clone(),
            role,
            in_sync,
        });
    }
    steps.extend(gate(member, pod, if in_sync { MemberState::InSync } else { state }));
    if state != MemberState::Fenced {
        steps.extend(mark(view, member, role));
    }
    steps
}

/// The role as the label has it. A pod that is silent keeps what it had: the label is no authority.
pub(super) fn role(view: &View, member: &Member, state: MemberState) -> Role {
    if view.is_fenced(&member.name) {
        return Role::Fenced;
    }
    if moving::is_moving(view, member) {
        return Role::Replica;
    }
    let had = member.pod.as_ref().and_then(|p| p.role.as_deref());
    let kept = [Role::Master, Role::Replica, Role::Fenced]
        .into_iter()
        .find(|r| Some(r.as_str()) == had);
    let is_master = view.is_master(member);
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
        MemberState::Lagging => (false, "further behind the master than the maxLag of its read Service"),
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
