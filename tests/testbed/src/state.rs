//! What a running testbed was made from, on disk for the commands that come after `up`.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::places::{Places, read, write};

/// Written by `up` before anything is started, and again when all of it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Names of the nodes.
    pub(crate) nodes: Vec<String>,
    /// The cached containerd directory the nodes share.
    pub(crate) image_disk: PathBuf,
    /// Whether an `up` came to its end. What a killed `up` left is thrown away by the next.
    pub(crate) complete: bool,
}

impl State {
    pub(crate) fn load(places: &Places) -> Result<Self> {
        match Self::find(places)? {
            Some(state) if state.complete => Ok(state),
            _ => Err(Error::State(
                "no testbed is up; start one with `cargo testbed up`".to_owned(),
            )),
        }
    }

    /// The state on disk, if there is any.
    pub(crate) fn find(places: &Places) -> Result<Option<Self>> {
        let file = places.state.join("state.json");
        if !file.exists() {
            return Ok(None);
        }
        let parse = |text: String| serde_json::from_str(&text);
        parse(read(&file)?).map(Some).map_err(|source| Error::Json {
            what: file.display().to_string(),
            source,
        })
    }

    pub(crate) fn save(&self, places: &Places) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|source| Error::Json {
            what: "the state".to_owned(),
            source,
        })?;
        write(&places.state.join("state.json"), text)
    }
}

/// Whether anything of a testbed is on disk.
pub(crate) fn any(places: &Places) -> bool {
    fs::exists(&places.state).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_up_left_is_not_a_testbed() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places::new(dir.path().to_owned(), dir.path().to_owned());
        assert!(State::load(&places).is_err());
        let mut state = State {
            nodes: vec!["n1".to_owned()],
            image_disk: "/x".into(),
            complete: false,
        };
        state.save(&places).unwrap();
        assert!(State::load(&places).is_err());
        state.complete = true;
        state.save(&places).unwrap();
        assert_eq!(State::load(&places).unwrap(), state);
    }
}
