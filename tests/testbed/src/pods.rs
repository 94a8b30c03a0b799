//! The processes behind pods, as the machine sees them: for tests that kill or stop one.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::sh;
use crate::error::{At, Error, Result};
use crate::kubectl;
use crate::places::Places;

/// Names under which the server of a Redis or Valkey pod runs.
const SERVERS: [&str; 2] = ["redis-server", "valkey-server"];

/// A process of a pod, in the machine's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// Its parent's pid.
    pub parent: i32,
    /// Its program, as the kernel keeps it: 15 characters at most.
    pub program: String,
}

/// All processes of a pod, the sandbox's included.
pub(crate) fn processes(places: &Places, namespace: &str, pod: &str) -> Result<Vec<Process>> {
    let object = kubectl::json(places, &["get", "pod", "--namespace", namespace, pod])?;
    let (Some(uid), Some(node)) = (object["metadata"]["uid"].as_str(), object["spec"]["nodeName"].as_str()) else {
        return Err(Error::State(format!("pod {namespace}/{pod} is on no node")));
    };
    let directory = format!("pod{uid}");
    let pids = places.group(node).pids_of_member(&directory);
    Ok(pids.into_iter().filter_map(describe).collect())
}

/// The pid of the pod's Redis. A child that saves or rewrites is not meant.
pub(crate) fn redis(places: &Places, namespace: &str, pod: &str) -> Result<i32> {
    let all = processes(places, namespace, pod)?;
    server(&all).ok_or_else(|| Error::State(format!("no Redis runs in pod {namespace}/{pod}")))
}

fn server(all: &[Process]) -> Option<i32> {
    let servers: Vec<_> = all
        .iter()
        .filter(|process| SERVERS.contains(&process.program.as_str()))
        .collect();
    let child_of_a_server = |process: &Process| servers.iter().any(|other| other.pid == process.parent);
    servers
        .iter()
        .find(|process| !child_of_a_server(process))
        .map(|process| process.pid)
}

/// Sends a signal to a process of the machine.
///
/// # Errors
/// If it is gone.
pub fn signal(pid: i32, signal: Signal) -> Result<()> {
    kill(Pid::from_raw(pid), signal).at("signal", format!("/proc/{pid}"))
}

/// Which packets of a pod are dropped, silently.
#[derive(Debug, Clone, Copy)]
pub enum Cut<'a> {
    /// All of them, in both directions.
    All,
    /// What it sends: it hears, and is not heard.
    Outgoing,
    /// A fifth of them, in both directions.
    Fifth,
    /// What passes between it and these addresses, in both directions.
    From(&'a [String]),
}

/// Drops packets of a pod. The rules live in the pod's own network and go with it.
pub(crate) fn cut(places: &Places, namespace: &str, pod: &str, cut: Cut) -> Result<()> {
    const IN: &str = "INPUT ! -i lo";
    const OUT: &str = "OUTPUT ! -o lo";
    const FIFTH: &str = "-m statistic --mode random --probability 0.2";
    let packets = match cut {
        Cut::All => vec![IN.to_owned(), OUT.to_owned()],
        Cut::Outgoing => vec![OUT.to_owned()],
        Cut::Fifth => vec![format!("{IN} {FIFTH}"), format!("{OUT} {FIFTH}")],
        Cut::From(addresses) => addresses
            .iter()
            .flat_map(|address| [format!("INPUT -s {address}"), format!("OUTPUT -d {address}")])
            .collect(),
    };
    packets
        .iter()
        .try_for_each(|packets| filter(places, namespace, pod, &format!("-I {packets} -j DROP")))
}

/// Undoes [`cut`].
pub(crate) fn heal(places: &Places, namespace: &str, pod: &str) -> Result<()> {
    filter(places, namespace, pod, "-F")
}

fn filter(places: &Places, namespace: &str, pod: &str, rule: &str) -> Result<()> {
    let all = processes(places, namespace, pod)?;
    let Some(process) = all.first() else {
        return Err(Error::State(format!("pod {namespace}/{pod} has no process")));
    };
    sh(&format!("nsenter --target {} --net iptables -w 5 {rule}", process.pid)).map(drop)
}

fn describe(pid: i32) -> Option<Process> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    Some(Process {
        pid,
        parent: field("PPid:")?.parse().ok()?,
        program: field("Name:")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_found_beside_its_saving_child() {
        let process = |pid, parent, program: &str| Process {
            pid,
            parent,
            program: program.to_owned(),
        };
        let all = [
            process(9, 8, "redis-server"),
            process(7, 5, "pause"),
            process(8, 5, "redis-server"),
            process(5, 1, "x"),
        ];
        assert_eq!(server(&all), Some(8));
        assert_eq!(server(&all[1..2]), None);
    }

    #[test]
    fn a_process_is_described_as_the_kernel_sees_it() {
        let own = describe(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert_eq!(own.parent, i32::try_from(std::os::unix::process::parent_id()).unwrap());
        assert!(describe(i32::MAX).is_none());
    }
}
