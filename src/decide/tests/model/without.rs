//! Each rule is left out once: then the search finds what it is for.

use std::collections::BTreeSet;

use stateright::HasDiscoveries;

use super::search::{NONE, search, setting};
use super::state::Left;
use super::{At, Lapse, Setting};
use crate::decide::rules::Rule;

const ONE_WRITER: &str = "S1 one writer";
const NAMED: &str = "S1 who is armed is named or to be fenced";
const NO_LOSS: &str = "S9 no confirmed write is lost";
const STEPS: &str = "S2 S4 S5 S8 of steps";

/// Without a write, for what is about who takes writes.
const IDLE: Left = Left { writes: 0, ..NONE };

struct Case {
    rule: Rule,
    at: At,
    left: Left,
    pods: u8,
    /// What breaks, and after how many events and steps at most.
    breaks: (&'static str, usize),
}

const fn case(rule: Rule, dies: &'static [u8], cut: &'static [u8], left: Left, breaks: (&'static str, usize)) -> Case {
    Case {
        rule,
        at: At { dies, cut },
        left,
        pods: 3,
        breaks,
    }
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    case(Rule::AllButK, &[0, 1], &[], Left { crashes: 2, ..NONE }, (NO_LOSS, 11)),
    case(Rule::VoteIsADetach, &[], &[0], Left { cuts: 1, ..NONE }, (NO_LOSS, 14)),
    case(Rule::NothingSinceItEntered, &[0, 1], &[], Left { crashes: 2, ..NONE }, (NO_LOSS, 20)),
    case(Rule::NobodyBelowTheLargest, &[0], &[], Left { crashes: 1, ..NONE }, (NO_LOSS, 12)),
    case(Rule::UnknownIsNoPosition, &[0, 1], &[], Left { crashes: 2, ..NONE }, (NO_LOSS, 11)),
    case(Rule::KIsState, &[0], &[1], Left { scale: Some(4), crashes: 1, cuts: 1, ..NONE }, (NO_LOSS, 11)),
    case(Rule::KRisesLast, &[0], &[1], Left { scale: Some(4), crashes: 1, cuts: 1, ..NONE }, (NO_LOSS, 13)),
    case(Rule::MinFallsByProof, &[], &[1, 2], Left { mutes: 2, ..IDLE }, (STEPS, 6)),
    case(Rule::LinksVetoDeath, &[], &[0], Left { resets: 1, ..IDLE }, (NAMED, 7)),
    case(Rule::SilenceIsNoProof, &[], &[0], Left { cuts: 1, ..IDLE }, (ONE_WRITER, 9)),
    case(Rule::ConnectedIsAlive, &[0], &[1], Left { resets: 1, crashes: 1, ..NONE }, (NO_LOSS, 12)),
    case(Rule::ReplicasAgree, &[], &[0], Left { mutes: 1, ..IDLE }, (STEPS, 5)),
    case(Rule::FenceWait, &[], &[0], Left { cuts: 1, ..IDLE }, (ONE_WRITER, 10)),
    case(Rule::FencesAreRemembered, &[], &[0], Left { cuts: 1, ..IDLE }, (NAMED, 10)),
    case(Rule::VotesBeforeTheFile, &[0], &[], Left { writes: 2, tails: 1, ..NONE }, (NO_LOSS, 14)),
    case(Rule::NoFileBesideAReplica, &[2], &[0], Left { mutes: 1, forced: 1, crashes: 1, ..NONE }, (NO_LOSS, 13)),
    case(Rule::NobodyEmpty, &[0, 1, 2], &[], Left { tails: 1, crashes: 2, ..NONE }, (STEPS, 9)),
    case(Rule::EnterFirst, &[0, 1], &[], Left { crashes: 2, ..NONE }, (NO_LOSS, 14)),
    case(Rule::OthersHoldEverything, &[0, 1], &[], Left { crashes: 2, ..NONE }, (NO_LOSS, 11)),
    case(Rule::LockOutFirst, &[0], &[1], Left { mutes: 1, volumes: 1, crashes: 1, ..NONE }, (NO_LOSS, 12)),
    case(Rule::DemoteFirst, &[0], &[], Left { deletes: 1, ..NONE }, (NO_LOSS, 10)),
    case(Rule::TargetHoldsEverything, &[0], &[], Left { deletes: 1, ..NONE }, (NO_LOSS, 11)),
    case(Rule::ResyncIsNoPosition, &[1], &[0], Left { writes: 2, crashes: 1, cuts: 1, ..NONE }, (NO_LOSS, 25)),
    case(Rule::LineageOfTheLastByte, &[1], &[0], Left { writes: 2, crashes: 1, cuts: 1, ..NONE }, (NO_LOSS, 24)),
    case(Rule::MinIsState, &[1, 2], &[0], Left { crashes: 2, cuts: 1, ..IDLE }, (ONE_WRITER, 19)),
];

/// The searches that take long.
#[rustfmt::skip]
const LONG: &[Case] = &[
    case(Rule::TheOldEndsFirst, &[1, 2], &[0, 1], Left { mutes: 1, forced: 1, lonely: 1, crashes: 2, ..IDLE }, (ONE_WRITER, 20)),
    case(Rule::LearnersDoNotVote, &[0, 1, 2], &[], Left { crashes: 3, dumps: 1, ..NONE }, (NO_LOSS, 14)),
    Case { pods: 4, ..case(Rule::OneWriter, &[2, 3], &[0, 1], Left { crashes: 2, cuts: 2, ..IDLE }, (ONE_WRITER, 24)) },
];

fn breaks(what: &str, setting: &Setting, (property, most): (&'static str, usize)) {
    let found = search(setting, HasDiscoveries::AnyOf(BTreeSet::from([property])));
    let Some(trace) = found.broken.get(property) else {
        panic!(
            "without {what} {property:?} holds in {} states; reached {:?}",
            found.states, found.reached
        )
    };
    let story = trace.join("\n  ");
    println!(
        "without {what}: {} states, {} steps\n  {story}",
        found.states,
        trace.len()
    );
    assert!(
        trace.len() <= most,
        "{} steps without {what}, {most} were enough:\n  {story}",
        trace.len()
    );
}

fn without(case: &Case) {
    let setting = Setting {
        at: case.at,
        rule: Some(case.rule),
        ..setting(case.pods, case.left)
    };
    breaks(&format!("{:?}", case.rule), &setting, case.breaks);
}

#[test]
fn without_any_rule_what_it_is_for_breaks() {
    CASES.iter().for_each(without);
}

#[test]
#[ignore = "takes long: make model"]
fn without_any_rule_what_it_is_for_breaks_after_longer_searches() {
    LONG.iter().for_each(without);
}

#[test]
fn without_compare_and_set_a_late_record_of_an_operator_before_undoes_a_failover() {
    let left = Left {
        leases: 1,
        cuts: 1,
        ..NONE
    };
    let at = At { dies: &[], cut: &[0] };
    let setting = Setting {
        lapse: Some(Lapse::RecordsAnyway),
        at,
        ..setting(3, left)
    };
    breaks("compare-and-set", &setting, (STEPS, 14));
}

/// Known and open: docs/decisions/failover.md.
#[test]
#[ignore = "takes long: make model"]
fn a_living_master_deleted_by_force_with_a_replica_out_of_sight_still_loses_a_confirmed_write() {
    let left = Left {
        mutes: 2,
        forced: 1,
        crashes: 1,
        ..NONE
    };
    let at = At {
        dies: &[1],
        cut: &[0, 2],
    };
    breaks("an answer to that", &Setting { at, ..setting(3, left) }, (NO_LOSS, 20));
}
