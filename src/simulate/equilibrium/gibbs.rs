use std::sync::LazyLock;

use ndarray::{Array1, ArrayView1, CowArray, Ix2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{EquilibriumIsing, active_of};
use crate::model::SpikeBlock;

/// Couplings are kept as lists when fewer than one in so many differs from zero.
const SPARSE_FROM: usize = 8;

/// The couplings as a flip needs them: row after row, or only those that are not zero.
#[derive(Debug, Clone)]
pub(crate) enum InputRows<'a> {
    /// Row-major `J`.
    Dense(CowArray<'a, f64, Ix2>),
    /// Neighbours of neuron `i` and their couplings: `neighbours[offsets[i]..offsets[i + 1]]`.
    Sparse {
        /// Starts of the neurons' neighbours.
        offsets: Vec<usize>,
        /// Neighbour and coupling to it.
        neighbours: Vec<(u32, f64)>,
    },
}

impl<'a> InputRows<'a> {
    pub(crate) fn of(model: &'a EquilibriumIsing) -> Self {
        let n = model.n_neurons();
        let filled = model.couplings.iter().filter(|&&j| j != 0.0).count();
        if filled * SPARSE_FROM > n * n {
            return Self::Dense(model.couplings.as_standard_layout());
        }
        let mut offsets = vec![0];
        let mut neighbours = Vec::with_capacity(filled);
        for row in model.couplings.rows() {
            let linked = row.into_iter().enumerate().filter(|(_, j)| **j != 0.0);
            neighbours.extend(linked.map(|(i, j)| (i as u32, *j)));
            offsets.push(neighbours.len());
        }
        Self::Sparse { offsets, neighbours }
    }

    /// Add `change · J_i·` to the inputs.
    #[inline]
    fn add(&self, i: usize, change: f64, inputs: &mut [f64]) {
        match self {
            Self::Dense(couplings) => {
                let row: ArrayView1<'_, f64> = couplings.row(i);
                // Rows of a standard layout are slices.
                let row = row.to_slice().unwrap_or_default();
                inputs.iter_mut().zip(row).for_each(|(input, j)| *input += change * j);
            }
            Self::Sparse { offsets, neighbours } => {
                neighbours[offsets[i]..offsets[i + 1]]
                    .iter()
                    .for_each(|&(j, coupling)| inputs[j as usize] += change * coupling);
            }
        }
    }
}

/// `1 / (1 + exp(−2x))` in units of 2⁻³², rounded down, at `x = −RANGE, −RANGE + 1/CELLS, …, RANGE`.
///
/// Between two grid points the probability lies between their values. A random number outside of these decides without an exponential;
/// the few in between are decided by the exact probability, so that the distribution is the exact one.
static FIRING: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let last = 2 * RANGE * CELLS;
    (0..=last)
        .map(|k| {
            let x = k as f64 / CELLS as f64 - RANGE as f64;
            (firing_probability(x) * TWO_32) as u32
        })
        .collect()
});
const RANGE: usize = 10;
const CELLS: usize = 64;
const TWO_32: f64 = 4_294_967_296.0;

fn firing_probability(input: f64) -> f64 {
    1.0 / (1.0 + (-2.0 * input).exp())
}

/// Whether a neuron with this input fires.
#[inline]
fn fires(input: f64, table: &[u32], random: &mut ChaCha8Rng) -> bool {
    let high: u32 = random.random();
    // Saturates at 0 from below.
    let cell = (((input + RANGE as f64) * CELLS as f64) as usize).min(2 * RANGE * CELLS - 1);
    if high < table[cell] && input > -(RANGE as f64) {
        return true;
    }
    if high > table[cell + 1] && input < RANGE as f64 {
        return false;
    }
    let low: u32 = random.random();
    let uniform = (f64::from(high) + (f64::from(low) + 0.5) / TWO_32) / TWO_32;
    uniform < firing_probability(input)
}

