//! What the decisions look at: one set as seen, with the questions that several of them ask.
//!
//! Answers only; no step is made here.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::rules::{self, Rule};
use crate::api::status::{Elector, Identity};
use crate::model::cluster::{Cluster, Tier};
use crate::model::observed::{Live, Member, ObjectId, Observed};
use crate::model::plan::{Authority, Target};
use crate::model::redis::{Engine, Facts, ProbeError, RoleState, Seen};
use crate::names;

/// One set as seen now.
pub(super) struct View<'a> {
    pub cluster: &'a Cluster,
    pub observed: &'a Observed,
    pub now: Timestamp,
    /// The authority fields as they are.
    pub authority: Authority,
}

impl<'a> View<'a> {
    pub fn new(cluster: &'a Cluster, observed: &'a Observed, now: Timestamp) -> Self {
        Self {
            cluster,
            observed,
            now,
            authority: Authority::from(&observed.status),
        }
    }

    /// Whether anything may be changed at all.
    pub fn may_act(&self) -> bool {
        !self.cluster.spec.paused && !self.observed.deleting
    }

    /// Whether a running pod has not answered its first question yet: for at most the second that a connection may take.
    /// What is not known then is neither shown as lost nor taken back.
    pub fn settling(&self) -> bool {
        let asked_soon = |m: &Member| {
            let running = m
                .pod
                .as_ref()
                .is_some_and(|p| p.ip.is_some() && p.started.is_some() && !p.deleting);
            running
                && matches!(
                    &m.redis,
                    Seen::Unknown {
                        error: ProbeError::NotAsked,
                        ..
                    }
                )
        };
        self.observed.internal.credentials().is_some() && self.observed.members.iter().any(asked_soon)
    }

    /// Pods of the core tier that spec asks for, the master included.
    pub fn pods(&self) -> usize {
        self.cluster.pods() as usize
    }

    /// The member that holds the recorded master's data.
    pub fn master(&self) -> Option<&'a Member> {
        self.observed.recorded_master()
    }

    /// The recorded master, if the recorded process itself answers and takes writes or could at once.
    pub fn serving(&self) -> Option<(&'a Member, &'a Facts, i32)> {
        let member = self.master()?;
        let facts = member.facts()?;
        let same = member.uid() == self.authority.master.as_ref().map(|m| m.uid.as_str());
        match facts.state() {
            RoleState::Armed { min } if same => Some((member, facts, i32::try_from(min).unwrap_or(i32::MAX))),
            _ => None,
        }
    }

    /// Members of the core: those who may be master, and with it the only ones that replicate from the master itself, vote and
    /// confirm writes.
    pub fn core(&self) -> impl Iterator<Item = &'a Member> {
        self.observed.members.iter().filter(|m| m.is_core())
    }

    /// Members of the core other than the one that holds the recorded master's data.
    pub fn others(&self) -> impl Iterator<Item = &'a Member> {
        self.replicas().filter(|m| m.is_core())
    }

    /// Members of every tier other than the one that holds the recorded master's data.
    pub fn replicas(&self) -> impl Iterator<Item = &'a Member> {
        let master = self.master();
        let members = self.observed.members.iter();
        members.filter(move |m| master.is_none_or(|master| !master.is(m)))
    }

    /// Whether a pod of this name would be of the core, whether or not there is one.
    pub fn is_core_name(&self, pod: &str) -> bool {
        names::ordinal(&names::stateful_set(&self.cluster.name, names::CORE_TIER), pod).is_some()
    }

    /// Whether a member is the one that holds the recorded master's data.
    pub fn is_master(&self, member: &Member) -> bool {
        self.master().is_some_and(|master| master.is(member))
    }

    /// Whether spec still wants this member.
    pub fn wanted(&self, member: &Member) -> bool {
        let mut tiers = self.cluster.tiers();
        tiers.any(|tier| tier.name == member.tier && (member.ordinal as usize) < self.stateful_set_goal(tier))
    }

    /// Number of pods of a tier that spec leads to: scale-in stops above the master's own ordinal.
    pub fn stateful_set_goal(&self, tier: Tier<'_>) -> usize {
        let master = self.master().filter(|m| m.tier == tier.name);
        let floor = master.map_or(0, |m| m.ordinal as usize + 1);
        (tier.pods as usize).max(floor)
    }

    /// The elector entry of a member, by process and data.
    pub fn elector(&self, identity: &Identity) -> Option<&Elector> {
        self.authority
            .electors
            .iter()
            .find(|e| e.uid == identity.uid && e.volume == identity.volume)
    }

    /// Whether the child replicates from the parent with a link the operator gave it.
    pub fn attached(&self, child: &Facts, parent: &Member, parent_facts: &Facts, name: &str) -> bool {
        let Some(ip) = parent.pod.as_ref().and_then(|p| p.ip.as_deref()) else {
            return false;
        };
        matches!(child.state(), RoleState::Attached { host } if host == ip)
            && parent_facts.link_users.contains(&names::link_user(name))
    }

    /// Whether the replica was seen to hold everything the master had at a moment after its attach. Both are read anew
    /// after an attach, so a look at the replica that is younger than the one at the master suffices.
    pub fn holds_everything(&self, child: &Member, master: &Facts) -> bool {
        let Some(facts) = child.facts() else { return false };
        super::sync::linked(facts)
            && facts.replid == master.replid
            && facts.asked_at >= master.answered_at
            && facts.offset >= master.offset
    }

    /// Whether a person took this pod out of service.
    pub fn is_fenced(&self, pod: &str) -> bool {
        self.authority.fenced.iter().any(|f| f.name == pod)
    }

    /// A live object of ours.
    pub fn ours(&self, kind: &'static str, name: &str) -> Option<&'a serde_json::Value> {
        match self.observed.objects.get(&ObjectId {
            kind,
            name: name.to_owned(),
        })? {
            Live::Ours(body) => Some(body),
            Live::Foreign { .. } | Live::Unread => None,
        }
    }

    /// The k of `WAIT k` in force.
    pub fn wait(&self) -> usize {
        if !rules::holds(Rule::KIsState) {
            return self.pods() / 2;
        }
        self.authority
            .quorum
            .map_or(0, |q| usize::try_from(q.wait).unwrap_or(0))
    }

    /// Silence after which a master counts as unreachable.
    pub fn down_after(&self) -> SignedDuration {
        let period: std::time::Duration = self.cluster.spec.failover.down_after.into();
        SignedDuration::try_from(period).unwrap_or(SignedDuration::MAX)
    }

    /// Time since a moment; negative spans count as none.
    pub fn since(&self, then: Timestamp) -> SignedDuration {
        self.now.duration_since(then).max(SignedDuration::ZERO)
    }
}

/// Where commands for a member go, if it answers.
pub(super) fn target(member: &Member) -> Option<Target> {
    let pod = member.pod.as_ref()?;
    Some(Target {
        name: member.name.clone(),
        uid: pod.uid.clone(),
        run_id: member.facts()?.run_id.clone(),
        ip: pod.ip.clone()?,
    })
}

/// Whether the server is one that the operator knows how to lead: Redis from 7.0, Valkey from 7.2.
pub(super) fn supported(facts: &Facts) -> bool {
    let version = (facts.version.major, facts.version.minor);
    match facts.engine {
        Engine::Redis => version >= (7, 0),
        Engine::Valkey => version >= (7, 2),
    }
}
