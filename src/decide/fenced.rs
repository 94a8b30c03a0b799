//! Pods that a person took out of service: each is locked out, detached, and leaves the electors when it may. If the recorded
//! master is one of them, the whole set stands still.
//!
//! They stand in status until a person lets them go, also after a restart. Former masters that are still to be fenced are
//! another matter: `fences`.

use super::hold::Hold;
use super::roles::Roles;
use super::scale;
use super::view::{View, target};
use crate::model::observed::Member;
use crate::model::plan::Step;
use crate::model::redis::{Facts, RoleState};

/// A set whose recorded master is fenced: nobody takes writes, and nobody takes over.
pub(super) fn stands_still(view: &View) -> Option<Roles> {
    let master = view.authority.master.as_ref().filter(|m| view.is_fenced(&m.name))?;
    let silent: Vec<_> = view
        .observed
        .members
        .iter()
        .filter(|m| view.is_fenced(&m.name) && m.pod.is_some() && m.facts().is_none())
        .map(|m| m.name.clone())
        .collect();
    // The master first: what it acknowledged still goes to its replicas.
    let first: Vec<_> = view.master().into_iter().filter_map(detach).collect();
    let steps = if first.is_empty() { detach_all(view) } else { first };
    Some(Roles {
        steps,
        ..Roles::waiting_for(Hold::Fenced {
            pod: master.name.clone(),
            silent,
        })
    })
}

/// Detaches whoever is fenced and follows somebody.
pub(super) fn detach_all(view: &View) -> Vec<Step> {
    let members = view.replicas().filter(|m| view.is_fenced(&m.name));
    members.filter_map(detach).collect()
}

fn detach(member: &Member) -> Option<Step> {
    let facts = member.facts().filter(|f| f.loading.is_none())?;
    match facts.state() {
        RoleState::Fenced => None,
        RoleState::Attached { .. } | RoleState::Bare | RoleState::Armed { .. } => {
            target(member).map(|to| Step::Fence { to })
        }
    }
}

/// Takes fenced replicas away from a master that serves.
pub(super) fn decide(view: &View, master: &Member, facts: &Facts, _: i32) -> Roles {
    let mut waits = false;
    for member in view.replicas().filter(|m| view.is_fenced(&m.name)) {
        let parting = scale::part(view, member, master, facts, "it is fenced by request");
        if !parting.steps.is_empty() {
            return parting;
        }
        waits |= parting.waits;
    }
    Roles {
        waits,
        ..Roles::default()
    }
}
