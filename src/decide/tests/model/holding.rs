//! With every rule nothing is ever broken.

use std::time::Instant;

use stateright::HasDiscoveries;

use super::search::{NONE, search, setting};
use super::state::Left;
use super::{At, Setting};

/// Nothing is broken, and what the setting is for is reached.
#[track_caller]
fn holds(name: &str, setting: &Setting, reached: &[&str]) {
    let began = Instant::now();
    let found = search(setting, HasDiscoveries::AnyFailures);
    println!(
        "{name}: {} states in {:.1} s",
        found.states,
        began.elapsed().as_secs_f64()
    );
    if let Some((property, trace)) = found.broken.iter().next() {
        panic!("{property} does not hold with {name}:\n  {}", trace.join("\n  "));
    }
    for wanted in reached {
        assert!(
            found.reached.contains(wanted),
            "never with {name}: {wanted}; only {:?}",
            found.reached
        );
    }
}

#[test]
fn a_crash_at_any_moment_loses_nothing_and_the_set_recovers() {
    let left = Left { crashes: 1, ..NONE };
    let reached = [
        "a write is confirmed",
        "a replica takes over",
        "an operation ends",
        "an elector learns",
        "an elector leaves",
    ];
    holds("a crash", &setting(3, left), &reached);
}

#[test]
fn a_master_that_is_awaited_comes_back_with_everything_or_is_replaced() {
    let left = Left {
        crashes: 1,
        restarts: 1,
        awaits: true,
        ..NONE
    };
    let reached = [
        "a write is confirmed",
        "a master is awaited",
        "the master is granted its role again",
        "a replica takes over",
        "an operation ends",
    ];
    let at = At { dies: &[0], cut: &[] };
    holds("an awaited return", &Setting { at, ..setting(3, left) }, &reached);
}

#[test]
fn a_pod_that_never_becomes_master_gives_what_only_it_has_to_one_that_may() {
    let left = Left {
        crashes: 1,
        restarts: 1,
        never: Some(1),
        ..NONE
    };
    let reached = [
        "a write is confirmed",
        "a pod is a source",
        "a replica takes over",
        "an operation ends",
    ];
    let at = At { dies: &[0], cut: &[] };
    holds("a source", &Setting { at, ..setting(3, left) }, &reached);
}

#[test]
fn a_partition_at_any_moment_makes_no_second_writer_and_loses_nothing() {
    let left = Left { cuts: 1, ..NONE };
    let reached = [
        "a write is confirmed",
        "a replica takes over",
        "a former master is to be fenced",
        "an operation ends",
    ];
    holds("a partition", &setting(3, left), &reached);
}

#[test]
#[ignore = "takes long: make model"]
fn nothing_is_broken_by_more_faults() {
    let only = std::env::var("NAME").unwrap_or_default();
    let (two, three) = (|left| setting(2, left), |left| setting(3, left));
    let settings = [
        ("2 crashes", three(Left { crashes: 2, ..NONE })),
        (
            "a crash and a partition",
            three(Left {
                crashes: 1,
                cuts: 1,
                ..NONE
            }),
        ),
        ("2 partitions", three(Left { cuts: 2, ..NONE })),
        (
            "a mute, a reset and a lonely pod",
            three(Left {
                mutes: 1,
                resets: 1,
                lonely: 1,
                ..NONE
            }),
        ),
        (
            "2 pods, a crash, a partition and a drain",
            two(Left {
                crashes: 1,
                cuts: 1,
                deletes: 1,
                ..NONE
            }),
        ),
        (
            "a crash and an operator's restart",
            three(Left {
                crashes: 1,
                restarts: 1,
                ..NONE
            }),
        ),
        (
            "a crash and a drain",
            three(Left {
                crashes: 1,
                deletes: 1,
                ..NONE
            }),
        ),
        (
            "a crash that loses a tail",
            three(Left {
                writes: 2,
                tails: 1,
                ..NONE
            }),
        ),
        (
            "a deletion by force of a pod that lives",
            three(Left {
                mutes: 1,
                forced: 1,
                ..NONE
            }),
        ),
        (
            "a deletion by force of a pod that lives, and a crash",
            three(Left {
                mutes: 1,
                forced: 1,
                crashes: 1,
                ..NONE
            }),
        ),
        (
            "a lost volume and a crash",
            three(Left {
                volumes: 1,
                crashes: 1,
                ..NONE
            }),
        ),
        (
            "2 crashes beside a pod that never becomes master",
            three(Left {
                crashes: 2,
                never: Some(1),
                ..NONE
            }),
        ),
        (
            "a crash and a partition beside a pod that never becomes master",
            three(Left {
                crashes: 1,
                cuts: 1,
                never: Some(1),
                ..NONE
            }),
        ),
        (
            "an awaited return, 2 crashes, a partition",
            three(Left {
                crashes: 2,
                cuts: 1,
                awaits: true,
                ..NONE
            }),
        ),
        (
            "2 pods, an awaited return, 2 crashes, a drain and a rewrite",
            two(Left {
                crashes: 2,
                deletes: 1,
                rewrites: 1,
                awaits: true,
                ..NONE
            }),
        ),
        (
            "an old plan and a crash",
            three(Left {
                plans: 1,
                crashes: 1,
                ..NONE
            }),
        ),
        (
            "an old plan and a partition",
            three(Left {
                plans: 1,
                cuts: 1,
                ..NONE
            }),
        ),
        (
            "an old look and a crash",
            three(Left {
                looks: 1,
                crashes: 1,
                ..NONE
            }),
        ),
        (
            "an old look and a partition",
            three(Left {
                looks: 1,
                cuts: 1,
                ..NONE
            }),
        ),
        (
            "a lost lease and a partition",
            three(Left {
                leases: 1,
                cuts: 1,
                ..NONE
            }),
        ),
        (
            "a lost lease and a crash",
            three(Left {
                leases: 1,
                crashes: 1,
                ..NONE
            }),
        ),
        (
            "a scale-in and a crash",
            three(Left {
                scale: Some(2),
                crashes: 1,
                ..NONE
            }),
        ),
        (
            "a scale-out and a crash",
            three(Left {
                scale: Some(4),
                crashes: 1,
                ..NONE
            }),
        ),
    ];
    for (name, setting) in settings.iter().filter(|(name, _)| name.contains(&only)) {
        holds(name, setting, &["a write is confirmed"]);
    }
}
