use ndarray::{Array1, Array2, ArrayView1};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::SimulationError;
use crate::model::{NEURONS_MAX, SpikeBlock};

/// A kinetic Ising network: `P(s_i(t+1) = 1 | s(t)) = 1 / (1 + exp[−2 θ_i(t)])`, `θ_i = h_i + Σ_j J_ij s_j`.
#[derive(Debug, Clone, PartialEq)]
pub struct KineticIsing {
    /// `J`, shape `(n_neurons, n_neurons)`, row = receiver, column = sender.
    pub couplings: Array2<f64>,
    /// `h`, shape `(n_neurons)`.
    pub fields: Array1<f64>,
}

impl KineticIsing {
    /// Largest `g`; beyond a few, every neuron follows its input without noise.
    pub const COUPLING_STD_MAX: f64 = 100.0;
    /// Largest standard deviation of a stimulus drive; beyond a few, neurons follow it without noise.
    pub const DRIVE_STD_MAX: f64 = 100.0;
    /// Largest field on either side of zero; beyond 20, the other state never occurs.
    pub const FIELD_MAX: f64 = 1000.0;
    /// Spike probabilities nearer to 0 or 1 than this give no finite field: `2p − 1` rounds to ∓1.
    const PROBABILITY_MIN: f64 = 1e-15;

    /// Asymmetric Sherrington–Kirkpatrick network: independent `J_ij ~ N(0, g²/n)`, self-couplings included, the same field
    /// everywhere (Roudi & Hertz, PRL 106, 048702 (2011)).
    ///
    /// `g` (`coupling_std`) is the standard deviation of the summed input of a neuron.
    ///
    /// # Errors
    /// [`SimulationError`] for values outside their range.
    pub fn asymmetric_sk(
        n_neurons: usize,
        coupling_std: f64,
        field: f64,
        seed: u64,
    ) -> Result<Self, SimulationError> {
        if n_neurons == 0 || n_neurons > NEURONS_MAX {
            return Err(SimulationError::NeuronCount { found: n_neurons });
        }
        if !(0.0..=Self::COUPLING_STD_MAX).contains(&coupling_std) {
            return Err(SimulationError::CouplingStd { found: coupling_std });
        }
        if !(-Self::FIELD_MAX..=Self::FIELD_MAX).contains(&field) {
            return Err(SimulationError::Field { found: field });
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let scale = coupling_std / (n_neurons as f64).sqrt();
        let couplings = Array2::from_shape_simple_fn((n_neurons, n_neurons), || {
            let normal: f64 = StandardNormal.sample(&mut random);
            scale * normal
        });
        Ok(Self { couplings, fields: Array1::from_elem(n_neurons, field) })
    }

    /// Shift the fields so that every neuron, its senders at their mean, fires in a bin with about this probability:
    /// `h_i = atanh(2p − 1) − Σ_j J_ij (2p − 1)`.
    ///
    /// # Errors
    /// [`SimulationError::SpikeProbability`] outside the open interval (10⁻¹⁵, 1 − 10⁻¹⁵).
    pub fn with_spike_probability(mut self, probability: f64) -> Result<Self, SimulationError> {
        if !(probability > Self::PROBABILITY_MIN && probability < 1.0 - Self::PROBABILITY_MIN) {
            return Err(SimulationError::SpikeProbability { found: probability });
        }
        let magnetization = 2.0 * probability - 1.0;
        self.fields =
            self.couplings.sum_axis(ndarray::Axis(1)).mapv(|sum| magnetization.atanh() - sum * magnetization);
        Ok(self)
    }

    /// Number of neurons.
    #[must_use]
    pub fn n_neurons(&self) -> usize {
        self.fields.len()
    }
}

/// A running simulation: parallel Glauber dynamics of a [`KineticIsing`] network.
#[derive(Debug, Clone)]
pub struct KineticSimulation {
    n_neurons: usize,
    /// `2 J`, column after column: what a sender's spike adds to the field of every receiver.
    spike_effect: Vec<f64>,
    /// `h_i − Σ_j J_ij`: the field when everyone is silent.
    silent_field: Vec<f64>,
    field: Vec<f64>,
    active: Vec<u16>,
    gain_sum: Vec<f64>,
    n_transitions: u64,
    next_bin: u64,
    random: ChaCha8Rng,
}

impl KineticSimulation {
    /// Bins run and dropped before the first one given, so that the state is typical.
    const BURN_IN_BINS: usize = 100;

    /// Start a simulation; the same network and seed always give the same spikes.
    #[must_use]
    pub fn new(network: &KineticIsing, seed: u64) -> Self {
        let n = network.n_neurons();
        let silent_field =
            network.couplings.rows().into_iter().zip(&network.fields).map(|(row, h)| h - row.sum()).collect();
        let mut simulation = Self {
            n_neurons: n,
            spike_effect: network.couplings.t().iter().map(|j| 2.0 * j).collect(),
            silent_field,
            field: vec![0.0; n],
            active: Vec::new(),
            gain_sum: vec![0.0; n],
            n_transitions: 0,
            next_bin: 0,
            random: ChaCha8Rng::seed_from_u64(seed),
        };
        for _ in 0..Self::BURN_IN_BINS {
            simulation.step(None);
        }
        simulation.gain_sum.fill(0.0);
        simulation.n_transitions = 0;
        simulation
    }

