use std::f64::consts::LN_2;

use ndarray::{Array1, Array2};

use crate::model::{EquilibriumModel, Runs, Score};
use crate::regression::{FACTORS_MAX, add_softplus};

/// Independent rates `(K_i + ½) / (T + 1)` per bin (Krichevsky & Trofimov 1981), finite for neurons that never, or always, fired: what a
/// score is gained over.
#[derive(Debug, Clone, PartialEq)]
pub struct Rates {
    /// Log-odds, shape `(n_neurons)`.
    log_odds: Array1<f64>,
    /// `ln(1 + exp log-odds)`, shape `(n_neurons)`: minus the log-probability of silence.
    softplus: Array1<f64>,
}

impl Rates {
    /// Of all bins of `runs`, which should be those the models were fitted to.
    #[must_use]
    pub fn of(runs: &Runs) -> Self {
        let mut spikes = vec![0; runs.n_neurons];
        for &neuron in runs.blocks.iter().flat_map(|block| block.bins()).flatten() {
            spikes[usize::from(neuron)] += 1;
        }
        Self::from_counts(&spikes, runs.n_bins())
    }

    /// Of the numbers of bins in which each neuron fired, out of `n_bins`.
    ///
    /// # Panics
    /// When a neuron fired in more bins than there are.
    #[must_use]
    pub fn from_counts(spikes: &[u64], n_bins: u64) -> Self {
        assert!(spikes.iter().all(|&k| k <= n_bins), "a neuron fires at most once in a bin");
        let odds = |k: u64| (k as f64 + 0.5) / ((n_bins - k) as f64 + 0.5);
        let log_odds: Array1<f64> = spikes.iter().map(|&k| odds(k).ln()).collect();
        let softplus = log_odds.mapv(|x| x.max(0.0) + (-x.abs()).exp().ln_1p());
        Self { log_odds, softplus }
    }

    /// Number of neurons.
    #[must_use]
    pub fn n_neurons(&self) -> usize {
        self.log_odds.len()
    }

    /// Log-odds of a spike in a bin, shape `(n_neurons)`.
    #[must_use]
    pub fn log_odds(&self) -> &Array1<f64> {
        &self.log_odds
    }

    /// Log-probability, in nats, of a neuron's state in a bin.
    #[must_use]
    pub fn log_probability(&self, neuron: usize, active: bool) -> f64 {
        (if active { self.log_odds[neuron] } else { 0.0 }) - self.softplus[neuron]
    }
}

/// The probability of a spike of each neuron given all others in the same bin, by an equilibrium model.
///
/// `P(s_i = 1 | s_j, j ≠ i)` has the log-odds `2 (h_i + Σ_{j≠i} J_ij s_j)`, which with silence as the rule is summed over the active
/// neurons alone: `2 (h_i − Σ_j J_ij) + 4 Σ_{j active} J_ij`. A neuron without an estimate is predicted by its rate.
#[derive(Debug, Clone)]
pub struct Conditional {
    /// Log-odds while all others are silent, shape `(n_neurons)`.
    silent: Array1<f64>,
    /// `4 J_ij`, shape `(n_neurons, n_neurons)`: an active neuron adds one contiguous row.
    steps: Array2<f32>,
}

impl Conditional {
    /// Of a model and the rates of the bins it was fitted to.
    ///
    /// # Panics
    /// When they have different numbers of neurons.
    #[must_use]
    pub fn new(model: &EquilibriumModel, rates: &Rates) -> Self {
        assert_eq!(model.n_neurons(), rates.n_neurons(), "a model and its rates are of the same neurons");
        let mut silent = rates.log_odds.clone();
        let mut steps = Array2::zeros(model.couplings.dim());
        for (i, row) in model.couplings.rows().into_iter().enumerate() {
            if model.status[i].has_estimate() {
                silent[i] = 2.0 * (model.fields[i] - row.sum());
                steps.row_mut(i).assign(&row.mapv(|j| (4.0 * j) as f32));
            }
        }
        Self { silent, steps }
    }

    /// Number of neurons.
    #[must_use]
    pub fn n_neurons(&self) -> usize {
        self.silent.len()
    }

    /// Log-odds of a spike of every neuron given all others in a bin in which `active` fired, into `log_odds`. Whether a neuron is itself
    /// among them does not matter to its own. Cost O(n × active).
    ///
    /// # Panics
    /// When `log_odds` has not one place per neuron.
    pub fn log_odds(&self, active: &[u16], log_odds: &mut Array1<f64>) {
        log_odds.assign(&self.silent);
        for &other in active {
            let step = self.steps.row(usize::from(other));
            log_odds.iter_mut().zip(step).for_each(|(x, &step)| *x += f64::from(step));
        }
    }

    /// Probability of a spike of `neuron` given all others in a bin in which `active` fired.
    #[must_use]
    pub fn probability(&self, neuron: usize, active: &[u16]) -> f64 {
        let row = self.steps.row(neuron);
        let steps: f64 = active.iter().map(|&other| f64::from(row[usize::from(other)])).sum();
        1.0 / (1.0 + (-(self.silent[neuron] + steps)).exp())
    }

    /// Pseudo-log-likelihood of the bins of `newer`, as bits gained over `rates`, per neuron; `transitions` of the score counts bins. They must not
    /// be bins the model was fitted to for the score to mean anything. Cost O(n × spikes + n × bins).
    ///
    /// Each neuron is told the others of the very bin, which a kinetic model is not: the scores of the two do not compare.
    ///
    /// # Panics
    /// When bins, rates and model have different numbers of neurons.
    #[must_use]
    pub fn score(&self, newer: &Runs, rates: &Rates) -> Score {
        let n = self.n_neurons();
        assert!(
            newer.n_neurons == n && rates.n_neurons() == n,
            "bins, rates and model are of the same neurons"
        );
        let mut score = Score::new(n);
        let mut nats = Array1::<f64>::zeros(n);
        let mut log_odds = Array1::zeros(n);
        let mut softplus = Softplus::new(n);
        for bin in newer.blocks.iter().flat_map(|block| block.bins()) {
            self.log_odds(bin, &mut log_odds);
            for i in bin.iter().map(|&neuron| usize::from(neuron)) {
                score.spikes[i] += 1.0;
                nats[i] += log_odds[i] - rates.log_odds[i];
            }
            softplus.add(log_odds.as_slice().unwrap_or_default());
            score.transitions += 1.0;
        }
        nats -= &softplus.sums();
        // The rates' part of the silence of every neuron in every bin.
        nats.scaled_add(score.transitions, &rates.softplus);
        score.gain_bits = nats / LN_2;
        score
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.steps.len() * 4 + self.silent.len() * 8
    }
}

/// `Σ ln(1 + eˣ) = Σ max(x, 0) + ln Π (1 + exp(−|x|))` of each neuron, with few logarithms.
struct Softplus {
    positive: Vec<f64>,
    product: Vec<f64>,
    factors: usize,
}

impl Softplus {
    fn new(n: usize) -> Self {
        Self { positive: vec![0.0; n], product: vec![1.0; n], factors: 0 }
    }

    fn add(&mut self, log_odds: &[f64]) {
        add_softplus(log_odds, &mut self.positive, &mut self.product);
        self.factors += 1;
        if self.factors == FACTORS_MAX {
            self.flush();
        }
    }

    fn flush(&mut self) {
        for (positive, product) in self.positive.iter_mut().zip(&mut self.product) {
            *positive += product.ln();
            *product = 1.0;
        }
        self.factors = 0;
    }

    fn sums(mut self) -> Array1<f64> {
        self.flush();
        self.positive.into()
    }
}
