//! The tree as the servers themselves tell it: whom each one follows.

use std::collections::BTreeMap;
use std::fmt;

use cluster_tests::failure::{Context, Outcome};
use cluster_tests::set::Set;

/// Whom a pod follows.
#[derive(Clone, Debug)]
struct Link {
    /// The pod, or the address of nobody that is known.
    parent: String,
    up: bool,
}

/// A look at every server.
pub struct Tree {
    set: String,
    master: String,
    /// By pod; the master has none.
    links: BTreeMap<String, Option<Link>>,
}

/// The tier that a pod's name tells.
pub fn tier_of<'a>(set: &Set, pod: &'a str) -> &'a str {
    tier(&set.name, pod)
}

fn tier<'a>(set: &str, pod: &'a str) -> &'a str {
    let rest = pod.strip_prefix(set).unwrap_or(pod).trim_start_matches('-');
    rest.rsplit_once('-').map_or("core", |(tier, _)| tier)
}

impl Tree {
    /// Asks every server of a set.
    ///
    /// # Errors
    /// If one does not answer.
    pub fn read(set: &Set) -> Outcome<Self> {
        let addresses = set.addresses()?;
        let mut links = BTreeMap::new();
        for (pod, address) in &addresses {
            let asked = set
                .probe_login(address)?
                .connect()
                .and_then(|mut connection| redis::cmd("INFO").arg("replication").query::<String>(&mut connection));
            // Who is dead or not ready follows nobody.
            let info = asked.unwrap_or_default();
            let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let link = field("master_host:").map(|host| Link {
                parent: addresses
                    .iter()
                    .find(|(_, address)| address == host)
                    .map_or(host, |(pod, _)| pod)
                    .to_owned(),
                up: field("master_link_status:") == Some("up"),
            });
            links.insert(pod.clone(), link);
        }
        Ok(Self {
            set: set.name.clone(),
            master: set.master().context("the tree has a root")?,
            links,
        })
    }

    /// What is not as it should be, where each pair is a tier and the one that it hangs on.
    pub fn faults(&self, hangs: &[(&str, &str)]) -> Vec<String> {
        let wrong = |(pod, link): (&String, &Option<Link>)| {
            if *pod == self.master {
                return link
                    .as_ref()
                    .map(|link| format!("the master {pod} follows {}", link.parent));
            }
            let Some(link) = link else {
                return Some(format!("{pod} follows nobody"));
            };
            let own = tier(&self.set, pod);
            let wanted = hangs.iter().find(|(tier, _)| *tier == own).map(|(_, from)| *from);
            let right = match wanted {
                None => link.parent == self.master,
                Some(from) => link.parent != self.master && tier(&self.set, &link.parent) == from,
            };
            (!right || !link.up).then(|| format!("{pod} follows {} (up: {})", link.parent, link.up))
        };
        let mut wrong: Vec<_> = self.links.iter().filter_map(wrong).collect();
        for (own, from) in hangs {
            let children = self.links.keys().filter(|pod| tier(&self.set, pod) == *own).count();
            let parents: Vec<_> = self
                .links
                .keys()
                .filter(|pod| tier(&self.set, pod) == *from && **pod != self.master)
                .collect();
            let even = children.div_ceil(parents.len().max(1));
            let loads = parents.iter().map(|parent| self.children(parent, own).len());
            wrong.extend(
                loads
                    .filter(|load| *load > even)
                    .map(|load| format!("a parent has {load} pods of {own}, {even} would be even")),
            );
        }
        wrong
    }

    fn children(&self, parent: &str, of: &str) -> Vec<String> {
        let follows = |link: &Option<Link>| link.as_ref().is_some_and(|link| link.parent == parent);
        let pods = self
            .links
            .iter()
            .filter(|(pod, link)| tier(&self.set, pod) == of && follows(link));
        pods.map(|(pod, _)| pod.clone()).collect()
    }

    /// A pod of this tier, not the master, with those that hang on it.
    pub fn parent_in(&self, own: &str) -> Option<(String, Vec<String>)> {
        let pods = self
            .links
            .keys()
            .filter(|pod| tier(&self.set, pod) == own && **pod != self.master);
        pods.map(|parent| {
            let follows = |link: &Option<Link>| link.as_ref().is_some_and(|link| link.parent == *parent);
            let children = self
                .links
                .iter()
                .filter(|(_, link)| follows(link))
                .map(|(pod, _)| pod.clone());
            (parent.clone(), children.collect::<Vec<_>>())
        })
        .find(|(_, children)| !children.is_empty())
    }

    /// Whether a pod's link is up, and not to this one.
    pub fn is_linked_elsewhere(&self, child: &str, parent: &str) -> bool {
        let link = self.links.get(child).and_then(Option::as_ref);
        link.is_some_and(|link| link.up && link.parent != parent)
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {} (master)", self.master)?;
        for (pod, link) in &self.links {
            if let Some(link) = link {
                write!(
                    f,
                    "\n  {pod} <- {}{}",
                    link.parent,
                    if link.up { "" } else { " (down)" }
                )?;
            }
        }
        Ok(())
    }
}
