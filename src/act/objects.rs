//! Steps on Kubernetes objects: server-side apply with one field manager per concern, Secrets by create and patch.
//!
//! Every write names the UID or version that was seen, so that an object made anew by somebody else is not touched.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};

use super::{ActError, Actor, call};
use crate::api::status::Role;
use crate::build::acl::{Password, PasswordHash};
use crate::build::secrets::{self, Internal};
use crate::model::observed::ObjectId;
use crate::model::plan::Object;
use crate::names::{self, annotation, internal_key, label, manager};
use crate::observe::{Memory, resource};

/// Creates an object that was not there: without force, so that one which appeared meanwhile is not taken over.
pub(super) async fn create(actor: &Actor<'_>, object: &Object) -> Result<(), ActError> {
    patch(actor, object, PatchParams::apply(object.manager)).await
}

/// Writes our fields of an object of ours.
pub(super) async fn apply(actor: &Actor<'_>, object: &Object, because: Option<&str>) -> Result<(), ActError> {
    if let Some(because) = because {
        tracing::warn!(set = %actor.key, kind = object.id.kind, name = %object.id.name, because, "put back");
    }
    patch(actor, object, PatchParams::apply(object.manager).force()).await
}

async fn patch(actor: &Actor<'_>, object: &Object, params: PatchParams) -> Result<(), ActError> {
    let api = api(actor, &object.id)?;
    let mut body = object.body.clone();
    // Written only over the version that was decided upon: one that arrives late would lead clients to a former master, or
    // take away pods by a number of before.
    if (object.manager == manager::VIP || object.id.kind == "StatefulSet")
        && let Some(version) = &object.resource_version
    {
        body["metadata"]["resourceVersion"] = json!(version);
    }
    if let Some(uid) = &object.uid {
        body["metadata"]["uid"] = json!(uid);
    }
    let what = format!("{} {}", object.id.kind, object.id.name);
    let reply = call(
        actor,
        what.clone(),
        api.patch(&object.id.name, &params, &Patch::Apply(&body)),
    )
    .await?;
    tracing::info!(set = %actor.key, kind = object.id.kind, name = %object.id.name, "applied");
    answered(actor, object.id.kind, reply);
    Ok(())
}

/// The reply stands in for the watch until that has caught up.
fn answered(actor: &Actor<'_>, kind: &str, reply: DynamicObject) {
    let stores = actor.stores;
    match kind {
        "ConfigMap" => reply.try_parse().map(|o| stores.config_maps.answered(o)),
        "Service" => reply.try_parse().map(|o| stores.services.answered(o)),
        "StatefulSet" => reply.try_parse().map(|o| stores.stateful_sets.answered(o)),
        "PodDisruptionBudget" => reply.try_parse().map(|o| stores.budgets.answered(o)),
        _ => Ok(()),
    }
    .unwrap_or_else(|error| tracing::warn!(kind, %error, "reply not understood"));
}

pub(super) async fn delete(actor: &Actor<'_>, id: &ObjectId, uid: &str) -> Result<(), ActError> {
    let api = api(actor, id)?;
    let seen = Preconditions {
        uid: Some(uid.to_owned()),
        resource_version: None,
    };
    let params = DeleteParams::background().preconditions(seen);
    let what = format!("{} {}", id.kind, id.name);
    match call(actor, what, api.delete(&id.name, &params)).await {
        Err(error) if error.is_not_found() => Ok(()),
        result => result.map(drop),
    }
}

