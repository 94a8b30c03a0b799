//! What was measured, as a table, as a file, and as a verdict.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use cluster_tests::failover::Report;
use cluster_tests::failure::Outcome;
use serde::Serialize;

/// Rounds up to which the largest value is shown and no percentile.
const FEW: usize = 20;
/// What others are compared with.
const SENTINEL_BASE: &str = "Sentinel 500 ms, kill -9";
const PHASES: [&str; 10] = [
    "proxies",
    "detect",
    "fence",
    "drain",
    "choose",
    "promote",
    "vip",
    "endpoints",
    "siblings",
    "total",
];

/// One round.
#[derive(Serialize)]
pub struct Measured {
    /// What was done.
    pub fault: String,
    /// Whether Sentinel had to cope with it.
    pub sentinel: bool,
    /// Longest time between two acknowledged writes of a client.
    #[serde(serialize_with = "milliseconds")]
    pub gap: Duration,
    /// The same, of those that are still there at the end.
    #[serde(serialize_with = "milliseconds")]
    pub kept_gap: Duration,
    /// Acknowledged writes, and those of them that are missing.
    pub acknowledged: usize,
    pub lost: usize,
    /// Writes confirmed by WAIT, and those of them that are missing.
    pub confirmed: usize,
    pub confirmed_lost: usize,
    /// Full resyncs that the servers counted, the old master's own return included; absent where nobody counted.
    pub full_resyncs: Option<u64>,
    /// The operator's reports.
    pub reports: Vec<Report>,
    /// What breaks the promise.
    pub findings: Vec<String>,
}

fn milliseconds<S: serde::Serializer>(gap: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(in_milliseconds(*gap))
}

fn in_milliseconds(gap: Duration) -> f64 {
    gap.as_secs_f64() * 1000.0
}

/// All rounds.
#[derive(Default, Serialize)]
pub struct Figures {
    rounds: Vec<Measured>,
}

impl Figures {
    /// Takes a round, and tells it.
    pub fn add(&mut self, round: Measured) {
        println!(
            "{:<26} gap {:>8.1} ms, {} of {} acknowledged and {} of {} confirmed writes lost{}",
            round.fault,
            in_milliseconds(round.gap),
            round.lost,
            round.acknowledged,
            round.confirmed_lost,
            round.confirmed,
            round
                .reports
                .last()
                .map_or(String::new(), |report| format!("; {}", report.message)),
        );
        self.rounds.push(round);
    }

    /// What breaks our promise. Sentinel promised nothing.
    pub fn findings(&self) -> Vec<String> {
        let ours = self.rounds.iter().filter(|round| !round.sentinel);
        ours.flat_map(|round| {
            round
                .findings
                .iter()
                .map(move |finding| format!("{}: {finding}", round.fault))
        })
        .collect()
    }

    pub fn save(&self, file: &Path) -> Outcome {
        Ok(fs::write(file, serde_json::to_string_pretty(self)? + "\n")?)
    }

    fn by_fault(&self) -> Vec<(&str, Vec<&Measured>)> {
        let mut order: Vec<(&str, Vec<&Measured>)> = Vec::new();
        for round in &self.rounds {
            match order.iter_mut().find(|(fault, _)| *fault == round.fault) {
                Some((_, rounds)) => rounds.push(round),
                None => order.push((&round.fault, vec![round])),
            }
        }
        order
    }

    /// A table in Markdown, and under it the median of every phase.
    pub fn table(&self) -> String {
        let by_fault = self.by_fault();
        let base = by_fault.iter().find(|(fault, _)| *fault == SENTINEL_BASE);
        let base = base.map(|(_, rounds)| percentile(&gaps(rounds), 50));
        let mut text = String::from(
            "\n| | rounds | gap p50, ms | p99, ms | max, ms | of writes that stayed: p50, ms | acknowledged lost | confirmed lost | full resyncs | Sentinel 500 ms / this |\n\
             |---|---|---|---|---|---|---|---|---|---|\n",
        );
        for (fault, rounds) in &by_fault {
            let gaps = gaps(rounds);
            let kept: Vec<f64> = rounds.iter().map(|round| in_milliseconds(round.kept_gap)).collect();
            let p99 = if gaps.len() > FEW {
                format!("{:.0}", percentile(&gaps, 99))
            } else {
                "-".into()
            };
            let sum = |of: fn(&Measured) -> usize| rounds.iter().map(|round| of(round)).sum::<usize>();
            let resyncs = rounds.iter().map(|round| round.full_resyncs).sum::<Option<u64>>();
            let _ = writeln!(
                text,
                "| {fault} | {} | {:.0} | {p99} | {:.0} | {:.0} | {} of {} | {} of {} | {} | {} |",
                rounds.len(),
                percentile(&gaps, 50),
                percentile(&gaps, 100),
                percentile(&kept, 50),
                sum(|round| round.lost),
                sum(|round| round.acknowledged),
                sum(|round| round.confirmed_lost),
                sum(|round| round.confirmed),
                resyncs.map_or("-".into(), |number| number.to_string()),
                base.map_or("-".into(), |base| format!("{:.1}", base / percentile(&gaps, 50))),
            );
        }
        text + &phases(&by_fault)
    }
}

/// Medians of the operator's own phases.
fn phases(by_fault: &[(&str, Vec<&Measured>)]) -> String {
    let mut text = format!(
        "\n| phase by, ms (p50) | {} |\n|---|{}\n",
        PHASES.join(" | "),
        "---|".repeat(PHASES.len())
    );
    for (fault, rounds) in by_fault.iter().filter(|(_, rounds)| rounds.iter().any(|r| !r.sentinel)) {
        let mut of: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for report in rounds.iter().filter_map(|round| round.reports.last()) {
            for (phase, at) in &report.phases_ms {
                of.entry(phase).or_default().push(*at as f64);
            }
        }
        let cell = |phase: &&str| {
            of.get(phase)
                .map_or("-".into(), |values| format!("{:.0}", percentile(values, 50)))
        };
        let cells: Vec<String> = PHASES.iter().map(cell).collect();
        let _ = writeln!(text, "| {fault} | {} |", cells.join(" | "));
    }
    text
}

fn gaps(rounds: &[&Measured]) -> Vec<f64> {
    rounds.iter().map(|round| in_milliseconds(round.gap)).collect()
}

/// The nearest rank: always a value that was measured.
fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(
            [50, 99, 100].map(|percent| percentile(&hundred, percent)),
            [50.0, 99.0, 100.0]
        );
        assert_eq!(percentile(&[3.0, 1.0, 2.0], 50), 2.0);
    }
}
