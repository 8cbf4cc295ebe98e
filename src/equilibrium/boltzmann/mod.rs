//! Boltzmann learning (Ackley, Hinton & Sejnowski 1985): couplings and fields whose model moments are those of the data, the maximum
//! likelihood estimate, with model moments from persistent Monte Carlo chains (Tieleman 2008).
//!
//! `w ← w + η_k P (⟨O⟩_data − ⟨O⟩_model)`, `w = (h, J)`, `O = (s_i, s_i s_j)`. `P` is about the inverse of the Fisher information `F`. First
//! comes an approach with a step size that is halved, and the step taken back, when the residual grows; then steps with decreasing `η_k`,
//! the later two thirds of which are averaged (Polyak & Juditsky 1992), so that the result has the variance `F⁻¹ / sweeps` whatever `P` is;
//! then the chains run on at the average, which is where the residual is measured.
//!
//! In the approach `P` is that of Gaussian variables with the covariance of the data. Where there are at most
//! [`BoltzmannOptions::INFORMATION_PARAMETERS_MAX`] parameters, `F` is sampled twice on the way and inverted: at strong coupling some directions
//! are so soft that they would hardly move otherwise.
//!
//! | number | from |
//! |---|---|
//! | Monte Carlo error of moments | spread between chains: correlations in time are in it |
//! | error of parameters by finite chains | `F⁻¹` times that spread while averaging |
//! | disagreement of chains | spread between chains over spread between pieces of one chain |
//!
//! Chains that stay each in a state of their own do not sample the model: they are told by the last number, and the result is
//! [`RowStatus::NotConverged`].
//!
//! Where one of the four states of a pair never occurs, such as that both fire, the likelihood has no finite maximum: its coupling would run
//! away. In recordings of rare spikes that is most pairs, and they are not left out for it. The state that never occurs is given
//! `e / (1 + 2 e)` bins instead, where independent neurons would have e: half a bin at most, and never more than independence. Nothing else in
//! the data is changed, and what such a coupling is worth is said by its standard error, which is withheld ([`separated_pairs`] lists them).
//! Larger groups of neurons may lack states in the same way with all pairs complete; then the fit does not converge, and says so.
//!
//! Cost: O(n) and O(n) for each spin that flips per sweep, n²/128 for its moments; O(n³) a step. Chains have their own seeds: no result
//! depends on the number of threads. Tests: `tests/boltzmann.rs`.

mod chains;
mod information;
mod learn;
mod pairs;
mod tied;
mod tying;

pub use tied::{TiedModel, TiedParameter, boltzmann_tied};
pub use tying::Tying;

use self::information::Information;
use self::learn::{Learnt, learn};
use self::pairs::{Pairs, fill_empty_states};
use super::{ERROR_BLOCKS, EquilibriumError, Samples};
use crate::model::{
    BoltzmannDiagnostics, EquilibriumDiagnostics, EquilibriumErrors, EquilibriumMethod, EquilibriumModel,
    RowStatus,
};

/// How Boltzmann learning goes about it.
#[derive(Debug, Clone, PartialEq)]
pub struct BoltzmannOptions {
    /// Persistent chains, 2 to 256. Errors come from their spread and are themselves uncertain by a factor of about `1 ± 1/√(2 (chains − 1))`.
    pub chains: usize,
    /// Parameter updates, 8 to 1,000,000; where the first third of them does not reach the solution, up to two thirds as many more. Beside them chains run a quarter as long again to measure what is left.
    pub steps: usize,
    /// Sweeps of each chain between updates, 1 to 1,000,000. The error by finite chains falls as `1/√(chains · steps · sweeps_per_step)`.
    pub sweeps_per_step: usize,
    /// Largest Monte Carlo error (root mean square over moments) with which a fit counts as converged.
    pub moment_error_max: f64,
    /// Whether to give standard errors, where there are at most [`BoltzmannOptions::INFORMATION_PARAMETERS_MAX`] parameters.
    pub errors: bool,
    /// Seed of the chains.
    pub seed: u64,
    /// Most threads to use; 0 counts as 1. The result does not depend on it.
    pub threads: usize,
}

impl Default for BoltzmannOptions {
    fn default() -> Self {
        Self {
            chains: 8,
            steps: 400,
            sweeps_per_step: 256,
            moment_error_max: 5e-3,
            errors: true,
            seed: 1,
            threads: 1,
        }
    }
}

impl BoltzmannOptions {
    /// Most parameters, fields and couplings, whose Fisher information is sampled, with twenty times as many configurations, and without
    /// which there are no standard errors: those of 64 neurons.
    pub const INFORMATION_PARAMETERS_MAX: usize = 2080;

    /// Most neurons that take part. With default options and one thread of a busy machine, 100 neurons took 51 s unoptimized.
    pub const NEURONS_MAX: usize = 200;

    fn check(&self) -> Result<(), EquilibriumError> {
        let count = |what, min, max, found| {
            if (min..=max).contains(&found) {
                Ok(())
            } else {
                Err(EquilibriumError::Count { what, min, max, found })
            }
        };
        count("chains", 2, 256, self.chains)?;
        count("steps", 8, 1_000_000, self.steps)?;
        count("sweeps per step", 1, 1_000_000, self.sweeps_per_step)?;
        let found = self.moment_error_max;
        if !(found > 0.0 && found <= 1.0) {
            return Err(EquilibriumError::Range { what: "largest moment error", found, min: 0.0, max: 1.0 });
        }
        Ok(())
    }

