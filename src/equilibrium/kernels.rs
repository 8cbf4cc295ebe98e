//! Sums over configurations: energies of each, and moments under any weights.

use ndarray::{Array1, Array2};

use super::Configurations;

impl Configurations {
    /// `Σ_c w_c x_i x_j` with `x_i = 1` for an active neuron and 0 otherwise, shape `(n, n)`, symmetric; `Σ_c w_c x_i` on the diagonal.
    #[must_use]
    pub fn active_sums(&self, weights: &[f64]) -> Array2<f64> {
        let n = self.n_neurons();
        let mut sums = Array2::zeros((n, n));
        for (c, weight) in weights.iter().enumerate() {
            let active = self.active(c);
            for (k, &i) in active.iter().enumerate() {
                active[k..].iter().for_each(|&j| sums[[usize::from(i), usize::from(j)]] += weight);
            }
        }
        for i in 0..n {
            for j in 0..i {
                sums[[i, j]] = sums[[j, i]];
            }
        }
        sums
    }

    /// `(Σ_c w_c s_i, Σ_c w_c s_i s_j)`, shapes `(n)` and `(n, n)`, with `Σ_c w_c` on the diagonal of the latter.
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

    /// `−E(s) = Σ_i h_i s_i + Σ_{i<j} J_ij s_i s_j` of every configuration.
    #[must_use]
    pub fn minus_energies(&self, couplings: &Array2<f64>, fields: &Array1<f64>) -> Vec<f64> {
        let linear: Vec<f64> =
            couplings.rows().into_iter().zip(fields).map(|(row, h)| 2.0 * (h - row.sum())).collect();
        let constant = 0.5 * couplings.sum() - fields.sum();
        let energy = |c: usize| {
            let active = self.active(c);
            let of = |(k, &i): (usize, &u16)| {
                let row = couplings.row(usize::from(i));
                let pairs: f64 = active[k + 1..].iter().map(|&j| row[usize::from(j)]).sum();
                linear[usize::from(i)] + 4.0 * pairs
            };
            constant + active.iter().enumerate().map(of).sum::<f64>()
        };
        (0..self.len()).map(energy).collect()
    }
}
