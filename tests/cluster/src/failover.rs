//! Changes of the master as a set's status tells them, how one is asked for, and what the servers count themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::client::Login;
use crate::ensure;
use crate::failure::{Context, Outcome};
use crate::set::{Set, TIER, summary, text};
use crate::wait::{Look, until};

/// One entry of `status.failovers`, as far as the tests read it.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The epoch that it made.
    pub epoch: i64,
    /// `Failover` or `Switchover`.
    pub kind: String,
    /// Why.
    pub reason: String,
    /// What showed that the master before takes no more writes.
    pub proof: String,
    /// The master before.
    pub from: String,
    /// The master since.
    pub to: String,
    /// Upper bound of acknowledged bytes that nobody holds any more; absent if it can not be told.
    pub max_lost_bytes: Option<u64>,
    /// `Proven`, `TimeElapsed` or `Pending`.
    pub fence: String,
    /// Milliseconds until each phase was done.
    pub phases_ms: BTreeMap<String, i64>,
    /// Resyncs of replicas that were under the new master when it ended.
    pub resyncs: Resyncs,
    /// All of it in a sentence.
    pub message: String,
}

/// Resyncs that replicas got.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct Resyncs {
    /// Of what was missing.
    pub partial: u64,
    /// Of everything.
    pub full: u64,
}

/// Full resyncs that each server has given, by pod and process: a process that was started again counts anew.
pub type FullResyncs = BTreeMap<(String, String), u64>;

impl Set {
    /// The changes of the master that status remembers, newest first.
    ///
    /// # Errors
    /// If the object cannot be read or a report lacks something.
    pub fn reports(&self) -> Outcome<Vec<Report>> {
        let reports = self.status()?["failovers"].take();
        if reports.is_null() {
            return Ok(Vec::new());
        }
        serde_json::from_value(reports).context("status.failovers")
    }

    /// The reports of changes after `epoch`, oldest first, when the newest has come and the set is Ready: of this spec,
    /// with no change under way.
    ///
    /// # Errors
    /// If none has come after `limit`.
    pub fn wait_reports_after(&self, epoch: i64, limit: Duration) -> Outcome<Vec<Report>> {
        let what = format!("a report of a change after epoch {epoch}, and Ready");
        until(what, limit, || {
            let object = self.object()?;
            let mut later = self.reports()?;
            later.retain(|report| report.epoch > epoch);
            later.reverse();
            let over = object["status"]["operation"].is_null() && crate::set::is_ready(&object);
            let found = (over && !later.is_empty()).then_some(later);
            Ok(Look::some(found, summary(&object)))
        })
    }

    /// Waits until the set is Ready and could lose its master: each pod of the core is an elector that holds everything.
    ///
    /// # Errors
    /// After `limit`.
    pub fn wait_redundant(&self, limit: Duration) -> Outcome {
        let what = format!(
            "{}/{} to be Ready, every pod of the core an elector",
            self.namespace, self.name
        );
        until(what, limit, || {
            let object = self.object()?;
            let electors = object["status"]["electors"].as_array().map_or(&[][..], Vec::as_slice);
            let voting = electors.iter().filter(|elector| elector["learner"] != true).count();
            let pods = self.pods()?;
            let core = |pod: &&Value| pod["metadata"]["labels"][TIER] == "core";
            let all = pods.iter().filter(core).count();
            let shown = format!("{voting} electors of {all} pods; {}", summary(&object));
            Ok(Look::when(crate::set::is_ready(&object) && voting == all, shown))
        })
    }

    /// A login that leads to the master's pod, and not through the VIP, which writers tried: connection tracking leads one that
    /// takes the port of an earlier attempt to where that went, and clients here make tens of thousands.
    ///
    /// # Errors
    /// Without a master that has an address.
    pub fn login_at_the_master(&self) -> Outcome<Login> {
        let (master, addresses) = (self.master()?, self.addresses()?);
        let address = addresses.into_iter().find(|(pod, _)| *pod == master);
        let (_, address) = address.context("the master has an address")?;
        Ok(self.login()?.at(address))
    }

    /// Status's epoch.
    ///
    /// # Errors
    /// If there is none.
    pub fn epoch(&self) -> Outcome<i64> {
        let status = self.status()?;
        status["epoch"].as_i64().context("status has no epoch")
    }

