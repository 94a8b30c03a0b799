//! The path between the master and its replicas is cut, and the operator reaches them all.

use super::check::{check, reasons};
use super::random::live;
use super::story::{ends_well, kill, reach, seconds, story};
use super::world::{Event, Reach, World};

/// A cut of s-0 from its peers, for as long as the master refuses writes and a little longer.
fn cut_off(world: &mut World) {
    live(world, &[reach(0, Reach::Operator)]);
    (0..8).for_each(|_| live(world, &[Event::WriteToAll]));
}

#[test]
fn a_master_cut_off_from_its_replicas_takes_writes_without_them_once_they_are_detached() {
    let mut world = story(2);
    cut_off(&mut world);
    let lowered = [
        "fence s-1",
        "fence s-2",
        "record wait 1, min-replicas-to-write 0: the missing replicas are dead, locked out, or answered fenced",
        "attach s-1 to s-0 epoch=1",
        "attach s-2 to s-0 epoch=1",
        "arm s-0 min=0 epoch=1",
    ];
    assert_eq!(world.done[..lowered.len()], lowered);
    let before = world.written;
    (0..5).for_each(|_| live(&mut world, &[Event::WriteToAll]));
    assert_eq!(world.written, before + 5);
    reasons(
        "a cut",
        &world,
        &["ReplicationHealthy=PathBlocked", "FailoverBlocked=Possible"],
    );
    assert_eq!((world.master(), world.status.failovers.len()), (Some(0), 0));
    ends_well(&mut world);
    assert_eq!(world.redis(0).unwrap().min, 1);
}

/// A master that answers again after a long fork is heard by its replicas a moment later.
#[test]
fn a_master_that_was_silent_itself_is_given_time_to_be_heard() {
    let mut world = story(2);
    live(&mut world, &[reach(0, Reach::Operator)]);
    (0..3).for_each(|_| live(&mut world, &[Event::WriteToAll]));
    world.status.members[0].since.0 = world.now;
    (0..4).for_each(|_| live(&mut world, &[Event::WriteToAll]));
    assert_eq!(world.done, [""; 0]);
    (0..3).for_each(|_| live(&mut world, &[Event::WriteToAll]));
    assert!(
        world.done.iter().any(|step| step.starts_with("record wait 1, min")),
        "{:?}",
        world.done
    );
    ends_well(&mut world);
}

/// What was confirmed before the cut is on a replica; what the master took alone is the loss that is reported.
#[test]
fn the_death_of_a_master_that_was_cut_off_loses_what_it_took_alone_and_says_so() {
    let mut world = story(2);
    cut_off(&mut world);
    (0..3).for_each(|_| live(&mut world, &[Event::WriteToAll]));
    live(&mut world, &[kill(0, 60)]);
    seconds(&mut world, 3);
    let (old, new) = (
        &world.slots[0].claim.as_ref().unwrap().disk,
        &world.redis(1).unwrap().data,
    );
    let lost = old.iter().filter(|w| !new.contains(w)).count();
    let reported = world.status.failovers[0].verdict.max_lost_bytes;
    assert!(
        lost > 0 && reported.is_some_and(|most| most >= lost as i64),
        "{lost} lost, {reported:?} reported"
    );
    ends_well(&mut world);
}

#[test]
fn a_cut_from_one_replica_of_two_changes_nothing_but_what_is_said() {
    let mut world = story(2);
    live(&mut world, &[reach(2, Reach::Operator)]);
    seconds(&mut world, 8);
    assert_eq!(world.done, [""; 0]);
    reasons(
        "a cut",
        &world,
        &["ReplicationHealthy=PathBlocked", "Available=Serving"],
    );
    ends_well(&mut world);
}

/// A silent replica may acknowledge, so a reachable one that is cut off is no reason to lower the number.
#[test]
fn nothing_is_lowered_while_a_replica_is_silent_to_the_operator() {
    let mut world = story(2);
    live(&mut world, &[reach(0, Reach::Operator), reach(2, Reach::Nobody)]);
    (0..10).for_each(|_| live(&mut world, &[Event::WriteToAll]));
    assert!(
        !world.done.iter().any(|step| step.starts_with("record wait")),
        "{:?}",
        world.done
    );
    ends_well(&mut world);
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 linkdown same; 2 dead",
        &[],
        &["ReplicationHealthy=LinkDown"],
    );
}
