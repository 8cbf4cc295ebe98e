//! Neuron by neuron: all increments of a row of counters follow one another, so that the row stays in the first-level cache. For
//! many bins with few active neurons each.

use std::ops::Range;

use super::piece::Piece;
use super::rows::{Rows, triangle_part};
use crate::model::SpikeBlock;

/// The entries of a stretch of bins in the order of their neurons.
pub(super) struct Gathered<'a> {
    run: &'a SpikeBlock,
    n_neurons: usize,
    equal_time: Range<usize>,
    /// For each lag, its shift and the earlier bins of its transitions.
    lags: Vec<(usize, Range<usize>)>,
    /// `entries[starts[i]..starts[i + 1]]` are those of neuron `i`.
    starts: Vec<u32>,
    /// Bin of `run`, and place of the neuron among those active in it.
    entries: Vec<(u32, u16)>,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(piece: &Piece<'a>) -> Self {
        let (run, n_neurons) = (piece.run, piece.n_neurons);
        let lags: Vec<_> = piece.lags().collect();
        // Rows are receivers: only bins that are counted as such, or at equal times, matter.
        let equal_time = piece.equal_time();
        let Range { start: first, end } =
            piece.hull(|shift, earlier| earlier.start + shift..earlier.end + shift);
        let mut starts = vec![0_u32; n_neurons + 1];
        for bin in first..end {
            for &neuron in run.bin(bin) {
                starts[usize::from(neuron) + 1] += 1;
            }
        }
        for i in 0..n_neurons {
            starts[i + 1] += starts[i];
        }
        let mut next = starts.clone();
        let mut entries = vec![(0, 0); starts[n_neurons] as usize];
        for bin in first..end {
            for (place, &neuron) in (0..).zip(run.bin(bin)) {
                let next = &mut next[usize::from(neuron)];
                entries[*next as usize] = (bin as u32, place);
                *next += 1;
            }
        }
        Self { run, n_neurons, equal_time, lags, starts, entries }
    }

    /// Count into some rows.
    pub(super) fn add_to(&self, rows: &mut Rows<'_>) {
        let n = self.n_neurons;
        for i in rows.rows.clone() {
            let entries = &self.entries[self.starts[i] as usize..self.starts[i + 1] as usize];
            let together = triangle_part(rows.equal_time, n, rows.rows.start, i);
            for &(bin, place) in entries {
                let bin = bin as usize;
                if self.equal_time.contains(&bin) {
                    for &j in &self.run.bin(bin)[usize::from(place)..] {
                        together[usize::from(j) - i] += 1;
                    }
                }
            }
            for ((shift, earlier), delayed) in self.lags.iter().zip(&mut rows.delayed) {
                let row = &mut delayed[(i - rows.rows.start) * n..][..n];
                for &(bin, _) in entries {
                    let sender = (bin as usize).wrapping_sub(*shift);
                    if earlier.contains(&sender) {
                        for &j in self.run.bin(sender) {
                            row[usize::from(j)] += 1;
                        }
                    }
                }
            }
        }
    }
}
