//! What must hold of a history, whatever faults are in it. Pure functions; each says what it found, or nothing.
//!
//! A checker never cries wolf: readings overlap and answers are late, so each accuses only where no order of the
//! recorded events is innocent.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Authority, End, Probe, Readers, Span, Write};

/// What was found, one sentence each.
pub type Findings = Vec<String>;

/// No two pods take writes at the same time.
///
/// A pod that took two writes with no refusal between them was writable all the time between the first's answer and
/// the second's request; any write that another pod began and ended in that time makes two writers.
pub fn single_writer(probes: &[Probe]) -> Findings {
    let mut of_pod: BTreeMap<&str, Vec<&Probe>> = BTreeMap::new();
    for probe in probes {
        of_pod.entry(&probe.pod).or_default().push(probe);
    }
    let mut findings = Findings::new();
    for (pod, own) in &of_pod {
        let others: Vec<&Probe> = probes.iter().filter(|p| p.writable && p.pod != **pod).collect();
        let steadily = own.windows(2).filter(|pair| pair[0].writable && pair[1].writable);
        for (from, to) in steadily.map(|pair| (pair[0].span.ended, pair[1].span.begun)) {
            let other = others.iter().find(|p| p.span.begun >= from && p.span.ended <= to);
            findings.extend(other.map(|other| {
                let at = other.span.begun.0;
                format!("{pod} and {} both took writes at {at:?}", other.pod)
            }));
        }
    }
    findings
}

/// A pod that takes writes is the one that status named master before, or names after, that write.
pub fn writers_are_named(probes: &[Probe], authorities: &[Authority]) -> Findings {
    let mut findings = Findings::new();
    for probe in probes.iter().filter(|probe| probe.writable) {
        let named = around(authorities, probe.span)
            .iter()
            .any(|reading| reading.master.as_deref() == Some(&probe.pod));
        if !named {
            findings.push(format!(
                "{} took a write at {:?}; status did not name it",
                probe.pod, probe.span.begun.0
            ));
        }
    }
    findings
}

/// The VIP selects nobody, or a pod that status names or has just named.
pub fn vip_leads_to_the_master(authorities: &[Authority]) -> Findings {
    let mut findings = Findings::new();
    for reading in authorities {
        let Some(vip) = &reading.vip else { continue };
        let named = around(authorities, reading.span)
            .iter()
            .any(|r| r.master.as_ref() == Some(vip));
        if !named {
            findings.push(format!(
                "the VIP selected {vip} at {:?}, status named {:?}",
                reading.span.begun.0, reading.master
            ));
        }
    }
    findings
}

/// The epoch never falls, and an epoch has one master.
pub fn epochs_are_monotone(authorities: &[Authority]) -> Findings {
    let mut findings = Findings::new();
    for pair in authorities.windows(2) {
        if pair[1].epoch < pair[0].epoch {
            findings.push(format!(
                "the epoch fell from {} to {} at {:?}",
                pair[0].epoch, pair[1].epoch, pair[1].span.begun.0
            ));
        }
    }
    let mut masters: BTreeMap<i64, BTreeSet<&str>> = BTreeMap::new();
    for reading in authorities.iter().filter(|reading| reading.epoch > 0) {
        masters
            .entry(reading.epoch)
            .or_default()
            .extend(reading.master.as_deref());
    }
    for (epoch, pods) in masters.iter().filter(|(_, pods)| pods.len() > 1) {
        findings.push(format!("epoch {epoch} had the masters {pods:?}"));
    }
    findings
}

/// The read Service leads to somebody, in every reading within a span.
pub fn reads_are_led(readings: &[Readers], during: Span) -> Findings {
    let inside = |reading: &&Readers| within(reading.span.begun, during) && within(reading.span.ended, during);
    let readings: Vec<_> = readings.iter().filter(inside).collect();
    let empty: Vec<_> = readings.iter().filter(|reading| reading.pods.is_empty()).collect();
    match empty.first() {
        _ if readings.is_empty() => vec!["nobody looked at the read Service".into()],
        None => Findings::new(),
        Some(first) => vec![format!(
            "the read Service was empty in {} of {} readings, first at {:?}",
            empty.len(),
            readings.len(),
            first.span.begun.0
        )],
    }
}

/// Every write that was acknowledged is there. `excused` are the spans in which the settings allow a loss, such as the
/// two seconds before a kill: a write that ended in one of them may be missing.
pub fn nothing_lost(writes: &[Write], there: &BTreeSet<u64>, excused: &[Span]) -> Findings {
    let lost: Vec<_> = writes
        .iter()
        .filter(|write| write.end == End::Ok && !there.contains(&write.number))
        .filter(|write| !excused.iter().any(|span| within(write.span.ended, *span)))
        .collect();
    match lost.first() {
        None => Findings::new(),
        Some(first) => vec![format!(
            "{} acknowledged writes are lost, the first is {} of {:?}",
            lost.len(),
            first.number,
            first.span.ended.0
        )],
    }
}

