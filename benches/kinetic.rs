//! Cost of exact maximum likelihood on a window. `cargo bench --bench kinetic`
//!
//! Two threads. Each case first checks that every row converges. Naive mean field, from the same counts, for comparison in
//! `estimators`; other programs on the same bins in `compare_kinetic.py`.

use glauber::kinetic::{ExactOptions, exact};
use glauber::model::{Lags, Runs};
use glauber::moments::{Accumulator, Counts};
use glauber::simulate::{KineticIsing, KineticSimulation};

fn main() {
    divan::main();
}

fn window(n: usize, bins: usize, coupling_std: f64, probability: f64) -> (Runs, Counts) {
    let network = KineticIsing::asymmetric_sk(n, coupling_std, 0.0, 1)
        .and_then(|network| network.with_spike_probability(probability))
        .expect("parameters in range");
    let block = KineticSimulation::new(&network, 2).bins(bins);
    let mut counts = Accumulator::new(n, &Lags::default());
    counts.add_newest(&block, 0..block.n_bins());
    (Runs { n_neurons: n, blocks: vec![block] }, counts.counts())
}

fn fit(bencher: divan::Bencher, (runs, counts): (Runs, Counts), ridge: f64) {
    let options = ExactOptions { ridge, threads: 2, ..ExactOptions::default() };
    let estimate = exact(&runs, &counts, &options, None);
    assert_eq!(estimate.n_ok(), runs.n_neurons);
    assert!(estimate.convergence.is_some_and(|c| c.gradient_norm.iter().all(|&norm| norm <= 1e-8)));
    bencher.bench_local(|| exact(divan::black_box(&runs), &counts, &options, None));
}

/// 100 neurons, 10⁵ bins, every other bin active.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn half_active_100_neurons(bencher: divan::Bencher) {
    fit(bencher, window(100, 100_000, 0.5, 0.5), 0.0);
}

/// 40 neurons, 10⁵ bins, 2 % active.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn sparse_40_neurons(bencher: divan::Bencher) {
    fit(bencher, window(40, 100_000, 0.5, 0.02), 0.1);
}

/// 1000 neurons, 10 minutes of 1 ms, 1 % active.
#[divan::bench(sample_count = 1, sample_size = 1)]
fn sparse_1000_neurons(bencher: divan::Bencher) {
    fit(bencher, window(1000, 600_000, 0.5, 0.01), 0.1);
}
