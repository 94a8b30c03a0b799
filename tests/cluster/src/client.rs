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

const CONNECT: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(2);
/// After a failure, so that a refused connection is not tried thousands of times.
const AFTER_FAILURE: Duration = Duration::from_millis(20);

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
        let user = RedisConnectionInfo::default()
            .set_username(&self.user)
            .set_password(&self.password);
        let info = (self.host.as_str(), 6379)
            .into_connection_info()?
            .set_redis_settings(user);
        let connection = redis::Client::open(info)?.get_connection_with_timeout(CONNECT)?;
        connection.set_read_timeout(Some(ANSWER))?;
        connection.set_write_timeout(Some(ANSWER))?;
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
    thread: JoinHandle<()>,
}

impl Writer {
    /// Writes about every `pause` into `history`.
    #[must_use]
    pub fn start(login: Login, history: History, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let first = WRITERS.fetch_add(1, Ordering::Relaxed) * NUMBERS_OF_A_WRITER;
        let thread = thread::spawn(move || {
            let mut connection = None;
            let mut numbers = first..;
            while !seen.load(Ordering::Relaxed) {
                let Some(number) = numbers.next() else { break };
                let write = write(&login, &mut connection, number);
                let failed = write.end != End::Ok;
                history.events().writes.push(write);
                thread::sleep(if failed { AFTER_FAILURE.max(pause) } else { pause });
            }
        });
        Self { stop, thread }
    }

    /// Ends it after its current write.
    ///
    /// # Errors
    /// If the writer panicked.
    pub fn stop(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("a writer panicked")
    }
}

fn write(login: &Login, connection: &mut Option<Connection>, number: u64) -> Write {
    let begun = Stamp::now();
    let end = attempt(login, connection, number);
    if matches!(end, End::Unknown(_)) {
        *connection = None;
    }
    let ended = Stamp::now();
    Write {
        number,
        span: Span { begun, ended },
        end,
    }
}

fn attempt(login: &Login, held: &mut Option<Connection>, number: u64) -> End {
    let connection = match held {
        Some(connection) => connection,
        // The number was not sent yet.
        None => match login.connect() {
            Ok(connection) => held.insert(connection),
            Err(error) => return End::Fail(format!("connect: {error}")),
        },
    };
    match redis::cmd("SADD").arg(NUMBERS).arg(number).query::<u64>(connection) {
        Ok(1) => End::Ok,
        Ok(_) => End::Fail(format!("{number} was there before it was written")),
        Err(error) if error.code().is_some() => {
            let reply = error.to_string();
            // A server that has lost its role may keep the connection: connect again, as client libraries do.
            *held = None;
            End::Fail(reply)
        }
        Err(error) => End::Unknown(error.to_string()),
    }
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
    let end = Instant::now() + limit;
    loop {
        {
            let events = history.events();
            let later = events.writes.iter().rev().take_while(|w| w.span.ended > from);
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
