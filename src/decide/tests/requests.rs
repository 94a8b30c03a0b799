//! Requests by annotation: each value is answered once, and its answer stays.

use super::check::{settle, world};
use super::world::World;
use crate::api::status::{Outcome, Request};
use crate::decide::decide;
use crate::model::plan::{Plan, Step};

const REST: &str = "set epoch=3 master=0 k=1 min=1; 0 armed=1 keys=5; 1 attached; 2 attached";

fn at_rest() -> World {
    let mut world = world(REST);
    settle(&mut world);
    world
}

fn pass(world: &World, name: &str, value: &str) -> Plan {
    let mut observed = world.observe();
    observed.requests.insert(name.into(), value.into());
    decide(&world.cluster, &observed, world.now)
}

/// What one pass answers to this value, with the reason, and whether a switchover was begun for it.
fn asked(world: &World, name: &str, value: &str) -> (Option<(Outcome, String)>, bool) {
    let plan = pass(world, name, value);
    let begun = plan.steps.iter().any(|step| {
        matches!(step, Step::Record { authority, .. }
            if authority.operation.as_ref().is_some_and(|o| o.request_id.as_deref() == Some(value)))
    });
    let answers = |r: &Request| r.name == name && r.value == value;
    let row = plan.status.and_then(|s| s.requests.into_iter().find(answers));
    (row.map(|r| (r.outcome, r.reason)), begun)
}

#[test]
fn a_switchover_that_can_be_done_is_begun_and_others_are_refused_with_the_reason() {
    let world = at_rest();
    let refused = |reason: &str| (Some((Outcome::Refused, reason.to_owned())), false);
    let table = [
        ("any", (None, true)),
        ("s-1@a", (None, true)),
        ("s-0@a", refused("TargetUnfit")),
        ("other-1@a", refused("TargetUnfit")),
        ("zone:nowhere@a", refused("TargetUnfit")),
        ("any@", refused("Malformed")),
        ("", refused("Malformed")),
    ];
    for (value, wanted) in table {
        assert_eq!(asked(&world, "switchover", value), wanted, "{value:?}");
    }
}

#[test]
fn a_dry_run_is_answered_and_begins_nothing() {
    let world = at_rest();
    let done = Some((Outcome::Done, String::new()));
    assert_eq!(asked(&world, "switchover-dry-run", "any@1"), (done, false));
    let refused = Some((Outcome::Refused, "TargetUnfit".to_owned()));
    assert_eq!(asked(&world, "switchover-dry-run", "s-0@1"), (refused, false));
}

#[test]
fn a_name_that_is_no_request_is_nothing() {
    let world = at_rest();
    assert_eq!(asked(&world, "epoch", "any@1"), (None, false));
}

#[test]
fn what_was_answered_is_not_done_again_and_another_id_is_a_new_request() {
    let mut world = at_rest();
    let row = |value: &str| Request {
        name: "switchover".into(),
        value: value.into(),
        outcome: Outcome::Refused,
        reason: "TargetUnfit".into(),
        message: String::new(),
        at: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.now),
    };
    world.status.requests = vec![row("s-1@a")];
    assert!(!asked(&world, "switchover", "s-1@a").1);
    assert!(asked(&world, "switchover", "s-1@b").1);
}

#[test]
fn a_set_without_a_status_does_nothing_that_a_copied_manifest_asks() {
    let mut world = at_rest();
    world.status.observed_generation = None;
    let stale = Some((Outcome::Stale, String::new()));
    assert_eq!(asked(&world, "switchover", "any@1"), (stale, false));
}

#[test]
fn an_answer_fits_into_status_however_long_the_request_is() {
    let world = at_rest();
    let plan = pass(&world, "switchover", &"x".repeat(200_000));
    let status = plan.status.unwrap();
    let row = &status.requests[0];
    assert_eq!(row.outcome, Outcome::Refused);
    assert!(row.value.len() < 200 && row.message.chars().count() <= 1024);
    // What is kept of it is what it is known by.
    let mut again = world;
    again.write_status(&status);
    let plan = pass(&again, "switchover", &"x".repeat(200_000));
    assert_eq!(plan.status, None);
}

/// A set that knows of a request since a time, and of a switchover in the same words that ended at another.
fn after(known: (&str, Outcome, i64), reported: (&str, i64)) -> World {
    use serde_json::json;
    let mut world = at_rest();
    let at = |seconds: i64| (world.now + k8s_openapi::jiff::SignedDuration::from_secs(seconds)).to_string();
    let (value, outcome, seconds) = known;
    let row = json!({
        "name": "switchover", "value": value, "outcome": outcome, "reason": "", "message": "", "at": at(seconds),
    });
    let report = json!({
        "epoch": 3, "kind": "Switchover", "reason": "Requested", "requestId": reported.0, "proof": "Demoted",
        "witnesses": {"asked": 0, "agreed": 0}, "positions": {"electors": 3, "needed": 2, "read": 2},
        "maxLostBytes": 0, "from": "s-1", "to": "s-0", "fence": "Proven", "phasesMs": {"total": 80},
        "resyncs": {"partial": 1, "full": 0}, "startedAt": at(reported.1), "finishedAt": at(reported.1),
        "message": "s-1 handed over",
    });
    world.status.requests = vec![serde_json::from_value(row).unwrap()];
    world.status.failovers = vec![serde_json::from_value(report).unwrap()];
    world
}

#[test]
fn the_same_words_are_a_new_request_after_another_one_and_a_report_answers_what_it_followed() {
    let other = ("s-1@a", Outcome::Refused);
    let old = after((other.0, other.1, -10), ("any", -60));
    assert_eq!(asked(&old, "switchover", "any"), (None, true));
    let done = (Some((Outcome::Done, String::new())), false);
    let fresh = after((other.0, other.1, -60), ("any", -10));
    assert_eq!(asked(&fresh, "switchover", "any"), done);
}

#[test]
fn a_request_that_runs_is_done_by_its_own_report_and_else_given_up() {
    let reported = after(("any", Outcome::Running, -60), ("any", -10));
    let done = (Some((Outcome::Done, String::new())), false);
    assert_eq!(asked(&reported, "switchover", "any"), done);
    let earlier = after(("any", Outcome::Running, -10), ("any", -60));
    let given_up = (Some((Outcome::Refused, "GivenUp".to_owned())), false);
    assert_eq!(asked(&earlier, "switchover", "any"), given_up);
}
