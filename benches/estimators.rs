//! Cost of one refresh of the estimates. `cargo bench --bench estimators`

use glauber::kinetic;
use glauber::model::{Estimator, Lags, RowStatus, TapForm};
use glauber::moments::{Accumulator, Counts};
use glauber::simulate::{KineticIsing, KineticSimulation};

const SIZES: [usize; 4] = [100, 300, 410, 1000];

fn main() {
    divan::main();
}

fn counts(n: usize) -> Counts {
    let network = KineticIsing::asymmetric_sk(n, 0.3, 0.0, 1)
        .and_then(|network| network.with_spike_probability(0.05))
        .expect("parameters in range");
    let bins = KineticSimulation::new(&network, 2).bins(20 * n);
    let mut counts = Accumulator::new(n, &Lags::default());
    counts.add_newest(&bins, 0..bins.n_bins());
    counts.counts()
}

fn refresh(bencher: divan::Bencher, n: usize, estimators: &[Estimator]) {
    let counts = counts(n);
    for estimate in kinetic::estimate(&counts, estimators, 0.0) {
        assert!(estimate.status.iter().all(|&s| s != RowStatus::Singular && s.has_estimate()));
        assert!(estimate.couplings.iter().all(|j| j.is_finite()));
    }
    bencher.bench_local(|| kinetic::estimate(divan::black_box(&counts), estimators, 0.0));
}

#[divan::bench(args = SIZES, sample_count = 10)]
fn nmf(bencher: divan::Bencher, n: usize) {
    refresh(bencher, n, &[Estimator::Nmf]);
}

#[divan::bench(args = SIZES, sample_count = 10)]
fn nmf_tap_and_exact_mean_field(bencher: divan::Bencher, n: usize) {
    refresh(bencher, n, &[Estimator::Nmf, Estimator::Tap(TapForm::Preprint), Estimator::ExactMeanField]);
}

/// Ridges that a score could choose among.
const RIDGES: [f64; 8] = [0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 1.0, 2.0];

#[divan::bench(args = [300, 1000], sample_count = 5)]
fn path_of_eight_ridges(bencher: divan::Bencher, n: usize) {
    let counts = counts(n);
    for (found, ridge) in kinetic::path(&counts, &[Estimator::Nmf], &RIDGES).iter().zip(RIDGES) {
        assert_eq!(found[0].couplings, kinetic::estimate(&counts, &[Estimator::Nmf], ridge)[0].couplings);
    }
    bencher.bench_local(|| kinetic::path(divan::black_box(&counts), &[Estimator::Nmf], &RIDGES));
}

#[divan::bench(args = [300, 1000], sample_count = 5)]
fn eight_ridges_one_by_one(bencher: divan::Bencher, n: usize) {
    let counts = counts(n);
    bencher.bench_local(|| {
        RIDGES.map(|ridge| kinetic::estimate(divan::black_box(&counts), &[Estimator::Nmf], ridge))
    });
}
