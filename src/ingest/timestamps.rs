//! Time-stamped spikes put into bins as they come.
//!
//! A spike at time *t* lies in bin ⌊(t − origin) / width⌋, in integer nanoseconds, as [`super::bin_recording`] has it. A bin is complete
//! once every clock has come the allowed lateness past its right edge: the same spikes give the same bins in whatever order and pieces
//! they come, as long as none is later than that.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::model::{BIN_MAX, BinWidth, LostSpikes, NEURONS_MAX, SpikeBlock};

/// A clock that spikes are stamped by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClockSource {
    /// Name for people.
    pub name: String,
    /// Time on the recording's clock minus time on this one, nanoseconds.
    pub offset_ns: i64,
}

/// How time-stamped spikes become bins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampSettings {
    /// Neurons of the session.
    pub n_neurons: usize,
    /// Width of a bin.
    pub bin_width: BinWidth,
    /// Left edge of bin 0 on the recording's clock, nanoseconds.
    pub origin_ns: i64,
    /// How much later than others, by the clocks, a spike may come, microseconds.
    pub lateness_us: u64,
    /// The clocks; one without an offset when empty.
    pub sources: Vec<ClockSource>,
    /// Most bins of a block.
    pub block_bins_max: u32,
}

/// What comes of one source at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimedSpikes {
    /// Index of the source.
    pub source: u32,
    /// Index of the neuron of each spike.
    pub neurons: Vec<u32>,
    /// Time of each spike on the source's clock, nanoseconds.
    pub times_ns: Vec<i64>,
    /// How far the source's clock has come, nanoseconds.
    pub clock_ns: Option<i64>,
    /// Stretches of the source's time of which spikes may have been lost, nanoseconds.
    pub unobserved: Vec<Range<i64>>,
    /// A new offset of the source's clock, nanoseconds, for this and what comes after it.
    pub offset_ns: Option<i64>,
}

/// Time-stamped spikes that cannot be taken; nothing of their message is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// A lateness out of range.
    #[error("a lateness of {found} µs is not allowed: expected at most {}", TimestampBinner::LATENESS_US_MAX)]
    Lateness {
        /// The lateness given, microseconds.
        found: u64,
    },
    /// More clocks than are followed.
    #[error("{found} sources are too many: at most {} are followed", TimestampBinner::SOURCES_MAX)]
    TooManySources {
        /// Number of sources.
        found: usize,
    },
    /// The name of a source that could not be printed as it is.
    #[error("the name of source {source_index} has {problem}")]
    SourceName {
        /// Index of the source.
        source_index: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A source that was not told of.
    #[error("source {found} does not exist, the stream was opened with {sources} (0 to {})", sources - 1)]
    UnknownSource {
        /// The index given.
        found: u32,
        /// Number of sources.
        sources: usize,
    },
    /// Lists of different length.
    #[error("{neurons} neurons and {times} times: expected one time for each neuron")]
    Lengths {
        /// Number of neurons.
        neurons: usize,
        /// Number of times.
        times: usize,
    },
    /// A neuron that does not exist.
    #[error(
        "spike {place} is of neuron {neuron}, but the session has {n_neurons} neurons (0 to {})",
        n_neurons - 1
    )]
    NeuronOutOfRange {
        /// Place in the message, from 0.
        place: usize,
        /// The index given.
        neuron: u32,
        /// Number of neurons of the session.
        n_neurons: usize,
    },
    /// A time so far ahead that it is most likely in another unit or of another clock.
    #[error(
        "the {what} at {time_ns} ns of source {source_index} lies {ahead_s} s past what came before it: at most {} s are accepted \
         (are times in nanoseconds, and is origin_ns that of bin 0?)",
        TimestampBinner::LEAP_S_MAX
    )]
    Leap {
        /// What it is the time of.
        what: &'static str,
        /// The time on the source's clock, nanoseconds.
        time_ns: i64,
        /// Index of the source.
        source_index: u32,
        /// How far ahead that is, seconds.
        ahead_s: u64,
    },
    /// A clock that goes backwards by more than spikes may be late.
    #[error(
        "the clock of source {source_index} goes backwards: {clock_ns} ns is {back_us} µs before where it was, at most {lateness_us} µs \
         are accepted; a clock that begins anew needs another clock_offset_ns"
    )]
    ClockBackwards {
        /// Index of the source.
        source_index: u32,
        /// The time told, nanoseconds.
        clock_ns: i64,
        /// How far back that is, microseconds.
        back_us: u64,
        /// How far is accepted, microseconds.
        lateness_us: u64,
    },
    /// A stretch that ends before it starts.
    #[error("the unobserved stretch from {start_ns} to {stop_ns} ns has no length")]
    EmptyStretch {
        /// Its start, nanoseconds.
        start_ns: i64,
        /// Its end, nanoseconds.
        stop_ns: i64,
    },
    /// A stretch that is told of too late.
    #[error(
        "the unobserved stretch from {start_ns} ns on touches bin {bin}, but every bin before {next_bin} is complete"
    )]
    StretchTooLate {
        /// Its start, nanoseconds.
        start_ns: i64,
        /// First bin it touches.
        bin: u64,
        /// The first bin that is not complete.
        next_bin: u64,
    },
    /// More unobserved stretches ahead than are remembered.
    #[error(
        "{found} unobserved stretches lie ahead: at most {} are remembered",
        TimestampBinner::STRETCHES_MAX
    )]
    TooManyStretches {
        /// Number of stretches there would be.
        found: usize,
    },
    /// More spikes than may wait for a clock.
    #[error(
        "{waiting} spikes in {bins} bins wait for source {source_index}, whose clock is behind the others: they take more than {} bytes",
        TimestampBinner::WAITING_BYTES_MAX
    )]
    TooManyWaiting {
        /// Spikes that would wait.
        waiting: usize,
        /// Bins that have such spikes already.
        bins: usize,
        /// Index of the source that is furthest behind.
        source_index: usize,
    },
}

