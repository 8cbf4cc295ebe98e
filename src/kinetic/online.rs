use faer::linalg::solvers::{Llt, Solve};
use faer::{Mat, Side};
use ndarray::{Array1, Array2};

use super::inversion::{Moments, SenderVariance};
use super::participation::Participation;
use crate::model::{Estimate, Estimator, RowStatus, Runs, SamplingVariance, SpikeBlock};
use crate::moments::Counts;

/// Maximum likelihood followed as the bins come: the exact gradient (Roudi & Hertz 2011, Eq. 3) of the newest transitions, with the
/// preconditioner of the batch estimator.
///
/// For a minibatch of `B` transitions, with `θ_i(t) = u_i + Σ_j J_ij (s_j(t) − m_j⁻)` and residuals
/// `ε_i(t) = s_i(t+1) − tanh θ_i(t)`,
///
/// ```text
/// u_i ← u_i + η ⟨ε_i⟩ / α_i          J_i· ← J_i· + η [⟨ε_i (s − m⁻)ᵀ⟩ − λ a_i J_i·] (C + λI)⁻¹ / α_i          η = B / N
/// ```
///
/// where `C` and `m⁻` are those of the window, `α_i` is a running mean of the gain `1 − tanh² θ_i` and `a_i = 1 − (m_i⁺)²`. Each step
/// replaces a share `η` of the estimate by what the minibatch alone says, so that the estimate has an exponential memory of `N`
/// transitions. `N` is half the window, which gives the variance of an estimate over the whole window. Over the whole session it is two
/// thirds of all transitions so far: the estimate tends to that of the batch, with a variance larger by an eighth, and soon forgets
/// where it started.
///
/// A change of the couplings is followed to 90 % within one and a half windows where the gain varies little between transitions
/// (`tests/tracking.rs`). Where it varies much, as in bursts, the preconditioner overestimates the curvature and it takes longer.
#[derive(Debug, Clone)]
pub struct Online {
    ridge: f64,
    /// `J` with row = *sender*; shape `(n_neurons, n_neurons)`.
    by_sender: Array2<f64>,
    /// Shape `(n_neurons)`.
    fields: Array1<f64>,
    /// Running mean of `1 − tanh² θ_i`; shape `(n_neurons)`.
    gain: Array1<f64>,
    status: Vec<RowStatus>,
    /// Whether each neuron took part the last time.
    took_part: Vec<bool>,
    started: bool,
}

/// What one call works with.
struct Batch<'a> {
    active: &'a [usize],
    factor: Llt<f64>,
    magnetization: Array1<f64>,
    /// `a_i` of the active neurons.
    receiver_gain: Array1<f64>,
    /// Memory in transitions.
    memory: f64,
}

impl Online {
    /// Largest share of the estimate that one step replaces: beyond, curvature that changes within the step would make it overshoot.
    const SHARE_MAX: f64 = 1.0 / 8.0;
    /// Most steps of one call, each with a solve of O(n³): bounds its time.
    const STEPS_MAX: usize = 8;
    /// Largest change of a mean field and of the standard deviation of a row's summed input in one step.
    const STEP_MAX: f64 = 0.5;
    /// Ridge of the naive mean field estimate to start from: one that does little harm on any recording.
    const STARTING_RIDGE: f64 = 0.3;
    /// Least ridge of the preconditioner, as a share of the mean variance. It bends steps, not where they lead.
    const PRECONDITIONER_FLOOR: f64 = 1e-3;

    /// An estimate that has seen nothing, with penalty `(λ a_i / 2) Σ_j J_ij²` on each row.
    #[must_use]
    pub fn new(n_neurons: usize, ridge: f64) -> Self {
        Self {
            ridge,
            by_sender: Array2::zeros((n_neurons, n_neurons)),
            fields: Array1::zeros(n_neurons),
            gain: Array1::ones(n_neurons),
            status: vec![RowStatus::Undersampled; n_neurons],
            took_part: vec![false; n_neurons],
            started: false,
        }
    }

