use super::BoltzmannOptions;
use super::chains::{Chains, Family, Network};
use super::information::Information;
use crate::model::BoltzmannDiagnostics;

/// Largest step size; smaller than 1 since residuals are noisy.
const RATE_MAX: f64 = 0.5;
/// Step size the averaged steps begin with, and the number of steps after which it has fallen to 2^−0.6 of it.
const RATE_AVERAGED: f64 = 0.2;
const RATE_STEPS: f64 = 20.0;
/// Largest change of a parameter in one step: far from the solution `P` may be far too large.
const CHANGE_MAX: f64 = 0.2;
/// Pieces of each chain that its spread within is taken from.
const PIECES: usize = 8;
/// Ratio of standard deviations between and within chains from which they disagree: with 8 chains and a single collective moment, one of a
/// thousand fits whose chains do mix is above it.
const DISAGREEMENT_MAX: f64 = 2.2;
/// What a disagreement is cut at, when chains do not move at all.
const DISAGREEMENT_CUT: f64 = 1000.0;
/// Residual in units of its Monte Carlo error up to which it is nothing but that: the error is known from a few chains only.
const RESIDUAL_MAX: f64 = 3.0;

/// Where learning has ended.
pub(super) struct Learnt {
    pub(super) parameters: Vec<f64>,
    /// Moments of each chain over the steps that were averaged.
    averaged: Vec<Vec<f64>>,
    pub(super) chains: Chains,
    pub(super) diagnostics: BoltzmannDiagnostics,
}

/// Learn from `start`.
pub(super) fn learn<F: Family>(family: &mut F, start: Vec<f64>, options: &BoltzmannOptions) -> Learnt {
    let network = family.network(&start);
    let mut chains = Chains::new(&network, options.chains, options.seed, options.threads);
    // From a random configuration to a typical one.
    chains.run(family, &network, options.sweeps_per_step);
    let (parameters, used) = approach(family, &mut chains, start, options);
    let (parameters, averaged) = average(family, &mut chains, parameters, options, options.steps - used);
    let mut diagnostics = options.nothing();
    check(family, &mut chains, &parameters, &averaged, options, &mut diagnostics);
    diagnostics.sweeps = chains.sweeps;
    Learnt { parameters, averaged, chains, diagnostics }
}

/// Steps of a size that adapts, until the residual is near its noise or a third of the steps are used.
fn approach<F: Family>(
    family: &F,
    chains: &mut Chains,
    start: Vec<f64>,
    options: &BoltzmannOptions,
) -> (Vec<f64>, usize) {
    let mut parameters = start;
    let mut kept: Option<(Vec<f64>, f64)> = None;
    let mut rate = RATE_MAX / 2.0;
    for step in 0..options.steps / 3 {
        let network = family.network(&parameters);
        let moments = chains.run(family, &network, options.sweeps_per_step);
        let residual = residual(family, &moments);
        let size = scaled_size(family, &residual);
        let noise =
            root_mean_square(spread(&moments).iter().enumerate().map(|(a, v)| v.sqrt() / family.scale(a)));
        if size < 1.5 * noise {
            return (parameters, step + 1);
        }
        match &kept {
            Some((before, size_before)) if size > 1.2 * size_before + 2.0 * noise => {
                // The bound on what is kept grows, so that one lucky residual does not hold the approach up for ever.
                let (before, size_before) = (before.clone(), 1.1 * size_before);
                rate = (rate / 2.0).max(0.01);
                parameters.clone_from(&before);
                kept = Some((before, size_before));
            }
            _ => {
                kept = Some((parameters.clone(), size));
                rate = (rate * 1.1).min(RATE_MAX);
                take_step(family, &mut parameters, &residual, rate);
            }
        }
    }
    (parameters, options.steps / 3)
}

/// Decreasing steps; the mean of the later two thirds and the chains' moments over these.
fn average<F: Family>(
    family: &F,
    chains: &mut Chains,
    mut parameters: Vec<f64>,
    options: &BoltzmannOptions,
    steps: usize,
) -> (Vec<f64>, Vec<Vec<f64>>) {
    let first = steps / 3;
    let count = (steps - first) as f64;
    let mut mean = vec![0.0; parameters.len()];
    let mut averaged = vec![vec![0.0; parameters.len()]; options.chains];
    for step in 0..steps {
        let network = family.network(&parameters);
        let moments = chains.run(family, &network, options.sweeps_per_step);
        if step >= first {
            add(&mut mean, &parameters, 1.0 / count);
            averaged.iter_mut().zip(&moments).for_each(|(sum, chain)| add(sum, chain, 1.0 / count));
        }
        let rate = RATE_AVERAGED * (1.0 + step as f64 / RATE_STEPS).powf(-0.6);
        take_step(family, &mut parameters, &residual(family, &moments), rate);
    }
    (mean, averaged)
}

