//! Seeded spikes.

use glauber::model::{BinWidth, Estimator, Lags, Neuron, Ridges, SessionMetadata, SpikeBlock, Window};
use glauber::session::{EquilibriumSpec, SessionSpec};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Bins of which each neuron is active in a share, independently.
pub(crate) fn independent(n: usize, share: f64, bins: usize) -> SpikeBlock {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut block = SpikeBlock::empty(0);
    for _ in 0..bins {
        let active: Vec<u16> = (0..n as u16).filter(|_| random.random_bool(share)).collect();
        block.push_sorted(&active);
    }
    block
}

/// Bins with so many neurons drawn, and often a neighbour of one of the bin before; quick to make where few are active.
pub(crate) fn sparse(n: usize, drawn: usize, bins: usize, seed: u64) -> SpikeBlock {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut block = SpikeBlock::empty(0);
    let mut last = None;
    for _ in 0..bins {
        let mut active: Vec<u16> = (0..drawn).map(|_| random.random_range(0..n) as u16).collect();
        active.extend(last);
        active.sort_unstable();
        active.dedup();
        last = active.first().map(|&first| ((usize::from(first) + 1) % n) as u16);
        block.push_sorted(&active);
    }
    block
}

/// A session of 1 ms bins with naive mean field at one ridge.
pub(crate) fn session(n: usize, windows: &[&str]) -> SessionSpec {
    SessionSpec {
        name: String::new(),
        neurons: (0..n as i64).map(|id| Neuron { id, label: String::new() }).collect(),
        bin_width: BinWidth::from_us(1000).expect("a width"),
        origin_ns: 0,
        windows: windows.iter().map(|window| window.parse::<Window>().expect("a window")).collect(),
        lags: Lags::default(),
        estimators: vec![Estimator::Nmf],
        ridges: Ridges::new(&[0.1]).expect("a ridge"),
        refresh_interval_bins: 1000,
        refit_interval_bins: 1 << 40,
        refit_bins_max: 1000,
        score_memory_bins: 1000,
        equilibrium: EquilibriumSpec::default(),
        metadata: SessionMetadata::default(),
    }
}
