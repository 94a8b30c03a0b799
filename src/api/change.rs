//! What a change of a field of spec does to a set that runs.
//!
//! The last sentence of a field's description says it, so that `kubectl explain` shows it and the reference has a
//! column of it. The sentences are here, each once; a test holds every field to one of them.

use super::words::words;

words! {
    /// What a change of a field does.
    pub enum Change {
        /// It takes effect at once and disturbs no client.
        Free = "free",
        /// The value can only grow.
        GrowOnly = "grow only",
        /// The value stays as it was when the set was made.
        Immutable = "immutable",
        /// It takes effect in a pod when the pod is made anew.
        Restart = "restart",
        /// Running servers take it if Redis can, else as with `restart`.
        Live = "live",
    }
}

impl Change {
    /// The sentence at the end of a description.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Free => "May change at any time.",
            Self::GrowOnly => "Can only grow.",
            Self::Immutable => "Immutable.",
            Self::Restart => "Takes effect in a pod when it is made anew.",
            Self::Live => "Applied to running servers where Redis can, else when a pod is made anew.",
        }
    }

    /// What a description says, and the rest of it.
    pub fn split(description: &str) -> Option<(&str, Self)> {
        Self::ALL
            .iter()
            .find_map(|change| Some((description.strip_suffix(change.sentence())?.trim_end(), *change)))
    }
}
