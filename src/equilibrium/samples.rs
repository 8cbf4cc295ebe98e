use ndarray::{Array1, Array2};

use super::Configurations;
use crate::model::{EquilibriumDiagnostics, EquilibriumMethod, EquilibriumModel, RowStatus, Runs};

/// What a fit reads: the configurations of the neurons that take part, and their exact moments.
#[derive(Debug, Clone)]
pub struct Samples {
    /// Of each neuron of the recording: [`RowStatus::Ok`] for those that take part, the reason for the others.
    pub status: Vec<RowStatus>,
    /// Neurons that take part, increasing: neuron `k` of the configurations is `taking_part[k]` of the recording.
    pub taking_part: Vec<usize>,
    /// Their configurations.
    pub configurations: Configurations,
    /// `⟨s_i⟩` of those that take part, shape `(n)`.
    pub magnetizations: Array1<f64>,
    /// `⟨s_i s_j⟩`, shape `(n, n)`, 1 on the diagonal.
    pub second_moments: Array2<f64>,
}

impl Samples {
    /// Of all observed bins. Cost O(spikes + Σ k²) over distinct configurations with k active neurons.
    #[must_use]
    pub fn of(runs: &Runs) -> Self {
        let all = Configurations::of(runs);
        let bins = all.n_bins() as u64;
        let multiplicities: Vec<f64> = all.multiplicities().iter().map(|&count| count as f64).collect();
        // Integers below 2⁵³: exact.
        let counts = all.active_sums(&multiplicities);
        let n = runs.n_neurons;
        let mut status: Vec<RowStatus> = Vec::with_capacity(n);
        for i in 0..n {
            let own = counts[[i, i]];
            let repeats = |j: &usize| counts[[*j, i]] == own && counts[[*j, *j]] == own;
            status.push(if bins == 0 {
                RowStatus::Undersampled
            } else if own == 0.0 {
                RowStatus::Silent
            } else if own == bins as f64 {
                RowStatus::Saturated
            } else if (0..i).any(|j| repeats(&j)) {
                RowStatus::Duplicate
            } else {
                RowStatus::Ok
            });
        }
        let taking_part: Vec<usize> = (0..n).filter(|&i| status[i] == RowStatus::Ok).collect();
        let configurations =
            if taking_part.len() == n { all } else { Configurations::of_neurons(runs, &taking_part) };
        let share = |i: usize, j: usize| counts[[taking_part[i], taking_part[j]]] / bins as f64;
        let k = taking_part.len();
        let magnetizations = Array1::from_shape_fn(k, |i| 2.0 * share(i, i) - 1.0);
        let second_moments = Array2::from_shape_fn((k, k), |(i, j)| {
            // The same order of additions for both halves: symmetric to the last bit.
            let (i, j) = (i.max(j), i.min(j));
            if i == j { 1.0 } else { 4.0 * share(i, j) - 2.0 * share(i, i) - 2.0 * share(j, j) + 1.0 }
        });
        Self { status, taking_part, configurations, magnetizations, second_moments }
    }

    /// Number of neurons that take part.
    #[must_use]
    pub fn n(&self) -> usize {
        self.taking_part.len()
    }

    /// Number of observed bins.
    #[must_use]
    pub fn n_bins(&self) -> u64 {
        self.configurations.n_bins() as u64
    }

    /// Whether there are no more bins than unknowns of a neuron, its couplings and its field: too few for any method.
    #[must_use]
    pub fn is_undersampled(&self) -> bool {
        self.n_bins() <= self.n() as u64
    }

    /// All zeros; neurons that would take part say `why` they have no estimate.
    #[must_use]
    pub fn nothing(
        &self,
        method: EquilibriumMethod,
        why: RowStatus,
        diagnostics: EquilibriumDiagnostics,
    ) -> EquilibriumModel {
        let status = self.status.iter().map(|&s| if s == RowStatus::Ok { why } else { s }).collect();
        let distinct = self.configurations.len() as u64;
        EquilibriumModel::zeros(method, status, self.n_bins(), distinct, diagnostics)
    }

    /// A vector of those that take part, spread over all neurons.
    #[must_use]
    pub fn spread(&self, values: &Array1<f64>) -> Array1<f64> {
        let mut all = Array1::zeros(self.status.len());
        self.taking_part.iter().zip(values).for_each(|(&i, value)| all[i] = *value);
        all
    }

    /// A matrix of those that take part, spread over all neurons.
    #[must_use]
    pub fn spread_matrix(&self, values: &Array2<f64>) -> Array2<f64> {
        let n = self.status.len();
        let mut all = Array2::zeros((n, n));
        for (row, &i) in self.taking_part.iter().enumerate() {
            self.taking_part.iter().zip(values.row(row)).for_each(|(&j, value)| all[[i, j]] = *value);
        }
        all
    }
}
