//! A master whose process died is awaited with its append-only file, before a replica takes over.
//!
//! With `appendfsync always` its file has every write that was answered; a replica may lack the last ones. The wait is an
//! intent in status, so that its time goes on whichever operator leads, and once it is over none begins for the same death.
//! It ends early when nothing can come back. What comes back is judged as in any other grant; nobody else is touched.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::hold::Hold;
use super::roles::Roles;
use super::rules::{self, Rule};
use super::view::View;
use super::{draining, election, failover, fate, fenced, operation, switchover, takeover};
use crate::api::AppendFsync;
use crate::api::status::{Operation, OperationKind, OperationReason, Proof, Verdict};
use crate::model::observed::{Draining, Member, Trouble};
use crate::model::plan::{Authority, Step};
use crate::model::redis::{Facts, RoleState};

/// The directive that says when the file is flushed.
const FSYNC: &str = "appendfsync";

/// The wait under way, or a person's word that is to end it: until that is done the master may still come back.
fn intent<'a>(view: &'a View) -> Option<&'a Operation> {
    let under_way = view.authority.operation.as_ref().filter(|o| o.to.is_empty());
    under_way.filter(|o| o.kind == OperationKind::Grant || takeover::is_named(o))
}

/// Since when a master is awaited: what takes its place began with its death, as clients felt it.
pub(super) fn since<'a>(view: &'a View) -> Option<&'a MicroTime> {
    let known = intent(view).filter(|o| o.kind == OperationKind::Grant)?;
    Some(&known.started_at)
}

/// Whether the file of the master that serves has every write that it answered. While a rewrite runs that may be the one
/// after a full resync, the file is the old one; a master receives none, so that what was once so stays so in its epoch.
pub(super) fn has_everything(view: &View, master: &Facts) -> bool {
    let always = Some(AppendFsync::Always.as_str());
    let flushed = master.managed.get(FSYNC).and_then(Option::as_deref) == always;
    flushed && (election::aof_complete(master) || was_seen_complete(view))
}

fn was_seen_complete(view: &View) -> bool {
    let mark = view.observed.status.high_water_mark.as_ref();
    mark.is_some_and(|m| m.epoch == view.authority.epoch && m.file_complete)
}

/// Waits for the master's return, or gives it its role; nothing if it is not to be awaited, or not any more.
pub(super) fn decide(view: &View, proof: Proof) -> Option<Roles> {
    let known = intent(view);
    if known.is_none() && !begins(view, proof) {
        return None;
    }
    let member = view.master().filter(|m| may_return(view, m))?;
    let until = known
        .map_or(view.now, |o| o.started_at.0)
        .checked_add(limit(view))
        .ok()?;
    if until <= view.now {
        return None;
    }
    match operation::ready(view, member) {
        Ok(facts) if facts.state() == RoleState::Fenced => return Some(grant(view, member, known, proof)),
        Ok(_) | Err(Hold::Empty { .. } | Hold::DataLost { .. }) => return None,
        Err(_) => {}
    }
    Some(match known {
        None => Roles::steps(vec![begin(view, member, proof, until)]),
        Some(_) => wait(view, member, until),
    })
}

/// What is left of a wait for a pod that answers nothing that could be understood. Then the rules for a silent master hold.
pub(super) fn rest(view: &View) -> Option<Roles> {
    let known = intent(view).filter(|o| o.kind == OperationKind::Grant)?;
    let member = view.master().filter(|m| m.facts().is_none() && may_return(view, m))?;
    let until = known.started_at.0.checked_add(limit(view)).ok()?;
    (view.now < until).then(|| wait(view, member, until))
}

/// Nobody has a role meanwhile, so whom a person fenced is detached: it keeps its place, and its vote. While its link could still
/// tell that the master lives it stays as it is.
fn wait(view: &View, member: &Member, until: Timestamp) -> Roles {
    let pod = member.name.clone();
    let steps = match fate::has_ended_beyond_doubt(view, member) {
        true => fenced::detach_all(view),
        false => Vec::new(),
    };
    Roles {
        steps,
        wake: Some(until),
        ..Roles::waiting_for(Hold::AwaitingReturn { pod, until })
    }
}

