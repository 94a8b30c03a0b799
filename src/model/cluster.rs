//! `Cluster`: one set as the rest of the operator sees it, checked once at the door.
//!
//! Everything behind it takes a `Cluster` and never the raw object, so nobody asks again whether a name or a uid is
//! there. What is seen of the world is not here.

use std::collections::BTreeMap;

use kube::Resource as _;

use crate::api::{RedisReplicaSet, RedisReplicaSetSpec, ReplicasService, Resources, Storage, Template, TierSpec};
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

/// A tier of a set: its pods are of one StatefulSet. What it does not say itself is the set's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tier<'a> {
    /// Its name, also in labels.
    pub name: &'a str,
    /// Its place among the tiers of the set: 0 is the core, and a tier comes after the one that it hangs on.
    pub index: usize,
    /// Pods that are wanted.
    pub pods: u32,
    /// Where it hangs; nothing for the core, which hangs on the master.
    pub level: Option<Level>,
    /// What Redis asks of its node and may use.
    pub resources: &'a Resources,
    /// The volume of each pod.
    pub storage: &'a Storage,
    /// The pods.
    pub template: &'a Template,
    /// The address for reads.
    pub service: &'a ReplicasService,
    /// Directives of the set and of the tier itself, which count more.
    config: [&'a BTreeMap<String, String>; 2],
}

/// What a tier other than the core asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// The tier that its parents are in, by [`Tier::index`].
    pub from: usize,
    /// Pods of this tier on one parent.
    pub most: usize,
}

impl<'a> Tier<'a> {
    /// The same tier with another number of pods.
    pub fn with_pods(self, pods: u32) -> Self {
        Self { pods, ..self }
    }

    /// The directives of redis.conf that a person gave, those of the tier before those of the set.
    pub fn config(&self) -> BTreeMap<&'a str, &'a str> {
        let all = self.config.into_iter().flatten();
        all.map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }
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
            index: 0,
            pods: self.pods(),
            level: None,
            resources: &self.spec.resources,
            storage: &self.spec.storage,
            template: &self.spec.template,
            service: &self.spec.services.replicas,
            config: [&self.spec.config, &NOTHING],
        }
    }

    /// Every tier that is wanted, the core first and each after the one that it hangs on, else by name: their order in spec
    /// means nothing. A tier whose `from` leads nowhere, which admission refuses, hangs on the core.
    pub fn tiers(&self) -> impl Iterator<Item = Tier<'_>> {
        let mut specs: Vec<_> = self.spec.tiers.iter().collect();
        specs.sort_by_key(|tier| (self.steps_to_core(tier), &tier.name));
        let index = |tier: &TierSpec| {
            let above = specs.iter().position(|other| other.name == tier.from);
            above
                .filter(|_| self.steps_to_core(tier).is_some())
                .map_or(0, |at| at + 1)
        };
        let from: Vec<_> = specs.iter().map(|tier| index(tier)).collect();
        let below = specs.into_iter().zip(from).zip(1..);
        std::iter::once(self.core()).chain(below.map(|((tier, from), index)| self.tier(tier, index, from)))
    }

    fn tier<'a>(&'a self, tier: &'a TierSpec, index: usize, from: usize) -> Tier<'a> {
        Tier {
            name: &tier.name,
            index,
            pods: u32::try_from(tier.replicas).unwrap_or(0),
            level: Some(Level {
                from,
                most: usize::try_from(tier.max_replicas_per_parent).unwrap_or(0),
            }),
            resources: tier.resources.as_ref().unwrap_or(&self.spec.resources),
            storage: tier.storage.as_ref().unwrap_or(&self.spec.storage),
            template: tier.template.as_ref().unwrap_or(&self.spec.template),
            service: &tier.service,
            config: [&self.spec.config, &tier.config],
        }
    }

    /// How far below the core a tier is; nothing if its `from` does not lead there.
    fn steps_to_core(&self, tier: &TierSpec) -> Option<usize> {
        let mut from = tier.from.as_str();
        // A longer way is a circle.
        (1..=self.spec.tiers.len()).find(|_| {
            let is_core = from == names::CORE_TIER;
            let above = self.spec.tiers.iter().find(|other| other.name == from);
            from = above.map_or("", |above| above.from.as_str());
            is_core
        })
    }
}

/// The core has no directives beside the set's.
static NOTHING: BTreeMap<String, String> = BTreeMap::new();

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

    fn with_tiers(tiers: impl IntoIterator<Item = (&'static str, &'static str)>) -> Cluster {
        let mut object = stored();
        let tier = |(name, from): (&str, &str)| TierSpec {
            from: from.to_owned(),
            ..TierSpec::new(name)
        };
        object.spec.tiers = tiers.into_iter().map(tier).collect();
        Cluster::new(&object).unwrap()
    }

    fn names_and_parents(cluster: &Cluster) -> Vec<(&str, usize, Option<usize>)> {
        let of = |tier: Tier<'_>| tier.level.map(|level| level.from);
        cluster.tiers().map(|tier| (tier.name, tier.index, of(tier))).collect()
    }

    #[test]
    fn a_tier_comes_after_the_one_that_it_hangs_on_in_whatever_order_they_were_written() {
        let mut tiers = [
            ("west", "core"),
            ("leaf", "analytics"),
            ("east", "core"),
            ("analytics", "west"),
        ];
        let want = [
            ("core", 0, None),
            ("east", 1, Some(0)),
            ("west", 2, Some(0)),
            ("analytics", 3, Some(2)),
            ("leaf", 4, Some(3)),
        ];
        assert_eq!(names_and_parents(&with_tiers(tiers)), want);
        tiers.reverse();
        assert_eq!(names_and_parents(&with_tiers(tiers)), want);
    }

    #[test]
    fn a_tier_that_leads_nowhere_hangs_on_the_core() {
        let cluster = with_tiers([("a", "b"), ("b", "a"), ("c", "nobody"), ("d", "d"), ("e", "core")]);
        let parents: Vec<_> = names_and_parents(&cluster).into_iter().map(|(.., from)| from).collect();
        assert_eq!(parents, [None, Some(0), Some(0), Some(0), Some(0), Some(0)]);
    }

    #[test]
    fn what_a_tier_does_not_say_is_the_sets() {
        let mut object = stored();
        object.spec.config = [("hz", "10"), ("maxclients", "100")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        object.spec.template.spec.priority_class_name = Some("high".into());
        object.spec.tiers = vec![TierSpec {
            config: [("hz".to_owned(), "50".to_owned())].into(),
            template: Some(Template::default()),
            ..TierSpec::new("edge")
        }];
        let cluster = Cluster::new(&object).unwrap();
        let edge = cluster.tiers().nth(1).unwrap();
        assert_eq!(edge.config(), [("hz", "50"), ("maxclients", "100")].into());
        assert_eq!(cluster.core().config(), [("hz", "10"), ("maxclients", "100")].into());
        assert_eq!(edge.storage, &cluster.spec.storage);
        // A block that is given replaces the set's whole.
        assert_eq!(edge.template.spec.priority_class_name, None);
        assert_eq!(cluster.spec.tiers[0].resources, None);
    }
}
