//! A master comes back: after a restart, on another node, with or without its data. Or somebody else did.

use k8s_openapi::jiff::SignedDuration;

use super::check::{check, reasons, say, settle, world};

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
fn a_master_restarted_in_place_is_replaced_by_the_votes_of_its_replicas() {
    let vote = &["fence s-1", "fence s-2"];
    check(
        "set epoch=3 master=0 had=5; 0 keys=5; 1 linkdown same; 2 linkdown same",
        vote,
        &["Available=NoMaster"],
    );
    let chosen = &["record s-1 takes over (Restarted, ProcessReplaced), it is not known how many bytes are lost"];
    check(
        "set epoch=3 master=0 had=5; 0 keys=5; 1 fenced same; 2 fenced same",
        chosen,
        &[],
    );
}

#[test]
fn without_votes_a_master_restarted_in_place_is_granted_its_role_in_the_next_epoch() {
    let restarted = &["record Grant of s-0 in epoch 4 (ColdStart)"];
    check(
        "set epoch=3 master=0 had=5; 0 keys=5; 1 keys=5; 2 keys=5",
        restarted,
        &[],
    );
}

#[test]
fn a_master_pod_that_was_made_anew_on_its_volume_is_replaced_by_the_votes_of_its_replicas() {
    let restarted = &["record s-0 is to be replaced (PodGone); its replicas vote"];
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
fn while_a_master_is_away_its_replicas_vote_and_nobody_is_promoted_without() {
    let others = "1 linkdown same keys=5; 2 fenced same keys=5";
    check(
        &format!("set epoch=3 master=0 had=5; 0 silent keys=5; {others}"),
        &[],
        &["Available=MasterUnreachable"],
    );
    check(
        &format!("set epoch=3 master=0 had=5; 0 dead keys=5; {others}"),
        &["fence s-1"],
        &["Available=NoMaster", "Stalled=No"],
    );
    check(
        &format!("set epoch=3 master=0 had=5; 0 loading keys=5; {others}"),
        &["fence s-1"],
        &["Available=NoMaster"],
    );
    check(
        &format!("set epoch=3 master=0 had=5; 0 pending; {others}"),
        &[],
        &["Available=NoMaster"],
    );
    check(
        &format!("set epoch=3 master=0 had=5; 0 deleting keys=5; {others}"),
        &["fence s-1"],
        &["Available=NoMaster"],
    );
    check(
        &format!("set epoch=3 master=0 had=5; 0 nopod; {others}"),
        &["record s-0 is to be replaced (PodGone); its replicas vote"],
        &["Available=NoMaster"],
    );
}

#[test]
fn without_the_masters_volume_only_who_has_a_known_position_may_take_over() {
    let gone = &[
        "Stalled=FailoverBlocked",
        "Available=NoMaster",
        "Ready=FailoverBlocked",
        "DataLost=No",
    ];
    let others = "1 linkdown same keys=5; 2 linkdown same keys=5";
    let vote = &["record s-0 is to be replaced (PodGone); its replicas vote"];
    check(
        &format!("set epoch=3 master=0 had=5; 0 newpod newvolume; {others}"),
        vote,
        &[],
    );
    check(
        &format!("set epoch=3 master=0 had=5; 0 nopod noclaim; {others}"),
        vote,
        &[],
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
    check("set epoch=3 master=0 had=5; 0 keys=0; 1 fenced keys=5; 2", &[], empty);
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
    let after_the_wait = |replica: &str| {
        let mut world = world(&format!(
            "set epoch=3 master=0 had=0; 0 age=1; 1 fenced same {replica}; 2"
        ));
        let first = settle(&mut world).steps;
        assert!(first.is_empty(), "the missing votes are awaited: {first:?}");
        world.now += SignedDuration::from_secs(11);
        world.probe_all(&Default::default());
        let steps: Vec<_> = settle(&mut world).steps.iter().map(say).collect();
        (steps, world)
    };
    let (steps, world) = after_the_wait("keys=1 offset=101");
    assert!(steps.is_empty(), "{steps:?}");
    reasons(
        "a younger write",
        &world,
        &["Stalled=FailoverBlocked", "Available=NoMaster", "DataLost=No"],
    );
    for harmless in ["keys=1 offset=100", "keys=0 offset=101"] {
        assert_eq!(
            after_the_wait(harmless).0,
            ["record Grant of s-0 in epoch 4 (ColdStart)"]
        );
    }
}

#[test]
fn an_empty_winner_is_refused_below_the_mark_and_takes_over_if_it_saw_the_keys_go() {
    let set = "set replicas=1 epoch=3 master=0 had=5; 0 dead keys=5";
    let flushed = &["record s-1 takes over (ProcessDied, ConnectionRefused), it is not known how many bytes are lost"];
    check(&format!("{set}; 1 same"), flushed, &[]);
    check(
        &format!("{set}; 1 same offset=99"),
        &[],
        &["FailoverBlocked=Empty", "Stalled=FailoverBlocked"],
    );
    let lost = "set replicas=1 epoch=3 master=0 had=5; 0 newvolume; 1 same offset=99";
    check(lost, &[], &["DataLost=AllCopiesLost"]);
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
fn a_restarted_replica_leaves_the_electors_and_enters_again_before_it_is_attached() {
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 keys=5; 2 attached",
        &["record electors: s-1 began anew"],
        &["Available=Serving"],
    );
    let attach = &["attach s-1 to s-0 epoch=3"];
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 entered keys=5; 2 attached",
        attach,
        &[],
    );
    // It may be the only one with a confirmed write: then it keeps its seat, and its vote is missing.
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 keys=5; 2 silent",
        attach,
        &[],
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
