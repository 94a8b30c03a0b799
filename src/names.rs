//! Every label, annotation, port, object name and field manager, written once.
//!
//! Nothing here reads an object or decides anything; a name that users or other tools rely on is
//! part of the API and changes only with a release note.

/// API group of the kind and prefix of our labels, annotations and pod conditions.
pub const GROUP: &str = "redisreplicaset.dev";
/// `apiVersion` of the kind, as owner references have it.
pub const API_VERSION: &str = "redisreplicaset.dev/v1alpha1";
/// The kind.
pub const KIND: &str = "RedisReplicaSet";

/// Redis's port in every pod and Service.
pub const REDIS_PORT: u16 = 6379;
/// Name of the Redis container and of its port.
pub const CONTAINER: &str = "redis";
/// Name of the volume claim template; a claim is `data-<pod>`.
pub const DATA_VOLUME: &str = "data";

/// The tier of the master and its own replicas.
pub const CORE_TIER: &str = "core";

/// Labels and annotations on objects we create.
pub mod label {
    /// Name of the set an object belongs to. In selectors, with [`TIER`] only.
    pub const SET: &str = "redisreplicaset.dev/set";
    /// Tier of a pod, claim or StatefulSet.
    pub const TIER: &str = "redisreplicaset.dev/tier";
    /// `master`, `replica` or `fenced`; for read Services and people, never for the VIP.
    pub const ROLE: &str = "redisreplicaset.dev/role";
    /// `true` while a replica may serve reads.
    pub const IN_SYNC: &str = "redisreplicaset.dev/in-sync";
    /// Written by Kubernetes on every StatefulSet pod; what the VIP selects.
    pub const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
    /// Written by Kubernetes: the template a pod was made from.
    pub const POD_REVISION: &str = "controller-revision-hash";
    /// Recommended labels of `app.kubernetes.io`.
    pub const APP_NAME: &str = "app.kubernetes.io/name";
    /// The set's name, for dashboards; never in a selector.
    pub const APP_INSTANCE: &str = "app.kubernetes.io/instance";
    /// `redis` for pods, the object's purpose elsewhere.
    pub const APP_COMPONENT: &str = "app.kubernetes.io/component";
    /// Always [`super::MANAGED_BY`].
    pub const APP_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    /// Where the kubelet or cloud says a pod or node is.
    pub const ZONE: &str = "topology.kubernetes.io/zone";
    /// Default spread key.
    pub const HOSTNAME: &str = "kubernetes.io/hostname";
}

/// Annotations we write.
pub mod annotation {
    /// What people ask of a set stands in annotations that begin with this.
    pub const REQUESTS: &str = "redisreplicaset.dev/";
    /// Epoch: on the VIP Service in the same write as the selector, on a claim after a change of role.
    pub const EPOCH: &str = "redisreplicaset.dev/epoch";
    /// Role a volume had at its epoch: `master` or `replica`.
    pub const ROLE: &str = "redisreplicaset.dev/role";
    /// Hash of the redis.conf a pod was made with.
    pub const CONFIG_REVISION: &str = "redisreplicaset.dev/config-revision";
    /// Hash of what we wanted when we wrote an object; on a pod, of its template without redis.conf.
    pub const REVISION: &str = "redisreplicaset.dev/revision";
    /// The last restart that was asked for when a pod was made. On the set it is the request itself.
    pub const RESTART: &str = "redisreplicaset.dev/restart";
}

/// Value of `app.kubernetes.io/managed-by`.
pub const MANAGED_BY: &str = "redis-operator";
/// Reporter of events.
pub const REPORTER: &str = "redisreplicaset.dev/operator";
/// Pod condition and readiness gate: in sync, or the armed master.
pub const READINESS_GATE: &str = "redisreplicaset.dev/InSync";

/// One field manager per concern, so that a write of one never removes what another owns.
pub mod manager {
    /// Built objects: StatefulSet, Services, ConfigMap, PodDisruptionBudget.
    pub const OBJECTS: &str = "redis-operator";
    /// Role labels and readiness gates of pods, epochs of claims.
    pub const ROLE: &str = "redis-operator/role";
    /// The VIP Service as a whole.
    pub const VIP: &str = "redis-operator/vip";
    /// Observed fields of status.
    pub const STATUS: &str = "redis-operator/status";
    /// Fields of status that change by compare-and-set only.
    pub const AUTHORITY: &str = "redis-operator/authority";
}

/// Users inside Redis.
pub mod user {
    /// The operator's own user: roles, configuration, link users.
    pub const OPERATOR: &str = "rrs-operator";
    /// Read-only user of a standby operator.
    pub const PROBE: &str = "rrs-probe";
    /// Prefix of the users minted for one attachment each.
    pub const LINK_PREFIX: &str = "rrs-link-";
}

/// Keys of Secret `<set>-internal`.
pub mod internal_key {
    /// Password of [`super::user::OPERATOR`].
    pub const OPERATOR: &str = "operator";
    /// Password of [`super::user::PROBE`].
    pub const PROBE: &str = "probe";
    /// Key of the HMAC that makes link secrets.
    pub const LINK: &str = "linkKey";
    /// Redis's aclfile; hashes only.
    pub const ACL: &str = "users.acl";
}

