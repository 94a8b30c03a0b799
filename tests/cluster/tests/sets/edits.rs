//! What others do to the objects of a set is put back, while its clients go on.

use std::time::{Duration, Instant};

use cluster_tests::client::{self, Writer};
use cluster_tests::ensure;
use cluster_tests::failure::Outcome;
use cluster_tests::history::Stamp;
use cluster_tests::observer::Observer;
use cluster_tests::scene::Scene;
use cluster_tests::set::{POD_NAME, ROLE, SET, Set, condition, summary, text};
use cluster_tests::wait::{Look, until};
use cluster_tests::{checkers, failure};
use serde_json::{Value, json};

const PUT_BACK: Duration = Duration::from_secs(5);
/// Secrets are not watched.
const SECRET_BACK: Duration = Duration::from_secs(60);
const DONE: Duration = Duration::from_secs(30);

#[test]
fn foreign_edits_of_every_object_are_put_back_without_a_role_change_or_a_lost_write() -> Outcome {
    Scene::play("edits", |scene| {
        let set = {
            let _alone = Scene::start_alone();
            let set = Set::create(&scene.cluster, &scene.namespace, "kept", json!({"image": "redis:8.0"}))?;
            set.wait_ready(Duration::from_secs(90))?;
            set
        };
        let before = identity(&set)?;
        let login = set.login()?;
        login.wait_reachable()?;
        let observer = Observer::start(&set, &login, &scene.history);
        let begun = Stamp::now();
        let writer = Writer::start(login.clone(), scene.history.clone(), Duration::from_millis(20));
        // All are tried, so that one failure does not hide the others.
        let mut failures = Vec::new();
        failures.extend(edits(&set)?.iter().filter_map(|edit| put_back(&set, edit).err()));
        failures.extend(pod_labels(&set).err());
        failures.extend(deletions(&set)?);
        let calm = client::count(&scene.history, begun, Stamp::now());
        failures.extend(secrets(&set).err());
        failures.extend(vip_to_a_replica(&set).err());
        failures.extend(set.wait_ready(DONE).err());
        writer.stop()?;
        observer.stop()?;

        let sentences: Vec<_> = failures.iter().map(failure::Failure::to_string).collect();
        ensure!(sentences.is_empty(), "{}", sentences.join("\n"));
        ensure!(identity(&set)? == before, "from {before} to {}", identity(&set)?);
        ensure!(
            calm.fail + calm.unknown == 0,
            "writes failed while objects were edited: {calm:?}"
        );
        // A Service that was deleted comes back with another address behind the same name.
        let again = set.login()?;
        again.wait_reachable()?;
        let there = again.numbers()?;
        let events = scene.history.events();
        let mut findings = checkers::nothing_lost(&events.writes, &there, &[]);
        findings.extend(checkers::single_writer(&events.probes));
        findings.extend(checkers::writers_are_named(&events.probes, &events.authorities));
        findings.extend(checkers::epochs_are_monotone(&events.authorities));
        ensure!(findings.is_empty(), "{}", findings.join("; "));
        kstatus(&set)
    })
}

/// Master, epoch and pods: what no edit may change.
fn identity(set: &Set) -> Outcome<Value> {
    let status = set.status()?;
    let pods = set.pods()?;
    let mut uids: Vec<_> = pods
        .iter()
        .map(|pod| text(&pod["metadata"]["uid"]).to_owned())
        .collect();
    uids.sort();
    Ok(json!({"master": status["master"], "epoch": status["epoch"], "pods": uids}))
}

struct Edit {
    kind: &'static str,
    name: String,
    patch: Value,
    /// JSON pointer to what must be as it was.
    field: String,
}

