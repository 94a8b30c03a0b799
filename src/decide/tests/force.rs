//! What a person takes the responsibility for: a failover that the rules refuse, and the loss of data.

use super::check::{check, settle, world as text};
use super::fence::{answer, ask, takers};
use super::random::{converged, heal, live, settled};
use super::story::{done, ends_well, hold, kill, reach, seconds, story};
use super::world::{Event, Reach, World};
use crate::api::status::{FenceState, Outcome, Proof};

fn message(world: &World, kind: &str) -> String {
    let found = world.status.conditions.iter().find(|c| c.type_ == kind).unwrap();
    found.message.clone()
}

/// Two pods, and the master is off the network with clients on its side.
fn master_apart() -> World {
    let mut world = story(1);
    live(&mut world, &[reach(0, Reach::Apart), Event::Write]);
    seconds(&mut world, 4);
    assert!(hold(&world).contains("min-replicas-to-write 0"), "{}", hold(&world));
    world
}

#[test]
fn a_silent_master_of_two_pods_is_replaced_by_force_and_the_refusal_says_how() {
    let mut world = master_apart();
    let advice =
        "if the old master is known to be off, annotate force-failover=s-1@1 (may lose what was written after offset";
    assert!(
        message(&world, "FailoverBlocked").contains(advice),
        "{}",
        message(&world, "FailoverBlocked")
    );
    world.done.clear();
    ask(&mut world, "force-failover", "s-1@1");
    seconds(&mut world, 2);
    done(
        &mut world,
        &[
            "record s-0 is to be replaced (Requested); its replicas vote",
            "fence s-1",
        ],
    );
    assert!(
        hold(&world).starts_with("s-0 may take writes until"),
        "{}",
        hold(&world)
    );
    assert_eq!(answer(&world, "force-failover").0, Outcome::Running);
    seconds(&mut world, 8);
    assert_eq!((world.master(), world.status.epoch), (Some(1), Some(2)));
    let report = &world.status.failovers[0];
    assert_eq!((report.verdict.proof, report.fence), (Proof::None, FenceState::Pending));
    assert_eq!(report.verdict.max_lost_bytes, None, "{report:?}");
    assert!(
        report
            .message
            .contains(" bytes that were seen are lost, and what came after them"),
        "{report:?}"
    );
    assert_eq!(world.status.pending_fences[0].name, "s-0");
    assert_eq!(answer(&world, "force-failover").0, Outcome::Done);
    heal(&mut world);
    seconds(&mut world, 20);
    converged(&world);
}

#[test]
fn a_refusal_and_what_helps_is_told_also_of_a_set_that_is_to_have_no_replica() {
    let mut world = master_apart();
    world.cluster.spec.replicas = 0;
    seconds(&mut world, 2);
    let told = message(&world, "FailoverBlocked");
    assert!(told.contains("annotate force-failover=s-1@1"), "{told}");
}

#[test]
fn with_two_of_three_nodes_off_the_third_pod_serves_by_force() {
    let mut world = story(2);
    live(&mut world, &[reach(0, Reach::Nobody), reach(2, Reach::Nobody)]);
    seconds(&mut world, 4);
    assert_eq!(world.master(), Some(0), "{:?}", world.done);
    ask(&mut world, "force-failover", "s-1@1");
    seconds(&mut world, 9);
    assert_eq!(world.master(), Some(1), "{:?}", world.done);
    live(&mut world, &[Event::Write]);
    assert!(world.takes_writes(1), "nobody else is there to acknowledge");
    ends_well(&mut world);
}