/// A master that was awaited has its role again and died once more before it served: its time goes on, then a replica takes
/// over.
pub(super) fn interrupted(view: &View, under_way: &Operation) -> Option<Roles> {
    under_way.verdict.as_ref().filter(|_| view.serving().is_none())?;
    let answers = |m: &&Member| m.facts().is_some_and(|f| f.loading.is_none());
    let member = view.master().filter(|m| may_return(view, m));
    if member.filter(answers).is_some() {
        return None;
    }
    let until = under_way.started_at.0.checked_add(limit(view)).ok()?;
    match member.filter(|_| view.now < until) {
        Some(member) => Some(wait(view, member, until)),
        None => failover::decide(view),
    }
}

/// How long a return is awaited.
fn limit(view: &View) -> SignedDuration {
    let spec = &view.cluster.spec;
    let wait: Duration = spec.failover.await_return.into();
    let always = spec.persistence.append_fsync == AppendFsync::Always;
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    if always { wait } else { SignedDuration::ZERO }
}

/// Whether this death is one whose process comes back with everything. A change of the master that has begun goes on; of a
/// switchover that was only intended nothing has happened.
fn begins(view: &View, proof: Proof) -> bool {
    let dead = match proof {
        Proof::ConnectionRefused | Proof::ContainerTerminated | Proof::ProcessReplaced => true,
        Proof::PodGone | Proof::FenceTimeElapsed | Proof::Demoted | Proof::None => false,
    };
    let under_way = view.authority.operation.as_ref();
    let free = under_way.is_none_or(|o| switchover::is_intent(view, o));
    dead && free && (was_seen_complete(view) || !rules::holds(Rule::OnlyACompleteFile))
}

/// Whether the recorded process' pod is there on its volume, and neither its node nor the kubelet says that it does not come
/// back. A port that refuses, or a container that ended, is on a node that lives.
fn may_return(view: &View, member: &Member) -> bool {
    let Some(pod) = member.pod.as_ref().filter(|p| !p.deleting) else {
        return false;
    };
    let stuck = match &pod.trouble {
        Some(Trouble::ImagePull(_) | Trouble::Unschedulable(_) | Trouble::Waiting(_)) => true,
        Some(Trouble::Terminated(_)) | None => false,
    };
    let mute = view.observed.mute.get(&pod.uid);
    let off = mute.is_some_and(|since| view.since(*since) >= view.down_after());
    // The kubelet of a node that shuts down ends containers, and starts none.
    let off = off || draining::of(member) == Some(Draining::ShuttingDown);
    operation::is_recorded_process(view, member) && !stuck && !off
}

/// Records since when the master is awaited.
fn begin(view: &View, member: &Member, proof: Proof, until: Timestamp) -> Step {
    let reason = match proof {
        Proof::ProcessReplaced => OperationReason::Restarted,
        _ => OperationReason::ProcessDied,
    };
    let operation = Operation {
        kind: OperationKind::Grant,
        from: Some(member.name.clone()),
        to: String::new(),
        source: None,
        epoch: view.authority.epoch.saturating_add(1),
        reason,
        request_id: None,
        started_at: MicroTime(view.now),
        verdict: Some(Verdict {
            proof,
            ..Verdict::default()
        }),
    };
    let authority = Authority {
        operation: Some(operation),
        ..view.authority.clone()
    };
    let why = format!(
        "{} died ({proof}) and is awaited with its file until {until:.0}",
        member.name
    );
    Step::Record { authority, why }
}

/// The master is back with everything: its role is granted again, and nothing is lost.
fn grant(view: &View, member: &Member, known: Option<&Operation>, proof: Proof) -> Roles {
    let operation = Operation {
        kind: OperationKind::Grant,
        from: Some(member.name.clone()),
        to: member.name.clone(),
        source: None,
        epoch: view.authority.epoch.saturating_add(1),
        reason: OperationReason::Restarted,
        request_id: None,
        started_at: known.map_or_else(|| MicroTime(view.now), |o| o.started_at.clone()),
        verdict: Some(Verdict {
            proof: fate::known_end(view).unwrap_or(proof),
            positions: election::prospect(view).positions(),
            max_lost_bytes: Some(0),
            ..Verdict::default()
        }),
    };
    operation::name(view, member, operation)
}
