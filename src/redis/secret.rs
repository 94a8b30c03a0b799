//! The passwords that are made for each attachment. None of them is stored anywhere.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub use crate::model::secret::Secret;

/// The password for one attachment of one child process to one parent process in one epoch.
///
/// Every operator that holds the set's link key computes the same one, so it is stored nowhere. The fields are
/// hashed with their lengths: no two different attachments give the same input.
pub fn link_secret(link_key: &Secret, set_uid: &str, parent_run_id: &str, child_run_id: &str, epoch: u64) -> Secret {
    let mut mac = Hmac::<Sha256>::new_from_slice(link_key.expose()).expect("HMAC accepts keys of any length");
    for field in [set_uid, parent_run_id, child_run_id] {
        mac.update(&(field.len() as u64).to_be_bytes());
        mac.update(field.as_bytes());
    }
    mac.update(&epoch.to_be_bytes());
    Secret::new(hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &str, parent: &str, child: &str, epoch: u64) -> Secret {
        link_secret(&Secret::new("key"), set, parent, child, epoch)
    }

    #[test]
    fn a_link_secret_is_64_hex_digits_and_the_same_for_every_operator() {
        let secret = of("set", "parent", "child", 7);
        assert_eq!(secret, of("set", "parent", "child", 7));
        assert_eq!(secret.expose().len(), 64);
        assert!(secret.expose().iter().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn every_field_changes_the_link_secret_and_none_runs_into_the_next() {
        let secrets = [
            of("set", "parent", "child", 7),
            of("sets", "parent", "child", 7),
            of("set", "sparent", "child", 7),
            of("setp", "arent", "child", 7),
            of("set", "parentc", "hild", 7),
            of("set", "child", "parent", 7),
            of("set", "parent", "child", 8),
            link_secret(&Secret::new("other key"), "set", "parent", "child", 7),
        ];
        for (index, one) in secrets.iter().enumerate() {
            assert!(
                secrets[..index].iter().all(|other| other != one),
                "number {index} is there twice"
            );
        }
    }
}
