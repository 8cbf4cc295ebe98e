//! What has been told of the session and is not yet durable: kept in order, so that a broken stream can be taken up again.

use std::collections::VecDeque;

use glauber::proto::v1;

/// Entries that are kept at most; each takes 24 bytes. Beyond it nothing more is read from the rig.
const ENTRIES_MAX: usize = 4_000_000;
/// Entries of a message.
const BATCH_ENTRIES_MAX: usize = 1000;

/// The daemon refuses times more than an hour past those before: clocks stand for no more than half of it, messages span no more.
const SPAN_NS_MAX: i64 = 1_800_000_000_000;

/// Which clocks may take the place of the one before.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Merging {
    /// The first clock that the newest stands for.
    since_ns: i64,
}

impl Merging {
    /// Whether a clock may take the place of the one right before it; else it is the first of others.
    pub(super) fn may_replace(&mut self, time_ns: i64) -> bool {
        let may = time_ns.saturating_sub(self.since_ns) <= SPAN_NS_MAX;
        if !may {
            self.since_ns = time_ns;
        }
        may
    }

    /// A clock with none right before it.
    pub(super) fn begin(&mut self, time_ns: i64) {
        self.since_ns = time_ns;
    }
}

/// What the daemon is to be told. Times in nanoseconds of the session's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Spike { neuron: u32, time_ns: i64 },
    Clock { time_ns: i64 },
    Unobserved { start_ns: i64, stop_ns: i64 },
}

impl Entry {
    /// Once everything before that time is durable, it is not needed any longer.
    fn end_ns(self) -> i64 {
        match self {
            Self::Spike { time_ns, .. } => time_ns.saturating_add(1),
            Self::Clock { time_ns } => time_ns,
            Self::Unobserved { stop_ns, .. } => stop_ns,
        }
    }
}

/// Entries from the first that is not durable to the newest, and how far they have been sent.
#[derive(Debug, Default)]
pub(super) struct Kept {
    entries: VecDeque<Entry>,
    /// Number of entries sent, of those kept.
    sent: usize,
    /// Before this time nothing is to be sent: the daemon has it.
    from_ns: Option<i64>,
    merging: Merging,
    /// The newest time that was sent.
    told_ns: Option<i64>,
    /// The newest spike or clock, with what it ends: from both the daemon takes how far the stream is.
    newest_ns: Option<(i64, i64)>,
}

impl Kept {
    /// Keep one more. A clock takes the place of the one before if that was not sent and is not too far back.
    pub(super) fn push(&mut self, entry: Entry) {
        if let Entry::Clock { time_ns } = entry {
            let last = self.entries.back().filter(|_| self.sent < self.entries.len());
            if let Some(&last @ Entry::Clock { .. }) = last {
                debug_assert!(last.end_ns() <= entry.end_ns());
                if self.merging.may_replace(time_ns) {
                    self.entries.pop_back();
                }
            } else {
                self.merging.begin(time_ns);
            }
        }
        if let Entry::Spike { time_ns, .. } | Entry::Clock { time_ns } = entry {
            self.newest_ns = self.newest_ns.max(Some((time_ns, entry.end_ns())));
        }
        self.entries.push_back(entry);
    }

    /// The newest spike or clock of all, and the time up to which it reaches: past a spike, not past a clock.
    pub(super) fn newest_ns(&self) -> Option<(i64, i64)> {
        self.newest_ns
    }

