//! A master whose process died and that is awaited with its file, as stories.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::fence::{answer, ask};
use super::random::live;
use super::story::{done, ends_well, hold, kill, reach, seconds, story};
use super::world::redis::{Link, Role};
use super::world::{Event, Reach, World};
use crate::api::status::{FailoverReport, OperationKind, OperationReason, Outcome};
use crate::api::{AppendFsync, Period, UpdateStrategy};
use crate::model::observed::Trouble;

/// A set at rest whose master is awaited for so many seconds, with a write that only it has.
fn awaiting(replicas: i32, wait: u64) -> World {
    let mut world = story(replicas);
    flushes(&mut world, wait);
    let slow: Vec<_> = (1..=replicas as usize)
        .map(|pod| Event::Slow { pod, slow: true })
        .collect();
    live(&mut world, &slow);
    live(&mut world, &[Event::Write, Event::Write, Event::Write]);
    let last = world.written;
    let has = |world: &World, pod: usize| world.redis(pod).unwrap().data.contains(&last);
    assert!(has(&world, 0) && !has(&world, 1), "only the master has the last write");
    world.done.clear();
    world
}

/// The spec of such a set, and what its servers were told of it.
pub fn flushes(world: &mut World, wait: u64) {
    world.cluster.spec.persistence.append_fsync = AppendFsync::Always;
    world.cluster.spec.failover.await_return = Period::seconds(wait);
    for pod in 0..world.slots.len() {
        if let Some(redis) = world.pod_mut(pod).and_then(|p| p.redis.as_mut()) {
            redis.config.insert("appendfsync".into(), "always".into());
        }
    }
    live(world, &[]);
}

fn has_everything(world: &World) -> bool {
    let data = &world.master().and_then(|o| world.redis(o)).unwrap().data;
    (1..=world.written).all(|write| data.contains(&write))
}

fn blocked(world: &World) -> (String, String) {
    let found = world.status.conditions.iter().find(|c| c.type_ == "FailoverBlocked");
    found.map(|c| (c.reason.clone(), c.message.clone())).unwrap()
}

fn report(world: &World) -> &FailoverReport {
    assert_eq!(world.status.failovers.len(), 1, "{:?}", world.status.failovers);
    &world.status.failovers[0]
}

/// Until when the return is awaited, as status has it.
fn until(world: &World) -> Timestamp {
    let operation = world.status.operation.as_ref().unwrap();
    assert_eq!((operation.kind, operation.to.as_str()), (OperationKind::Grant, ""));
    let wait: std::time::Duration = world.cluster.spec.failover.await_return.into();
    operation.started_at.0 + SignedDuration::try_from(wait).unwrap()
}

/// Clients felt the wait too, also when the operator that promoted had not seen the death.
#[track_caller]
fn began_with_the_death(world: &World, death: Timestamp) {
    let report = report(world);
    assert_eq!(report.started_at.0, death);
    let felt = report.finished_at.0.duration_since(death).as_millis();
    assert!(i128::from(report.phases_ms.total) >= felt, "{:?}", report.phases_ms);
}

#[test]
fn a_master_that_is_back_in_time_has_its_role_again_with_every_write() {
    let mut world = awaiting(2, 30);
    live(&mut world, &[kill(0, 5)]);
    seconds(&mut world, 2);
    let (reason, message) = blocked(&world);
    assert_eq!(reason, "AwaitingReturn");
    let until = until(&world);
    assert_eq!(
        message.split(';').next(),
        Some(format!("s-0's AOF, until {until:.0}").as_str())
    );
    seconds(&mut world, 6);
    let awaited = format!("record s-0 died (ConnectionRefused) and is awaited with its file until {until:.0}");
    done(
        &mut world,
        &[
            &awaited,
            "record Grant of s-0 in epoch 2 (Restarted)",
            "bare s-0",
            "record lineage repl26 begins at 1",
            "arm s-0 min=0 epoch=2",
            "record s-0 serves, and the VIP names it",
            "attach s-1 to s-0 epoch=2",
            "attach s-2 to s-0 epoch=2",
            "arm s-0 min=1 epoch=2",
            "record wait 1, min-replicas-to-write 1: enough replicas are in sync",
        ],
    );
    assert!(has_everything(&world));
    let report = report(&world);
    assert_eq!(
        (report.kind, report.reason),
        (OperationKind::Grant, OperationReason::Restarted)
    );
    assert_eq!((report.from.as_str(), report.to.as_str()), ("s-0", "s-0"));
    assert_eq!(report.verdict.max_lost_bytes, Some(0));
    assert!(
        report
            .message
            .starts_with("s-0 Restarted (ConnectionRefused); it is master again in epoch 2, at most 0 bytes lost"),
        "{}",
        report.message
    );
    ends_well(&mut world);
    assert!(has_everything(&world));
}

