//! What a snapshot holds: one from a file, or of a recording that has just been fitted.

use std::path::Path;

use glauber::archive::{self, StoredSnapshot};
use glauber::model::{Estimate, RowStatus, Score, Significance};
use glauber::session::{ScoredEquilibrium, ScoredEstimate, Snapshot, best_equilibrium};
use ndarray::Array2;

use super::Choice;
use crate::cli::client::Asked;
use crate::cli::error::CliError;
use crate::cli::plot::material::{
    Couplings, Equilibrium, EstimatorScore, Material, Observed, ScoreSums, Span,
};
use crate::cli::text;

/// Read a snapshot, in this process.
pub(crate) fn read(path: &Path, choice: &Choice) -> Result<Material, CliError> {
    let StoredSnapshot { snapshot, provenance, glauber_version } = archive::read_snapshot(path)?;
    let written = humantime::format_rfc3339_seconds(provenance.created);
    let file = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let origin = format!("snapshot {}, written {written} by glauber {glauber_version}", text::name(&file));
    material(&snapshot, origin, choice, &|_| None)
}

/// Correlations in the bins from the first to the one after the last, where the bins themselves are at hand.
pub(crate) type ObservedIn<'a> = &'a dyn Fn(std::ops::Range<u64>) -> Option<Observed>;

/// What a snapshot holds, with `observed_in` asked for the bins of the equilibrium model.
pub(crate) fn material(
    snapshot: &Snapshot,
    origin: String,
    choice: &Choice,
    observed_in: ObservedIn<'_>,
) -> Result<Material, CliError> {
    let spec = &snapshot.spec;
    let mut missing = Vec::new();
    let couplings = chosen_estimate(snapshot, choice)?.map(|scored| couplings(snapshot, scored));
    if couplings.is_none() {
        missing.push("it holds no couplings".to_owned());
    }
    let equilibrium = match chosen_model(snapshot, choice)? {
        Some(scored) => equilibrium(snapshot, scored, observed_in, &mut missing),
        None => {
            missing.push("it holds no equilibrium model: fit one with --equilibrium METHOD".to_owned());
            None
        }
    };
    Ok(Material {
        name: spec.name.clone(),
        origin,
        bin_width: spec.bin_width.to_string(),
        bin_s: spec.bin_width.seconds(),
        neurons: spec.neurons.clone(),
        couplings,
        scores: snapshot.estimates.iter().map(score).collect(),
        mixed: None,
        equilibrium,
        missing,
    })
}

fn chosen_estimate<'a>(
    snapshot: &'a Snapshot,
    choice: &Choice,
) -> Result<Option<&'a ScoredEstimate>, CliError> {
    match choice.estimator {
        Some(Asked::One(estimator)) => snapshot.estimate(estimator).map(Some).ok_or_else(|| {
            let held: Vec<String> =
                snapshot.estimates.iter().map(|scored| scored.estimate.estimator.to_string()).collect();
            let problem = format!("there are no couplings by {estimator}; there are: {}", listed(&held));
            CliError::Argument { argument: "--estimator", problem }
        }),
        Some(Asked::Best) | None => Ok(snapshot.best().or_else(|| snapshot.estimates.first())),
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn chosen_model<'a>(
    snapshot: &'a Snapshot,
    choice: &Choice,
) -> Result<Option<&'a ScoredEquilibrium>, CliError> {
    if let Some(method) = choice.method_named() {
        return snapshot.equilibrium(method).map(|scored| Some(&**scored)).ok_or_else(|| {
            let held: Vec<String> =
                snapshot.equilibrium.iter().map(|scored| scored.fitted.method.to_string()).collect();
            let problem = format!("there is no model by {method}; there are: {}", listed(&held));
            CliError::Argument { argument: "--equilibrium", problem }
        });
    }
    let models = || snapshot.equilibrium.iter().map(|scored| &**scored);
    let fitted = || models().find(|scored| scored.fitted.model.is_ok());
    Ok(best_equilibrium(models()).or_else(fitted).or_else(|| models().next()))
}

fn row_major(matrix: &Array2<f64>) -> Vec<f64> {
    matrix.iter().copied().collect()
}

fn couplings(snapshot: &Snapshot, scored: &ScoredEstimate) -> Couplings {
    let estimate: &Estimate = &scored.estimate;
    let n = estimate.n_neurons();
    let significance = Significance::of(estimate);
    let mut errors = vec![0.0; n * n];
    for (receiver, row) in errors.chunks_exact_mut(n.max(1)).enumerate() {
        estimate.standard_errors_into(receiver, row);
    }
    let window = &snapshot.window;
    let whole = (scored.first_bin, scored.end_bin) == (window.first_bin, window.end_bin);
    Couplings {
        estimator: estimate.estimator.to_string(),
        ridge: estimate.ridge,
        span: Span {
            window: window.window.to_string(),
            first_bin: scored.first_bin,
            end_bin: scored.end_bin,
            observed: whole.then_some(window.counts.bins),
        },
        transitions: estimate.variance.transitions(),
        age: None,
        status: names(&estimate.status),
        values: row_major(&estimate.couplings),
        errors,
        q: row_major(&significance.couplings_q(estimate)),
    }
}

fn names(status: &[RowStatus]) -> Vec<String> {
    status.iter().map(|status| status.as_str().to_owned()).collect()
}

fn score(scored: &ScoredEstimate) -> EstimatorScore {
    EstimatorScore {
        estimator: scored.estimate.estimator.to_string(),
        ridge: scored.estimate.ridge,
        recent: sums(&scored.score.recent),
        total: sums(&scored.score.total),
        path: scored.path.iter().map(|point| (point.ridge, point.bits_per_spike)).collect(),
    }
}

fn sums(score: &Score) -> ScoreSums {
    ScoreSums {
        transitions: score.transitions,
        spikes: score.spikes.to_vec(),
        gain_bits: score.gain_bits.to_vec(),
    }
}

fn equilibrium(
    snapshot: &Snapshot,
    scored: &ScoredEquilibrium,
    observed_in: ObservedIn<'_>,
    missing: &mut Vec<String>,
) -> Option<Equilibrium> {
    let fitted = &scored.fitted;
    let model = match &fitted.model {
        Ok(model) => model,
        Err(refusal) => {
            missing.push(format!("{} gave no model: {}", fitted.method, refusal.0));
            return None;
        }
    };
    let window = &snapshot.window;
    let span = |first_bin, end_bin, observed| Span {
        window: window.window.to_string(),
        first_bin,
        end_bin,
        observed: Some(observed),
    };
    let observed = observed_in(fitted.first_bin..fitted.end_bin).unwrap_or_else(|| Observed {
        span: span(window.first_bin, window.end_bin, window.counts.bins),
        same_bins: (fitted.first_bin, fitted.end_bin) == (window.first_bin, window.end_bin),
        correlations: row_major(&window.counts.equal_time_correlations()),
    });
    Some(Equilibrium {
        method: fitted.method.to_string(),
        span: span(fitted.first_bin, fitted.end_bin, model.samples),
        status: names(&model.status),
        estimated: model.status.iter().map(|status| status.has_estimate()).collect(),
        couplings: row_major(&model.couplings),
        fields: model.fields.to_vec(),
        bits_per_spike: scored.score.recent.bits_per_spike(),
        check: fitted.check.clone(),
        observed,
    })
}
