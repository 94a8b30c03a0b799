//! What became of the recorded master, with the proof as data.
//!
//! Dead is only what was proven; silence is silence, whatever it looks like.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::lineage;
use super::rules::{self, Rule};
use super::view::View;
use crate::api::status::{OperationKind, Proof, Witnesses};
use crate::build::conf;
use crate::model::observed::Member;
use crate::model::redis::{Facts, ProbeError, RoleState, Seen};

/// What is known of the recorded master when it does not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its process takes no writes any more and never will by itself.
    Ended {
        /// What shows it.
        proof: Proof,
        /// Since when that is known.
        since: Timestamp,
    },
    /// It does not answer, and may still serve clients.
    Silent {
        /// Since when.
        since: Timestamp,
        /// The last error.
        error: String,
    },
    /// Its pod is not there any more: a person's or the cloud's word.
    Gone,
    /// It answers, or did a moment ago: nothing follows from that.
    Lives,
}

/// Judges the recorded master.
pub(super) fn of_master(view: &View) -> Fate {
    let Some(recorded) = view.authority.master.as_ref() else {
        return Fate::Lives;
    };
    let process = view
        .observed
        .members
        .iter()
        .find(|m| m.uid() == Some(recorded.uid.as_str()));
    let Some(member) = process else {
        return Fate::Gone;
    };
    match &member.redis {
        Seen::Answers { facts, .. } => of_answering(view, facts),
        Seen::Unknown { error, since, .. } => {
            // Whether a replica still hears it is asked when the stream is drained: what was seen of the replicas before is older.
            let unasked = matches!(error, ProbeError::NotAsked);
            let proven = || known_end(view).filter(|proof| !unasked && stands(*proof, error));
            if let Some(proof) = death_of_master(view, member).or_else(proven) {
                return Fate::Ended { proof, since: *since };
            }
            // Whom a firewall refused may live after all, or another process is there that says nothing of itself.
            let lives = error.proves_life() && !is_known_to_have_ended(view);
            let fresh = view.since(*since) < view.down_after();
            if lives || unasked || fresh {
                return Fate::Lives;
            }
            Fate::Silent {
                since: *since,
                error: error.to_string(),
            }
        }
    }
}

/// Whether a proof stands beside what its pod answers now. Once the process was seen to end, only another one can answer, and
/// that one is fenced; a refused connection is no such sight.
fn stands(proof: Proof, error: &ProbeError) -> bool {
    proof != Proof::ConnectionRefused || !error.proves_life()
}

/// Whether the recorded master's process ended beyond doubt: a refused connection may be a firewall's, which only the links
/// of its replicas can tell.
pub(super) fn has_ended_beyond_doubt(view: &View, member: &Member) -> bool {
    let seen = matches!(
        of_master(view),
        Fate::Ended {
            proof: Proof::ContainerTerminated | Proof::ProcessReplaced,
            ..
        }
    );
    seen || has_ended(member)
}

/// Whether the recorded master's process takes no writes any more, by proof.
pub(super) fn has_master_ended(view: &View) -> bool {
    matches!(of_master(view), Fate::Ended { .. })
}

/// The recorded pod answers without being an armed master: every process boots fenced, so this one is new, or it was
/// demoted.
fn of_answering(view: &View, facts: &Facts) -> Fate {
    let proof = match facts.state() {
        RoleState::Fenced if lineage::position(view, facts).is_some() => Proof::Demoted,
        RoleState::Fenced => Proof::ProcessReplaced,
        RoleState::Attached { .. } | RoleState::Bare | RoleState::Armed { .. } => return Fate::Lives,
    };
    // Each look is a new one, but what it shows began with the first.
    let since = view.observed.detached.get(&facts.run_id).copied();
    Fate::Ended {
        proof,
        since: since.unwrap_or(facts.asked_at),
    }
}

/// Whether a member's process is known to have ended: the held connection ended and then the port refused, or the kubelet
/// says so. A refused connection alone proves nothing: a firewall refuses too. One that ends connections and refuses others
/// looks the same, so somebody whose link to it would be up is to be asked as well.
pub(super) fn death(member: &Member) -> Option<Proof> {
    let Seen::Unknown { error, eof, .. } = &member.redis else {
        return None;
    };
    if *eof && matches!(error, ProbeError::Refused) {
        return Some(Proof::ConnectionRefused);
    }
    let silence = !rules::holds(Rule::SilenceIsNoProof) && !matches!(error, ProbeError::NotAsked);
    (silence || has_ended(member)).then_some(Proof::ContainerTerminated)
}

