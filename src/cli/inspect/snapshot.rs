//! A snapshot: what was estimated, over which bins, and how well.

use std::path::Path;

use glauber::archive::{self, StoredSnapshot};
use glauber::model::Significance;
use glauber::session::{ScoredEstimate, Snapshot};
use serde_json::{Value, json};

use crate::cli::equilibrium::models;
use crate::cli::error::CliError;
use crate::cli::output::{self, Align, outln};
use crate::cli::{Manner, fit, pairs, text};

/// Read a snapshot and print what it holds.
pub(super) fn show(path: &Path, top: usize, manner: Manner) -> Result<(), CliError> {
    let StoredSnapshot { snapshot, provenance, glauber_version } = archive::read_snapshot(path)?;
    let created = humantime::format_rfc3339_seconds(provenance.created).to_string();
    if manner.json {
        let estimates: Vec<Value> =
            snapshot.estimates.iter().map(|scored| fit::estimate_json(scored, &snapshot, top)).collect();
        let spec = &snapshot.spec;
        let models = snapshot.equilibrium.iter().map(|scored| models::model_json(scored, &spec.neurons, top));
        let models: Vec<Value> = models.collect();
        return output::json(&json!({
            "kind": "snapshot",
            "file": path.display().to_string(),
            "session_id": provenance.session_id,
            "name": spec.name,
            "source": provenance.source,
            "created": created,
            "glauber_version": glauber_version,
            "gap_count": provenance.gap_count,
            "gap_bins": provenance.gap_bins,
            "neurons": spec.n_neurons(),
            "bin_width_us": spec.bin_width.us(),
            "origin_ns": spec.origin_ns,
            "lags_bins": spec.lags.as_slice(),
            "ridges": spec.ridges.as_slice(),
            "window": snapshot.window.window.to_string(),
            "first_bin": snapshot.window.first_bin,
            "end_bin": snapshot.window.end_bin,
            "bins_observed": snapshot.window.counts.bins,
            "transitions": snapshot.window.counts.lag(1).map_or(0, |lag| lag.transitions),
            "estimates": estimates,
            "equilibrium": models,
        }));
    }
    let spec = &snapshot.spec;
    let lags: Vec<String> = spec.lags.as_slice().iter().map(u32::to_string).collect();
    let size = path.metadata().map_or(0, |metadata| metadata.len());
    let mut facts = vec![
        ("file", format!("{}, {}, snapshot", path.display(), text::bytes(size))),
        (
            "session",
            format!(
                "{}, {} in bins of {}",
                spec.name,
                text::counted(spec.n_neurons() as u64, "neuron"),
                spec.bin_width
            ),
        ),
    ];
    facts.push(("source", format!("session {} of {}", provenance.session_id, provenance.source)));
    facts.push(("written", format!("{created} by glauber {glauber_version}")));
    facts.push((
        "gaps",
        format!(
            "{} of {}",
            text::counted(provenance.gap_count, "gap"),
            text::counted(provenance.gap_bins, "bin")
        ),
    ));
    facts.extend(fit::snapshot_facts(&snapshot));
    facts.push(("lags", format!("{} bins", lags.join(", "))));
    output::print_facts(&facts)?;
    outln!("")?;
    fit::print_estimates(&snapshot)?;
    print_paths(&snapshot)?;
    print_trials(&snapshot)?;
    for scored in &snapshot.estimates {
        let estimate = &scored.estimate;
        outln!("\n{}: strongest pairs", estimate.estimator)?;
        let significance = Significance::of(estimate);
        pairs::print_pairs(&pairs::strongest(estimate, &significance, &spec.neurons, top))?;
    }
    models::print_pairs(&snapshot, top)
}

/// Which ridges were tried, and how each predicted; nothing where there was no choice.
fn print_paths(snapshot: &Snapshot) -> Result<(), CliError> {
    let ridges: Vec<String> = snapshot.spec.ridges.as_slice().iter().map(f64::to_string).collect();
    if ridges.len() < 2 {
        return Ok(());
    }
    // So many columns of scores fit beside the longest name.
    const COLUMNS: usize = 7;
    outln!("\nbits/spike by ridge")?;
    for (place, part) in ridges.chunks(COLUMNS).enumerate() {
        let names = part.iter().map(|ridge| (ridge.as_str(), Align::Right));
        let columns: Vec<_> = [("estimator", Align::Left)].into_iter().chain(names).collect();
        let mut table = output::table(&columns);
        for scored in &snapshot.estimates {
            let points = scored.path.iter().skip(place * COLUMNS).take(COLUMNS);
            let cells = points.map(|point| text::bits(point.bits_per_spike));
            table.add_row([scored.estimate.estimator.to_string()].into_iter().chain(cells));
        }
        output::print_table(&table)?;
    }
    Ok(())
}

/// Which estimates have a field for each bin of a trial.
fn print_trials(snapshot: &Snapshot) -> Result<(), CliError> {
    for ScoredEstimate { estimate, .. } in &snapshot.estimates {
        if let Some(trial) = &estimate.trial_fields {
            let most = trial.repeats.iter().max().copied().unwrap_or(0);
            let bins = text::counted(trial.repeats.len() as u64, "bin");
            outln!(
                "\n{}: fields of {bins} of a trial, up to {} repeats",
                estimate.estimator,
                text::count(most)
            )?;
        }
    }
    Ok(())
}
