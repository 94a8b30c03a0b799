//! `accept-data-loss`: the epoch that the message of `DataLost` or `Empty` names. The set goes on with the best data that is
//! left, or empty if all of it is gone for certain.

use super::super::hold::Hold;
use super::super::roles::Roles;
use super::super::takeover::{self, ACCEPT};
use super::super::view::View;
use super::{Against, Answer, News, given_up, parts, refused, running, unanswered};
use crate::api::status::Outcome;
use crate::model::observed::Member;

pub(super) const KIND: Against = Against {
    name: NAME,
    action: "Failover",
    news,
};

const NAME: &str = ACCEPT;

fn open<'a>(view: &View<'a>) -> Option<&'a str> {
    running(view, NAME).or_else(|| unanswered(view, NAME))
}

/// The epoch that a refusal names, if this request is about it.
fn epoch_of(hold: &Hold) -> Option<i64> {
    if let Hold::DataLost { epoch, .. } | Hold::Empty { epoch, .. } = hold {
        Some(*epoch)
    } else {
        None
    }
}

/// Who goes on, if the request may be followed.
fn best<'a>(view: &View<'a>, value: &str, hold: Option<&Hold>) -> Result<&'a Member, Answer> {
    let number = parts(value).and_then(|(epoch, _)| epoch.parse::<i64>().ok());
    let form = "the epoch that the message of DataLost or FailoverBlocked names, with @ID for another try";
    let epoch = number.ok_or_else(|| refused("Malformed", form))?;
    let held = hold.and_then(epoch_of).ok_or_else(|| {
        let why = "the set is not held for lost data: nothing is to be accepted";
        refused("NothingLost", why)
    })?;
    if held != epoch {
        let why = format!("epoch {held} is the one that the message names");
        return Err(refused("WrongEpoch", why));
    }
    let members = &view.observed.members;
    let fit = members.iter().filter(|m| takeover::unfit(view, m).is_none());
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

/// Goes on in spite of what is lost.
pub(super) fn over(view: &View, hold: &Hold) -> Option<Roles> {
    let value = open(view)?;
    let proof = takeover::proof(view)?;
    let member = best(view, value, Some(hold)).ok()?;
    let id = takeover::id(NAME, value);
    Some(takeover::proceed(view, member, member.facts()?, proof, &id))
}

/// What is new about it.
fn news<'a>(view: &View<'a>, hold: Option<&Hold>) -> Option<News<'a>> {
    let value = open(view)?;
    let id = takeover::id(NAME, value);
    if let Some(report) = takeover::reported(view, &id) {
        return Some((value, (Outcome::Done, "", report.message.clone())));
    }
    let begun = running(view, NAME).is_some();
    let under_way = view.authority.operation.as_ref();
    if under_way.is_some_and(|o| o.request_id.as_deref() == Some(&id)) {
        return (!begun).then(|| (value, (Outcome::Running, "", "the best there is takes over".to_owned())));
    }
    // Something is being done, and nothing serves yet.
    if hold.is_none() && view.serving().is_none() {
        return None;
    }
    if begun && hold.is_none() {
        return Some((value, given_up()));
    }
    Some((value, best(view, value, hold).err()?))
}
