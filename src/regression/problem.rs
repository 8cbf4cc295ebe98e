use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Mat, MatRef, Par, Side};

use super::cost::Costs;
use super::pass::{LogOdds, RowSums};
use super::patterns::Patterns;
use super::table::{Own, Table};

/// Parameters of a row in centred form: `θ(t) = u + Σ_j J_j (s_j(t) − m_j⁻)`, so that `u = h + Σ_j J_j m_j⁻`.
///
/// Centred, the field is uncorrelated with the couplings to first order. Also a direction in the space of parameters, or a gradient.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parameters {
    /// `u`.
    pub(crate) drive: f64,
    /// `J_j` of the neurons that take part.
    pub(crate) couplings: Vec<f64>,
}

impl Parameters {
    pub(crate) fn dot(&self, other: &Self) -> f64 {
        self.drive * other.drive + dot(&self.couplings, &other.couplings)
    }

    /// `self + step · direction`.
    pub(crate) fn moved(&self, step: f64, direction: &Self) -> Self {
        let moved = self.couplings.iter().zip(&direction.couplings).map(|(j, d)| j + step * d);
        Self { drive: self.drive + step * direction.drive, couplings: moved.collect() }
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.drive.is_finite() && self.couplings.iter().all(|j| j.is_finite())
    }
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
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
pub(crate) struct Evaluation {
    /// `⟨log P⟩ − (λ a / 2) Σ_j J_j²`, nats per observation.
    pub(crate) value: f64,
    /// Derivatives with respect to the centred parameters.
    pub(crate) gradient: Parameters,
    /// `⟨1 − tanh² θ⟩`.
    pub(crate) gain: f64,
}

/// The likelihood of every row that takes part, for one ridge.
///
/// Receivers enter through counts alone: `Σ_t log P = K⁺ b + Σ_j K_ij v_j − Σ_t log(1 + exp x(t))` with the log-odds
/// `x = b + Σ_{j active} v_j`, `v_j = 4 J_j`, `b = 2 (u − Σ_j J_j (1 + m_j⁻))`.
pub(crate) struct Problem<'a> {
    table: &'a Table,
    pub(crate) patterns: &'a Patterns,
    pub(crate) ridge: f64,
    /// `T`.
    pub(crate) observations: f64,
    /// `K_j⁻ / T = (1 + m_j⁻) / 2`.
    pub(crate) sender_share: Vec<f64>,
    pub(crate) costs: Costs,
    /// Lower Cholesky factor `L` of `C + λI`.
    factor: Mat<f64>,
    /// With [`Own::Held`], in column `i` the unit vector along `L⁻¹ e_i`: `J_i = 0` where whitened couplings `Lᵀ J` are orthogonal to it.
    held: Option<Mat<f64>>,
}

impl<'a> Problem<'a> {
    /// `None` when `C + λI` is singular. There is at least one observation, and every neuron is active in some and silent in some.
    pub(crate) fn new(table: &'a Table, patterns: &'a Patterns, ridge: f64) -> Option<Self> {
        let n = table.n();
        let observations = table.observations as f64;
        let ridged = Mat::from_fn(n, n, |i, j| table.correlations[[i, j]] + if i == j { ridge } else { 0.0 });
        let factor = ridged.llt(Side::Lower).ok()?.L().to_owned();
        // A pivot is the variance of a sender that the ones before it leave unexplained. Rounding alone leaves some n ε of it.
        let smallest = 64.0 * n as f64 * f64::EPSILON;
        if (0..n).any(|k| factor[(k, k)] * factor[(k, k)] < smallest * ridged[(k, k)]) {
            return None;
        }
        let held = (table.own == Own::Held).then(|| {
            let mut inverse = Mat::identity(n, n);
            solve_lower_triangular_in_place(factor.as_ref(), inverse.as_mut(), Par::Seq);
            for column in inverse.col_iter_mut() {
                let norm = column.norm_l2();
                column.iter_mut().for_each(|v| *v /= norm);
            }
            inverse
        });
        let sender_share = table.senders.iter().map(|&k| k as f64 / observations).collect();
        let costs = Costs::of(patterns);
        Some(Self { table, patterns, ridge, observations, sender_share, costs, factor, held })
    }

    /// Whether a row has no coupling from this sender: its own, where that is held at zero.
    pub(crate) fn holds(&self, row: usize, sender: usize) -> bool {
        row == sender && self.held.is_some()
    }

    /// Take out of a whitened gradient what would move the row's own coupling, if that is held.
    pub(crate) fn hold(&self, row: usize, whitened: &mut [f64]) {
        let Some(held) = &self.held else { return };
        let along = held.col_as_slice(row);
        let share = dot(along, whitened);
        whitened.iter_mut().zip(along).for_each(|(w, along)| *w -= share * along);
    }

    pub(crate) fn n(&self) -> usize {
        self.table.n()
    }

