//! What must hold of the workloads, as pure functions over what they did and what is there in the end.
//!
//! `loss` says whether acknowledged operations may be lost that nobody confirmed: then only those accusations are left
//! that hold all the same.

use std::collections::BTreeSet;

use super::Ending;
use crate::checkers::Findings;
use crate::history::{Did, End, Operation};

/// All of them.
pub fn all(done: &[Operation], ending: &Ending, loss: bool) -> Findings {
    let mut findings = list(done, ending, loss);
    findings.extend(counter(done, ending, loss));
    findings.extend(register(done, ending, loss));
    findings.extend(queue(done, ending, loss));
    findings.extend(expiry(done, ending, loss));
    findings
}

/// Appended elements stand in the order in which they were appended, each once, and all that were acknowledged. One
/// without an answer may have arrived at any time after it was sent.
pub fn list(done: &[Operation], ending: &Ending, loss: bool) -> Findings {
    let mut findings = Findings::new();
    let (possible, acknowledged) = elements(done, |did| match did {
        Did::Append(element) => Some(*element),
        _ => None,
    });
    let answered: Vec<_> = ending.list.iter().filter(|e| acknowledged.contains(e)).collect();
    if let Some(pair) = answered.windows(2).find(|pair| pair[0] > pair[1]) {
        findings.push(format!("the list has {} before {}", pair[0], pair[1]));
    }
    let there: BTreeSet<_> = ending.list.iter().copied().collect();
    if there.len() < ending.list.len() {
        findings.push(format!(
            "the list has {} elements more than once",
            ending.list.len() - there.len()
        ));
    }
    findings.extend(first(&there - &possible, "are in the list and were never appended"));
    if !loss {
        findings.extend(first(&acknowledged - &there, "were appended and are not in the list"));
    }
    findings
}

/// The counter is what was counted: no less than was acknowledged, no more than was tried.
pub fn counter(done: &[Operation], ending: &Ending, loss: bool) -> Findings {
    let counted = |end: &dyn Fn(&End) -> bool| {
        let counts = done.iter().filter(|o| matches!(o.did, Did::Count(_)) && end(&o.end));
        counts.count() as u64
    };
    let (least, most) = (
        counted(&|end| *end == End::Ok),
        counted(&|end| !matches!(end, End::Fail(_))),
    );
    let mut findings = Findings::new();
    if ending.counter > most {
        findings.push(format!("the counter is {} after {most} attempts", ending.counter));
    }
    if !loss && ending.counter < least {
        findings.push(format!(
            "the counter is {} after {least} acknowledged counts",
            ending.counter
        ));
    }
    let values: Vec<_> = done
        .iter()
        .filter_map(|operation| match operation.did {
            Did::Count(value) => value,
            _ => None,
        })
        .collect();
    if !loss && let Some(pair) = values.windows(2).find(|pair| pair[0] >= pair[1]) {
        findings.push(format!("the counter went from {} to {}", pair[0], pair[1]));
    }
    findings
}

/// No value was swapped for two others: by two confirmed swaps never, by two acknowledged ones only if one may be lost.
pub fn register(done: &[Operation], ending: &Ending, loss: bool) -> Findings {
    let mut findings = Findings::new();
    let (mut from, mut written) = (BTreeSet::new(), BTreeSet::from([0]));
    for operation in done.iter().filter(|operation| !matches!(operation.end, End::Fail(_))) {
        let Did::Swap { from: old, to } = operation.did else {
            continue;
        };
        written.insert(to);
        let counts = operation.end == End::Ok && (operation.confirmed || !loss);
        if counts && !from.insert(old) {
            findings.push(format!(
                "the register was swapped twice from {old}, the second time for {to}"
            ));
        }
    }
    if !written.contains(&ending.register) {
        findings.push(format!("the register is {}, which nobody wrote", ending.register));
    }
    if from.contains(&ending.register) {
        findings.push(format!("the register is {} again, which was swapped", ending.register));
    }
    findings
}

/// No element is taken twice, and each is taken or still in the queue.
pub fn queue(done: &[Operation], ending: &Ending, loss: bool) -> Findings {
    let (possible, acknowledged) = elements(done, |did| match did {
        Did::Enqueue(element) => Some(*element),
        _ => None,
    });
    let mut findings = Findings::new();
    let mut out: BTreeSet<u64> = BTreeSet::new();
    let taken = done.iter().filter_map(|operation| match operation.did {
        Did::Take(element) => element,
        _ => None,
    });
    for element in taken.chain(ending.queue.iter().copied()) {
        if !out.insert(element) && !loss {
            findings.push(format!("{element} left the queue twice"));
        }
    }
    findings.extend(first(&out - &possible, "were taken and never put into the queue"));
    // A take without an answer may have taken one.
    let unknown = done
        .iter()
        .filter(|operation| operation.did == Did::Take(None) && matches!(operation.end, End::Unknown(_)))
        .count();
    let missing = &acknowledged - &out;
    if !loss && missing.len() > unknown {
        findings.push(format!(
            "{} elements left the queue, and at most {unknown} to somebody unknown",
            missing.len()
        ));
    }
    findings
}

/// What was to live short is gone, what was to live long is there, and nothing lives longer than it was to.
pub fn expiry(done: &[Operation], ending: &Ending, loss: bool) -> Findings {
    let set = |numbers: &[u64]| numbers.iter().copied().collect::<BTreeSet<_>>();
    let mut findings = Findings::new();
    findings.extend(first(set(&ending.soon), "are there after their time"));
    findings.extend(first(set(&ending.immortal), "live longer than they were to"));
    let (_, acknowledged) = elements(done, |did| match did {
        Did::SetLate(number) => Some(*number),
        _ => None,
    });
    if !loss {
        findings.extend(first(&acknowledged - &set(&ending.late), "are gone before their time"));
    }
    findings
}

