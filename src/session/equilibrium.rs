//! Equilibrium models of the windows of a session: fitted from scratch to the bins of each, checked against them, and scored on the bins
//! that come after.

use std::collections::HashSet;
use std::ops::{ControlFlow, Range};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use super::{Bins, SessionSpec, SpecError};
use crate::equilibrium::{self, CheckOptions, Conditional, FitOptions, Rates, Samples};
use crate::model::{EquilibriumMethod, EquilibriumModel, ModelCheck, RunningScore, Runs, Window};

/// Which equilibrium models a session fits, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EquilibriumSpec {
    /// Methods, distinct, each of which gives a model of every window; none when the session has no equilibrium models.
    pub methods: Vec<EquilibriumMethod>,
    /// Bins between fits, at least 1.
    pub interval_bins: u64,
    /// Most bins a fit reads, the newest ones of the window; and most bins that one scores the models before on.
    pub bins_max: u64,
    /// Seed of the methods, and of the checks, that draw random numbers.
    pub seed: u64,
}

impl Default for EquilibriumSpec {
    /// No equilibrium models.
    fn default() -> Self {
        Self { methods: Vec::new(), interval_bins: 1, bins_max: 1 << 15, seed: 1 }
    }
}

impl EquilibriumSpec {
    /// Whether there are no methods.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.methods.is_empty()
    }

    /// Check every value.
    ///
    /// # Errors
    /// The first [`SpecError`] found.
    pub fn check(&self) -> Result<(), SpecError> {
        let found = self.methods.iter().collect::<HashSet<_>>().len();
        if found != self.methods.len() {
            return Err(SpecError::EquilibriumMethodCount { given: self.methods.len(), found });
        }
        if self.interval_bins == 0 {
            return Err(SpecError::EquilibriumInterval);
        }
        if !(Window::BINS_MIN..=SessionSpec::REFIT_BINS_MAX).contains(&self.bins_max) {
            return Err(SpecError::EquilibriumBins { found: self.bins_max });
        }
        Ok(())
    }
}

/// What a fit of equilibrium models reads.
#[derive(Debug, Clone)]
pub struct EquilibriumBins {
    /// The bins of each window of the specification.
    pub windows: Vec<Bins>,
    /// The newest, for the models before to be scored on those of them that have come since.
    pub newest: Bins,
}

/// Why there is no model, in words: of an [`EquilibriumError`](crate::equilibrium::EquilibriumError).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub String);

/// What a method has made of the bins of a window.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedEquilibrium {
    /// The method.
    pub method: EquilibriumMethod,
    /// The model, or why the method gives none for these bins.
    pub model: Result<EquilibriumModel, Refusal>,
    /// What the model predicts of these bins next to what they show; `None` where no neuron has an estimate.
    pub check: Option<ModelCheck>,
    /// First bin that the fit reaches back to.
    pub first_bin: u64,
    /// Bin after the newest one it read.
    pub end_bin: u64,
}

/// A fit of an [`EquilibriumTask`], for an [`EquilibriumTracker`] to take over.
#[derive(Debug, Clone)]
pub struct EquilibriumFit {
    /// Index of the window.
    pub window: usize,
    /// What was found.
    pub fitted: Arc<FittedEquilibrium>,
    /// Of the bins it was found in.
    rates: Arc<Rates>,
}

/// A model of a window, and how its predecessors have predicted.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredEquilibrium {
    /// The model, or why there is none.
    pub fitted: Arc<FittedEquilibrium>,
    /// How the models before it, by the same method, have predicted the state of each neuron from the others in the bins that came
    /// after each of them: gain in pseudo-log-likelihood over rates. `transitions` are bins.
    pub score: RunningScore,
}

/// Of scored models, the one with the best recent score, the last of equals. One that has been scored on less than half the bins of the
/// most scored one is not yet compared.
pub fn best_equilibrium<'a>(
    models: impl Iterator<Item = &'a ScoredEquilibrium> + Clone,
) -> Option<&'a ScoredEquilibrium> {
    let most = models.clone().map(|m| m.score.recent.transitions).fold(0.0, f64::max);
    let comparable = models.filter(|m| m.fitted.model.is_ok() && 2.0 * m.score.recent.transitions >= most);
    let scored = comparable.filter_map(|m| Some((m, m.score.recent.bits_per_spike()?)));
    scored.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(model, _)| model)
}

/// The models of every window and method as they follow each other. Deterministic: a function of what it was given, in that order; the
/// models themselves are of the newest bins alone.
#[derive(Debug)]
pub struct EquilibriumTracker {
    spec: Arc<SessionSpec>,
    /// For each window, one line per method.
    windows: Vec<Vec<Line>>,
    scored_through: u64,
}

