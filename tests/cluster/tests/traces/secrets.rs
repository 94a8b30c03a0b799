//! The canary: generated passwords, looked for byte by byte wherever they must not be.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::Duration;

use cluster_tests::client::{self, Writer};
use cluster_tests::cluster::Cluster;
use cluster_tests::ensure;
use cluster_tests::failure::Outcome;
use cluster_tests::history::Stamp;
use cluster_tests::operator::{NAME, Operator};
use cluster_tests::scene::Scene;
use cluster_tests::set::{Set, text};
use serde_json::json;
use testbed::Signal;

#[test]
fn no_password_is_anywhere_but_in_secrets() -> Outcome {
    Scene::play("canary", |scene| {
        let set = Set::create(&scene.cluster, &scene.namespace, "bird", json!({"image": "redis:8.0"}))?;
        set.wait_ready(Duration::from_secs(90))?;
        let canaries = [
            ("operator", set.secret("bird-internal", "operator")?),
            ("probe", set.secret("bird-internal", "probe")?),
            ("link key", set.secret("bird-internal", "linkKey")?),
            ("application", set.secret("bird-app", "password")?),
        ];
        for (what, canary) in &canaries {
            ensure!(
                canary.len() >= 32,
                "the password {what} is short enough to be found by chance"
            );
        }
        // Life in which a careless program would tell: logins, a restart, an attachment.
        let from = Stamp::now();
        let writer = Writer::start(set.login()?, scene.history.clone(), Duration::from_millis(10));
        client::acknowledged_after(&scene.history, from, Duration::from_secs(5))?;
        let (names, master) = (set.pod_names()?, set.master()?);
        let replica: Vec<_> = names.into_iter().filter(|name| *name != master).take(1).collect();
        let before = set.containers()?;
        scene
            .cluster
            .testbed
            .signal_redis(&scene.namespace, &replica[0], Signal::SIGKILL)?;
        set.wait_restarted(&replica, &before, Duration::from_secs(30))?;
        set.wait_ready(Duration::from_secs(60))?;
        writer.stop()?;
        thread::sleep(Duration::from_secs(1));

        let mut places = processes();
        places.extend(objects(&scene.cluster)?);
        places.extend(logs(scene, &set)?);
        ensure!(places.len() > 50, "only {} places were searched", places.len());
        let mut found = BTreeSet::new();
        for (what, canary) in &canaries {
            let here = places.iter().filter(|(_, text)| text.contains(canary.as_str()));
            found.extend(here.map(|(place, _)| format!("the password {what} is in {place}")));
        }
        ensure!(found.is_empty(), "{found:#?}");
        Ok(())
    })
}

/// Where, and what is there.
type Place = (String, String);

/// Arguments and environment of every process of the machine but this one.
fn processes() -> Vec<Place> {
    let own = std::process::id().to_string();
    let mut places = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if pid == own || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        for file in ["cmdline", "environ"] {
            // A process may end while it is looked at.
            if let Ok(bytes) = fs::read(entry.path().join(file)) {
                places.push((
                    format!("{file} of process {pid}"),
                    String::from_utf8_lossy(&bytes).into_owned(),
                ));
            }
        }
    }
    places
}

/// Every object of the cluster that is no Secret, with its managed fields and annotations.
fn objects(cluster: &Cluster) -> Outcome<Vec<Place>> {
    let resources = cluster.kubectl(&["api-resources", "--verbs=list", "--output=name"])?;
    let names: Vec<_> = resources.lines().filter(|name| *name != "secrets").collect();
    let all = cluster.kubectl(&["get", &names.join(","), "-A", "--show-managed-fields", "-o", "json"])?;
    ensure!(all.contains("\"bird-0\""), "the pods are not among the objects");
    Ok(vec![("an object that is no Secret".to_owned(), all)])
}

/// Logs of operators, of the set's pods, and of the API server with its audit log.
fn logs(scene: &Scene, set: &Set) -> Outcome<Vec<Place>> {
    let kubernetes = &scene.cluster.kubernetes;
    let mut places = Vec::new();
    for pod in Operator::new(&scene.cluster).pods()? {
        let name = text(&pod["metadata"]["name"]);
        places.push((format!("log of {name}"), kubernetes.log(NAME, name, false)?));
        if let Ok(previous) = kubernetes.log(NAME, name, true) {
            places.push((format!("log of {name} before its restart"), previous));
        }
    }
    for pod in set.pod_names()? {
        places.push((format!("log of {pod}"), kubernetes.log(&set.namespace, &pod, false)?));
    }
    let testbed = scene.cluster.testbed.places();
    for file in [testbed.audit_log(), testbed.log("kube-apiserver")] {
        places.push((file.display().to_string(), fs::read_to_string(&file)?));
    }
    Ok(places)
}
