//! A round of ours: a set of three, one fault of its master, everything back.

use std::time::Duration;

use cluster_tests::client::{Login, NUMBERS};
use cluster_tests::cluster::Cluster;
use cluster_tests::ensure;
use cluster_tests::failover::full_resyncs_between;
use cluster_tests::failure::{Context, Outcome};
use cluster_tests::fault::Fault;
use cluster_tests::history::Stamp;
use cluster_tests::operator::Operator;
use cluster_tests::set::Set;
use cluster_tests::wait::{Look, until};
use serde_json::json;

use crate::figures::Measured;
use crate::load::{self, Connect, Load};

const READY: Duration = Duration::from_secs(120);
/// Longest until there is another master: far beyond every target, so that a slow one is measured and not an error.
const CHANGED: Duration = Duration::from_secs(60);

/// The set that is measured.
pub struct Ours {
    set: Set,
    login: Login,
}

impl Ours {
    pub fn create(cluster: &Cluster) -> Outcome<Self> {
        let namespace = cluster.namespace("bench")?;
        // Without a cooldown: rounds follow each other closer than faults do.
        let spec = json!({"image": "redis:8.0", "failover": {"cooldown": "0s"}});
        let set = Set::create(cluster, &namespace, "bench", spec)?;
        set.wait_ready(READY)?;
        let login = set.login()?;
        login.wait_reachable()?;
        Ok(Self { set, login })
    }

    pub fn remove(&self) -> Outcome {
        self.set.cluster.remove_namespace(&self.set.namespace)
    }

    fn connect(&self) -> impl Connect + use<> {
        let (login, (connect, answer)) = (self.login.clone(), load::deadlines());
        move || login.connect_within(6379, connect, answer)
    }

    pub fn round(&self, fault: Fault, round: u32) -> Outcome<Measured> {
        let set = &self.set;
        fault.prepare(
            set,
            &format!("prepare-{}-{round}", fault.name().replace([' ', ','], "")),
        )?;
        set.wait_redundant(READY)?;
        let (master, epoch, before) = (set.master()?, set.epoch()?, set.full_resyncs()?);
        // At the master itself: see `login_at_the_master`.
        let mut at_master = set.login_at_the_master()?.connect()?;
        let () = redis::cmd("DEL").arg(NUMBERS).query(&mut at_master)?;
        let load = Load::start(&self.connect(), set.quorum()?)?;
        let struck = Stamp::now();
        fault.strike(set, &master, &format!("bench-{round}"))?;
        let changed = self.wait_changed(epoch, &master);
        // Also if nobody took over: nothing stays stopped or dark.
        fault.undo(set, &master)?;
        changed?;
        load.wait_served(READY)?;
        let reports = set.wait_reports_after(epoch, READY)?;
        set.wait_redundant(READY)?;
        Operator::new(&set.cluster).wait_leader(READY)?;
        let report = reports.last().context("no report")?;
        ensure!(report.to == set.master()?, "the last report names {}", report.to);
        let reported = reports.iter().map(|report| report.max_lost_bytes).sum();
        let mut seen = load.stop(struck, || self.numbers(), reported)?;
        let full_resyncs = full_resyncs_between(&before, &set.full_resyncs()?);
        if fault.is_planned() && seen.lost > 0 {
            seen.findings
                .push(format!("{} acknowledged writes are lost", seen.lost));
        }
        if full_resyncs > fault.full_resyncs_of_return() {
            seen.findings.push(format!("{full_resyncs} full resyncs"));
        }
        Ok(Measured {
            fault: fault.name().to_owned(),
            sentinel: false,
            gap: seen.gap,
            kept_gap: seen.kept_gap,
            acknowledged: seen.acknowledged,
            lost: seen.lost,
            confirmed: seen.confirmed,
            confirmed_lost: seen.confirmed_lost,
            full_resyncs: Some(full_resyncs),
            reports,
            findings: seen.findings,
        })
    }

    /// One request a look, as what looks on is part of the load.
    fn wait_changed(&self, epoch: i64, master: &str) -> Outcome {
        until(format_args!("another master than {master}"), CHANGED, || {
            let reports = self.set.reports()?;
            let there = reports.first().is_some_and(|report| report.epoch > epoch);
            Ok(Look::when(there, format!("{:?}", reports.first())))
        })
    }

    /// What the master holds.
    fn numbers(&self) -> Outcome<std::collections::BTreeSet<u64>> {
        let login = self.set.login_at_the_master()?;
        login.numbers().context(format_args!("read {NUMBERS}"))
    }
}
