use std::f64::consts::LN_2;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::Rates;
use super::super::check::chain_seed;
use super::{Marginal, Part, ReconstructError, ReconstructOptions, solve};
use crate::model::{EquilibriumModel, RowStatus, Runs};
use crate::moments::threads::map;

/// How reconstruction is tried on bins that were seen in full.
#[derive(Debug, Clone, PartialEq)]
pub struct ReconstructionScoreOptions {
    /// Share of the neurons that are hidden in each bin, drawn anew for each, at least one of them; above 0, at most 1. 0.1 unless told.
    pub hidden: f64,
    /// Most bins tried, spread evenly over those given, 1 to 1,000,000; 500 unless told.
    pub bins_max: usize,
    /// Seed of the choice of hidden neurons.
    pub seed: u64,
    /// How they are found again.
    pub reconstruct: ReconstructOptions,
    /// Most threads to use; 0 counts as 1. No result depends on it.
    pub threads: usize,
}

impl Default for ReconstructionScoreOptions {
    fn default() -> Self {
        Self { hidden: 0.1, bins_max: 500, seed: 1, reconstruct: ReconstructOptions::default(), threads: 1 }
    }
}

/// How many hidden values a model finds again, next to the best guess from rates: each neuron's more frequent value.
///
/// Silence is the rule, so that a guess of silence everywhere recovers most values: see the active ones apart.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ReconstructionScore {
    /// Bins tried.
    pub bins: u64,
    /// Values hidden.
    pub values: u64,
    /// Of them recovered by the model's most likely configuration.
    pub recovered: u64,
    /// Recovered by the best guess from rates.
    pub recovered_by_rates: u64,
    /// Hidden values that were active.
    pub active: u64,
    /// Of them recovered by the model.
    pub active_recovered: u64,
    /// Recovered by the best guess from rates: those of neurons more often active than not.
    pub active_recovered_by_rates: u64,
    /// Log-probability of the hidden values, each by its own conditional probability, gained over rates; bits. No probability counts as less than
    /// 10⁻³⁰⁰.
    pub gain_bits: f64,
    /// Standard error of that from the differences between bins, which are taken for independent.
    pub gain_error_bits: f64,
    /// Whether every bin was reconstructed exactly.
    pub exact: bool,
}

/// Least probability that counts.
const PROBABILITY_MIN: f64 = 1e-300;

impl ReconstructionScoreOptions {
    fn checked(&self) -> Result<(), ReconstructError> {
        self.reconstruct.checked()?;
        if !(self.hidden > 0.0 && self.hidden <= 1.0) {
            return Err(ReconstructError::Share { found: self.hidden });
        }
        let (min, max, found) = (1, 1_000_000, self.bins_max);
        if !(min..=max).contains(&found) {
            return Err(ReconstructError::Count { what: "bins", min, max, found });
        }
        Ok(())
    }
}

/// Hide a random part of the neurons in bins of `newer`, which the model should not have been fitted to, and reconstruct them from the
/// others. `rates` are those of the bins it was fitted to. Silent, saturated and repeated neurons are neither hidden nor
/// counted; others without an estimate are told by their rates, so that methods which leave out different neurons are compared on the same.
///
/// # Errors
/// [`ReconstructError::Share`] and [`ReconstructError::Count`] for options outside their ranges, [`ReconstructError::Length`] when model,
/// bins and rates have different numbers of neurons.
pub fn reconstruction_score(
    model: &EquilibriumModel,
    newer: &Runs,
    rates: &Rates,
    options: &ReconstructionScoreOptions,
) -> Result<ReconstructionScore, ReconstructError> {
    options.checked()?;
    let expected = model.n_neurons();
    for found in [newer.n_neurons, rates.n_neurons()] {
        if found != expected {
            return Err(ReconstructError::Length { expected, found });
        }
    }
    // What the data leave out, every method leaves out; a neuron that this one alone gives no estimate of counts, told by its rate.
    let left_out = [RowStatus::Silent, RowStatus::Saturated, RowStatus::Duplicate];
    let candidates: Vec<usize> = (0..expected).filter(|&i| !left_out.contains(&model.status[i])).collect();
    let all: Vec<&[u16]> = newer.blocks.iter().flat_map(|block| block.bins()).collect();
    if candidates.is_empty() || all.is_empty() {
        return Ok(ReconstructionScore { exact: true, ..ReconstructionScore::default() });
    }
    let tried = all.len().min(options.bins_max);
    let bins: Vec<&[u16]> = (0..tried).map(|k| all[all.len() * k / tried]).collect();
    let trial = Trial { model, rates, options, candidates: &candidates };
    let scores = map(options.threads, tried, |k| trial.bin(k as u64, bins[k]));
    Ok(total(&scores))
}

