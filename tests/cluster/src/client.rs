//! An application: writes unique numbers through an address and records how each write ended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use redis::{Connection, IntoConnectionInfo, RedisConnectionInfo, RedisError};

use crate::failure::{Context, Outcome};
use crate::history::{End, History, Span, Stamp, Write};
use crate::wait::{Look, until};

/// The set of numbers.
pub const NUMBERS: &str = "numbers";
/// Bytes in the replication stream of the shortest write, `SADD numbers 0`.
pub const SMALLEST_WRITE: u64 = 34;

/// So many failures in a row are a long outage, whose end need not be known to the millisecond. A closed connection keeps
/// its port for a minute, and an address has 28,000 of them.
const MANY_FAILURES: u32 = 250;
const LONG_PAUSE: Duration = Duration::from_millis(20);
pub(crate) const CONNECT: Duration = Duration::from_secs(1);
/// For a look, not for a measurement: one lost packet of a node that has just come back is no finding.
const CONNECT_TO_LOOK: Duration = Duration::from_secs(5);
pub(crate) const ANSWER: Duration = Duration::from_secs(2);

/// How a client works.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// After a write.
    pub pause: Duration,
    /// After a failure. In a long outage it is 20 ms at least.
    pub after_failure: Duration,
    /// Longest for a connection.
    pub connect: Duration,
    /// Longest for an answer.
    pub answer: Duration,
    /// Replicas that are to confirm each write (WAIT); 0 for a client that does not ask.
    pub wait: i64,
    /// Whether it keeps its connection when a write is refused, and so depends on others to end it.
    pub keeps: bool,
}

impl Manner {
    /// An ordinary application that writes about every `pause`.
    #[must_use]
    pub fn patient(pause: Duration) -> Self {
        Self {
            pause,
            after_failure: pause.max(Duration::from_millis(20)),
            connect: CONNECT,
            answer: ANSWER,
            wait: 0,
            keeps: false,
        }
    }

    /// One that gives up after 150 ms and tries again at once: it sees how long nobody takes writes, also when a
    /// connection is answered by silence.
    #[must_use]
    pub fn impatient(pause: Duration) -> Self {
        Self {
            pause,
            after_failure: Duration::from_millis(2),
            connect: Duration::from_millis(150),
            answer: Duration::from_millis(150),
            wait: 0,
            keeps: false,
        }
    }

    fn pause_after(self, failures: u32) -> Duration {
        match failures {
            0 => self.pause,
            1..MANY_FAILURES => self.after_failure,
            _ => self.after_failure.max(LONG_PAUSE),
        }
    }

    /// The same, waiting for this many replicas after each write.
    #[must_use]
    pub fn confirmed_by(self, wait: i64) -> Self {
        Self { wait, ..self }
    }

    /// The same, from a pool that never reads what an error says.
    #[must_use]
    pub fn sticky(self) -> Self {
        Self { keeps: true, ..self }
    }
}

/// Where to connect and as whom.
#[derive(Clone)]
pub struct Login {
    /// An IP address.
    pub host: String,
    /// The user.
    pub user: String,
    /// Its password.
    pub password: String,
}

