//! How the seconds of a pod's end are shared out.
//!
//! The kubelet's grace period holds the sleep before SIGTERM, in which the operator hands the master over, then
//! Redis's own wait for its replicas, then a rest for the process to go.

use crate::model::cluster::Tier;

/// The parts of a pod's grace period, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    /// `terminationGracePeriodSeconds`.
    pub total_seconds: i64,
    /// The preStop sleep.
    pub sleep_seconds: i64,
    /// Redis's `shutdown-timeout`.
    pub shutdown_seconds: i64,
}

const SLEEP: i64 = 10;
const SHUTDOWN: i64 = 10;
const REST: i64 = 5;

impl Grace {
    /// As the spec gives it, else 10 + 10 + 5. A shorter period, 15 s at least, shortens both waits and keeps the rest.
    pub fn of(tier: Tier<'_>) -> Self {
        let total = tier.template.spec.termination_grace_period_seconds;
        let total = total.unwrap_or(SLEEP + SHUTDOWN + REST);
        let half = (total - REST) / 2;
        Self {
            total_seconds: total,
            sleep_seconds: half.clamp(1, SLEEP),
            shutdown_seconds: half.clamp(1, SHUTDOWN),
        }
    }
}
