use super::super::Samples;
use super::super::kernels::{Sums, dot, pack};
use crate::regression::logistic::{exp_of_minus_abs, per_instruction_set};

/// Shares of the distinct configurations, and their features as sums.
pub(super) struct Problem<'a> {
    pub(super) sums: Sums<'a>,
    /// `f_c`.
    shares: Vec<f64>,
    /// `log f_c`.
    log_shares: Vec<f64>,
    /// `⟨O⟩_f`, in the order of features.
    observed: Vec<f64>,
}

/// Parameters with the weights and means they give.
#[derive(Debug, Clone)]
pub(super) struct Point {
    /// `w`.
    pub(super) parameters: Vec<f64>,
    /// `w·O_c`.
    pub(super) energies: Vec<f64>,
    /// `f̃_c`.
    pub(super) weights: Vec<f64>,
    /// `log Σ_c f_c exp((ε − 1) w·O_c)`.
    pub(super) log_sum: f64,
    /// `⟨O⟩_f̃`.
    pub(super) means: Vec<f64>,
}

impl Point {
    /// `ε w − ⟨O⟩_f̃`, the gradient of `F`.
    pub(super) fn gradient(&self, epsilon: f64) -> Vec<f64> {
        self.parameters.iter().zip(&self.means).map(|(w, mean)| epsilon * w - mean).collect()
    }

    /// Largest of the gradient.
    pub(super) fn residual(&self, epsilon: f64) -> f64 {
        largest(self.parameters.iter().zip(&self.means).map(|(w, mean)| epsilon * w - mean))
    }
}

impl<'a> Problem<'a> {
    pub(super) fn new(samples: &'a Samples, threads: usize) -> Self {
        let configurations = &samples.configurations;
        let bins = configurations.n_bins() as f64;
        let shares: Vec<f64> =
            configurations.multiplicities().iter().map(|&count| count as f64 / bins).collect();
        Self {
            sums: Sums::new(configurations, threads),
            log_shares: shares.iter().map(|share| share.ln()).collect(),
            shares,
            observed: pack(&samples.second_moments, &samples.magnetizations),
        }
    }

    pub(super) fn n_features(&self) -> usize {
        self.observed.len()
    }

    /// `⟨E⟩_f = −w·⟨O⟩_f`.
    pub(super) fn mean_energy(&self, parameters: &[f64]) -> f64 {
        -dot(parameters, &self.observed)
    }

    /// Hopfield's rule: the point of `ε = 1`.
    pub(super) fn hopfield(&self) -> Point {
        Point {
            parameters: self.observed.clone(),
            energies: self.sums.feature_sums(&self.observed),
            weights: self.shares.clone(),
            log_sum: 0.0,
            means: self.observed.clone(),
        }
    }

    /// `f̃` of the energies `energies + step · slopes` into `weights`; gives the log of their sum before they were made to sum to 1.
    pub(super) fn reweigh(
        &self,
        epsilon: f64,
        energies: &[f64],
        (step, slopes): (f64, &[f64]),
        weights: &mut Vec<f64>,
    ) -> f64 {
        let energies = energies.iter().zip(slopes).map(|(energy, slope)| energy + step * slope);
        weights.clear();
        weights
            .extend(self.log_shares.iter().zip(energies).map(|(log, energy)| log + (epsilon - 1.0) * energy));
        let top = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0;
        replace_by_exponentials(weights, top, &mut sum);
        weights.iter_mut().for_each(|weight| *weight /= sum);
        top + sum.ln()
    }

    /// Everything at some parameters: a full pass.
    pub(super) fn point(&self, epsilon: f64, parameters: Vec<f64>) -> Point {
        let energies = self.sums.feature_sums(&parameters);
        let mut weights = Vec::with_capacity(energies.len());
        let log_sum = self.reweigh(epsilon, &energies, (0.0, &energies), &mut weights);
        let means = self.sums.weighted_features(&weights);
        Point { parameters, energies, weights, log_sum, means }
    }

