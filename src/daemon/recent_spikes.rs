//! The newest bins of a session as they were counted, for a raster.

use super::engine::Command;
use super::error::RequestError;
use super::handle::SessionHandle;
use crate::model::SpikeBlock;
use crate::proto::v1;
use crate::ring::RingView;

/// Bins when nothing else is asked for.
const BINS_DEFAULT: u32 = 1000;
/// Most spikes told of at once: with two bytes each, far below the 4 MiB that clients accept by default.
const SPIKES_MAX: usize = 400_000;

/// The newest bins of an open session.
///
/// # Errors
/// [`RequestError::SessionClosed`] and whatever else has ended its engine.
pub(super) async fn recent_spikes(
    session: &SessionHandle,
    request: &v1::GetRecentSpikesRequest,
) -> Result<v1::GetRecentSpikesResponse, RequestError> {
    let bins_max = match request.bins_max {
        0 => BINS_DEFAULT.into(),
        asked => asked.into(),
    };
    let from_bin = request.from_bin;
    let view = session.ask(|reply| Command::RecentBins { bins_max, from_bin, reply }).await?;
    // Unpacking is work for a thread of its own.
    let told = tokio::task::spawn_blocking(move || tell(&view));
    told.await.map_err(|_| RequestError::Stopped { what: "query" })
}

fn tell(view: &RingView) -> v1::GetRecentSpikesResponse {
    let range = view.range();
    let (mut first_bin, mut room) = (range.start, SPIKES_MAX);
    let mut runs = Vec::new();
    for block in view.runs().blocks.iter().rev() {
        let fits = newest_within(block, room);
        room = room.saturating_sub(block.active_in(block.n_bins() - fits..block.n_bins()).len());
        if fits > 0 {
            runs.push(run(block, block.n_bins() - fits));
        }
        if fits < block.n_bins() {
            first_bin = block.end_bin() - fits as u64;
            break;
        }
    }
    runs.reverse();
    v1::GetRecentSpikesResponse { first_bin, end_bin: range.end, runs }
}

/// How many of the newest bins of a block have at most so many spikes together.
fn newest_within(block: &SpikeBlock, spikes_max: usize) -> usize {
    if block.n_active() <= spikes_max {
        return block.n_bins();
    }
    let mut room = spikes_max;
    let fits = |k: &usize| {
        let spikes = block.bin(*k).len();
        let fits = spikes <= room;
        room = room.saturating_sub(spikes);
        fits
    };
    (0..block.n_bins()).rev().take_while(fits).count()
}

fn run(block: &SpikeBlock, from: usize) -> v1::SpikeRun {
    let bins = from..block.n_bins();
    v1::SpikeRun {
        first_bin: block.first_bin() + from as u64,
        active_counts: bins.clone().map(|k| block.bin(k).len() as u32).collect(),
        neurons: block.active_in(bins).iter().map(|&neuron| neuron.into()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Ring;

    fn block(first_bin: u64, n_bins: usize, active: u16) -> SpikeBlock {
        let lists = vec![(0..active).collect::<Vec<u16>>(); n_bins];
        SpikeBlock::from_lists(first_bin, &lists, 1000).unwrap()
    }

    fn ring(blocks: &[SpikeBlock]) -> Ring {
        let mut ring = Ring::new(1000);
        blocks.iter().for_each(|block| ring.append(block, 0..block.n_bins(), true));
        ring
    }

    #[test]
    fn bins_are_told_run_by_run() {
        let told = tell(&ring(&[block(0, 5, 2), block(10, 3, 1)]).view(3..13));
        let run = |first_bin, active_counts: &[u32], neurons: &[u32]| v1::SpikeRun {
            first_bin,
            active_counts: active_counts.to_vec(),
            neurons: neurons.to_vec(),
        };
        let runs = vec![run(3, &[2, 2], &[0, 1, 0, 1]), run(10, &[1, 1, 1], &[0, 0, 0])];
        assert_eq!(told, v1::GetRecentSpikesResponse { first_bin: 3, end_bin: 13, runs });
    }

    #[test]
    fn of_too_many_spikes_the_oldest_bins_are_left_out() {
        let told = tell(&ring(&[block(0, 300, 1000), block(400, 300, 1000)]).view(0..700));
        let bins: usize = told.runs.iter().map(|run| run.active_counts.len()).sum();
        assert_eq!((told.first_bin, told.end_bin, bins), (200, 700, SPIKES_MAX / 1000));
        let told = tell(&ring(&[block(0, 1000, 1000)]).view(0..1000));
        assert_eq!((told.first_bin, told.runs[0].first_bin), (600, 600));
    }
}
