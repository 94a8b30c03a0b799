//! Who may do what, in order of urgency. The questions are in the modules this one calls.
//!
//! At most one compare-and-set a round, and nothing that needs it before its reply is seen.

use k8s_openapi::jiff::Timestamp;

use super::hold::Hold;
use super::view::{View, supported};
use super::{
    behind, draining, failover, fate, fenced, fences, founding, links, operation, quorum, replicas, requests, scale,
    switchover, update,
};
use crate::model::observed::Member;
use crate::model::plan::Step;

/// What the role decisions came to.
#[derive(Debug, Default)]
pub(super) struct Roles {
    /// Steps, in order.
    pub steps: Vec<Step>,
    /// Why the work does not go on.
    pub hold: Option<Hold>,
    /// Whether something is under way that no event announces.
    pub waits: bool,
    /// A moment at which something may be decided that can not be now.
    pub wake: Option<Timestamp>,
}

impl Roles {
    /// What is waited for is announced by a probe or a watch, but for the end of a span of time.
    pub fn held(hold: Hold) -> Self {
        Self {
            steps: Vec::new(),
            waits: matches!(hold, Hold::PrefersLower { .. }),
            hold: Some(hold),
            wake: None,
        }
    }

    /// What is waited for may come to pass without an event.
    pub fn waiting_for(hold: Hold) -> Self {
        Self {
            waits: true,
            ..Self::held(hold)
        }
    }

    pub fn steps(steps: Vec<Step>) -> Self {
        Self {
            steps,
            hold: None,
            waits: false,
            wake: None,
        }
    }

    pub fn waiting(steps: Vec<Step>) -> Self {
        Self {
            steps,
            hold: None,
            waits: true,
            wake: None,
        }
    }
}

impl Roles {
    /// Whether status is older than the world: then nothing follows from it but what is in `steps`.
    pub fn is_behind(&self) -> bool {
        matches!(self.hold, Some(Hold::StatusBehind { .. }))
    }
}

/// Decides about roles.
pub(super) fn decide(view: &View, due: &[&Member]) -> Roles {
    let mut roles = by_urgency(view, due);
    // A pod that is awaited with its file is not made anew for its spec.
    let awaits = matches!(roles.hold, Some(Hold::AwaitingReturn { .. }));
    let idle = roles.steps.is_empty() && !roles.is_behind() && !awaits;
    if view.may_act() && idle && view.serving().is_none() {
        roles.steps.extend(update::dead(view, due));
    }
    roles
}

fn by_urgency(view: &View, due: &[&Member]) -> Roles {
    if view.observed.deleting {
        return Roles::held(Hold::Deleting);
    }
    if view.cluster.spec.paused {
        return Roles::held(Hold::Paused);
    }
    if let Some(hold) = behind::evidence(view) {
        let steps = requests::over_behind(view, &hold).into_iter().collect();
        return Roles {
            steps,
            ..Roles::held(hold)
        };
    }
    if let Some(hold) = unsupported(view) {
        return Roles::held(hold);
    }
    let fences = fences::decide(view);
    if !fences.is_empty() {
        return Roles::waiting(fences);
    }
    if let Some(roles) = requests::at_any_time(view).or_else(|| fenced::stands_still(view)) {
        return roles;
    }
    let roles = match (&view.authority.master, &view.authority.operation) {
        (None, _) => founding::decide(view),
        (Some(_), Some(under_way)) if switchover::is_intent(view, under_way) => switchover::proceed(view, under_way),
        (Some(_), Some(under_way)) if under_way.to.is_empty() => {
            failover::decide(view).unwrap_or_else(|| maintain(view, due))
        }
        (Some(_), Some(under_way)) => operation::proceed(view, under_way),
        (Some(_), None) => maintain(view, due),
    };
    requests::over(view, &roles).unwrap_or(roles)
}

/// The recorded master serves: its replicas, the numbers in force, and the number of pods, in this order.
fn maintain(view: &View, due: &[&Member]) -> Roles {
    let Some((master, facts, min)) = view.serving() else {
        return not_serving(view);
    };
    if let Some(step) = operation::new_lineage(view, facts) {
        return Roles::steps(vec![step]);
    }
    if let Some(leaving) = switchover::of_leaving_master(view, master, facts) {
        return leaving;
    }
    if let Some(requested) = requests::decide(view, facts) {
        return requested;
    }
    if let Some(draining) = draining::decide(view, master, facts) {
        return draining;
    }
    let mut waits = false;
    let questions = [
        fenced::decide,
        quorum::detach_cut_off,
        replicas::decide,
        quorum::decide,
        scale::decide,
        links::decide,
    ];
    for question in questions {
        let answer = question(view, master, facts, min);
        if !answer.steps.is_empty() {
            return answer;
        }
        waits |= answer.waits;
    }
    let update = update::decide(view, master, facts, due);
    Roles {
        waits: waits || update.waits,
        wake: update.wake.or(draining::awaits_eviction(view, master)),
        ..update
    }
}

/// The recorded master does not serve: somebody takes over, or its own data is awaited.
fn not_serving(view: &View) -> Roles {
    let mut roles = failover::decide(view).unwrap_or_else(|| operation::grant_again(view));
    if roles.steps.is_empty() {
        roles.steps = fenced::detach_all(view);
    }
    let silent_at = fate::silent_at(view).filter(|at| *at > view.now);
    Roles {
        wake: roles.wake.or(silent_at),
        ..roles
    }
}

fn unsupported(view: &View) -> Option<Hold> {
    let facts = view
        .observed
        .members
        .iter()
        .filter_map(Member::facts)
        .find(|f| !supported(f))?;
    Some(Hold::VersionUnsupported {
        found: format!("{:?} {}", facts.engine, facts.version),
    })
}
