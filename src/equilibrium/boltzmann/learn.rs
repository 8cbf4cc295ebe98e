use std::ops::Range;

use super::BoltzmannOptions;
use super::chains::{Chains, Family, Network};
use super::information::{Information, Sampled};
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
    pub(super) diagnostics: BoltzmannDiagnostics,
    /// Fisher information; `None` where it is singular or too large to sample.
    pub(super) information: Option<Information>,
    /// Variance of each parameter that stems from the finite chains: `F⁻¹` of the spread between them while averaging.
    pub(super) chain_variance: Vec<f64>,
    /// Parameter updates it took.
    pub(super) steps: u32,
}

/// Learn from `start`.
pub(super) fn learn<F: Family>(family: &F, start: Vec<f64>, options: &BoltzmannOptions) -> Learnt {
    let network = family.network(&start);
    let chains = Chains::new(&network, options.chains, options.seed, options.threads);
    let mut learning = Learning { family, options, chains, sampled: None };
    // From a random configuration to a typical one.
    learning.chains.run(family, &network, options.sweeps_per_step);
    if family.starts_close() {
        learning.sample(&start);
    }
    let third = options.steps / 3;
    let (mut parameters, used) = learning.approach(start, third);
    learning.sample(&parameters);
    let mut more = 0;
    if used == third {
        // Not there yet: as many steps again, or twice, with what the Fisher information is by now.
        (parameters, more) = learning.approach(parameters, 2 * third);
        learning.sample(&parameters);
    }
    let steps = options.steps - used;
    let first = steps / 3;
    learning.average(&mut parameters, 0..first);
    learning.sample(&parameters);
    let (parameters, averaged) = learning.average(&mut parameters, first..steps);
    let (diagnostics, chain_variance) = learning.check(&parameters, &averaged);
    let information = learning.sampled.and_then(|sampled| sampled.for_errors);
    let steps = (options.steps + more) as u32;
    Learnt { parameters, diagnostics, information, chain_variance, steps }
}

struct Learning<'a, F> {
    family: &'a F,
    options: &'a BoltzmannOptions,
    chains: Chains,
    sampled: Option<Sampled>,
}

