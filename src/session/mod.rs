//! One recording as a deterministic state machine.
mod snapshot;
mod spec;
use crate::model::SpikeBlock;
pub use snapshot::{Snapshot, WindowCounts};
pub use spec::{SessionSpec, SpecError};
use std::sync::Arc;

/// A stretch of bins that never arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// first missing
    pub first_bin: u64,
    /// first present again
    pub end_bin: u64,
}

/// What a push did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PushOutcome {
    /// bins taken
    pub applied_bins: u64,
    /// bins already known, ignored
    pub repeated_bins: u64,
    /// a gap was opened before the block
    pub gap: Option<Gap>,
}

/// A block that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// Hole larger than allowed: most likely a wrong bin number
    #[error(
        "bin {first_bin} is {gap_bins} bins past the next expected bin {next_bin}; a gap of at most {max_bins} bins is accepted"
    )]
    GapTooLarge {
        #[allow(missing_docs)]
        first_bin: u64,
        #[allow(missing_docs)]
        next_bin: u64,
        #[allow(missing_docs)]
        gap_bins: u64,
        #[allow(missing_docs)]
        max_bins: u64,
    },
    /// Trial edge in the past.
    #[error("trial edge at bin {bin} comes too late: bins up to {next_bin} are already counted")]
    TrialEdgeInPast {
        #[allow(missing_docs)]
        bin: u64,
        #[allow(missing_docs)]
        next_bin: u64,
    },
}

/// The state machine.
pub struct Session {
    spec: Arc<SessionSpec>,
}
impl Session {
    /// new
    pub fn new(spec: SessionSpec) -> Result<Self, SpecError> {
        spec.check()?;
        Ok(Self { spec: Arc::new(spec) })
    }
    /// spec
    pub fn spec(&self) -> &Arc<SessionSpec> {
        &self.spec
    }
    /// The bin expected next; everything before is applied.
    pub fn next_bin(&self) -> u64 {
        todo!()
    }
    /// Take a block. `on_refresh` is called, with the session standing exactly at that bin, each time a multiple of
    /// `refresh_interval_bins` has been passed (so results never depend on how bins were batched).
    pub fn push(
        &mut self,
        _block: &SpikeBlock,
        _on_refresh: &mut dyn FnMut(&Session),
    ) -> Result<PushOutcome, PushError> {
        todo!()
    }
    /// No transition will cross the left edge of `bin` (`bin >= next_bin`).
    pub fn mark_trial_edge(&mut self, _bin: u64) -> Result<(), PushError> {
        todo!()
    }
    /// Counts of one window now (copies the counts). `index` into spec.windows.
    pub fn window_counts(&self, _index: usize) -> WindowCounts {
        todo!()
    }
    /// Number of gaps and of missing bins so far
    pub fn gaps(&self) -> (u64, u64) {
        todo!()
    }
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        todo!()
    }
}
