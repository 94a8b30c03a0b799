//! Nodes that are cordoned or shut down: the master leaves early, once, and only where it can stay.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;

use super::check::{check, say, settle, world};
use super::random::live;
use super::story::{done, ends_well, kill, seconds, story};
use super::world::{Event, World};
use crate::api::status::{OperationReason, Outcome};
use crate::model::observed::Draining::{self, Cordoned, ShuttingDown};

fn drain(node: usize, draining: impl Into<Option<Draining>>) -> Event {
    Event::Drain {
        node,
        draining: draining.into(),
    }
}

/// What status says of a pod.
fn message(world: &World, pod: usize) -> &str {
    world.status.members[pod].message.as_deref().unwrap_or_default()
}

fn changes(world: &World) -> Vec<(&str, &str, OperationReason)> {
    let reports = world.status.failovers.iter().rev();
    reports.map(|r| (r.from.as_str(), r.to.as_str(), r.reason)).collect()
}

/// Whether nothing is done and nothing is written any more.
#[track_caller]
fn is_quiet(world: &mut World) {
    seconds(world, 2);
    world.done.clear();
    let before = world.status.clone();
    seconds(world, 120);
    done(world, &[]);
    let (before, after) = (before.members, &world.status.members);
    assert_eq!(&before, after);
}

#[test]
fn a_master_whose_node_is_cordoned_hands_over_without_a_loss_and_stays_away_when_that_ends() {
    let mut world = story(2);
    live(&mut world, &[Event::Write, drain(0, Cordoned)]);
    seconds(&mut world, 5);
    assert_eq!(world.done[0], "record switchover to s-1 (NodeDraining)");
    assert_eq!(changes(&world), [("s-0", "s-1", OperationReason::NodeDraining)]);
    assert_eq!(world.status.failovers[0].verdict.max_lost_bytes, Some(0));
    assert_eq!(message(&world, 0), "node-0 is cordoned");
    is_quiet(&mut world);
    live(&mut world, &[drain(0, None)]);
    is_quiet(&mut world);
    assert_eq!((world.master(), message(&world, 0)), (Some(1), ""));
    ends_well(&mut world);
}

#[test]
fn a_cordon_of_all_nodes_in_turn_is_one_switchover_each_and_the_last_master_stays_and_says_so() {
    let mut world = story(2);
    for node in 0..3 {
        live(&mut world, &[drain(node, Cordoned)]);
        seconds(&mut world, 7);
    }
    let draining = OperationReason::NodeDraining;
    assert_eq!(changes(&world), [("s-0", "s-1", draining), ("s-1", "s-2", draining)]);
    assert_eq!(
        message(&world, 2),
        "node-2 is cordoned, and so are the replicas' nodes: it stays master"
    );
    is_quiet(&mut world);
    ends_well(&mut world);
}

#[test]
fn who_can_not_take_over_is_waited_for_and_the_master_serves_meanwhile() {
    let mut world = story(1);
    live(&mut world, &[kill(1, 20), drain(0, Cordoned)]);
    seconds(&mut world, 10);
    assert_eq!(world.master(), Some(0));
    assert_eq!(
        message(&world, 0),
        "node-0 is cordoned; no replica can take over now: switchover-dry-run=any@1 says why"
    );
    seconds(&mut world, 20);
    assert_eq!(changes(&world), [("s-0", "s-1", OperationReason::NodeDraining)]);
    ends_well(&mut world);
}

#[test]
fn a_set_of_one_pod_and_a_paused_one_stay_where_they_are() {
    let mut alone = story(0);
    live(&mut alone, &[drain(0, Cordoned)]);
    is_quiet(&mut alone);
    assert_eq!(
        message(&alone, 0),
        "node-0 is cordoned; the set has no replica to take over"
    );
    let mut paused = story(2);
    live(&mut paused, &[Event::Pause { paused: true }, drain(0, Cordoned)]);
    is_quiet(&mut paused);
    assert_eq!(paused.master(), Some(0));
    ends_well(&mut paused);
    assert_eq!(paused.master(), Some(1));
}

#[test]
fn a_fenced_master_stays_and_a_fenced_replica_is_no_target() {
    let mut world = story(2);
    let fence = |pod| Event::Ask {
        name: "fence",
        pod: Some(pod),
    };
    live(&mut world, &[fence(1), drain(0, Cordoned)]);
    seconds(&mut world, 7);
    assert_eq!(world.master(), Some(2), "{:?}", world.done);
    live(&mut world, &[fence(2)]);
    seconds(&mut world, 3);
    live(&mut world, &[drain(0, None), drain(2, Cordoned)]);
    is_quiet(&mut world);
    assert_eq!(changes(&world).len(), 1);
}

