//! One operator acts: a Lease taken and renewed by compare-and-set.
//!
//! Expiry is counted on this process's own monotonic clock, never by comparing wall clocks: a challenger counts from
//! when it first saw a version of the Lease, the holder from the start of its last successful renewal, and it stops
//! well before a challenger may take over. Nothing here knows what leadership is used for.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Times of a Lease. `hold + the longest call < duration`, checked at start.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long a Lease that is not renewed still excludes others.
    pub duration: Duration,
    /// How often the holder renews it.
    pub renew_period: Duration,
    /// How long after the start of its last successful renewal the holder still acts.
    pub hold: Duration,
}

/// How often a challenger looks.
const LOOK_PERIOD: Duration = Duration::from_millis(500);
/// A call to the API server about the Lease takes no longer.
const CALL: Duration = Duration::from_secs(1);

/// May this process act, and until when? Checked right before each effect.
#[derive(Clone)]
pub struct Leadership(watch::Receiver<Option<Instant>>);

/// The Lease is not held, or not for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this operator does not hold the Lease any more")]
pub struct NotLeader;

impl Leadership {
    /// Whether a call that takes at most `margin` may be begun now.
    ///
    /// # Errors
    /// [`NotLeader`] if the Lease may end before the call does.
    pub fn check(&self, margin: Duration) -> Result<(), NotLeader> {
        let until = *self.0.borrow();
        if until.is_some_and(|until| Instant::now() + margin < until) {
            Ok(())
        } else {
            Err(NotLeader)
        }
    }

    /// Waits until this process leads.
    pub async fn gained(&mut self) {
        let led = self
            .0
            .wait_for(|until| until.is_some_and(|until| Instant::now() < until))
            .await
            .is_ok();
        if !led {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until this process does not lead any more, by release, by loss, or by time.
    pub async fn lost(&mut self) {
        loop {
            let Some(until) = *self.0.borrow_and_update() else {
                return;
            };
            if until <= Instant::now() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                changed = self.0.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// What a look at the Lease leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Renew,
    Take,
    Wait,
}

/// What a challenger remembers: the version it saw and since when.
#[derive(Debug, Default)]
struct Sight {
    version: Option<String>,
    since: Option<Instant>,
}

impl Sight {
    /// Judges a Lease as read now.
    fn judge(&mut self, lease: &Lease, me: &str, duration: Duration, now: Instant) -> Claim {
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.as_deref().unwrap_or("");
        if holder.is_empty() {
            return Claim::Take;
        }
        if holder == me {
            return Claim::Renew;
        }
        if self.version != lease.metadata.resource_version {
            self.version = lease.metadata.resource_version.clone();
            self.since = Some(now);
        }
        // The holder's own word for how long it excludes others, if that is longer than ours.
        let said = spec
            .lease_duration_seconds
            .and_then(|s| u64::try_from(s).ok())
            .map_or(Duration::ZERO, Duration::from_secs);
        let expired = self.since.is_some_and(|since| since + duration.max(said) < now);
        if expired { Claim::Take } else { Claim::Wait }
    }
}

/// Keeps the Lease for this process until cancelled, then gives it back.
pub struct Keeper {
    api: Api<Lease>,
    name: String,
    me: String,
    timing: Timing,
    until: watch::Sender<Option<Instant>>,
}

impl Keeper {
    /// A keeper, and the handle by which others know whether this process leads.
    pub fn new(api: Api<Lease>, name: String, me: String, timing: Timing) -> (Self, Leadership) {
        let (until, receiver) = watch::channel(None);
        (
            Self {
                api,
                name,
                me,
                timing,
                until,
            },
            Leadership(receiver),
        )
    }

    /// Runs until `stop`; then the Lease is given back, so that another operator need not wait.
    pub async fn run(self, stop: CancellationToken) {
        let mut sight = Sight::default();
        loop {
            let started = Instant::now();
            let held = match timeout(CALL, self.claim(&mut sight)).await {
                Ok(Ok(held)) => held,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "lease");
                    None
                }
                Err(_) => {
                    tracing::warn!("lease: the API server did not answer within a second");
                    None
                }
            };
            self.note(started, held);
            let pause = if held == Some(true) {
                self.timing.renew_period
            } else {
                LOOK_PERIOD
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(pause.saturating_sub(started.elapsed())) => {}
            }
        }
        self.release().await;
    }

    /// Notes the outcome of a claim begun at `started`. An unknown outcome leaves what was held to its own end.
    fn note(&self, started: Instant, held: Option<bool>) {
        let led = self.until.borrow().is_some();
        match held {
            Some(true) => {
                if !led {
                    tracing::info!(identity = %self.me, "leads");
                }
                self.until.send_replace(Some(started + self.timing.hold));
            }
            Some(false) => {
                if led {
                    tracing::warn!("another operator holds the Lease");
                }
                self.until.send_replace(None);
            }
            None => {
                let over = self.until.borrow().is_some_and(|until| until <= Instant::now());
                if over {
                    tracing::warn!("the Lease could not be renewed in time");
                    self.until.send_replace(None);
                }
            }
        }
    }

    /// Renews or takes the Lease. `Some(false)`: somebody else has it. A lost race is not an error.
    async fn claim(&self, sight: &mut Sight) -> kube::Result<Option<bool>> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let new = Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                },
                spec: None,
            };
            return won(self
                .api
                .create(&PostParams::default(), &self.signed(new, true))
                .await
                .map(drop));
        };
        match sight.judge(&lease, &self.me, self.timing.duration, Instant::now()) {
            Claim::Wait => Ok(Some(false)),
            Claim::Renew => self.replace(self.signed(lease, false)).await,
            Claim::Take => self.replace(self.signed(lease, true)).await,
        }
    }

    /// The version that was read travels with the write: a racing writer gets 409.
    async fn replace(&self, lease: Lease) -> kube::Result<Option<bool>> {
        won(self
            .api
            .replace(&self.name, &PostParams::default(), &lease)
            .await
            .map(drop))
    }

    fn signed(&self, mut lease: Lease, taken: bool) -> Lease {
        let now = MicroTime(Timestamp::now());
        let spec = lease.spec.get_or_insert_default();
        if taken {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0) + 1);
        }
        spec.holder_identity = Some(self.me.clone());
        spec.lease_duration_seconds = Some(i32::try_from(self.timing.duration.as_secs().max(1)).unwrap_or(i32::MAX));
        spec.renew_time = Some(now);
        lease
    }

    async fn release(&self) {
        self.until.send_replace(None);
        let given_back = timeout(CALL, async {
            let Some(mut lease) = self.api.get_opt(&self.name).await? else {
                return Ok(());
            };
            if lease.spec.as_ref().and_then(|s| s.holder_identity.as_deref()) != Some(self.me.as_str()) {
                return Ok(());
            }
            lease.spec = Some(LeaseSpec {
                holder_identity: None,
                renew_time: None,
                ..lease.spec.unwrap_or_default()
            });
            self.api
                .replace(&self.name, &PostParams::default(), &lease)
                .await
                .map(drop)
        });
        match given_back.await {
            Ok(Ok(())) => tracing::info!("gave the Lease back"),
            Ok(Err(error)) => tracing::warn!(%error, "giving the Lease back"),
            Err(_) => tracing::warn!("giving the Lease back took too long"),
        }
    }
}