    /// The published iteration from zero, with the number of passes it took.
    pub(super) fn iterate(&self, epsilon: f64, rate: f64, tolerance: f64, iterations: u32) -> (Point, u32) {
        let mut point = self.point(epsilon, vec![0.0; self.n_features()]);
        let mut passes = 1_u32;
        for _ in 0..iterations {
            let gradient = point.gradient(epsilon);
            if largest(gradient.iter().copied()) <= tolerance {
                break;
            }
            let mut parameters = point.parameters;
            add(&mut parameters, -rate, &gradient);
            point = self.point(epsilon, parameters);
            passes = passes.saturating_add(1);
        }
        (point, passes)
    }
}

/// `target += factor · other`.
pub(super) fn add(target: &mut [f64], factor: f64, other: &[f64]) {
    target.iter_mut().zip(other).for_each(|(target, other)| *target += factor * other);
}

/// The largest magnitude; infinite when one of them is no number.
fn largest(values: impl Iterator<Item = f64>) -> f64 {
    let mut largest = 0.0_f64;
    for value in values {
        let value = value.abs();
        // Not `max`, which passes over what is no number.
        if value > largest {
            largest = value;
        } else if value.is_nan() {
            return f64::INFINITY;
        }
    }
    largest
}

/// Numbers side by side, and partial sums: fixed order, and not one long chain of additions.
const LANES: usize = 16;

#[inline(always)]
#[expect(clippy::eq_op, reason = "x - x is 0 for numbers alone")]
fn exponentials_body<const FMA: bool>(values: &mut [f64], top: f64, sum: &mut f64) {
    // `x − x` keeps what is no number: an exponential of it would be one.
    let exponential = |value: f64| exp_of_minus_abs::<FMA>(value - top) + (value - value);
    let (lanes, rest) = values.as_chunks_mut::<LANES>();
    let mut sums = [0.0; LANES];
    for lane in lanes {
        for k in 0..LANES {
            lane[k] = exponential(lane[k]);
            sums[k] += lane[k];
        }
    }
    *sum = sums.iter().sum();
    for value in rest {
        *value = exponential(*value);
        *sum += *value;
    }
}

per_instruction_set!(
    /// Replace every value by `exp(value − top)`, with `top` the largest; gives their sum. Below exp(−700) counts as that.
    fn replace_by_exponentials(values: &mut [f64], top: f64, sum: &mut f64) = exponentials_body
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_magnitude_of_no_numbers_is_infinite() {
        assert_eq!(largest([0.5, -2.0, 1.0].into_iter()), 2.0);
        assert_eq!(largest(std::iter::empty()), 0.0);
        for place in 0..3 {
            let mut values = [0.5, -2.0, 1.0];
            values[place] = f64::NAN;
            assert_eq!(largest(values.into_iter()), f64::INFINITY);
        }
        assert_eq!(largest([1.0, f64::NEG_INFINITY].into_iter()), f64::INFINITY);
    }

    #[test]
    fn exponentials_are_those_of_the_standard_library() {
        for function in [replace_by_exponentials, exponentials_body::<false>] {
            let before: Vec<f64> = (0..1003).map(|k| 3.0 - 0.61 * f64::from(k)).collect();
            let (mut values, mut sum) = (before.clone(), 0.0);
            function(&mut values, 3.0, &mut sum);
            for (value, before) in values.iter().zip(&before) {
                let expected = (before - 3.0).exp();
                assert!((value - expected).abs() <= 1e-15 * expected, "{before}");
            }
            assert!((sum - values.iter().sum::<f64>()).abs() < 1e-15 * sum);
            let mut values = [1.0, f64::NAN, 0.0];
            function(&mut values, 1.0, &mut sum);
            assert!(sum.is_nan() && values[1].is_nan());
        }
    }
}
