use super::gauss_hermite::nodes_and_weights;
use super::{Facts, Row, nmf};
use crate::model::RowStatus;
use crate::regression::logistic::{exp_of_minus_abs, per_instruction_set};

/// Nodes of the Gauss–Hermite rule.
const NODES: usize = 64;

/// Widest field, as its variance Δ, that the rule resolves: α is right to 1e-8 at Δ = 1 and to 1e-3 at Δ = 5. Beyond, the nodes lie
/// too far apart to see the step of tanh, α stops falling, and roots appear that are not there.
const DELTA_MAX: f64 = 5.0;

/// Exact mean field for large asymmetric networks (Mézard & Sakellariou, J. Stat. Mech. L07001 (2011)).
///
/// The field on neuron *i* is Gaussian, mean `u_i`, variance `Δ_i = Σ_j J_ij² (1 − (m_j⁻)²)`, and with `x ~ N(0, 1)`
///
/// ```text
/// m_i⁺ = E tanh(u_i + x √Δ_i)      α_i = E [1 − tanh²(u_i + x √Δ_i)]      J_ij = B_ij / α_i
/// ```
///
/// which closes in one unknown per row: `α(Δ)² Δ = γ_i = Σ_j B_ij² (1 − (m_j⁻)²)`. Then `h_i = u_i − Σ_j J_ij m_j⁻`.
///
/// A row without a root up to `Δ = 5`, as far as 64 nodes resolve the field, or up to `Δ = 1000 γ + 1`, past which couplings would
/// be some thirty times the regression they come from, keeps its naive mean field values and gets
/// [`RowStatus::ExactMeanFieldNoRoot`]; one whose iteration does not settle, [`RowStatus::NotConverged`].
pub(super) fn row(facts: &Facts, rule: &Rule) -> Row {
    let naive = nmf::row(facts);
    // What the strength of naive mean field is, in units of the regression.
    let gamma = facts.strength * facts.gain;
    match (GaussianField { rule, magnetization: facts.magnetization }).solve(gamma) {
        Ok((gain, own_field)) => {
            Row { divisors: [gain, 1.0], own_field, gain, status: RowStatus::Ok, ..naive }
        }
        Err(status) => Row { status, ..naive },
    }
}

/// The Gauss–Hermite rule, nodes and weights apart.
pub(super) struct Rule {
    nodes: [f64; NODES],
    weights: [f64; NODES],
}

impl Rule {
    pub(super) fn new() -> Self {
        let (mut nodes, mut weights) = ([0.0; NODES], [0.0; NODES]);
        for (k, (node, weight)) in nodes_and_weights(NODES).into_iter().enumerate() {
            (nodes[k], weights[k]) = (node, weight);
        }
        Self { nodes, weights }
    }
}

/// `E tanh(u + x √Δ)` and `E [1 − tanh²(u + x √Δ)]`, for `at = (u, √Δ)`.
#[inline(always)]
fn averages_body<const FMA: bool>(rule: &Rule, at: (f64, f64), averages: &mut (f64, f64)) {
    const LANES: usize = 16;
    let (mut mean, mut gain) = ([0.0; LANES], [0.0; LANES]);
    for (nodes, weights) in rule.nodes.chunks_exact(LANES).zip(rule.weights.chunks_exact(LANES)) {
        for r in 0..LANES {
            let field = at.0 + nodes[r] * at.1;
            let e = exp_of_minus_abs::<FMA>(2.0 * field);
            let q = 1.0 / (1.0 + e);
            let weighted = weights[r] * q;
            mean[r] += weighted * (1.0 - e).copysign(field);
            gain[r] += 4.0 * weighted * e * q;
        }
    }
    *averages = (mean.iter().sum(), gain.iter().sum());
}

per_instruction_set!(
    /// See [`averages_body`].
    fn averages(rule: &Rule, at: (f64, f64), averages: &mut (f64, f64)) = averages_body
);

/// A neuron of known magnetization under a Gaussian field.
struct GaussianField<'a> {
    rule: &'a Rule,
    magnetization: f64,
}

