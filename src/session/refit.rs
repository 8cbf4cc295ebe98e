//! Estimators that read the bins of a window: too slow for every refresh, so they run elsewhere and are published when they are done.

use std::ops::Range;
use std::sync::Arc;

use crate::kinetic::{self, ExactOptions, TrialOptions};
use crate::model::{Estimate, Estimator, EstimatorInput, Lags, Runs, Trial};
use crate::moments::{Accumulator, Counts};
use crate::ring::RingView;

/// The bins of a window that a refit reads.
#[derive(Debug, Clone)]
pub struct WindowBins {
    /// The bins.
    pub bins: Bins,
    /// The trials that lie in them.
    pub trials: Vec<Trial>,
}

/// Bins, or a way to them.
#[derive(Debug, Clone)]
pub enum Bins {
    /// Shared with the ring of a session.
    Shared(RingView),
    /// At hand.
    Unpacked {
        /// The observed bins.
        runs: Runs,
        /// The bins they are of.
        range: Range<u64>,
    },
}

impl Bins {
    /// The bins asked for, of which some may lie in gaps.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        match self {
            Self::Shared(view) => view.range(),
            Self::Unpacked { range, .. } => range.clone(),
        }
    }

    /// The observed ones. Cost and memory O(bins + spikes).
    #[must_use]
    pub fn runs(&self) -> Runs {
        match self {
            Self::Shared(view) => view.runs(),
            Self::Unpacked { runs, .. } => runs.clone(),
        }
    }
}

/// Which ridges a refit runs, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefitScope {
    /// Every ridge, from the estimates before: what a session that goes on needs.
    Path,
    /// The same, to be scored and not to be shown: less exact, and without the more expensive standard errors.
    Scores,
    /// The chosen ridge alone and from scratch: the same numbers whatever came before.
    Final,
}

/// What a refit has to do, apart from the tracker that asked for it.
#[derive(Debug)]
pub struct RefitTask {
    pub(super) bins: Vec<WindowBins>,
    pub(super) asks: Vec<Ask>,
}

/// The estimates of one window by one estimator that are asked for.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) window: usize,
    pub(super) estimator: Estimator,
    pub(super) ridges: Vec<f64>,
    pub(super) warm: Option<Arc<Estimate>>,
    pub(super) scope: RefitScope,
    /// The ridge chosen so far, which is the one to be shown.
    pub(super) chosen: f64,
}

/// What a refit has found.
#[derive(Debug)]
pub struct Refit {
    pub(super) refitted: Vec<Refitted>,
}

/// One estimate of a refit.
#[derive(Debug, Clone)]
pub(super) struct Refitted {
    pub(super) window: usize,
    pub(super) estimate: Arc<Estimate>,
    /// Of the bins it was made on.
    pub(super) counts: Arc<Counts>,
    pub(super) first_bin: u64,
    pub(super) end_bin: u64,
}

/// The bins of one range, unpacked and counted.
struct Unpacked {
    range: Range<u64>,
    runs: Runs,
    counts: Arc<Counts>,
}

impl RefitTask {
    /// Do it, on so many threads. The result does not depend on their number.
    #[must_use]
    pub fn run(&self, threads: usize) -> Refit {
        let mut unpacked: Vec<Unpacked> = Vec::new();
        let mut refitted: Vec<Refitted> = Vec::new();
        for ask in &self.asks {
            let bins = &self.bins[ask.window];
            let range = bins.bins.range();
            let known = unpacked.iter().position(|known| known.range == range);
            let place = known.unwrap_or_else(|| {
                unpacked.push(Unpacked::of(&bins.bins));
                unpacked.len() - 1
            });
            let estimates = unpacked[place].estimates(ask, &bins.trials, threads);
            let Unpacked { counts, .. } = &unpacked[place];
            refitted.extend(estimates.into_iter().map(|estimate| Refitted {
                window: ask.window,
                estimate: Arc::new(estimate),
                counts: Arc::clone(counts),
                first_bin: range.start,
                end_bin: range.end,
            }));
        }
        Refit { refitted }
    }
}

impl Unpacked {
    fn of(bins: &Bins) -> Self {
        let (runs, range) = (bins.runs(), bins.range());
        let mut counts = Accumulator::new(runs.n_neurons, &Lags::default());
        counts.add_runs(&runs, range.clone());
        Self { range, runs, counts: Arc::new(counts.counts()) }
    }

    fn estimates(&self, ask: &Ask, trials: &[Trial], threads: usize) -> Vec<Estimate> {
        match ask.estimator.input() {
            EstimatorInput::Bins => self.exact(ask, threads),
            EstimatorInput::Trials => {
                let with = |&ridge: &f64| {
                    let options = TrialOptions { ridge, threads, ..TrialOptions::default() };
                    kinetic::from_trials(&self.runs, trials, &[ask.estimator], &options)
                };
                ask.ridges.iter().flat_map(with).collect()
            }
            EstimatorInput::Moments | EstimatorInput::Stream => Vec::new(),
        }
    }

    fn exact(&self, ask: &Ask, threads: usize) -> Vec<Estimate> {
        let defaults = ExactOptions { threads, ..ExactOptions::default() };
        let options = match ask.scope {
            RefitScope::Final => defaults.clone(),
            RefitScope::Path => ExactOptions { fisher: false, ..defaults.clone() },
            RefitScope::Scores => ExactOptions { fisher: false, gradient_norm_max: 1e-6, ..defaults.clone() },
        };
        let (runs, counts, warm) = (&self.runs, &self.counts, ask.warm.as_deref());
        let mut path = kinetic::exact_path(runs, counts, &ask.ridges, &options, warm);
        if ask.scope == RefitScope::Path {
            // Of all these, one will be shown: it alone is worth the standard errors of its own.
            for estimate in path.iter_mut().filter(|estimate| estimate.ridge == ask.chosen) {
                let options = ExactOptions { ridge: ask.chosen, ..defaults.clone() };
                *estimate = kinetic::exact(runs, counts, &options, Some(estimate));
            }
        }
        path
    }
}
