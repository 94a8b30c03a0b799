//! Whether a replica would take over if the master died now, and what becomes of former masters.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{Verdict, no, yes};
use crate::api::status::OperationKind;
use crate::api::{ConditionType, Reason};
use crate::decide::election;
use crate::decide::hold::Hold;
use crate::decide::requests;
use crate::decide::roles::Roles;
use crate::decide::view::View;
use crate::model::plan::Note;

/// Whether a failover is not possible, with the rule that forbids it and its numbers.
pub(super) fn blocked(view: &View, roles: &Roles) -> Verdict {
    if view.cluster.spec.paused {
        return yes(Reason::Paused, "spec.paused is true");
    }
    let advice = roles.hold.as_ref().and_then(|hold| requests::advice(view, hold));
    let advice = advice.map_or(String::new(), |advice| format!("; {advice}"));
    if let Some((reason, hold)) = roles.hold.as_ref().and_then(|hold| Some((reason(hold)?, hold))) {
        let waits = requests::waiting(view).map_or(String::new(), |waits| format!("; {waits}"));
        return yes(reason, format!("{hold}{advice}{waits}"));
    }
    // After the refusals: a set that was scaled in while it waits for the votes of pods that are to go says so.
    if view.cluster.spec.replicas == 0 {
        return yes(Reason::NoReplica, "spec.replicas is 0: nobody could take over");
    }
    let prospect = election::prospect(view);
    let numbers = prospect.positions();
    let hopeless = prospect.hopeless(view).filter(|_| prospect.suffices());
    if let Some((reason, hold)) = hopeless.and_then(|hold| Some((reason(&hold)?, hold))) {
        return yes(reason, hold.to_string());
    }
    if prospect.suffices() {
        return no(
            Reason::Possible,
            format!(
                "{} of {} positions known, {} needed",
                numbers.read, numbers.electors, numbers.needed
            ),
        );
    }
    yes(Reason::PositionsMissing, format!("{}{advice}", prospect.hold()))
}

/// The reason of a refusal, if it is one of a failover.
fn reason(hold: &Hold) -> Option<Reason> {
    match hold {
        Hold::FenceWait { .. } => Some(Reason::FenceWait),
        Hold::AwaitingReturn { .. } => Some(Reason::AwaitingReturn),
        Hold::CoolingDown { .. } => Some(Reason::CoolingDown),
        Hold::PositionsMissing { .. } | Hold::MayBeOutlived { .. } => Some(Reason::PositionsMissing),
        Hold::QuorumMissing { .. } => Some(Reason::QuorumMissing),
        Hold::WitnessesDisagree { .. } => Some(Reason::WitnessesDisagree),
        Hold::LinkStillUp { .. } => Some(Reason::LinkStillUp),
        Hold::NoCandidate(_) => Some(Reason::NoCandidate),
        Hold::BestNotEligible { .. } => Some(Reason::BestNotEligible),
        Hold::TooFewPods { .. } => Some(Reason::TooFewPods),
        Hold::NeverByPolicy { .. } => Some(Reason::NeverByPolicy),
        Hold::OnlyUnelectable { .. } => Some(Reason::OnlyUnelectable),
        Hold::Empty { .. } => Some(Reason::Empty),
        Hold::LineageUnknown(_) => Some(Reason::LineageUnknown),
        Hold::DataLost { .. } => Some(Reason::DataLost),
        Hold::Fenced { .. } => Some(Reason::Fenced),
        Hold::Paused
        | Hold::Deleting
        | Hold::WaitsForPods { .. }
        | Hold::Loading { .. }
        | Hold::PrefersLower { .. }
        | Hold::MasterSilent { .. }
        | Hold::MasterGone { .. }
        | Hold::StatusBehind { .. }
        | Hold::VersionUnsupported { .. } => None,
    }
}

/// A change of the master under way, as reason of Ready.
pub(super) fn under_way(view: &View) -> Option<Verdict> {
    let under_way = view.authority.operation.as_ref()?;
    let from = under_way.from.as_deref().unwrap_or("the master");
    let to = if under_way.to.is_empty() {
        "a replica"
    } else {
        under_way.to.as_str()
    };
    match under_way.kind {
        OperationKind::Failover => Some(no(
            Reason::FailingOver,
            format!("{to} takes over from {from} ({})", under_way.reason),
        )),
        OperationKind::Switchover => Some(no(
            Reason::SwitchingOver,
            format!("{from} hands over to {to} ({})", under_way.reason),
        )),
        OperationKind::Bootstrap | OperationKind::Grant => None,
    }
}

/// Former masters that were not yet seen dead or demoted.
pub(super) fn fence_pending(view: &View) -> Verdict {
    let pending = &view.authority.pending_fences;
    let Some(first) = pending.first() else {
        return no(Reason::Delivered, "no fence is pending");
    };
    yes(
        Reason::Pending,
        format!(
            "{} (epoch {}) not reached since {:.0}; it may serve clients that hold a connection",
            first.name, first.epoch, first.since.0
        ),
    )
}

/// Whether people should hear of a reason: a wait that belongs to every failover is none of their business.
fn is_told(condition: &Condition) -> bool {
    condition.status == "True" && condition.reason != Reason::FenceWait.as_str()
}

/// Events for a failover that became impossible, once for each reason, and possible again.
pub(super) fn turned(old: &[Condition], new: &[Condition]) -> Option<Note> {
    let of = |list: &'_ [Condition]| {
        let kind = ConditionType::FailoverBlocked.as_str();
        list.iter().find(|c| c.type_ == kind).cloned()
    };
    let (old, new) = (of(old), of(new)?);
    let was_told = old.as_ref().is_some_and(is_told);
    let blocked = is_told(&new) && old.as_ref().is_none_or(|old| old.reason != new.reason);
    let unblocked = was_told && new.status == "False";
    (blocked || unblocked).then(|| Note {
        warning: blocked,
        reason: if blocked {
            "FailoverBlocked"
        } else {
            "FailoverUnblocked"
        },
        action: "Failover",
        message: format!("{}: {}", new.reason, new.message),
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn list(reason: Reason) -> Vec<Condition> {
        let blocked = reason != Reason::Possible;
        vec![Condition {
            type_: ConditionType::FailoverBlocked.as_str().into(),
            status: if blocked { "True" } else { "False" }.into(),
            reason: reason.as_str().into(),
            message: "m".into(),
            observed_generation: None,
            last_transition_time: Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH),
        }]
    }

    #[test]
    fn people_hear_once_of_each_reason_and_of_the_end_of_it() {
        use Reason::{FenceWait, NoReplica, Possible, TooFewPods};
        let table = [
            (Possible, Possible, None),
            (Possible, TooFewPods, Some("FailoverBlocked")),
            (TooFewPods, TooFewPods, None),
            (TooFewPods, NoReplica, Some("FailoverBlocked")),
            (NoReplica, Possible, Some("FailoverUnblocked")),
            (Possible, FenceWait, None),
            (FenceWait, Possible, None),
        ];
        for (old, new, told) in table {
            let note = turned(&list(old), &list(new));
            assert_eq!(note.as_ref().map(|n| n.reason), told, "{old} to {new}");
        }
        let first = turned(&[], &list(NoReplica)).map(|n| (n.reason, n.warning));
        assert_eq!(first, Some(("FailoverBlocked", true)));
        assert_eq!(turned(&[], &list(Possible)), None);
    }
}
