//! How the servers are: replication, append-only files, the operator's own path to them, and where they run.

use super::{Verdict, no, yes};
use crate::api::status::{MemberState, RedisReplicaSetStatus};
use crate::api::{Period, Reason};
use crate::decide::quorum::min_target;
use crate::decide::view::View;
use crate::decide::{cut, divergence, settings, sync};
use crate::model::cluster::Tier;
use crate::model::observed::Member;
use crate::names;

pub(super) fn replication(view: &View, new: &RedisReplicaSetStatus) -> Verdict {
    let wanted = view.cluster.spec.replicas;
    let in_state = |state| new.members.iter().find(|m| m.state == state);
    let ready = new.ready_replicas.unwrap_or(0);
    let quorum = view.authority.quorum.unwrap_or_default();
    if let Some(verdict) = path_blocked(view) {
        return verdict;
    }
    if view.serving().is_some() && quorum.degraded {
        let target = min_target(view.pods());
        return no(
            Reason::Degraded,
            format!(
                "min-replicas-to-write lowered from {target} to {}: {ready} of {wanted} replicas are in sync",
                quorum.min_replicas_to_write
            ),
        );
    }
    if let Some(verdict) = starved(view) {
        return verdict;
    }
    if let Some(member) = in_state(MemberState::Syncing) {
        return no(
            Reason::Syncing,
            format!("{ready} of {wanted} in sync; {} receives a full resync", member.name),
        );
    }
    if let Some(member) = in_state(MemberState::Lagging) {
        return no(
            Reason::Lagging,
            format!(
                "{} is over {} behind since {:.0}",
                member.name,
                max_lag(view, &member.tier),
                member.since.0
            ),
        );
    }
    if let Some(member) = in_state(MemberState::LinkDown) {
        return no(
            Reason::LinkDown,
            format!("{} cannot follow the master since {:.0}", member.name, member.since.0),
        );
    }
    if let Some(limit) = small_replica_buffer(view) {
        return yes(
            Reason::ReplicaBufferTooSmall,
            format!(
                "client-output-buffer-limit {limit:?} is below the backlog of 64 MB: a full resync under writes may never end"
            ),
        );
    }
    let held = |m: &Member| divergence::held(view, m).map(|bytes| (m.name.clone(), bytes));
    if let Some((pod, bytes)) = view.observed.members.iter().find_map(held) {
        let epoch = view.authority.epoch;
        return no(
            Reason::Diverged,
            format!("{pod} {bytes}, and is held with its data: look at it, then annotate discard={pod}@{epoch}"),
        );
    }
    if let Some(fenced) = view.authority.fenced.first() {
        return no(
            Reason::Fenced,
            format!(
                "{ready} of {wanted} in sync; {} is fenced by request since {:.0}",
                fenced.name, fenced.since.0
            ),
        );
    }
    if ready < wanted {
        return no(Reason::Syncing, format!("{ready} of {wanted} in sync"));
    }
    if let Some(verdict) = below(view, new) {
        return verdict;
    }
    yes(Reason::InSync, format!("{ready} of {wanted} replicas in sync"))
}

/// Tiers of a set whose core has no replica.
fn starved(view: &View) -> Option<Verdict> {
    let mut tiers = view
        .cluster
        .tiers()
        .filter(|tier| tier.level.is_some() && tier.pods > 0);
    let first = tiers.next().filter(|_| view.cluster.replicas() == 0)?;
    let why = "spec.replicas is 0: the core has no replica, and nobody but those replicates from the master";
    Some(no(Reason::TooFewParents, format!("{}: {why}", first.name)))
}

/// What is wrong with the tiers below the core, if anything.
fn below(view: &View, new: &RedisReplicaSetStatus) -> Option<Verdict> {
    let mut crowded = None;
    for tier in view.cluster.tiers().filter(|tier| tier.pods > 0) {
        let Some(level) = tier.level else { continue };
        let ready = in_sync(new, tier.name);
        if ready < tier.pods as usize {
            return Some(no(
                Reason::Syncing,
                format!("{ready} of {} of tier {} in sync", tier.pods, tier.name),
            ));
        }
        let parents = view.cluster.tiers().find(|above| above.index == level.from);
        let parents = parents.map_or(0, |above| {
            if above.index == 0 {
                view.cluster.replicas()
            } else {
                above.pods
            }
        });
        if tier.pods as usize > level.most.saturating_mul(parents as usize) {
            crowded.get_or_insert_with(|| {
                format!(
                    "{}: {} replicas, but {parents} pods that are to have at most {} each: the others hang further up",
                    tier.name, tier.pods, level.most
                )
            });
        }
    }
    crowded.map(|message| yes(Reason::TooFewParents, message))
}

