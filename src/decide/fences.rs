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
    let mut authority = Authority {
        pending_fences: left,
        ..view.authority.clone()
    };
    for fence in pending.iter().filter(|fence| !open(fence)) {
        note_beyond(view, fence, &mut authority);
    }
    vec![Step::Record {
        authority,
        why: "former masters are fenced, or gone".into(),
    }]
}

/// What a former master took while another one was chosen stands in the report of that, or in the operation that becomes the
/// report, if its stream can still be told.
fn note_beyond(view: &View, fence: &PendingFence, authority: &mut Authority) {
    let process = view
        .observed
        .members
        .iter()
        .find(|m| m.uid() == Some(fence.uid.as_str()));
    let Some(facts) = process
        .and_then(Member::facts)
        .filter(|f| f.state() == RoleState::Fenced)
    else {
        return;
    };
    let reports = authority.failovers.iter_mut().filter(|r| r.from == fence.name);
    let reports = reports.map(|r| (r.epoch, &mut r.verdict));
    let under_way = authority
        .operation
        .iter_mut()
        .filter(|o| o.from.as_ref() == Some(&fence.name));
    let under_way = under_way.filter_map(|o| Some((o.epoch, o.verdict.as_mut()?)));
    let later = reports.chain(under_way).filter(|(epoch, _)| *epoch > fence.epoch);
    let Some((_, verdict)) = later.min_by_key(|(epoch, _)| *epoch) else {
        return;
    };
    if let (Some(old), Some(new)) = (&verdict.old_history, &verdict.new_history)
        && facts.replid == old.replid
    {
        let held = i64::try_from(facts.offset).unwrap_or(i64::MAX);
        verdict.zombie_bytes = Some(held.saturating_sub(new.offset).max(0));
    }
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
