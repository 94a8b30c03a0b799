//! Every manifest of `tests/bad_input` at the real API server: the answer is the recorded one, word by word.

use cluster_tests::bad_input::{self, Call};
use cluster_tests::cluster::repository;
use cluster_tests::ensure;
use cluster_tests::failure::{Context, Outcome};
use cluster_tests::scene::Scene;

#[test]
fn a_manifest_that_is_wrong_is_answered_as_recorded() -> Outcome {
    Scene::play("manifests", |scene| {
        let cases = bad_input::cases(&repository().join("tests/bad_input")).context("tests/bad_input")?;
        let record = std::env::var_os("RECORD").is_some();
        ensure!(cases.len() > 50, "only {} cases were found", cases.len());
        let mut different = Vec::new();
        for case in &cases {
            let mut call = |call: Call<'_>| ask(scene, call);
            if let Some(answer) = case.difference(record, &mut call).context(&case.name)? {
                different.push(format!("{}:\n{answer}instead of\n{}", case.name, case.golden));
            }
        }
        ensure!(different.is_empty(), "{}", different.join("\n"));
        Ok(())
    })
}

/// The stored objects are paused, so that no pods start for them: what is tried is the API server's answer.
fn ask(scene: &Scene, call: Call<'_>) -> Result<String, String> {
    let namespace = scene.namespace.as_str();
    let validate;
    let (args, manifest): (Vec<&str>, &str) = match call {
        Call::Store(manifest) => (vec!["apply", "-n", namespace, "--validate=strict", "-f", "-"], manifest),
        Call::Try {
            manifest,
            validate: how,
        } => {
            validate = format!("--validate={how}");
            let args = [
                "apply",
                "-n",
                namespace,
                "--dry-run=server",
                &validate,
                "-o",
                "yaml",
                "-f",
                "-",
            ];
            (args.to_vec(), manifest)
        }
        Call::Remove(manifest) => (vec!["delete", "-n", namespace, "--wait", "-f", "-"], manifest),
    };
    let answer = scene.cluster.kubectl_with(&args, manifest);
    answer.map_err(|failure| failure.to_string())?
}
