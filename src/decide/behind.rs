//! Status that is older than the world: the cluster's store was restored, or somebody edited status.
//!
//! Status says who may do what; one that is behind says it wrongly, so nothing at all is done. After a person's word the one
//! pod that takes writes is recorded as master of an epoch above everything that was seen, and all goes its normal way.
//! Nobody is given writes here who does not take them already.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::hold::Hold;
use super::quorum::{min_target, wait_target};
use super::view::View;
use super::{failover, fences};
use crate::api::status::{
    Elector, History, Identity, Operation, OperationKind, OperationReason, Proof, Quorum, Resyncs, Verdict,
};
use crate::model::observed::Member;
use crate::model::plan::{Authority, Step};
use crate::model::redis::{Facts, RoleState};
use crate::names::{self, annotation};

/// Why no pod can be recorded: a word and a sentence.
pub(super) type Refusal = (&'static str, String);

/// What shows that status is behind: a pod takes writes that it does not name, or a volume carries a later epoch.
pub(super) fn evidence(view: &View) -> Option<Hold> {
    let stranger = armed(view).map(|(member, ..)| member);
    let stranger = stranger
        .into_iter()
        .find(|m| !is_named(view, m) && !fences::is_pending(view, m));
    let epoch = view.authority.epoch;
    let carried = |m: &Member| m.claim.as_ref().and_then(|c| c.epoch);
    let later = view.core().find(|m| carried(m) > Some(epoch));
    let evidence = match (stranger, later.filter(|_| view.authority.master.is_some())) {
        (Some(member), _) => format!("{} takes writes, but status does not name it master", member.name),
        (None, Some(member)) => {
            let carried = carried(member).unwrap_or(epoch);
            format!(
                "the volume of {} has epoch {carried}, but status says {epoch}",
                member.name
            )
        }
        (None, None) => return None,
    };
    let epoch = highest_of_volumes(view).max(epoch);
    let help = match writer(view) {
        Ok((member, _)) => format!(
            "after a look annotate accept-data-loss={epoch} to go on with {}",
            member.name
        ),
        Err((_, why)) => why,
    };
    Some(Hold::StatusBehind { evidence, epoch, help })
}

/// The one pod that takes writes. With two of them, or none, nothing says whose data the set's clients had confirmed.
pub(super) fn writer<'a>(view: &View<'a>) -> Result<(&'a Member, &'a Facts), Refusal> {
    let all: Vec<_> = armed(view).collect();
    match all.as_slice() {
        [one] if one.0.identity().is_some() => Ok(*one),
        [one] => Err(("TargetUnfit", format!("the volume of {} is not known yet", one.0.name))),
        [] => Err((
            "NobodyServes",
            format!(
                "nobody takes writes who could be recorded: bring the pod back that does, or, if status is right, take the \
                 annotation {} off the volumes whose epoch is higher",
                annotation::EPOCH
            ),
        )),
        several => {
            let names: Vec<_> = several.iter().map(|(m, _)| m.name.as_str()).collect();
            let why = format!("{} take writes: delete the pods of all but one", names.join(", "));
            Err(("TwoMasters", why))
        }
    }
}

