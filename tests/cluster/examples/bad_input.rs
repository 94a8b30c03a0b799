//! Asks the cluster of KUBECONFIG about every file of `tests/bad_input`, with the kubectl of the PATH.
//!
//! The definition must be installed. `UPDATE=1` records the answers instead of comparing them.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use cluster_tests::bad_input::{self, Call};

fn main() -> io::Result<ExitCode> {
    let record = std::env::var_os("UPDATE").is_some();
    let cases = bad_input::cases(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../bad_input"))?;
    let mut different = 0;
    for case in &cases {
        if let Some(answer) = case.difference(record, &mut kubectl)? {
            different += 1;
            println!("{}: expected\n{}but got\n{answer}", case.name, case.golden);
        }
    }
    println!("{} cases, {different} different", cases.len());
    Ok(if different == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn kubectl(call: Call) -> Result<String, String> {
    let (arguments, manifest) = match call {
        Call::Store(manifest) => (vec!["apply", "--validate=strict"], manifest),
        Call::Try {
            manifest,
            validate: "warn",
        } => (vec!["apply", "--dry-run=server", "--validate=warn", "-oyaml"], manifest),
        Call::Try { manifest, .. } => (
            vec!["apply", "--dry-run=server", "--validate=strict", "-oyaml"],
            manifest,
        ),
        Call::Remove(manifest) => (vec!["delete", "--wait"], manifest),
    };
    run(&arguments, manifest).map_err(|error| format!("kubectl could not be run: {error}"))?
}

fn run(arguments: &[&str], manifest: &str) -> io::Result<Result<String, String>> {
    let mut child = Command::new("kubectl")
        .args(arguments)
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(manifest.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(if output.status.success() {
        Ok(complaint + &String::from_utf8_lossy(&output.stdout))
    } else {
        Err(complaint)
    })
}
