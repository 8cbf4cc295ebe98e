//! What a session pays for a bin: ring, counts and windows, as they are taken up in batches. `cargo bench --bench session`
//!
//! Prints the median time per bin in µs of several stretches, on one thread. Before that, the counts of each window are compared with
//! those of the bins it holds, counted anew.

use std::ops::Range;
use std::time::Instant;

use glauber::model::{BinWidth, Lags, Neuron, Runs, SpikeBlock, Window};
use glauber::moments::Accumulator;
use glauber::session::{EquilibriumSpec, Session, SessionSpec};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Neurons, active share, bins of a stretch.
const CASES: [(usize, f64, usize); 7] = [
    (100, 0.01, 20_000),
    (100, 0.1, 20_000),
    (1000, 0.01, 20_000),
    (1000, 0.1, 20_000),
    (1000, 0.5, 10_000),
    (3000, 0.005, 10_000),
    (10_000, 0.005, 5_000),
];
const BATCHES: [usize; 3] = [1, 10, 1000];
const STRETCHES: usize = 4;

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    println!("neurons  active  batch  µs/bin  (two windows besides the whole session)");
    for (n, share, bins) in CASES {
        let all = spikes(n, share, bins * STRETCHES);
        for batch in BATCHES {
            println!("{n:>7}  {share:>6}  {batch:>5}  {:>6.3}", per_bin_us(n, &all, bins, batch));
        }
    }
}

fn spikes(n: usize, share: f64, bins: usize) -> SpikeBlock {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut block = SpikeBlock::empty(0);
    for _ in 0..bins {
        let active: Vec<u16> = (0..n as u16).filter(|_| random.random_bool(share)).collect();
        block.push_sorted(&active);
    }
    block
}

fn per_bin_us(n: usize, all: &SpikeBlock, bins: usize, batch: usize) -> f64 {
    let mut session = Session::new(spec(n, bins as u64)).expect("a session");
    let messages: Vec<SpikeBlock> = (0..all.n_bins())
        .step_by(batch)
        .map(|from| all.slice(from, all.n_bins().min(from + batch)))
        .collect();
    let mut times = Vec::new();
    for stretch in messages.chunks(bins / batch) {
        let began = Instant::now();
        for block in stretch {
            session.push(block, &mut |_| {}).expect("bins in order");
        }
        times.push(began.elapsed().as_secs_f64());
    }
    for window in 0..3 {
        let counted = session.window_counts(window);
        let mut anew = Accumulator::new(n, &Lags::default());
        anew.add_runs(&part(all, counted.first_bin..counted.end_bin), 0..u64::MAX);
        assert!(anew.counts() == *counted.counts, "window {window} of {n} neurons");
    }
    // The first stretch fills the windows.
    let mut settled = times.split_off(1);
    settled.sort_by(f64::total_cmp);
    settled[settled.len() / 2] / bins as f64 * 1e6
}

fn part(all: &SpikeBlock, bins: Range<u64>) -> Runs {
    let runs = Runs { n_neurons: 1 << 14, blocks: vec![all.clone()] };
    runs.range(bins)
}

/// 1 ms bins; windows of half a stretch and a whole one.
fn spec(n: usize, bins: u64) -> SessionSpec {
    let window = |bins: u64| format!("{bins}ms").parse::<Window>().expect("a window");
    SessionSpec {
        name: String::new(),
        neurons: (0..n as i64).map(|id| Neuron { id, label: String::new() }).collect(),
        bin_width: BinWidth::from_us(1000).expect("a width"),
        origin_ns: 0,
        windows: vec![window(bins / 2), window(bins), "all".parse().expect("a window")],
        lags: Lags::default(),
        estimators: vec![glauber::model::Estimator::Nmf],
        ridges: glauber::model::Ridges::auto(),
        refresh_interval_bins: 1000,
        refit_interval_bins: 1 << 40,
        refit_bins_max: 1000,
        score_memory_bins: 1000,
        equilibrium: EquilibriumSpec::default(),
        metadata: glauber::model::SessionMetadata::default(),
    }
}
