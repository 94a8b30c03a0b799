//! The pod with the most may not be master: one that may takes in from it what it lacks.
//!
//! The source becomes a master that takes no writes and that the VIP does not lead to. Its lineage is recorded before anybody is
//! attached to it. When a pod that may be master holds everything the source follows nobody again, what it had still to send
//! is taken in, and the votes are counted as ever. The recorded master is dead meanwhile, and stays recorded: a source that
//! dies leaves the set as it was. Only whoever goes on where it stands is attached, so that nobody throws away what it
//! has for data that may be gone in the next moment. A pod that a person fenced is no source.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::SignedDuration;

use super::election::{self, Election};
use super::roles::Roles;
use super::view::{View, target};
use super::{failover, fate, operation, replicas, report, sync};
use crate::api::status::{History, Operation, OperationKind, OperationReason, Proof, Verdict, Witnesses};
use crate::model::observed::Member;
use crate::model::plan::{Authority, Step, Target};
use crate::model::redis::{Backlog, Facts, RoleState};

/// A master without writes sends a ping a second: what a full backlog may still lose before a replica asks for it.
const SLACK: u64 = 4096;
/// A link that stays down this long is given its credentials again, which is harmless.
const RETRY_LINK: SignedDuration = SignedDuration::from_secs(5);
/// For so long the source alone is waited for; after that also what the old master's volume has.
const PATIENCE: SignedDuration = SignedDuration::from_secs(10);

/// The operation that names a source.
fn intent<'a>(view: &'a View) -> Option<&'a Operation> {
    let under_way = view.authority.operation.as_ref();
    under_way.filter(|o| o.to.is_empty() && o.source.is_some())
}

/// The source, if it answers.
fn named<'a>(view: &View<'a>) -> Option<(&'a Member, &'a Facts)> {
    let member = view.observed.member(intent(view)?.source.as_deref()?)?;
    Some((member, member.facts().filter(|f| f.loading.is_none())?))
}

/// Whether an address is the source's.
pub(super) fn is_at(view: &View, host: &str) -> bool {
    let source = intent(view).and_then(|o| view.observed.member(o.source.as_deref()?));
    source.and_then(|m| m.pod.as_ref()?.ip.as_deref()) == Some(host)
}

/// Records the source, before anything is done to it; nothing if nobody could take in what it has. A master that may come
/// back as the one it was is not replaced by that.
pub(super) fn begin(
    view: &View,
    election: &Election,
    proof: Proof,
    witnesses: Witnesses,
    reason: OperationReason,
) -> Option<Roles> {
    match proof {
        Proof::ConnectionRefused | Proof::ContainerTerminated | Proof::ProcessReplaced | Proof::PodGone => {}
        Proof::FenceTimeElapsed | Proof::Demoted | Proof::None => return None,
    }
    let (source, facts) = election.source(view)?;
    let known = intent(view).is_some_and(|o| o.source.as_ref() == Some(&source.name));
    if known || !election.eligible(view).any(|(_, f)| goes_on(f, facts)) {
        return None;
    }
    let votes = |o: &&Operation| o.kind == OperationKind::Failover && o.to.is_empty();
    let before = view.authority.operation.as_ref().filter(votes);
    // That its process was seen to end is what its file is taken by, should the source die.
    let proof = fate::known_end(view).unwrap_or(proof);
    let reason = if proof != Proof::PodGone {
        OperationReason::ProcessDied
    } else {
        reason
    };
    let operation = Operation {
        kind: OperationKind::Failover,
        from: view.authority.master.as_ref().map(|m| m.name.clone()),
        to: String::new(),
        source: Some(source.name.clone()),
        epoch: view.authority.epoch.saturating_add(1),
        reason,
        request_id: None,
        started_at: before.map_or_else(|| MicroTime(view.now), |o| o.started_at.clone()),
        verdict: Some(report::verdict(view, facts, proof, witnesses, election.positions())),
    };
    let authority = Authority {
        operation: Some(operation),
        failovers: report::so_far(view),
        ..view.authority.clone()
    };
    let why = format!(
        "{} has the most and may not be master: others take in what it has",
        source.name
    );
    Some(Roles::steps(vec![Step::Record { authority, why }]))
}

/// Goes on with a source; nothing if there is none any more that is needed and can be one. Then whoever follows it is
/// detached, and the votes are counted.
pub(super) fn proceed(view: &View) -> Option<Roles> {
    let (source, facts) = named(view)?;
    // Until its lineage is known it has no position, and would lose its vote.
    if let Some(record) = unrecorded(view, facts) {
        return Some(Roles::steps(vec![record]));
    }
    let election = election::around(view, facts);
    let is_source = |(best, _): &(&Member, &Facts)| best.is(source);
    let to = target(source)?;
    let needed = !election.eligible(view).any(|e| is_source(&e)) && election.is_best(source);
    if !needed {
        // It has a vote, which counts when it follows nobody.
        let fence = || Roles::waiting(vec![Step::Fence { to: to.clone() }]);
        return (facts.state() == RoleState::Bare).then(fence);
    }
    let eligible: Vec<_> = election
        .eligible(view)
        .filter(|(_, f)| may_take(f, source, facts))
        .collect();
    match facts.state() {
        RoleState::Fenced => {
            election.source(view).filter(is_source)?;
            if !election.suffices() || eligible.is_empty() {
                return None;
            }
            let rest = catch_up(&eligible, source, facts);
            let steps = if rest.is_empty() { vec![Step::Bare { to }] } else { rest };
            Some(Roles::waiting(steps))
        }
        RoleState::Bare => {
            let steps = give(view, &election, to, (source, facts), &eligible);
            Some(if steps.is_empty() {
                wait(view, &election)
            } else {
                Roles::waiting(steps)
            })
        }
        RoleState::Attached { .. } | RoleState::Armed { .. } => None,
    }
}

