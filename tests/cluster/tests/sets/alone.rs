//! A set that is left alone costs nothing: no change asked of the API server, no role command, hardly any CPU.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use cluster_tests::ensure;
use cluster_tests::failure::{Context, Outcome};
use cluster_tests::operator::{self, Operator, cpu_time};
use cluster_tests::scene::Scene;
use cluster_tests::set::{SET, Set, text};
use cluster_tests::wait::{Look, until};
use serde_json::json;

/// How long the set is left alone, at first beside the other tests.
const ALONE: Duration = Duration::from_secs(300);
/// For the conditions' last writes after Ready, at most one status write a second.
const SETTLED: Duration = Duration::from_secs(5);
/// CPU is measured when the other tests have ended: their sets are no quiet ones.
const MEASURED: Duration = Duration::from_secs(60);
const OTHERS: Duration = Duration::from_secs(600);
/// Kinds of the set's objects that must not change.
const KINDS: [&str; 6] = [
    "statefulsets",
    "pods",
    "services",
    "configmaps",
    "poddisruptionbudgets",
    "persistentvolumeclaims",
];

#[test]
fn a_set_left_alone_causes_no_api_write_and_no_role_command_and_hardly_any_cpu() -> Outcome {
    // Before all others, which have a namespace to make first: five minutes are longer than any of them takes.
    let first = Scene::start_alone();
    Scene::play("quiet", |scene| {
        let set = Set::create(&scene.cluster, &scene.namespace, "still", json!({"image": "redis:8.0"}))?;
        set.wait_ready(Duration::from_secs(120))?;
        drop(first);
        thread::sleep(SETTLED);
        let mut audit = scene.cluster.testbed.audit();
        audit.skip()?;
        let (objects, commands) = (versions(&set)?, role_commands(&set)?);

        let begun = Instant::now();
        hardly_any_cpu(scene)?;
        thread::sleep(ALONE.saturating_sub(begun.elapsed()));

        let writes = Operator::own(audit.read()?).filter(|e| e.namespace == scene.namespace && e.is_mutating());
        let writes: Vec<_> = writes.map(|e| format!("{} {} {}", e.time, e.verb, e.uri)).collect();
        ensure!(
            writes.is_empty(),
            "{} writes to the API, such as {:?}",
            writes.len(),
            &writes[..writes.len().min(3)]
        );
        ensure!(
            versions(&set)? == objects,
            "objects changed:\n{objects:?}\n{:?}",
            versions(&set)?
        );
        let now = role_commands(&set)?;
        ensure!(now == commands, "role commands were sent:\n{commands:?}\n{now:?}");
        Ok(())
    })
}

/// Resource versions of the set and of all that it has.
fn versions(set: &Set) -> Outcome<BTreeMap<String, String>> {
    let version = |object: &serde_json::Value| text(&object["metadata"]["resourceVersion"]).to_owned();
    let mut versions = BTreeMap::from([("set".to_owned(), version(&set.object()?))]);
    let selector = format!("{SET}={}", set.name);
    for kind in KINDS {
        for object in set.cluster.kubernetes.list(kind, &set.namespace, &selector)? {
            versions.insert(
                format!("{kind}/{}", text(&object["metadata"]["name"])),
                version(&object),
            );
        }
    }
    ensure!(versions.len() >= 13, "only {} objects: {versions:?}", versions.len());
    Ok(versions)
}

/// Calls of every command that changes a server, by pod and command, as the servers count them.
fn role_commands(set: &Set) -> Outcome<BTreeMap<(String, String), String>> {
    let mut calls = BTreeMap::new();
    for (pod, host) in set.addresses()? {
        let mut connection = set.probe_login(&host)?.connect()?;
        let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut connection)?;
        for line in stats.lines().filter_map(|line| line.strip_prefix("cmdstat_")) {
            let (command, numbers) = line.split_once(':').context("a line of commandstats")?;
            let changes = [
                "replicaof",
                "slaveof",
                "config|set",
                "acl|setuser",
                "acl|deluser",
                "multi",
                "client|kill",
                "client|pause",
            ];
            if changes.iter().any(|change| command.starts_with(change)) {
                let count = numbers.split(',').next().unwrap_or_default().to_owned();
                calls.insert((pod.clone(), command.to_owned()), count);
            }
        }
    }
    ensure!(!calls.is_empty(), "the servers counted no role command at all");
    Ok(calls)
}

fn hardly_any_cpu(scene: &Scene) -> Outcome {
    until("the other tests to end", OTHERS, || {
        let others = Scene::playing() - 1;
        Ok(Look::when(others == 0, format!("{others} tests run")))
    })?;
    let left = scene.cluster.kubernetes.list("redisreplicasets", "", "")?;
    // They stay only where a test failed, so this run has failed already.
    ensure!(
        left.len() <= 1,
        "{} sets of failed tests are left, which are no quiet ones",
        left.len() - 1
    );
    thread::sleep(SETTLED);
    let operator = Operator::new(&scene.cluster);
    let leader = operator.wait_leader(Duration::from_secs(10))?;
    let mut used = BTreeMap::new();
    for pod in operator.pod_names()? {
        let pid = operator.pid(&pod)?;
        used.insert(pod, (pid, cpu_time(pid)?));
    }
    ensure!(
        used.contains_key(&leader),
        "the leader {leader} is no pod of {}",
        operator::NAME
    );
    let begun = Instant::now();
    thread::sleep(MEASURED);
    let measured = begun.elapsed();
    for (pod, (pid, before)) in used {
        let share = (cpu_time(pid)? - before).as_secs_f64() / measured.as_secs_f64();
        println!(
            "{pod} used {:.2} % of a core{}",
            share * 100.0,
            if pod == leader { ", leading" } else { "" }
        );
        ensure!(
            share < 0.01,
            "{pod} used {:.2} % of a core with nothing to do",
            share * 100.0
        );
    }
    Ok(())
}
