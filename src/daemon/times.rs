//! Time-stamped spikes in the words of the interface.

use crate::ingest::{ClockSource, TimedSpikes, TimestampBinner, TimestampError, TimestampSettings};
use crate::proto::v1;
use crate::session::SessionSpec;

/// What puts the spikes of a stream into bins, from bin 0 on.
pub(super) fn binner(
    settings: v1::TimestampSettings,
    spec: &SessionSpec,
    lateness_ms: u64,
    block_bins_max: u32,
) -> Result<TimestampBinner, TimestampError> {
    let v1::TimestampSettings { lateness_us, sources } = settings;
    let source = |v1::ClockSource { name, clock_offset_ns }| ClockSource { name, offset_ns: clock_offset_ns };
    TimestampBinner::new(TimestampSettings {
        n_neurons: spec.n_neurons(),
        bin_width: spec.bin_width,
        origin_ns: spec.origin_ns,
        lateness_us: lateness_us.unwrap_or(lateness_ms * 1000),
        sources: sources.into_iter().map(source).collect(),
        block_bins_max,
    })
}

pub(super) fn timed(times: v1::SpikeTimes) -> TimedSpikes {
    let v1::SpikeTimes { source, neurons, times_ns, clock_ns, unobserved, clock_offset_ns } = times;
    TimedSpikes {
        source,
        neurons,
        times_ns,
        clock_ns,
        unobserved: unobserved.into_iter().map(|stretch| stretch.start_ns..stretch.stop_ns).collect(),
        offset_ns: clock_offset_ns,
    }
}
