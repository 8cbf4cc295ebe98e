//! Sums over configurations: energies of each, and moments under any weights.
//!
//! With `x_i = 1` for an active neuron and 0 otherwise, every energy is a quadratic form `Σ_{j≤i} Q_ij x_i x_j` and every moment a sum
//! `Σ_c w_c x_i x_j`. Both are taken block by block of configurations: over pairs of active neurons where those are few, as products of
//! matrices where they are not. No array has more than `128 n` or `n²` entries per thread, or one per configuration.

use std::ops::Range;

use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatMut, MatRef, Par};
use ndarray::{Array1, Array2};

use super::Configurations;
use crate::moments::threads;

/// Configurations that are worked on at once.
const BLOCK: usize = 128;
/// Sums are taken over at most so many stretches of configurations and then added in their order, whatever the number of threads.
const STRETCHES_MAX: usize = 8;
/// Cost of a sum per pair of active neurons of a configuration (an estimate), and per pair of all neurons as a product of matrices (5 to
/// 7.5 · 10¹⁰ operations per second of one core with AVX-512 at n = 100), nanoseconds. Only speed depends on them.
const SPARSE_PAIR_NS: f64 = 0.6;
const DENSE_PAIR_NS: f64 = 0.04;
/// Cost per pair of all neurons of clearing and adding the sums of one more stretch, nanoseconds (an estimate).
const STRETCH_PAIR_NS: f64 = 1.0;
/// Below so many nanoseconds of work a thread costs more than it does.
const THREAD_NS: f64 = 4e5;

impl Configurations {
    /// `Σ_c w_c x_i x_j` with `x_i = 1` for an active neuron and 0 otherwise, shape `(n, n)`, symmetric; `Σ_c w_c x_i` on the diagonal.
    /// `weights`: one `w_c` for each distinct configuration.
    ///
    /// # Panics
    /// With fewer weights than distinct configurations.
    #[must_use]
    pub fn active_sums(&self, weights: &[f64]) -> Array2<f64> {
        symmetric(self.n_neurons(), &Sums::new(self, 1).active_sums(weights))
    }

    /// `(Σ_c w_c s_i, Σ_c w_c s_i s_j)`, shapes `(n)` and `(n, n)`, with `Σ_c w_c` on the diagonal of the latter. `weights`: one `w_c` for
    /// each distinct configuration.
    ///
    /// # Panics
    /// With fewer weights than distinct configurations.
    #[must_use]
    pub fn weighted_moments(&self, weights: &[f64]) -> (Array1<f64>, Array2<f64>) {
        let total: f64 = weights.iter().sum();
        let sums = self.active_sums(weights);
        let first = sums.diag().mapv(|own| 2.0 * own - total);
        let second = Array2::from_shape_fn(sums.dim(), |(i, j)| {
            if i == j { total } else { 4.0 * sums[[i, j]] - 2.0 * sums[[i, i]] - 2.0 * sums[[j, j]] + total }
        });
        (first, second)
    }

    /// `−E(s) = Σ_i h_i s_i + Σ_{i<j} J_ij s_i s_j` of every distinct configuration, with symmetric `couplings` of shape `(n, n)`, zero on
    /// the diagonal, and `fields` of shape `(n)`.
    ///
    /// # Panics
    /// With couplings or fields of fewer neurons.
    #[must_use]
    pub fn minus_energies(&self, couplings: &Array2<f64>, fields: &Array1<f64>) -> Vec<f64> {
        let n = self.n_neurons();
        let mut form = vec![0.0; n * n];
        for i in 0..n {
            (0..i).for_each(|j| form[i * n + j] = 4.0 * couplings[[i, j]]);
            form[i * n + i] = 2.0 * (fields[i] - couplings.row(i).sum());
        }
        let constant = 0.5 * couplings.sum() - fields.sum();
        let mut energies = Sums::new(self, 1).quadratic_forms(&form);
        energies.iter_mut().for_each(|energy| *energy += constant);
        energies
    }
}

