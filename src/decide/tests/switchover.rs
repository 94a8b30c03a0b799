//! A master that hands over because its pod goes.

use k8s_openapi::jiff::SignedDuration;

use super::random::live;
use super::story::{done, ends_well, kill, seconds, story, whenever_the_operator_dies};
use super::world::Event;

#[test]
fn a_master_whose_pod_is_deleted_hands_over_without_a_loss() {
    let mut world = story(2);
    live(&mut world, &[Event::Write, Event::DeletePod { pod: 0 }]);
    seconds(&mut world, 2);
    done(
        &mut world,
        &[
            "record switchover to s-1 (PodDeleted)",
            "fence s-0",
            "record s-1 holds everything and takes over (PodDeleted)",
            "bare s-1",
            "arm s-1 min=1 epoch=2",
            "attach s-2 to s-1 epoch=2",
            "record lineage repl23 begins at 24",
            "record s-1 serves, and the VIP leads to it",
        ],
    );
    assert_eq!(world.status.failovers[0].verdict.max_lost_bytes, Some(0));
    ends_well(&mut world);
}

/// Else clients of the demoted master would have nowhere to go until the proxies take the change of the VIP.
#[test]
fn a_master_serves_until_the_node_proxies_would_take_a_change_at_once() {
    let mut world = story(2);
    let rerouted = world.now + SignedDuration::from_secs(1);
    world.rerouted = Some(rerouted);
    live(&mut world, &[Event::Write, Event::DeletePod { pod: 0 }]);
    assert_eq!(world.done, ["record switchover to s-1 (PodDeleted)"]);
    while !world.done.iter().any(|step| step == "fence s-0") {
        live(&mut world, &[Event::Write]);
    }
    let waited = world.now.duration_since(rerouted);
    assert!(waited >= SignedDuration::from_secs(1), "{waited:?}");
    assert!(waited < SignedDuration::from_secs(3), "{waited:?}");
    ends_well(&mut world);
    let report = &world.status.failovers[0];
    assert_eq!(report.verdict.max_lost_bytes, Some(0));
    // Nobody feels the wait.
    let phases = report.phases_ms;
    let proxies = phases.proxies.unwrap();
    assert!((1000..3000).contains(&proxies), "{phases:?}");
    assert!(phases.fence.is_some_and(|at| at < 100), "{phases:?}");
    let all = report.finished_at.0.duration_since(report.started_at.0).as_millis();
    assert_eq!(i128::from(proxies + phases.total), all, "{phases:?}");
}

/// As with other pods of the set that come and go all the time: this one is held for ten seconds only.
#[test]
fn the_node_proxies_are_not_waited_for_for_ever() {
    let mut world = story(2);
    live(&mut world, &[Event::DeletePod { pod: 0 }]);
    let begun = world.now;
    while !world.done.iter().any(|step| step == "fence s-0") {
        world.rerouted = Some(world.now);
        live(&mut world, &[]);
        assert!(world.now.duration_since(begun).as_secs() < 5, "{:?}", world.done);
    }
    ends_well(&mut world);
}

#[test]
fn a_target_that_dies_before_it_holds_everything_gives_the_role_back() {
    let mut world = story(2);
    live(
        &mut world,
        &[Event::Slow { pod: 1, slow: true }, Event::Slow { pod: 2, slow: true }],
    );
    let many = vec![Event::Write; 3];
    live(
        &mut world,
        &[&many[..], &[Event::DeletePod { pod: 0 }, Event::Crash { after: 2 }]].concat(),
    );
    live(&mut world, &[kill(1, 30), kill(2, 30)]);
    seconds(&mut world, 2);
    let back = [
        "record switchover to s-1 (PodDeleted)",
        "fence s-0",
        "record Grant of s-0 in epoch 2 (Restarted)",
    ];
    done(&mut world, &back);
    ends_well(&mut world);
}

#[test]
fn a_switchover_ends_the_same_whenever_the_operator_dies() {
    whenever_the_operator_dies(2, |world| {
        live(world, &[Event::Write, Event::DeletePod { pod: 0 }]);
        seconds(world, 3);
    });
}
