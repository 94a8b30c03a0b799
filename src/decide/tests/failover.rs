//! Changes of the master as stories: what befalls a set, second by second, and what is done about it.

use k8s_openapi::jiff::SignedDuration;

use super::random::live;
use super::story::{done, ends_well, hold, kill, reach, seconds, story};
use super::world::redis::Role;
use super::world::{Event, Reach, World};

/// The story ends the same whichever step the operator dies at.
pub fn whenever_the_operator_dies(replicas: i32, tell: impl Fn(&mut World)) {
    for after in 0..24 {
        let mut world = story(replicas);
        world.crash_after = Some(after);
        tell(&mut world);
        let written = world.confirmed.clone();
        ends_well(&mut world);
        let master = world.master().and_then(|o| world.redis(o)).unwrap();
        assert!(written.iter().all(|w| master.data.contains(w)), "crash after {after}");
        assert!(
            world.status.failovers.len() <= 1,
            "crash after {after}: {:?}",
            world.status.failovers
        );
    }
}

#[test]
fn a_killed_master_is_replaced_and_returns_as_a_replica() {
    let mut world = story(2);
    live(&mut world, &[kill(0, 3)]);
    done(
        &mut world,
        &[
            "fence s-1",
            "fence s-2",
            "record s-1 takes over (ProcessDied, ConnectionRefused), at most 4 bytes lost",
            "bare s-1",
            "arm s-1 min=1 epoch=2",
            "attach s-2 to s-1 epoch=2",
            "record lineage repl23 begins at 22",
        ],
    );
    seconds(&mut world, 3);
    done(
        &mut world,
        &[
            "record electors: s-0 is dead and leaves",
            "record s-1 serves, and the VIP leads to it",
            "record electors: s-0 enters",
            "attach s-0 to s-1 epoch=2",
            "catch-up s-2 to 25",
        ],
    );
    ends_well(&mut world);
    done(
        &mut world,
        &[
            "catch-up s-0 to 28",
            "catch-up s-2 to 28",
            "record electors: s-0 holds everything",
        ],
    );
}

#[test]
fn with_one_of_two_replicas_dead_before_the_other_takes_over() {
    let mut world = story(2);
    live(&mut world, &[kill(1, 60)]);
    seconds(&mut world, 3);
    live(&mut world, &[Event::Write]);
    done(&mut world, &["record electors: s-1 is dead and leaves"]);
    live(&mut world, &[kill(0, 3)]);
    seconds(&mut world, 2);
    done(
        &mut world,
        &[
            "fence s-2",
            "record s-2 takes over (ProcessDied, ConnectionRefused), at most 5 bytes lost",
            "bare s-2",
            "arm s-2 min=1 epoch=2",
            "record lineage repl23 begins at 28",
            "record electors: s-0 is dead and leaves",
            "record s-2 serves, and the VIP leads to it",
            "record wait 1, min-replicas-to-write 0: the missing replicas are dead, locked out, or answered fenced",
            "arm s-2 min=0 epoch=2",
        ],
    );
    ends_well(&mut world);
}

#[test]
fn an_unreachable_master_is_replaced_after_the_votes_and_the_time_in_which_it_fences_itself() {
    let mut world = story(2);
    live(&mut world, &[reach(0, Reach::Nobody)]);
    seconds(&mut world, 3);
    let vote = "record s-0 is to be replaced (Unreachable); its replicas vote";
    done(&mut world, &[vote, "fence s-1", "fence s-2"]);
    assert!(
        hold(&world).starts_with("s-0 may take writes until"),
        "{}",
        hold(&world)
    );
    seconds(&mut world, 5);
    done(
        &mut world,
        &[
            "record s-1 takes over (Unreachable, FenceTimeElapsed), at most 20 bytes lost",
            "bare s-1",
            "arm s-1 min=1 epoch=2",
            "attach s-2 to s-1 epoch=2",
            "record lineage repl23 begins at 22",
            "record s-1 serves, and the VIP leads to it",
        ],
    );
    ends_well(&mut world);
    done(
        &mut world,
        &[
            "fence s-0",
            "record former masters are fenced, or gone",
            "attach s-0 to s-1 epoch=2",
            "lock-out s-1 at s-0",
            "lock-out s-2 at s-0",
        ],
    );
}

#[test]
fn a_master_that_a_replica_hears_is_not_replaced() {
    let mut world = story(2);
    live(&mut world, &[reach(0, Reach::Peers)]);
    seconds(&mut world, 30);
    done(&mut world, &[]);
    let path = "s-1, s-2 hear the master: the operator's own path to it is broken";
    assert_eq!(hold(&world), path);
    ends_well(&mut world);
    done(&mut world, &[]);
}

