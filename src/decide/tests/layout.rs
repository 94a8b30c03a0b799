//! The layout by properties, over sets of up to 200 pods in any state.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::decide::layout::{Held, Level, Link, Node, Parent, Standing, Tree, parents};

const ZONES: [&str; 3] = ["a", "b", "c"];
const PODS: usize = 200;

/// What a pod is, before it is known how many pods and tiers there are.
#[derive(Clone, Debug)]
struct Any {
    tier: usize,
    zone: Option<usize>,
    link: Option<(usize, bool)>,
    held: Option<u64>,
    standing: Standing,
}

fn any_pod() -> impl Strategy<Value = Any> {
    let standing = prop_oneof![6 => Just(Standing::Feeds), 1 => Just(Standing::Keeps), 1 => Just(Standing::Gone)];
    let zone = proptest::option::weighted(0.8, 0..ZONES.len());
    let link = proptest::option::weighted(0.8, (0..=PODS, proptest::bool::weighted(0.8)));
    let held = proptest::option::weighted(0.9, prop_oneof![3 => Just(100_u64), 1 => 90..110_u64]);
    (0..9_usize, zone, link, held, standing).prop_map(|(tier, zone, link, held, standing)| Any {
        tier,
        zone,
        link,
        held,
        standing,
    })
}

/// Tiers of which each hangs on one before it, as admission has it, in any order.
fn any_levels() -> impl Strategy<Value = Vec<Level>> {
    let one = (0..9_usize, 1..8_usize);
    (vec(one, 0..8), any::<bool>()).prop_map(|(levels, turned)| {
        let count = levels.len();
        let turn = |tier: usize| if turned && tier > 0 { count + 1 - tier } else { tier };
        let of = |at: usize| {
            let (from, most) = levels[turn(at + 1) - 1];
            Level {
                from: turn(from % turn(at + 1)),
                most,
            }
        };
        (0..count).map(of).collect()
    })
}

/// So many bytes of the one lineage that everybody has.
fn holds(offset: u64) -> Held<'static> {
    Held {
        lineage: "the set's",
        offset,
        before: None,
        oldest: 1,
    }
}

/// A set that owns what a [`Tree`] borrows.
#[derive(Clone, Debug)]
struct Set {
    zone: Option<&'static str>,
    levels: Vec<Level>,
    nodes: Vec<Node<'static>>,
}

impl Set {
    fn new(levels: Vec<Level>, pods: &[Any]) -> Self {
        let node = |any: &Any| Node {
            tier: any.tier % (levels.len() + 1),
            zone: any.zone.map(|zone| ZONES[zone]),
            link: any.link.map(|(to, up)| Link {
                to: match to % (pods.len() + 1) {
                    0 => Parent::Root,
                    to => Parent::Node(to - 1),
                },
                up,
            }),
            held: any.held.map(holds),
            standing: any.standing,
        };
        let nodes = pods.iter().map(node).collect();
        Self {
            zone: Some(ZONES[0]),
            levels,
            nodes,
        }
    }

    /// Pods of one zone that hold the same and hang nowhere: this many in each tier.
    fn fresh(levels: &[Level], counts: &[usize]) -> Self {
        let node = |tier| Node {
            tier,
            zone: Some(ZONES[0]),
            link: None,
            held: Some(holds(100)),
            standing: Standing::Feeds,
        };
        let tiers = counts.iter().enumerate();
        let nodes = tiers.flat_map(|(tier, count)| std::iter::repeat_n(node(tier), *count));
        Self {
            zone: Some(ZONES[0]),
            levels: levels.to_vec(),
            nodes: nodes.collect(),
        }
    }

    fn parents(&self) -> Vec<Option<Parent>> {
        parents(&Tree {
            zone: self.zone,
            levels: &self.levels,
            nodes: &self.nodes,
        })
    }

    /// Does the moves of those that are named. Who follows somebody else afterwards has a link that is up.
    fn follow(&mut self, next: &[Option<Parent>], moves: impl Fn(usize) -> bool) {
        for (child, node) in self.nodes.iter_mut().enumerate() {
            if let Some(to) = next[child].filter(|to| moves(child) && node.link != Some(Link { to: *to, up: true })) {
                node.link = Some(Link { to, up: true });
            }
        }
    }