impl Login {
    /// The same login at another address.
    #[must_use]
    pub fn at(&self, host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            ..self.clone()
        }
    }

    /// A connection with deadlines on everything.
    ///
    /// # Errors
    /// If nobody answers there or the login is refused.
    pub fn connect(&self) -> Result<Connection, RedisError> {
        self.connect_within(6379, CONNECT_TO_LOOK, ANSWER)
    }

    /// The same at a port and with other deadlines. An empty user is none.
    ///
    /// # Errors
    /// As [`Login::connect`].
    pub fn connect_within(&self, port: u16, connect: Duration, answer: Duration) -> Result<Connection, RedisError> {
        let mut user = RedisConnectionInfo::default();
        if !self.user.is_empty() {
            user = user.set_username(&self.user).set_password(&self.password);
        }
        let info = (self.host.as_str(), port)
            .into_connection_info()?
            .set_redis_settings(user);
        let connection = redis::Client::open(info)?.get_connection_with_timeout(connect)?;
        connection.set_read_timeout(Some(answer))?;
        connection.set_write_timeout(Some(answer))?;
        Ok(connection)
    }

    /// Waits until the address leads somewhere: a kube-proxy learns of a new Service up to a second after the API server.
    ///
    /// # Errors
    /// If nobody answers within 10 s.
    pub fn wait_reachable(&self) -> Outcome {
        until(format_args!("{} to answer", self.host), Duration::from_secs(10), || {
            self.connect()?;
            Ok(Look::There(()))
        })
    }

    /// The numbers that are there.
    ///
    /// # Errors
    /// If the server does not answer or refuses.
    pub fn numbers(&self) -> Outcome<BTreeSet<u64>> {
        let mut connection = self.connect().context(format_args!("connect to {}", self.host))?;
        redis::cmd("SMEMBERS")
            .arg(NUMBERS)
            .query(&mut connection)
            .context(format_args!("read from {}", self.host))
    }
}

/// Writers, numbered in the order in which they began, so that no two write the same number.
static WRITERS: AtomicU64 = AtomicU64::new(0);
/// More than one writer writes.
const NUMBERS_OF_A_WRITER: u64 = 1_000_000_000;

/// A writer beside the test, until it is stopped.
pub struct Writer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    first: u64,
}

/// One that a failed test drops writes no more.
impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Writer {
    /// Writes about every `pause` into `history`.
    #[must_use]
    pub fn start(login: Login, history: History, pause: Duration) -> Self {
        Self::start_in(Manner::patient(pause), history, login)
    }

    /// The same in another manner.
    #[must_use]
    pub fn start_in(manner: Manner, history: History, login: Login) -> Self {
        Self::start_as(manner, history, move || {
            login.connect_within(6379, manner.connect, manner.answer)
        })
    }

    /// The same with its own way to connect: it connects anew after every failure.
    #[must_use]
    pub fn start_as(
        manner: Manner,
        history: History,
        connect: impl Fn() -> Result<Connection, RedisError> + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let first = WRITERS.fetch_add(1, Ordering::Relaxed) * NUMBERS_OF_A_WRITER;
        let thread = thread::spawn(move || {
            let mut held = None;
            let mut numbers = first..;
            let mut failures = 0;
            while !seen.load(Ordering::Relaxed) {
                let Some(number) = numbers.next() else { break };
                let write = write(manner, &connect, &mut held, number);
                failures = if write.end == End::Ok { 0 } else { failures + 1 };
                history.events().writes.push(write);
                thread::sleep(manner.pause_after(failures));
            }
        });
        let thread = Some(thread);
        Self { stop, thread, first }
    }

    /// Waits until a write of this one that began after `from` is acknowledged.
    ///
    /// # Errors
    /// If none is within `limit`.
    pub fn served_after(&self, history: &History, from: Stamp, limit: Duration) -> Outcome {
        let own = self.first..self.first + NUMBERS_OF_A_WRITER;
        acknowledged(history, from, limit, |write| own.contains(&write.number)).map(drop)
    }

    /// Ends it after its current write.
    ///
    /// # Errors
    /// If the writer panicked.
    pub fn stop(mut self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("a writer was stopped twice")?;
        thread.join().ok().context("a writer panicked")
    }
}

fn write(
    manner: Manner,
    connect: &impl Fn() -> Result<Connection, RedisError>,
    held: &mut Option<Connection>,
    number: u64,
) -> Write {
    let begun = Stamp::now();
    let end = attempt(manner, connect, held, number);
    let ended = Stamp::now();
    let confirmed = end == End::Ok && manner.wait > 0 && confirm(manner, held);
    Write {
        number,
        span: Span { begun, ended },
        end,
        confirmed,
    }
}

