//! Couplings for people: strongest pairs, row statuses, one table for estimates on disk and from a daemon.

use std::collections::BTreeMap;

use glauber::model::{CouplingPair, Estimate, Neuron, Significance};
use glauber::proto::v1;
use serde_json::{Value, json};

use super::client;
use super::error::CliError;
use super::output::{self, Align};
use super::text;

/// The coupling from one neuron to another, with what it is worth.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pair {
    pub(crate) receiver_id: i64,
    pub(crate) sender_id: i64,
    pub(crate) coupling: f64,
    pub(crate) standard_error: f64,
    /// Coupling over its standard error.
    pub(crate) z: f64,
    /// Two-sided tail probability of z.
    pub(crate) p: f64,
    /// False discovery rate at which the pair is still significant; `None` where its row is not OK or nobody says.
    pub(crate) q: Option<f64>,
    pub(crate) status: &'static str,
}

impl From<&v1::CouplingPair> for Pair {
    fn from(pair: &v1::CouplingPair) -> Self {
        Self {
            receiver_id: pair.receiver_id,
            sender_id: pair.sender_id,
            coupling: pair.coupling,
            standard_error: pair.standard_error,
            z: pair.z,
            p: Significance::p(pair.z),
            q: None,
            status: client::status_name(pair.status),
        }
    }
}

impl Pair {
    /// The pair as JSON.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "receiver_id": self.receiver_id,
            "sender_id": self.sender_id,
            "coupling": self.coupling,
            "standard_error": self.standard_error,
            "z": self.z,
            "p": self.p,
            "q": self.q,
            "status": self.status,
        })
    }
}

/// The strongest pairs of an estimate, with the names of their neurons and the q that its significance gives them.
pub(crate) fn strongest(
    estimate: &Estimate,
    significance: &Significance,
    neurons: &[Neuron],
    top: usize,
) -> Vec<Pair> {
    let named = |pair: &CouplingPair| Pair {
        receiver_id: neurons[pair.receiver].id,
        sender_id: neurons[pair.sender].id,
        coupling: pair.coupling,
        standard_error: pair.standard_error,
        z: pair.z(),
        p: pair.p(),
        q: pair.q,
        status: estimate.status[pair.receiver].as_str(),
    };
    estimate.strongest_pairs_with_q(top, significance).iter().map(named).collect()
}

/// The pairs as a table.
pub(crate) fn print_pairs(pairs: &[Pair]) -> Result<(), CliError> {
    if pairs.is_empty() {
        return output::print(format_args!("no pair can be estimated yet\n"));
    }
    output::print_table(&pair_table(pairs))
}

/// The pairs as a table to be printed; with a column of q when any pair has one.
pub(crate) fn pair_table(pairs: &[Pair]) -> comfy_table::Table {
    let with_q = pairs.iter().any(|pair| pair.q.is_some());
    let mut columns = vec![
        ("receiver", Align::Right),
        ("sender", Align::Right),
        ("J", Align::Right),
        ("SE", Align::Right),
        ("z", Align::Right),
    ];
    columns.extend(with_q.then_some(("q", Align::Right)));
    columns.extend([("effect", Align::Left), ("row", Align::Left)]);
    let mut table = output::table(&columns);
    for pair in pairs {
        let mut cells = vec![
            pair.receiver_id.to_string(),
            pair.sender_id.to_string(),
            text::signed(pair.coupling),
            format!("{:.4}", pair.standard_error),
            format!("{:+.1}", pair.z),
        ];
        cells.extend(with_q.then(|| pair.q.map_or_else(|| "-".to_owned(), text::probability)));
        cells.extend([text::effect(pair.coupling).to_owned(), short_status(pair.status)]);
        table.add_row(cells);
    }
    table
}

/// The status as a table of 80 columns has room for; the estimator stands above it.
fn short_status(status: &str) -> String {
    text::cut(if status.ends_with("NO_ROOT") { "NO_ROOT" } else { status }, 10)
}

/// How many rows have which status, by name.
pub(crate) fn status_counts<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_insert(0) += 1;
    }
    counts
}

