//! Keys of the cache: a digest of everything a thing is built from.

use std::fmt;

use sha2::{Digest, Sha256};

/// Sixteen hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(String);

impl Key {
    /// The order and the borders of the parts count.
    pub(crate) fn of<T: AsRef<[u8]>>(parts: &[T]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.as_ref().len() as u64).to_le_bytes());
            digest.update(part.as_ref());
        }
        Self(hex::encode(&digest.finalize()[..8]))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_between_parts_count() {
        assert_ne!(Key::of(&["ab", "c"]), Key::of(&["a", "bc"]));
        assert_eq!(Key::of(&["ab", "c"]), Key::of(&["ab", "c"]));
        assert_eq!(Key::of(&["x"]).to_string().len(), 16);
    }
}
