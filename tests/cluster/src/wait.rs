//! Waiting for a condition, with a deadline.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};

/// How often a condition is looked at.
pub const LOOK: Duration = Duration::from_millis(100);

/// What a look showed.
pub enum Look<T> {
    /// It is so.
    There(T),
    /// Not yet; how it is instead, for the message if it never comes.
    NotYet(String),
}

impl<T> Look<T> {
    /// `There` of the value if there is one.
    pub fn some(value: Option<T>, otherwise: impl Display) -> Self {
        value.map_or_else(|| Self::NotYet(otherwise.to_string()), Self::There)
    }
}

impl Look<()> {
    /// `There` if it holds.
    pub fn when(holds: bool, otherwise: impl Display) -> Self {
        Self::some(holds.then_some(()), otherwise)
    }
}

/// Looks until it is so. An error of a look counts as not yet: a cluster under faults answers with errors.
///
/// # Errors
/// After `limit`, with what the last look showed.
pub fn until<T>(what: impl Display, limit: Duration, mut look: impl FnMut() -> Outcome<Look<T>>) -> Outcome<T> {
    let end = Instant::now() + limit;
    loop {
        let shown = match look() {
            Ok(Look::There(value)) => return Ok(value),
            Ok(Look::NotYet(shown)) => shown,
            Err(error) => error.to_string(),
        };
        if Instant::now() >= end {
            let seconds = limit.as_secs_f32();
            return Err(Failure::new(format!(
                "waited {seconds} s for {what}; last seen: {shown}"
            )));
        }
        thread::sleep(LOOK);
    }
}
