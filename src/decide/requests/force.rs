//! `force-failover`: POD@EPOCH, as the message of `FailoverBlocked` gives it. A person takes the responsibility for votes
//! that are missing, for a master that can not be proven dead, and for the policy.
//!
//! Not for more: a master that serves, or that its replicas hear, is not replaced; the time in which a silent one fences
//! itself is waited out; nobody without data takes over from a set that had some.

use super::super::hold::Hold;
use super::super::roles::Roles;
use super::super::takeover::{self, FORCE, Stage};
use super::super::view::View;
use super::{Against, Answer, News, given_up, open, pod_at_epoch, refused, running};
use crate::api::status::Outcome;
use crate::model::observed::Member;

pub(super) const KIND: Against = Against {
    name: NAME,
    action: "Failover",
    news,
};

const NAME: &str = FORCE;

/// Whether a person's word is enough against this refusal.
fn yields(hold: &Hold) -> bool {
    match hold {
        Hold::PositionsMissing { .. }
        | Hold::MayBeOutlived { .. }
        | Hold::QuorumMissing { .. }
        | Hold::NeverByPolicy { .. }
        | Hold::TooFewPods { .. }
        | Hold::CoolingDown { .. }
        | Hold::NoCandidate(_)
        | Hold::BestNotEligible { .. }
        | Hold::OnlyUnelectable { .. }
        | Hold::Empty { .. }
        | Hold::AwaitingReturn { .. }
        | Hold::MasterSilent { .. }
        | Hold::MasterGone { .. }
        | Hold::WaitsForPods { .. }
        | Hold::Loading { .. } => true,
        Hold::Paused
        | Hold::Deleting
        | Hold::Fenced { .. }
        | Hold::PrefersLower { .. }
        | Hold::LineageUnknown(_)
        | Hold::DataLost { .. }
        | Hold::LinkStillUp { .. }
        | Hold::WitnessesDisagree { .. }
        | Hold::FenceWait { .. }
        | Hold::StatusBehind { .. }
        | Hold::VersionUnsupported { .. } => false,
    }
}

/// The pod that is named, if it may be.
fn target<'a>(view: &View<'a>, value: &str) -> Result<&'a Member, Answer> {
    let form = "POD@EPOCH, as the message of FailoverBlocked gives it";
    let (pod, epoch) = pod_at_epoch(value).ok_or_else(|| refused("Malformed", form))?;
    let now = view.authority.epoch;
    if epoch != now {
        let why = format!("the set is in epoch {now}: the message of FailoverBlocked names what is possible now");
        return Err(refused("WrongEpoch", why));
    }
    let unfit = |why: String| refused("TargetUnfit", why);
    let members = &view.observed.members;
    let member = members.iter().find(|m| m.name == pod);
    let member = member.ok_or_else(|| unfit(format!("no pod of this set is called {pod}")))?;
    let recorded = view.authority.master.as_ref().filter(|m| m.name == pod);
    if recorded.is_some_and(|m| member.uid().is_none_or(|uid| uid == m.uid)) {
        return Err(unfit(format!(
            "{pod} is the recorded master: it has its role again when its data is there"
        )));
    }
    if let Some(why) = takeover::unfit(view, member) {
        return Err(unfit(format!("{pod} {why}")));
    }
    let had = view.observed.status.high_water_mark.as_ref().filter(|m| m.keys > 0);
    if let Some(had) = had.filter(|_| member.facts().is_some_and(|f| f.keys == 0)) {
        let why = format!(
            "{pod} has no data, the set had {} keys at epoch {}: that is asked for by accept-data-loss",
            had.keys, had.epoch
        );
        return Err(unfit(why));
    }
    Ok(member)
}

/// Goes on where the rules refuse.
pub(super) fn over(view: &View, hold: &Hold) -> Option<Roles> {
    let value = open(view, NAME).filter(|_| yields(hold))?;
    let proof = takeover::proof(view)?;
    let member = target(view, value).ok()?;
    let id = takeover::id(NAME, value);
    Some(takeover::proceed(view, member, member.facts()?, proof, &id))
}

/// What is new about it.
fn news<'a>(view: &View<'a>, hold: Option<&Hold>) -> Option<News<'a>> {
    let value = open(view, NAME)?;
    let begun = running(view, NAME).is_some();
    let answer = match takeover::stage(view, NAME, value) {
        Stage::Reported(report) => (Outcome::Done, "", report.message.clone()),
        Stage::UnderWay if begun => return None,
        Stage::UnderWay => {
            let message = "the pods that answer are detached, then the one that was named takes over";
            (Outcome::Running, "", message.to_owned())
        }
        Stage::Open if begun => given_up(),
        Stage::Open => refusal(view, value, hold)?,
    };
    Some((value, answer))
}

/// Why it is not begun, unless that is only a matter of time.
fn refusal(view: &View, value: &str, hold: Option<&Hold>) -> Option<Answer> {
    if let Err(answer) = target(view, value) {
        return Some(answer);
    }
    if view.serving().is_some() {
        return Some(refused("MasterServes", "the master serves: a switchover loses nothing"));
    }
    let final_word = |hold: &&Hold| !yields(hold) && !matches!(hold, Hold::FenceWait { .. });
    let hold = hold.filter(final_word)?;
    Some(refused("NotOverridable", format!("no request helps here: {hold}")))
}

/// What a person could ask for against a refusal, and what that may cost.
pub(super) fn advice(view: &View, hold: &Hold) -> Option<String> {
    if !yields(hold)
        || takeover::proof(view).is_none()
        || view.authority.operation.as_ref().is_some_and(takeover::is_named)
    {
        return None;
    }
    let epoch = view.authority.epoch;
    let may = |m: &&Member| target(view, &format!("{}@{epoch}", m.name)).is_ok();
    let best = view
        .others()
        .filter(may)
        .max_by_key(|m| (takeover::worth(view, m), std::cmp::Reverse(m.ordinal)));
    let outlived = matches!(hold, Hold::MayBeOutlived { .. });
    // Beside replicas that have nothing, what the master's volume has is all there is.
    let own = || view.master().filter(|m| outlived && may(m));
    let best = best.or_else(own)?;
    let cost = match takeover::worth(view, best) {
        // It may still receive what a master takes that only it hears: status is not to be written for each byte.
        (Some(_), ..) if outlived => "what it will not have received by then".to_owned(),
        (Some(position), ..) => format!("what was written after offset {}", position.offset),
        (None, _, keys) => format!("all but the {keys} keys of its file, of unknown age"),
    };
    Some(format!(
        "if the old master is known to be off, annotate {NAME}={}@{epoch} (may lose {cost})",
        best.name
    ))
}
