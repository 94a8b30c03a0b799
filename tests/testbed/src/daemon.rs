//! Programs that keep running: registered before they start, detached, with a log.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cgroup::Group;
use crate::error::{At, Error, Result};
use crate::network;
use crate::places::{Places, make_dir};

/// A program of the control plane, or a node as a whole.
pub(crate) struct Daemon {
    pub(crate) name: String,
    pub(crate) group: Group,
    pub(crate) namespace: String,
    pub(crate) words: Vec<String>,
}

/// The shell enters the group, then becomes the program; if the group is gone because `down` ran
/// meanwhile, the program never starts.
const ENTER: &str = r#"echo 0 > "$1" && shift && exec "$@""#;

impl Daemon {
    /// A program beside the control plane.
    pub(crate) fn control_plane(places: &Places, name: &str, program: &Path, args: &[String]) -> Self {
        let mut words = vec![program.display().to_string()];
        words.extend_from_slice(args);
        Self {
            name: name.to_owned(),
            group: places.group(name),
            namespace: places.name.clone(),
            words,
        }
    }

    /// Starts it unless it runs. Returns whether it was started.
    pub(crate) fn ensure(&self, places: &Places) -> Result<bool> {
        if self.group.is_running() {
            return Ok(false);
        }
        self.group.create()?;
        let log = places.log(&self.name);
        make_dir(&places.state.join("log"))?;
        let out = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .at("open", &log)?;
        let err = out.try_clone().at("open", &log)?;
        let mut command = registered(&self.group);
        command
            .args(["setsid", "--fork", "nsenter"])
            .arg(format!("--net={}", network::file(&self.namespace).display()));
        command
            .arg("--")
            .args(&self.words)
            .current_dir(&places.state)
            .env("TMPDIR", scratch(places)?);
        let status = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .status()
            .at("run", &self.name)?;
        if status.success() {
            return Ok(true);
        }
        Err(Error::Failed {
            program: self.name.clone(),
            status: status.to_string(),
            output: String::new(),
        })
    }
}

/// A command that is in `group` before it becomes what is appended to it.
pub(crate) fn registered(group: &Group) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", ENTER, "sh"]).arg(group.entrance());
    command
}

/// The pid of the process in `group` whose program has this name.
pub(crate) fn pid_of(group: &Group, program: &str) -> Result<i32> {
    // The kernel keeps the first 15 characters of a program's name.
    let short: String = program.chars().take(15).collect();
    let named =
        |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == short);
    group
        .pids()
        .into_iter()
        .find(named)
        .ok_or_else(|| Error::State(format!("{program} does not run")))
}

fn scratch(places: &Places) -> Result<PathBuf> {
    let dir = places.state.join("tmp");
    make_dir(&dir)?;
    Ok(dir)
}

/// Ends `group` in an orderly way: SIGTERM to its processes, then kill after `wait`.
pub(crate) fn stop(group: &Group, wait: std::time::Duration) -> Result<()> {
    let end = std::time::Instant::now() + wait;
    for pid in group.pids() {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
    }
    while group.is_running() && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    group.kill_all()
}

/// Where long build steps run, so that `down` finds them whatever becomes of us.
pub(crate) fn build_group(places: &Places) -> Result<Group> {
    let group = places.group("build");
    group.create()?;
    Ok(group)
}

/// Removes what [`build_group`] made, once a build outside of `up` has ended.
pub(crate) fn remove_build_group(places: &Places) -> Result<()> {
    places.group("build").kill_all()?;
    places.group("build").remove()?;
    if places.top().is_empty() {
        places.top().remove()
    } else {
        Ok(())
    }
}
