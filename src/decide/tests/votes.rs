//! Whose word counts in an election: positions that are none, and who is behind.

use super::check::{check, reasons, settle, world as text};
use super::random::live;
use super::story::{done, ends_well, hold, kill, reach, seconds, story};
use super::world::redis::{Link, Role};
use super::world::{Event, Reach, World};
use crate::api::Priority;

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

/// s-1 was started again and is in its first full resync since it entered.
fn learning() -> World {
    let mut world = story(2);
    live(&mut world, &[kill(1, 0)]);
    while world.redis(1).is_none_or(|r| r.link().is_none()) {
        seconds(&mut world, 1);
    }
    world
}

/// It has confirmed nothing since it entered, so what was confirmed is on s-2.
#[test]
fn a_learner_in_its_first_full_resync_votes_with_nothing_whichever_operator_leads() {
    for restarts in [false, true] {
        let mut world = learning();
        if restarts {
            world.restart_operator();
        }
        live(&mut world, &[kill(0, 60)]);
        seconds(&mut world, 2);
        assert_eq!(world.master(), Some(2), "{}; {:?}", hold(&world), world.done);
        ends_well(&mut world);
    }
}

/// While it loads the master's RDB it can not be detached: that counts only once the master is known to have ended.
#[test]
fn a_learner_that_loads_votes_with_nothing_if_the_master_has_ended() {
    let set =
        |master, learner| format!("set epoch=3 master=0 had=5; 0 {master} keys=5; 1 {learner}; 2 fenced same keys=5");
    let takes_over =
        &["record s-2 takes over (ProcessDied, ConnectionRefused), it is not known how many bytes are lost"];
    check(&set("dead", "entered syncing loading"), takes_over, &[]);
    check(
        &set("nopod", "entered syncing loading"),
        &[],
        &["FailoverBlocked=PositionsMissing"],
    );
    // Of one that entered with another id, or that is no learner, nobody knows what it confirmed.
    let intent = &["record s-0 is to be replaced (ProcessDied); its replicas vote"];
    check(
        &set("dead", "learner syncing loading"),
        intent,
        &["FailoverBlocked=PositionsMissing"],
    );
    check(&set("dead", "keys=5"), intent, &["FailoverBlocked=PositionsMissing"]);
}

/// Nobody sees that its resync is complete, it alone confirms a write and is started again: then it has an id of its own again,
/// but not the one with which it entered. The file of s-0 is no source while s-2 might hold what it lacks.
#[test]
fn a_learner_that_was_started_again_does_not_vote() {
    let mut world = learning();
    live(&mut world, &[reach(1, Reach::Peers)]);
    seconds(&mut world, 4);
    live(&mut world, &[reach(2, Reach::Operator), Event::Write]);
    seconds(&mut world, 1);
    assert!(world.confirmed.contains(&world.written));
    live(
        &mut world,
        &[reach(1, Reach::All), reach(2, Reach::All), kill(1, 0), kill(0, 3)],
    );
    seconds(&mut world, 3);
    assert!(hold(&world).starts_with("1 of 2 electors read"), "{}", hold(&world));
    world.done.clear();
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
    redis.role = Role::Follows {
        ip: "10.9.9.9".into(),
        link: Link::Down,
    };
    live(&mut world, &[kill(0, 5), reach(2, Reach::All)]);
    seconds(&mut world, 3);
    assert_eq!(world.master(), Some(0), "{:?}", world.done);
    assert!(hold(&world).starts_with("1 of 2 electors read"), "{}", hold(&world));
    ends_well(&mut world);
}

fn blocked(world: &World) -> &str {
    let found = world.status.conditions.iter().find(|c| c.type_ == "FailoverBlocked");
    found.map_or("", |c| c.message.as_str())
}

/// Enough votes are no help if none of those who have one may be master.
#[test]
fn a_failover_is_possible_only_if_somebody_with_a_vote_could_win() {
    let priority = Priority {
        node: Some("node-1".into()),
        priority: 0,
        ..Priority::default()
    };
    let none: &[Priority] = &[];
    let table = [
        ("1 attached; 2 attached", none, "Possible", "2 of 3 positions known"),
        (
            "1 attached deleting; 2 attached",
            none,
            "Possible",
            "2 of 3 positions known",
        ),
        (
            "1 attached deleting; 2 attached deleting",
            none,
            "NoCandidate",
            "nobody can take over: s-1 is being deleted, s-2 is being deleted",
        ),
        (
            "1 attached; 2 attached deleting",
            std::slice::from_ref(&priority),
            "NoCandidate",
            "nobody can take over: s-1 has priority 0 by failover.priorities, s-2 is being deleted",
        ),
    ];
    for (replicas, priorities, reason, message) in table {
        let words = format!("set epoch=3 master=0; 0 armed=1 keys=5; {replicas}");
        let mut world = text(&words);
        world.cluster.spec.failover.priorities = priorities.to_vec();
        settle(&mut world);
        reasons(&words, &world, &[&format!("FailoverBlocked={reason}")]);
        assert!(blocked(&world).starts_with(message), "{replicas}: {}", blocked(&world));
    }
}
