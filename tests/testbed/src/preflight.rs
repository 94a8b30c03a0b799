//! What the machine must have, checked before anything is touched. Each failure is one sentence.

use std::path::Path;

use crate::command::{command, output};
use crate::error::{Error, Result};

/// Program and the Debian package it comes from.
const PROGRAMS: [(&str, &str); 19] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("containerd-shim-runc-v2", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("iptables", "iptables"),
    ("iptables-save", "iptables"),
    ("ipset", "ipset"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("setsid", "util-linux"),
    ("setpriv", "util-linux"),
    ("mmdebstrap", "mmdebstrap"),
    ("socat", "socat"),
    ("ethtool", "ethtool"),
    ("redis-cli", "redis-tools"),
    ("cc", "gcc libc6-dev"),
];
const GO: (u32, u32) = (1, 25);

/// Refuses to go on without root.
pub(crate) fn root() -> Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    Err(Error::Unsuitable(
        "the testbed makes namespaces, mounts and control groups and so needs root: build it with \
         `cargo build -p testbed`, then run `sudo target/debug/testbed`"
            .to_owned(),
    ))
}

/// Names every missing program and the command that installs them.
pub(crate) fn programs() -> Result<()> {
    require(&PROGRAMS)?;
    let Ok(version) = output(&mut command("go", ["env", "GOVERSION"])) else {
        return Err(Error::Unsuitable(format!(
            "go is missing: install Go {}.{} or newer and put it on the PATH",
            GO.0, GO.1
        )));
    };
    if go_version(&version).is_some_and(|found| found < GO) {
        let version = version.trim();
        return Err(Error::Unsuitable(format!(
            "{version} is too old: Kubernetes needs Go {}.{}",
            GO.0, GO.1
        )));
    }
    Ok(())
}

/// What `image operator` needs beside the rest.
pub(crate) fn buildah() -> Result<()> {
    require(&[("buildah", "buildah")])
}

fn require(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<_> = programs.iter().filter(|(program, _)| !found(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    let mut packages: Vec<&str> = missing.iter().flat_map(|(_, package)| package.split(' ')).collect();
    packages.sort_unstable();
    packages.dedup();
    Err(Error::Unsuitable(format!(
        "missing here: {}; install with `apt-get install -y --no-install-recommends {}`",
        names.join(", "),
        packages.join(" ")
    )))
}

fn found(program: &str) -> bool {
    if program.starts_with('/') {
        return Path::new(program).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|dir| dir.join(program).exists())
}

/// `go1.26.8` as (1, 26).
fn go_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix("go")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_compare_as_numbers() {
        assert_eq!(go_version("go1.26.8\n"), Some((1, 26)));
        assert!(go_version("go1.9").unwrap() < GO && go_version("go1.25").unwrap() >= GO);
        assert_eq!(go_version("devel"), None);
    }

    #[test]
    fn missing_programs_are_named_with_one_command_that_installs_them() {
        let error = require(&[("no-such-a", "pb"), ("no-such-b", "pa pb"), ("sh", "dash")]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let expected =
            "missing here: no-such-a, no-such-b; install with `apt-get install -y --no-install-recommends pa pb`";
        assert_eq!(error.to_string(), expected);
    }
}
