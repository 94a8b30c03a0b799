//! k for `WAIT` and min-replicas-to-write: how they fall and how they rise.

use super::check::check;

#[test]
fn both_numbers_follow_from_the_number_of_pods() {
    let of = |pods| (crate::decide::wait_target(pods), crate::decide::min_target(pods));
    let table: Vec<_> = (1..=7).map(of).collect();
    assert_eq!(table, [(0, 0), (1, 0), (1, 1), (2, 2), (2, 2), (3, 3), (3, 3)]);
}

#[test]
fn min_is_lowered_in_status_only_on_proof_about_every_missing_replica() {
    let lowered =
        &["record wait 1, min-replicas-to-write 0: the missing replicas are dead, locked out, or answered fenced"];
    let world = "set epoch=3 master=0; 0 armed=1 keys=5";
    check(&format!("{world}; 1 dead; 2 dead"), lowered, &["Available=SelfFenced"]);
    check(&format!("{world}; 1 dead; 2 loading"), lowered, &[]);
    check(&format!("{world}; 1 loading; 2 syncing"), lowered, &[]);
    for unproven in ["silent", "nopod", "rejected"] {
        check(
            &format!("{world}; 1 dead; 2 {unproven} user"),
            &[],
            &["Available=SelfFenced"],
        );
        // Without a link user it can not attach.
        check(&format!("{world}; 1 dead; 2 {unproven}"), lowered, &[]);
    }
    for unproven in ["silent attached", "rejected attached"] {
        check(&format!("{world}; 1 dead; 2 {unproven}"), &[], &["Available=Serving"]);
    }
}

#[test]
fn min_is_lowered_to_what_is_left_and_not_below() {
    let lowered =
        &["record wait 2, min-replicas-to-write 1: the missing replicas are dead, locked out, or answered fenced"];
    check(
        "set replicas=4 epoch=3 master=0; 0 armed=2; 1 attached; 2 dead; 3 dead; 4 dead",
        lowered,
        &[],
    );
    // With both of the others in sync the dead leave the electors, one by one.
    check(
        "set replicas=4 epoch=3 master=0; 0 armed=2; 1 attached; 2 attached; 3 dead; 4 dead",
        &["record electors: s-3 is dead and leaves"],
        &[],
    );
}

#[test]
fn a_lowered_min_is_set_after_it_was_recorded() {
    let set = &["arm s-0 min=0 epoch=3"];
    check(
        "set epoch=3 master=0 min=0; 0 armed=1 keys=5; 1 dead; 2 dead",
        set,
        &["ReplicationHealthy=Degraded"],
    );
}

#[test]
fn a_raised_min_is_recorded_after_it_was_set() {
    let world = "set epoch=3 master=0 min=0";
    check(
        &format!("{world}; 0 armed=0; 1 attached; 2 silent"),
        &["arm s-0 min=1 epoch=3"],
        &[],
    );
    let recorded = &["record wait 1, min-replicas-to-write 1: enough replicas are in sync"];
    check(&format!("{world}; 0 armed=1; 1 attached; 2 silent"), recorded, &[]);
    check(
        &format!("{world}; 0 armed=0; 1 syncing; 2 dead"),
        &[],
        &["ReplicationHealthy=Degraded"],
    );
}

#[test]
fn a_min_that_somebody_else_lowered_on_the_master_is_put_back() {
    check(
        "set epoch=3 master=0; 0 armed=0; 1 attached; 2 attached",
        &["arm s-0 min=1 epoch=3"],
        &[],
    );
    check(
        "set epoch=3 master=0; 0 armed=2; 1 attached; 2 attached",
        &["arm s-0 min=1 epoch=3"],
        &[],
    );
}

#[test]
fn k_rises_after_the_electors_have_grown_and_the_master_has_the_new_min() {
    let world = "set replicas=4 epoch=3 master=0 k=1 min=1";
    let attached = "1 attached; 2 attached; 3 attached";
    let enters = &["record electors: s-4 enters"];
    check(&format!("{world}; 0 armed=1; {attached}; 4 out"), enters, &[]);
    check(&format!("{world}; 0 armed=1; {attached}; 4 silent out"), &[], &[]);
    check(
        &format!("{world}; 0 armed=1; {attached}; 4 attached"),
        &["arm s-0 min=2 epoch=3"],
        &[],
    );
    let recorded = &["record wait 2, min-replicas-to-write 2: enough hold everything"];
    check(&format!("{world}; 0 armed=2; {attached}; 4 attached"), recorded, &[]);
    let too_few = "1 attached; 2 syncing; 3 syncing; 4 syncing";
    check(&format!("{world}; 0 armed=1; {too_few}"), &[], &[]);
}

#[test]
fn k_falls_before_a_pod_leaves() {
    let falls = &["record wait 1, min-replicas-to-write 1: fewer pods are wanted"];
    let attached = "1 attached; 2 attached; 3 attached; 4 attached";
    check(
        &format!("set replicas=2 sts=5 epoch=3 master=0 k=2 min=2; 0 armed=2; {attached}"),
        falls,
        &[],
    );
    let set = &["arm s-0 min=1 epoch=3"];
    check(
        &format!("set replicas=2 sts=5 epoch=3 master=0 k=1 min=1; 0 armed=2; {attached}"),
        set,
        &[],
    );
}

#[test]
fn with_two_pods_min_is_0_and_k_is_1() {
    check(
        "set replicas=1 epoch=3 master=0 k=1 min=0; 0 armed=0; 1 attached",
        &[],
        &["Ready=Ready"],
    );
    check(
        "set replicas=1 epoch=3 master=0 k=1 min=0; 0 armed=0; 1 dead",
        &["record electors: s-1 is dead and leaves"],
        &["Available=Serving"],
    );
}

#[test]
fn a_set_that_shrank_to_what_is_in_force_is_not_degraded_any_more() {
    let recovered = &["record wait 1, min-replicas-to-write 0: fewer pods are wanted"];
    check(
        "set replicas=1 degraded epoch=3 master=0 k=1; 0 armed=0; 1 attached",
        recovered,
        &[],
    );
}