/// The master, the nodes that drain with how, and to whom it hands over.
#[test]
fn a_hand_over_leads_only_to_where_pods_stay_for_longer() {
    type Nodes = &'static [(usize, Draining)];
    let table: [(&str, Nodes, &str); 9] = [
        ("", &[(0, Cordoned)], "s-1 (NodeDraining)"),
        ("", &[(0, Cordoned), (1, Cordoned)], "s-2 (NodeDraining)"),
        ("", &[(0, Cordoned), (1, ShuttingDown), (2, Cordoned)], ""),
        ("", &[(1, Cordoned), (2, ShuttingDown)], ""),
        ("", &[(0, ShuttingDown), (1, Cordoned)], "s-2 (NodeDraining)"),
        (
            "",
            &[(0, ShuttingDown), (1, ShuttingDown), (2, Cordoned)],
            "s-2 (NodeDraining)",
        ),
        ("", &[(0, ShuttingDown), (1, ShuttingDown), (2, ShuttingDown)], ""),
        // It ends in ten seconds in any case: a cordoned node costs less than its death.
        (
            " out",
            &[(0, Cordoned), (1, Cordoned), (2, Cordoned)],
            "s-1 (PodDeleted)",
        ),
        (
            " out",
            &[(0, Cordoned), (1, ShuttingDown), (2, Cordoned)],
            "s-2 (PodDeleted)",
        ),
    ];
    for (deleted, nodes, target) in table {
        let mut world = world("set epoch=3 master=0; 0 armed=1 keys=5; 1 attached; 2 attached");
        world.pod_mut(0).unwrap().deleting = !deleted.is_empty();
        nodes.iter().for_each(|(node, how)| world.happen(&drain(*node, *how)));
        world.probe_all(&BTreeSet::new());
        let begins = |world: &mut World| {
            let step = settle(world).steps.first().map(say).unwrap_or_default();
            let target = step.strip_prefix("record switchover to ");
            target.unwrap_or_default().to_owned()
        };
        // Who ends soon in any case does not wait for an eviction.
        let is_urgent = !deleted.is_empty() || nodes.contains(&(0, ShuttingDown));
        let at_once = if is_urgent { target } else { "" };
        assert_eq!(begins(&mut world), at_once, "at once: {deleted}{nodes:?}");
        world.now += SignedDuration::from_secs(2);
        assert_eq!(begins(&mut world), target, "{deleted}{nodes:?}");
    }
}

#[test]
fn a_drain_evicts_before_a_hand_over_begins_and_then_the_node_proxies_are_waited_for() {
    let mut world = story(2);
    live(&mut world, &[drain(0, Cordoned)]);
    seconds(&mut world, 1);
    done(&mut world, &[]);
    world.rerouted = Some(world.now + SignedDuration::from_secs(1));
    live(&mut world, &[Event::DeletePod { pod: 0 }]);
    done(&mut world, &["record switchover to s-1 (PodDeleted)"]);
    seconds(&mut world, 5);
    assert_eq!(changes(&world), [("s-0", "s-1", OperationReason::PodDeleted)]);
    ends_well(&mut world);
}

#[test]
fn the_moment_at_which_a_cordoned_master_leaves_is_not_missed() {
    let mut world = world("set epoch=3 master=0; 0 armed=1 keys=5; 1 attached; 2 attached");
    world.happen(&drain(0, Cordoned));
    world.probe_all(&BTreeSet::new());
    let next = settle(&mut world).next;
    assert!(next <= Duration::from_secs(2), "{next:?}");
    world.now += SignedDuration::from_millis(1500);
    let next = settle(&mut world).next;
    assert!(next <= Duration::from_millis(500), "{next:?}");
}

#[test]
fn no_request_leads_to_a_cordoned_node_and_the_refusal_names_it() {
    let mut world = story(2);
    live(&mut world, &[drain(1, Cordoned)]);
    let ask = |world: &mut World, value: &str| {
        world.requests.insert("switchover".into(), value.into());
        seconds(world, 4);
        let request = &world.status.requests[0];
        (request.outcome, request.reason.clone(), request.message.clone())
    };
    let refused = ask(&mut world, "s-1@1");
    let why = "s-1 runs on node-1, which is cordoned".to_owned();
    assert_eq!(refused, (Outcome::Refused, "TargetUnfit".to_owned(), why));
    assert_eq!(ask(&mut world, "any@2").0, Outcome::Done);
    assert_eq!(world.master(), Some(2));
}

