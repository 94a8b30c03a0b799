//! What came of what people asked by annotation. The annotations themselves are not part of status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::words::words;

/// What came of a request by annotation.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Name of the annotation, without our prefix.
    pub name: String,
    /// Its value; the same value again is no new request.
    pub value: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it was refused, one word; empty otherwise.
    pub reason: String,
    /// One sentence, at most 1024 characters.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// When the outcome was reached.
    pub at: Time,
}

words! {
    /// What came of a request.
    pub enum Outcome {
        /// It is being done.
        Running = "Running",
        /// It was done, or answered.
        Done = "Done",
        /// It was not done.
        Refused = "Refused",
        /// It was found on a set without a status, such as a copied manifest, and not done.
        Stale = "Stale",
    }
}