/// Puts time-stamped spikes into bins.
///
/// [`TimestampBinner::take`] takes what comes; then [`TimestampBinner::next_block`] gives the bins that are complete, until there are none.
#[derive(Debug, Clone)]
pub struct TimestampBinner {
    n_neurons: usize,
    width_ns: i128,
    origin_ns: i128,
    lateness_us: u64,
    block_bins_max: u64,
    /// Where spikes before it are repeats of what an earlier stream had.
    first_bin: u64,
    /// The first bin that has not been given away.
    next_bin: u64,
    /// Every bin before it is complete.
    complete_through: u64,
    clocks: Vec<Clock>,
    /// Neurons of the spikes of each bin, in the order in which they came.
    open: BTreeMap<u64, Vec<u16>>,
    /// Spikes in `open`.
    waiting: usize,
    /// Bins that are not observed, apart from each other, by their first.
    unobserved: BTreeMap<u64, u64>,
    lost: LostSpikes,
}

#[derive(Debug, Clone)]
struct Clock {
    offset_ns: i128,
    /// The newest of its times since the origin, nanoseconds; none before it has spoken.
    now_ns: Option<i128>,
    /// The same of what it said of itself.
    told_ns: Option<i128>,
}

impl TimestampBinner {
    /// Largest lateness, microseconds.
    pub const LATENESS_US_MAX: u64 = 60_000_000;
    /// Most clocks.
    pub const SOURCES_MAX: usize = 64;
    /// Most characters of the name of a clock.
    pub const NAME_CHARS_MAX: usize = 256;
    /// How far ahead of the last a time may be, seconds.
    pub const LEAP_S_MAX: u64 = 3600;
    /// Most bytes of spikes in bins that are not complete, roughly.
    pub const WAITING_BYTES_MAX: usize = 64 << 20;
    /// What a bin with a spike takes besides the spike: its place in the tree, and the room a list of one reserves.
    const OPEN_BIN_BYTES: usize = 80;
    /// Most unobserved stretches in bins that are not complete.
    pub const STRETCHES_MAX: usize = 1 << 16;
    /// Most entries of a block.
    const BLOCK_ENTRIES: usize = 1 << 20;