    /// Follows the layout until it asks for nothing more.
    fn settle(&mut self) {
        for _ in 0..20 {
            let next = self.parents();
            let before: Vec<_> = self.nodes.iter().map(|n| n.link).collect();
            self.follow(&next, |_| true);
            if self.nodes.iter().map(|n| n.link).eq(before) {
                return;
            }
        }
        panic!("it never settles: {self:?}");
    }

    fn now(&self, child: usize) -> Option<Parent> {
        self.nodes[child].link.map(|link| link.to)
    }

    /// Pods that follow somebody else than before.
    fn moved(&self, before: &Self) -> Vec<usize> {
        let pods = 0..self.nodes.len();
        pods.filter(|child| self.now(*child) != before.now(*child)).collect()
    }

    /// Whether the links up from a pod lead to the root, over pods that pass the stream on.
    fn is_fed(&self, at: usize) -> bool {
        let mut way = vec![at];
        while let Some(link) = self.nodes[way[way.len() - 1]].link {
            let feeds = self.nodes[way[way.len() - 1]].standing == Standing::Feeds;
            match link.to {
                Parent::Root => return feeds && link.up,
                Parent::Node(next) if feeds && link.up && !way.contains(&next) => way.push(next),
                Parent::Node(_) => return false,
            }
        }
        false
    }

    /// Whether a way up from each pod ends.
    fn has_no_loop(&self) -> bool {
        (0..self.nodes.len()).all(|start| {
            let mut at = start;
            for _ in 0..=self.nodes.len() {
                match self.now(at) {
                    Some(Parent::Node(next)) => at = next,
                    Some(Parent::Root) | None => return true,
                }
            }
            false
        })
    }

    /// Pods of each tier on each parent.
    fn loads(&self) -> BTreeMap<(Parent, usize), usize> {
        let mut loads = BTreeMap::new();
        for (child, node) in self.nodes.iter().enumerate() {
            if let Some(to) = self.now(child) {
                *loads.entry((to, node.tier)).or_default() += 1;
            }
        }
        loads
    }

    /// Steps of a parent above the tier that a pod's tier names; nothing if it is none of those above it.
    fn steps(&self, child: usize, to: Parent) -> Option<usize> {
        let mut tier = self.nodes[child].tier;
        let mut steps = 0;
        while tier > 0 {
            tier = self.levels[tier - 1].from;
            if matches!(to, Parent::Node(at) if self.nodes[at].tier == tier) {
                return Some(steps);
            }
            steps += 1;
        }
        (to == Parent::Root && self.nodes[child].tier == 0).then_some(steps)
    }

    /// Whether a pod is beyond what its tier allows there, which only replicas of the core may have.
    fn may_be_crowded(&self, to: Parent) -> bool {
        matches!(to, Parent::Node(at) if self.nodes[at].tier == 0)
    }

    fn in_other_zone(&self, child: usize, to: Parent) -> bool {
        let zone = match to {
            Parent::Root => self.zone,
            Parent::Node(at) => self.nodes[at].zone,
        };
        zone.is_none() || zone != self.nodes[child].zone
    }
}

fn any_set() -> impl Strategy<Value = Set> {
    (any_levels(), vec(any_pod(), 0..=PODS)).prop_map(|(levels, pods)| Set::new(levels, &pods))
}

