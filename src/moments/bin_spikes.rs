use std::ops::Range;

use super::piece::Piece;
use crate::model::SpikeBlock;

/// How often each neuron fired in the bins of a piece, from which that of nearly the same bins is known at little cost: senders and
/// receivers of all lags differ from it by a few bins at the edges.
pub(super) struct BinSpikes<'a> {
    run: &'a SpikeBlock,
    bins: Range<usize>,
    spikes: Vec<u32>,
}

impl<'a> BinSpikes<'a> {
    pub(super) fn new(piece: &Piece<'a>) -> Self {
        let mut spikes = vec![0; piece.n_neurons];
        for &neuron in piece.run.active_in(piece.bins.clone()) {
            spikes[usize::from(neuron)] += 1;
        }
        Self { run: piece.run, bins: piece.bins.clone(), spikes }
    }

    /// Add the spikes in these bins of the run.
    pub(super) fn add(&self, totals: &mut [u64], bins: Range<usize>) {
        let add = |totals: &mut [u64], bins: Range<usize>| {
            self.run.active_in(bins).iter().for_each(|&neuron| totals[usize::from(neuron)] += 1);
        };
        if bins.is_empty() {
            // Where it would lie there may be no bin.
            return;
        }
        let common = self.bins.start.max(bins.start)..self.bins.end.min(bins.end);
        if common.len() < bins.len() / 2 || common.is_empty() {
            return add(totals, bins);
        }
        add(totals, bins.start..common.start);
        add(totals, common.end..bins.end);
        for (total, &spikes) in totals.iter_mut().zip(&self.spikes) {
            *total += u64::from(spikes);
        }
        for bins in [self.bins.start..common.start, common.end..self.bins.end] {
            self.run.active_in(bins).iter().for_each(|&neuron| totals[usize::from(neuron)] -= 1);
        }
    }
}
