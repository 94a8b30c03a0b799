//! What people ask by annotation: `TARGET[@ID]`, done once for each value.
//!
//! A value is new while status has no answer to it. Taking the annotation away undoes nothing. Each kind of request is a
//! module of its own, with an entry in [`kinds`]; what all have in common is here.

mod accept;
pub(super) mod approve;
pub(super) mod discard;
mod fence;
mod force;
pub(super) mod restart;
mod switchover;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::hold::Hold;
use super::roles::Roles;
use super::view::View;
use crate::api::status::{Outcome, Request};
use crate::model::plan::Step;
use crate::model::redis::Facts;

/// Longest value of a request.
const LONGEST: usize = 128;
/// Longest message, as the schema has it.
const MESSAGE: usize = 1024;

/// A kind of request.
struct Kind {
    /// Name of the annotation, without our prefix.
    name: &'static str,
    /// What an event about it calls the action.
    action: &'static str,
    /// What is new about it.
    news: for<'a> fn(&View<'a>) -> Option<News<'a>>,
}

/// A kind of request that is made against a refusal.
struct Against {
    /// Name of the annotation, without our prefix.
    name: &'static str,
    /// What an event about it calls the action.
    action: &'static str,
    /// What is new about it, with the refusal if there is one.
    news: for<'a> fn(&View<'a>, Option<&Hold>) -> Option<News<'a>>,
}

/// Every kind against refusals.
const AGAINST: [Against; 2] = [force::KIND, accept::KIND];

/// A value and its new answer.
type News<'a> = (&'a str, Answer);

/// An outcome, its reason and its sentence.
type Answer = (Outcome, &'static str, String);

/// Every kind, in the order in which status lists them when they come together.
fn kinds() -> impl Iterator<Item = Kind> {
    let others = [restart::KIND, approve::KIND, discard::KIND];
    switchover::KINDS.into_iter().chain(fence::KINDS).chain(others)
}

/// Begins what was asked for and can be done now, while the master serves.
pub(super) fn decide(view: &View, master: &Facts) -> Option<Roles> {
    if is_copied(view) {
        return None;
    }
    switchover::decide(view, master)
}

/// What a person asked for against a refusal, if this is one and nothing else is to be done.
pub(super) fn over(view: &View, roles: &Roles) -> Option<Roles> {
    let hold = roles.hold.as_ref().filter(|_| roles.steps.is_empty())?;
    if is_copied(view) {
        return None;
    }
    force::over(view, hold).or_else(|| accept::over(view, hold))
}

/// What a person asked for although status is behind.
pub(super) fn over_behind(view: &View, hold: &Hold) -> Option<Step> {
    if is_copied(view) {
        return None;
    }
    accept::over_behind(view, hold)
}

/// What a person could ask for against a refusal, and what that may cost.
pub(super) fn advice(view: &View, hold: &Hold) -> Option<String> {
    force::advice(view, hold)
}

/// What a person asked for and waits for what is under way.
pub(super) fn waiting(view: &View) -> Option<String> {
    fence::waits(view).filter(|_| !is_copied(view))
}

/// Begins what was asked for and needs no master that serves.
pub(super) fn at_any_time(view: &View) -> Option<Roles> {
    if is_copied(view) || !view.may_act() {
        return None;
    }
    fence::decide(view)
}

/// The requests with their outcomes, as status should have them.
pub(super) fn outcomes(view: &View, hold: Option<&Hold>) -> Vec<Request> {
    let mut list = view.observed.status.requests.clone();
    let stale = |name: &str| {
        let value = unanswered(view, name).filter(|_| is_copied(view))?;
        let why = "found on a set without a status, and not done";
        Some((value, (Outcome::Stale, "", why.to_owned())))
    };
    for kind in kinds() {
        if let Some(news) = stale(kind.name).or_else(|| (kind.news)(view)) {
            put(view, &mut list, kind.name, news);
        }
    }
    for kind in AGAINST {
        if let Some(news) = stale(kind.name).or_else(|| (kind.news)(view, hold)) {
            put(view, &mut list, kind.name, news);
        }
    }
    list
}

/// What an event about a request calls the action.
pub(super) fn action(name: &str) -> &'static str {
    let against = AGAINST.iter().map(|kind| (kind.name, kind.action));
    let mut all = kinds().map(|kind| (kind.name, kind.action)).chain(against);
    all.find(|(known, _)| *known == name)
        .map_or("Request", |(_, action)| action)
}

