//! A master or a replica comes back: after a restart, on another node, with or without its data.

use k8s_openapi::jiff::SignedDuration;

use super::check::{check, say, settle, world};
use super::world::World;

#[test]
fn a_set_at_rest_gets_no_step() {
    let ready = &[
        "Ready=Ready",
        "Available=Serving",
        "ReplicationHealthy=InSync",
        "Reconciling=Idle",
        "Stalled=No",
    ];
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 attached; 2 attached",
        &[],
        ready,
    );
    check(
        "set replicas=0 epoch=3 master=0; 0 armed=0 keys=5",
        &[],
        &["Ready=Ready", "FailoverBlocked=NoReplica"],
    );
}

#[test]
fn a_master_restarted_in_place_is_granted_its_role_in_the_next_epoch() {
    let restarted = &["record Grant of s-0 in epoch 4 (Restarted)"];
    check(
        "set epoch=3 master=0 had=5; 0 keys=5; 1 linkdown same; 2 linkdown same",
        restarted,
        &["Available=NoMaster"],
    );
}

#[test]
fn a_master_pod_that_was_made_anew_on_its_volume_is_granted_its_role() {
    let restarted = &["record Grant of s-0 in epoch 4 (PodGone)"];
    check(
        "set epoch=3 master=0 had=5; 0 newpod keys=5; 1 linkdown same; 2 linkdown same",
        restarted,
        &[],
    );
}

#[test]
fn a_whole_set_that_was_restarted_is_a_cold_start_and_only_the_recorded_master_is_granted() {
    let cold = &["record Grant of s-1 in epoch 4 (ColdStart)"];
    check("set epoch=3 master=1 had=5; 0 keys=9; 1 keys=5; 2 keys=9", cold, &[]);
    check(
        "set epoch=3 master=1 had=5; 0 newpod keys=9; 1 newpod keys=5; 2 silent",
        &["record Grant of s-1 in epoch 4 (PodGone)"],
        &[],
    );
}

#[test]
fn a_recorded_master_is_awaited_and_nobody_else_is_touched() {
    let others = "1 linkdown same keys=5; 2 fenced same keys=5";
    check(
        &format!("set epoch=3 master=0 had=5; 0 silent keys=5; {others}"),
        &[],
        &["Available=MasterUnreachable"],
    );
    check(
        &format!("set epoch=3 master=0 had=5; 0 dead keys=5; {others}"),
        &[],
        &["Available=NoMaster", "Stalled=No"],
    );
    check(
        &format!("set epoch=3 master=0 had=5; 0 loading keys=5; {others}"),
        &[],
        &["Available=Loading"],
    );
    check(
        &format!("set epoch=3 master=0 had=5; 0 pending; {others}"),
        &[],
        &["Available=NoMaster"],
    );
    check(
        &format!("set epoch=3 master=0 had=5; 0 deleting keys=5; {others}"),
        &[],
        &["Available=NoMaster"],
    );
    check(
        &format!("set epoch=3 master=0 had=5; 0 nopod; {others}"),
        &[],
        &["Available=NoMaster"],
    );
}

#[test]
fn without_the_masters_volume_nobody_gets_a_role() {
    let gone = &[
        "Stalled=FailoverBlocked",
        "Available=NoMaster",
        "Ready=FailoverBlocked",
        "DataLost=No",
    ];
    let others = "1 linkdown same keys=5; 2 linkdown same keys=5";
    check(
        &format!("set epoch=3 master=0 had=5; 0 newpod newvolume; {others}"),
        &[],
        gone,
    );
    check(
        &format!("set epoch=3 master=0 had=5; 0 nopod noclaim; {others}"),
        &[],
        gone,
    );
    check(
        "set epoch=3 master=0 had=5; 0 newpod newvolume; 1 fenced keys=5; 2 silent",
        &[],
        gone,
    );
    check(
        "set epoch=3 master=0 op=Grant had=5; 0 newpod newvolume; 1 fenced keys=5; 2",
        &[],
        gone,
    );
}

#[test]
fn an_empty_master_is_not_granted_while_somebody_has_data_or_may_have() {
    let empty = &["Stalled=FailoverBlocked", "Available=NoMaster", "DataLost=No"];
    check(
        "set epoch=3 master=0 had=5; 0 keys=0; 1 linkdown same keys=5; 2",
        &[],
        empty,
    );
    check("set epoch=3 master=0 had=5; 0 keys=0; 1 fenced; 2 silent", &[], empty);
    check("set epoch=3 master=0 had=5; 0 keys=0; 1 fenced; 2 loading", &[], empty);
    check(
        "set epoch=3 master=0 op=Grant had=5; 0 keys=0; 1 fenced keys=5; 2",
        &[],
        empty,
    );
}

