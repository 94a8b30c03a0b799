//! Ctrl-C and termination signals as a value that waiting code looks at.
//!
//! The signals are blocked and taken by a thread, because a handler would need unsafe code.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};

use crate::error::{Error, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT, SIGTERM and SIGHUP make [`check`] fail instead of ending the process.
/// Call it before any other thread exists. Programs started later are not affected: the standard
/// library clears their signal mask.
pub(crate) fn watch() {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGHUP);
    if signals.thread_block().is_err() {
        return;
    }
    thread::spawn(move || {
        while signals.wait().is_ok() {
            INTERRUPTED.store(true, Ordering::SeqCst);
        }
    });
}

/// Fails once a signal has come.
pub(crate) fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::SeqCst) {
        Err(Error::Interrupted)
    } else {
        Ok(())
    }
}

/// Forgets the signal, so that the clearing up it asked for is not interrupted by it.
pub(crate) fn taken() {
    INTERRUPTED.store(false, Ordering::SeqCst);
}

/// Polls until `done` says yes. The interval is short at first: most waits end within it.
pub(crate) fn wait_until(
    what: impl Into<String>,
    limit: Duration,
    log: &std::path::Path,
    mut done: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let end = Instant::now() + limit;
    loop {
        check()?;
        if done()? {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(Error::Timeout {
                what: what.into(),
                seconds: limit.as_secs(),
                log: log.to_owned(),
            });
        }
        thread::sleep(Duration::from_millis(100));
    }
}
