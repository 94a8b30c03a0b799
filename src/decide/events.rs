//! What people are told once: of steps that are about to be done, and of requests that were answered.
//!
//! The words are those of status. Events of conditions that turned are beside the conditions.

use super::objects::Wanted;
use super::requests;
use super::roles::Roles;
use super::takeover;
use super::view::View;
use crate::api::status::{Operation, OperationKind, Outcome, Proof, Request};
use crate::model::plan::{Authority, Note, Step};

/// What people should be told of the steps of this round.
pub(super) fn of(view: &View, roles: &Roles, wanted: &Wanted) -> Vec<Note> {
    let mut notes = Vec::new();
    for step in &roles.steps {
        if let Step::Record { authority, .. } = step {
            notes.extend(recorded(view, authority));
        }
    }
    notes.extend(wanted.steps.iter().filter_map(|step| match step {
        Step::Apply {
            object,
            because: Some(because),
        } => Some(Note {
            warning: false,
            reason: "ObjectRestored",
            action: "Apply",
            message: format!("{} {}: {because}", object.id.kind, object.id.name),
        }),
        _ => None,
    }));
    notes
}

/// What a change of the record says.
pub(super) fn recorded(view: &View, authority: &Authority) -> Vec<Note> {
    let role = begun(view, authority).into_iter().chain(ended(view, authority));
    role.chain(fences(view, authority))
        .chain(by_request(view, authority))
        .collect()
}

/// Whether an operation began with a master that was lost. One that is awaited has a verdict, other grants have none; and a
/// person's word is followed without an intent only where a pod takes writes.
fn is_of_a_loss(operation: &Operation) -> bool {
    match operation.kind {
        OperationKind::Failover => operation.to.is_empty() || !takeover::is_named(operation),
        OperationKind::Grant => operation.verdict.is_some(),
        OperationKind::Bootstrap | OperationKind::Switchover => false,
    }
}

/// The master is lost, once for each time.
fn begun(view: &View, authority: &Authority) -> Option<Note> {
    let is_told = view.authority.operation.as_ref().is_some_and(is_of_a_loss);
    let new = authority.operation.as_ref().filter(|o| !is_told && is_of_a_loss(o))?;
    let from = new.from.as_deref().unwrap_or("the master");
    let verdict = new.verdict.clone().unwrap_or_default();
    let message = match verdict.proof {
        Proof::None => format!(
            "{from}: {}, no proof of death; {} of {} replicas do not hear it",
            new.reason, verdict.witnesses.agreed, verdict.witnesses.asked
        ),
        proof if new.kind == OperationKind::Grant && new.to.is_empty() => {
            format!("{from}: {} ({proof}); it is awaited with its file", new.reason)
        }
        proof => format!("{from}: {} ({proof})", new.reason),
    };
    Some(Note {
        warning: true,
        reason: "MasterDown",
        action: "Detect",
        message,
    })
}

/// A role change ends, or another takes its place. One that was given up has no report and no event: nothing was changed by it.
fn ended(view: &View, authority: &Authority) -> Option<Note> {
    let under_way = view.authority.operation.as_ref()?;
    let report = authority.failovers.first().filter(|r| r.epoch == under_way.epoch);
    if under_way.to.is_empty() || authority.operation.is_some() && report.is_none() {
        return None;
    }
    Some(match under_way.kind {
        OperationKind::Failover => Note {
            warning: true,
            reason: "FailedOver",
            action: "Failover",
            message: report?.message.clone(),
        },
        OperationKind::Switchover => Note {
            warning: false,
            reason: "SwitchedOver",
            action: "Switchover",
            message: report?.message.clone(),
        },
        OperationKind::Bootstrap | OperationKind::Grant => Note {
            warning: false,
            reason: "MasterGranted",
            action: "Bootstrap",
            message: report.map_or_else(|| granted(view, under_way), |r| r.message.clone()),
        },
    })
}

/// A grant without a report.
fn granted(view: &View, under_way: &Operation) -> String {
    format!(
        "{} is master in epoch {} ({}), {} ms after it was named",
        under_way.to,
        under_way.epoch,
        under_way.reason,
        view.since(under_way.started_at.0).as_millis()
    )
}

/// Former masters that are to be fenced from now on, and those that were.
fn fences(view: &View, authority: &Authority) -> Vec<Note> {
    let (old, new) = (&view.authority.pending_fences, &authority.pending_fences);
    let came = new.iter().filter(|fence| !old.contains(fence)).map(|fence| Note {
        warning: true,
        reason: "FencePending",
        action: "Fence",
        message: format!(
            "{} (epoch {}) was not reached; it may serve clients that hold a connection",
            fence.name, fence.epoch
        ),
    });
    let went = old.iter().filter(|fence| !new.contains(fence)).map(|fence| Note {
        warning: false,
        reason: "Fenced",
        action: "Fence",
        message: format!("{} (epoch {}) is fenced, or gone", fence.name, fence.epoch),
    });
    came.chain(went).collect()
}

/// Pods that a person took out of service, or let go.
fn by_request(view: &View, authority: &Authority) -> Vec<Note> {
    let (old, new) = (&view.authority.fenced, &authority.fenced);
    let note = |reason, message| Note {
        warning: false,
        reason,
        action: "Fence",
        message,
    };
    let came = new.iter().filter(|f| !old.contains(f));
    let came = came.map(|f| {
        note(
            "Fenced",
            format!("{} is out of service by request {}", f.name, f.request),
        )
    });
    let went = old.iter().filter(|f| !new.contains(f));
    let went = went.map(|f| note("Unfenced", format!("{} may have a role again", f.name)));
    came.chain(went).collect()
}

/// Requests that got their answer.
pub(super) fn answered(old: &[Request], new: &[Request]) -> Vec<Note> {
    new.iter()
        .filter(|request| !old.contains(request))
        .filter_map(|request| {
            let (warning, reason) = match request.outcome {
                Outcome::Running => return None,
                Outcome::Done => (false, "RequestDone"),
                Outcome::Refused | Outcome::Stale => (true, "RequestRefused"),
            };
            let why = [request.reason.as_str(), ": "].concat();
            let why = if request.reason.is_empty() { "" } else { &why };
            Some(Note {
                warning,
                reason,
                action: requests::action(&request.name),
                message: format!("{}={}: {why}{}", request.name, request.value, request.message),
            })
        })
        .collect()
}
