//! One recording as a deterministic state machine: bins in, exact counts of every window out; no clock, thread or I/O.
//!
//! The state depends on the bins, gaps, trials and trial edges alone, never on how they were cut into blocks, so that a live
//! session, its replay and an offline fit agree exactly.
//!
//! Bins are counted when it pays: a few with few active neurons as they come, others once there are enough of them for a faster
//! kernel, and all before counts are given away.
//!
//! Counts are kept as one running total of the whole session and, for each finite window, a running total of what has left
//! it. A window is their difference. Its left edge moves in steps of [`Session::window_step_bins`]; the window holds the
//! transitions that have *both* bins inside it, as if the recording began at that edge.

mod compare;
mod compare_equilibrium;
mod equilibrium;
mod offline;
mod offline_equilibrium;
mod pending;
mod push;
mod refit;
mod snapshot;
mod spec;
mod tracker;
mod trials;

pub use compare::{Compared, ComparedRidge, Comparison, ComparisonError, Prequential};
pub use compare_equilibrium::{ComparedEquilibrium, EquilibriumComparison, UnfitMethod};
pub use equilibrium::{
    EquilibriumBins, EquilibriumFit, EquilibriumSpec, EquilibriumTask, EquilibriumTracker, FittedEquilibrium,
    Refusal, ScoredEquilibrium, best_equilibrium,
};
pub use offline::{Offline, Recorded};
pub use offline_equilibrium::offline_equilibrium;
pub use push::{Gap, Marks, PushError, PushOutcome};
pub use refit::{Bins, Refit, RefitScope, RefitTask, WindowBins};
pub use snapshot::{RidgeScore, ScoredEstimate, Snapshot, WindowCounts, best_of};
pub use spec::{SessionSpec, SpecError};
pub use tracker::Tracker;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use crate::model::{Trial, Window};
use crate::moments::Accumulator;
use crate::ring::{Ring, RingView};
use pending::Pending;
use trials::TrialTable;

/// A session: its specification and everything counted so far.
#[derive(Debug)]
pub struct Session {
    spec: Arc<SessionSpec>,
    /// Bins still inside the longest finite window, those that refits read, and those yet to be scored or counted.
    ring: Ring,
    total: Accumulator,
    /// What has arrived and is not counted in `total` yet.
    pending: Pending,
    windows: Vec<WindowState>,
    next_bin: u64,
    /// No transition leads to the next bin.
    run_begins: bool,
    trial_edges: BTreeSet<u64>,
    trials: TrialTable,
    gap_count: u64,
    gap_bins: u64,
    /// That counting spreads over.
    threads: usize,
}

#[derive(Debug)]
struct WindowState {
    window: Window,
    /// Length and step of the left edge, in bins; `None` for the whole session.
    sliding: Option<Sliding>,
    start_bin: u64,
    /// What has left the window; `None` until something does.
    gone: Option<Accumulator>,
}

#[derive(Debug, Clone, Copy)]
struct Sliding {
    bins: u64,
    step_bins: u64,
}

impl Sliding {
    fn of(bins: u64) -> Self {
        Self { bins, step_bins: window_step_bins(bins) }
    }
}

impl Session {
    /// A session without bins.
    ///
    /// # Errors
    /// [`SpecError`] when the specification cannot be carried out.
    pub fn new(spec: SessionSpec) -> Result<Self, SpecError> {
        spec.check()?;
        let n = spec.n_neurons();
        let mut windows = Vec::with_capacity(spec.windows.len());
        for &window in &spec.windows {
            windows.push(WindowState {
                window,
                sliding: window.bins(spec.bin_width)?.map(Sliding::of),
                start_bin: 0,
                gone: None,
            });
        }
        Ok(Self {
            ring: Ring::new(n),
            total: Accumulator::new(n, &spec.lags),
            windows,
            next_bin: 0,
            pending: Pending::default(),
            run_begins: true,
            trial_edges: BTreeSet::new(),
            trials: TrialTable::default(),
            gap_count: 0,
            gap_bins: 0,
            threads: 1,
            spec: Arc::new(spec),
        })
    }

    /// What the session records.
    #[must_use]
    pub fn spec(&self) -> &Arc<SessionSpec> {
        &self.spec
    }

    /// The bin expected next; everything before it is in all counts that are given away from now on, or lies in a gap.
    #[must_use]
    pub fn next_bin(&self) -> u64 {
        self.next_bin
    }

    /// Bins by which the left edge of window `index` moves, `None` when it is the whole session: the window is up to this much
    /// longer than asked for. Depends on the length of that window alone.
    ///
    /// # Panics
    /// When the specification has no window `index`.
    #[must_use]
    pub fn window_step_bins(&self, index: usize) -> Option<u64> {
        self.windows[index].sliding.map(|sliding| sliding.step_bins)
    }

    /// Let the counting of many bins spread over up to so many threads, where it takes long enough to be worth it: the counts do not
    /// depend on it.
    pub fn set_threads(&mut self, threads: usize) {
        self.total.set_threads(threads);
        self.windows
            .iter_mut()
            .filter_map(|window| window.gone.as_mut())
            .for_each(|gone| gone.set_threads(threads));
        self.threads = threads;
    }

