//! The first master: of a new set, and of volumes that outlived their set.

use super::check::{check, say};
use super::operator;
use super::world::World;

#[test]
fn a_new_set_gets_its_secrets_then_its_objects_and_no_pod_before_them() {
    let mut world = World::new(2);
    let mut passes = Vec::new();
    for _ in 0..3 {
        let plan = operator::plan(&world);
        passes.push(plan.steps.iter().map(say).collect::<Vec<_>>());
        plan.steps.iter().for_each(|step| world.apply(step).unwrap());
    }
    assert_eq!(passes[0], ["create-app"]);
    assert_eq!(passes[1], ["create-internal"]);
    let kinds: Vec<_> = passes[2]
        .iter()
        .map(|s| s.rsplit_once('-').map_or(s.as_str(), |(kind, _)| kind))
        .collect();
    assert_eq!(
        kinds,
        [
            "create ConfigMap s-config",
            "create Service s",
            "create Service s",
            "create Service s",
            "create PodDisruptionBudget s",
            "create StatefulSet s",
        ]
    );
}

#[test]
fn the_lowest_ordinal_of_a_new_set_becomes_master_in_epoch_1() {
    check(
        "set; 0; 1; 2",
        &["record Bootstrap of s-0 in epoch 1 (New)"],
        &["Available=NoMaster", "Ready=Creating"],
    );
}

#[test]
fn another_pod_waits_10_seconds_for_the_lowest_ordinal() {
    check(
        "set; 0 pending; 1 age=9; 2 age=9",
        &[],
        &["Available=NoMaster", "UpToDate=Unschedulable"],
    );
    check(
        "set; 0 pending; 1 age=10; 2 age=10",
        &["record Bootstrap of s-1 in epoch 1 (New)"],
        &[],
    );
    check(
        "set; 0 nopod noclaim; 1 age=10; 2",
        &["record Bootstrap of s-1 in epoch 1 (New)"],
        &[],
    );
}

#[test]
fn a_pod_beyond_spec_never_becomes_the_first_master() {
    check(
        "set replicas=0 sts=2; 0 pending; 1 age=60",
        &[],
        &["Available=NoMaster"],
    );
}

#[test]
fn a_pod_that_loads_is_waited_for() {
    check("set replicas=0; 0 loading keys=5", &[], &["Available=Loading"]);
}

#[test]
fn a_pod_that_is_already_armed_without_status_means_status_is_behind() {
    check("set; 0 armed=0 keys=5; 1; 2", &[], &["Stalled=StatusBehind"]);
}

#[test]
fn the_marked_volume_of_a_deleted_set_is_granted_again_and_never_another() {
    let granted = &["record Grant of s-1 in epoch 8 (ColdStart)"];
    check(
        "set; 0 mark=7/replica keys=5; 1 mark=7/master keys=5; 2 mark=6/master keys=9",
        granted,
        &[],
    );
    check("set; 0; 1 mark=7/master keys=5; 2", granted, &[]);
}

#[test]
fn the_marked_volume_is_awaited() {
    let others = "0 mark=7/replica keys=5; 2 mark=7/replica keys=5";
    check(
        &format!("set; {others}; 1 mark=7/master pending"),
        &[],
        &["Available=NoMaster", "Stalled=No"],
    );
    check(
        &format!("set; {others}; 1 mark=7/master loading keys=5"),
        &[],
        &["Available=Loading"],
    );
    check(
        &format!("set; {others}; 1 mark=7/master silent"),
        &[],
        &["Available=NoMaster"],
    );
    check(
        &format!("set; {others}; 1 mark=7/master nopod"),
        &[],
        &["Available=NoMaster"],
    );
}

#[test]
fn volumes_that_do_not_say_who_was_master_are_left_to_a_person() {
    let stalled = &["Stalled=FailoverBlocked", "Ready=FailoverBlocked", "Available=NoMaster"];
    check("set; 0 mark=7/replica keys=5; 1 mark=6/master keys=5; 2", &[], stalled);
    check("set; 0 mark=7/master keys=5; 1 mark=7/master keys=5; 2", &[], stalled);
}

#[test]
fn data_without_a_mark_is_left_to_a_person() {
    let stalled = &["Stalled=FailoverBlocked", "Available=NoMaster"];
    check("set; 0; 1 keys=1; 2", &[], stalled);
    check("set; 0 keys=5; 1; 2", &[], stalled);
}

#[test]
fn a_volume_that_is_older_than_the_set_is_looked_at_before_anybody_empty_becomes_master() {
    for unseen in ["pending", "silent", "loading keys=1", "nopod"] {
        check(&format!("set; 0; 1; 2 old {unseen}"), &[], &["Stalled=No"]);
    }
    check("set; 0; 1; 2 old", &["record Bootstrap of s-0 in epoch 1 (New)"], &[]);
    check("set; 0; 1; 2 old keys=3", &[], &["Stalled=FailoverBlocked"]);
}

#[test]
fn a_first_master_is_bare_then_in_the_histories_then_attached_to_then_armed() {
    let bootstrap = "set epoch=1 master=0 op=Bootstrap min=0";
    check(&format!("{bootstrap}; 0; 1 out; 2 out"), &["bare s-0"], &[]);
    let bare = "0 bare offset=1";
    let enters = &["record electors: s-1 enters, s-2 enters"];
    check(
        &format!("{bootstrap}; {bare}; 1 out; 2 out"),
        enters,
        &["Available=NoMaster"],
    );
    let one_by_one = &["attach s-1 to s-0 epoch=1"];
    check(&format!("{bootstrap}; {bare}; 1 learner; 2 learner"), one_by_one, &[]);
    check(
        &format!("{bootstrap}; {bare}; 1 learner syncing; 2 learner"),
        &[],
        &["Available=NoMaster"],
    );
}

#[test]
fn a_first_master_is_armed_when_k_replicas_hold_everything() {
    let one = "0 bare; 1 attached; 2 attached";
    let raise = &["record 2 replicas hold everything"];
    check(&format!("set epoch=1 master=0 op=Bootstrap min=0; {one}"), raise, &[]);
    check(
        &format!("set epoch=1 master=0 op=Bootstrap min=1; {one}"),
        &["arm s-0 min=1 epoch=1"],
        &[],
    );
}

#[test]
fn a_first_master_does_not_wait_for_replicas_longer_than_10_seconds() {
    let pods = "0 bare; 1 pending out; 2 pending out";
    check(
        &format!("set epoch=1 master=0 op=Bootstrap min=0 for=9; {pods}"),
        &[],
        &["Available=NoMaster"],
    );
    let degraded = &["arm s-0 min=0 epoch=1"];
    check(
        &format!("set epoch=1 master=0 op=Bootstrap min=0 for=10; {pods}"),
        degraded,
        &[],
    );
}

#[test]
fn a_server_that_is_too_old_gets_no_role() {
    check("set; 0 version=6.2; 1; 2", &[], &["Stalled=VersionUnsupported"]);
    check("set; 0; 1; 2 version=6.2", &[], &["Stalled=VersionUnsupported"]);
}

#[test]
fn a_paused_or_deleted_set_gets_no_step() {
    for word in ["paused", "deleting"] {
        check(&format!("set {word}; 0; 1; 2"), &[], &[]);
        check(
            &format!("set {word} epoch=1 master=0; 0 newpod keys=5; 1 fenced; 2 fenced"),
            &[],
            &[],
        );
    }
    check(
        "set paused epoch=1 master=0; 0 armed=1; 1 attached; 2 attached",
        &[],
        &["FailoverBlocked=Paused"],
    );
}