/// Silence costs the connection: an answer that comes late would be taken for that of the next write. So does READONLY, but
/// for one that keeps it: a server that has lost its role may not end it. After any other refusal it is as good as before.
fn attempt(
    manner: Manner,
    connect: &impl Fn() -> Result<Connection, RedisError>,
    held: &mut Option<Connection>,
    number: u64,
) -> End {
    let connection = match held {
        Some(connection) => connection,
        // The number was not sent yet.
        None => match connect() {
            Ok(connection) => held.insert(connection),
            Err(error) => return End::Fail(format!("connect: {error}")),
        },
    };
    let answer = redis::cmd("SADD").arg(NUMBERS).arg(number).query::<u64>(connection);
    let is_readonly = answer.as_ref().is_err_and(|error| error.code() == Some("READONLY"));
    let end = match answer {
        Ok(1) => return End::Ok,
        Ok(_) => End::Fail(format!("{number} was there before it was written")),
        Err(error) => end_of(&error),
    };
    let refused = matches!(end, End::Fail(_));
    if !refused || is_readonly && !manner.keeps {
        *held = None;
    }
    end
}

/// What an error says of the operation: an answer says that nothing was done, silence says nothing.
pub fn end_of(error: &RedisError) -> End {
    if error.code().is_some() {
        End::Fail(error.to_string())
    } else {
        End::Unknown(error.to_string())
    }
}

/// Whether the replicas say within two thirds of the answer's deadline that they have the last write.
fn confirm(manner: Manner, held: &mut Option<Connection>) -> bool {
    let Some(connection) = held else { return false };
    let limit = manner.answer.as_millis() * 2 / 3;
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let confirmed = redis::cmd("WAIT").arg(manner.wait).arg(limit).query::<i64>(connection);
    if confirmed.is_err() {
        *held = None;
    }
    confirmed.is_ok_and(|replicas| replicas >= manner.wait)
}

/// Counts of a stretch of writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Acknowledged.
    pub ok: usize,
    /// Refused.
    pub fail: usize,
    /// Without an answer.
    pub unknown: usize,
    /// The longest time between two acknowledged writes.
    pub gap: Duration,
}

/// Counts the writes that ended in a span.
pub fn count(history: &History, from: Stamp, to: Stamp) -> Counts {
    let mut counts = Counts::default();
    let mut last = from;
    let events = history.events();
    for write in events
        .writes
        .iter()
        .filter(|w| from <= w.span.ended && w.span.ended <= to)
    {
        match write.end {
            End::Ok => {
                counts.ok += 1;
                counts.gap = counts.gap.max(write.span.ended.0.saturating_sub(last.0));
                last = write.span.ended;
            }
            End::Fail(_) => counts.fail += 1,
            End::Unknown(_) => counts.unknown += 1,
        }
    }
    counts.gap = counts.gap.max(to.0.saturating_sub(last.0));
    counts
}

/// Waits until a write that began after `from` is acknowledged. Returns how long that took.
///
/// # Errors
/// If none is within `limit`.
pub fn acknowledged_after(history: &History, from: Stamp, limit: Duration) -> Outcome<Duration> {
    acknowledged(history, from, limit, |_| true)
}

fn acknowledged(history: &History, from: Stamp, limit: Duration, of: impl Fn(&Write) -> bool) -> Outcome<Duration> {
    let end = Instant::now() + limit;
    loop {
        {
            let events = history.events();
            let own = events.writes.iter().rev().filter(|w| of(w));
            let later = own.take_while(|w| w.span.ended > from);
            let first = later.filter(|w| w.end == End::Ok && w.span.begun > from).last();
            if let Some(write) = first {
                return Ok(write.span.ended.0.saturating_sub(from.0));
            }
            crate::ensure!(
                Instant::now() < end,
                "no write was acknowledged within {} s; the last ended {:?}",
                limit.as_secs(),
                events.writes.last().map(|write| &write.end)
            );
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impatient_client_tries_again_at_once_until_an_outage_is_long() {
        let manner = Manner::impatient(Duration::from_millis(4));
        let pauses = [0, 1, MANY_FAILURES - 1, MANY_FAILURES].map(|failures| manner.pause_after(failures).as_millis());
        assert_eq!(pauses, [4, 2, 2, 20]);
        let patient = Manner::patient(Duration::from_millis(50));
        assert_eq!(patient.pause_after(MANY_FAILURES).as_millis(), 50);
    }
}