fn edits(set: &Set) -> Outcome<Vec<Edit>> {
    let edit = |kind, suffix: &str, patch, field: &str| Edit {
        kind,
        name: format!("{}{suffix}", set.name),
        patch,
        field: field.into(),
    };
    let label = |value: &str| json!({"metadata": {"labels": {SET: value}}});
    let labelled = format!("/metadata/labels/{}", SET.replace('/', "~1"));
    let config = config_map(set)?;
    let config = config.trim_start_matches(&set.name);
    Ok(vec![
        edit(
            "services",
            "-replicas",
            json!({"spec": {"selector": {ROLE: "master"}}}),
            "/spec/selector",
        ),
        edit(
            "services",
            "-nodes",
            json!({"spec": {"publishNotReadyAddresses": false}}),
            "/spec/publishNotReadyAddresses",
        ),
        edit(
            "services",
            "",
            json!({"spec": {"publishNotReadyAddresses": false}}),
            "/spec/publishNotReadyAddresses",
        ),
        edit("services", "", label("other"), &labelled),
        edit("services", "-replicas", label("other"), &labelled),
        edit(
            "poddisruptionbudgets",
            "",
            json!({"spec": {"maxUnavailable": 2}}),
            "/spec/maxUnavailable",
        ),
        edit("poddisruptionbudgets", "", label("other"), &labelled),
        edit("statefulsets", "", json!({"spec": {"replicas": 4}}), "/spec/replicas"),
        edit(
            "statefulsets",
            "",
            json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 300}}}}),
            "/spec/template/spec/terminationGracePeriodSeconds",
        ),
        edit("statefulsets", "", label("other"), &labelled),
        edit("configmaps", config, label("other"), &labelled),
    ])
}

fn put_back(set: &Set, edit: &Edit) -> Outcome {
    let kubernetes = &set.cluster.kubernetes;
    let read = || -> Outcome<Option<Value>> {
        Ok(kubernetes
            .get(edit.kind, &set.namespace, &edit.name)?
            .pointer(&edit.field)
            .cloned())
    };
    let before = read()?;
    let edited = kubernetes.merge(edit.kind, &set.namespace, &edit.name, &edit.patch)?;
    ensure!(
        edited.pointer(&edit.field) != before.as_ref(),
        "{} {} {} was not edited",
        edit.kind,
        edit.name,
        edit.field
    );
    timed(
        &format!("{} of {} {}", edit.field, edit.kind, edit.name),
        PUT_BACK,
        || {
            let now = read()?;
            Ok(Look::when(now == before, format!("{now:?}")))
        },
    )
}

fn timed(what: &str, limit: Duration, look: impl FnMut() -> Outcome<Look<()>>) -> Outcome {
    let begun = Instant::now();
    until(format_args!("{what} to be put back"), limit, look)?;
    println!("{what} was put back after {:.1} s", begun.elapsed().as_secs_f32());
    Ok(())
}

fn pod_labels(set: &Set) -> Outcome {
    let master = set.master()?;
    let in_sync = "redisreplicaset.dev/in-sync";
    for pod in set.pod_names()? {
        let (role, false_role) = if pod == master {
            ("master", "replica")
        } else {
            ("replica", "master")
        };
        let patch = json!({"metadata": {"labels": {ROLE: false_role, in_sync: null}}});
        set.cluster.kubernetes.merge("pods", &set.namespace, &pod, &patch)?;
        timed(&format!("the labels of pod {pod}"), PUT_BACK, || {
            let object = set.cluster.kubernetes.get("pods", &set.namespace, &pod)?;
            let labels = &object["metadata"]["labels"];
            let back = labels[ROLE] == role && (pod == master || labels[in_sync] == "true");
            Ok(Look::when(back, labels))
        })?;
    }
    Ok(())
}

fn config_map(set: &Set) -> Outcome<String> {
    let selector = format!("{SET}={}", set.name);
    let maps = set.cluster.kubernetes.list("configmaps", &set.namespace, &selector)?;
    ensure!(maps.len() == 1, "{} ConfigMaps", maps.len());
    Ok(text(&maps[0]["metadata"]["name"]).to_owned())
}

