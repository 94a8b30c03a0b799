//! Bytes that must not be shown.
//!
//! A [`Secret`] has no `Display` and no serialization, and its `Debug` shows nothing of it, so that it can be part of any
//! value that is logged by mistake.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A password or key, as bytes. Overwritten in memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over the bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes, for a connection or an HMAC and for nothing else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// What Redis stores of a password: its SHA-256, in hex.
    pub fn sha256_hex(&self) -> String {
        hex::encode(Sha256::digest(&*self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nothing_of_itself() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Secret(..) Some(Secret(..))");
    }

    #[test]
    fn the_hash_is_the_one_redis_uses() {
        // printf foobared | sha256sum
        let hash = "1b58ee375b42e41f0e48ef2ff27d10a5b1f6924a9acdcdba7cae868e7adce6bf";
        assert_eq!(Secret::new("foobared").sha256_hex(), hash);
    }
}
