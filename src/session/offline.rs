//! A recording that is there as a whole: estimates are scored on its later parts before the last ones are made.

use std::ops::Range;
use std::sync::Arc;

use super::refit::{Bins, RefitScope, WindowBins};
use super::{SessionSpec, Snapshot, Tracker, WindowCounts};
use crate::model::{Estimator, Runs, Score, Trial, Window};
use crate::moments::Accumulator;

/// A stretch of a recording to be estimated as a whole.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The window it stands for.
    pub window: Window,
    /// The bins it spans, some of which may lie in gaps.
    pub bins: Range<u64>,
    /// The observed ones.
    pub runs: Runs,
    /// The trials in it.
    pub trials: Vec<Trial>,
}

/// Estimates of a recording, made and scored as if it had come in live: forward in time, at a few bins instead of every second.
#[derive(Debug)]
pub struct Offline<'a> {
    recorded: &'a Recorded,
    spec: Arc<SessionSpec>,
    tracker: Tracker,
    counted: Accumulator,
    /// Bin before which everything is counted.
    through: u64,
    threads: usize,
}

impl<'a> Offline<'a> {
    /// Bins at which estimates are made to be scored on what follows, as shares of the recording.
    pub const CHECKPOINTS: [f64; 4] = [0.5, 0.625, 0.75, 0.875];

    /// Parts of the recording that online estimators follow one after the other.
    const ONLINE_STEPS: u64 = 256;

    /// Nothing estimated yet. The windows of the specification are replaced by that of the recording. Counting and refits run on
    /// so many threads.
    #[must_use]
    pub fn new(spec: &SessionSpec, recorded: &'a Recorded, threads: usize) -> Self {
        let spec = Arc::new(SessionSpec { windows: vec![recorded.window], ..spec.clone() });
        let mut counted = Accumulator::new(spec.n_neurons(), &spec.lags);
        counted.set_threads(threads);
        Self {
            recorded,
            tracker: Tracker::new(Arc::clone(&spec), u64::MAX),
            counted,
            spec,
            through: recorded.bins.start,
            threads,
        }
    }

    /// Estimate at each checkpoint, score on what follows it, and choose ridges by that; then make the final estimates, with the
    /// chosen ridges and from scratch. `on_progress` is told the bin reached.
    #[must_use]
    pub fn run(mut self, on_progress: &mut dyn FnMut(u64)) -> Snapshot {
        let Range { start, end } = self.recorded.bins;
        for share in Self::CHECKPOINTS {
            let bin = start + ((end - start) as f64 * share) as u64;
            self.observe_through(bin);
            drop(self.estimate(RefitScope::Scores));
            on_progress(bin);
        }
        self.observe_through(end);
        on_progress(end);
        self.estimate(RefitScope::Final)
    }

    /// Estimate anew at each of these bins, increasing, and score from the first one on, each estimate on what follows it. The ridge
    /// must be fixed. The score comes with the bins at which the estimate changed: these, and with an online estimator those in
    /// between at which it went on. `None` when there is no estimate to score.
    pub(super) fn score_from(mut self, bins: &[u64]) -> Option<(Score, Vec<u64>)> {
        let ends = bins.iter().skip(1).copied().chain([self.recorded.bins.end]);
        let pace = self.pace() as usize;
        let changes = bins.iter().zip(ends).flat_map(|(&bin, end)| (bin..end).step_by(pace)).collect();
        let mut before = None;
        for &bin in bins {
            self.observe_through(bin);
            let snapshot = self.estimate(RefitScope::Scores);
            before =
                before.or_else(|| snapshot.estimates.into_iter().next().map(|scored| scored.score.total));
        }
        self.observe_through(self.recorded.bins.end);
        let snapshot = self.tracker.publish(self.windows(), None).remove(0);
        // An online estimator has been scored from its start.
        let (before, after) = (before?, snapshot.estimates.into_iter().next()?.score.total);
        let score = Score {
            transitions: after.transitions - before.transitions,
            spikes: after.spikes - before.spikes,
            gain_bits: after.gain_bits - before.gain_bits,
        };
        Some((score, changes))
    }

    /// Score on the bins up to `bin`, letting the online estimators follow them at about the pace of a live session.
    fn observe_through(&mut self, bin: u64) {
        let (start, pace) = (self.recorded.bins.start, self.pace());
        while self.through < bin {
            let next = bin.min(self.through + pace);
            self.counted.add_runs(&self.recorded.runs, self.through..next);
            // With the bin before as context, so that the transition into the first new bin is scored as well.
            let newest = self.recorded.runs.range(self.through.max(start + 1) - 1..next);
            self.through = next;
            let windows = self.windows();
            self.tracker.observe(&windows, &newest, &self.recorded.trials);
        }
    }

    /// Most bins observed at once.
    fn pace(&self) -> u64 {
        let bins = self.recorded.bins.end - self.recorded.bins.start;
        let steps = if self.spec.estimators.contains(&Estimator::Online) { Self::ONLINE_STEPS } else { 1 };
        (bins / steps).max(1)
    }

    fn windows(&self) -> Vec<WindowCounts> {
        let counts = Arc::new(self.counted.counts());
        let first_bin = self.recorded.bins.start;
        vec![WindowCounts { window: self.recorded.window, first_bin, end_bin: self.through, counts }]
    }

    /// Estimate on everything so far.
    fn estimate(&mut self, scope: RefitScope) -> Snapshot {
        let range = self.recorded.bins.start..self.through;
        let trials = self.recorded.trials.iter().copied();
        let read = WindowBins {
            bins: Bins::Unpacked { runs: self.recorded.runs.range(range.clone()), range },
            trials: trials.filter(|trial| trial.stop_bin <= self.through).collect(),
        };
        let task = self.tracker.refit_task(vec![read], scope);
        let refit = task.map(|task| task.run(self.threads));
        self.tracker.publish(self.windows(), refit).remove(0)
    }
}
