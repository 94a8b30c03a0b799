//! Sets that are well formed but ask for something the cluster does not have: each says so by a condition with a reason,
//! nothing crashes or runs hot, and what can heal heals by itself when its cause ends.

use std::thread;
use std::time::Duration;

use cluster_tests::client::{self, Writer};
use cluster_tests::ensure;
use cluster_tests::failure::Outcome;
use cluster_tests::history::{History, Stamp};
use cluster_tests::operator::Operator;
use cluster_tests::scene::Scene;
use cluster_tests::set::{Set, text};
use serde_json::{Value, json};

/// For a condition to tell.
const TOLD: Duration = Duration::from_secs(60);
/// Secrets are not watched: for a heal that begins with one.
const HEALED: Duration = Duration::from_secs(120);
/// How long calls are counted, and how many a stuck set may cost in it.
const COUNTED: Duration = Duration::from_secs(60);
const MOST_WRITES: usize = 6;
const MOST_CALLS: usize = 60;

/// Name, spec, condition and the reason why it is False.
fn stuck() -> [(&'static str, Value, &'static str, &'static str); 8] {
    let with_secret = |name: &str| json!({"image": "redis:8.0", "auth": {"secretRef": {"name": name}}});
    [
        (
            "no-secret",
            with_secret("nowhere"),
            "CredentialsInSync",
            "SecretNotFound",
        ),
        (
            "no-key",
            with_secret("without-key"),
            "CredentialsInSync",
            "SecretKeyMissing",
        ),
        ("empty", with_secret("with-empty"), "CredentialsInSync", "PasswordEmpty"),
        ("long", with_secret("with-long"), "CredentialsInSync", "PasswordTooLong"),
        (
            "no-class",
            json!({"image": "redis:8.0", "storage": {"storageClassName": "nowhere"}}),
            "UpToDate",
            "PvcPending",
        ),
        (
            "no-image",
            json!({"image": "redis:0.0-none"}),
            "UpToDate",
            "ImagePullFailed",
        ),
        (
            "no-node",
            json!({"image": "redis:8.0", "template": {"spec": {"nodeSelector": {"nowhere": "at-all"}}}}),
            "UpToDate",
            "Unschedulable",
        ),
        (
            "no-directive",
            json!({"image": "redis:8.0", "config": {"foo-bar": "1"}}),
            "ConfigApplied",
            "UnknownDirective",
        ),
    ]
}

#[test]
fn what_the_cluster_lacks_is_told_by_a_condition_and_nothing_runs_hot() -> Outcome {
    Scene::play("lacks", |scene| {
        let operator = Operator::new(&scene.cluster);
        let restarts = restarts(&operator)?;
        for (name, data) in [
            ("without-key", json!({"other": "x"})),
            ("with-empty", json!({"password": ""})),
            ("with-long", json!({"password": "x".repeat(513)})),
        ] {
            let secret = json!({"metadata": {"name": name}, "stringData": data});
            scene.cluster.kubernetes.create("secrets", &scene.namespace, &secret)?;
        }
        let alone = Scene::start_alone();
        let mut sets = Vec::new();
        for (name, spec, kind, reason) in stuck() {
            sets.push((Set::create(&scene.cluster, &scene.namespace, name, spec)?, kind, reason));
        }
        let mut failures = Vec::new();
        for (set, kind, reason) in &sets {
            match set.wait_condition(kind, "False", reason, TOLD) {
                Ok(message) => println!("{}: {kind} {{{reason}}}: {message}", set.name),
                Err(failure) => failures.push(failure.to_string()),
            }
        }
        drop(alone);
        for (set, ..) in sets.iter().filter(|(_, kind, _)| *kind == "CredentialsInSync") {
            ensure!(set.pods()?.is_empty(), "{} started pods without a password", set.name);
        }
        not_hot(scene, sets.len())?;
        ensure!(restarts == self::restarts(&operator)?, "an operator restarted");
        heals(scene, &sets[0].0)?;
        ensure!(failures.is_empty(), "{}", failures.join("\n"));
        Ok(())
    })
}

fn restarts(operator: &Operator) -> Outcome<Vec<Value>> {
    let pods = operator.pods()?;
    Ok(pods
        .iter()
        .map(|pod| pod["status"]["containerStatuses"][0]["restartCount"].clone())
        .collect())
}

fn not_hot(scene: &Scene, sets: usize) -> Outcome {
    let mut audit = scene.cluster.testbed.audit();
    audit.skip()?;
    thread::sleep(COUNTED);
    let calls: Vec<_> = Operator::own(audit.read()?)
        .filter(|e| e.namespace == scene.namespace)
        .collect();
    let writes: Vec<_> = calls.iter().filter(|e| e.is_mutating()).collect();
    println!(
        "{sets} stuck sets cost {} calls, {} of them writes, in {COUNTED:?}",
        calls.len(),
        writes.len()
    );
    ensure!(
        writes.len() <= MOST_WRITES * sets && calls.len() <= MOST_CALLS * sets,
        "{} calls, {} writes, such as {:?}",
        calls.len(),
        writes.len(),
        writes
            .iter()
            .take(5)
            .map(|e| format!("{} {}", e.verb, e.uri))
            .collect::<Vec<_>>()
    );
    Ok(())
}

/// The Secret appears, and the set comes up without a kick.
fn heals(scene: &Scene, set: &Set) -> Outcome {
    let secret = json!({"metadata": {"name": "nowhere"}, "stringData": {"password": "of the application"}});
    scene.cluster.kubernetes.create("secrets", &scene.namespace, &secret)?;
    set.wait_ready(HEALED)?;
    let address = set.service_address("")?;
    let login = client::Login {
        host: address,
        user: "app".into(),
        password: "of the application".into(),
    };
    login.wait_reachable()?;
    login.numbers().map(drop)
}

#[test]
fn an_object_of_our_name_that_belongs_to_someone_else_is_told_and_left_alone() -> Outcome {
    Scene::play("conflict", |scene| {
        let kubernetes = &scene.cluster.kubernetes;
        let foreign = json!({
            "metadata": {"name": "taken", "labels": {"redisreplicaset.dev/set": "taken"}},
            "spec": {"selector": {"app": "other"}, "ports": [{"port": 80}]},
        });
        let version = |service: &Value| text(&service["metadata"]["resourceVersion"]).to_owned();
        let before = version(&kubernetes.create("services", &scene.namespace, &foreign)?);
        let _alone = Scene::start_alone();
        let set = Set::create(&scene.cluster, &scene.namespace, "taken", json!({"image": "redis:8.0"}))?;
        let message = set.wait_condition("Stalled", "True", "ObjectConflict", TOLD)?;
        ensure!(
            message.contains("Service taken"),
            "the message names another object: {message}"
        );
        thread::sleep(Duration::from_secs(5));
        let after = version(&kubernetes.get("services", &scene.namespace, "taken")?);
        ensure!(before == after, "the foreign Service was changed");
        // Its end heals the set.
        kubernetes.delete("services", &scene.namespace, "taken")?;
        set.wait_ready(HEALED)
    })
}

#[test]
fn two_sets_of_one_name_in_two_namespaces_share_nothing() -> Outcome {
    Scene::play("twin-a", |one| {
        Scene::play("twin-b", |two| {
            let sets = {
                let _alone = Scene::start_alone();
                let spec = || json!({"image": "redis:8.0", "replicas": 1});
                let sets = [
                    Set::create(&one.cluster, &one.namespace, "twin", spec())?,
                    Set::create(&two.cluster, &two.namespace, "twin", spec())?,
                ];
                for set in &sets {
                    set.wait_ready(Duration::from_secs(90))?;
                }
                sets
            };
            let mut written = Vec::new();
            for set in &sets {
                let (login, history) = (set.login()?, History::default());
                let from = Stamp::now();
                let writer = Writer::start(login.clone(), history.clone(), Duration::from_millis(5));
                client::acknowledged_after(&history, from, Duration::from_secs(5))?;
                writer.stop()?;
                written.push(login.numbers()?);
            }
            ensure!(
                written[0].is_disjoint(&written[1]),
                "numbers of one set are in the other"
            );
            let logins = [sets[0].login()?, sets[1].login()?];
            ensure!(logins[0].password != logins[1].password, "both have one password");
            let strange = logins[0].at(logins[1].host.clone()).connect();
            ensure!(strange.is_err(), "the login of one set is taken by the other");
            sets[0].delete()?;
            thread::sleep(Duration::from_secs(3));
            ensure!(logins[1].numbers()? == written[1], "deleting one set touched the other");
            Ok(())
        })
    })
}
