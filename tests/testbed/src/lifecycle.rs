//! `up` and `down`: the order in which things appear and vanish.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, umount2};

use crate::cgroup;
use crate::command::say;
use crate::error::{At, Error, Result};
use crate::interrupt::{self, wait_until};
use crate::node::{MOUNT_POINTS, Node};
use crate::places::{NAME, Places, make_dir, read, write};
use crate::state::State;
use crate::{addons, control_plane, images, kubectl, load, network, preflight, programs, state};

const DEFAULT_NODES: u8 = 3;

/// What `up` is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Number of nodes, 1 to 9.
    pub nodes: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: DEFAULT_NODES }
    }
}

/// Held while something is changed; other commands wait.
pub(crate) struct Lock(Flock<File>);

impl Lock {
    pub(crate) fn take(places: &Places) -> Result<Self> {
        preflight::root()?;
        let path = places.lock();
        let mut told = false;
        loop {
            let file = File::options()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(&path)
                .at("open", &path)?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => {
                    let lock = Self(lock);
                    if lock.is_current(&path) {
                        return Ok(lock);
                    }
                    continue;
                }
                Err((_, nix::errno::Errno::EWOULDBLOCK)) => {}
                Err((_, error)) => return Err(error).at("lock", &path),
            }
            if !told {
                say("waiting for another testbed command to end");
                told = true;
            }
            interrupt::check()?;
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Whether the file locked is still the one at the path: `down` removes it.
    fn is_current(&self, path: &Path) -> bool {
        let of = |meta: fs::Metadata| (meta.dev(), meta.ino());
        let locked = self.0.metadata().map(of).ok();
        locked.is_some() && locked == fs::metadata(path).map(of).ok()
    }
}

/// Brings the testbed up, or completes what runs of it.
pub(crate) fn up(places: &Places, options: Options) -> Result<()> {
    preflight::root()?;
    preflight::programs()?;
    let _lock = Lock::take(places)?;
    if !State::find(places)?.is_some_and(|state| state.complete) && leftovers(places) {
        say("clearing up what an interrupted testbed left");
        clear(places)?;
    }
    let fresh = !leftovers(places);
    match build_and_start(places, options) {
        Err(error) if fresh => {
            if matches!(error, Error::Interrupted) {
                interrupt::taken();
                say("interrupted: clearing up");
                clear(places)?;
            } else {
                say("what runs is left for a look; `cargo testbed logs`, then `cargo testbed down`");
            }
            Err(error)
        }
        other => other,
    }
}

fn build_and_start(places: &Places, options: Options) -> Result<()> {
    make_dir(&places.state)?;
    programs::ensure(places)?;
    let archives = images::ensure(places)?;
    let image_disk = images::disk::ensure(places, &archives)?;
    let begun = Instant::now();
    let before = State::find(places)?.unwrap_or_default();
    let mut state = State { image_disk, ..before };
    for number in 1..=options.nodes {
        let name = format!("n{number}");
        if !state.nodes.contains(&name) {
            state.nodes.push(name);
        }
    }
    state.save(places)?;
    let changed = start(places, &state, begun)?;
    state.complete = true;
    state.save(places)?;
    let nodes = state.nodes.len();
    if changed {
        say(&format!(
            "{nodes} nodes Ready after {:.1} s",
            begun.elapsed().as_secs_f32()
        ));
    } else {
        say(&format!("everything runs already: {nodes} nodes"));
    }
    Ok(())
}

fn start(places: &Places, state: &State, begun: Instant) -> Result<bool> {
    let step = |what: &str| say(&format!("{:5.1} s  {what}", begun.elapsed().as_secs_f32()));
    make_mount_points(places)?;
    network::ensure_control_plane(&places.name)?;
    let mut changed = control_plane::ensure_api(places)?;
    if changed {
        step("API server ready");
    }
    // First, because it takes longest until it does its work.
    changed |= control_plane::ensure_controllers(places)?;
    for name in &state.nodes {
        changed |= Node::new(places, name)?.ensure(state)?;
    }
    changed |= control_plane::ensure_rest(places)?;
    if changed {
        step("nodes started");
        kubectl::apply(places, &addons::manifest(places)?)?;
    }
    let log = places.log(&format!("{}-kubelet", state.nodes[0]));
    wait_until("all nodes to be Ready", Duration::from_secs(90), &log, || {
        all_ready(places, state.nodes.len())
    })?;
    let account = || Ok(kubectl::run(places, &["get", "serviceaccount", "default", "--output=name"]).is_ok());
    let log = places.log("kube-controller-manager");
    // Made by a controller; before it is there the API server refuses pods.
    wait_until("the service account of pods", Duration::from_secs(30), &log, account)?;
    let log = places.log("kube-proxy");
    wait_until("kube-proxy to know Services", Duration::from_secs(30), &log, || {
        services_known(places, state)
    })?;
    load::give_operator(places, state)?;
    Ok(changed)
}

fn all_ready(places: &Places, expected: usize) -> Result<bool> {
    let query = "jsonpath={range .items[*]}{.status.conditions[?(@.type=='Ready')].status}{'\\n'}{end}";
    let ready = kubectl::run(places, &["get", "nodes", "-o", query]).unwrap_or_default();
    Ok(ready.lines().filter(|line| *line == "True").count() >= expected)
}

fn services_known(places: &Places, state: &State) -> Result<bool> {
    for name in &state.nodes {
        if !Node::new(places, name)?.has_services() {
            return Ok(false);
        }
    }
    Ok(network::has_services(&places.name))
}

/// Starts again what has died of the control plane.
pub(crate) fn repair(places: &Places) -> Result<()> {
    control_plane::ensure_api(places)?;
    control_plane::ensure_controllers(places)?;
    control_plane::ensure_rest(places).map(drop)
}

/// The nodes mount their own directories over these; those that had to be made are removed by `down`.
fn make_mount_points(places: &Places) -> Result<()> {
    let list = places.state.join("mount-points");
    let mut made = read(&list).unwrap_or_default();
    for point in MOUNT_POINTS.iter().filter(|point| !fs::exists(point).unwrap_or(true)) {
        made.push_str(point);
        made.push('\n');
        write(&list, &made)?;
        make_dir(point.as_ref())?;
    }
    Ok(())
}

/// Whether the machine holds anything of a testbed.
pub(crate) fn leftovers(places: &Places) -> bool {
    state::any(places) || places.top().exists() || !network::namespaces(&places.name).is_empty()
}

/// What of a testbed is on the machine, each thing by a short name: for a check that `down` left nothing.
pub(crate) fn inventory(places: &Places) -> Vec<String> {
    let state = places.state.display().to_string();
    let mut found: Vec<String> = network::namespaces(&places.name)
        .iter()
        .map(|n| format!("namespace {n}"))
        .collect();
    found.extend(mounts_below(places).iter().map(|point| format!("mount {point}")));
    found.extend(places.top().exists().then(|| format!("control group {}", places.name)));
    found.extend(state::any(places).then(|| format!("directory {state}")));
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok()) {
        let words = fs::read_to_string(process.path().join("cmdline"))
            .unwrap_or_default()
            .replace('\0', " ");
        found.extend(
            words
                .contains(&format!("{state}/"))
                .then(|| format!("process {}", words.trim())),
        );
    }
    found
}

