use ndarray::Array2;

use super::repeats::Repeats;

/// Most bytes of correlations of all trial bins that are kept at once; beyond, they are summed from the spikes each time.
const KEPT_BYTES_MAX: usize = 256 << 20;

/// `R_t C_jk(t)` of every trial bin, packed upper triangles, when they fit into memory.
pub(super) struct BinCorrelations<'a> {
    repeats: &'a Repeats,
    kept: Option<Vec<f64>>,
}

/// Sum over the trial bins of the weighted covariance of the senders around their weighted mean of each bin.
pub(super) struct Information {
    /// `Σ_t Σ_r w_r (s_r − s̄(t)) (s_r − s̄(t))ᵀ`, shape `(n_active, n_active)`.
    pub(super) matrix: Array2<f64>,
    /// Mean of `s̄(t)` over the bins with a weight, shape `(n_active)`.
    pub(super) sender_mean: Vec<f64>,
    /// `Σ_t 1 / Σ_r w_r` over the bins with a weight.
    pub(super) inverse_weights: f64,
    /// Number of bins with a weight.
    pub(super) n_bins: usize,
}

fn triangle(n: usize) -> usize {
    n * (n + 1) / 2
}

/// Where row `j` of a packed upper triangle would have its entry 0, so that entry `(j, k)` is at `row_base + k`.
fn row_base(n: usize, j: usize) -> usize {
    j * (2 * n - 1 - j) / 2
}

fn unpacked(packed: &[f64], n: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, n), |(j, k)| packed[row_base(n, j.min(k)) + j.max(k)])
}

impl<'a> BinCorrelations<'a> {
    pub(super) fn of(repeats: &'a Repeats) -> Self {
        Self::keeping(repeats, KEPT_BYTES_MAX)
    }

    fn keeping(repeats: &'a Repeats, bytes_max: usize) -> Self {
        let bytes =
            triangle(repeats.n_active()).saturating_mul(repeats.n_bins()).saturating_mul(size_of::<f64>());
        let kept = (bytes <= bytes_max).then(|| every_bin(repeats));
        Self { repeats, kept }
    }

    /// `Σ_t weight_t R_t C(t)`, shape `(n_active, n_active)`.
    pub(super) fn weighted(&self, weights: &[f64]) -> Array2<f64> {
        let n = self.repeats.n_active();
        let Some(kept) = &self.kept else {
            let mut each = vec![0.0; self.repeats.transitions()];
            for (t, &weight) in weights.iter().enumerate() {
                each[self.repeats.transitions_of(t)].fill(weight);
            }
            return information(self.repeats, &each).matrix;
        };
        let mut sum = vec![0.0; triangle(n)];
        for (bin, &weight) in kept.chunks_exact(sum.len().max(1)).zip(weights) {
            if weight != 0.0 {
                sum.iter_mut().zip(bin).for_each(|(sum, c)| *sum += weight * c);
            }
        }
        unpacked(&sum, n)
    }
}

/// `4 (K_jk − K_j K_k / R)` of every trial bin, from integer counts.
fn every_bin(repeats: &Repeats) -> Vec<f64> {
    let n = repeats.n_active();
    let mut all = vec![0.0; triangle(n) * repeats.n_bins()];
    let mut both = vec![0u64; triangle(n)];
    for (t, bin) in all.chunks_exact_mut(both.len().max(1)).enumerate() {
        let transitions = repeats.transitions_of(t);
        if transitions.is_empty() {
            continue;
        }
        let count = transitions.len() as u64;
        both.fill(0);
        for r in transitions {
            let senders = repeats.senders(r);
            for (place, &j) in senders.iter().enumerate() {
                let base = row_base(n, usize::from(j));
                senders[place..].iter().for_each(|&k| both[base + usize::from(k)] += 1);
            }
        }
        let fired = |j: usize| both[row_base(n, j) + j];
        for j in 0..n {
            for k in j..n {
                let place = row_base(n, j) + k;
                // At most R², and R is below 2³².
                let connected = i128::from(count * both[place]) - i128::from(fired(j) * fired(k));
                bin[place] = 4.0 * connected as f64 / count as f64;
            }
        }
    }
    all
}

/// The information that weights `w_r ≥ 0`, one per transition, give about the couplings of a row whose fields are free.
///
/// With `x = (s + 1)/2` a transition costs the square of its active senders, a trial bin `n²/2`.
pub(super) fn information(repeats: &Repeats, weights: &[f64]) -> Information {
    let n = repeats.n_active();
    let mut sum = vec![0.0; triangle(n)];
    let mut fired = vec![0.0; n];
    let mut sender_mean = vec![0.0; n];
    let (mut inverse_weights, mut n_bins) = (0.0, 0);
    for t in 0..repeats.n_bins() {
        fired.fill(0.0);
        let mut total = 0.0;
        for r in repeats.transitions_of(t) {
            let weight = weights[r];
            if weight == 0.0 {
                continue;
            }
            total += weight;
            let senders = repeats.senders(r);
            for (place, &j) in senders.iter().enumerate() {
                fired[usize::from(j)] += weight;
                let base = row_base(n, usize::from(j));
                senders[place..].iter().for_each(|&k| sum[base + usize::from(k)] += weight);
            }
        }
        if total == 0.0 {
            continue;
        }
        for j in 0..n {
            let share = fired[j] / total;
            sender_mean[j] += 2.0 * share - 1.0;
            let base = row_base(n, j);
            let row = &mut sum[base + j..base + n];
            row.iter_mut().zip(&fired[j..]).for_each(|(sum, fired)| *sum -= share * fired);
        }
        inverse_weights += 1.0 / total;
        n_bins += 1;
    }
    sum.iter_mut().for_each(|sum| *sum *= 4.0);
    sender_mean.iter_mut().for_each(|mean| *mean /= f64::from(n_bins.max(1) as u32));
    Information { matrix: unpacked(&sum, n), sender_mean, inverse_weights, n_bins }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Runs, SpikeBlock, Trial};

    #[test]
    fn kept_and_summed_correlations_agree() {
        let lists: Vec<Vec<u16>> = (0..400u64)
            .map(|bin| {
                let fires =
                    |i: &u16| (bin * 31 + u64::from(*i)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 62 == 0;
                (0..7).filter(fires).collect()
            })
            .collect();
        let runs = Runs { n_neurons: 7, blocks: vec![SpikeBlock::from_lists(0, &lists, 7).unwrap()] };
        let trials: Vec<Trial> =
            (0..40).map(|k| Trial { start_bin: 10 * k, stop_bin: 10 * k + 7 + k % 3 }).collect();
        let repeats = Repeats::of(&runs, &trials);
        assert_eq!((repeats.n_active(), repeats.n_bins()), (7, 8));
        let weights: Vec<f64> = (0..8).map(|t| f64::from(t) / 3.0).collect();
        let kept = BinCorrelations::keeping(&repeats, usize::MAX).weighted(&weights);
        let summed = BinCorrelations::keeping(&repeats, 0).weighted(&weights);
        assert!(kept.diag().iter().all(|&c| c > 1.0));
        assert!((&kept - &summed).iter().all(|e| e.abs() < 1e-11));
    }
}
