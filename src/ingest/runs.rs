use std::ops::Range;

use super::BinnedRecording;
use crate::model::Runs;

impl BinnedRecording {
    /// The observed bins of `range`, cut at trial edges.
    #[must_use]
    pub fn runs(&self, range: Range<u64>) -> Runs {
        let mut blocks = Vec::new();
        for block in &self.blocks {
            let (start, stop) = (range.start.max(block.first_bin()), range.end.min(block.end_bin()));
            let first = self.trial_edges.partition_point(|&edge| edge <= start);
            let inside = self.trial_edges[first..].iter().copied().take_while(|&edge| edge < stop);
            let mut from = start;
            for to in inside.chain([stop]).filter(|&to| to > start) {
                let offset = |bin: u64| (bin - block.first_bin()) as usize;
                blocks.push(block.slice(offset(from), offset(to)));
                from = to;
            }
        }
        Runs { n_neurons: self.neurons.len(), blocks }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{BinWidth, Neuron, SpikeBlock};

    use super::*;

    #[test]
    fn runs_end_at_gaps_and_trial_edges() {
        let block = |first: u64, n: usize| SpikeBlock::from_lists(first, &vec![vec![0]; n], 1).unwrap();
        let recording = BinnedRecording {
            neurons: vec![Neuron { id: 0, label: String::new() }],
            bin_width: BinWidth::from_us(1000).unwrap(),
            origin_ns: 0,
            n_bins: 30,
            blocks: vec![block(0, 10), block(20, 10)],
            trial_edges: vec![0, 4, 7, 15, 25],
            trials: Vec::new(),
            merged_spikes: 0,
            masked_spikes: 0,
        };
        let bounds = |range: Range<u64>| -> Vec<(u64, u64)> {
            let runs = recording.runs(range);
            runs.blocks.iter().map(|block| (block.first_bin(), block.end_bin())).collect()
        };
        assert_eq!(bounds(0..30), [(0, 4), (4, 7), (7, 10), (20, 25), (25, 30)]);
        assert_eq!(bounds(5..22), [(5, 7), (7, 10), (20, 22)]);
        assert_eq!(bounds(7..8), [(7, 8)]);
        assert_eq!(bounds(11..19), []);
    }
}
