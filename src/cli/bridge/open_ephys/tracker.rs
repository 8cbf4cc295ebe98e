//! From messages to facts of the session: spikes in nanoseconds, how far the clock has come, what may have been lost, where an acquisition began
//! anew. No clock of our own, no input and no output: what arrived when is told.
//!
//! Three things of the plugin and of the GUI's Spike Detector before it decide what is known (the plugin's `process`, see [`super::message`], and
//! the detector's `process` in `SpikeDetector.cpp`, whose `OVERFLOW_BUFFER_SAMPLES` is 200):
//!
//! * The spikes of a block of samples are sent before the block's data. So when data come, all spikes of blocks up to it have been sent, and of
//!   messages lost between data of the same block none was a spike.
//! * The detector looks through the block electrode by electrode, so spikes of a block come in no order of time.
//! * It leaves the last 100 samples of a block to the next one ([`DELAY_SAMPLES`] allows for twice that).

use std::time::Duration;

use super::facts::{Counts, Fact, Fatal, Why};
use super::message::{Block, Body, Malformed, Message, Spike, Unit};
use super::rate::Rate;
use super::units::Units;

/// How far before the end of a block a spike may lie that comes with the next block only, samples.
const DELAY_SAMPLES: u32 = 200;
/// Without data: how much earlier than its newest spike a block may have others, nanoseconds.
const BLOCK_NS: i64 = 100_000_000;
/// How far from the stream's clock a spike can lie, nanoseconds.
const SPIKE_RANGE_NS: i64 = 10_000_000_000;
/// A stream that leaps further ahead is another acquisition, nanoseconds.
const LEAP_NS: i64 = 3_600_000_000_000;
/// Spikes kept while the sample rate is not known.
const PENDING_MAX: usize = 200_000;

/// The message before.
#[derive(Debug, Clone, Copy)]
struct Last {
    number: i32,
    /// First sample of the block, if it was data.
    block: Option<i64>,
}

/// When something happened, by the rig's computer and by ours.
#[derive(Debug, Clone, Copy)]
struct Moment {
    rig_ms: Option<i64>,
    arrived: Duration,
}

impl Moment {
    /// Time from `before`: by the rig's computer if it told both.
    fn since_ns(self, before: Self) -> i64 {
        let elapsed_ns = match (self.rig_ms, before.rig_ms) {
            (Some(now), Some(then)) => (now - then).max(0).saturating_mul(1_000_000),
            _ => i64::try_from(self.arrived.saturating_sub(before.arrived).as_nanos()).unwrap_or(i64::MAX),
        };
        elapsed_ns.min(24 * LEAP_NS)
    }
}

/// Where an acquisition lies on the session's clock.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Session's time minus the time of the samples.
    offset_ns: i64,
    /// All spikes from here on are known.
    start_ns: i64,
    /// First sample of the newest block and of the next, if data come.
    block: Option<(i64, i64)>,
}

/// A stretch in which spikes may have been lost and whose end is not known.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// Where it begins, or how far it has been told.
    told_ns: i64,
    /// Without data: when it is over.
    until_ns: Option<i64>,
}

/// What has been heard so far.
pub(super) struct Tracker {
    width_ns: i64,
    /// The stream asked for, or the first that came.
    stream: Option<String>,
    is_chosen: bool,
    given_rate: Option<Rate>,
    rate: Option<Rate>,
    last: Option<Last>,
    /// The newest message of number 1.
    first: Option<Message>,
    /// Whether every message of this acquisition came.
    is_whole: bool,
    place: Option<Place>,
    pending: Vec<(u32, i64)>,
    units: Units,
    /// How far the session's clock has come; none before the session.
    now_ns: Option<i64>,
    moved: Moment,
    open: Option<Open>,
    counts: Counts,
}

