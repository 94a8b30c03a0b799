//! The sandbox image: one static program that waits.

use std::fs::File;

use serde_json::json;

use super::{Archive, archive};
use crate::command::{command, output};
use crate::error::{At, Result};
use crate::key::Key;
use crate::places::{Places, make_dir, write};

/// The name containerd is told to use for sandboxes.
pub(crate) const REFERENCE: &str = "testbed.local/pause:1";
const SOURCE: &str = include_str!("pause.c");

pub(super) fn ensure(places: &Places) -> Result<Archive> {
    let file = places
        .cache
        .join(format!("image-pause-{}.tar", Key::of(&[SOURCE, REFERENCE])));
    let archive = Archive {
        name: "pause".to_owned(),
        file,
    };
    if archive.file.exists() {
        return Ok(archive);
    }
    make_dir(&places.cache)?;
    let dir = places.scratch().join("pause");
    let (source, program, layer) = (dir.join("pause.c"), dir.join("pause"), dir.join("layer.tar"));
    write(&source, SOURCE)?;
    output(command("cc", ["-static", "-Os", "-s", "-o"]).arg(&program).arg(&source))?;
    let mut tar = tar::Builder::new(File::create(&layer).at("create", &layer)?);
    tar.append_path_with_name(&program, "pause").at("write", &layer)?;
    tar.finish().at("write", &layer)?;
    archive::pack(
        &archive.file,
        REFERENCE,
        &layer,
        &json!({"Entrypoint": ["/pause"], "User": "65535:65535"}),
    )?;
    Ok(archive)
}
