//! The recent past of one Redis's replication offset, to tell how old another's data is.

use std::collections::VecDeque;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// How far back a log reaches.
const SPAN: Duration = Duration::from_secs(120);
/// A bound on memory that looks at the shortest interval, 150 ms, never meet; a burst of looks shortens the log.
const ENTRIES: usize = 1024;

/// Offsets of one process over the last two minutes, oldest first, each strictly above the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetLog {
    entries: VecDeque<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    offset: u64,
    first_seen: Timestamp,
    /// Time passes while an offset stays the same: for an age only this end counts.
    last_seen: Timestamp,
}

impl OffsetLog {
    /// Notes that the offset was `offset` at `at` or later. Give the time before the question, not of the answer:
    /// an age then errs towards older.
    ///
    /// An offset below the newest one starts the log anew: the stream began again. A time below the newest one is
    /// ignored: it is an answer that was overtaken.
    pub fn record(&mut self, at: Timestamp, offset: u64) {
        match self.entries.back_mut() {
            Some(newest) if at < newest.last_seen => return,
            Some(newest) if offset == newest.offset => newest.last_seen = at,
            newest => {
                if newest.is_some_and(|newest| offset < newest.offset) {
                    self.entries.clear();
                }
                self.entries.push_back(Entry {
                    offset,
                    first_seen: at,
                    last_seen: at,
                });
            }
        }
        self.forget_before(at);
    }

    /// How old is what a replica with this offset has, measured against the Redis of this log: zero if it has all
    /// that is known to exist, otherwise the time since the log's Redis last had no more than that. None if that
    /// is longer ago than the log reaches, or nothing is known.
    pub fn age(&self, offset: u64, now: Timestamp) -> Option<Duration> {
        let newest = self.entries.back()?;
        if newest.offset <= offset {
            return Some(Duration::ZERO);
        }
        let above = self.entries.partition_point(|entry| entry.offset <= offset);
        let held = self.entries.get(above.checked_sub(1)?)?;
        // A clock set back makes the difference negative: then nothing better than "now" can be said.
        Some(Duration::try_from(now.duration_since(held.last_seen)).unwrap_or(Duration::ZERO))
    }

    /// The newest offset and when it was last seen.
    pub fn newest(&self) -> Option<(Timestamp, u64)> {
        self.entries.back().map(|entry| (entry.last_seen, entry.offset))
    }

    /// For how long looks have shown the newest offset, and nothing more.
    pub fn still(&self) -> Option<Duration> {
        let newest = self.entries.back()?;
        Duration::try_from(newest.last_seen.duration_since(newest.first_seen)).ok()
    }

    /// Looks that were less than so many seconds apart are no measure of a pace.
    pub const SHORTEST: f64 = 0.05;

    /// The fastest growth between two neighbouring looks, bytes a second; nothing if there were none.
    pub fn fastest(&self) -> Option<f64> {
        let pace = |(a, b): (&Entry, &Entry)| {
            let seconds = b.last_seen.duration_since(a.last_seen).as_secs_f64();
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let bytes = b.offset.saturating_sub(a.offset) as f64;
            (seconds >= Self::SHORTEST).then_some(bytes / seconds)
        };
        self.entries
            .iter()
            .zip(self.entries.iter().skip(1))
            .filter_map(pace)
            .reduce(f64::max)
    }

    fn forget_before(&mut self, now: Timestamp) {
        let too_old =
            |entry: &Entry| Duration::try_from(now.duration_since(entry.last_seen)).is_ok_and(|age| SPAN < age);
        while self.entries.len() > ENTRIES || self.entries.front().is_some_and(too_old) {
            self.entries.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn log(entries: &[(i64, u64)]) -> OffsetLog {
        let mut log = OffsetLog::default();
        for (second, offset) in entries {
            log.record(at(*second), *offset);
        }
        log
    }

    fn age(log: &OffsetLog, offset: u64, now: i64) -> Option<u64> {
        log.age(offset, at(now)).map(|age| age.as_secs())
    }

    #[test]
    fn a_replica_with_the_newest_offset_has_nothing_old() {
        let log = log(&[(0, 100), (1, 200)]);
        assert_eq!(age(&log, 200, 9), Some(0));
        assert_eq!(age(&log, 250, 9), Some(0));
    }

    #[test]
    fn age_counts_from_the_last_time_the_master_had_no_more() {
        let log = log(&[(0, 100), (1, 200), (2, 300)]);
        assert_eq!(age(&log, 200, 10), Some(9));
        assert_eq!(age(&log, 299, 10), Some(9));
        assert_eq!(age(&log, 100, 10), Some(10));
    }

    #[test]
    fn an_offset_that_stood_still_counts_from_its_end() {
        let log = log(&[(0, 100), (50, 100), (51, 200)]);
        assert_eq!(age(&log, 100, 60), Some(10));
        assert_eq!(log.entries.len(), 2);
    }

    #[test]
    fn nothing_is_said_beyond_the_log() {
        assert_eq!(age(&log(&[(0, 100)]), 99, 1), None);
        assert_eq!(age(&OffsetLog::default(), 99, 1), None);
        let log = log(&[(0, 100), (100, 200), (121, 300)]);
        assert_eq!(age(&log, 150, 122), None, "the entry of second 0 has left the log");
        assert_eq!(age(&log, 200, 122), Some(22));
    }

    #[test]
    fn a_stream_that_began_again_forgets_the_old_one() {
        let log = log(&[(0, 100), (1, 200), (2, 5)]);
        assert_eq!(age(&log, 100, 3), Some(0));
        assert_eq!(log.newest(), Some((at(2), 5)));
    }

    #[test]
    fn the_fastest_pace_is_known_after_two_looks_that_differ() {
        assert_eq!(log(&[(0, 100), (0, 200)]).fastest(), None, "no measure");
        assert_eq!(log(&[(0, 100), (2, 200), (3, 210)]).fastest(), Some(50.0));
    }

    #[test]
    fn a_stream_stands_still_between_the_first_and_the_last_look_that_showed_its_end() {
        let still = |entries| log(entries).still().map(|time| time.as_secs());
        assert_eq!(still(&[]), None);
        assert_eq!(still(&[(0, 100)]), Some(0), "one look shows nothing");
        assert_eq!(still(&[(0, 100), (3, 200), (4, 200), (7, 200)]), Some(4));
        assert_eq!(still(&[(0, 100), (3, 100), (4, 200)]), Some(0));
    }

    #[test]
    fn an_overtaken_answer_changes_nothing() {
        let log = log(&[(5, 100), (4, 50)]);
        assert_eq!(log.newest(), Some((at(5), 100)));
    }

    #[test]
    fn a_burst_of_looks_does_not_grow_the_log_without_bound() {
        let mut log = OffsetLog::default();
        for offset in 0..2000 {
            log.record(at(0), offset);
        }
        assert_eq!(log.entries.len(), ENTRIES);
        assert_eq!(log.newest(), Some((at(0), 1999)));
    }
}
