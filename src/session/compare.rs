//! How well does each estimator predict what it has not seen?

use std::f64::consts::LN_2;
use std::ops::Range;
use std::sync::Arc;

use super::{Offline, Recorded, ScoredEstimate, SessionSpec};
use crate::kinetic::{self, ExactOptions, Predictor, Rates, Transitions, TrialOptions, softplus};
use crate::model::{Estimate, Estimator, EstimatorInput, Lags, Ridges, Runs, Score};
use crate::moments::{Accumulator, Counts};

/// A recording split in time: estimators are fitted to its first part and scored on the rest.
///
/// An estimator's ridge is chosen inside the first part alone, as [`Offline`] does it: estimates at checkpoints are scored on what follows
/// them. What the ridges would have scored on the held-out part is told as well, as hindsight.
#[derive(Debug)]
pub struct Comparison<'a> {
    spec: SessionSpec,
    recorded: &'a Recorded,
    /// The part to fit to.
    train: Recorded,
    counts: Arc<Counts>,
    /// The rest, with the last bin before it as context.
    held_out: Runs,
    threads: usize,
}

/// A split that leaves nothing to fit to or nothing to score.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ComparisonError {
    /// Not a share of the recording.
    #[error("the share to fit to must lie between 0 and 1, got {found}")]
    Share {
        /// The share given.
        found: f64,
    },
    /// A part without an observed bin.
    #[error(
        "too short to compare on: {train} observed bins to fit to and {held_out} to judge by, both must be at least 1"
    )]
    NoBins {
        /// Bins of the first part.
        train: u64,
        /// Bins of the rest.
        held_out: u64,
    },
    /// A part without a transition.
    #[error(
        "too short to compare on: {train} transitions to fit to and {held_out} to score, both must be at least 1"
    )]
    TooShort {
        /// Transitions of the first part.
        train: u64,
        /// Transitions of the rest.
        held_out: u64,
    },
}

/// What one estimator predicts.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Fitted to the first part with the ridge chosen there.
    pub estimate: Arc<Estimate>,
    /// How it predicts the held-out part.
    pub score: Score,
    /// Every ridge there was to choose from, increasing.
    pub path: Vec<ComparedRidge>,
    /// The score when it goes on to learn. `None` when it was not asked for.
    pub prequential: Option<Prequential>,
}

/// What an estimator predicts that goes on to learn: estimated anew at each of [`Comparison::STEPS`] steps of the held-out part, or
/// following all of it, and scored on what comes next.
#[derive(Debug, Clone, PartialEq)]
pub struct Prequential {
    /// Gained over the independent rates of the first part, as [`Compared::score`] is.
    pub score: Score,
    /// Of that, what independent rates gain that are estimated anew at the same bins: where rates drift, most of it.
    pub rates: Score,
}

/// What one ridge predicts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ComparedRidge {
    /// The ridge.
    pub ridge: f64,
    /// Bits per spike by which it was chosen, or not: forward in time inside the first part. `None` when there was no choice.
    pub chosen_by: Option<f64>,
    /// Bits per spike on the held-out part when fitted to all of the first; `None` without a spike there.
    pub held_out: Option<f64>,
}

impl Compared {
    /// The ridge that would have predicted the held-out part best; of equals the larger. Hindsight: it was chosen on what it is
    /// scored on.
    #[must_use]
    pub fn best_in_hindsight(&self) -> Option<ComparedRidge> {
        let scored = self.path.iter().filter(|point| point.held_out.is_some());
        scored.max_by(|a, b| a.held_out.unwrap_or(0.0).total_cmp(&b.held_out.unwrap_or(0.0))).copied()
    }
}

impl<'a> Comparison<'a> {
    /// Equal steps of the held-out part at which a prequential score estimates anew.
    pub const STEPS: u64 = 16;

