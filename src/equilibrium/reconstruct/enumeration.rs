//! All configurations of few neurons.

use super::{Marginal, Part, Solution, flip};

/// Steps after which inputs and energy are summed anew, so that rounding does not add up.
const REFRESH: u64 = 4096;

/// Exact, in two passes: the largest exponent first, then weights relative to it. Of equally likely configurations the first in Gray-code
/// order, which begins with all silent, is the most likely one.
pub(super) fn solve(part: &Part) -> Solution {
    let n = part.n();
    let mut best = f64::NEG_INFINITY;
    let mut most_likely = vec![false; n];
    walk(part, |active, minus_energy| {
        // What is higher by rounding alone is not higher.
        if minus_energy > best + 1e-12 * best.abs().max(1.0) || best == f64::NEG_INFINITY {
            best = minus_energy;
            most_likely.copy_from_slice(active);
        }
    });
    let mut sums = vec![[0.0; 2]; n];
    walk(part, |active, minus_energy| {
        let weight = (minus_energy - best).exp();
        sums.iter_mut().zip(active).for_each(|(sum, &s)| sum[usize::from(s)] += weight);
    });
    let marginal = |[silent, active]: &[f64; 2]| {
        let total = silent + active;
        Marginal { active: active / total, silent: silent / total, error: 0.0 }
    };
    Solution { most_likely, marginals: sums.iter().map(marginal).collect(), exact: true }
}

/// Visit every configuration, each one flip from the one before, with its `−E`.
fn walk(part: &Part, mut visit: impl FnMut(&[bool], f64)) {
    let n = part.n();
    let mut active = vec![false; n];
    let mut inputs = part.inputs(&active);
    let mut minus_energy = part.minus_energy(&active);
    visit(&active, minus_energy);
    for step in 1..1_u64 << n {
        let i = step.trailing_zeros() as usize;
        minus_energy += inputs[i] * if active[i] { -2.0 } else { 2.0 };
        flip(part, &mut active, &mut inputs, i);
        if step % REFRESH == 0 {
            inputs = part.inputs(&active);
            minus_energy = part.minus_energy(&active);
        }
        visit(&active, minus_energy);
    }
}
