//! Couplings for people: strongest pairs, row statuses, one table for estimates on disk and from a daemon.

use std::collections::BTreeMap;

use glauber::model::{CouplingPair, Estimate, Neuron};
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
            "status": self.status,
        })
    }
}

/// The strongest pairs of an estimate, with the names of their neurons.
pub(crate) fn strongest(estimate: &Estimate, neurons: &[Neuron], top: usize) -> Vec<Pair> {
    let named = |pair: &CouplingPair| Pair {
        receiver_id: neurons[pair.receiver].id,
        sender_id: neurons[pair.sender].id,
        coupling: pair.coupling,
        standard_error: pair.standard_error,
        z: pair.z(),
        status: estimate.status[pair.receiver].as_str(),
    };
    estimate.strongest_pairs(top).iter().map(named).collect()
}

/// The pairs as a table.
pub(crate) fn print_pairs(pairs: &[Pair]) -> Result<(), CliError> {
    if pairs.is_empty() {
        return output::print(format_args!("no pair can be estimated yet\n"));
    }
    output::print_table(&pair_table(pairs))
}

/// The pairs as a table to be printed.
pub(crate) fn pair_table(pairs: &[Pair]) -> comfy_table::Table {
    let mut table = output::table(&[
        ("receiver", Align::Right),
        ("sender", Align::Right),
        ("coupling J", Align::Right),
        ("std error", Align::Right),
        ("z", Align::Right),
        ("effect", Align::Left),
        ("row", Align::Left),
    ]);
    for pair in pairs {
        table.add_row([
            pair.receiver_id.to_string(),
            pair.sender_id.to_string(),
            text::signed(pair.coupling),
            format!("{:.4}", pair.standard_error),
            format!("{:+.1}", pair.z),
            text::effect(pair.coupling).to_owned(),
            short_status(pair.status),
        ]);
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
        let pairs = strongest(&estimate(), &neurons, 10);
        let seen: Vec<(i64, i64, f64)> = pairs.iter().map(|p| (p.receiver_id, p.sender_id, p.z)).collect();
        assert_eq!(seen, [(7, 8, -2.0), (8, 7, 1.0)]);
        assert_eq!(pairs[1].status, "TAP_NO_ROOT");
        assert_eq!(strongest(&estimate(), &neurons, 1).len(), 1);
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