/// What every bin is tried with.
struct Trial<'a> {
    model: &'a EquilibriumModel,
    rates: &'a Rates,
    options: &'a ReconstructionScoreOptions,
    candidates: &'a [usize],
}

impl Trial<'_> {
    fn bin(&self, place: u64, bin: &[u16]) -> ReconstructionScore {
        let mut observed = vec![Some(false); self.model.n_neurons()];
        bin.iter().for_each(|&i| observed[usize::from(i)] = Some(true));
        let hidden = self.hidden(place);
        let truth: Vec<bool> = hidden.iter().map(|&i| observed[i] == Some(true)).collect();
        hidden.iter().for_each(|&i| observed[i] = None);
        let options = ReconstructOptions {
            seed: chain_seed(self.options.reconstruct.seed, place),
            ..self.options.reconstruct
        };
        let unknown: Vec<usize> =
            hidden.iter().copied().filter(|&i| self.model.status[i].has_estimate()).collect();
        let solution = solve(&Part::of(self.model, &observed, &unknown), &options);
        let mut score =
            ReconstructionScore { bins: 1, exact: solution.exact, ..ReconstructionScore::default() };
        for (&i, &active) in hidden.iter().zip(&truth) {
            let by_rates = (self.rates.log_odds()[i] > 0.0) == active;
            let (recovered, nats) = match unknown.binary_search(&i) {
                Ok(k) => {
                    let Marginal { active: fires, silent, .. } = solution.marginals[k];
                    let probability: f64 = if active { fires } else { silent };
                    let nats = probability.max(PROBABILITY_MIN).ln() - self.rates.log_probability(i, active);
                    (solution.most_likely[k] == active, nats)
                }
                Err(_) => (by_rates, 0.0),
            };
            score.values += 1;
            score.recovered += u64::from(recovered);
            score.recovered_by_rates += u64::from(by_rates);
            score.active += u64::from(active);
            score.active_recovered += u64::from(active && recovered);
            score.active_recovered_by_rates += u64::from(active && by_rates);
            score.gain_bits += nats / LN_2;
        }
        score
    }

    /// The neurons hidden in a bin, increasing.
    fn hidden(&self, place: u64) -> Vec<usize> {
        let mut random = ChaCha8Rng::seed_from_u64(chain_seed(self.options.seed, place));
        let mut shuffled = self.candidates.to_vec();
        let count = (self.options.hidden * shuffled.len() as f64).round() as usize;
        let count = count.clamp(1, shuffled.len());
        for k in 0..count {
            let other = random.random_range(k..shuffled.len());
            shuffled.swap(k, other);
        }
        shuffled.truncate(count);
        shuffled.sort_unstable();
        shuffled
    }
}

fn total(scores: &[ReconstructionScore]) -> ReconstructionScore {
    let mut total = ReconstructionScore { exact: true, ..ReconstructionScore::default() };
    for score in scores {
        total.bins += score.bins;
        total.values += score.values;
        total.recovered += score.recovered;
        total.recovered_by_rates += score.recovered_by_rates;
        total.active += score.active;
        total.active_recovered += score.active_recovered;
        total.active_recovered_by_rates += score.active_recovered_by_rates;
        total.gain_bits += score.gain_bits;
        total.exact &= score.exact;
    }
    let bins = scores.len() as f64;
    let squares: f64 = scores.iter().map(|score| (score.gain_bits - total.gain_bits / bins).powi(2)).sum();
    total.gain_error_bits = if bins > 1.0 { (squares * bins / (bins - 1.0)).sqrt() } else { 0.0 };
    total
}
