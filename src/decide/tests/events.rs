//! What people are told of the record's changes and of answers, each thing once.

use serde_json::{Value, json};

use super::check::world;
use crate::api::status::Request;
use crate::decide::events::{answered, recorded};
use crate::decide::view::View;
use crate::model::plan::Authority;

const AT: &str = "2026-11-23T07:12:09.114302Z";

/// Reasons of the events when these fields of status change, each with its sentence.
fn told(old: Value, new: Value) -> Vec<(&'static str, String)> {
    let world = world("set epoch=3 master=0 k=1 min=1; 0 armed=1 keys=5; 1 attached; 2 attached");
    let mut observed = world.observe();
    let with = |fields: Value| {
        let mut status = serde_json::to_value(&world.status).unwrap();
        status
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        serde_json::from_value(status).unwrap()
    };
    observed.status = with(old);
    let view = View::new(&world.cluster, &observed, world.now);
    let notes = recorded(&view, &Authority::from(&with(new)));
    notes.into_iter().map(|note| (note.reason, note.message)).collect()
}

fn reasons(old: Value, new: Value) -> Vec<&'static str> {
    told(old, new).into_iter().map(|(reason, _)| reason).collect()
}

fn operation(kind: &str, to: &str, proof: &str) -> Value {
    json!({"operation": {
        "kind": kind, "from": "s-0", "to": to, "epoch": 4, "reason": "Unreachable", "startedAt": AT,
        "verdict": {"proof": proof, "witnesses": {"asked": 2, "agreed": 2},
            "positions": {"electors": 3, "needed": 2, "read": 2}, "maxLostBytes": 13},
    }})
}

fn report(kind: &str, epoch: i64) -> Value {
    json!({"failovers": [{
        "epoch": epoch, "kind": kind, "reason": "Unreachable", "proof": "FenceTimeElapsed",
        "witnesses": {"asked": 2, "agreed": 2}, "positions": {"electors": 3, "needed": 2, "read": 2},
        "maxLostBytes": 13, "from": "s-0", "to": "s-1", "fence": "TimeElapsed", "phasesMs": {"total": 80},
        "resyncs": {"partial": 1, "full": 0}, "startedAt": AT, "finishedAt": AT, "message": "the report's sentence",
    }]})
}

#[test]
fn a_failover_that_begins_is_told_once_with_what_is_known() {
    let intent = operation("Failover", "", "None");
    let message = "s-0: Unreachable, no proof of death; 2 of 2 replicas do not hear it".to_owned();
    assert_eq!(told(json!({}), intent.clone()), [("MasterDown", message)]);
    let chosen = operation("Failover", "s-1", "FenceTimeElapsed");
    assert!(reasons(intent, chosen).is_empty(), "the choice is the same failover");
    let proven = told(json!({}), operation("Failover", "s-1", "ConnectionRefused"));
    let message = "s-0: Unreachable (ConnectionRefused)".to_owned();
    assert_eq!(proven, [("MasterDown", message)]);
    assert!(reasons(json!({}), operation("Switchover", "s-1", "None")).is_empty());
    let turned = reasons(
        operation("Switchover", "s-1", "None"),
        operation("Failover", "", "None"),
    );
    assert_eq!(turned, ["MasterDown"]);
}

#[test]
fn the_death_of_an_awaited_master_is_told_when_it_is_seen_and_not_again_when_the_wait_is_over() {
    let wait = operation("Grant", "", "ConnectionRefused");
    let message = "s-0: Unreachable (ConnectionRefused); it is awaited with its file".to_owned();
    assert_eq!(told(json!({}), wait.clone()), [("MasterDown", message)]);
    for over in [("Grant", "s-0"), ("Failover", "s-1"), ("Failover", "")] {
        let over = operation(over.0, over.1, "ConnectionRefused");
        assert!(reasons(wait.clone(), over).is_empty());
    }
    // It was back before anybody waited.
    let back = operation("Grant", "s-0", "ProcessReplaced");
    assert_eq!(reasons(json!({}), back), ["MasterDown"]);
    let mut cold = operation("Grant", "s-0", "None");
    cold["operation"].as_object_mut().unwrap().remove("verdict");
    assert!(reasons(json!({}), cold).is_empty());
}

#[test]
fn a_pod_that_took_writes_all_the_time_is_no_death() {
    let mut behind = operation("Failover", "s-1", "Demoted");
    behind["operation"]["requestId"] = json!("accept-data-loss=3");
    assert!(reasons(json!({}), behind.clone()).is_empty());
    // After an empty master, or one that a person gave up, there was an intent before.
    behind["operation"]["to"] = json!("");
    assert_eq!(reasons(json!({}), behind), ["MasterDown"]);
}

#[test]
fn a_change_of_the_master_ends_with_the_sentence_of_its_report() {
    for (kind, reason) in [("Failover", "FailedOver"), ("Switchover", "SwitchedOver")] {
        let ended = told(operation(kind, "s-1", "Demoted"), report(kind, 4));
        assert_eq!(ended, [(reason, "the report's sentence".to_owned())]);
        assert!(
            reasons(operation(kind, "s-1", "None"), report(kind, 3)).is_empty(),
            "one that was given up leaves the report of an earlier one on top"
        );
        assert!(reasons(operation(kind, "s-1", "None"), json!({})).is_empty());
    }
    assert_eq!(reasons(operation("Grant", "s-0", "None"), json!({})), ["MasterGranted"]);
}

#[test]
fn a_former_master_that_was_not_reached_is_told_when_it_comes_and_when_it_goes() {
    let fence = |name: &str| json!({"name": name, "uid": name, "epoch": 3, "since": "2026-11-23T07:12:09Z"});
    let one = json!({"pendingFences": [fence("s-0")]});
    let two = json!({"pendingFences": [fence("s-0"), fence("s-1")]});
    assert_eq!(reasons(json!({}), one.clone()), ["FencePending"]);
    assert!(reasons(one.clone(), one.clone()).is_empty());
    let more = told(one.clone(), two.clone());
    assert!(more.len() == 1 && more[0].1.starts_with("s-1 (epoch 3)"), "{more:?}");
    assert_eq!(reasons(two, json!({"pendingFences": []})), ["Fenced", "Fenced"]);
}

#[test]
fn an_answer_is_told_once_and_a_beginning_not() {
    let request = |outcome: &str, reason: &str| -> Request {
        serde_json::from_value(json!({
            "name": "switchover", "value": "any@1", "outcome": outcome, "reason": reason, "message": "m",
            "at": "2026-11-23T07:12:09Z",
        }))
        .unwrap()
    };
    let table = [
        ("Running", "", None),
        ("Done", "", Some(("RequestDone", false, "switchover=any@1: m"))),
        (
            "Refused",
            "GivenUp",
            Some(("RequestRefused", true, "switchover=any@1: GivenUp: m")),
        ),
        ("Stale", "", Some(("RequestRefused", true, "switchover=any@1: m"))),
    ];
    for (outcome, reason, wanted) in table {
        let new = [request(outcome, reason)];
        let notes = answered(&[request("Running", "")], &new);
        let found = notes.first().map(|n| (n.reason, n.warning, n.message.as_str()));
        assert_eq!(found, wanted, "{outcome}");
        assert!(answered(&new, &new).is_empty(), "{outcome} is told again");
    }
}
