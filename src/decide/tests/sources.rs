//! The pod with the most may not be master: what it has comes to one that may, as stories.

use super::priorities::prefer;
use super::random::live;
use super::story::{done, ends_well, hold, kill, reach, seconds, story};
use super::world::redis::{Link, Role};
use super::world::{Event, Reach, World};

/// A set at rest in which s-1, which never becomes master, has confirmed writes that s-2 lacks.
fn ahead() -> World {
    let mut world = story(2);
    prefer(&mut world, &[("node-1", 0)]);
    live(&mut world, &[Event::Slow { pod: 2, slow: true }]);
    live(&mut world, &vec![Event::Write; 6]);
    assert!(world.confirmed.contains(&world.written));
    let has = |pod: usize| world.redis(pod).unwrap().data.len();
    assert!(has(2) < has(1), "{} and {}", has(2), has(1));
    world.done.clear();
    world
}

fn confirmed_are_there(world: &World) -> bool {
    let data = &world.master().and_then(|o| world.redis(o)).unwrap().data;
    world.confirmed.iter().all(|write| data.contains(write))
}

fn blocked(world: &World) -> String {
    let found = world.status.conditions.iter().find(|c| c.type_ == "FailoverBlocked");
    found.map(|c| c.reason.clone()).unwrap()
}

fn has_begun(world: &World) -> bool {
    world.done.iter().any(|s| s.starts_with("record s-1 has the most"))
}

#[test]
fn what_only_a_pod_that_may_not_be_master_has_comes_to_one_that_may() {
    let mut world = ahead();
    live(&mut world, &[kill(0, 60)]);
    seconds(&mut world, 4);
    world.done.retain(|step| !step.starts_with("catch-up"));
    let until_named = world
        .done
        .iter()
        .position(|s| s.starts_with("record s-2 takes over"))
        .unwrap();
    let lineage = world
        .done
        .iter()
        .find(|s| s.starts_with("record lineage"))
        .unwrap()
        .clone();
    assert_eq!(
        world.done[..until_named],
        [
            "fence s-1",
            "fence s-2",
            "record s-1 has the most and may not be master: others take in what it has",
            "bare s-1",
            lineage.as_str(),
            "attach s-2 to s-1 epoch=1",
            "fence s-1",
            "fence s-2",
        ]
    );
    assert_eq!(world.master(), Some(2));
    assert!(confirmed_are_there(&world));
    let bound = world.status.failovers[0].verdict.max_lost_bytes;
    assert!(bound.is_some(), "{:?}", world.status.failovers[0]);
    ends_well(&mut world);
    assert!(confirmed_are_there(&world));
    assert_eq!(world.status.failovers.len(), 1);
}

#[test]
fn it_ends_the_same_whenever_the_operator_dies() {
    for after in 0..24 {
        let mut world = ahead();
        world.crash_after = Some(after);
        live(&mut world, &[kill(0, 60)]);
        seconds(&mut world, 8);
        assert_eq!(
            world.master(),
            Some(2),
            "crash after {after}: {:?}, {}",
            world.done,
            hold(&world)
        );
        assert!(confirmed_are_there(&world), "crash after {after}");
        world.cluster.spec.failover.priorities.clear();
        ends_well(&mut world);
        assert_eq!(world.status.failovers.len(), 1, "crash after {after}");
    }
}

/// Where it dies, and where the operator was then: nobody who may be master has less than before.
#[test]
fn a_source_that_dies_leaves_the_set_no_worse() {
    for after in 0..12 {
        for back in [2, 60] {
            let mut world = ahead();
            let had = world.redis(2).unwrap().data.clone();
            live(&mut world, &[kill(0, 60), Event::Crash { after }]);
            live(&mut world, &[kill(1, back)]);
            for _ in 0..6 {
                seconds(&mut world, 1);
                let data = &world.redis(2).unwrap().data;
                assert!(data.starts_with(&had), "died after step {after}: {data:?} of {had:?}");
            }
            ends_well(&mut world);
            assert!(confirmed_are_there(&world), "died after step {after}");
        }
    }
}

#[test]
fn one_that_may_be_master_and_dies_is_waited_for_while_the_source_stands_by() {
    let mut world = ahead();
    let dies = |world: &mut World, after| live(world, &[kill(0, 60), Event::Crash { after }]);
    let is_bare = |after: &usize| {
        let mut fork = world.clone();
        dies(&mut fork, *after);
        fork.redis(1).unwrap().role == Role::Master
    };
    let after = (0..24).find(is_bare).unwrap();
    dies(&mut world, after);
    live(&mut world, &[kill(2, 3)]);
    seconds(&mut world, 6);
    // What it has in its file has no place in the history.
    assert_eq!(blocked(&world), "PositionsMissing", "{}", hold(&world));
    let source = world.redis(1).unwrap();
    assert!(source.role == Role::Master && !source.is_armed(), "{:?}", world.done);
    ends_well(&mut world);
    assert!(confirmed_are_there(&world));
}

#[test]
fn a_source_that_may_be_master_after_all_takes_over_itself() {
    for after in 3..7 {
        let mut world = ahead();
        // Nothing gets from the one to the other.
        live(
            &mut world,
            &[kill(0, 60), reach(2, Reach::Operator), Event::Crash { after }],
        );
        seconds(&mut world, 2);
        assert!(has_begun(&world), "{:?}", world.done);
        assert_eq!(blocked(&world), "BestNotEligible", "{}", hold(&world));
        world.cluster.spec.failover.priorities.clear();
        seconds(&mut world, 3);
        assert_eq!(world.master(), Some(1), "after {after}: {:?}", world.done);
        ends_well(&mut world);
        assert!(confirmed_are_there(&world));
    }
}

