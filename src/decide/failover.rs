//! The recorded master does not serve: a replica takes over, or a reason says why not.
//!
//! A dead master's replicas first take in what they still have of its stream, then detach, which is their vote. A silent
//! master is replaced only when its replicas do not hear it either, after the time in which it fences itself, and if too
//! few pods could still be under it. Nothing here makes anybody master: the choice is recorded, and `operation` goes on.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::election::{self, Election};
use super::fate::{self, Fate};
use super::hold::Hold;
use super::quorum::min_target;
use super::report;
use super::roles::Roles;
use super::rules::{self, Rule};
use super::view::{View, target};
use super::{awaiting, handover, lineage, operation, source};
use crate::api::WhenUnreachable;
use crate::api::status::{Elector, Operation, OperationKind, OperationReason, PendingFence, Proof, Verdict, Witnesses};
use crate::model::observed::Member;
use crate::model::plan::{Authority, Step};
use crate::model::redis::{Facts, RoleState};

/// How long a dead master's replicas may take in what is left of its stream. A link that stays up for longer says that the
/// master lives.
const DRAIN: SignedDuration = SignedDuration::from_millis(600);
/// Replicas that seem to hear a silent master are looked at this often, for so long: by then a link that only stands still has
/// been seen to, and a master that is heard may be silent for hours.
const DOUBT: SignedDuration = SignedDuration::from_secs(5);
const LOOK: SignedDuration = SignedDuration::from_millis(100);
/// How long votes that are missing are awaited beside a master that is back with what its file has.
const RETURN_WAIT: SignedDuration = SignedDuration::from_secs(10);

/// Decides about a master that does not serve; nothing if its fate calls for nothing here.
pub(super) fn decide(view: &View) -> Option<Roles> {
    match fate::of_master(view) {
        Fate::Lives => withdraw(view).or_else(|| awaiting::rest(view)),
        Fate::Ended { proof, since } => Some(ended(view, proof, since)),
        Fate::Silent { since, error } => Some(awaiting::rest(view).unwrap_or_else(|| silent(view, since, &error))),
        Fate::Gone => Some(gone(view)),
    }
}

/// An intent of which nothing came, as the master answers again: its replicas are attached to it as before.
fn withdraw(view: &View) -> Option<Roles> {
    let intent = view.authority.operation.as_ref().filter(|o| o.to.is_empty())?;
    let (master, facts, _) = view.serving()?;
    let authority = Authority {
        operation: None,
        histories: source::withdrawn(view, facts),
        ..view.authority.clone()
    };
    Some(Roles::steps(vec![Step::Record {
        authority,
        why: format!("{} answers again, the {} is withdrawn", master.name, intent.kind),
    }]))
}

/// Its process takes no writes: drain, detach, count.
fn ended(view: &View, proof: Proof, since: Timestamp) -> Roles {
    if view.others().next().is_none() {
        return operation::grant_again(view);
    }
    if let Some(roles) = source::proceed(view) {
        return roles;
    }
    let attached = |m: &&Member| {
        m.facts()
            .is_some_and(|f| f.loading.is_none() && may_follow_master(view, f))
    };
    let up = |f: &Facts| f.replica_link().is_some_and(|link| link.up);
    let draining: Vec<&Member> = view
        .others()
        .filter(attached)
        .filter(|m| m.facts().is_some_and(up))
        .collect();
    let late = |m: &&&Member| m.facts().is_some_and(|f| f.asked_at >= since + DRAIN);
    // Only a refused connection can be mistaken: the kubelet and another process in its place can not.
    let mistaken: Vec<_> = draining.iter().filter(late).map(|m| m.name.clone()).collect();
    if proof == Proof::ConnectionRefused && !mistaken.is_empty() && rules::holds(Rule::LinksVetoDeath) {
        return Roles::waiting_for(Hold::LinkStillUp { pods: mistaken });
    }
    let drains: Vec<_> = draining
        .iter()
        .filter(|m| !late(m))
        .filter_map(|m| target(m))
        .map(|to| Step::Drain { to })
        .collect();
    if !drains.is_empty() {
        return Roles::waiting(drains);
    }
    if let Some(awaited) = awaiting::decide(view, proof) {
        return awaited;
    }
    let detach = detach(view);
    if !detach.is_empty() {
        return Roles::waiting(detach);
    }
    let reason = match proof {
        Proof::ConnectionRefused | Proof::ContainerTerminated => OperationReason::ProcessDied,
        _ => OperationReason::Restarted,
    };
    let election = election::count(view);
    if election.suffices() && rules::holds(Rule::VotesBeforeTheFile) {
        return match election.winner(view) {
            Ok(winner) => choose(view, &election, winner, proof, Witnesses::default(), reason),
            Err(hold) => source::begin(view, &election, proof, Witnesses::default(), reason)
                .unwrap_or_else(|| own_data(view, &election, hold)),
        };
    }
    if let Some(step) = end_of_master(view, &election, proof, reason) {
        return Roles::steps(vec![step]);
    }
    own_data(view, &election, election.hold())
}