impl GaussianField<'_> {
    /// `(α, u)` at the root of `α(Δ)² Δ = γ`, or the status of a row without.
    fn solve(&self, gamma: f64) -> Result<(f64, f64), RowStatus> {
        let mut u = self.magnetization.atanh();
        if gamma == 0.0 {
            return Ok((1.0 - self.magnetization * self.magnetization, u));
        }
        let mut excess = |delta: f64| {
            let gain = self.gain(delta, &mut u).ok_or(RowStatus::NotConverged)?;
            Ok((gain * gain * delta - gamma, gain, u))
        };
        let limit = DELTA_MAX.min(1e3 * gamma + 1.0);
        if gamma >= limit {
            return Err(RowStatus::ExactMeanFieldNoRoot);
        }
        if let Some(found) = self.secant(gamma, limit) {
            return Ok(found);
        }
        // α ≤ 1, so no root lies below γ. Walk up until the sign changes.
        let (mut low, mut high) = (gamma, gamma);
        let (mut low_excess, mut found) = (-gamma, excess(gamma)?);
        while found.0 < 0.0 {
            if high >= limit {
                return Err(RowStatus::ExactMeanFieldNoRoot);
            }
            (low, low_excess) = (high, found.0);
            high = (1.25 * high).min(limit);
            found = excess(high)?;
        }
        let mut high_excess = found.0;
        // Illinois variant of the secant method: keeps the bracket, converges superlinearly.
        for _ in 0..200 {
            if found.0 == 0.0 || high - low <= 4.0 * f64::EPSILON * high {
                return Ok((found.1, found.2));
            }
            let secant = (low * high_excess - high * low_excess) / (high_excess - low_excess);
            let middle = if secant > low && secant < high { secant } else { 0.5 * (low + high) };
            let previous = found.0;
            found = excess(middle)?;
            if found.0 < 0.0 {
                (low, low_excess) = (middle, found.0);
                if previous < 0.0 {
                    high_excess *= 0.5;
                }
            } else {
                (high, high_excess) = (middle, found.0);
                if previous > 0.0 {
                    low_excess *= 0.5;
                }
            }
        }
        Err(RowStatus::NotConverged)
    }

    /// `(α, u)` at the root by the secant method from that of narrow fields, where `α = 1 − m²`: a few steps, as α changes slowly. `None`
    /// when it leaves the range of roots or does not settle. `α² Δ` rises with Δ, so that there is no other root to find.
    fn secant(&self, gamma: f64, limit: f64) -> Option<(f64, f64)> {
        let narrow = 1.0 - self.magnetization * self.magnetization;
        let (mut u, mut delta) = (self.magnetization.atanh(), gamma / (narrow * narrow));
        let mut before = None;
        for _ in 0..16 {
            if !(delta > gamma && delta < limit) {
                return None;
            }
            let gain = self.gain(delta, &mut u)?;
            let excess = gain * gain * delta - gamma;
            let next = match before {
                Some((place, value)) => delta - excess * (delta - place) / (excess - value),
                None => gamma / (gain * gain),
            };
            if excess == 0.0 || (next - delta).abs() <= 4.0 * f64::EPSILON * delta {
                return Some((gain, u));
            }
            before = Some((delta, excess));
            delta = next;
        }
        None
    }

    /// `α` at `Δ`, with `u` moved to where the mean of tanh is the magnetization; `u` enters as the starting point.
    fn gain(&self, delta: f64, u: &mut f64) -> Option<f64> {
        let width = delta.sqrt();
        // The mean of tanh rises with u from −1 to 1: bracketed Newton.
        let (mut low, mut high) = (-50.0_f64, 50.0_f64);
        *u = u.clamp(low, high);
        for _ in 0..200 {
            let mut found = (0.0, 0.0);
            averages(self.rule, (*u, width), &mut found);
            let (mean, gain) = found;
            let error = mean - self.magnetization;
            if error < 0.0 {
                low = *u;
            } else {
                high = *u;
            }
            let newton = *u - error / gain;
            let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
            let step = (next - *u).abs();
            if error == 0.0 || step <= 4.0 * f64::EPSILON * u.abs().max(1.0) {
                return Some(gain);
            }
            *u = next;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_satisfies_both_equations() {
        let (rule, nodes) = (Rule::new(), nodes_and_weights(NODES));
        for magnetization in [-0.98, -0.3, 0.0, 0.5] {
            for gamma in [1e-12, 1e-3, 0.05] {
                let neuron = GaussianField { rule: &rule, magnetization };
                let Ok((gain, u)) = neuron.solve(gamma) else {
                    // α² Δ never exceeds what it tends to for wide fields; strongly biased neurons reach it early.
                    assert!(gamma > 1e-3 && magnetization < -0.9, "m = {magnetization}, γ = {gamma}");
                    continue;
                };
                let delta = gamma / (gain * gain);
                let mean: f64 = nodes.iter().map(|(x, w)| w * (u + x * delta.sqrt()).tanh()).sum();
                let slope: f64 =
                    nodes.iter().map(|(x, w)| w * (1.0 - (u + x * delta.sqrt()).tanh().powi(2))).sum();
                assert!((mean - magnetization).abs() < 1e-14);
                assert!((slope - gain).abs() < 1e-12 * gain);
            }
        }
    }

    #[test]
    fn past_the_supremum_there_is_no_root() {
        // As Δ grows, α √Δ tends to 2 φ(z) with P(x < z) = (1 + m)/2, and α² Δ to its square from below. Values of 2 φ(z): tables.
        let rule = Rule::new();
        for (magnetization, two_phi) in [
            (0.0, 0.797_884_6),
            (0.1, 0.791_620_6),
            (-0.3, 0.740_793_2),
            (-0.5, 0.635_552_6),
            (-0.9, 0.206_271_2),
        ] {
            let neuron = GaussianField { rule: &rule, magnetization };
            let supremum = two_phi * two_phi;
            for above in [1.01, 2.0, 10.0, 1000.0] {
                let answer = neuron.solve(above * supremum);
                assert_eq!(answer, Err(RowStatus::ExactMeanFieldNoRoot), "m {magnetization}, {above}");
            }
            assert!(neuron.solve(0.5 * supremum).is_ok(), "m {magnetization}");
        }
    }
}
