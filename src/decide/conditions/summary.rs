//! How the set is as a whole: Ready, Available, and kstatus' Reconciling and Stalled.

use k8s_openapi::jiff::SignedDuration;

use super::{Verdict, health, no, yes};
use crate::api::status::{MemberState, OperationKind, RedisReplicaSetStatus};
use crate::api::{ConditionType, Reason};
use crate::decide::hold::Hold;
use crate::decide::objects::Wanted;
use crate::decide::roles::Roles;
use crate::decide::status::converged;
use crate::decide::sync;
use crate::decide::view::View;
use crate::model::redis::{ProbeError, Seen};

/// Without progress for so long, a set counts as stalled.
const PROGRESS_DEADLINE: SignedDuration = SignedDuration::from_mins(10);

/// The VIP takes writes.
pub(super) fn available(view: &View, roles: &Roles) -> Verdict {
    if let Some((master, facts, min)) = view.serving() {
        let linked = facts.replicas.iter().filter(|r| r.online()).count();
        if !converged(view) {
            let shown: Vec<_> = view.observed.vip_pods.iter().map(String::as_str).collect();
            let shown = if shown.is_empty() {
                "nobody".to_owned()
            } else {
                shown.join(", ")
            };
            return no(
                Reason::VIPNotConverged,
                format!("the VIP is to show {}, its EndpointSlices show {shown}", master.name),
            );
        }
        if !facts.aof.write_ok {
            return no(
                Reason::WritesRefused,
                format!("MISCONF: {} cannot write its append-only file", master.name),
            );
        }
        if linked < usize::try_from(min).unwrap_or(0) {
            return no(
                Reason::SelfFenced,
                format!("NOREPLICAS: {linked} of {min} replicas acknowledge"),
            );
        }
        return yes(Reason::Serving, format!("{} takes writes", master.name));
    }
    match &roles.hold {
        Some(hold @ Hold::DataLost { .. }) => no(Reason::DataLost, hold.to_string()),
        Some(hold @ Hold::Loading { .. }) => no(Reason::Loading, hold.to_string()),
        Some(hold @ Hold::Fenced { .. }) => no(Reason::Fenced, hold.to_string()),
        Some(hold) if is_about_silence(hold) => no(Reason::MasterUnreachable, hold.to_string()),
        Some(hold) => no(Reason::NoMaster, hold.to_string()),
        None => no(
            Reason::NoMaster,
            match &view.authority.operation {
                Some(under_way) if under_way.to.is_empty() => match under_way.kind {
                    OperationKind::Grant => format!("the master is awaited with its file ({})", under_way.reason),
                    _ => format!("the replicas vote ({})", under_way.reason),
                },
                Some(under_way) => format!("{} is being made master ({})", under_way.to, under_way.reason),
                None => "no pod takes writes yet".to_owned(),
            },
        ),
    }
}

/// Whether a refusal is one of a master that does not answer and was not seen dead.
fn is_about_silence(hold: &Hold) -> bool {
    match hold {
        Hold::MasterSilent { .. }
        | Hold::LinkStillUp { .. }
        | Hold::QuorumMissing { .. }
        | Hold::NeverByPolicy { .. }
        | Hold::TooFewPods { .. }
        | Hold::WitnessesDisagree { .. }
        | Hold::CoolingDown { .. }
        | Hold::FenceWait { .. } => true,
        Hold::Paused
        | Hold::Deleting
        | Hold::Fenced { .. }
        | Hold::WaitsForPods { .. }
        | Hold::Loading { .. }
        | Hold::PrefersLower { .. }
        | Hold::LineageUnknown(_)
        | Hold::Empty { .. }
        | Hold::DataLost { .. }
        | Hold::MasterGone { .. }
        | Hold::MayBeOutlived { .. }
        | Hold::AwaitingReturn { .. }
        | Hold::PositionsMissing { .. }
        | Hold::NoCandidate(_)
        | Hold::BestNotEligible { .. }
        | Hold::OnlyUnelectable { .. }
        | Hold::StatusBehind { .. }
        | Hold::VersionUnsupported { .. } => false,
    }
}

/// The spec is realised. The first reason that holds, then the first required condition that is not True.
pub(super) fn ready(
    view: &View,
    roles: &Roles,
    wanted: &Wanted,
    new: &RedisReplicaSetStatus,
    required: &[&Verdict; 6],
) -> Verdict {
    let [available, ..] = required;
    if let Some(hold @ Hold::DataLost { .. }) = &roles.hold {
        return no(Reason::DataLost, hold.to_string());
    }
    if available.status == "False"
        && let Some(hold) = roles.hold.as_ref().filter(|h| h.needs_a_person())
    {
        return no(Reason::FailoverBlocked, hold.to_string());
    }
    if let Some(changing) = super::failover::under_way(view).filter(|_| available.status == "False") {
        return changing;
    }
    if let Some((id, owner)) = wanted.conflicts.first() {
        return no(Reason::ObjectConflict, conflict(id.kind, &id.name, owner));
    }
    let founding = view.authority.master.is_none() || view.authority.operation.is_some();
    let credentials = required[5];
    if founding
        && view
            .observed
            .status
            .endpoints
            .as_ref()
            .is_none_or(|e| e.converged_at.is_none())
    {
        let trouble = [credentials, required[4], required[3]]
            .into_iter()
            .find(|v| v.status == "False" && !v.reason.leaves_ready());
        return trouble
            .cloned()
            .unwrap_or_else(|| no(Reason::Creating, available.message.clone()));
    }
    if view.cluster.spec.paused {
        return no(
            Reason::Paused,
            format!(
                "spec.paused is true; generation {} is not applied",
                view.cluster.generation
            ),
        );
    }
    let goal: usize = view.cluster.tiers().map(|tier| view.stateful_set_goal(tier)).sum();
    let exist = view.observed.members.iter().filter(|m| m.pod.is_some()).count();
    if exist != goal && available.status == "True" {
        return no(Reason::Scaling, format!("{exist} pods exist, {goal} are wanted"));
    }
    if let Some(broken) = required
        .iter()
        .find(|v| v.status == "False" && !v.reason.leaves_ready())
    {
        return (*broken).clone();
    }
    let master = view.authority.master.as_ref().map_or("", |m| m.name.as_str());
    let ready = new.ready_replicas.unwrap_or(0);
    let below = view.cluster.tiers().filter(|tier| tier.level.is_some());
    let below = below.map(|tier| format!(", {} {}/{}", tier.name, health::in_sync(new, tier.name), tier.pods));
    yes(
        Reason::Ready,
        format!(
            "master {master} serves, {ready}/{} replicas in sync{}",
            view.cluster.spec.replicas,
            below.collect::<String>()
        ),
    )
}

