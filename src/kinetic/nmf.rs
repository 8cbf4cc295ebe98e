use super::tap;
use super::{Facts, Row};
use crate::model::{RowStatus, TapForm};

/// Naive mean field: `J_ij = B_ij / a_i`, `h_i = atanh m_i⁺ − Σ_j J_ij m_j⁻` (Roudi & Hertz 2011, Eq. 4).
///
/// It is the first order in the couplings. Where the second order has no solution at all (no root of the TAP cubic in its wider form,
/// `a_i Σ_j J_ij² (1 − (m_j⁻)²) > 2/(3√3)`), the first means little and the row gets [`RowStatus::MeanFieldInvalid`].
pub(super) fn row(facts: &Facts) -> Row {
    let status = match tap::smallest_root(TapForm::Preprint, facts.strength) {
        Some(_) => RowStatus::Ok,
        None => RowStatus::MeanFieldInvalid,
    };
    Row {
        divisors: [facts.gain, 1.0],
        own_field: facts.magnetization.atanh(),
        onsager: 0.0,
        gain: facts.gain,
        status,
    }
}