/// Whether the kubelet says that the process has ended, and no other one answers yet.
pub(super) fn has_ended(member: &Member) -> bool {
    member.facts().is_none() && member.pod.as_ref().is_some_and(|p| p.terminated)
}

/// As [`death`]. Once the replicas of a silent master were detached to vote, no link is left that could tell a dead process
/// from a firewall that refuses: then only the kubelet's word counts, or what was recorded before.
fn death_of_master(view: &View, member: &Member) -> Option<Proof> {
    let voting = is_voting(view) && !is_known_to_have_ended(view);
    match death(member)? {
        Proof::ConnectionRefused if voting => has_ended(member).then_some(Proof::ContainerTerminated),
        proof => Some(proof),
    }
}

/// What status says of how the recorded master's process was seen to end: it stays ended, also when its node does not answer
/// any more.
pub(super) fn known_end(view: &View) -> Option<Proof> {
    let intent = view.authority.operation.as_ref().filter(|o| o.to.is_empty())?;
    match intent.verdict.as_ref()?.proof {
        proof @ (Proof::ConnectionRefused | Proof::ContainerTerminated | Proof::ProcessReplaced) => Some(proof),
        Proof::PodGone | Proof::FenceTimeElapsed | Proof::Demoted | Proof::None => None,
    }
}

pub(super) fn is_known_to_have_ended(view: &View) -> bool {
    known_end(view).is_some()
}

/// Whether the votes for another master are being taken.
pub(super) fn is_voting(view: &View) -> bool {
    let under_way = view.authority.operation.as_ref();
    under_way.is_some_and(|o| o.kind == OperationKind::Failover && o.to.is_empty())
}

/// When a silent master counts as unreachable, if it is silent now: nothing else announces that moment.
pub(super) fn silent_at(view: &View) -> Option<Timestamp> {
    match &view.master()?.redis {
        Seen::Unknown { since, .. } => Some(*since + view.down_after()),
        Seen::Answers { .. } => None,
    }
}

/// A master sends its replicas a byte at least once a second (`repl-ping-replica-period 1`, from a timer of 100 ms): a stream that
/// grew by nothing for so long is not heard. The replica's own clock of the link has whole seconds, and says so up to 0.8 s later.
const STILL: Duration = Duration::from_millis(1200);

/// What the replicas say of the master's silence: those that were given it as their parent and answer, and how many of
/// them do not hear it either.
pub(super) fn witnesses(view: &View) -> (Witnesses, Vec<String>) {
    let mut hearing = Vec::new();
    let mut asked = 0;
    for (member, link) in view
        .others()
        .filter_map(|m| Some((m, m.facts()?)))
        .filter(|(_, f)| matches!(f.state(), RoleState::Attached { .. }))
        .filter_map(|(m, f)| Some((m, f.replica_link()?)))
    {
        asked += 1;
        let grows = member.redis.offsets().still().is_none_or(|time| time < STILL);
        if link.up && grows && link.last_io_seconds.is_none_or(|s| s < 2) {
            hearing.push(member.name.clone());
        }
    }
    let counts = Witnesses {
        asked,
        agreed: asked - i32::try_from(hearing.len()).unwrap_or(asked),
    };
    (counts, hearing)
}

/// After its last acknowledgement a master takes writes at most this long: min-replicas-max-lag and 2 s (FACTS.md 12).
pub(super) fn self_fence(view: &View) -> SignedDuration {
    let wanted: Duration = view.cluster.spec.failover.self_fence_after.into();
    // A change of spec may not have reached a server that does not answer.
    let last = view.master().and_then(|m| m.redis.last_facts());
    let seen = last.and_then(|f| f.managed.get(conf::MAX_LAG)?.as_deref()?.parse().ok());
    let lag = wanted.max(Duration::from_secs(seen.unwrap_or(0)));
    SignedDuration::try_from(lag)
        .unwrap_or(SignedDuration::MAX)
        .saturating_add(SignedDuration::from_secs(2))
}