/// Whether the set has no status yet: what it carries was asked of another one.
fn is_copied(view: &View) -> bool {
    view.observed.status.observed_generation.is_none()
}

/// The value that status has no answer to.
fn unanswered<'a>(view: &View<'a>, name: &str) -> Option<&'a str> {
    let value = kept(view.observed.requests.get(name)?);
    let is_known = known(view, name).is_some_and(|r| r.value == value);
    (!is_known).then_some(value)
}

/// What status keeps of a value. An annotation may have 256 KB, a status that large can not be written; what is cut is
/// still too long to be a request.
fn kept(value: &str) -> &str {
    let end = value.char_indices().nth(LONGEST + 1).map_or(value.len(), |(at, _)| at);
    &value[..end]
}

/// What status knows of a request.
fn known<'a>(view: &View<'a>, name: &str) -> Option<&'a Request> {
    view.observed.status.requests.iter().find(|r| r.name == name)
}

/// The value that is being done, as status has it.
fn running<'a>(view: &View<'a>, name: &str) -> Option<&'a str> {
    known(view, name)
        .filter(|r| r.outcome == Outcome::Running)
        .map(|r| r.value.as_str())
}

/// The value that is being done, or else has no answer yet.
fn open<'a>(view: &View<'a>, name: &str) -> Option<&'a str> {
    running(view, name).or_else(|| unanswered(view, name))
}

/// Target and id of `TARGET[@ID]`; nothing if it is not of that form. What may be a target is the request's own matter.
fn parts(value: &str) -> Option<(&str, Option<&str>)> {
    let (target, id) = match value.split_once('@') {
        Some((target, id)) => (target, Some(id)),
        None => (value, None),
    };
    let is_id = |id: &str| !id.is_empty() && id.len() <= 64 && id.chars().all(is_letter);
    (value.len() <= LONGEST && id.is_none_or(is_id)).then_some((target, id))
}

/// Pod and epoch of `POD@EPOCH`, as messages give it; nothing if it is not of that form.
fn pod_at_epoch(value: &str) -> Option<(&str, i64)> {
    let (pod, epoch) = parts(value)?;
    let good = !pod.is_empty() && pod.chars().all(is_letter);
    Some((pod, epoch?.parse().ok()?)).filter(|_| good)
}

/// Letters of an id; a name has no others.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._:-".contains(c)
}

/// To a person's word that was begun and of which another change of the master made nothing.
fn given_up() -> Answer {
    let why = "it was begun, and another change of the master came first: look at status.master";
    refused("GivenUp", why)
}

fn refused(reason: &'static str, why: impl Into<String>) -> Answer {
    (Outcome::Refused, reason, why.into())
}

/// In place of what was asked before under this name.
fn put(view: &View, list: &mut Vec<Request>, name: &str, (value, (outcome, reason, message)): News) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_a_target_and_perhaps_an_id() {
        assert_eq!(parts("any"), Some(("any", None)));
        assert_eq!(parts("cache-2@a.b:c_d"), Some(("cache-2", Some("a.b:c_d"))));
        assert_eq!(parts("@1"), Some(("", Some("1"))));
        let long = format!("any@{}", "x".repeat(65));
        let longer = "x".repeat(LONGEST + 1);
        for wrong in ["any@", "any@a b", "any@1@2", long.as_str(), longer.as_str()] {
            assert_eq!(parts(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_kept_of_a_value_is_short_and_never_becomes_a_request_by_being_cut() {
        assert_eq!(kept("any@1"), "any@1");
        let long = "ä".repeat(100_000);
        assert_eq!(kept(&long).chars().count(), LONGEST + 1);
        let almost = format!("any@{}", "1".repeat(64));
        assert_eq!(kept(&almost), almost);
        assert!(parts(kept(&format!("zone:{}", "z".repeat(1000)))).is_none());
    }
}