    /// The counts of window `index` of the specification, as of the newest bin. Counts what is pending first, and copies all: O(n²).
    ///
    /// # Panics
    /// When the specification has no window `index`.
    #[must_use]
    pub fn window_counts(&mut self, index: usize) -> WindowCounts {
        self.count_pending();
        let state = &self.windows[index];
        let counts = match &state.gone {
            Some(gone) => self.total.counts_without(gone),
            None => self.total.counts(),
        };
        WindowCounts {
            window: state.window,
            first_bin: state.start_bin,
            end_bin: self.next_bin,
            counts: Arc::new(counts),
        }
    }

    /// The bins of window `index` that a refit reads: the newest [`SessionSpec::refit_bins_max`] of it. Cheap: shares what it can.
    ///
    /// # Panics
    /// When the specification has no window `index`.
    #[must_use]
    pub fn window_bins(&self, index: usize) -> WindowBins {
        let oldest = self.next_bin.saturating_sub(self.spec.refit_bins_max);
        let view = self.ring.view(oldest.max(self.windows[index].start_bin)..self.next_bin);
        let trials = self.trials(view.range());
        WindowBins { bins: Bins::Shared(view), trials }
    }

    /// What a fit of equilibrium models reads: of each window, the newest [`EquilibriumSpec::bins_max`] bins; and as many of
    /// the newest, to score the models before on those they have not seen. Cheap: shares what it can.
    #[must_use]
    pub fn equilibrium_bins(&self) -> EquilibriumBins {
        let oldest = self.next_bin.saturating_sub(self.spec.equilibrium.bins_max);
        let view = |start: u64| Bins::Shared(self.ring.view(oldest.max(start)..self.next_bin));
        EquilibriumBins {
            windows: self.windows.iter().map(|window| view(window.start_bin)).collect(),
            newest: view(0),
        }
    }

    /// The bins since `bin`, and the one before it if it belongs to the same run, but at most the newest
    /// [`SessionSpec::SCORED_BINS_MAX`]; with the trials they are of.
    #[must_use]
    pub fn newest_bins(&self, bin: u64) -> WindowBins {
        let oldest = self.next_bin.saturating_sub(SessionSpec::SCORED_BINS_MAX);
        let view = self.ring.view(bin.max(oldest).saturating_sub(1)..self.next_bin);
        let trials = self.trials_touching(view.range());
        WindowBins { bins: Bins::Shared(view), trials }
    }

    /// The newest bins, at most so many and never more than [`SessionSpec::SCORED_BINS_MAX`], from bin `from_bin` on. Cheap: shares what it can.
    #[must_use]
    pub fn recent_bins(&self, bins_max: u64, from_bin: u64) -> RingView {
        let oldest = self.next_bin.saturating_sub(bins_max.min(SessionSpec::SCORED_BINS_MAX));
        self.ring.view(oldest.max(from_bin.min(self.next_bin))..self.next_bin)
    }

    /// The trials that have a bin in `bins`, in order; the end of one that is going on may not be known, and is `u64::MAX` then.
    #[must_use]
    pub fn trials_touching(&self, bins: Range<u64>) -> Vec<Trial> {
        self.trials.touching(bins).collect()
    }

    /// The trials wholly inside `bins` that are over: their end is known and every bin before it counted or in a gap. In order.
    ///
    /// A trial is remembered until it lies before every window and its edges are forgotten, too
    /// ([`Session::TRIAL_EDGE_MEMORY_BINS`]); of more than [`Session::TRIALS_MAX`], the newest are.
    #[must_use]
    pub fn trials(&self, bins: Range<u64>) -> Vec<Trial> {
        self.trials.complete(bins.start..bins.end.min(self.next_bin)).collect()
    }

    /// Number of gaps and of the bins missing in them.
    #[must_use]
    pub fn gaps(&self) -> (u64, u64) {
        (self.gap_count, self.gap_bins)
    }

    /// Bytes of bins and counts held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let gone: usize = self.windows.iter().filter_map(|w| w.gone.as_ref()).map(Accumulator::bytes).sum();
        let edges = self.trial_edges.len() * size_of::<u64>();
        self.ring.bytes() + self.total.bytes() + gone + edges + self.trials.bytes()
    }

    /// Most bytes a session of this specification can hold: `(bins, counts)`, trials and their edges aside. Snapshots come on top, see
    /// [`Snapshot::bytes_of_all_windows`].
    ///
    /// # Errors
    /// [`SpecError`] when the specification cannot be carried out.
    pub fn bytes_max(spec: &SessionSpec) -> Result<(u64, u64), SpecError> {
        spec.check()?;
        let mut finite = Vec::new();
        for window in &spec.windows {
            finite.extend(window.bins(spec.bin_width)?);
        }
        let longest = finite.iter().map(|&bins| bins + window_step_bins(bins)).max().unwrap_or(0);
        let kept = longest.max(spec.newest_bins_kept());
        let ring = Ring::bytes_max(spec.n_neurons(), kept);
        let counts = Accumulator::bytes_for(spec.n_neurons(), spec.lags.as_slice().len()) as u64;
        Ok((ring, counts * (1 + finite.len() as u64)))
    }
}

/// A sixteenth of the window, as a power of two from one word of bins to a full pass of the dense kernel.
fn window_step_bins(window_bins: u64) -> u64 {
    let sixteenth = (window_bins / 16).max(1);
    (1 << sixteenth.ilog2()).clamp(64, 2048)
}
