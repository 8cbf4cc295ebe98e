//! One pass over the observations: `Σ_t p_i(t)`, `Σ_t p_i(t) n_j(t)` and `Σ_t log(1 + exp x_i(t))` for many rows at once, with
//! `n_j = 1` for an active sender and `x_i = 2 θ_i = b_i + Σ_{j active} v_ij` the log-odds of a spike.
//!
//! A unit of work is a block of rows and a range of patterns; both depend on the problem alone, and sums of units are added in their
//! order, so that results do not depend on threads.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::cost::Layout;
use super::logistic::{LANES, Lanes, Sums, per_instruction_set};
use super::patterns::Patterns;
use crate::moments::threads;

/// Units of work aimed at: enough to keep a few threads busy to the end.
const UNITS: usize = 16;
/// Fewest patterns worth a unit of their own.
const UNIT_PATTERNS_MIN: usize = 4096;
/// Patterns that a dense tile expands at a time.
pub(crate) const TILE_PATTERNS: usize = 256;
/// Groups of [`LANES`] rows that share a dense tile.
const DENSE_GROUPS: usize = 4;

/// Log-odds of a row: `b` first, then `v` of every sender.
pub(crate) type LogOdds = Vec<f64>;

/// What is summed over the observations for each sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Summand {
    /// `p`: gives the gradient.
    Probability,
    /// `p (1 − p)`: gives the information about each coefficient alone.
    Gain,
}

/// Sums of one row over the observations.
#[derive(Debug, Clone)]
pub(crate) struct RowSums {
    /// `Σ_t f(t)`, then `Σ_t f(t) n_j(t)` of every sender, `f` the [`Summand`].
    pub(crate) sums: Vec<f64>,
    /// `Σ_t log(1 + exp x(t))`.
    pub(crate) softplus: f64,
    /// `Σ_t p(t) (1 − p(t))`.
    pub(crate) gain: f64,
}

/// Run over the observations once for all `rows`.
pub(crate) fn sums(
    patterns: &Patterns,
    layout: Layout,
    rows: &[LogOdds],
    summand: Summand,
    threads: usize,
) -> Vec<RowSums> {
    let groups = match layout {
        Layout::Sparse => 1,
        Layout::Dense => DENSE_GROUPS,
    };
    let blocks: Vec<RowBlock> =
        rows.chunks(groups * LANES).map(|rows| RowBlock::of(rows, patterns.n_senders)).collect();
    let ranges = ranges(patterns.len(), blocks.len());
    let units = threads::map(threads, blocks.len() * ranges.len(), |unit| {
        let (block, range) = (&blocks[unit / ranges.len()], ranges[unit % ranges.len()].clone());
        match layout {
            Layout::Sparse => sparse_unit(patterns, range, block, summand),
            Layout::Dense => dense_unit(patterns, range, block, summand),
        }
    });
    let mut units = units.into_iter();
    let mut all = Vec::with_capacity(rows.len());
    for block in &blocks {
        if let Some(total) = units.by_ref().take(ranges.len()).reduce(UnitSums::plus) {
            all.extend((0..block.n_rows).map(|row| total.row(row, block.groups)));
        }
    }
    all
}

/// Ranges of patterns such that `blocks` blocks of rows make enough units.
fn ranges(patterns: usize, blocks: usize) -> Vec<Range<usize>> {
    let wanted = UNITS.div_ceil(blocks.max(1)).min(patterns / UNIT_PATTERNS_MIN).max(1);
    (0..wanted).map(|k| patterns * k / wanted..patterns * (k + 1) / wanted).collect()
}

/// Coefficients of a block of rows, row by row beside each other.
pub(crate) struct RowBlock {
    pub(crate) n_rows: usize,
    /// Groups of [`LANES`] rows.
    pub(crate) groups: usize,
    /// Shape `(1 + n_senders, groups)` of lanes: `b`, then `v` of every sender. Lanes without a row are zero.
    pub(crate) coefficients: Vec<Lanes>,
}

impl RowBlock {
    pub(crate) fn of(rows: &[LogOdds], n_senders: usize) -> Self {
        let groups = rows.len().div_ceil(LANES);
        let mut coefficients = vec![[0.0; LANES]; (1 + n_senders) * groups];
        for (place, row) in rows.iter().enumerate() {
            let (group, lane) = (place / LANES, place % LANES);
            for (column, &value) in row.iter().enumerate() {
                coefficients[column * groups + group][lane] = value;
            }
        }
        Self { n_rows: rows.len(), groups, coefficients }
    }
}

/// Sums of a unit, laid out as the coefficients of its block.
struct UnitSums {
    sums: Vec<Lanes>,
    /// `(softplus, gain)` of each group.
    totals: Vec<(Lanes, Lanes)>,
}