    /// Fit to the first `share` of a recording and score on the rest. Of the specification, bin width, lags, ridges and the memory of
    /// scores matter.
    ///
    /// # Errors
    /// [`ComparisonError`] when there is nothing to fit to or nothing to score.
    pub fn new(
        spec: &SessionSpec,
        recorded: &'a Recorded,
        share: f64,
        threads: usize,
    ) -> Result<Self, ComparisonError> {
        if !(share > 0.0 && share < 1.0) {
            return Err(ComparisonError::Share { found: share });
        }
        let Range { start, end } = recorded.bins;
        let split = start + ((end - start) as f64 * share) as u64;
        let train = Recorded {
            window: recorded.window,
            bins: start..split,
            runs: recorded.runs.range(start..split),
            trials: recorded.trials.iter().copied().filter(|trial| trial.stop_bin <= split).collect(),
        };
        let held_out = recorded.runs.range(split.max(start + 1) - 1..end);
        if train.runs.transitions() == 0 || held_out.transitions() == 0 {
            let (train, held_out) = (train.runs.transitions(), held_out.transitions());
            return Err(ComparisonError::TooShort { train, held_out });
        }
        let mut counts = Accumulator::new(spec.n_neurons(), &Lags::default());
        counts.add_runs(&train.runs, start..split);
        let counts = Arc::new(counts.counts());
        Ok(Self { spec: spec.clone(), recorded, train, counts, held_out, threads })
    }

    /// The bins fitted to.
    #[must_use]
    pub fn train_bins(&self) -> Range<u64> {
        self.train.bins.clone()
    }

    /// The bins scored.
    #[must_use]
    pub fn held_out_bins(&self) -> Range<u64> {
        self.train.bins.end..self.recorded.bins.end
    }

    /// The counts of the bins fitted to: their rates are what every model is compared with.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Number of transitions scored.
    #[must_use]
    pub fn held_out_transitions(&self) -> u64 {
        self.held_out.transitions()
    }

    /// Choose the ridge of an estimator, fit and score it. `on_progress` is told the share done. `None` when the estimator gives no
    /// estimate.
    #[must_use]
    pub fn run(&self, estimator: Estimator, on_progress: &mut dyn FnMut(f64)) -> Option<Compared> {
        let spec = self.spec_of(estimator, self.spec.ridges.clone());
        let Range { start, end } = self.train.bins;
        let mut on_bin = |bin: u64| on_progress(0.5 * (bin - start) as f64 / (end - start) as f64);
        let snapshot = Offline::new(&spec, &self.train, self.threads).run(&mut on_bin);
        let ScoredEstimate { estimate, path: chosen_by, .. } = snapshot.estimates.into_iter().next()?;
        let score = self.score(&estimate);
        let others = self.others(estimator, estimate.ridge);
        on_progress(1.0);
        let held_out = |ridge: f64| {
            let other = others.iter().find(|other| other.ridge == ridge);
            other.map_or_else(|| score.bits_per_spike(), |other| self.score(other).bits_per_spike())
        };
        let path = chosen_by.iter().map(|point| ComparedRidge {
            ridge: point.ridge,
            chosen_by: point.bits_per_spike,
            held_out: held_out(point.ridge),
        });
        let path = path.collect();
        Some(Compared { estimate, score, path, prequential: None })
    }

    /// How an estimator with this ridge predicts the held-out part when it goes on to learn, see [`Compared::prequential`]. The ridge
    /// stays. `None` when there is no estimate to score.
    #[must_use]
    pub fn prequential(&self, estimator: Estimator, ridge: f64) -> Option<Prequential> {
        let spec = self.spec_of(estimator, Ridges::new(&[ridge]).ok()?);
        let Range { start, end } = self.held_out_bins();
        let steps: Vec<u64> = (0..Self::STEPS).map(|k| start + (end - start) * k / Self::STEPS).collect();
        let (mut score, changes) = Offline::new(&spec, self.recorded, self.threads).score_from(&steps)?;
        // So far over the rates of the same bins as the estimates.
        let rates = self.rates_learning_on(&changes);
        score.gain_bits += &rates.gain_bits;
        Some(Prequential { score, rates })
    }

