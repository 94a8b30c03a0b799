//! Electors that nobody hears for long: they are locked out, and leave if enough of the others hold everything.

use super::random::live;
use super::story::{done, ends_well, hold, kill, reach, seconds, story};
use super::world::{Event, Reach, World};

fn role_steps(world: &World) -> Vec<&str> {
    let looks = |step: &&str| !step.starts_with("catch-up");
    world.done.iter().map(String::as_str).filter(looks).collect()
}

#[test]
fn an_elector_that_is_silent_for_long_leaves_and_the_other_can_take_over() {
    let mut world = story(2);
    live(&mut world, &[reach(2, Reach::Nobody)]);
    seconds(&mut world, 25);
    assert!(role_steps(&world).is_empty(), "{:?}", world.done);
    seconds(&mut world, 20);
    let left = [
        "lock-out s-2 at s-0",
        "record electors: s-2 is silent for long and leaves",
    ];
    assert_eq!(role_steps(&world), left);
    live(&mut world, &[Event::Write]);
    live(&mut world, &[kill(0, 60)]);
    seconds(&mut world, 3);
    assert_eq!(world.master(), Some(1), "{:?}", world.done);
    // It is back with what it had, and is behind: it enters as who holds nothing yet.
    ends_well(&mut world);
}

#[test]
fn whoever_the_master_hears_is_not_locked_out_by_an_operator_that_does_not() {
    let mut world = story(2);
    live(&mut world, &[reach(2, Reach::Peers)]);
    (0..60).for_each(|_| live(&mut world, &[Event::Write]));
    done(&mut world, &[]);
    ends_well(&mut world);
}

/// With both locked out nobody can acknowledge, so that the master may go on alone. But they keep their seats: what was
/// confirmed may be on them.
#[test]
fn with_all_replicas_silent_the_master_goes_on_alone_and_nobody_leaves() {
    let mut world = story(2);
    live(&mut world, &[reach(1, Reach::Nobody), reach(2, Reach::Nobody)]);
    (0..40).for_each(|_| live(&mut world, &[Event::WriteToAll]));
    let lowered = [
        "lock-out s-1 at s-0",
        "lock-out s-2 at s-0",
        "record wait 1, min-replicas-to-write 0: the missing replicas are dead, locked out, or answered fenced",
        "arm s-0 min=0 epoch=1",
    ];
    assert_eq!(role_steps(&world), lowered);
    assert_eq!(world.status.electors.len(), 3);
    let before = world.written;
    live(&mut world, &[Event::WriteToAll]);
    assert_eq!(world.written, before + 1);
    live(&mut world, &[kill(0, 60)]);
    seconds(&mut world, 3);
    assert!(hold(&world).starts_with("0 of 2 electors read"), "{}", hold(&world));
    ends_well(&mut world);
}
