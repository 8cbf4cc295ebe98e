use std::ops::Range;

use super::Session;
use super::SessionSpec;
use super::pending::Pending;
use crate::model::{BIN_MAX, LAG_BINS_MAX, SpikeBlock, TrialMark};
use crate::moments::Accumulator;
use crate::ring::Ring;

/// A stretch of bins that never arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// First bin missing.
    pub first_bin: u64,
    /// Bin after the last one missing.
    pub end_bin: u64,
}

/// What comes with a block besides its bins.
#[derive(Debug, Clone, Copy, Default)]
pub struct Marks<'a> {
    /// Bins whose left edge no transition crosses.
    pub trial_edges: &'a [u64],
    /// Trials, whose edges need no mention among the others.
    pub trials: &'a [TrialMark],
}

/// What a push did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PushOutcome {
    /// Bins counted.
    pub applied_bins: u64,
    /// Bins that had been counted before and were ignored.
    pub repeated_bins: u64,
    /// Active (neuron, bin) entries counted.
    pub active_entries: u64,
    /// The gap that opened before the block, if any.
    pub gap: Option<Gap>,
}

/// A block or trial edge that cannot be taken; the session is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// A bin so far ahead that its number is most likely wrong.
    #[error(
        "bin {first_bin} is {gap_bins} bins past bin {next_bin}, which is expected next; a gap of at most {} bins is accepted",
        Session::GAP_BINS_MAX
    )]
    GapTooLarge {
        /// First bin of the block.
        first_bin: u64,
        /// The bin that was expected.
        next_bin: u64,
        /// Bins between the two.
        gap_bins: u64,
    },
    /// A bin number beyond what can be counted.
    #[error("bins up to {end_bin} were sent; bin numbers go up to {BIN_MAX}")]
    BinTooLarge {
        /// Bin after the last one of the block.
        end_bin: u64,
    },
    /// A trial edge between bins that are already counted as one run.
    #[error("the trial edge at bin {bin} comes too late: every bin before {next_bin} is already counted")]
    TrialEdgeInPast {
        /// Bin of the edge.
        bin: u64,
        /// The bin expected next.
        next_bin: u64,
    },
    /// A trial edge too far ahead.
    #[error(
        "the trial edge at bin {bin} lies more than {} bins ahead of bin {next_bin}",
        Session::GAP_BINS_MAX
    )]
    TrialEdgeTooFar {
        /// Bin of the edge.
        bin: u64,
        /// The bin expected next.
        next_bin: u64,
    },
    /// More trial edges at once than are remembered.
    #[error(
        "at most {} trial edges may lie ahead or less than {} bins back",
        Session::TRIAL_EDGES_MAX,
        Session::TRIAL_EDGE_MEMORY_BINS
    )]
    TooManyTrialEdges,
    /// A trial that stops before it starts.
    #[error("the trial stops at bin {stop_bin}, which is not after its start at bin {start_bin}")]
    TrialBounds {
        /// First bin.
        start_bin: u64,
        /// Bin after the last one.
        stop_bin: u64,
    },
    /// A trial that cannot be, given another.
    #[error("a trial of {mark} contradicts the one of {other}: trials do not overlap and have one end")]
    TrialOverlap {
        /// The trial.
        mark: TrialMark,
        /// The other one.
        other: TrialMark,
    },
}

impl Session {
    /// Longest gap, in bins: 2³² bins are 50 days at 1 ms.
    pub const GAP_BINS_MAX: u64 = 1 << 32;
    /// Most trial edges that lie ahead or less than [`Session::TRIAL_EDGE_MEMORY_BINS`] back.
    pub const TRIAL_EDGES_MAX: usize = 1 << 21;
    /// How long a trial edge is remembered, so that a message that comes again may bring it again.
    pub const TRIAL_EDGE_MEMORY_BINS: u64 = 1 << 20;
    /// Most trials that are remembered.
    pub const TRIALS_MAX: usize = Self::TRIAL_EDGES_MAX;

    /// Take a block of bins.
    ///
    /// Bins that were counted before are ignored; a hole before the block becomes a gap that no transition crosses.
    /// `on_refresh`, which must not push, is called, with the session standing exactly there, each time the number of the next bin is a multiple of
    /// the refresh interval.
    ///
    /// # Errors
    /// [`PushError`]; nothing is counted then.
    ///
    /// # Panics
    /// When the block names a neuron the session does not have: [`SpikeBlock`]s are checked where they are made.
    pub fn push(
        &mut self,
        block: &SpikeBlock,
        on_refresh: &mut dyn FnMut(&mut Session),
    ) -> Result<PushOutcome, PushError> {
        self.push_with_marks(block, Marks::default(), on_refresh)
    }

    /// Take a block of bins and trial edges at their left edges or later; see [`Session::push_with_marks`].
    ///
    /// # Errors
    /// [`PushError`]; nothing is counted and no edge is marked then.
    ///
    /// # Panics
    /// As [`Session::push`].
    pub fn push_with_trial_edges(
        &mut self,
        block: &SpikeBlock,
        trial_edges: &[u64],
        on_refresh: &mut dyn FnMut(&mut Session),
    ) -> Result<PushOutcome, PushError> {
        self.push_with_marks(block, Marks { trial_edges, trials: &[] }, on_refresh)
    }