    /// Whether no more can be kept.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= ENTRIES_MAX
    }

    /// Number of entries kept.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is something to send.
    pub(super) fn has_unsent(&self) -> bool {
        self.sent < self.entries.len()
    }

    /// Forget what lies before `time_ns`, which is durable.
    pub(super) fn forget_before(&mut self, time_ns: i64) {
        while self.sent > 0 && self.entries.front().is_some_and(|entry| entry.end_ns() <= time_ns) {
            self.entries.pop_front();
            self.sent -= 1;
        }
    }

    /// A new stream: everything from `time_ns` on is to be sent again.
    pub(super) fn rewind(&mut self, time_ns: i64) {
        self.sent = 0;
        (self.from_ns, self.told_ns) = (Some(time_ns), Some(time_ns));
    }

    /// The next message; `None` when everything has been sent.
    pub(super) fn next(&mut self) -> Option<v1::SpikeTimes> {
        let mut times = v1::SpikeTimes::default();
        let from_ns = self.from_ns.unwrap_or(i64::MIN);
        let mut count = 0;
        let mut known_ns = self.told_ns;
        while let Some(entry) = self.entries.get(self.sent)
            && count < BATCH_ENTRIES_MAX
        {
            if entry.end_ns() <= from_ns {
                self.sent += 1;
                continue;
            }
            // Times of a message are compared with those of the messages before, and with the stretches of its own.
            let known = *known_ns.get_or_insert(entry.end_ns());
            match *entry {
                Entry::Unobserved { stop_ns, .. } => known_ns = Some(known.max(stop_ns)),
                entry if count > 0 && entry.end_ns().saturating_sub(known) > SPAN_NS_MAX => break,
                entry => self.told_ns = self.told_ns.max(Some(entry.end_ns())),
            }
            self.sent += 1;
            count += 1;
            match *entry {
                Entry::Spike { neuron, time_ns } => {
                    times.neurons.push(neuron);
                    times.times_ns.push(time_ns);
                }
                Entry::Clock { time_ns } => times.clock_ns = Some(time_ns),
                Entry::Unobserved { start_ns, stop_ns } => {
                    times.unobserved.push(v1::TimeStretch { start_ns: start_ns.max(from_ns), stop_ns });
                }
            }
        }
        // A stretch is known as well from the next message on.
        self.told_ns = self.told_ns.max(known_ns);
        (count > 0).then_some(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spike(time_ns: i64) -> Entry {
        Entry::Spike { neuron: 0, time_ns }
    }

    #[test]
    fn what_is_not_durable_is_sent_again_from_where_the_daemon_says() {
        let mut kept = Kept::default();
        for time_ns in [5, 15, 12, 25] {
            kept.push(spike(time_ns));
        }
        kept.push(Entry::Unobserved { start_ns: 8, stop_ns: 22 });
        kept.push(Entry::Clock { time_ns: 30 });
        let first = kept.next().unwrap();
        assert_eq!((first.times_ns, first.clock_ns), (vec![5, 15, 12, 25], Some(30)));
        assert_eq!(kept.next(), None);
        kept.forget_before(10);
        assert_eq!(kept.len(), 5);
        kept.rewind(10);
        let again = kept.next().unwrap();
        assert_eq!(again.times_ns, [15, 12, 25]);
        assert_eq!(again.unobserved, [v1::TimeStretch { start_ns: 10, stop_ns: 22 }]);
        kept.push(spike(31));
        assert_eq!(kept.next().unwrap().times_ns, [31]);
    }

    #[test]
    fn what_was_not_sent_is_never_forgotten() {
        let mut kept = Kept::default();
        kept.push(spike(5));
        kept.forget_before(100);
        assert_eq!(kept.next().unwrap().times_ns, [5]);
        kept.forget_before(100);
        assert_eq!(kept.len(), 0);
    }

    #[test]
    fn a_silent_rig_takes_no_memory() {
        let mut kept = Kept::default();
        for time_ns in 0..1000 {
            kept.push(Entry::Clock { time_ns });
        }
        assert_eq!(kept.len(), 1);
        assert_eq!(kept.next().unwrap().clock_ns, Some(999));
        kept.push(Entry::Clock { time_ns: 1000 });
        kept.push(Entry::Clock { time_ns: 1001 });
        assert_eq!(kept.len(), 2, "one sent, one not");
    }

    #[test]
    fn messages_are_bounded() {
        let mut kept = Kept::default();
        (0..2500).for_each(|time_ns| kept.push(spike(time_ns)));
        let sizes: Vec<usize> = std::iter::from_fn(|| kept.next()).map(|times| times.neurons.len()).collect();
        assert_eq!(sizes, [1000, 1000, 500]);
    }

    #[test]
    fn hours_of_silence_are_no_leap() {
        const MINUTE: i64 = 60_000_000_000;
        let mut kept = Kept::default();
        (0..=300).for_each(|minutes| kept.push(Entry::Clock { time_ns: minutes * MINUTE }));
        assert_eq!(kept.len(), 10);
        (301..=400).for_each(|minutes| kept.push(spike(minutes * MINUTE)));
        let mut known_ns = 0;
        while let Some(times) = kept.next() {
            let newest_ns = times.times_ns.iter().copied().chain(times.clock_ns).max().unwrap();
            assert!(newest_ns - known_ns < 60 * MINUTE, "from {known_ns} to {newest_ns}");
            known_ns = newest_ns;
        }
        assert_eq!(known_ns, 400 * MINUTE);
    }

    #[test]
    fn after_a_long_step_what_follows_has_a_message_of_its_own() {
        const MINUTE: i64 = 60_000_000_000;
        let mut kept = Kept::default();
        kept.rewind(0);
        [1, 55, 80].into_iter().for_each(|minutes| kept.push(spike(minutes * MINUTE)));
        kept.push(Entry::Unobserved { start_ns: 81 * MINUTE, stop_ns: 900 * MINUTE });
        kept.push(spike(910 * MINUTE));
        let messages: Vec<Vec<i64>> = std::iter::from_fn(|| kept.next())
            .map(|times| times.times_ns.iter().map(|time_ns| time_ns / MINUTE).collect())
            .collect();
        assert_eq!(messages, [vec![1], vec![55], vec![80, 910]]);
    }
}
