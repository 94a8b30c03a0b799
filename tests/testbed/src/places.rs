//! Where the testbed keeps things: one state directory that `down` removes, one cache that it keeps.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cgroup::Group;
use crate::error::{At, Error, Result};
use crate::key::Key;

/// The state directory if `TESTBED_DIR` names no other.
const STATE: &str = "/var/lib/redis-operator-testbed";

/// First word of the names of namespaces and groups.
pub(crate) const NAME: &str = "testbed";

/// Directories and names of one testbed.
#[derive(Debug, Clone)]
pub struct Places {
    /// Everything a running cluster consists of; removed by `down`.
    pub state: PathBuf,
    /// Programs and images, keyed by what they were built from; outlives clusters.
    pub cache: PathBuf,
    /// Of the control plane's namespace and of the group of all processes; one per state directory, so that testbeds
    /// with a `TESTBED_DIR` of their own do not meet.
    pub(crate) name: String,
}

impl Places {
    /// From `TESTBED_DIR`, `XDG_CACHE_HOME` and `HOME`.
    ///
    /// # Errors
    /// If `TESTBED_DIR` is relative or below `/run`, which the nodes cover with a directory of their own.
    pub fn from_env() -> Result<Self> {
        let state = std::env::var_os("TESTBED_DIR").map_or_else(|| PathBuf::from(STATE), PathBuf::from);
        let shadowed = ["/run", "/var/run", "/tmp/.", "/proc", "/sys"]
            .iter()
            .any(|p| state.starts_with(p));
        if !state.is_absolute() || shadowed || state.components().count() < 3 {
            return Err(Error::Unsuitable(format!(
                "TESTBED_DIR={} does not serve: name an absolute directory of its own outside /run",
                state.display()
            )));
        }
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into()));
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home().join(".cache"), PathBuf::from);
        Ok(Self::new(state, cache.join("redis-operator/testbed")))
    }

    pub(crate) fn new(state: PathBuf, cache: PathBuf) -> Self {
        let name = match state.to_str() {
            Some(STATE) => NAME.to_owned(),
            // Short: it becomes part of names of limited length. No digit of it is an `n`, which begins a node's name.
            _ => format!(
                "{NAME}-{}",
                &Key::of(&[state.as_os_str().as_encoded_bytes()]).to_string()[..6]
            ),
        };
        Self { state, cache, name }
    }

    /// The group of all processes of this testbed.
    pub(crate) fn top(&self) -> Group {
        Group::new(&self.name)
    }

    /// A group below it: `etcd`, `n1`, `n1/system`.
    pub(crate) fn group(&self, name: &str) -> Group {
        Group::new(Path::new(&self.name).join(name))
    }

    /// The file locked while something of this testbed is changed.
    pub(crate) fn lock(&self) -> PathBuf {
        PathBuf::from(format!("/run/redis-operator-{}.lock", self.name))
    }

    /// Log of a component: `kube-apiserver`, `n1-kubelet`.
    #[must_use]
    pub fn log(&self, component: &str) -> PathBuf {
        self.state.join("log").join(format!("{component}.log"))
    }

    /// The API server's audit log, one JSON event a line.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.state.join("log/audit.log")
    }

    /// The administrator's kubeconfig; its address works inside the control plane's network only.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("pki/admin.kubeconfig")
    }

    /// The directory that belongs on the PATH: kubectl, helm and the rest of the programs.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        self.state.join("bin")
    }

    /// A node's disk: what survives its power-off.
    #[must_use]
    pub fn disk(&self, node: &str) -> PathBuf {
        self.state.join("nodes").join(node)
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.state.join("pki")
    }

    /// Scratch of builds, below the state so that `down` removes what an interrupted build left.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.state.join("build")
    }

    /// Volumes of the class `network`, one directory for all nodes.
    pub(crate) fn shared_volumes(&self) -> PathBuf {
        self.state.join("network-volumes")
    }
}

pub(crate) fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).at("create", path)
}

/// Writes through a temporary name, so that a reader and a killed writer never leave half a file.
pub(crate) fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    let new = path.with_extension("new");
    fs::write(&new, text).at("write", &new)?;
    fs::rename(&new, path).at("write", path)
}

pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).at("read", path)
}