    /// Follow the newest bins. `counts` are those of the window, these bins included; `window_bins` is its length, `None` when it
    /// is the whole session. The first call starts from naive mean field on the counts. Cost O(spikes · n), one factorization and
    /// at most eight solves of O(n³).
    pub fn follow(&mut self, newest: &Runs, counts: &Counts, window_bins: Option<u64>) {
        let participation = Participation::of(counts);
        let active = &participation.active;
        if self.started {
            self.leave_and_return(&participation, counts);
        }
        self.took_part = participation.status.iter().map(|&status| status == RowStatus::Ok).collect();
        self.status.clone_from(&participation.status);
        let enough = self.ridge > 0.0 || counts.lags[0].transitions > active.len() as u64 + 1;
        let batch =
            Batch::of(counts, active, self.ridge, window_bins).filter(|_| enough && !active.is_empty());
        let Some(batch) = batch else {
            let why = if enough { RowStatus::Singular } else { RowStatus::Undersampled };
            active.iter().for_each(|&i| self.status[i] = why);
            return;
        };
        if !self.started {
            self.start(counts);
            return;
        }
        let newest = newest.last_bins(batch.memory as u64);
        let steps = (newest.transitions() as f64 / (Self::SHARE_MAX * batch.memory)).ceil();
        for part in cut(&newest, (steps as usize).clamp(1, Self::STEPS_MAX)) {
            self.step(&part, &batch);
        }
    }

    /// Couplings and fields as they stand, without standard errors.
    #[must_use]
    pub fn couplings(&self) -> Estimate {
        let has_estimate = |i: usize| self.started && self.status[i].has_estimate();
        let couplings = Array2::from_shape_fn(self.by_sender.dim(), |(i, j)| {
            if has_estimate(i) { self.by_sender[[j, i]] } else { 0.0 }
        });
        let fields = (0..self.fields.len()).map(|i| if has_estimate(i) { self.fields[i] } else { 0.0 });
        Estimate {
            estimator: Estimator::Online,
            ridge: self.ridge,
            couplings,
            fields: fields.collect(),
            status: self.status.clone(),
            variance: SamplingVariance::none(self.status.len(), 0),
            convergence: None,
            trial_fields: None,
        }
    }

    /// The estimate as it stands, with standard errors from the counts of the window. Cost O(n³).
    #[must_use]
    pub fn estimate(&self, counts: &Counts, window_bins: Option<u64>) -> Estimate {
        let variance = self.variance(counts, window_bins);
        Estimate { variance, ..self.couplings() }
    }

    fn variance(&self, counts: &Counts, window_bins: Option<u64>) -> SamplingVariance {
        let n = self.status.len();
        let participation = Participation::of(counts);
        let moments = Moments::of(counts, &participation.active);
        let transitions = effective_transitions(counts.lags[0].transitions, window_bins);
        let Ok(errors) = SenderVariance::of(&moments, self.ridge) else {
            return SamplingVariance::none(n, transitions);
        };
        let (mut sender, mut receiver) = (Array1::zeros(n), Array1::zeros(n));
        for (k, &j) in participation.active.iter().enumerate() {
            if self.started && self.status[j].has_estimate() {
                sender[j] = errors.sender[k];
                receiver[j] = self.gain[j];
            }
        }
        SamplingVariance::Factored { sender, receiver, field: errors.field, transitions }
    }

    /// Neurons that take no part any more lose their couplings: what they were is of another time when they come back. The constant that a
    /// sender contributed while it was silent, or firing all the time, goes into the fields of its receivers. Neurons that come back
    /// begin with their rate.
    fn leave_and_return(&mut self, participation: &Participation, counts: &Counts) {
        for (i, &status) in participation.status.iter().enumerate() {
            if self.took_part[i] && status != RowStatus::Ok {
                let contributed = self.by_sender.row(i).to_owned();
                match status {
                    RowStatus::Saturated => self.fields += &contributed,
                    // What fires with another is counted with that one from now on.
                    RowStatus::Duplicate => {}
                    _ => self.fields -= &contributed,
                }
                self.by_sender.row_mut(i).fill(0.0);
                self.by_sender.column_mut(i).fill(0.0);
                self.fields[i] = 0.0;
            }
        }
        let magnetization = counts.lags[0].magnetization_receiver();
        for (i, &status) in participation.status.iter().enumerate() {
            if !self.took_part[i] && status == RowStatus::Ok {
                self.fields[i] = magnetization[i].atanh();
                self.gain[i] = 1.0 - magnetization[i] * magnetization[i];
            }
        }
    }

