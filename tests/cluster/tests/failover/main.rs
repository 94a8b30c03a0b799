//! One set whose master is killed, stopped, deleted, cut off, lost with its node and handed over, one after the other.
//!
//! After each: one pod takes writes, and it is the one that status names; what was confirmed by WAIT is there; what else
//! is lost, the reports say; nobody is resynced in full but those who come back without a history. Alone on the cluster.
//! `TRIALS=Kill,Nap` picks some by a part of their name.

mod play;
mod trial;

use std::collections::BTreeMap;
use std::time::Duration;

use cluster_tests::client::{self, Login};
use cluster_tests::failover::{Report, full_resyncs_between};
use cluster_tests::failure::{Context, Outcome};
use cluster_tests::history::{Span, Stamp};
use cluster_tests::observer::Observer;
use cluster_tests::operator::Operator;
use cluster_tests::scene::Scene;
use cluster_tests::set::{Set, summary};
use cluster_tests::wait::{Look, until};
use cluster_tests::workloads::{Ending, Workloads, check};
use cluster_tests::{checkers, ensure};
use play::CHANGED;
use serde_json::json;
use trial::{Change, Trial};

const READY: Duration = Duration::from_secs(120);
const FIRST_WRITE: Duration = Duration::from_secs(10);

#[test]
fn no_confirmed_write_is_lost_and_one_pod_takes_writes_whatever_happens_to_the_master() -> Outcome {
    Scene::play("failover", |scene| {
        // Without a cooldown: the trials follow each other closer than any faults should.
        let spec = json!({"image": "redis:8.0", "failover": {"cooldown": "0s"}});
        let set = Set::create(&scene.cluster, &scene.namespace, "torn", spec)?;
        set.wait_redundant(READY)?;
        let login = set.login()?;
        login.wait_reachable()?;
        let observer = Observer::start(&set, &login, &scene.history);
        let mut reported = BTreeMap::new();
        let mut failures = Vec::new();
        // All are tried, so that one failure does not hide the others, as long as the set comes back.
        for trial in picked() {
            let played = set
                .wait_redundant(READY)
                .map(|()| round(scene, &set, trial, &mut reported));
            let broken = played.is_err();
            failures.extend(played.flatten().context(format_args!("{trial:?}")).err());
            if broken {
                break;
            }
        }
        observer.stop()?;
        let events = scene.history.events();
        let mut findings = checkers::single_writer(&events.probes);
        findings.extend(checkers::writers_are_named(&events.probes, &events.authorities));
        findings.extend(checkers::vip_leads_to_the_master(&events.authorities));
        findings.extend(checkers::epochs_are_monotone(&events.authorities));
        findings.extend(failures.iter().map(ToString::to_string));
        ensure!(findings.is_empty(), "{}", findings.join("\n"));
        Ok(())
    })
}

fn picked() -> Vec<Trial> {
    let names = std::env::var("TRIALS").unwrap_or_default();
    let names: Vec<_> = names.split(',').collect();
    let named = |trial: &Trial| names.iter().any(|name| format!("{trial:?}").contains(name));
    Trial::ALL.into_iter().filter(named).collect()
}

fn round(scene: &Scene, set: &Set, trial: Trial, reported: &mut BTreeMap<i64, Option<u64>>) -> Outcome {
    let history = &scene.history;
    trial.prepare(set)?;
    set.wait_redundant(READY)?;
    if trial.expected().reads {
        set.wait_all_read_from(READY)?;
    }
    let (master, epoch, before) = (set.master()?, set.epoch()?, set.full_resyncs()?);
    let begun = Stamp::now();
    let writers = play::writers(set, history)?;
    let workloads = Workloads::start(&set.login()?, set.quorum()?);
    client::acknowledged_after(history, begun, FIRST_WRITE)?;

    let struck = Stamp::now();
    play::play(trial, set, history, &master, &|| wait_changed(set, epoch))?;
    client::acknowledged_after(history, Stamp::now(), READY)?;
    set.wait_redundant(READY)?;
    Operator::new(&set.cluster).wait_leader(READY)?;
    let quiet = Stamp::now();
    for writer in &writers {
        writer.served_after(history, quiet, FIRST_WRITE)?;
    }
    for writer in writers {
        writer.stop()?;
    }
    let (keys, done) = workloads.stop()?;
    history.events().operations.extend(done.iter().cloned());

    let mut reports = set.reports()?;
    // Those of a round that broke too.
    reported.extend(reports.iter().map(|report| (report.epoch, report.max_lost_bytes)));
    reports.retain(|report| report.epoch > epoch);
    let counts = client::count(history, struck, Stamp::now());
    println!(
        "{trial:?}: {} writes acknowledged, none for {:.0} ms; {}",
        counts.ok,
        counts.gap.as_secs_f64() * 1000.0,
        reports
            .first()
            .map_or("no change of the master", |report| &report.message)
    );
    let expected = trial.expected();
    if expected.reads {
        let findings = checkers::reads_are_led(
            &history.events().readers,
            Span {
                begun: struck,
                ended: quiet,
            },
        );
        ensure!(findings.is_empty(), "{}", findings.join("; "));
    }
    changed_as_expected(set, trial, &master, epoch, &reports)?;
    if !expected.errors {
        ensure!(counts.fail + counts.unknown == 0, "writes failed: {counts:?}");
    }
    let login = set.login_at_the_master()?;
    only_the_master_takes_writes(set, &login)?;
    kept(scene, trial, &login, reported.values().copied().sum())?;
    let findings = check::all(&done, &Ending::read(&login, &keys, &done)?, expected.loss);
    ensure!(findings.is_empty(), "{}", findings.join("; "));
    let full = full_resyncs_between(&before, &set.full_resyncs()?);
    ensure!(full <= expected.full_resyncs, "{full} full resyncs");
    Ok(())
}

