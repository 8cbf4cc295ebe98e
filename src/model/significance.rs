use std::f64::consts::FRAC_1_SQRT_2;

use ndarray::Array2;

use super::{CouplingPair, Estimate, RowStatus};

/// Which couplings and fields of one [`Estimate`] are unlikely to be chance, among as many as were looked at.
///
/// `z` is a value over its standard error, `p` its two-sided tail `P(|N(0, 1)| ≥ |z|)`, and `q` the smallest false discovery rate
/// at which the value is still declared different from zero: with `m` values in a family and `p_(k)` the k-th smallest,
/// `q_(k) = min_{l ≥ k} m p_(l) / l` (Benjamini & Hochberg, J. R. Stat. Soc. B 57, 289 (1995)).
///
/// There are three families, each on its own: couplings between different neurons, self-couplings, and fields. Nearly every neuron
/// has a field that is not zero and a self-coupling (refractoriness), which in one family would make weak couplings
/// between neurons look more certain than they are.
///
/// Outside all families, without a q, are values without a standard error and all of a row whose status is not [`RowStatus::Ok`]: it
/// holds a fallback, an iteration's last value or an expansion that does not hold, whose error is not sampling alone.
///
/// What p says of an estimate is as good as its standard errors, which contain neither the bias of a ridge nor the error of a
/// mean field approximation. `tests/calibration.rs` checks both p (coverage) and q (false discoveries) where these are small.
///
/// q is a falling step function of |z| and kept as such: 24 bytes per step, at most one step for each value of a family, and 4 for each place of
/// an index of them. Values
/// that are chance leave few steps (1,137 for 10⁶ of them in a test below), real couplings about one each. While it is built, the |z| of the family
/// take 8 bytes each: 800 MB for 10⁸ couplings. Cost O(m log m), a lookup O(log m), in families of chance next to nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Significance {
    between: Family,
    selves: Family,
    fields: Family,
}

impl Significance {
    /// Rank the couplings and fields of an estimate.
    #[must_use]
    pub fn of(estimate: &Estimate) -> Self {
        let n = estimate.n_neurons();
        let (mut between, mut errors) = (Vec::with_capacity(n * n), vec![0.0; n]);
        for receiver in (0..n).filter(|&receiver| estimate.status[receiver] == RowStatus::Ok) {
            estimate.standard_errors_into(receiver, &mut errors);
            let row = estimate.couplings.row(receiver);
            let pairs = row.iter().zip(&errors).enumerate();
            let known = pairs.filter(|&(sender, (_, &error))| error > 0.0 && sender != receiver);
            between.extend(known.map(|(_, (coupling, error))| (coupling / error).abs()));
        }
        Self {
            between: Family::of(between),
            selves: Family::of((0..n).filter_map(|i| coupling_z(estimate, i, i)).collect()),
            fields: Family::of((0..n).filter_map(|i| field_z(estimate, i)).collect()),
        }
    }

    /// `P(|N(0, 1)| ≥ |z|)`, to a relative error of 3e-13 wherever it is a normal number (|z| < 37.5), and to the last place of
    /// the subnormal numbers up to |z| = 38.5, past which it is 0.
    #[must_use]
    pub fn p(z: f64) -> f64 {
        libm::erfc(z.abs() * FRAC_1_SQRT_2)
    }

    /// q of the coupling from `sender` to `receiver` of the estimate this was made of; a neuron's coupling to itself among
    /// the self-couplings. `None` when it is in no family.
    #[must_use]
    pub fn coupling_q(&self, estimate: &Estimate, receiver: usize, sender: usize) -> Option<f64> {
        let family = if receiver == sender { &self.selves } else { &self.between };
        coupling_z(estimate, receiver, sender).map(|z| family.q(z))
    }

    /// q of the field of `receiver` of the estimate this was made of; `None` when it is in no family.
    #[must_use]
    pub fn field_q(&self, estimate: &Estimate, receiver: usize) -> Option<f64> {
        field_z(estimate, receiver).map(|z| self.fields.q(z))
    }

