//! users.acl: who may do what in every Redis of the set.
//!
//! Lines hold SHA-256 hashes, never a password. The users minted for links are not here: they live in a parent's
//! memory only. A running server is changed user by user with the same rules; the file is for the next boot.

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::BuildError;
use crate::model::cluster::Cluster;
use crate::names::user;

/// Longest password in bytes.
pub const PASSWORD_BYTES: usize = 512;

/// What the operator may do: all of bare, mint, attach, arm and demote, and no reading of data. It may set users, so
/// whoever holds its password owns that Redis.
pub const OPERATOR_RULES: &str = "resetkeys resetchannels -@all +ping +info +role +replicaof +multi +exec +discard \
    +client|pause +client|unpause +client|kill +client|list +client|id +config|get +config|set \
    +acl|setuser +acl|deluser +acl|getuser +acl|users +acl|whoami";

/// What a standby operator may do: look.
pub const PROBE_RULES: &str = "resetkeys resetchannels -@all +ping +info +role +config|get";

/// What an application may do: everything with its data, nothing with the server. Redis counts as dangerous, and so
/// refuses here, KEYS and SORT (one call can hold the server for seconds; SCAN does the first in steps), FLUSHALL and
/// FLUSHDB (nothing of ours destroys data at one word), SWAPDB, MIGRATE and RESTORE, and all that changes roles,
/// configuration or other clients. INFO is dangerous too but given back: client libraries and exporters ask for it.
/// WAIT, SCAN, scripts, functions, transactions and publish/subscribe are no danger and stay.
pub const APPLICATION_RULES: &str = "~* &* +@all -@admin -@dangerous +info";

/// A password that Redis would take, wiped from memory when dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<Vec<u8>>);

/// Why a password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// An empty password would be a login without one.
    #[error("the password is empty")]
    Empty,
    /// A password beyond the limit.
    #[error("the password has {0} bytes, limit {PASSWORD_BYTES}")]
    TooLong(usize),
}