    fn start(&mut self, counts: &Counts) {
        let ridge = self.ridge.max(Self::STARTING_RIDGE);
        let [start] = &super::estimate(counts, &[Estimator::Nmf], ridge)[..] else { return };
        self.by_sender = start.couplings.t().as_standard_layout().into_owned();
        self.fields.assign(&start.fields);
        self.gain = counts.lags[0].magnetization_receiver().mapv(|m| 1.0 - m * m);
        self.started = true;
    }

    fn step(&mut self, part: &Runs, batch: &Batch<'_>) {
        let transitions = part.transitions() as f64;
        if transitions == 0.0 {
            return;
        }
        let sums = self.sums(part);
        let share = (transitions / batch.memory).min(Self::SHARE_MAX);
        let n = batch.active.len();
        // Row = sender, column = receiver: one right-hand side per receiver.
        let mut gradient = Mat::<f64>::zeros(n, n);
        for (column, &i) in batch.active.iter().enumerate() {
            let penalty = self.ridge * batch.receiver_gain[column];
            let total = sums.residuals[i];
            for (row, &j) in batch.active.iter().enumerate() {
                let connected = 2.0 * sums.by_sender[[j, i]] - total * (1.0 + batch.magnetization[row]);
                gradient[(row, column)] = connected / transitions - penalty * self.by_sender[[j, i]];
            }
        }
        let mut direction = gradient.clone();
        batch.factor.solve_in_place(direction.as_mut());
        for (column, &i) in batch.active.iter().enumerate() {
            let floor = batch.receiver_gain[column] * 1e-3;
            self.gain[i] += share * (sums.gain[i] / transitions - self.gain[i]);
            let gain = self.gain[i].max(floor);
            let scale = share / gain;
            let shift = scale * sums.residuals[i] / transitions;
            let descent: f64 = (0..n).map(|row| gradient[(row, column)] * direction[(row, column)]).sum();
            // The change of the summed input has variance ΔJ C ΔJᵀ ≤ scale² · descent.
            let size = shift.abs().max(scale * descent.max(0.0).sqrt());
            let damped = if size > Self::STEP_MAX { Self::STEP_MAX / size } else { 1.0 };
            let mut drive = 0.0;
            for (row, &j) in batch.active.iter().enumerate() {
                let change = damped * scale * direction[(row, column)];
                self.by_sender[[j, i]] += change;
                drive += change * batch.magnetization[row];
            }
            self.fields[i] += damped * shift - drive;
        }
    }

    /// Sums over the transitions of `part`.
    fn sums(&self, part: &Runs) -> Sums {
        let n = self.fields.len();
        let base = &self.fields - &self.by_sender.sum_axis(ndarray::Axis(0));
        let mut sums =
            Sums { residuals: Array1::zeros(n), gain: Array1::zeros(n), by_sender: Array2::zeros((n, n)) };
        let mut theta = Array1::zeros(n);
        for run in &part.blocks {
            for t in 1..run.n_bins() {
                theta.assign(&base);
                for &j in run.bin(t - 1) {
                    theta.scaled_add(2.0, &self.by_sender.row(usize::from(j)));
                }
                sums.add(run, t, &mut theta);
            }
        }
        sums
    }
}

struct Sums {
    /// `Σ_t ε_i(t)`.
    residuals: Array1<f64>,
    /// `Σ_t 1 − tanh² θ_i(t)`.
    gain: Array1<f64>,
    /// `Σ_{t: j active} ε_i(t)`, row = sender.
    by_sender: Array2<f64>,
}

