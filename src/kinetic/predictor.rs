use std::f64::consts::LN_2;

use ndarray::{Array1, Array2, ArrayView1, Axis, Zip};

use super::Transitions;

use crate::model::{Estimate, Runs, Score};
use crate::moments::Counts;
use crate::regression::logistic::per_instruction_set;
use crate::regression::{FACTORS_MAX, add_softplus};

/// The probability of a spike in the next bin, by one estimate.
///
/// Log-odds are `2 θ_i(t)`, which with silence as the rule is summed over the active neurons alone:
/// `2 (h_i − Σ_j J_ij) + 4 Σ_{j active} J_ij`. A neuron without an estimate is predicted by its rate.
#[derive(Debug, Clone)]
pub struct Predictor {
    /// Log-odds after a silent bin, shape `(n_neurons)`.
    silent: Array1<f64>,
    /// The same in each bin of a trial, shape `(n_bins, n_neurons)`; none when fields are constant.
    silent_in_trial: Array2<f64>,
    /// `4 J_ij`, shape `(n_neurons, n_neurons)`, row = *sender*, so that an active neuron adds one contiguous row.
    steps: Array2<f32>,
}

/// Independent rates: what a score is gained over.
#[derive(Debug, Clone)]
pub struct Rates {
    /// Log-odds, shape `(n_neurons)`.
    log_odds: Array1<f64>,
    /// `softplus` of those, shape `(n_neurons)`: minus the log-probability of silence.
    softplus: Array1<f64>,
}

impl Rates {
    /// The rates of the receivers of these counts.
    #[must_use]
    pub fn of(counts: &Counts) -> Self {
        let log_odds = rate_log_odds(counts);
        let softplus = log_odds.mapv(softplus);
        Self { log_odds, softplus }
    }

    /// Log-likelihood of the transitions of `runs`, in nats.
    #[must_use]
    pub fn log_likelihood(&self, runs: &Runs) -> f64 {
        let mut spikes = Array1::<f64>::zeros(self.log_odds.len());
        for block in &runs.blocks {
            for t in 1..block.n_bins() {
                block.bin(t).iter().for_each(|&neuron| spikes[usize::from(neuron)] += 1.0);
            }
        }
        spikes.dot(&self.log_odds) - runs.transitions() as f64 * self.softplus.sum()
    }
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
        let lag = &counts.lags[0];
        let rates = rate_log_odds(counts);
        let senders = lag.magnetization_sender();
        let mut silent = rates.clone();
        let trial_bins = estimate.trial_fields.as_ref().map_or(0, |trial| trial.repeats.len());
        let mut silent_in_trial = Array2::zeros((trial_bins, n));
        silent_in_trial.rows_mut().into_iter().for_each(|mut row| row.assign(&rates));
        for (i, row) in estimate.couplings.axis_iter(Axis(0)).enumerate() {
            if estimate.status[i].has_estimate() {
                let drive = row.sum();
                silent[i] = match &estimate.trial_fields {
                    None => 2.0 * (estimate.fields[i] - drive),
                    // Fields of a trial say nothing of the time outside: there the mean rate is kept.
                    Some(_) => rates[i] - 2.0 * row.dot(&senders) - 2.0 * drive,
                };
                for (t, silent_there) in silent_in_trial.column_mut(i).iter_mut().enumerate() {
                    let field = estimate.trial_fields.as_ref().and_then(|trial| trial.at(i, t));
                    *silent_there = field.map_or(silent[i], |field| 2.0 * (field - drive));
                }
            }
        }
        Self { silent, silent_in_trial, steps: steps(estimate) }
    }

    /// Number of neurons.
    #[must_use]
    pub fn n_neurons(&self) -> usize {
        self.silent.len()
    }

    /// Log-odds of a spike of every neuron in the bin after one in which `active` fired, into `log_odds`. `trial_bin` is the place of
    /// that bin in its trial, counted from 0, if it is in one.
    ///
    /// # Panics
    /// When `log_odds` has not one place per neuron.
    pub fn log_odds(&self, active: &[u16], trial_bin: Option<u64>, log_odds: &mut Array1<f64>) {
        log_odds.assign(&self.silent(trial_bin));
        let (Some(log_odds), Some(steps)) = (log_odds.as_slice_mut(), self.steps.as_slice()) else { return };
        add_rows(log_odds, steps, active);
    }

    fn silent(&self, trial_bin: Option<u64>) -> ArrayView1<'_, f64> {
        match trial_bin.and_then(|bin| usize::try_from(bin).ok()) {
            Some(bin) if bin < self.silent_in_trial.nrows() => self.silent_in_trial.row(bin),
            _ => self.silent.view(),
        }
    }

    /// Probability of a spike of `receiver` in the bin after one in which `active` fired; `trial_bin` as in
    /// [`Predictor::log_odds`].
    #[must_use]
    pub fn probability(&self, receiver: usize, active: &[u16], trial_bin: Option<u64>) -> f64 {
        let steps = active.iter().map(|&sender| f64::from(self.steps[[usize::from(sender), receiver]]));
        1.0 / (1.0 + (-(self.silent(trial_bin)[receiver] + steps.sum::<f64>())).exp())
    }

    /// Whether the place of a bin in its trial makes a difference.
    #[must_use]
    pub fn depends_on_trials(&self) -> bool {
        self.silent_in_trial.nrows() > 0
    }

    /// Score transitions over `rates`; they must lie after the bins the estimate was made on for the score to mean anything.
    #[must_use]
    pub fn score(&self, transitions: &Transitions<'_>, rates: &Rates) -> Score {
        let mut sums = Sums::new(self.n_neurons());
        for group in &transitions.groups {
            self.log_odds(group.active, group.trial_bin, &mut sums.log_odds);
            for &neuron in transitions.receivers(group) {
                let i = usize::from(neuron);
                sums.nats[i] += sums.log_odds[i] - rates.log_odds[i];
            }
            sums.take_silence(group.transitions);
        }
        sums.flush();
        let mut nats = sums.nats;
        // Silence of every neuron in every transition, the rates' part of it at once.
        nats.scaled_add(transitions.count, &rates.softplus);
        Score { transitions: transitions.count, spikes: transitions.spikes.clone(), gain_bits: nats / LN_2 }
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.steps.len() * 4 + (self.silent_in_trial.len() + self.silent.len()) * 8
    }
}

