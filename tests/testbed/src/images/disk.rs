//! A containerd directory with every image imported and unpacked, made once and shared by all nodes.
//!
//! Importing takes seconds per node and image. Instead a node gets copies of the two small databases
//! and links to the blobs and unpacked layers, which containerd never writes to. What is loaded later
//! lands in the node's own directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Archive;
use crate::command::{long, say};
use crate::daemon::{build_group, registered, stop};
use crate::error::{At, Result};
use crate::interrupt::wait_until;
use crate::key::Key;
use crate::node::containerd;
use crate::places::{Places, make_dir, write};

/// Directories whose entries are linked, not copied.
const SHARED: [&str; 2] = [
    "io.containerd.content.v1.content/blobs/sha256",
    "io.containerd.snapshotter.v1.overlayfs/snapshots",
];

/// Makes the shared directory if the cache lacks it.
pub(crate) fn ensure(places: &Places, archives: &[Archive]) -> Result<PathBuf> {
    let names: Vec<String> = archives.iter().map(|a| a.file.display().to_string()).collect();
    let version = crate::command::sh("containerd --version")?;
    let key = Key::of(&[names.join("\n"), version, "1".to_owned()]);
    let disk = places.cache.join(format!("disk-{key}"));
    if !disk.exists() {
        fill(places, archives, &disk)?;
    }
    Ok(disk)
}

fn fill(places: &Places, archives: &[Archive], disk: &Path) -> Result<()> {
    let new = disk.with_extension("new");
    let _ = fs::remove_dir_all(&new);
    make_dir(&new)?;
    let dir = places.scratch().join("disk");
    let socket = dir.join("containerd.sock");
    let config = dir.join("containerd.toml");
    write(&config, containerd::config(&new, &dir.join("state"), &socket, &dir))?;
    let group = build_group(places)?;
    let log = places.cache.join("build-disk.log");
    let out = fs::File::create(&log).at("create", &log)?;
    let err = out.try_clone().at("write", &log)?;
    let mut command = registered(&group);
    command
        .args(["setsid", "--fork", "unshare", "--mount", "containerd", "--config"])
        .arg(&config);
    command
        .stdin(std::process::Stdio::null())
        .stdout(out)
        .stderr(err)
        .status()
        .at("run", "containerd")?;
    wait_until("containerd to answer", Duration::from_secs(20), &log, || {
        Ok(containerd::answers(&socket))
    })?;
    for (number, archive) in archives.iter().enumerate() {
        say(&format!(
            "unpacking {} ({} of {})",
            archive.name,
            number + 1,
            archives.len()
        ));
        let log = places.cache.join("build-import.log");
        long(
            &mut containerd::import(&socket, &archive.file),
            &format!("unpacking {}", archive.name),
            &log,
        )?;
    }
    stop(&group, Duration::from_secs(10))?;
    fs::rename(&new, disk).at("write", disk)
}

/// Gives a node its containerd directory. Does nothing if it has one.
pub(crate) fn give(disk: &Path, root: &Path) -> Result<()> {
    if root.exists() {
        return Ok(());
    }
    let new = root.with_extension("new");
    let _ = fs::remove_dir_all(&new);
    copy(disk, disk, &new)?;
    fs::rename(&new, root).at("write", root)
}

fn copy(top: &Path, from: &Path, to: &Path) -> Result<()> {
    make_dir(to)?;
    let shared = SHARED.iter().any(|dir| top.join(dir) == from);
    for entry in fs::read_dir(from).at("read", from)? {
        let entry = entry.at("read", from)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().at("read", &source)?;
        if shared {
            std::os::unix::fs::symlink(&source, &target).at("create", &target)?;
        } else if kind.is_dir() {
            copy(top, &source, &target)?;
        } else if kind.is_file() {
            fs::copy(&source, &target).at("copy", &source)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_links_and_databases_are_copies() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, root) = (dir.path().join("disk"), dir.path().join("root"));
        let snapshots = "io.containerd.snapshotter.v1.overlayfs/snapshots";
        fs::create_dir_all(disk.join(snapshots).join("1/fs")).unwrap();
        fs::write(disk.join(snapshots).parent().unwrap().join("metadata.db"), "db").unwrap();
        give(&disk, &root).unwrap();
        assert!(root.join(snapshots).join("1").is_symlink());
        let database = root.join(snapshots).parent().unwrap().join("metadata.db");
        assert!(!database.is_symlink() && database.exists());
        fs::write(&database, "the node's").unwrap();
        give(&disk, &root).unwrap();
        assert_eq!(fs::read_to_string(&database).unwrap(), "the node's");
    }
}
