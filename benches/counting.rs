//! Cost of counting pairs: both kernels, several densities. `cargo bench --bench counting`
//!
//! Items are bins: divan's `Mitem/s` column is millions of bins per second. Each case first checks that the kernels agree.

use divan::counter::ItemsCount;
use glauber::model::{Lags, SpikeBlock};
use glauber::moments::{Accumulator, Kernel};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const BINS: usize = 2048;
/// `(neurons, active share in per mille)`
const CASES: [(usize, u32); 7] =
    [(100, 10), (100, 100), (1000, 1), (1000, 10), (1000, 30), (1000, 100), (1000, 500)];

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

fn count(bencher: divan::Bencher, (n, per_mille): (usize, u32), kernel: Kernel) {
    let lags = Lags::default();
    let block = bins(n, per_mille);
    let counted = |kernel| {
        let mut counts = Accumulator::new(n, &lags);
        counts.add_newest_with(&block, 0..BINS, kernel);
        counts
    };
    assert_eq!(counted(Kernel::Sparse).counts(), counted(Kernel::Dense).counts());
    let mut counts = counted(kernel);
    bencher.counter(ItemsCount::new(BINS)).bench_local(|| counts.add_newest_with(&block, 0..BINS, kernel));
}

#[divan::bench(args = CASES)]
fn sparse(bencher: divan::Bencher, case: (usize, u32)) {
    count(bencher, case, Kernel::Sparse);
}

#[divan::bench(args = CASES)]
fn dense(bencher: divan::Bencher, case: (usize, u32)) {
    count(bencher, case, Kernel::Dense);
}

/// What a session does: the kernel chosen for the block.
#[divan::bench(args = CASES)]
fn chosen(bencher: divan::Bencher, (n, per_mille): (usize, u32)) {
    let block = bins(n, per_mille);
    let mut counts = Accumulator::new(n, &Lags::default());
    bencher.counter(ItemsCount::new(BINS)).bench_local(|| counts.add_newest(&block, 0..BINS));
}
