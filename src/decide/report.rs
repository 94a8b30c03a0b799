//! What a change of the master cost: the record that stays in status, the event and the metrics.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

use super::fate;
use super::view::View;
use crate::api::status::{
    FailoverReport, FenceState, Operation, OperationKind, Phases, Point, Positions, Proof, Resyncs, Verdict, Witnesses,
};
use crate::model::observed::{Mark, Member};
use crate::model::redis::{Facts, Seen};

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
    let old = view.master().and_then(|m| m.redis.last_facts().map(|f| (m, f)));
    let is_planned = proof == Proof::Demoted;
    Verdict {
        proof,
        witnesses,
        positions,
        old_history: old.map(|(_, f)| Point {
            replid: f.replid.clone(),
            offset: signed(f.offset),
        }),
        new_history: Some(held),
        max_lost_bytes: match old {
            Some((master, last)) if !is_planned && last.replid == winner.replid => {
                signed(most_lost(view, master, last, winner, proof))
            }
            _ => 0,
        },
        resyncs_before: Resyncs {
            partial: signed(winner.sync_partial_ok),
            full: signed(winner.sync_full),
        },
    }
}

/// An upper bound of what the old master had beyond the winner: what it was last seen to have, and what it can have taken
/// since at twice the fastest pace it was seen at.
fn most_lost(view: &View, master: &Member, last: &Facts, winner: &Facts, proof: Proof) -> u64 {
    // A silent master may go on answering clients on its side until it has fenced itself.
    let end = match (&master.redis, proof) {
        (Seen::Unknown { since, .. }, Proof::FenceTimeElapsed | Proof::None | Proof::PodGone) => {
            (*since + fate::self_fence(view)).min(view.now)
        }
        (Seen::Unknown { since, .. }, _) => *since,
        (Seen::Answers { .. }, _) => view.now,
    };
    let unseen = end.duration_since(last.asked_at).as_secs_f64().clamp(0.0, 60.0);
    let pace = master.redis.offsets().fastest();
    // Truncation is of a fraction of a byte.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped above, never negative"
    )]
    let taken = (pace * 2.0 * unseen).ceil() as u64;
    last.offset.saturating_add(taken).saturating_sub(winner.offset)
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The reports with the one of this operation first.
pub(super) fn with(view: &View, under_way: &Operation, master: &Facts) -> Vec<FailoverReport> {
    std::iter::once(of(view, under_way, master))
        .chain(view.authority.failovers.iter().cloned())
        .take(KEPT)
        .collect()
}

fn of(view: &View, under_way: &Operation, master: &Facts) -> FailoverReport {
    let verdict = under_way.verdict.clone().unwrap_or_default();
    let given = |now: u64, before: i64| signed(now).saturating_sub(before).max(0);
    let resyncs = Resyncs {
        partial: given(master.sync_partial_ok, verdict.resyncs_before.partial),
        full: given(master.sync_full, verdict.resyncs_before.full),
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
    let message = format!(
        "{from} {}; {} took over in epoch {}, at most {} bytes lost, {} ms",
        what_happened(under_way, &verdict),
        under_way.to,
        under_way.epoch,
        verdict.max_lost_bytes,
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

/// Phases since the first sign, as far as this operator saw them.
fn phases(view: &View, under_way: &Operation) -> Phases {
    let marks = &view.observed.marks;
    let start = marks
        .get(&Mark::Sign)
        .copied()
        .unwrap_or(under_way.started_at.0)
        .min(under_way.started_at.0);
    let ms = |then: Timestamp| {
        i64::try_from(then.duration_since(start).as_millis())
            .unwrap_or(i64::MAX)
            .max(0)
    };
    let until = |mark: Mark| marks.get(&mark).copied().map(ms);
    Phases {
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
