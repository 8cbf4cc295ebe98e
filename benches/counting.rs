//! Cost of counting pairs, every kernel and instruction set, several densities and lags. `cargo bench --bench counting`
//!
//! Items are bins: divan's `Mitem/s` column is millions of bins per second. Each case first checks that its counts equal those of
//! the direct kernel.

use divan::counter::ItemsCount;
use glauber::model::{Lags, SpikeBlock};
use glauber::moments::{Accumulator, InstructionSet, Kernel};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const BINS: usize = 4096;
/// `(neurons, active share in per mille, lags)`
const CASES: [(usize, u32, u32); 8] = [
    (100, 10, 1),
    (100, 100, 1),
    (1000, 1, 1),
    (1000, 10, 1),
    (1000, 30, 1),
    (1000, 100, 1),
    (1000, 500, 1),
    (1000, 30, 4),
];

fn main() {
    divan::main();
}

fn bins(n_neurons: usize, per_mille: u32) -> SpikeBlock {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let lists: Vec<Vec<u16>> = (0..BINS)
        .map(|_| (0..n_neurons as u16).filter(|_| random.random_range(0..1000) < per_mille).collect())
        .collect();
    SpikeBlock::from_lists(0, &lists, n_neurons).expect("neurons in range")
}

fn count(bencher: divan::Bencher, (n, per_mille, n_lags): (usize, u32, u32), kernel: Option<Kernel>) {
    let lags = Lags::new(&(1..=n_lags).collect::<Vec<_>>()).expect("few lags");
    let block = bins(n, per_mille);
    let add = |counts: &mut Accumulator, kernel| match kernel {
        Some(kernel) => counts.add_newest_with(&block, 0..BINS, kernel),
        None => counts.add_newest(&block, 0..BINS),
    };
    let counted = |kernel| {
        let mut counts = Accumulator::new(n, &lags);
        add(&mut counts, kernel);
        counts
    };
    let mut counts = counted(kernel);
    assert_eq!(counts.counts(), counted(Some(Kernel::Direct)).counts());
    bencher.counter(ItemsCount::new(BINS)).bench_local(|| add(&mut counts, kernel));
}

#[divan::bench(args = CASES)]
fn direct(bencher: divan::Bencher, case: (usize, u32, u32)) {
    count(bencher, case, Some(Kernel::Direct));
}

#[divan::bench(args = CASES)]
fn gathered(bencher: divan::Bencher, case: (usize, u32, u32)) {
    count(bencher, case, Some(Kernel::Gathered));
}

#[divan::bench(args = CASES)]
fn dense_best(bencher: divan::Bencher, case: (usize, u32, u32)) {
    count(bencher, case, Some(Kernel::Dense(InstructionSet::best())));
}

/// Where the processor has no AVX2 this is the portable kernel again.
#[divan::bench(args = CASES)]
fn dense_avx2(bencher: divan::Bencher, case: (usize, u32, u32)) {
    count(bencher, case, Some(Kernel::Dense(InstructionSet::Avx2)));
}

#[divan::bench(args = CASES)]
fn dense_portable(bencher: divan::Bencher, case: (usize, u32, u32)) {
    count(bencher, case, Some(Kernel::Dense(InstructionSet::Portable)));
}

/// What a session does: the kernel chosen for the block.
#[divan::bench(args = CASES)]
fn chosen(bencher: divan::Bencher, case: (usize, u32, u32)) {
    count(bencher, case, None);
}