    /// q of all couplings, shape `(n_neurons, n_neurons)`, row = receiver; 1 where [`Significance::coupling_q`] is `None`.
    #[must_use]
    pub fn couplings_q(&self, estimate: &Estimate) -> Array2<f64> {
        let n = estimate.n_neurons();
        let mut all = Array2::ones((n, n));
        for (receiver, mut row) in all.rows_mut().into_iter().enumerate() {
            if let Some(row) = row.as_slice_mut() {
                self.couplings_q_into(estimate, receiver, row);
            }
        }
        all
    }

    /// Row `receiver` of [`Significance::couplings_q`].
    ///
    /// # Panics
    /// When there is no such row, or `into` has not one place per neuron.
    pub fn couplings_q_into(&self, estimate: &Estimate, receiver: usize, into: &mut [f64]) {
        if estimate.status[receiver] != RowStatus::Ok {
            into.fill(1.0);
            return;
        }
        estimate.standard_errors_into(receiver, into);
        for (sender, (into, coupling)) in into.iter_mut().zip(estimate.couplings.row(receiver)).enumerate() {
            let family = if receiver == sender { &self.selves } else { &self.between };
            *into = if *into > 0.0 { family.q((coupling / *into).abs()) } else { 1.0 };
        }
    }

    /// q of the fields of an estimate, `None` where a field is in no family; without ranking its couplings. Cost O(n log n).
    #[must_use]
    pub fn fields_q(estimate: &Estimate) -> Vec<Option<f64>> {
        let z: Vec<Option<f64>> = (0..estimate.n_neurons()).map(|i| field_z(estimate, i)).collect();
        let family = Family::of(z.iter().flatten().copied().collect());
        z.iter().map(|z| z.map(|z| family.q(z))).collect()
    }

    /// Number of couplings between different neurons with `q ≤ level`.
    #[must_use]
    pub fn n_within(&self, level: f64) -> usize {
        // No q is above 1, and values that are 1 lie before every step.
        if level >= 1.0 { self.between.count } else { self.between.n_below(level.next_up()) }
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let families = [&self.between, &self.selves, &self.fields];
        families.iter().map(|family| family.steps.len() * size_of::<Step>() + 4 * family.index.len()).sum()
    }

    /// Number of couplings between different neurons with `q < level`: of those, a share of `level` is expected to be chance.
    #[must_use]
    pub fn n_significant(&self, level: f64) -> usize {
        self.between.n_below(level)
    }

    /// The couplings between different neurons with `q < level`, strongest first.
    #[must_use]
    pub fn significant_pairs(&self, estimate: &Estimate, level: f64) -> Vec<CouplingPair> {
        // Rows outside the families are ranked last, and q falls with |z|: the first so many are those below the level.
        estimate.strongest_pairs_with_q(self.n_significant(level), self)
    }
}

fn coupling_z(estimate: &Estimate, receiver: usize, sender: usize) -> Option<f64> {
    let standard_error = estimate.standard_error(receiver, sender)?;
    let ok = estimate.status[receiver] == RowStatus::Ok;
    ok.then(|| (estimate.couplings[[receiver, sender]] / standard_error).abs())
}

fn field_z(estimate: &Estimate, receiver: usize) -> Option<f64> {
    let standard_error = estimate.field_standard_error(receiver)?;
    let ok = estimate.status[receiver] == RowStatus::Ok;
    ok.then(|| (estimate.fields[receiver] / standard_error).abs())
}

/// q of one family as a function of |z|.
#[derive(Debug, Clone, PartialEq)]
struct Family {
    /// Where q falls, in increasing order of |z|.
    steps: Vec<Step>,
    /// Where the steps of each equal stretch of |z| begin, and after the last stretch their number: lookups begin there.
    index: Vec<u32>,
    /// Stretches per unit of |z|.
    scale: f64,
    /// Number of values.
    count: usize,
}

/// A line that p(|z|), which is convex, never lies below.
struct Tangent {
    z: f64,
    p: f64,
    slope: f64,
}

impl Tangent {
    /// Far above the numbers that have fewer digits; below it nothing is said.
    const P_MIN: f64 = 1e-280;

    fn at(z: f64) -> Self {
        Self::with(z, Significance::p(z))
    }

