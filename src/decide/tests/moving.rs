//! What readers go by while a change of the master moves a replica from one parent to another.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::random::live;
use super::story::{ends_well, kill, reach, story};
use super::world::{Event, Reach, World};
use crate::api::Period;
use crate::api::status::{Fenced, MemberState};
use crate::decide::sync;
use crate::decide::view::View;
use crate::model::observed::{Observed, PodFacts};
use crate::model::redis::{Facts, Link, Loading, NOWHERE, OffsetLog, ReplicaLink, Seen};

/// Whether readers are led to a pod: by both labels, and by the gate that the kubelet makes it ready by.
fn is_read_from(world: &World, ordinal: usize) -> bool {
    let pod = world.pod(ordinal).unwrap();
    (pod.role.as_deref(), pod.in_sync, pod.gate) == (Some("replica"), true, Some(true))
}

fn state(world: &World, ordinal: usize) -> MemberState {
    world.status.members[ordinal].state
}

/// s-1 takes over: s-2 is led to all the time, and status does not tell of its move.
#[track_caller]
fn stays(mut world: World, events: &[Event]) {
    assert!(is_read_from(&world, 2));
    live(&mut world, events);
    for second in 0..10 {
        assert!(is_read_from(&world, 2), "second {second}: {:?}", world.done);
        assert_eq!(state(&world, 2), MemberState::InSync, "second {second}");
        assert!(world.status.ready_replicas >= Some(1), "second {second}");
        live(&mut world, &[Event::Write]);
    }
    assert_eq!(world.master(), Some(1), "{:?}", world.done);
    ends_well(&mut world);
}

#[test]
fn a_sibling_is_read_from_while_it_moves_to_the_new_master() {
    let mut asked = story(2);
    asked.requests.insert("switchover".into(), "s-1@1".into());
    stays(asked, &[]);
    stays(story(2), &[Event::DeletePod { pod: 0 }]);
    stays(story(2), &[kill(0, 3)]);
}

/// Its votes and the time of self-fencing come before the move.
#[test]
fn a_sibling_is_read_from_while_a_silent_master_is_replaced() {
    let mut world = story(2);
    live(&mut world, &[reach(0, Reach::Nobody)]);
    for second in 0..12 {
        assert!(is_read_from(&world, 2), "second {second}: {:?}", world.done);
        live(&mut world, &[]);
    }
    assert_eq!(world.master(), Some(1), "{:?}", world.done);
    ends_well(&mut world);
}

#[test]
fn a_replica_whose_move_takes_long_is_taken_from_readers() {
    let mut world = story(2);
    world.requests.insert("switchover".into(), "s-1@1".into());
    // s-2 is reached by the operator alone: its link does not come up.
    live(&mut world, &[reach(2, Reach::Operator)]);
    assert!(is_read_from(&world, 2));
    let moved = world.now;
    while is_read_from(&world, 2) {
        live(&mut world, &[]);
    }
    let after = world.now.duration_since(moved);
    assert!(after < SignedDuration::from_secs(5), "{after:?}");
    assert_eq!(state(&world, 2), MemberState::LinkDown);
    ends_well(&mut world);
    assert!(is_read_from(&world, 2));
}

/// s-1 has taken over, and s-2 was attached to it a moment ago, changed by hand.
fn moved(max_lag: u64, change: fn(&mut Observed, &mut Facts)) -> (bool, MemberState) {
    let mut world = story(2);
    world.requests.insert("switchover".into(), "s-1@1".into());
    live(&mut world, &[]);
    let mut observed = world.observe();
    let mut facts = observed.members[2].facts().unwrap().clone();
    assert_eq!(world.master(), Some(1), "{:?}", world.done);
    assert!(facts.replica_link().is_some_and(|link| !link.up), "{facts:?}");
    change(&mut observed, &mut facts);
    if let Seen::Answers { facts: seen, .. } = &mut observed.members[2].redis {
        *seen = facts.into();
    }
    world.cluster.spec.services.replicas.max_lag = Period::seconds(max_lag);
    let view = View::new(&world.cluster, &observed, world.now);
    let member = &observed.members[2];
    (sync::serves_reads(&view, member), sync::shown(&view, member))
}

