//! What applications do besides writing numbers: lists, counters, compare-and-set, expiry, queues.
//!
//! Each is a client of its own through the VIP, on keys that nobody else uses; what it did is recorded, and judged by
//! [`check`]. Nothing here knows what is done to the cluster.

pub mod check;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use redis::{Commands as _, Connection, RedisError, RedisResult};

use crate::client::{Login, Manner, end_of};
use crate::failure::{Context, Outcome};
use crate::history::{Did, End, Operation, Span, Stamp};

/// After an operation.
const PAUSE: Duration = Duration::from_millis(8);
/// How long a consumer waits for an element.
const TAKE: f64 = 0.2;
/// Time to live of a key that is gone when a workload is judged.
pub const SHORT: Duration = Duration::from_millis(700);
/// Time to live of a key that is there when a workload is judged.
pub const LONG: Duration = Duration::from_secs(3600);

/// Numbers that no two operations of this process share.
fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The names of the keys of one run.
#[derive(Clone, Debug)]
pub struct Keys {
    run: u64,
}

impl Keys {
    fn name(&self, of: &str) -> String {
        format!("{of}:{}", self.run)
    }

    /// One key of many.
    fn one(&self, of: &str, number: u64) -> String {
        format!("{of}:{}:{number}", self.run)
    }
}

/// Clients beside the test, until they are stopped.
pub struct Workloads {
    keys: Keys,
    stop: Arc<AtomicBool>,
    done: Arc<Mutex<Vec<Operation>>>,
    threads: Vec<JoinHandle<()>>,
}

type Step = fn(&Keys, &mut Connection, i64) -> (Did, RedisResult<bool>);

impl Workloads {
    /// Starts one client of each kind and two that compete for the register. Swaps are confirmed by `quorum` replicas.
    #[must_use]
    pub fn start(login: &Login, quorum: i64) -> Self {
        let mut all = Self {
            keys: Keys { run: fresh() },
            stop: Arc::default(),
            done: Arc::default(),
            threads: Vec::new(),
        };
        let steps: [Step; 8] = [append, count, swap, swap, expire_soon, expire_late, enqueue, take];
        for step in steps {
            all.client(login, quorum, step);
        }
        all
    }

    fn client(&mut self, login: &Login, quorum: i64, step: Step) {
        let (login, keys, stop, done) = (login.clone(), self.keys.clone(), self.stop.clone(), self.done.clone());
        let manner = Manner::impatient(PAUSE);
        self.threads.push(thread::spawn(move || {
            let mut held = None;
            while !stop.load(Ordering::Relaxed) {
                let connection = match &mut held {
                    Some(connection) => connection,
                    None => match login.connect_within(6379, manner.connect, Duration::from_secs(1)) {
                        Ok(connection) => held.insert(connection),
                        Err(_) => {
                            thread::sleep(manner.after_failure);
                            continue;
                        }
                    },
                };
                let begun = Stamp::now();
                let (did, result) = step(&keys, connection, quorum);
                let ended = Stamp::now();
                let confirmed = matches!(result, Ok(true));
                let end = result.map_or_else(|error| end_of(&error), |_| End::Ok);
                if end != End::Ok {
                    held = None;
                }
                let span = Span { begun, ended };
                let operation = Operation {
                    did,
                    span,
                    end,
                    confirmed,
                };
                done.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
                thread::sleep(manner.pause);
            }
        }));
    }

    /// Ends them, each after its current operation. Returns what they did and on which keys.
    ///
    /// # Errors
    /// If one panicked.
    pub fn stop(mut self) -> Outcome<(Keys, Vec<Operation>)> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().ok().context("a client panicked")?;
        }
        let done = std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner));
        Ok((self.keys.clone(), done))
    }
}

