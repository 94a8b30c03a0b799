//! What a failover says it lost at most: a bound that holds, or that none is known.

use super::random::live;
use super::story::{ends_well, kill, reach, seconds, story};
use super::world::{Event, Reach, World};
use crate::api::status::{Positions, Proof, Witnesses};
use crate::decide::report;
use crate::decide::view::View;
use crate::model::redis::Facts;

/// What the report of the last failover says.
fn reported(world: &World) -> Option<i64> {
    world.status.failovers[0].verdict.max_lost_bytes
}

/// The bound of a failover to s-1 with this proof.
fn bound(world: &World, winner: impl Fn(&mut Facts), proof: Proof) -> Option<i64> {
    let observed = world.observe();
    let view = View::new(&world.cluster, &observed, world.now);
    let mut facts = observed.members[1].facts().unwrap().clone();
    winner(&mut facts);
    report::verdict(&view, &facts, proof, Witnesses::default(), Positions::default()).max_lost_bytes
}

#[test]
fn a_killed_master_lost_at_most_what_it_can_have_taken_since_the_last_look() {
    let mut world = story(2);
    live(&mut world, &[Event::Write, Event::Write, kill(0, 60)]);
    seconds(&mut world, 3);
    assert!(reported(&world).is_some_and(|most| most >= 2), "{:?}", reported(&world));
    ends_well(&mut world);
}

#[test]
fn a_pace_that_was_never_seen_bounds_nothing() {
    let mut world = story(2);
    let mut burst = vec![Event::Write; 20];
    burst.push(Event::SlowProbe { pod: 0 });
    live(&mut world, &burst);
    live(&mut world, &[kill(0, 60)]);
    seconds(&mut world, 3);
    assert_eq!(reported(&world), None);
    let message = &world.status.failovers[0].message;
    assert!(message.contains("it is not known how many bytes are lost"), "{message}");
    ends_well(&mut world);
}

#[test]
fn a_master_that_this_operator_saw_only_once_has_no_pace() {
    let mut world = story(2);
    world.restart_operator();
    live(&mut world, &[]);
    live(&mut world, &[kill(0, 60)]);
    seconds(&mut world, 3);
    assert_eq!(reported(&world), None);
    ends_well(&mut world);
}

#[test]
fn there_is_a_bound_only_if_the_end_of_the_masters_stream_is_known() {
    let mut world = story(2);
    live(&mut world, &[reach(0, Reach::Nobody)]);
    let known = [
        Proof::ConnectionRefused,
        Proof::ContainerTerminated,
        Proof::FenceTimeElapsed,
    ];
    for proof in known {
        assert!(bound(&world, |_| (), proof).is_some_and(|most| most > 0), "{proof}");
        let other_stream = |facts: &mut Facts| facts.replid = "other".into();
        assert_eq!(bound(&world, other_stream, proof), None, "{proof}");
        let ahead = |facts: &mut Facts| facts.offset += 1000;
        assert_eq!(bound(&world, ahead, proof), None, "{proof}");
    }
    // It may take writes for ever, or another process stands in its place.
    for proof in [Proof::None, Proof::PodGone, Proof::ProcessReplaced] {
        assert_eq!(bound(&world, |_| (), proof), None, "{proof}");
    }
    assert_eq!(bound(&world, |_| (), Proof::Demoted), Some(0));
}
