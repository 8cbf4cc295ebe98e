use std::f64::consts::LN_2;

use ndarray::{Array1, Array2, Axis};

use crate::model::{Estimate, Runs, Score, SpikeBlock};
use crate::moments::Counts;

/// The probability of a spike in the next bin, by one estimate.
///
/// Log-odds are `2 θ_i(t)`, which with silence as the rule is summed over the active neurons alone:
/// `2 (h_i − Σ_j J_ij) + 4 Σ_{j active} J_ij`. A neuron without an estimate is predicted by its rate.
#[derive(Debug, Clone)]
pub struct Predictor {
    /// Log-odds after a silent bin, shape `(n_neurons)`.
    silent: Array1<f64>,
    /// `4 J_ij`, shape `(n_neurons, n_neurons)`, row = *sender*, so that an active neuron adds one contiguous row.
    steps: Array2<f32>,
    /// Log-odds of the rates alone, shape `(n_neurons)`.
    rates: Array1<f64>,
    /// `softplus` of those, shape `(n_neurons)`: minus the log-probability of silence.
    rates_softplus: Array1<f64>,
}

impl Predictor {
    /// The predictor of an estimate made on these counts.
    ///
    /// # Panics
    /// When counts and estimate have different numbers of neurons.
    #[must_use]
    pub fn new(estimate: &Estimate, counts: &Counts) -> Self {
        let n = estimate.n_neurons();
        assert_eq!(n, counts.n_neurons, "an estimate and its counts are of the same neurons");
        let rates = rate_log_odds(counts);
        let mut silent = rates.clone();
        let mut steps = Array2::zeros((n, n));
        for (i, row) in estimate.couplings.axis_iter(Axis(0)).enumerate() {
            if estimate.status[i].has_estimate() {
                silent[i] = 2.0 * (estimate.fields[i] - row.sum());
                steps.column_mut(i).assign(&row.mapv(|j| (4.0 * j) as f32));
            }
        }
        let rates_softplus = rates.mapv(softplus);
        Self { silent, steps, rates, rates_softplus }
    }

    /// Number of neurons.
    #[must_use]
    pub fn n_neurons(&self) -> usize {
        self.silent.len()
    }

    /// Log-odds of a spike of every neuron in the bin after one in which `active` fired, into `log_odds`.
    ///
    /// # Panics
    /// When `log_odds` has not one place per neuron.
    pub fn log_odds(&self, active: &[u16], log_odds: &mut Array1<f64>) {
        log_odds.assign(&self.silent);
        for &sender in active {
            let step = self.steps.row(usize::from(sender));
            for (x, &step) in log_odds.iter_mut().zip(step) {
                *x += f64::from(step);
            }
        }
    }

    /// Probability of a spike of `receiver` in the bin after one in which `active` fired.
    #[must_use]
    pub fn probability(&self, receiver: usize, active: &[u16]) -> f64 {
        let steps = active.iter().map(|&sender| f64::from(self.steps[[usize::from(sender), receiver]]));
        1.0 / (1.0 + (-(self.silent[receiver] + steps.sum::<f64>())).exp())
    }

    /// Score the transitions of `runs`, which must lie after the bins the estimate was made on for the score to mean anything.
    #[must_use]
    pub fn score(&self, runs: &Runs) -> Score {
        let mut score = Score::new(self.n_neurons());
        let mut nats = Array1::zeros(self.n_neurons());
        let mut log_odds = Array1::zeros(self.n_neurons());
        for block in &runs.blocks {
            self.add_run(block, &mut score, &mut nats, &mut log_odds);
        }
        // Silence of every neuron in every transition, the rates' part of it at once.
        nats.scaled_add(score.transitions, &self.rates_softplus);
        score.gain_bits = nats / LN_2;
        score
    }

    fn add_run(
        &self,
        run: &SpikeBlock,
        score: &mut Score,
        nats: &mut Array1<f64>,
        log_odds: &mut Array1<f64>,
    ) {
        for t in 1..run.n_bins() {
            self.log_odds(run.bin(t - 1), log_odds);
            for &neuron in run.bin(t) {
                let i = usize::from(neuron);
                score.spikes[i] += 1.0;
                nats[i] += log_odds[i] - self.rates[i];
            }
            for (nats, &x) in nats.iter_mut().zip(log_odds.iter()) {
                *nats -= softplus(x);
            }
            score.transitions += 1.0;
        }
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.steps.len() * 4 + self.silent.len() * 24
    }
}

/// Log-odds of independent rates, `(K_i⁺ + ½) / (T + 1)` per bin (Krichevsky & Trofimov 1981): finite for neurons that never, or
/// always, fired. Shape `(n_neurons)`.
#[must_use]
pub fn rate_log_odds(counts: &Counts) -> Array1<f64> {
    let lag = &counts.lags[0];
    let silent = |k: u64| (lag.transitions - k) as f64 + 0.5;
    lag.receiver.iter().map(|&k| ((k as f64 + 0.5) / silent(k)).ln()).collect()
}

/// `ln(1 + eˣ)` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}
