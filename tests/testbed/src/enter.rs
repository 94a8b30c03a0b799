//! Moves the calling process into the cluster's network, with the cluster's DNS.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use crate::error::{At, Result};
use crate::network;
use crate::places::Places;

const RESOLVER: &str = "/etc/resolv.conf";

/// For a process of one thread that is about to become another program.
pub(crate) fn enter(places: &Places) -> Result<()> {
    let path = network::file(&places.name);
    let namespace = File::open(&path).at("open", &path)?;
    setns(namespace, CloneFlags::CLONE_NEWNET).at("enter", &path)?;
    resolve_with(&places.state.join("resolv.conf"))
}

/// Covers the machine's resolver file for this process and its children only.
///
/// Of all mounts only the one that holds the file becomes private: the directory of network namespaces stays
/// shared, because a test may power a node on from here.
fn resolve_with(file: &Path) -> Result<()> {
    let Ok(target) = fs::canonicalize(RESOLVER) else {
        return Ok(());
    };
    unshare(CloneFlags::CLONE_NEWNS).at("unshare mounts for", &target)?;
    let holder = mount_of(&target);
    let none: Option<&str> = None;
    mount(none, &holder, none, MsFlags::MS_PRIVATE, none).at("make private", &holder)?;
    mount(Some(file), &target, none, MsFlags::MS_BIND, none).at("cover", &target)
}

fn mount_of(path: &Path) -> PathBuf {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = table
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(PathBuf::from);
    points
        .filter(|point| path.starts_with(point))
        .max_by_key(|point| point.components().count())
        .unwrap_or("/".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_that_holds_a_file_is_the_deepest() {
        assert_eq!(mount_of(Path::new("/proc/self/mounts")), PathBuf::from("/proc"));
        assert_eq!(mount_of(Path::new("/no-such-directory/file")), PathBuf::from("/"));
    }
}