impl Tracker {
    /// Before the first message. Without `stream` the first that comes is taken; `rate` is for a plugin that sends no data.
    pub(super) fn new(width_ns: i64, stream: Option<String>, rate: Option<Rate>) -> Self {
        Self {
            width_ns,
            is_chosen: stream.is_some(),
            stream,
            given_rate: rate,
            rate,
            last: None,
            first: None,
            is_whole: false,
            place: None,
            pending: Vec::new(),
            units: Units::default(),
            now_ns: None,
            moved: Moment { rig_ms: None, arrived: Duration::ZERO },
            open: None,
            counts: Counts::default(),
        }
    }

    /// The unit of that number.
    pub(super) fn unit(&self, number: u32) -> Option<&Unit> {
        self.units.get(number)
    }

    /// How often what has come.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// The stream that is taken, and its rate, as far as known.
    pub(super) fn stream(&self) -> (Option<&str>, Option<Rate>) {
        (self.stream.as_deref(), self.rate)
    }

    /// Time of the rig's computer when the session's clock stood at `time_ns`, nanoseconds since 1970, as well as messages tell it.
    pub(super) fn unix_ns(&self, time_ns: i64) -> Option<i64> {
        Some(self.moved.rig_ms?.checked_mul(1_000_000)? - (self.now_ns? - time_ns))
    }

    /// Spikes that wait for data.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Take a message that arrived at `arrived` of a clock of ours; what it tells is put into `facts`.
    ///
    /// A message that cannot be right is handed back as malformed and counts as one that did not come.
    pub(super) fn take(
        &mut self,
        message: Message,
        arrived: Duration,
        facts: &mut Vec<Fact>,
    ) -> Result<Option<Malformed>, Fatal> {
        if let Some(malformed) = self.implausible(message.number, &message.body) {
            return Ok(Some(malformed));
        }
        let before = self.last;
        // After a single message acquisition may begin anew with another.
        let is_first_again = message.number == 1 && self.first.as_ref() == Some(&message);
        if message.number == 1 && !is_first_again {
            self.first = Some(message.clone());
        }
        let Message { number, timestamp_ms: rig_ms, body } = message;
        let step = match before {
            None => 1,
            Some(_) if number == 1 && before.is_some_and(|last| last.number != 0) && !is_first_again => -1,
            Some(last) if number == 1 && last.number != 0 && last.number != 1 => -1,
            Some(last) => number.wrapping_sub(last.number),
        };
        if step == 0 {
            self.counts.duplicates += 1;
            return Ok(None);
        }
        self.counts.messages += 1;
        let block = match &body {
            Body::Data(block) => Some(block.first_sample),
            _ => None,
        };
        self.last = Some(Last { number, block });
        if before.is_none() {
            self.is_whole = number == 1;
        } else if step < 0 {
            self.restart(facts);
            self.is_whole = number == 1;
        } else if step > 1 {
            self.counts.losses += 1;
            self.counts.lost_messages += u64::from(step.unsigned_abs()) - 1;
            self.is_whole = false;
            // Between data of one block there is nothing but data.
            let is_data_alone =
                block.is_some() && before.is_some_and(|last| last.block == block) && !self.is_other(&body);
            if !is_data_alone {
                self.lose();
            }
        }
        let moment = Moment { rig_ms, arrived };
        if self.is_other_stream(&body)? {
            self.counts.other_streams += 1;
            return Ok(None);
        }
        match body {
            Body::Data(block) => return self.data(&block, moment, facts),
            Body::Spike(spike) => self.spike(spike, step > 1, moment, facts)?,
            Body::Event(event) => self.event(event.sample, step > 1, moment, facts),
            Body::Other => {}
        }
        Ok(None)
    }

    /// Whether it is of a stream that was not asked for.
    fn is_other(&self, body: &Body) -> bool {
        let stream = match body {
            Body::Data(block) => &block.stream,
            Body::Spike(spike) => &spike.stream,
            Body::Event(event) => &event.stream,
            Body::Other => return false,
        };
        self.stream.as_ref().is_some_and(|taken| taken != stream)
    }

