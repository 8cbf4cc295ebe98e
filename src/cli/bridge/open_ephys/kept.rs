//! What has been told of the session and is not yet durable: kept in order, so that a broken stream can be taken up again.

use std::collections::VecDeque;

use glauber::proto::v1;

/// Entries that are kept at most; each takes 24 bytes. Beyond it nothing more is read from the rig.
const ENTRIES_MAX: usize = 4_000_000;
/// Entries of a message.
const BATCH_ENTRIES_MAX: usize = 1000;

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
}

impl Kept {
    /// Keep one more. A clock takes the place of the one before if that was not sent.
    pub(super) fn push(&mut self, entry: Entry) {
        if let (Entry::Clock { .. }, Some(last @ Entry::Clock { .. })) = (entry, self.entries.back().copied())
            && self.sent < self.entries.len()
        {
            debug_assert!(last.end_ns() <= entry.end_ns());
            self.entries.pop_back();
        }
        self.entries.push_back(entry);
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
        self.from_ns = Some(time_ns);
    }

    /// The next message; `None` when everything has been sent.
    pub(super) fn next(&mut self) -> Option<v1::SpikeTimes> {
        let mut times = v1::SpikeTimes::default();
        let from_ns = self.from_ns.unwrap_or(i64::MIN);
        let mut count = 0;
        while let Some(entry) = self.entries.get(self.sent)
            && count < BATCH_ENTRIES_MAX
        {
            self.sent += 1;
            if entry.end_ns() <= from_ns {
                continue;
            }
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
}
