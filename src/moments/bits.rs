//! Tile against tile: 64 bins of a pair at a time, whatever their activity. For many bins with many active neurons.

use std::ops::Range;

use super::dense::{CountTiles, InstructionSet, TileCounts, WORDS_MAX};
use super::packed::{PackedBins, TILE};
use super::piece::Piece;
use super::rows::{Rows, triangle_part};

/// The bins of a piece as bits, cut out for each lag.
pub(super) struct Bits {
    n_neurons: usize,
    kernel: CountTiles,
    /// Senders, which are those of equal times as well, at lag 1.
    equal_time: PackedBins,
    /// For each lag, receivers and senders; `None` where the senders are those of equal times.
    lags: Vec<(PackedBins, Option<PackedBins>)>,
}

impl Bits {
    pub(super) fn new(piece: &Piece<'_>, instructions: InstructionSet) -> Self {
        let equal_time = piece.equal_time();
        let Range { start: first, end } = piece.hull(|shift, earlier| earlier.start..earlier.end + shift);
        let packed = PackedBins::pack(piece.run, first..end, piece.n_neurons);
        let window = |bins: &Range<usize>, shift: usize| {
            let bins = if bins.is_empty() { first..first } else { bins.start + shift..bins.end + shift };
            packed.window(bins.start - first..bins.end - first)
        };
        let of_lag = |(shift, earlier): (usize, Range<usize>)| {
            let senders = (earlier != equal_time).then(|| window(&earlier, 0));
            (window(&earlier, shift), senders)
        };
        Self {
            n_neurons: piece.n_neurons,
            kernel: instructions.kernel(),
            lags: piece.lags().map(of_lag).collect(),
            equal_time: window(&equal_time, 0),
        }
    }

    /// Count into some rows.
    pub(super) fn add_to(&self, rows: &mut Rows<'_>) {
        let (n, first_row) = (self.n_neurons, rows.rows.start);
        let row_tile = first_row / TILE;
        for column_tile in row_tile..n.div_ceil(TILE) {
            let first_column = column_tile * TILE;
            let width = TILE.min(n - first_column);
            self.for_each_part(&self.equal_time, row_tile, &self.equal_time, column_tile, |counts| {
                for (i, counts) in rows.rows.clone().zip(counts) {
                    // Columns below the diagonal are the other half of the triangle.
                    let from = i.saturating_sub(first_column);
                    let row = triangle_part(rows.equal_time, n, first_row, i);
                    add(&mut row[first_column + from - i..], &counts[from..width]);
                }
            });
        }
        for ((receivers, senders), delayed) in self.lags.iter().zip(&mut rows.delayed) {
            let senders = senders.as_ref().unwrap_or(&self.equal_time);
            for column_tile in 0..n.div_ceil(TILE) {
                let first_column = column_tile * TILE;
                let width = TILE.min(n - first_column);
                self.for_each_part(receivers, row_tile, senders, column_tile, |counts| {
                    for (row, counts) in delayed.chunks_exact_mut(n).zip(counts) {
                        add(&mut row[first_column..], &counts[..width]);
                    }
                });
            }
        }
    }

    fn for_each_part(
        &self,
        receivers: &PackedBins,
        row_tile: usize,
        senders: &PackedBins,
        column_tile: usize,
        mut add: impl FnMut(&TileCounts),
    ) {
        let rows = receivers.tile(row_tile).chunks(WORDS_MAX);
        let columns = senders.tile(column_tile).chunks(WORDS_MAX);
        let mut counts = [[0; TILE]; TILE];
        for (rows, columns) in rows.zip(columns) {
            (self.kernel)(rows, columns, &mut counts);
            add(&counts);
        }
    }
}

fn add(totals: &mut [u32], counts: &[u32]) {
    for (total, count) in totals.iter_mut().zip(counts) {
        *total += count;
    }
}
