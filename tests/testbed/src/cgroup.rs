//! The register of what a testbed runs: control groups below one of its own.
//!
//! A process enters its group before it becomes the program, its children are born into it, and only
//! the kernel writes the list. So the list is complete after a kill -9 at any moment, and a reused pid
//! is never in it. No pid is ever read from a file of ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{At, Error, Result};

const ROOT: &str = "/sys/fs/cgroup";
/// A control group, by its path: `testbed/etcd`, `testbed/n1/system`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group(PathBuf);

impl Group {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The name the kubelet wants as its `cgroupRoot`.
    pub(crate) fn kubelet_name(&self) -> String {
        format!("/{}", self.0.display())
    }

    /// Makes the group where processes are registered.
    pub(crate) fn create(&self) -> Result<()> {
        let dir = register().join(&self.0);
        fs::create_dir_all(&dir).at("create", &dir)
    }

    /// Makes the group in every hierarchy, with the machine's cpus: a kubelet's root.
    pub(crate) fn create_everywhere(&self) -> Result<()> {
        for root in hierarchies() {
            let mut dir = root.clone();
            for part in self.0.components() {
                let parent = dir.clone();
                dir.push(part);
                if !dir.exists() {
                    enable_controllers(&parent);
                    fs::create_dir(&dir).at("create", &dir)?;
                    copy_cpuset(&parent, &dir)?;
                }
            }
            enable_controllers(&dir);
        }
        Ok(())
    }

    /// The file into which a process writes 0 or its pid to enter.
    pub(crate) fn entrance(&self) -> PathBuf {
        register().join(&self.0).join("cgroup.procs")
    }

    /// Every process in the group and below it, in the machine's numbers.
    pub(crate) fn pids(&self) -> Vec<i32> {
        let mut found = Vec::new();
        walk(&register().join(&self.0), &mut |dir| found.extend(listed(dir)));
        found
    }

    /// Every process in the members of this name, anywhere below the group.
    pub(crate) fn pids_of_member(&self, name: &str) -> Vec<i32> {
        let mut found = Vec::new();
        walk(&register().join(&self.0), &mut |dir| {
            if dir.components().any(|part| part.as_os_str() == name) {
                found.extend(listed(dir));
            }
        });
        found
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.pids().is_empty()
    }

    /// Stops or continues every process of the group at once.
    pub(crate) fn freeze(&self, frozen: bool) -> Result<()> {
        let dir = register().join(&self.0);
        let (file, word) = match (dir.join("freezer.state").exists(), frozen) {
            (true, true) => ("freezer.state", "FROZEN"),
            (true, false) => ("freezer.state", "THAWED"),
            (false, true) => ("cgroup.freeze", "1"),
            (false, false) => ("cgroup.freeze", "0"),
        };
        fs::write(dir.join(file), word).at("write", dir.join(file))?;
        if !frozen {
            return Ok(());
        }
        // Freezing is a request; a test that goes on before it holds would race with the frozen.
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            let v1 = fs::read_to_string(dir.join("freezer.state")).unwrap_or_default();
            let v2 = fs::read_to_string(dir.join("cgroup.events")).unwrap_or_default();
            if v1.trim() == "FROZEN" || v2.contains("frozen 1") {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(Error::State(format!("{} did not freeze within 5 s", self.0.display())))
    }

    pub(crate) fn is_frozen(&self) -> bool {
        let dir = register().join(&self.0);
        let state = fs::read_to_string(dir.join("freezer.state"))
            .or_else(|_| fs::read_to_string(dir.join("cgroup.freeze")))
            .unwrap_or_default();
        ["FROZEN", "FREEZING", "1"].contains(&state.trim())
    }

    /// Kills until nothing is left, children born meanwhile included.
    pub(crate) fn kill_all(&self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(15);
        loop {
            // Frozen processes of the first generation of groups do not die before they thaw.
            walk(&register().join(&self.0), &mut |dir| {
                let _ = fs::write(dir.join("freezer.state"), "THAWED");
                let _ = fs::write(dir.join("cgroup.freeze"), "0");
            });
            let pids = self.pids();
            if pids.is_empty() {
                return Ok(());
            }
            for pid in &pids {
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            if Instant::now() >= end {
                return Err(Error::State(format!(
                    "processes {pids:?} do not die; see `ps -fp` about them"
                )));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Removes the group's directories in every hierarchy, from the leaves up.
    pub(crate) fn remove(&self) -> Result<()> {
        for root in hierarchies() {
            let mut dirs = Vec::new();
            walk(&root.join(&self.0), &mut |dir| dirs.push(dir.to_owned()));
            for dir in dirs.iter().rev() {
                remove_dir(dir)?;
            }
        }
        Ok(())
    }

    /// Whether the group has neither processes nor groups below it.
    pub(crate) fn is_empty(&self) -> bool {
        let mut groups = 0;
        walk(&register().join(&self.0), &mut |_| groups += 1);
        groups <= 1 && !self.is_running()
    }

    /// Whether any hierarchy still has the group.
    pub(crate) fn exists(&self) -> bool {
        hierarchies().iter().any(|root| root.join(&self.0).exists())
    }
}

/// A group whose last process has just died is busy for a moment.
fn remove_dir(dir: &Path) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        match fs::remove_dir(dir) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) if Instant::now() >= end => return Err(e).at("remove", dir),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Names of the groups at the top that begin with `prefix`.
pub(crate) fn tops(prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(register()).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(prefix)).collect()
}

/// The one hierarchy whose membership is the register: `freezer`, or the only one of cgroup v2.
fn register() -> PathBuf {
    let v1 = Path::new(ROOT).join("freezer");
    if v1.join("cgroup.procs").exists() {
        v1
    } else {
        PathBuf::from(ROOT)
    }
}

fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from(ROOT);
    if root.join("cgroup.controllers").exists() {
        return vec![root];
    }
    let entries = fs::read_dir(&root).into_iter().flatten().flatten();
    let dirs = entries
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .map(|e| e.path());
    dirs.filter(|dir| dir.join("cgroup.procs").exists()).collect()
}

/// cgroup v2 hands a controller down only where the parent says so.
fn enable_controllers(dir: &Path) {
    let Ok(available) = fs::read_to_string(dir.join("cgroup.controllers")) else {
        return;
    };
    for controller in available.split_whitespace() {
        let _ = fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

/// A new v1 cpuset group is empty, and a process cannot enter an empty one.
fn copy_cpuset(parent: &Path, dir: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if dir.join("cgroup.clone_children").exists() && dir.join(file).exists() {
            let value = fs::read_to_string(parent.join(file)).at("read", parent.join(file))?;
            fs::write(dir.join(file), value.trim()).at("write", dir.join(file))?;
        }
    }
    Ok(())
}

fn listed(dir: &Path) -> Vec<i32> {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    // Processes of a foreign pid namespace are listed as 0.
    text.lines()
        .filter_map(|line| line.parse::<i32>().ok())
        .filter(|pid| *pid > 0)
        .collect()
}

fn walk(dir: &Path, visit: &mut dyn FnMut(&Path)) {
    if !dir.is_dir() {
        return;
    }
    visit(dir);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
}
