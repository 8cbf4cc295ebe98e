use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::times::NS_MAX;
use crate::model::{BinWidth, Interval, Neuron, RecordedSession, RecordedUnit, SpikeBlock, TrialMark};

/// What one file of a session holds, under way: takes what the session took, in the same order, and becomes a [`RecordedPart`].
///
/// Times count from the left edge of bin 0 of the *session*, so that parts of one session share one clock; a spike stands in the middle of
/// its bin, where no rounding of seconds moves it out. Binning the part at the session's width gives back the very bins, gaps, trials and
/// edges that were pushed.
///
/// A spike takes 4 bytes here while its part is under way (up to 8 while a list grows), a bin none.
#[derive(Debug, Clone)]
pub struct SessionPart {
    neurons: Vec<Neuron>,
    bin_width: BinWidth,
    origin_ns: i64,
    spikes_max: u64,
    number: u32,
    /// Bins from here on are not taken.
    limit_bin: u64,
    /// Bins before this one are held, lie in a gap, or are not wanted.
    next_bin: u64,
    first_bin: Option<u64>,
    /// Bins since the first one in which each neuron fired, increasing.
    fired: Vec<Vec<u32>>,
    spikes: u64,
    gaps: Vec<Range<u64>>,
    /// First bin of each trial, and the bin after its last one as far as it was told.
    trials: BTreeMap<u64, Option<u64>>,
    /// Bins at whose left edge no transition crosses, besides those of trials.
    edges: BTreeSet<u64>,
}

/// A finished [`SessionPart`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedPart {
    /// Which part of the session, from 1.
    pub number: u32,
    /// Width of a bin.
    pub bin_width: BinWidth,
    /// Bins of the session from the first to the last one held; those in `session.invalid` are missing.
    pub bins: Range<u64>,
    /// Number of gaps among them, and of bins in these.
    pub gaps: u64,
    /// Number of bins that lie in gaps.
    pub gap_bins: u64,
    /// Spikes held.
    pub spikes: u64,
    /// Units, trials, gaps (as invalid intervals) and edges; times in nanoseconds since the left edge of bin 0.
    pub session: RecordedSession,
    /// The trial that was going on at the end, cut there. It is no trial of `session`, whose edges have its start.
    pub unfinished: Option<Interval>,
}

/// A block that a part does not take; the part is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// The part is full: the block belongs into the [next one](SessionPart::next_part), which takes it.
    #[error("the part is full")]
    Full,
    /// A block that would make a file too long to be read back.
    #[error("{bins} bins in one block are more than the {} that a recording may have", SessionPart::BINS_MAX)]
    TooManyBins {
        /// Number of bins of the block.
        bins: u64,
    },
    /// Bins so far from bin 0 that their times could not be read back.
    #[error("bin {bin} ends more than 4e9 s after bin 0, which no recording holds")]
    TooFar {
        /// Bin after the last one of the block.
        bin: u64,
    },
}

impl SessionPart {
    /// Most bins from the first to the last of one part: as many as a recording may have to be binned again.
    pub const BINS_MAX: u64 = 1_200_000_000;
    /// Most gaps, trials and edges of one part together.
    pub const MARKS_MAX: usize = 1_000_000;

    /// The first part of a session, with nothing in it; full at `spikes_max` spikes. `origin_ns` is the time of the left edge of bin 0 on
    /// the session's own clock: it is kept beside the times and may be anything.
    #[must_use]
    pub fn new(neurons: Vec<Neuron>, bin_width: BinWidth, origin_ns: i64, spikes_max: u64) -> Self {
        let fired = vec![Vec::new(); neurons.len()];
        Self {
            neurons,
            bin_width,
            origin_ns,
            spikes_max,
            number: 1,
            limit_bin: u64::MAX,
            next_bin: 0,
            first_bin: None,
            fired,
            spikes: 0,
            gaps: Vec::new(),
            trials: BTreeMap::new(),
            edges: BTreeSet::new(),
        }
    }

