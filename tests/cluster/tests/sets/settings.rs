//! Changes of a running set that need no restart: a directive, a password; and others' edits at the worst time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use cluster_tests::client::Login;
use cluster_tests::ensure;
use cluster_tests::failure::{Context, Outcome};
use cluster_tests::scene::Scene;
use cluster_tests::set::{SET, Set, text};
use cluster_tests::wait::{Look, until};
use redis::ErrorKind;
use serde_json::json;

const READY: Duration = Duration::from_secs(120);
/// Secrets are not watched.
const SECRET_SEEN: Duration = Duration::from_secs(90);

#[test]
fn a_directive_is_in_force_at_once_and_its_old_file_goes_when_every_pod_was_made_anew() -> Outcome {
    Scene::play("directive", |scene| {
        let set = {
            let _alone = Scene::start_alone();
            let spec = json!({"image": "redis:7.0", "replicas": 1});
            let set = Set::create(&scene.cluster, &scene.namespace, "tuned", spec)?;
            set.wait_ready(READY)?;
            set
        };
        let (before, running) = (config_maps(&set)?, set.containers()?);
        set.change(&json!({"spec": {"config": {"maxmemory-policy": "allkeys-lru"}}}))?;
        until("every server to follow the directive", Duration::from_secs(10), || {
            let shown = shown(&set, "maxmemory-policy")?;
            Ok(Look::when(
                shown.iter().all(|policy| policy == "allkeys-lru"),
                format!("{shown:?}"),
            ))
        })?;
        set.wait_condition("ConfigApplied", "True", "Applied", Duration::from_secs(10))?;
        set.wait_ready(Duration::from_secs(10))?;
        ensure!(
            set.containers()? == running,
            "a server was restarted for a live directive"
        );

        for pod in set.pod_names()?.iter().rev() {
            let old = set.containers()?;
            scene.cluster.kubernetes.delete("pods", &scene.namespace, pod)?;
            set.wait_restarted(std::slice::from_ref(pod), &old, READY)?;
            set.wait_ready(READY)?;
        }
        // What only a new pod takes up brings the operator itself, to the master last and after that has handed over.
        let (old, pods) = (set.containers()?, set.pod_names()?);
        set.change(&json!({"spec": {"template": {"metadata": {"labels": {"team": "data"}}}}}))?;
        set.wait_restarted(&pods, &old, READY)?;
        set.wait_ready(READY)?;
        let last = &set.status()?["failovers"][0];
        ensure!(
            last["reason"] == "Update" && last["maxLostBytes"] == 0,
            "the master did not hand over for the update: {last}"
        );
        set.wait_condition("UpToDate", "True", "UpToDate", Duration::from_secs(10))?;
        until("the old redis.conf to go", Duration::from_secs(30), || {
            let maps = config_maps(&set)?;
            Ok(Look::when(
                maps.len() == 1 && maps != before,
                format!("{maps:?}, before {before:?}"),
            ))
        })
    })
}

fn config_maps(set: &Set) -> Outcome<Vec<String>> {
    let maps = set
        .cluster
        .kubernetes
        .list("configmaps", &set.namespace, &format!("{SET}={}", set.name))?;
    Ok(maps
        .iter()
        .map(|map| text(&map["metadata"]["name"]).to_owned())
        .collect())
}

/// What every server shows for a directive.
fn shown(set: &Set, directive: &str) -> Outcome<Vec<String>> {
    let password = set.secret(&format!("{}-internal", set.name), "probe")?;
    let ask = |(_, host): (String, String)| {
        let login = Login {
            host,
            user: "rrs-probe".into(),
            password: password.clone(),
        };
        let answer: Vec<String> = redis::cmd("CONFIG")
            .arg("GET")
            .arg(directive)
            .query(&mut login.connect()?)?;
        answer.get(1).cloned().context("CONFIG GET without a value")
    };
    set.addresses()?.into_iter().map(ask).collect()
}

#[test]
fn a_changed_password_is_in_force_without_a_restart_also_if_the_set_was_edited_while_it_was_founded() -> Outcome {
    Scene::play("password", |scene| {
        let secret = |password: &str| json!({"metadata": {"name": "login"}, "stringData": {"password": password}});
        let kubernetes = &scene.cluster.kubernetes;
        kubernetes.create("secrets", &scene.namespace, &secret("the first one"))?;
        let set = {
            let _alone = Scene::start_alone();
            let auth = json!({"username": "shop", "secretRef": {"name": "login"}});
            let spec = json!({"image": "valkey/valkey:8.1", "replicas": 1, "auth": auth});
            let set = Set::create(&scene.cluster, &scene.namespace, "rotated", spec)?;
            edited_until_founded(&set)?;
            set
        };
        let running = set.containers()?;
        let login = |password: &str| -> Outcome<Login> {
            let host = set.service_address("")?;
            Ok(Login {
                host,
                user: "shop".into(),
                password: password.into(),
            })
        };
        login("the first one")?.wait_reachable()?;
        kubernetes.merge("secrets", &scene.namespace, "login", &secret("the second one"))?;
        until("the new password to be in force", SECRET_SEEN, || {
            login("the second one")?.connect()?;
            Ok(Look::There(()))
        })?;
        until("the old password to be refused", Duration::from_secs(10), || {
            let answer = login("the first one")?.connect().map(drop);
            let refused = answer
                .as_ref()
                .is_err_and(|e| e.kind() == ErrorKind::AuthenticationFailed);
            Ok(Look::when(refused, format!("{answer:?}")))
        })?;
        set.wait_condition("CredentialsInSync", "True", "InSync", Duration::from_secs(10))?;
        ensure!(set.containers()? == running, "a server was restarted for a password");
        Ok(())
    })
}

/// Somebody writes annotations as fast as the API server takes them, so that compare-and-set writes meet conflicts.
fn edited_until_founded(set: &Set) -> Outcome {
    let founded = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut count = 0;
            while !founded.load(Ordering::Relaxed) {
                count += 1;
                // A conflict of this edit is as good as its success.
                let _ = set.change(&json!({"metadata": {"annotations": {"example.com/edit": count.to_string()}}}));
            }
        });
        let ready = set.wait_ready(READY);
        founded.store(true, Ordering::Relaxed);
        ready
    })
}
