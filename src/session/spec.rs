use crate::model::{BinWidth, Estimator, Lags, NEURONS_MAX, Neuron, Window, WindowError};

/// What a session records and estimates; fixed for the session's life.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSpec {
    /// Name chosen by the user.
    pub name: String,
    /// The neurons, in index order.
    pub neurons: Vec<Neuron>,
    /// Width of a bin.
    pub bin_width: BinWidth,
    /// Time of the left edge of bin 0 on the recording's clock, in nanoseconds.
    pub origin_ns: i64,
    /// Windows over which counts are kept, distinct.
    pub windows: Vec<Window>,
    /// Lags of the delayed correlations.
    pub lags: Lags,
    /// Estimators run at each refresh, distinct.
    pub estimators: Vec<Estimator>,
    /// Ridge `λ ≥ 0` added to the diagonal of the equal-time correlations; dimensionless.
    pub ridge: f64,
    /// Bins between refreshes of the estimates, at least 1.
    pub refresh_interval_bins: u64,
}

/// A session specification that cannot be carried out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// Too few or too many neurons.
    #[error("a session has 1 to {NEURONS_MAX} neurons, got {found}")]
    NeuronCount {
        /// Number of neurons asked for.
        found: usize,
    },
    /// Two neurons share an identifier.
    #[error("neuron id {id} appears twice (indices {first} and {second})")]
    DuplicateNeuronId {
        /// The identifier.
        id: i64,
        /// Index of its first use.
        first: usize,
        /// Index of its second use.
        second: usize,
    },
    /// No window, too many of them, or the same twice.
    #[error("a session keeps 1 to {max} distinct windows, got {found} distinct of {given}", max = SessionSpec::WINDOWS_MAX)]
    WindowCount {
        /// Number of windows given.
        given: usize,
        /// Number of distinct ones.
        found: usize,
    },
    /// No estimator, or the same twice.
    #[error("a session runs at least one estimator, each once; got {given} of which {found} are distinct")]
    EstimatorCount {
        /// Number of estimators given.
        given: usize,
        /// Number of distinct ones.
        found: usize,
    },
    /// A window that does not fit the bin width.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// A window shorter than the longest lag holds no transition of it.
    #[error("window {window} is {bins} bins, shorter than the longest lag of {lag_bins} bins")]
    WindowShorterThanLag {
        /// The window.
        window: Window,
        /// Its length in bins.
        bins: u64,
        /// The longest lag in bins.
        lag_bins: u32,
    },
    /// A ridge that is negative or not a number.
    #[error("ridge {found} is not allowed: expected a finite number >= 0")]
    Ridge {
        /// The value given.
        found: f64,
    },
    /// A refresh interval of no bins.
    #[error("the refresh interval must be at least 1 bin")]
    RefreshInterval,
}

impl SessionSpec {
    /// Most windows per session: each costs a set of counts.
    pub const WINDOWS_MAX: usize = 8;

    /// Check every value.
    ///
    /// # Errors
    /// The first [`SpecError`] found.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.neurons.is_empty() || self.neurons.len() > NEURONS_MAX {
            return Err(SpecError::NeuronCount { found: self.neurons.len() });
        }
        let mut seen = std::collections::HashMap::new();
        for (second, neuron) in self.neurons.iter().enumerate() {
            if let Some(first) = seen.insert(neuron.id, second) {
                return Err(SpecError::DuplicateNeuronId { id: neuron.id, first, second });
            }
        }
        let distinct: std::collections::BTreeSet<Window> = self.windows.iter().copied().collect();
        if self.windows.is_empty()
            || self.windows.len() > Self::WINDOWS_MAX
            || distinct.len() != self.windows.len()
        {
            return Err(SpecError::WindowCount { given: self.windows.len(), found: distinct.len() });
        }
        let estimators: std::collections::HashSet<Estimator> = self.estimators.iter().copied().collect();
        if estimators.is_empty() || estimators.len() != self.estimators.len() {
            let (given, found) = (self.estimators.len(), estimators.len());
            return Err(SpecError::EstimatorCount { given, found });
        }
        let lag_bins = self.lags.longest();
        for &window in &self.windows {
            match window.bins(self.bin_width)? {
                Some(bins) if bins < u64::from(lag_bins) => {
                    return Err(SpecError::WindowShorterThanLag { window, bins, lag_bins });
                }
                _ => {}
            }
        }
        if !(self.ridge.is_finite() && self.ridge >= 0.0) {
            return Err(SpecError::Ridge { found: self.ridge });
        }
        if self.refresh_interval_bins == 0 {
            return Err(SpecError::RefreshInterval);
        }
        Ok(())
    }

    /// Number of neurons.
    #[must_use]
    pub fn n_neurons(&self) -> usize {
        self.neurons.len()
    }
}
