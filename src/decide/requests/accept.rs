//! `accept-data-loss`: the epoch that the message of `DataLost`, `Empty` or `StatusBehind` names. The set goes on with the best
//! data that is left, or empty if all of it is gone for certain; of `StatusBehind`, with the pod that takes writes.

use super::super::behind;
use super::super::hold::Hold;
use super::super::roles::Roles;
use super::super::takeover::{self, ACCEPT, Stage};
use super::super::view::View;
use super::{Against, Answer, News, given_up, open, parts, refused, running};
use crate::api::status::Outcome;
use crate::model::observed::Member;
use crate::model::plan::Step;

pub(super) const KIND: Against = Against {
    name: NAME,
    action: "Failover",
    news,
};

const NAME: &str = ACCEPT;

/// The epoch that a refusal names, if this request is about it.
fn epoch_of(hold: &Hold) -> Option<i64> {
    if let Hold::DataLost { epoch, .. } | Hold::Empty { epoch, .. } | Hold::StatusBehind { epoch, .. } = hold {
        Some(*epoch)
    } else {
        None
    }
}

/// Who goes on, if the request may be followed.
fn best<'a>(view: &View<'a>, value: &str, hold: Option<&Hold>) -> Result<&'a Member, Answer> {
    let number = parts(value).and_then(|(epoch, _)| epoch.parse::<i64>().ok());
    let form = "the epoch that the message of DataLost, FailoverBlocked or Stalled names, with @ID for another try";
    let epoch = number.ok_or_else(|| refused("Malformed", form))?;
    let held = hold.and_then(epoch_of).ok_or_else(|| {
        let why = "the set is not held for lost data: nothing is to be accepted";
        refused("NothingLost", why)
    })?;
    if held != epoch {
        let why = format!("epoch {held} is the one that the message names");
        return Err(refused("WrongEpoch", why));
    }
    if let Some(Hold::StatusBehind { .. }) = hold {
        let writer = behind::writer(view).map(|(member, _)| member);
        return writer.map_err(|(reason, why)| refused(reason, why));
    }
    let members = &view.observed.members;
    let fit = view.core().filter(|m| takeover::unfit(view, m).is_none());
    let with_data = |m: &Member| m.facts().is_some_and(|f| f.keys > 0);
    let best = fit.max_by_key(|m| {
        let last = (view.is_master(m), std::cmp::Reverse(m.ordinal));
        (with_data(m), takeover::worth(view, m), last)
    });
    let best = best.ok_or_else(|| refused("TargetUnfit", "no pod answers that could be master"))?;
    let silent: Vec<_> = members
        .iter()
        .filter(|m| m.facts().is_none())
        .map(|m| m.name.as_str())
        .collect();
    if with_data(best) || silent.is_empty() {
        return Ok(best);
    }
    let why = format!(
        "all that answer are empty, and {} may have data: bring it back, or remove its volume",
        silent.join(", ")
    );
    Err(refused("PodsMissing", why))
}

/// Records the pod that takes writes.
pub(super) fn over_behind(view: &View, hold: &Hold) -> Option<Step> {
    let value = open(view, NAME)?;
    let member = best(view, value, Some(hold)).ok()?;
    behind::record(view, (member, member.facts()?), &takeover::id(NAME, value))
}

/// Goes on in spite of what is lost.
pub(super) fn over(view: &View, hold: &Hold) -> Option<Roles> {
    let value = open(view, NAME)?;
    let proof = takeover::proof(view)?;
    let member = best(view, value, Some(hold)).ok()?;
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
        Stage::UnderWay => (Outcome::Running, "", "the best there is takes over".to_owned()),
        // Something is being done, and nothing serves yet.
        Stage::Open if hold.is_none() && view.serving().is_none() => return None,
        Stage::Open if hold.is_none() && begun => given_up(),
        Stage::Open => best(view, value, hold).err()?,
    };
    Some((value, answer))
}
