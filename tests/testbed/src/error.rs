//! What can go wrong with the testbed, as sentences that say what to do.

use std::path::{Path, PathBuf};

/// A failure of the testbed. `Display` says what is wrong and, where there is one, the way out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine or the command line does not fit; the command exits with 2.
    #[error("{0}")]
    Unsuitable(String),
    /// The testbed is not in a state that allows this.
    #[error("{0}")]
    State(String),
    /// A file, directory or kernel interface refused.
    #[error("cannot {what} {path}: {source}", path = .path.display())]
    Io {
        /// The verb: `read`, `write`, `create`.
        what: &'static str,
        /// What was touched.
        path: PathBuf,
        /// The reason the system gave.
        source: std::io::Error,
    },
    /// A program ended with a failure.
    #[error("{program} failed ({status}): {output}")]
    Failed {
        /// The program with its first arguments.
        program: String,
        /// Exit code or signal.
        status: String,
        /// The last lines it wrote.
        output: String,
    },
    /// Something awaited did not happen.
    #[error("{what} did not happen within {seconds} s; look at {log}", log = .log.display())]
    Timeout {
        /// What was awaited.
        what: String,
        /// How long.
        seconds: u64,
        /// The log that tells most about it.
        log: PathBuf,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Pki(#[from] rcgen::Error),
    /// Text that should have been JSON was not.
    #[error("cannot understand {what}: {source}")]
    Json {
        /// Where the text came from.
        what: String,
        /// The parser's reason.
        source: serde_json::Error,
    },
    /// Ctrl-C or a termination signal.
    #[error("interrupted")]
    Interrupted,
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Exit code of the command: 2 when the machine or the command line is at fault, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Unsuitable(_) => 2,
            Error::Interrupted => 130,
            _ => 1,
        }
    }
}

/// Adds the verb and the path to an I/O error.
pub(crate) trait At<T> {
    fn at(self, what: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, what: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|source| Error::Io {
            what,
            path: path.as_ref().to_owned(),
            source,
        })
    }
}

impl<T> At<T> for nix::Result<T> {
    fn at(self, what: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(std::io::Error::from).at(what, path)
    }
}