    /// Begin at bin 0.
    ///
    /// # Errors
    /// [`TimestampError`] naming the setting.
    pub fn new(settings: TimestampSettings) -> Result<Self, TimestampError> {
        let TimestampSettings { n_neurons, bin_width, origin_ns, lateness_us, mut sources, block_bins_max } =
            settings;
        if lateness_us > Self::LATENESS_US_MAX {
            return Err(TimestampError::Lateness { found: lateness_us });
        }
        if sources.len() > Self::SOURCES_MAX {
            return Err(TimestampError::TooManySources { found: sources.len() });
        }
        for (source_index, source) in sources.iter().enumerate() {
            if let Some(problem) = problem_of_name(&source.name) {
                return Err(TimestampError::SourceName { source_index, problem });
            }
        }
        if sources.is_empty() {
            sources.push(ClockSource::default());
        }
        let clock =
            |source: ClockSource| Clock { offset_ns: source.offset_ns.into(), now_ns: None, told_ns: None };
        Ok(Self {
            n_neurons: n_neurons.min(NEURONS_MAX),
            width_ns: bin_width.ns().into(),
            origin_ns: origin_ns.into(),
            lateness_us,
            block_bins_max: block_bins_max.max(1).into(),
            first_bin: 0,
            next_bin: 0,
            complete_through: 0,
            clocks: sources.into_iter().map(clock).collect(),
            open: BTreeMap::new(),
            waiting: 0,
            unobserved: BTreeMap::new(),
            lost: LostSpikes::default(),
        })
    }

    /// Begin at this bin instead: spikes before it have been counted already. Before anything is taken.
    #[must_use]
    pub fn begin_at(self, bin: u64) -> Self {
        Self { first_bin: bin, next_bin: bin, complete_through: bin, ..self }
    }

    /// Take what comes of one source.
    ///
    /// # Errors
    /// [`TimestampError`] naming what does not fit; nothing is taken then.
    pub fn take(&mut self, spikes: &TimedSpikes) -> Result<(), TimestampError> {
        let Some(clock) = self.clocks.get(spikes.source as usize) else {
            return Err(TimestampError::UnknownSource { found: spikes.source, sources: self.clocks.len() });
        };
        let mut clock = clock.clone();
        if let Some(offset_ns) = spikes.offset_ns {
            clock.offset_ns = offset_ns.into();
        }
        self.check_neurons(spikes)?;
        let stretches = self.stretches(spikes, &clock)?;
        let before_ns = clock.now_ns;
        self.move_clock(&mut clock, spikes, &stretches)?;
        self.check_waiting(spikes)?;

        // Nothing fails from here on.
        stretches.into_iter().for_each(|stretch| self.leave_out(stretch));
        let offset_ns = clock.offset_ns;
        for (&neuron, &time_ns) in spikes.neurons.iter().zip(&spikes.times_ns) {
            self.sort_in(neuron as u16, self.since_origin(time_ns, offset_ns), before_ns);
        }
        self.clocks[spikes.source as usize] = clock;
        let slowest = self.clocks.iter().map(|clock| clock.now_ns).min().flatten();
        if let Some(slowest) = slowest {
            self.complete(slowest - i128::from(self.lateness_us) * 1000);
        }
        Ok(())
    }

    /// No more is to come: all bins up to the newest clock, and the one of the newest spike, are complete.
    pub fn finish(&mut self) {
        if let Some(newest) = self.clocks.iter().filter_map(|clock| clock.now_ns).max() {
            self.complete(newest);
        }
        if let Some((&bin, _)) = self.open.last_key_value() {
            self.complete_through = self.complete_through.max(bin + 1);
        }
    }

    /// The next bins that are complete; none when all that are have been given away. Bins that were not observed lie between blocks.
    pub fn next_block(&mut self) -> Option<SpikeBlock> {
        self.pass_unobserved();
        if self.next_bin >= self.complete_through {
            return None;
        }
        let observed_end = self.unobserved.first_key_value().map_or(u64::MAX, |(&start, _)| start);
        let end = self.complete_through.min(observed_end).min(self.next_bin + self.block_bins_max);
        let mut block = SpikeBlock::empty(self.next_bin);
        while self.next_bin < end && block.n_active() < Self::BLOCK_ENTRIES {
            let active = self.take_bin(self.next_bin);
            block.push_sorted(&active);
            self.next_bin += 1;
        }
        Some(block)
    }

    /// Spikes that did not become entries of bins, since they were last taken.
    #[must_use]
    pub fn lost(&self) -> LostSpikes {
        self.lost
    }

