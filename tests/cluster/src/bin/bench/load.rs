//! The two clients of a round, and what they tell of it.

use std::collections::BTreeSet;
use std::time::Duration;

use cluster_tests::checkers;
use cluster_tests::client::{self, Manner, Writer};
use cluster_tests::failure::Outcome;
use cluster_tests::history::{End, History, Stamp, Write};
use redis::{Connection, RedisError};

/// Time of undisturbed writing before a fault: what the round before did to endpoints is more than a second ago by then. A node
/// proxy takes changes once a second, so a fault within it costs up to a second more, which is not what is measured here.
const BEFORE: Duration = Duration::from_millis(1500);
/// One write at a time, then this long nothing: a light load.
const PAUSE: Duration = Duration::from_millis(1);
const FIRST: Duration = Duration::from_secs(10);

/// How a client gets to the master.
pub trait Connect: Fn() -> Result<Connection, RedisError> + Clone + Send + 'static {}
impl<F: Fn() -> Result<Connection, RedisError> + Clone + Send + 'static> Connect for F {}

/// Deadlines of a connection of these clients.
pub fn deadlines() -> (Duration, Duration) {
    let manner = Manner::impatient(PAUSE);
    (manner.connect, manner.answer)
}

/// One that measures, one that has its writes confirmed.
pub struct Load {
    plain: (Writer, History),
    confirming: (Writer, History),
}

/// What they saw.
pub struct Seen {
    /// Longest time between two acknowledged writes.
    pub gap: Duration,
    /// The same, of writes that are still there at the end: a server whose writes are thrown away later serves nobody.
    pub kept_gap: Duration,
    /// Acknowledged writes of both.
    pub acknowledged: usize,
    /// Of these, missing at the end.
    pub lost: usize,
    /// Writes that enough replicas confirmed.
    pub confirmed: usize,
    /// Of these, missing at the end.
    pub confirmed_lost: usize,
    /// What breaks the promise, given the bytes that were reported lost.
    pub findings: Vec<String>,
}

impl Load {
    /// Begins where there are no numbers, and returns when writes are acknowledged.
    pub fn start(connect: &impl Connect, quorum: i64) -> Outcome<Self> {
        let start = |manner: Manner| {
            let history = History::default();
            (Writer::start_as(manner, history.clone(), connect.clone()), history)
        };
        let manner = Manner::impatient(PAUSE);
        let (plain, confirming) = (start(manner), start(manner.confirmed_by(quorum)));
        let load = Self { plain, confirming };
        for (_, history) in [&load.plain, &load.confirming] {
            client::acknowledged_after(history, Stamp(Duration::ZERO), FIRST)?;
        }
        std::thread::sleep(BEFORE);
        Ok(load)
    }

    /// Waits until a write that began now is acknowledged.
    pub fn wait_served(&self, limit: Duration) -> Outcome {
        client::acknowledged_after(&self.plain.1, Stamp::now(), limit).map(drop)
    }

    /// Ends both and compares what they were told with what is there.
    pub fn stop(
        self,
        struck: Stamp,
        there: impl FnOnce() -> Outcome<BTreeSet<u64>>,
        reported: Option<u64>,
    ) -> Outcome<Seen> {
        let over = Stamp::now();
        self.plain.0.stop()?;
        self.confirming.0.stop()?;
        let there = there()?;
        let mut writes = self.plain.1.events().writes.clone();
        let acknowledged = writes.iter().filter(|write| write.end == End::Ok);
        let gap = longest_gap(acknowledged.clone(), struck, over);
        let kept_gap = longest_gap(acknowledged.filter(|write| there.contains(&write.number)), struck, over);
        writes.extend(self.confirming.1.events().writes.iter().cloned());
        let mut findings = checkers::no_confirmed_write_lost(&writes, &there);
        findings.extend(checkers::nothing_resurrected(&writes, &there));
        findings.extend(checkers::losses_are_reported(
            &writes,
            &there,
            reported,
            client::SMALLEST_WRITE,
        ));
        let count = |of: &dyn Fn(&Write) -> bool| writes.iter().filter(|w| of(w)).count();
        Ok(Seen {
            gap,
            kept_gap,
            acknowledged: count(&|w| w.end == End::Ok),
            lost: count(&|w| w.end == End::Ok && !there.contains(&w.number)),
            confirmed: count(&|w| w.confirmed),
            confirmed_lost: count(&|w| w.confirmed && !there.contains(&w.number)),
            findings,
        })
    }
}

/// The longest time without the end of one of these writes; the last before `struck` counts as its beginning.
fn longest_gap<'a>(writes: impl Iterator<Item = &'a Write>, struck: Stamp, over: Stamp) -> Duration {
    let (mut last, mut longest) = (Duration::ZERO, Duration::ZERO);
    for at in writes.map(|write| write.span.ended.0).chain([over.0]) {
        if at > struck.0 {
            longest = longest.max(at.saturating_sub(last));
        }
        last = at;
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_begins_with_the_last_write_before_the_fault() {
        let at = |ms| Stamp(Duration::from_millis(ms));
        let writes: Vec<Write> = [10, 500, 520, 900, 910]
            .map(|ms| Write {
                number: ms,
                span: cluster_tests::history::Span {
                    begun: at(ms - 1),
                    ended: at(ms),
                },
                end: End::Ok,
                confirmed: false,
            })
            .to_vec();
        assert_eq!(longest_gap(writes.iter(), at(530), at(920)), Duration::from_millis(380));
        assert_eq!(
            longest_gap(writes.iter(), at(905), at(2000)),
            Duration::from_millis(1090)
        );
    }
}
