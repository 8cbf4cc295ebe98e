use ndarray::Array2;

/// Counts and correlations of the observations: all that a row's likelihood needs beside the [`Patterns`](super::Patterns).
pub(crate) struct Table {
    /// `T`: number of observations.
    pub(crate) observations: u64,
    /// `K_j⁻`, shape `(n)`: observations with sender *j* active.
    pub(crate) senders: Vec<u64>,
    /// `K_i⁺`, shape `(n)`: observations with receiver *i* active.
    pub(crate) receivers: Vec<u64>,
    /// `K_ij`, shape `(n, n)` row-major, row = receiver: observations with both active.
    pub(crate) together: Vec<u64>,
    /// `C`, connected correlations of the senders, shape `(n, n)`.
    pub(crate) correlations: Array2<f64>,
    /// `D`, connected correlations of receivers and senders, shape `(n, n)`, row = receiver.
    pub(crate) cross_correlations: Array2<f64>,
    /// What is done with the coupling of a neuron to itself.
    pub(crate) own: Own,
}

/// What is done with the coupling of a neuron to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    /// A coupling as any other: the neuron's past.
    Free,
    /// Held at zero: receiver and sender are the same spike, which tells nothing.
    Held,
}

impl Table {
    /// Number of neurons.
    pub(crate) fn n(&self) -> usize {
        self.senders.len()
    }
}
