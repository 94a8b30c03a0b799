//! What a person asks by annotation while clients write: a restart, and the approval that a supervised update waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use cluster_tests::checkers;
use cluster_tests::client::Writer;
use cluster_tests::ensure;
use cluster_tests::failure::Outcome;
use cluster_tests::history::{End, Stamp, Write};
use cluster_tests::observer::Observer;
use cluster_tests::scene::Scene;
use cluster_tests::set::{Set, text};
use cluster_tests::wait::{Look, until};
use serde_json::json;

const READY: Duration = Duration::from_secs(120);
/// For three pods to be made anew one after the other, on a busy machine.
const ALL_ANEW: Duration = Duration::from_secs(240);
/// For an answer that needs nothing to be done.
const ANSWERED: Duration = Duration::from_secs(15);
/// Longest from the first write that fails in a switchover to the last.
const ONE_SWITCHOVER: Duration = Duration::from_secs(3);
/// How long a master that waits for an approval is looked at.
const LASTING: Duration = Duration::from_secs(10);

#[test]
fn a_restart_makes_each_pod_anew_once_and_a_supervised_master_waits_for_its_approval() -> Outcome {
    Scene::play("asked", |scene| {
        let set = {
            let _alone = Scene::start_alone();
            let spec = json!({"image": "redis:8.0", "replicas": 2});
            let set = Set::create(&scene.cluster, &scene.namespace, "asked", spec)?;
            set.wait_ready(READY)?;
            set
        };
        set.wait_redundant(READY)?;
        refused(&set)?;
        restarted(scene, &set)?;
        supervised(scene, &set)
    })
}

fn refused(set: &Set) -> Outcome {
    let table = [
        ("restart", "asked-7@1", "TargetUnfit"),
        ("restart", "all@", "Malformed"),
        ("approve-update", "0123456789", "NotSupervised"),
    ];
    for (name, value, reason) in table {
        set.ask(name, value)?;
        let answer = set.wait_answer(name, value, ANSWERED)?;
        ensure!(
            answer["outcome"] == "Refused" && answer["reason"] == reason,
            "{name}={value}: {answer}"
        );
    }
    Ok(())
}

/// UIDs that each pod had.
type Uids = BTreeMap<String, BTreeSet<String>>;

fn see_uids(set: &Set, seen: &mut Uids) -> Outcome {
    for pod in set.pods()? {
        let name = text(&pod["metadata"]["name"]).to_owned();
        let uid = text(&pod["metadata"]["uid"]).to_owned();
        seen.entry(name).or_default().insert(uid);
    }
    Ok(())
}

/// Does something to a set while a client writes, and judges what came of the writes. Returns the UIDs that pods had
/// meanwhile.
fn under_writes(scene: &Scene, set: &Set, act: impl FnOnce(&mut Uids) -> Outcome) -> Outcome<Uids> {
    let (login, from) = (set.login()?, Stamp::now());
    login.wait_reachable()?;
    let observer = Observer::start(set, &login, &scene.history);
    let writer = Writer::start(login.clone(), scene.history.clone(), Duration::from_millis(10));
    let mut uids = Uids::new();
    see_uids(set, &mut uids)?;
    act(&mut uids)?;
    writer.stop()?;
    observer.stop()?;
    let there = login.numbers()?;
    let events = scene.history.events();
    let own: Vec<_> = events.writes.iter().filter(|w| w.span.begun >= from).cloned().collect();
    let mut findings = checkers::nothing_lost(&own, &there, &[]);
    findings.extend(checkers::single_writer(&events.probes));
    findings.extend(checkers::writers_are_named(&events.probes, &events.authorities));
    findings.extend(checkers::vip_leads_to_the_master(&events.authorities));
    findings.extend(checkers::epochs_are_monotone(&events.authorities));
    findings.extend(fail_in_one_stretch(&own));
    ensure!(findings.is_empty(), "{}", findings.join("; "));
    Ok(uids)
}

/// Writes fail while the master hands over, and at no other time.
fn fail_in_one_stretch(writes: &[Write]) -> Option<String> {
    let failed: Vec<_> = writes.iter().filter(|w| w.end != End::Ok).collect();
    let (first, last) = (failed.first()?, failed.last()?);
    let stretch = last.span.ended.0.saturating_sub(first.span.begun.0);
    println!("{} writes failed within {stretch:?}", failed.len());
    (stretch > ONE_SWITCHOVER).then(|| format!("writes failed for {stretch:?}, from {:?} to {:?}", first.end, last.end))
}

fn restarted(scene: &Scene, set: &Set) -> Outcome {
    let (epoch, pods) = (set.epoch()?, set.pod_names()?);
    let uids = under_writes(scene, set, |uids| {
        set.ask("restart", "all@1")?;
        until("the restart to be done", ALL_ANEW, || {
            see_uids(set, uids)?;
            let requests = set.status()?["requests"].take();
            let asked = |r: &&serde_json::Value| r["name"] == "restart" && r["value"] == "all@1";
            let answer = requests.as_array().into_iter().flatten().find(asked);
            let done = answer.is_some_and(|answer| answer["outcome"] == "Done");
            Ok(Look::when(done, &requests))
        })?;
        set.wait_ready(READY)?;
        see_uids(set, uids)
    })?;
    let twice: Vec<_> = pods
        .iter()
        .filter(|pod| uids.get(*pod).map(BTreeSet::len) != Some(2))
        .collect();
    ensure!(twice.is_empty(), "not made anew exactly once: {twice:?} of {uids:?}");
    let reports = set.wait_reports_after(epoch, READY)?;
    ensure!(
        reports.len() == 1 && reports[0].kind == "Switchover" && reports[0].max_lost_bytes == Some(0),
        "one switchover without a loss was expected: {reports:?}"
    );
    Ok(())
}

fn supervised(scene: &Scene, set: &Set) -> Outcome {
    set.wait_redundant(READY)?;
    let (master, epoch) = (set.master()?, set.epoch()?);
    let labels = json!({"team": "data"});
    let spec = json!({"update": {"strategy": "Supervised"}, "template": {"metadata": {"labels": labels}}});
    let uids = under_writes(scene, set, |uids| {
        set.change(&json!({"spec": spec}))?;
        set.wait_condition("UpToDate", "False", "WaitingForApproval", ALL_ANEW)?;
        see_uids(set, uids)?;
        thread::sleep(LASTING);
        see_uids(set, uids)?;
        let kept = uids.get(&master).map(BTreeSet::len);
        ensure!(
            kept == Some(1) && set.epoch()? == epoch,
            "the master did not wait: {uids:?}"
        );
        let revision = text(&set.status()?["update"]["revision"]).to_owned();
        set.ask("approve-update", &revision)?;
        let answer = set.wait_answer("approve-update", &revision, ANSWERED)?;
        ensure!(answer["outcome"] == "Done", "{answer}");
        set.wait_condition("UpToDate", "True", "UpToDate", ALL_ANEW)?;
        set.wait_ready(READY)?;
        see_uids(set, uids)
    })?;
    ensure!(
        uids.values().all(|uids| uids.len() == 2),
        "not made anew exactly once: {uids:?}"
    );
    let reports = set.wait_reports_after(epoch, READY)?;
    ensure!(
        reports.len() == 1 && reports[0].reason == "Update" && reports[0].max_lost_bytes == Some(0),
        "one switchover for the update was expected: {reports:?}"
    );
    Ok(())
}
