//! What is known of the session, one thing after the other, and what cannot be helped.

use super::units::UNITS_MAX;

/// What a message tells about the session. All times are on the session's clock, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    /// From here on all spikes are known: the left edge of bin 0, a multiple of the bin width.
    Begin { origin_ns: i64 },
    /// A spike of the unit of that number ([`Tracker::unit`]).
    Spike { unit: u32, time_ns: i64 },
    /// The stream has come this far.
    Clock { time_ns: i64 },
    /// Spikes of these times may have been lost.
    Unobserved { start_ns: i64, stop_ns: i64, why: Why },
    /// Acquisition began anew; what comes stands at later times of the same clock.
    Restarted,
}

/// Why spikes may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Messages were lost on the way.
    Lost,
    /// The stream left samples out.
    Skipped,
    /// Between two acquisitions.
    Stopped,
}

/// Why nothing sensible can come of the stream any longer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fatal {
    #[error(
        "the sample rate of stream '{stream}' is {now}, before it was {before}: bins of both are not of one recording"
    )]
    RateChanged { stream: String, before: String, now: String },
    #[error("two streams come from there, '{first}' and '{other}': choose one with --stream")]
    SeveralStreams { first: String, other: String },
    #[error(
        "spikes come but no continuous data, so their sample rate is not known: select a channel in the ZMQ Interface's editor, or give --sample-rate"
    )]
    NoData,
    #[error("too many spikes came before the neurons were known: discover for a shorter time")]
    TooMuchToDiscover,
    #[error("more than {UNITS_MAX} different units came")]
    TooManyUnits,
}

/// How often what has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Messages understood.
    pub(super) messages: u64,
    /// Spikes of the chosen stream.
    pub(super) spikes: u64,
    /// Messages that never came, by their numbers.
    pub(super) lost_messages: u64,
    /// How often messages were missing.
    pub(super) losses: u64,
    /// Messages that came twice.
    pub(super) duplicates: u64,
    /// Messages of other streams.
    pub(super) other_streams: u64,
    /// Spikes of before the session, or of before an acquisition was heard in full.
    pub(super) before_start: u64,
    /// Spikes whose time cannot be.
    pub(super) implausible: u64,
    /// Acquisitions after the first.
    pub(super) restarts: u64,
    /// Time in which spikes may have been lost, nanoseconds.
    pub(super) unobserved_ns: i64,
}
