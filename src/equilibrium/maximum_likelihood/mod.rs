mod enumeration;
mod newton;

use std::f64::consts::LN_2;

use faer::Mat;
use ndarray::{Array1, Array2};

use super::compatible::compatible;
use super::{EquilibriumError, Samples};
use crate::model::{
    EquilibriumDiagnostics, EquilibriumErrors, EquilibriumMethod, EquilibriumModel, RowStatus,
};
use newton::{End, Maximum, maximise};

/// How maximum likelihood is searched for.
#[derive(Debug, Clone, PartialEq)]
pub struct MaximumLikelihoodOptions {
    /// Most steps of Newton's method, 1 to 1000; 100 unless told, where some 10 do.
    pub iterations_max: usize,
}

impl Default for MaximumLikelihoodOptions {
    fn default() -> Self {
        Self { iterations_max: 100 }
    }
}

impl MaximumLikelihoodOptions {
    /// Most neurons that take part: 2²⁰ configurations, and moments of all orders, of 8 MiB.
    pub const NEURONS_MAX: usize = 20;
}

/// Couplings and fields of the largest likelihood, from sums over all 2ⁿ configurations: those whose `⟨s_i⟩` and `⟨s_i s_j⟩` are those of
/// the bins, to a norm of the difference of 1e-10.
///
/// Newton's method with the exact Fisher matrix from moments of up to fourth order, shortened where a whole step would not raise the
/// likelihood. Cost per step: O(n 2ⁿ + n⁶), memory 2ⁿ⁺⁴ bytes; the maximum is unique, so that the result depends on the samples alone.
///
/// Where one of the four states of a pair of neurons never occurs, the likelihood grows without bound as their coupling does, and there is no
/// maximum. The neuron with the most such pairs is then left out (of several the one with the fewest spikes, or silences, then the last), until
/// there is none; it says [`RowStatus::Separated`], and the model is one of the others. Larger groups that lack states in the same way show
/// in parameters that run away while moments are matched: then all rows say so, and are zero.
///
/// Standard errors are those of the whole set of bins: block `b` of [`ERROR_BLOCKS`](super::ERROR_BLOCKS) moves the maximum by `F⁻¹ (⟨O⟩_b − ⟨O⟩)` times its share
/// of the bins.
///
/// # Errors
/// [`EquilibriumError::TooManyNeurons`] above [`MaximumLikelihoodOptions::NEURONS_MAX`] that take part, [`EquilibriumError::Count`] for options outside their ranges.
pub fn maximum_likelihood(
    samples: &Samples,
    options: &MaximumLikelihoodOptions,
) -> Result<EquilibriumModel, EquilibriumError> {
    let (method, max) = (EquilibriumMethod::MaximumLikelihood, MaximumLikelihoodOptions::NEURONS_MAX);
    let (most, found) = (1000, options.iterations_max);
    if !(1..=most).contains(&found) {
        return Err(EquilibriumError::Count { what: "iterations", min: 1, max: most, found });
    }
    if samples.n() > max {
        return Err(EquilibriumError::TooManyNeurons { method, max, found: samples.n() });
    }
    if samples.is_undersampled() {
        return Ok(samples.nothing(method, RowStatus::Undersampled, at_zero(samples)));
    }
    let kept = with_every_pair_state(samples);
    if kept.is_empty() {
        return Ok(samples.nothing(method, RowStatus::Separated, at_zero(samples)));
    }
    let observed = moments_of(&kept, &samples.magnetizations, &samples.second_moments);
    let maximum = maximise(kept.len(), &observed, found as u32);
    if maximum.end == End::NoMaximum {
        let nothing = samples.nothing(method, RowStatus::Separated, at_zero(samples));
        return Ok(EquilibriumModel { iterations: maximum.iterations, ..nothing });
    }
    let mut model = samples.nothing(
        method,
        RowStatus::Separated,
        EquilibriumDiagnostics::MaximumLikelihood {
            gradient_norm: maximum.gradient_norm,
            log_likelihood_bits: maximum.value / LN_2,
        },
    );
    let end = if maximum.end == End::Converged { RowStatus::Ok } else { RowStatus::NotConverged };
    let neurons: Vec<usize> = kept.iter().map(|&k| samples.taking_part[k]).collect();
    neurons.iter().for_each(|&i| model.status[i] = end);
    (model.couplings, model.fields) = spread(&neurons, model.n_neurons(), &maximum.parameters);
    model.iterations = maximum.iterations;
    model.errors = errors(samples, &kept, &observed, &maximum).map(|(errors, blocks)| {
        let (couplings, fields) = spread(&neurons, model.n_neurons(), &errors);
        EquilibriumErrors { couplings, fields, blocks }
    });
    Ok(model)
}

