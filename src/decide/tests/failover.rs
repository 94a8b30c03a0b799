//! A master that died, or whose process is another one: who takes its place, and how it comes back.

use k8s_openapi::jiff::SignedDuration;

use super::random::live;
use super::story::{done, ends_well, kill, seconds, story, whenever_the_operator_dies};
use super::world::redis::Role;
use super::world::{Event, World};

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
    // Also of the one that was not done: it may have taken writes.
    let reports = &world.status.failovers;
    assert_eq!(reports.iter().map(|r| r.epoch).collect::<Vec<_>>(), [3, 2]);
    assert!(
        reports[1].message.ends_with("and ended before all was done"),
        "{reports:?}"
    );
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
        cut.is_some_and(|cut| cut.at >= moved + SignedDuration::from_secs(1)),
        "cut off at {cut:?}, moved at {moved}"
    );
    ends_well(&mut world);
}

/// Connection tracking may lead a client to a pod that the rules know no more.
#[test]
fn clients_that_stray_to_a_former_master_are_cut_off_when_their_writes_are_refused() {
    let mut world = story(2);
    live(&mut world, &[kill(0, 2)]);
    seconds(&mut world, 15);
    let is_cut_after = |world: &mut World, refused: u64| {
        let cut = |world: &World| world.timeline.cut_off[&world.redis(0).unwrap().run_id];
        let before = cut(world);
        world.pod_mut(0).unwrap().redis.as_mut().unwrap().refused_writes += refused;
        seconds(world, 3);
        cut(world) != before
    };
    assert!(!is_cut_after(&mut world, 0));
    assert!(is_cut_after(&mut world, 5));
    assert!(is_cut_after(&mut world, 1));
    assert!(!is_cut_after(&mut world, 0));
    // Long after, whoever writes to it means to.
    seconds(&mut world, 120);
    assert!(!is_cut_after(&mut world, 5));
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
