use super::{Facts, Row, nmf};
use crate::model::{RowStatus, TapForm};

/// Thouless–Anderson–Palmer correction of the naive mean field (Roudi & Hertz 2011, Eqs. 8 and 9).
///
/// `J_ij = J^nMF_ij / (1 − F_i)` where `F_i` solves a cubic with right-hand side
/// `r_i = a_i Σ_j (J^nMF_ij)² (1 − (m_j⁻)²)`; the fields carry the Onsager term:
/// `h_i = atanh m_i⁺ − Σ_j J_ij m_j⁻ + m_i⁺ Σ_j J_ij² (1 − (m_j⁻)²)`.
///
/// A row whose cubic has no root on the branch that starts at zero keeps its naive mean field values and gets
/// [`RowStatus::TapNoRoot`].
pub(super) fn row(facts: &Facts, form: TapForm) -> Row {
    let naive = nmf::row(facts);
    let Some(root) = smallest_root(form, facts.strength) else {
        return Row { status: RowStatus::TapNoRoot, ..naive };
    };
    let m = facts.magnetization;
    Row {
        divisors: [facts.gain, 1.0 - root],
        onsager: m * facts.strength / facts.gain / ((1.0 - root) * (1.0 - root)),
        gain: facts.gain * (1.0 - root),
        status: RowStatus::Ok,
        ..naive
    }
}

/// The root of the cubic that grows from 0 with `r`, in closed form; `None` past the top of that branch.
pub(super) fn smallest_root(form: TapForm, r: f64) -> Option<f64> {
    match form {
        // F = (2/√3) sin φ turns F (1 − F²) into (2/3√3) sin 3φ.
        TapForm::Preprint => {
            let sine = r * 27f64.sqrt() / 2.0;
            (sine < 1.0).then(|| 2.0 / 3f64.sqrt() * (sine.asin() / 3.0).sin())
        }
        // F = (4/3) sin² φ turns F (1 − F)² into (4/27) sin² 3φ.
        TapForm::SelfConsistent => {
            let square = r * 27.0 / 4.0;
            (square < 1.0).then(|| 4.0 / 3.0 * (square.sqrt().asin() / 3.0).sin().powi(2))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_solve_their_cubics_on_the_whole_branch() {
        for k in 0..1000 {
            let share = f64::from(k) / 1000.0;
            let r = share * 2.0 / 27f64.sqrt();
            let f = smallest_root(TapForm::Preprint, r).unwrap();
            assert!((f * (1.0 - f * f) - r).abs() < 1e-15 && (0.0..=1.0 / 3f64.sqrt()).contains(&f));
            let r = share * 4.0 / 27.0;
            let f = smallest_root(TapForm::SelfConsistent, r).unwrap();
            assert!((f * (1.0 - f).powi(2) - r).abs() < 1e-15 && (0.0..=1.0 / 3.0).contains(&f));
        }
    }

    #[test]
    fn past_the_branch_there_is_no_root() {
        assert_eq!(smallest_root(TapForm::Preprint, 0.385), None);
        assert!(smallest_root(TapForm::Preprint, 0.384).is_some());
        assert_eq!(smallest_root(TapForm::SelfConsistent, 0.1482), None);
        assert!(smallest_root(TapForm::SelfConsistent, 0.1481).is_some());
    }
}