    pub(crate) fn factor(&self) -> MatRef<'_, f64> {
        self.factor.as_ref()
    }

    /// `K_i⁺`.
    fn spikes(&self, row: usize) -> u64 {
        self.table.receivers[row]
    }

    /// `K_ij` of all senders.
    fn together(&self, row: usize) -> impl Iterator<Item = u64> + '_ {
        self.table.together[row * self.n()..][..self.n()].iter().copied()
    }

    /// `a_i = 1 − (m_i⁺)²`.
    pub(crate) fn independent_gain(&self, row: usize) -> f64 {
        let share = self.spikes(row) as f64 / self.observations;
        4.0 * share * (1.0 - share)
    }

    /// `λ a_i`.
    pub(crate) fn penalty(&self, row: usize) -> f64 {
        self.ridge * self.independent_gain(row)
    }

    /// `m_j⁻`.
    pub(crate) fn magnetization(&self, sender: usize) -> f64 {
        2.0 * self.sender_share[sender] - 1.0
    }

    /// `h_i` of centred parameters.
    pub(crate) fn field(&self, parameters: &Parameters) -> f64 {
        let shift: f64 =
            parameters.couplings.iter().enumerate().map(|(j, value)| value * self.magnetization(j)).sum();
        parameters.drive - shift
    }

    pub(crate) fn log_odds(&self, parameters: &Parameters) -> LogOdds {
        let silent: f64 = parameters.couplings.iter().zip(&self.sender_share).map(|(j, s)| 2.0 * j * s).sum();
        std::iter::once(2.0 * (parameters.drive - silent))
            .chain(parameters.couplings.iter().map(|j| 4.0 * j))
            .collect()
    }

    /// Independent rates, where no pass is needed: `θ = atanh m⁺`, and the gradient with respect to the couplings is `D_i·`.
    pub(crate) fn independent(&self, row: usize) -> (Parameters, Evaluation) {
        let share = self.spikes(row) as f64 / self.observations;
        let gain = self.independent_gain(row);
        let value = share * share.ln() + (1.0 - share) * (-share).ln_1p();
        let mut couplings = self.table.cross_correlations.row(row).to_vec();
        if self.held.is_some() {
            couplings[row] = 0.0;
        }
        let gradient = Parameters { drive: 0.0, couplings };
        let drive = 0.5 * (share.ln() - (-share).ln_1p());
        let parameters = Parameters { drive, couplings: vec![0.0; self.n()] };
        (parameters, Evaluation { value, gradient, gain })
    }

    /// Turn the sums of a pass at `parameters` into value and gradient.
    pub(crate) fn evaluation(&self, row: usize, parameters: &Parameters, sums: &RowSums) -> Evaluation {
        let log_odds = self.log_odds(parameters);
        let (spikes, penalty) = (self.spikes(row) as f64, self.penalty(row));
        let mut log_likelihood = spikes * log_odds[0] - sums.softplus;
        let residual = spikes - sums.sums[0];
        let mut couplings = Vec::with_capacity(self.n());
        for (j, together) in self.together(row).enumerate() {
            let together = together as f64;
            log_likelihood += together * log_odds[1 + j];
            let centred = (together - sums.sums[1 + j]) - self.sender_share[j] * residual;
            couplings.push(4.0 * centred / self.observations - penalty * parameters.couplings[j]);
        }
        if self.held.is_some() {
            couplings[row] = 0.0;
        }
        let square = dot(&parameters.couplings, &parameters.couplings);
        Evaluation {
            value: log_likelihood / self.observations - 0.5 * penalty * square,
            gradient: Parameters { drive: 2.0 * residual / self.observations, couplings },
            gain: 4.0 * sums.gain / self.observations,
        }
    }

    /// Sums of the gradient of the log-likelihood, without the penalty, over some observations: `spikes` and `together` are their `K_i⁺` and
    /// `K_ij`, `sums` a pass over them. The drive first, then the couplings.
    pub(crate) fn gradient_sums(
        &self,
        row: usize,
        spikes: u64,
        together: &[u64],
        sums: &RowSums,
    ) -> Vec<f64> {
        let residual = spikes as f64 - sums.sums[0];
        let coupling = |(j, &together): (usize, &u64)| {
            let centred = (together as f64 - sums.sums[1 + j]) - self.sender_share[j] * residual;
            if self.holds(row, j) { 0.0 } else { 4.0 * centred }
        };
        std::iter::once(2.0 * residual).chain(together.iter().enumerate().map(coupling)).collect()
    }

    /// Euclidean norm of the gradient with respect to `(h_i, J_i·)`, from that with respect to the centred parameters.
    pub(crate) fn gradient_norm(&self, row: usize, gradient: &Parameters) -> f64 {
        let square: f64 = gradient
            .couplings
            .iter()
            .enumerate()
            .filter(|&(j, _)| !self.holds(row, j))
            .map(|(j, g)| (g + self.magnetization(j) * gradient.drive).powi(2))
            .sum();
        (square + gradient.drive.powi(2)).sqrt()
    }

    /// Whether some sender alone tells the receiver's spikes, or its silences, without exception: one of the four combinations of
    /// sender active or not and receiver active or not never occurs. Without a ridge the coupling then grows without end.
    pub(crate) fn has_empty_cell(&self, row: usize) -> bool {
        let (total, spikes) = (self.table.observations, self.spikes(row));
        let mut senders = self.together(row).zip(&self.table.senders).enumerate();
        senders.any(|(j, (together, &sends))| {
            let empty = together == 0 || together == sends || together == spikes;
            !self.holds(row, j) && (empty || total + together == sends + spikes)
        })
    }

    /// Couplings of a row and its field in centred form.
    pub(crate) fn centred(&self, couplings: Vec<f64>, field: f64) -> Parameters {
        let shift: f64 = couplings.iter().enumerate().map(|(j, value)| value * self.magnetization(j)).sum();
        Parameters { drive: field + shift, couplings }
    }

    /// What an evaluation at `parameters` with the ridge `before` is with the ridge of this problem.
    pub(crate) fn reridged(
        &self,
        row: usize,
        parameters: &Parameters,
        mut there: Evaluation,
        before: f64,
    ) -> Evaluation {
        let change = self.independent_gain(row) * (before - self.ridge);
        there.value += 0.5 * change * dot(&parameters.couplings, &parameters.couplings);
        let couplings = there.gradient.couplings.iter_mut().zip(&parameters.couplings);
        couplings.for_each(|(gradient, coupling)| *gradient += change * coupling);
        there
    }
}
