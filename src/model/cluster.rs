//! `Cluster`: one set as the rest of the operator sees it, checked once at the door.
//!
//! Everything behind it takes a `Cluster` and never the raw object, so nobody asks again whether a name or a uid is
//! there. What is seen of the world is not here.

use kube::Resource as _;

use crate::api::{RedisReplicaSet, RedisReplicaSetSpec};
use crate::names;

/// A set whose object has everything that its children are named and owned by.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Name of the set, also of its VIP, StatefulSet and PodDisruptionBudget.
    pub name: String,
    /// Namespace of the set and of all it consists of.
    pub namespace: String,
    /// UID of this very object: a set deleted and made again under the same name is another one.
    pub uid: String,
    /// Generation of `spec`, for `observedGeneration`.
    pub generation: i64,
    /// What a person wants.
    pub spec: RedisReplicaSetSpec,
}

/// A tier of a set: its pods are of one StatefulSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier<'a> {
    /// Its name, also in labels.
    pub name: &'a str,
    /// Pods that are wanted.
    pub pods: u32,
}

/// An object that did not come from an apiserver: it lacks what every stored object has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the RedisReplicaSet {name:?} has no metadata.{field}; only objects read from an apiserver can be reconciled")]
pub struct InvalidSet {
    name: String,
    field: &'static str,
}

impl Cluster {
    /// Takes over an object as the apiserver stores it.
    ///
    /// # Errors
    /// [`InvalidSet`] names the first of name, namespace, uid and generation that is missing.
    pub fn new(object: &RedisReplicaSet) -> Result<Self, InvalidSet> {
        let meta = object.meta();
        let name = meta.name.clone().unwrap_or_default();
        let missing = |field| InvalidSet {
            name: name.clone(),
            field,
        };
        Ok(Self {
            name: meta
                .name
                .clone()
                .filter(|name| !name.is_empty())
                .ok_or_else(|| missing("name"))?,
            namespace: meta.namespace.clone().ok_or_else(|| missing("namespace"))?,
            uid: meta.uid.clone().ok_or_else(|| missing("uid"))?,
            generation: meta.generation.ok_or_else(|| missing("generation"))?,
            spec: object.spec.clone(),
        })
    }

    /// The master's own replicas that are wanted, the master not counted. The schema has no negative number.
    pub fn replicas(&self) -> u32 {
        u32::try_from(self.spec.replicas).unwrap_or(0)
    }

    /// Pods of the core tier that are wanted: the master and its replicas.
    pub fn pods(&self) -> u32 {
        1 + self.replicas()
    }

    /// The tier of the master and its own replicas.
    pub fn core(&self) -> Tier<'_> {
        Tier {
            name: names::CORE_TIER,
            pods: self.pods(),
        }
    }

    /// Every tier that is wanted, the core first.
    pub fn tiers(&self) -> impl Iterator<Item = Tier<'_>> {
        std::iter::once(self.core())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> RedisReplicaSet {
        let mut object = RedisReplicaSet::new("cache", RedisReplicaSetSpec::new("redis:8.2"));
        object.metadata.namespace = Some("shop".into());
        object.metadata.uid = Some("6f0c".into());
        object.metadata.generation = Some(1);
        object
    }

    #[test]
    fn a_stored_object_becomes_a_cluster() {
        let cluster = Cluster::new(&stored()).unwrap();
        assert_eq!(
            (cluster.name.as_str(), cluster.namespace.as_str(), cluster.uid.as_str()),
            ("cache", "shop", "6f0c")
        );
        assert_eq!((cluster.replicas(), cluster.pods()), (2, 3));
    }

    #[test]
    fn an_object_that_was_never_stored_is_refused_by_name_of_what_it_lacks() {
        type Spoil = fn(&mut RedisReplicaSet);
        let cases: [(Spoil, &str); 4] = [
            (|o| o.metadata.name = None, "metadata.name"),
            (|o| o.metadata.namespace = None, "metadata.namespace"),
            (|o| o.metadata.uid = None, "metadata.uid"),
            (|o| o.metadata.generation = None, "metadata.generation"),
        ];
        for (spoil, field) in cases {
            let mut object = stored();
            spoil(&mut object);
            let refused = Cluster::new(&object).unwrap_err().to_string();
            assert!(refused.contains(field), "{refused}");
        }
    }
}
