//! The set's two Secrets, read and kept for a while: Secrets are not watched, so that the operator needs no right to list
//! them.

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::{Api, Client, ResourceExt};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::objects::owner;
use crate::model::cluster::Cluster;
use crate::model::observed::{AppSecret, Credentials, InternalSecret, Unusable};
use crate::model::secret::Secret;
use crate::names::{self, internal_key};

/// A good answer stands this long: a deleted Secret is put back, and a changed password used, within a minute.
const FRESH: Duration = Duration::from_secs(45);
/// A missing or unusable Secret is looked at this often.
const RETRY: Duration = Duration::from_secs(5);
/// A read that takes longer is given up; the last answer stands.
const READ: Duration = Duration::from_secs(1);
/// Longest password, bytes.
const LONGEST: usize = 512;

/// The Secrets of one set as they were read last.
pub struct SecretCache {
    /// The operator's own.
    pub internal: InternalSecret,
    /// The application's.
    pub app: AppSecret,
    /// The generated password, to put the same one back should its Secret be deleted.
    generated: Option<Secret>,
    read: Option<Instant>,
    source: Option<(String, String)>,
}

impl Default for SecretCache {
    fn default() -> Self {
        Self {
            internal: InternalSecret::Unknown,
            app: AppSecret::Unknown,
            generated: None,
            read: None,
            source: None,
        }
    }
}

impl SecretCache {
    /// The password that was generated earlier, if this process knows it.
    pub fn generated(&self) -> Option<&Secret> {
        self.generated.as_ref()
    }

    /// Makes the next pass read again.
    pub fn expire(&mut self) {
        self.read = None;
    }

    /// Reads both Secrets if the last answer is too old.
    pub async fn refresh(&mut self, client: &Client, cluster: &Cluster) {
        let good = matches!(
            (&self.internal, &self.app),
            (InternalSecret::Present(_), AppSecret::Present { .. })
        );
        let lifetime = if good { FRESH } else { RETRY };
        let source = source(cluster);
        if self.source.as_ref() == Some(&source) && self.read.is_some_and(|at| at.elapsed() < lifetime) {
            return;
        }
        let api: Api<KubeSecret> = Api::namespaced(client.clone(), &cluster.namespace);
        let internal_name = names::internal_secret(&cluster.name);
        let (internal, app) = futures::join!(get(&api, &internal_name), get(&api, &source.0));
        if let Some(answer) = internal {
            let known = self.internal.credentials().cloned();
            self.internal = match (internal_secret(cluster, answer), known) {
                (InternalSecret::Absent, Some(known)) => InternalSecret::Lost(known),
                (InternalSecret::Unusable { why, .. }, known) => InternalSecret::Unusable { why, known },
                (read, _) => read,
            };
        }
        if let Some(answer) = app {
            let read = password(&answer, &source.1);
            self.app = app_secret(cluster, &source.1, answer);
            // Only what was generated for this set may ever be written again.
            let ours = cluster.spec.auth.secret_ref.is_none() && matches!(self.app, AppSecret::Present { .. });
            self.generated = match (cluster.spec.auth.secret_ref.is_some(), ours) {
                (true, _) => None,
                (false, true) => read,
                (false, false) => self.generated.take(),
            };
        }
        self.source = Some(source);
        self.read = Some(Instant::now());
    }
}

/// Name and key of the application's password.
fn source(cluster: &Cluster) -> (String, String) {
    match &cluster.spec.auth.secret_ref {
        Some(named) => (named.name.clone(), named.key.clone()),
        None => (names::app_secret(&cluster.name), "password".to_owned()),
    }
}

/// What a read said; `None` if nothing certain is known.
enum Answer {
    Absent,
    Forbidden,
    Found(Box<KubeSecret>),
}

async fn get(api: &Api<KubeSecret>, name: &str) -> Option<Answer> {
    match tokio::time::timeout(READ, api.get_opt(name)).await {
        Ok(Ok(Some(secret))) => Some(Answer::Found(Box::new(secret))),
        Ok(Ok(None)) => Some(Answer::Absent),
        Ok(Err(kube::Error::Api(status))) if status.is_forbidden() => Some(Answer::Forbidden),
        Ok(Err(error)) => {
            tracing::warn!(secret = name, %error, "reading a Secret");
            None
        }
        Err(_) => None,
    }
}

fn password(answer: &Answer, key: &str) -> Option<Secret> {
    let Answer::Found(secret) = answer else { return None };
    let value = secret.data.as_ref()?.get(key)?;
    Some(Secret::new(value.0.clone()))
}

fn internal_secret(cluster: &Cluster, answer: Answer) -> InternalSecret {
    let secret = match answer {
        Answer::Absent => return InternalSecret::Absent,
        Answer::Forbidden => return unusable("the operator may not read it".into()),
        Answer::Found(secret) => secret,
    };
    match owner(&secret.metadata) {
        Some((uid, _)) if uid == cluster.uid => {}
        Some((_, owner)) => return unusable(format!("controlled by {owner}")),
        None => return unusable("it has no owner".into()),
    }
    let data = secret.data.unwrap_or_default();
    let value = |key: &str| {
        data.get(key)
            .map(|ByteString(bytes)| bytes.clone())
            .filter(|bytes| !bytes.is_empty())
    };
    match (
        value(internal_key::OPERATOR),
        value(internal_key::PROBE),
        value(internal_key::LINK),
    ) {
        (Some(operator), Some(probe), Some(link_key)) => InternalSecret::Present(Credentials {
            operator: Secret::new(operator),
            probe: Secret::new(probe),
            link_key: Secret::new(link_key),
            acl: value(internal_key::ACL)
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .unwrap_or_default(),
        }),
        _ => unusable("keys are missing; restore them from a backup, or remove it and the pods".into()),
    }
}

fn unusable(why: String) -> InternalSecret {
    InternalSecret::Unusable { why, known: None }
}

fn app_secret(cluster: &Cluster, key: &str, answer: Answer) -> AppSecret {
    let secret = match answer {
        Answer::Absent => return AppSecret::Absent,
        Answer::Forbidden => return AppSecret::Unusable(Unusable::Forbidden),
        Answer::Found(secret) => secret,
    };
    let generated = cluster.spec.auth.secret_ref.is_none();
    if generated && owner(&secret.metadata).is_none_or(|(uid, _)| uid != cluster.uid) {
        tracing::debug!(secret = %secret.name_any(), "a Secret of the generated name is not ours");
        return AppSecret::Unusable(Unusable::Foreign);
    }
    match secret.data.unwrap_or_default().get(key) {
        None => AppSecret::Unusable(Unusable::KeyMissing),
        Some(ByteString(bytes)) if bytes.trim_ascii().is_empty() => AppSecret::Unusable(Unusable::Empty),
        Some(ByteString(bytes)) if bytes.len() > LONGEST => AppSecret::Unusable(Unusable::TooLong(bytes.len())),
        Some(ByteString(bytes)) => AppSecret::Present {
            sha256: hex::encode(Sha256::digest(bytes)),
        },
    }
}
