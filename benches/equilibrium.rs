//! Cost of equilibrium models on a window. `cargo bench --bench equilibrium`
//!
//! Two threads where a method takes them. Each case first checks what it fits. Other programs on the same bins in `compare_equilibrium.py`.

use glauber::equilibrium::{
    ErasureOptions, HopfieldOptions, MeanFieldOptions, PseudoLikelihoodOptions, Samples, erasure_machine,
    hopfield, pseudo_likelihood, tap,
};
use glauber::model::{EquilibriumDiagnostics, EquilibriumModel, Ridges, RowStatus, Runs};
use glauber::simulate::{EquilibriumIsing, GibbsSampler};

fn main() {
    divan::main();
}

/// Bins of a network with couplings from N(0, g²/n); every field lowered by `silence`.
fn samples(n: usize, bins: usize, g: f64, silence: f64) -> Samples {
    let mut model = EquilibriumIsing::sk(n, g, g, 1).expect("a network");
    model.fields -= silence;
    let mut chain = GibbsSampler::new(&model, 2).burnt_in();
    Samples::of(&Runs { n_neurons: n, blocks: vec![chain.bins(bins, 5)] })
}

/// Every neuron has an estimate, and standard errors if they were asked for.
fn check(model: &EquilibriumModel, errors: bool) {
    assert!(model.status.iter().all(|&status| status == RowStatus::Ok), "{:?}", model.status);
    assert!(model.couplings.iter().any(|&coupling| coupling != 0.0));
    assert_eq!(model.errors.is_some(), errors);
}

fn scan(bencher: divan::Bencher, samples: &Samples, errors: bool) {
    let options = ErasureOptions { threads: 2, errors, stop_after_falls: None, ..ErasureOptions::default() };
    let model = erasure_machine(samples, &options).expect("options in range");
    let EquilibriumDiagnostics::Erasure { path, .. } = &model.diagnostics else {
        panic!("not of the erasure machine");
    };
    assert!(path.len() == 20 && path.iter().all(|step| step.converged));
    check(&model, errors);
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
    check(&hopfield(&samples, &HopfieldOptions::default()).expect("options in range"), true);
    bencher.bench_local(|| hopfield(divan::black_box(&samples), &HopfieldOptions::default()));
}

/// Standard errors included.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn tap_100_neurons(bencher: divan::Bencher) {
    let samples = samples(100, 10_000, 0.5, 0.0);
    check(&tap(&samples, &MeanFieldOptions::default()).expect("options in range"), true);
    bencher.bench_local(|| tap(divan::black_box(&samples), &MeanFieldOptions::default()));
}

/// Without a ridge and without standard errors.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn pseudo_likelihood_100_neurons(bencher: divan::Bencher) {
    let samples = samples(100, 10_000, 0.5, 0.0);
    let options = PseudoLikelihoodOptions {
        ridges: Ridges::none(),
        errors: false,
        threads: 2,
        ..PseudoLikelihoodOptions::default()
    };
    check(&pseudo_likelihood(&samples, &options).expect("options in range"), false);
    bencher.bench_local(|| pseudo_likelihood(divan::black_box(&samples), &options));
}
