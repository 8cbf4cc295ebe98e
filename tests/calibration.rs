//! Intervals, p and q hold what they promise on simulated networks whose couplings are known.
//!
//! Mean field estimators are biased, by an amount that more data does not shrink, while the standard error does shrink: every claim here
//! is for recordings short enough, or couplings weak enough, that the bias is small next to the standard error. Where it is
//! not, a test says by how much the coverage falls short, so that nobody takes the intervals for more than they are.

use glauber::kinetic::{self, ExactOptions};
use glauber::model::{Estimate, Estimator, Lags, Runs, Significance, SpikeBlock, TapForm};
use glauber::moments::{Accumulator, Counts};
use glauber::simulate::{KineticIsing, KineticSimulation};
use ndarray::{Array1, Array2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// `Φ⁻¹(0.975)`: the 95 % interval is the estimate ± so many standard errors.
const Z_95: f64 = 1.959_963_984_540_054;

/// How one estimator gets from bins of so many neurons to an estimate: an estimator is added here with one line.
struct Fit {
    name: &'static str,
    run: fn(&SpikeBlock, usize) -> Estimate,
}

const NMF: Fit = Fit { name: "nmf", run: |bins, n| of_moments(bins, n, Estimator::Nmf) };
const TAP: Fit = Fit { name: "tap", run: |bins, n| of_moments(bins, n, Estimator::Tap(TapForm::Preprint)) };
const EXACT_MEAN_FIELD: Fit =
    Fit { name: "exact-mean-field", run: |bins, n| of_moments(bins, n, Estimator::ExactMeanField) };

const EXACT: Fit = Fit { name: "exact", run: |bins, n| maximum_likelihood(bins, n, 0.0) };

fn count(bins: &SpikeBlock, n: usize) -> Counts {
    let mut counts = Accumulator::new(n, &Lags::default());
    counts.add_newest(bins, 0..bins.n_bins());
    counts.counts()
}

fn maximum_likelihood(bins: &SpikeBlock, n: usize, ridge: f64) -> Estimate {
    let runs = Runs { n_neurons: n, blocks: vec![bins.clone()] };
    let options = ExactOptions { ridge, threads: 2, ..ExactOptions::default() };
    kinetic::exact(&runs, &count(bins, n), &options, None)
}

fn of_moments(bins: &SpikeBlock, n: usize, estimator: Estimator) -> Estimate {
    kinetic::estimate(&count(bins, n), &[estimator], 0.0).remove(0)
}

/// Simulated recordings: as many networks as recordings, each drawn anew.
struct Setting {
    n: usize,
    coupling_std: f64,
    /// Probability of a spike in a bin.
    rate: f64,
    n_bins: usize,
    n_recordings: u64,
}

impl Setting {
    fn recordings(&self) -> impl Iterator<Item = (KineticIsing, SpikeBlock)> {
        (0..self.n_recordings).map(|seed| {
            let network = KineticIsing::asymmetric_sk(self.n, self.coupling_std, 0.0, seed)
                .and_then(|network| network.with_spike_probability(self.rate))
                .unwrap();
            let bins = KineticSimulation::new(&network, 10_000 + seed).bins(self.n_bins);
            (network, bins)
        })
    }

    /// Share of couplings and of fields whose 95 % interval holds the truth, for each way to fit.
    fn coverage(&self, fits: &[Fit]) -> Vec<Coverage> {
        let mut coverage = vec![Coverage::default(); fits.len()];
        for (network, bins) in self.recordings() {
            for (coverage, fit) in coverage.iter_mut().zip(fits) {
                coverage.add(&network, &(fit.run)(&bins, self.n));
            }
        }
        for (coverage, fit) in coverage.iter().zip(fits) {
            let (couplings, fields) = (coverage.couplings.share(), coverage.fields.share());
            println!(
                "n {}, g {}, rate {}, {} bins, {:17} couplings {couplings:.4}, fields {fields:.4}",
                self.n, self.coupling_std, self.rate, self.n_bins, fit.name
            );
        }
        coverage
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    inside: u32,
    all: u32,
}

impl Tally {
    fn add(&mut self, inside: bool) {
        self.inside += u32::from(inside);
        self.all += 1;
    }

    fn share(self) -> f64 {
        f64::from(self.inside) / f64::from(self.all)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Coverage {
    couplings: Tally,
    fields: Tally,
}

impl Coverage {
    fn add(&mut self, network: &KineticIsing, estimate: &Estimate) {
        assert_eq!(estimate.n_ok(), estimate.n_neurons(), "{}: rows not OK", estimate.estimator);
        for ((i, j), coupling) in estimate.couplings.indexed_iter() {
            let error = coupling - network.couplings[[i, j]];
            self.couplings.add(error.abs() <= Z_95 * estimate.standard_error(i, j).unwrap());
        }
        for (i, field) in estimate.fields.indexed_iter() {
            let error = field - network.fields[i];
            self.fields.add(error.abs() <= Z_95 * estimate.field_standard_error(i).unwrap());
        }
    }

    fn assert_nominal(self) {
        for tally in [self.couplings, self.fields] {
            // Two per cent are more than three standard deviations of a share of 0.95 of as many as these.
            assert!(tally.all >= 1200, "{} intervals are too few", tally.all);
            assert!((0.93..=0.97).contains(&tally.share()), "coverage {}", tally.share());
        }
    }
}

/// 60 recordings of 20 neurons, 20,000 bins each: 24,000 intervals of couplings and 1200 of fields.
fn recordings_of_20(coupling_std: f64, rate: f64) -> Setting {
    Setting { n: 20, coupling_std, rate, n_bins: 20_000, n_recordings: 60 }
}

#[test]
fn intervals_hold_for_weak_couplings() {
    for setting in [recordings_of_20(0.1, 0.5), recordings_of_20(0.2, 0.5)] {
        for coverage in setting.coverage(&[NMF, TAP, EXACT_MEAN_FIELD, EXACT]) {
            coverage.assert_nominal();
        }
    }
}

/// At g = 0.3 naive mean field falls short: its couplings are too small by a factor 1 − F with F near g², 9 %, which is 0.8
/// standard errors of a typical coupling. The corrections remove that.
#[test]
fn intervals_hold_at_intermediate_couplings_with_a_correction_and_not_without() {
    for setting in [
        recordings_of_20(0.3, 0.5),
        Setting { n: 30, coupling_std: 0.3, rate: 0.5, n_bins: 20_000, n_recordings: 40 },
    ] {
        let coverage = setting.coverage(&[TAP, EXACT_MEAN_FIELD, EXACT, NMF]);
        coverage[..3].iter().for_each(|coverage| coverage.assert_nominal());
        let short = coverage[3].couplings.share();
        assert!((0.85..0.93).contains(&short), "naive mean field covers {short}");
    }
}

#[test]
fn intervals_hold_at_a_low_rate_for_weak_couplings() {
    for coverage in recordings_of_20(0.1, 0.1).coverage(&[NMF, TAP, EXACT_MEAN_FIELD]) {
        coverage.assert_nominal();
    }
}

/// At a spike probability of 0.1 the bias is larger than at 0.5. A field carries the errors of 20 couplings times the senders'
/// magnetizations of −0.8, so fields fall short first: 0.74 at g = 0.3, where couplings still have 0.92. This is the bias of the estimators
/// and not of their standard errors: with a quarter of the bins the same networks are covered better.
#[test]
fn intervals_fall_short_at_a_low_rate_and_stronger_couplings() {
    let long = recordings_of_20(0.3, 0.1);
    let short = Setting { n_bins: long.n_bins / 4, ..recordings_of_20(0.3, 0.1) };
    let fits = [TAP, EXACT_MEAN_FIELD];
    for (long, short) in long.coverage(&fits).into_iter().zip(short.coverage(&fits)) {
        assert!((0.9..0.935).contains(&long.couplings.share()), "{}", long.couplings.share());
        assert!((0.65..0.8).contains(&long.fields.share()), "{}", long.fields.share());
        assert!((0.93..0.97).contains(&short.couplings.share()), "{}", short.couplings.share());
        assert!(short.fields.share() > long.fields.share() + 0.05, "{}", short.fields.share());
    }
}

/// Where the mean field estimators fall short, maximum likelihood does not.
#[test]
fn intervals_of_maximum_likelihood_hold_at_a_low_rate_and_stronger_couplings() {
    recordings_of_20(0.3, 0.1).coverage(&[EXACT])[0].assert_nominal();
}

/// Every coupling between different neurons is ± `size` with probability `share` and exactly zero otherwise; no self-couplings.
fn sparse_network(n: usize, share: f64, size: f64, rate: f64, seed: u64) -> KineticIsing {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let couplings = Array2::from_shape_fn((n, n), |(i, j)| {
        let (drawn, sign): (f64, bool) = (random.random(), random.random());
        match (i != j && drawn < share, sign) {
            (false, _) => 0.0,
            (true, true) => size,
            (true, false) => -size,
        }
    });
    KineticIsing { couplings, fields: Array1::zeros(n) }.with_spike_probability(rate).unwrap()
}

/// Mean share of false discoveries with its standard error, and of true couplings found, over many sparse networks.
struct Discoveries {
    false_share: f64,
    false_share_error: f64,
    found_share: f64,
}

fn discoveries(fit: &Fit, rate: f64, size_in_errors: f64, level: f64) -> Discoveries {
    const N: usize = 30;
    const N_BINS: usize = 20_000;
    const NETWORKS: u64 = 60;
    // SE(J)² ≈ 1 / (T C_jj ⟨1 − tanh² θ⟩), both factors 4 p (1 − p).
    let size = size_in_errors / ((N_BINS as f64).sqrt() * 4.0 * rate * (1.0 - rate));
    let (mut false_shares, mut found_shares) = (Vec::new(), Vec::new());
    for seed in 0..NETWORKS {
        let network = sparse_network(N, 0.1, size, rate, seed);
        let bins = KineticSimulation::new(&network, 20_000 + seed).bins(N_BINS);
        let estimate = (fit.run)(&bins, N);
        let found = Significance::of(&estimate).significant_pairs(&estimate, level);
        let is_false = |i: usize, j: usize| network.couplings[[i, j]] == 0.0;
        let n_false = found.iter().filter(|pair| is_false(pair.receiver, pair.sender)).count();
        let n_true = network.couplings.iter().filter(|&&j| j != 0.0).count();
        false_shares.push(n_false as f64 / found.len().max(1) as f64);
        found_shares.push((found.len() - n_false) as f64 / n_true as f64);
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let false_share = mean(&false_shares);
    let variance = mean(&false_shares.iter().map(|v| (v - false_share).powi(2)).collect::<Vec<_>>());
    let false_share_error = (variance / NETWORKS as f64).sqrt();
    let found_share = mean(&found_shares);
    println!(
        "{:17} rate {rate}, J {size:.3}, q < {level}: false {false_share:.4} ± {false_share_error:.4}, found {found_share:.3}",
        fit.name
    );
    Discoveries { false_share, false_share_error, found_share }
}

#[test]
fn the_share_of_false_discoveries_is_what_q_promises() {
    const LEVEL: f64 = 0.05;
    for fit in [NMF, TAP, EXACT_MEAN_FIELD, EXACT] {
        for rate in [0.5, 0.1] {
            let Discoveries { false_share, false_share_error, found_share } =
                discoveries(&fit, rate, 4.0, LEVEL);
            assert!(false_share <= LEVEL + 3.0 * false_share_error, "{}: {false_share}", fit.name);
            // Nine pairs in ten are not coupled, so that the expected share is 0.9 × 0.05: p that are too large would show here.
            assert!(false_share >= 0.9 * LEVEL - 3.0 * false_share_error, "{}: {false_share}", fit.name);
            // A normal of mean 4 passes the threshold of about |z| = 2.8 with probability 0.88.
            assert!(found_share > 0.8, "{}: {found_share} of the couplings are found", fit.name);
        }
    }
}

#[test]
fn without_couplings_hardly_ever_is_one_found() {
    // With nothing to find every discovery is false, and a recording has one with a probability of 0.05.
    let setting = Setting { n_bins: 5000, n_recordings: 100, ..recordings_of_20(0.0, 0.5) };
    let found = |(_, bins): (KineticIsing, SpikeBlock)| {
        Significance::of(&(NMF.run)(&bins, setting.n)).n_significant(0.05) > 0
    };
    let n_with_one = setting.recordings().map(found).filter(|&found| found).count();
    // 100 draws at 0.05: mean 5, standard deviation 2.2.
    println!("{n_with_one} of 100 recordings without couplings have a discovery");
    assert!(n_with_one <= 11, "{n_with_one}");
}

/// With a ridge, q tests a shrunken coupling, into which leaks what correlated senders do. Neuron 0 drives 1 and 2, so that they fire
/// together, and 1 alone drives 3: with C₁₂ = tanh² 1 = 0.58 the coupling found from 2 to 3 is
/// `0.58 λ / ((1 + λ)² − 0.58²)` times that from 1, though it is zero.
#[test]
fn a_ridge_makes_couplings_significant_that_are_zero() {
    const N: usize = 4;
    let mut couplings = Array2::zeros((N, N));
    (couplings[[1, 0]], couplings[[2, 0]], couplings[[3, 1]]) = (1.0, 1.0, 0.3);
    let network = KineticIsing { couplings, fields: Array1::zeros(N) };
    let bins = KineticSimulation::new(&network, 1).bins(20_000);
    let counts = count(&bins, N);
    let nmf = |ridge: f64| kinetic::estimate(&counts, &[Estimator::Nmf], ridge).remove(0);
    let exact = |ridge: f64| maximum_likelihood(&bins, N, ridge);
    let fits: [&dyn Fn(f64) -> Estimate; 2] = [&nmf, &exact];
    for fit in fits {
        let z_and_q = |ridge: f64| {
            let estimate = fit(ridge);
            let z = estimate.couplings[[3, 2]] / estimate.standard_error(3, 2).unwrap();
            let q = Significance::of(&estimate).coupling_q(&estimate, 3, 2).unwrap();
            println!("{:6} ridge {ridge}: z {z:.2}, q {q:.1e}", estimate.estimator);
            (z, q)
        };
        let (z, q) = z_and_q(0.0);
        assert!(z.abs() < 2.5 && q > 0.05, "without a ridge z {z}, q {q}");
        let mut before = z;
        for ridge in [0.03, 0.1, 0.3, 1.0] {
            let (z, q) = z_and_q(ridge);
            assert!(z > before, "ridge {ridge}: z {z} after {before}");
            assert!(ridge < 0.3 || q < 1e-6, "ridge {ridge}: q {q}");
            before = z;
        }
    }
}
