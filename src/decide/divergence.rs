//! What a pod holds beyond the point where another took over: writes that nobody else has, and that its next full resync
//! drops. With `failover.onDivergence: Hold` it is left alone until a person lets them go.
//!
//! Of a process that went on running the stream says how many bytes they are. One that was started again stands under an id
//! of its own: then the report of the failover says how many they can be at most.

use std::fmt;

use super::requests::discard;
use super::view::View;
use crate::api::OnDivergence;
use crate::api::status::{OperationKind, Verdict};
use crate::model::observed::Member;
use crate::model::redis::{Facts, RoleState};

/// Bytes of the stream that nobody else has. Pings are among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Divergence {
    /// So many.
    Of(u64),
    /// It can not be told, but not more than so many.
    UpTo(u64),
    /// Nobody saw the end of its stream.
    Unknown,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(bytes) => write!(f, "has {bytes} bytes that nobody else has"),
            Self::UpTo(bytes) => write!(f, "may have up to {bytes} bytes that nobody else has"),
            Self::Unknown => f.write_str("may have bytes that nobody else has, and how many can not be told"),
        }
    }
}

/// Whether a pod is left alone with what only it has.
pub(super) fn held(view: &View, member: &Member) -> Option<Divergence> {
    let hold = view.cluster.spec.failover.on_divergence == OnDivergence::Hold;
    let found = of(view, member).filter(|_| hold)?;
    (!discard::is_let_go(view, &member.name)).then_some(found)
}

/// What a pod that follows nobody has beyond the others, if anything.
pub(super) fn of(view: &View, member: &Member) -> Option<Divergence> {
    // Nobody wrote to a pod of a tier.
    let facts = member
        .facts()
        .filter(|f| f.loading.is_none() && member.is_core() && !view.is_master(member))?;
    if facts.state() != RoleState::Fenced {
        return None;
    }
    match view.authority.histories.iter().any(|h| h.replid == facts.replid) {
        true => beyond_the_branch(view, facts),
        false => in_its_file(view, member, facts),
    }
}

/// Changes of the master that were recorded: kind, epoch, who was master before, and what was known. Newest first.
fn changes<'a>(view: &'a View) -> impl Iterator<Item = (OperationKind, i64, &'a str, &'a Verdict)> {
    let under_way = view
        .authority
        .operation
        .iter()
        .filter(|o| o.epoch <= view.authority.epoch);
    let under_way = under_way.filter_map(|o| Some((o.kind, o.epoch, o.from.as_deref()?, o.verdict.as_ref()?)));
    let reports = view.authority.failovers.iter();
    under_way.chain(reports.map(|r| (r.kind, r.epoch, r.from.as_str(), &r.verdict)))
}

fn beyond_the_branch(view: &View, facts: &Facts) -> Option<Divergence> {
    let branches = changes(view).filter_map(|(.., verdict)| verdict.new_history.as_ref());
    let branch = branches
        .filter(|at| at.replid == facts.replid)
        .map(|at| at.offset)
        .min()?;
    let beyond = facts.offset.saturating_sub(u64::try_from(branch).ok()?);
    (beyond > 0).then_some(Divergence::Of(beyond))
}

/// A volume carries the epoch in which its pod had a role last: the first failover after it is the one that left it behind.
fn in_its_file(view: &View, member: &Member, facts: &Facts) -> Option<Divergence> {
    let carried = member.claim.as_ref()?.epoch;
    let left = changes(view)
        .filter(|(kind, epoch, from, _)| {
            *kind == OperationKind::Failover && *from == member.name && carried.is_none_or(|carried| carried < *epoch)
        })
        .min_by_key(|(_, epoch, ..)| *epoch)?;
    let most = left.3.max_lost_bytes.map(|most| u64::try_from(most).unwrap_or(0));
    let found = most.map_or(Divergence::Unknown, Divergence::UpTo);
    (most != Some(0) && facts.keys > 0).then_some(found)
}