/// Deletes exactly this pod; its process has its grace.
pub(super) async fn delete_pod(actor: &Actor<'_>, pod: &str, uid: &str, why: &str) -> Result<(), ActError> {
    let api: Api<Pod> = Api::namespaced(actor.client.clone(), &actor.cluster.namespace);
    let params = DeleteParams::default().preconditions(Preconditions {
        uid: Some(uid.to_owned()),
        resource_version: None,
    });
    match call(actor, format!("Pod {pod}"), api.delete(pod, &params)).await {
        Ok(reply) => {
            tracing::info!(set = %actor.key, pod, why, "deleted, to be made anew");
            if let Some(deleting) = reply.left() {
                actor.stores.pods.answered(deleting);
            }
            Ok(())
        }
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

fn api(actor: &Actor<'_>, id: &ObjectId) -> Result<Api<DynamicObject>, ActError> {
    let resource = resource(id.kind).ok_or(ActError::Missing("not a kind of a set"))?;
    Ok(Api::namespaced_with(
        actor.client.clone(),
        &actor.cluster.namespace,
        &resource,
    ))
}

/// Creates Secret `<set>-internal`: anew, or as it was if this process knows what it held. One that exists already stays
/// as it is.
pub(super) async fn create_internal(actor: &Actor<'_>, app_sha256: &str, memory: &mut Memory) -> Result<(), ActError> {
    let known = memory.secrets.internal.credentials().and_then(Internal::restored);
    let logins = known.unwrap_or_else(|| Internal::generated(&[rand::random(), rand::random(), rand::random()]));
    let hash = PasswordHash::from_sha256(app_sha256);
    let secret = secrets::internal(actor.cluster, &logins, Some(hash))
        .map_err(|_| ActError::Missing("users.acl cannot be written"))?;
    create_secret(actor, &secret, memory).await
}

/// Creates the application's Secret. One that exists already stays as it is.
pub(super) async fn create_app(actor: &Actor<'_>, memory: &mut Memory) -> Result<(), ActError> {
    let known = memory
        .secrets
        .generated()
        .and_then(|known| Password::new(known.expose()).ok());
    let password = known.unwrap_or_else(|| Password::generated(&rand::random()));
    let secret = secrets::app(actor.cluster, &password);
    create_secret(actor, &secret, memory).await
}

async fn create_secret(actor: &Actor<'_>, secret: &Secret, memory: &mut Memory) -> Result<(), ActError> {
    let api: Api<Secret> = Api::namespaced(actor.client.clone(), &actor.cluster.namespace);
    let params = PostParams {
        field_manager: Some(manager::OBJECTS.into()),
        ..PostParams::default()
    };
    memory.secrets.expire();
    match call(actor, "Secret".into(), api.create(&params, secret)).await {
        Err(error) if error.is_conflict() => Ok(()),
        result => result.map(drop),
    }
}

/// Replaces the aclfile in Secret `<set>-internal`; pods read it when they start.
pub(super) async fn write_acl(actor: &Actor<'_>, acl: &str, memory: &mut Memory) -> Result<(), ActError> {
    let api: Api<Secret> = Api::namespaced(actor.client.clone(), &actor.cluster.namespace);
    let name = names::internal_secret(&actor.cluster.name);
    let body = json!({"data": {internal_key::ACL: ByteString(acl.as_bytes().to_vec())}});
    let params = PatchParams {
        field_manager: Some(manager::OBJECTS.into()),
        ..PatchParams::default()
    };
    memory.secrets.expire();
    call(
        actor,
        format!("Secret {name}"),
        api.patch(&name, &params, &Patch::Merge(&body)),
    )
    .await
    .map(drop)
}

pub(super) async fn label(actor: &Actor<'_>, pod: &str, uid: &str, role: Role, in_sync: bool) -> Result<(), ActError> {
    let api: Api<Pod> = Api::namespaced(actor.client.clone(), &actor.cluster.namespace);
    let mut labels = json!({label::ROLE: role.as_str()});
    if in_sync {
        labels[label::IN_SYNC] = json!("true");
    }
    let body = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": pod, "uid": uid, "labels": labels},
    });
    let params = PatchParams::apply(manager::ROLE).force();
    let reply = call(
        actor,
        format!("Pod {pod}"),
        api.patch(pod, &params, &Patch::Apply(&body)),
    )
    .await?;
    actor.stores.pods.answered(reply);
    Ok(())
}

pub(super) async fn gate(actor: &Actor<'_>, pod: &str, uid: &str, ready: bool, message: &str) -> Result<(), ActError> {
    let api: Api<Pod> = Api::namespaced(actor.client.clone(), &actor.cluster.namespace);
    let body = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": pod, "uid": uid},
        "status": {"conditions": [{
            "type": names::READINESS_GATE,
            "status": if ready { "True" } else { "False" },
            "message": message,
            "lastTransitionTime": Timestamp::now(),
        }]},
    });
    let params = PatchParams::apply(manager::ROLE).force();
    let reply = call(
        actor,
        format!("Pod {pod} status"),
        api.patch_status(pod, &params, &Patch::Apply(&body)),
    )
    .await?;
    actor.stores.pods.answered(reply);
    Ok(())
}

pub(super) async fn mark(actor: &Actor<'_>, claim: &str, uid: &str, epoch: i64, role: Role) -> Result<(), ActError> {
    let annotations = json!({annotation::EPOCH: epoch.to_string(), annotation::ROLE: role.as_str()});
    let body = json!({"metadata": {"name": claim, "uid": uid, "annotations": annotations}});
    patch_claim(actor, claim, manager::ROLE, body).await
}

/// Asks for a larger volume; the storage driver does the rest.
pub(super) async fn grow(actor: &Actor<'_>, claim: &str, uid: &str, size: &str) -> Result<(), ActError> {
    let spec = json!({"resources": {"requests": {"storage": size}}});
    let body = json!({"metadata": {"name": claim, "uid": uid}, "spec": spec});
    patch_claim(actor, claim, manager::OBJECTS, body).await
}

async fn patch_claim(actor: &Actor<'_>, claim: &str, manager: &str, mut body: Value) -> Result<(), ActError> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(actor.client.clone(), &actor.cluster.namespace);
    body["apiVersion"] = json!("v1");
    body["kind"] = json!("PersistentVolumeClaim");
    let params = PatchParams::apply(manager).force();
    let reply = call(
        actor,
        format!("claim {claim}"),
        api.patch(claim, &params, &Patch::Apply(&body)),
    )
    .await?;
    actor.stores.claims.answered(reply);
    Ok(())
}