impl Password {
    /// Takes over the bytes as they are: no encoding, and a newline at the end is part of it.
    ///
    /// # Errors
    /// [`BadPassword`] for none at all and for more than [`PASSWORD_BYTES`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, BadPassword> {
        let bytes = Zeroizing::new(bytes.into());
        match bytes.len() {
            0 => Err(BadPassword::Empty),
            length if length > PASSWORD_BYTES => Err(BadPassword::TooLong(length)),
            _ => Ok(Self(bytes)),
        }
    }

    /// The password of a login that we generate: the random bytes in hexadecimal, 64 characters that need no escape in
    /// a URL, a shell or a file.
    pub fn generated(random: &[u8; 32]) -> Self {
        Self(Zeroizing::new(hex::encode(random).into_bytes()))
    }

    /// The bytes, for the one call that sends or stores them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The form in which an aclfile and `ACL SETUSER` take it.
    pub fn hash(&self) -> PasswordHash {
        PasswordHash(format!("#{}", hex::encode(Sha256::digest(&*self.0))))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// `#` and the SHA-256 of a password's bytes. Enough to try guesses against, so it is not printed either.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// From the SHA-256 of a password, as lower-case hexadecimal.
    pub fn from_sha256(hex: &str) -> Self {
        Self(format!("#{hex}"))
    }

    /// The rule that sets the password.
    pub fn rule(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Hashes of the three standing users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashes {
    /// Of [`user::OPERATOR`].
    pub operator: PasswordHash,
    /// Of [`user::PROBE`].
    pub probe: PasswordHash,
    /// Of the application's user; `None` while its Secret cannot be read: then nobody can log in as it.
    pub application: Option<PasswordHash>,
}

/// The SHA-256 of a user's password in a users.acl of ours, as hexadecimal.
pub fn hash_of(file: &str, user: &str) -> Option<String> {
    let mut lines = file.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rules = lines.find(|words| words.first() == Some(&"user") && words.get(1) == Some(&user))?;
    let hash = rules.iter().find_map(|rule| rule.strip_prefix('#'))?;
    Some(hash.to_owned())
}

/// Writes users.acl. User `default` is off unless it is the application's: an aclfile without it would open it.
///
/// # Errors
/// [`BuildError::UserName`] for an application user that admission would refuse today.
pub fn file(cluster: &Cluster, hashes: &Hashes) -> Result<String, BuildError> {
    let application = &cluster.spec.auth.username;
    check(application)?;
    let mut lines = vec![
        standing(user::OPERATOR, &hashes.operator, OPERATOR_RULES),
        standing(user::PROBE, &hashes.probe, PROBE_RULES),
    ];
    let login = hashes.application.as_ref();
    lines.extend(login.map(|hash| standing(application, hash, APPLICATION_RULES)));
    if login.is_none() || application != DEFAULT_USER {
        lines.insert(0, format!("user {DEFAULT_USER} off"));
    }
    Ok(lines.join("\n") + "\n")
}

const DEFAULT_USER: &str = "default";

fn standing(name: &str, hash: &PasswordHash, rules: &str) -> String {
    format!("user {name} on {} {rules}", hash.rule())
}

fn check(name: &str) -> Result<(), BuildError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let ours = name.starts_with("rrs-");
    if name.is_empty() || name.len() > 64 || ours || !name.chars().all(allowed) {
        return Err(BuildError::UserName(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::RedisReplicaSetSpec;

    fn named(username: &str) -> Cluster {
        let mut spec = RedisReplicaSetSpec::new("redis:8.2");
        spec.auth.username = username.into();
        Cluster {
            name: "cache".into(),
            namespace: "shop".into(),
            uid: "6f0c".into(),
            generation: 1,
            spec,
        }
    }

    fn hashes(application: bool) -> Hashes {
        let of = |text: &str| Password::new(text).unwrap().hash();
        Hashes {
            operator: of("o"),
            probe: of("p"),
            application: application.then(|| of("a")),
        }
    }

    #[test]
    fn default_is_off_unless_it_is_the_applications_login() {
        let users = |name, login| -> Vec<String> {
            let text = file(&named(name), &hashes(login)).unwrap();
            text.lines()
                .map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" "))
                .collect()
        };
        let own = ["user rrs-operator on", "user rrs-probe on"];
        assert_eq!(
            users("app", true),
            [&["user default off"], &own[..], &["user app on"]].concat()
        );
        assert_eq!(users("app", false), [&["user default off"], &own[..]].concat());
        assert_eq!(users("default", true), [&own[..], &["user default on"]].concat());
        assert_eq!(users("default", false), [&["user default off"], &own[..]].concat());
    }

    #[test]
    fn a_user_name_that_could_be_ours_or_break_a_line_is_refused() {
        for name in [
            "",
            "rrs-operator",
            "rrs-x",
            "a b",
            "a\nuser b on nopass",
            "ä",
            &"a".repeat(65),
        ] {
            assert_eq!(
                file(&named(name), &hashes(true)),
                Err(BuildError::UserName(name.into()))
            );
        }
    }

    #[test]
    fn a_password_is_its_bytes_and_is_never_printed() {
        // printf 'a\n' | sha256sum
        let hash = "#87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7";
        let password = Password::new("a\n").unwrap();
        assert_eq!(password.hash().rule(), hash);
        assert_eq!(
            format!("{password:?} {:?}", password.hash()),
            "Password(..) PasswordHash(..)"
        );
        assert_eq!(Password::new(""), Err(BadPassword::Empty));
        assert_eq!(Password::new(vec![b'a'; 513]), Err(BadPassword::TooLong(513)));
        assert_eq!(Password::new(vec![0xff; 512]).unwrap().expose().len(), 512);
        assert_eq!(Password::generated(&[0xab; 32]).expose(), "ab".repeat(32).as_bytes());
    }
}
