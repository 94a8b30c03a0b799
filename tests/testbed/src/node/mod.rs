//! A node: Linux namespaces around an init, containerd, a kubelet and a kube-proxy, and a directory as its disk.

mod config;
pub(crate) mod containerd;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cgroup::Group;
use crate::command::long;
use crate::daemon::Daemon;
use crate::error::{Error, Result};
use crate::images::disk;
use crate::interrupt::wait_until;
use crate::network::{self, Port};
use crate::places::{Places, make_dir, write};
use crate::{pki, state::State};

pub(crate) use config::proxy as proxy_config;

const INIT: &str = include_str!("init.sh");
/// Directories on the machine over which a node's own are mounted; they need to exist.
pub(crate) const MOUNT_POINTS: [&str; 4] = [
    "/var/lib/kubelet",
    "/var/lib/cni",
    "/var/log/pods",
    "/var/log/containers",
];
/// Their counterparts on the node's disk.
const DISK_DIRS: [&str; 7] = [
    "kubelet",
    "cni-results",
    "pod-logs",
    "container-logs",
    "kubelet-pki",
    "cni",
    "volumes",
];

/// One node of a testbed.
#[derive(Debug, Clone)]
pub struct Node {
    places: Places,
    name: String,
    port: Port,
}

impl Node {
    pub(crate) fn new(places: &Places, name: &str) -> Result<Self> {
        Ok(Self {
            places: places.clone(),
            name: name.to_owned(),
            port: Port::of(&places.name, name)?,
        })
    }

    /// Its name: `n1`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address in the cluster's network.
    #[must_use]
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// Its directory: what survives a power-off.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.places.disk(&self.name)
    }

    pub(crate) fn group(&self) -> Group {
        self.places.group(&self.name)
    }

    /// Starts the node unless it runs; plugs it in. Returns whether it was started.
    pub(crate) fn ensure(&self, state: &State) -> Result<bool> {
        let others = state
            .nodes
            .iter()
            .filter_map(|n| Port::of(&self.places.name, n).ok())
            .collect::<Vec<_>>();
        network::ensure_node(&self.port, &others)?;
        network::cut_api(&self.port, false)?;
        if self.group().is_running() {
            if self.group().is_frozen() {
                self.group().freeze(false)?;
            }
            return Ok(false);
        }
        self.prepare(&state.image_disk)?;
        self.group().create_everywhere()?;
        self.daemon().ensure(&self.places)
    }

    fn prepare(&self, image_disk: &Path) -> Result<()> {
        let dir = self.disk();
        for name in DISK_DIRS {
            make_dir(&dir.join(name))?;
        }
        pki::ensure_node(&self.places, &self.name, &self.port)?;
        disk::give(image_disk, &dir.join("containerd"))?;
        let state = Path::new("/run/containerd");
        let files = [
            ("init.sh", INIT.to_owned()),
            (
                "containerd.toml",
                containerd::config(&dir.join("containerd"), state, &self.socket(), &dir),
            ),
            ("cni/10-pods.conflist", containerd::pod_network(&dir, &self.port)),
            (
                "kubelet.yaml",
                config::kubelet(&self.places, &self.name, &dir, &self.port),
            ),
            (
                "kube-proxy.yaml",
                config::proxy(&self.places, &self.name, &self.port.address()),
            ),
            ("resolv.conf", format!("nameserver {}\n", network::DNS_SERVICE)),
        ];
        for (name, text) in files {
            write(&dir.join(name), text)?;
        }
        Ok(())
    }

    fn daemon(&self) -> Daemon {
        let environment = [
            ("NODE", self.name.clone()),
            ("DISK", self.disk().display().to_string()),
            ("LOGS", self.places.state.join("log").display().to_string()),
            ("BIN", self.places.programs().display().to_string()),
            ("ADDRESS", self.port.address()),
            ("ZONE", self.port.zone()),
        ];
        let mut words = vec!["env".to_owned()];
        words.extend(environment.iter().map(|(name, value)| format!("{name}={value}")));
        let isolation = "unshare --mount --pid --uts --ipc --fork --kill-child --mount-proc bash";
        words.extend(isolation.split(' ').map(str::to_owned));
        words.push(self.disk().join("init.sh").display().to_string());
        Daemon {
            name: format!("{}-init", self.name),
            group: self.system(),
            namespace: self.port.namespace(),
            words,
        }
    }

    /// The node's own programs, apart from its pods.
    pub(crate) fn system(&self) -> Group {
        self.places.group(&format!("{}/system", self.name))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.disk().join("containerd.sock")
    }

    /// Whether its pods can reach Services.
    pub(crate) fn has_services(&self) -> bool {
        network::has_services(&self.port.namespace())
    }

    /// Cuts the power: silence on the network first, then every process dies. The disk stays.
    ///
    /// # Errors
    /// If a process does not die or the namespace cannot be removed.
    pub fn power_off(&self) -> Result<()> {
        network::plug(&self.port, false)?;
        self.group().kill_all()?;
        network::remove(&self.port.namespace())?;
        self.group().remove()
    }

    /// Boots the node with its old disk. Does nothing if it runs. Returns before its kubelet is ready.
    ///
    /// # Errors
    /// If no testbed is up or the node cannot be started.
    pub fn power_on(&self) -> Result<()> {
        self.ensure(&State::load(&self.places)?).map(drop)
    }

    /// Pulls the node's cable: packets vanish in both directions, everything on it runs on.
    ///
    /// # Errors
    /// If the node has no cable because it is powered off.
    pub fn cut(&self) -> Result<()> {
        network::plug(&self.port, false)
    }

    /// Plugs the cable in again.
    ///
    /// # Errors
    /// If the node has no cable because it is powered off.
    pub fn heal(&self) -> Result<()> {
        network::plug(&self.port, true)
    }

    /// Separates the node and its pods from the API server only.
    ///
    /// # Errors
    /// If the packet filter refuses.
    pub fn cut_api(&self) -> Result<()> {
        network::cut_api(&self.port, true)
    }

    /// Undoes [`Node::cut_api`].
    ///
    /// # Errors
    /// If the packet filter refuses.
    pub fn heal_api(&self) -> Result<()> {
        network::cut_api(&self.port, false)
    }

    /// Stops every process of the node and its network at once, as a hypervisor does.
    ///
    /// # Errors
    /// If a process does not stop within 5 s.
    pub fn pause(&self) -> Result<()> {
        network::plug(&self.port, false)?;
        self.group().freeze(true)
    }

    /// Lets the node go on where it stopped.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn resume(&self) -> Result<()> {
        network::plug(&self.port, true)?;
        self.group().freeze(false)
    }

    /// One word for `status`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        if !self.group().is_running() {
            "off"
        } else if self.group().is_frozen() {
            "paused"
        } else if !network::is_plugged(&self.port) {
            "cut"
        } else if network::is_api_cut(&self.port) {
            "cut from the API server"
        } else {
            "on"
        }
    }

    /// Imports a docker-archive into the node's containerd.
    pub(crate) fn import(&self, archive: &Path) -> Result<()> {
        if self.state() != "on" {
            return Err(Error::State(format!(
                "{} is {}: it cannot be given an image",
                self.name,
                self.state()
            )));
        }
        let log = self.places.log(&format!("{}-import", self.name));
        let socket = self.socket();
        wait_until("containerd to answer", Duration::from_secs(20), &log, || {
            Ok(containerd::answers(&socket))
        })?;
        long(
            &mut containerd::import(&socket, archive),
            &format!("importing on {}", self.name),
            &log,
        )
    }
}
