//! What people ask by annotation: `TARGET[@ID]`, done once for each value.
//!
//! A value is new while neither status nor a report knows it. Taking the annotation away undoes nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::roles::Roles;
use super::switchover::{self, To};
use super::view::View;
use crate::api::status::{OperationReason, Outcome, Request};
use crate::model::redis::Facts;

/// Name of the annotation, without our prefix.
const SWITCHOVER: &str = "switchover";
/// Longest value of a request.
const LONGEST: usize = 128;

/// Begins what was asked for and can be done now.
pub(super) fn decide(view: &View, master: &Facts) -> Option<Roles> {
    let value = unanswered(view)?;
    if view.observed.status.observed_generation.is_none() || is_reported(view, value) {
        return None;
    }
    let target = switchover::choose(view, master, target(value).ok()?).ok()?;
    Some(switchover::begin(
        view,
        target,
        OperationReason::Requested,
        Some(value.to_owned()),
    ))
}

/// The value that status has no final answer to.
fn unanswered<'a>(view: &View<'a>) -> Option<&'a str> {
    let value = view.observed.requests.get(SWITCHOVER)?;
    let known = known(view).is_some_and(|r| r.value == *value);
    (!known).then_some(value.as_str())
}

fn known<'a>(view: &View<'a>) -> Option<&'a Request> {
    view.observed.status.requests.iter().find(|r| r.name == SWITCHOVER)
}

fn is_reported(view: &View, value: &str) -> bool {
    let mut reports = view.authority.failovers.iter();
    reports.any(|r| r.request_id.as_deref() == Some(value))
}

/// Who is meant, or why that can not be understood.
fn target(value: &str) -> Result<To<'_>, String> {
    const FORM: &str =
        "a switchover is any, a pod's name or zone:NAME, with @ID of at most 64 letters, digits and ._:-";
    let (whom, id) = value.split_once('@').unwrap_or((value, "1"));
    let letter = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
    let is_id = !id.is_empty() && id.len() <= 64 && id.chars().all(letter);
    if value.len() > LONGEST || !is_id || whom.is_empty() || !whom.chars().all(letter) {
        return Err(FORM.to_owned());
    }
    Ok(match whom.strip_prefix("zone:") {
        Some("") => return Err(FORM.to_owned()),
        Some(zone) => To::Zone(zone),
        None if whom == "any" => To::Any,
        None => To::Pod(whom),
    })
}

/// The requests with their outcomes, as status should have them.
pub(super) fn outcomes(view: &View) -> Vec<Request> {
    let mut list = view.observed.status.requests.clone();
    let running = known(view)
        .filter(|r| r.outcome == Outcome::Running)
        .map(|r| r.value.as_str());
    let Some(value) = unanswered(view).or(running) else {
        return list;
    };
    let Some((outcome, reason, message)) = answer(view, value, running == Some(value)) else {
        return list;
    };
    if running == Some(value) && outcome == Outcome::Running {
        return list;
    }
    list.retain(|r| r.name != SWITCHOVER);
    list.push(Request {
        name: SWITCHOVER.to_owned(),
        // A value of any length is one that was answered.
        value: value.to_owned(),
        outcome,
        reason: reason.to_owned(),
        message,
        at: Time(view.now),
    });
    list
}

/// What is to be said of a value now; nothing while it is about to be done.
fn answer(view: &View, value: &str, begun: bool) -> Option<(Outcome, &'static str, String)> {
    let asked = |id: &Option<String>| id.as_deref() == Some(value);
    if let Some(report) = view.authority.failovers.iter().find(|r| asked(&r.request_id)) {
        return Some((Outcome::Done, "", report.message.clone()));
    }
    if let Some(under_way) = view.authority.operation.as_ref() {
        let message = || format!("{} takes over", under_way.to);
        return asked(&under_way.request_id).then(|| (Outcome::Running, "", message()));
    }
    if begun {
        let message = "the target could not take over; the master is as it was".to_owned();
        return Some((Outcome::Refused, "GivenUp", message));
    }
    if view.observed.status.observed_generation.is_none() {
        let message = "found on a set without a status, and not done".to_owned();
        return Some((Outcome::Stale, "", message));
    }
    let to = match target(value) {
        Ok(to) => to,
        Err(why) => return Some((Outcome::Refused, "Malformed", why)),
    };
    let Some((_, facts, _)) = view.serving() else {
        let message = "the master does not serve: a hand-over needs one that does".to_owned();
        return Some((Outcome::Refused, "MasterUnreachable", message));
    };
    let refused = switchover::choose(view, facts, to).err()?;
    Some((Outcome::Refused, "TargetUnfit", refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_any_a_pod_or_a_zone_with_an_id_or_without() {
        assert!(matches!(target("any"), Ok(To::Any)));
        assert!(matches!(target("any@inc-4711"), Ok(To::Any)));
        assert!(matches!(target("cache-2@a.b:c_d"), Ok(To::Pod("cache-2"))));
        assert!(matches!(target("zone:eu-1a@7"), Ok(To::Zone("eu-1a"))));
        let long = format!("any@{}", "x".repeat(65));
        for wrong in [
            "",
            "@1",
            "any@",
            "any@a b",
            "zone:",
            "zone:@1",
            "a b",
            "any@1@2",
            long.as_str(),
        ] {
            assert!(target(wrong).is_err(), "{wrong:?}");
        }
    }
}