impl UnitSums {
    fn plus(mut self, other: Self) -> Self {
        let add = |a: &mut Lanes, b: &Lanes| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        self.sums.iter_mut().zip(&other.sums).for_each(|(a, b)| add(a, b));
        for ((softplus, gain), other) in self.totals.iter_mut().zip(&other.totals) {
            add(softplus, &other.0);
            add(gain, &other.1);
        }
        self
    }

    fn row(&self, row: usize, groups: usize) -> RowSums {
        let (group, lane) = (row / LANES, row % LANES);
        let sums = self.sums.iter().skip(group).step_by(groups).map(|lanes| lanes[lane]).collect();
        let (softplus, gain) = &self.totals[group];
        RowSums { sums, softplus: softplus[lane], gain: gain[lane] }
    }
}

fn sparse_unit(patterns: &Patterns, range: Range<usize>, block: &RowBlock, summand: Summand) -> UnitSums {
    let mut out = vec![[0.0; LANES]; block.coefficients.len()];
    let mut totals = Sums::new();
    sum_sparse(patterns, range, &block.coefficients, summand == Summand::Gain, &mut out, &mut totals);
    UnitSums { sums: out, totals: vec![totals.finish()] }
}

per_instruction_set!(
    fn sum_sparse(
        patterns: &Patterns,
        range: Range<usize>,
        coefficients: &[Lanes],
        gains: bool,
        out: &mut [Lanes],
        totals: &mut Sums,
    ) = sum_sparse_body
);

#[inline(always)]
fn sum_sparse_body<const FMA: bool>(
    patterns: &Patterns,
    range: Range<usize>,
    coefficients: &[Lanes],
    gains: bool,
    out: &mut [Lanes],
    totals: &mut Sums,
) {
    let ([constant, senders @ ..], [constant_sum, sums @ ..]) = (coefficients, out) else { return };
    for pattern in range {
        let active = patterns.senders(pattern);
        let mut x = *constant;
        for &sender in active {
            let effect = &senders[usize::from(sender)];
            for r in 0..LANES {
                x[r] += effect[r];
            }
        }
        totals.take::<FMA>(&mut x, patterns.weight(pattern), gains);
        for r in 0..LANES {
            constant_sum[r] += x[r];
        }
        for &sender in active {
            let sum = &mut sums[usize::from(sender)];
            for r in 0..LANES {
                sum[r] += x[r];
            }
        }
    }
}

fn dense_unit(patterns: &Patterns, range: Range<usize>, block: &RowBlock, summand: Summand) -> UnitSums {
    let (rows, columns) = (block.n_rows, 1 + patterns.n_senders);
    let stride = block.groups * LANES;
    let mut out = vec![[0.0; LANES]; block.coefficients.len()];
    let mut totals: Vec<Sums> = (0..block.groups).map(|_| Sums::new()).collect();
    let mut tile = Tile::new(patterns.n_senders, block.groups);
    for start in range.clone().step_by(TILE_PATTERNS) {
        tile.expand(patterns, start..range.end.min(start + TILE_PATTERNS));
        tile.log_odds(block);
        let entries = tile.n * block.groups;
        take_tile(&mut tile.log_odds[..entries], &tile.weights, summand == Summand::Gain, &mut totals);
        let x = tile.log_odds[..entries].as_flattened();
        let x = MatRef::from_column_major_slice_with_stride(x, rows, tile.n, stride);
        let sums =
            MatMut::from_column_major_slice_with_stride_mut(out.as_flattened_mut(), rows, columns, stride);
        matmul(sums, Accum::Add, x, tile.senders().transpose(), 1.0, Par::Seq);
    }
    UnitSums { sums: out, totals: totals.into_iter().map(Sums::finish).collect() }
}

/// Some patterns written out as a matrix.
pub(crate) struct Tile {
    columns: usize,
    /// Patterns it holds.
    pub(crate) n: usize,
    /// Shape `(n, 1 + n_senders)`: 1, then 1 for an active sender and 0 for a silent one.
    pub(crate) senders: Vec<f64>,
    pub(crate) weights: Vec<f64>,
    /// Shape `(n, groups)` of lanes.
    pub(crate) log_odds: Vec<Lanes>,
}

impl Tile {
    pub(crate) fn new(n_senders: usize, groups: usize) -> Self {
        let columns = 1 + n_senders;
        Self {
            columns,
            n: 0,
            senders: vec![0.0; columns * TILE_PATTERNS],
            weights: Vec::with_capacity(TILE_PATTERNS),
            log_odds: vec![[0.0; LANES]; groups * TILE_PATTERNS],
        }
    }

