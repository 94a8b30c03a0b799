//! An outside observer: connected to every pod of a set as the application's user, trying a write again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use redis::Connection;

use crate::client::{ANSWER, CONNECT, Login, NUMBERS};
use crate::failure::{Context, Outcome};
use crate::history::{Authority, History, Probe, Readers, Span, Stamp};
use crate::set::Set;

/// Time between two writes to one pod.
const BETWEEN_PROBES: Duration = Duration::from_millis(50);
/// Time between two readings of status and Services, and of the list of pods.
const BETWEEN_READINGS: Duration = Duration::from_millis(100);

/// An observer beside the test, until it is stopped.
pub struct Observer {
    stop: Arc<AtomicBool>,
    reader: JoinHandle<()>,
}

impl Observer {
    /// Watches every pod that the set has or gets.
    #[must_use]
    pub fn start(set: &Set, login: &Login, history: &History) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (set, login, history, seen) = (set.clone(), login.clone(), history.clone(), Arc::clone(&stop));
        let reader = thread::spawn(move || read(&set, &login, &history, &seen));
        Self { stop, reader }
    }

    /// Ends it.
    ///
    /// # Errors
    /// If the observer panicked.
    pub fn stop(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.join().ok().context("the observer panicked")
    }
}

/// Reads who is in charge and who is read from, and has a prober for every address of a pod.
fn read(set: &Set, login: &Login, history: &History, stop: &AtomicBool) {
    let mut probers: BTreeMap<(String, String), (Arc<AtomicBool>, JoinHandle<()>)> = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        // Silence of the API server is no reading.
        if let Ok(reading) = authority(set) {
            history.events().authorities.push(reading);
        }
        if let Ok(reading) = readers(set) {
            history.events().readers.push(reading);
        }
        if let Ok(addresses) = set.addresses() {
            for key in &addresses {
                probers.entry(key.clone()).or_insert_with(|| {
                    let end = Arc::new(AtomicBool::new(false));
                    let (seen, history) = (Arc::clone(&end), history.clone());
                    let (pod, login) = (key.0.clone(), login.at(&key.1));
                    (end, thread::spawn(move || probe(&pod, &login, &history, &seen)))
                });
            }
            for (_, (end, _)) in probers.iter().filter(|(key, _)| !addresses.contains(*key)) {
                end.store(true, Ordering::Relaxed);
            }
            probers.retain(|key, (_, thread)| addresses.contains(key) || !thread.is_finished());
        }
        thread::sleep(BETWEEN_READINGS);
    }
    for (end, thread) in probers.into_values() {
        end.store(true, Ordering::Relaxed);
        let _ = thread.join();
    }
}

/// The VIP before status: status is written first, so a later status never lags behind an earlier VIP.
fn authority(set: &Set) -> Outcome<Authority> {
    let begun = Stamp::now();
    let vip = set.vip_selects()?;
    let status = set.status()?;
    let ended = Stamp::now();
    Ok(Authority {
        span: Span { begun, ended },
        master: status["master"]["name"].as_str().map(Into::into),
        epoch: status["epoch"].as_i64().unwrap_or(0),
        vip,
    })
}

fn readers(set: &Set) -> Outcome<Readers> {
    let begun = Stamp::now();
    let pods = set.behind_read_service()?;
    let ended = Stamp::now();
    Ok(Readers {
        span: Span { begun, ended },
        pods,
    })
}

fn probe(pod: &str, login: &Login, history: &History, end: &AtomicBool) {
    let mut connection = None;
    while !end.load(Ordering::Relaxed) {
        let begun = Stamp::now();
        let (refusal, held) = try_once(login, &mut connection);
        let ended = Stamp::now();
        history.events().probes.push(Probe {
            pod: pod.into(),
            span: Span { begun, ended },
            writable: refusal.is_none(),
            refusal,
            held,
        });
        thread::sleep(BETWEEN_PROBES);
    }
}

fn try_once(login: &Login, held: &mut Option<Connection>) -> (Option<String>, Option<u64>) {
    let connection = match held {
        Some(connection) => connection,
        None => match login.connect_within(6379, CONNECT, ANSWER) {
            Ok(connection) => held.insert(connection),
            Err(error) => return (Some(format!("connect: {error}")), None),
        },
    };
    let written = redis::cmd("SET").arg("probe").arg("x").query::<()>(connection);
    if written.as_ref().is_err_and(|error| error.code().is_none()) {
        *held = None;
        return (written.err().map(|error| error.to_string()), None);
    }
    let count = redis::cmd("SCARD").arg(NUMBERS).query::<u64>(connection);
    if count.as_ref().is_err_and(|error| error.code().is_none()) {
        *held = None;
    }
    (written.err().map(|error| error.to_string()), count.ok())
}
