//! The tree of a set: who follows whom as far as is seen, and who is to. [`layout`] makes the choice; here it is asked with
//! what is known of the members.

use super::layout::{self, Held, Level, Link, Node, Parent, Standing, Tree};
use super::replicas::continues;
use super::view::View;
use super::{fate, sync};
use crate::model::observed::Member;
use crate::model::redis::{Facts, RoleState};

/// The member that a server follows, if it follows one of this set.
pub(super) fn parent<'a>(view: &View<'a>, facts: &Facts) -> Option<&'a Member> {
    let RoleState::Attached { host } = facts.state() else {
        return None;
    };
    let has_address = |m: &&Member| m.pod.as_ref().and_then(|p| p.ip.as_ref()) == Some(&host);
    view.observed.members.iter().find(has_address)
}

/// Each member with the one that it is to follow while this master serves. Who has no better place stays where it is; but
/// nobody except the core has one on the master, who would count it as one that confirms.
pub(super) fn parents<'a>(view: &View<'a>, master: &'a Member, root: &Facts) -> Vec<(&'a Member, &'a Member)> {
    let members: Vec<_> = view.replicas().collect();
    let mut nodes: Vec<_> = members.iter().map(|m| node(view, m, &members, root)).collect();
    forget_lost_places(&mut nodes, root);
    let levels: Vec<_> = view.cluster.tiers().filter_map(|tier| tier.level).collect();
    let levels: Vec<_> = levels
        .iter()
        .map(|level| Level {
            from: level.from,
            most: level.most,
        })
        .collect();
    let tree = Tree {
        zone: zone(master),
        levels: &levels,
        nodes: &nodes,
    };
    let parents = layout::parents(&tree);
    let chosen = members.iter().zip(&nodes).zip(parents);
    chosen
        .filter_map(
            |((member, node), parent)| match parent.or(node.link.map(|link| link.to))? {
                Parent::Root => member.is_core().then_some((*member, master)),
                Parent::Node(at) => Some((*member, *members.get(at)?)),
            },
        )
        .collect()
}

/// Whom a replica's stream comes through, itself first and a replica of the core last; nothing if it is cut somewhere, and
/// whether the last one follows the master is asked by whoever asks for the way.
pub(super) fn way_up<'a>(
    view: &View<'a>,
    member: &'a Member,
    facts: &'a Facts,
) -> Option<Vec<(&'a Member, &'a Facts)>> {
    let (mut at, mut way) = ((member, facts), Vec::new());
    // A longer way is a circle.
    for _ in &view.observed.members {
        let (child, facts) = at;
        way.push(at);
        if !sync::linked(facts) {
            return None;
        }
        if child.is_core() {
            return Some(way);
        }
        let next = parent(view, facts)?;
        let of_parent = next.facts().filter(|f| f.loading.is_none())?;
        if !view.attached(facts, next, of_parent, &child.name) {
            return None;
        }
        at = (next, of_parent);
    }
    None
}

fn node<'a>(view: &View<'a>, member: &'a Member, members: &[&Member], root: &Facts) -> Node<'a> {
    let facts = member.facts();
    let tier = view.cluster.tiers().find(|tier| tier.name == member.tier);
    let to = |parent: &Member| match view.is_master(parent) {
        true => Some(Parent::Root),
        false => members.iter().position(|m| m.is(parent)).map(Parent::Node),
    };
    let link = facts.and_then(|f| {
        Some(Link {
            to: to(parent(view, f)?)?,
            up: f.replica_link()?.up,
        })
    });
    let holds = |f: &&Facts| f.loading.is_none() && f.replica_link().is_some_and(|l| !l.syncing) && continues(f, root);
    let held = |f: &'a Facts| Held {
        lineage: &f.replid,
        offset: f.offset,
        before: f.replid2.as_deref().zip(f.second_offset),
        oldest: f.backlog.map_or(u64::MAX, |backlog| backlog.from),
    };
    Node {
        // One of no tier has no place.
        tier: tier.map_or(usize::MAX, |tier| tier.index),
        zone: zone(member),
        link,
        held: facts.filter(holds).map(held),
        standing: standing(view, member),
    }
}

/// Whose place nobody keeps who may have pods of tiers below it: it is not waited for, a full resync is all that helps. What a
/// replica lacks that took over from another lineage, or had a full resync, it never gets.
fn forget_lost_places(nodes: &mut [Node], root: &Facts) {
    let may_serve = |parent: &Node, held: &Held| {
        let stays = parent.standing == Standing::Feeds || parent.tier == 0 && parent.standing == Standing::Keeps;
        let of_parent = parent.held.filter(|_| stays);
        of_parent.is_some_and(|parent| held.may_go_on_under(&parent) || parent.lineage != root.replid)
    };
    let is_lost = |at: usize| {
        let held = nodes[at].held.filter(|_| nodes[at].tier > 0);
        let mut above = nodes.iter().filter(|node| node.tier < nodes[at].tier);
        held.is_some_and(|held| !above.any(|node| may_serve(node, &held)))
    };
    let lost: Vec<_> = (0..nodes.len()).filter(|at| is_lost(*at)).collect();
    lost.into_iter().for_each(|at| nodes[at].held = None);
}

fn standing(view: &View, member: &Member) -> Standing {
    let leaves = member.pod.as_ref().is_none_or(|p| p.deleting) || view.is_fenced(&member.name) || !view.wanted(member);
    match member.facts() {
        _ if leaves || fate::death(member).is_some() => Standing::Gone,
        Some(facts) if facts.loading.is_none() && sync::linked(facts) => Standing::Feeds,
        Some(_) | None => Standing::Keeps,
    }
}

fn zone(member: &Member) -> Option<&str> {
    member.pod.as_ref()?.zone.as_deref()
}
