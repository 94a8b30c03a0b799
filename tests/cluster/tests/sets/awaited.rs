//! `failover.awaitReturn`: the dead master itself comes back, with everything that it had acknowledged.

use std::time::Duration;

use cluster_tests::client::{self, Writer};
use cluster_tests::failure::Outcome;
use cluster_tests::fault::Fault;
use cluster_tests::history::Stamp;
use cluster_tests::scene::Scene;
use cluster_tests::set::{Set, summary};
use cluster_tests::wait::{Look, until};
use cluster_tests::{checkers, ensure};
use serde_json::json;

const READY: Duration = Duration::from_secs(120);
const CHANGED: Duration = Duration::from_secs(40);
const FIRST_WRITE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(4);

#[test]
fn a_master_that_is_awaited_comes_back_with_every_acknowledged_write() -> Outcome {
    Scene::play("awaited", |scene| {
        let spec = json!({
            "image": "redis:8.0",
            "persistence": {"appendFsync": "always"},
            "failover": {"awaitReturn": "30s"},
        });
        let set = {
            let _alone = Scene::start_alone();
            let set = Set::create(&scene.cluster, &scene.namespace, "patient", spec)?;
            set.wait_redundant(READY)?;
            set
        };
        until("the master's file to be seen complete", READY, || {
            let object = set.object()?;
            let complete = object["status"]["highWaterMark"]["fileComplete"] == true;
            Ok(Look::when(complete, summary(&object)))
        })?;
        let (master, epoch, begun) = (set.master()?, set.epoch()?, Stamp::now());
        let writer = Writer::start(set.login()?, scene.history.clone(), PAUSE);
        client::acknowledged_after(&scene.history, begun, FIRST_WRITE)?;

        Fault::Kill.strike(&set, &master, "once")?;
        let reports = set.wait_reports_after(epoch, CHANGED)?;
        client::acknowledged_after(&scene.history, Stamp::now(), FIRST_WRITE)?;
        writer.stop()?;

        ensure!(reports.len() == 1, "{} reports of one death", reports.len());
        let report = &reports[0];
        println!("{}", report.message);
        ensure!(report.to == master, "{} took over from {master}", report.to);
        ensure!(
            report.max_lost_bytes == Some(0),
            "a loss is reported: {}",
            report.message
        );
        let there = set.login_at_the_master()?.numbers()?;
        let findings = checkers::nothing_lost(&scene.history.events().writes, &there, &[]);
        ensure!(findings.is_empty(), "{}", findings.join("; "));
        Ok(())
    })
}
