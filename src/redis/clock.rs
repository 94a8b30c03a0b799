//! The one clock of looks, commands and decisions: the wall clock as it was at the start, carried on monotonically.
//!
//! Its times are compared with those of Kubernetes objects, and with each other: an answer must never look older than one
//! that came before it, or newer than now, because somebody sets the wall clock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

/// Where both clocks stood when time was first asked for.
static START: OnceLock<(Instant, i64)> = OnceLock::new();
/// Microseconds of the latest time that was given out.
static LATEST: AtomicI64 = AtomicI64::new(i64::MIN);

/// Now, later than every time given out before.
pub fn now() -> Timestamp {
    let (instant, wall) = START.get_or_init(|| (Instant::now(), Timestamp::now().as_microsecond()));
    let elapsed = i64::try_from(instant.elapsed().as_micros()).unwrap_or(i64::MAX);
    let carried = wall.saturating_add(elapsed);
    let next = |latest: i64| carried.max(latest.saturating_add(1));
    let before = LATEST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |latest| Some(next(latest)));
    Timestamp::from_microsecond(next(before.unwrap_or_else(|latest| latest))).unwrap_or(Timestamp::MAX)
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
