use faer::{MatRef, Side};
use ndarray::Array2;

use super::cost::Costs;
use super::pass::{LogOdds, RowSums};
use super::patterns::Patterns;
use crate::moments::Counts;

/// Parameters of a row in centred form: `θ(t) = u + Σ_j J_j (s_j(t) − m_j⁻)`, so that `u = h + Σ_j J_j m_j⁻`.
///
/// Centred, the field is uncorrelated with the couplings to first order. Also a direction in the space of parameters, or a gradient.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parameters {
    /// `u`.
    pub(super) drive: f64,
    /// `J_j` of the neurons that take part.
    pub(super) couplings: Vec<f64>,
}

impl Parameters {
    pub(super) fn dot(&self, other: &Self) -> f64 {
        self.drive * other.drive + dot(&self.couplings, &other.couplings)
    }

    /// `self + step · direction`.
    pub(super) fn moved(&self, step: f64, direction: &Self) -> Self {
        let moved = self.couplings.iter().zip(&direction.couplings).map(|(j, d)| j + step * d);
        Self { drive: self.drive + step * direction.drive, couplings: moved.collect() }
    }

    pub(super) fn is_finite(&self) -> bool {
        self.drive.is_finite() && self.couplings.iter().all(|j| j.is_finite())
    }
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Four partial sums: fixed order, and not one long chain of additions.
    let ((a4, a_rest), (b4, b_rest)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut sums = [0.0; 4];
    for (a, b) in a4.iter().zip(b4) {
        for k in 0..4 {
            sums[k] += a[k] * b[k];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

/// The penalised mean log-likelihood of a row somewhere.
#[derive(Debug, Clone)]
pub(super) struct Evaluation {
    /// `⟨log P⟩ − (λ a / 2) Σ_j J_j²`, nats per transition.
    pub(super) value: f64,
    /// Derivatives with respect to the centred parameters.
    pub(super) gradient: Parameters,
    /// `⟨1 − tanh² θ⟩`.
    pub(super) gain: f64,
}

/// The likelihood of every row that takes part, for one ridge.
///
/// Receiver bins enter through counts alone: `Σ_t log P = K⁺ b + Σ_j K_ij(1) v_j − Σ_t log(1 + exp x(t))` with the log-odds
/// `x = b + Σ_{j active} v_j`, `v_j = 4 J_j`, `b = 2 (u − Σ_j J_j (1 + m_j⁻))`.
pub(super) struct Problem<'a> {
    counts: &'a Counts,
    pub(super) patterns: &'a Patterns,
    /// Neurons that take part, increasing.
    pub(super) active: &'a [usize],
    pub(super) ridge: f64,
    /// `T`.
    pub(super) transitions: f64,
    /// `K_j⁻ / T = (1 + m_j⁻) / 2`.
    pub(super) sender_share: Vec<f64>,
    pub(super) costs: Costs,
    /// Lower Cholesky factor of `C + λI`.
    factor: faer::Mat<f64>,
}

impl<'a> Problem<'a> {
    /// `None` when `C + λI` is singular. There is at least one transition and every active neuron fires and is silent in some.
    pub(super) fn new(
        counts: &'a Counts,
        patterns: &'a Patterns,
        active: &'a [usize],
        ridge: f64,
    ) -> Option<Self> {
        let lag = &counts.lags[0];
        let transitions = lag.transitions as f64;
        let correlations = counts.equal_time_correlations();
        let ridged = faer::Mat::from_fn(active.len(), active.len(), |i, j| {
            correlations[[active[i], active[j]]] + if i == j { ridge } else { 0.0 }
        });
        let factor = ridged.llt(Side::Lower).ok()?.L().to_owned();
        let sender_share = active.iter().map(|&j| lag.sender[j] as f64 / transitions).collect();
        let costs = Costs::of(patterns);
        Some(Self { counts, patterns, active, ridge, transitions, sender_share, costs, factor })
    }

    pub(super) fn n(&self) -> usize {
        self.active.len()
    }

    pub(super) fn factor(&self) -> MatRef<'_, f64> {
        self.factor.as_ref()
    }

    /// `K_i⁺`.
    fn spikes(&self, row: usize) -> u64 {
        self.counts.lags[0].receiver[self.active[row]]
    }

    /// `K_ij(1)` of all senders that take part.
    fn delayed(&self, row: usize) -> impl Iterator<Item = u64> + '_ {
        let all = &self.counts.lags[0].delayed[self.active[row] * self.counts.n_neurons..];
        self.active.iter().map(move |&j| all[j])
    }

    /// `a_i = 1 − (m_i⁺)²`.
    pub(super) fn independent_gain(&self, row: usize) -> f64 {
        let share = self.spikes(row) as f64 / self.transitions;
        4.0 * share * (1.0 - share)
    }

    /// `λ a_i`.
    pub(super) fn penalty(&self, row: usize) -> f64 {
        self.ridge * self.independent_gain(row)
    }

    /// `m_j⁻`.
    pub(super) fn magnetization(&self, sender: usize) -> f64 {
        2.0 * self.sender_share[sender] - 1.0
    }

    /// `h_i` of centred parameters.
    pub(super) fn field(&self, parameters: &Parameters) -> f64 {
        let shift: f64 =
            parameters.couplings.iter().enumerate().map(|(j, value)| value * self.magnetization(j)).sum();
        parameters.drive - shift
    }

    pub(super) fn log_odds(&self, parameters: &Parameters) -> LogOdds {
        let silent: f64 = parameters.couplings.iter().zip(&self.sender_share).map(|(j, s)| 2.0 * j * s).sum();
        std::iter::once(2.0 * (parameters.drive - silent))
            .chain(parameters.couplings.iter().map(|j| 4.0 * j))
            .collect()
    }

    /// Independent rates, where no pass is needed: `θ = atanh m⁺`, and the gradient with respect to the couplings is `D_i·`.
    pub(super) fn independent(&self, row: usize) -> (Parameters, Evaluation) {
        let share = self.spikes(row) as f64 / self.transitions;
        let gain = self.independent_gain(row);
        let value = share * share.ln() + (1.0 - share) * (-share).ln_1p();
        let correlations: Vec<f64> = self.counts.lags[0].delayed_correlations_row(self.active[row]).collect();
        let gradient =
            Parameters { drive: 0.0, couplings: self.active.iter().map(|&j| correlations[j]).collect() };
        let drive = 0.5 * (share.ln() - (-share).ln_1p());
        let parameters = Parameters { drive, couplings: vec![0.0; self.n()] };
        (parameters, Evaluation { value, gradient, gain })
    }

    /// Turn the sums of a pass at `parameters` into value and gradient.
    pub(super) fn evaluation(&self, row: usize, parameters: &Parameters, sums: &RowSums) -> Evaluation {
        let log_odds = self.log_odds(parameters);
        let (spikes, penalty) = (self.spikes(row) as f64, self.penalty(row));
        let mut log_likelihood = spikes * log_odds[0] - sums.softplus;
        let residual = spikes - sums.sums[0];
        let mut couplings = Vec::with_capacity(self.n());
        for (j, together) in self.delayed(row).enumerate() {
            let together = together as f64;
            log_likelihood += together * log_odds[1 + j];
            let centred = (together - sums.sums[1 + j]) - self.sender_share[j] * residual;
            couplings.push(4.0 * centred / self.transitions - penalty * parameters.couplings[j]);
        }
        let square = dot(&parameters.couplings, &parameters.couplings);
        Evaluation {
            value: log_likelihood / self.transitions - 0.5 * penalty * square,
            gradient: Parameters { drive: 2.0 * residual / self.transitions, couplings },
            gain: 4.0 * sums.gain / self.transitions,
        }
    }

    /// Euclidean norm of the gradient with respect to `(h_i, J_i·)`, from that with respect to the centred parameters.
    pub(super) fn gradient_norm(&self, gradient: &Parameters) -> f64 {
        let square: f64 = gradient
            .couplings
            .iter()
            .enumerate()
            .map(|(j, g)| (g + self.magnetization(j) * gradient.drive).powi(2))
            .sum();
        (square + gradient.drive.powi(2)).sqrt()
    }

    /// Whether some sender alone tells the receiver's spikes, or its silences, without exception: one of the four combinations of
    /// sender active or not and receiver active or not never occurs. Without a ridge the coupling then grows without end.
    pub(super) fn has_empty_cell(&self, row: usize) -> bool {
        let lag = &self.counts.lags[0];
        let (total, spikes) = (lag.transitions, self.spikes(row));
        self.delayed(row).zip(self.active).any(|(together, &j)| {
            let sends = lag.sender[j];
            together == 0 || together == sends || together == spikes || total + together == sends + spikes
        })
    }

    /// Couplings of all neurons, shape `(n_neurons, n_neurons)`, restricted to a row of those that take part, and centred.
    pub(super) fn restricted(&self, row: usize, couplings: &Array2<f64>, field: f64) -> Parameters {
        let couplings: Vec<f64> = self.active.iter().map(|&j| couplings[[self.active[row], j]]).collect();
        let shift: f64 = couplings.iter().enumerate().map(|(j, value)| value * self.magnetization(j)).sum();
        Parameters { drive: field + shift, couplings }
    }
}
