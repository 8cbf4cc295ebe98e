mod chains;
mod enumeration;
mod observation;
mod score;

use ndarray::{Array1, Array2};

use crate::model::EquilibriumModel;
pub use observation::{Observation, ReconstructError};
pub use score::{ReconstructionScore, ReconstructionScoreOptions, reconstruction_score};

/// How missing neurons are found.
#[derive(Debug, Clone, PartialEq)]
pub struct ReconstructOptions {
    /// Most missing neurons whose every configuration is looked at, at most 20: 2^missing of them. 16 unless told.
    pub exact_missing_max: usize,
    /// Of more missing ones: independent searches and chains, 2 to 1000; 8 unless told.
    pub restarts: usize,
    /// Sweeps of each search while it cools, and of each chain in all, a fifth of them not counted, 10 to 1,000,000; 200 unless told.
    /// Fewer are made where all of them together would cost more than 2³¹ additions, missing² a sweep.
    pub sweeps: usize,
    /// Seed of searches and chains.
    pub seed: u64,
}

impl Default for ReconstructOptions {
    fn default() -> Self {
        Self { exact_missing_max: 16, restarts: 8, sweeps: 200, seed: 1 }
    }
}

impl ReconstructOptions {
    /// Most neurons of which every configuration can be looked at.
    pub const EXACT_MISSING_LIMIT: usize = 20;

    fn checked(&self) -> Result<(), ReconstructError> {
        let within = |what, found, min, max| {
            let fits = (min..=max).contains(&found);
            if fits { Ok(()) } else { Err(ReconstructError::Count { what, min, max, found }) }
        };
        within("neurons that are enumerated", self.exact_missing_max, 0, Self::EXACT_MISSING_LIMIT)?;
        within("restarts", self.restarts, 2, 1000)?;
        within("sweeps", self.sweeps, 10, 1_000_000)
    }
}

/// What a model says of the neurons of a bin that were not observed.
#[derive(Debug, Clone, PartialEq)]
pub struct Reconstruction {
    /// Every missing neuron, increasing.
    pub missing: Vec<Missing>,
    /// Whether the most likely configuration and the probabilities are exact, from all configurations of the missing neurons; else the
    /// former is the best one found and the latter carry a Monte Carlo error.
    pub exact: bool,
}

/// A neuron that was not observed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Missing {
    /// Its index.
    pub neuron: usize,
    /// What the model says of it; `None` where the model has no estimate of the neuron (its status tells why) and so nothing to say.
    pub guess: Option<Guess>,
}

/// What a model says of a missing neuron.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guess {
    /// Its value in the most likely configuration of all missing neurons together, the maximum of `P(s_missing | s_observed)`.
    pub active: bool,
    /// Its own `P(s_i = 1 | s_observed)`; may favour the other value than `active` does, which goes with those of the other missing neurons.
    pub probability: f64,
    /// Monte Carlo error of the probability; 0 when exact.
    pub monte_carlo_error: f64,
}

/// Fill the missing neurons (`None`) of one bin from those observed.
///
/// Observed neurons act on the missing ones as a field `h_i + Σ_{j observed} J_ij s_j`. At most
/// [`ReconstructOptions::exact_missing_max`] missing neurons are enumerated in Gray-code order, cost O(missing 2^missing). For more, the most likely
/// configuration is the best of several searches, each cooled from a temperature of 2 to 0.05 and then descended to where no single flip
/// raises the probability; probabilities are means of `P(s_i = 1 | all others)` over Gibbs chains that begin half from that
/// configuration and half at random, so that states that chains do not leave show in the error. The result depends on model,
/// observation and options alone. Neurons without an estimate take no part, missing or observed. Nothing missing is a reconstruction of nothing.
///
/// # Errors
/// [`ReconstructError::Length`] when the observation is of another number of neurons than the model,
/// [`ReconstructError::Count`] for options outside their ranges.
pub fn reconstruct(
    model: &EquilibriumModel,
    observed: &[Option<bool>],
    options: &ReconstructOptions,
) -> Result<Reconstruction, ReconstructError> {
    options.checked()?;
    let (expected, found) = (model.n_neurons(), observed.len());
    if expected != found {
        return Err(ReconstructError::Length { expected, found });
    }
    let missing: Vec<usize> = (0..found).filter(|&i| observed[i].is_none()).collect();
    let unknown: Vec<usize> = missing.iter().copied().filter(|&i| model.status[i].has_estimate()).collect();
    let solution = solve(&Part::of(model, observed, &unknown), options);
    let guess = |i: &usize| unknown.binary_search(i).ok().map(|k| solution.guess(k));
    let missing = missing.iter().map(|&neuron| Missing { neuron, guess: guess(&neuron) }).collect();
    Ok(Reconstruction { missing, exact: solution.exact })
}

/// The missing neurons as a model of their own.
struct Part {
    /// `J` among them.
    couplings: Array2<f64>,
    /// `h_i + Σ_{j observed} J_ij s_j`.
    fields: Array1<f64>,
}

impl Part {
    fn of(model: &EquilibriumModel, observed: &[Option<bool>], unknown: &[usize]) -> Self {
        let field = |&i: &usize| {
            let row = model.couplings.row(i);
            let from =
                |(j, value): (&f64, &Option<bool>)| value.map_or(0.0, |active| if active { *j } else { -*j });
            model.fields[i] + row.iter().zip(observed).map(from).sum::<f64>()
        };
        let m = unknown.len();
        let couplings = Array2::from_shape_fn((m, m), |(a, b)| model.couplings[[unknown[a], unknown[b]]]);
        Self { couplings, fields: unknown.iter().map(field).collect() }
    }

    fn n(&self) -> usize {
        self.fields.len()
    }

    /// `θ_i = h_i + Σ_j J_ij s_j` of every neuron.
    fn inputs(&self, active: &[bool]) -> Vec<f64> {
        let rows = self.couplings.rows().into_iter().zip(&self.fields);
        rows.map(|(row, h)| h + row.iter().zip(active).map(|(j, &s)| if s { *j } else { -*j }).sum::<f64>())
            .collect()
    }

    /// `Σ h_i s_i + Σ_{i<j} J_ij s_i s_j`.
    fn minus_energy(&self, active: &[bool]) -> f64 {
        let inputs = self.inputs(active);
        let own = |((&s, input), h): ((&bool, &f64), &f64)| 0.5 * (input + h) * if s { 1.0 } else { -1.0 };
        active.iter().zip(&inputs).zip(&self.fields).map(own).sum()
    }
}

/// The most likely configuration and the probability of each neuron.
struct Solution {
    most_likely: Vec<bool>,
    marginals: Vec<Marginal>,
    exact: bool,
}

/// Probabilities of both values, neither as 1 minus the other, so that rare ones keep their digits.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Marginal {
    active: f64,
    silent: f64,
    error: f64,
}

impl Solution {
    fn guess(&self, k: usize) -> Guess {
        let Marginal { active, error, .. } = self.marginals[k];
        Guess { active: self.most_likely[k], probability: active, monte_carlo_error: error }
    }
}

fn solve(part: &Part, options: &ReconstructOptions) -> Solution {
    if part.n() <= options.exact_missing_max {
        enumeration::solve(part)
    } else {
        chains::solve(part, options)
    }
}

/// Flip a neuron and keep the inputs of all in step.
fn flip(part: &Part, active: &mut [bool], inputs: &mut [f64], i: usize) {
    active[i] = !active[i];
    let change = if active[i] { 2.0 } else { -2.0 };
    inputs.iter_mut().zip(part.couplings.row(i)).for_each(|(input, j)| *input += change * j);
}
