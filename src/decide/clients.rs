//! Applications' connections to a former master: they are closed until all come through the VIP to the new one.
//!
//! A client that never reads what an error says would else be refused by its old connection for ever.

use k8s_openapi::jiff::SignedDuration;

use super::view::{View, target};
use crate::api::status::Role;
use crate::model::observed::Member;
use crate::model::plan::Step;

/// Between two cuts: clients come back through the VIP, and until that has moved everywhere it leads some of them back.
const CUT_AGAIN: SignedDuration = SignedDuration::from_millis(200);
/// For so long after the EndpointSlices show the new master, clients may still come to the old one through the VIP: a kube-proxy
/// that has just written its rules waits a second (its `minSyncPeriod`) before it writes them again, which takes a
/// while on a busy node; and who was sent to a pod that did not answer sends again a second later, by the old rules.
const VIP_SETTLES: SignedDuration = SignedDuration::from_secs(3);
/// For so long a node remembers where an attempt went that nobody answered (`nf_conntrack_tcp_timeout_syn_sent`). A new
/// attempt from the same port goes there too, whatever the rules of kube-proxy say by then. Seen on the testbed: a client
/// that connected in vain while the master was cut off came to it again for seconds after the VIP had moved.
const STRAYS: SignedDuration = SignedDuration::from_secs(120);

/// Whether anybody is being cut off from a former master, which no event announces the end of.
pub(super) fn are_leaving(view: &View) -> bool {
    let mut members = view.observed.members.iter();
    members.any(|m| have_left(view, m) == Some(false))
}

/// Whether a former master may still get clients who believe that they can write there.
pub(super) fn may_stray(view: &View) -> bool {
    let mut members = view.observed.members.iter();
    members.any(|m| is_replica(m) && is_recent(view, m))
}

/// Of a former master that answers and is no replica yet by its label, also if its process is a new one: whether the clients
/// that held a connection to it were cut off once more after the VIP had moved everywhere. It serves no reads before, as a
/// client that reads there may believe that it can write there.
pub(super) fn have_left(view: &View, member: &Member) -> Option<bool> {
    let recorded = view.authority.master.as_ref()?.uid.as_str();
    if is_replica(member) || member.uid() == Some(recorded) || !was_master(view, member) {
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
    Some(cut.is_some_and(|cut| moved.is_some_and(|moved| cut.at >= moved + VIP_SETTLES)))
}

/// Closes them if it is time to; `left` is what [`have_left`] says.
pub(super) fn cut_off(view: &View, member: &Member, left: Option<bool>) -> Option<Step> {
    if left != Some(false) && !has_strays(view, member) {
        return None;
    }
    let facts = member.facts()?;
    let last = view.observed.cut_off.get(&facts.run_id);
    if last.is_some_and(|cut| view.since(cut.at) < CUT_AGAIN) {
        return None;
    }
    target(member).map(|to| Step::KillClients {
        to,
        refused: facts.refused_writes,
    })
}

/// Whether writes were refused since the last cut by one that serves reads by now.
fn has_strays(view: &View, member: &Member) -> bool {
    let Some(facts) = member.facts() else { return false };
    let cut = view.observed.cut_off.get(&facts.run_id);
    is_replica(member) && is_recent(view, member) && cut.is_some_and(|cut| facts.refused_writes > cut.refused)
}

fn is_replica(member: &Member) -> bool {
    let role = member.pod.as_ref().and_then(|p| p.role.as_deref());
    role == Some(Role::Replica.as_str())
}

/// Whether a pod handed over or was replaced, as far as status goes back; a label alone may be somebody's edit.
fn was_master(view: &View, member: &Member) -> bool {
    let under_way = view.authority.operation.as_ref().and_then(|o| o.from.as_deref());
    let mut reports = view.authority.failovers.iter();
    under_way == Some(member.name.as_str()) || reports.any(|r| r.from == member.name)
}

fn is_recent(view: &View, member: &Member) -> bool {
    let mut reports = view.authority.failovers.iter();
    reports.any(|r| r.from == member.name && view.since(r.finished_at.0) < STRAYS)
}