    fn is_other_stream(&mut self, body: &Body) -> Result<bool, Fatal> {
        let stream = match body {
            Body::Data(block) => &block.stream,
            Body::Spike(spike) => &spike.stream,
            Body::Event(event) => &event.stream,
            Body::Other => return Ok(false),
        };
        match &self.stream {
            None => {
                self.stream = Some(stream.clone());
                Ok(false)
            }
            Some(taken) if taken == stream => Ok(false),
            Some(_) if self.is_chosen => Ok(true),
            Some(taken) => Err(Fatal::SeveralStreams { first: taken.clone(), other: stream.clone() }),
        }
    }

    /// A spike or event far from the clock of an acquisition of which nothing is missing, and a time that cannot be told.
    fn implausible(&self, number: i32, body: &Body) -> Option<Malformed> {
        if self.is_other(body) {
            return None;
        }
        let (sample, rate, is_data) = match body {
            Body::Data(block) => (block.first_sample + block.samples, Some(block.rate), true),
            Body::Spike(spike) => (spike.sample, self.rate, false),
            Body::Event(event) => (event.sample, self.rate, false),
            Body::Other => return None,
        };
        let rate = rate?;
        let wrong =
            |expected| Some(Malformed::Range { field: "sample_num", value: sample.to_string(), expected });
        let Some(time_ns) = rate.time_ns(sample).filter(|&ns| ns < i64::MAX / 4) else {
            return wrong("a time within 73 years");
        };
        let is_next = self.last.is_some_and(|last| number.wrapping_sub(last.number) == 1);
        let (place, now_ns) = (self.place?, self.now_ns?);
        if is_data || !is_next {
            return None;
        }
        let away_ns = time_ns + place.offset_ns - now_ns;
        // Without data the clock stands where the last spike was.
        let ahead_ns = if place.block.is_some() { SPIKE_RANGE_NS } else { LEAP_NS };
        if away_ns < -SPIKE_RANGE_NS || away_ns > ahead_ns {
            return wrong("a sample near those of the data around it");
        }
        None
    }

    /// How much earlier than the clock a spike may come; nanoseconds.
    fn delay_ns(&self) -> i64 {
        self.rate.map_or(0, |rate| rate.span_ns(DELAY_SAMPLES))
    }

    /// How far before the clock there may be spikes that have not come, nanoseconds.
    fn unheard_ns(&self) -> i64 {
        self.delay_ns() + if self.comes_without_data() { BLOCK_NS } else { 0 }
    }

    /// The lateness the daemon is to allow, microseconds: bins are complete that long after their end.
    pub(super) fn lateness_us(&self) -> u64 {
        let block_ns = if self.given_rate.is_some() { BLOCK_NS } else { 0 };
        (self.delay_ns() + block_ns).unsigned_abs().div_ceil(1000) + 1000
    }

    /// From here on spikes may be missing.
    fn lose(&mut self) {
        let (Some(now_ns), Some(_)) = (self.now_ns, self.place) else { return };
        if let Some(open) = &mut self.open {
            // More was lost: its end is to be found anew.
            open.until_ns = None;
        } else {
            let from_ns = now_ns - self.unheard_ns();
            self.open = Some(Open { told_ns: from_ns, until_ns: None });
        }
    }

    /// Acquisition has begun anew.
    fn restart(&mut self, facts: &mut Vec<Fact>) {
        self.counts.before_start += self.pending.len() as u64;
        self.pending.clear();
        self.open = None;
        self.is_whole = false;
        if self.place.take().is_some() {
            self.counts.restarts += 1;
            facts.push(Fact::Restarted);
        }
    }

