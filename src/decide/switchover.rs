//! A planned change of the master: it is demoted before anybody is promoted.
//!
//! The demotion itself ends the writes: what was acknowledged is then in the stream, which goes on to the replicas until
//! they hold it to the last byte. Only then is the target recorded as master. If it does not get there in time, the old
//! master, which holds the most, is granted its role again.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::roles::Roles;
use super::rules::{self, Rule};
use super::view::{View, supported, target};
use super::{draining, election, failover, handover, lineage, operation, priority, report, sync};
use crate::api::status::{Operation, OperationKind, OperationReason, Proof, Witnesses};
use crate::model::observed::{Draining, Member};
use crate::model::plan::{Authority, Step, Target};
use crate::model::redis::{Facts, RoleState};
use crate::model::timeline::PROXY_PERIOD;

/// A target may be this far behind when the master is demoted: it is caught up in a few milliseconds.
const LAG_BYTES: u64 = 1 << 20;
/// How long the target may take to hold everything after the demotion; clients are refused meanwhile.
const CATCH_UP: SignedDuration = SignedDuration::from_secs(1);
/// A switchover that has not begun in earnest after this is given up.
const GIVE_UP: SignedDuration = SignedDuration::from_secs(10);

/// After a change has reached the node proxies they take the next one no sooner than this, and clients of a master that is
/// demoted meanwhile have nowhere to go. 100 ms are for the way to the proxies.
const PROXIES: SignedDuration = SignedDuration::from_millis(PROXY_PERIOD.as_millis() as i64 + 100);
/// The proxies are waited for this long at most: a pod that is deleted is held for ten seconds.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_secs(3);

