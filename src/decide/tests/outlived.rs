//! A process that outlives its pod: its node is cut off from the API server, and a person deleted the pod by force.
//!
//! It goes on to follow and to acknowledge under the name of its successor, until its link user is dropped.

use super::fence::ask;
use super::random::live;
use super::story::{ends_well, hold, kill, reach, seconds, story};
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

/// The master lives on without its pod, s-2 alone confirms a write of it and dies, s-1 has seen nothing of that.
fn master_outlived() -> World {
    let mut world = story(2);
    live(
        &mut world,
        &[reach(0, Reach::Peers), Event::Slow { pod: 1, slow: true }],
    );
    let writes = vec![Event::WriteToAll; 4];
    live(&mut world, &[vec![Event::ForceDelete { pod: 0 }], writes].concat());
    assert!(world.confirmed.contains(&world.written), "nobody has confirmed it");
    live(&mut world, &[kill(2, 1), reach(GHOSTS, Reach::Nobody)]);
    assert!(world.redis(1).is_some_and(|r| !r.data.contains(&world.written)));
    world
}

/// What the old process and s-2 confirmed is neither in the file that the new pod has nor on s-1.
#[test]
fn the_file_of_a_master_that_may_live_on_is_no_source_while_a_vote_is_known() {
    let mut world = master_outlived();
    seconds(&mut world, 30);
    assert_eq!(world.status.epoch, Some(1), "{:?}", world.done);
    let refusal = "the pod of master s-0 is gone, and nobody saw its process end";
    assert!(hold(&world).starts_with(refusal), "{}", hold(&world));
    ask(&mut world, "force-failover", "s-2@1");
    seconds(&mut world, 10);
    let held = world.redis(2).map(|r| r.data.clone()).unwrap();
    assert!(
        world.master() == Some(2) && held.contains(&world.written),
        "{:?}",
        world.done
    );
    ends_well(&mut world);
}

/// A person knows that nothing was written since, and takes the file.
#[test]
fn a_person_may_name_the_masters_own_file() {
    let mut world = master_outlived();
    seconds(&mut world, 3);
    ask(&mut world, "force-failover", "s-0@1");
    seconds(&mut world, 12);
    assert_eq!(
        (world.master(), world.status.epoch),
        (Some(0), Some(2)),
        "{:?}",
        world.done
    );
    ends_well(&mut world);
}

/// Its container ended, and then its pod was deleted: nothing was confirmed that its file lacks.
#[test]
fn the_file_of_a_master_that_was_seen_to_end_is_a_source_whichever_operator_leads() {
    for restarts in [false, true] {
        let mut world = story(2);
        live(
            &mut world,
            &[Event::Slow { pod: 1, slow: true }, kill(2, 60), kill(0, 60)],
        );
        seconds(&mut world, 2);
        assert!(hold(&world).starts_with("1 of 2 electors read"), "{}", hold(&world));
        if restarts {
            world.restart_operator();
        }
        live(&mut world, &[Event::DeletePod { pod: 0 }]);
        seconds(&mut world, 12);
        assert_eq!(
            (world.master(), world.status.epoch),
            (Some(0), Some(2)),
            "{:?}",
            world.done
        );
        ends_well(&mut world);
    }
}