/// Records the pod that takes writes. Who else is in the set has to be seen to hold everything before it counts: what is known
/// of them is as old as status. So are the lineages but the one that the pod is in.
pub(super) fn record(view: &View, (member, facts): (&Member, &Facts), id: &str) -> Option<Step> {
    let (before, identity) = (&view.authority, member.identity()?);
    let epoch = highest(view).saturating_add(1);
    let (RoleState::Armed { min }, pods) = (facts.state(), view.pods()) else {
        return None;
    };
    let min = i32::try_from(min).unwrap_or(i32::MAX);
    let former = before.master.as_ref().filter(|m| m.uid != identity.uid);
    let pending = former.filter(|m| !is_harmless(view, m));
    let mut pending_fences = before.pending_fences.clone();
    pending_fences.retain(|f| f.uid != identity.uid);
    pending_fences.extend(pending.and_then(|_| failover::pending_fence(view)));
    let operation = Operation {
        kind: OperationKind::Failover,
        from: Some(before.master.as_ref().map_or(&identity.name, |m| &m.name).clone()),
        to: identity.name.clone(),
        source: None,
        epoch,
        reason: OperationReason::Requested,
        request_id: Some(id.to_owned()),
        started_at: MicroTime(view.now),
        verdict: Some(Verdict {
            proof: if pending.is_some() { Proof::None } else { Proof::Demoted },
            resyncs_before: Resyncs {
                partial: i64::try_from(facts.sync_partial_ok).unwrap_or(i64::MAX),
                full: i64::try_from(facts.sync_full).unwrap_or(i64::MAX),
            },
            ..Verdict::default()
        }),
    };
    let began = facts.second_offset.map_or(0, |second| second.saturating_sub(1));
    let authority = Authority {
        epoch,
        electors: electors(view, member, facts, &identity),
        quorum: Some(Quorum {
            wait: before.quorum.map_or(wait_target(pods), |q| q.wait),
            min_replicas_to_write: min,
            degraded: min < min_target(pods),
        }),
        histories: vec![History {
            replid: facts.replid.clone(),
            began: i64::try_from(began).unwrap_or(i64::MAX),
            epoch,
        }],
        master: Some(identity),
        operation: Some(operation),
        pending_fences,
        ..before.clone()
    };
    let why = format!("{} takes writes and is recorded in epoch {epoch} ({id})", member.name);
    Some(Step::Record { authority, why })
}

/// The master, and every other volume as a learner. Of one whose pod is not seen to follow the master the process is not
/// known: another one of its name may, which is locked out before that pod enters.
fn electors(view: &View, master: &Member, facts: &Facts, identity: &Identity) -> Vec<Elector> {
    let entry = |m: &Member, uid: String, learner: bool| {
        Some(Elector {
            name: m.name.clone(),
            uid,
            volume: m.claim.as_ref()?.uid.clone(),
            learner,
            entered_with: None,
        })
    };
    let others = view.core().filter(|m| !m.is(master));
    let others = others.filter_map(|m| {
        let follows = m.facts().is_some_and(|f| view.attached(f, master, facts, &m.name));
        let uid = m.uid().filter(|_| follows).unwrap_or_default();
        entry(m, uid.to_owned(), true)
    });
    let first = entry(master, identity.uid.clone(), false);
    first.into_iter().chain(others).collect()
}

/// Whether the process that status names as master is seen to take no writes.
fn is_harmless(view: &View, named: &Identity) -> bool {
    let mut members = view.observed.members.iter();
    let facts = members.find(|m| m.uid() == Some(&named.uid)).and_then(Member::facts);
    facts.is_some_and(|f| f.loading.is_none() && matches!(f.state(), RoleState::Fenced | RoleState::Attached { .. }))
}

/// Nobody of a tier: whoever armed such a pod, it never was a master.
fn armed<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a Member, &'a Facts)> + use<'a> {
    let members = view.observed.members.iter().filter(|m| m.is_core());
    let answering = members.filter_map(|m| Some((m, m.facts()?)));
    answering.filter(|(_, f)| f.loading.is_none() && matches!(f.state(), RoleState::Armed { .. }))
}

fn is_named(view: &View, member: &Member) -> bool {
    let named = view.authority.master.as_ref();
    named.is_some_and(|named| member.uid() == Some(&named.uid))
}

fn highest_of_volumes(view: &View) -> i64 {
    let members = view.observed.members.iter().filter_map(|m| m.claim.as_ref());
    let claims = members.chain(view.observed.spare.iter().map(|(_, claim)| claim));
    claims.filter_map(|c| c.epoch).max().unwrap_or(0)
}

/// The highest epoch that anything carries: status, what it has under way, volumes, the VIP.
fn highest(view: &View) -> i64 {
    let vip = view.ours("Service", &names::vip(&view.cluster.name));
    let vip = vip.and_then(|s| s["metadata"]["annotations"][annotation::EPOCH].as_str()?.parse().ok());
    let under_way = view.authority.operation.as_ref().map(|o| o.epoch);
    let known = [Some(view.authority.epoch), under_way, vip];
    known.into_iter().flatten().fold(highest_of_volumes(view), i64::max)
}
