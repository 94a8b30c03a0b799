//! What a change of the master cost: the record that stays in status, the event and the metrics.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

use super::view::View;
use super::{fate, operation, replicas, takeover};
use crate::api::status::{
    FailoverReport, FenceState, Operation, OperationKind, Phases, Point, Positions, Proof, Resyncs, Verdict, Witnesses,
};
use crate::model::observed::Mark;
use crate::model::redis::{Facts, OffsetLog, RoleState, Seen};

/// Reports that are kept.
const KEPT: usize = 10;

/// What the choice of a new master rests on, at the moment of the choice.
pub(super) fn verdict(
    view: &View,
    winner: &Facts,
    proof: Proof,
    witnesses: Witnesses,
    positions: Positions,
) -> Verdict {
    let held = Point {
        replid: winner.replid.clone(),
        offset: signed(winner.offset),
    };
    let last = view.master().and_then(|m| m.redis.last_facts());
    Verdict {
        proof,
        witnesses,
        positions,
        old_history: last.map(|f| Point {
            replid: f.replid.clone(),
            offset: signed(f.offset),
        }),
        new_history: Some(held),
        max_lost_bytes: most_lost(view, winner, proof).map(signed),
        zombie_bytes: None,
        resyncs_before: Resyncs {
            partial: signed(winner.sync_partial_ok),
            full: signed(winner.sync_full),
        },
    }
}

/// An upper bound of what the old master had beyond the winner: what it was last seen to have, and what it can have taken
/// since at twice the fastest pace it was seen at. Nothing if it can not be told, which is not the same as 0.
fn most_lost(view: &View, winner: &Facts, proof: Proof) -> Option<u64> {
    // The winner holds everything: that was waited for, or it has the most of all, the old master included.
    if proof == Proof::Demoted {
        return Some(0);
    }
    let master = view.master().filter(|m| operation::is_recorded_process(view, m))?;
    let Seen::Unknown { since, last, .. } = &master.redis else {
        // Another process answers in its place: nobody saw the end of the one before.
        return None;
    };
    let is_armed = |f: &&Arc<Facts>| matches!(f.state(), RoleState::Armed { .. });
    let last = last.as_ref().filter(is_armed)?;
    if !replicas::continues(winner, last) {
        return None;
    }
    // A silent master may go on answering clients on its side until it has fenced itself.
    let end = match proof {
        Proof::ConnectionRefused | Proof::ContainerTerminated => *since,
        Proof::FenceTimeElapsed => (*since + fate::self_fence(view)).min(view.now),
        Proof::None | Proof::PodGone | Proof::ProcessReplaced | Proof::Demoted => return None,
    };
    // The pace is measured over at least this span; a shorter one may have had all of it.
    let unseen = end.duration_since(last.asked_at).as_secs_f64().max(OffsetLog::SHORTEST);
    // Truncation is of a fraction of a byte.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped above, never negative"
    )]
    let taken = (master.redis.offsets().fastest()? * 2.0 * unseen).ceil() as u64;
    // A winner that has more shows that the pace was higher than any that was seen.
    last.offset.saturating_add(taken).checked_sub(winner.offset)
}

