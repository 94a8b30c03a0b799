//! Whether a Redis answers, and what is known of it if it does not.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::{Facts, OffsetLog};

/// What the probes know of one Redis right now.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// The last question was answered in full and in time.
    Answers {
        /// The newest look.
        facts: Arc<Facts>,
        /// Its offsets so far.
        offsets: Arc<OffsetLog>,
    },
    /// The last question was not answered, or not with facts.
    Unknown {
        /// Since when: the time of the first question without an answer, or of the end of the held connection.
        since: Timestamp,
        /// Why, as of the last attempt.
        error: ProbeError,
        /// A held connection to it ended after its last answer. With [`ProbeError::Refused`] it is proof that the
        /// process has gone, unless something else says that it lives.
        eof: bool,
        /// The newest look before that, if there was one.
        last: Option<Arc<Facts>>,
        /// Its offsets before that.
        offsets: Arc<OffsetLog>,
    },
}

impl Seen {
    /// The facts of a Redis that answers.
    pub fn facts(&self) -> Option<&Arc<Facts>> {
        match self {
            Self::Answers { facts, .. } => Some(facts),
            Self::Unknown { .. } => None,
        }
    }

    /// The newest facts there are, also of a Redis that no longer answers.
    pub fn last_facts(&self) -> Option<&Arc<Facts>> {
        match self {
            Self::Answers { facts, .. } => Some(facts),
            Self::Unknown { last, .. } => last.as_ref(),
        }
    }

    /// Its offsets so far.
    pub fn offsets(&self) -> &Arc<OffsetLog> {
        match self {
            Self::Answers { offsets, .. } | Self::Unknown { offsets, .. } => offsets,
        }
    }
}

/// Why a look gave no facts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Watched for too short a time.
    #[error("has not been asked yet")]
    NotAsked,
    /// Nothing listens on the port.
    #[error("refuses connections")]
    Refused,
    /// The held connection was closed or reset by the other side.
    #[error("closed the connection")]
    Eof,
    /// No answer before the deadline, to a connection attempt or to a question.
    #[error("does not answer in time")]
    Timeout,
    /// The network says there is no way to it.
    #[error("can not be reached ({0})")]
    Unreachable(String),
    /// It does not know our password.
    #[error("refuses the operator's password")]
    Auth,
    /// Another pod's Redis answers at this address.
    #[error("is another pod at this address: it announces {got:?} instead of {want:?}")]
    Wrong {
        /// The DNS name of the pod that was looked for.
        want: String,
        /// The name that Redis announces.
        got: String,
    },
    /// It lives, but answers everything with an error, such as `BUSY` while a script runs.
    #[error("answers with -{code}")]
    Says {
        /// First word of the error.
        code: String,
    },
    /// It answers something that is not understood.
    #[error("gives an answer that is not understood: {0}")]
    Protocol(String),
}

impl ProbeError {
    /// Whether a process answered at all, so that it is alive.
    pub fn proves_life(&self) -> bool {
        match self {
            Self::Auth | Self::Says { .. } | Self::Protocol(_) => true,
            // An answer from another pod's Redis says nothing about this one.
            Self::NotAsked | Self::Refused | Self::Eof | Self::Timeout | Self::Unreachable(_) | Self::Wrong { .. } => {
                false
            }
        }
    }
}