/// The models of one window by one method as they follow each other.
#[derive(Debug)]
struct Line {
    newest: Option<EquilibriumFit>,
    score: RunningScore,
}

impl EquilibriumTracker {
    /// A tracker that has seen nothing.
    #[must_use]
    pub fn new(spec: Arc<SessionSpec>) -> Self {
        let line = |_| Line { newest: None, score: RunningScore::new(spec.n_neurons()) };
        let lines = || spec.equilibrium.methods.iter().map(line).collect();
        let windows = spec.windows.iter().map(|_| lines()).collect();
        Self { spec, windows, scored_through: 0 }
    }

    /// Most bytes of the models of such a session, published ones and those that replace them: couplings and their standard errors.
    #[must_use]
    pub fn bytes_max(spec: &SessionSpec) -> u64 {
        let n = spec.n_neurons() as u64;
        let models = (spec.equilibrium.methods.len() * spec.windows.len()) as u64;
        // Vectors of n are left to the 1/16 that rounds this up.
        let bytes = 2 * 16 * n * n * models;
        bytes + bytes / 16 + 4096 * models
    }

    /// Score the models on those of the `newest` bins that have come since the last call.
    pub fn observe(&mut self, newest: &Bins) {
        let end_bin = newest.range().end;
        let since = self.scored_through.min(end_bin);
        let elapsed = end_bin - since;
        self.scored_through = end_bin;
        let discount = (-(elapsed as f64) / self.spec.score_memory_bins as f64).exp();
        if self.windows.iter().flatten().all(|line| line.newest.is_none()) {
            return;
        }
        let runs = newest.runs().range(since..end_bin);
        let Some(rates) = self.best_rates(&runs) else { return };
        for line in self.windows.iter_mut().flatten() {
            let Some(EquilibriumFit { fitted, rates: own, .. }) = &line.newest else { continue };
            if let Ok(model) = &fitted.model {
                line.score.add(&Conditional::new(model, own).score(&runs, &rates), discount);
            }
        }
    }

    /// The rates over which all models are scored: of those that the models were fitted beside, the ones that tell most of these bins.
    /// With each over its own, a model with old rates would look good when rates drift.
    fn best_rates(&self, runs: &Runs) -> Option<Arc<Rates>> {
        let mut spikes = vec![0_u64; runs.n_neurons];
        for &neuron in runs.blocks.iter().flat_map(|block| block.bins()).flatten() {
            spikes[usize::from(neuron)] += 1;
        }
        let n_bins = runs.n_bins();
        let log_likelihood = |rates: &Rates| -> f64 {
            let of = |(i, &k): (usize, &u64)| {
                k as f64 * rates.log_probability(i, true)
                    + (n_bins - k) as f64 * rates.log_probability(i, false)
            };
            spikes.iter().enumerate().map(of).sum()
        };
        let rates = self.windows.iter().flatten().filter_map(|line| Some(&line.newest.as_ref()?.rates));
        let scored = rates.map(|rates| (rates, log_likelihood(rates)));
        scored.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(rates, _)| Arc::clone(rates))
    }

    /// Bin before which models have been scored, or bins passed over.
    #[must_use]
    pub fn scored_through(&self) -> u64 {
        self.scored_through
    }

    /// Take over a model.
    pub fn adopt(&mut self, fit: &EquilibriumFit) {
        let methods = &self.spec.equilibrium.methods;
        let place = methods.iter().position(|&method| method == fit.fitted.method);
        if let Some(line) = place.and_then(|place| self.windows.get_mut(fit.window)?.get_mut(place)) {
            line.newest = Some(fit.clone());
        }
    }

    /// The models of each window, in the order of the methods; those that there are.
    #[must_use]
    pub fn models(&self) -> Vec<Vec<Arc<ScoredEquilibrium>>> {
        let scored = |line: &Line| {
            let fitted = Arc::clone(&line.newest.as_ref()?.fitted);
            Some(Arc::new(ScoredEquilibrium { fitted, score: line.score.clone() }))
        };
        self.windows.iter().map(|lines| lines.iter().filter_map(scored).collect()).collect()
    }
}

/// The fits of all windows and methods, from scratch.
#[derive(Debug)]
pub struct EquilibriumTask {
    spec: EquilibriumSpec,
    windows: Vec<Bins>,
}

