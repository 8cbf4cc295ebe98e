//! From counts and new bins to published estimates: what was published is scored first, then replaced.

use std::sync::Arc;

use super::refit::{Ask, Refit, RefitScope, RefitTask, Refitted, WindowBins};
use super::{RidgeScore, ScoredEstimate, SessionSpec, Snapshot, WindowCounts};
use crate::kinetic::{self, Online, Predictor, Rates, Transitions};
use crate::model::{BinWidth, Estimate, Estimator, EstimatorInput, RunningScore, Runs, Trial};

/// Turns the counts of successive refreshes into snapshots, scores each estimate on the bins that came after it, and chooses ridges by
/// these scores. Deterministic: a function of what it was given, in that order.
#[derive(Debug)]
pub struct Tracker {
    spec: Arc<SessionSpec>,
    /// One list of lines per window.
    windows: Vec<Vec<Line>>,
    /// Independent rates of each window as of the last publication.
    rates: Vec<Rates>,
    observed_through: u64,
    work_max: u64,
}

/// The estimates of one window by one estimator as they follow each other.
#[derive(Debug)]
struct Line {
    estimator: Estimator,
    /// One per ridge.
    candidates: Vec<Candidate>,
    /// Index of the ridge to begin with.
    unscored_choice: usize,
}

#[derive(Debug)]
struct Candidate {
    ridge: f64,
    score: RunningScore,
    /// Of the newest estimate with this ridge.
    predictor: Option<Predictor>,
    /// The newest estimate itself, of an estimator that refits.
    refitted: Option<Refitted>,
    /// Of the online estimator.
    online: Option<Online>,
}

impl Tracker {
    /// How many additions one refresh of a live session makes at most to predict the newest bins and to follow them: a bound on its
    /// time, a fraction of a second.
    pub const LIVE_WORK_MAX: u64 = 1 << 28;

    /// A tracker that has seen nothing. One call of [`Tracker::observe`] scores and follows as many of the newest bins as `work_max`
    /// additions allow; a bin takes `n (1 + active neurons)` for each model.
    #[must_use]
    pub fn new(spec: Arc<SessionSpec>, work_max: u64) -> Self {
        let windows = spec.windows.iter().map(|_| Line::all(&spec)).collect();
        Self { spec, windows, rates: Vec::new(), observed_through: 0, work_max }
    }

    /// Most bytes that a tracker of such a session keeps besides what it publishes: for each window, estimator and ridge a predictor
    /// of 4 n², and of those that refit or follow the couplings themselves; with the fields of trials where there are such.
    #[must_use]
    pub fn bytes_max(spec: &SessionSpec) -> u64 {
        let n = spec.n_neurons() as u64;
        let ridges = spec.ridges.as_slice().len() as u64;
        let per_neuron_pair = |e: &Estimator| match e.input() {
            EstimatorInput::Moments => 4 * ridges,
            EstimatorInput::Stream => 12 * ridges,
            // Standard errors of the one ridge that is shown are 8 more.
            EstimatorInput::Bins => 12 * ridges + 8,
            EstimatorInput::Trials => 20 * ridges,
        };
        let pairs = n * n * spec.estimators.iter().map(per_neuron_pair).sum::<u64>();
        let of_trials = spec.estimators.iter().filter(|e| e.input() == EstimatorInput::Trials).count() as u64;
        let trial_bins = (spec.refit_bins_max / 2).min(kinetic::TRIAL_BINS_MAX as u64);
        // Fields, whether they are estimated, and the predictor's.
        let trial_fields = of_trials * ridges * trial_bins * n * 17;
        let bytes = (pairs + trial_fields) * spec.windows.len() as u64;
        bytes + bytes / 16
    }

    /// Bin before which everything has been observed, or was passed over: where the newest bins of the next call begin.
    #[must_use]
    pub fn observed_through(&self) -> u64 {
        self.observed_through
    }

    /// Score on the newest bins what was estimated before them, and let the online estimators follow them.
    ///
    /// `windows` are the counts of each window of the specification, all as of the end of these bins; `newest` are the bins since
    /// [`Tracker::observed_through`], with one bin of context, and `trials` the trials that have bins in them.
    pub fn observe(&mut self, windows: &[WindowCounts], newest: &Runs, trials: &[Trial]) {
        let end_bin = windows.first().map_or(self.observed_through, |window| window.end_bin);
        let elapsed = end_bin.saturating_sub(self.observed_through);
        self.observed_through = end_bin;
        let discount = (-(elapsed as f64) / self.spec.score_memory_bins as f64).exp();
        let newest = newest.last_bins(self.bins_allowed(newest));
        self.score(&newest, trials, discount);
        for (lines, window) in self.windows.iter_mut().zip(windows) {
            let online = lines.iter_mut().filter(|line| line.estimator == Estimator::Online);
            online.for_each(|line| line.follow(window, &newest, self.spec.bin_width));
        }
    }

