use super::Rows;
use super::inversion::Inversion;
use super::tap;
use crate::model::{RowStatus, TapForm};

/// Naive mean field: `J_ij = B_ij / a_i`, `h_i = atanh m_i⁺ − Σ_j J_ij m_j⁻` (Roudi & Hertz 2011, Eq. 4).
///
/// It is the first order in the couplings. Where the second order has no solution at all (no root of the TAP cubic in its wider form,
/// `a_i Σ_j J_ij² (1 − (m_j⁻)²) > 2/(3√3)`), the first means little and the row gets [`RowStatus::MeanFieldInvalid`].
pub(super) fn rows(inversion: &Inversion) -> Rows {
    let mut couplings = inversion.regression.clone();
    for (mut row, &gain) in couplings.rows_mut().into_iter().zip(&inversion.gain) {
        row.mapv_inplace(|b| b / gain);
    }
    let drive = couplings.dot(&inversion.magnetization_sender);
    let fields = inversion.magnetization_receiver.mapv(f64::atanh) - drive;
    let status = tap::strengths(inversion, &couplings)
        .into_iter()
        .map(|r| match tap::smallest_root(TapForm::Preprint, r) {
            Some(_) => RowStatus::Ok,
            None => RowStatus::MeanFieldInvalid,
        })
        .collect();
    Rows { couplings, fields, status, gain: inversion.gain.clone() }
}
