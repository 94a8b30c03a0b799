//! Who is to replicate from whom: the tree of a set as a pure function of its tiers and of what is seen of its pods.
//!
//! The core hangs on the master, the root, and nobody else does. Every other tier hangs on the tier that it names, in the same
//! zone where that is possible, evenly, and on no parent more than it allows; what finds no place there hangs one step further
//! up, and in the end on the core's replicas beyond what those are to have. A pod stays where it is unless that is wrong, or
//! another place is better. Whatever part of the moves is done, no loop comes of it. Nothing is known here of users or commands.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What a tier other than the core asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    /// The tier that its parents are in: 0 is the core, which no level stands for, 1 the first level.
    pub from: usize,
    /// Pods of this tier on one parent.
    pub most: usize,
}

/// What is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Parent {
    /// A pod, by its place among the nodes.
    Node(usize),
    /// The master.
    Root,
}

/// What a pod is as a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It passes the stream on.
    Feeds,
    /// It does not now, or nobody knows, but is expected to: it keeps whose links to it are up.
    Keeps,
    /// It will not.
    Gone,
}

/// A link as the child sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Whom it follows.
    pub to: Parent,
    /// Whether the link is up.
    pub up: bool,
}

/// A place in the set's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held<'a> {
    /// The lineage that it is in.
    pub lineage: &'a str,
    /// Bytes up to the last one held.
    pub offset: u64,
    /// The lineage before, and the offset after its last byte here.
    pub before: Option<(&'a str, u64)>,
    /// Offset of the oldest byte that it can still give: after a full resync nothing of what came before.
    pub oldest: u64,
}

impl Held<'_> {
    /// Whether somebody who holds this goes on under a pod that holds the other, without a full resync. What was taken in of the
    /// lineage before counts only up to where the parent was itself when it left that.
    pub fn goes_on_under(&self, parent: &Self) -> bool {
        self.may_go_on_under(parent) && (self.lineage != parent.lineage || self.offset <= parent.offset)
    }

    /// The same, as soon as the other has got as far.
    pub fn may_go_on_under(&self, parent: &Self) -> bool {
        let left = parent.before.filter(|(lineage, _)| *lineage == self.lineage);
        let knows = self.lineage == parent.lineage || left.is_some_and(|(_, end)| self.offset < end);
        knows && self.offset.saturating_add(1) >= parent.oldest
    }
}

/// A pod that replicates, or is to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    /// Its tier, as in [`Level::from`].
    pub tier: usize,
    /// Where it runs, if that is known.
    pub zone: Option<&'a str>,
    /// Whom it follows, if anybody.
    pub link: Option<Link>,
    /// What it holds of the set's stream; nothing if what it holds is no part of that, or nobody could go on with it.
    pub held: Option<Held<'a>>,
    /// What it is as a parent.
    pub standing: Standing,
}

/// A set as the layout sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree<'a> {
    /// Where the master runs, if that is known.
    pub zone: Option<&'a str>,
    /// The tiers other than the core.
    pub levels: &'a [Level],
    /// The pods other than the master. Of equals the first comes first.
    pub nodes: &'a [Node<'a>],
}

/// The parent that each pod is to have; nothing for one that has no better place than where it is.
pub(super) fn parents(tree: &Tree) -> Vec<Option<Parent>> {
    let mut plan = Plan::new(tree);
    plan.keep();
    plan.place();
    plan.improve();
    plan.crowd();
    plan.next
}

/// How good a place is: steps above the tier that is asked for, and whether it is in another zone. Less is better.
type Worth = (usize, bool);

struct Plan<'t> {
    tree: &'t Tree<'t>,
    /// For each tier those above it, the one that it names first.
    above: Vec<Vec<usize>>,
    /// Whether a pod's stream comes from the root now.
    fed: Vec<bool>,
    next: Vec<Option<Parent>>,
    /// Pods of a tier that a parent is to have.
    load: BTreeMap<(usize, Parent), usize>,
}

