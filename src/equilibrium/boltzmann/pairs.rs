use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};
use ndarray::{Array1, Array2, CowArray};

use super::chains::{Family, Network};
use crate::equilibrium::Samples;
use crate::moments::threads::map;
use crate::simulate::{GibbsChain, InputRows};

/// Added to the diagonal of the covariance, relative to it, so that it has an inverse.
const RIDGE: f64 = 0.05;
/// Largest `√(Σ_j J_ij²)` of the start.
const START_NORM_MAX: f64 = 0.8;

/// A field for every neuron and a coupling for every pair. Parameters: `h_0 … h_{n−1}, J_01, J_02, …, J_12, …`.
pub(super) struct Pairs {
    n: usize,
    data: Vec<f64>,
    magnetizations: Array1<f64>,
    /// `C⁻¹`, a little ridged.
    inverse: Array2<f64>,
    /// For each pair: how much smaller its own step must be than that of Gaussian variables with the same covariance.
    caution: Array2<f64>,
    start: Vec<f64>,
    /// Pairs `i < j` one of whose four states never occurs.
    separated: Vec<(usize, usize)>,
}

impl Pairs {
    pub(super) fn of(samples: &Samples) -> Self {
        let (m, q) = (&samples.magnetizations, &mut samples.second_moments.clone());
        let separated = fill_empty_states(samples, q);
        let q = &*q;
        let n = samples.n();
        let covariance = Array2::from_shape_fn((n, n), |(i, j)| q[[i, j]] - m[i] * m[j]);
        let mut family = Self {
            n,
            data: Vec::new(),
            magnetizations: m.clone(),
            inverse: inverse(&covariance),
            caution: Array2::from_shape_fn((n, n), |(i, j)| caution(m[i], m[j], q[[i, j]])),
            start: Vec::new(),
            separated,
        };
        family.data = family.join(m, q);
        family.start = independent_pairs(&family, q, samples.n_bins() as f64);
        family
    }

    pub(super) fn start(&self) -> Vec<f64> {
        self.start.clone()
    }

    /// Pairs `i < j` one of whose four states never occurs, increasing.
    pub(super) fn separated(&self) -> &[(usize, usize)] {
        &self.separated
    }

    /// One vector of values of neurons and of pairs.
    pub(super) fn join(&self, neurons: &Array1<f64>, pairs: &Array2<f64>) -> Vec<f64> {
        let upper = (0..self.n).flat_map(|i| (i + 1..self.n).map(move |j| (i, j)));
        neurons.iter().copied().chain(upper.map(|(i, j)| pairs[[i, j]])).collect()
    }

    /// The other way: values of neurons, and of pairs as a symmetric matrix with a diagonal of zeros.
    pub(super) fn split(&self, joined: &[f64]) -> (Array1<f64>, Array2<f64>) {
        let (neurons, upper) = joined.split_at(self.n);
        let mut pairs = Array2::zeros((self.n, self.n));
        let mut upper = upper.iter();
        for i in 0..self.n {
            for (j, value) in (i + 1..self.n).zip(upper.by_ref()) {
                pairs[[i, j]] = *value;
                pairs[[j, i]] = *value;
            }
        }
        (Array1::from(neurons.to_vec()), pairs)
    }
}

impl Family for Pairs {
    fn data(&self) -> &[f64] {
        &self.data
    }

    fn scale(&self, _: usize) -> f64 {
        1.0
    }

    fn network(&self, parameters: &[f64]) -> Network {
        let (fields, couplings) = self.split(parameters);
        Network { rows: InputRows::Dense(CowArray::from(couplings)), fields }
    }