/// Levels and a number of pods for each tier, the core included, of which there are enough parents everywhere.
fn any_fresh() -> impl Strategy<Value = Set> {
    let levels = any_levels().prop_map(|mut levels| {
        levels.iter_mut().for_each(|level| level.most = 32);
        levels
    });
    (levels, vec(2..20_usize, 9)).prop_map(|(levels, counts)| Set::fresh(&levels, &counts[..=levels.len()]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parents_are_above_and_fed_and_never_behind(set in any_set()) {
        for (child, to) in set.parents().into_iter().enumerate() {
            let Some(to) = to else { continue };
            prop_assert!(set.steps(child, to).is_some(), "{child} is to follow {to:?}");
            if let Parent::Node(at) = to
                && set.now(child) != Some(to)
            {
                let offset = |at: usize| set.nodes[at].held.map(|held| held.offset);
                prop_assert!(offset(child).is_none() || offset(at) >= offset(child));
                prop_assert!(set.is_fed(at), "{at} has no stream for {child}");
            }
        }
    }

    #[test]
    fn the_core_follows_the_master_whatever_it_holds(set in any_set()) {
        for (child, to) in set.parents().into_iter().enumerate() {
            if set.nodes[child].tier == 0 {
                prop_assert_eq!(to, Some(Parent::Root));
            }
        }
    }

    #[test]
    fn no_part_of_the_moves_makes_a_loop(mut set in any_set(), part in vec(any::<bool>(), PODS)) {
        for (child, node) in set.nodes.iter_mut().enumerate() {
            // A tree in any order of tiers, all of which passes the stream on: each pod follows one before it, or the root.
            let to = match part[child] && child > 0 {
                true => Parent::Node((child * 7919 + 31) % child),
                false => Parent::Root,
            };
            (node.link, node.held, node.standing) = (Some(Link { to, up: true }), Some(holds(100)), Standing::Feeds);
        }
        prop_assert!(set.has_no_loop());
        let next = set.parents();
        set.follow(&next, |child| part[PODS - 1 - child]);
        prop_assert!(set.has_no_loop());
    }

    #[test]
    fn no_parent_gets_more_than_a_tier_allows_but_for_the_core_where_nobody_else_has_room(mut set in any_set()) {
        let before = set.clone();
        let next = set.parents();
        for (child, to) in next.iter().enumerate() {
            set.nodes[child].link = to.map(|to| Link { to, up: true });
        }
        let loads = set.loads();
        let crowded = |to: Parent, tier: usize| tier > 0 && loads[&(to, tier)] > set.levels[tier - 1].most;
        for (to, tier) in loads.keys().filter(|(to, tier)| crowded(*to, *tier)) {
            prop_assert!(set.may_be_crowded(*to), "{loads:?} of tier {tier} on {to:?}");
            // Who has nothing and no children may follow anybody who has the stream.
            let is_free = |child: &usize| {
                let leaf = (0..set.nodes.len()).all(|at| ![before.now(at), next[at]].contains(&Some(Parent::Node(*child))));
                set.nodes[*child].tier == *tier && set.nodes[*child].held.is_none() && leaf && next[*child] == Some(*to)
            };
            let Some(child) = (0..set.nodes.len()).find(is_free) else { continue };
            let load = |at: usize| loads.get(&(Parent::Node(at), *tier)).copied().unwrap_or(0);
            let has_place = |at: &usize| before.is_fed(*at) && set.steps(child, Parent::Node(*at)).is_some();
            let room = (0..set.nodes.len()).filter(has_place).find(|at| load(*at) < set.levels[*tier - 1].most);
            prop_assert_eq!(room, None, "{} of tier {} is on {:?}", child, tier, to);
        }
    }

    #[test]
    fn what_is_settled_has_nothing_better_and_everybody_who_moves_has_it_better(mut set in any_set()) {
        let before = set.clone();
        let next = set.parents();
        for (child, to) in next.iter().enumerate() {
            let (Some(now), Some(to)) = (before.nodes[child].link, *to) else { continue };
            let goes_on = match now.to {
                Parent::Root => true,
                Parent::Node(at) => match before.nodes[at].standing {
                    Standing::Feeds => true,
                    Standing::Keeps => now.up,
                    Standing::Gone => false,
                },
            };
            let Some(steps) = before.steps(child, now.to).filter(|_| goes_on && now.to != to) else { continue };
            let worth = |steps, to| (steps, before.in_other_zone(child, to));
            let better = worth(before.steps(child, to).unwrap(), to) < worth(steps, now.to);
            let tier = before.nodes[child].tier;
            let load = before.loads()[&(now.to, tier)];
            let crowded = tier > 0 && load > before.levels[tier - 1].most;
            let even = load > 1;
            prop_assert!(better || crowded || even, "{child} moved from {now:?} to {to:?} for nothing");
        }
        set.settle();
        prop_assert!(set.parents().iter().enumerate().all(|(child, to)| to.is_none() || *to == set.now(child)));
    }

    #[test]
    fn a_new_set_gets_an_even_tree_of_the_tiers_that_were_named(mut set in any_fresh()) {
        set.settle();
        let loads = set.loads();
        for (tier, level) in set.levels.iter().enumerate().map(|(at, level)| (at + 1, level)) {
            let parents: Vec<_> = (0..set.nodes.len()).filter(|at| set.nodes[*at].tier == level.from).collect();
            let of = |at: &usize| loads.get(&(Parent::Node(*at), tier)).copied().unwrap_or(0);
            let all: usize = parents.iter().map(of).sum();
            prop_assert_eq!(all, set.nodes.iter().filter(|n| n.tier == tier).count());
            let (least, most) = (parents.iter().map(of).min(), parents.iter().map(of).max());
            prop_assert!(most.unwrap() - least.unwrap() <= 1, "{:?}", loads);
        }
    }

    #[test]
    fn only_the_children_of_a_lost_parent_move_and_go_back_as_far_as_that_evens_out(
        mut set in any_fresh(),
        lost in any::<prop::sample::Index>(),
    ) {
        set.settle();
        let before = set.clone();
        let lost = lost.index(set.nodes.len());
        let orphans: Vec<_> = (0..set.nodes.len()).filter(|at| set.now(*at) == Some(Parent::Node(lost))).collect();
        set.nodes[lost].standing = Standing::Gone;
        for orphan in &orphans {
            set.nodes[*orphan].link = Some(Link { to: Parent::Node(lost), up: false });
        }
        set.settle();
        prop_assert_eq!(set.moved(&before), orphans.clone());
        let without = set.clone();
        set.nodes[lost].standing = Standing::Feeds;
        set.settle();
        prop_assert!(set.moved(&without).len() <= orphans.len(), "more moved back than had moved away");
    }

    #[test]
    fn a_place_in_the_same_zone_comes_first(zones in vec(0..ZONES.len(), 40)) {
        let mut set = Set::fresh(&[Level { from: 0, most: 32 }], &[10, 30]);
        for (node, zone) in set.nodes.iter_mut().zip(&zones) {
            node.zone = Some(ZONES[*zone]);
        }
        set.settle();
        let in_core = |zone: Option<&str>| set.nodes[..10].iter().any(|n| n.zone == zone);
        for child in 10..40 {
            let to = set.now(child).unwrap();
            prop_assert!(matches!(to, Parent::Node(_)));
            prop_assert_eq!(set.in_other_zone(child, to), !in_core(set.nodes[child].zone));
        }
    }
}

#[test]
fn what_finds_no_place_hangs_one_step_up_and_in_the_end_on_a_crowded_replica_of_the_core() {
    let levels = [Level { from: 0, most: 2 }, Level { from: 1, most: 1 }];
    let mut set = Set::fresh(&levels, &[2, 7, 9]);
    set.settle();
    let on = |tier: usize, parents: &dyn Fn(Parent) -> bool| {
        let pods = (0..set.nodes.len()).filter(|at| set.nodes[*at].tier == tier);
        pods.filter(|at| set.now(*at).is_some_and(parents)).count()
    };
    let in_tier = |tier: usize| {
        let nodes = &set.nodes;
        move |to: Parent| matches!(to, Parent::Node(at) if nodes[at].tier == tier)
    };
    let crowded: Vec<_> = (0..2).map(|at| set.loads()[&(Parent::Node(at), 1)]).collect();
    assert_eq!((on(1, &in_tier(0)), crowded), (7, vec![4, 3]));
    assert_eq!((on(2, &in_tier(1)), on(2, &in_tier(0))), (7, 2));
}

#[test]
fn without_a_replica_of_the_core_nobody_hangs_on_the_master_instead() {
    let mut set = Set::fresh(&[Level { from: 0, most: 2 }], &[1, 2]);
    set.settle();
    assert_eq!(set.moved(&Set::fresh(&set.levels.clone(), &[1, 2])), [0, 1, 2]);
    set.nodes[0].standing = Standing::Gone;
    for child in 1..3 {
        set.nodes[child].link = Some(Link {
            to: Parent::Root,
            up: true,
        });
    }
    assert_eq!(set.parents(), [Some(Parent::Root), None, None]);
}

/// A replica that was behind the one that took over goes on from the lineage before only up to where it was itself.
#[test]
fn nobody_moves_to_where_his_place_in_the_lineage_before_is_lost() {
    let mut set = Set::fresh(&[Level { from: 0, most: 8 }], &[2, 1]);
    set.settle();
    let held = |lineage, offset, before| {
        Some(Held {
            lineage,
            offset,
            before,
            oldest: 1,
        })
    };
    let to = set.now(2).unwrap();
    let (old, other) = match to {
        Parent::Node(0) => (0, 1),
        _ => (1, 0),
    };
    set.nodes[old].standing = Standing::Gone;
    set.nodes[2].held = held("old", 100, None);
    set.nodes[other].held = held("new", 120, Some(("old", 81)));
    assert_eq!(set.parents()[2], None);
    set.nodes[other].held = held("new", 120, Some(("old", 101)));
    assert_eq!(set.parents()[2], Some(Parent::Node(other)));
    set.nodes[other].held.as_mut().unwrap().oldest = 102;
    assert_eq!(set.parents()[2], None, "what it lacks is not kept there");
    set.nodes[2].held = None;
    set.nodes[other].held = held("new", 120, Some(("old", 81)));
    assert_eq!(
        set.parents()[2],
        Some(Parent::Node(other)),
        "what it has is lost anyway"
    );
}

#[test]
fn a_tier_that_is_to_hang_on_one_below_it_waits_until_that_has_left_it() {
    // The second tier hangs on the first; now the first is to hang on the second.
    let mut set = Set::fresh(&[Level { from: 0, most: 8 }, Level { from: 1, most: 8 }], &[1, 1, 1]);
    set.settle();
    assert_eq!(
        [1, 2].map(|at| set.now(at)),
        [Some(Parent::Node(0)), Some(Parent::Node(1))]
    );
    set.levels = vec![Level { from: 2, most: 8 }, Level { from: 0, most: 8 }];
    let first = set.parents();
    assert_eq!(
        first[1..],
        [Some(Parent::Node(0)), Some(Parent::Node(0))],
        "one stays a step too high meanwhile"
    );
    set.settle();
    assert_eq!(
        [1, 2].map(|at| set.now(at)),
        [Some(Parent::Node(2)), Some(Parent::Node(0))]
    );
}

#[test]
fn tiers_that_lead_in_a_circle_or_nowhere_end_in_the_core() {
    let level = |from| Level { from, most: 8 };
    let mut set = Set::fresh(&[level(1), level(7)], &[1, 1, 1]);
    set.settle();
    assert_eq!([1, 2].map(|at| set.now(at)), [Some(Parent::Node(0)); 2]);
    let mut set = Set::fresh(&[level(2), level(1)], &[1, 1, 1]);
    set.settle();
    assert!(set.has_no_loop(), "{set:?}");
    assert!((0..3).all(|at| set.is_fed(at)), "{set:?}");
}

#[test]
fn whose_parent_leaves_moves_while_its_link_is_still_up() {
    let mut set = Set::fresh(&[Level { from: 0, most: 8 }], &[2, 3]);
    set.settle();
    set.nodes[0].standing = Standing::Gone;
    set.settle();
    assert!((2..5).all(|at| set.now(at) == Some(Parent::Node(1))));
}

#[test]
fn whose_parent_is_only_silent_stays_while_its_link_is_up() {
    let mut set = Set::fresh(&[Level { from: 0, most: 8 }], &[2, 2]);
    set.settle();
    let before = set.clone();
    set.nodes[0].standing = Standing::Keeps;
    set.settle();
    assert!(set.moved(&before).is_empty());
    let child = (2..4).find(|at| set.now(*at) == Some(Parent::Node(0))).unwrap();
    set.nodes[child].link = Some(Link {
        to: Parent::Node(0),
        up: false,
    });
    set.settle();
    assert_eq!(set.moved(&before), [child]);
}
