//! Former masters that were not seen dead or demoted when they were replaced: each is fenced as soon as it answers.
//!
//! They stand in status until that was seen, whichever operator leads.

use super::fate;
use super::view::{View, target};
use crate::api::status::PendingFence;
use crate::model::observed::Member;
use crate::model::plan::{Authority, Step};
use crate::model::redis::RoleState;

/// What became of one of them.
enum Delivery<'a> {
    /// It answers and may take writes.
    Due(&'a Member),
    /// It answered fenced or attached, is dead, or its pod is gone: nothing is left that could be reached.
    Done,
    /// It does not answer.
    Waits,
}

/// The next step towards having none; several are fenced side by side.
pub(super) fn decide(view: &View) -> Vec<Step> {
    let pending = &view.authority.pending_fences;
    let due: Vec<_> = pending
        .iter()
        .filter_map(|fence| match delivery(view, fence) {
            Delivery::Due(member) => target(member),
            Delivery::Done | Delivery::Waits => None,
        })
        .map(|to| Step::Fence { to })
        .collect();
    if !due.is_empty() {
        return due;
    }
    let open = |fence: &&PendingFence| !matches!(delivery(view, fence), Delivery::Done);
    let left: Vec<_> = pending.iter().filter(open).cloned().collect();
    if left.len() == pending.len() {
        return Vec::new();
    }
    let authority = Authority {
        pending_fences: left,
        ..view.authority.clone()
    };
    vec![Step::Record {
        authority,
        why: "former masters are fenced, or gone".into(),
    }]
}

fn delivery<'a>(view: &View<'a>, fence: &PendingFence) -> Delivery<'a> {
    let process = view
        .observed
        .members
        .iter()
        .find(|m| m.uid() == Some(fence.uid.as_str()));
    let Some(member) = process else {
        return Delivery::Done;
    };
    let is_master = view.authority.master.as_ref().is_some_and(|m| m.uid == fence.uid);
    match member.facts() {
        _ if is_master => Delivery::Done,
        Some(facts) if facts.loading.is_some() => Delivery::Done,
        Some(facts) => match facts.state() {
            RoleState::Fenced | RoleState::Attached { .. } => Delivery::Done,
            RoleState::Bare | RoleState::Armed { .. } => Delivery::Due(member),
        },
        // Nobody is attached to it any more whose link could tell a dead process from a firewall that refuses.
        None if fate::has_ended(member) => Delivery::Done,
        None => Delivery::Waits,
    }
}

/// Whether a pod stands among them: that it takes writes is known, and no sign of a status that is behind.
pub(super) fn is_pending(view: &View, member: &Member) -> bool {
    view.authority
        .pending_fences
        .iter()
        .any(|f| member.uid() == Some(f.uid.as_str()))
}
