//! The folder a failed test leaves: what one needs to find out why, without the cluster.
//!
//! Values of Secrets are never in it. This is the one place that knows how the operator labels its pods and
//! where it keeps a password that may read INFO; the password goes to redis-cli's standard input only.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command::{command, output, output_with_input};
use crate::error::{At, Result};
use crate::kubectl;
use crate::places::{Places, make_dir, write};
use crate::state::State;

const SET_LABEL: &str = "redisreplicaset.dev/set";
const PROBE_USER: &str = "rrs-probe";
const PROBE_KEY: &str = "probe";

/// Collects into `dir`:
/// `control-plane/` (every program's log, the audit log, kubelets), `pods/<namespace>_<pod>_<uid>/<container>/<n>.log`
/// (every container's log that a node's disk has), `objects/<resource>.yaml`, `redis/<namespace>_<pod>.info`,
/// `events.txt`, `pods.txt`, `secrets.txt` (names and keys). What could not be had is told in `problems.txt`.
pub(crate) fn collect(places: &Places, dir: &Path) -> Result<()> {
    make_dir(dir)?;
    let mut folder = Folder {
        places,
        dir: dir.to_owned(),
        problems: Vec::new(),
    };
    folder.logs();
    folder.objects();
    folder.overview();
    folder.redis();
    let problems = folder.problems.join("\n");
    if !problems.is_empty() {
        write(&dir.join("problems.txt"), problems)?;
    }
    Ok(())
}

struct Folder<'a> {
    places: &'a Places,
    dir: PathBuf,
    problems: Vec<String>,
}

impl Folder<'_> {
    fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.problems.push(error.to_string())).ok()
    }

    /// From the nodes' disks, so that it works when the API server or a kubelet does not.
    fn logs(&mut self) {
        let copied = copy(&self.places.state.join("log"), &self.dir.join("control-plane"));
        self.note(copied);
        let nodes = State::find(self.places).ok().flatten().unwrap_or_default().nodes;
        for node in nodes {
            let copied = copy(&self.places.disk(&node).join("pod-logs"), &self.dir.join("pods"));
            self.note(copied);
        }
    }

    fn objects(&mut self) {
        let listed = kubectl::run(self.places, &["api-resources", "--verbs=list", "--output=name"]);
        let Some(names) = self.note(listed) else { return };
        // Secrets are listed below without values; the events of the core group are those of the other group.
        for name in names.lines().filter(|name| !["secrets", "events"].contains(name)) {
            let objects = kubectl::run(self.places, &["get", name, "--all-namespaces", "--output=yaml"]);
            if let Some(text) = self
                .note(objects)
                .filter(|text| !text.contains("\nitems: []\n") && text != "items: []\n")
            {
                let written = write(&self.dir.join("objects").join(format!("{name}.yaml")), text);
                self.note(written);
            }
        }
    }

    fn overview(&mut self) {
        let keys = "go-template={{range .items}}{{.metadata.namespace}}/{{.metadata.name}}:\
                    {{range $key, $value := .data}} {{$key}}{{end}}{{\"\\n\"}}{{end}}";
        let queries: [(&str, &[&str]); 3] = [
            (
                "events.txt",
                &[
                    "get",
                    "events",
                    "--all-namespaces",
                    "--sort-by=.lastTimestamp",
                    "--output=wide",
                ],
            ),
            (
                "pods.txt",
                &["get", "pods,nodes,services", "--all-namespaces", "--output=wide"],
            ),
            ("secrets.txt", &["get", "secrets", "--all-namespaces", "--output", keys]),
        ];
        for (file, args) in queries {
            let answer = kubectl::run(self.places, args);
            if let Some(text) = self.note(answer) {
                let written = write(&self.dir.join(file), text);
                self.note(written);
            }
        }
    }

    fn redis(&mut self) {
        let listed = kubectl::json(self.places, &["get", "pods", "--all-namespaces"]);
        let Some(list) = self.note(listed) else { return };
        for pod in list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|pod| serves_redis(pod))
        {
            let answer = self.info(pod);
            if let Some(text) = self.note(answer) {
                let meta = &pod["metadata"];
                let name = format!("{}_{}.info", word(&meta["namespace"]), word(&meta["name"]));
                let written = write(&self.dir.join("redis").join(name), text);
                self.note(written);
            }
        }
    }

    fn info(&self, pod: &Value) -> Result<String> {
        let mut script = String::new();
        if let Some(set) = pod["metadata"]["labels"][SET_LABEL].as_str() {
            let secret = format!("{set}-internal");
            let namespace = word(&pod["metadata"]["namespace"]);
            let query = format!("go-template={{{{index .data \"{PROBE_KEY}\" | base64decode}}}}");
            let args = ["get", "secret", "--namespace", namespace, &secret, "--output", &query];
            script = format!("AUTH {PROBE_USER} {}\n", kubectl::run(self.places, &args)?);
        }
        script.push_str("INFO everything\n");
        let mut client = kubectl::in_cluster(self.places, "timeout");
        // A node that is cut off does not answer; the others' answers are worth having.
        client.args(["5", "redis-cli", "-h", word(&pod["status"]["podIP"])]);
        output_with_input(&mut client, &script)
    }
}

fn serves_redis(pod: &Value) -> bool {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut ports = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    pod["status"]["podIP"].is_string() && ports.any(|port| port["containerPort"] == 6379)
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.exists() {
        return Ok(());
    }
    fs::create_dir_all(to).at("create", to)?;
    output(
        command("cp", ["-r", "--no-preserve=ownership", "--"])
            .arg(from.join("."))
            .arg(to),
    )
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_with_an_address_and_rediss_port_is_asked() {
        let pod = |port: u16| json!({"spec": {"containers": [{"ports": [{"containerPort": port}]}]}, "status": {"podIP": "x"}});
        assert!(serves_redis(&pod(6379)) && !serves_redis(&pod(8080)));
        let mut pending = pod(6379);
        pending["status"] = json!({});
        assert!(!serves_redis(&pending));
    }
}
