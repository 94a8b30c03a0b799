//! Kills of Redis, operators and nodes, in random order: data is kept, roles are right again, and an observer outside
//! never sees a pod take writes that status does not name.
//!
//! Alone on the cluster: it powers nodes off. `SEED=n` repeats an order.

mod fault;

use std::collections::BTreeSet;
use std::time::Duration;

use cluster_tests::checkers;
use cluster_tests::client::{self, Login, Writer};
use cluster_tests::ensure;
use cluster_tests::failure::{Context, Outcome};
use cluster_tests::history::{End, Stamp};
use cluster_tests::observer::Observer;
use cluster_tests::scene::Scene;
use cluster_tests::set::{ROLE, Set, text};
use cluster_tests::wait::{Look, until};
use fault::{Fault, Stage};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use serde_json::json;

/// Rounds beyond one of each kind.
const EXTRA: usize = 4;
/// Time after which an append-only file holds what was acknowledged, even if a flush was in progress.
const FLUSHED: Duration = Duration::from_millis(2200);
const READY: Duration = Duration::from_secs(120);

#[test]
fn data_and_roles_survive_kills_of_everything_in_random_order() -> Outcome {
    Scene::play("faults", |scene| {
        let seed = match std::env::var("SEED") {
            Ok(seed) => seed.parse().context("SEED is no number")?,
            Err(_) => rand::random(),
        };
        let order = order(&mut StdRng::seed_from_u64(seed));
        println!("SEED={seed}: {order:?}");

        let set = Set::create(&scene.cluster, &scene.namespace, "torn", json!({"image": "redis:8.0"}))?;
        set.wait_redundant(READY)?;
        let login = set.login()?;
        login.wait_reachable()?;
        let stage = Stage::new(&set, &scene.history);
        let observer = Observer::start(&set, &login, &scene.history);
        let mut result = Ok(());
        for (number, fault) in order.iter().enumerate() {
            result = round(scene, &stage, &login, *fault).context(format_args!("round {}, {fault:?}", number + 1));
            if result.is_err() {
                break;
            }
        }
        observer.stop()?;
        // What the observer saw says more than the round that broke.
        let mut findings = judged(scene);
        findings.extend(result.err().map(|failure| failure.to_string()));
        ensure!(findings.is_empty(), "SEED={seed}: {}", findings.join("; "));
        Ok(())
    })
}

/// Each kind once and some again.
fn order(random: &mut impl Rng) -> Vec<Fault> {
    let mut order = Fault::ALL.to_vec();
    let extra: Vec<_> = (0..EXTRA).filter_map(|_| Fault::ALL.choose(random)).copied().collect();
    order.extend(extra);
    order.shuffle(random);
    order
}

fn round(scene: &Scene, stage: &Stage, login: &Login, fault: Fault) -> Outcome {
    let (set, history) = (&stage.set, &scene.history);
    let begun = Stamp::now();
    let before = set.status()?;
    let writer = Writer::start(login.clone(), history.clone(), Duration::from_millis(5));
    client::acknowledged_after(history, begun, Duration::from_secs(10))?;
    std::thread::sleep(Duration::from_millis(500));
    let spares_the_master = fault.spares_the_master();
    let writer = if spares_the_master {
        stage.strike(fault)?.wait(stage)?;
        writer
    } else {
        writer.stop()?;
        std::thread::sleep(FLUSHED);
        let struck = stage.strike(fault)?;
        let over = Stamp::now();
        let writer = Writer::start(login.clone(), history.clone(), Duration::from_millis(20));
        struck.wait(stage)?;
        let after = client::acknowledged_after(history, over, READY)?;
        println!("{fault:?}: the first write {:.1} s after it", after.as_secs_f32());
        if fault == Fault::MastersRedis {
            failed_over(set, &before)?;
        }
        writer
    };
    set.wait_redundant(READY)?;
    std::thread::sleep(Duration::from_millis(300));
    writer.stop()?;
    if spares_the_master {
        let counts = client::count(history, begun, Stamp::now());
        ensure!(
            counts.fail + counts.unknown == 0,
            "the master was spared and writes failed: {counts:?}"
        );
    }
    kept(scene, set, login)?;
    roles(set)?;
    let after = set.status()?;
    ensure!(
        after["epoch"].as_i64() >= before["epoch"].as_i64(),
        "the epoch fell from {} to {}",
        before["epoch"],
        after["epoch"]
    );
    Ok(())
}

/// A master that was killed where good replicas live is succeeded by one of them, with nothing lost.
fn failed_over(set: &Set, before: &serde_json::Value) -> Outcome {
    let epoch = before["epoch"].as_i64().context("no epoch before the fault")?;
    let reports = set.wait_reports_after(epoch, READY)?;
    let report = reports.first().context("no report")?;
    ensure!(
        reports.len() == 1 && report.kind == "Failover" && before["master"]["name"] == *report.from,
        "not one failover of {}: {reports:?}",
        before["master"]["name"]
    );
    ensure!(
        report.to != report.from && report.to == set.master()?,
        "{} took over, and {} is master",
        report.to,
        set.master()?
    );
    Ok(())
}

/// Every acknowledged number is in every copy.
fn kept(scene: &Scene, set: &Set, login: &Login) -> Outcome {
    let acknowledged: BTreeSet<u64> = {
        let events = scene.history.events();
        let ok = events.writes.iter().filter(|write| write.end == End::Ok);
        ok.map(|write| write.number).collect()
    };
    let addresses = set.addresses()?;
    ensure!(addresses.len() == 3, "{} pods have an address", addresses.len());
    for (pod, address) in addresses {
        until(
            format_args!("{pod} to hold every acknowledged number"),
            Duration::from_secs(10),
            || {
                let there = login.at(&address).numbers()?;
                let missing: Vec<_> = acknowledged.difference(&there).collect();
                let shown = format!(
                    "{} of {} are missing, such as {:?}",
                    missing.len(),
                    acknowledged.len(),
                    missing.first()
                );
                Ok(Look::when(missing.is_empty(), shown))
            },
        )?;
    }
    Ok(())
}

/// Labels, VIP and status agree.
fn roles(set: &Set) -> Outcome {
    let master = set.master()?;
    until("labels and VIP to agree with status", Duration::from_secs(5), || {
        let pods = set.pods()?;
        let role = |pod: &serde_json::Value| text(&pod["metadata"]["labels"][ROLE]).to_owned();
        let name = |pod: &serde_json::Value| text(&pod["metadata"]["name"]).to_owned();
        let shown: Vec<_> = pods.iter().map(|pod| (name(pod), role(pod))).collect();
        let right = shown
            .iter()
            .all(|(name, role)| role == if *name == master { "master" } else { "replica" });
        let vip = set.vip_selects()?;
        Ok(Look::when(
            right && vip.as_ref() == Some(&master),
            format!("VIP {vip:?}, pods {shown:?}"),
        ))
    })
}

fn judged(scene: &Scene) -> Vec<String> {
    let events = scene.history.events();
    let mut findings = checkers::single_writer(&events.probes);
    findings.extend(checkers::writers_are_named(&events.probes, &events.authorities));
    findings.extend(checkers::vip_leads_to_the_master(&events.authorities));
    findings.extend(checkers::epochs_are_monotone(&events.authorities));
    findings.extend(checkers::no_copy_shrinks(&events.probes, &[]));
    println!(
        "{} writes, {} probes of pods, {} readings of authority",
        events.writes.len(),
        events.probes.len(),
        events.authorities.len()
    );
    findings
}