fn conflict(kind: &str, name: &str, owner: &str) -> String {
    format!("{kind} {name} exists and is not ours ({owner}): rename the set or remove it")
}

/// The operator is at work (kstatus).
pub(super) fn reconciling(roles: &Roles, wanted: &Wanted, ready: &Verdict, stalled: &Verdict) -> Verdict {
    let idle = roles.steps.is_empty() && wanted.steps.is_empty();
    if stalled.status == "True" || ready.status == "True" && idle {
        return no(Reason::Idle, "nothing to do");
    }
    let reason = match ready.reason {
        Reason::Creating => Reason::Creating,
        Reason::FailingOver => Reason::FailingOver,
        Reason::SwitchingOver => Reason::SwitchingOver,
        Reason::Scaling => Reason::Scaling,
        Reason::Syncing | Reason::Lagging => Reason::Resyncing,
        Reason::Rolling => Reason::Updating,
        _ if !wanted.steps.is_empty() => Reason::Updating,
        _ => Reason::Waiting,
    };
    yes(reason, ready.message.clone())
}

/// Only a person or another system helps (kstatus).
pub(super) fn stalled(view: &View, roles: &Roles, wanted: &Wanted, config: &Verdict) -> Verdict {
    if let Some((id, owner)) = wanted.conflicts.first() {
        return yes(Reason::ObjectConflict, conflict(id.kind, &id.name, owner));
    }
    if let Some(hold) = roles.hold.as_ref().filter(|h| h.needs_a_person()) {
        let reason = match hold {
            Hold::DataLost { .. } => Reason::DataLost,
            Hold::StatusBehind { .. } => Reason::StatusBehind,
            Hold::VersionUnsupported { .. } => Reason::VersionUnsupported,
            _ => Reason::FailoverBlocked,
        };
        return yes(reason, hold.to_string());
    }
    if config.status == "False" {
        return yes(Reason::ConfigRejected, config.message.clone());
    }
    if locked_out(view) {
        let secret = crate::names::internal_secret(&view.cluster.name);
        return yes(
            Reason::OperatorLockedOut,
            format!("Secret {secret} was lost: pods answer again after their next restart"),
        );
    }
    no(Reason::No, "no person is needed")
}

/// Every running pod refuses the operator's password.
fn locked_out(view: &View) -> bool {
    let running: Vec<_> = view
        .observed
        .members
        .iter()
        .filter(|m| m.pod.as_ref().is_some_and(|p| p.started.is_some()))
        .collect();
    !running.is_empty()
        && running.iter().all(|m| {
            matches!(
                &m.redis,
                Seen::Unknown {
                    error: ProbeError::Auth,
                    ..
                }
            )
        })
}

pub(super) fn overdue(view: &View, reconciling: &Verdict, stalled: Verdict) -> Verdict {
    let old = view.observed.status.conditions.iter();
    let at_work_since = old
        .clone()
        .find(|c| c.type_ == ConditionType::Reconciling.as_str() && c.status == "True")
        .map(|c| c.last_transition_time.0);
    let moved = view.observed.status.members.iter().map(|m| m.since.0).max();
    let at_work_since = at_work_since.max(at_work_since.and(moved));
    let overdue_already = old
        .clone()
        .any(|c| c.type_ == ConditionType::Stalled.as_str() && c.reason == Reason::ProgressDeadlineExceeded.as_str());
    let at_work = |state| matches!(state, MemberState::Syncing | MemberState::Loading);
    let moves = view.observed.members.iter().any(|m| at_work(sync::state(view, m)));
    let too_long = !moves && at_work_since.is_some_and(|t| view.since(t) >= PROGRESS_DEADLINE);
    if reconciling.status == "True" && !view.cluster.spec.paused && (too_long || overdue_already && !moves) {
        return yes(
            Reason::ProgressDeadlineExceeded,
            format!("no progress for 10 minutes: {}", reconciling.message),
        );
    }
    stalled
}

pub(super) fn data_lost(roles: &Roles) -> Verdict {
    match &roles.hold {
        Some(hold @ Hold::DataLost { .. }) => yes(Reason::AllCopiesLost, hold.to_string()),
        _ => no(Reason::No, "the data the set was known to have is there"),
    }
}
