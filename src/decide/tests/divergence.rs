//! Former masters that come back with writes that nobody else has.

use super::fence::{answer, ask};
use super::random::live;
use super::story::{ends_well, kill, reach, seconds, story};
use super::world::{Event, Reach, World};
use crate::api::OnDivergence;
use crate::api::status::Outcome;

fn holding() -> World {
    let mut world = story(2);
    world.cluster.spec.failover.on_divergence = OnDivergence::Hold;
    world
}

fn condition(world: &World, kind: &str) -> (String, String) {
    let found = world.status.conditions.iter().find(|c| c.type_ == kind).unwrap();
    (found.reason.clone(), found.message.clone())
}

/// s-0 was off the network, and took writes of clients on its side until it fenced itself.
fn zombie(world: &mut World) {
    live(world, &[reach(0, Reach::Apart)]);
    (0..10).for_each(|_| live(world, &[Event::WriteToAll]));
    assert_eq!(world.master(), Some(1), "{:?}", world.done);
    live(world, &[reach(0, Reach::All)]);
    seconds(world, 8);
}

#[test]
fn a_master_that_comes_back_with_writes_of_its_own_is_held_until_they_may_go() {
    let mut world = holding();
    zombie(&mut world);
    let own = world.redis(0).unwrap().data.clone();
    let lost = own.iter().filter(|w| !world.redis(1).unwrap().data.contains(w)).count();
    assert!(lost > 0 && world.redis(0).unwrap().link().is_none());
    let (reason, message) = condition(&world, "ReplicationHealthy");
    let bytes =
        world.redis(0).unwrap().offset - world.status.failovers[0].verdict.new_history.as_ref().unwrap().offset as u64;
    assert_eq!(reason, "Diverged");
    assert!(
        message.starts_with(&format!("s-0 has {bytes} bytes that nobody else has")),
        "{message}"
    );
    assert!(message.contains("discard=s-0@2"), "{message}");
    // Also through a restart: what its file has can then not be told, but bounded.
    live(&mut world, &[kill(0, 0)]);
    seconds(&mut world, 6);
    assert_eq!(
        (world.redis(0).unwrap().link(), &world.redis(0).unwrap().data),
        (None, &own)
    );
    let (reason, message) = condition(&world, "ReplicationHealthy");
    assert!(
        reason == "Diverged" && message.starts_with("s-0 may have "),
        "{message}"
    );
    ask(&mut world, "discard", "s-0@2");
    seconds(&mut world, 6);
    let found = answer(&world, "discard");
    assert_eq!(found.0, Outcome::Done, "{found:?}");
    ends_well(&mut world);
}

#[test]
fn by_default_what_only_a_former_master_has_goes() {
    let mut world = story(2);
    zombie(&mut world);
    assert!(world.redis(0).unwrap().linked());
    ends_well(&mut world);
}

#[test]
fn a_master_that_handed_over_is_not_held() {
    let mut world = holding();
    live(&mut world, &[Event::Write, Event::DeletePod { pod: 0 }]);
    seconds(&mut world, 4);
    ends_well(&mut world);
}

#[test]
fn a_held_pod_is_let_go_by_spec_as_well() {
    let mut world = holding();
    zombie(&mut world);
    world.cluster.spec.failover.on_divergence = OnDivergence::Discard;
    ends_well(&mut world);
}

#[test]
fn only_what_is_held_now_can_be_discarded() {
    let mut world = holding();
    for (value, reason) in [
        ("s-1", "Malformed"),
        ("s-1@x", "Malformed"),
        ("s-1@7", "WrongEpoch"),
        ("s-1@1", "NothingHeld"),
        ("s-9@1", "NothingHeld"),
    ] {
        ask(&mut world, "discard", value);
        seconds(&mut world, 1);
        let found = answer(&world, "discard");
        assert_eq!((found.0, found.1), (Outcome::Refused, reason), "{value}");
    }
}

#[test]
fn a_discard_is_done_once_whenever_the_operator_dies() {
    for after in 0..12 {
        let mut world = holding();
        zombie(&mut world);
        world.crash_after = Some(after);
        ask(&mut world, "discard", "s-0@2");
        seconds(&mut world, 8);
        assert_eq!(answer(&world, "discard").0, Outcome::Done, "crash after {after}");
        ends_well(&mut world);
    }
}
