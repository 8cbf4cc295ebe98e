use ndarray::{Array1, Array2};

use super::{Counts, LagCounts};

impl Counts {
    /// Magnetization over all observed bins, shape `(n_neurons)`; zero when nothing was observed.
    #[must_use]
    pub fn magnetization(&self) -> Array1<f64> {
        magnetization(&self.spikes, self.bins)
    }

    /// `C`, connected equal-time correlations over the sender bins of the lag-1 transitions, shape
    /// `(n_neurons, n_neurons)`, symmetric; zero when there is no transition.
    #[must_use]
    pub fn equal_time_correlations(&self) -> Array2<f64> {
        let n = self.n_neurons;
        let transitions = self.lags[0].transitions;
        let sender = &self.lags[0].sender;
        let mut correlations = Array2::zeros((n, n));
        let mut pair = self.equal_time.iter();
        for i in 0..n {
            for j in i..n {
                let Some(&both) = pair.next() else { return correlations };
                let value = connected(transitions, both, sender[i], sender[j]);
                correlations[[i, j]] = value;
                correlations[[j, i]] = value;
            }
        }
        correlations
    }

    /// Row `row` of [`Counts::equal_time_correlations`].
    ///
    /// # Panics
    /// When there is no such row.
    pub fn equal_time_correlations_row(&self, row: usize) -> impl Iterator<Item = f64> + '_ {
        let LagCounts { transitions, sender, .. } = &self.lags[0];
        (0..self.n_neurons).map(move |column| {
            connected(*transitions, self.equal_time(row, column), sender[row], sender[column])
        })
    }
}

impl LagCounts {
    /// `m⁻`: magnetization of the sender side (earlier bins), shape `(n_neurons)`.
    #[must_use]
    pub fn magnetization_sender(&self) -> Array1<f64> {
        magnetization(&self.sender, self.transitions)
    }

    /// `m⁺`: magnetization of the receiver side (later bins), shape `(n_neurons)`.
    #[must_use]
    pub fn magnetization_receiver(&self) -> Array1<f64> {
        magnetization(&self.receiver, self.transitions)
    }

    /// `D(ℓ)`: connected delayed correlations, shape `(n_neurons, n_neurons)`, row = receiver, column = sender.
    #[must_use]
    pub fn delayed_correlations(&self) -> Array2<f64> {
        let n = self.sender.len();
        let mut correlations = Array2::zeros((n, n));
        for (i, mut row) in correlations.rows_mut().into_iter().enumerate() {
            row.iter_mut().zip(self.delayed_correlations_row(i)).for_each(|(to, value)| *to = value);
        }
        correlations
    }

    /// Row `row` of [`LagCounts::delayed_correlations`].
    ///
    /// # Panics
    /// When there is no such row.
    pub fn delayed_correlations_row(&self, row: usize) -> impl Iterator<Item = f64> + '_ {
        let n = self.sender.len();
        (0..n).map(move |j| {
            connected(self.transitions, self.delayed[row * n + j], self.receiver[row], self.sender[j])
        })
    }
}

fn magnetization(active: &[u64], total: u64) -> Array1<f64> {
    if total == 0 {
        return Array1::zeros(active.len());
    }
    // 2 K − T is exact in integers; one rounding in the division.
    active.iter().map(|&k| (2 * i128::from(k) - i128::from(total)) as f64 / total as f64).collect()
}

/// `4 (T K_ij − K_i K_j) / T²`, the numerator exact.
pub(crate) fn connected(total: u64, both: u64, first: u64, second: u64) -> f64 {
    if total == 0 {
        return 0.0;
    }
    let numerator = if total < 1 << 31 {
        // Each product stays below 2⁶².
        (total as i64 * both as i64 - first as i64 * second as i64) as f64
    } else {
        (i128::from(total) * i128::from(both) - i128::from(first) * i128::from(second)) as f64
    };
    let total = total as f64;
    4.0 * numerator / (total * total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connected_is_exact_past_four_billion_bins() {
        // K_ij = K_i = K_j = T/2 gives exactly 1, for totals on both sides of the switch to 128 bits.
        for total in [4u64, 1 << 30, 1 << 31, 1 << 40, 1 << 52] {
            assert_eq!(connected(total, total / 2, total / 2, total / 2), 1.0);
            assert_eq!(connected(total, total / 4, total / 2, total / 2), 0.0);
        }
        assert_eq!(connected(0, 0, 0, 0), 0.0);
    }
}
