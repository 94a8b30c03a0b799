//! What must hold after every step, judged by what is true in the world and not by what was seen.
//!
//! The letters are those of the list of invariants: S1 one writer, S2 monotone authority, S4 no empty promotion, S5 no
//! reverse wipe, S8 one operation recorded before its first effect, S11 paused stays paused.

mod steps;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

pub use self::steps::step;
use super::world::redis::{Link, Redis, Role};
use super::world::{GHOSTS, Pod, World};
use crate::api::{ConditionType, Reason};
use crate::model::plan::{Plan, Step};

/// A plan as a whole.
pub fn plan(world: &World, plan: &Plan) {
    let nothing = world.cluster.spec.paused || world.deleting;
    assert!(
        !nothing || plan.steps.is_empty(),
        "S11: steps for a set at which nothing is to be done: {:?}",
        plan.steps
    );
    let records = plan.steps.iter().filter(|s| matches!(s, Step::Record { .. })).count();
    assert!(records <= 1, "more than one compare-and-set in a round");
    if let Some(status) = &plan.status {
        assert_eq!(status.master, None, "an observation names an authority field");
        conditions(&status.conditions);
    }
}

/// The role steps of one pass: none is done twice.
pub fn pass(steps: &[Step]) {
    // A drain, a catching up and a coming along look for a while, and may look again.
    let looks = |step: &&Step| matches!(step, Step::Drain { .. } | Step::CatchUp { .. } | Step::ComeAlong { .. });
    let steps: Vec<_> = steps.iter().filter(|s| !looks(s)).collect();
    for (at, step) in steps.iter().enumerate() {
        assert!(!steps[..at].contains(step), "S18: twice in one pass: {step:?}");
    }
}

/// Every type once and in order, reasons from the closed list, and never Reconciling together with Stalled.
fn conditions(list: &[Condition]) {
    let types = list.iter().map(|c| c.type_.as_str());
    assert!(
        types.eq(ConditionType::ALL.iter().map(|t| t.as_str())),
        "conditions: {list:?}"
    );
    for condition in list {
        let known = Reason::ALL.iter().any(|r| r.as_str() == condition.reason);
        assert!(known, "{} is no reason", condition.reason);
        assert!(
            !condition.message.is_empty() && !condition.message.contains('\n'),
            "{condition:?}"
        );
    }
    let is = |kind: &str| list.iter().any(|c| c.type_ == kind && c.status == "True");
    assert!(
        !(is("Reconciling") && is("Stalled")),
        "Reconciling and Stalled are both True"
    );
}

/// What must hold at every moment.
pub fn state(world: &World) {
    let status = &world.status;
    let named = |pod: &Pod| status.master.as_ref().is_some_and(|m| m.uid == pod.uid);
    let armed = || world.processes().filter(|(.., redis)| redis.is_armed());
    // A master without a minimum takes writes for as long as it lives: who deletes its pod by force says that it does not.
    // So does who names another by force, until the old one was reached.
    let vouched = |at: usize, pod: &Pod, redis: &Redis| at >= GHOSTS && redis.min == 0 || world.is_disowned(at, pod);
    let writers: Vec<_> = armed()
        .filter(|(at, pod, redis)| world.takes_writes(*at) && !vouched(*at, pod, redis))
        .collect();
    assert!(
        writers.len() <= 1,
        "S1: processes take writes: {:?}",
        writers.iter().map(|w| w.0).collect::<Vec<_>>()
    );
    for (ordinal, pod, _) in armed().filter(|(at, pod, _)| !named(pod) && *at < GHOSTS) {
        let pending = status.pending_fences.iter().any(|f| f.uid == pod.uid);
        assert!(
            pending,
            "S1: s-{ordinal} is armed, but status neither names it nor is to fence it"
        );
    }
    for (_, _, redis) in armed().filter(|(_, pod, _)| named(pod)) {
        let lost: Vec<_> = world.confirmed.iter().filter(|w| !redis.data.contains(w)).collect();
        assert!(
            lost.is_empty(),
            "S9: confirmed writes {lost:?} are missing on the master"
        );
        let recorded = status.quorum.map_or(0, |q| q.min_replicas_to_write);
        assert!(
            redis.min as i32 >= recorded,
            "min is {} on the master, status says {recorded}",
            redis.min
        );
    }
    for (parent, host, redis) in armed().filter(|(_, pod, _)| named(pod)) {
        for child in redis.heard.keys() {
            let follows = |r: &Redis| matches!(&r.role, Role::Follows { ip, link: Link::Up(_) } if *ip == host.ip);
            let process = world.processes().find(|(_, pod, r)| pod.uid == *child && follows(r));
            assert!(
                process.is_none() || status.electors.iter().any(|e| e.uid == *child),
                "{child} acknowledges to s-{parent} and is no elector: {:?}",
                status.electors
            );
        }
    }
    let above = |at: usize| match &world.redis(at)?.role {
        Role::Follows { ip, .. } => world.at(ip),
        Role::Master | Role::Fenced => None,
    };
    for (start, ..) in world.processes() {
        let way: Vec<_> = std::iter::successors(Some(start), |at| above(*at))
            .take(GHOSTS)
            .collect();
        assert!(way.len() < GHOSTS, "s-{start} hangs on itself: {way:?}");
    }
    // A switchover's target follows the old master until it is promoted.
    let syncs = world
        .master()
        .and_then(|o| world.redis(o)?.link())
        .is_some_and(|link| matches!(link, Link::Syncing(_)));
    assert!(!syncs, "the recorded master's volume receives a resync");
}
