//! Images brought to the nodes by hand: any docker-archive, and the operator's own image.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::command::{command, long, output, say};
use crate::daemon::{build_group, registered, remove_build_group};
use crate::error::{At, Error, Result};
use crate::images::archive;
use crate::lifecycle::Lock;
use crate::node::Node;
use crate::places::{Places, make_dir, write};
use crate::preflight;
use crate::state::State;

/// The recipe of the operator's image, in the repository.
const RECIPE: &str = "hack/image";

/// Imports `image`, a docker-archive or the name of an image built here, into every node. Returns its reference.
pub(crate) fn load(places: &Places, image: &str) -> Result<String> {
    let state = State::load(places)?;
    let file = if Path::new(image).is_file() {
        PathBuf::from(image)
    } else {
        export(places, image)?
    };
    let reference = archive::reference(&file)?
        .ok_or_else(|| Error::Unsuitable(format!("{} is no docker-archive with a name in it", file.display())))?;
    import(places, &state, &file)?;
    Ok(reference)
}

fn export(places: &Places, image: &str) -> Result<PathBuf> {
    let file = places.scratch().join("loaded.tar");
    make_dir(&places.scratch())?;
    let _ = fs::remove_file(&file);
    let target = format!("docker-archive:{}:{image}", file.display());
    let buildah = output(&mut command("buildah", ["push", "--quiet", image, &target]));
    let docker = || output(command("docker", ["save", "--output"]).arg(&file).arg(image));
    if buildah.is_ok() || docker().is_ok() {
        return Ok(file);
    }
    Err(Error::Unsuitable(format!(
        "{image} is neither a file nor an image that buildah or docker has here"
    )))
}

fn import(places: &Places, state: &State, file: &Path) -> Result<()> {
    let nodes: Vec<_> = state
        .nodes
        .iter()
        .map(|name| Node::new(places, name))
        .collect::<Result<_>>()?;
    thread::scope(|scope| {
        let imports: Vec<_> = nodes.iter().map(|node| scope.spawn(|| node.import(file))).collect();
        let joined = imports
            .into_iter()
            .map(|import| import.join().unwrap_or(Err(Error::Interrupted)));
        joined.collect::<Result<Vec<()>>>().map(drop)
    })
}

/// Builds the operator's image by the repository's own recipe and keeps it for this and later clusters: `up` gives
/// it to every node. Returns its reference.
pub(crate) fn build_operator(places: &Places) -> Result<String> {
    preflight::root()?;
    preflight::buildah()?;
    let lock = Lock::take(places)?;
    let built = build(places);
    remove_build_group()?;
    let reference = built?;
    if let Ok(state) = State::load(places) {
        give_operator(places, &state)?;
    }
    drop(lock);
    Ok(reference)
}

fn build(places: &Places) -> Result<String> {
    let repository = repository()?;
    let file = kept(places);
    make_dir(&places.cache)?;
    let storage = places.cache.join("buildah");
    let config = places.cache.join("buildah.conf");
    // Nothing of the build stays in the machine's own image store, and no overlay mount is needed.
    write(
        &config,
        format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}/graph\"\nrunroot = \"{0}/run\"\n",
            storage.display()
        ),
    )?;
    let mut recipe: Command = registered(&build_group()?);
    let new = file.with_extension("new");
    recipe
        .arg(repository.join(RECIPE))
        .arg("")
        .arg(&new)
        .current_dir(&repository)
        .env("CONTAINERS_STORAGE_CONF", &config);
    let log = places.cache.join("build-operator.log");
    let what = format!("building the operator's image (log: {})", log.display());
    say(&what);
    let built = long(&mut recipe, &what, &log);
    let _ = fs::remove_dir_all(&storage);
    built?;
    let reference = archive::reference(&new)?;
    fs::rename(&new, &file).at("write", &file)?;
    reference.ok_or_else(|| Error::State(format!("{RECIPE} made an archive without a name in it")))
}

/// Gives the kept operator image to every node that does not have exactly it.
pub(crate) fn give_operator(places: &Places, state: &State) -> Result<()> {
    let file = kept(places);
    if !file.exists() {
        return Ok(());
    }
    let digest = archive::sha256(&file)?;
    let lacking =
        |node: &String| fs::read_to_string(places.disk(node).join("operator-image")).map_or(true, |had| had != digest);
    let nodes: Vec<String> = state.nodes.iter().filter(|node| lacking(node)).cloned().collect();
    if nodes.is_empty() {
        return Ok(());
    }
    import(
        places,
        &State {
            nodes: nodes.clone(),
            ..state.clone()
        },
        &file,
    )?;
    for node in &nodes {
        write(&places.disk(node).join("operator-image"), &digest)?;
    }
    let name = archive::reference(&file)?.unwrap_or_default();
    say(&format!("the operator's image {name} is on {}", nodes.join(", ")));
    Ok(())
}

fn kept(places: &Places) -> PathBuf {
    places.cache.join("operator.tar")
}

/// The repository above the current directory.
fn repository() -> Result<PathBuf> {
    let here = std::env::current_dir().at("find", ".")?;
    let found = here
        .ancestors()
        .find(|dir| dir.join(RECIPE).exists())
        .map(Path::to_owned);
    found.ok_or_else(|| {
        Error::Unsuitable(format!(
            "there is no {RECIPE} above {}: run this in the repository",
            here.display()
        ))
    })
}