    pub(crate) fn expand(&mut self, patterns: &Patterns, range: Range<usize>) {
        self.n = range.len();
        self.weights.clear();
        self.weights.extend(range.clone().map(|pattern| patterns.weight(pattern)));
        self.senders[..self.columns * self.n].fill(0.0);
        for (row, pattern) in self.senders.chunks_exact_mut(self.columns).zip(range) {
            row[0] = 1.0;
            for &sender in patterns.senders(pattern) {
                row[1 + usize::from(sender)] = 1.0;
            }
        }
    }

    /// Shape `(1 + n_senders, n)`.
    pub(crate) fn senders(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.senders[..self.columns * self.n], self.columns, self.n)
    }

    /// Log-odds of all rows of the block in all patterns of the tile.
    pub(crate) fn log_odds(&mut self, block: &RowBlock) {
        let (rows, stride) = (block.n_rows, block.groups * LANES);
        let coefficients = MatRef::from_column_major_slice_with_stride(
            block.coefficients.as_flattened(),
            rows,
            self.columns,
            stride,
        );
        let senders =
            MatRef::from_column_major_slice(&self.senders[..self.columns * self.n], self.columns, self.n);
        let x = self.log_odds[..self.n * block.groups].as_flattened_mut();
        let x = MatMut::from_column_major_slice_with_stride_mut(x, rows, self.n, stride);
        matmul(x, Accum::Replace, coefficients, senders, 1.0, Par::Seq);
    }
}

per_instruction_set!(
    /// Turn the log-odds of a tile into weighted summands.
    fn take_tile(log_odds: &mut [Lanes], weights: &[f64], gains: bool, totals: &mut [Sums]) = take_tile_body
);

#[inline(always)]
fn take_tile_body<const FMA: bool>(
    log_odds: &mut [Lanes],
    weights: &[f64],
    gains: bool,
    totals: &mut [Sums],
) {
    for (groups, &weight) in log_odds.chunks_exact_mut(totals.len()).zip(weights) {
        for (x, total) in groups.iter_mut().zip(totals.iter_mut()) {
            total.take::<FMA>(x, weight, gains);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regression::table::{Own, Table};
    use crate::regression::{Grouping, Parameters, Problem};
    use ndarray::Array2;

    #[test]
    fn both_layouts_give_the_gradient_of_the_value() {
        let mut grouping = Grouping::new(4, &[0, 1, 2, 3]);
        for t in 0..700u32 {
            let fires = |i: &u32| (t * t + 31 * t * (i + 1)) % 7 < 2 + i;
            grouping.add(&(0..4).filter(fires).map(|i| i as u16).collect::<Vec<_>>());
        }
        let sets = grouping.finish();
        let all = sets.counts().iter().copied().enumerate();
        let patterns = Patterns::of_sets(&sets, 4, &[0, 1, 2, 3], all);
        let together = patterns.pair_counts();
        let own: Vec<u64> = (0..4).map(|i| together[5 * i]).collect();
        let (senders, receivers) = (own.clone(), own);
        let (correlations, cross_correlations) = (Array2::eye(4), Array2::zeros((4, 4)));
        let table = |own| Table {
            observations: 700,
            senders: senders.clone(),
            receivers: receivers.clone(),
            together: together.clone(),
            correlations: correlations.clone(),
            cross_correlations: cross_correlations.clone(),
            own,
        };
        let tables = [table(Own::Free), table(Own::Held)];
        for table in &tables {
            let problem = Problem::new(table, &patterns, 0.2).unwrap();
            let held = |k: usize| k == 3 && table.own == Own::Held;
            let mut point = Parameters { drive: -0.4, couplings: vec![0.3, -0.2, 0.15, 0.4] };
            if held(3) {
                point.couplings[2] = 0.0;
            }
            let at = |point: &Parameters, layout| {
                let sums = sums(&patterns, layout, &[problem.log_odds(point)], Summand::Probability, 1);
                problem.evaluation(2, point, &sums[0])
            };
            for layout in [Layout::Sparse, Layout::Dense] {
                let gradient = at(&point, layout).gradient;
                for k in 0..5 {
                    let mut direction = Parameters { drive: 0.0, couplings: vec![0.0; 4] };
                    *if k == 0 { &mut direction.drive } else { &mut direction.couplings[k - 1] } = 1.0;
                    let value = |step| at(&point.moved(step, &direction), layout).value;
                    let difference = (value(1e-5) - value(-1e-5)) / 2e-5;
                    let expected = if held(k) { 0.0 } else { difference };
                    assert!((expected - gradient.dot(&direction)).abs() < 1e-9, "{layout:?}, component {k}");
                }
            }
        }
    }
}