    /// The next `n_bins` bins.
    pub fn bins(&mut self, n_bins: usize) -> SpikeBlock {
        let mut block = SpikeBlock::empty(self.next_bin);
        for _ in 0..n_bins {
            self.step(None);
            block.push_sorted(&self.active);
        }
        self.next_bin += n_bins as u64;
        block
    }

    /// `⟨1 − tanh² θ_i⟩` over the bins so far, shape `(n_neurons)`: the Fisher information per transition of a receiver's
    /// couplings is this times the correlation of the senders.
    #[must_use]
    pub fn mean_gain(&self) -> Array1<f64> {
        let bins = (self.n_transitions as f64).max(1.0);
        self.gain_sum.iter().map(|sum| sum / bins).collect()
    }

    /// The active neurons of the next bin, under fields `drive` on top of the network's own; shape `(n_neurons)`.
    pub(super) fn driven_bin(&mut self, drive: ArrayView1<'_, f64>) -> &[u16] {
        self.step(Some(drive));
        &self.active
    }

    fn step(&mut self, drive: Option<ArrayView1<'_, f64>>) {
        self.field.copy_from_slice(&self.silent_field);
        if let Some(drive) = drive {
            self.field.iter_mut().zip(drive).for_each(|(field, drive)| *field += drive);
        }
        for &sender in &self.active {
            let effect = &self.spike_effect[usize::from(sender) * self.n_neurons..][..self.n_neurons];
            for (field, effect) in self.field.iter_mut().zip(effect) {
                *field += effect;
            }
        }
        self.active.clear();
        for (i, &field) in self.field.iter().enumerate() {
            let probability = 1.0 / (1.0 + (-2.0 * field).exp());
            // 1 − tanh² θ = 4 p (1 − p)
            self.gain_sum[i] += 4.0 * probability * (1.0 - probability);
            if self.random.random::<f64>() < probability {
                self.active.push(i as u16);
            }
        }
        self.n_transitions += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_parameters_are_refused() {
        assert!(KineticIsing::asymmetric_sk(0, 0.5, 0.0, 1).is_err());
        assert!(KineticIsing::asymmetric_sk(NEURONS_MAX + 1, 0.5, 0.0, 1).is_err());
        assert!(KineticIsing::asymmetric_sk(3, f64::NAN, 0.0, 1).is_err());
        assert!(KineticIsing::asymmetric_sk(3, -0.1, 0.0, 1).is_err());
        assert!(KineticIsing::asymmetric_sk(3, 0.5, f64::INFINITY, 1).is_err());
        assert!(KineticIsing::asymmetric_sk(3, 1e308, 0.0, 1).is_err());
        assert!(KineticIsing::asymmetric_sk(3, 0.5, -1e308, 1).is_err());
        for p in [1.1e-15, 1.0 - 1.2e-15] {
            let network =
                KineticIsing::asymmetric_sk(3, 100.0, 0.0, 1).unwrap().with_spike_probability(p).unwrap();
            assert!(network.fields.iter().all(|h| h.is_finite()));
        }
        for p in [0.0, 1.0, -0.1, f64::NAN, 1e-302, 1e-16, 1.0 - 1e-16] {
            assert!(KineticIsing::asymmetric_sk(3, 0.5, 0.0, 1).unwrap().with_spike_probability(p).is_err());
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_spikes_however_they_are_asked_for() {
        let network = KineticIsing::asymmetric_sk(10, 0.5, -0.5, 3).unwrap();
        let whole = KineticSimulation::new(&network, 7).bins(1000);
        let mut parts = KineticSimulation::new(&network, 7);
        let mut joined = parts.bins(300);
        let rest = parts.bins(700);
        joined.extend_from(&rest, 0, 700);
        assert_eq!(joined, whole);
        assert_ne!(KineticSimulation::new(&network, 8).bins(1000), whole);
    }

    #[test]
    fn an_uncoupled_neuron_fires_with_the_probability_asked_for() {
        let network =
            KineticIsing::asymmetric_sk(20, 0.0, 0.0, 1).unwrap().with_spike_probability(0.1).unwrap();
        let mut simulation = KineticSimulation::new(&network, 2);
        let entries = simulation.bins(50_000).n_active() as f64;
        // 10⁶ independent draws: standard deviation √(0.1 · 0.9 / 10⁶) = 3e-4; five of them.
        assert!((entries / 1e6 - 0.1).abs() < 1.5e-3, "{}", entries / 1e6);
        assert!(simulation.mean_gain().iter().all(|g| (g - 0.36).abs() < 1e-12));
    }
}