/// Every write that enough replicas confirmed is there, whatever happened.
pub fn no_confirmed_write_lost(writes: &[Write], there: &BTreeSet<u64>) -> Findings {
    let lost: Vec<_> = writes
        .iter()
        .filter(|write| write.confirmed && !there.contains(&write.number))
        .collect();
    match lost.first() {
        None => Findings::new(),
        Some(first) => vec![format!(
            "{} writes confirmed by WAIT are lost, the first is {} of {:?}",
            lost.len(),
            first.number,
            first.span.ended.0
        )],
    }
}

/// Acknowledged writes that are missing are no more than the reports say at most: `reported` bytes for writes of at
/// least `smallest` bytes each in the replication stream. A report that says that the loss is not known promises nothing.
pub fn losses_are_reported(writes: &[Write], there: &BTreeSet<u64>, reported: Option<u64>, smallest: u64) -> Findings {
    let Some(reported) = reported else {
        return Findings::new();
    };
    let lost = writes
        .iter()
        .filter(|write| write.end == End::Ok && !there.contains(&write.number))
        .count() as u64;
    if lost * smallest <= reported {
        return Findings::new();
    }
    vec![format!(
        "{lost} acknowledged writes of at least {smallest} bytes are lost, {reported} bytes were reported"
    )]
}

/// Nothing is there that was refused or never written.
pub fn nothing_resurrected(writes: &[Write], there: &BTreeSet<u64>) -> Findings {
    let possible: BTreeSet<_> = writes
        .iter()
        .filter(|write| !matches!(write.end, End::Fail(_)))
        .map(|write| write.number)
        .collect();
    let strange: Vec<_> = there.difference(&possible).collect();
    match strange.first() {
        None => Findings::new(),
        Some(first) => vec![format!(
            "{} numbers are there that nobody wrote, the first is {first}",
            strange.len()
        )],
    }
}

/// No copy shrinks: a pod that once showed so many numbers never shows fewer. `excused` as in [`nothing_lost`]; what a
/// pod showed in such a span does not bind it.
pub fn no_copy_shrinks(probes: &[Probe], excused: &[Span]) -> Findings {
    let mut most: BTreeMap<&str, u64> = BTreeMap::new();
    let mut findings = Findings::new();
    for probe in probes {
        let Some(held) = probe.held else { continue };
        let before = most.entry(&probe.pod).or_default();
        if held < *before {
            findings.push(format!(
                "{} held {before} numbers and then {held}, at {:?}",
                probe.pod, probe.span.begun.0
            ));
        }
        if !excused.iter().any(|span| within(probe.span.ended, *span)) {
            *before = (*before).max(held);
        }
    }
    findings
}

fn within(at: crate::history::Stamp, span: Span) -> bool {
    span.begun <= at && at <= span.ended
}