    /// How rates that are estimated anew at these bins predict the held-out part, compared with those of the first part.
    fn rates_learning_on(&self, changes: &[u64]) -> Score {
        let n = self.spec.n_neurons();
        let frozen = kinetic::rate_log_odds(&self.counts);
        let mut seen = Accumulator::new(n, &Lags::default());
        seen.add_runs(&self.recorded.runs, self.train.bins.clone());
        let mut score = Score::new(n);
        let ends = changes.iter().skip(1).copied().chain([self.recorded.bins.end]);
        for (&start, end) in changes.iter().zip(ends) {
            let before = seen.counts();
            seen.add_runs(&self.recorded.runs, start..end);
            let (rates, after) = (kinetic::rate_log_odds(&before), seen.counts());
            let (before, after) = (&before.lags[0], &after.lags[0]);
            let transitions = (after.transitions - before.transitions) as f64;
            score.transitions += transitions;
            for i in 0..n {
                let spikes = (after.receiver[i] - before.receiver[i]) as f64;
                let silence = softplus(rates[i]) - softplus(frozen[i]);
                score.spikes[i] += spikes;
                score.gain_bits[i] += (spikes * (rates[i] - frozen[i]) - transitions * silence) / LN_2;
            }
        }
        score
    }

    fn spec_of(&self, estimator: Estimator, ridges: Ridges) -> SessionSpec {
        SessionSpec { estimators: vec![estimator], ridges, ..self.spec.clone() }
    }

    /// The estimates with the ridges that were not chosen.
    fn others(&self, estimator: Estimator, chosen: f64) -> Vec<Estimate> {
        let mut ridges = self.spec.ridges.as_slice().to_vec();
        ridges.retain(|&ridge| ridge != chosen);
        match estimator.input() {
            EstimatorInput::Moments => {
                kinetic::path(&self.counts, &[estimator], &ridges).into_iter().flatten().collect()
            }
            EstimatorInput::Bins => {
                let options = ExactOptions { threads: self.threads, ..ExactOptions::default() };
                kinetic::exact_path(&self.train.runs, &self.counts, &ridges, &options, None)
            }
            EstimatorInput::Stream => {
                let followed = |&ridge: &f64| {
                    let spec = self.spec_of(estimator, Ridges::new(&[ridge]).ok()?);
                    let snapshot = Offline::new(&spec, &self.train, self.threads).run(&mut |_| ());
                    snapshot.estimates.into_iter().next().map(|scored| (*scored.estimate).clone())
                };
                ridges.iter().filter_map(followed).collect()
            }
            EstimatorInput::Trials => {
                let with = |&ridge: &f64| {
                    let options = TrialOptions { ridge, threads: self.threads, ..TrialOptions::default() };
                    kinetic::from_trials(&self.train.runs, &self.train.trials, &[estimator], &options)
                };
                ridges.iter().flat_map(with).collect()
            }
        }
    }

