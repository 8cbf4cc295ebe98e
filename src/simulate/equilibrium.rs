use ndarray::{Array1, Array2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::model::SpikeBlock;

/// An equilibrium Ising model: `P(s) ∝ exp(Σ_i h_i s_i + Σ_{i<j} J_ij s_i s_j)`.
#[derive(Debug, Clone, PartialEq)]
pub struct EquilibriumIsing {
    /// `J`, shape `(n_neurons, n_neurons)`, symmetric, zero on the diagonal.
    pub couplings: Array2<f64>,
    /// `h`, shape `(n_neurons)`.
    pub fields: Array1<f64>,
}

impl EquilibriumIsing {
    /// Number of neurons.
    #[must_use]
    pub fn n_neurons(&self) -> usize {
        self.fields.len()
    }
}

/// A Markov chain with the distribution of an [`EquilibriumIsing`] model: neurons are drawn one after the other, each given all others.
#[derive(Debug, Clone)]
pub struct GibbsSampler<'a> {
    model: &'a EquilibriumIsing,
    spins: Vec<bool>,
    /// `h_i + Σ_j J_ij s_j`.
    inputs: Vec<f64>,
    random: ChaCha8Rng,
}

impl<'a> GibbsSampler<'a> {
    /// A chain that starts in a configuration drawn with equal probabilities; the same model and seed always give the same.
    #[must_use]
    pub fn new(model: &'a EquilibriumIsing, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let spins = (0..model.n_neurons()).map(|_| random.random()).collect();
        Self::at(model, spins, random)
    }

    fn at(model: &'a EquilibriumIsing, spins: Vec<bool>, random: ChaCha8Rng) -> Self {
        let spin = |s: &bool| if *s { 1.0 } else { -1.0 };
        let rows = model.couplings.rows().into_iter().zip(&model.fields);
        let inputs = rows.map(|(row, h)| h + row.iter().zip(&spins).map(|(j, s)| j * spin(s)).sum::<f64>());
        Self { model, inputs: inputs.collect(), spins, random }
    }

    /// Draw every neuron once.
    pub fn sweep(&mut self) {
        for i in 0..self.spins.len() {
            let fires = self.random.random::<f64>() * (1.0 + (-2.0 * self.inputs[i]).exp()) < 1.0;
            if fires != self.spins[i] {
                self.spins[i] = fires;
                let change = if fires { 2.0 } else { -2.0 };
                let row = self.model.couplings.row(i);
                self.inputs.iter_mut().zip(row).for_each(|(input, j)| *input += change * j);
            }
        }
    }

    /// Whether each neuron fires.
    #[must_use]
    pub fn spins(&self) -> &[bool] {
        &self.spins
    }

    /// So many configurations, each so many sweeps after the one before.
    pub fn bins(&mut self, n_bins: usize, sweeps: usize) -> SpikeBlock {
        let mut block = SpikeBlock::empty(0);
        let mut active = Vec::new();
        for _ in 0..n_bins {
            (0..sweeps).for_each(|_| self.sweep());
            active.clear();
            active.extend((0..self.spins.len()).filter(|&i| self.spins[i]).map(|i| i as u16));
            block.push_sorted(&active);
        }
        block
    }
}
