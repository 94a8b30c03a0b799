//! The life of one watch: connect, look again and again, and connect anew when that ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::watched::Watched;
use crate::model::redis::{Facts, ProbeError, RoleState};
use crate::redis::client::{CallError, Connection, End};
use crate::redis::clock::now;
use crate::redis::connection;
use crate::redis::socket::Dial;

/// Between two looks while something is about to change, or just after a command.
const SHORT_INTERVAL: Duration = Duration::from_millis(100);
/// How long after a change, or a command, the short interval is worth it: a full resync may take hours.
const IMPATIENCE: Duration = Duration::from_secs(5);
/// A look unanswered for this long gives up the connection. Until then a late answer shows at once that the Redis is
/// back, without a new connection.
const HUNG: Duration = Duration::from_secs(3);
/// A connection that lived this long was a good one, so that the next attempt is made without delay.
const STABLE: Duration = Duration::from_secs(1);

/// Watches until the task is aborted.
pub(super) async fn watch(watched: Arc<Watched>, dial: Arc<dyn Dial>) {
    let mut backoff = Backoff::default();
    loop {
        let asked_at = now();
        let opened = connection::open(dial.as_ref(), watched.endpoint(), watched.view()).await;
        match opened {
            Ok(connection) => {
                let since = Instant::now();
                watched.connected(&connection);
                hold(&watched, &connection).await;
                watched.disconnected();
                if STABLE <= since.elapsed() {
                    backoff = Backoff::default();
                }
            }
            Err(error) => watched.failed(asked_at, error.into(), false),
        }
        sleep(backoff.next()).await;
    }
}

/// Looks again and again until the connection has ended or is of no use; tells why.
async fn hold(watched: &Watched, connection: &Connection) {
    let mut restless_until = Instant::now() + IMPATIENCE;
    let mut was_restless = true;
    loop {
        let began = Instant::now();
        if !look(watched, connection).await {
            return;
        }
        let restless = watched.seen().facts().is_none_or(|facts| is_restless(facts));
        if restless && !was_restless {
            restless_until = began + IMPATIENCE;
        }
        was_restless = restless;
        let interval = if restless && began < restless_until {
            SHORT_INTERVAL
        } else {
            watched.view().interval()
        };
        let mut next = began + interval;
        loop {
            tokio::select! {
                end = connection.ended() => {
                    lost(watched, end);
                    return;
                }
                () = watched.soon.notified() => {
                    restless_until = Instant::now() + IMPATIENCE;
                    next = next.min(Instant::now() + SHORT_INTERVAL);
                }
                () = sleep_until(next) => break,
            }
        }
    }
}

/// Something is about to change by itself.
fn is_restless(facts: &Facts) -> bool {
    let waits_for_link =
        facts.replica_link().is_some_and(|link| !link.up) && matches!(facts.state(), RoleState::Attached { .. });
    facts.loading.is_some() || waits_for_link
}

/// One look; false if the connection is of no use any more.
async fn look(watched: &Watched, connection: &Connection) -> bool {
    let asked_at = now();
    let mut answer = std::pin::pin!(connection.look_within(HUNG));
    let result = tokio::select! {
        result = &mut answer => result,
        () = sleep(watched.view().deadline()) => {
            watched.failed(asked_at, ProbeError::Timeout, false);
            answer.await
        }
    };
    match result {
        Ok(facts) => watched.answered(facts),
        Err(CallError::NotConnected(end) | CallError::Lost(end)) => {
            lost(watched, end);
            return false;
        }
        Err(error @ (CallError::NoReply(_) | CallError::NoAuth | CallError::WrongServer { .. })) => {
            watched.failed(asked_at, error.into(), false);
            return false;
        }
        // It lives and the connection is fine; what it says may pass.
        Err(error @ (CallError::Refused { .. } | CallError::Odd(_))) => {
            watched.failed(asked_at, error.into(), false);
        }
    }
    true
}

fn lost(watched: &Watched, end: End) {
    let eof = end == End::Eof;
    watched.failed(now(), CallError::Lost(end).into(), eof);
}

/// Delays between attempts to connect. The first two are short: a listening socket may still accept for a moment
/// after the process was killed, and whether it refuses is what a failover waits for.
#[derive(Default)]
struct Backoff {
    attempts: u32,
}

impl Backoff {
    fn next(&mut self) -> Duration {
        let delay = match self.attempts {
            0 => Duration::ZERO,
            1 => Duration::from_millis(10),
            n => Duration::from_millis(100 << (n - 2).min(4)).min(Duration::from_secs(1)),
        };
        self.attempts = self.attempts.saturating_add(1);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_come_quickly_at_first_and_then_once_a_second() {
        let mut backoff = Backoff::default();
        let delays: Vec<u128> = std::iter::repeat_with(|| backoff.next().as_millis()).take(9).collect();
        assert_eq!(delays, [0, 10, 100, 200, 400, 800, 1000, 1000, 1000]);
    }
}