/// The readings that may have held during a span: those that overlap it, the last before and the first after.
fn around(authorities: &[Authority], span: Span) -> &[Authority] {
    let first = authorities.partition_point(|reading| reading.span.ended < span.begun);
    let last = authorities.partition_point(|reading| reading.span.begun <= span.ended);
    let end = (last + 1).min(authorities.len());
    &authorities[first.saturating_sub(1).min(end)..end]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::history::Stamp;

    fn span(begun: u64, ended: u64) -> Span {
        let at = |ms| Stamp(Duration::from_millis(ms));
        Span {
            begun: at(begun),
            ended: at(ended),
        }
    }

    fn probe(pod: &str, begun: u64, writable: bool, held: u64) -> Probe {
        Probe {
            pod: pod.into(),
            span: span(begun, begun + 2),
            writable,
            refusal: None,
            held: Some(held),
        }
    }

    fn reading(begun: u64, master: &str, epoch: i64, vip: Option<&str>) -> Authority {
        Authority {
            span: span(begun, begun + 2),
            master: Some(master.into()),
            epoch,
            vip: vip.map(Into::into),
        }
    }

    fn write(number: u64, ended: u64, end: End) -> Write {
        Write {
            number,
            span: span(ended.saturating_sub(1), ended),
            end,
            confirmed: false,
        }
    }

    #[test]
    fn a_confirmed_write_may_never_be_missing_an_acknowledged_one_if_it_was_reported() {
        let mut writes = [write(1, 10, End::Ok), write(2, 20, End::Ok), write(3, 30, End::Ok)];
        writes[1].confirmed = true;
        let there = BTreeSet::from([2]);
        assert!(no_confirmed_write_lost(&writes, &there).is_empty());
        assert!(losses_are_reported(&writes, &there, Some(80), 40).is_empty());
        assert_eq!(losses_are_reported(&writes, &there, Some(79), 40).len(), 1);
        assert_eq!(no_confirmed_write_lost(&writes, &BTreeSet::from([1, 3])).len(), 1);
    }

    #[test]
    fn an_empty_read_service_is_found_in_its_time_only() {
        let reading = |begun, pod: &[&str]| Readers {
            span: span(begun, begun + 2),
            pods: pod.iter().map(|pod| (*pod).into()).collect(),
        };
        let readings = [
            reading(0, &[]),
            reading(10, &["b"]),
            reading(20, &[]),
            reading(30, &["b"]),
        ];
        assert_eq!(reads_are_led(&readings, span(5, 40)).len(), 1);
        assert!(reads_are_led(&readings, span(25, 40)).is_empty());
        assert_eq!(
            reads_are_led(&readings, span(40, 50)).len(),
            1,
            "no reading is no proof"
        );
    }

    #[test]
    fn a_second_writer_between_two_writes_of_the_first_is_found() {
        let two = [probe("a", 0, true, 0), probe("b", 10, true, 0), probe("a", 20, true, 0)];
        assert_eq!(single_writer(&two).len(), 1);
    }

    #[test]
    fn a_writer_after_another_is_no_second_writer() {
        let handed_over = [
            probe("a", 0, true, 0),
            probe("a", 10, true, 0),
            probe("a", 20, false, 0),
            probe("b", 30, true, 0),
            probe("a", 40, false, 0),
            probe("b", 50, false, 0),
            probe("a", 60, true, 0),
        ];
        assert!(single_writer(&handed_over).is_empty());
    }

    #[test]
    fn a_writer_that_status_never_named_is_found() {
        let readings = [reading(0, "a", 1, None), reading(100, "a", 1, None)];
        assert_eq!(writers_are_named(&[probe("b", 50, true, 0)], &readings).len(), 1);
        assert!(writers_are_named(&[probe("a", 50, true, 0), probe("b", 51, false, 0)], &readings).is_empty());
        // Named by the next reading: the write may have come after the change.
        let moved = [reading(0, "a", 1, None), reading(100, "b", 2, None)];
        assert!(writers_are_named(&[probe("b", 50, true, 0)], &moved).is_empty());
        let long_ago = [
            reading(0, "b", 1, None),
            reading(10, "a", 2, None),
            reading(20, "a", 2, None),
        ];
        assert_eq!(writers_are_named(&[probe("b", 30, true, 0)], &long_ago).len(), 1);
        assert_eq!(writers_are_named(&[probe("b", 30, true, 0)], &[]).len(), 1);
    }

    #[test]
    fn a_vip_that_leads_to_a_replica_is_found() {
        let astray = [
            reading(0, "a", 1, Some("a")),
            reading(10, "a", 1, Some("b")),
            reading(20, "a", 1, Some("a")),
        ];
        assert_eq!(vip_leads_to_the_master(&astray).len(), 1);
        let moved = [
            reading(0, "a", 1, Some("a")),
            reading(10, "b", 2, Some("a")),
            reading(20, "b", 2, None),
        ];
        assert!(vip_leads_to_the_master(&moved).is_empty());
    }

    #[test]
    fn a_falling_epoch_and_a_shared_one_are_found() {
        let fell = [reading(0, "a", 2, None), reading(10, "a", 1, None)];
        assert_eq!(epochs_are_monotone(&fell).len(), 1);
        let shared = [reading(0, "a", 1, None), reading(10, "b", 1, None)];
        assert_eq!(epochs_are_monotone(&shared).len(), 1);
        assert!(epochs_are_monotone(&[reading(0, "a", 1, None), reading(10, "b", 2, None)]).is_empty());
    }

    #[test]
    fn a_lost_write_is_found_unless_it_was_refused_unknown_or_excused() {
        let writes = [
            write(1, 100, End::Ok),
            write(2, 200, End::Unknown("reset".into())),
            write(3, 300, End::Fail("READONLY".into())),
        ];
        assert_eq!(nothing_lost(&writes, &BTreeSet::new(), &[]).len(), 1);
        assert!(nothing_lost(&writes, &BTreeSet::from([1]), &[]).is_empty());
        assert!(nothing_lost(&writes, &BTreeSet::new(), &[span(50, 150)]).is_empty());
        assert_eq!(nothing_lost(&writes, &BTreeSet::new(), &[span(150, 250)]).len(), 1);
    }

    #[test]
    fn a_refused_write_that_is_there_is_found() {
        let writes = [
            write(1, 100, End::Unknown("reset".into())),
            write(2, 200, End::Fail("READONLY".into())),
        ];
        assert!(nothing_resurrected(&writes, &BTreeSet::from([1])).is_empty());
        assert_eq!(nothing_resurrected(&writes, &BTreeSet::from([1, 2])).len(), 1);
        assert_eq!(nothing_resurrected(&writes, &BTreeSet::from([7])).len(), 1);
    }

    #[test]
    fn a_copy_that_was_wiped_is_found_also_if_it_filled_up_again() {
        let wiped = [
            probe("a", 0, false, 10),
            probe("a", 10, false, 0),
            probe("a", 20, false, 10),
        ];
        assert_eq!(no_copy_shrinks(&wiped, &[]).len(), 1);
        let grows = [
            probe("a", 0, false, 10),
            probe("b", 5, false, 3),
            probe("a", 10, false, 11),
        ];
        assert!(no_copy_shrinks(&grows, &[]).is_empty());
        let tail = [
            probe("a", 0, true, 10),
            probe("a", 100, true, 12),
            probe("a", 200, true, 11),
        ];
        assert!(no_copy_shrinks(&tail, &[span(50, 150)]).is_empty());
    }
}