    fn with(z: f64, p: f64) -> Self {
        if p < Self::P_MIN {
            return Self { z, p: 0.0, slope: 0.0 };
        }
        // Twice the density of the normal distribution; the margin is for what p itself is rounded by.
        let slope = -2.0 / std::f64::consts::TAU.sqrt() * (-0.5 * z * z).exp();
        Self { z, p: p * (1.0 - 1e-11), slope: slope * (1.0 + 1e-11) }
    }

    /// No more than p at a |z| that is not smaller.
    fn below(&self, z: f64) -> f64 {
        self.p + self.slope * (z - self.z)
    }
}

/// In which of the stretches of an index from 0 to `last` a |z| lies; never falls with |z|.
fn place(z: f64, scale: f64, last: usize) -> usize {
    // The conversion saturates.
    ((z * scale) as usize).min(last)
}

/// Where the steps of each of some equal stretches of |z| begin, with the number of stretches per unit of |z|.
fn index(steps: &[Step]) -> (Vec<u32>, f64) {
    let Some(last) = steps.last() else { return (Vec::new(), 0.0) };
    let places = steps.len().next_power_of_two().min(Family::PLACES_MAX);
    let scale = if last.z > 0.0 { places as f64 / last.z } else { 0.0 };
    let scale = if scale.is_finite() { scale } else { 0.0 };
    let mut index = vec![0u32; places + 1];
    for step in steps {
        index[place(step.z, scale, places - 1) + 1] += 1;
    }
    for k in 0..places {
        index[k + 1] += index[k];
    }
    (index, scale)
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Step {
    /// The smallest |z| with this q.
    z: f64,
    q: f64,
    /// Number of values with at least this |z|.
    rank: usize,
}

impl Family {
    /// Most places of an index.
    const PLACES_MAX: usize = 1 << 14;

    /// A family of absolute values of z.
    fn of(mut z: Vec<f64>) -> Self {
        // Numbers that are not negative are in the order of their bits, which sort three times as fast.
        debug_assert!(z.iter().all(|z| z.is_sign_positive()));
        z.sort_unstable_by_key(|z| z.to_bits());
        let count = z.len();
        let mut steps = Vec::new();
        let (mut lowest, mut tangent) = (1.0, Tangent::at(0.0));
        // From the largest p down, the running minimum is q; of equal |z| the first met has the largest rank and sets it.
        for (below, &z) in z.iter().enumerate() {
            let rank = count - below;
            let share = count as f64 / rank as f64;
            if tangent.below(z) * share >= lowest {
                // p is above its tangent: this q is not below the lowest either.
                continue;
            }
            let p = Significance::p(z);
            let q = p * count as f64 / rank as f64;
            tangent = Tangent::with(z, p);
            if q < lowest {
                lowest = q;
                steps.push(Step { z, q, rank });
            }
        }
        steps.shrink_to_fit();
        let (index, scale) = index(&steps);
        Self { steps, index, scale, count }
    }

    fn q(&self, z: f64) -> f64 {
        let place = place(z, self.scale, self.index.len().saturating_sub(2));
        let [Some(&first), Some(&end)] = [self.index.get(place), self.index.get(place + 1)] else {
            return 1.0;
        };
        let (first, end) = (first as usize, end as usize);
        let reached = first + self.steps[first..end].partition_point(|step| step.z <= z);
        reached.checked_sub(1).map_or(1.0, |last| self.steps[last].q)
    }

    fn n_below(&self, level: f64) -> usize {
        let first = self.steps.partition_point(|step| step.q >= level);
        self.steps.get(first).map_or(0, |step| step.rank)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Estimator, SamplingVariance};

    /// Standard errors of 1, or none where a neuron takes no part.
    fn estimate(z: &[f64], status: Vec<RowStatus>) -> Estimate {
        let n = status.len();
        let takes_part: Array1<f64> = status.iter().map(|s| f64::from(u8::from(s.has_estimate()))).collect();
        Estimate {
            estimator: Estimator::Nmf,
            ridge: 0.0,
            couplings: Array2::from_shape_fn((n, n), |(i, j)| z[i * n + j]),
            fields: Array1::from_shape_fn(n, |i| z[n * n + i]),
            status,
            variance: SamplingVariance::Factored {
                sender: takes_part.clone(),
                receiver: takes_part,
                field: 1.0,
                transitions: 1,
            },
            convergence: None,
            trial_fields: None,
        }
    }

    /// The definition, value by value: the lowest estimated share of chance over all thresholds that let this value in.
    fn brute_force(family: &[f64], z: f64) -> f64 {
        let m = family.len() as f64;
        let rate = |&threshold: &f64| {
            let passing = family.iter().filter(|&&other| other.abs() >= threshold.abs()).count() as f64;
            Significance::p(threshold) * m / passing
        };
        family.iter().filter(|other| other.abs() <= z.abs()).map(rate).fold(1.0, f64::min)
    }

    fn z_values() -> impl Strategy<Value = f64> {
        // A coarse grid makes ties; far values make p underflow.
        prop_oneof![4 => -3.0..3.0f64, 2 => (-8i8..8).prop_map(f64::from), 1 => -45.0..45.0f64]
    }

    fn estimates() -> impl Strategy<Value = Estimate> {
        (0..7usize)
            .prop_flat_map(|n| {
                let status = prop_oneof![
                    4 => Just(RowStatus::Ok),
                    1 => Just(RowStatus::TapNoRoot),
                    1 => Just(RowStatus::Silent)
                ];
                (prop::collection::vec(z_values(), n * (n + 1)), prop::collection::vec(status, n))
            })
            .prop_map(|(z, status)| estimate(&z, status))
    }

    proptest! {
        #[test]
        fn q_is_what_the_definition_gives_in_each_family(estimate in estimates(), level in 0.0..1.0f64) {
            let significance = Significance::of(&estimate);
            let n = estimate.n_neurons();
            let ok = |i: usize| estimate.status[i] == RowStatus::Ok;
            let sends = |j: usize| estimate.status[j].has_estimate();
            let pairs: Vec<(usize, usize)> = (0..n)
                .flat_map(|i| (0..n).map(move |j| (i, j)))
                .filter(|&(i, j)| i != j && ok(i) && sends(j))
                .collect();
            let z = |(i, j): (usize, usize)| estimate.couplings[[i, j]];
            let between: Vec<f64> = pairs.iter().map(|&pair| z(pair)).collect();
            let selves: Vec<f64> = (0..n).filter(|&i| ok(i)).map(|i| z((i, i))).collect();
            let fields: Vec<f64> = (0..n).filter(|&i| ok(i)).map(|i| estimate.fields[i]).collect();
            let all = significance.couplings_q(&estimate);
            for i in 0..n {
                for j in 0..n {
                    let family = if i == j { &selves } else { &between };
                    let expected = (ok(i) && sends(j)).then(|| brute_force(family, z((i, j))));
                    prop_assert_eq!(significance.coupling_q(&estimate, i, j), expected);
                    prop_assert_eq!(all[[i, j]], expected.unwrap_or(1.0));
                }
                let expected = ok(i).then(|| brute_force(&fields, estimate.fields[i]));
                prop_assert_eq!(significance.field_q(&estimate, i), expected);
            }
            let below = pairs.iter().filter(|&&pair| brute_force(&between, z(pair)) < level).count();
            prop_assert_eq!(significance.n_significant(level), below);
            for level in between.iter().map(|&z| brute_force(&between, z)).chain([level, 1.0]) {
                let within = between.iter().filter(|&&z| brute_force(&between, z) <= level).count();
                prop_assert_eq!(significance.n_within(level), within);
            }
            let fields_q: Vec<_> = (0..n).map(|i| significance.field_q(&estimate, i)).collect();
            prop_assert_eq!(Significance::fields_q(&estimate), fields_q);
            let found = significance.significant_pairs(&estimate, level);
            prop_assert_eq!(found.len(), below);
            prop_assert!(found.iter().all(|pair| pair.q.is_some_and(|q| q < level)));
            prop_assert!(found.windows(2).all(|two| two[0].z().abs() >= two[1].z().abs()));
        }
    }

    #[test]
    fn chance_leaves_few_steps() {
        // 10⁶ normal deviates by the Box–Muller transform of a linear congruential sequence.
        let mut state = 1u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        };
        let normal = |u: f64, v: f64| (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        let family = Family::of((0..1_000_000).map(|_| normal(uniform(), uniform()).abs()).collect());
        println!("{} steps", family.steps.len());
        assert!(family.steps.len() < 20_000);
    }
}
