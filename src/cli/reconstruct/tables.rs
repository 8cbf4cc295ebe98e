//! What is told of missing neurons.

use glauber::equilibrium::ReconstructionScore;
use serde_json::{Value, json};

use crate::cli::equilibrium::models;
use crate::cli::output::{self, Align};
use crate::cli::text;

/// One missing neuron.
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) active: Option<bool>,
    pub(super) probability: Option<f64>,
    pub(super) monte_carlo_error: f64,
    pub(super) rate: Option<f64>,
    pub(super) status: &'static str,
}

impl Row {
    /// The row as JSON.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "neuron_id": self.id,
            "active": self.active,
            "probability": self.probability,
            "monte_carlo_error": self.monte_carlo_error,
            "rate": self.rate,
            "status": self.status,
        })
    }
}

/// The missing neurons, one a line.
pub(super) fn missing_table(rows: &[Row]) -> comfy_table::Table {
    let mut table = output::table(&[
        ("neuron", Align::Right),
        ("most likely", Align::Left),
        ("P(spike)", Align::Right),
        ("±", Align::Right),
        ("by rate", Align::Right),
        ("status", Align::Left),
    ]);
    for row in rows {
        table.add_row([
            row.id.to_string(),
            match row.active {
                Some(true) => "active".to_owned(),
                Some(false) => "silent".to_owned(),
                None => "not known".to_owned(),
            },
            row.probability.map_or_else(|| "-".to_owned(), text::probability),
            if row.monte_carlo_error > 0.0 {
                text::probability(row.monte_carlo_error)
            } else {
                String::new()
            },
            row.rate.map_or_else(|| "-".to_owned(), text::probability),
            row.status.to_owned(),
        ]);
    }
    table
}

/// How many hidden values are found.
pub(super) fn score_table(score: &ReconstructionScore) -> comfy_table::Table {
    let mut table = output::table(&[
        ("hidden", Align::Left),
        ("values", Align::Right),
        ("found", Align::Right),
        ("by rates", Align::Right),
    ]);
    let row = |name: &str, values: u64, found: u64, by_rates: u64| {
        [name.to_owned(), text::count(values), models::share(found, values), models::share(by_rates, values)]
    };
    let silent = score.values - score.active;
    let (found, by_rates) = (
        score.recovered - score.active_recovered,
        score.recovered_by_rates - score.active_recovered_by_rates,
    );
    table.add_row(row("spikes", score.active, score.active_recovered, score.active_recovered_by_rates));
    table.add_row(row("silences", silent, found, by_rates));
    table.add_row(row("all", score.values, score.recovered, score.recovered_by_rates));
    table
}
