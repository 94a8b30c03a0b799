//! Cluster DNS and dynamic volumes: programs beside the control plane, objects in the cluster.

use serde_json::json;

use crate::error::{Error, Result};
use crate::network::{API_ADDRESS, DNS_SERVICE};
use crate::places::{Places, make_dir, write};

/// The class `standard`, the default: on the disk of the pod's node, tied to that node.
/// The class `network`: on a directory all nodes share, tied to none, as network storage is.
const MANIFEST: &str = include_str!("addons.yaml");
/// The provisioner makes and removes directories from pods of this image.
const HELPER_IMAGE: &str = "redis:8.0";
const NAMESPACE: &str = "kube-system";

/// The objects of the addons.
pub(crate) fn manifest(places: &Places) -> Result<String> {
    let mut text = MANIFEST
        .replace("DNS_SERVICE", DNS_SERVICE)
        .replace("API_ADDRESS", API_ADDRESS);
    let data = json!({
        "config.json": storage_config(places),
        "setup": SETUP,
        "teardown": TEARDOWN,
        "helperPod.yaml": helper_pod(),
    });
    let map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "local-path-config", "namespace": NAMESPACE},
        "data": data,
    });
    text.push_str("---\n");
    text.push_str(&serde_json::to_string(&map).map_err(|source| Error::Json {
        what: "addons".to_owned(),
        source,
    })?);
    Ok(text)
}

const SETUP: &str = "#!/bin/sh\nset -eu\nmkdir -m 0777 -p \"$VOL_DIR\"\n";
const TEARDOWN: &str = "#!/bin/sh\nset -eu\nrm -rf \"$VOL_DIR\"\n";

fn storage_config(places: &Places) -> String {
    let nodes = (1..=9).map(|n| format!("n{n}"));
    let local: Vec<_> = nodes
        .map(|node| json!({"node": node, "paths": [places.disk(&node).join("volumes")]}))
        .collect();
    json!({
        "storageClassConfigs": {
            "standard": {"nodePathMap": local},
            "network": {"sharedFileSystemPath": places.shared_volumes()},
        },
    })
    .to_string()
}

fn helper_pod() -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "helper-pod"},
        "spec": {
            "priorityClassName": "system-node-critical",
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "helper-pod", "image": HELPER_IMAGE, "imagePullPolicy": "IfNotPresent"}],
        },
    })
    .to_string()
}

/// Writes the provisioner's files and returns its arguments.
pub(crate) fn provisioner(places: &Places) -> Result<Vec<String>> {
    let dir = places.state.join("local-path");
    make_dir(&places.shared_volumes())?;
    write(&dir.join("config.json"), storage_config(places))?;
    write(&dir.join("helperPod.yaml"), helper_pod())?;
    Ok(vec![
        "start".to_owned(),
        format!(
            "--kubeconfig={}",
            places.pki().join("local-path-provisioner.kubeconfig").display()
        ),
        format!("--config={}", dir.join("config.json").display()),
        format!("--helper-pod-file={}", dir.join("helperPod.yaml").display()),
        format!("--helper-image={HELPER_IMAGE}"),
        format!("--namespace={NAMESPACE}"),
        "--provisioner-name=rancher.io/local-path".to_owned(),
        "--configmap-name=local-path-config".to_owned(),
        "--service-account-name=default".to_owned(),
    ])
}

/// Writes CoreDNS's file and returns its arguments.
pub(crate) fn coredns(places: &Places) -> Result<Vec<String>> {
    let file = places.state.join("Corefile");
    let text = format!(
        ".:53 {{
  bind {API_ADDRESS}
  errors
  ready {API_ADDRESS}:8181
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {kubeconfig} testbed
    pods insecure
    ttl 5
  }}
  cache 5
}}
",
        kubeconfig = places.pki().join("coredns.kubeconfig").display(),
    );
    write(&file, text)?;
    write(
        &places.state.join("resolv.conf"),
        format!(
            "nameserver {API_ADDRESS}\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"
        ),
    )?;
    Ok(vec![format!("-conf={}", file.display())])
}
