use crate::model::Lags;

/// Exact integer statistics of a stretch of recording: how many bins, and in how many who fired with whom.
///
/// A *transition* at lag ℓ is a pair of bins (t, t + ℓ) inside one trial with no gap between them; the bin t is its
/// sender side, t + ℓ its receiver side. Everything is a count, so stretches add and subtract exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Number of neurons.
    pub n_neurons: usize,
    /// Bins observed, in transitions or not.
    pub bins: u64,
    /// `K_i`, shape `(n_neurons)`: bins in which neuron *i* fired, of all observed bins.
    pub spikes: Vec<u64>,
    /// `K_ij` of equal times over the sender bins of the lag-1 transitions, packed upper triangle; see
    /// [`Counts::equal_time`].
    pub equal_time: Vec<u64>,
    /// One entry per lag, in increasing order of the lag.
    pub lags: Vec<LagCounts>,
}

/// Counts over the transitions of one lag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LagCounts {
    /// The lag, in bins.
    pub lag_bins: u32,
    /// `T`: number of transitions.
    pub transitions: u64,
    /// Shape `(n_neurons)`: transitions in whose earlier bin the neuron fired.
    pub sender: Vec<u64>,
    /// Shape `(n_neurons)`: transitions in whose later bin the neuron fired.
    pub receiver: Vec<u64>,
    /// `K_ij(ℓ)`, shape `(n_neurons, n_neurons)` row-major, row = receiver (later bin), column = sender.
    pub delayed: Vec<u64>,
}

/// Place of the pair `(i, j)`, `i ≤ j`, in a packed upper triangle of `n` rows.
#[inline]
pub(crate) fn triangle_index(n: usize, i: usize, j: usize) -> usize {
    debug_assert!(i <= j && j < n);
    triangle_row(n, i) + j - i
}

/// Place of the pair `(i, i)` in a packed upper triangle of `n` rows.
#[inline]
pub(crate) fn triangle_row(n: usize, i: usize) -> usize {
    i * (2 * n + 1 - i) / 2
}

impl Counts {
    /// Counts of no bins at all.
    #[must_use]
    pub fn zero(n_neurons: usize, lags: &Lags) -> Self {
        let lag_counts = |&lag_bins: &u32| LagCounts {
            lag_bins,
            transitions: 0,
            sender: vec![0; n_neurons],
            receiver: vec![0; n_neurons],
            delayed: vec![0; n_neurons * n_neurons],
        };
        Self {
            n_neurons,
            bins: 0,
            spikes: vec![0; n_neurons],
            equal_time: vec![0; n_neurons * (n_neurons + 1) / 2],
            lags: lags.as_slice().iter().map(lag_counts).collect(),
        }
    }

    /// `K_ij`: sender bins of lag-1 transitions in which both neurons fired; symmetric, `K_ii` = `K_i`.
    #[must_use]
    pub fn equal_time(&self, i: usize, j: usize) -> u64 {
        self.equal_time[triangle_index(self.n_neurons, i.min(j), i.max(j))]
    }

    /// The counts of the given lag, `None` when that lag is not kept.
    #[must_use]
    pub fn lag(&self, lag_bins: u32) -> Option<&LagCounts> {
        self.lags.iter().find(|l| l.lag_bins == lag_bins)
    }
}
