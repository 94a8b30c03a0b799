//! Configuration and the application's login of running servers. Never a change of role.
//!
//! A value is tried on one server of a tier before all get it; what Redis refuses stays out of the tier's file as well.

use std::collections::{BTreeMap, BTreeSet};

use super::view::{View, target};
use crate::build::conf;
use crate::model::observed::{AppSecret, Member, Refusal};
use crate::model::plan::Step;
use crate::model::redis::Facts;

/// What the settings decisions came to.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// Steps, in order.
    pub steps: Vec<Step>,
    /// What each tier's own directives came to.
    tiers: BTreeMap<String, OfTier>,
}

/// What the directives of one tier came to.
#[derive(Debug, Default)]
struct OfTier {
    unknown: Vec<String>,
    refused: Vec<(String, String)>,
    restart: Vec<String>,
}

impl Settings {
    /// Whether the configuration of a tier may be written into the file that new processes read.
    pub fn acceptable(&self, tier: &str) -> bool {
        let of_tier = self.tiers.get(tier);
        of_tier.is_none_or(|t| t.unknown.is_empty() && t.refused.is_empty())
    }

    /// Whether a tier has directives that only a restart changes.
    pub fn needs_restart(&self, tier: &str) -> bool {
        self.tiers.get(tier).is_some_and(|t| !t.restart.is_empty())
    }

    /// Directives no server knows.
    pub fn unknown(&self) -> BTreeSet<&str> {
        self.tiers
            .values()
            .flat_map(|t| &t.unknown)
            .map(String::as_str)
            .collect()
    }

    /// Values that were refused, with Redis's words.
    pub fn refused(&self) -> BTreeSet<&(String, String)> {
        self.tiers.values().flat_map(|t| &t.refused).collect()
    }

    /// Directives that only a restart changes.
    pub fn restart(&self) -> BTreeSet<&str> {
        self.tiers
            .values()
            .flat_map(|t| &t.restart)
            .map(String::as_str)
            .collect()
    }
}

/// A server that answers, and what it said.
type Answering<'a> = (&'a Member, &'a Facts);

pub(super) fn decide(view: &View) -> Settings {
    let running = |m: &&Member| m.pod.as_ref().is_some_and(|p| !p.deleting);
    let members = view.observed.members.iter().filter(running);
    let answering: Vec<Answering> = members
        .filter_map(|m| m.facts().filter(|f| f.loading.is_none()).map(|f| (m, f)))
        .collect();
    let mut out = Settings::default();
    let logins = answering
        .iter()
        .filter_map(|(member, facts)| login(view, member, facts));
    out.steps.extend(logins);
    for tier in view.cluster.tiers() {
        // A spec that cannot be rendered is reported where the file is written.
        let wanted = conf::live_values(view.cluster, tier).unwrap_or_default();
        let of_tier: Vec<_> = answering.iter().filter(|(m, _)| m.tier == tier.name).copied().collect();
        let found = classify(view, &wanted, &answering, &of_tier);
        out.tiers.insert(tier.name.to_owned(), found);
        let drifted: Vec<_> = of_tier
            .iter()
            .filter_map(|(m, f)| differing(view, m, f, &wanted))
            .collect();
        // One server tries what is new; the others follow when it was taken.
        let tried = of_tier.len() <= 1 || drifted.len() < of_tier.len();
        let now = drifted.into_iter().take(if tried { usize::MAX } else { 1 });
        out.steps.extend(now);
    }
    out
}

/// What became of a tier's directives. Every server is asked for those of all tiers, and each knows what the others know.
fn classify(view: &View, wanted: &BTreeMap<String, String>, answering: &[Answering], of_tier: &[Answering]) -> OfTier {
    let mut out = OfTier::default();
    for (key, value) in wanted {
        let mut shown = of_tier.iter().filter_map(|(_, f)| f.managed.get(key));
        let mut differs = || shown.any(|current| current.as_ref().is_some_and(|c| !same_value(key, value, c)));
        match view.observed.refused.get(&(key.clone(), value.clone())) {
            Some(Refusal::Refused(words)) => out.refused.push((key.clone(), words.clone())),
            Some(Refusal::Immutable) if differs() => out.restart.push(key.clone()),
            Some(Refusal::Immutable | Refusal::Shown(_)) | None => {}
        }
        if answering
            .iter()
            .filter_map(|(_, f)| f.managed.get(key))
            .any(Option::is_none)
        {
            out.unknown.push(key.clone());
        }
    }
    out
}

fn differing(view: &View, member: &Member, facts: &Facts, wanted: &BTreeMap<String, String>) -> Option<Step> {
    let values: BTreeMap<String, String> = wanted
        .iter()
        .filter(|(key, value)| {
            let Some(Some(current)) = facts.managed.get(*key) else {
                return false;
            };
            match view.observed.refused.get(&((*key).clone(), (*value).clone())) {
                Some(Refusal::Immutable | Refusal::Refused(_)) => false,
                Some(Refusal::Shown(shown)) => shown != current && !same_value(key, value, current),
                None => !same_value(key, value, current),
            }
        })
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if values.is_empty() {
        return None;
    }
    target(member).map(|to| Step::Configure { to, values })
}

fn login(view: &View, member: &Member, facts: &Facts) -> Option<Step> {
    let AppSecret::Present { sha256 } = &view.observed.app else {
        return None;
    };
    let right = facts
        .app
        .as_ref()
        .is_some_and(|user| user.enabled && user.hashes.iter().eq([sha256]));
    if right {
        None
    } else {
        target(member).map(|to| Step::Login {
            to,
            sha256: sha256.clone(),
        })
    }
}

/// Whether Redis shows a value in another spelling: memory units, case, or a part of a list that has defaults.
fn same_value(key: &str, wanted: &str, shown: &str) -> bool {
    let tokens = |text: &str| text.split_whitespace().map(canonical).collect::<Vec<_>>();
    let (wanted, shown) = (tokens(wanted), tokens(shown));
    wanted == shown
        || (key == "client-output-buffer-limit" && shown.windows(wanted.len().max(1)).any(|part| part == wanted))
}

/// Lower case, bytes for sizes, and Redis's old word for a replica.
fn canonical(token: &str) -> String {
    let token = token.trim_matches('"').to_ascii_lowercase();
    match bytes(&token) {
        _ if token == "slave" => "replica".into(),
        Some(bytes) => bytes.to_string(),
        None => token,
    }
}

/// A size as redis.conf has it: a number and b, k, kb, m, mb, g or gb.
pub(super) fn bytes(token: &str) -> Option<u64> {
    let token = token.to_ascii_lowercase();
    let digits = token.bytes().take_while(u8::is_ascii_digit).count();
    let factor: u64 = match &token[digits..] {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    token[..digits].parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_spelling_is_no_drift() {
        for (key, wanted, shown) in [
            ("maxmemory", "768mb", "805306368"),
            ("maxmemory-policy", "AllKeys-LRU", "allkeys-lru"),
            ("save", "", ""),
            (
                "client-output-buffer-limit",
                "replica 1gb 512mb 120",
                "normal 0 0 0 slave 1073741824 536870912 120 pubsub 1 1 1",
            ),
        ] {
            assert!(same_value(key, wanted, shown), "{key}");
        }
        for (key, wanted, shown) in [
            ("maxmemory", "768mb", "805306369"),
            ("save", "", "3600 1"),
            (
                "client-output-buffer-limit",
                "replica 1gb 512mb 120",
                "normal 0 0 0 slave 268435456 67108864 60 pubsub 1 1 1",
            ),
        ] {
            assert!(!same_value(key, wanted, shown), "{key}");
        }
    }
}