    /// The same, of these bins of the session alone, and as part `number`; others are ignored.
    #[must_use]
    pub fn of_bins(mut self, bins: Range<u64>, number: u32) -> Self {
        self.next_bin = bins.start;
        self.limit_bin = bins.end;
        self.number = number;
        self
    }

    /// The part that comes after this one, with nothing in it but the trials and edges that reach beyond the bins so far.
    #[must_use]
    pub fn next_part(&self) -> Self {
        let next = Self::new(self.neurons.clone(), self.bin_width, self.origin_ns, self.spikes_max);
        let mut next = next.of_bins(self.next_bin..self.limit_bin, self.number.saturating_add(1));
        next.edges = self.edges.range(self.next_bin..).copied().collect();
        // The last trial that has begun may be going on whatever is known of its end: that may be told later.
        let reaching =
            self.trials.range(..self.next_bin).next_back().map_or(self.next_bin, |(&start, _)| start);
        next.trials = self.trials.range(reaching..).map(|(&start, &stop)| (start, stop)).collect();
        next
    }

    /// Take a block, and the trials and edges that came with it. Bins that are held are ignored; a hole becomes a gap.
    ///
    /// # Errors
    /// [`PartError`]; nothing was taken then.
    ///
    /// # Panics
    /// When the block names a neuron that there is not: blocks are checked where they are made.
    pub fn push(
        &mut self,
        block: &SpikeBlock,
        trial_edges: &[u64],
        trials: &[TrialMark],
    ) -> Result<(), PartError> {
        let start = block.first_bin().max(self.next_bin);
        let end = block.end_bin().min(self.limit_bin);
        let place = |bin: u64| (bin - block.first_bin()) as usize;
        if start < end {
            let spikes = (place(start)..place(end)).map(|k| block.bin(k).len() as u64).sum();
            self.check_room(start..end, spikes)?;
        }
        // As the session does: the marks of a block that was counted before are repeats like its bins.
        let repeated = |bin: u64| block.end_bin() <= self.next_bin && bin < self.next_bin;
        let over = |mark: &TrialMark| repeated(mark.start_bin) && mark.stop_bin.is_none_or(repeated);
        let fresh_edges: Vec<u64> = trial_edges.iter().copied().filter(|&bin| !repeated(bin)).collect();
        let fresh_trials: Vec<TrialMark> = trials.iter().copied().filter(|mark| !over(mark)).collect();
        fresh_edges.into_iter().for_each(|bin| self.mark_trial_edge(bin));
        fresh_trials.into_iter().for_each(|mark| self.mark_trial(mark));
        if start >= end {
            return Ok(());
        }
        let first = *self.first_bin.get_or_insert(start);
        // What is missing before the first bin is no gap of this part.
        if start > self.next_bin && start > first {
            self.gaps.push(self.next_bin..start);
        }
        for bin in start..end {
            for &neuron in block.bin(place(bin)) {
                self.fired[usize::from(neuron)].push((bin - first) as u32);
                self.spikes += 1;
            }
        }
        self.next_bin = end;
        Ok(())
    }

    fn check_room(&self, bins: Range<u64>, spikes: u64) -> Result<(), PartError> {
        if bins.end > NS_MAX.unsigned_abs() / self.bin_width.ns().unsigned_abs() {
            return Err(PartError::TooFar { bin: bins.end });
        }
        match self.first_bin {
            None if bins.end - bins.start > Self::BINS_MAX => {
                Err(PartError::TooManyBins { bins: bins.end - bins.start })
            }
            Some(first)
                if self.is_full()
                    || self.spikes + spikes > self.spikes_max
                    || bins.end - first > Self::BINS_MAX =>
            {
                Err(PartError::Full)
            }
            _ => Ok(()),
        }
    }

    /// A trial, perhaps before its end is known; repeats are ignored, and its end may be told later.
    pub fn mark_trial(&mut self, mark: TrialMark) {
        let declared = self.trials.entry(mark.start_bin).or_insert(None);
        *declared = mark.stop_bin.or(*declared);
    }

