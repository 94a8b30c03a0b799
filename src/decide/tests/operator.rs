//! The operator in the toy cluster: observe, decide, act, status, as the loop runs them.

use std::collections::BTreeSet;

use super::oracle;
use super::world::World;
use crate::decide::objects::Wanted;
use crate::decide::settings::Settings;
use crate::decide::view::View;
use crate::decide::{BUSY, IDLE, decide, labels, objects, roles, scale, status};
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

/// What the operator decides now.
pub fn plan(world: &World) -> Plan {
    let observed = world.observe();
    if world.lean {
        lean(world, &observed)
    } else {
        decide(&world.cluster, &observed, world.now)
    }
}

/// As [`decide`], but of the objects only the two that roles depend on, and no settings: a hundred times faster.
fn lean(world: &World, observed: &Observed) -> Plan {
    let view = View::new(&world.cluster, observed, world.now);
    let roles = roles::decide(&view);
    let mut steps = Vec::new();
    if view.may_act() {
        steps.extend(roles.steps.iter().cloned());
        let pods = scale::stateful_set_replicas(&view);
        let objects = World::lean_objects(pods, objects::vip_master(&view), view.authority.epoch);
        let wrong = objects.into_iter().filter(|object| {
            let live = view.ours(object.id.kind, &object.id.name);
            live.is_none_or(|live| {
                object.body["spec"] != live["spec"] || *annotations(&object.body) != *annotations(live)
            })
        });
        steps.extend(wrong.map(|object| Step::Apply { object, because: None }));
        steps.extend(labels::decide(&view));
    }
    let (status, turned) = status::status(&view, &roles, &Wanted::default(), &Settings::default());
    Plan {
        steps,
        status,
        events: Vec::new(),
        turned,
        roles_wait: roles.waits,
        next: if roles.waits { BUSY } else { IDLE },
    }
}

fn annotations(body: &serde_json::Value) -> &serde_json::Value {
    &body["metadata"]["annotations"]
}

/// One pass of the loop: rounds until there is nothing to do, then status. Every step is judged.
pub fn pass(world: &mut World, slow: &BTreeSet<usize>) {
    world.probe_all(slow);
    let mut done = Vec::new();
    for round in 0..ROUNDS {
        let plan = plan(world);
        oracle::plan(world, &plan);
        done.extend(plan.steps.iter().filter(|s| is_role(s)).cloned());
        oracle::pass(&done);
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
        oracle::step(world, step);
        let done = world.apply(step);
        oracle::state(world);
        if done.is_err() {
            failed = true;
            roles_end |= is_role(step);
        }
    }
    Some(failed)
}