    /// How many of the newest bins the work of one call allows.
    fn bins_allowed(&self, newest: &Runs) -> u64 {
        let lines = self.windows.iter().flatten().flat_map(|line| &line.candidates);
        // Following costs about twice what predicting does.
        let work = |c: &Candidate| u64::from(c.predictor.is_some()) + 2 * u64::from(c.online.is_some());
        let models = lines.map(work).sum::<u64>().max(1);
        let spikes: u64 = newest.blocks.iter().map(|block| block.n_active() as u64).sum();
        let per_bin = 1 + spikes / newest.n_bins().max(1);
        (self.work_max / models / self.spec.n_neurons() as u64 / per_bin).max(2)
    }

    /// Score every model over the same rates: those of the window whose rates predict these bins best. Each over its own would reward
    /// a model for rates that are out of date.
    fn score(&mut self, newest: &Runs, trials: &[Trial], discount: f64) {
        let likelihood = |rates: &Rates| rates.log_likelihood(newest);
        let scored = self.rates.iter().map(|rates| (rates, likelihood(rates)));
        let Some((rates, _)) = scored.max_by(|a, b| a.1.total_cmp(&b.1)) else { return };
        let candidates = || self.windows.iter().flatten().flat_map(|line| &line.candidates);
        let depend_on_trials =
            candidates().filter_map(|c| c.predictor.as_ref()).any(Predictor::depends_on_trials);
        // Equal bins are one for all others.
        let transitions = Transitions::of(newest, if depend_on_trials { trials } else { &[] });
        for candidate in self.windows.iter_mut().flatten().flat_map(|line| &mut line.candidates) {
            if let Some(predictor) = &candidate.predictor {
                candidate.score.add(&predictor.score(&transitions, rates), discount);
            }
        }
    }

    /// Estimate anew, with what a refit has found since the last time. One snapshot per window, without equilibrium models.
    pub fn publish(&mut self, windows: Vec<WindowCounts>, refit: Option<Refit>) -> Vec<Snapshot> {
        for refitted in refit.into_iter().flat_map(|refit| refit.refitted) {
            self.windows[refitted.window].iter_mut().for_each(|line| line.adopt(&refitted));
        }
        self.rates = windows.iter().map(|window| Rates::of(&window.counts)).collect();
        let spec = &self.spec;
        let snapshot = |(lines, window): (&mut Vec<Line>, WindowCounts)| {
            let moments = moment_estimates(spec, lines, &window);
            let published = |line: &Line| line.publish(&moments, &window, spec.bin_width);
            let estimates = lines.iter().filter_map(published).collect();
            Snapshot { spec: Arc::clone(spec), window, estimates, equilibrium: Vec::new() }
        };
        self.windows.iter_mut().zip(windows).map(snapshot).collect()
    }

    /// What the estimators that read bins have to do on these, one entry per window of the specification; to be run elsewhere, its
    /// result to be given to [`Tracker::publish`]. `None` when there are no such estimators.
    #[must_use]
    pub fn refit_task(&self, bins: Vec<WindowBins>, scope: RefitScope) -> Option<RefitTask> {
        let lines =
            self.windows.iter().enumerate().flat_map(|(k, lines)| lines.iter().map(move |line| (k, line)));
        let asks: Vec<Ask> = lines.filter_map(|(window, line)| line.ask(window, scope)).collect();
        (!asks.is_empty()).then_some(RefitTask { bins, asks })
    }
}

/// Estimates of the lines that need counts alone, each with its chosen ridge; the others are kept as predictors.
fn moment_estimates(spec: &SessionSpec, lines: &mut [Line], window: &WindowCounts) -> Vec<Arc<Estimate>> {
    let is_moments = |line: &&mut Line| line.estimator.input() == EstimatorInput::Moments;
    let mut moments: Vec<&mut Line> = lines.iter_mut().filter(is_moments).collect();
    let estimators: Vec<Estimator> = moments.iter().map(|line| line.estimator).collect();
    let mut chosen = Vec::with_capacity(estimators.len());
    let places: Vec<usize> = moments.iter().map(|line| line.chosen()).collect();
    // Errors are of no use to those that live on as predictors.
    let is_chosen = |k: usize| places.contains(&k);
    // One ridge after the other: together their estimates would take many times what is kept.
    let ridges = spec.ridges.as_slice();
    kinetic::for_each_ridge(&window.counts, &estimators, ridges, &is_chosen, &mut |k, estimates| {
        for ((line, &place), estimate) in moments.iter_mut().zip(&places).zip(estimates) {
            line.candidates[k].predictor = Some(Predictor::new(&estimate, &window.counts));
            if place == k {
                chosen.push(Arc::new(estimate));
            }
        }
    });
    chosen
}

