//! Sets of three images side by side: how soon they are Ready, that they serve, that they scale.

use std::time::{Duration, Instant};

use cluster_tests::checkers;
use cluster_tests::client::{self, Writer};
use cluster_tests::ensure;
use cluster_tests::failure::Outcome;
use cluster_tests::history::Stamp;
use cluster_tests::observer::Observer;
use cluster_tests::scene::Scene;
use cluster_tests::set::{Set, is_ready, summary, text};
use cluster_tests::wait::{LOOK, Look, until};
use serde_json::json;

const IMAGES: [(&str, &str); 3] = [("r7", "redis:7.0"), ("r8", "redis:8.0"), ("v8", "valkey/valkey:8.1")];
/// From the moment when all pods of a set run.
const READY_AFTER_RUNNING: Duration = Duration::from_secs(15);
/// For pods to be scheduled, get volumes and run, on a busy machine.
const RUNNING: Duration = Duration::from_secs(90);

#[test]
fn sets_of_three_images_are_ready_soon_after_their_pods_run_and_serve_and_scale() -> Outcome {
    Scene::play("images", |scene| {
        let sets = {
            let _alone = Scene::start_alone();
            let created = IMAGES
                .iter()
                .map(|(name, image)| Set::create(&scene.cluster, &scene.namespace, name, json!({"image": image})));
            let sets = created.collect::<Outcome<Vec<_>>>()?;
            ready_soon(&sets)?;
            sets
        };
        for set in &sets {
            serves(scene, set)?;
        }
        scales(scene, &sets[1])
    })
}

/// Watches all sets at once.
fn ready_soon(sets: &[Set]) -> Outcome {
    let begun = Instant::now();
    let mut running: Vec<Option<Instant>> = vec![None; sets.len()];
    let mut ready: Vec<Option<Instant>> = vec![None; sets.len()];
    while ready.contains(&None) {
        for (index, set) in sets.iter().enumerate() {
            let object = set.object()?;
            if running[index].is_none() && set.containers()?.len() == 3 {
                running[index] = Some(Instant::now());
            }
            if ready[index].is_none() && is_ready(&object) {
                ready[index] = Some(Instant::now());
            }
            let late = match running[index] {
                None => begun.elapsed() > RUNNING,
                Some(at) => ready[index].is_none() && at.elapsed() > READY_AFTER_RUNNING,
            };
            ensure!(!late, "{} is late: {}", set.name, summary(&object));
        }
        std::thread::sleep(LOOK);
    }
    for ((set, running), ready) in sets.iter().zip(running).zip(ready) {
        let after = running
            .zip(ready)
            .map(|(running, ready)| ready.saturating_duration_since(running));
        println!("{}: Ready {:?} after its pods ran", set.name, after.unwrap_or_default());
    }
    Ok(())
}

/// Writes through the VIP arrive at every pod behind the read Service, which takes no writes.
fn serves(scene: &Scene, set: &Set) -> Outcome {
    let login = set.login()?;
    login.wait_reachable()?;
    let from = Stamp::now();
    let writer = Writer::start(login.clone(), scene.history.clone(), Duration::from_millis(5));
    client::acknowledged_after(&scene.history, from, Duration::from_secs(5))?;
    std::thread::sleep(Duration::from_secs(1));
    writer.stop()?;
    let counts = client::count(&scene.history, from, Stamp::now());
    ensure!(
        counts.fail + counts.unknown == 0,
        "{}: writes failed: {counts:?}",
        set.name
    );
    let written = login.numbers()?;
    ensure!(
        written.len() == counts.ok,
        "{}: {} of {} are there",
        set.name,
        written.len(),
        counts.ok
    );
    let read = login.at(set.service_address("-replicas")?);
    until("the replicas to have every number", Duration::from_secs(5), || {
        let there = read.numbers()?;
        Ok(Look::when(
            there == written,
            format!("{} of {}", there.len(), written.len()),
        ))
    })?;
    let refused = redis::cmd("SET").arg("x").arg(1).query::<()>(&mut read.connect()?);
    let code = refused.err().and_then(|error| error.code().map(str::to_owned));
    ensure!(
        code.as_deref() == Some("READONLY"),
        "{}: a write to the read Service: {code:?}",
        set.name
    );
    Ok(())
}

/// From two replicas to four and back, while a client writes: nothing fails, nothing is lost.
fn scales(scene: &Scene, set: &Set) -> Outcome {
    let login = set.login()?;
    let from = Stamp::now();
    let observer = Observer::start(set, &login, &scene.history);
    let writer = Writer::start(login.clone(), scene.history.clone(), Duration::from_millis(10));
    for (replicas, pods) in [("4", 5), ("2", 3)] {
        let name = format!("rrs/{}", set.name);
        let replicas = format!("--replicas={replicas}");
        set.cluster
            .kubectl(&["scale", "-n", &set.namespace, &name, &replicas])?;
        set.wait_ready(Duration::from_secs(90))?;
        ensure!(
            set.pods()?.len() == pods,
            "{} pods after scaling to {pods}",
            set.pods()?.len()
        );
        let behind = until("the read Service to follow", Duration::from_secs(10), || {
            let behind = set.behind_read_service()?;
            Ok(Look::some(
                (behind.len() == pods - 1).then_some(behind.clone()),
                format!("{behind:?}"),
            ))
        })?;
        ensure!(
            !behind.contains(&set.master()?),
            "the master is behind the read Service"
        );
    }
    writer.stop()?;
    observer.stop()?;
    let counts = client::count(&scene.history, from, Stamp::now());
    ensure!(
        counts.fail + counts.unknown == 0,
        "writes failed while scaling: {counts:?}"
    );
    let claims = set
        .cluster
        .kubernetes
        .list("persistentvolumeclaims", &set.namespace, "")?;
    let own = claims
        .iter()
        .filter(|c| text(&c["metadata"]["name"]).starts_with("data-r8-"));
    ensure!(
        own.count() == 5,
        "whenScaled: Retain keeps the volumes of pods that went"
    );
    let there = login.numbers()?;
    let events = scene.history.events();
    let own: Vec<_> = events.writes.iter().filter(|w| w.span.begun >= from).cloned().collect();
    let mut findings = checkers::nothing_lost(&own, &there, &[]);
    findings.extend(checkers::single_writer(&events.probes));
    findings.extend(checkers::writers_are_named(&events.probes, &events.authorities));
    findings.extend(checkers::vip_leads_to_the_master(&events.authorities));
    findings.extend(checkers::epochs_are_monotone(&events.authorities));
    ensure!(findings.is_empty(), "{}", findings.join("; "));
    Ok(())
}