/// The lineage that the source began, if status does not know it. It began where the one before ended, and has no write.
fn unrecorded(view: &View, facts: &Facts) -> Option<Step> {
    let known = |id: &String| view.authority.histories.iter().any(|h| h.replid == *id);
    let went_on = facts.replid2.as_ref().is_some_and(known) && !known(&facts.replid);
    operation::new_lineage(view, facts).filter(|_| went_on)
}

/// What a source does next: whoever can is attached to it, and once one that may be master holds everything it follows
/// nobody again.
fn give(
    view: &View,
    election: &Election,
    to: Target,
    (source, facts): (&Member, &Facts),
    eligible: &[(&Member, &Facts)],
) -> Vec<Step> {
    let takers = election.others(source).filter(|(_, f)| may_take(f, source, facts));
    let attach = attach(view, &to, (source, facts), takers);
    if !attach.is_empty() {
        return attach;
    }
    let holds = |f: &Facts| {
        let newer = f.asked_at >= facts.answered_at;
        follows(f, source) && f.replid == facts.replid && f.offset >= facts.offset && newer
    };
    match eligible.iter().any(|(_, f)| holds(f)) {
        true => vec![Step::Fence { to }],
        false => catch_up(eligible, source, facts),
    }
}

/// Looks at those that take in what the source has.
fn catch_up(eligible: &[(&Member, &Facts)], source: &Member, facts: &Facts) -> Vec<Step> {
    let offset = facts.offset;
    let takes = eligible.iter().filter(|(_, f)| follows(f, source) && sync::linked(f));
    takes
        .filter_map(|(m, _)| target(m))
        .map(|to| Step::CatchUp { to, offset })
        .collect()
}

/// Nobody who may be master reaches the source, or none is there: after a while the old master's own data is taken as well,
/// where it would be without a source.
fn wait(view: &View, election: &Election) -> Roles {
    let short = (!election.suffices()).then(|| election.hold());
    let Some(hold) = short.or_else(|| election.winner(view).err()) else {
        return Roles::waiting(Vec::new());
    };
    let since = intent(view).map_or(view.now, |o| o.started_at.0);
    let ended = fate::has_master_ended(view) || !election.suffices() && fate::is_known_to_have_ended(view);
    match view.since(since) < PATIENCE || !ended {
        true => Roles::waiting_for(hold),
        false => failover::own_data(view, election, hold),
    }
}

/// Attaches whoever hangs wrong.
fn attach<'a>(
    view: &View,
    parent: &Target,
    (source, facts): (&Member, &Facts),
    takers: impl Iterator<Item = (&'a Member, &'a Facts)>,
) -> Vec<Step> {
    let lately = |f: &Facts| {
        let at = view.observed.attached.get(&f.run_id);
        replicas::tried(f, facts) || at.is_some_and(|at| view.since(*at) < RETRY_LINK)
    };
    let stays = |m: &Member| m.pod.as_ref().is_some_and(|p| !p.deleting) && !view.is_fenced(&m.name);
    let hangs_wrong = |f: &Facts| !follows(f, source) || !sync::linked(f) && !lately(f);
    takers
        .filter(|(m, f)| stays(m) && hangs_wrong(f))
        .filter_map(|(m, _)| target(m))
        .map(|child| Step::Attach {
            child,
            parent: parent.clone(),
            epoch: view.authority.epoch,
        })
        .collect()
}

fn follows(facts: &Facts, source: &Member) -> bool {
    let ip = source.pod.as_ref().and_then(|p| p.ip.as_deref());
    matches!(facts.state(), RoleState::Attached { host } if Some(host.as_str()) == ip)
}

/// Whether a pod takes in what it lacks, or can.
fn may_take(facts: &Facts, source: &Member, source_facts: &Facts) -> bool {
    follows(facts, source) && sync::linked(facts) || goes_on(facts, source_facts)
}

/// Whether a resync from the source is a partial one, also after it began a lineage of its own: it remembers only the one
/// before, and what its backlog has.
fn goes_on(facts: &Facts, source: &Facts) -> bool {
    let continues = match source.state() {
        RoleState::Bare => replicas::continues(facts, source),
        _ => facts.replid == source.replid && facts.offset <= source.offset,
    };
    let kept = |backlog: &Backlog| {
        let soon_lost = if backlog.full { SLACK } else { 0 };
        backlog.reaches(facts.offset, soon_lost)
    };
    continues && source.backlog.as_ref().is_some_and(kept)
}

/// What was known of the loss when the source was chosen, if the winner holds everything it had.
pub(super) fn verdict<'a>(view: &'a View, winner: &Facts) -> Option<&'a Verdict> {
    let known = intent(view)?.verdict.as_ref()?;
    let lineage = view.authority.histories.first()?;
    let all = u64::try_from(lineage.began).is_ok_and(|began| winner.offset >= began);
    Some(known).filter(|_| winner.replid == lineage.replid && all)
}

/// The lineages without those of a source that is needed no more, as the master that was taken for dead goes on with its own:
/// who took one on has no position until it was attached anew.
pub(super) fn withdrawn(view: &View, master: &Facts) -> Vec<History> {
    let known = &view.authority.histories;
    let own = known.iter().position(|h| h.replid == master.replid);
    let own = own.filter(|_| intent(view).is_some());
    known[own.unwrap_or(0)..].to_vec()
}