    fn run(&self, chain: &mut GibbsChain, network: &Network, sweeps: usize) -> Vec<f64> {
        let n = self.n;
        let mut differing = vec![0u64; n * (n + 1) / 2];
        let mut left = sweeps;
        let mut columns = vec![0u64; n];
        while left > 0 {
            let count = left.min(64);
            columns.fill(0);
            for k in 0..count {
                chain.sweep(&network.rows, 1.0);
                columns.iter_mut().zip(chain.spins()).for_each(|(c, &fires)| *c |= u64::from(fires) << k);
            }
            // A neuron that fires differs from one that never does.
            let (own, pairs) = differing.split_at_mut(n);
            own.iter_mut()
                .zip(&columns)
                .for_each(|(sum, column)| *sum += u64::from((!column << (64 - count)).count_ones()));
            let mut pairs = pairs.iter_mut();
            for (i, column) in columns.iter().enumerate() {
                let others = pairs.by_ref().zip(&columns[i + 1..]);
                others.for_each(|(sum, other)| *sum += u64::from((column ^ other).count_ones()));
            }
            left -= count;
        }
        differing.iter().map(|&differing| sweeps as f64 - 2.0 * differing as f64).collect()
    }

    fn starts_close(&self) -> bool {
        false
    }

    /// For Gaussian variables `δ_i = s_i − m_i` with covariance C, `cov(δ_i δ_j, δ_k δ_l) = C_ik C_jl + C_il C_jk`, whose inverse takes
    /// a residual R to `C⁻¹ R C⁻¹`. Fields are those of the δ, and `h_i = θ_i − Σ_j J_ij m_j`.
    fn precondition(&self, residual: &[f64]) -> Vec<f64> {
        let m = &self.magnetizations;
        let (first, mut second) = self.split(residual);
        for i in 0..self.n {
            for j in 0..self.n {
                let centred = second[[i, j]] - m[i] * first[j] - m[j] * first[i];
                second[[i, j]] = if i == j { 0.0 } else { self.caution[[i, j]] * centred };
            }
        }
        let mut couplings = self.inverse.dot(&second).dot(&self.inverse) * &self.caution;
        couplings.diag_mut().fill(0.0);
        let fields = self.inverse.dot(&first) - couplings.dot(m);
        self.join(&fields, &couplings)
    }

    fn covariance(&self, configurations: &[Vec<bool>], threads: usize) -> Vec<Vec<f64>> {
        let operators = self.operators(configurations);
        let count = configurations.len() as f64;
        let mean = |words: &[u64]| 1.0 - 2.0 * ones(words.iter().copied()) / count;
        let means: Vec<f64> = operators.iter().map(|words| mean(words)).collect();
        let row = |a: usize| -> Vec<f64> {
            let product = |b: usize| {
                let differing = operators[a].iter().zip(&operators[b]).map(|(x, y)| x ^ y);
                1.0 - 2.0 * ones(differing) / count - means[a] * means[b]
            };
            (0..=a).map(product).collect()
        };
        map(threads, operators.len(), row)
    }
}

impl Pairs {
    /// Each operator over the configurations, a bit each: 1 where it is −1.
    fn operators(&self, configurations: &[Vec<bool>]) -> Vec<Vec<u64>> {
        let pack = |i: usize| -> Vec<u64> {
            let word = |piece: &[Vec<bool>]| {
                piece.iter().enumerate().fold(0, |word, (k, spins)| word | u64::from(!spins[i]) << k)
            };
            configurations.chunks(64).map(word).collect()
        };
        let mut operators: Vec<Vec<u64>> = (0..self.n).map(pack).collect();
        for i in 0..self.n {
            for j in i + 1..self.n {
                operators.push(operators[i].iter().zip(&operators[j]).map(|(a, b)| a ^ b).collect());
            }
        }
        operators
    }
}

