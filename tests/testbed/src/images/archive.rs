//! A docker-archive of one layer: the form that `ctr images import`, `docker load` and `buildah` read.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::command::{command, output};
use crate::error::{At, Result};

/// Packs the tar file `layer` with `config` (the `config` member of an image configuration) as `reference`.
pub(crate) fn pack(file: &Path, reference: &str, layer: &Path, config: &Value) -> Result<()> {
    let digest = sha256(layer)?;
    let image = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
        "history": [{"created_by": "testbed"}],
    })
    .to_string();
    let name = format!("{}.json", hex::encode(Sha256::digest(image.as_bytes())));
    let manifest = json!([{"Config": name, "RepoTags": [reference], "Layers": ["layer.tar"]}]).to_string();
    let new = file.with_extension("new");
    let mut tar = tar::Builder::new(BufWriter::new(File::create(&new).at("create", &new)?));
    let mut open = File::open(layer).at("open", layer)?;
    tar.append_file("layer.tar", &mut open).at("write", &new)?;
    for (name, text) in [(name.as_str(), &image), ("manifest.json", &manifest)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, text.as_bytes()).at("write", &new)?;
    }
    tar.into_inner().and_then(|mut out| out.flush()).at("write", &new)?;
    std::fs::rename(&new, file).at("write", file)
}

/// The reference an archive carries, if it is a docker-archive.
pub(crate) fn reference(file: &Path) -> Result<Option<String>> {
    let mut tar = tar::Archive::new(BufReader::new(File::open(file).at("open", file)?));
    for entry in tar.entries().at("read", file)? {
        let mut entry = entry.at("read", file)?;
        if entry
            .path()
            .is_ok_and(|path| path.as_ref() == Path::new("manifest.json"))
        {
            let mut text = String::new();
            entry.read_to_string(&mut text).at("read", file)?;
            let manifest: Value = serde_json::from_str(&text).unwrap_or_default();
            return Ok(manifest[0]["RepoTags"][0].as_str().map(str::to_owned));
        }
    }
    Ok(None)
}

/// The program is many times faster than an unoptimized build of ours.
pub(crate) fn sha256(file: &Path) -> Result<String> {
    let line = output(command("sha256sum", ["-b"]).arg(file))?;
    Ok(line
        .split(' ')
        .next()
        .unwrap_or_default()
        .trim_start_matches('\\')
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_names_its_reference_and_its_layers_digest() {
        let dir = tempfile::tempdir().unwrap();
        let (layer, file) = (dir.path().join("l.tar"), dir.path().join("a.tar"));
        std::fs::write(&layer, b"layer").unwrap();
        pack(&file, "docker.io/library/x:1", &layer, &json!({"Cmd": ["x"]})).unwrap();
        assert_eq!(reference(&file).unwrap().as_deref(), Some("docker.io/library/x:1"));
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        // The SHA-256 of the five bytes "layer".
        let expected = hex::encode(Sha256::digest(b"layer"));
        assert!(text.contains(&format!("sha256:{expected}")));
    }
}
