//! The set's two Secrets: `<set>-internal` for the operator, `<set>-app` for the application.
//!
//! A password is made once: whoever builds a Secret anew passes the logins that the cluster holds already, for they are
//! what running servers were told. Random bytes come in as arguments. Nothing here derives `Debug` over a secret value.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use zeroize::Zeroizing;

use super::acl::{self, Hashes, Password, PasswordHash};
use super::meta::{self, Component};
use super::{BuildError, Unusable};
use crate::model::cluster::Cluster;
use crate::model::observed::Credentials;
use crate::names::{self, app_key, internal_key};

/// What the operator itself needs to speak to every Redis of the set.
#[derive(Clone, PartialEq, Eq)]
pub struct Internal {
    /// Password of `rrs-operator`.
    pub operator: Password,
    /// Password of `rrs-probe`.
    pub probe: Password,
    /// Key of the HMAC that makes link secrets.
    pub link_key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Internal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Internal(..)")
    }
}

impl Internal {
    /// New logins from 96 random bytes.
    pub fn generated(random: &[[u8; 32]; 3]) -> Self {
        let [operator, probe, link_key] = random;
        Self {
            operator: Password::generated(operator),
            probe: Password::generated(probe),
            link_key: Zeroizing::new(*link_key),
        }
    }

    /// The logins that a lost Secret held.
    pub fn restored(known: &Credentials) -> Option<Self> {
        let mut link_key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(known.link_key.expose(), &mut *link_key).ok()?;
        Some(Self {
            operator: Password::new(known.operator.expose()).ok()?,
            probe: Password::new(known.probe.expose()).ok()?,
            link_key,
        })
    }

    /// The logins that a Secret of the cluster holds.
    ///
    /// # Errors
    /// [`Unusable`] with the first key that is missing or cannot be a login.
    pub fn read(secret: &Secret) -> Result<Self, Unusable> {
        let link_key = value(secret, internal_key::LINK)?;
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(link_key, &mut *bytes).map_err(|_| Unusable::NotAKey(internal_key::LINK.into()))?;
        Ok(Self {
            operator: password(secret, internal_key::OPERATOR)?,
            probe: password(secret, internal_key::PROBE)?,
            link_key: bytes,
        })
    }

    /// The hashes for users.acl, with the application's where it is known.
    pub fn hashes(&self, application: Option<PasswordHash>) -> Hashes {
        Hashes {
            operator: self.operator.hash(),
            probe: self.probe.hash(),
            application,
        }
    }
}

/// Reads a password from a key of a Secret.
///
/// # Errors
/// [`Unusable`] if the key is missing or its value cannot be a password.
pub fn password(secret: &Secret, key: &str) -> Result<Password, Unusable> {
    Password::new(value(secret, key)?).map_err(|why| Unusable::Password { key: key.into(), why })
}

fn value<'a>(secret: &'a Secret, key: &str) -> Result<&'a [u8], Unusable> {
    let found = secret.data.as_ref().and_then(|data| data.get(key));
    found
        .map(|bytes| bytes.0.as_slice())
        .ok_or_else(|| Unusable::KeyMissing(key.into()))
}

/// `<set>-internal`. Pods mount only its users.acl.
///
/// # Errors
/// As [`acl::file`].
pub fn internal(cluster: &Cluster, logins: &Internal, application: Option<PasswordHash>) -> Result<Secret, BuildError> {
    let users = acl::file(cluster, &logins.hashes(application))?;
    let metadata = meta::object(cluster, Component::Credentials, names::internal_secret(&cluster.name));
    Ok(secret(
        metadata,
        "Opaque",
        [
            (internal_key::OPERATOR, logins.operator.expose().to_vec()),
            (internal_key::PROBE, logins.probe.expose().to_vec()),
            (internal_key::LINK, hex::encode(*logins.link_key).into_bytes()),
            (internal_key::ACL, users.into_bytes()),
        ],
    ))
}

/// `<set>-app`, made where the spec names no Secret: all that an application needs, as the Service Binding
/// specification lays it out. The password must be a generated one: it stands in a URL as it is.
pub fn app(cluster: &Cluster, password: &Password) -> Secret {
    let host = names::service_dns(&names::vip(&cluster.name), &cluster.namespace);
    let replicas = names::service_dns(&names::replicas_service(&cluster.name), &cluster.namespace);
    let username = &cluster.spec.auth.username;
    let mut uri = format!("redis://{username}:").into_bytes();
    uri.extend_from_slice(password.expose());
    uri.extend_from_slice(format!("@{host}:{}", names::REDIS_PORT).as_bytes());
    let metadata = meta::object(cluster, Component::Credentials, names::app_secret(&cluster.name));
    secret(
        metadata,
        app_key::SECRET_TYPE,
        [
            (app_key::TYPE, names::COMPONENT.into()),
            (app_key::HOST, host.into_bytes()),
            (app_key::PORT, names::REDIS_PORT.to_string().into_bytes()),
            (app_key::USERNAME, username.clone().into_bytes()),
            (app_key::PASSWORD, password.expose().to_vec()),
            (app_key::URI, uri),
            (app_key::REPLICAS_HOST, replicas.into_bytes()),
        ],
    )
}

fn secret<const N: usize>(metadata: ObjectMeta, type_: &str, data: [(&str, Vec<u8>); N]) -> Secret {
    let data: BTreeMap<_, _> = data
        .into_iter()
        .map(|(key, value)| (key.to_owned(), ByteString(value)))
        .collect();
    Secret {
        metadata,
        type_: Some(type_.into()),
        data: Some(data),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::RedisReplicaSetSpec;

    fn cluster() -> Cluster {
        let spec = RedisReplicaSetSpec::new("redis:8.2");
        Cluster {
            name: "cache".into(),
            namespace: "shop".into(),
            uid: "6f0c".into(),
            generation: 1,
            spec,
        }
    }

    #[test]
    fn the_logins_are_read_back_from_their_secret() {
        let logins = Internal::generated(&[[1; 32], [2; 32], [3; 32]]);
        let secret = internal(&cluster(), &logins, None).unwrap();
        assert!(Internal::read(&secret).unwrap() == logins);
        assert_eq!(format!("{logins:?}"), "Internal(..)");
    }

    #[test]
    fn a_secret_that_lacks_something_says_what() {
        let whole = internal(&cluster(), &Internal::generated(&[[1; 32], [2; 32], [3; 32]]), None).unwrap();
        for (key, spoiled, refusal) in [
            ("operator", None, "key \"operator\" is missing"),
            ("probe", Some(""), "key \"probe\": the password is empty"),
            ("linkKey", Some("0102"), "key \"linkKey\" is no 64 hexadecimal digits"),
        ] {
            let mut secret = whole.clone();
            let data = secret.data.get_or_insert_default();
            match spoiled {
                Some(text) => drop(data.insert(key.into(), ByteString(text.into()))),
                None => drop(data.remove(key)),
            }
            assert_eq!(Internal::read(&secret).unwrap_err().to_string(), refusal);
        }
    }

    #[test]
    fn users_acl_holds_no_password() {
        let logins = Internal::generated(&[[1; 32], [2; 32], [3; 32]]);
        let application = Password::generated(&[4; 32]);
        let secret = internal(&cluster(), &logins, Some(application.hash())).unwrap();
        let users = String::from_utf8(secret.data.unwrap()[internal_key::ACL].0.clone()).unwrap();
        for password in [&logins.operator, &logins.probe, &application] {
            assert!(!users.contains(std::str::from_utf8(password.expose()).unwrap()));
            assert!(users.contains(password.hash().rule()));
        }
    }
}
