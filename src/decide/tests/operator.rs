//! The operator in the toy cluster: observe, decide, act, status, as the loop runs them.

use std::collections::BTreeSet;

use super::oracle;
use super::world::World;
use crate::decide::decide;
use crate::model::observed::Observed;
use crate::model::plan::{Plan, Step};

/// Rounds of one pass, as the loop has them.
const ROUNDS: usize = 16;

/// Whether a failed step of this kind ends the role steps of its round.
fn is_role(step: &Step) -> bool {
    matches!(
        step,
        Step::Record { .. }
            | Step::Bare { .. }
            | Step::Arm { .. }
            | Step::Fence { .. }
            | Step::Attach { .. }
            | Step::LockOut { .. }
    )
}

/// What the operator sees and decides now.
pub fn plan(world: &World) -> (Observed, Plan) {
    let observed = world.observe();
    let plan = decide(&world.cluster, &observed, world.now);
    (observed, plan)
}

/// One pass of the loop: rounds until there is nothing to do, then status. Every step is judged.
pub fn pass(world: &mut World, slow: &BTreeSet<usize>) {
    world.probe_all(slow);
    for round in 0..ROUNDS {
        let (_, plan) = plan(world);
        oracle::plan(world, &plan);
        let Some(failed) = act(world, &plan) else { return };
        if plan.steps.is_empty() || failed || round + 1 == ROUNDS {
            if let Some(status) = &plan.status {
                world.write_status(status);
            }
            return;
        }
    }
}

/// Does the plan; true if a step failed, `None` if the operator ended in the middle of it.
fn act(world: &mut World, plan: &Plan) -> Option<bool> {
    let mut failed = false;
    let mut roles_end = false;
    for step in &plan.steps {
        if is_role(step) && roles_end {
            continue;
        }
        match &mut world.crash_after {
            Some(0) => {
                world.crash_after = None;
                return None;
            }
            Some(left) => *left -= 1,
            None => {}
        }
        let before = world.clone();
        let done = world.apply(step);
        oracle::step(&before, step, world);
        if done.is_err() {
            failed = true;
            roles_end |= is_role(step);
        }
    }
    Some(failed)
}
