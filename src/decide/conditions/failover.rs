//! Whether a replica would take over if the master died now, and what becomes of former masters.

use super::{Verdict, no, yes};
use crate::api::Reason;
use crate::api::status::OperationKind;
use crate::decide::election;
use crate::decide::hold::Hold;
use crate::decide::roles::Roles;
use crate::decide::view::View;

/// Whether a failover is not possible, with the rule that forbids it and its numbers.
pub(super) fn blocked(view: &View, roles: &Roles) -> Verdict {
    if view.cluster.spec.replicas == 0 {
        return yes(Reason::NoReplica, "spec.replicas is 0: nobody could take over");
    }
    if view.cluster.spec.paused {
        return yes(Reason::Paused, "spec.paused is true");
    }
    if let Some((reason, hold)) = roles.hold.as_ref().and_then(|hold| Some((reason(hold)?, hold))) {
        return yes(reason, hold.to_string());
    }
    let prospect = election::prospect(view);
    let numbers = prospect.positions();
    if prospect.suffices() {
        return no(
            Reason::Possible,
            format!(
                "{} of {} positions known, {} needed",
                numbers.read, numbers.electors, numbers.needed
            ),
        );
    }
    yes(Reason::PositionsMissing, prospect.hold().to_string())
}

/// The reason of a refusal, if it is one of a failover.
fn reason(hold: &Hold) -> Option<Reason> {
    match hold {
        Hold::FenceWait { .. } => Some(Reason::FenceWait),
        Hold::CoolingDown { .. } => Some(Reason::CoolingDown),
        Hold::PositionsMissing { .. } => Some(Reason::PositionsMissing),
        Hold::QuorumMissing { .. } => Some(Reason::QuorumMissing),
        Hold::WitnessesDisagree { .. } => Some(Reason::WitnessesDisagree),
        Hold::LinkStillUp { .. } => Some(Reason::LinkStillUp),
        Hold::NoCandidate(_) => Some(Reason::NoCandidate),
        Hold::BestNotEligible { .. } => Some(Reason::BestNotEligible),
        Hold::TooFewPods { .. } => Some(Reason::TooFewPods),
        Hold::NeverByPolicy { .. } => Some(Reason::NeverByPolicy),
        Hold::Empty { .. } => Some(Reason::Empty),
        Hold::LineageUnknown(_) => Some(Reason::LineageUnknown),
        Hold::DataLost { .. } => Some(Reason::DataLost),
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
