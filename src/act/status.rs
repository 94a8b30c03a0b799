//! The observed fields of status and events: written last, only when changed, never in the way of an effect.

use std::time::Duration;

use kube::api::{Api, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Resource, ResourceExt};
use serde_json::json;
use tokio::time::Instant;

use super::{ActError, Actor, call};
use crate::api::RedisReplicaSet;
use crate::api::status::RedisReplicaSetStatus;
use crate::model::plan::Note;
use crate::names::manager;

/// Status of one set is not written more often than this.
const PACE: Duration = Duration::from_secs(1);
/// An event that takes longer is given up: it never delays an effect.
const EVENT: Duration = Duration::from_secs(2);

/// Paces the status writes of one set.
#[derive(Debug, Default)]
pub struct StatusWriter {
    last: Option<Instant>,
}

impl StatusWriter {
    /// How long the next write has to wait yet.
    pub fn wait(&self) -> Duration {
        self.last.map_or(Duration::ZERO, |at| PACE.saturating_sub(at.elapsed()))
    }

    /// Writes the observed fields and returns the set as it reads then.
    ///
    /// # Errors
    /// [`ActError`] if the API server refused it or did not answer.
    pub async fn write(
        &mut self,
        actor: &Actor<'_>,
        status: &RedisReplicaSetStatus,
    ) -> Result<RedisReplicaSet, ActError> {
        let api: Api<RedisReplicaSet> = Api::namespaced(actor.client.clone(), &actor.cluster.namespace);
        let body = json!({
            "apiVersion": RedisReplicaSet::api_version(&()),
            "kind": RedisReplicaSet::kind(&()),
            "metadata": {"name": actor.cluster.name, "uid": actor.cluster.uid},
            "status": status,
        });
        let params = PatchParams::apply(manager::STATUS).force();
        self.last = Some(Instant::now());
        call(
            actor,
            "status".into(),
            api.patch_status(&actor.cluster.name, &params, &Patch::Apply(&body)),
        )
        .await
    }
}

/// Publishes events beside everything else.
pub fn publish(recorder: &Recorder, set: &RedisReplicaSet, notes: Vec<Note>) {
    if notes.is_empty() {
        return;
    }
    let (recorder, reference, name) = (recorder.clone(), set.object_ref(&()), set.name_any());
    tokio::spawn(async move {
        for note in notes {
            let event = Event {
                type_: if note.warning {
                    EventType::Warning
                } else {
                    EventType::Normal
                },
                reason: note.reason.into(),
                note: Some(note.message),
                action: note.action.into(),
                secondary: None,
            };
            match tokio::time::timeout(EVENT, recorder.publish(&event, &reference)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(set = %name, reason = note.reason, %error, "event"),
                Err(_) => tracing::warn!(set = %name, reason = note.reason, "event took too long"),
            }
        }
    });
}