/// `s_i` and `s_i s_j` (`j < i`) of a model or a mean, in the order `s_0 … s_{n−1}, s_1 s_0, s_2 s_0, s_2 s_1, …`.
pub(super) fn n_features(n: usize) -> usize {
    n + n * n.saturating_sub(1) / 2
}

/// Fields and couplings in the order of features.
pub(super) fn pack(couplings: &Array2<f64>, fields: &Array1<f64>) -> Vec<f64> {
    let pairs = (0..fields.len()).flat_map(|i| (0..i).map(move |j| couplings[[i, j]]));
    fields.iter().copied().chain(pairs).collect()
}

/// The reverse of [`pack`]: `(couplings, fields)`, zero on the diagonal.
pub(super) fn unpack(n: usize, features: &[f64]) -> (Array2<f64>, Array1<f64>) {
    let mut couplings = Array2::zeros((n, n));
    let (fields, mut pairs) = features.split_at(n);
    for i in 0..n {
        let (row, rest) = pairs.split_at(i);
        for (j, &value) in row.iter().enumerate() {
            couplings[[i, j]] = value;
            couplings[[j, i]] = value;
        }
        pairs = rest;
    }
    (couplings, fields.iter().copied().collect())
}

/// How sums over some configurations are taken. No result depends on the number of threads.
#[derive(Debug, Clone)]
pub(super) struct Sums<'a> {
    configurations: &'a Configurations,
    pub(super) threads: usize,
    /// Of each block: whether products of matrices cost less than pairs of active neurons.
    dense: Vec<bool>,
    /// Stretches that sums are taken over, 1 to [`STRETCHES_MAX`]: few where each would have little to do.
    stretches: usize,
    /// What one sum over all configurations costs, nanoseconds of one core.
    pub(super) cost_ns: f64,
}

impl<'a> Sums<'a> {
    pub(super) fn new(configurations: &'a Configurations, threads: usize) -> Self {
        Self::with(configurations, threads, None)
    }

    /// With `dense`, all blocks the one way or the other.
    fn with(configurations: &'a Configurations, threads: usize, forced: Option<bool>) -> Self {
        let n = configurations.n_neurons() as f64;
        let (mut dense, mut cost_ns) = (Vec::new(), 0.0);
        for block in blocks(0..configurations.len()) {
            let pairs: usize = block
                .clone()
                .map(|c| {
                    let active = configurations.active(c).len();
                    active * (active + 1) / 2
                })
                .sum();
            let (by_pairs, by_products) =
                (SPARSE_PAIR_NS * pairs as f64, DENSE_PAIR_NS * block.len() as f64 * n * n);
            dense.push(forced.unwrap_or(by_products < by_pairs));
            cost_ns += by_pairs.min(by_products);
        }
        // Not by the number of threads: the order of additions would depend on it.
        let stretches = (cost_ns / (2.0 * STRETCH_PAIR_NS * n * n)) as usize;
        Self { configurations, threads, dense, stretches: stretches.clamp(1, STRETCHES_MAX), cost_ns }
    }

    /// The same sums on one thread.
    pub(super) fn on_one_thread(&self) -> Self {
        Self { threads: 1, ..self.clone() }
    }

    /// `Σ_i w_i O_i` of every configuration, with `O` the features.
    pub(super) fn feature_sums(&self, parameters: &[f64]) -> Vec<f64> {
        let n = self.configurations.n_neurons();
        let (fields, mut pairs) = parameters.split_at(n);
        let mut form = vec![0.0; n * n];
        let (mut row_sums, mut constant) = (vec![0.0; n], -fields.iter().sum::<f64>());
        for i in 0..n {
            let (row, rest) = pairs.split_at(i);
            let (earlier, own) = row_sums.split_at_mut(i);
            let of_row = form[i * n..].iter_mut().zip(row).zip(earlier);
            for ((form, &coupling), sum) in of_row {
                *form = 4.0 * coupling;
                *sum += coupling;
                own[0] += coupling;
            }
            constant += own[0];
            pairs = rest;
        }
        (0..n).for_each(|i| form[i * n + i] = 2.0 * (fields[i] - row_sums[i]));
        let mut sums = self.quadratic_forms(&form);
        sums.iter_mut().for_each(|sum| *sum += constant);
        sums
    }

