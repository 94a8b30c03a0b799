//! Wrong options of the operator: exit code 2 and a sentence that names the option, before anything is asked.

use std::time::Duration;

use cluster_tests::ensure;
use cluster_tests::failure::{Context, Outcome};
use cluster_tests::operator;
use cluster_tests::scene::Scene;
use cluster_tests::wait::{Look, until};
use serde_json::{Value, json};

/// Arguments after `run`, and what the sentence must name.
const WRONG: [(&str, &[&str], &str); 9] = [
    ("hold", &["--hold=4s"], "--hold 4s"),
    ("renew", &["--renew-period=2s"], "--renew-period 2s"),
    ("duration", &["--lease-duration=soon"], "--lease-duration"),
    ("namespace", &["--watch-namespaces=a,B"], "--watch-namespaces"),
    ("level", &["--log-level=loud"], "--log-level"),
    ("format", &["--log-format=xml"], "--log-format"),
    ("listen", &["--listen=8080"], "--listen"),
    ("unknown", &["--watch-namespace=a"], "--watch-namespace"),
    ("argument", &["everything"], "everything"),
];

#[test]
fn a_wrong_option_ends_the_operator_with_code_two_and_a_sentence_that_names_it() -> Outcome {
    Scene::play("flags", |scene| {
        let deployment = scene
            .cluster
            .kubernetes
            .get("deployments", operator::NAME, operator::NAME)?;
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        for (name, wrong, _) in WRONG {
            let pod = pod(name, container, wrong);
            scene.cluster.kubernetes.create("pods", &scene.namespace, &pod)?;
        }
        for (name, wrong, named) in WRONG {
            let code = exit_code(scene, name)?;
            let said = scene.cluster.kubernetes.log(&scene.namespace, name, false)?;
            let sentence = said.lines().next().unwrap_or_default();
            ensure!(code == 2, "{wrong:?}: exit code {code}, said {said:?}");
            ensure!(
                sentence.starts_with("error: ") && sentence.contains(named),
                "{wrong:?}: said {said:?}"
            );
        }
        Ok(())
    })
}

fn pod(name: &str, container: &Value, wrong: &[&str]) -> Value {
    let mut args = vec!["run", "--lease-namespace=none", "--identity=none"];
    args.extend(wrong);
    json!({
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "operator",
                "image": container["image"],
                "imagePullPolicy": container["imagePullPolicy"],
                "securityContext": container["securityContext"],
                "args": args,
            }],
        },
    })
}

fn exit_code(scene: &Scene, pod: &str) -> Outcome<i64> {
    until(format_args!("pod {pod} to end"), Duration::from_secs(60), || {
        let object = scene.cluster.kubernetes.get("pods", &scene.namespace, pod)?;
        let status = &object["status"]["containerStatuses"][0]["state"];
        Ok(Look::some(status["terminated"]["exitCode"].as_i64(), status))
    })
    .context("a wrong option")
}