/// As it does when the operator sees nothing of its death.
#[test]
fn a_master_that_was_back_at_once_has_its_role_again_without_a_wait() {
    let mut world = awaiting(2, 30);
    live(&mut world, &[kill(0, 0), Event::SlowProbe { pod: 0 }]);
    while world.redis(0).is_none_or(|r| r.loading > 0) {
        live(&mut world, &[Event::SlowProbe { pod: 0 }]);
    }
    seconds(&mut world, 1);
    assert_eq!(world.done[0], "record Grant of s-0 in epoch 2 (Restarted)");
    ends_well(&mut world);
    assert!(has_everything(&world));
    assert_eq!(report(&world).verdict.max_lost_bytes, Some(0));
}

#[test]
fn once_the_time_is_over_a_replica_takes_over_and_no_other_wait_begins() {
    let mut world = awaiting(2, 10);
    live(&mut world, &[kill(0, 60)]);
    seconds(&mut world, 1);
    let until = until(&world);
    while world.master() == Some(0) {
        seconds(&mut world, 1);
    }
    let late = world.now.duration_since(until);
    assert!(
        SignedDuration::ZERO <= late && late <= SignedDuration::from_secs(1),
        "{late:?}"
    );
    assert_eq!(world.done.iter().filter(|s| s.contains("is awaited")).count(), 1);
    assert!(
        world
            .done
            .iter()
            .any(|s| s.starts_with("record s-1 takes over (ProcessDied, ConnectionRefused)"))
    );
    ends_well(&mut world);
    began_with_the_death(&world, until - SignedDuration::from_secs(10));
    assert_eq!(
        (report(&world).kind, world.master()),
        (OperationKind::Failover, Some(1))
    );
}

/// Votes are missing when the time is over: that they come later is no reason to begin anew.
#[test]
fn a_wait_that_is_over_is_over_also_while_nobody_can_take_over() {
    let mut world = awaiting(2, 10);
    live(&mut world, &[kill(0, 60), reach(1, Reach::Nobody)]);
    seconds(&mut world, 20);
    assert_eq!(blocked(&world).0, "PositionsMissing");
    live(&mut world, &[reach(1, Reach::All)]);
    seconds(&mut world, 2);
    assert_ne!(world.master(), Some(0));
    assert_eq!(world.done.iter().filter(|s| s.contains("is awaited")).count(), 1);
    ends_well(&mut world);
}

#[test]
fn every_death_has_a_wait_of_its_own() {
    let mut world = awaiting(2, 10);
    for epoch in 2..4 {
        live(&mut world, &[kill(0, 3)]);
        seconds(&mut world, 8);
        assert_eq!(
            (world.master(), world.status.epoch),
            (Some(0), Some(epoch)),
            "{:?}",
            world.done
        );
        assert_eq!(world.status.failovers[0].epoch, epoch);
        live(&mut world, &[Event::Write]);
    }
    ends_well(&mut world);
    assert!(has_everything(&world));
}

