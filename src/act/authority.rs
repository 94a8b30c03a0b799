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
    let before = Authority::from(&set.status.clone().unwrap_or_default());
    let body = Patch::Merge(patch(version, &before, authority));
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

/// A merge patch replaces lists whole, but goes into objects: what the version that is written over has and the new one
/// has not is named with `null`, also inside an operation. What stays, most of all the reports, and fields of others are not
/// named.
fn patch(version: Option<&str>, before: &Authority, authority: &Authority) -> Value {
    json!({
        "metadata": {"resourceVersion": version},
        "status": over(&fields(before), fields(authority)),
    })
}

fn over(before: &Value, after: Value) -> Value {
    let (Value::Object(before), Value::Object(mut after)) = (before, after.clone()) else {
        return after;
    };
    for (name, had) in before {
        match after.remove(name) {
            Some(next) if next == *had => {}
            next => drop(after.insert(name.clone(), next.map_or(Value::Null, |next| over(had, next)))),
        }
    }
    Value::Object(after)
}

fn fields(authority: &Authority) -> Value {
    let Authority {
        epoch,
        master,
        electors,
        quorum,
        histories,
        operation,
        pending_fences,
        fenced,
        failovers,
    } = authority;
    json!({
        "epoch": epoch,
        "master": master,
        "electors": electors,
        "quorum": quorum,
        "histories": histories,
        "operation": operation,
        "pendingFences": pending_fences,
        "fenced": fenced,
        "failovers": failovers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_operation_said_does_not_stay_in_a_newer_one() {
        let switchover =
            json!({"epoch": 1, "operation": {"kind": "Switchover", "to": "cache-1", "verdict": {"a": {"b": 1}}}});
        let failover = json!({"epoch": 1, "operation": {"kind": "Failover", "verdict": {"a": {}}}});
        let want = json!({"operation": {"kind": "Failover", "to": null, "verdict": {"a": {"b": null}}}});
        assert_eq!(over(&switchover, failover.clone()), want);
        let none = json!({"epoch": 2, "operation": null});
        assert_eq!(over(&failover, none.clone()), none);
    }
}