#[test]
fn an_empty_master_is_not_granted_while_a_replica_holds_more_of_its_lineage_than_the_mark_knows() {
    let empty = &["Stalled=FailoverBlocked", "Available=NoMaster", "DataLost=No"];
    check(
        "set epoch=3 master=0 had=0; 0; 1 linkdown same keys=1 offset=101; 2",
        &[],
        empty,
    );
    let restarted = &["record Grant of s-0 in epoch 4 (Restarted)"];
    check(
        "set epoch=3 master=0 had=0; 0; 1 linkdown same keys=1 offset=100; 2",
        restarted,
        &[],
    );
    check(
        "set epoch=3 master=0 had=0; 0; 1 linkdown same keys=0 offset=101; 2",
        restarted,
        &[],
    );
}

#[test]
fn all_volumes_empty_is_data_lost_and_nobody_serves() {
    let lost = &[
        "DataLost=AllCopiesLost",
        "Stalled=DataLost",
        "Available=DataLost",
        "Ready=DataLost",
    ];
    check("set epoch=3 master=0 had=5; 0; 1; 2", &[], lost);
    check(
        "set epoch=3 master=0 had=5; 0 newpod newvolume; 1 newvolume; 2 newvolume",
        &[],
        lost,
    );
}

#[test]
fn a_master_that_has_never_had_data_is_granted_empty() {
    check(
        "set epoch=3 master=0 had=0; 0; 1; 2",
        &["record Grant of s-0 in epoch 4 (ColdStart)"],
        &[],
    );
}

#[test]
fn a_grant_goes_bare_then_history_then_armed_and_waits_for_no_replica() {
    let others = "1 linkdown same keys=5; 2 linkdown same keys=5";
    check(
        &format!("set epoch=4 master=0 op=Grant min=0 had=5; 0 keys=5; {others}"),
        &["bare s-0"],
        &[],
    );
    check(
        &format!("set epoch=4 master=0 op=Grant min=0 had=5; 0 bare keys=5; {others}"),
        &["arm s-0 min=0 epoch=4"],
        &[],
    );
}

#[test]
fn a_process_that_ended_during_its_grant_begins_in_another_epoch() {
    let again = &["record Grant of s-0 in epoch 5 (PodGone)"];
    check(
        "set epoch=4 master=0 op=Grant min=0 had=5; 0 newpod keys=5; 1 same; 2 same",
        again,
        &[],
    );
}

#[test]
fn a_granted_master_ends_the_operation_once_the_vip_names_it() {
    let ends = &["record s-0 serves, and the VIP names it"];
    check(
        "set epoch=4 master=0 op=Grant; 0 armed=0 keys=5; 1 attached; 2 attached",
        ends,
        &[],
    );
}

#[test]
fn a_bare_master_of_this_epoch_is_armed_with_the_recorded_number() {
    check(
        "set epoch=3 master=0 min=1; 0 bare keys=5; 1 attached; 2 attached",
        &["arm s-0 min=1 epoch=3"],
        &[],
    );
}

#[test]
fn a_restarted_replica_is_attached_again() {
    let attach = &["attach s-1 to s-0 epoch=3"];
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 keys=5; 2 attached",
        attach,
        &["Available=Serving"],
    );
}

#[test]
fn a_replica_pod_that_was_made_anew_is_the_same_elector_as_another_process() {
    let record = &["record electors: s-1 is a new process"];
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 newpod keys=5; 2 attached",
        record,
        &[],
    );
}

#[test]
fn a_replica_with_a_new_volume_enters_as_a_learner() {
    let record = &["record electors: s-1 enters"];
    check("set epoch=3 master=0; 0 armed=1 keys=5; 1 out; 2 attached", record, &[]);
    let swap = &["record electors: s-1 enters, s-1 lost its volume and leaves"];
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 newpod newvolume; 2 attached",
        swap,
        &[],
    );
    let not_yet = "set epoch=3 master=0; 0 armed=1 keys=5; 1 newpod newvolume; 2 attached offset=99";
    check(not_yet, record, &[]);
}

#[test]
fn a_lost_volume_votes_on_until_its_successor_holds_everything() {
    let enters = &["record electors: s-1 enters"];
    check(
        "set replicas=1 epoch=3 master=0; 0 armed=0 keys=5; 1 newpod newvolume",
        enters,
        &[],
    );
}

#[test]
fn a_lost_volume_is_locked_out_before_another_one_of_its_name_is_attached() {
    let world = "set epoch=3 master=0; 0 armed=1 keys=5; 1 newpod newvolume user";
    check(&format!("{world}; 2 attached"), &["lock-out s-1 at s-0"], &[]);
    check(&format!("{world}; 2 attached offset=99"), &["lock-out s-1 at s-0"], &[]);
}

#[test]
fn a_learner_votes_once_it_holds_everything() {
    let votes = &["record electors: s-1 holds everything"];
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 attached learner; 2 attached",
        votes,
        &[],
    );
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 attached learner offset=99; 2 attached",
        &[],
        &[],
    );
}