    fn score(&self, estimate: &Estimate) -> Score {
        let rates = Rates::of(&self.counts);
        let predictor = Predictor::new(estimate, &self.counts);
        let trials = if predictor.depends_on_trials() { &self.recorded.trials[..] } else { &[] };
        predictor.score(&Transitions::of(&self.held_out, trials), &rates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BinWidth, Neuron, SessionMetadata, SpikeBlock, Trial, Window};
    use crate::session::EquilibriumSpec;

    const N: u64 = 5;
    const BINS: u64 = 6000;

    /// Five neurons, each driven by the next and held back by the one after, by a fixed sequence.
    fn bins() -> SpikeBlock {
        let mut state = 1_u64;
        let mut before = [0_u64; N as usize];
        let lists: Vec<Vec<u16>> = (0..BINS)
            .map(|_| {
                let mut now = [0; N as usize];
                for i in 0..N {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let driven = 60 + 20 * i + 300 * before[((i + 1) % N) as usize];
                    let per_mille = driven - 40 * before[((i + 2) % N) as usize];
                    now[i as usize] = u64::from((state >> 33) % 1000 < per_mille);
                }
                before = now;
                (0..N as u16).filter(|&i| now[usize::from(i)] == 1).collect()
            })
            .collect();
        SpikeBlock::from_lists(0, &lists, N as usize).unwrap()
    }

    fn spec(ridges: &[f64]) -> SessionSpec {
        SessionSpec {
            name: String::new(),
            neurons: (0..N as i64).map(|id| Neuron { id, label: String::new() }).collect(),
            bin_width: BinWidth::from_us(20_000).unwrap(),
            origin_ns: 0,
            windows: vec![Window::All],
            lags: Lags::default(),
            estimators: vec![Estimator::Nmf],
            ridges: Ridges::new(ridges).unwrap(),
            refresh_interval_bins: 50,
            refit_interval_bins: 500,
            refit_bins_max: SessionSpec::REFIT_BINS_MAX,
            score_memory_bins: 30_000,
            equilibrium: EquilibriumSpec::default(),
            metadata: SessionMetadata::default(),
        }
    }

    fn recorded(blocks: Vec<SpikeBlock>, trials: Vec<Trial>) -> Recorded {
        let runs = Runs { n_neurons: N as usize, blocks };
        Recorded { window: Window::All, bins: 0..BINS, runs, trials }
    }

    #[test]
    fn scores_are_those_of_an_independent_program() {
        // numpy and scipy on the same bins, rates and penalties as printed by `bits_per_spike` of the oracle, whose rates are
        // K / T instead of (K + ½) / (T + 1).
        let expected = [
            (Estimator::Nmf, [0.148_986, 0.266_468, 0.241_772]),
            (Estimator::Exact, [0.368_114, 0.362_593, 0.237_897]),
        ];
        let recorded = recorded(vec![bins()], Vec::new());
        let comparison = Comparison::new(&spec(&[0.0, 0.1, 1.0]), &recorded, 0.7, 1).unwrap();
        assert_eq!((comparison.train_bins(), comparison.held_out_bins()), (0..4200, 4200..6000));
        assert_eq!(comparison.held_out_transitions(), 1800, "the first held-out bin is scored too");
        for (estimator, bits) in expected {
            let compared = comparison.run(estimator, &mut |_| ()).unwrap();
            assert_eq!(compared.score.spikes.sum(), 1093.0);
            for (point, bits) in compared.path.iter().zip(bits) {
                let found = point.held_out.unwrap();
                assert!(
                    (found - bits).abs() < 1e-3,
                    "{estimator}, ridge {}: {found}, not {bits}",
                    point.ridge
                );
            }
            let chosen = compared.path.iter().find(|point| point.ridge == compared.estimate.ridge).unwrap();
            assert_eq!(chosen.held_out, compared.score.bits_per_spike());
            let best = compared.best_in_hindsight().unwrap();
            assert!(best.held_out >= chosen.held_out);
        }
    }

    #[test]
    fn the_held_out_part_decides_nothing() {
        let whole = bins();
        let cut = 4200;
        // The same first part, then silence but for one spike.
        let mut lists: Vec<Vec<u16>> = (0..cut).map(|t| whole.bin(t).to_vec()).collect();
        lists.resize(BINS as usize, Vec::new());
        lists[5000] = vec![2];
        let other = SpikeBlock::from_lists(0, &lists, N as usize).unwrap();
        let spec = spec(&[0.0, 0.1, 1.0]);
        for estimator in [Estimator::Nmf, Estimator::Exact, Estimator::Online] {
            let run = |bins: SpikeBlock| {
                let recorded = recorded(vec![bins], Vec::new());
                let comparison = Comparison::new(&spec, &recorded, 0.7, 1).unwrap();
                comparison.run(estimator, &mut |_| ()).unwrap()
            };
            let (one, two) = (run(whole.clone()), run(other.clone()));
            assert_eq!(one.estimate, two.estimate);
            let chosen_by = |compared: &Compared| -> Vec<Option<f64>> {
                compared.path.iter().map(|point| point.chosen_by).collect()
            };
            assert_eq!(chosen_by(&one), chosen_by(&two));
            assert_ne!(one.score, two.score);
        }
    }

    #[test]
    fn what_goes_on_to_learn_is_scored_on_the_same_bins() {
        let recorded = recorded(vec![bins()], Vec::new());
        let comparison = Comparison::new(&spec(&[0.1]), &recorded, 0.7, 1).unwrap();
        for estimator in [Estimator::Nmf, Estimator::Exact, Estimator::Online] {
            let frozen = comparison.run(estimator, &mut |_| ()).unwrap();
            let Prequential { score: learning, rates } = comparison.prequential(estimator, 0.1).unwrap();
            assert_eq!((rates.transitions, &rates.spikes), (learning.transitions, &learning.spikes));
            assert!(rates.bits_per_spike().unwrap().abs() < 0.01);
            assert_eq!(learning.transitions, frozen.score.transitions);
            assert_eq!(learning.spikes, frozen.score.spikes);
            // A stationary recording: a little more data changes little.
            let gain = learning.bits_per_spike().unwrap() - frozen.score.bits_per_spike().unwrap();
            assert!(gain.abs() < 0.02, "{estimator}: {gain}");
        }
    }

    #[test]
    fn rates_that_learn_on_follow_a_change() {
        // Neuron 0 goes from every tenth bin to every other one, and nothing else ever fires.
        let every = |t: u64| if t < 4200 { 10 } else { 2 };
        let lists: Vec<Vec<u16>> =
            (0..BINS).map(|t| if t % every(t) == 0 { vec![0] } else { Vec::new() }).collect();
        let recorded = recorded(vec![SpikeBlock::from_lists(0, &lists, N as usize).unwrap()], Vec::new());
        let comparison = Comparison::new(&spec(&[0.1]), &recorded, 0.7, 1).unwrap();
        let rates = comparison.rates_learning_on(&[4200, 5000]);
        // By hand: ln of the odds (K + ½) / (T + 1 − K − ½) before, and after 400 spikes in 800 more transitions.
        let log_odds = |k: f64, t: f64| ((k + 0.5) / (t - k + 0.5)).ln();
        let (old, new) = (log_odds(419.0, 4199.0), log_odds(819.0, 4999.0));
        let nats = 500.0 * (new - old) - 1000.0 * (softplus(new) - softplus(old));
        assert!((rates.gain_bits[0] - nats / LN_2).abs() < 1e-6);
        assert_eq!(rates.spikes[0], 900.0);
    }

    #[test]
    fn estimators_from_trials_predict_with_the_field_of_each_bin() {
        // Trials of 20 bins in which all but one fire at the fifth bin, and by chance otherwise.
        let chance = bins();
        let locked = |t: usize| (0..N as u16).filter(move |&i| usize::from(i) != t / 20 % N as usize);
        let lists: Vec<Vec<u16>> = (0..BINS as usize)
            .map(|t| if t % 20 == 5 { locked(t).collect() } else { chance.bin(t).to_vec() })
            .collect();
        let whole = SpikeBlock::from_lists(0, &lists, N as usize).unwrap();
        let trials: Vec<Trial> =
            (0..BINS / 20).map(|k| Trial { start_bin: 20 * k, stop_bin: 20 * k + 20 }).collect();
        let blocks = trials.iter().map(|t| whole.slice(t.start_bin as usize, t.stop_bin as usize)).collect();
        let recorded = recorded(blocks, trials);
        let comparison = Comparison::new(&spec(&[0.1]), &recorded, 0.7, 1).unwrap();
        let score = |estimator: Estimator| {
            let compared = comparison.run(estimator, &mut |_| ()).unwrap();
            assert!(compared.estimate.status.iter().all(|status| status.has_estimate()), "{estimator}");
            compared.score.bits_per_spike().unwrap()
        };
        assert!(score(Estimator::TrialNmf) > score(Estimator::Nmf) + 0.1);
    }

    #[test]
    fn splits_that_leave_nothing_are_refused() {
        let recorded = recorded(vec![bins().slice(0, 5)], Vec::new());
        for share in [0.0, 1.0, -0.1, f64::NAN] {
            let error = Comparison::new(&spec(&[0.1]), &recorded, share, 1).unwrap_err();
            assert!(matches!(error, ComparisonError::Share { .. }), "{error}");
        }
        let error = Comparison::new(&spec(&[0.1]), &recorded, 0.7, 1).unwrap_err();
        assert_eq!(error, ComparisonError::TooShort { train: 4, held_out: 0 });
    }
}
