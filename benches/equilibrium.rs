//! Cost of equilibrium models on a window. `cargo bench --bench equilibrium`
//!
//! Two threads where a method takes them. Each case first checks what it fits. Other programs on the same bins in `compare_equilibrium.py`.

use glauber::equilibrium::{
    ErasureOptions, HopfieldOptions, MeanFieldOptions, Samples, erasure_machine, hopfield, tap,
};
use glauber::model::{EquilibriumDiagnostics, Runs};
use glauber::simulate::{EquilibriumIsing, GibbsSampler};
use ndarray::{Array1, Array2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

fn main() {
    divan::main();
}

/// Bins of a network with couplings from N(0, g²/n); every field lowered by `silence`.
fn samples(n: usize, bins: usize, g: f64, silence: f64) -> Samples {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let normal = Normal::new(0.0, g / (n as f64).sqrt()).expect("a standard deviation");
    let fields = Array1::from_shape_fn(n, |_| normal.sample(&mut random) - silence);
    let mut couplings = Array2::zeros((n, n));
    for i in 0..n {
        for j in 0..i {
            couplings[[i, j]] = normal.sample(&mut random);
            couplings[[j, i]] = couplings[[i, j]];
        }
    }
    let model = EquilibriumIsing { couplings, fields };
    let mut chain = GibbsSampler::new(&model, 2);
    (0..500).for_each(|_| chain.sweep());
    Samples::of(&Runs { n_neurons: n, blocks: vec![chain.bins(bins, 5)] })
}

fn scan(bencher: divan::Bencher, samples: &Samples, errors: bool) {
    let options = ErasureOptions { threads: 2, errors, ..ErasureOptions::default() };
    let model = erasure_machine(samples, &options).expect("options in range");
    let EquilibriumDiagnostics::Erasure { path, .. } = &model.diagnostics else {
        panic!("not of the erasure machine");
    };
    assert!(path.iter().all(|step| step.converged) && model.errors.is_some() == errors);
    bencher.bench_local(|| erasure_machine(divan::black_box(samples), &options));
}

/// All 20 ε: 100 neurons, 10⁴ bins, half of all active.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn erasure_half_active_100_neurons(bencher: divan::Bencher) {
    scan(bencher, &samples(100, 10_000, 1.0, 0.0), false);
}

/// The same with standard errors.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn erasure_with_errors_100_neurons(bencher: divan::Bencher) {
    scan(bencher, &samples(100, 10_000, 1.0, 0.0), true);
}

/// All 20 ε: 60 neurons, 30,000 bins, few active.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn erasure_sparse_60_neurons(bencher: divan::Bencher) {
    scan(bencher, &samples(60, 30_000, 0.5, 1.5), false);
}

/// Standard errors included.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn hopfield_100_neurons(bencher: divan::Bencher) {
    let samples = samples(100, 10_000, 1.0, 0.0);
    bencher.bench_local(|| hopfield(divan::black_box(&samples), &HopfieldOptions::default()));
}

/// Standard errors included.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn tap_100_neurons(bencher: divan::Bencher) {
    let samples = samples(100, 10_000, 0.5, 0.0);
    bencher.bench_local(|| tap(divan::black_box(&samples), &MeanFieldOptions::default()));
}
