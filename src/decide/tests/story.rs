//! What stories have in common: a set at rest, the time that passes, what was done, and the end.

use super::random::{converged, heal, live, settled};
use super::world::{Event, Reach, World};
use crate::decide::roles;
use crate::decide::view::View;

/// A set at rest that has one confirmed write.
pub fn story(replicas: i32) -> World {
    let mut world = settled(replicas);
    live(&mut world, &[Event::Write]);
    live(&mut world, &[]);
    assert!(world.confirmed.contains(&world.written) || replicas == 0);
    world.done.clear();
    world
}

pub fn seconds(world: &mut World, count: usize) {
    (0..count).for_each(|_| live(world, &[]));
}

/// What was done since the last question.
#[track_caller]
pub fn done(world: &mut World, steps: &[&str]) {
    assert_eq!(std::mem::take(&mut world.done), steps);
}

/// Why the work on roles does not go on.
pub fn hold(world: &World) -> String {
    let observed = world.observe();
    let view = View::new(&world.cluster, &observed, world.now);
    roles::decide(&view, &[])
        .hold
        .map_or(String::new(), |hold| hold.to_string())
}

pub fn kill(pod: usize, back: u32) -> Event {
    Event::Kill { pod, tail: false, back }
}

pub fn reach(pod: usize, reach: Reach) -> Event {
    Event::Reach { pod, reach }
}

/// Everything that was written and confirmed is there, and everybody follows one master.
pub fn ends_well(world: &mut World) {
    heal(world);
    seconds(world, 30);
    converged(world);
}

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