#[test]
fn without_a_minimum_nothing_ends_the_writes_of_a_silent_master() {
    let mut world = story(1);
    live(&mut world, &[reach(0, Reach::Nobody)]);
    seconds(&mut world, 30);
    done(&mut world, &[]);
    assert!(
        hold(&world).contains("with min-replicas-to-write 0 nothing ends its writes"),
        "{}",
        hold(&world)
    );
    ends_well(&mut world);
}

#[test]
fn a_master_that_is_back_during_the_wait_keeps_its_role() {
    let mut world = story(2);
    live(&mut world, &[reach(0, Reach::Nobody)]);
    seconds(&mut world, 3);
    world.done.clear();
    live(&mut world, &[reach(0, Reach::All)]);
    seconds(&mut world, 2);
    let withdrawn = [
        "record s-0 answers again, the Failover is withdrawn",
        "attach s-1 to s-0 epoch=1",
        "attach s-2 to s-0 epoch=1",
    ];
    done(&mut world, &withdrawn);
    assert_eq!((world.status.epoch, &world.status.operation), (Some(1), &None));
    ends_well(&mut world);
}

#[test]
fn a_silent_master_with_a_silent_replica_beside_it_is_not_replaced() {
    let mut world = story(2);
    live(&mut world, &[reach(0, Reach::Apart), reach(2, Reach::Apart)]);
    (0..20).for_each(|_| live(&mut world, &[Event::WriteToAll]));
    done(&mut world, &[]);
    let loose = "s-0 is silent, and s-2 may still replicate from it: fewer than 1 are allowed";
    assert_eq!(hold(&world), loose);
    ends_well(&mut world);
}

#[test]
fn a_replica_that_is_behind_never_wins() {
    let mut world = story(2);
    live(&mut world, &[Event::Slow { pod: 1, slow: true }, Event::Write]);
    live(&mut world, &[Event::Write]);
    live(&mut world, &[Event::Write, Event::Write, Event::Write]);
    live(&mut world, &[kill(0, 3)]);
    seconds(&mut world, 3);
    assert_eq!(world.master(), Some(2), "{:?}", world.done);
    ends_well(&mut world);
}

/// s-1 and s-2 hold what is confirmed. s-1 becomes master while s-2 is away, and the others, which are behind, take on the
/// new id before the data. Then s-1 dies and s-2 is back under the old id.
#[test]
fn an_id_that_was_taken_on_before_the_data_is_no_position() {
    let mut world = story(4);
    let slow = [3, 4].map(|pod| Event::Slow { pod, slow: true });
    live(&mut world, &slow);
    live(&mut world, &vec![Event::Write; 12]);
    assert!(world.confirmed.contains(&world.written));
    live(&mut world, &[reach(2, Reach::Nobody), kill(0, 60)]);
    seconds(&mut world, 1);
    assert_eq!(world.master(), Some(1), "{:?}", world.done);
    let behind = world.redis(3).unwrap();
    assert_eq!(behind.replid, world.redis(1).unwrap().replid);
    assert!(behind.data.len() < world.redis(2).unwrap().data.len());
    live(&mut world, &[kill(1, 60), reach(2, Reach::All)]);
    seconds(&mut world, 2);
    assert_eq!(world.master(), Some(2), "{:?}", world.done);
    ends_well(&mut world);
}

/// The lowered minimum is what the old master goes by, whatever spec says.
#[test]
fn a_silent_master_whose_minimum_was_lowered_is_not_replaced() {
    let mut world = story(2);
    live(&mut world, &[kill(1, 4), kill(2, 4)]);
    seconds(&mut world, 6);
    assert_eq!(world.redis(0).unwrap().min, 0);
    live(&mut world, &[reach(0, Reach::Nobody)]);
    (0..20).for_each(|_| live(&mut world, &[Event::WriteToAll]));
    assert_eq!(world.master(), Some(0));
    ends_well(&mut world);
}

/// Its siblings still follow the master before, which lives: their links do not go down with this one.
#[test]
fn a_new_master_that_restarts_before_its_siblings_were_attached_is_replaced() {
    let mut world = story(2);
    world.requests.insert("switchover".into(), "s-1@1".into());
    let follows =
        |world: &World, ip: &str| matches!(&world.redis(2).unwrap().role, Role::Follows { ip: of, .. } if of == ip);
    let old = world.pod(0).unwrap().ip.clone();
    let after = (0..24).find(|after| {
        let mut fork = world.clone();
        live(&mut fork, &[Event::Crash { after: *after }]);
        let armed = fork.master() == Some(1) && fork.redis(1).unwrap().is_armed();
        armed && follows(&fork, &old)
    });
    live(&mut world, &[Event::Crash { after: after.unwrap() }]);
    world.done.clear();
    live(&mut world, &[kill(1, 0)]);
    seconds(&mut world, 3);
    assert_eq!(world.done[0], "fence s-2");
    assert_ne!(world.master(), Some(1), "{:?}", world.done);
    ends_well(&mut world);
}

