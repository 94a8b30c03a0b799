//! Pods that a person takes out of service, and lets go again.

use super::check::check;
use super::random::live;
use super::story::{done, ends_well, hold, kill, seconds, story, whenever_the_operator_dies};
use super::world::{Event, World};
use crate::api::status::Outcome;

pub fn ask(world: &mut World, name: &str, value: &str) {
    world.requests.insert(name.into(), value.into());
}

/// The answer to the last request of a kind: outcome, reason and sentence.
#[track_caller]
pub fn answer<'a>(world: &'a World, name: &str) -> (Outcome, &'a str, &'a str) {
    let row = world.status.requests.iter().find(|r| r.name == name);
    let row = row.unwrap_or_else(|| panic!("{name} has no answer"));
    (row.outcome, &row.reason, &row.message)
}

pub fn takers(world: &World) -> Vec<usize> {
    (0..world.slots.len()).filter(|at| world.takes_writes(*at)).collect()
}

#[test]
fn a_fenced_replica_is_locked_out_and_detached_and_leaves_the_electors_until_it_is_let_go() {
    let mut world = story(2);
    ask(&mut world, "fence", "s-2@a");
    live(&mut world, &[]);
    seconds(&mut world, 2);
    done(
        &mut world,
        &[
            "record fenced by request: s-2",
            "lock-out s-2 at s-0",
            "fence s-2",
            "catch-up s-1 to 23",
            "record electors: s-2 leaves, it is fenced by request",
        ],
    );
    assert_eq!(answer(&world, "fence").0, Outcome::Done);
    assert_eq!(world.pod(2).unwrap().role.as_deref(), Some("fenced"));
    assert!(!world.pod(2).unwrap().in_sync);
    // Also after a restart, and without it the others go on electing.
    live(&mut world, &[kill(2, 0)]);
    seconds(&mut world, 4);
    done(&mut world, &[]);
    live(&mut world, &[kill(0, 2)]);
    seconds(&mut world, 4);
    assert_eq!((world.master(), takers(&world)), (Some(1), vec![1]));
    ask(&mut world, "unfence", "s-2@b");
    ends_well(&mut world);
    assert_eq!(answer(&world, "unfence").0, Outcome::Done);
}

#[test]
fn a_fenced_master_takes_no_writes_and_is_not_failed_over() {
    let mut world = story(2);
    ask(&mut world, "fence", "s-0@a");
    live(&mut world, &[Event::Write]);
    seconds(&mut world, 10);
    assert_eq!(
        (world.master(), world.status.epoch),
        (Some(0), Some(1)),
        "{:?}",
        world.done
    );
    assert!(takers(&world).is_empty() && world.vip_pods.is_empty());
    assert_eq!(answer(&world, "fence").0, Outcome::Done);
    live(&mut world, &[kill(0, 60)]);
    seconds(&mut world, 10);
    assert_eq!((world.master(), takers(&world)), (Some(0), vec![]));
    ask(&mut world, "unfence", "s-0@b");
    ends_well(&mut world);
}

#[test]
fn a_whole_set_that_is_fenced_takes_no_writes_and_nobody_takes_over() {
    let mut world = story(2);
    ask(&mut world, "fence", "*");
    live(&mut world, &[Event::Write]);
    seconds(&mut world, 2);
    done(
        &mut world,
        &[
            "record fenced by request: s-0, s-1, s-2",
            "fence s-0",
            "fence s-1",
            "fence s-2",
        ],
    );
    assert!(hold(&world).starts_with("s-0 is fenced by request"), "{}", hold(&world));
    let reason = |world: &World, kind: &str| {
        let found = world.status.conditions.iter().find(|c| c.type_ == kind).unwrap();
        found.reason.clone()
    };
    assert_eq!(reason(&world, "Available"), "Fenced");
    assert_eq!(reason(&world, "FailoverBlocked"), "Fenced");
    live(&mut world, &[kill(0, 3)]);
    seconds(&mut world, 10);
    assert_eq!(
        (takers(&world), world.master(), world.status.epoch),
        (vec![], Some(0), Some(1))
    );
    assert!(world.vip_pods.is_empty());
    ask(&mut world, "unfence", "*");
    ends_well(&mut world);
}

#[test]
fn a_fenced_pod_never_wins_and_nobody_below_it_does() {
    check(
        "set epoch=3 master=0 had=5; 0 dead keys=5; 1 same keys=5 aside; 2 same keys=5 offset=99",
        &[],
        &["FailoverBlocked=BestNotEligible"],
    );
    let other = &["record s-2 takes over (ProcessDied, ConnectionRefused), it is not known how many bytes are lost"];
    check(
        "set epoch=3 master=0 had=5; 0 dead keys=5; 1 same keys=5 aside; 2 same keys=5",
        other,
        &[],
    );
}

#[test]
fn a_fenced_pod_leaves_the_electors_only_while_others_hold_everything() {
    let set = "set epoch=3 master=0; 0 armed=1 keys=5";
    check(
        &format!("{set}; 1 attached; 2 attached aside"),
        &["lock-out s-2 at s-0"],
        &[],
    );
    let leaves = &["record electors: s-2 leaves, it is fenced by request"];
    check(
        &format!("{set}; 1 attached; 2 same aside"),
        leaves,
        &["ReplicationHealthy=Fenced"],
    );
    check(
        &format!("{set}; 1 attached offset=99; 2 same aside"),
        &[],
        &["Ready=Lagging"],
    );
}

#[test]
fn what_can_not_be_meant_is_refused() {
    let mut world = story(2);
    for (value, reason) in [
        ("", "Malformed"),
        ("s-1,@a", "Malformed"),
        ("s-1;s-2", "Malformed"),
        ("s-1@", "Malformed"),
        ("s-7@a", "TargetUnknown"),
    ] {
        ask(&mut world, "fence", value);
        seconds(&mut world, 1);
        let found = answer(&world, "fence");
        assert_eq!((found.0, found.1), (Outcome::Refused, reason), "{value:?}");
    }
    ask(&mut world, "unfence", "s-1");
    seconds(&mut world, 1);
    assert_eq!(answer(&world, "unfence").2, "not fenced: s-1");
    done(&mut world, &[]);
}

#[test]
fn of_a_fence_and_an_unfence_that_are_found_together_the_fence_stands() {
    let mut world = story(2);
    ask(&mut world, "unfence", "*");
    ask(&mut world, "fence", "s-1");
    seconds(&mut world, 3);
    assert_eq!(world.status.fenced.len(), 1);
    let again = "fenced again by the request that came with it: s-1";
    assert_eq!(answer(&world, "unfence").2, again);
    ask(&mut world, "unfence", "*@b");
    ends_well(&mut world);
}

#[test]
fn a_fence_ends_the_same_whenever_the_operator_dies() {
    for value in ["s-0@a", "s-1@a", "s-0,s-2@a", "*"] {
        whenever_the_operator_dies(2, |world| {
            ask(world, "fence", value);
            live(world, &[Event::Write]);
            seconds(world, 12);
            assert_eq!(answer(world, "fence").0, Outcome::Done, "{value}");
            let serves = value == "s-1@a";
            assert_eq!(takers(world).len(), usize::from(serves), "{value}");
            ask(world, "unfence", "*");
        });
    }
}