#[test]
fn a_target_whose_node_is_cordoned_in_the_last_moment_is_left_for_another() {
    let mut world = story(2);
    // The operator ends right after it has recorded the intent.
    live(&mut world, &[drain(0, Cordoned), Event::Crash { after: 1 }]);
    seconds(&mut world, 2);
    done(&mut world, &["record switchover to s-1 (NodeDraining)"]);
    live(&mut world, &[drain(1, Cordoned)]);
    seconds(&mut world, 3);
    assert_eq!(changes(&world), [("s-0", "s-2", OperationReason::NodeDraining)]);
    ends_well(&mut world);
}

#[test]
fn after_a_death_a_cordoned_pod_wins_only_over_those_that_have_less() {
    let winner = |votes: &str, node: usize| {
        let mut world = world(&format!("set epoch=3 master=0 had=5; 0 dead armed=1 keys=5; {votes}"));
        world.happen(&drain(node, Cordoned));
        say(&settle(&mut world).steps[0])
    };
    let equal = "1 fenced same; 2 fenced same";
    assert!(winner(equal, 1).starts_with("record s-2 takes over"));
    assert!(winner(equal, 2).starts_with("record s-1 takes over"));
    let behind = "1 fenced same; 2 fenced same offset=99";
    assert!(winner(behind, 1).starts_with("record s-1 takes over"));
}

#[test]
fn a_cordon_after_which_the_target_did_not_get_there_is_not_tried_again_at_once() {
    let mut world = story(1);
    live(&mut world, &[Event::Slow { pod: 1, slow: true }]);
    live(
        &mut world,
        &[&vec![Event::Write; 30][..], &[drain(0, Cordoned)]].concat(),
    );
    seconds(&mut world, 6);
    let is_intent = |step: &&String| *step == "record switchover to s-1 (NodeDraining)";
    let begun = |world: &World| world.done.iter().filter(is_intent).count();
    let granted = world.done.iter().any(|s| s.starts_with("record Grant of s-0"));
    assert!(granted, "{:?}", world.done);
    assert_eq!(begun(&world), 1, "{:?}", world.done);
    live(&mut world, &[Event::Slow { pod: 1, slow: false }]);
    seconds(&mut world, 280);
    assert_eq!((begun(&world), world.master()), (1, Some(0)), "{:?}", world.done);
    seconds(&mut world, 30);
    assert_eq!(world.master(), Some(1), "{:?}", world.done);
    ends_well(&mut world);
}

#[test]
fn before_a_node_is_off_a_target_that_does_not_get_there_is_tried_again_but_not_each_second() {
    let mut world = story(1);
    live(&mut world, &[Event::Slow { pod: 1, slow: true }]);
    let shuts_down = [&vec![Event::Write; 60][..], &[drain(0, ShuttingDown)]].concat();
    live(&mut world, &shuts_down);
    seconds(&mut world, 20);
    let tries = |step: &&String| *step == "fence s-0";
    let tries = world.done.iter().filter(tries).count();
    assert!((3..=4).contains(&tries), "{tries}: {:?}", world.done);
    live(&mut world, &[Event::Slow { pod: 1, slow: false }]);
    seconds(&mut world, 10);
    assert_eq!(world.master(), Some(1), "{:?}", world.done);
    ends_well(&mut world);
}

#[test]
fn who_does_not_look_at_nodes_says_so() {
    let mut world = story(2);
    seconds(&mut world, 1);
    let said = |world: &World| {
        let found = world.status.conditions.iter().find(|c| c.type_ == "SpreadDegraded");
        found.map(|c| c.message.clone()).unwrap_or_default()
    };
    assert_eq!(said(&world), "every pod has a node of its own");
    world.sees_nodes = false;
    seconds(&mut world, 1);
    let told = "every pod has a node of its own; nodes are not looked at: a cordon moves no master";
    assert_eq!(said(&world), told);
    is_quiet(&mut world);
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 attached; 2 attached",
        &[],
        &["SpreadDegraded=Spread"],
    );
}