    /// `Σ_c w_c O(c)`, in the order of features.
    pub(super) fn weighted_features(&self, weights: &[f64]) -> Vec<f64> {
        let n = self.configurations.n_neurons();
        let total: f64 = weights.iter().sum();
        let sums = self.active_sums(weights);
        let own: Vec<f64> = (0..n).map(|i| sums[i * n + i]).collect();
        let mut features = Vec::with_capacity(n_features(n));
        features.extend(own.iter().map(|own| 2.0 * own - total));
        for i in 0..n {
            let (row, rest) = (&sums[i * n..][..i], total - 2.0 * own[i]);
            features.extend(row.iter().zip(&own).map(|(both, own)| 4.0 * both - 2.0 * own + rest));
        }
        features
    }

    /// `Σ_{j≤i} Q_ij x_i x_j` of every configuration; `form` is `Q` row by row, zero above the diagonal.
    fn quadratic_forms(&self, form: &[f64]) -> Vec<f64> {
        let of_stretch = |stretch: usize| {
            let stretch = self.stretch(stretch);
            let mut values = Vec::with_capacity(stretch.len());
            let mut tile = Tile::new(self.configurations.n_neurons());
            for block in blocks(stretch) {
                if self.dense[block.start / BLOCK] {
                    tile.quadratic_forms(self.configurations, block, form, &mut values);
                } else {
                    values.extend(block.map(|c| sparse_form(self.configurations.active(c), form, tile.n)));
                }
            }
            values
        };
        threads::map(self.useful_threads(), self.stretches, of_stretch).concat()
    }

    /// `Σ_c w_c x_i x_j` for `j ≤ i`, row by row, shape `(n, n)`; what stands above the diagonal means nothing.
    fn active_sums(&self, weights: &[f64]) -> Vec<f64> {
        let n = self.configurations.n_neurons();
        let of_stretch = |stretch: usize| {
            let stretch = self.stretch(stretch);
            let mut sums = vec![0.0; if stretch.is_empty() { 0 } else { n * n }];
            let mut tile = Tile::new(n);
            for block in blocks(stretch) {
                if weights[block.clone()].iter().all(|&weight| weight == 0.0) {
                    continue;
                }
                if self.dense[block.start / BLOCK] {
                    tile.add_active_sums(self.configurations, block, weights, &mut sums);
                } else {
                    block.for_each(|c| add_sparse(self.configurations.active(c), weights[c], &mut sums, n));
                }
            }
            sums
        };
        let mut parts = threads::map(self.useful_threads(), self.stretches, of_stretch).into_iter();
        let mut sums = parts.next().filter(|sums| !sums.is_empty()).unwrap_or_else(|| vec![0.0; n * n]);
        for part in parts {
            sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
        }
        sums
    }

    fn useful_threads(&self) -> usize {
        self.threads.min((self.cost_ns / THREAD_NS) as usize).max(1)
    }

    /// Whole blocks, as even as they can be.
    fn stretch(&self, stretch: usize) -> Range<usize> {
        let edge = |k: usize| (k * self.dense.len() / self.stretches * BLOCK).min(self.configurations.len());
        edge(stretch)..edge(stretch + 1)
    }
}

fn blocks(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(BLOCK).map(move |start| start..(start + BLOCK).min(end))
}

fn sparse_form(active: &[u16], form: &[f64], n: usize) -> f64 {
    let mut value = 0.0;
    for (k, &i) in active.iter().enumerate() {
        let row = &form[usize::from(i) * n..][..n];
        value += active[..=k].iter().map(|&j| row[usize::from(j)]).sum::<f64>();
    }
    value
}

