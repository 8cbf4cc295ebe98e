//! The counters of some neurons, as receivers: what one thread works on at a time.

use std::ops::Range;

use super::counts::triangle_row;
use super::packed::TILE;

/// Pair counters of the neurons `rows`.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    /// At most [`TILE`] neurons, the first a multiple of it.
    pub(super) rows: Range<usize>,
    /// Their part of the packed upper triangle.
    pub(super) equal_time: &'a mut [u32],
    /// For each lag, `(rows, n_neurons)`.
    pub(super) delayed: Vec<&'a mut [u32]>,
}

impl<'a> Rows<'a> {
    /// All counters, cut into tiles.
    pub(super) fn of_all(
        n_neurons: usize,
        mut equal_time: &'a mut [u32],
        mut delayed: Vec<&'a mut [u32]>,
    ) -> Vec<Self> {
        let mut all = Vec::with_capacity(n_neurons.div_ceil(TILE));
        for first in (0..n_neurons).step_by(TILE) {
            let rows = first..n_neurons.min(first + TILE);
            let size = triangle_row(n_neurons, rows.end) - triangle_row(n_neurons, rows.start);
            let take = |left: &mut &'a mut [u32], size: usize| {
                let (taken, rest) = std::mem::take(left).split_at_mut(size);
                *left = rest;
                taken
            };
            all.push(Self {
                equal_time: take(&mut equal_time, size),
                delayed: delayed.iter_mut().map(|left| take(left, rows.len() * n_neurons)).collect(),
                rows,
            });
        }
        all
    }
}

/// The counters of one of the rows of a part of a packed upper triangle that begins with row `first`: from column `row` on.
pub(super) fn triangle_part(part: &mut [u32], n_neurons: usize, first: usize, row: usize) -> &mut [u32] {
    &mut part[triangle_row(n_neurons, row) - triangle_row(n_neurons, first)..][..n_neurons - row]
}
