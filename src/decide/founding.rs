//! The first master of a set whose status names none: a new set, or volumes that outlived their set.
//!
//! Pods with data and no status are a cold start, never a bootstrap: nobody empty is made master beside them.

use k8s_openapi::jiff::SignedDuration;

use super::hold::Hold;
use super::operation;
use super::roles::Roles;
use super::view::View;
use crate::api::status::{OperationKind, OperationReason, Role};
use crate::model::observed::{Member, Trouble};
use crate::model::redis::{RoleState, Seen};
use crate::names;

/// How long a new set waits for a lower ordinal once another pod is ready: scale-in takes the highest ordinals, so the
/// lowest is the best place for a master.
const PREFER_LOWEST: SignedDuration = SignedDuration::from_secs(10);

pub(super) fn decide(view: &View) -> Roles {
    match retained(view) {
        Some(answer) => answer,
        None => bootstrap(view),
    }
}

/// Volumes that say in which epoch they were what: the master's is awaited and granted again.
fn retained(view: &View) -> Option<Roles> {
    let carried = |m: &&Member| m.claim.as_ref().and_then(|c| c.epoch);
    let epoch = view.core().filter_map(|m| carried(&m)).max();
    let newest = view.observed.spare.iter().max_by_key(|(_, claim)| claim.epoch);
    if let Some((pod, claim)) = newest.filter(|(_, claim)| claim.epoch.is_some() && claim.epoch >= epoch) {
        let was_master = claim.role.as_deref() == Some(Role::Master.as_str());
        if was_master || claim.epoch > epoch {
            return Some(Roles::held(Hold::LineageUnknown(format!(
                "volume {} carries epoch {}, the latest, but spec.replicas leaves no pod for it: raise spec.replicas until \
                 {pod} exists, or remove that volume",
                names::claim(pod),
                claim.epoch.unwrap_or(0)
            ))));
        }
    }
    let tiers = view.observed.members.iter().filter(|m| !m.is_core());
    if let Some(member) = tiers.max_by_key(carried).filter(|m| carried(m) > epoch) {
        return Some(Roles::held(Hold::LineageUnknown(format!(
            "volume {} of tier {} carries epoch {}, and no volume of the core one as late: bring the core's back, or remove that \
             volume",
            names::claim(&member.name),
            member.tier,
            carried(&member).unwrap_or(0)
        ))));
    }
    let epoch = epoch?;
    let mut masters = view.core().filter(|m| {
        carried(m) == Some(epoch) && m.claim.as_ref().and_then(|c| c.role.as_deref()) == Some(Role::Master.as_str())
    });
    let (Some(member), None) = (masters.next(), masters.next()) else {
        return Some(Roles::held(Hold::LineageUnknown(format!(
            "the volumes carry epoch {epoch}, but no single one of them was the master's; remove the volumes that are not \
             wanted, or bring the master's back"
        ))));
    };
    Some(match loaded(member) {
        Err(hold) => Roles::held(hold),
        Ok(_) => operation::begin(
            view,
            member,
            OperationKind::Grant,
            OperationReason::ColdStart,
            epoch.saturating_add(1),
        ),
    })
}

/// A new set: the lowest ordinal that answers, once it is certain that there is no data.
fn bootstrap(view: &View) -> Roles {
    let members = &view.observed.members;
    if let Some(with_data) = members
        .iter()
        .find(|m| m.facts().is_some_and(|f| f.loading.is_none() && f.keys > 0))
    {
        let keys = with_data.facts().map_or(0, |f| f.keys);
        return Roles::held(Hold::LineageUnknown(format!(
            "{} has {keys} keys, and neither status nor its volume says who was master of them; remove volume {} to \
             begin without them",
            with_data.name,
            names::claim(&with_data.name)
        )));
    }
    let older = |m: &&Member| {
        let created = m.claim.as_ref().and_then(|c| c.created);
        matches!((created, view.observed.created), (Some(claim), Some(set)) if claim < set)
    };
    if let Some(hold) = members.iter().filter(older).find_map(|m| loaded(m).err()) {
        return Roles::held(match hold {
            Hold::WaitsForPods { pod, why } => Hold::WaitsForPods {
                pod,
                why: format!("its volume is older than the set and may hold data; {why}"),
            },
            other => other,
        });
    }
    let Some(member) = view.core().filter(|m| view.wanted(m)).find(|m| loaded(m).is_ok()) else {
        let why = members.first().map_or_else(
            || Hold::WaitsForPods {
                pod: names::pod(&names::stateful_set(&view.cluster.name, names::CORE_TIER), 0),
                why: "no pod yet".into(),
            },
            |m| {
                loaded(m).err().unwrap_or(Hold::WaitsForPods {
                    pod: m.name.clone(),
                    why: "no volume yet".into(),
                })
            },
        );
        return Roles::held(why);
    };
    let since = member.pod.as_ref().and_then(|p| p.started).unwrap_or(view.now);
    if member.ordinal > 0 && view.since(since) < PREFER_LOWEST {
        return Roles::held(Hold::PrefersLower {
            pod: member.name.clone(),
            until: since + PREFER_LOWEST,
        });
    }
    operation::begin(
        view,
        member,
        OperationKind::Bootstrap,
        OperationReason::New,
        view.authority.epoch.saturating_add(1),
    )
}

/// Whether a member answers with its data loaded and follows nobody; else what is waited for.
pub(super) fn loaded(member: &Member) -> Result<&crate::model::redis::Facts, Hold> {
    let waits = |why: String| Hold::WaitsForPods {
        pod: member.name.clone(),
        why,
    };
    let Some(pod) = &member.pod else {
        return Err(waits("the pod does not exist yet".into()));
    };
    if pod.deleting {
        return Err(waits("the pod is being deleted".into()));
    }
    let facts = match &member.redis {
        Seen::Answers { facts, .. } => facts,
        Seen::Unknown { error, .. } => {
            return Err(waits(match &pod.trouble {
                Some(Trouble::Unschedulable(words) | Trouble::ImagePull(words) | Trouble::Waiting(words)) => {
                    words.clone()
                }
                Some(Trouble::Terminated(words)) => format!("its container ended: {words}"),
                None => error.to_string(),
            }));
        }
    };
    if let Some(loading) = facts.loading {
        let percent = loading.percent.unwrap_or(0);
        return Err(Hold::Loading {
            pod: member.name.clone(),
            percent: percent / 10 * 10,
        });
    }
    if member.claim.is_none() {
        return Err(waits("its volume is not known yet".into()));
    }
    match facts.state() {
        RoleState::Fenced | RoleState::Bare => Ok(facts),
        RoleState::Attached { host } => Err(waits(format!("it follows {host}, which the operator did not ask for"))),
        RoleState::Armed { .. } => Err(waits("it takes writes, which the operator did not ask for".into())),
    }
}