fn won(result: kube::Result<()>) -> kube::Result<Option<bool>> {
    match result {
        Ok(()) => Ok(Some(true)),
        // Whoever wrote first may have been anybody: what is held stands to its own end, and the next look tells.
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(4);

    fn lease(holder: Option<&str>, version: &str) -> Lease {
        let metadata = ObjectMeta {
            resource_version: Some(version.into()),
            ..ObjectMeta::default()
        };
        let spec = LeaseSpec {
            holder_identity: holder.map(Into::into),
            lease_duration_seconds: Some(4),
            ..LeaseSpec::default()
        };
        Lease {
            metadata,
            spec: Some(spec),
        }
    }

    #[test]
    fn a_challenger_counts_from_when_it_first_saw_a_version() {
        let mut sight = Sight::default();
        let t0 = Instant::now();
        let mut at = |version: &str, after: u64| {
            sight.judge(
                &lease(Some("other"), version),
                "me",
                DURATION,
                t0 + Duration::from_millis(after),
            )
        };
        assert_eq!(at("1", 0), Claim::Wait);
        assert_eq!(at("1", 4000), Claim::Wait);
        assert_eq!(at("2", 4001), Claim::Wait, "it was renewed");
        assert_eq!(at("2", 8001), Claim::Wait);
        assert_eq!(at("2", 8002), Claim::Take);
    }

    #[test]
    fn a_free_lease_is_taken_and_an_own_one_renewed() {
        let mut sight = Sight::default();
        let now = Instant::now();
        assert_eq!(sight.judge(&lease(None, "1"), "me", DURATION, now), Claim::Take);
        assert_eq!(sight.judge(&lease(Some(""), "1"), "me", DURATION, now), Claim::Take);
        assert_eq!(sight.judge(&lease(Some("me"), "1"), "me", DURATION, now), Claim::Renew);
    }

    #[tokio::test(start_paused = true)]
    async fn leadership_ends_by_time_alone() {
        let (sender, receiver) = watch::channel(Some(Instant::now() + Duration::from_secs(2)));
        let mut leadership = Leadership(receiver);
        assert_eq!(leadership.check(Duration::from_millis(1999)), Ok(()));
        assert_eq!(leadership.check(Duration::from_secs(2)), Err(NotLeader));
        let begun = Instant::now();
        leadership.lost().await;
        assert_eq!(begun.elapsed().as_secs(), 2);
        assert_eq!(leadership.check(Duration::ZERO), Err(NotLeader));
        drop(sender);
    }
}
