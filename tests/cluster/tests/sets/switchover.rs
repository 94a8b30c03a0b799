//! A switchover that is asked for by annotation: acted on once, whatever becomes of the annotation; a dry run only answers.

use std::time::Duration;

use cluster_tests::ensure;
use cluster_tests::failure::Outcome;
use cluster_tests::scene::Scene;
use cluster_tests::set::Set;
use serde_json::json;

const READY: Duration = Duration::from_secs(120);
const ANSWERED: Duration = Duration::from_secs(40);

#[test]
fn a_request_is_acted_on_once_and_a_dry_run_changes_nothing() -> Outcome {
    Scene::play("switchover", |scene| {
        let set = {
            let _alone = Scene::start_alone();
            let set = Set::create(
                &scene.cluster,
                &scene.namespace,
                "turned",
                json!({"image": "redis:8.0"}),
            )?;
            set.wait_redundant(READY)?;
            set
        };
        let epoch = set.epoch()?;
        dry_run(&set, "any@1")?;
        ensure!(set.epoch()? == epoch, "a dry run changed the master");

        set.ask("switchover", "any@1")?;
        let answer = set.wait_answer("switchover", "any@1", ANSWERED)?;
        ensure!(answer["outcome"] == "Done", "{answer}");
        let reports = set.wait_reports_after(epoch, READY)?;
        ensure!(reports.len() == 1, "{} reports of one request", reports.len());
        let master = set.master()?;

        // Taken away and put back it is the same request.
        set.change(&json!({"metadata": {"annotations": {"redisreplicaset.dev/switchover": null}}}))?;
        dry_run(&set, "any@2")?;
        set.ask("switchover", "any@1")?;
        dry_run(&set, "any@3")?;
        ensure!(
            set.master()? == master && set.epoch()? == reports[0].epoch,
            "the same request was acted on again: {:?}",
            set.reports()?
        );
        Ok(())
    })
}

/// Its answer also says that what was asked before it was seen.
fn dry_run(set: &Set, value: &str) -> Outcome {
    set.ask("switchover-dry-run", value)?;
    let answer = set.wait_answer("switchover-dry-run", value, ANSWERED)?;
    ensure!(answer["outcome"] == "Done", "dry run {value}: {answer}");
    Ok(())
}