/// The votes do not suffice, and its process does not answer any more: that it was seen to end is recorded, as nothing else
/// will tell once its pod is gone. A person's word that is being followed says more.
fn end_of_master(view: &View, election: &Election, proof: Proof, reason: OperationReason) -> Option<Step> {
    let answers = view.master().is_some_and(|m| m.facts().is_some());
    let asked = view
        .authority
        .operation
        .as_ref()
        .is_some_and(|o| o.request_id.is_some());
    let known = answers || asked || fate::is_known_to_have_ended(view) || election.suffices();
    let verdict = Verdict {
        proof,
        ..Verdict::default()
    };
    (!known && may_have_confirmed(view)).then(|| intent(view, reason, verdict, None))
}

/// The votes do not suffice: the recorded master's own return is the source of last resort. Where some position is known,
/// what is missing is awaited for a while, as it may hold more than the master's file.
pub(super) fn own_data(view: &View, election: &Election, hold: Hold) -> Roles {
    let answers = view.master().and_then(Member::facts);
    let Some(facts) = answers.filter(|_| !view.settling()) else {
        return Roles::waiting_for(hold);
    };
    let back = view.master().and_then(|m| m.pod.as_ref()?.started).unwrap_or(view.now);
    if election.any_known() && facts.loading.is_none() && view.since(back) < RETURN_WAIT {
        return Roles {
            wake: Some(back + RETURN_WAIT),
            ..Roles::waiting_for(hold)
        };
    }
    operation::grant_again(view)
}

/// Silent without a proof of death.
fn silent(view: &View, since: Timestamp, error: &str) -> Roles {
    let pod = view.master().map_or_else(String::new, |m| m.name.clone());
    let (witnesses, hearing) = fate::witnesses(view);
    let policy = view.cluster.spec.failover.when_unreachable;
    let in_force = view.authority.quorum.filter(|_| rules::holds(Rule::MinIsState));
    let min = in_force.map_or_else(|| min_target(view.pods()), |q| q.min_replicas_to_write);
    let loose = loose(view);
    let unsure = min == 0 || loose.len() >= usize::try_from(min).unwrap_or(0);
    let refusal = if view.others().next().is_none() {
        Some(Hold::MasterSilent {
            pod,
            since,
            error: error.to_owned(),
        })
    } else if policy == WhenUnreachable::Never {
        Some(Hold::NeverByPolicy { pod, since })
    } else if !hearing.is_empty() && rules::holds(Rule::ReplicasAgree) {
        Some(Hold::WitnessesDisagree { pods: hearing })
    } else if let Some((last, until)) = cooling(view) {
        Some(Hold::CoolingDown { last, until })
    } else if policy == WhenUnreachable::Quorum && min == 0 {
        Some(Hold::TooFewPods { pod, since })
    } else if policy == WhenUnreachable::Quorum && unsure && rules::holds(Rule::OneWriter) {
        Some(Hold::QuorumMissing { pod, loose, min })
    } else {
        None
    };
    if let Some(hold) = refusal {
        let doubted = matches!(hold, Hold::WitnessesDisagree { .. }) && view.since(since) < DOUBT;
        return Roles {
            steps: if doubted { looks(view) } else { Vec::new() },
            wake: doubted.then_some(view.now + LOOK),
            ..Roles::waiting_for(hold)
        };
    }
    let proof = if unsure { Proof::None } else { Proof::FenceTimeElapsed };
    without_proof(view, proof, witnesses, OperationReason::Unreachable)
}

/// Looks at those replicas whose last look is no longer news.
fn looks(view: &View) -> Vec<Step> {
    let due = |f: &Facts| view.since(f.asked_at) >= LOOK;
    let due = view.others().filter_map(|m| Some((m, m.facts().filter(|f| due(f))?)));
    due.filter_map(|(m, facts)| {
        Some(Step::CatchUp {
            to: target(m)?,
            offset: facts.offset,
        })
    })
    .collect()
}

