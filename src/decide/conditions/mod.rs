//! Every condition of a set, in the order of the reference, from the same data as the decisions.
//!
//! Types and reasons are closed lists; messages have the numbers. An unchanged condition is byte-identical, so that an
//! unchanged status is not written. [`summary`] says how the set is as a whole, [`health`] how its servers are,
//! [`wishes`] how much of spec is in force.

mod failover;
mod health;
mod summary;
mod wishes;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::objects::Wanted;
use super::roles::Roles;
use super::roll::Roll;
use super::settings::Settings;
use super::view::View;
use crate::api::status::RedisReplicaSetStatus;
use crate::api::{ConditionType, Reason};
use crate::model::plan::Note;

/// One condition before it has times: status, reason, message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    status: &'static str,
    reason: Reason,
    message: String,
}

fn yes(reason: Reason, message: impl Into<String>) -> Verdict {
    Verdict {
        status: "True",
        reason,
        message: message.into(),
    }
}

fn no(reason: Reason, message: impl Into<String>) -> Verdict {
    Verdict {
        status: "False",
        reason,
        message: message.into(),
    }
}

/// All conditions, with transition times kept where the status did not turn.
pub(super) fn conditions(
    view: &View,
    roles: &Roles,
    wanted: &Wanted,
    settings: &Settings,
    roll: &Roll,
    new: &RedisReplicaSetStatus,
) -> Vec<Condition> {
    let available = summary::available(view, roles);
    let replication = health::replication(view, new);
    let persistence = health::persistence(view);
    let up_to_date = wishes::up_to_date(view, roll);
    let config = wishes::config(view, wanted, settings);
    let credentials = wishes::credentials(view, wanted);
    let stalled = summary::stalled(view, roles, wanted, &config);
    let required = [
        &available,
        &replication,
        &persistence,
        &up_to_date,
        &config,
        &credentials,
    ];
    let ready = summary::ready(view, roles, wanted, new, &required);
    let reconciling = summary::reconciling(roles, wanted, &ready, &stalled);
    // Who waits for a person's approval may wait for long.
    let stalled = if stalled.status == "True" || ready.reason == Reason::WaitingForApproval {
        stalled
    } else {
        summary::overdue(view, &reconciling, stalled)
    };
    let reconciling = if stalled.status == "True" {
        no(Reason::Idle, "stalled")
    } else {
        reconciling
    };
    let list = [
        (ConditionType::Ready, ready),
        (ConditionType::Available, available),
        (ConditionType::Reconciling, reconciling),
        (ConditionType::Stalled, stalled),
        (ConditionType::FailoverBlocked, failover::blocked(view, roles)),
        (ConditionType::ReplicationHealthy, replication),
        (ConditionType::PersistenceHealthy, persistence),
        (ConditionType::UpToDate, up_to_date),
        (ConditionType::ConfigApplied, config),
        (ConditionType::CredentialsInSync, credentials),
        (ConditionType::FencePending, failover::fence_pending(view)),
        (ConditionType::ProbePathBroken, health::probe_path(view)),
        (ConditionType::SpreadDegraded, health::spread(view)),
        (ConditionType::DataLost, summary::data_lost(roles)),
    ];
    list.into_iter()
        .map(|(kind, verdict)| stamp(view, kind, verdict))
        .collect()
}

fn stamp(view: &View, kind: ConditionType, verdict: Verdict) -> Condition {
    let old = view
        .observed
        .status
        .conditions
        .iter()
        .find(|c| c.type_ == kind.as_str());
    let since = old
        .filter(|c| c.status == verdict.status)
        .map(|c| c.last_transition_time.clone());
    Condition {
        type_: kind.as_str().to_owned(),
        status: verdict.status.to_owned(),
        reason: verdict.reason.as_str().to_owned(),
        message: verdict.message,
        observed_generation: Some(view.cluster.generation),
        last_transition_time: since.unwrap_or(Time(view.now)),
    }
}

/// Events for conditions that turned to something people should hear of; one for each change of reason.
pub(super) fn turned(old: &[Condition], new: &[Condition]) -> Vec<Note> {
    const TOLD: &[(&str, &str, &str, &str)] = &[
        ("Stalled", "ObjectConflict", "ObjectConflict", "Apply"),
        ("DataLost", "AllCopiesLost", "DataLost", "Observe"),
        ("ReplicationHealthy", "Diverged", "Diverged", "Demote"),
        ("ConfigApplied", "UnknownDirective", "ConfigRejected", "Configure"),
        ("ConfigApplied", "RefusedByRedis", "ConfigRejected", "Configure"),
        (
            "CredentialsInSync",
            "SecretKeyMissing",
            "CredentialsRejected",
            "Authenticate",
        ),
        (
            "CredentialsInSync",
            "PasswordEmpty",
            "CredentialsRejected",
            "Authenticate",
        ),
        (
            "CredentialsInSync",
            "PasswordTooLong",
            "CredentialsRejected",
            "Authenticate",
        ),
    ];
    let reason = |list: &[Condition], kind: &str| list.iter().find(|c| c.type_ == kind).map(|c| c.reason.clone());
    let conditions = TOLD
        .iter()
        .filter(|(kind, why, ..)| reason(new, kind).as_deref() == Some(why) && reason(old, kind) != reason(new, kind))
        .filter_map(|(kind, _, event, action)| {
            let message = new.iter().find(|c| c.type_ == *kind)?.message.clone();
            Some(Note {
                warning: true,
                reason: event,
                action,
                message,
            })
        });
    conditions.chain(failover::turned(old, new)).collect()
}
