//! What people ask by annotation: `TARGET[@ID]`, done once for each value.
//!
//! A value is new while neither status nor a report knows it. Taking the annotation away undoes nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::roles::Roles;
use super::switchover::{self, To};
use super::view::View;
use crate::api::status::{FailoverReport, OperationReason, Outcome, Request};
use crate::model::redis::Facts;

/// Names of the annotations, without our prefix.
const SWITCHOVER: &str = "switchover";
const DRY_RUN: &str = "switchover-dry-run";
/// Longest value of a request.
const LONGEST: usize = 128;
/// Longest message, as the schema has it.
const MESSAGE: usize = 1024;

/// Begins what was asked for and can be done now.
pub(super) fn decide(view: &View, master: &Facts) -> Option<Roles> {
    let value = unanswered(view, SWITCHOVER)?;
    if view.observed.status.observed_generation.is_none() || report(view, value).is_some() {
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

/// The value that status has no answer to.
fn unanswered<'a>(view: &View<'a>, name: &str) -> Option<&'a str> {
    let value = kept(view.observed.requests.get(name)?);
    let known = known(view, name).is_some_and(|r| r.value == value);
    (!known).then_some(value)
}

/// What status keeps of a value. An annotation may have 256 KB, a status that large can not be written; what is cut is
/// still too long to be a request.
fn kept(value: &str) -> &str {
    let end = value.char_indices().nth(LONGEST + 1).map_or(value.len(), |(at, _)| at);
    &value[..end]
}

fn known<'a>(view: &View<'a>, name: &str) -> Option<&'a Request> {
    view.observed.status.requests.iter().find(|r| r.name == name)
}

/// The report of a request. One that ended before status knew of the last request is of an earlier one in the same words.
fn report<'a>(view: &'a View, value: &str) -> Option<&'a FailoverReport> {
    let since = known(view, SWITCHOVER).map(|r| r.at.0);
    let mut reports = view.authority.failovers.iter();
    reports.find(|r| r.request_id.as_deref() == Some(value) && since.is_none_or(|since| r.finished_at.0 >= since))
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

/// An outcome, its reason and its sentence.
type Answer = (Outcome, &'static str, String);

fn refused(reason: &'static str, why: impl Into<String>) -> Answer {
    (Outcome::Refused, reason, why.into())
}

/// The requests with their outcomes, as status should have them.
pub(super) fn outcomes(view: &View) -> Vec<Request> {
    let mut list = view.observed.status.requests.clone();
    if let Some((value, answer)) = switchover(view) {
        put(view, &mut list, SWITCHOVER, value, answer);
    }
    if let Some(value) = unanswered(view, DRY_RUN)
        && let Some(answer) = dry_run(view, value)
    {
        put(view, &mut list, DRY_RUN, value, answer);
    }
    list
}

/// In place of what was asked before under this name.
fn put(view: &View, list: &mut Vec<Request>, name: &str, value: &str, (outcome, reason, message): Answer) {
    let new = Request {
        name: name.to_owned(),
        value: value.to_owned(),
        outcome,
        reason: reason.to_owned(),
        message: message.chars().take(MESSAGE).collect(),
        at: Time(view.now),
    };
    match list.iter_mut().find(|r| r.name == name) {
        Some(old) => *old = new,
        None => list.push(new),
    }
}

/// What is new about a switchover.
fn switchover<'a>(view: &View<'a>) -> Option<(&'a str, Answer)> {
    let running = known(view, SWITCHOVER)
        .filter(|r| r.outcome == Outcome::Running)
        .map(|r| r.value.as_str());
    let value = running.or_else(|| unanswered(view, SWITCHOVER))?;
    if let Some(report) = report(view, value) {
        return Some((value, (Outcome::Done, "", report.message.clone())));
    }
    if let Some(under_way) = view.authority.operation.as_ref() {
        let new = running.is_none() && under_way.request_id.as_deref() == Some(value);
        let message = || format!("{} takes over", under_way.to);
        return new.then(|| (value, (Outcome::Running, "", message())));
    }
    if running.is_some() {
        let why = "the target could not take over in time: a switchover is done whole or not at all";
        return Some((value, refused("GivenUp", why)));
    }
    let answer = choice(view, value).err()?;
    Some((value, answer))
}

/// What a switchover would do now.
fn dry_run(view: &View, value: &str) -> Option<Answer> {
    if view.authority.operation.is_some() {
        return None;
    }
    let from = view.authority.master.as_ref().map_or("", |m| m.name.as_str());
    Some(match choice(view, value) {
        Ok(to) => (
            Outcome::Done,
            "",
            format!("{to} would take over from {from}; nothing was changed"),
        ),
        Err(answer) => answer,
    })
}

/// Who would take over, or the answer to a request that can not be followed.
fn choice(view: &View, value: &str) -> Result<String, Answer> {
    if view.observed.status.observed_generation.is_none() {
        let why = "found on a set without a status, and not done".to_owned();
        return Err((Outcome::Stale, "", why));
    }
    let to = target(value).map_err(|why| refused("Malformed", why))?;
    let (_, facts, _) = view.serving().ok_or_else(|| {
        let why = "the master does not serve: a hand-over needs one that does";
        refused("MasterUnreachable", why)
    })?;
    let member = switchover::choose(view, facts, to).map_err(|why| refused("TargetUnfit", why))?;
    Ok(member.name.clone())
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

    #[test]
    fn what_is_kept_of_a_value_is_short_and_never_becomes_a_request_by_being_cut() {
        assert_eq!(kept("any@1"), "any@1");
        let long = "ä".repeat(100_000);
        assert_eq!(kept(&long).chars().count(), LONGEST + 1);
        let almost = format!("any@{}", "1".repeat(64));
        assert_eq!(kept(&almost), almost);
        assert!(target(kept(&format!("zone:{}", "z".repeat(1000)))).is_err());
    }
}