/// Diagnostics of a model of zeros: every configuration equally likely.
fn at_zero(samples: &Samples) -> EquilibriumDiagnostics {
    let all: Vec<usize> = (0..samples.n()).collect();
    let gradient = moments_of(&all, &samples.magnetizations, &samples.second_moments);
    EquilibriumDiagnostics::MaximumLikelihood {
        gradient_norm: gradient.iter().map(|m| m * m).sum::<f64>().sqrt(),
        log_likelihood_bits: -(samples.n() as f64),
    }
}

/// `⟨s_i⟩`, then `⟨s_i s_j⟩` of pairs `i < j` row by row, of the neurons kept.
fn moments_of(kept: &[usize], first: &Array1<f64>, second: &Array2<f64>) -> Vec<f64> {
    let pairs =
        kept.iter().enumerate().flat_map(|(k, &i)| kept[k + 1..].iter().map(move |&j| second[[i, j]]));
    kept.iter().map(|&i| first[i]).chain(pairs).collect()
}

/// Parameters as couplings and fields of all `n` neurons.
fn spread(neurons: &[usize], n: usize, parameters: &[f64]) -> (Array2<f64>, Array1<f64>) {
    let (mut couplings, mut fields) = (Array2::zeros((n, n)), Array1::zeros(n));
    let (singles, pairs) = parameters.split_at(neurons.len());
    neurons.iter().zip(singles).for_each(|(&i, h)| fields[i] = *h);
    let places = neurons.iter().enumerate().flat_map(|(k, &i)| neurons[k + 1..].iter().map(move |&j| (i, j)));
    for ((i, j), coupling) in places.zip(pairs) {
        couplings[[i, j]] = *coupling;
        couplings[[j, i]] = *coupling;
    }
    (couplings, fields)
}

/// The largest set found of neurons of which every pair shows all four of its states, increasing.
fn with_every_pair_state(samples: &Samples) -> Vec<usize> {
    let counts: Vec<f64> =
        samples.configurations.multiplicities().iter().map(|&count| count as f64).collect();
    // Integers below 2⁵³: exact.
    let both = samples.configurations.active_sums(&counts);
    let bins = samples.n_bins() as f64;
    let lacks = |i: usize, j: usize| {
        let (a, b, ab) = (both[[i, i]], both[[j, j]], both[[i, j]]);
        [ab, a - ab, b - ab, bins - a - b + ab].contains(&0.0)
    };
    compatible(samples.n(), lacks, |i| both[[i, i]].min(bins - both[[i, i]]))
}

/// Standard errors of the parameters and the number of blocks they come from; `None` for a single bin.
fn errors(samples: &Samples, kept: &[usize], observed: &[f64], maximum: &Maximum) -> Option<(Vec<f64>, u32)> {
    let configurations = &samples.configurations;
    let blocks = configurations.n_blocks();
    if blocks < 2 {
        return None;
    }
    let mut moved = Mat::<f64>::zeros(observed.len(), blocks);
    let mut counts = vec![0.0; configurations.len()];
    for block in 0..blocks {
        let bins = configurations.block(block);
        counts.fill(0.0);
        bins.iter().for_each(|&c| counts[c as usize] += 1.0 / bins.len() as f64);
        let (first, second) = configurations.weighted_moments(&counts);
        let share = bins.len() as f64 / configurations.n_bins() as f64;
        let own = moments_of(kept, &first, &second);
        for (p, (own, all)) in own.iter().zip(observed).enumerate() {
            moved[(p, block)] = share * (own - all);
        }
    }
    let influence = maximum.influence(moved)?;
    let correction = blocks as f64 / (blocks - 1) as f64;
    let error = |p: usize| (correction * (0..blocks).map(|b| influence[(p, b)].powi(2)).sum::<f64>()).sqrt();
    Some(((0..observed.len()).map(error).collect(), blocks as u32))
}