fn take_step<F: Family>(family: &F, parameters: &mut [f64], residual: &[f64], rate: f64) {
    let mut change = family.precondition(residual);
    change.iter_mut().for_each(|x| *x *= rate);
    let largest = change.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    add(parameters, &change, if largest > CHANGE_MAX { CHANGE_MAX / largest } else { 1.0 });
}

/// Run on at the result: how large is the residual, how sure is that, and do chains agree?
fn check<F: Family>(
    family: &F,
    chains: &mut Chains,
    parameters: &[f64],
    averaged: &[Vec<f64>],
    options: &BoltzmannOptions,
    diagnostics: &mut BoltzmannDiagnostics,
) {
    let network: Network = family.network(parameters);
    let sweeps = options.sweeps_per_step * (options.steps / (4 * PIECES)).max(1);
    chains.run(family, &network, options.sweeps_per_step);
    let pieces: Vec<Vec<Vec<f64>>> = (0..PIECES).map(|_| chains.run(family, &network, sweeps)).collect();
    let n = parameters.len();
    let mean_of = |c: usize| {
        let mut mean = vec![0.0; n];
        pieces.iter().for_each(|piece| add(&mut mean, &piece[c], 1.0 / PIECES as f64));
        mean
    };
    let means: Vec<Vec<f64>> = (0..options.chains).map(mean_of).collect();
    let between = spread(&means);
    let mut within = vec![0.0; n];
    for c in 0..options.chains {
        let of_chain: Vec<Vec<f64>> = pieces.iter().map(|piece| piece[c].clone()).collect();
        add(&mut within, &spread(&of_chain), 1.0 / (options.chains as f64).powi(2));
    }
    let scaled = |variance: &[f64]| {
        root_mean_square(variance.iter().enumerate().map(|(a, v)| v.sqrt() / family.scale(a)))
    };
    let (between, within) = (scaled(&between), scaled(&within));
    let residual = residual(family, &means);
    let largest = residual.iter().enumerate().map(|(a, r)| r.abs() / family.scale(a)).fold(0.0, f64::max);
    // The parameters have an error, too, and with it their moments.
    let noise = between.hypot(scaled(&spread(averaged)));
    let size = scaled_size(family, &residual);
    let disagreement = if between > DISAGREEMENT_CUT * within {
        DISAGREEMENT_CUT
    } else if between == 0.0 {
        1.0
    } else {
        between / within
    };
    diagnostics.moment_residual = size;
    diagnostics.moment_residual_max = largest;
    diagnostics.monte_carlo_error = noise;
    diagnostics.chain_disagreement = disagreement;
    diagnostics.converged =
        size <= RESIDUAL_MAX * noise && noise <= options.moment_error_max && disagreement <= DISAGREEMENT_MAX;
}

impl Learnt {
    /// Variance of each parameter that stems from the finite chains: `F⁻¹` of the spread between them while averaging, with what stands for
    /// `F⁻¹` in the steps where there is no other.
    pub(super) fn parameter_variance<F: Family>(
        &self,
        family: &F,
        information: Option<&Information>,
    ) -> Vec<f64> {
        let solve = |x: &[f64]| information.map_or_else(|| family.precondition(x), |found| found.solve(x));
        let solved: Vec<Vec<f64>> = self.averaged.iter().map(|moments| solve(moments)).collect();
        spread(&solved)
    }
}

/// Data less the mean of the chains.
fn residual<F: Family>(family: &F, moments: &[Vec<f64>]) -> Vec<f64> {
    let mut residual = family.data().to_vec();
    moments.iter().for_each(|chain| add(&mut residual, chain, -1.0 / moments.len() as f64));
    residual
}

/// Squared standard error of the mean of rows, for each column.
fn spread(rows: &[Vec<f64>]) -> Vec<f64> {
    let count = rows.len() as f64;
    let mut mean = vec![0.0; rows[0].len()];
    rows.iter().for_each(|row| add(&mut mean, row, 1.0 / count));
    let mut variance = vec![0.0; mean.len()];
    for row in rows {
        let terms = variance.iter_mut().zip(row).zip(&mean);
        terms.for_each(|((variance, x), mean)| *variance += (x - mean).powi(2) / (count * (count - 1.0)));
    }
    variance
}

fn scaled_size<F: Family>(family: &F, residual: &[f64]) -> f64 {
    root_mean_square(residual.iter().enumerate().map(|(a, r)| r / family.scale(a)))
}

fn add(sum: &mut [f64], values: &[f64], factor: f64) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
}

/// `√(mean x²)`.
pub(super) fn root_mean_square(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    (values.map(|x| x * x).sum::<f64>() / count).sqrt()
}