/// Ends and removes everything; the cache stays.
pub(crate) fn down(places: &Places) -> Result<bool> {
    preflight::root()?;
    let lock = Lock::take(places)?;
    let there = leftovers(places);
    clear(places)?;
    fs::remove_file(places.lock()).at("remove", places.lock())?;
    drop(lock);
    Ok(there)
}

/// Works from what the kernel knows, whatever the state on disk says.
fn clear(places: &Places) -> Result<()> {
    places.top().kill_all()?;
    for namespace in network::namespaces(&places.name) {
        network::remove(&namespace)?;
    }
    unmount_below(places)?;
    places.top().remove()?;
    for point in read(&places.state.join("mount-points")).unwrap_or_default().lines() {
        // Only if it is empty, and no other testbed has mounted something there.
        if cgroup::tops(NAME).is_empty() {
            let _ = fs::remove_dir(point);
        }
    }
    if state::any(places) {
        fs::remove_dir_all(&places.state).at("remove", &places.state)?;
    }
    Ok(())
}

fn unmount_below(places: &Places) -> Result<()> {
    for point in mounts_below(places).into_iter().rev() {
        umount2(point.as_str(), MntFlags::MNT_DETACH).at("unmount", &point)?;
    }
    Ok(())
}

/// Mount points below the state directory, parents before children.
pub(crate) fn mounts_below(places: &Places) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(1));
    points
        .filter(|point| std::path::Path::new(point).starts_with(&places.state))
        .map(str::to_owned)
        .collect()
}