/// Receivers whose rows are turned into columns together: their numbers fill a line of the cache.
const RECEIVERS_TOGETHER: usize = 16;

/// `4 J_ij` by sender; zero for receivers without an estimate.
fn steps(estimate: &Estimate) -> Array2<f32> {
    let n = estimate.n_neurons();
    let mut steps = Array2::<f32>::zeros((n, n));
    for first in (0..n).step_by(RECEIVERS_TOGETHER) {
        let receivers = first..n.min(first + RECEIVERS_TOGETHER);
        let rows: Vec<_> = receivers
            .filter(|&i| estimate.status[i].has_estimate())
            .map(|i| (i, estimate.couplings.row(i)))
            .collect();
        for (sender, mut of_sender) in steps.rows_mut().into_iter().enumerate() {
            rows.iter().for_each(|(i, row)| of_sender[*i] = (4.0 * row[sender]) as f32);
        }
    }
    steps
}

/// Add the rows of these senders, one after the other, to the log-odds.
#[inline(always)]
fn add_rows_body<const FMA: bool>(log_odds: &mut [f64], steps: &[f32], senders: &[u16]) {
    let n = log_odds.len();
    for &sender in senders {
        let start = usize::from(sender) * n;
        for (x, &step) in log_odds.iter_mut().zip(&steps[start..start + n]) {
            *x += f64::from(step);
        }
    }
}

per_instruction_set!(
    /// See [`add_rows_body`].
    fn add_rows(log_odds: &mut [f64], steps: &[f32], senders: &[u16]) = add_rows_body
);

/// What scoring adds up.
struct Sums {
    /// Log-likelihood gained so far, in nats.
    nats: Array1<f64>,
    log_odds: Array1<f64>,
    /// `Σ max(x, 0)` and `Π (1 + exp(−|x|))` of log-odds not yet taken off `nats`, and how many of each.
    positive: Vec<f64>,
    product: Vec<f64>,
    factors: usize,
}

impl Sums {
    /// Equal transitions from which on a logarithm of their own costs less than one factor for each.
    const REPEATS_SUMMED: u32 = 8;

    fn new(n_neurons: usize) -> Self {
        Self {
            nats: Array1::zeros(n_neurons),
            log_odds: Array1::zeros(n_neurons),
            positive: vec![0.0; n_neurons],
            product: vec![1.0; n_neurons],
            factors: 0,
        }
    }

    /// Silence of every neuron, whether it fired or not, in so many transitions.
    fn take_silence(&mut self, transitions: u32) {
        if transitions >= Self::REPEATS_SUMMED {
            let silence = Zip::from(&mut self.nats).and(&self.log_odds);
            silence.for_each(|nats, &x| *nats -= f64::from(transitions) * softplus(x));
            return;
        }
        for _ in 0..transitions {
            if let Some(log_odds) = self.log_odds.as_slice() {
                add_softplus(log_odds, &mut self.positive, &mut self.product);
            }
            self.factors += 1;
            if self.factors == FACTORS_MAX {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        let parts = self.positive.iter_mut().zip(&mut self.product);
        for (nats, (positive, product)) in self.nats.iter_mut().zip(parts) {
            *nats -= *positive + product.ln();
            (*positive, *product) = (0.0, 1.0);
        }
        self.factors = 0;
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
pub(crate) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}