    /// No transition crosses the left edge of `bin`.
    pub fn mark_trial_edge(&mut self, bin: u64) {
        self.edges.insert(bin);
    }

    /// Whether it has as many spikes, or gaps, trials and edges, as a part may have.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let marks = self.gaps.len() + self.trials.len() + self.edges.len();
        !self.is_empty() && (self.spikes >= self.spikes_max || marks >= Self::MARKS_MAX)
    }

    /// Whether it holds no bin.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first_bin.is_none()
    }

    /// Which part of the session, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Spikes held.
    #[must_use]
    pub fn spikes(&self) -> u64 {
        self.spikes
    }

    /// The bins from the first to the last one held; an empty range when there are none.
    #[must_use]
    pub fn bins(&self) -> Range<u64> {
        self.first_bin.unwrap_or(self.next_bin)..self.next_bin
    }

    /// The part as a recording. Takes 8 bytes for each spike, and frees those taken before.
    #[must_use]
    pub fn finish(self) -> RecordedPart {
        let bins = self.bins();
        let (trials, unfinished) = self.trial_intervals(&bins);
        let invalid: Vec<Interval> = self.gaps.iter().map(|gap| self.interval(gap.clone())).collect();
        let of_trials: BTreeSet<i64> =
            trials.iter().flat_map(|trial| [trial.start_ns, trial.stop_ns]).collect();
        let inside =
            self.edges.range(bins.start.saturating_add(1)..bins.end.max(bins.start.saturating_add(1)));
        let mut edges_ns: BTreeSet<i64> = inside.map(|&bin| self.edge_ns(bin)).collect();
        edges_ns.retain(|edge_ns| !of_trials.contains(edge_ns));
        edges_ns.extend(unfinished.map(|trial| trial.start_ns));

        let observed = (!self.is_empty()).then(|| vec![self.interval(bins.clone())]);
        let (width_ns, first_ns) = (self.bin_width.ns(), self.edge_ns(bins.start));
        let unit = |(neuron, fired): (Neuron, Vec<u32>)| RecordedUnit {
            neuron,
            spike_times_ns: fired
                .iter()
                .map(|&bin| first_ns + i64::from(bin) * width_ns + width_ns / 2)
                .collect(),
            observed: observed.clone(),
        };
        let gap_bins = self.gaps.iter().map(|gap| gap.end - gap.start).sum();
        RecordedPart {
            number: self.number,
            bin_width: self.bin_width,
            bins,
            gaps: self.gaps.len() as u64,
            gap_bins,
            spikes: self.spikes,
            unfinished,
            session: RecordedSession {
                units: self.neurons.into_iter().zip(self.fired).map(unit).collect(),
                trials,
                invalid,
                edges_ns: edges_ns.into_iter().collect(),
                origin_ns: self.origin_ns,
            },
        }
    }

    /// The trials that ended within the bins, and the one that had not. A trial that began before keeps its start; one of which no bin
    /// came is left out.
    fn trial_intervals(&self, bins: &Range<u64>) -> (Vec<Interval>, Option<Interval>) {
        let mut trials = Vec::new();
        for (&start, &declared) in self.trials.range(..bins.end) {
            let next = || self.trials.range(start + 1..).next().map(|(&start, _)| start);
            match declared.or_else(next) {
                Some(stop) if stop <= bins.start => {}
                Some(stop) if stop <= bins.end => trials.push(self.interval(start..stop)),
                _ => return (trials, Some(self.interval(start..bins.end))),
            }
        }
        (trials, None)
    }

    /// Time of the left edge of a bin that is not beyond the last one held.
    fn edge_ns(&self, bin: u64) -> i64 {
        bin as i64 * self.bin_width.ns()
    }

    fn interval(&self, bins: Range<u64>) -> Interval {
        Interval { start_ns: self.edge_ns(bins.start), stop_ns: self.edge_ns(bins.end) }
    }
}
