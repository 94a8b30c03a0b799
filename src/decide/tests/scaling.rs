//! Scaling in: one pod at a time from the top, locked out first, never the master.

use super::check::{check, say, settle, world};

/// Number of pods that the StatefulSet is asked for once everything but roles is done.
fn asked(text: &str) -> i32 {
    let mut world = world(text);
    settle(&mut world);
    world.stateful_set().unwrap().replicas
}

#[test]
fn a_pod_that_goes_is_locked_out_then_fenced_then_leaves_the_electors_then_the_set_shrinks() {
    let scaled = "set replicas=2 sts=4 epoch=3 master=0 k=1 min=1; 0 armed=1 keys=5; 1 attached; 2 attached";
    let texts = ["3 attached", "3 linkdown fenced", "3 fenced same", "3 fenced same out"];
    check(
        &format!("{scaled}; {}", texts[0]),
        &["lock-out s-3 at s-0"],
        &["Ready=Scaling"],
    );
    check(
        &format!("{scaled}; {}", texts[2]),
        &["record electors: s-3 leaves, it is scaled away"],
        &[],
    );
    check(&format!("{scaled}; {}", texts[3]), &[], &[]);
    assert_eq!(asked(&format!("{scaled}; {}", texts[0])), 4);
    assert_eq!(asked(&format!("{scaled}; {}", texts[2])), 4);
    assert_eq!(asked(&format!("{scaled}; {}", texts[3])), 3);
}

#[test]
fn a_pod_that_was_locked_out_is_fenced() {
    let mut world =
        world("set replicas=2 sts=4 epoch=3 master=0 k=1 min=1; 0 armed=1; 1 attached; 2 attached; 3 attached");
    let master = world.pod_mut(0).unwrap().redis.as_mut().unwrap();
    master.links.remove("s-3");
    world.probe_all(&Default::default());
    let plan = settle(&mut world);
    assert_eq!(plan.steps.iter().map(say).collect::<Vec<_>>(), ["fence s-3"]);
}

#[test]
fn an_elector_leaves_only_when_enough_of_the_others_hold_everything() {
    let scaled = "set replicas=2 sts=4 epoch=3 master=0 k=1 min=1; 0 armed=1 keys=5";
    let leaves = &["record electors: s-3 leaves, it is scaled away"];
    check(&format!("{scaled}; 1 attached; 2 silent; 3 same"), leaves, &[]);
    check(
        &format!("{scaled}; 1 attached offset=99; 2 attached offset=99; 3 same"),
        &[],
        &[],
    );
    check(
        "set replicas=0 sts=2 epoch=3 master=0 k=0 min=0; 0 armed=0; 1 same",
        &["record electors: s-1 leaves, it is scaled away"],
        &[],
    );
}

#[test]
fn a_replica_that_is_always_looked_at_just_before_the_master_does_not_hold_up_a_scale_in() {
    let mut world = world(
        "set replicas=2 sts=4 epoch=3 master=0 k=1 min=1; 0 armed=1 keys=5; 1 attached; 2 attached; 3 fenced same",
    );
    world.probe(0);
    let plan = settle(&mut world);
    let steps: Vec<_> = plan.steps.iter().map(say).collect();
    let looks = |step: &String, pod: &str| step.starts_with(&format!("catch-up {pod} to "));
    assert!(looks(&steps[0], "s-1") && looks(&steps[1], "s-2"), "{steps:?}");
}

#[test]
fn pods_go_one_at_a_time_from_the_top() {
    let text = "set replicas=1 sts=5 epoch=3 master=0 k=1 min=0; 0 armed=0; 1 attached";
    let plan = |rest: &str| check(&format!("{text}; {rest}"), &["lock-out s-4 at s-0"], &[]);
    plan("2 attached; 3 attached; 4 attached");
    check(
        &format!("{text}; 2 attached; 3 attached; 4 same out"),
        &["lock-out s-3 at s-0"],
        &[],
    );
    assert_eq!(asked(&format!("{text}; 2 attached; 3 attached; 4 same out")), 4);
}

#[test]
fn a_masters_pod_beyond_what_spec_asks_for_hands_over_before_it_is_scaled_away() {
    let text = "set replicas=0 sts=3 epoch=3 master=2 k=0 min=0; 0 attached; 1 attached; 2 armed=0 keys=5";
    let hand_over = &["record switchover to s-0 (ScaleIn)"];
    check(text, hand_over, &["Available=Serving"]);
    assert_eq!(asked(text), 3);
}

#[test]
fn nobody_is_scaled_away_while_the_master_does_not_serve() {
    let text = "set replicas=1 sts=3 epoch=3 master=0 k=1 min=0 had=5; 0 silent; 1 attached; 2 attached";
    check(text, &[], &["Available=MasterUnreachable"]);
    assert_eq!(asked(text), 3);
}

#[test]
fn a_silent_pod_is_scaled_away_once_it_was_locked_out() {
    let text = "set replicas=2 sts=4 epoch=3 master=0 k=1 min=1; 0 armed=1; 1 attached; 2 attached";
    check(&format!("{text}; 3 attached silent"), &["lock-out s-3 at s-0"], &[]);
    check(
        &format!("{text}; 3 silent"),
        &["record electors: s-3 leaves, it is scaled away"],
        &[],
    );
}

#[test]
fn the_stateful_set_grows_at_once() {
    assert_eq!(
        asked("set replicas=4 sts=3 epoch=3 master=0 k=1 min=1; 0 armed=1; 1 attached; 2 attached"),
        5
    );
    assert_eq!(
        asked("set replicas=4 sts=3 epoch=3 master=0 had=5; 0 silent; 1 silent; 2 silent"),
        5
    );
}

#[test]
fn nobody_is_scaled_away_before_there_is_a_master() {
    let text = "set replicas=1 sts=4; 0 mark=7/replica keys=5; 1; 2; 3 mark=7/master keys=5";
    check(text, &["record Grant of s-3 in epoch 8 (ColdStart)"], &[]);
    assert_eq!(asked(text), 4);
}