/// Its replicas' links stay up, as it lives: they are drained for a while and not for ever.
#[test]
fn a_master_that_somebody_demoted_gets_its_role_back() {
    let mut world = story(2);
    world.pod_mut(0).unwrap().redis.as_mut().unwrap().fence();
    seconds(&mut world, 2);
    assert_eq!(world.done[..2], ["drain s-1", "drain s-2"]);
    world.done.retain(|step| !step.starts_with("drain"));
    let given_back = "record Grant of s-0 in epoch 2 (Restarted)";
    assert_eq!(world.done[..3], ["fence s-1", "fence s-2", given_back]);
    ends_well(&mut world);
}

/// A replica in its first full resync has no vote, and a file that lost its tail is no source while others have votes.
#[test]
fn a_learner_does_not_vote() {
    let mut world = story(2);
    live(
        &mut world,
        &[Event::Kill {
            pod: 1,
            tail: true,
            back: 0,
        }],
    );
    while world.redis(1).is_none_or(|r| r.link().is_none()) {
        seconds(&mut world, 1);
    }
    live(&mut world, &[kill(0, 1)]);
    assert!(hold(&world).starts_with("1 of 2 electors read"), "{}", hold(&world));
    world.done.clear();
    // s-2 might hold what the file of s-0 lacks, but who else knows.
    seconds(&mut world, 6);
    done(&mut world, &[]);
    seconds(&mut world, 10);
    assert_eq!(world.done[0], "record Grant of s-0 in epoch 2 (ColdStart)");
    ends_well(&mut world);
}

/// A full resync throws the data away and keeps the id: what is left is no position.
#[test]
fn a_vote_of_a_replica_whose_full_resync_was_cut_off_does_not_count() {
    let mut world = story(2);
    // s-2 sees nothing of a write that s-1 confirms.
    live(&mut world, &[reach(2, Reach::Operator)]);
    live(&mut world, &[Event::Write]);
    seconds(&mut world, 2);
    assert!(world.confirmed.contains(&world.written));
    let redis = world.pod_mut(1).unwrap().redis.as_mut().unwrap();
    (redis.data, redis.offset, redis.flushed) = (Vec::new(), 0, true);
    redis.role = crate::decide::tests::world::redis::Role::Follows {
        ip: "10.9.9.9".into(),
        link: crate::decide::tests::world::redis::Link::Down,
    };
    live(&mut world, &[kill(0, 5), reach(2, Reach::All)]);
    seconds(&mut world, 3);
    assert_eq!(world.master(), Some(0), "{:?}", world.done);
    assert!(hold(&world).starts_with("1 of 2 electors read"), "{}", hold(&world));
    ends_well(&mut world);
}

#[test]
fn a_master_whose_pod_is_deleted_hands_over_without_a_loss() {
    let mut world = story(2);
    live(&mut world, &[Event::Write, Event::DeletePod { pod: 0 }]);
    seconds(&mut world, 3);
    done(
        &mut world,
        &[
            "record switchover to s-1 (PodDeleted)",
            "fence s-0",
            "record s-1 holds everything and takes over (PodDeleted)",
            "bare s-1",
            "arm s-1 min=1 epoch=2",
            "attach s-2 to s-1 epoch=2",
            "record lineage repl23 begins at 24",
            "record s-1 serves, and the VIP leads to it",
        ],
    );
    assert_eq!(world.status.failovers[0].verdict.max_lost_bytes, Some(0));
    ends_well(&mut world);
}

/// Else clients of the demoted master would have nowhere to go until the proxies take the change of the VIP.
#[test]
fn a_master_serves_until_the_node_proxies_would_take_a_change_at_once() {
    let mut world = story(2);
    let rerouted = world.now + SignedDuration::from_secs(1);
    world.rerouted = Some(rerouted);
    live(&mut world, &[Event::Write, Event::DeletePod { pod: 0 }]);
    assert_eq!(world.done, ["record switchover to s-1 (PodDeleted)"]);
    while !world.done.iter().any(|step| step == "fence s-0") {
        live(&mut world, &[Event::Write]);
    }
    let waited = world.now.duration_since(rerouted);
    assert!(waited >= SignedDuration::from_secs(1), "{waited:?}");
    assert!(waited < SignedDuration::from_secs(3), "{waited:?}");
    ends_well(&mut world);
    assert_eq!(world.status.failovers[0].verdict.max_lost_bytes, Some(0));
}

