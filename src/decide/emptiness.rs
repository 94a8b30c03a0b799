//! Nobody empty becomes master of a set that had data, unless its own clients emptied it.
//!
//! What the set had is the high-water mark: the serving master's keys and its offset, of one look. Whoever holds the stream
//! up to there and is empty saw the keys go; who is empty below that never had them. Refusals only; nothing is granted here.

use super::hold::Hold;
use super::lineage;
use super::view::View;
use crate::api::status::HighWaterMark;
use crate::model::observed::Member;
use crate::model::redis::Facts;

/// Why the recorded master may not have its role again with what its file has, if so. A start from a file has no place in
/// the stream, so that only the mark's keys count.
pub(super) fn of_recorded(view: &View, member: &Member, facts: &Facts) -> Option<Hold> {
    if facts.keys > 0 {
        return None;
    }
    if let Some(mark) = mark_with_keys(view) {
        return Some(refusal(view, member, mark));
    }
    Some(Hold::Empty {
        pod: member.name.clone(),
        keys: beyond_the_mark(view)?,
        epoch: view.authority.epoch,
    })
}

/// Why the winner of an election may not be master, if so.
pub(super) fn of_winner(view: &View, member: &Member, facts: &Facts) -> Option<Hold> {
    let mark = mark_with_keys(view).filter(|_| facts.keys == 0)?;
    let offset = u64::try_from(mark.offset).unwrap_or(u64::MAX);
    let marked = lineage::place(&view.authority.histories, &mark.replid, offset);
    let held = lineage::position(view, facts);
    let saw_them_go = marked.is_some() && held >= marked;
    (!saw_them_go).then(|| refusal(view, member, mark))
}

fn mark_with_keys<'a>(view: &View<'a>) -> Option<&'a HighWaterMark> {
    view.observed.status.high_water_mark.as_ref().filter(|m| m.keys > 0)
}

fn refusal(view: &View, member: &Member, mark: &HighWaterMark) -> Hold {
    data_lost(view).unwrap_or(Hold::Empty {
        pod: member.name.clone(),
        keys: mark.keys,
        epoch: mark.epoch,
    })
}

/// Every member answers, everybody who may be master is empty, and the set had data. What pods of tiers have is named: it is lost
/// only once a person says so.
pub(super) fn data_lost(view: &View) -> Option<Hold> {
    let mark = mark_with_keys(view)?;
    let loaded = |m: &Member| m.facts().is_some_and(|f| f.loading.is_none());
    let has_keys = |m: &&Member| m.facts().is_some_and(|f| f.keys > 0);
    let all_known = view.observed.members.iter().all(loaded);
    let volumes = view.core().count();
    let elsewhere = view.observed.members.iter().filter(|m| !m.is_core()).filter(has_keys);
    (all_known && !view.core().any(|m| has_keys(&m)) && volumes > 0).then(|| Hold::DataLost {
        volumes,
        elsewhere: elsewhere.map(|m| m.name.clone()).collect(),
        keys: mark.keys,
        epoch: mark.epoch,
    })
}

/// Keys of a replica that holds more of the recorded lineage than the mark knows: the mark is some seconds old, and the
/// set's first writes may be younger.
fn beyond_the_mark(view: &View) -> Option<i64> {
    let lineage = view.authority.histories.first()?;
    let marked = view
        .observed
        .status
        .high_water_mark
        .as_ref()
        .filter(|m| m.replid == lineage.replid)
        .map(|m| m.offset);
    let beyond = |f: &&Facts| {
        f.replid == lineage.replid && marked.is_none_or(|marked| i64::try_from(f.offset).is_ok_and(|o| o > marked))
    };
    let keys = view
        .replicas()
        .filter_map(Member::facts)
        .filter(beyond)
        .map(|f| f.keys)
        .max()?;
    i64::try_from(keys).ok().filter(|keys| *keys > 0)
}