#[test]
fn a_pod_whose_place_in_the_history_is_unknown_serves_by_force_with_what_its_file_has() {
    let mut world = story(2);
    live(
        &mut world,
        &[Event::KillAll { tail: false }, Event::LoseVolume { pod: 0 }],
    );
    seconds(&mut world, 15);
    assert!(
        hold(&world).starts_with("the volume of master s-0 is gone"),
        "{}",
        hold(&world)
    );
    let advice = "force-failover=s-1@1 (may lose all but the 1 keys of its file, of unknown age)";
    assert!(
        message(&world, "FailoverBlocked").contains(advice),
        "{}",
        message(&world, "FailoverBlocked")
    );
    ask(&mut world, "force-failover", "s-2@1");
    seconds(&mut world, 9);
    assert_eq!(
        (world.master(), world.redis(2).unwrap().data.len()),
        (Some(2), 1),
        "{:?}",
        world.done
    );
    let told = &world.status.failovers[0].message;
    assert!(
        told.contains(" bytes that were seen are lost") && !told.contains(" 0 bytes"),
        "{told}"
    );
    ends_well(&mut world);
}

#[test]
fn force_is_refused_where_it_would_help_nobody_or_make_two_writers() {
    let mut serves = story(2);
    let table = [
        ("s-1", "Malformed"),
        ("s-1@x", "Malformed"),
        ("@1", "Malformed"),
        ("s-1@2", "WrongEpoch"),
        ("s-7@1", "TargetUnfit"),
        ("s-0@1", "TargetUnfit"),
        ("s-1@1", "MasterServes"),
    ];
    for (value, reason) in table {
        ask(&mut serves, "force-failover", value);
        seconds(&mut serves, 1);
        let found = answer(&serves, "force-failover");
        assert_eq!((found.0, found.1), (Outcome::Refused, reason), "{value}: {}", found.2);
    }
    done(&mut serves, &[]);
    let mut heard = story(2);
    live(&mut heard, &[reach(0, Reach::Peers)]);
    seconds(&mut heard, 3);
    ask(&mut heard, "force-failover", "s-1@1");
    seconds(&mut heard, 3);
    let (_, reason, why) = answer(&heard, "force-failover");
    assert_eq!(reason, "NotOverridable", "{why}");
    assert!(why.contains("s-1, s-2 hear the master"), "{why}");
    assert_eq!(takers(&heard), [0]);
    ends_well(&mut heard);
}

#[test]
fn nobody_is_named_who_is_empty_or_fenced_or_in_a_full_resync() {
    let master = "set replicas=1 epoch=3 master=0 had=5; 0 silent keys=5";
    for (replica, why) in [
        ("1 same", "s-1 has no data, the set had 5 keys at epoch 3"),
        ("1 same keys=5 aside", "s-1 is fenced by request: unfence it first"),
        ("1 syncing keys=5", "s-1 is in a full resync"),
        ("1 silent same keys=5", "s-1 does not answer"),
    ] {
        let mut world = text(&format!("{master}; {replica}"));
        settle(&mut world);
        world.now += k8s_openapi::jiff::SignedDuration::from_secs(3);
        world.probe_all(&Default::default());
        ask(&mut world, "force-failover", "s-1@3");
        let plan = settle(&mut world);
        assert!(plan.steps.is_empty(), "{replica}: {:?}", plan.steps);
        let (_, reason, found) = answer(&world, "force-failover");
        assert!(reason == "TargetUnfit" && found.starts_with(why), "{replica}: {found}");
    }
}

#[test]
fn a_forced_failover_ends_the_same_whenever_the_operator_dies() {
    for after in 0..16 {
        let mut world = master_apart();
        world.crash_after = Some(after);
        ask(&mut world, "force-failover", "s-1@1");
        for _ in 0..20 {
            live(&mut world, &[Event::WriteToAll]);
        }
        assert_eq!(
            (world.master(), world.status.epoch),
            (Some(1), Some(2)),
            "crash after {after}"
        );
        assert_eq!(answer(&world, "force-failover").0, Outcome::Done, "crash after {after}");
        ends_well(&mut world);
        assert_eq!(world.status.failovers.len(), 1, "crash after {after}");
    }
}

