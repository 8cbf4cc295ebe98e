use serde::{Deserialize, Serialize};

/// A neuron of a session: what the user calls it. Its index is its place in the session's list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Neuron {
    /// Identifier in the source, such as the NWB unit id.
    pub id: i64,
    /// Name or electrode label; may be empty.
    pub label: String,
}

/// A half-open interval of time `[start_ns, stop_ns)`, in nanoseconds of the recording's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Interval {
    /// First instant inside, nanoseconds.
    pub start_ns: i64,
    /// First instant after, nanoseconds.
    pub stop_ns: i64,
}

/// One unit of a recorded session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedUnit {
    /// Who it is.
    pub neuron: Neuron,
    /// Spike times in nanoseconds of the recording's clock, increasing (readers sort), repeats kept.
    pub spike_times_ns: Vec<i64>,
    /// Intervals in which this unit was observed; `None` when the source does not say.
    pub observed: Option<Vec<Interval>>,
}

/// A recorded session as its file holds it, before binning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecordedSession {
    /// Units in file order.
    pub units: Vec<RecordedUnit>,
    /// Trials in order of their start.
    pub trials: Vec<Interval>,
    /// Intervals in which nothing is valid (artefacts, dropped data): masked, not silent.
    pub invalid: Vec<Interval>,
    /// Instants that no transition crosses, besides the edges of trials; increasing, nanoseconds.
    pub edges_ns: Vec<i64>,
    /// What a clock further upstream showed at time zero of all times here, nanoseconds; 0 when nobody said.
    pub origin_ns: i64,
}
