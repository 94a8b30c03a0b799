//! Why a step was not done, and who is to be told of it.

use crate::lease::NotLeader;
use crate::redis::CallError;

/// Why a step was not done, or not known to be done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The Lease ends before the step would.
    #[error(transparent)]
    Lease(#[from] NotLeader),
    /// The API server refused it, or could not be reached.
    #[error("{what}: {}", words(source))]
    Api {
        /// What was asked.
        what: String,
        /// Its answer.
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time; the write may have been done.
    #[error("{0}: no answer within a second")]
    Late(String),
    /// Redis refused it, or could not be reached.
    #[error("{pod}: {source}")]
    Redis {
        /// The pod.
        pod: String,
        /// What happened.
        source: CallError,
    },
    /// The process that the step was meant for is not there any more.
    #[error("{0}: another process answers now")]
    OtherProcess(String),
    /// The step needs something that was not observed.
    #[error("{0}")]
    Missing(&'static str),
}

/// What the API server said, without the machine-readable rest of its answer.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

impl ActError {
    /// This process may not act any more: nobody is to be told, the next leader goes on.
    pub fn is_lease(&self) -> bool {
        matches!(self, Self::Lease(_))
    }

    /// What was to be deleted is gone already.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { source, .. } if matches!(&**source, kube::Error::Api(s) if s.is_not_found()))
    }

    /// Somebody else wrote first: observe again, no need to tell anybody.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api { source, .. } if matches!(&**source, kube::Error::Api(s) if s.is_conflict() || s.is_already_exists()))
    }
}