fn add_sparse(active: &[u16], weight: f64, sums: &mut [f64], n: usize) {
    for (k, &i) in active.iter().enumerate() {
        let row = &mut sums[usize::from(i) * n..][..n];
        active[..=k].iter().for_each(|&j| row[usize::from(j)] += weight);
    }
}

/// A block of configurations as matrices.
struct Tile {
    n: usize,
    /// `x`, shape `(n, BLOCK)`: a column is a configuration.
    activity: Mat<f64>,
    /// `Q x` or `w x`, shape `(n, BLOCK)`.
    product: Mat<f64>,
}

impl Tile {
    fn new(n: usize) -> Self {
        Self { n, activity: Mat::new(), product: Mat::new() }
    }

    fn lay_out(&mut self, configurations: &Configurations, block: Range<usize>) {
        if self.activity.ncols() == 0 {
            self.activity = Mat::zeros(self.n, BLOCK);
            self.product = Mat::zeros(self.n, BLOCK);
        }
        for (column, c) in block.enumerate() {
            let column = self.activity.col_as_slice_mut(column);
            column.fill(0.0);
            configurations.active(c).iter().for_each(|&i| column[usize::from(i)] = 1.0);
        }
    }

    fn quadratic_forms(
        &mut self,
        configurations: &Configurations,
        block: Range<usize>,
        form: &[f64],
        values: &mut Vec<f64>,
    ) {
        let columns = block.len();
        self.lay_out(configurations, block);
        triangular::matmul(
            self.product.as_mut().subcols_mut(0, columns),
            BlockStructure::Rectangular,
            Accum::Replace,
            // Rows of the lower triangle are columns of the upper one, and the form of the transpose is the same.
            MatRef::from_column_major_slice(form, self.n, self.n),
            BlockStructure::TriangularUpper,
            self.activity.as_ref().subcols(0, columns),
            BlockStructure::Rectangular,
            1.0,
            Par::Seq,
        );
        values.extend((0..columns).map(|c| dot(self.activity.col_as_slice(c), self.product.col_as_slice(c))));
    }

    fn add_active_sums(
        &mut self,
        configurations: &Configurations,
        block: Range<usize>,
        weights: &[f64],
        sums: &mut [f64],
    ) {
        let columns = block.len();
        self.lay_out(configurations, block.clone());
        for (column, weight) in weights[block].iter().enumerate() {
            let weighted = self.product.col_as_slice_mut(column).iter_mut();
            weighted.zip(self.activity.col_as_slice(column)).for_each(|(product, x)| *product = x * weight);
        }
        triangular::matmul(
            MatMut::from_column_major_slice_mut(sums, self.n, self.n),
            BlockStructure::TriangularUpper,
            Accum::Add,
            self.activity.as_ref().subcols(0, columns),
            BlockStructure::Rectangular,
            self.product.as_ref().subcols(0, columns).transpose(),
            BlockStructure::Rectangular,
            1.0,
            Par::Seq,
        );
    }
}