impl Sums {
    /// Add the transition into bin `t`; `theta` becomes its residuals.
    fn add(&mut self, run: &SpikeBlock, t: usize, theta: &mut Array1<f64>) {
        for (theta, gain) in theta.iter_mut().zip(&mut self.gain) {
            let tanh = theta.tanh();
            *gain += 1.0 - tanh * tanh;
            *theta = -1.0 - tanh;
        }
        for &i in run.bin(t) {
            theta[usize::from(i)] += 2.0;
        }
        self.residuals += &*theta;
        for &j in run.bin(t - 1) {
            let mut row = self.by_sender.row_mut(usize::from(j));
            row += &*theta;
        }
    }
}

impl<'a> Batch<'a> {
    fn of(counts: &Counts, active: &'a [usize], ridge: f64, window_bins: Option<u64>) -> Option<Self> {
        let lag = &counts.lags[0];
        let select = |all: Array1<f64>| -> Array1<f64> { active.iter().map(|&i| all[i]).collect() };
        let correlations = counts.equal_time_correlations();
        let n = active.len();
        let mean_variance =
            (0..n).map(|k| correlations[[active[k], active[k]]]).sum::<f64>() / n.max(1) as f64;
        let ridge = ridge.max(Online::PRECONDITIONER_FLOOR * mean_variance);
        let entry =
            |k: usize, l: usize| correlations[[active[k], active[l]]] + if k == l { ridge } else { 0.0 };
        let factor = Mat::from_fn(n, n, entry).llt(Side::Lower).ok()?;
        let seen = lag.transitions as f64;
        Some(Self {
            active,
            factor,
            magnetization: select(lag.magnetization_sender()),
            receiver_gain: select(lag.magnetization_receiver()).mapv(|m| 1.0 - m * m),
            memory: window_bins.map_or(2.0 / 3.0 * seen, |bins| seen.min(bins as f64 / 2.0)),
        })
    }
}

/// Transitions of equal weight that an estimate with this memory is worth.
fn effective_transitions(seen: u64, window_bins: Option<u64>) -> u64 {
    match window_bins {
        // An exponential memory of N has the variance of 2 N − 1.
        Some(bins) => seen.min(bins),
        // Shares of 3/2 over the number seen: 9/8 of the variance.
        None => seen - seen / 9,
    }
}

/// Cut into so many parts of about equal numbers of transitions, no transition lost.
fn cut(runs: &Runs, parts: usize) -> Vec<Runs> {
    let per_part = runs.transitions().div_ceil(parts as u64).max(1) as usize;
    let mut cut = Vec::with_capacity(parts);
    let (mut blocks, mut room) = (Vec::new(), per_part);
    for block in &runs.blocks {
        let mut from = 0;
        while from + 1 < block.n_bins() {
            let taken = room.min(block.n_bins() - 1 - from);
            blocks.push(block.slice(from, from + taken + 1));
            from += taken;
            room -= taken;
            if room == 0 {
                cut.push(Runs { n_neurons: runs.n_neurons, blocks: std::mem::take(&mut blocks) });
                room = per_part;
            }
        }
    }
    if !blocks.is_empty() {
        cut.push(Runs { n_neurons: runs.n_neurons, blocks });
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_keeps_every_transition() {
        let lists: Vec<Vec<u16>> = (0..23).map(|k| vec![k % 3]).collect();
        let block = SpikeBlock::from_lists(0, &lists, 3).unwrap();
        let runs =
            Runs { n_neurons: 3, blocks: vec![block.slice(0, 11), block.slice(11, 12), block.slice(12, 23)] };
        for parts in 1..=30 {
            let cut = cut(&runs, parts);
            assert!(cut.len() <= parts.max(1));
            assert_eq!(cut.iter().map(Runs::transitions).sum::<u64>(), 20);
            let pairs = |runs: &Runs| -> Vec<(Vec<u16>, Vec<u16>)> {
                let of_block = |b: &SpikeBlock| {
                    (1..b.n_bins()).map(|t| (b.bin(t - 1).to_vec(), b.bin(t).to_vec())).collect::<Vec<_>>()
                };
                runs.blocks.iter().flat_map(of_block).collect()
            };
            assert_eq!(cut.iter().flat_map(pairs).collect::<Vec<_>>(), pairs(&runs));
        }
    }
}