    fn data(
        &mut self,
        block: &Block,
        moment: Moment,
        facts: &mut Vec<Fact>,
    ) -> Result<Option<Malformed>, Fatal> {
        match self.rate {
            Some(rate) if rate != block.rate => {
                return Err(Fatal::RateChanged {
                    stream: block.stream.clone(),
                    before: rate.to_string(),
                    now: block.rate.to_string(),
                });
            }
            _ => self.rate = Some(block.rate),
        }
        let (first, end) = (block.first_sample, block.first_sample + block.samples);
        let (Some(first_ns), Some(end_ns)) = (block.rate.time_ns(first), block.rate.time_ns(end)) else {
            return Ok(None);
        };
        if let Some(Place { block: Some((before, until)), offset_ns, .. }) = self.place {
            if first == before {
                return Ok(None);
            }
            let until_ns = block.rate.time_ns(until).unwrap_or(first_ns);
            if first < before || first_ns - until_ns > LEAP_NS {
                self.restart(facts);
            } else if first > until && self.open.is_none() {
                let start_ns = until_ns + offset_ns - self.delay_ns();
                self.unobserved(start_ns, first_ns + offset_ns, Why::Skipped, facts);
            }
        } else if let (Some(place), Some(now_ns)) = (self.place, self.now_ns)
            && end_ns + place.offset_ns < now_ns - SPIKE_RANGE_NS
        {
            self.restart(facts);
        }
        if self.place.is_none() {
            let base_ns = if self.is_whole { first_ns } else { end_ns };
            self.settle(base_ns, end_ns, moment, facts);
        }
        let absurd = self.drop_absurd(first_ns, end);
        let Some(place) = &mut self.place else { return Ok(None) };
        place.block = Some((first, end));
        let now_ns = end_ns + place.offset_ns;
        if let Some(open) = self.open.take() {
            self.unobserved(open.told_ns, now_ns, Why::Lost, facts);
        }
        for (unit, sample) in std::mem::take(&mut self.pending) {
            self.put(unit, sample, facts);
        }
        self.advance(now_ns, moment, facts);
        Ok(absurd)
    }

    /// Of the spikes that wait for a block drop those that cannot be of it, or of one shortly before: `end` is its last sample, and one. Where
    /// they were is not known.
    fn drop_absurd(&mut self, first_ns: i64, end: i64) -> Option<Malformed> {
        let rate = self.rate?;
        let fits = |sample: i64| {
            sample < end && rate.time_ns(sample).is_some_and(|time_ns| time_ns >= first_ns - SPIKE_RANGE_NS)
        };
        let before = self.pending.len();
        let absurd = self.pending.iter().map(|&(_, sample)| sample).find(|&sample| !fits(sample))?;
        self.pending.retain(|&(_, sample)| fits(sample));
        self.counts.implausible += (before - self.pending.len()) as u64;
        self.lose();
        let expected = "a sample near those of the data around it";
        Some(Malformed::Range { field: "sample_num", value: absurd.to_string(), expected })
    }

    /// The clock has come to `now_ns`.
    fn advance(&mut self, now_ns: i64, moment: Moment, facts: &mut Vec<Fact>) {
        if self.now_ns.is_none_or(|before| before < now_ns) {
            self.now_ns = Some(now_ns);
            facts.push(Fact::Clock { time_ns: now_ns });
        }
        self.moved = moment;
    }

    fn unobserved(&mut self, start_ns: i64, stop_ns: i64, why: Why, facts: &mut Vec<Fact>) {
        if start_ns < stop_ns {
            self.counts.unobserved_ns += stop_ns - start_ns;
            facts.push(Fact::Unobserved { start_ns, stop_ns, why });
        }
    }

    /// Put an acquisition that is heard from `base_ns` on, and has come to `at_ns` (both times of its samples), on the session's clock.
    ///
    /// The first keeps its own times. Those after it follow as much later as the computers' clocks say, by a whole number of bins, so that the
    /// edges of bins are multiples of the width on every acquisition's clock.
    fn settle(&mut self, base_ns: i64, at_ns: i64, moment: Moment, facts: &mut Vec<Fact>) {
        let up = |ns: i64| ns + (self.width_ns - ns.rem_euclid(self.width_ns)) % self.width_ns;
        let (offset_ns, start_ns) = match self.now_ns {
            None => {
                let origin_ns = up(base_ns);
                facts.push(Fact::Begin { origin_ns });
                (0, origin_ns)
            }
            Some(end_ns) => {
                let due_ns = end_ns + moment.since_ns(self.moved);
                let offset_ns = up((due_ns - at_ns).max(end_ns - base_ns));
                let start_ns = base_ns + offset_ns;
                self.unobserved(end_ns - self.unheard_ns(), start_ns, Why::Stopped, facts);
                (offset_ns, start_ns)
            }
        };
        self.now_ns = Some(start_ns);
        self.moved = moment;
        self.place = Some(Place { offset_ns, start_ns, block: None });
    }