impl<'t> Plan<'t> {
    fn new(tree: &'t Tree<'t>) -> Self {
        Self {
            tree,
            above: (0..=tree.levels.len()).map(|tier| above(tree.levels, tier)).collect(),
            fed: (0..tree.nodes.len()).map(|at| is_fed(tree, at)).collect(),
            next: vec![None; tree.nodes.len()],
            load: BTreeMap::new(),
        }
    }

    fn set(&mut self, child: usize, to: Parent) {
        let tier = self.tree.nodes[child].tier;
        if let Some(before) = self.next[child].replace(to) {
            *self.load.entry((tier, before)).or_default() -= 1;
        }
        *self.load.entry((tier, to)).or_default() += 1;
    }

    /// Leaves everybody whose parent goes on where it is, as far as that parent may have so many.
    fn keep(&mut self) {
        let nodes = self.tree.nodes.iter().enumerate();
        let mut stay: Vec<_> = nodes
            .filter_map(|(child, node)| {
                let link = node.link.filter(|link| self.goes_on(*link))?;
                Some((self.worth(child, link.to)?, child, link.to))
            })
            .collect();
        stay.sort();
        for (_, child, to) in stay {
            if self.has_room(child, to) {
                self.set(child, to);
            }
        }
    }

    fn goes_on(&self, link: Link) -> bool {
        let standing = match link.to {
            Parent::Root => Standing::Feeds,
            Parent::Node(at) => self.tree.nodes.get(at).map_or(Standing::Gone, |n| n.standing),
        };
        match standing {
            Standing::Feeds => true,
            Standing::Keeps => link.up,
            Standing::Gone => false,
        }
    }

    /// Gives the others the best place there is.
    fn place(&mut self) {
        for child in 0..self.tree.nodes.len() {
            if self.next[child].is_none()
                && let Some(best) = self.best(child)
            {
                self.set(child, best);
            }
        }
    }

    /// Moves whoever has a better place, until nobody has: a lower worth, or as good a place at a parent that has fewer even
    /// then. Each move lowers the sum of all worths, or leaves it and evens out, so it ends. Whose parent has the most goes
    /// first: with as few moves as there can be.
    fn improve(&mut self) {
        loop {
            let mut pods: Vec<_> = (0..self.tree.nodes.len()).collect();
            pods.sort_by_key(|child| Reverse(self.next[*child].map(|now| self.load(*child, now))));
            let better = pods.into_iter().find_map(|child| Some((child, self.better(child)?)));
            let Some((child, to)) = better else { return };
            self.set(child, to);
        }
    }

    /// Puts whoever would be left without a stream on a replica of the core, although that has what it is to have: nobody is
    /// served by a bound then. Who has a stream there stays.
    fn crowd(&mut self) {
        for child in 0..self.tree.nodes.len() {
            if self.next[child].is_some() {
                continue;
            }
            let now = self.tree.nodes[child]
                .link
                .filter(|link| self.goes_on(*link))
                .map(|link| link.to);
            let in_core = |to: &Parent| matches!(to, Parent::Node(at) if self.tree.nodes[*at].tier == 0);
            let place = match now.filter(|to| self.worth(child, *to).is_some()) {
                Some(now) => Some(now).filter(in_core),
                None => self.crowded(child),
            };
            if let Some(place) = place {
                self.set(child, place);
            }
        }
    }

    /// The replica of the core with the fewest pods of a pod's tier.
    fn crowded(&self, child: usize) -> Option<Parent> {
        let core = (0..self.tree.nodes.len()).filter(|at| self.tree.nodes[*at].tier == 0);
        let places = core.map(Parent::Node).filter(|to| self.may_follow(child, *to));
        let mut places: Vec<_> = places
            .filter_map(|to| Some((self.load(child, to), self.worth(child, to)?, to)))
            .collect();
        places.sort();
        let mut places = places.into_iter().map(|(.., to)| to);
        places.find(|to| !self.hangs_on(*to, child))
    }