/// The state of a chain, apart from the model it runs in, which may change below it.
#[derive(Debug, Clone)]
pub(crate) struct GibbsChain {
    pub(super) spins: Vec<bool>,
    /// `h_i + Σ_j J_ij s_j`.
    pub(super) inputs: Vec<f64>,
    random: ChaCha8Rng,
}

impl GibbsChain {
    /// Begin in a configuration drawn with equal probabilities.
    pub(crate) fn new(rows: &InputRows<'_>, fields: &Array1<f64>, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let spins: Vec<bool> = (0..fields.len()).map(|_| random.random()).collect();
        let mut chain = Self { inputs: vec![0.0; spins.len()], spins, random };
        chain.enter(rows, fields);
        chain
    }

    /// Go on from the same configuration in another model.
    pub(crate) fn enter(&mut self, rows: &InputRows<'_>, fields: &Array1<f64>) {
        self.inputs.iter_mut().zip(fields).for_each(|(input, h)| *input = *h);
        for (i, &fires) in self.spins.iter().enumerate() {
            rows.add(i, if fires { 1.0 } else { -1.0 }, &mut self.inputs);
        }
    }

    /// Draw every neuron once, at inverse temperature `beta` relative to the model's.
    pub(crate) fn sweep(&mut self, rows: &InputRows<'_>, beta: f64) {
        let table = &FIRING[..];
        for i in 0..self.spins.len() {
            let fires = fires(beta * self.inputs[i], table, &mut self.random);
            if fires != self.spins[i] {
                self.spins[i] = fires;
                rows.add(i, if fires { 2.0 } else { -2.0 }, &mut self.inputs);
            }
        }
    }

    /// Whether each neuron fires.
    pub(crate) fn spins(&self) -> &[bool] {
        &self.spins
    }

    pub(super) fn uniform(&mut self) -> f64 {
        self.random.random()
    }
}

/// A Markov chain with the distribution of an [`EquilibriumIsing`] model: neurons are drawn one after the other, each given all others
/// (Glauber 1963; Geman & Geman 1984).
///
/// A sweep costs O(n) and, for every neuron that changes, its row of couplings: O(n), or its neighbours where most couplings are zero.
/// At low temperature a chain stays in one state for longer than anyone waits; [`TemperedSampler`](super::TemperedSampler) does not.
#[derive(Debug, Clone)]
pub struct GibbsSampler<'a> {
    rows: InputRows<'a>,
    chain: GibbsChain,
    next_bin: u64,
}

impl<'a> GibbsSampler<'a> {
    /// Sweeps after which [`Self::burnt_in`] takes a chain to have forgotten its start: many more than it takes at high temperature. At low
    /// temperature no number is enough.
    pub const BURN_IN_SWEEPS: usize = 1000;

    /// A chain that starts in a configuration drawn with equal probabilities; the same model and seed always give the same.
    #[must_use]
    pub fn new(model: &'a EquilibriumIsing, seed: u64) -> Self {
        let rows = InputRows::of(model);
        let chain = GibbsChain::new(&rows, &model.fields, seed);
        Self { rows, chain, next_bin: 0 }
    }

    /// The same chain [`Self::BURN_IN_SWEEPS`] sweeps later.
    #[must_use]
    pub fn burnt_in(mut self) -> Self {
        (0..Self::BURN_IN_SWEEPS).for_each(|_| self.sweep());
        self
    }

    /// Draw every neuron once.
    pub fn sweep(&mut self) {
        self.chain.sweep(&self.rows, 1.0);
    }

    /// Whether each neuron fires.
    #[must_use]
    pub fn spins(&self) -> &[bool] {
        self.chain.spins()
    }

    /// The next so many configurations, each so many sweeps after the one before.
    pub fn bins(&mut self, n_bins: usize, sweeps: usize) -> SpikeBlock {
        let mut block = SpikeBlock::empty(self.next_bin);
        let mut active = Vec::new();
        for _ in 0..n_bins {
            (0..sweeps).for_each(|_| self.sweep());
            active_of(self.spins(), &mut active);
            block.push_sorted(&active);
        }
        self.next_bin += n_bins as u64;
        block
    }
}
