//! The stage of one test: a namespace of its own beside other tests' on one installed operator.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cluster::Cluster;
use crate::failure::{Context, Outcome};
use crate::history::History;

/// Tests of this process that run now.
static PLAYING: AtomicUsize = AtomicUsize::new(0);
/// Held while pods of new sets start, so that a test does not measure the start of others.
static STARTS: Mutex<()> = Mutex::new(());

/// What a test has.
pub struct Scene {
    /// The cluster.
    pub cluster: Cluster,
    /// A namespace whose pods must satisfy Pod Security "restricted".
    pub namespace: String,
    /// What happens, kept for a look if the test fails.
    pub history: History,
}

impl Scene {
    /// Plays a test in a new namespace, whose name begins with `name`. The namespace goes when the test has held; after
    /// a failure it stays for a look, with the history beside the other things that are collected.
    ///
    /// # Errors
    /// That of the test.
    pub fn play(name: &str, test: impl FnOnce(&Self) -> Outcome) -> Outcome {
        PLAYING.fetch_add(1, Ordering::SeqCst);
        let result = Self::play_counted(name, test);
        PLAYING.fetch_sub(1, Ordering::SeqCst);
        result
    }

    fn play_counted(name: &str, test: impl FnOnce(&Self) -> Outcome) -> Outcome {
        let cluster = Cluster::attach()?;
        let namespace = cluster.namespace(name)?;
        let scene = Self {
            cluster,
            namespace,
            history: History::default(),
        };
        let result = test(&scene).context(format_args!("in namespace {}", scene.namespace));
        if result.is_ok() {
            return scene.cluster.remove_namespace(&scene.namespace);
        }
        if let Some(directory) = std::env::var_os("ARTIFACTS") {
            let file = PathBuf::from(directory).join(format!("{}.ndjson", scene.namespace));
            if let Err(error) = scene.history.save(&file) {
                eprintln!("{}: {error}", file.display());
            }
        }
        result
    }

    /// How many tests of this process run, this one included.
    pub fn playing() -> usize {
        PLAYING.load(Ordering::SeqCst)
    }

    /// The right to start pods: one test at a time.
    pub fn start_alone() -> MutexGuard<'static, ()> {
        STARTS.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