    /// Spikes since the last time that did not become entries of bins.
    pub fn take_lost(&mut self) -> LostSpikes {
        std::mem::take(&mut self.lost)
    }

    fn since_origin(&self, time_ns: i64, offset_ns: i128) -> i128 {
        i128::from(time_ns) + offset_ns - self.origin_ns
    }

    fn check_neurons(&self, spikes: &TimedSpikes) -> Result<(), TimestampError> {
        let (neurons, times) = (spikes.neurons.len(), spikes.times_ns.len());
        if neurons != times {
            return Err(TimestampError::Lengths { neurons, times });
        }
        let n_neurons = self.n_neurons;
        match spikes.neurons.iter().enumerate().find(|&(_, &neuron)| neuron as usize >= n_neurons) {
            Some((place, &neuron)) => Err(TimestampError::NeuronOutOfRange { place, neuron, n_neurons }),
            None => Ok(()),
        }
    }

    /// The bins that unobserved stretches touch and that an earlier stream has not counted.
    fn stretches(&self, spikes: &TimedSpikes, clock: &Clock) -> Result<Vec<Range<u64>>, TimestampError> {
        let mut stretches = Vec::new();
        for &Range { start: start_ns, end: stop_ns } in &spikes.unobserved {
            if start_ns >= stop_ns {
                return Err(TimestampError::EmptyStretch { start_ns, stop_ns });
            }
            let first = self.since_origin(start_ns, clock.offset_ns).div_euclid(self.width_ns);
            let last = (self.since_origin(stop_ns, clock.offset_ns) - 1).div_euclid(self.width_ns);
            let (first, end) = (clamped(first).max(self.first_bin), clamped(last + 1));
            if first >= end {
                continue;
            }
            if first < self.complete_through {
                let next_bin = self.complete_through;
                return Err(TimestampError::StretchTooLate { start_ns, bin: first, next_bin });
            }
            stretches.push(first..end);
        }
        match self.unobserved.len() + stretches.len() {
            found if found > Self::STRETCHES_MAX => Err(TimestampError::TooManyStretches { found }),
            _ => Ok(stretches),
        }
    }

    /// Move a clock to the newest of its times, unless it leaps: past all that is known, unobserved stretches among it.
    fn move_clock(
        &self,
        clock: &mut Clock,
        spikes: &TimedSpikes,
        stretches: &[Range<u64>],
    ) -> Result<(), TimestampError> {
        let begin_ns = i128::from(self.complete_through) * self.width_ns;
        // They lie apart from each other: the last one ends last.
        let last = self.unobserved.last_key_value().map(|(_, &end)| end);
        let unobserved = stretches.iter().map(|stretch| stretch.end).chain(last).max();
        let unobserved_ns = unobserved.map_or(begin_ns, |end| i128::from(end) * self.width_ns);
        let known_ns = clock.now_ns.unwrap_or(begin_ns).max(begin_ns).max(unobserved_ns);
        let latest_ns = known_ns + i128::from(Self::LEAP_S_MAX) * 1_000_000_000;
        let source_index = spikes.source;
        let check = |time_ns: i64, what| {
            let now_ns = self.since_origin(time_ns, clock.offset_ns);
            if now_ns > latest_ns || now_ns >= i128::from(BIN_MAX) * self.width_ns {
                let ahead_s = u64::try_from((now_ns - known_ns) / 1_000_000_000).unwrap_or(u64::MAX);
                return Err(TimestampError::Leap { what, time_ns, source_index, ahead_s });
            }
            Ok(now_ns)
        };
        let mut now_ns = clock.now_ns;
        for &time_ns in &spikes.times_ns {
            now_ns = now_ns.max(Some(check(time_ns, "spike")?));
        }
        let mut told_ns = clock.told_ns;
        if let Some(clock_ns) = spikes.clock_ns {
            let told = check(clock_ns, "clock")?;
            let back_us = told_ns.map_or(0, |before| (before - told).max(0) / 1000);
            if back_us > i128::from(self.lateness_us) {
                let back_us = u64::try_from(back_us).unwrap_or(u64::MAX);
                let lateness_us = self.lateness_us;
                return Err(TimestampError::ClockBackwards { source_index, clock_ns, back_us, lateness_us });
            }
            told_ns = told_ns.max(Some(told));
            now_ns = now_ns.max(Some(told));
        }
        (clock.now_ns, clock.told_ns) = (now_ns, told_ns);
        Ok(())
    }