fn wait_changed(set: &Set, epoch: i64) -> Outcome {
    until(format_args!("a report after epoch {epoch}"), CHANGED, || {
        let there = set.reports()?.first().is_some_and(|report| report.epoch > epoch);
        Ok(Look::when(there, summary(&set.object()?)))
    })
}

fn changed_as_expected(set: &Set, trial: Trial, before: &str, epoch: i64, reports: &[Report]) -> Outcome {
    let (master, now) = (set.master()?, set.epoch()?);
    match (trial.expected().change, reports) {
        (Change::None, []) => {
            ensure!(
                now == epoch,
                "the epoch went from {epoch} to {now} although nothing may happen"
            );
            ensure!(master == before, "{master} is master after {before}");
        }
        (Change::None, [report, ..]) => ensure!(false, "there was a change of the master: {}", report.message),
        (Change::To(kind), [report]) => {
            ensure!(
                report.kind == kind,
                "a {} instead of a {kind}: {}",
                report.kind,
                report.message
            );
            ensure!(report.from == before, "from {} and not {before}", report.from);
            ensure!(report.to == master, "to {}, and {master} is master", report.to);
            // The master before may be back before the end: its process was replaced, a pod is made anew faster than the old
            // one fences itself, or nothing could be recorded for a while.
            let waits = matches!(trial, Trial::ForceDelete | Trial::KillWithoutApiServer);
            let back = report.proof == "ProcessReplaced" || waits;
            ensure!(
                report.resyncs.full <= u64::from(back),
                "siblings were resynced in full: {}",
                report.message
            );
            ensure!(
                report.fence != "Pending",
                "the fence is pending after all: {}",
                report.message
            );
            ensure!(report.epoch == now, "epoch {} reported, {now} in force", report.epoch);
        }
        (Change::To(kind), other) => ensure!(false, "{} reports instead of one {kind}", other.len()),
        (Change::Any, []) => ensure!(master == before, "{master} is master after {before}, without a report"),
        (Change::Any, [report, ..]) => ensure!(report.to == master, "to {}, and {master} is master", report.to),
    }
    Ok(())
}

/// What each pod says to a write of the application.
fn only_the_master_takes_writes(set: &Set, login: &Login) -> Outcome {
    let master = set.master()?;
    let mut writable = Vec::new();
    for (pod, address) in set.addresses()? {
        // A former master's clients are cut off, this one too: then it took nothing.
        let write = |mut connection| redis::cmd("SET").arg("probe").arg("x").query::<()>(&mut connection);
        if login.at(address).connect().and_then(write).is_ok() {
            writable.push(pod);
        }
    }
    ensure!(
        writable == [master.as_str()],
        "{writable:?} take writes, {master} is master"
    );
    Ok(())
}

fn kept(scene: &Scene, trial: Trial, login: &Login, reported: Option<u64>) -> Outcome {
    let there = login.numbers()?;
    let events = scene.history.events();
    let confirmed = events.writes.iter().filter(|write| write.confirmed).count();
    ensure!(confirmed > 0, "no write was confirmed");
    let mut findings = checkers::no_confirmed_write_lost(&events.writes, &there);
    findings.extend(checkers::losses_are_reported(
        &events.writes,
        &there,
        reported,
        client::SMALLEST_WRITE,
    ));
    findings.extend(checkers::nothing_resurrected(&events.writes, &there));
    if !trial.expected().loss {
        let struck = events.marks.last().map(|mark| mark.at);
        let since: Vec<_> = events
            .writes
            .iter()
            .filter(|w| Some(w.span.begun) > struck)
            .cloned()
            .collect();
        findings.extend(checkers::nothing_lost(&since, &there, &[]));
    }
    ensure!(findings.is_empty(), "{}", findings.join("; "));
    Ok(())
}
