//! A person names who takes over, where the rules refuse: without votes, and without a proof that the old master is dead.
//!
//! What stays in force: whoever answers follows nobody before anybody is named, the time passes after which a silent master
//! has fenced itself, the choice is recorded before its first effect, and the old master is fenced as soon as it answers.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

use super::fate::{self, Fate};
use super::hold::Hold;
use super::lineage::{self, Position};
use super::quorum::min_target;
use super::roles::Roles;
use super::view::{View, supported};
use super::{election, failover, handover, report};
use crate::api::status::{FailoverReport, Operation, OperationKind, OperationReason, Point, Proof, Quorum, Verdict};
use crate::model::observed::Member;
use crate::model::plan::{Authority, Step};
use crate::model::redis::Facts;

/// Requests whose word stands in for votes, as operations name them.
pub(super) const FORCE: &str = "force-failover";
pub(super) const ACCEPT: &str = "accept-data-loss";

/// How far it is with what a request asked for.
pub(super) enum Stage<'a> {
    /// It was done.
    Reported(&'a FailoverReport),
    /// It is being done.
    UnderWay,
    /// Nothing was begun for it, or not what is being done now.
    Open,
}

pub(super) fn stage<'a>(view: &'a View, request: &str, value: &str) -> Stage<'a> {
    let id = Some(id(request, value));
    let mut reports = view.authority.failovers.iter();
    match reports.find(|r| r.request_id == id) {
        Some(report) => Stage::Reported(report),
        None if view.authority.operation.as_ref().is_some_and(|o| o.request_id == id) => Stage::UnderWay,
        None => Stage::Open,
    }
}

/// Id of an operation that a request began.
pub(super) fn id(request: &str, value: &str) -> String {
    format!("{request}={value}")
}

/// Whether a person named who takes over in this operation.
pub(super) fn is_named(under_way: &Operation) -> bool {
    let of = |id: &String| [FORCE, ACCEPT].iter().any(|name| id.starts_with(name));
    under_way.request_id.as_ref().is_some_and(of)
}

/// What shows that the old master takes no more writes, if anything does; nothing at all while it may be only slow.
pub(super) fn proof(view: &View) -> Option<Proof> {
    match fate::of_master(view) {
        Fate::Lives => None,
        Fate::Ended { proof, .. } => Some(proof),
        Fate::Silent { .. } | Fate::Gone => Some(Proof::None),
    }
}

/// Why a pod can not be named, if so.
pub(super) fn unfit(view: &View, member: &Member) -> Option<String> {
    if !member.is_core() {
        return Some(format!("is of tier {}, whose pods never become master", member.tier));
    }
    let Some(facts) = member.facts() else {
        return Some("does not answer".into());
    };
    if view.is_fenced(&member.name) {
        return Some("is fenced by request: unfence it first".into());
    }
    if facts.loading.is_some() {
        return Some("loads its data".into());
    }
    if !supported(facts) {
        return Some(format!("runs {:?} {}, which is too old", facts.engine, facts.version));
    }
    if facts.replica_link().is_some_and(|link| link.syncing) {
        return Some("is in a full resync, and holds neither the old data nor the new".into());
    }
    if member.pod.as_ref().is_none_or(|p| p.deleting) || member.claim.is_none() {
        return Some("is being deleted, or has no volume".into());
    }
    None
}

/// How good what a pod has is, as far as that can be told: by its place in the history, else by the epoch its volume carries
/// and the number of its keys.
pub(super) fn worth(view: &View, member: &Member) -> (Option<Position>, Option<i64>, u64) {
    let facts = member.facts();
    let position = facts.and_then(|f| lineage::position(view, f));
    let epoch = member.claim.as_ref().and_then(|c| c.epoch);
    (position, epoch, facts.map_or(0, |f| f.keys))
}