/// Whom a switchover may go to.
#[derive(Clone, Copy, Debug)]
pub(super) enum To<'a> {
    /// Whoever is best.
    Any,
    /// This pod.
    Pod(&'a str),
    /// A pod in this zone.
    Zone(&'a str),
    /// A pod with a lower ordinal than this.
    Below(usize),
}

/// The master's pod is on its way out: it hands over while its preStop hook holds it.
pub(super) fn of_leaving_master(view: &View, master: &Member, facts: &Facts) -> Option<Roles> {
    let reason = match (master.pod.as_ref()?.deleting, draining::of(master)) {
        (true, _) => OperationReason::PodDeleted,
        (false, Some(Draining::ShuttingDown)) if !draining::was_tried(view, master) => OperationReason::NodeDraining,
        (false, _) => return None,
    };
    let target = choose(view, facts, To::Any).ok()?;
    Some(begin(view, target, reason, None))
}

/// The best target for a switchover, or why there is none.
pub(super) fn choose<'a>(view: &View<'a>, master: &Facts, to: To<'_>) -> Result<&'a Member, String> {
    let asked = |m: &&Member| match to {
        To::Any => true,
        To::Pod(name) => m.name == name,
        To::Zone(zone) => m.pod.as_ref().and_then(|p| p.zone.as_deref()) == Some(zone),
        To::Below(ordinal) => (m.ordinal as usize) < ordinal,
    };
    let mut fit = Vec::new();
    let mut refused = Vec::new();
    for member in view.others().filter(asked) {
        match unfit(view, member, master) {
            None => fit.push(member),
            Some(why) => refused.push(format!("{} {why}", member.name)),
        }
    }
    let offset = |m: &&Member| m.facts().map_or(0, |f| f.offset);
    // All of them will hold the same when one takes over. Scale-in takes the highest ordinals.
    let best = fit.iter().copied().min_by_key(|m| {
        let behind = std::cmp::Reverse(offset(m));
        let place = (draining::of(m), priority::of(view, m));
        (!view.wanted(m), place, behind, m.ordinal)
    });
    best.ok_or_else(|| match (to, refused.is_empty()) {
        (_, false) => refused.join("; "),
        (To::Any | To::Below(_), true) => "the set has no replica".to_owned(),
        (To::Pod(name), true) => match view.master().is_some_and(|m| m.name == name) {
            true => format!("{name} is the master already"),
            false => format!("no pod of this set is called {name}"),
        },
        (To::Zone(zone), true) => format!("no replica runs in zone {zone}"),
    })
}

/// Why a replica can not take over now, if so.
fn unfit(view: &View, member: &Member, master: &Facts) -> Option<String> {
    let Some(facts) = member.facts() else {
        return Some("does not answer".into());
    };
    let votes = member
        .identity()
        .and_then(|i| view.elector(&i))
        .is_some_and(|e| !e.learner);
    if !supported(facts) {
        return Some(format!("runs {:?} {}, which is too old", facts.engine, facts.version));
    }
    if member.pod.as_ref().is_none_or(|p| p.deleting) {
        return Some("is being deleted".into());
    }
    if view.is_fenced(&member.name) {
        return Some("is fenced by request".into());
    }
    if let Some(why) = priority::forbids(view, member) {
        return Some(why.into());
    }
    if let Some(why) = draining::forbids(view, member) {
        return Some(why);
    }
    if !votes {
        return Some("does not hold everything yet".into());
    }
    if !sync::linked(facts) || facts.replid != master.replid {
        return Some("does not follow the master".into());
    }
    if !facts.aof.write_ok {
        return Some("can not write its append-only file".into());
    }
    let lag = master.offset.saturating_sub(facts.offset);
    (lag > LAG_BYTES).then(|| format!("is {lag} bytes behind, at most {LAG_BYTES} are allowed"))
}

/// Whether a target is worth waiting for: another one can be chosen at once.
fn may_become_fit(view: &View, member: &Member) -> bool {
    member.facts().is_some() && draining::forbids(view, member).is_none()
}

/// Records what is intended; nobody's role changes by it.
pub(super) fn begin(view: &View, target: &Member, reason: OperationReason, request_id: Option<String>) -> Roles {
    let from = view.authority.master.as_ref().map(|m| m.name.clone());
    let why = format!("switchover to {} ({reason})", target.name);
    let authority = Authority {
        operation: Some(Operation {
            kind: OperationKind::Switchover,
            from,
            to: target.name.clone(),
            source: None,
            epoch: view.authority.epoch.saturating_add(1),
            reason,
            request_id,
            started_at: MicroTime(view.now),
            verdict: None,
        }),
        ..view.authority.clone()
    };
    Roles::steps(vec![Step::Record { authority, why }])
}

/// Whether a switchover is intended, and the master is still the old one.
pub(super) fn is_intent(view: &View, under_way: &Operation) -> bool {
    under_way.kind == OperationKind::Switchover && view.authority.epoch < under_way.epoch
}

/// Goes on with an intended switchover.
pub(super) fn proceed(view: &View, under_way: &Operation) -> Roles {
    let to = view.observed.member(&under_way.to);
    if let Some((master, facts, _)) = view.serving() {
        let fit = to.is_some_and(|m| unfit(view, m, facts).is_none());
        if !rules::holds(Rule::DemoteFirst)
            && let Some(winner) = to.filter(|_| fit)
        {
            return hand_over(view, winner, facts, under_way);
        }
        return match target(master) {
            Some(to) if fit => demote(view, under_way, to),
            _ if view.since(under_way.started_at.0) < GIVE_UP && to.is_some_and(|m| may_become_fit(view, m)) => {
                Roles::waiting(Vec::new())
            }
            _ => give_up(view, under_way),
        };
    }
    let demoted = view
        .master()
        .and_then(|m| Some((m, m.facts()?)))
        .filter(|(_, f)| f.state() == RoleState::Fenced)
        .and_then(|(m, f)| Some((m, f, lineage::position(view, f)?)));
    let Some((old, old_facts, end)) = demoted else {
        return failover::decide(view).unwrap_or_else(|| operation::grant_again(view));
    };
    if let Some((winner, facts)) = to.and_then(|m| Some((m, m.facts()?))) {
        if lineage::position(view, facts).is_some_and(|held| held >= end || !rules::holds(Rule::TargetHoldsEverything))
        {
            return hand_over(view, winner, facts, under_way);
        }
        let since = view
            .observed
            .detached
            .get(&old_facts.run_id)
            .copied()
            .unwrap_or(view.now);
        let linked = facts.replica_link().is_some_and(|link| link.up);
        if linked && view.since(since) < CATCH_UP {
            let step = target(winner).map(|to| Step::CatchUp { to, offset: end.offset });
            return Roles::waiting(step.into_iter().collect());
        }
    }
    operation::grant_back(view, old)
}

/// Demotes the master, once the node proxies would take the change of the VIP at once.
fn demote(view: &View, under_way: &Operation, to: Target) -> Roles {
    match busy(view, under_way) {
        None => Roles::waiting(vec![Step::Fence { to }]),
        wake => Roles {
            wake,
            ..Roles::waiting(Vec::new())
        },
    }
}

/// Until when the node proxies would take the change of the VIP late, if so: the old master serves until then.
fn busy(view: &View, under_way: &Operation) -> Option<Timestamp> {
    let until = (view.observed.rerouted? + PROXIES).min(under_way.started_at.0 + LONGEST_WAIT);
    (view.now < until).then_some(until)
}

fn give_up(view: &View, under_way: &Operation) -> Roles {
    let authority = Authority {
        operation: None,
        ..view.authority.clone()
    };
    Roles::steps(vec![Step::Record {
        authority,
        why: format!(
            "{} can not take over: the switchover is given up, nothing was changed",
            under_way.to
        ),
    }])
}

fn hand_over(view: &View, winner: &Member, facts: &Facts, under_way: &Operation) -> Roles {
    let positions = election::prospect(view).positions();
    let verdict = report::verdict(view, facts, Proof::Demoted, Witnesses::default(), positions);
    let operation = Operation {
        verdict: Some(verdict),
        ..under_way.clone()
    };
    let authority = handover::handed_over(view, winner, operation);
    Roles::steps(vec![Step::Record {
        authority,
        why: format!("{} holds everything and takes over ({})", winner.name, under_way.reason),
    }])
}
