//! What is to be done about a set: `decide(cluster, observed, now) -> Plan`.
//!
//! Pure, total and deterministic: no clock, no client, no randomness, no `await`, no log. The same function runs in
//! production, under property tests and in the model. Every refusal carries its reason as data ([`Hold`]), from which
//! condition, event and log line are made.
//!
//! Read in this order: `view` (what the decisions look at), `roles` (who may do what, in order of urgency),
//! then its questions `founding`, `operation`, `electors`, `replicas` (who follows whom: `tree`, `layout`), `quorum`,
//! `scale`; beside them `objects` with `leftovers`, `settings` and `labels`, which never change a role; last `status` and
//! `conditions`.

mod awaiting;
mod behind;
mod clients;
mod conditions;
mod cut;
mod divergence;
mod draining;
mod election;
mod electors;
mod emptiness;
mod events;
mod failover;
mod fate;
mod fenced;
mod fences;
mod founding;
mod handover;
mod hold;
mod labels;
mod layout;
mod leftovers;
mod lineage;
mod links;
mod moving;
mod objects;
mod operation;
mod priority;
mod quorum;
mod replicas;
mod report;
mod requests;
mod revision;
mod roles;
mod roll;
mod rules;
mod scale;
mod settings;
mod silent;
mod source;
mod status;
mod switchover;
mod sync;
mod takeover;
#[cfg(test)]
mod tests;
mod tree;
mod update;
mod view;

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::model::cluster::Cluster;
use crate::model::observed::Observed;
use crate::model::plan::Plan;

pub use hold::Hold;
pub use quorum::{min_target, wait_target};
use view::View;

/// A set with nothing to do is looked at this often: freshness of replicas changes by time alone.
const IDLE: Duration = Duration::from_secs(2);
/// A set that waits for a person: what a person does is an event, or is seen after this.
const STALLED: Duration = Duration::from_secs(5);
/// While something is under way that no event announces.
const BUSY: Duration = Duration::from_millis(300);
/// While clients may come to a former master, which no event tells.
const WATCHFUL: Duration = Duration::from_secs(1);

/// Decides one pass. Steps come in the order they are to be done: roles first, then objects, then labels.
pub fn decide(cluster: &Cluster, observed: &Observed, now: Timestamp) -> Plan {
    let view = View::new(cluster, observed, now);
    let wanted = objects::decide(&view);
    let settings = settings::decide(&view);
    // Nobody is made anew before the objects that a new pod is made from are as they shall be.
    let due = if wanted.steps.is_empty() && wanted.conflicts.is_empty() {
        revision::due(&view, &revision::outdated(&view, &wanted, &settings))
    } else {
        Vec::new()
    };
    let roles = roles::decide(&view, &due);

    let mut steps = Vec::new();
    let (mut labels_wait, mut strays) = (false, false);
    if view.may_act() {
        steps.extend(roles.steps.iter().cloned());
    }
    // Status that is older than the world must not be carried into the world.
    if view.may_act() && !roles.is_behind() {
        steps.extend(wanted.steps.iter().cloned());
        if roles.steps.is_empty() {
            steps.extend(settings.steps.iter().cloned());
        }
        if !view.settling() {
            steps.extend(labels::decide(&view));
            labels_wait = clients::are_leaving(&view) || moving::is_under_way(&view);
            strays = clients::may_stray(&view);
        }
    }
    let events = events::of(&view, &roles, &wanted);
    let (status, turned) = if view.settling() {
        (None, Vec::new())
    } else {
        status::status(&view, &roles, &wanted, &settings)
    };
    let next = match (&roles.hold, wanted.conflicts.is_empty()) {
        (Some(hold), _) if hold.needs_a_person() => STALLED,
        (_, false) => STALLED,
        _ if roles.waits || wanted.waits || view.settling() || labels_wait => BUSY,
        _ if strays => WATCHFUL,
        _ => IDLE,
    };
    let soon = roles.wake.map(|at| at.duration_since(now).max(SignedDuration::ZERO));
    let next = soon
        .and_then(|d| Duration::try_from(d).ok())
        .map_or(next, |soon| next.min(soon));
    Plan {
        steps,
        status,
        events,
        turned,
        roles_wait: roles.waits,
        next,
    }
}
