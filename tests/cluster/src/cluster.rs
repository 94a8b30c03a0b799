//! The testbed as the tests use it: namespaces, kubectl, Helm, and where the repository is.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::json;
use testbed::Testbed;

use crate::failure::{Context, Failure, Outcome};
use crate::kubernetes::Kubernetes;
use crate::wait::{Look, until};

/// The cluster that is up.
#[derive(Clone)]
pub struct Cluster {
    /// The machine's side of it: processes, nodes, the audit log.
    pub testbed: Testbed,
    /// The API's side of it.
    pub kubernetes: Kubernetes,
}

impl Cluster {
    /// The testbed that runs on this machine, from inside its network.
    ///
    /// # Errors
    /// If none is up, or this process is not in its network: run it by `cargo testbed exec -- ...`.
    pub fn attach() -> Outcome<Self> {
        let testbed = Testbed::attach()?;
        let kubernetes = Kubernetes::connect()?;
        kubernetes
            .get("namespaces", "", "default")
            .context("run this by `cargo testbed exec -- ...`")?;
        Ok(Self { testbed, kubernetes })
    }

    /// A new namespace whose pods must satisfy Pod Security "restricted". Its name begins with `prefix`.
    ///
    /// # Errors
    /// If the API server refuses.
    pub fn namespace(&self, prefix: &str) -> Outcome<String> {
        let name = format!("{prefix}-{:06x}", rand::random::<u32>() & 0x00ff_ffff);
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let object = json!({"metadata": {"name": name, "labels": labels}});
        self.kubernetes.create("namespaces", "", &object)?;
        Ok(name)
    }

    /// Deletes a namespace and waits until it is gone.
    ///
    /// # Errors
    /// If it is still there after a minute.
    pub fn remove_namespace(&self, name: &str) -> Outcome {
        self.kubernetes.delete("namespaces", "", name)?;
        until(format_args!("namespace {name} to go"), Duration::from_secs(60), || {
            let found = self.kubernetes.find("namespaces", "", name)?;
            let status = found.as_ref().map(|object| object["status"].to_string());
            Ok(Look::when(found.is_none(), status.unwrap_or_default()))
        })
    }

    /// kubectl as the administrator, in the repository's directory.
    ///
    /// # Errors
    /// If it fails, with what it wrote.
    pub fn kubectl(&self, args: &[&str]) -> Outcome<String> {
        checked("kubectl", args, run("kubectl", args, "")?)
    }

    /// kubectl with something on its standard input; its standard error if it fails.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn kubectl_with(&self, args: &[&str], input: &str) -> Outcome<Result<String, String>> {
        let output = run("kubectl", args, input)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(if output.status.success() {
            Ok(text(&output.stderr) + &text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        })
    }

    /// Helm, in the repository's directory.
    ///
    /// # Errors
    /// If it fails, with what it wrote.
    pub fn helm(&self, args: &[&str]) -> Outcome<String> {
        checked("helm", args, run("helm", args, "")?)
    }
}

/// The repository.
pub fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn run(program: &str, args: &[&str], input: &str) -> Outcome<Output> {
    use std::io::Write as _;
    let mut child = Command::new(program)
        .args(args)
        .current_dir(repository())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(program)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that has seen enough may close it; its exit code says the rest.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output().context(program)
}

fn checked(program: &str, args: &[&str], output: Output) -> Outcome<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("{program} {}: {}", args.join(" "), said.trim())))
}
