//! Images brought to the nodes by hand: any docker-archive, and the operator's own image.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use crate::command::{command, long, output, say, without_package};
use crate::daemon::{build_group, registered, remove_build_group};
use crate::error::{At, Error, Result};
use crate::images::archive;
use crate::lifecycle::Lock;
use crate::node::Node;
use crate::places::{Places, make_dir, write};
use crate::preflight;
use crate::state::State;

/// The operator's program and the name of its image.
const BINARY: &str = "redis-operator";
/// The recipe of its image, which also marks the repository's top.
const RECIPE: &str = "Dockerfile";

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

/// Builds the operator's image from the repository's Dockerfile and keeps it for this and later clusters: `up` gives
/// it to every node. Returns its reference.
pub(crate) fn build_operator(places: &Places, profile: &str) -> Result<String> {
    preflight::root()?;
    preflight::buildah()?;
    let lock = Lock::take(places)?;
    let built = build(places, profile);
    remove_build_group(places)?;
    let reference = built?;
    if let Ok(state) = State::load(places) {
        give_operator(places, &state)?;
    }
    drop(lock);
    Ok(reference)
}

fn build(places: &Places, profile: &str) -> Result<String> {
    let repository = repository()?;
    make_dir(&places.cache)?;
    let context = tempfile::tempdir().at("create", "a temporary directory")?;
    let (program, version) = build_program(places, &repository, profile)?;
    fs::copy(&program, context.path().join(BINARY)).at("copy", &program)?;
    let name = format!("{BINARY}:{version}");
    let new = kept(places).with_extension("new");
    let _ = fs::remove_file(&new);
    // Nothing of the build stays in the machine's own image store, and no overlay mount is needed.
    let store = context.path().join("store");
    let config = context.path().join("storage.conf");
    let dirs = ["graphroot", "runroot"]
        .map(|key| format!("{key} = \"{}/{key}\"\n", store.display()))
        .concat();
    write(&config, format!("[storage]\ndriver = \"vfs\"\n{dirs}"))?;
    let buildah = |words: &[&str]| -> Result<()> {
        let mut command = registered(&build_group(places)?);
        command
            .arg("buildah")
            .args(words)
            .arg("--")
            .env("CONTAINERS_STORAGE_CONF", &config);
        let (from, to) = match words[0] {
            "push" => (name.clone(), Some(format!("docker-archive:{}:{name}", new.display()))),
            _ => (context.path().display().to_string(), None),
        };
        command.arg(from).args(to).current_dir(&repository);
        long(
            &mut command,
            "the operator's image",
            &places.cache.join("build-operator-image.log"),
        )
    };
    // The chroot isolation needs neither a daemon nor user namespaces.
    let argument = format!("VERSION={version}");
    buildah(&[
        "build",
        "--isolation=chroot",
        "--format=docker",
        "--file=Dockerfile",
        "--tag",
        &name,
        "--build-arg",
        &argument,
    ])?;
    buildah(&["push", "--quiet"])?;
    let reference = archive::reference(&new)?;
    fs::rename(&new, kept(places)).at("write", &new)?;
    reference.ok_or_else(|| Error::State("buildah made an archive without a name in it".to_owned()))
}

/// The static program that the Dockerfile copies, and the crate's version.
fn build_program(places: &Places, repository: &Path, profile: &str) -> Result<(PathBuf, String)> {
    let pkgid = output(command("cargo", ["pkgid", "--quiet"]).current_dir(repository))?;
    let version = pkgid.trim().rsplit(['#', '@']).next().unwrap_or_default().to_owned();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from);
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut cargo = registered(&build_group(places)?);
    cargo.args([
        "cargo",
        "build",
        "--locked",
        "--bin",
        BINARY,
        "--target",
        &triple,
        "--profile",
        profile,
    ]);
    // With --target the flag is for the program only: build scripts and macros cannot be static.
    without_package(&mut cargo)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .current_dir(repository);
    let folder = if profile == "dev" { "debug" } else { profile };
    say(&format!("building a static {BINARY} {version}"));
    long(&mut cargo, BINARY, &places.cache.join("build-operator.log"))?;
    Ok((target.join(triple).join(folder).join(BINARY), version))
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