#[test]
fn the_next_look_is_not_left_to_chance_while_a_learner_waits_for_it() {
    let next = |text| settle(&mut world(text)).next;
    let learns = "set epoch=3 master=0; 0 armed=1 keys=5; 1 attached learner offset=99; 2 attached";
    assert_eq!(next(learns), crate::decide::BUSY);
    assert_eq!(next(&learns.replace("learner offset=99", "")), crate::decide::IDLE);
}

#[test]
fn full_resyncs_are_given_one_by_one_and_partial_ones_at_once() {
    let world = "set epoch=3 master=0 replicas=4 k=2 min=0; 0 armed=0 keys=5";
    let first = &[
        "attach s-1 to s-0 epoch=3",
        "attach s-3 to s-0 epoch=3",
        "attach s-4 to s-0 epoch=3",
    ];
    check(
        &format!("{world}; 1 keys=5; 2 keys=5; 3 same keys=5; 4 same keys=5"),
        first,
        &[],
    );
    let partial = &["attach s-3 to s-0 epoch=3"];
    check(
        &format!("{world}; 1 syncing; 2 keys=5; 3 same keys=5; 4 attached"),
        partial,
        &[],
    );
    check(&format!("{world}; 1 syncing; 2 keys=5; 3 attached; 4 silent"), &[], &[]);
}

#[test]
fn a_replica_that_was_attached_and_does_not_receive_yet_counts_as_a_full_resync() {
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 linkdown keys=5; 2 keys=5",
        &[],
        &["ReplicationHealthy=LinkDown"],
    );
}

#[test]
fn a_replica_that_cannot_attach_is_tried_again_after_5_seconds_and_keeps_nobody_waiting() {
    let mut world = world("set epoch=3 master=0; 0 armed=1 keys=5; 1 linkdown keys=5; 2 keys=5");
    let steps = |world: &mut World| {
        world.probe_all(&Default::default());
        settle(world).steps.iter().map(say).collect::<Vec<_>>()
    };
    assert!(steps(&mut world).is_empty());
    world.now += SignedDuration::from_secs(5);
    assert_eq!(steps(&mut world), ["attach s-2 to s-0 epoch=3"], "the other one first");
    world.slots[2].pod = None;
    assert_eq!(steps(&mut world), ["attach s-1 to s-0 epoch=3"]);
    settle(&mut world)
        .steps
        .iter()
        .for_each(|step| world.apply(step).unwrap());
    assert!(settle(&mut world).steps.is_empty(), "not again before it was looked at");
    assert_eq!(steps(&mut world), ["attach s-1 to s-0 epoch=3"]);
}

#[test]
fn a_replica_that_is_deleted_or_loads_is_not_attached() {
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 deleting keys=5; 2 attached",
        &[],
        &[],
    );
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 loading keys=5; 2 attached",
        &[],
        &[],
    );
}

#[test]
fn a_bare_stranger_is_fenced_first() {
    let fence = &["fence s-2"];
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 attached; 2 bare",
        fence,
        &["Available=Serving"],
    );
}

#[test]
fn an_armed_stranger_means_that_status_is_behind_and_stops_everything() {
    let behind = &["Stalled=StatusBehind"];
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 keys=5; 2 armed=0 keys=5",
        &[],
        behind,
    );
    check(
        "set epoch=3 master=0 op=Grant; 0 keys=5; 1; 2 armed=0 keys=5",
        &[],
        behind,
    );
}

#[test]
fn an_armed_pod_on_the_masters_volume_that_status_does_not_name_means_the_same() {
    check(
        "set epoch=3 master=0; 0 newpod armed=1 keys=5; 1; 2",
        &[],
        &["Stalled=StatusBehind"],
    );
}

#[test]
fn a_volume_of_a_later_epoch_means_that_status_is_behind() {
    let behind = &["Stalled=StatusBehind"];
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 attached; 2 same mark=4/replica",
        &[],
        behind,
    );
    check(
        "set epoch=3 master=0; 0 keys=5 mark=3/master; 1 same; 2 same mark=4/master",
        &[],
        behind,
    );
}

#[test]
fn a_pod_made_anew_takes_no_write_before_its_old_process_has_fenced_itself() {
    let granted = "set epoch=4 master=0 op=Grant podgone min=0 had=5";
    check(
        &format!("{granted} for=9; 0 bare keys=5; 1 stray same; 2 same"),
        &["fence s-1"],
        &[],
    );
    check(
        &format!("{granted} for=3; 0 bare keys=5; 1 same; 2 same"),
        &[],
        &["Available=NoMaster"],
    );
    check(
        &format!("{granted} for=4; 0 bare keys=5; 1 same; 2 same"),
        &["arm s-0 min=0 epoch=4"],
        &[],
    );
}