impl EquilibriumTask {
    /// To be done on the bins of each window of the specification.
    #[must_use]
    pub fn new(spec: &SessionSpec, windows: Vec<Bins>) -> Self {
        Self { spec: spec.equilibrium.clone(), windows }
    }

    /// Do it, on so many threads, of which the result does not depend. `on_fit` is given each model as it comes, and may end it all. What
    /// windows have in common is fitted once.
    pub fn run(
        &self,
        threads: usize,
        on_fit: &mut dyn FnMut(&EquilibriumFit) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let options = FitOptions { threads, seed: self.spec.seed };
        let mut known: Vec<(Range<u64>, Vec<EquilibriumFit>)> = Vec::new();
        for (window, bins) in self.windows.iter().enumerate() {
            let range = bins.range();
            if let Some((_, fits)) = known.iter().find(|(known, _)| *known == range) {
                fits.iter().try_for_each(|fit| on_fit(&EquilibriumFit { window, ..fit.clone() }))?;
                continue;
            }
            let runs = bins.runs();
            let (samples, rates) = (Samples::of(&runs), Arc::new(Rates::of(&runs)));
            drop(runs);
            let mut fits = Vec::with_capacity(self.spec.methods.len());
            for &method in &self.spec.methods {
                let fitted = Arc::new(FittedEquilibrium::new(method, &samples, range.clone(), &options));
                let fit = EquilibriumFit { window, fitted, rates: Arc::clone(&rates) };
                on_fit(&fit)?;
                fits.push(fit);
            }
            known.push((range, fits));
        }
        ControlFlow::Continue(())
    }
}