#[test]
fn the_wait_ends_at_once_when_nothing_can_come_back() {
    type End = fn(&mut World);
    let ends: [(&str, End); 5] = [
        ("its node is off", |world| live(world, &[reach(0, Reach::Nobody)])),
        ("its pod is deleted", |world| {
            world.pod_mut(0).unwrap().deleting = true;
        }),
        ("its pod is gone", |world| world.slot(0).pod = None),
        ("its volume is gone", |world| {
            live(world, &[Event::LoseVolume { pod: 0 }])
        }),
        ("its image can not be fetched", |world| {
            world.pod_mut(0).unwrap().trouble = Some(Trouble::ImagePull("ErrImagePull: not found".into()));
        }),
    ];
    for (what, end) in ends {
        let mut world = awaiting(2, 600);
        live(&mut world, &[kill(0, 600)]);
        seconds(&mut world, 2);
        assert_eq!(blocked(&world).0, "AwaitingReturn", "{what}");
        end(&mut world);
        seconds(&mut world, 8);
        assert_eq!(world.master(), Some(1), "{what}: {}", hold(&world));
        ends_well(&mut world);
    }
}

/// What was proven of the process stays so: a silent node with a replica too few for the other rules does not hold it up.
#[test]
fn a_node_that_goes_off_after_the_death_takes_no_proof_away() {
    let mut world = awaiting(1, 600);
    live(&mut world, &[kill(0, 600)]);
    // The kubelet had no time to tell.
    world.pod_mut(0).unwrap().trouble = None;
    live(&mut world, &[reach(0, Reach::Nobody)]);
    seconds(&mut world, 3);
    assert!(
        world
            .done
            .iter()
            .any(|s| s.starts_with("record s-1 takes over (ProcessDied, ConnectionRefused)")),
        "{:?}, {}",
        world.done,
        hold(&world)
    );
    ends_well(&mut world);
}

/// The process in its place is alive, and that is all it says: it may not be the one that died, nor come back.
#[test]
fn a_master_that_refuses_the_password_when_it_is_back_is_awaited_no_longer_than_any_other() {
    for (replicas, kubelet) in [(2, false), (2, true), (1, true)] {
        let mut world = awaiting(replicas, 20);
        // Who was not connected when it died sees the end by the kubelet's word alone.
        let seen_by = if kubelet { Reach::Rejected } else { Reach::All };
        live(&mut world, &[kill(0, 3), reach(0, seen_by)]);
        let until = until(&world);
        seconds(&mut world, 1);
        live(&mut world, &[reach(0, Reach::Locked)]);
        while world.now < until {
            assert_eq!(blocked(&world).0, "AwaitingReturn", "{:?}", world.done);
            live(&mut world, &[]);
        }
        seconds(&mut world, 10);
        assert_eq!(world.master(), Some(1), "{replicas} {kubelet}: {}", hold(&world));
        ends_well(&mut world);
    }
}

/// With two pods nothing ends the writes of one that a firewall hid: a person decides.
#[test]
fn of_a_master_that_may_have_been_hidden_and_says_nothing_of_itself_a_person_decides() {
    let mut world = awaiting(1, 10);
    live(&mut world, &[kill(0, 3)]);
    live(&mut world, &[reach(0, Reach::Locked)]);
    seconds(&mut world, 20);
    let (reason, advice) = blocked(&world);
    assert_eq!((reason.as_str(), world.master()), ("TooFewPods", Some(0)), "{advice}");
    world.requests.insert("force-failover".into(), "s-1@1".into());
    seconds(&mut world, 10);
    assert_eq!(world.master(), Some(1), "{}", hold(&world));
    ends_well(&mut world);
}

#[test]
fn the_time_goes_on_whichever_operator_leads() {
    let mut world = awaiting(2, 10);
    live(&mut world, &[kill(0, 60)]);
    seconds(&mut world, 1);
    let first = until(&world);
    for _ in 0..6 {
        world.restart_operator();
        seconds(&mut world, 1);
        assert_eq!(until(&world), first);
    }
    seconds(&mut world, 5);
    assert_eq!(world.master(), Some(1), "{}", hold(&world));
    ends_well(&mut world);
    began_with_the_death(&world, first - SignedDuration::from_secs(10));
}

