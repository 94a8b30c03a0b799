//! kubectl, run inside the control plane's network as the administrator.

use std::process::Command;

use crate::command::{output, output_with_input};
use crate::error::{Error, Result};
use crate::network;
use crate::places::Places;

/// A command that runs inside the control plane's network, with the programs on its PATH and KUBECONFIG set.
pub(crate) fn in_cluster(places: &Places, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net={}", network::file(&places.name).display()))
        .arg("--")
        .arg(program);
    for (name, value) in environment(places) {
        command.env(name, value);
    }
    command
}

/// What a client needs: our programs first, and no trace of a cluster that will be gone in the home directory.
pub(crate) fn environment(places: &Places) -> Vec<(&'static str, String)> {
    let path = std::env::var("PATH").unwrap_or_default();
    let client = |dir: &str| places.state.join("client").join(dir).display().to_string();
    vec![
        ("PATH", format!("{}:{path}", places.programs().display())),
        ("KUBECONFIG", places.kubeconfig().display().to_string()),
        ("KUBECACHEDIR", client("kube")),
        ("HELM_CACHE_HOME", client("helm-cache")),
        ("HELM_CONFIG_HOME", client("helm-config")),
        ("HELM_DATA_HOME", client("helm-data")),
    ]
}

pub(crate) fn run(places: &Places, args: &[&str]) -> Result<String> {
    output(kubectl(places).args(args))
}

pub(crate) fn apply(places: &Places, manifest: &str) -> Result<String> {
    output_with_input(kubectl(places).args(["apply", "-f", "-"]), manifest)
}

/// An object as JSON.
pub(crate) fn json(places: &Places, args: &[&str]) -> Result<serde_json::Value> {
    let mut words = args.to_vec();
    words.extend(["-o", "json"]);
    let text = run(places, &words)?;
    serde_json::from_str(&text).map_err(|source| Error::Json {
        what: format!("kubectl {}", args.join(" ")),
        source,
    })
}

/// Dies with us, so that a killed `up` leaves no client behind.
fn kubectl(places: &Places) -> Command {
    let mut command = in_cluster(places, "setpriv");
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(places.programs().join("kubectl"));
    command
}