/// Else one that came before the VIP had moved would be refused for ever. Its label is changed while it is down.
#[test]
fn clients_of_a_former_masters_new_process_are_cut_off_before_it_serves_reads() {
    let mut world = story(2);
    live(&mut world, &[kill(0, 2)]);
    let is_replica = |world: &World| world.pod(0).is_some_and(|pod| pod.role.as_deref() == Some("replica"));
    let limit = world.now + SignedDuration::from_secs(30);
    while !is_replica(&world) {
        assert!(world.now < limit, "{:?}", world.done);
        seconds(&mut world, 1);
    }
    let cut = world.timeline.cut_off.get(&world.redis(0).unwrap().run_id);
    let moved = world.status.failovers[0].finished_at.0;
    assert!(
        cut.is_some_and(|at| *at >= moved + SignedDuration::from_secs(1)),
        "cut off at {cut:?}, moved at {moved}"
    );
    ends_well(&mut world);
}

/// As with other pods of the set that come and go all the time: this one is held for ten seconds only.
#[test]
fn the_node_proxies_are_not_waited_for_for_ever() {
    let mut world = story(2);
    live(&mut world, &[Event::DeletePod { pod: 0 }]);
    let begun = world.now;
    while !world.done.iter().any(|step| step == "fence s-0") {
        world.rerouted = Some(world.now);
        live(&mut world, &[]);
        assert!(world.now.duration_since(begun).as_secs() < 5, "{:?}", world.done);
    }
    ends_well(&mut world);
}

#[test]
fn a_target_that_dies_before_it_holds_everything_gives_the_role_back() {
    let mut world = story(2);
    live(
        &mut world,
        &[Event::Slow { pod: 1, slow: true }, Event::Slow { pod: 2, slow: true }],
    );
    let many = vec![Event::Write; 3];
    live(
        &mut world,
        &[&many[..], &[Event::DeletePod { pod: 0 }, Event::Crash { after: 2 }]].concat(),
    );
    live(&mut world, &[kill(1, 30), kill(2, 30)]);
    seconds(&mut world, 2);
    let back = [
        "record switchover to s-1 (PodDeleted)",
        "fence s-0",
        "record Grant of s-0 in epoch 2 (Restarted)",
    ];
    done(&mut world, &back);
    ends_well(&mut world);
}

#[test]
fn a_failover_ends_the_same_whenever_the_operator_dies() {
    whenever_the_operator_dies(2, |world| {
        live(world, &[kill(0, 3)]);
        seconds(world, 3);
    });
    whenever_the_operator_dies(4, |world| {
        live(world, &[Event::Write, kill(0, 30)]);
        seconds(world, 3);
    });
}

#[test]
fn an_unreachable_master_is_replaced_once_whenever_the_operator_dies() {
    whenever_the_operator_dies(2, |world| {
        live(world, &[reach(0, Reach::Nobody)]);
        (0..12).for_each(|_| live(world, &[Event::WriteToAll]));
    });
}

#[test]
fn a_switchover_ends_the_same_whenever_the_operator_dies() {
    whenever_the_operator_dies(2, |world| {
        live(world, &[Event::Write, Event::DeletePod { pod: 0 }]);
        seconds(world, 3);
    });
}

/// What clients on its side got answered until it fenced itself is part of the loss.
#[test]
fn what_a_silent_master_took_until_it_fenced_itself_is_reported() {
    let mut world = story(2);
    let writes = [Event::WriteToAll, Event::WriteToAll];
    (0..3).for_each(|_| live(&mut world, &writes));
    live(&mut world, &[reach(0, Reach::Nobody)]);
    while world.master() == Some(0) {
        live(&mut world, &writes);
    }
    let (old, new) = (&world.redis(0).unwrap().data, &world.redis(1).unwrap().data);
    let lost = old.iter().filter(|w| !new.contains(w)).count();
    let operation = world.status.operation.clone();
    let report = world.status.failovers.first().and_then(|r| r.verdict.max_lost_bytes);
    let most = report.or_else(|| operation?.verdict?.max_lost_bytes).unwrap();
    assert!(lost > 0 && lost as i64 <= most, "{lost} lost, {most} reported");
    ends_well(&mut world);
}

/// The operator's connection to a silent master is reset and refused while its replicas are detached: nobody is left who
/// could see that it lives.
#[test]
fn a_refused_connection_proves_nothing_once_the_replicas_are_detached() {
    let mut world = story(2);
    live(&mut world, &[reach(0, Reach::Nobody)]);
    seconds(&mut world, 1);
    while !world.done.iter().any(|step| step == "fence s-2") {
        seconds(&mut world, 1);
    }
    live(&mut world, &[reach(0, Reach::Reset)]);
    (0..8).for_each(|_| live(&mut world, &[Event::WriteToAll]));
    let taken = "record s-1 takes over (Unreachable, FenceTimeElapsed)";
    assert!(
        world.done.iter().any(|step| step.starts_with(taken)),
        "{:?}",
        world.done
    );
    ends_well(&mut world);
}