/// A death before the operator has taken it in is judged by the mark in status.
#[test]
fn nothing_answered_is_lost_whenever_the_operator_dies() {
    for after in 0..24 {
        let mut world = awaiting(2, 30);
        world.crash_after = Some(after);
        live(&mut world, &[kill(0, 4)]);
        seconds(&mut world, 8);
        ends_well(&mut world);
        assert!(has_everything(&world), "crash after {after}");
        assert_eq!(world.master(), Some(0), "crash after {after}");
        assert_eq!(report(&world).verdict.max_lost_bytes, Some(0), "crash after {after}");
    }
}

#[test]
fn a_failover_after_the_wait_ends_the_same_whenever_the_operator_dies() {
    for after in 0..24 {
        let mut world = awaiting(2, 6);
        world.crash_after = Some(after);
        live(&mut world, &[kill(0, 60)]);
        seconds(&mut world, 12);
        ends_well(&mut world);
        assert_eq!(
            (report(&world).kind, world.master()),
            (OperationKind::Failover, Some(1)),
            "crash after {after}"
        );
    }
}

/// It has the role again and dies before it serves: what is left of its time is awaited, and no more.
#[test]
fn a_master_that_dies_again_before_it_serves_has_what_is_left_of_its_time() {
    for (back, master) in [(3, 0), (60, 1)] {
        let mut world = awaiting(2, 20);
        live(&mut world, &[kill(0, 3)]);
        // The operator ends as soon as the role is granted.
        while world.status.epoch == Some(1) {
            live(&mut world, &[Event::Crash { after: 1 }]);
        }
        live(&mut world, &[kill(0, back)]);
        seconds(&mut world, 2);
        assert_eq!(blocked(&world).0, "AwaitingReturn", "{:?}", world.done);
        seconds(&mut world, 25);
        assert_eq!(world.master(), Some(master), "{}", hold(&world));
        ends_well(&mut world);
    }
}

/// It took over while the rewrite after its full resync ran: what its file would give back is of before.
#[test]
fn a_master_whose_file_was_not_seen_complete_is_not_awaited() {
    let mut world = story(2);
    world.pod_mut(1).unwrap().redis.as_mut().unwrap().rewrites = true;
    world.requests.insert("switchover".into(), "s-1@1".into());
    seconds(&mut world, 5);
    flushes(&mut world, 30);
    live(&mut world, &[Event::Write]);
    seconds(&mut world, 3);
    assert_eq!(world.master(), Some(1));
    assert!(world.confirmed.contains(&world.written));
    let mut complete = world.clone();
    live(&mut world, &[kill(1, 3)]);
    seconds(&mut world, 10);
    assert_ne!(world.master(), Some(1), "{:?}", world.done);
    ends_well(&mut world);
    // Once it has ended, later ones take nothing away.
    complete.pod_mut(1).unwrap().redis.as_mut().unwrap().rewrites = false;
    seconds(&mut complete, 2);
    complete.pod_mut(1).unwrap().redis.as_mut().unwrap().rewrites = true;
    seconds(&mut complete, 2);
    live(&mut complete, &[kill(1, 3)]);
    seconds(&mut complete, 10);
    assert_eq!(complete.master(), Some(1), "{:?}", complete.done);
    ends_well(&mut complete);
}

#[test]
fn a_live_master_behind_a_firewall_that_opens_keeps_its_role() {
    let mut world = awaiting(2, 30);
    // Its replicas are cut off from it as well.
    live(&mut world, &[reach(1, Reach::Operator), reach(2, Reach::Operator)]);
    for pod in [1, 2] {
        let redis = world.pod_mut(pod).unwrap().redis.as_mut().unwrap();
        if let Role::Follows { link, .. } = &mut redis.role {
            *link = Link::Down;
        }
    }
    live(&mut world, &[reach(0, Reach::Reset)]);
    assert!(world.done[0].ends_with(&format!("is awaited with its file until {:.0}", until(&world))));
    live(&mut world, &[0, 1, 2].map(|pod| reach(pod, Reach::All)));
    seconds(&mut world, 2);
    assert_eq!(
        (world.status.epoch, &world.status.operation),
        (Some(1), &None),
        "{:?}",
        world.done
    );
    ends_well(&mut world);
}