    /// Tell of a spike whose place is known.
    fn put(&mut self, unit: u32, sample: i64, facts: &mut Vec<Fact>) {
        let time_ns = self.rate.and_then(|rate| rate.time_ns(sample));
        match (time_ns, self.place) {
            (Some(time_ns), Some(place)) if time_ns + place.offset_ns >= place.start_ns => {
                facts.push(Fact::Spike { unit, time_ns: time_ns + place.offset_ns });
            }
            _ => self.counts.before_start += 1,
        }
    }

    fn spike(
        &mut self,
        spike: Spike,
        is_after_loss: bool,
        moment: Moment,
        facts: &mut Vec<Fact>,
    ) -> Result<(), Fatal> {
        self.counts.spikes += 1;
        let unit = self.units.number_of(spike.unit)?;
        if is_after_loss {
            self.restart_if_far(spike.sample, facts);
        }
        if !self.comes_without_data() {
            if self.pending.len() == PENDING_MAX {
                return Err(Fatal::NoData);
            }
            self.pending.push((unit, spike.sample));
            return Ok(());
        }
        self.come_to(spike.sample, moment, facts);
        self.put(unit, spike.sample, facts);
        Ok(())
    }

    /// After a loss a sample far from the clock is of another acquisition.
    fn restart_if_far(&mut self, sample: i64, facts: &mut Vec<Fact>) {
        if let (Some(place), Some(now_ns), Some(rate)) = (self.place, self.now_ns, self.rate) {
            let time_ns = rate.time_ns(sample).unwrap_or(0) + place.offset_ns;
            if time_ns < now_ns - SPIKE_RANGE_NS || time_ns > now_ns + LEAP_NS {
                self.restart(facts);
            }
        }
    }

    fn event(&mut self, sample: i64, is_after_loss: bool, moment: Moment, facts: &mut Vec<Fact>) {
        if is_after_loss {
            self.restart_if_far(sample, facts);
        }
        if self.comes_without_data() {
            self.come_to(sample, moment, facts);
        }
    }

    /// Whether spikes are all that tells how far the stream is. With data they wait for those of their block, which are sent right after them:
    /// what was lost is then known before they are told of.
    fn comes_without_data(&self) -> bool {
        self.given_rate.is_some() && self.place.is_none_or(|place| place.block.is_none())
    }

    /// A spike or event says that the stream has come to about `sample`.
    fn come_to(&mut self, sample: i64, moment: Moment, facts: &mut Vec<Fact>) {
        let Some(sample_ns) = self.rate.and_then(|rate| rate.time_ns(sample)) else { return };
        if self.place.is_none() {
            let base_ns = if self.is_whole { sample_ns } else { sample_ns + BLOCK_NS };
            self.settle(base_ns, sample_ns, moment, facts);
        }
        let Some(place) = self.place else { return };
        let time_ns = sample_ns + place.offset_ns;
        let now_ns = self.now_ns.unwrap_or(time_ns).max(time_ns);
        if let Some(mut open) = self.open.take() {
            // Told at once, up to where others of its block may be that were lost, so that no bin of it is taken as complete.
            let until_ns = *open.until_ns.get_or_insert(now_ns + BLOCK_NS);
            self.unobserved(open.told_ns, until_ns, Why::Lost, facts);
            open.told_ns = until_ns.max(open.told_ns);
            self.open = Some(open).filter(|open| now_ns < open.told_ns);
        }
        if self.now_ns.is_none_or(|before| before < time_ns) {
            self.now_ns = Some(time_ns);
            self.moved = moment;
            // Others of its block may be earlier.
            if time_ns - BLOCK_NS > place.start_ns {
                facts.push(Fact::Clock { time_ns: time_ns - BLOCK_NS });
            }
        }
    }
}
