//! A trace in words.

use stateright::Path;

use super::actions::Action;
use super::state::{Act, Process, State, Status};
use super::{Setting, operator};

/// What happened, and what the operator did, in so many steps.
pub fn trace(setting: &Setting, path: Path<State, Action>, steps: usize) -> Vec<String> {
    let say = |(state, action): (State, Option<Action>)| {
        Some(match action? {
            Action::Operator => step(&state, operator::plan(&state, setting.rule).first()?),
            Action::Late(nth) => format!("late {}", step(&state, state.late.as_ref()?.acts.get(nth)?)),
            other => format!("{other:?}").to_lowercase(),
        })
    };
    path.into_vec().into_iter().take(steps).filter_map(say).collect()
}

/// A step of the operator in words.
fn step(state: &State, act: &Act) -> String {
    let name = |to: &Process| to.uid.name;
    match act {
        Act::Bare(to) => format!("bare {}", name(to)),
        Act::Arm(to, min) => format!("arm {} min={min}", name(to)),
        Act::Fence(to) => format!("fence {}", name(to)),
        Act::Attach { child, parent } => format!("attach {} to {}", name(child), name(parent)),
        Act::LockOut { parent, child } => format!("lock-out {child} at {}", name(parent)),
        Act::Size(pods) => format!("size {pods}"),
        Act::Record(new) => record(&state.status, new),
    }
}

fn record(old: &Status, new: &Status) -> String {
    let mut changes = Vec::new();
    let mut note = |differs: bool, what: String| changes.extend(differs.then_some(what));
    let list: Vec<_> = new
        .electors
        .iter()
        .map(|seat| format!("{}{}", seat.member.uid.name, if seat.learner { "?" } else { "" }))
        .collect();
    note(old.epoch != new.epoch, format!("epoch {}", new.epoch));
    note(old.master != new.master, format!("master {}", new.master.uid.name));
    note(old.electors != new.electors, format!("electors {}", list.join(" ")));
    note(
        (old.wait, old.min) != (new.wait, new.min),
        format!("wait {} min {}", new.wait, new.min),
    );
    note(old.histories != new.histories, "lineage".into());
    note(old.fences != new.fences, format!("{} to fence", new.fences.len()));
    match (&old.operation, &new.operation) {
        (Some(_), None) => note(true, "no operation".into()),
        (was, Some(is)) if was.as_ref() != Some(is) => note(true, format!("{:?} to {:?}", is.kind, is.to)),
        _ => {}
    }
    format!("record {}", changes.join(", "))
}