/// `a·b`.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Eight partial sums: fixed order, and not one long chain of additions.
    let ((a8, a_rest), (b8, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a8.iter().zip(b8) {
        for k in 0..8 {
            sums[k] += a[k] * b[k];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// Of the rows of the lower triangle.
fn symmetric(n: usize, lower: &[f64]) -> Array2<f64> {
    Array2::from_shape_fn((n, n), |(i, j)| lower[i.max(j) * n + i.min(j)])
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::model::{Runs, SpikeBlock};

    fn random_bins(n: usize, bins: usize, probability: f64) -> Configurations {
        let mut random = ChaCha8Rng::seed_from_u64(n as u64);
        let mut block = SpikeBlock::empty(0);
        for _ in 0..bins {
            let active: Vec<u16> = (0..n as u16).filter(|_| random.random::<f64>() < probability).collect();
            block.push_sorted(&active);
        }
        Configurations::of(&Runs { n_neurons: n, blocks: vec![block] })
    }

    fn spins(configurations: &Configurations, c: usize) -> Vec<f64> {
        let mut spins = vec![-1.0; configurations.n_neurons()];
        configurations.active(c).iter().for_each(|&i| spins[usize::from(i)] = 1.0);
        spins
    }

    fn features(spins: &[f64]) -> Vec<f64> {
        let n = spins.len();
        let pairs = (0..n).flat_map(|i| (0..i).map(move |j| spins[i] * spins[j]));
        spins.iter().copied().chain(pairs).collect()
    }

    #[test]
    fn sparse_and_dense_sums_equal_brute_force_whatever_the_threads() {
        // The last has less than a block per stretch and a last block of one.
        for (n, bins, probability) in [(1, 5, 0.5), (7, 300, 0.3), (49, 1500, 0.4), (101, 513, 0.1)] {
            let configurations = random_bins(n, bins, probability);
            let mut random = ChaCha8Rng::seed_from_u64(3);
            let mut draw =
                |count: usize| -> Vec<f64> { (0..count).map(|_| random.random::<f64>() - 0.5).collect() };
            let (parameters, weights) = (draw(n_features(n)), draw(configurations.len()));
            let mut energies = Vec::new();
            let mut moments = vec![0.0; n_features(n)];
            for (c, weight) in weights.iter().enumerate() {
                let features = features(&spins(&configurations, c));
                energies.push(features.iter().zip(&parameters).map(|(o, w)| o * w).sum::<f64>());
                moments.iter_mut().zip(features).for_each(|(sum, o)| *sum += weight * o);
            }
            let close = |a: &[f64], b: &[f64]| {
                // Sums of up to 5,000 terms of order 1.
                assert_eq!(a.len(), b.len());
                assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-10), "n = {n}");
            };
            for dense in [Some(false), Some(true), None] {
                // Whatever the model of costs says of stretches and threads.
                let with = |threads: usize| Sums {
                    stretches: STRETCHES_MAX,
                    cost_ns: f64::INFINITY,
                    ..Sums::with(&configurations, threads, dense)
                };
                let sums = with(1);
                let (of_one, features_of_one) =
                    (sums.feature_sums(&parameters), sums.weighted_features(&weights));
                close(&of_one, &energies);
                close(&features_of_one, &moments);
                for threads in [2, 3, 16] {
                    let sums = with(threads);
                    assert_eq!(sums.feature_sums(&parameters), of_one, "{threads} threads");
                    assert_eq!(sums.weighted_features(&weights), features_of_one, "{threads} threads");
                }
            }
            let (couplings, fields) = unpack(n, &parameters);
            let few = Sums::new(&configurations, 1);
            close(&few.feature_sums(&parameters), &energies);
            close(&few.weighted_features(&weights), &moments);
            close(&configurations.minus_energies(&couplings, &fields), &energies);
            let (first, second) = configurations.weighted_moments(&weights);
            close(&pack(&second, &first), &moments);
            assert_eq!(pack(&couplings, &fields), parameters);
        }
    }

    #[test]
    fn dot_products_of_all_lengths() {
        for n in 0..20 {
            let a: Vec<f64> = (0..n).map(f64::from).collect();
            assert_eq!(dot(&a, &a), (0..n).map(|k| f64::from(k * k)).sum::<f64>());
        }
    }

    #[test]
    fn no_configuration_and_no_neuron_are_empty_sums() {
        let none = random_bins(3, 0, 0.5);
        assert!(Sums::new(&none, 2).feature_sums(&[1.0; 6]).is_empty());
        assert_eq!(Sums::new(&none, 2).weighted_features(&[]), [0.0; 6]);
        let nobody = random_bins(0, 4, 0.5);
        assert_eq!(Sums::new(&nobody, 2).feature_sums(&[]), [0.0]);
        assert!(Sums::new(&nobody, 2).weighted_features(&[0.25]).is_empty());
    }
}