/// Pods of a tier that serve reads.
pub(super) fn in_sync(new: &RedisReplicaSetStatus, tier: &str) -> usize {
    let of_tier = new.members.iter().filter(|m| m.tier == tier);
    of_tier.filter(|m| m.state == MemberState::InSync).count()
}

/// Replicas that the operator reaches and the master does not, with what became of its writes.
fn path_blocked(view: &View) -> Option<Verdict> {
    let cut: Vec<_> = view
        .others()
        .filter(|m| cut::is_cut(view, m))
        .map(|m| m.name.as_str())
        .collect();
    let master = view.master().filter(|_| !cut.is_empty())?;
    let quorum = view.authority.quorum.unwrap_or_default();
    let lowered = match quorum.degraded {
        true => format!(
            "; min-replicas-to-write is lowered from {} to {}",
            min_target(view.pods()),
            quorum.min_replicas_to_write
        ),
        false => String::new(),
    };
    Some(no(
        Reason::PathBlocked,
        format!(
            "{} cannot reach {}:{} (network policy?){lowered}",
            cut.join(", "),
            master.name,
            names::REDIS_PORT
        ),
    ))
}

/// What the read Service of a tier allows.
fn max_lag<'a>(view: &View<'a>, tier: &str) -> &'a Period {
    let own = view.cluster.tiers().find(|t| t.name == tier);
    &own.unwrap_or_else(|| view.cluster.core()).service.max_lag
}

/// The output buffer limit for replicas of a tier that feeds some, if a replica that is behind by the backlog would exceed it.
fn small_replica_buffer<'a>(view: &View<'a>) -> Option<&'a str> {
    let tiers: Vec<_> = view.cluster.tiers().collect();
    let feeds = |tier: &&Tier| {
        let is_below = |other: &Tier| other.level.is_some_and(|level| level.from == tier.index);
        tier.level.is_none() || tiers.iter().any(is_below)
    };
    tiers.iter().filter(feeds).find_map(|tier| small_buffer(*tier))
}

fn small_buffer(tier: Tier<'_>) -> Option<&str> {
    const BACKLOG: u64 = 64 << 20;
    let limit = *tier.config().get("client-output-buffer-limit")?;
    let mut words = limit.split_whitespace();
    words.find(|class| matches!(*class, "replica" | "slave"))?;
    let hard = settings::bytes(words.next()?)?;
    (hard > 0 && hard < BACKLOG).then_some(limit)
}

pub(super) fn persistence(view: &View) -> Verdict {
    let answers = view
        .observed
        .members
        .iter()
        .filter_map(|m| m.facts().map(|f| (m, f)))
        .filter(|(_, f)| f.loading.is_none());
    for (member, facts) in answers {
        if !facts.aof.enabled {
            return no(Reason::AofOff, format!("{}: the append-only file is off", member.name));
        }
        if !facts.aof.write_ok {
            return no(
                Reason::WriteFailed,
                format!("{}: aof_last_write_status is err", member.name),
            );
        }
        if !facts.aof.rewrite_ok {
            return no(
                Reason::RewriteFailed,
                format!("{}: the last rewrite of the append-only file failed", member.name),
            );
        }
    }
    yes(Reason::Healthy, "append-only files are written")
}

pub(super) fn probe_path(view: &View) -> Verdict {
    let silent: Vec<_> = view
        .observed
        .members
        .iter()
        .filter(|m| sync::heard_by_peers(view, m))
        .collect();
    if silent.is_empty() {
        return no(Reason::PathOk, "pods that answer their peers answer the operator");
    }
    yes(
        Reason::OperatorCutOff,
        format!(
            "{} of {} pods silent to the operator, heard by their peers",
            silent.len(),
            view.observed.members.len()
        ),
    )
}

pub(super) fn spread(view: &View) -> Verdict {
    let placed: Vec<_> = view
        .observed
        .members
        .iter()
        .filter_map(|m| {
            Some((
                m.name.as_str(),
                m.pod.as_ref()?.node.as_deref()?,
                m.pod.as_ref()?.zone.as_deref(),
            ))
        })
        .collect();
    let unseen = match view.observed.sees_nodes {
        true => "",
        false => "; nodes are not looked at: a cordon moves no master",
    };
    for (at, (name, node, _)) in placed.iter().enumerate() {
        if let Some((other, ..)) = placed[..at].iter().find(|(_, n, _)| n == node) {
            return yes(Reason::SharedNode, format!("{other} and {name} on {node}{unseen}"));
        }
    }
    no(Reason::Spread, format!("every pod has a node of its own{unseen}"))
}
