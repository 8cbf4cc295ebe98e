use std::ops::Range;

use crate::model::SpikeBlock;

/// Which bin of a transition makes it count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The later one: bins are added as they come.
    Newest,
    /// The earlier one: bins are added as they leave a window.
    Oldest,
}

/// Some bins of a run with the lags whose transitions are counted.
#[derive(Debug, Clone)]
pub(super) struct Piece<'a> {
    pub(super) run: &'a SpikeBlock,
    pub(super) n_neurons: usize,
    pub(super) bins: Range<usize>,
    pub(super) side: Side,
    pub(super) lags: &'a [usize],
}

impl Piece<'_> {
    /// The earlier bins of the transitions at this lag.
    pub(super) fn earlier(&self, lag: usize) -> Range<usize> {
        let bins = &self.bins;
        match self.side {
            Side::Newest => bins.start.saturating_sub(lag)..bins.end.saturating_sub(lag),
            Side::Oldest => bins.start..bins.end.min(self.run.n_bins().saturating_sub(lag)).max(bins.start),
        }
    }

    /// The bins whose equal-time pairs are counted: the earlier ones of the transitions at lag 1.
    pub(super) fn equal_time(&self) -> Range<usize> {
        self.earlier(1)
    }

    /// The bins that hold all of these, given those at equal times and those of each lag with its shift.
    pub(super) fn hull(&self, of_lag: impl Fn(usize, Range<usize>) -> Range<usize>) -> Range<usize> {
        let lags = self
            .lags()
            .map(|(shift, earlier)| if earlier.is_empty() { earlier } else { of_lag(shift, earlier) });
        let all = lags.chain([self.equal_time()]).filter(|bins| !bins.is_empty());
        all.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or(0..0)
    }

    /// Each lag with the earlier bins of its transitions.
    pub(super) fn lags(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        self.lags.iter().map(|&lag| (lag, self.earlier(lag)))
    }
}
