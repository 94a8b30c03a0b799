//! What happened, as recorded while a test ran: operations of clients, probes of pods, readings of authority, faults.
//!
//! Stamps are of one monotonic clock per process. Nothing here judges; that is [`crate::checkers`].

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::failure::Outcome;

/// Time since the process began to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Stamp(pub Duration);

impl Stamp {
    /// Now.
    pub fn now() -> Self {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        Self(ORIGIN.get_or_init(Instant::now).elapsed())
    }
}

/// From just before something was asked until its answer was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Before it was asked.
    pub begun: Stamp,
    /// When the answer was there.
    pub ended: Stamp,
}

/// How an operation of a client ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum End {
    /// The server said it did it.
    Ok,
    /// The server said it did not, or was never asked.
    Fail(String),
    /// Nobody knows: no answer.
    Unknown(String),
}

/// A client's write of one number that is written only once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Write {
    /// The number.
    pub number: u64,
    /// When.
    pub span: Span,
    /// How it ended.
    pub end: End,
    /// Whether as many replicas as the client asked for (WAIT) said that they have it.
    pub confirmed: bool,
}

/// What a client of another kind did or tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Did {
    /// Appended an element to a list. Elements grow.
    Append(u64),
    /// Added one to a counter, which then was this, if it said so.
    Count(Option<u64>),
    /// Looked at a register and swapped nothing.
    Lookup,
    /// Swapped the value that a register had for another, which is used only once.
    Swap {
        /// What it was.
        from: u64,
        /// What it is.
        to: u64,
    },
    /// Set a key that soon expires.
    SetSoon(u64),
    /// Set a key that expires late.
    SetLate(u64),
    /// Put an element into a queue.
    Enqueue(u64),
    /// Took one from it, if there was one.
    Take(Option<u64>),
}

/// One operation of such a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// What.
    pub did: Did,
    /// When.
    pub span: Span,
    /// How it ended.
    pub end: End,
    /// As for a [`Write`].
    pub confirmed: bool,
}

/// What a pod answered to a write of the application's user that came to it directly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// The pod.
    pub pod: String,
    /// When.
    pub span: Span,
    /// Whether it took the write.
    pub writable: bool,
    /// Why not.
    pub refusal: Option<String>,
    /// How many numbers of the clients it holds, if it says.
    pub held: Option<u64>,
}

/// Who was in charge, as one reading of the VIP Service and, after it, of the set's status shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Authority {
    /// When.
    pub span: Span,
    /// The pod that status names master.
    pub master: Option<String>,
    /// Status's epoch; 0 before the first.
    pub epoch: i64,
    /// The pod that the VIP selects; `None` for nobody.
    pub vip: Option<String>,
}

/// Whom the read Service leads to, by one reading of its EndpointSlices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readers {
    /// When.
    pub span: Span,
    /// Pods that they show as ready.
    pub pods: BTreeSet<String>,
}

/// Something that a test did to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// Just before.
    pub at: Stamp,
    /// What.
    pub what: String,
}

/// Everything that was recorded, each list in the order in which things ended.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Events {
    /// Writes of all clients.
    pub writes: Vec<Write>,
    /// What clients of other kinds did.
    pub operations: Vec<Operation>,
    /// Probes of all pods.
    pub probes: Vec<Probe>,
    /// Readings of status and VIP.
    pub authorities: Vec<Authority>,
    /// Readings of the read Service.
    pub readers: Vec<Readers>,
    /// Faults.
    pub marks: Vec<Mark>,
}

/// A history that several threads write.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<Events>>);

impl History {
    /// The events, for a change or a look.
    pub fn events(&self) -> MutexGuard<'_, Events> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what is about to be done.
    pub fn mark(&self, what: impl Into<String>) -> Stamp {
        let (at, what) = (Stamp::now(), what.into());
        self.events().marks.push(Mark { at, what });
        at
    }

    /// One JSON object a line: a kind and the event.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, file: &Path) -> Outcome {
        #[derive(Serialize)]
        struct Line<'a, T>(&'a str, &'a T);
        fn lines<T: Serialize>(kind: &str, events: &[T]) -> serde_json::Result<String> {
            let mut text = String::new();
            for event in events {
                text += &serde_json::to_string(&Line(kind, event))?;
                text.push('\n');
            }
            Ok(text)
        }
        let events = self.events();
        let text = [
            lines("mark", &events.marks)?,
            lines("authority", &events.authorities)?,
            lines("readers", &events.readers)?,
            lines("write", &events.writes)?,
            lines("operation", &events.operations)?,
            lines("probe", &events.probes)?,
        ];
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory)?;
        }
        Ok(fs::write(file, text.concat())?)
    }
}
