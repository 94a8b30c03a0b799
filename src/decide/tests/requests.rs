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

/// Outcome, reason and whether a switchover was begun, of one pass.
fn asked(world: &World, name: &str, value: &str) -> (Option<(Outcome, String)>, bool) {
    let plan = pass(world, name, value);
    let begun = plan.steps.iter().any(|step| {
        matches!(step, Step::Record { authority, .. }
            if authority.operation.as_ref().is_some_and(|o| o.request_id.as_deref() == Some(value)))
    });
    let row = plan
        .status
        .and_then(|s| s.requests.into_iter().find(|r| r.name == name));
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