/// Keys of Secret `<set>-app`, as the Service Binding specification names them.
pub mod app_key {
    /// Type of the Secret object.
    pub const SECRET_TYPE: &str = "servicebinding.io/redis";
    /// What is bound: always `redis`.
    pub const TYPE: &str = "type";
    /// DNS name of the VIP.
    pub const HOST: &str = "host";
    /// Redis's port.
    pub const PORT: &str = "port";
    /// The application's user.
    pub const USERNAME: &str = "username";
    /// Its password.
    pub const PASSWORD: &str = "password";
    /// All of it as one `redis://` URL.
    pub const URI: &str = "uri";
    /// DNS name of the read Service.
    pub const REPLICAS_HOST: &str = "replicas-host";
}

/// Directory of the files that a pod's Redis boots from.
pub const CONF_DIR: &str = "/etc/redis";
/// Directory of the volume.
pub const DATA_DIR: &str = "/data";
/// What the VIP selects while it points at nobody: a label value that no pod's name can be, names being lower-case.
pub const NOBODY: &str = "Nobody";
/// `component` of the pods and what runs in them.
pub const COMPONENT: &str = "redis";

/// Key of the ConfigMap that holds redis.conf.
pub const CONF_KEY: &str = "redis.conf";

/// The master's Service: the VIP.
pub fn vip(set: &str) -> String {
    set.to_owned()
}

/// The core replicas' read Service.
pub fn replicas_service(set: &str) -> String {
    format!("{set}-replicas")
}

/// The read Service of a tier's pods: [`replicas_service`] for [`CORE_TIER`], else `<set>-<tier>`, as its StatefulSet.
pub fn read_service(set: &str, tier: &str) -> String {
    match tier {
        CORE_TIER => replicas_service(set),
        _ => stateful_set(set, tier),
    }
}

/// The headless Service that gives pods their DNS names.
pub fn nodes_service(set: &str) -> String {
    format!("{set}-nodes")
}

/// A tier's StatefulSet: the set's own name for [`CORE_TIER`], else `<set>-<tier>`. Another set may be called that too, so
/// a name alone never tells whose an object is.
pub fn stateful_set(set: &str, tier: &str) -> String {
    match tier {
        CORE_TIER => set.to_owned(),
        _ => format!("{set}-{tier}"),
    }
}

/// The set's PodDisruptionBudget.
pub fn disruption_budget(set: &str) -> String {
    set.to_owned()
}

/// The operator's Secret of a set.
pub fn internal_secret(set: &str) -> String {
    format!("{set}-internal")
}

/// The generated Secret of the application's user.
pub fn app_secret(set: &str) -> String {
    format!("{set}-app")
}

/// The immutable ConfigMap of one revision of redis.conf.
pub fn config_map(set: &str, revision: &str) -> String {
    format!("{set}-config-{revision}")
}

/// Pod of an ordinal in a StatefulSet.
pub fn pod(stateful_set: &str, ordinal: u32) -> String {
    format!("{stateful_set}-{ordinal}")
}

/// Claim of a pod.
pub fn claim(pod: &str) -> String {
    format!("{DATA_VOLUME}-{pod}")
}

/// Ordinal of a pod of this StatefulSet, `None` for any other name.
pub fn ordinal(stateful_set: &str, pod: &str) -> Option<u32> {
    let digits = pod.strip_prefix(stateful_set)?.strip_prefix('-')?;
    let ordinal = digits.parse().ok()?;
    (digits == format!("{ordinal}")).then_some(ordinal)
}

/// DNS name a Redis announces: stable over restarts, unlike its address.
pub fn dns(set: &str, namespace: &str, pod: &str) -> String {
    format!("{pod}.{}.{namespace}.svc", nodes_service(set))
}

/// DNS name of a Service inside the cluster.
pub fn service_dns(service: &str, namespace: &str) -> String {
    format!("{service}.{namespace}.svc")
}

/// User minted on a parent for one child.
pub fn link_user(child: &str) -> String {
    format!("{}{child}", user::LINK_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinal_is_read_only_from_a_pod_of_this_stateful_set() {
        assert_eq!(ordinal("cache", "cache-0"), Some(0));
        assert_eq!(ordinal("cache", "cache-12"), Some(12));
        for other in [
            "cache",
            "cache-",
            "cache-01",
            "cache-edge-0",
            "cachet-0",
            "cache-+1",
            "other-0",
        ] {
            assert_eq!(ordinal("cache", other), None, "{other}");
        }
    }

    #[test]
    fn every_tier_has_a_stateful_set_of_its_own() {
        assert_eq!(stateful_set("cache", CORE_TIER), "cache");
        let edge = stateful_set("cache", "edge");
        assert_eq!(ordinal(&edge, &pod(&edge, 3)), Some(3));
        assert_eq!(ordinal(&edge, "cache-3"), None);
    }
}