    /// Take a block of bins together with trials and trial edges that begin at its first bin or later; see [`Session::push`],
    /// [`Session::mark_trial`] and [`Session::mark_trial_edge`]. The marks of a block that was counted before are repeats like its bins, but
    /// for what they say of bins ahead.
    ///
    /// # Errors
    /// [`PushError`]; nothing is counted and nothing is marked then.
    ///
    /// # Panics
    /// As [`Session::push`].
    pub fn push_with_marks(
        &mut self,
        block: &SpikeBlock,
        marks: Marks<'_>,
        on_refresh: &mut dyn FnMut(&mut Session),
    ) -> Result<PushOutcome, PushError> {
        let mut outcome = PushOutcome::default();
        // A mark of a repeated block may be older than marks are remembered. An end that lies ahead may be told with it all the same.
        let repeated = |bin: u64| block.end_bin() <= self.next_bin && bin < self.next_bin;
        let over = |mark: &TrialMark| repeated(mark.start_bin) && mark.stop_bin.is_none_or(repeated);
        let trials: Vec<TrialMark> = marks.trials.iter().copied().filter(|mark| !over(mark)).collect();
        let mut edges = self.check_trials(&trials)?;
        edges.extend(marks.trial_edges.iter().filter(|&&bin| !repeated(bin)));
        let edges = self.check_trial_edges(edges)?;
        if block.n_bins() == 0 || block.end_bin() <= self.next_bin {
            self.trial_edges.extend(edges);
            self.trials.insert(&trials);
            outcome.repeated_bins = block.n_bins() as u64;
            return Ok(outcome);
        }
        outcome.gap = self.gap_before(block)?;
        self.trial_edges.extend(edges);
        self.trials.insert(&trials);
        if let Some(gap) = outcome.gap {
            self.count_pending();
            self.gap_count += 1;
            self.gap_bins += gap.end_bin - gap.first_bin;
            self.next_bin = gap.end_bin;
            self.run_begins = true;
        }
        outcome.repeated_bins = self.next_bin - block.first_bin();
        while self.next_bin < block.end_bin() {
            let end_bin = self.piece_end(block.end_bin());
            let offset = |bin: u64| (bin - block.first_bin()) as usize;
            let entries = self.apply(block, offset(self.next_bin)..offset(end_bin));
            outcome.active_entries += entries as u64;
            if self.next_bin.is_multiple_of(self.spec.refresh_interval_bins) {
                on_refresh(self);
            }
        }
        outcome.applied_bins = block.n_bins() as u64 - outcome.repeated_bins;
        Ok(outcome)
    }

    /// Declare the bins from `start_bin` to before `stop_bin` a trial, `None` when it lasts until the next trial starts; no transition
    /// crosses its edges. Repeats are ignored, and the end of a trial may be told after its start.
    ///
    /// # Errors
    /// [`PushError`] when an edge comes too late or too far ahead, or the trial contradicts another; nothing is marked then.
    pub fn mark_trial(&mut self, start_bin: u64, stop_bin: Option<u64>) -> Result<(), PushError> {
        let mark = TrialMark { start_bin, stop_bin };
        let edges = self.check_trial_edges(self.check_trials(&[mark])?)?;
        self.trial_edges.extend(edges);
        self.trials.insert(&[mark]);
        Ok(())
    }

    /// Check trials against each other and those before; gives the edges that are new with them.
    fn check_trials(&self, marks: &[TrialMark]) -> Result<Vec<u64>, PushError> {
        self.trials.check(marks)?;
        let fresh = marks.iter().filter(|mark| !self.trials.holds(mark));
        Ok(fresh
            .flat_map(|mark| {
                // The edge at the start of a trial whose end is told now may be forgotten.
                let start = (!self.trials.starts_at(mark.start_bin)).then_some(mark.start_bin);
                start.into_iter().chain(mark.stop_bin)
            })
            .collect())
    }

    /// Let no transition cross the left edge of `bin`, which must not have been counted yet; repeats are ignored.
    ///
    /// # Errors
    /// [`PushError`] when the edge comes too late or too far ahead.
    pub fn mark_trial_edge(&mut self, bin: u64) -> Result<(), PushError> {
        self.check_trial_edge(bin)?;
        self.trial_edges.insert(bin);
        Ok(())
    }

    /// Whether [`Session::mark_trial_edge`] would take the edge.
    ///
    /// # Errors
    /// What it would answer.
    pub fn check_trial_edge(&self, bin: u64) -> Result<(), PushError> {
        let next_bin = self.next_bin;
        if self.trial_edges.contains(&bin) {
            return Ok(());
        }
        if bin < next_bin {
            return Err(PushError::TrialEdgeInPast { bin, next_bin });
        }
        if bin - next_bin > Self::GAP_BINS_MAX {
            return Err(PushError::TrialEdgeTooFar { bin, next_bin });
        }
        if self.trial_edges.len() >= Self::TRIAL_EDGES_MAX {
            return Err(PushError::TooManyTrialEdges);
        }
        Ok(())
    }