impl FittedEquilibrium {
    /// Fit a method to samples of the bins of `range`, and check what comes of it.
    #[must_use]
    pub fn new(
        method: EquilibriumMethod,
        samples: &Samples,
        range: Range<u64>,
        options: &FitOptions,
    ) -> Self {
        // A defect in one method must not take the models of the others with it.
        let fit = std::panic::catch_unwind(AssertUnwindSafe(|| equilibrium::fit(samples, method, options)));
        let model = match fit {
            Ok(model) => model.map_err(|error| Refusal(error.to_string())),
            Err(_) => Err(Refusal("internal error, told on the standard error of the program".to_owned())),
        };
        let estimated =
            model.as_ref().ok().filter(|model| model.status.iter().any(|status| status.has_estimate()));
        let FitOptions { threads, seed } = *options;
        let options = CheckOptions { threads, seed, ..CheckOptions::default() };
        // An error would be one of the options, which are the defaults.
        let check = estimated.and_then(|model| equilibrium::check(samples, model, &options).ok());
        Self { method, model, check, first_bin: range.start, end_bin: range.end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BinWidth, Estimator, Lags, Neuron, Ridges, SessionMetadata, SpikeBlock};
    use crate::session::Session;
    use crate::simulate::{KineticIsing, KineticSimulation};

    const N: usize = 6;
    const HOPFIELD: EquilibriumMethod = EquilibriumMethod::Hopfield;

    fn spec(windows: Vec<Window>) -> SessionSpec {
        SessionSpec {
            name: String::new(),
            neurons: (0..N as i64).map(|id| Neuron { id, label: String::new() }).collect(),
            bin_width: BinWidth::from_us(20_000).unwrap(),
            origin_ns: 0,
            windows,
            lags: Lags::default(),
            estimators: vec![Estimator::Nmf],
            ridges: Ridges::new(&[0.1]).unwrap(),
            refresh_interval_bins: 50,
            refit_interval_bins: 500,
            refit_bins_max: SessionSpec::REFIT_BINS_MAX,
            score_memory_bins: 1000,
            equilibrium: EquilibriumSpec { methods: vec![HOPFIELD], ..EquilibriumSpec::default() },
            metadata: SessionMetadata::default(),
        }
    }

    fn bins() -> SpikeBlock {
        let network =
            KineticIsing::asymmetric_sk(N, 0.3, 0.0, 5).unwrap().with_spike_probability(0.1).unwrap();
        KineticSimulation::new(&network, 7).bins(3000)
    }

    fn fitted(bins: Vec<Bins>, spec: &SessionSpec, tracker: &mut EquilibriumTracker) -> Vec<EquilibriumFit> {
        let mut fits = Vec::new();
        let end = EquilibriumTask::new(spec, bins).run(2, &mut |fit| {
            tracker.adopt(fit);
            fits.push(fit.clone());
            ControlFlow::Continue(())
        });
        assert!(end.is_continue());
        fits
    }

    #[test]
    fn live_models_are_those_of_the_bins_at_once() {
        let windows = vec![Window::All, Window::Last { ms: 20_000 }, Window::Last { ms: 600_000 }];
        let mut spec = spec(windows);
        spec.equilibrium.bins_max = 2000;
        let (all, mut session) = (bins(), Session::new(spec.clone()).unwrap());
        let mut tracker = EquilibriumTracker::new(Arc::new(spec.clone()));
        for start in (0..3000).step_by(100) {
            session.push(&all.slice(start, start + 100), &mut |_| {}).unwrap();
            if start % 700 == 0 {
                let read = session.equilibrium_bins();
                tracker.observe(&read.newest);
                fitted(read.windows, &spec, &mut tracker);
            }
        }
        let read = session.equilibrium_bins();
        tracker.observe(&read.newest);
        let live = fitted(read.windows, &spec, &mut tracker);
        let starts: Vec<u64> = live.iter().map(|fit| fit.fitted.first_bin).collect();
        assert_eq!(starts, [1000, 1984, 1000], "two windows longer than a fit reads, one shorter");
        for fit in &live {
            let range = fit.fitted.first_bin..3000;
            let runs = Runs { n_neurons: N, blocks: vec![all.clone()] }.range(range.clone());
            let options = FitOptions { threads: 1, seed: spec.equilibrium.seed };
            let offline = FittedEquilibrium::new(HOPFIELD, &Samples::of(&runs), range, &options);
            assert_eq!(*fit.fitted, offline);
            assert!(offline.check.is_some());
        }
        assert!(Arc::ptr_eq(&live[0].fitted, &live[2].fitted), "what windows share is fitted once");
        let models = tracker.models();
        assert_eq!(models.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
        assert_eq!(models[0][0].score.total.transitions, 2900.0, "every bin after the first fit, once");
    }

    #[test]
    fn a_model_is_scored_on_what_came_after_it_over_the_best_rates() {
        let spec = spec(vec![Window::All]);
        let all = Runs { n_neurons: N, blocks: vec![bins()] };
        let mut tracker = EquilibriumTracker::new(Arc::new(spec.clone()));
        let part = |range: Range<u64>| Bins::Unpacked { runs: all.range(range.clone()), range };
        tracker.observe(&part(0..1000));
        assert_eq!(tracker.best_rates(&all), None);
        let first = fitted(vec![part(0..1000)], &spec, &mut tracker);
        tracker.observe(&part(1000..1800));
        let models = tracker.models();
        let score = &models[0][0].score;
        let (model, newer) = (first[0].fitted.model.as_ref().unwrap(), all.range(1000..1800));
        let rates = Rates::of(&all.range(0..1000));
        let expected = Conditional::new(model, &rates).score(&newer, &rates);
        assert_eq!((&score.total, score.recent.transitions), (&expected, 800.0));
        fitted(vec![part(0..1800)], &spec, &mut tracker);
        tracker.observe(&part(1800..2800));
        let models = tracker.models();
        let score = &models[0][0].score;
        assert_eq!(score.total.transitions, 1800.0);
        let recent = 800.0 * (-1.0_f64).exp() + 1000.0;
        assert!((score.recent.transitions - recent).abs() < 1e-9);
        let best = best_equilibrium(models[0].iter().map(AsRef::as_ref)).unwrap();
        assert!(std::ptr::eq(best, models[0][0].as_ref()));
    }

    #[test]
    fn a_fit_can_be_ended_and_an_empty_session_has_models_of_nothing() {
        let spec = spec(vec![Window::All, Window::Last { ms: 20_000 }]);
        let session = Session::new(spec.clone()).unwrap();
        let mut count = 0;
        let end = EquilibriumTask::new(&spec, session.equilibrium_bins().windows).run(1, &mut |fit| {
            count += 1;
            assert!(fit.fitted.check.is_none());
            assert!(fit.fitted.model.as_ref().unwrap().status.iter().all(|status| !status.has_estimate()));
            ControlFlow::Break(())
        });
        assert!(end.is_break() && count == 1);
    }

    #[test]
    fn the_bins_that_fits_read_are_kept_and_counted() {
        let mut spec = spec(vec![Window::Last { ms: 20_000 }]);
        let without =
            Session::bytes_max(&SessionSpec { equilibrium: EquilibriumSpec::default(), ..spec.clone() });
        spec.equilibrium.bins_max = 100_000;
        let with = Session::bytes_max(&spec);
        let ((without, _), (with, _)) = (without.unwrap(), with.unwrap());
        assert!(with > 5 * without, "{with} {without}");
        assert!(EquilibriumTracker::bytes_max(&spec) > 32 * (N * N) as u64);
    }
}