    fn check_waiting(&self, spikes: &TimedSpikes) -> Result<(), TimestampError> {
        let waiting = self.waiting + spikes.neurons.len();
        let bins = self.open.len();
        // Each new spike may be the first of its bin.
        let bytes = waiting * size_of::<u16>() + (bins + spikes.neurons.len()) * Self::OPEN_BIN_BYTES;
        if bytes <= Self::WAITING_BYTES_MAX {
            return Ok(());
        }
        let behind = self.clocks.iter().enumerate().min_by_key(|(_, clock)| clock.now_ns);
        Err(TimestampError::TooManyWaiting {
            waiting,
            bins,
            source_index: behind.map_or(0, |(index, _)| index),
        })
    }

    /// Leave bins out as not observed.
    fn leave_out(&mut self, stretch: Range<u64>) {
        let Range { mut start, mut end } = stretch;
        // Those it touches become one with it.
        while let Some((&first, &last)) = self.unobserved.range(..=end).next_back() {
            if last < start {
                break;
            }
            self.unobserved.remove(&first);
            (start, end) = (start.min(first), end.max(last));
        }
        self.unobserved.insert(start, end);
    }

    fn sort_in(&mut self, neuron: u16, since_origin_ns: i128, clock_before_ns: Option<i128>) {
        let bin = u64::try_from(since_origin_ns.div_euclid(self.width_ns)).ok();
        match bin {
            Some(bin) if bin >= self.complete_through => {
                self.open.entry(bin).or_default().push(neuron);
                self.waiting += 1;
            }
            // What is sent again after a broken connection comes before its clock is back where it was; it was counted then, also if it
            // lay before bin 0.
            _ if self.first_bin > 0
                && bin.is_none_or(|bin| bin < self.first_bin)
                && !self.is_past(clock_before_ns, self.first_bin) => {}
            _ => self.lost.late += 1,
        }
    }

    /// Whether a clock has come past the left edge of a bin.
    fn is_past(&self, clock_ns: Option<i128>, bin: u64) -> bool {
        clock_ns.is_some_and(|now| now >= i128::from(bin) * self.width_ns)
    }

    /// Bins that end by then are complete.
    fn complete(&mut self, until_ns: i128) {
        self.complete_through = self.complete_through.max(clamped(until_ns.div_euclid(self.width_ns)));
    }

    /// Go on past bins that were not observed and are complete; their spikes do not count.
    fn pass_unobserved(&mut self) {
        while let Some(entry) = self.unobserved.first_entry().filter(|entry| *entry.key() <= self.next_bin) {
            let end = entry.remove();
            let passed = end.min(self.complete_through).max(self.next_bin);
            while let Some(entry) = self.open.first_entry().filter(|entry| *entry.key() < passed) {
                let bin = *entry.key();
                self.lost.masked += self.take_bin(bin).len() as u64;
            }
            self.next_bin = passed;
            if passed < end {
                self.unobserved.insert(passed, end);
                return;
            }
        }
    }

    /// The neurons of a bin, increasing; those that came more than once are counted.
    fn take_bin(&mut self, bin: u64) -> Vec<u16> {
        let mut active = self.open.remove(&bin).unwrap_or_default();
        let spikes = active.len();
        self.waiting -= spikes;
        active.sort_unstable();
        active.dedup();
        self.lost.merged += (spikes - active.len()) as u64;
        active
    }
}

/// A bin number, no less than 0 and no more than can be counted.
fn clamped(bin: i128) -> u64 {
    u64::try_from(bin.max(0)).map_or(BIN_MAX, |bin| bin.min(BIN_MAX))
}

fn problem_of_name(name: &str) -> Option<&'static str> {
    if name.chars().count() > TimestampBinner::NAME_CHARS_MAX {
        return Some("more than 256 characters");
    }
    name.chars().any(char::is_control).then_some("a control character")
}

