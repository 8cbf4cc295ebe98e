use ndarray::{Array1, Array2};

use super::super::Configurations;

/// Counts of the bins of one state.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    pub(super) bins: f64,
    /// Bins in which both of a pair are active, upper triangle and diagonal. Integers below 2⁵³, or halves: exact, so that a neuron is silent
    /// in none but those bins that it was silent in before half a block is taken off.
    both: Array2<f64>,
}

/// `m^a` and `C^a` of a state `a`.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// `m_i`.
    pub(super) magnetizations: Array1<f64>,
    /// `C_ij`, `1 − m_i²` on the diagonal.
    pub(super) covariance: Array2<f64>,
    /// Whether a neuron is active in all or none of the state's bins: `atanh m_i` is infinite, and the neuron has no equations here.
    pub(super) frozen: Vec<bool>,
}

impl State {
    /// As these neurons see it.
    pub(super) fn of(&self, neurons: &[usize]) -> Self {
        let size = (neurons.len(), neurons.len());
        Self {
            magnetizations: neurons.iter().map(|&i| self.magnetizations[i]).collect(),
            covariance: Array2::from_shape_fn(size, |(i, j)| self.covariance[[neurons[i], neurons[j]]]),
            frozen: neurons.iter().map(|&i| self.frozen[i]).collect(),
        }
    }
}

impl Counts {
    pub(super) fn new(n: usize) -> Self {
        Self { bins: 0.0, both: Array2::zeros((n, n)) }
    }

    pub(super) fn add(&mut self, active: &[u16], count: f64) {
        self.bins += count;
        for (k, &i) in active.iter().enumerate() {
            active[k..].iter().for_each(|&j| self.both[[usize::from(i), usize::from(j)]] += count);
        }
    }

    /// Without a part of what `other` counts.
    pub(super) fn without(&self, taken: f64, other: &Self) -> Self {
        let mut left = self.clone();
        left.bins -= taken * other.bins;
        left.both.scaled_add(-taken, &other.both);
        left
    }

    /// Moments; `None` without a bin.
    pub(super) fn state(&self) -> Option<State> {
        if self.bins == 0.0 {
            return None;
        }
        let own = self.both.diag();
        let share = &self.both / self.bins;
        let covariance = Array2::from_shape_fn(self.both.dim(), |(i, j)| {
            4.0 * (share[[i.min(j), i.max(j)]] - share[[i, i]] * share[[j, j]])
        });
        Some(State {
            magnetizations: share.diag().mapv(|x| 2.0 * x - 1.0),
            frozen: own.iter().map(|&k| k == 0.0 || k == self.bins).collect(),
            covariance,
        })
    }
}

/// Counts of every state over all bins.
pub(super) fn total(configurations: &Configurations, state: &[usize], states: usize) -> Vec<Counts> {
    let multiplicities = configurations.multiplicities().iter().map(|&count| count as f64);
    count(configurations, state, states, multiplicities.enumerate())
}

/// Counts of every state in a block of bins.
pub(super) fn block_counts(
    configurations: &Configurations,
    state: &[usize],
    states: usize,
    block: usize,
) -> Vec<Counts> {
    count(configurations, state, states, configurations.block_counts(block).into_iter())
}

fn count(
    configurations: &Configurations,
    state: &[usize],
    states: usize,
    occurring: impl Iterator<Item = (usize, f64)>,
) -> Vec<Counts> {
    let mut counts: Vec<Counts> = (0..states).map(|_| Counts::new(configurations.n_neurons())).collect();
    occurring.for_each(|(c, count)| counts[state[c]].add(configurations.active(c), count));
    counts
}