/// The bound in words.
pub(super) fn loss(most: Option<i64>) -> String {
    most.map_or_else(
        || "it is not known how many bytes are lost".to_owned(),
        |bytes| format!("at most {bytes} bytes lost"),
    )
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The reports with the one of this operation first.
pub(super) fn with(view: &View, under_way: &Operation, master: &Facts) -> Vec<FailoverReport> {
    added(view, of(view, under_way, Some(master)))
}

/// The reports before another operation takes the place of the one under way: if that one had made a master, what it cost is
/// not forgotten because the new master died before all was done.
pub(super) fn so_far(view: &View) -> Vec<FailoverReport> {
    let under_way = view.authority.operation.as_ref();
    let Some(unfinished) = under_way.filter(|o| o.kind.is_handover() && o.epoch == view.authority.epoch) else {
        return view.authority.failovers.clone();
    };
    let master = view.master().and_then(|m| m.redis.last_facts());
    let mut report = of(view, unfinished, master.map(AsRef::as_ref));
    report.message.push_str(", and ended before all was done");
    added(view, report)
}

fn added(view: &View, report: FailoverReport) -> Vec<FailoverReport> {
    std::iter::once(report)
        .chain(view.authority.failovers.iter().cloned())
        .take(KEPT)
        .collect()
}

fn of(view: &View, under_way: &Operation, master: Option<&Facts>) -> FailoverReport {
    let verdict = under_way.verdict.clone().unwrap_or_default();
    let given = |now: u64, before: i64| signed(now).saturating_sub(before).max(0);
    let resyncs = Resyncs {
        partial: master.map_or(0, |f| given(f.sync_partial_ok, verdict.resyncs_before.partial)),
        full: master.map_or(0, |f| given(f.sync_full, verdict.resyncs_before.full)),
    };
    let from = under_way.from.clone().unwrap_or_default();
    let fence = match verdict.proof {
        Proof::FenceTimeElapsed | Proof::PodGone => FenceState::TimeElapsed,
        Proof::None => FenceState::Pending,
        Proof::ConnectionRefused | Proof::ContainerTerminated | Proof::ProcessReplaced | Proof::Demoted => {
            FenceState::Proven
        }
    };
    let phases = phases(view, under_way);
    let lost = match takeover::is_named(under_way) {
        true => takeover::loss(view, &verdict),
        false => loss(verdict.max_lost_bytes),
    };
    let new = if from == under_way.to {
        "it is master again"
    } else {
        &format!("{} took over", under_way.to)
    };
    let message = format!(
        "{from} {}; {new} in epoch {}, {lost}, {} ms",
        what_happened(under_way, &verdict),
        under_way.epoch,
        phases.total
    );
    FailoverReport {
        epoch: under_way.epoch,
        kind: under_way.kind,
        reason: under_way.reason,
        request_id: under_way.request_id.clone(),
        verdict,
        from,
        to: under_way.to.clone(),
        fence,
        phases_ms: phases,
        resyncs,
        started_at: under_way.started_at.clone(),
        finished_at: MicroTime(view.now),
        message,
    }
}

fn what_happened(under_way: &Operation, verdict: &Verdict) -> String {
    match under_way.kind {
        OperationKind::Switchover => format!("handed over ({})", under_way.reason),
        _ => format!("{} ({})", under_way.reason, verdict.proof),
    }
}

/// Phases since the first sign, or since a planned demotion, as far as this operator saw them. What comes before a planned
/// demotion is felt by nobody: the master serves on.
fn phases(view: &View, under_way: &Operation) -> Phases {
    let marks = &view.observed.marks;
    let begun = under_way.started_at.0;
    let sign = marks.get(&Mark::Sign).copied().unwrap_or(begun).min(begun);
    let planned = under_way.kind == OperationKind::Switchover;
    let demoting = marks.get(&Mark::Demoting).copied().filter(|_| planned);
    let start = demoting.unwrap_or(sign);
    let between = |start: Timestamp, then: Timestamp| {
        let span = then.duration_since(start).as_millis();
        i64::try_from(span).unwrap_or(i64::MAX).max(0)
    };
    let ms = |then: Timestamp| between(start, then);
    let until = |mark: Mark| marks.get(&mark).copied().map(ms);
    Phases {
        proxies: demoting.map(|at| between(begun, at)),
        detect: until(Mark::Detected),
        fence: until(Mark::Demoted).or_else(|| until(Mark::Detected)),
        drain: until(Mark::Voted),
        choose: until(Mark::Named),
        promote: until(Mark::Armed),
        vip: until(Mark::Switched),
        endpoints: until(Mark::Converged),
        siblings: until(Mark::Attached),
        total: ms(view.now),
    }
}
