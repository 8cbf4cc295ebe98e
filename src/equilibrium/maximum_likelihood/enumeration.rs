//! Every configuration of few neurons at once.
//!
//! With bit `i` of a state's number set where neuron `i` is silent, the product of the spins of a set `S` of neurons is
//! `χ_S(s) = (−1)^|S ∩ s|`: a Walsh function. So one fast Walsh–Hadamard transform turns parameters, each at the number of its set, into the
//! exponents of all states, and a second one turns weights of states into the moments of *all* orders. The Fisher matrix is then read off: its
//! entry for `S` and `S'` is `⟨χ_{S xor S'}⟩ − ⟨χ_S⟩⟨χ_S'⟩`. Each transform is n 2ⁿ additions, and sums are trees, so that rounding stays
//! at some n ε.

/// Values transformed together while they are in the first-level cache: 32 KiB.
const CHUNK: usize = 4096;

/// Sets whose products have a parameter: single neurons, then pairs `i < j` row by row; as state numbers.
pub(super) fn parameter_sets(n: usize) -> Vec<usize> {
    let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| 1 << i | 1 << j));
    (0..n).map(|i| 1 << i).chain(pairs).collect()
}

/// The model at some parameters.
#[derive(Debug, Clone)]
pub(super) struct Ensemble {
    /// `ln Z`.
    pub(super) log_partition: f64,
    /// `⟨χ_S⟩` at the number of `S`, of length 2ⁿ; 1 for the empty set.
    pub(super) moments: Vec<f64>,
}

impl Ensemble {
    /// Of the parameters of `sets`, all below 2ⁿ.
    pub(super) fn of(n: usize, sets: &[usize], parameters: &[f64]) -> Self {
        let mut values = vec![0.0; 1 << n];
        sets.iter().zip(parameters).for_each(|(&set, &parameter)| values[set] = parameter);
        walsh_hadamard(&mut values);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        values.iter_mut().for_each(|exponent| *exponent = (*exponent - highest).exp());
        walsh_hadamard(&mut values);
        let partition = values[0];
        values.iter_mut().for_each(|sum| *sum /= partition);
        Self { log_partition: highest + partition.ln(), moments: values }
    }
}

/// `Σ_s (−1)^|S ∩ s| v_s` in place of every `v_S`. The length is a power of 2.
pub(super) fn walsh_hadamard(values: &mut [f64]) {
    for chunk in values.chunks_mut(CHUNK) {
        let mut half = 1;
        if chunk.len() >= 8 {
            chunk.as_chunks_mut::<8>().0.iter_mut().for_each(eight);
            half = 8;
        }
        while half < chunk.len() {
            pass(chunk, half);
            half *= 2;
        }
    }
    let mut half = CHUNK;
    while half < values.len() {
        pass(values, half);
        half *= 2;
    }
}

fn pass(values: &mut [f64], half: usize) {
    for pair in values.chunks_exact_mut(2 * half) {
        let (low, high) = pair.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(a, b)| (*a, *b) = (*a + *b, *a - *b));
    }
}

/// The first three passes.
fn eight(v: &mut [f64; 8]) {
    for half in [1, 2, 4] {
        let w = *v;
        for k in 0..8 {
            v[k] = if k & half == 0 { w[k] + w[k ^ half] } else { w[k ^ half] - w[k] };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transform_is_its_definition_and_its_own_inverse() {
        for n in [0, 1, 2, 3, 5, 13, 14] {
            let mut state = 7_u64;
            let values: Vec<f64> = (0..1_usize << n)
                .map(|_| {
                    state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                    (state >> 40) as f64 / 16_777_216.0 - 0.5
                })
                .collect();
            let mut found = values.clone();
            walsh_hadamard(&mut found);
            for set in (0..values.len()).step_by(1 + values.len() / 50) {
                let sign = |s: usize| if (set & s).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
                let expected: f64 = values.iter().enumerate().map(|(s, v)| sign(s) * v).sum();
                assert!((found[set] - expected).abs() < 1e-9, "n = {n}, set {set}");
            }
            walsh_hadamard(&mut found);
            let scale = values.len() as f64;
            assert!(found.iter().zip(&values).all(|(f, v)| (f / scale - v).abs() < 1e-14));
        }
    }
}
