use super::correlations::BinCorrelations;
use super::linear::{Factor, dot, penalized};
use super::repeats::Repeats;
use crate::model::{Ridges, RowStatus};

/// What the estimators share about one receiver.
pub(super) struct Receiver<'a> {
    pub(super) repeats: &'a Repeats,
    /// Place among the neurons that take part.
    pub(super) row: usize,
    /// Trial bins in whose later bin the neuron fired in some repeats and not in others: those that tell about couplings.
    pub(super) bins: Vec<usize>,
    /// `a_i(t) = R_t/(R_t − 1) · (1 − m_i²(t+1))`, 0 outside of `bins`; shape `(n_bins)`.
    pub(super) gain: Vec<f64>,
    /// Transitions of `bins`.
    pub(super) transitions: u64,
    /// `Σ_t R_t a_i(t)`.
    pub(super) total_gain: f64,
    pub(super) ridge: f64,
}

/// An estimate of one row, over the neurons that take part.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) status: RowStatus,
    pub(super) couplings: Vec<f64>,
    /// Fields of the receiver's `bins`, in their order.
    pub(super) fields: Vec<f64>,
    pub(super) coupling_variance: Vec<f64>,
    pub(super) field_variance: f64,
    pub(super) iterations: u32,
    pub(super) gradient_norm: f64,
}

impl Row {
    pub(super) fn without(status: RowStatus) -> Self {
        Self {
            status,
            couplings: Vec::new(),
            fields: Vec::new(),
            coupling_variance: Vec::new(),
            field_variance: 0.0,
            iterations: 0,
            gradient_norm: 0.0,
        }
    }
}

impl<'a> Receiver<'a> {
    pub(super) fn of(repeats: &'a Repeats, row: usize, ridge: f64) -> Self {
        let mut gain = vec![0.0; repeats.n_bins()];
        let (mut bins, mut transitions, mut total_gain) = (Vec::new(), 0, 0.0);
        for (t, gain) in gain.iter_mut().enumerate() {
            let count = repeats.transitions_of(t).len();
            let fired = repeats.receives[[row, t]];
            if fired > 0.0 && fired < count as f64 {
                *gain = variance(fired, count as f64);
                total_gain += count as f64 * *gain;
                transitions += count as u64;
                bins.push(t);
            }
        }
        Self { repeats, row, bins, gain, transitions, total_gain, ridge }
    }

    /// Whether the ridge is one and there are transitions enough, with the couplings and the field of each bin as unknowns.
    pub(super) fn check(&self) -> Result<(), RowStatus> {
        if !Ridges::allows(self.ridge) {
            return Err(RowStatus::Singular);
        }
        if self.bins.is_empty() {
            return Err(RowStatus::TooFewRepeats);
        }
        let unknowns = (self.repeats.n_active() + self.bins.len()) as u64;
        if self.ridge == 0.0 && self.transitions <= unknowns {
            return Err(RowStatus::Undersampled);
        }
        Ok(())
    }

    /// `m_i(t + 1)`.
    pub(super) fn magnetization(&self, t: usize) -> f64 {
        2.0 * self.repeats.receives[[self.row, t]] / self.repeats.repeats[t] as f64 - 1.0
    }

