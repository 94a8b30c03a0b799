//! Plans in words, and the one way in which tables are checked.

pub use super::text::world;
use super::world::World;
use crate::decide::decide;
use crate::model::plan::{Plan, Step};

/// The role steps of a world at rest, and reasons of conditions as `Type=Reason`.
#[track_caller]
pub fn check(text: &str, steps: &[&str], conditions: &[&str]) {
    let mut world = world(text);
    let plan = settle(&mut world);
    let found: Vec<_> = plan.steps.iter().filter(|s| is_role(s)).map(say).collect();
    assert_eq!(found, steps, "steps of {text:?}");
    reasons(text, &world, conditions);
}

/// Conditions of a world whose status was written.
#[track_caller]
pub fn reasons(text: &str, world: &World, conditions: &[&str]) {
    for wanted in conditions {
        let (kind, reason) = wanted.split_once('=').unwrap();
        let found = world.status.conditions.iter().find(|c| c.type_ == kind).unwrap();
        assert_eq!(found.reason, reason, "{kind} of {text:?}: {}", found.message);
    }
}

/// Does everything but role steps until only those are left, and writes status.
pub fn settle(world: &mut World) -> Plan {
    for _ in 0..8 {
        let plan = decide(&world.cluster, &world.observe(), world.now);
        let others: Vec<_> = plan.steps.iter().filter(|s| !is_role(s)).cloned().collect();
        if let Some(status) = &plan.status {
            world.write_status(status);
        }
        if others.is_empty() && plan.status.is_none() {
            return plan;
        }
        others.iter().for_each(|step| world.apply(step).unwrap());
        world.endpoints();
    }
    panic!("objects and status do not come to rest");
}

/// Whether a step is about who may do what.
pub fn is_role(step: &Step) -> bool {
    step.is_role()
}

/// A step in words.
pub fn say(step: &Step) -> String {
    match step {
        Step::Record { why, .. } => format!("record {why}"),
        Step::CreateInternal { .. } => "create-internal".into(),
        Step::CreateApp => "create-app".into(),
        Step::WriteAcl { .. } => "write-acl".into(),
        Step::Grow { claim, size, .. } => format!("grow {claim} {size}"),
        Step::Create(object) => format!("create {} {}", object.id.kind, object.id.name),
        Step::Apply { object, because } => {
            let because = because.as_ref().map_or(String::new(), |b| format!(": {b}"));
            format!("apply {} {}{because}", object.id.kind, object.id.name)
        }
        Step::Delete { id, .. } => format!("delete {} {}", id.kind, id.name),
        Step::Bare { to } => format!("bare {}", to.name),
        Step::Arm { to, min, epoch } => format!("arm {} min={min} epoch={epoch}", to.name),
        Step::Fence { to } => format!("fence {}", to.name),
        Step::Drain { to } => format!("drain {}", to.name),
        Step::CatchUp { to, offset } => format!("catch-up {} to {offset}", to.name),
        Step::ComeAlong { to, lineage } => format!("come-along {} to {lineage}", to.name),
        Step::KillClients { to, .. } => format!("kill-clients {}", to.name),
        Step::DeletePod { pod, why, .. } => format!("delete-pod {pod}: {why}"),
        Step::Attach { child, parent, epoch } => format!("attach {} to {} epoch={epoch}", child.name, parent.name),
        Step::LockOut { parent, child } => format!("lock-out {child} at {}", parent.name),
        Step::Configure { to, values } => format!("configure {} {values:?}", to.name),
        Step::Login { to, .. } => format!("login {}", to.name),
        Step::Label { pod, role, in_sync, .. } => format!("label {pod} {role} in-sync={in_sync}"),
        Step::Gate { pod, ready, .. } => format!("gate {pod} {ready}"),
        Step::Mark { claim, epoch, role, .. } => format!("mark {claim} {role} epoch={epoch}"),
    }
}