fn pod(observed: &mut Observed) -> &mut PodFacts {
    observed.members[2].pod.as_mut().unwrap()
}

/// What is seen of a master whose offset went from 1 to what it is now after `at`.
fn grown(master: &Seen, at: Timestamp) -> Seen {
    let facts = master.facts().unwrap().clone();
    let mut offsets = OffsetLog::default();
    offsets.record(at, 1);
    offsets.record(facts.asked_at, facts.offset);
    let offsets = offsets.into();
    Seen::Answers { facts, offsets }
}

/// ... and of one of which nothing is known but its last offset.
fn forgetful(master: &Seen) -> Seen {
    let facts = master.facts().unwrap().clone();
    let mut offsets = OffsetLog::default();
    offsets.record(facts.asked_at, facts.offset);
    let offsets = offsets.into();
    Seen::Answers { facts, offsets }
}

fn link(facts: &mut Facts) -> &mut ReplicaLink {
    match &mut facts.link {
        Link::Replica(link) => link,
        Link::Master => panic!("no replica"),
    }
}

fn detach(facts: &mut Facts) {
    (link(facts).host, link(facts).port) = (NOWHERE.0.to_owned(), NOWHERE.1);
}

/// A minute before the last look.
fn long_ago(facts: &Facts) -> Timestamp {
    facts.answered_at - SignedDuration::from_secs(60)
}

#[test]
fn only_a_replica_that_was_in_sync_and_that_we_moved_is_read_from_without_its_stream() {
    use MemberState::{Fenced as Loose, InSync, Lagging, LinkDown, Loading as Loads, Syncing};
    type Change = fn(&mut Observed, &mut Facts);
    let table: [(&str, Change, bool, MemberState); 12] = [
        ("attached a moment ago", |_, _| (), true, InSync),
        (
            "linked, but nothing is known of the new master's past",
            |o, f| {
                (link(f).up, link(f).last_io_seconds, f.offset) = (true, Some(0), 1);
                o.members[1].redis = forgetful(&o.members[1].redis);
            },
            true,
            InSync,
        ),
        ("detached to vote", |_, f| detach(f), true, Loose),
        (
            "detached while its master serves and nothing is under way",
            |o, f| {
                detach(f);
                o.status.operation = None;
                o.attached.clear();
            },
            false,
            Loose,
        ),
        ("never in sync", |o, _| pod(o).in_sync = false, false, LinkDown),
        ("in a full resync", |_, f| link(f).syncing = true, false, Syncing),
        ("about to be", |_, f| f.replid = "other".into(), false, LinkDown),
        (
            "reads its data",
            |_, f| f.loading = Some(Loading { percent: None }),
            false,
            Loads,
        ),
        (
            "known to lag",
            |o, f| {
                (link(f).up, link(f).last_io_seconds, f.offset) = (true, Some(0), 1);
                o.members[1].redis = grown(&o.members[1].redis, long_ago(f));
            },
            false,
            Lagging,
        ),
        (
            "taken out of service by a person",
            |o, f| {
                o.status.fenced = vec![Fenced {
                    name: "s-2".into(),
                    request: "s-2@1".into(),
                    since: Time(long_ago(f)),
                }];
            },
            false,
            Loose,
        ),
        (
            "without its stream for long",
            |o, f| *o.followed.get_mut(&f.run_id).unwrap() = long_ago(f),
            false,
            LinkDown,
        ),
        (
            "attached long ago, and its link broke",
            |o, f| {
                o.status.operation = None;
                o.attached.insert(f.run_id.clone(), long_ago(f));
            },
            false,
            LinkDown,
        ),
    ];
    for (what, change, serves, shown) in table {
        assert_eq!(moved(10, change), (serves, shown), "{what}");
    }
}

#[test]
fn what_a_moved_replica_has_may_not_be_older_than_readers_want() {
    let two_seconds_ago = |o: &mut Observed, f: &mut Facts| {
        *o.followed.get_mut(&f.run_id).unwrap() = f.answered_at - SignedDuration::from_secs(2);
    };
    assert_eq!(moved(10, two_seconds_ago), (true, MemberState::InSync));
    assert_eq!(moved(1, two_seconds_ago), (false, MemberState::LinkDown));
}