/// Goes on towards a pod that was named, one step at a time.
pub(super) fn proceed(view: &View, member: &Member, facts: &Facts, proof: Proof, id: &str) -> Roles {
    let under_way = view.authority.operation.as_ref();
    if under_way.is_none_or(|o| o.request_id.as_deref() != Some(id)) {
        let verdict = Verdict {
            witnesses: fate::witnesses(view).0,
            ..Verdict::default()
        };
        let intent = failover::intent(view, OperationReason::Requested, verdict, Some(id));
        return Roles::steps(vec![intent]);
    }
    let detach = failover::detach(view);
    if !detach.is_empty() {
        return Roles::waiting(detach);
    }
    if proof == Proof::None
        && let Some(until) = self_fences_until(view)
    {
        let pod = view
            .authority
            .master
            .as_ref()
            .map_or("", |m| m.name.as_str())
            .to_owned();
        return Roles {
            wake: Some(until),
            ..Roles::waiting_for(Hold::FenceWait { pod, until })
        };
    }
    Roles::steps(vec![name(view, member, facts, proof, id)])
}

/// Until when a silent master may take writes of those whom its replicas, as far as they answer, do not acknowledge any more.
fn self_fences_until(view: &View) -> Option<Timestamp> {
    let until = failover::last_detached(view) + fate::self_fence(view);
    (view.now < until).then_some(until)
}

/// Records who takes over. Nobody may be left who could acknowledge, so it takes writes without a minimum at first.
fn name(view: &View, member: &Member, facts: &Facts, proof: Proof, id: &str) -> Step {
    let (witnesses, _) = fate::witnesses(view);
    let before = view.authority.operation.as_ref();
    let witnesses = before
        .and_then(|o| o.verdict.as_ref())
        .map_or(witnesses, |v| v.witnesses);
    let mut verdict = report::verdict(view, facts, proof, witnesses, election::count(view).positions());
    verdict.old_history = last_known(view).or(verdict.old_history);
    let lost = loss(view, &verdict);
    let operation = Operation {
        kind: OperationKind::Failover,
        from: view.authority.master.as_ref().map(|m| m.name.clone()),
        to: member.name.clone(),
        source: None,
        epoch: view.authority.epoch.saturating_add(1),
        reason: OperationReason::Requested,
        request_id: Some(id.to_owned()),
        started_at: before.map_or_else(|| MicroTime(view.now), |o| o.started_at.clone()),
        verdict: Some(verdict),
    };
    let mut authority: Authority = handover::handed_over(view, member, operation);
    authority.quorum = Some(Quorum {
        min_replicas_to_write: 0,
        degraded: min_target(view.pods()) > 0,
        ..view.authority.quorum.unwrap_or_default()
    });
    if proof == Proof::None {
        authority.pending_fences.extend(failover::pending_fence(view));
    }
    let why = format!("{} takes over ({id}, {proof}), {lost}", member.name);
    Step::Record { authority, why }
}

/// The end of the set's stream as far as anybody saw it: at the old master itself, or when the mark was renewed.
fn last_known(view: &View) -> Option<Point> {
    let known = |replid: &str| view.authority.histories.iter().any(|h| h.replid == replid);
    let last = view.master().and_then(|m| m.redis.last_facts()).map(|f| Point {
        replid: f.replid.clone(),
        offset: i64::try_from(f.offset).unwrap_or(i64::MAX),
    });
    let mark = view.observed.status.high_water_mark.as_ref().map(|m| Point {
        replid: m.replid.clone(),
        offset: m.offset,
    });
    let points = last.into_iter().chain(mark);
    points.filter(|p| known(&p.replid)).max_by_key(|p| p.offset)
}

/// What is lost, in words. Without a bound: what the set was seen to have and the named pod is not known to hold, which what
/// nobody saw comes on top of.
pub(super) fn loss(view: &View, verdict: &Verdict) -> String {
    let known = |p: &&Point| view.authority.histories.iter().any(|h| h.replid == p.replid);
    let held = verdict.new_history.as_ref().filter(known).map_or(0, |p| p.offset);
    match (verdict.max_lost_bytes, &verdict.old_history) {
        (None, Some(end)) => {
            let seen = end.offset.saturating_sub(held).max(0);
            format!("{seen} bytes that were seen are lost, and what came after them")
        }
        (most, _) => report::loss(most),
    }
}
