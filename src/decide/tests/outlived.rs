//! A process that outlives its pod: its node is cut off from the API server, and a person deleted the pod by force.
//!
//! It goes on to follow and to acknowledge under the name of its successor, until its link user is dropped.

use super::random::live;
use super::story::{ends_well, kill, reach, seconds, story};
use super::world::{Event, GHOSTS, Reach, World};

/// The pod is deleted by force; its process still follows the master. The successor starts after so many seconds.
fn outlive(world: &mut World, pod: usize, starts_in: u32) {
    live(world, &[reach(pod, Reach::Peers)]);
    live(world, &[Event::ForceDelete { pod }]);
    world.pod_mut(pod).unwrap().starts_in = Some(starts_in);
    assert!(world.redis(GHOSTS).is_some_and(super::world::redis::Redis::linked));
}

/// s-1 lives on out of everybody's sight while its successor comes and dies. Then it is back under s-0, where its
/// credentials are, and would confirm a write that s-2 does not have yet.
#[test]
fn it_can_not_come_back_once_its_successor_is_an_elector() {
    for after in 0..12 {
        let mut world = story(2);
        outlive(&mut world, 1, 20);
        live(&mut world, &[reach(GHOSTS, Reach::Nobody)]);
        while world.pod(1).unwrap().starts_in != Some(0) {
            live(&mut world, &[]);
        }
        live(&mut world, &[Event::Crash { after }]);
        live(&mut world, &[kill(1, 60)]);
        seconds(&mut world, 3);
        live(
            &mut world,
            &[reach(GHOSTS, Reach::Peers), Event::Slow { pod: 2, slow: true }],
        );
        live(&mut world, &[Event::Write, Event::Write]);
        live(&mut world, &[kill(0, 60)]);
        seconds(&mut world, 3);
        ends_well(&mut world);
    }
}

/// It hangs under s-0 while that follows s-1. When s-0 is master again, nobody may acknowledge to it who was not attached
/// to it since.
#[test]
fn a_master_that_gets_its_role_back_has_no_replica_of_its_first_reign() {
    let mut world = story(2);
    outlive(&mut world, 2, 8);
    let switchover = |world: &mut World, to: &str| {
        world.requests.insert("switchover".into(), to.to_owned());
    };
    switchover(&mut world, "s-1@there");
    seconds(&mut world, 14);
    assert_eq!(world.master(), Some(1));
    assert!(
        world.status.electors.iter().all(|e| !e.learner),
        "{:?}",
        world.status.electors
    );
    switchover(&mut world, "s-0@back");
    seconds(&mut world, 3);
    assert_eq!(world.master(), Some(0));
    ends_well(&mut world);
}
