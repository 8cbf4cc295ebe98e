use ndarray::{Array1, Array2};

use super::super::Configurations;

/// Counts of the bins of one state.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    pub(super) bins: f64,
    /// Bins in which both of a pair are active, upper triangle and diagonal. Integers below 2⁵³: exact, so that a block can be taken off.
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

    pub(super) fn without(&self, other: &Self) -> Self {
        Self { bins: self.bins - other.bins, both: &self.both - &other.both }
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

/// Counts of every state in so many contiguous blocks of bins: `[block][state]`.
pub(super) fn count_blocks(
    configurations: &Configurations,
    state: &[usize],
    states: usize,
    blocks: usize,
) -> Vec<Vec<Counts>> {
    let order = configurations.order();
    let mut occurs = vec![0.0; configurations.len()];
    let count = |block: usize| {
        let bins = &order[order.len() * block / blocks..order.len() * (block + 1) / blocks];
        bins.iter().for_each(|&c| occurs[c as usize] += 1.0);
        let mut counts: Vec<Counts> = (0..states).map(|_| Counts::new(configurations.n_neurons())).collect();
        for c in bins.iter().map(|&c| c as usize) {
            if occurs[c] > 0.0 {
                counts[state[c]].add(configurations.active(c), occurs[c]);
                occurs[c] = 0.0;
            }
        }
        counts
    };
    (0..blocks).map(count).collect()
}

/// Counts of every state over all blocks.
pub(super) fn total(blocks: &[Vec<Counts>], n: usize) -> Vec<Counts> {
    let states = blocks.first().map_or(0, Vec::len);
    let sum = |a: usize| {
        let mut sum = Counts::new(n);
        for counts in blocks {
            sum.bins += counts[a].bins;
            sum.both += &counts[a].both;
        }
        sum
    };
    (0..states).map(sum).collect()
}