/// Pairs one of whose four states never occurs; that state is given `e / (1 + 2 e)` bins, `e` those it would have were the two independent:
/// the mean of a Poisson rate that has not been seen at all, whose distribution before was the gamma distribution of mean `e` and shape ½. It
/// is at most half a bin, and never more than independence.
pub(super) fn fill_empty_states(samples: &Samples, second_moments: &mut Array2<f64>) -> Vec<(usize, usize)> {
    let counts: Vec<f64> =
        samples.configurations.multiplicities().iter().map(|&count| count as f64).collect();
    // Integers below 2⁵³: exact.
    let both = samples.configurations.active_sums(&counts);
    let bins = samples.n_bins() as f64;
    let mut separated = Vec::new();
    for i in 0..samples.n() {
        for j in i + 1..samples.n() {
            let (a, b, ab) = (both[[i, i]], both[[j, j]], both[[i, j]]);
            let (c, d) = (bins - a, bins - b);
            // Bins, those expected, and whether the two are alike in this state.
            let states =
                [(ab, a * b, 1.0), (a - ab, a * d, -1.0), (b - ab, c * b, -1.0), (c - b + ab, c * d, 1.0)];
            for (_, expected, alike) in states.into_iter().filter(|(found, _, _)| *found == 0.0) {
                let expected = expected / bins;
                // With the numbers of spikes as they are, all four states change by as many bins.
                second_moments[[i, j]] += alike * 4.0 * expected / (1.0 + 2.0 * expected) / bins;
                second_moments[[j, i]] = second_moments[[i, j]];
                if separated.last() != Some(&(i, j)) {
                    separated.push((i, j));
                }
            }
        }
    }
    separated
}

fn ones(words: impl Iterator<Item = u64>) -> f64 {
    words.map(|word| u64::from(word.count_ones())).sum::<u64>() as f64
}

/// `(C + λ diag C)⁻¹`; the diagonal alone should even that be singular to rounding.
fn inverse(covariance: &Array2<f64>) -> Array2<f64> {
    let n = covariance.nrows();
    let ridged = Mat::from_fn(n, n, |i, j| covariance[[i, j]] * if i == j { 1.0 + RIDGE } else { 1.0 });
    match ridged.llt(Side::Lower) {
        Ok(factor) => {
            let inverse = factor.inverse();
            Array2::from_shape_fn((n, n), |(i, j)| inverse[(i, j)])
        }
        Err(_) => Array2::from_diag(&covariance.diag().mapv(|c| 1.0 / c)),
    }
}

/// `min(1, √(Gaussian variance of δ_i δ_j / its variance))`: where neurons are rarely active, the products vary far more.
fn caution(m: f64, n: f64, q: f64) -> f64 {
    let c = q - m * n;
    let (a, b) = (1.0 + m * m, 1.0 + n * n);
    // (s − m)² = 1 + m² − 2 m s.
    let second = a * b - 2.0 * a * n * n - 2.0 * b * m * m + 4.0 * m * n * q;
    let gaussian = (1.0 - m * m) * (1.0 - n * n) + c * c;
    let variance = second - c * c;
    if variance > gaussian { (gaussian / variance).sqrt() } else { 1.0 }
}

/// The couplings each pair would have alone, `¼ ln (p₊₊ p₋₋ / p₊₋ p₋₊)` with half a bin added to each count, made smaller where a neuron
/// would have too much input; fields of naive mean field.
fn independent_pairs(family: &Pairs, q: &Array2<f64>, bins: f64) -> Vec<f64> {
    let m = &family.magnetizations;
    let n = family.n;
    let mut couplings = Array2::zeros((n, n));
    for i in 0..n {
        for j in (0..n).filter(|&j| j != i) {
            let count = |s: f64, t: f64| 0.25 * bins * (1.0 + s * m[i] + t * m[j] + s * t * q[[i, j]]) + 0.5;
            couplings[[i, j]] =
                0.25 * (count(1.0, 1.0) * count(-1.0, -1.0) / (count(1.0, -1.0) * count(-1.0, 1.0))).ln();
        }
    }
    let norm = |i: usize| couplings.row(i).dot(&couplings.row(i)).sqrt();
    let factors: Array1<f64> =
        (0..n).map(|i| (START_NORM_MAX / norm(i).max(f64::MIN_POSITIVE)).min(1.0)).collect();
    let couplings = Array2::from_shape_fn((n, n), |(i, j)| couplings[[i, j]] * factors[i].min(factors[j]));
    let fields = m.mapv(f64::atanh) - couplings.dot(m);
    family.join(&fields, &couplings)
}
