//! Where the master should be: among those who hold the same, and never at the price of data.

use super::check::{check, say, settle, world};
use super::random::live;
use super::story::{ends_well, hold, kill, seconds, story};
use super::world::{Event, World};
use crate::api::Priority;

/// Priorities of nodes; `s-0` is on `node-0`.
pub fn prefer(world: &mut World, priorities: &[(&str, i32)]) {
    let rule = |(node, priority): &(&str, i32)| Priority {
        node: Some((*node).to_owned()),
        priority: *priority,
        ..Priority::default()
    };
    world.cluster.spec.failover.priorities = priorities.iter().map(rule).collect();
}

fn replaced_with(priorities: &[(&str, i32)], votes: &str) -> Vec<String> {
    let mut world = world(&format!("set epoch=3 master=0 had=5; 0 dead armed=1 keys=5; {votes}"));
    prefer(&mut world, priorities);
    settle(&mut world).steps.iter().map(say).collect()
}

#[test]
fn among_equal_positions_the_lowest_priority_takes_over() {
    let equal = "1 fenced same; 2 fenced same";
    let table: [(&[(&str, i32)], &str); 5] = [
        (&[], "record s-1 takes over"),
        (&[("node-2", 10)], "record s-2 takes over"),
        (&[("node-1", 200)], "record s-2 takes over"),
        (&[("node-1", 0)], "record s-2 takes over"),
        // The first rule that names a pod counts.
        (&[("node-2", 300), ("node-2", 10)], "record s-1 takes over"),
    ];
    for (priorities, step) in table {
        let steps = replaced_with(priorities, equal);
        assert!(steps[0].starts_with(step), "{priorities:?}: {steps:?}");
    }
}

#[test]
fn a_priority_never_beats_data() {
    let behind = "1 fenced same; 2 fenced same offset=99";
    let steps = replaced_with(&[("node-2", 1), ("node-1", 1000)], behind);
    assert!(steps[0].starts_with("record s-1 takes over"), "{steps:?}");
    let steps = replaced_with(&[("node-1", 0)], behind);
    assert_eq!(
        steps,
        ["record s-1 has the most and may not be master: others take in what it has"]
    );
}

#[test]
fn without_anybody_who_may_be_master_a_person_is_told_before_it_is_needed() {
    let mut world = story(2);
    prefer(&mut world, &[("node-1", 0), ("node-2", 0)]);
    seconds(&mut world, 1);
    let blocked = |world: &World| {
        let found = world.status.conditions.iter().find(|c| c.type_ == "FailoverBlocked");
        found.map(|c| c.reason.clone()).unwrap()
    };
    assert_eq!(blocked(&world), "OnlyUnelectable");
    live(&mut world, &[kill(0, 30)]);
    seconds(&mut world, 3);
    let told = "s-1, s-2 could take over, but by failover.priorities they never do: give one a priority above 0";
    assert_eq!(hold(&world), told);
    prefer(&mut world, &[("node-1", 0), ("node-2", 1)]);
    seconds(&mut world, 3);
    assert_eq!(world.master(), Some(2));
    ends_well(&mut world);
    assert_eq!(blocked(&world), "Possible");
}

#[test]
fn a_master_that_leaves_hands_over_by_priority_and_a_change_of_priorities_moves_nobody() {
    let mut world = story(2);
    prefer(&mut world, &[("node-0", 0), ("node-2", 1)]);
    seconds(&mut world, 10);
    assert_eq!(world.master(), Some(0));
    let shown: Vec<_> = world.status.members.iter().map(|m| m.priority).collect();
    assert_eq!(shown, [Some(0), None, Some(1)]);
    live(&mut world, &[Event::DeletePod { pod: 0 }]);
    seconds(&mut world, 3);
    assert_eq!(world.master(), Some(2), "{:?}", world.done);
    ends_well(&mut world);
}

#[test]
fn a_pod_that_never_becomes_master_is_refused_as_a_target() {
    let mut world = story(2);
    prefer(&mut world, &[("node-1", 0)]);
    world.requests.insert("switchover".into(), "s-1@1".into());
    seconds(&mut world, 3);
    let request = &world.status.requests[0];
    assert_eq!(request.reason, "TargetUnfit");
    assert!(
        request.message.contains("has priority 0 by failover.priorities"),
        "{}",
        request.message
    );
    check(
        "set epoch=3 master=0; 0 armed=1 keys=5; 1 attached; 2 attached",
        &[],
        &["FailoverBlocked=Possible"],
    );
}
