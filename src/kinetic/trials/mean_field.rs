use super::super::tap::smallest_root;
use super::correlations::BinCorrelations;
use super::linear::sandwich;
use super::row::{Receiver, Regression, Row, distance};
use crate::model::{RowStatus, TapForm};

/// Couplings have settled when none changes by more than this share of the largest.
const SETTLED: f64 = 1e-13;

/// Naive mean field with fields of each trial bin (Roudi & Hertz 2011, section on non-stationary networks).
///
/// `J_i· = ⟨D_i·(t)⟩_t [⟨a_i(t) C(t)⟩_t + λ ⟨a_i⟩_t I]⁻¹`, `h_i(t) = atanh m_i(t+1) − Σ_j J_ij m_j(t)`. As in the stationary
/// estimator, a row whose summed input varies too strongly for the TAP equation to have a root gets
/// [`RowStatus::MeanFieldInvalid`].
pub(super) fn nmf(receiver: &Receiver<'_>, regression: &Regression) -> Row {
    let couplings = regression.couplings.clone();
    let strength: f64 = (receiver.bins.iter())
        .map(|&t| {
            let weight = receiver.repeats.repeats[t] as f64 * receiver.gain[t];
            weight * receiver.gain[t] * receiver.drive_variance(&couplings, t)
        })
        .sum();
    let status = match smallest_root(TapForm::Preprint, strength / receiver.total_gain) {
        Some(_) => RowStatus::Ok,
        None => RowStatus::MeanFieldInvalid,
    };
    let fields = fields(receiver, &couplings, false);
    finished(receiver, regression, couplings, fields, &receiver.gain, status)
}

/// TAP with fields of each trial bin (Roudi & Hertz 2011).
///
/// The gain of a bin is `w_i(t) = a_i(t) [1 − a_i(t) q_i(t)]` with `q_i(t) = Σ_l J_il² (1 − m_l²(t))`, and
/// `J_i· = ⟨D_i·(t)⟩_t [⟨w_i(t) C(t)⟩_t + λ ⟨w_i⟩_t I]⁻¹` is iterated from naive mean field; a step that grows is followed by
/// shorter ones. `h_i(t) = atanh m_i(t+1) − Σ_j J_ij m_j(t) + m_i(t+1) q_i(t)`.
///
/// When a gain falls to zero there is no root on the branch that starts at zero couplings: the row keeps naive mean field and
/// gets [`RowStatus::TapNoRoot`]. One that has not settled after `iterations_max` rounds keeps naive mean field too, as
/// [`RowStatus::NotConverged`].
pub(super) fn tap(
    receiver: &Receiver<'_>,
    correlations: &BinCorrelations<'_>,
    start: &Regression,
    iterations_max: u32,
) -> Row {
    let mut couplings = start.couplings.clone();
    let (mut share, mut step_before) = (1.0_f64, f64::INFINITY);
    let fall_back = |status, iterations| Row { status, iterations, ..nmf(receiver, start) };
    for iteration in 1..=iterations_max {
        let Some(gain) = tap_gain(receiver, &couplings) else {
            return fall_back(RowStatus::TapNoRoot, iteration);
        };
        let Ok(regression) = receiver.regress(correlations, &gain) else {
            return fall_back(RowStatus::TapNoRoot, iteration);
        };
        let (step, largest) = distance(&couplings, &regression.couplings);
        if step <= SETTLED * largest {
            let residual = receiver.residual_norm(&regression, &couplings);
            let fields = fields(receiver, &couplings, true);
            let row = finished(receiver, &regression, couplings, fields, &gain, RowStatus::Ok);
            return Row { iterations: iteration, gradient_norm: residual, ..row };
        }
        if step >= step_before {
            share = (0.5 * share).max(0.125);
        }
        step_before = step;
        couplings.iter_mut().zip(&regression.couplings).for_each(|(j, next)| *j += share * (next - *j));
    }
    fall_back(RowStatus::NotConverged, iterations_max)
}

/// `w_i(t)`, or `None` where it is not positive.
fn tap_gain(receiver: &Receiver<'_>, couplings: &[f64]) -> Option<Vec<f64>> {
    let mut gain = receiver.gain.clone();
    for &t in &receiver.bins {
        let factor = 1.0 - gain[t] * receiver.drive_variance(couplings, t);
        if factor <= 0.0 {
            return None;
        }
        gain[t] *= factor;
    }
    Some(gain)
}

fn fields(receiver: &Receiver<'_>, couplings: &[f64], onsager: bool) -> Vec<f64> {
    let field = |&t: &usize| {
        let m = receiver.magnetization(t);
        let correction = if onsager { m * receiver.drive_variance(couplings, t) } else { 0.0 };
        m.atanh() - receiver.drive(couplings, t) + correction
    };
    receiver.bins.iter().map(field).collect()
}

/// Add the sampling variances. The noise of `Σ_t R_t D_i(t)` has the covariance `B`, and none with that of `m_i(t+1)`, so that with
/// `S` the sandwich of the regression, `L` bins and `m̄_j` the mean of `m_j(t)` over them
///
/// ```text
/// SE(J_ij)² = S_jj      SE(h_i)² = L⁻² Σ_t 1/(R_t w_i(t)) + m̄ᵀ S m̄
/// ```
fn finished(
    receiver: &Receiver<'_>,
    regression: &Regression,
    couplings: Vec<f64>,
    fields: Vec<f64>,
    gain: &[f64],
    status: RowStatus,
) -> Row {
    let n_bins = receiver.bins.len() as f64;
    let mut mean = vec![0.0; couplings.len()];
    let mut own = 0.0;
    for &t in &receiver.bins {
        mean.iter_mut().zip(receiver.sender_magnetization(t)).for_each(|(mean, m)| *mean += m / n_bins);
        own += 1.0 / (receiver.repeats.repeats[t] as f64 * gain[t]);
    }
    let (coupling_variance, drive_variance) =
        sandwich(&regression.factor, &regression.information, regression.penalty, &mean);
    let field_variance = own / (n_bins * n_bins) + drive_variance;
    Row { couplings, fields, coupling_variance, field_variance, ..Row::without(status) }
}
