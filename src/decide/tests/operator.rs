//! The operator in the toy cluster: observe, decide, act, status, as the loop runs them.

use std::collections::BTreeSet;

use super::check::{is_role, say};
use super::oracle;
use super::world::World;
use crate::api::status::RedisReplicaSetStatus;
use crate::decide::objects::Wanted;
use crate::decide::settings::Settings;
use crate::decide::view::View;
use crate::decide::{BUSY, IDLE, decide, labels, objects, roles, scale, status};
use crate::model::observed::Observed;
use crate::model::plan::{Plan, Step};

/// Rounds of one pass, as the loop has them.
const ROUNDS: usize = 16;

/// What the operator decides now.
pub fn plan(world: &World) -> Plan {
    let observed = world.observe();
    let plan = steps(world, &observed);
    Plan {
        status: plan.status.or_else(|| status(world, &observed)),
        ..plan
    }
}

/// The plan for what was seen; of a lean world without status, which takes most of the time.
fn steps(world: &World, observed: &Observed) -> Plan {
    if world.lean {
        lean(world, observed)
    } else {
        decide(&world.cluster, observed, world.now)
    }
}

/// As [`decide`], but of the objects only the two that roles depend on, and no settings: a hundred times faster.
fn lean(world: &World, observed: &Observed) -> Plan {
    let view = View::new(&world.cluster, observed, world.now);
    let roles = roles::decide(&view, &[]);
    let mut steps = Vec::new();
    if view.may_act() {
        steps.extend(roles.steps.iter().cloned());
    }
    if view.may_act() && !roles.is_behind() {
        let pods = |tier| scale::stateful_set_replicas(&view, tier);
        let tiers: Vec<_> = view.cluster.tiers().map(|tier| (tier.name, pods(tier))).collect();
        let objects = World::lean_objects(&tiers, objects::vip_master(&view), view.authority.epoch);
        let wrong = objects.into_iter().filter(|object| {
            let live = view.ours(object.id.kind, &object.id.name);
            live.is_none_or(|live| {
                object.body["spec"] != live["spec"] || *annotations(&object.body) != *annotations(live)
            })
        });
        steps.extend(wrong.map(|object| Step::Apply { object, because: None }));
        steps.extend(labels::decide(&view));
    }
    Plan {
        steps,
        next: if roles.waits || roles.wake.is_some() {
            BUSY
        } else {
            IDLE
        },
        ..Plan::default()
    }
}

/// Status as [`decide`] has it, for a lean world.
fn status(world: &World, observed: &Observed) -> Option<RedisReplicaSetStatus> {
    let view = View::new(&world.cluster, observed, world.now);
    let nothing = (Wanted::default(), Settings::default());
    status::status(&view, &roles::decide(&view, &[]), &nothing.0, &nothing.1)
        .0
        .filter(|_| world.lean)
}

fn annotations(body: &serde_json::Value) -> &serde_json::Value {
    &body["metadata"]["annotations"]
}

/// One pass of the loop: rounds until there is nothing to do, then status. Every step is judged.
pub fn pass(world: &mut World, slow: &BTreeSet<usize>) {
    world.probe_all(slow);
    let mut done = Vec::new();
    for round in 0..ROUNDS {
        let (observed, before) = (world.observe(), world.now);
        let mut plan = steps(world, &observed);
        done.extend(plan.steps.iter().filter(|s| is_role(s)).cloned());
        oracle::pass(&done);
        oracle::plan(world, &plan);
        let Some(failed) = act(world, &plan) else { return };
        let last = plan.steps.is_empty() || failed || round + 1 == ROUNDS;
        if last && world.lean {
            let now = std::mem::replace(&mut world.now, before);
            plan.status = status(world, &observed);
            world.now = now;
        }
        if last {
            oracle::plan(world, &plan);
            plan.status.iter().for_each(|status| world.write_status(status));
            world.told.extend(plan.turned.iter().map(|note| note.reason));
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
                world.restart_operator();
                return None;
            }
            Some(left) => *left -= 1,
            None => {}
        }
        oracle::step(world, step);
        let done = world.apply(step);
        if is_role(step) && done.is_ok() {
            world.done.push(say(step));
        }
        oracle::state(world);
        if done.is_err() {
            failed = true;
            roles_end |= is_role(step);
        }
    }
    Some(failed)
}