impl<F: Family> Learning<'_, F> {
    /// Sample the Fisher information here, where that is affordable.
    fn sample(&mut self, parameters: &[f64]) {
        if parameters.len() <= BoltzmannOptions::INFORMATION_PARAMETERS_MAX {
            let network = self.family.network(parameters);
            self.sampled = Some(Sampled::of(self.family, &mut self.chains, &network, self.options));
        }
    }

    /// `F⁻¹` times a residual, as far as it is known.
    fn solve(&self, residual: &[f64]) -> Vec<f64> {
        let sampled = self.sampled.as_ref().and_then(|s| s.for_errors.as_ref().or(s.for_steps.as_ref()));
        sampled.map_or_else(|| self.family.precondition(residual), |information| information.solve(residual))
    }

    /// The moments of each chain, at these parameters.
    fn moments(&mut self, parameters: &[f64]) -> Vec<Vec<f64>> {
        let network = self.family.network(parameters);
        self.chains.run(self.family, &network, self.options.sweeps_per_step)
    }

    fn take_step(&self, parameters: &mut [f64], residual: &[f64], rate: f64) {
        let sampled = self.sampled.as_ref().and_then(|sampled| sampled.for_steps.as_ref());
        let mut change = sampled
            .map_or_else(|| self.family.precondition(residual), |information| information.solve(residual));
        change.iter_mut().for_each(|x| *x *= rate);
        let largest = change.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
        add(parameters, &change, if largest > CHANGE_MAX { CHANGE_MAX / largest } else { 1.0 });
    }

    /// Steps of a size that adapts, until the residual is near its noise or they are used up.
    fn approach(&mut self, start: Vec<f64>, steps: usize) -> (Vec<f64>, usize) {
        let mut parameters = start;
        let mut kept: Option<(Vec<f64>, f64)> = None;
        let mut rate = RATE_MAX / 2.0;
        for step in 0..steps {
            let moments = self.moments(&parameters);
            let residual = residual(self.family, &moments);
            let (size, noise) = (self.size(&residual), self.noise(&moments));
            if size < 1.5 * noise {
                return (parameters, step + 1);
            }
            match &mut kept {
                Some((before, size_before)) if size > 1.2 * *size_before + 2.0 * noise => {
                    // What is kept counts for less with each try, so that one lucky residual does not hold the approach up for ever.
                    *size_before *= 1.1;
                    rate = (rate / 2.0).max(0.01);
                    parameters.clone_from(before);
                }
                _ => {
                    kept = Some((parameters.clone(), size));
                    rate = (rate * 1.1).min(RATE_MAX);
                    self.take_step(&mut parameters, &residual, rate);
                }
            }
        }
        (parameters, steps)
    }

    /// Steps with decreasing rates; the mean of the parameters and of the chains' moments.
    fn average(&mut self, parameters: &mut [f64], steps: Range<usize>) -> (Vec<f64>, Vec<Vec<f64>>) {
        let share = 1.0 / steps.len().max(1) as f64;
        let mut mean = vec![0.0; parameters.len()];
        let mut averaged = vec![vec![0.0; parameters.len()]; self.options.chains];
        for step in steps {
            let moments = self.moments(parameters);
            add(&mut mean, parameters, share);
            averaged.iter_mut().zip(&moments).for_each(|(sum, chain)| add(sum, chain, share));
            let rate = RATE_AVERAGED * (1.0 + step as f64 / RATE_STEPS).powf(-0.6);
            self.take_step(parameters, &residual(self.family, &moments), rate);
        }
        (mean, averaged)
    }

    /// Run on at the result: how large is the residual, how sure is that, and do chains agree? With it, the variance of each parameter that
    /// stems from finite chains.
    fn check(&mut self, parameters: &[f64], averaged: &[Vec<f64>]) -> (BoltzmannDiagnostics, Vec<f64>) {
        let (family, options) = (self.family, self.options);
        let network: Network = family.network(parameters);
        let sweeps = options.sweeps_per_step * (options.steps / (4 * PIECES)).max(1);
        self.chains.run(family, &network, options.sweeps_per_step);
        // Mean of each chain, and the sum of squared differences from it, piece after piece (Welford 1962).
        let mut means = vec![vec![0.0; parameters.len()]; options.chains];
        let mut squares = vec![0.0; parameters.len()];
        for piece in 1..=PIECES {
            let moments = self.chains.run(family, &network, sweeps);
            for (mean, moments) in means.iter_mut().zip(&moments) {
                for ((mean, square), x) in mean.iter_mut().zip(&mut squares).zip(moments) {
                    let before = x - *mean;
                    *mean += before / piece as f64;
                    *square += before * (x - *mean);
                }
            }
        }
        // Squared standard error of the mean over chains, were they of one kind.
        let share = 1.0 / ((PIECES * (PIECES - 1)) as f64 * (options.chains as f64).powi(2));
        squares.iter_mut().for_each(|square| *square *= share);
        let (between, within) = (self.noise(&means), self.scaled(&squares));
        let residual = residual(family, &means);
        let size = self.size(&residual);
        // The parameters have an error, too, and with it their moments.
        let noise = between.hypot(self.noise(averaged));

        let solved = |rows: &[Vec<f64>]| spread(&rows.iter().map(|row| self.solve(row)).collect::<Vec<_>>());
        let chain_variance = solved(averaged);
        let error = |variance: &[f64]| root_mean_square(variance.iter().map(|v| v.sqrt()));
        let parameter_error = error(&chain_variance);
        let off = root_mean_square(self.solve(&residual).into_iter());
        let is_noise = size <= RESIDUAL_MAX * noise
            && off <= RESIDUAL_MAX * parameter_error.hypot(error(&solved(&means)));

        let disagreement = match between {
            0.0 => 1.0,
            _ if between > DISAGREEMENT_CUT * within => DISAGREEMENT_CUT,
            _ => between / within,
        };
        let diagnostics = BoltzmannDiagnostics {
            chains: options.chains as u32,
            sweeps: self.chains.sweeps,
            moment_residual: size,
            moment_residual_max: residual
                .iter()
                .enumerate()
                .map(|(a, r)| r.abs() / family.scale(a))
                .fold(0.0, f64::max),
            monte_carlo_error: noise,
            parameter_error,
            chain_disagreement: disagreement,
            converged: is_noise && noise <= options.moment_error_max && disagreement <= DISAGREEMENT_MAX,
        };
        (diagnostics, chain_variance)
    }

    /// Root mean square of a residual, each moment on its scale.
    fn size(&self, residual: &[f64]) -> f64 {
        root_mean_square(residual.iter().enumerate().map(|(a, r)| r / self.family.scale(a)))
    }

    /// Root mean square Monte Carlo error of the mean over chains.
    fn noise(&self, moments: &[Vec<f64>]) -> f64 {
        self.scaled(&spread(moments))
    }

    fn scaled(&self, variance: &[f64]) -> f64 {
        root_mean_square(variance.iter().enumerate().map(|(a, v)| v.sqrt() / self.family.scale(a)))
    }
}

/// Data less the mean of the chains.
fn residual<F: Family>(family: &F, moments: &[Vec<f64>]) -> Vec<f64> {
    let model = mean(moments.iter().map(Vec::as_slice));
    family.data().iter().zip(&model).map(|(data, model)| data - model).collect()
}

/// Squared standard error of the mean of rows, for each column.
fn spread(rows: &[Vec<f64>]) -> Vec<f64> {
    let count = rows.len() as f64;
    let mean = mean(rows.iter().map(Vec::as_slice));
    let mut variance = vec![0.0; mean.len()];
    for row in rows {
        let terms = variance.iter_mut().zip(row).zip(&mean);
        terms.for_each(|((variance, x), mean)| *variance += (x - mean).powi(2) / (count * (count - 1.0)));
    }
    variance
}

fn mean<'a>(rows: impl ExactSizeIterator<Item = &'a [f64]>) -> Vec<f64> {
    let share = 1.0 / rows.len().max(1) as f64;
    let mut mean = Vec::new();
    for row in rows {
        mean.resize(row.len(), 0.0);
        add(&mut mean, row, share);
    }
    mean
}

fn add(sum: &mut [f64], values: &[f64], factor: f64) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
}

/// `√(mean x²)`.
fn root_mean_square(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    (values.map(|x| x * x).sum::<f64>() / count).sqrt()
}