#[test]
fn a_person_need_not_wait() {
    let mut world = awaiting(2, 600);
    live(&mut world, &[kill(0, 600)]);
    seconds(&mut world, 2);
    let death = world.status.operation.as_ref().unwrap().started_at.0;
    let advice = blocked(&world).1;
    assert!(advice.contains("annotate force-failover=s-1@1"), "{advice}");
    world.requests.insert("force-failover".into(), "s-2@1".into());
    seconds(&mut world, 8);
    assert_eq!(world.master(), Some(2), "who was named, not the best: {}", hold(&world));
    began_with_the_death(&world, death);
    let answer = &world.status.requests[0];
    assert_eq!(answer.outcome, Outcome::Done, "{answer:?}");
    ends_well(&mut world);
}

#[test]
fn a_replica_that_is_fenced_during_the_wait_is_detached_at_once_and_the_master_may_still_come_back() {
    let mut world = awaiting(2, 30);
    live(&mut world, &[kill(0, 10)]);
    world.done.clear();
    ask(&mut world, "fence", "s-1@a");
    live(&mut world, &[]);
    done(&mut world, &["record fenced by request: s-1", "fence s-1"]);
    assert_eq!(answer(&world, "fence").0, Outcome::Done);
    assert_eq!(blocked(&world).0, "AwaitingReturn");
    seconds(&mut world, 20);
    assert_eq!(
        (world.master(), world.redis(1).unwrap().role == Role::Fenced),
        (Some(0), true)
    );
    assert!(has_everything(&world));
    ask(&mut world, "unfence", "s-1@b");
    ends_well(&mut world);
}

/// Its link would be up again: until the kubelet says that the process ended, this is what could tell.
#[test]
fn a_fenced_replica_keeps_its_link_while_that_may_show_that_the_master_lives() {
    let mut world = awaiting(2, 30);
    live(&mut world, &[kill(0, 600)]);
    world.pod_mut(0).unwrap().trouble = None;
    world.done.clear();
    ask(&mut world, "fence", "s-1@a");
    seconds(&mut world, 5);
    done(&mut world, &["record fenced by request: s-1"]);
    seconds(&mut world, 30);
    assert_eq!(world.master(), Some(2), "{}", hold(&world));
    ask(&mut world, "unfence", "s-1@b");
    ends_well(&mut world);
}

#[test]
fn a_fence_of_the_awaited_master_waits_and_that_is_said() {
    let mut world = awaiting(2, 10);
    live(&mut world, &[kill(0, 600)]);
    ask(&mut world, "fence", "s-0@a");
    seconds(&mut world, 3);
    let (reason, message) = blocked(&world);
    assert_eq!(reason, "AwaitingReturn");
    let waits = "; fence=s-0@a waits until the change of the master is over";
    assert!(message.ends_with(waits), "{message}");
    seconds(&mut world, 15);
    assert_eq!(answer(&world, "fence").0, Outcome::Done);
    assert_eq!(world.master(), Some(1), "{}", hold(&world));
    ask(&mut world, "unfence", "s-0@b");
    ends_well(&mut world);
}

/// Its pod is made anew for a changed spec when the wait is over: before, the file of the process would be lost with it.
#[test]
fn an_awaited_master_is_not_made_anew_for_its_spec() {
    let mut world = awaiting(2, 30);
    world.cluster.spec.update.strategy = UpdateStrategy::Supervised;
    live(&mut world, &[kill(0, 600)]);
    seconds(&mut world, 2);
    let uid = world.pod(0).unwrap().uid.clone();
    world.cluster.spec.image = "redis:8.2".into();
    seconds(&mut world, 20);
    assert_eq!(blocked(&world).0, "AwaitingReturn");
    assert_eq!(world.pod(0).unwrap().uid, uid, "{:?}", world.done);
    seconds(&mut world, 10);
    assert_ne!(world.master(), Some(0), "{}", hold(&world));
}
