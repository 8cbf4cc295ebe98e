use super::EquilibriumSpec;
use crate::model::{
    BinWidth, Estimator, EstimatorInput, Lags, MetadataError, NEURONS_MAX, Neuron, Ridges, SessionMetadata,
    Window, WindowError,
};

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
    /// Ridge `λ` of the estimators, see [`Estimate::ridge`](crate::model::Estimate::ridge): the only one, or those from which each
    /// estimator takes the one that has predicted best.
    pub ridges: Ridges,
    /// Bins between refreshes of the estimates, at least 1.
    pub refresh_interval_bins: u64,
    /// Bins between refits of the estimators that read the bins of the window, at least 1.
    pub refit_interval_bins: u64,
    /// Most bins such a refit reads: the newest ones of the window.
    pub refit_bins_max: u64,
    /// Bins after which a score counts for 1/e of what it did when the recent score is formed, at least 1.
    pub score_memory_bins: u64,
    /// Equilibrium models, fitted to the bins of each window beside the estimators.
    pub equilibrium: EquilibriumSpec,
    /// What is said about the session besides its bins. Snapshots do not keep it; the recording does.
    pub metadata: SessionMetadata,
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
    /// A refresh interval of no bins.
    #[error("the refresh interval must be at least 1 bin")]
    RefreshInterval,
    /// A refit interval of no bins.
    #[error("the refit interval must be at least 1 bin")]
    RefitInterval,
    /// Refits that read too few bins to estimate anything, or more than can be kept.
    #[error("a refit reads {} to {} bins, got {found}", Window::BINS_MIN, SessionSpec::REFIT_BINS_MAX)]
    RefitBins {
        /// Number of bins given.
        found: u64,
    },
    /// A score memory of no bins.
    #[error("the score memory must be at least 1 bin")]
    ScoreMemory,
    /// The same equilibrium method twice.
    #[error("a session runs each equilibrium method once; got {given} of which {found} are distinct")]
    EquilibriumMethodCount {
        /// Number of methods given.
        given: usize,
        /// Number of distinct ones.
        found: usize,
    },
    /// Fits of equilibrium models after no bins.
    #[error("the interval of equilibrium fits must be at least 1 bin")]
    EquilibriumInterval,
    /// Fits of equilibrium models that read too few bins, or more than can be kept.
    #[error(
        "an equilibrium fit reads {} to {} bins, got {found}",
        Window::BINS_MIN,
        SessionSpec::REFIT_BINS_MAX
    )]
    EquilibriumBins {
        /// Number of bins given.
        found: u64,
    },
    /// Something said about the session that cannot be recorded.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

impl SessionSpec {
    /// Most windows per session: each costs a set of counts.
    pub const WINDOWS_MAX: usize = 8;
    /// Most bins a refit may read: 2³⁰ bins are 12 days at 1 ms.
    pub const REFIT_BINS_MAX: u64 = 1 << 30;
    /// Newest bins that a refresh scores at most.
    pub const SCORED_BINS_MAX: u64 = 1 << 14;

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
        if self.refresh_interval_bins == 0 {
            return Err(SpecError::RefreshInterval);
        }
        if self.refit_interval_bins == 0 {
            return Err(SpecError::RefitInterval);
        }
        if !(Window::BINS_MIN..=Self::REFIT_BINS_MAX).contains(&self.refit_bins_max) {
            return Err(SpecError::RefitBins { found: self.refit_bins_max });
        }
        if self.score_memory_bins == 0 {
            return Err(SpecError::ScoreMemory);
        }
        self.equilibrium.check()?;
        Ok(self.metadata.check()?)
    }

    /// Whether an estimator reads the bins of the window, rather than its counts.
    #[must_use]
    pub fn refits(&self) -> bool {
        self.estimators.iter().any(|e| matches!(e.input(), EstimatorInput::Bins | EstimatorInput::Trials))
    }

    /// Newest bins that are kept whatever the windows: to be scored, and to be read by fits of the window "all".
    #[must_use]
    pub(super) fn newest_bins_kept(&self) -> u64 {
        let whole_session = self.windows.contains(&Window::All);
        let refitted = if self.refits() && whole_session { self.refit_bins_max } else { 0 };
        let fitted = if self.equilibrium.is_empty() { 0 } else { self.equilibrium.bins_max };
        refitted.max(fitted).max(Self::SCORED_BINS_MAX + 1)
    }

    /// Number of neurons.
    #[must_use]
    pub fn n_neurons(&self) -> usize {
        self.neurons.len()
    }
}
