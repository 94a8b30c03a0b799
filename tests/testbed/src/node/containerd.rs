//! containerd's and CNI's configuration, and the few things asked of a running containerd.

use std::path::Path;
use std::process::Command;

use crate::command::{command, output};
use crate::images;
use crate::network::Port;

/// Configuration of a containerd that keeps everything of its own in `root`, `state` and `dir`.
pub(crate) fn config(root: &Path, state: &Path, socket: &Path, dir: &Path) -> String {
    format!(
        r#"version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{dir}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{dir}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
"#,
        root = root.display(),
        state = state.display(),
        socket = socket.display(),
        dir = dir.display(),
        pause = images::PAUSE,
    )
}

/// The pods' network of a node: a bridge, addresses handed out from a directory on the node's disk.
pub(crate) fn pod_network(disk: &Path, port: &Port) -> String {
    serde_json::json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": disk.join("addresses"),
                    "ranges": [[{"subnet": port.pods()}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
    .to_string()
}

/// Whether a containerd listens on `socket`.
pub(crate) fn answers(socket: &Path) -> bool {
    output(ctr(socket).arg("version")).is_ok()
}

/// Imports a docker-archive where the kubelet looks for images.
pub(crate) fn import(socket: &Path, archive: &Path) -> Command {
    let mut command = ctr(socket);
    command.args(["-n", "k8s.io", "images", "import"]).arg(archive);
    command
}

fn ctr(socket: &Path) -> Command {
    let mut command = command("ctr", ["-a"]);
    command.arg(socket);
    command
}