/// Its pod is gone. Without enough votes its volume is awaited, and what stands on it; but not if its process may have gone
/// on, and somebody was there to confirm what it took: that may be missing in its file.
fn gone(view: &View) -> Roles {
    if let Some(roles) = source::proceed(view) {
        return roles;
    }
    let prospect = election::prospect(view);
    if !prospect.suffices() {
        let ended = fate::is_known_to_have_ended(view) || !may_have_confirmed(view);
        return if ended || !rules::holds(Rule::NoFileBesideAReplica) {
            operation::grant_again(view)
        } else {
            Roles::waiting_for(prospect.hold_beside_a_file(view))
        };
    }
    let (witnesses, _) = fate::witnesses(view);
    without_proof(view, Proof::PodGone, witnesses, OperationReason::PodGone)
}

/// Whether a replica that answers has kept its place in the stream, or follows somebody: then the master had one that may have
/// confirmed writes, or stood beside another that did. After a restart of everybody nobody has.
fn may_have_confirmed(view: &View) -> bool {
    let kept = |f: &Facts| matches!(f.state(), RoleState::Attached { .. }) || lineage::position(view, f).is_some();
    view.master().is_some() && view.others().filter_map(Member::facts).any(kept)
}

/// Records the intent, takes the votes, waits until the old master has fenced itself, and counts.
fn without_proof(view: &View, proof: Proof, witnesses: Witnesses, reason: OperationReason) -> Roles {
    let prospect = election::prospect(view);
    if !prospect.suffices() {
        return Roles::waiting_for(prospect.hold());
    }
    let intended = fate::is_voting(view);
    if !intended {
        let verdict = Verdict {
            witnesses,
            ..Verdict::default()
        };
        return Roles::steps(vec![intent(view, reason, verdict, None)]);
    }
    let detach = detach(view);
    if !detach.is_empty() {
        return Roles::waiting(detach);
    }
    let until = last_detached(view) + fate::self_fence(view);
    if view.now < until && rules::holds(Rule::FenceWait) {
        let pod = view
            .authority
            .master
            .as_ref()
            .map_or_else(String::new, |m| m.name.clone());
        return Roles {
            wake: Some(until),
            ..Roles::waiting_for(Hold::FenceWait { pod, until })
        };
    }
    let election = election::count(view);
    if !election.suffices() {
        return Roles::waiting_for(election.hold());
    }
    let known = view.authority.operation.as_ref().and_then(|o| o.verdict.as_ref());
    let witnesses = known.map_or(witnesses, |v| v.witnesses);
    match election.winner(view) {
        Ok(winner) => choose(view, &election, winner, proof, witnesses, reason),
        Err(hold) => {
            source::begin(view, &election, proof, witnesses, reason).unwrap_or_else(|| Roles::waiting_for(hold))
        }
    }
}

/// When the last replica was detached, as far as they answer.
pub(super) fn last_detached(view: &View) -> Timestamp {
    let began = view.authority.operation.as_ref().map_or(view.now, |o| o.started_at.0);
    let fenced = view
        .others()
        .filter_map(Member::facts)
        .filter(|f| f.state() == RoleState::Fenced);
    fenced
        .map(|f| view.observed.detached.get(&f.run_id).copied().unwrap_or(view.now))
        .max()
        .unwrap_or(began)
}

/// Whether a replica takes in the recorded master's stream, as far as can be told. One that was not attached to it yet
/// follows the master before: its link says nothing about this one, and does not go down with it.
fn may_follow_master(view: &View, facts: &Facts) -> bool {
    let RoleState::Attached { host } = facts.state() else {
        return false;
    };
    let recorded = view.authority.master.as_ref().map(|m| m.uid.as_str());
    let process = view.observed.members.iter().find(|m| m.uid() == recorded);
    let ip = process.and_then(|m| m.pod.as_ref()?.ip.as_deref());
    ip.map_or(!source::is_at(view, &host), |ip| host == ip)
}

/// Detaches whoever follows somebody, or is a master of its own that nobody named.
pub(super) fn detach(view: &View) -> Vec<Step> {
    let loose = |f: &Facts| f.loading.is_none() && matches!(f.state(), RoleState::Attached { .. } | RoleState::Bare);
    view.others()
        .filter(|m| rules::holds(Rule::VoteIsADetach) && m.facts().is_some_and(loose))
        .filter_map(target)
        .map(|to| Step::Fence { to })
        .collect()
}

