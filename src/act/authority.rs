//! The authority fields of status: changed by compare-and-set on the set's resourceVersion, and alone.

use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::{ActError, Actor, call};
use crate::api::RedisReplicaSet;
use crate::model::plan::Authority;
use crate::names::manager;
use crate::observe::Memory;

/// Writes the fields; the reply is the newest observation of the set. After a lost race the set is read anew.
pub(super) async fn record(
    actor: &Actor<'_>,
    set: &RedisReplicaSet,
    authority: &Authority,
    why: &str,
    memory: &mut Memory,
) -> Result<(), ActError> {
    let api: Api<RedisReplicaSet> = Api::namespaced(actor.client.clone(), &actor.cluster.namespace);
    let params = PatchParams {
        field_manager: Some(manager::AUTHORITY.into()),
        ..PatchParams::default()
    };
    let version = set.metadata.resource_version.as_deref();
    let body = Patch::Merge(patch(version, authority));
    let written = call(
        actor,
        "status (compare-and-set)".into(),
        api.patch_status(&actor.cluster.name, &params, &body),
    )
    .await;
    match written {
        Ok(reply) => {
            tracing::info!(set = %actor.key, epoch = authority.epoch, why, "recorded");
            memory.newest = Some(reply);
            Ok(())
        }
        Err(error) => {
            if let Ok(read) = call(actor, "set".into(), api.get(&actor.cluster.name)).await {
                memory.newest = Some(read);
            }
            Err(error)
        }
    }
}

/// Lists are replaced whole, `null` removes a field, fields of others are not named.
fn patch(version: Option<&str>, authority: &Authority) -> Value {
    let Authority {
        epoch,
        master,
        electors,
        quorum,
        histories,
        operation,
        pending_fences,
        failovers,
    } = authority;
    json!({
        "metadata": {"resourceVersion": version},
        "status": {
            "epoch": epoch,
            "master": master,
            "electors": electors,
            "quorum": quorum,
            "histories": histories,
            "operation": operation,
            "pendingFences": pending_fences,
            "failovers": failovers,
        },
    })
}