/// `58 OK, 2 SILENT`, the good ones first.
pub(crate) fn status_line(counts: &BTreeMap<&str, u64>) -> String {
    let ok = counts.get("OK").copied().unwrap_or(0);
    let mut parts = vec![format!("{} OK", text::count(ok))];
    parts.extend(
        counts
            .iter()
            .filter(|(name, _)| **name != "OK")
            .map(|(name, n)| format!("{} {name}", text::count(*n))),
    );
    parts.join(", ")
}

/// Root mean square of the couplings between different neurons, over the rows and columns that take part.
pub(crate) fn rms_coupling(estimate: &Estimate) -> f64 {
    let n = estimate.n_neurons();
    let (mut sum, mut count) = (0.0, 0u64);
    for receiver in 0..n {
        for sender in (0..n).filter(|&sender| sender != receiver) {
            if estimate.standard_error(receiver, sender).is_some() {
                sum += estimate.couplings[[receiver, sender]].powi(2);
                count += 1;
            }
        }
    }
    if count == 0 { 0.0 } else { (sum / count as f64).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glauber::model::{Estimator, RowStatus, SamplingVariance};
    use ndarray::{Array1, arr1, arr2};

    fn estimate() -> Estimate {
        Estimate {
            estimator: Estimator::Nmf,
            ridge: 0.0,
            couplings: arr2(&[[9.0, -0.4, 0.0], [0.1, 9.0, 0.0], [0.0, 0.0, 0.0]]),
            fields: Array1::zeros(3),
            status: vec![RowStatus::Ok, RowStatus::TapNoRoot, RowStatus::Silent],
            variance: SamplingVariance::Factored {
                sender: arr1(&[1.0, 4.0, 0.0]),
                receiver: arr1(&[1.0, 1.0, 0.0]),
                field: 1.0,
                transitions: 100,
            },
            convergence: None,
            trial_fields: None,
        }
    }

    #[test]
    fn strongest_pairs_are_ranked_by_their_certainty_without_self_and_silent() {
        let neurons: Vec<Neuron> = [7, 8, 9].map(|id| Neuron { id, label: String::new() }).to_vec();
        let estimate = estimate();
        let significance = Significance::of(&estimate);
        let pairs = strongest(&estimate, &significance, &neurons, 10);
        let seen: Vec<(i64, i64, f64)> = pairs.iter().map(|p| (p.receiver_id, p.sender_id, p.z)).collect();
        assert_eq!(seen, [(7, 8, -2.0), (8, 7, 1.0)]);
        assert_eq!(pairs[1].status, "TAP_NO_ROOT");
        // One pair is asked about: its q is its p.
        assert_eq!((pairs[0].q, pairs[1].q), (Some(pairs[0].p), None));
        assert_eq!(pairs[1].to_json()["q"], Value::Null);
        assert_eq!(strongest(&estimate, &significance, &neurons, 1).len(), 1);
    }

    #[test]
    fn q_has_a_column_when_it_is_known_and_80_columns_suffice() {
        let mut pair = Pair {
            receiver_id: 12_345,
            sender_id: 12_345,
            coupling: -0.1234,
            standard_error: 0.0123,
            z: -123.4,
            p: 0.0,
            q: None,
            status: "NOT_CONVERGED",
        };
        let without = pair_table(std::slice::from_ref(&pair)).trim_fmt();
        assert!(!without.contains(" q "), "{without}");
        pair.q = Some(1.2e-300);
        let with = pair_table(&[Pair { q: None, ..pair.clone() }, pair]).trim_fmt();
        assert!(with.contains(" q ") && with.contains("1e-300") && with.contains(" - "), "{with}");
        assert!(with.lines().all(|line| line.chars().count() <= 80), "{with}");
    }

    #[test]
    fn rms_is_over_the_pairs_that_are_estimated() {
        assert!((rms_coupling(&estimate()) - (0.17f64 / 2.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn statuses_are_counted_with_ok_first() {
        let counts = status_counts(["SILENT", "OK", "DUPLICATE", "OK"].into_iter());
        assert_eq!(status_line(&counts), "2 OK, 1 DUPLICATE, 1 SILENT");
    }
}