/// Every volume of a set with data is lost.
fn all_lost(replicas: i32) -> World {
    let mut world = story(replicas);
    let pods = 0..=replicas as usize;
    live(
        &mut world,
        &pods.map(|pod| Event::LoseVolume { pod }).collect::<Vec<_>>(),
    );
    seconds(&mut world, 8);
    assert!(hold(&world).contains("annotate accept-data-loss=1"), "{}", hold(&world));
    world
}

#[test]
fn a_set_that_lost_all_its_data_begins_empty_once_that_is_accepted() {
    for replicas in [0, 1, 2] {
        let mut world = all_lost(replicas);
        ask(&mut world, "accept-data-loss", "2");
        seconds(&mut world, 1);
        assert_eq!(answer(&world, "accept-data-loss").1, "WrongEpoch");
        ask(&mut world, "accept-data-loss", "1");
        seconds(&mut world, 12);
        assert_eq!(answer(&world, "accept-data-loss").0, Outcome::Done);
        assert_eq!(takers(&world).len(), 1);
        ends_well(&mut world);
    }
}

#[test]
fn data_loss_is_accepted_once_whenever_the_operator_dies() {
    for after in 0..16 {
        let mut world = all_lost(2);
        world.crash_after = Some(after);
        ask(&mut world, "accept-data-loss", "1");
        seconds(&mut world, 15);
        assert_eq!(
            answer(&world, "accept-data-loss").0,
            Outcome::Done,
            "crash after {after}"
        );
        ends_well(&mut world);
        assert_eq!(world.status.failovers.len(), 1, "crash after {after}");
    }
}

#[test]
fn the_best_data_that_is_left_goes_on_once_the_loss_is_accepted() {
    let best = |pods: &str| {
        let mut world = text(&format!("set epoch=3 master=0 had=5; {pods}"));
        settle(&mut world);
        ask(&mut world, "accept-data-loss", "3");
        let plan = settle(&mut world);
        let named = plan.steps.iter().map(super::check::say).collect::<Vec<_>>();
        (named, world)
    };
    let intent = "record s-0 is to be replaced (Requested); its replicas vote";
    assert_eq!(best("0; 1 keys=5; 2").0, [intent]);
    // Nobody who answers has data, and somebody who does not may.
    let (steps, world) = best("0; 1; 2 silent");
    assert!(steps.is_empty(), "{steps:?}");
    assert_eq!(answer(&world, "accept-data-loss").1, "PodsMissing");
    let (steps, world) = best("0 armed=1 keys=5; 1 attached; 2 attached");
    assert!(steps.is_empty(), "{steps:?}");
    assert_eq!(answer(&world, "accept-data-loss").1, "NothingLost");
}

#[test]
fn an_empty_winner_of_two_pods_goes_on_once_the_loss_is_accepted() {
    let mut world = settled(1);
    live(&mut world, &[reach(1, Reach::Operator)]);
    live(&mut world, &[Event::Write]);
    live(&mut world, &[Event::LoseVolume { pod: 0 }]);
    seconds(&mut world, 12);
    assert!(takers(&world).is_empty());
    assert!(hold(&world).contains("accept-data-loss=1"), "{}", hold(&world));
    ask(&mut world, "accept-data-loss", "1");
    seconds(&mut world, 12);
    assert_eq!(takers(&world).len(), 1, "{}", hold(&world));
    ends_well(&mut world);
}

#[test]
fn a_refusal_that_a_person_can_end_names_the_annotation() {
    let lost = "set epoch=3 master=0 had=5; 0; 1; 2";
    check(lost, &[], &["DataLost=AllCopiesLost"]);
    let mut world = story(2);
    live(&mut world, &[kill(0, 60), kill(1, 60)]);
    seconds(&mut world, 3);
    let blocked = message(&world, "FailoverBlocked");
    assert!(blocked.contains("annotate force-failover=s-2@1 (may lose"), "{blocked}");
    ends_well(&mut world);
}