/// Electors that may still be under the old master and acknowledge its writes: neither do they answer, nor does the kubelet
/// say that they ended. A pod object that is gone proves nothing, nor does a refused connection while nobody can ask the
/// master whether their links are up.
fn loose(view: &View) -> Vec<String> {
    let master = view.authority.master.as_ref();
    let is_loose = |e: &&Elector| {
        let process = view.observed.members.iter().find(|m| m.uid() == Some(e.uid.as_str()));
        process.is_none_or(|m| m.facts().is_none() && !fate::has_ended(m))
    };
    let electors = view.authority.electors.iter();
    electors
        .filter(|e| master.is_none_or(|m| m.volume != e.volume))
        .filter(is_loose)
        .map(|e| e.name.clone())
        .collect()
}

/// Within the cooldown of the last unplanned failover: when that was, and until when. One whose master was silent before all
/// was done counts from its beginning; what has begun to replace that master goes on.
fn cooling(view: &View) -> Option<(Timestamp, Timestamp)> {
    if fate::is_voting(view) {
        return None;
    }
    let failover = |kind| kind == OperationKind::Failover;
    let under_way = view.authority.operation.as_ref();
    let unfinished = under_way.filter(|o| failover(o.kind) && o.epoch == view.authority.epoch);
    let mut reports = view.authority.failovers.iter();
    let last = match unfinished {
        Some(unfinished) => unfinished.started_at.0,
        None => reports.find(|r| failover(r.kind))?.finished_at.0,
    };
    let cooldown: std::time::Duration = view.cluster.spec.failover.cooldown.into();
    let until = last + SignedDuration::try_from(cooldown).unwrap_or(SignedDuration::MAX);
    (view.now < until).then_some((last, until))
}

/// Records that the master is to be replaced; who takes over is chosen later.
pub(super) fn intent(view: &View, reason: OperationReason, verdict: Verdict, request_id: Option<&str>) -> Step {
    let from = view.authority.master.as_ref().map(|m| m.name.clone());
    let awaited = awaiting::since(view).cloned();
    let authority = Authority {
        operation: Some(Operation {
            kind: OperationKind::Failover,
            from: from.clone(),
            to: String::new(),
            source: None,
            epoch: view.authority.epoch.saturating_add(1),
            reason,
            request_id: request_id.map(str::to_owned),
            started_at: awaited.unwrap_or(MicroTime(view.now)),
            verdict: Some(Verdict {
                proof: fate::known_end(view).unwrap_or(verdict.proof),
                ..verdict
            }),
        }),
        failovers: report::so_far(view),
        ..view.authority.clone()
    };
    Step::Record {
        authority,
        why: format!(
            "{} is to be replaced ({reason}); its replicas vote",
            from.unwrap_or_default()
        ),
    }
}

/// Records who takes over, before anything is done to it.
fn choose(
    view: &View,
    election: &Election,
    (winner, facts): (&Member, &Facts),
    proof: Proof,
    witnesses: Witnesses,
    reason: OperationReason,
) -> Roles {
    // The master itself holds the most: it was demoted by somebody, and its role is given again.
    if view.is_master(winner) {
        return operation::grant_back(view, winner);
    }
    let mut verdict = report::verdict(view, facts, proof, witnesses, election.positions());
    if let Some(known) = source::verdict(view, facts) {
        verdict.old_history.clone_from(&known.old_history);
        verdict.max_lost_bytes = known.max_lost_bytes;
    }
    let lost = verdict.max_lost_bytes;
    let before = view.authority.operation.as_ref();
    let started = before.filter(|o| o.kind == OperationKind::Failover && o.to.is_empty());
    let began = started
        .map(|o| &o.started_at)
        .or_else(|| awaiting::since(view))
        .cloned();
    let operation = Operation {
        kind: OperationKind::Failover,
        from: view.authority.master.as_ref().map(|m| m.name.clone()),
        to: winner.name.clone(),
        source: None,
        epoch: view.authority.epoch.saturating_add(1),
        reason,
        request_id: None,
        started_at: began.unwrap_or(MicroTime(view.now)),
        verdict: Some(verdict),
    };
    let mut authority = handover::handed_over(view, winner, operation);
    if matches!(proof, Proof::FenceTimeElapsed | Proof::None) && rules::holds(Rule::FencesAreRemembered) {
        authority.pending_fences.extend(pending_fence(view));
    }
    Roles::steps(vec![Step::Record {
        authority,
        why: format!("{} takes over ({reason}, {proof}), {}", winner.name, report::loss(lost)),
    }])
}

/// The old master, to be fenced as soon as it answers. The schema's 16 are more than a set can lose between two fences.
pub(super) fn pending_fence(view: &View) -> Option<PendingFence> {
    let old = view.authority.master.as_ref()?;
    Some(PendingFence {
        name: old.name.clone(),
        uid: old.uid.clone(),
        epoch: view.authority.epoch,
        since: Time(view.now),
    })
}