    /// What is said when nothing was learned.
    fn nothing(&self) -> BoltzmannDiagnostics {
        BoltzmannDiagnostics {
            chains: self.chains as u32,
            sweeps: 0,
            moment_residual: 0.0,
            moment_residual_max: 0.0,
            monte_carlo_error: 0.0,
            parameter_error: 0.0,
            chain_disagreement: 0.0,
            converged: false,
        }
    }
}

/// Maximum likelihood by Boltzmann learning. See the module for the method.
///
/// Rows are [`RowStatus::NotConverged`], and hold the last values, when the residual is more than three Monte Carlo errors, of the moments or of
/// the parameters (`F⁻¹` times the residual, which soft directions show in), when that error is above its bound, or when chains disagree.
///
/// Standard errors are `F⁻¹` times the differences of the moments between [`ERROR_BLOCKS`] blocks of bins, with the error by finite chains in
/// them. `F` is sampled; its inverse is made smaller by `(M − p − 1)/M`, by which the inverse of a covariance of M independent samples is too
/// large. Samples are 4 sweeps apart, so that at strong coupling standard errors are somewhat too large.
/// `None` beyond [`BoltzmannOptions::INFORMATION_PARAMETERS_MAX`], with fewer bins than blocks, or where `F` as sampled is singular,
/// which it is when a pair that never meets in the bins does not in the configurations sampled either. They are 0, for not
/// known, for the couplings of pairs one of whose four states never occurs and the fields of their neurons, which rest on the fraction of a bin
/// that this state was given; those of the others hold with it as it is.
///
/// # Errors
/// [`EquilibriumError`] for options outside their range, [`EquilibriumError::TooManyNeurons`] above [`BoltzmannOptions::NEURONS_MAX`] that
/// take part.
pub fn boltzmann(
    samples: &Samples,
    options: &BoltzmannOptions,
) -> Result<EquilibriumModel, EquilibriumError> {
    options.check()?;
    let (method, max) = (EquilibriumMethod::Boltzmann, BoltzmannOptions::NEURONS_MAX);
    if samples.n() > max {
        return Err(EquilibriumError::TooManyNeurons { method, max, found: samples.n() });
    }
    if samples.n() == 0 || samples.is_undersampled() {
        let nothing = EquilibriumDiagnostics::Boltzmann(options.nothing());
        return Ok(samples.nothing(EquilibriumMethod::Boltzmann, RowStatus::Undersampled, nothing));
    }
    let family = Pairs::of(samples);
    let Learnt { parameters, diagnostics, information, chain_variance, steps } =
        learn(&family, family.start(), options);
    let information = information.filter(|_| options.errors);
    let errors = information.and_then(|information| errors(samples, &family, &information, &chain_variance));

    let (fields, couplings) = family.split(&parameters);
    let found = if diagnostics.converged { RowStatus::Ok } else { RowStatus::NotConverged };
    let status = samples.status.iter().map(|&s| if s == RowStatus::Ok { found } else { s }).collect();
    Ok(EquilibriumModel {
        method: EquilibriumMethod::Boltzmann,
        couplings: samples.spread_matrix(&couplings),
        fields: samples.spread(&fields),
        status,
        errors,
        samples: samples.n_bins(),
        distinct: samples.configurations.len() as u64,
        iterations: steps,
        diagnostics: EquilibriumDiagnostics::Boltzmann(diagnostics),
    })
}

/// Pairs of neurons `(i, j)`, `i < j`, that take part and one of whose four states never occurs: [`boltzmann`] gives it a fraction of a bin.
#[must_use]
pub fn separated_pairs(samples: &Samples) -> Vec<(usize, usize)> {
    let neurons = &samples.taking_part;
    let pairs = fill_empty_states(samples, &mut samples.second_moments.clone());
    pairs.into_iter().map(|(i, j)| (neurons[i], neurons[j])).collect()
}

/// Of data and chains together, as standard errors over all neurons.
fn errors(
    samples: &Samples,
    family: &Pairs,
    information: &Information,
    chain_variance: &[f64],
) -> Option<EquilibriumErrors> {
    let order = samples.configurations.order();
    if order.len() < ERROR_BLOCKS {
        return None;
    }
    let mut variance = chain_variance.to_vec();
    // The bins' own, without what empty states were given.
    let all = family.join(&samples.magnetizations, &samples.second_moments);
    let block_of = |b: usize| order.len() * b / ERROR_BLOCKS..order.len() * (b + 1) / ERROR_BLOCKS;
    for b in 0..ERROR_BLOCKS {
        let block = &order[block_of(b)];
        let mut weights = vec![0.0; samples.configurations.len()];
        block.iter().for_each(|&c| weights[c as usize] += 1.0 / block.len() as f64);
        let (first, second) = samples.configurations.weighted_moments(&weights);
        let mut difference = family.join(&first, &second);
        difference.iter_mut().zip(&all).for_each(|(moment, mean)| *moment -= mean);
        let influence = information.solve(&difference);
        let share = 1.0 / (ERROR_BLOCKS * (ERROR_BLOCKS - 1)) as f64;
        variance.iter_mut().zip(&influence).for_each(|(variance, x)| *variance += share * x * x);
    }
    let deviations: Vec<f64> = variance.iter().map(|v| v.sqrt()).collect();
    let (mut fields, mut couplings) = family.split(&deviations);
    for &(i, j) in family.separated() {
        couplings[[i, j]] = 0.0;
        couplings[[j, i]] = 0.0;
        fields[i] = 0.0;
        fields[j] = 0.0;
    }
    Some(EquilibriumErrors {
        couplings: samples.spread_matrix(&couplings),
        fields: samples.spread(&fields),
        blocks: ERROR_BLOCKS as u32,
    })
}
