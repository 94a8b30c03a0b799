//! Replicas: who enters the electors, who is attached when, who is cut off.

use k8s_openapi::jiff::SignedDuration;

use super::check::{check, say, settle, world};
use super::world::World;

#[test]
fn a_replica_pod_that_was_made_anew_is_the_same_elector_as_another_process() {
    let record = &["record electors: s-1 is a new process"];
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 newpod keys=5; 2 attached",
        record,
        &[],
    );
}

#[test]
fn a_replica_with_a_new_volume_enters_as_a_learner() {
    let record = &["record electors: s-1 enters"];
    check("set epoch=3 master=0; 0 armed=1 keys=5; 1 out; 2 attached", record, &[]);
    let swap = &["record electors: s-1 enters, s-1 lost its volume and leaves"];
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 newpod newvolume; 2 attached",
        swap,
        &[],
    );
    let not_yet = "set epoch=3 master=0; 0 armed=1 keys=5; 1 newpod newvolume; 2 attached offset=99";
    check(not_yet, record, &[]);
}

#[test]
fn a_lost_volume_votes_on_until_its_successor_holds_everything() {
    let enters = &["record electors: s-1 enters"];
    check(
        "set replicas=1 epoch=3 master=0; 0 armed=0 keys=5; 1 newpod newvolume",
        enters,
        &[],
    );
}

#[test]
fn a_lost_volume_is_locked_out_before_another_one_of_its_name_is_attached() {
    let world = "set epoch=3 master=0; 0 armed=1 keys=5; 1 newpod newvolume user";
    check(&format!("{world}; 2 attached"), &["lock-out s-1 at s-0"], &[]);
    check(&format!("{world}; 2 attached offset=99"), &["lock-out s-1 at s-0"], &[]);
}

#[test]
fn a_learner_votes_once_it_holds_everything() {
    let votes = &["record electors: s-1 holds everything"];
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 attached learner; 2 attached",
        votes,
        &[],
    );
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 attached learner offset=99; 2 attached",
        &[],
        &[],
    );
}

#[test]
fn the_next_look_is_not_left_to_chance_while_a_learner_waits_for_it() {
    let next = |text| settle(&mut world(text)).next;
    let learns = "set epoch=3 master=0; 0 armed=1 keys=5; 1 attached learner offset=99; 2 attached";
    assert_eq!(next(learns), crate::decide::BUSY);
    assert_eq!(next(&learns.replace("learner offset=99", "")), crate::decide::IDLE);
}

#[test]
fn full_resyncs_are_given_one_by_one_and_partial_ones_at_once() {
    let world = "set epoch=3 master=0 replicas=4 k=2 min=0; 0 armed=0 keys=5";
    let first = &[
        "attach s-1 to s-0 epoch=3",
        "attach s-3 to s-0 epoch=3",
        "attach s-4 to s-0 epoch=3",
    ];
    check(
        &format!("{world}; 1 keys=5; 2 keys=5; 3 same keys=5; 4 same keys=5"),
        first,
        &[],
    );
    let partial = &["attach s-3 to s-0 epoch=3"];
    check(
        &format!("{world}; 1 syncing; 2 keys=5; 3 same keys=5; 4 attached"),
        partial,
        &[],
    );
    check(&format!("{world}; 1 syncing; 2 keys=5; 3 attached; 4 silent"), &[], &[]);
}

#[test]
fn a_replica_that_was_attached_and_does_not_receive_yet_counts_as_a_full_resync() {
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 linkdown keys=5; 2 keys=5",
        &[],
        &["ReplicationHealthy=LinkDown"],
    );
}

#[test]
fn a_replica_that_cannot_attach_is_tried_again_after_5_seconds_and_keeps_nobody_waiting() {
    let mut world = world("set epoch=3 master=0 min=0; 0 armed=0 keys=5; 1 linkdown keys=5; 2 keys=5");
    let steps = |world: &mut World| {
        world.probe_all(&Default::default());
        // An attach is known to have failed by a look at the child that is younger than the last one at the master.
        world.probe(1);
        settle(world).steps.iter().map(say).collect::<Vec<_>>()
    };
    assert!(steps(&mut world).is_empty());
    world.now += SignedDuration::from_secs(5);
    assert_eq!(steps(&mut world), ["attach s-2 to s-0 epoch=3"], "the other one first");
    world.slots[2].pod = None;
    assert_eq!(steps(&mut world), ["attach s-1 to s-0 epoch=3"]);
    settle(&mut world)
        .steps
        .iter()
        .for_each(|step| world.apply(step).unwrap());
    assert!(settle(&mut world).steps.is_empty(), "not again before it was looked at");
    assert!(steps(&mut world).is_empty(), "nor soon after it was tried");
    world.now += SignedDuration::from_secs(5);
    assert_eq!(steps(&mut world), ["attach s-1 to s-0 epoch=3"]);
}

#[test]
fn a_replica_that_is_deleted_or_loads_is_not_attached() {
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 entered deleting keys=5; 2 attached",
        &[],
        &[],
    );
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 loading keys=5; 2 attached",
        &[],
        &[],
    );
}

#[test]
fn a_bare_stranger_is_fenced_first() {
    let fence = &["fence s-2"];
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 attached; 2 bare",
        fence,
        &["Available=Serving"],
    );
}
