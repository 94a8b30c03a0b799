//! Where in the set's history a server's data ends.
//!
//! An offset alone says nothing: after each change of the master the stream goes on under another replication id, and
//! a replica may carry the new id while it still lacks bytes of the old stream. A position is the lineage of the last byte
//! held and the offset in it. What is under an id that status does not know, such as the random one of every start from an
//! append-only file, has no position.

use std::cmp::Reverse;

use super::rules::{self, Rule};
use super::view::View;
use crate::api::status::History;
use crate::model::redis::Facts;

/// A place in the history of the set; the greater one holds everything that the smaller one holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// Index in the recorded lineages, newest first.
    lineage: Reverse<usize>,
    /// Bytes of the stream up to the last one held.
    pub offset: u64,
}

/// The position of what a server holds; none while it loads, receives a full resync, or stands under an unknown id.
pub(super) fn position(view: &View, facts: &Facts) -> Option<Position> {
    let syncing = facts.replica_link().is_some_and(|link| link.syncing);
    // A full resync that was cut off leaves the id of before, and nothing under it.
    let flushed = facts.replica_link().is_some() && facts.offset <= 1;
    if facts.loading.is_some() || (syncing || flushed) && rules::holds(Rule::ResyncIsNoPosition) {
        return None;
    }
    place(&view.authority.histories, &facts.replid, facts.offset)
}

/// At or below the beginning of a lineage not one byte of it is held: then the last byte is of the lineage before.
pub(super) fn place(histories: &[History], replid: &str, offset: u64) -> Option<Position> {
    let known = histories.iter().position(|h| h.replid == replid);
    let mut lineage = known.or(if rules::holds(Rule::UnknownIsNoPosition) {
        None
    } else {
        Some(0)
    })?;
    while rules::holds(Rule::LineageOfTheLastByte)
        && lineage + 1 < histories.len()
        && u64::try_from(histories[lineage].began).is_ok_and(|began| offset <= began && began > 0)
    {
        lineage += 1;
    }
    Some(Position {
        lineage: Reverse(lineage),
        offset,
    })
}

/// The replication id that a server has of itself: a start from an append-only file makes a new one at random, which stays until
/// a full resync is complete.
pub(super) fn own_id(view: &View, facts: &Facts) -> Option<String> {
    let is_of_the_set = view.authority.histories.iter().any(|h| h.replid == facts.replid);
    (!is_of_the_set).then(|| facts.replid.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histories(list: &[(&str, i64)]) -> Vec<History> {
        let history = |(at, (replid, began)): (usize, &(&str, i64))| History {
            replid: (*replid).to_owned(),
            began: *began,
            epoch: i64::try_from(list.len() - at).unwrap(),
        };
        list.iter().enumerate().map(history).collect()
    }

    #[test]
    fn a_newer_lineage_beats_a_larger_offset() {
        let known = histories(&[("new", 100), ("old", 0)]);
        assert!(place(&known, "new", 101) > place(&known, "old", 5000));
    }

    #[test]
    fn a_replica_that_continued_but_holds_nothing_new_stands_in_the_lineage_before() {
        let known = histories(&[("new", 100), ("old", 0)]);
        assert_eq!(place(&known, "new", 100), place(&known, "old", 100));
        assert!(place(&known, "new", 60) < place(&known, "old", 61));
        assert!(place(&known, "new", 60) < place(&known, "new", 101));
    }

    #[test]
    fn what_began_from_a_file_has_no_lineage_before_it() {
        let known = histories(&[("granted", 0), ("old", 0)]);
        assert!(place(&known, "granted", 3) > place(&known, "old", 5000));
    }

    #[test]
    fn an_unknown_id_has_no_position() {
        assert_eq!(place(&histories(&[("new", 100)]), "random", 100), None);
    }
}
