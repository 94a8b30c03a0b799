//! The tree of a set: who follows whom as far as is seen, and who is to. [`layout`] makes the choice; here it is asked with
//! what is known of the members.

use super::layout::{self, Link, Node, Parent, Standing, Tree};
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

/// Each member with the one that it is to follow while this master serves. Who has no better place stays where it is.
pub(super) fn parents<'a>(view: &View<'a>, master: &'a Member, root: &Facts) -> Vec<(&'a Member, &'a Member)> {
    let members: Vec<_> = view.others().collect();
    let nodes: Vec<_> = members.iter().map(|m| node(view, m, &members, root)).collect();
    let tree = Tree {
        zone: zone(master),
        // The core has none of its own, and is the only tier.
        levels: &[],
        nodes: &nodes,
    };
    let parents = layout::parents(&tree);
    let chosen = members.iter().zip(&nodes).zip(parents);
    chosen
        .filter_map(
            |((member, node), parent)| match parent.or(node.link.map(|link| link.to))? {
                Parent::Root => Some((*member, master)),
                Parent::Node(at) => Some((*member, *members.get(at)?)),
            },
        )
        .collect()
}

fn node<'a>(view: &View, member: &'a Member, members: &[&Member], root: &Facts) -> Node<'a> {
    let facts = member.facts();
    let tier = view.cluster.tiers().position(|tier| tier.name == member.tier);
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
    Node {
        // One of no tier has no place.
        tier: tier.unwrap_or(usize::MAX),
        zone: zone(member),
        link,
        held: facts.filter(holds).map(|f| f.offset),
        standing: standing(view, member),
    }
}

fn standing(view: &View, member: &Member) -> Standing {
    let leaves = member.pod.as_ref().is_none_or(|p| p.deleting) || view.is_fenced(&member.name);
    match member.facts() {
        _ if leaves || fate::death(member).is_some() => Standing::Gone,
        Some(facts) if facts.loading.is_none() && sync::linked(facts) => Standing::Feeds,
        Some(_) | None => Standing::Keeps,
    }
}

fn zone(member: &Member) -> Option<&str> {
    member.pod.as_ref()?.zone.as_deref()
}