// Lists of stretches with one in them are what is meant.
#[allow(clippy::single_range_in_vec_init)]
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bin_recording;
    use super::*;
    use crate::model::{Interval, Neuron, RecordedSession, RecordedUnit};

    const MS: i64 = 1_000_000;

    fn settings(n_neurons: usize, lateness_us: u64) -> TimestampSettings {
        TimestampSettings {
            n_neurons,
            bin_width: BinWidth::from_us(1000).unwrap(),
            origin_ns: 0,
            lateness_us,
            sources: vec![],
            block_bins_max: 100,
        }
    }

    fn spikes(spikes: &[(u32, i64)]) -> TimedSpikes {
        let (neurons, times_ns) = spikes.iter().copied().unzip();
        TimedSpikes { neurons, times_ns, ..Default::default() }
    }

    fn clock(clock_ns: i64) -> TimedSpikes {
        TimedSpikes { clock_ns: Some(clock_ns), ..Default::default() }
    }

    /// Everything that is complete: bin and active neurons of each.
    fn complete(binner: &mut TimestampBinner) -> Vec<(u64, Vec<u16>)> {
        let mut bins = Vec::new();
        while let Some(block) = binner.next_block() {
            assert!(block.n_bins() > 0);
            bins.extend((block.first_bin()..).zip(block.bins().map(<[u16]>::to_vec)));
        }
        bins
    }

    #[test]
    fn bins_are_complete_once_the_clock_is_past_them_by_the_lateness() {
        let mut binner = TimestampBinner::new(settings(3, 2000)).unwrap();
        binner.take(&spikes(&[(2, MS), (0, 2 * MS - 1), (1, 0)])).unwrap();
        assert_eq!(complete(&mut binner), []);
        binner.take(&clock(3 * MS - 1)).unwrap();
        assert_eq!(complete(&mut binner), []);
        binner.take(&clock(3 * MS)).unwrap();
        assert_eq!(complete(&mut binner), [(0, vec![1])]);
        // Not late yet, although it comes after a later one.
        binner.take(&spikes(&[(1, 4 * MS), (1, MS)])).unwrap();
        assert_eq!(complete(&mut binner), [(1, vec![0, 1, 2])]);
        assert_eq!(binner.take_lost(), LostSpikes::default());
        binner.take(&spikes(&[(0, 2 * MS - 1), (0, -1), (1, 4 * MS + 1)])).unwrap();
        assert_eq!(binner.take_lost(), LostSpikes { late: 2, ..Default::default() });
        binner.finish();
        assert_eq!(complete(&mut binner), [(2, vec![]), (3, vec![]), (4, vec![1])]);
        assert_eq!(binner.take_lost(), LostSpikes { merged: 1, ..Default::default() });
    }

    #[test]
    fn the_slowest_clock_decides_and_offsets_lead_to_one_time() {
        let sources = [0, -10 * MS].map(|offset_ns| ClockSource { name: String::new(), offset_ns }).to_vec();
        let mut binner = TimestampBinner::new(TimestampSettings { sources, ..settings(2, 0) }).unwrap();
        binner.take(&TimedSpikes { clock_ns: Some(5 * MS), ..spikes(&[(0, 0)]) }).unwrap();
        assert_eq!(complete(&mut binner), [], "the other clock has not spoken");
        let other = |clock_ns: i64| TimedSpikes { source: 1, ..clock(clock_ns) };
        binner.take(&TimedSpikes { source: 1, ..spikes(&[(1, 10 * MS)]) }).unwrap();
        binner.take(&other(11 * MS)).unwrap();
        assert_eq!(complete(&mut binner), [(0, vec![0, 1])]);
        // It begins anew, at another offset.
        let anew = TimedSpikes { offset_ns: Some(2 * MS), ..other(0) };
        binner.take(&anew).unwrap();
        assert_eq!(complete(&mut binner), [(1, vec![])]);
        binner.take(&other(1 << 20)).unwrap();
        assert_eq!(complete(&mut binner), [(2, vec![])], "the offset stays");
    }

    #[test]
    fn unobserved_stretches_leave_out_every_bin_they_touch() {
        let mut binner = TimestampBinner::new(settings(1, 0)).unwrap();
        let unobserved = vec![2 * MS + 1..3 * MS + 1, 6 * MS..7 * MS, 3 * MS..4 * MS];
        let message =
            TimedSpikes { unobserved, ..spikes(&[(0, MS), (0, 2 * MS), (0, 3 * MS + 9), (0, 3 * MS + 10)]) };
        binner.take(&message).unwrap();
        binner.take(&clock(9 * MS)).unwrap();
        let bins: Vec<u64> = complete(&mut binner).into_iter().map(|(bin, _)| bin).collect();
        assert_eq!(bins, [0, 1, 4, 5, 7, 8]);
        assert_eq!(binner.take_lost(), LostSpikes { masked: 2, merged: 1, late: 0 });
        let late = TimedSpikes { unobserved: vec![8 * MS..10 * MS], ..clock(12 * MS) };
        let error = TimestampError::StretchTooLate { start_ns: 8 * MS, bin: 8, next_bin: 9 };
        assert_eq!(binner.take(&late), Err(error));
        // A stretch of hours, of which a part is complete.
        let hours = 1000 * 3_600_000 * MS;
        binner.take(&TimedSpikes { unobserved: vec![9 * MS..hours], ..clock(10 * MS) }).unwrap();
        assert_eq!(complete(&mut binner), []);
        binner.take(&clock(hours + 2 * MS)).unwrap();
        let first = (hours / MS) as u64;
        assert_eq!(complete(&mut binner), [(first, vec![]), (first + 1, vec![])]);
    }

    #[test]
    fn what_an_earlier_stream_had_is_ignored_until_the_clock_is_back() {
        let mut binner = TimestampBinner::new(settings(1, 0)).unwrap().begin_at(5);
        let again =
            TimedSpikes { unobserved: vec![MS..2 * MS], ..spikes(&[(0, -MS), (0, 3 * MS), (0, 5 * MS)]) };
        binner.take(&again).unwrap();
        binner.take(&clock(6 * MS)).unwrap();
        assert_eq!(complete(&mut binner), [(5, vec![0])]);
        assert_eq!(binner.take_lost(), LostSpikes::default());
        binner.take(&spikes(&[(0, 4 * MS)])).unwrap();
        assert_eq!(binner.take_lost().late, 1);
    }

    #[test]
    fn a_refused_message_changes_nothing() {
        use TimestampError as E;
        let mut binner = TimestampBinner::new(settings(2, 1000)).unwrap();
        binner.take(&clock(10 * MS)).unwrap();
        let before = format!("{binner:?}");
        let hour = 3_600_000 * MS;
        let good = spikes(&[(0, 10 * MS)]);
        let refused = [
            (TimedSpikes { source: 1, ..good.clone() }, E::UnknownSource { found: 1, sources: 1 }),
            (TimedSpikes { times_ns: vec![], ..good.clone() }, E::Lengths { neurons: 1, times: 0 }),
            (
                spikes(&[(0, 10 * MS), (2, 10 * MS)]),
                E::NeuronOutOfRange { place: 1, neuron: 2, n_neurons: 2 },
            ),
            (
                spikes(&[(0, 11 * MS), (0, 11 * MS + hour)]),
                E::Leap { what: "spike", time_ns: 11 * MS + hour, source_index: 0, ahead_s: 3600 },
            ),
            (
                TimedSpikes { clock_ns: Some(i64::MAX), ..good.clone() },
                E::Leap { what: "clock", time_ns: i64::MAX, source_index: 0, ahead_s: 9_223_372_036 },
            ),
            (
                TimedSpikes { clock_ns: Some(9 * MS - 1000), ..good.clone() },
                E::ClockBackwards {
                    source_index: 0,
                    clock_ns: 9 * MS - 1000,
                    back_us: 1001,
                    lateness_us: 1000,
                },
            ),
            (
                TimedSpikes { unobserved: vec![12 * MS..12 * MS], ..good.clone() },
                E::EmptyStretch { start_ns: 12 * MS, stop_ns: 12 * MS },
            ),
            (
                TimedSpikes {
                    unobserved: vec![12 * MS..13 * MS; TimestampBinner::STRETCHES_MAX + 1],
                    ..good
                },
                E::TooManyStretches { found: TimestampBinner::STRETCHES_MAX + 1 },
            ),
        ];
        for (message, error) in refused {
            assert_eq!(binner.take(&message), Err(error));
            assert_eq!(format!("{binner:?}"), before);
        }
        binner.take(&clock(9 * MS)).unwrap();
        binner.waiting = TimestampBinner::WAITING_BYTES_MAX / 2;
        let error = E::TooManyWaiting { waiting: binner.waiting + 1, bins: 0, source_index: 0 };
        assert_eq!(binner.take(&spikes(&[(0, 10 * MS)])), Err(error));
    }

    #[test]
    fn settings_are_checked() {
        let source = |name: &str| ClockSource { name: name.to_owned(), offset_ns: 0 };
        let with = |sources| TimestampBinner::new(TimestampSettings { sources, ..settings(1, 0) }).map(drop);
        assert_eq!(with(vec![source("probe A"); 64]), Ok(()));
        assert_eq!(with(vec![source(""); 65]), Err(TimestampError::TooManySources { found: 65 }));
        let problem = "a control character";
        let error = TimestampError::SourceName { source_index: 1, problem };
        assert_eq!(with(vec![source(""), source("a\nb")]), Err(error));
        let problem = "more than 256 characters";
        let error = TimestampError::SourceName { source_index: 0, problem };
        assert_eq!(with(vec![source(&"é".repeat(257))]), Err(error));
        let found = TimestampBinner::LATENESS_US_MAX + 1;
        let late = TimestampBinner::new(settings(1, found)).map(drop);
        assert_eq!(late, Err(TimestampError::Lateness { found }));
    }

    /// Spikes with a key that says when each comes, up to the lateness after its time.
    fn events() -> impl Strategy<Value = Vec<(u32, i64, i64)>> {
        proptest::collection::vec((0..4_u32, 0..200 * MS, 0..5 * MS), 1..200)
    }

    proptest! {
        #[test]
        fn the_bins_are_those_of_the_same_spikes_offline(
            events in events(),
            pieces in proptest::collection::vec(1..30_usize, 1..50),
            masks in proptest::collection::vec((0..200 * MS, 1..20 * MS), 0..4),
            shift in -1000 * MS..1000 * MS,
        ) {
            let width = BinWidth::from_us(1000).unwrap();
            let first = events.iter().map(|&(_, time, _)| time).min().unwrap();
            let origin_ns = first.div_euclid(MS) * MS;
            // A mask that lies before the first bin or after the last one is none of the recording's.
            let invalid: Vec<Interval> =
                masks.iter().map(|&(start_ns, ns)| Interval { start_ns, stop_ns: start_ns + ns }).collect();
            let units = (0..4_u32).map(|unit| {
                let mut times: Vec<i64> =
                    events.iter().filter(|&&(neuron, ..)| neuron == unit).map(|&(_, time, _)| time).collect();
                times.sort_unstable();
                let neuron = Neuron { id: unit.into(), label: String::new() };
                RecordedUnit { neuron, spike_times_ns: times, observed: None }
            });
            let recording =
                RecordedSession { units: units.collect(), invalid: invalid.clone(), ..Default::default() };
            let Ok(offline) = bin_recording(&recording, width, None) else { return Ok(()) };

            let sources = vec![ClockSource { name: "shifted".to_owned(), offset_ns: shift }];
            let settings = TimestampSettings { origin_ns, sources, ..settings(4, 5000) };
            let mut binner = TimestampBinner::new(settings).unwrap();
            let unobserved = invalid.iter().map(|i| i.start_ns - shift..i.stop_ns - shift).collect();
            binner.take(&TimedSpikes { unobserved, ..Default::default() }).unwrap();
            let mut order = events.clone();
            order.sort_by_key(|&(_, time, late)| time + late);
            let (mut rest, mut bins) = (&order[..], Vec::new());
            for piece in pieces.iter().cycle() {
                let (now, later) = rest.split_at(rest.len().min(*piece));
                let now: Vec<(u32, i64)> = now.iter().map(|&(neuron, time, _)| (neuron, time - shift)).collect();
                binner.take(&spikes(&now)).unwrap();
                bins.extend(complete(&mut binner));
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            binner.finish();
            bins.extend(complete(&mut binner));
            let expected: Vec<(u64, Vec<u16>)> = offline
                .blocks
                .iter()
                .flat_map(|block| (block.first_bin()..).zip(block.bins().map(<[u16]>::to_vec)))
                .collect();
            prop_assert_eq!(bins, expected);
            let lost = LostSpikes { late: 0, merged: offline.merged_spikes, masked: offline.masked_spikes };
            prop_assert_eq!(binner.take_lost(), lost);
        }
    }
}