    /// How many replicas have to confirm a write so that it survives (`status.quorum.wait`).
    ///
    /// # Errors
    /// If status does not say.
    pub fn quorum(&self) -> Outcome<i64> {
        let status = self.status()?;
        status["quorum"]["wait"].as_i64().context("status has no quorum.wait")
    }

    /// Asks for something by annotation: `switchover`, `any@1`.
    ///
    /// # Errors
    /// If the API server refuses.
    pub fn ask(&self, name: &str, value: &str) -> Outcome {
        let key = format!("redisreplicaset.dev/{name}");
        self.change(&json!({"metadata": {"annotations": {key: value}}}))
    }

    /// Waits for what came of a request, neither `Running` nor another value's.
    ///
    /// # Errors
    /// After `limit`.
    pub fn wait_answer(&self, name: &str, value: &str, limit: Duration) -> Outcome<Value> {
        until(format_args!("an answer to {name}={value}"), limit, || {
            let requests = self.status()?["requests"].take();
            let found = requests.as_array().into_iter().flatten().find(|request| {
                request["name"] == name && request["value"] == value && request["outcome"] != "Running"
            });
            Ok(Look::some(found.cloned(), requests.to_string()))
        })
    }

    /// The node of a pod.
    ///
    /// # Errors
    /// If there is no such pod.
    pub fn node_of(&self, pod: &str) -> Outcome<String> {
        let object = self.cluster.kubernetes.get("pods", &self.namespace, pod)?;
        Ok(text(&object["spec"]["nodeName"]).to_owned())
    }

    /// The operator's read-only login at a pod's address.
    ///
    /// # Errors
    /// If the Secret is not there.
    pub fn probe_login(&self, address: &str) -> Outcome<Login> {
        Ok(Login {
            host: address.into(),
            user: "rrs-probe".into(),
            password: self.secret(&format!("{}-internal", self.name), "probe")?,
        })
    }

    /// Full resyncs that every server has given since it was started.
    ///
    /// # Errors
    /// If one does not answer.
    pub fn full_resyncs(&self) -> Outcome<FullResyncs> {
        let mut given = FullResyncs::new();
        for (pod, address) in self.addresses()? {
            let mut connection = self.probe_login(&address)?.connect().context(&pod)?;
            let info: String = redis::cmd("INFO").query(&mut connection).context(&pod)?;
            let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let run = field("run_id:").context("INFO has no run_id")?.to_owned();
            let full = field("sync_full:").and_then(|number| number.parse().ok());
            given.insert((pod, run), full.context("INFO has no sync_full")?);
        }
        ensure!(!given.is_empty(), "no server was asked for its resyncs");
        Ok(given)
    }
}

/// Full resyncs given between two readings.
#[must_use]
pub fn full_resyncs_between(before: &FullResyncs, after: &FullResyncs) -> u64 {
    let since = |(server, given): (&(String, String), &u64)| given - before.get(server).unwrap_or(&0).min(given);
    after.iter().map(since).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_was_started_again_counts_from_nothing() {
        let of = |run: &str, given| ((String::from("a"), run.to_owned()), given);
        let before = FullResyncs::from([of("1", 3)]);
        assert_eq!(full_resyncs_between(&before, &FullResyncs::from([of("1", 5)])), 2);
        assert_eq!(full_resyncs_between(&before, &FullResyncs::from([of("2", 1)])), 1);
    }

    #[test]
    fn a_report_is_read_as_status_has_it() {
        let report: Report = serde_json::from_value(json!({
            "epoch": 2, "kind": "Failover", "reason": "ProcessDied", "proof": "ConnectionRefused",
            "witnesses": {"asked": 2, "agreed": 2}, "positions": {"electors": 3, "needed": 2, "read": 2},
            "maxLostBytes": 0, "from": "a-0", "to": "a-1", "fence": "Proven", "phasesMs": {"detect": 3, "total": 60},
            "resyncs": {"partial": 1, "full": 0}, "startedAt": "x", "finishedAt": "y", "message": "m"
        }))
        .unwrap();
        assert_eq!((report.phases_ms["total"], report.resyncs.partial), (60, 1));
    }
}
