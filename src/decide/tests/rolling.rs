//! Rolling updates and restarts as stories, in a set with every object: which pods are made anew, in which order, and what
//! is said about it.

use std::collections::BTreeMap;

use super::random::{converged, live};
use super::world::{Event, World};
use crate::api::status::{Outcome, Request};
use crate::model::observed::Trouble;

/// A set at rest that has a confirmed write.
fn story(replicas: i32) -> World {
    let mut world = World::new(replicas);
    seconds(&mut world, 15);
    live(&mut world, &[Event::Write]);
    seconds(&mut world, 2);
    converged(&world);
    world
}

fn seconds(world: &mut World, count: usize) {
    (0..count).for_each(|_| live(world, &[]));
}

/// Ordinals whose pods are on their way out, in the order in which they went, within so many seconds. Clients write
/// meanwhile, and at no time more than one pod is away.
fn made_anew(world: &mut World, count: usize) -> Vec<usize> {
    let mut went = Vec::new();
    let mut uids = uids(world);
    for _ in 0..count {
        live(world, &[Event::Write]);
        let now = self::uids(world);
        let pods = uids.keys().filter(|ordinal| now.get(ordinal) != uids.get(ordinal));
        let away: Vec<_> = (0..uids.len()).filter(|o| world.redis(*o).is_none()).collect();
        assert!(away.len() <= 1, "away at the same time: {away:?}");
        went.extend(pods.filter(|o| now.contains_key(o)));
        uids.extend(now);
    }
    went
}

fn uids(world: &World) -> BTreeMap<usize, String> {
    let uid = |ordinal: usize| Some((ordinal, world.pod(ordinal)?.uid.clone()));
    (0..world.slots.len()).filter_map(uid).collect()
}

fn ask(world: &mut World, name: &str, value: &str) {
    world.requests.insert(name.into(), value.into());
}

fn answer<'a>(world: &'a World, name: &str) -> &'a Request {
    let answer = world.status.requests.iter().find(|r| r.name == name);
    answer.unwrap_or_else(|| panic!("no answer to {name}"))
}

/// Everything that was confirmed is still there.
#[track_caller]
fn ends_well(world: &World) {
    converged(world);
    let master = world.redis(world.master().unwrap()).unwrap();
    assert!(world.confirmed.iter().all(|write| master.data.contains(write)));
}

#[test]
fn a_restart_makes_every_pod_anew_once_and_the_master_last_by_a_switchover() {
    let mut world = story(2);
    ask(&mut world, "restart", "all@1");
    seconds(&mut world, 1);
    assert_eq!(answer(&world, "restart").outcome, Outcome::Running);
    assert_eq!(made_anew(&mut world, 50), [2, 1, 0]);
    let answer = answer(&world, "restart");
    assert_eq!(
        (answer.outcome, answer.message.as_str()),
        (Outcome::Done, "3 pods were made anew")
    );
    assert_eq!(world.status.failovers.len(), 1, "{:?}", world.status.failovers);
    assert_eq!(world.status.failovers[0].verdict.max_lost_bytes, 0);
    ends_well(&world);
    assert!(made_anew(&mut world, 10).is_empty(), "an answered value is done again");
    // Whoever is made anew later is none that was made before: the template stays as it is.
    live(&mut world, &[Event::DeletePod { pod: 2 }]);
    seconds(&mut world, 10);
    assert_eq!(world.pod(2).unwrap().restart.as_deref(), Some("all@1"));
}

#[test]
fn a_restart_may_be_of_the_replicas_or_of_one_pod() {
    let mut world = story(2);
    ask(&mut world, "restart", "replicas@1");
    assert_eq!(made_anew(&mut world, 30), [2, 1]);
    assert_eq!(answer(&world, "restart").outcome, Outcome::Done);
    ask(&mut world, "restart", "s-1@2");
    assert_eq!(made_anew(&mut world, 20), [1]);
    assert_eq!(answer(&world, "restart").message, "s-1 was made anew");
    assert!(world.status.failovers.is_empty());
    // The master's own pod goes after it has handed over.
    ask(&mut world, "restart", "s-0@3");
    assert_eq!(made_anew(&mut world, 20), [0]);
    assert_eq!(world.status.failovers.len(), 1);
    ends_well(&world);
}

#[test]
fn a_set_without_replicas_is_restarted_too() {
    let mut world = story(0);
    ask(&mut world, "restart", "all");
    assert_eq!(made_anew(&mut world, 20), [0]);
    assert_eq!(answer(&world, "restart").message, "1 pod was made anew");
    ends_well(&world);
}

#[test]
fn a_restart_waits_for_a_pod_that_does_not_come_back_and_another_request_takes_its_place() {
    let mut world = story(2);
    ask(&mut world, "restart", "all@1");
    let away = |world: &mut World| {
        seconds(world, 1);
        world.redis(2).is_none()
    };
    assert!((0..20).any(|_| away(&mut world)), "s-2 does not go");
    seconds(&mut world, 1);
    let pod = world.pod_mut(2).unwrap();
    (pod.starts_in, pod.trouble) = (None, Some(Trouble::Unschedulable("no node".into())));
    assert!(made_anew(&mut world, 20).is_empty());
    assert_eq!(answer(&world, "restart").outcome, Outcome::Running);
    ask(&mut world, "restart", "s-2@2");
    assert_eq!(made_anew(&mut world, 20), [2]);
    assert_eq!(answer(&world, "restart").outcome, Outcome::Done);
    ends_well(&world);
}

#[test]
fn a_restart_that_can_not_be_done_is_refused_and_ends_the_one_before() {
    let mut world = story(1);
    for (value, reason) in [("all@", "Malformed"), ("s-7", "TargetUnfit"), ("a,b", "Malformed")] {
        ask(&mut world, "restart", value);
        seconds(&mut world, 1);
        let answer = answer(&world, "restart");
        assert_eq!(
            (answer.outcome, answer.reason.as_str()),
            (Outcome::Refused, reason),
            "{value}"
        );
    }
    ask(&mut world, "restart", "all@1");
    seconds(&mut world, 1);
    ask(&mut world, "restart", "s-7@2");
    seconds(&mut world, 1);
    let words = "no pod of this set is called s-7; restart=all@1, which was being done, is given up";
    assert_eq!(answer(&world, "restart").message, words);
    assert!(made_anew(&mut world, 10).is_empty());
}

#[test]
fn a_restart_ends_the_same_whenever_the_operator_dies() {
    let begins = story(1);
    for after in 0..12 {
        let mut world = begins.clone();
        ask(&mut world, "restart", "all@1");
        live(&mut world, &[Event::Crash { after }]);
        assert_eq!(made_anew(&mut world, 40).len(), 2, "crash after {after}");
        assert_eq!(answer(&world, "restart").outcome, Outcome::Done, "crash after {after}");
        ends_well(&world);
    }
}
