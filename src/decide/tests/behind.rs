//! Status that is older than the world: nothing is done until a person has looked, and then the pod that takes writes is
//! master again, without a loss.

use super::check::{check, settle, world as text};
use super::fence::answer;
use super::operator;
use super::random::live;
use super::story::{ends_well, seconds, story};
use super::world::{Event, World};
use crate::api::status::{FenceState, Outcome, Proof};
use crate::model::observed::Draining;
use crate::model::plan::{Authority, Step};

/// A set whose status is as it was before the master moved to s-1: the cluster's store was restored, with the volumes' epochs
/// or without.
fn restored(volumes: bool) -> World {
    let mut world = story(2);
    let (status, claims) = (world.status.clone(), world.slots.clone());
    let cordoned = Event::Drain {
        node: 0,
        draining: Some(Draining::Cordoned),
    };
    live(&mut world, &[Event::Write, cordoned]);
    seconds(&mut world, 5);
    live(&mut world, &[Event::Write]);
    live(&mut world, &[Event::Write]);
    assert_eq!((world.master(), world.status.epoch), (Some(1), Some(2)));
    world.draining.clear();
    world.status = status;
    if volumes {
        for (slot, was) in world.slots.iter_mut().zip(claims) {
            let epoch = was.claim.and_then(|c| c.epoch);
            slot.claim.iter_mut().for_each(|claim| claim.epoch = epoch);
        }
    }
    world
}

fn message(world: &World) -> String {
    let stalled = world.status.conditions.iter().find(|c| c.type_ == "Stalled").unwrap();
    assert_eq!(stalled.reason, "StatusBehind");
    stalled.message.clone()
}

#[test]
fn the_pod_that_takes_writes_is_recorded_above_every_epoch_and_keeps_what_was_written() {
    for (volumes, seen) in [(false, 2), (true, 1)] {
        let mut world = restored(volumes);
        let plan = operator::plan(&world);
        assert!(plan.steps.is_empty(), "{:?}", plan.steps);
        world.write_status(&plan.status.unwrap());
        let told = format!(
            "s-1 takes writes, but status does not name it master: was the cluster's store restored? Nothing is done; after a \
             look annotate accept-data-loss={seen} to go on with s-1"
        );
        assert_eq!(message(&world), told);
        world.requests.insert("accept-data-loss".into(), format!("{seen}@a"));
        world.done.clear();
        operator::pass(&mut world, &Default::default());
        let record = format!("record s-1 takes writes and is recorded in epoch 3 (accept-data-loss={seen}@a)");
        assert_eq!(world.done.first(), Some(&record), "{:?}", world.done);
        seconds(&mut world, 6);
        assert_eq!((world.master(), world.status.epoch), (Some(1), Some(3)));
        assert_eq!(answer(&world, "accept-data-loss").0, Outcome::Done);
        let report = &world.status.failovers[0];
        assert_eq!(
            (report.verdict.proof, report.fence),
            (Proof::Demoted, FenceState::Proven)
        );
        ends_well(&mut world);
        assert!(world.redis(1).is_some_and(|r| r.data.len() == world.written as usize));
    }
}

#[test]
fn it_ends_the_same_whenever_the_operator_dies() {
    for after in 0..16 {
        let mut world = restored(false);
        world.write_status(&operator::plan(&world).status.unwrap());
        world.requests.insert("accept-data-loss".into(), "2@a".into());
        world.crash_after = Some(after);
        operator::pass(&mut world, &Default::default());
        if world.status.epoch == Some(1) {
            // It ended before its first step.
            operator::pass(&mut world, &Default::default());
        }
        seconds(&mut world, 8);
        assert_eq!((world.master(), world.status.epoch), (Some(1), Some(3)), "{after}");
        assert_eq!(answer(&world, "accept-data-loss").0, Outcome::Done, "{after}");
        ends_well(&mut world);
    }
}

/// What a request comes to in a world that does not change.
fn asked(world: &str, value: &str) -> (Option<Authority>, String) {
    let mut world = text(world);
    // A set without a status does nothing that a copied manifest asks.
    settle(&mut world);
    world.requests.insert("accept-data-loss".into(), value.into());
    let plan = settle(&mut world);
    let recorded = plan.steps.into_iter().find_map(|step| match step {
        Step::Record { authority, .. } => Some(authority),
        _ => None,
    });
    let request = world.status.requests.iter().find(|r| r.name == "accept-data-loss");
    (recorded, request.map_or(String::new(), |r| r.reason.clone()))
}

#[test]
fn without_one_pod_that_takes_writes_nobody_is_chosen() {
    let table = [
        ("0 armed=1 keys=5; 1 attached; 2 armed=0 keys=5", "3@a", "TwoMasters"),
        ("0 keys=5; 1 armed=0 keys=5; 2 armed=0 keys=5", "3@a", "TwoMasters"),
        (
            "0 keys=5 mark=3/master; 1 same; 2 same mark=4/master",
            "4@a",
            "NobodyServes",
        ),
        ("0 keys=5; 1 armed=1 keys=5 mark=6/master; 2", "3@a", "WrongEpoch"),
        ("0 keys=5; 1 armed=1 keys=5; 2", "s-1", "Malformed"),
        ("0 armed=1 keys=5; 1 attached; 2 attached", "3@a", "NothingLost"),
    ];
    for (pods, value, reason) in table {
        let (recorded, found) = asked(&format!("set epoch=3 master=0; {pods}"), value);
        assert_eq!((recorded, found.as_str()), (None, reason), "{pods}");
    }
    let behind = &["Stalled=StatusBehind"];
    check(
        "set epoch=3 master=0; 0 keys=5; 1 armed=0 keys=5; 2 armed=0 keys=5",
        &[],
        behind,
    );
}

#[test]
fn a_set_without_a_master_in_status_and_one_whose_epoch_alone_fell_are_recorded_too() {
    let (recorded, _) = asked("set; 0 keys=5; 1 armed=1 keys=5 mark=7/master; 2", "7@a");
    let recorded = recorded.unwrap();
    assert_eq!((recorded.epoch, recorded.master.unwrap().name), (8, "s-1".to_owned()));
    let (recorded, _) = asked(
        "set epoch=3 master=0; 0 armed=1 keys=5 mark=6/master; 1 attached; 2 attached",
        "6@a",
    );
    let recorded = recorded.unwrap();
    assert_eq!((recorded.epoch, recorded.master.unwrap().name), (7, "s-0".to_owned()));
    assert!(recorded.pending_fences.is_empty());
}

/// What status knows of the others is old, and a silent one may take writes too.
#[test]
fn the_others_have_to_hold_everything_first_and_a_silent_former_master_is_to_be_fenced() {
    let (recorded, _) = asked("set epoch=3 master=0; 0 silent; 1 armed=1 keys=5; 2 same", "3@a");
    let recorded = recorded.unwrap();
    let electors: Vec<_> = recorded
        .electors
        .iter()
        .map(|e| (e.name.as_str(), e.uid.as_str(), e.learner))
        .collect();
    assert_eq!(electors, [("s-1", "p1", false), ("s-0", "", true), ("s-2", "", true)]);
    let pending: Vec<_> = recorded.pending_fences.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(pending, ["s-0"]);
    assert_eq!(recorded.operation.unwrap().verdict.unwrap().proof, Proof::None);
    assert_eq!(
        (recorded.histories.len(), recorded.quorum.unwrap().min_replicas_to_write),
        (1, 1)
    );
}
