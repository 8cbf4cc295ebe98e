/// How pairs are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Increment the pairs of active neurons, bin by bin.
    Sparse,
    /// Bit-packed: AND and population count over words of 64 bins.
    Dense,
}

/// Cost of one increment of the sparse kernel, in units of one neuron pair × 64 bins of the dense kernel.
///
/// Measured by `cargo bench --bench counting` at n = 1000 with AVX-512; without it the dense kernel is slower
/// and the choice only less than optimal, never wrong.
const INCREMENT_COST: f64 = 16.0;

/// Cost of packing one active entry into words, in the same unit.
const PACKING_COST: f64 = 40.0;

impl Kernel {
    /// The cheaper kernel for `n_bins` bins with `active_pairs = Σ_t k_t²` where `k_t` neurons are active in bin t.
    #[must_use]
    pub fn choose(n_neurons: usize, n_bins: usize, active_entries: usize, active_pairs: u64) -> Self {
        let words = n_bins.div_ceil(64) as f64;
        let sparse = active_pairs as f64 * INCREMENT_COST;
        let dense = (n_neurons * n_neurons) as f64 * words + active_entries as f64 * PACKING_COST;
        if sparse <= dense { Self::Sparse } else { Self::Dense }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_bins_go_to_the_sparse_kernel_and_dense_bins_to_the_dense_one() {
        let choose =
            |n: usize, bins: usize, k: usize| Kernel::choose(n, bins, k * bins, (k * k * bins) as u64);
        assert_eq!(choose(1000, 1024, 10), Kernel::Sparse);
        assert_eq!(choose(1000, 1024, 300), Kernel::Dense);
        // A single bin never pays for packing a whole word.
        assert_eq!(choose(1000, 1, 10), Kernel::Sparse);
    }
}
