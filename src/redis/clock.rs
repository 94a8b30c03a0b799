//! The one clock of looks and commands: the wall clock, but never set back.
//!
//! Its times are compared with those of Kubernetes objects, and with each other: an answer must never look older than one
//! that came before it, or what was seen would stand still until the wall clock has caught up.

use std::sync::atomic::{AtomicI64, Ordering};

use k8s_openapi::jiff::Timestamp;

/// Microseconds of the latest time that was given out.
static LATEST: AtomicI64 = AtomicI64::new(i64::MIN);

/// Now, later than every time given out before.
pub(super) fn now() -> Timestamp {
    let wall = Timestamp::now().as_microsecond();
    let next = |latest: i64| wall.max(latest.saturating_add(1));
    let before = LATEST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |latest| Some(next(latest)));
    let micros = next(before.unwrap_or_else(|latest| latest));
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_stands_still_nor_goes_back() {
        let times: Vec<_> = (0..1000).map(|_| now()).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