    fn better(&self, child: usize) -> Option<Parent> {
        let now = self.next[child]?;
        let best = self.best(child)?;
        let stays = (self.worth(child, now)?, self.load(child, now));
        ((self.worth(child, best)?, self.load(child, best) + 1) < stays).then_some(best)
    }

    /// The best place that has room, other than the one that the pod is to have. Of equals the parent with the fewest pods.
    fn best(&self, child: usize) -> Option<Parent> {
        let others = (0..self.tree.nodes.len()).map(Parent::Node).chain([Parent::Root]);
        let mut places: Vec<_> = others
            .filter(|to| self.next[child] != Some(*to) && self.has_room(child, *to))
            .filter_map(|to| Some((self.worth(child, to)?, self.load(child, to), to)))
            .filter(|(.., to)| self.may_follow(child, *to))
            .collect();
        places.sort();
        let mut places = places.into_iter().map(|(.., to)| to);
        places.find(|to| !self.hangs_on(*to, child))
    }

    /// Nothing if the pod's tier has no place there.
    fn worth(&self, child: usize, to: Parent) -> Option<Worth> {
        let child = &self.tree.nodes[child];
        let above = self.above.get(child.tier)?;
        let (steps, zone) = match to {
            Parent::Root if child.tier > 0 => return None,
            Parent::Root => (0, self.tree.zone),
            Parent::Node(at) => {
                let parent = self.tree.nodes.get(at)?;
                (above.iter().position(|tier| *tier == parent.tier)?, parent.zone)
            }
        };
        Some((steps, zone.is_none() || zone != child.zone))
    }

    fn load(&self, child: usize, to: Parent) -> usize {
        let tier = self.tree.nodes[child].tier;
        self.load.get(&(tier, to)).copied().unwrap_or(0)
    }

    fn has_room(&self, child: usize, to: Parent) -> bool {
        let level = level(self.tree.levels, self.tree.nodes[child].tier);
        level.is_none_or(|level| self.load(child, to) < level.most)
    }

    /// Whether a pod that comes from somewhere else can go on from there without a full resync.
    fn may_follow(&self, child: usize, to: Parent) -> bool {
        let Parent::Node(at) = to else { return true };
        let (held, of_parent) = (self.tree.nodes[child].held, self.tree.nodes[at].held);
        self.fed[at] && held.is_none_or(|held| of_parent.is_some_and(|parent| held.goes_on_under(&parent)))
    }

    /// Whether somebody hangs on a pod now, or would after any part of the moves.
    fn hangs_on(&self, who: Parent, on: usize) -> bool {
        let mut seen = vec![false; self.tree.nodes.len()];
        let mut open = vec![who];
        while let Some(who) = open.pop() {
            let Parent::Node(at) = who else { continue };
            if at == on {
                return true;
            }
            if at >= seen.len() || std::mem::replace(&mut seen[at], true) {
                continue;
            }
            let now = self.tree.nodes[at].link.map(|link| link.to);
            open.extend([now, self.next[at]].into_iter().flatten());
        }
        false
    }
}

fn level(levels: &[Level], tier: usize) -> Option<&Level> {
    levels.get(tier.checked_sub(1)?)
}

/// The tiers above a tier, the one that it names first. What leads in a circle, or nowhere, ends in the core.
fn above(levels: &[Level], tier: usize) -> Vec<usize> {
    let mut way = vec![tier];
    let mut tier = tier;
    while let Some(level) = level(levels, tier) {
        tier = level.from;
        if tier > levels.len() || way.contains(&tier) {
            tier = 0;
        }
        way.push(tier);
    }
    way.split_off(1)
}

/// Whether the stream of the root comes to a pod that passes it on, through others that do.
fn is_fed(tree: &Tree, at: usize) -> bool {
    let mut at = at;
    // A longer way is a circle.
    for _ in tree.nodes {
        let node = tree.nodes.get(at).filter(|n| n.standing == Standing::Feeds);
        match node.and_then(|n| n.link).filter(|link| link.up).map(|link| link.to) {
            Some(Parent::Node(next)) => at = next,
            Some(Parent::Root) => return true,
            None => return false,
        }
    }
    false
}