    /// Check edges that come together; gives those that are new, each once.
    fn check_trial_edges(&self, mut edges: Vec<u64>) -> Result<Vec<u64>, PushError> {
        edges.retain(|bin| !self.trial_edges.contains(bin));
        edges.sort_unstable();
        edges.dedup();
        edges.iter().try_for_each(|&bin| self.check_trial_edge(bin))?;
        if self.trial_edges.len() + edges.len() > Self::TRIAL_EDGES_MAX {
            return Err(PushError::TooManyTrialEdges);
        }
        Ok(edges)
    }

    fn gap_before(&self, block: &SpikeBlock) -> Result<Option<Gap>, PushError> {
        let (first_bin, next_bin) = (block.first_bin(), self.next_bin);
        if block.end_bin() > BIN_MAX {
            return Err(PushError::BinTooLarge { end_bin: block.end_bin() });
        }
        match first_bin.checked_sub(next_bin) {
            None | Some(0) => Ok(None),
            Some(gap_bins) if gap_bins > Self::GAP_BINS_MAX => {
                Err(PushError::GapTooLarge { first_bin, next_bin, gap_bins })
            }
            Some(_) => Ok(Some(Gap { first_bin: next_bin, end_bin: first_bin })),
        }
    }

    /// Where the piece that begins at `next_bin` ends: at the next refresh, trial edge or size limit.
    fn piece_end(&self, block_end: u64) -> u64 {
        let interval = self.spec.refresh_interval_bins;
        let refresh = (self.next_bin / interval).saturating_add(1).saturating_mul(interval);
        let edge = self.trial_edges.range(self.next_bin + 1..).next().copied().unwrap_or(u64::MAX);
        block_end.min(refresh).min(edge).min(self.next_bin + Pending::BINS_MAX)
    }

    /// Take the bins `piece` (0-based inside `block`), which start at `next_bin`; gives the number of active entries.
    fn apply(&mut self, block: &SpikeBlock, piece: Range<usize>) -> usize {
        self.run_begins |= self.trial_edges.contains(&self.next_bin);
        self.ring.append(block, piece.clone(), self.run_begins);
        self.run_begins = false;
        self.next_bin += piece.len() as u64;
        self.pending.add(block, piece.clone());
        if self.pending.is_due(self.spec.n_neurons(), self.spec.lags.as_slice().len()) {
            self.count_pending();
        }
        self.slide_windows();
        let remembered = self.next_bin.saturating_sub(Self::TRIAL_EDGE_MEMORY_BINS);
        while self.trial_edges.first().is_some_and(|&bin| bin < remembered) {
            self.trial_edges.pop_first();
        }
        // Not before its edges: a trial that is marked again must find itself or be refused.
        let oldest_window = self.windows.iter().map(|state| state.start_bin).min().unwrap_or(0);
        self.trials.forget_before(oldest_window.min(remembered));
        block.active_in(piece).len()
    }

    /// Count what has arrived since it was done last.
    pub(super) fn count_pending(&mut self) {
        let from = self.next_bin - self.pending.take();
        if from == self.next_bin {
            return;
        }
        let context = self.spec.lags.longest() as usize;
        if let Some(run) = self.ring.newest(from, context) {
            self.total.add_newest(run, (from - run.first_bin()) as usize..run.n_bins());
            return;
        }
        for part in self.ring.run_parts(from.saturating_sub(context as u64)..self.next_bin, 0) {
            let run = &part.bins;
            let first_new = from.clamp(run.first_bin(), run.end_bin()) - run.first_bin();
            self.total.add_newest(run, first_new as usize..run.n_bins());
        }
    }

    /// Move the left edges of the windows up to the newest bin.
    fn slide_windows(&mut self) {
        let ring = &mut self.ring;
        // What is yet to be counted, and what it makes transitions with, are among the newest.
        const { assert!(SessionSpec::SCORED_BINS_MAX >= Pending::BINS_MAX + LAG_BINS_MAX as u64) };
        let mut oldest_needed = self.next_bin.saturating_sub(self.spec.newest_bins_kept());
        for state in &mut self.windows {
            let Some(sliding) = state.sliding else { continue };
            let edge = self.next_bin.saturating_sub(sliding.bins);
            let start = edge - edge % sliding.step_bins;
            if start > state.start_bin {
                let gone = state.gone.get_or_insert_with(|| {
                    let mut gone = Accumulator::new(self.spec.n_neurons(), &self.spec.lags);
                    gone.set_threads(self.threads);
                    gone
                });
                retract(gone, ring, state.start_bin..start, self.spec.lags.longest() as usize);
                state.start_bin = start;
            }
            oldest_needed = oldest_needed.min(state.start_bin);
        }
        ring.forget_before(oldest_needed);
    }
}

fn retract(gone: &mut Accumulator, ring: &Ring, bins: Range<u64>, longest_lag: usize) {
    for part in ring.run_parts(bins, longest_lag) {
        gone.add_oldest(&part.bins, 0..part.n_asked);
    }
}
