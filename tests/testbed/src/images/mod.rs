//! The images of the testbed, made here from Debian's packages: there is no registry.
//!
//! They carry the names under which the official images are known, so that `image: redis:8.0` with
//! `imagePullPolicy: IfNotPresent` finds them.

pub(crate) mod archive;
mod debian;
pub(crate) mod disk;
mod pause;

use std::path::PathBuf;

use crate::error::Result;
use crate::places::Places;

pub(crate) use pause::REFERENCE as PAUSE;

/// An image as a docker-archive in the cache.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    /// `redis:8.0`, for people.
    pub(crate) name: String,
    /// The file; its name holds the key of what it was built from.
    pub(crate) file: PathBuf,
}

/// Builds what the cache lacks; the order is that of the list.
pub(crate) fn ensure(places: &Places) -> Result<Vec<Archive>> {
    let mut archives = vec![pause::ensure(places)?];
    for (number, image) in debian::IMAGES.iter().enumerate() {
        archives.push(image.ensure(places, &format!("{} of {}", number + 1, debian::IMAGES.len()))?);
    }
    Ok(archives)
}