/// Deletes each object that is watched. The VIP is the last: clients lose it for a moment.
fn deletions(set: &Set) -> Outcome<Vec<failure::Failure>> {
    let objects = [
        ("services", format!("{}-replicas", set.name)),
        ("services", format!("{}-nodes", set.name)),
        ("poddisruptionbudgets", set.name.clone()),
        ("configmaps", config_map(set)?),
    ];
    Ok(objects
        .iter()
        .filter_map(|(kind, name)| deleted(set, kind, name).err())
        .collect())
}

/// The object is made again, as it was.
fn deleted(set: &Set, kind: &str, name: &str) -> Outcome {
    let kubernetes = &set.cluster.kubernetes;
    let before = kubernetes.get(kind, &set.namespace, name)?;
    kubernetes.delete(kind, &set.namespace, name)?;
    timed(&format!("deleted {kind} {name}"), PUT_BACK, || {
        let now = kubernetes.find(kind, &set.namespace, name)?;
        let new = now
            .as_ref()
            .is_some_and(|now| now["metadata"]["uid"] != before["metadata"]["uid"]);
        Ok(Look::when(new, "it is not there"))
    })?;
    let after = kubernetes.get(kind, &set.namespace, name)?;
    let core = |object: &Value| json!([object["spec"]["selector"], object["data"], object["metadata"]["labels"]]);
    ensure!(
        core(&after) == core(&before),
        "{kind} {name} was made otherwise: {after}"
    );
    Ok(())
}

/// Both Secrets come back with the passwords that servers and clients know.
fn secrets(set: &Set) -> Outcome {
    for (suffix, keys) in [("-internal", &["operator", "probe"][..]), ("-app", &["password"][..])] {
        let name = format!("{}{suffix}", set.name);
        let read = || {
            keys.iter()
                .map(|key| set.secret(&name, key))
                .collect::<Outcome<Vec<_>>>()
        };
        let before = read()?;
        set.cluster.kubernetes.delete("secrets", &set.namespace, &name)?;
        timed(&format!("deleted secret {name}"), SECRET_BACK, || {
            let found = set.cluster.kubernetes.find("secrets", &set.namespace, &name)?;
            Ok(Look::when(found.is_some(), "it is not there"))
        })?;
        // Never the values in a message.
        ensure!(read()? == before, "secret {name} came back with other passwords");
    }
    Ok(())
}

/// The one edit that clients feel: their writes are refused by the replica until it is put back.
fn vip_to_a_replica(set: &Set) -> Outcome {
    let master = set.master()?;
    let names = set.pod_names()?;
    let replica = names.iter().find(|name| **name != master);
    let patch = json!({"spec": {"selector": {POD_NAME: replica}}});
    set.cluster
        .kubernetes
        .merge("services", &set.namespace, &set.name, &patch)?;
    timed("the VIP's selector", PUT_BACK, || {
        let selects = set.vip_selects()?;
        Ok(Look::when(selects.as_ref() == Some(&master), format!("{selects:?}")))
    })?;
    deleted(set, "services", &set.name)
}

/// What kstatus and `kubectl wait` read in the end: a VIP that was deleted makes Ready False for a moment, which status may
/// say only after everything was put back.
fn kstatus(set: &Set) -> Outcome {
    let done = [("Ready", "True"), ("Reconciling", "False"), ("Stalled", "False")];
    until("status to say that all is done", DONE, || {
        let object = set.object()?;
        let says = |(kind, status): &(&str, &str)| condition(&object, kind).is_some_and(|c| c["status"] == *status);
        let up_to_date = object["status"]["observedGeneration"] == object["metadata"]["generation"];
        Ok(Look::when(up_to_date && done.iter().all(says), summary(&object)))
    })?;
    let name = format!("rrs/{}", set.name);
    let ready = [
        "wait",
        "-n",
        &set.namespace,
        "--for=condition=Ready",
        &name,
        "--timeout=30s",
    ];
    set.cluster.kubectl(&ready).map(drop)
}