impl Line {
    fn all(spec: &SessionSpec) -> Vec<Self> {
        let candidate = |&ridge: &f64| Candidate {
            ridge,
            score: RunningScore::new(spec.n_neurons()),
            predictor: None,
            refitted: None,
            online: None,
        };
        let line = |&estimator: &Estimator| Self {
            estimator,
            candidates: spec.ridges.as_slice().iter().map(candidate).collect(),
            unscored_choice: spec.ridges.unscored_choice(),
        };
        spec.estimators.iter().map(line).collect()
    }

    /// Index of the ridge that has predicted best of late; of the one to begin with before anything was scored.
    fn chosen(&self) -> usize {
        let scores = self.candidates.iter().enumerate();
        let scored = scores.filter_map(|(k, candidate)| Some((k, candidate.score.recent.bits_per_spike()?)));
        // Of equal scores the larger ridge, the more cautious one.
        let best = scored.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(k, _)| k);
        best.unwrap_or(self.unscored_choice)
    }

    /// Let the online estimator follow the newest bins.
    fn follow(&mut self, window: &WindowCounts, newest: &Runs, bin_width: BinWidth) {
        for candidate in &mut self.candidates {
            let online =
                candidate.online.get_or_insert_with(|| Online::new(window.counts.n_neurons, candidate.ridge));
            let memory = window.window.bins(bin_width).ok().flatten();
            online.follow(newest, &window.counts, memory);
            candidate.predictor = Some(Predictor::new(&online.couplings(), &window.counts));
        }
    }

    /// Take over the result of a refit, if it is of this line.
    fn adopt(&mut self, refitted: &Refitted) {
        let is_of = |candidate: &&mut Candidate| candidate.ridge == refitted.estimate.ridge;
        if self.estimator != refitted.estimate.estimator {
            return;
        }
        if let Some(candidate) = self.candidates.iter_mut().find(is_of) {
            candidate.predictor = Some(Predictor::new(&refitted.estimate, &refitted.counts));
            candidate.refitted = Some(refitted.clone());
        }
    }

    /// What a refit has to do for this line.
    fn ask(&self, window: usize, scope: RefitScope) -> Option<Ask> {
        if !matches!(self.estimator.input(), EstimatorInput::Bins | EstimatorInput::Trials) {
            return None;
        }
        let chosen = self.chosen();
        let ridges = self.candidates.iter().map(|candidate| candidate.ridge);
        let warm = self.candidates[chosen].refitted.as_ref().map(|refitted| Arc::clone(&refitted.estimate));
        let (estimator, chosen) = (self.estimator, self.candidates[chosen].ridge);
        let (ridges, warm) = match scope {
            RefitScope::Path | RefitScope::Scores => (ridges.collect(), warm),
            RefitScope::Final => (vec![chosen], None),
        };
        Some(Ask { window, estimator, ridges, warm, scope, chosen })
    }

    fn publish(
        &self,
        moments: &[Arc<Estimate>],
        window: &WindowCounts,
        bin_width: BinWidth,
    ) -> Option<ScoredEstimate> {
        let candidate = &self.candidates[self.chosen()];
        let (estimate, first_bin, end_bin) = match self.estimator.input() {
            EstimatorInput::Moments => {
                let estimate = moments.iter().find(|estimate| estimate.estimator == self.estimator)?;
                (Arc::clone(estimate), window.first_bin, window.end_bin)
            }
            EstimatorInput::Stream => {
                let memory = window.window.bins(bin_width).ok().flatten();
                let estimate = candidate.online.as_ref()?.estimate(&window.counts, memory);
                (Arc::new(estimate), window.first_bin, window.end_bin)
            }
            EstimatorInput::Bins | EstimatorInput::Trials => {
                let refitted = candidate.refitted.as_ref()?;
                (Arc::clone(&refitted.estimate), refitted.first_bin, refitted.end_bin)
            }
        };
        let path = self.candidates.iter().map(|candidate| RidgeScore {
            ridge: candidate.ridge,
            bits_per_spike: candidate.score.recent.bits_per_spike(),
        });
        Some(ScoredEstimate {
            estimate,
            first_bin,
            end_bin,
            score: candidate.score.clone(),
            path: path.collect(),
        })
    }
}