/// Those that may be there, and those that were acknowledged.
fn elements(done: &[Operation], of: impl Fn(&Did) -> Option<u64>) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let (mut possible, mut acknowledged) = (BTreeSet::new(), BTreeSet::new());
    for operation in done {
        let Some(element) = of(&operation.did) else { continue };
        match operation.end {
            End::Ok => acknowledged.insert(element),
            End::Unknown(_) => true,
            End::Fail(_) => continue,
        };
        possible.insert(element);
    }
    (possible, acknowledged)
}

fn first(strange: BTreeSet<u64>, what: &str) -> Option<String> {
    let first = strange.first()?;
    Some(format!("{} {what}, the first is {first}", strange.len()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::history::{Span, Stamp};

    fn op(did: Did, end: End) -> Operation {
        let at = Stamp(Duration::ZERO);
        Operation {
            did,
            span: Span { begun: at, ended: at },
            end,
            confirmed: false,
        }
    }

    fn ok(did: Did) -> Operation {
        op(did, End::Ok)
    }

    fn unknown(did: Did) -> Operation {
        op(did, End::Unknown("reset".into()))
    }

    fn failed(did: Did) -> Operation {
        op(did, End::Fail("READONLY".into()))
    }

    #[test]
    fn a_list_out_of_order_or_with_a_hole_is_found() {
        let done = [
            ok(Did::Append(1)),
            unknown(Did::Append(2)),
            ok(Did::Append(3)),
            failed(Did::Append(4)),
        ];
        let with = |list: &[u64], loss| {
            let ending = Ending {
                list: list.to_vec(),
                ..Ending::default()
            };
            super::list(&done, &ending, loss).len()
        };
        assert_eq!(
            [with(&[1, 3], false), with(&[1, 2, 3], false), with(&[1], true)],
            [0, 0, 0]
        );
        assert_eq!(
            [with(&[1], false), with(&[3, 1], true), with(&[1, 1, 3], true)],
            [1, 1, 1]
        );
        assert_eq!([with(&[1, 3, 4], true), with(&[1, 3, 9], false)], [1, 1]);
    }

    #[test]
    fn a_counter_that_lost_or_invented_something_is_found() {
        let done = [
            ok(Did::Count(Some(1))),
            unknown(Did::Count(None)),
            failed(Did::Count(None)),
        ];
        let with = |counter, loss| {
            let ending = Ending {
                counter,
                ..Ending::default()
            };
            super::counter(&done, &ending, loss).len()
        };
        assert_eq!([with(1, false), with(2, false), with(0, true)], [0, 0, 0]);
        assert_eq!([with(0, false), with(3, true)], [1, 1]);
        let back = [ok(Did::Count(Some(5))), ok(Did::Count(Some(4)))];
        let ending = Ending {
            counter: 2,
            ..Ending::default()
        };
        assert_eq!(super::counter(&back, &ending, false).len(), 1);
        assert!(super::counter(&back, &ending, true).is_empty());
    }

    #[test]
    fn a_lost_update_is_found_and_a_confirmed_one_also_where_losses_are_allowed() {
        let swap = |from, to| ok(Did::Swap { from, to });
        let ending = |register| Ending {
            register,
            ..Ending::default()
        };
        let fine = [swap(0, 1), swap(1, 2), unknown(Did::Swap { from: 2, to: 3 })];
        assert!(register(&fine, &ending(2), false).is_empty());
        assert!(register(&fine, &ending(3), false).is_empty());
        assert_eq!(register(&fine, &ending(1), false).len(), 1);
        assert_eq!(register(&fine, &ending(9), true).len(), 1);
        let mut twice = [swap(0, 1), swap(0, 2)];
        assert_eq!(register(&twice, &ending(2), false).len(), 1);
        assert!(register(&twice, &ending(2), true).is_empty());
        for operation in &mut twice {
            operation.confirmed = true;
        }
        assert_eq!(register(&twice, &ending(2), true).len(), 1);
        assert_eq!(register(&twice[..1], &ending(0), true).len(), 1);
    }

    #[test]
    fn an_element_that_was_taken_twice_or_vanished_is_found() {
        let ending = |queue: &[u64]| Ending {
            queue: queue.to_vec(),
            ..Ending::default()
        };
        let done = [ok(Did::Enqueue(1)), ok(Did::Enqueue(2)), ok(Did::Take(Some(1)))];
        assert!(queue(&done, &ending(&[2]), false).is_empty());
        assert_eq!(queue(&done, &ending(&[]), false).len(), 1);
        assert_eq!(queue(&done, &ending(&[1, 2]), false).len(), 1);
        assert!(queue(&done, &ending(&[1, 2]), true).is_empty());
        assert_eq!(queue(&done, &ending(&[2, 7]), true).len(), 1);
        let lost = [ok(Did::Enqueue(1)), unknown(Did::Take(None))];
        assert!(queue(&lost, &ending(&[]), false).is_empty());
    }

    #[test]
    fn a_key_that_outlives_its_time_or_goes_before_it_is_found() {
        let done = [ok(Did::SetSoon(1)), ok(Did::SetLate(2))];
        let fine = Ending {
            late: vec![2],
            ..Ending::default()
        };
        assert!(expiry(&done, &fine, false).is_empty());
        let risen = Ending {
            soon: vec![1],
            ..fine.clone()
        };
        assert_eq!(expiry(&done, &risen, true).len(), 1);
        assert_eq!(expiry(&done, &Ending::default(), false).len(), 1);
        assert!(expiry(&done, &Ending::default(), true).is_empty());
        let immortal = Ending {
            immortal: vec![2],
            ..fine
        };
        assert_eq!(expiry(&done, &immortal, true).len(), 1);
    }
}