/// Those that a failed test drops do no more.
impl Drop for Workloads {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn append(keys: &Keys, connection: &mut Connection, _: i64) -> (Did, RedisResult<bool>) {
    let element = fresh();
    let pushed = connection.rpush::<_, _, u64>(keys.name("list"), element);
    (Did::Append(element), pushed.map(|_| false))
}

fn count(keys: &Keys, connection: &mut Connection, _: i64) -> (Did, RedisResult<bool>) {
    match connection.incr::<_, _, u64>(keys.name("counter"), 1) {
        Ok(value) => (Did::Count(Some(value)), Ok(false)),
        Err(error) => (Did::Count(None), Err(error)),
    }
}

/// A compare-and-set by WATCH and MULTI. Losing the race is no error and swaps nothing.
fn swap(keys: &Keys, connection: &mut Connection, quorum: i64) -> (Did, RedisResult<bool>) {
    let (key, to) = (keys.name("register"), fresh());
    let read = redis::cmd("WATCH")
        .arg(&key)
        .query::<()>(connection)
        .and_then(|()| connection.get::<_, Option<u64>>(&key));
    let from = match read {
        Ok(from) => from.unwrap_or(0),
        // Nothing was sent that could swap.
        Err(error) => return (Did::Lookup, Err(error)),
    };
    let swapped = redis::pipe().atomic().set(&key, to).query::<Option<((),)>>(connection);
    match swapped {
        Ok(Some(_)) => {
            let held: RedisResult<i64> = redis::cmd("WAIT").arg(quorum).arg(100).query(connection);
            (
                Did::Swap { from, to },
                Ok(held.is_ok_and(|held| held >= quorum && quorum > 0)),
            )
        }
        Ok(None) => (Did::Lookup, Ok(false)),
        Err(error) => (Did::Swap { from, to }, Err(error)),
    }
}

fn expire_soon(keys: &Keys, connection: &mut Connection, _: i64) -> (Did, RedisResult<bool>) {
    let number = fresh();
    let set = set_for(connection, &keys.one("soon", number), SHORT);
    (Did::SetSoon(number), set)
}

fn expire_late(keys: &Keys, connection: &mut Connection, _: i64) -> (Did, RedisResult<bool>) {
    let number = fresh();
    let set = set_for(connection, &keys.one("late", number), LONG);
    (Did::SetLate(number), set)
}

fn set_for(connection: &mut Connection, key: &str, life: Duration) -> RedisResult<bool> {
    let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
    connection.pset_ex::<_, _, ()>(key, "x", life).map(|()| false)
}

fn enqueue(keys: &Keys, connection: &mut Connection, _: i64) -> (Did, RedisResult<bool>) {
    let element = fresh();
    let pushed = connection.rpush::<_, _, u64>(keys.name("queue"), element);
    (Did::Enqueue(element), pushed.map(|_| false))
}

/// A blocked client is one that a change of role has to wake.
fn take(keys: &Keys, connection: &mut Connection, _: i64) -> (Did, RedisResult<bool>) {
    match connection.blpop::<_, Option<(String, u64)>>(keys.name("queue"), TAKE) {
        Ok(taken) => (Did::Take(taken.map(|(_, element)| element)), Ok(false)),
        Err(error) => (Did::Take(None), Err(error)),
    }
}

/// What the keys of a run hold in the end, as one server has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// The list.
    pub list: Vec<u64>,
    /// The counter.
    pub counter: u64,
    /// The register; 0 if it was never set.
    pub register: u64,
    /// Elements that nobody took.
    pub queue: Vec<u64>,
    /// Keys that were to expire soon and are there.
    pub soon: Vec<u64>,
    /// Keys that were to expire late and are there.
    pub late: Vec<u64>,
    /// Keys that were to expire late and never will, or later than they were to.
    pub immortal: Vec<u64>,
}

impl Ending {
    /// Reads it, from a server that has everything, when what was to live short has had its time.
    ///
    /// # Errors
    /// If it does not answer or refuses.
    pub fn read(login: &Login, keys: &Keys, done: &[Operation]) -> Outcome<Self> {
        thread::sleep(SHORT);
        let mut connection = login.connect()?;
        let mut ending = Self {
            list: connection.lrange(keys.name("list"), 0, -1)?,
            counter: connection.get::<_, Option<u64>>(keys.name("counter"))?.unwrap_or(0),
            register: connection.get::<_, Option<u64>>(keys.name("register"))?.unwrap_or(0),
            queue: connection.lrange(keys.name("queue"), 0, -1)?,
            ..Self::default()
        };
        for Operation { did, .. } in done {
            match *did {
                Did::SetSoon(number) if connection.exists(keys.one("soon", number))? => ending.soon.push(number),
                Did::SetLate(number) => ending.note_late(number, life_of(&mut connection, &keys.one("late", number))?),
                _ => {}
            }
        }
        Ok(ending)
    }

    fn note_late(&mut self, number: u64, life: i64) {
        let most = i64::try_from(LONG.as_millis()).unwrap_or(i64::MAX);
        match life {
            // There is no such key.
            -2 => {}
            life if (0..=most).contains(&life) => self.late.push(number),
            _ => self.immortal.push(number),
        }
    }
}

/// Milliseconds a key has to live, as PTTL tells: -2 for no key, -1 for one without an end.
fn life_of(connection: &mut Connection, key: &str) -> Result<i64, RedisError> {
    redis::cmd("PTTL").arg(key).query(connection)
}