    /// `m_j(t)` of every sender.
    pub(super) fn sender_magnetization(&self, t: usize) -> impl Iterator<Item = f64> + '_ {
        let count = self.repeats.repeats[t] as f64;
        self.repeats.sends.row(t).into_iter().map(move |fired| 2.0 * fired / count - 1.0)
    }

    /// `R_t/(R_t − 1) · (1 − m_j²(t))` of every sender.
    pub(super) fn sender_gain(&self, t: usize) -> impl Iterator<Item = f64> + '_ {
        let count = self.repeats.repeats[t] as f64;
        self.repeats.sends.row(t).into_iter().map(move |&fired| variance(fired, count))
    }

    /// Fields for trial bins in which the neuron never, or always, fired: those of the rate `(K + ½)/(R + 1)` (Krichevsky & Trofimov
    /// 1981) instead of infinity. They say nothing but this rate, and serve predictions alone.
    pub(super) fn smoothed_fields(&self, couplings: &[f64]) -> impl Iterator<Item = (usize, f64)> + '_ {
        let couplings = couplings.to_vec();
        let extreme =
            (0..self.repeats.n_bins()).filter(|&t| self.repeats.repeats[t] >= 2 && self.gain[t] == 0.0);
        extreme.map(move |t| {
            let fired = self.repeats.receives[[self.row, t]];
            let silent = self.repeats.repeats[t] as f64 - fired;
            (t, 0.5 * ((fired + 0.5) / (silent + 0.5)).ln() - self.drive(&couplings, t))
        })
    }

    /// `J_i· = Σ_t R_t D_i(t) [B + λ Σ_t R_t w_t I]⁻¹` with `B = Σ_t R_t w_t C(t)` for gains `w_t` of the trial bins.
    pub(super) fn regress(
        &self,
        correlations: &BinCorrelations<'_>,
        gain: &[f64],
    ) -> Result<Regression, RowStatus> {
        let information = correlations.weighted(gain);
        let total: f64 = self.bins.iter().map(|&t| self.repeats.repeats[t] as f64 * gain[t]).sum();
        let penalty = self.ridge * total;
        let factor = Factor::of(&penalized(&information, penalty)).ok_or(RowStatus::Singular)?;
        let mut couplings = self.delayed();
        factor.solve(&mut couplings);
        Ok(Regression { couplings, information, penalty, factor })
    }

    /// `Σ_t R_t D_ij(t)`, shape `(n_active)`.
    pub(super) fn delayed(&self) -> Vec<f64> {
        self.repeats.delayed.row(self.row).to_vec()
    }

    /// `Σ_j J_ij m_j(t)`.
    pub(super) fn drive(&self, couplings: &[f64], t: usize) -> f64 {
        self.sender_magnetization(t).zip(couplings).map(|(m, j)| m * j).sum()
    }

    /// `q_i(t) = Σ_j J_ij² R_t/(R_t − 1) (1 − m_j²(t))`.
    pub(super) fn drive_variance(&self, couplings: &[f64], t: usize) -> f64 {
        self.sender_gain(t).zip(couplings).map(|(g, j)| g * j * j).sum()
    }

    /// Euclidean norm of `D − J (B + penalty)`, per transition.
    pub(super) fn residual_norm(&self, regression: &Regression, couplings: &[f64]) -> f64 {
        let given = regression.information.dot(&ndarray::ArrayView1::from(couplings));
        let square: f64 = self
            .delayed()
            .iter()
            .zip(&given)
            .zip(couplings)
            .map(|((d, b), j)| (d - b - regression.penalty * j).powi(2))
            .sum();
        square.sqrt() / self.transitions as f64
    }
}

/// A linear regression of one row.
pub(super) struct Regression {
    pub(super) couplings: Vec<f64>,
    /// `B`.
    pub(super) information: ndarray::Array2<f64>,
    /// What is added to its diagonal.
    pub(super) penalty: f64,
    /// Of the sum.
    pub(super) factor: Factor,
}

/// Unbiased estimate of `1 − m²` of a neuron that fired in so many of so many repeats.
fn variance(fired: f64, count: f64) -> f64 {
    4.0 * fired * (count - fired) / (count * (count - 1.0))
}

/// Largest difference between two rows, and the largest entry of the second.
pub(super) fn distance(a: &[f64], b: &[f64]) -> (f64, f64) {
    let difference = a.iter().zip(b).fold(0.0_f64, |most, (a, b)| most.max((a - b).abs()));
    (difference, b.iter().fold(0.0_f64, |most, b| most.max(b.abs())))
}

/// `‖v‖`.
pub(super) fn norm(v: &[f64]) -> f64 {
    dot(v, v).sqrt()
}