/// A full resync would throw away what it has, for data that may be gone in the next moment.
#[test]
fn whoever_could_not_go_on_where_it_stands_is_not_attached() {
    let mut world = ahead();
    let end = world.redis(1).unwrap().offset;
    world.pod_mut(1).unwrap().redis.as_mut().unwrap().backlog = end;
    live(&mut world, &[kill(0, 60)]);
    seconds(&mut world, 5);
    done(&mut world, &["fence s-1", "fence s-2"]);
    assert_eq!(blocked(&world), "BestNotEligible");
    let advice = world
        .status
        .conditions
        .iter()
        .find(|c| c.type_ == "FailoverBlocked")
        .unwrap();
    assert!(
        advice.message.contains("annotate force-failover="),
        "{}",
        advice.message
    );
    world.pod_mut(1).unwrap().redis.as_mut().unwrap().backlog = 1;
    ends_well(&mut world);
    assert!(confirmed_are_there(&world));
}

/// It may be back in the next moment as the master that it was.
#[test]
fn a_silent_master_is_not_replaced_by_way_of_a_source_before_its_pod_is_gone() {
    let mut world = ahead();
    live(&mut world, &[reach(0, Reach::Nobody)]);
    seconds(&mut world, 12);
    assert!(!has_begun(&world), "{:?}", world.done);
    assert_eq!(blocked(&world), "BestNotEligible");
    live(&mut world, &[Event::ForceDelete { pod: 0 }]);
    seconds(&mut world, 8);
    assert_eq!(world.master(), Some(2), "{:?}, {}", world.done, hold(&world));
    assert!(confirmed_are_there(&world));
    ends_well(&mut world);
}

/// What its old process went on to take may be missing in the file that the new pod has.
#[test]
fn the_file_of_a_master_that_may_live_on_is_not_taken_while_the_source_stands_by() {
    let mut world = ahead();
    live(&mut world, &[reach(0, Reach::Nobody), reach(2, Reach::Operator)]);
    live(&mut world, &[Event::ForceDelete { pod: 0 }]);
    seconds(&mut world, 40);
    assert!(has_begun(&world), "{:?}", world.done);
    assert_eq!(world.status.epoch, Some(1), "{:?}", world.done);
    assert_eq!(blocked(&world), "BestNotEligible", "{}", hold(&world));
    ends_well(&mut world);
    assert!(confirmed_are_there(&world));
}

/// That the master's process was seen to end is still known when its pod is gone and the source dies.
#[test]
fn the_file_of_a_master_that_was_seen_to_end_is_taken_when_the_source_dies() {
    let mut world = ahead();
    live(&mut world, &[reach(2, Reach::Operator), kill(0, 60)]);
    seconds(&mut world, 3);
    assert!(has_begun(&world), "{:?}, {}", world.done, hold(&world));
    live(&mut world, &[kill(1, 600), Event::DeletePod { pod: 0 }]);
    seconds(&mut world, 20);
    let now = (world.master(), world.status.epoch);
    assert_eq!(now, (Some(0), Some(2)), "{:?}, {}", world.done, hold(&world));
    ends_well(&mut world);
    assert!(confirmed_are_there(&world));
}

#[test]
fn a_pod_on_its_way_out_gives_what_it_has_while_it_is_held() {
    let mut world = story(2);
    live(&mut world, &[Event::Slow { pod: 2, slow: true }]);
    live(&mut world, &vec![Event::Write; 6]);
    live(&mut world, &[Event::DeletePod { pod: 1 }, kill(0, 60)]);
    seconds(&mut world, 2);
    assert!(has_begun(&world), "{:?}", world.done);
    seconds(&mut world, 3);
    assert_eq!(world.master(), Some(2), "{:?}, {}", world.done, hold(&world));
    assert!(confirmed_are_there(&world));
    ends_well(&mut world);
}

#[test]
fn a_person_can_name_another_while_the_source_waits() {
    let mut world = ahead();
    live(&mut world, &[kill(0, 60), reach(2, Reach::Operator)]);
    seconds(&mut world, 3);
    assert!(has_begun(&world), "{:?}", world.done);
    world.requests.insert("force-failover".into(), "s-2@1".into());
    seconds(&mut world, 8);
    assert_eq!(world.master(), Some(2), "{:?}, {}", world.done, hold(&world));
    ends_well(&mut world);
}

/// The old master lives after all: what took on the source's lineage has no vote until it was attached anew.
#[test]
fn a_master_that_was_taken_for_dead_keeps_its_role_and_the_source_its_data() {
    let mut world = ahead();
    let lineage = world.status.histories.clone();
    live(&mut world, &[reach(1, Reach::Operator), reach(2, Reach::Operator)]);
    for pod in [1, 2] {
        let redis = world.pod_mut(pod).unwrap().redis.as_mut().unwrap();
        if let Role::Follows { link, .. } = &mut redis.role {
            *link = Link::Down;
        }
    }
    live(&mut world, &[reach(0, Reach::Reset)]);
    assert!(has_begun(&world), "{:?}", world.done);
    assert_ne!(world.status.histories, lineage);
    live(&mut world, &[0, 1, 2].map(|pod| reach(pod, Reach::All)));
    assert_eq!(world.status.histories, lineage, "{:?}", world.done);
    seconds(&mut world, 3);
    assert_eq!(world.status.epoch, Some(1), "{:?}", world.done);
    ends_well(&mut world);
    assert!(confirmed_are_there(&world));
}
