use super::Rows;
use super::inversion::Inversion;
use crate::model::RowStatus;

/// Naive mean field: `J_ij = B_ij / a_i`, `h_i = atanh m_i⁺ − Σ_j J_ij m_j⁻` (Roudi & Hertz 2011, Eq. 4).
pub(super) fn rows(inversion: &Inversion) -> Rows {
    let mut couplings = inversion.regression.clone();
    for (mut row, &gain) in couplings.rows_mut().into_iter().zip(&inversion.gain) {
        row.mapv_inplace(|b| b / gain);
    }
    let drive = couplings.dot(&inversion.magnetization_sender);
    let fields = inversion.magnetization_receiver.mapv(f64::atanh) - drive;
    let status = vec![RowStatus::Ok; inversion.n_active()];
    Rows { couplings, fields, status, gain: inversion.gain.clone() }
}
