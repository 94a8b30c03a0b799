//! A master that is silent and may live: who is asked, how long is waited, and when it stays master.

use k8s_openapi::jiff::SignedDuration;

use super::random::live;
use super::story::{done, ends_well, hold, kill, reach, seconds, story, whenever_the_operator_dies};
use super::world::{Event, Reach};
use crate::decide::fate;
use crate::decide::view::View;
use crate::model::redis::{Link, OffsetLog, Seen};

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

/// s-1's link is up, and the last looks at it, so many milliseconds apart, showed the same offset.
fn hears(apart: i64, last_io: u64) -> bool {
    let world = story(2);
    let mut observed = world.observe();
    let mut facts = observed.members[1].facts().unwrap().clone();
    match &mut facts.link {
        Link::Replica(link) => link.last_io_seconds = Some(last_io),
        Link::Master => panic!("no replica"),
    }
    let mut offsets = OffsetLog::default();
    offsets.record(facts.asked_at - SignedDuration::from_millis(apart), facts.offset);
    offsets.record(facts.asked_at, facts.offset);
    observed.members[1].redis = Seen::Answers {
        facts: facts.into(),
        offsets: offsets.into(),
    };
    let (_, hearing) = fate::witnesses(&View::new(&world.cluster, &observed, world.now));
    hearing.contains(&"s-1".to_owned())
}

#[test]
fn a_replica_hears_its_master_while_its_stream_grows_every_second() {
    assert!(hears(0, 0) && hears(1100, 1));
    assert!(!hears(1300, 1), "not a byte for longer than between two pings");
    assert!(!hears(1100, 2), "by its own clock");
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
    let dropped = world.status.failovers[0].verdict.zombie_bytes;
    // The stream has pings too.
    let counted = dropped.is_some_and(|bytes| (lost as i64..=most).contains(&bytes));
    assert!(
        counted,
        "{dropped:?} bytes of it were counted when it was fenced, {lost} writes are lost"
    );
}

#[test]
fn an_unreachable_master_is_replaced_once_whenever_the_operator_dies() {
    whenever_the_operator_dies(2, |world| {
        live(world, &[reach(0, Reach::Nobody)]);
        (0..12).for_each(|_| live(world, &[Event::WriteToAll]));
    });
}
