use std::ops::Range;

use crate::equilibrium::Configurations;
use crate::regression::Patterns;

/// Some of the bins, in any order: how many have each configuration, and how many have both neurons of a pair active.
pub(super) struct Bins<'a> {
    configurations: &'a Configurations,
    /// Number of them.
    pub(super) total: u64,
    /// With each configuration.
    multiplicities: Vec<u64>,
    /// `K_ij`, shape `(n, n)` row-major, `K_i` on the diagonal.
    together: Vec<u64>,
}

impl<'a> Bins<'a> {
    /// All of them.
    pub(super) fn all(configurations: &'a Configurations) -> Self {
        Self::of(configurations, configurations.multiplicities().to_vec())
    }

    /// Those of piece `piece` when all are cut into `pieces` contiguous ones as equal as can be.
    pub(super) fn piece(configurations: &'a Configurations, piece: usize, pieces: usize) -> Self {
        let mut multiplicities = vec![0; configurations.len()];
        let order = &configurations.order()[place(configurations.n_bins(), piece, pieces)];
        order.iter().for_each(|&configuration| multiplicities[configuration as usize] += 1);
        Self::of(configurations, multiplicities)
    }

    fn of(configurations: &'a Configurations, multiplicities: Vec<u64>) -> Self {
        let total = multiplicities.iter().sum();
        let bins = Self { configurations, total, multiplicities, together: Vec::new() };
        let together = bins.patterns(&(0..configurations.n_neurons()).collect::<Vec<_>>()).pair_counts();
        Self { together, ..bins }
    }

    /// Those that are not in `others`, all of which are among these.
    pub(super) fn without(&self, others: &Self) -> Self {
        let minus = |all: &[u64], others: &[u64]| all.iter().zip(others).map(|(a, b)| a - b).collect();
        Self {
            configurations: self.configurations,
            total: self.total - others.total,
            multiplicities: minus(&self.multiplicities, &others.multiplicities),
            together: minus(&self.together, &others.together),
        }
    }

    /// Number of neurons.
    pub(super) fn n_neurons(&self) -> usize {
        self.configurations.n_neurons()
    }

    /// Bins in which both neurons are active.
    pub(super) fn together(&self, i: usize, j: usize) -> u64 {
        self.together[i * self.n_neurons() + j]
    }

    /// Bins in which a neuron is active.
    pub(super) fn active(&self, i: usize) -> u64 {
        self.together(i, i)
    }

    /// What the neurons `keep` (increasing) do in them.
    pub(super) fn patterns(&self, keep: &[usize]) -> Patterns {
        let found = self.multiplicities.iter().copied().enumerate().filter(|&(_, count)| count > 0);
        Patterns::of_sets(self.configurations.sets(), self.n_neurons(), keep, found)
    }
}

fn place(n_bins: usize, piece: usize, pieces: usize) -> Range<usize> {
    n_bins * piece / pieces..n_bins * (piece + 1) / pieces
}
