//! Cost of estimates and of one refresh, on one thread.
//!
//! ```text
//! cargo bench --bench estimators                  (-- NEURONS..., by default 100 300 1000; -- 5000 takes minutes)
//! ```
//!
//! Random sparse recordings (1 % active, each bin partly a copy of the one before). Prints, per line, `n = N, WHAT: median MS ms (min MS
//! ms)`: the estimators of moments alone and together; a refresh as the daemon makes it, scoring of the 1,000 newest bins (`observe`)
//! and new estimates (`publish`), with one ridge and with the default ones; what publishing adds when someone asks for q or the strongest
//! pairs; and one symmetric eigendecomposition, after which each ridge takes one product of matrices, beside one Cholesky factorization
//! with its solves for each. Checks that estimates are finite, and that a path of ridges gives what its ridges give alone.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::Solve;
use faer::{Accum, Mat, Par, Side};
use glauber::kinetic;
use glauber::model::{
    BinWidth, Estimate, Estimator, Lags, Neuron, Ridges, SessionMetadata, Significance, SpikeBlock, TapForm,
    Window,
};
use glauber::moments::{Accumulator, Counts};
use glauber::session::{EquilibriumSpec, Session, SessionSpec, Tracker};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const MEAN_FIELD: [Estimator; 3] =
    [Estimator::Nmf, Estimator::Tap(TapForm::Preprint), Estimator::ExactMeanField];
const RIDGE: f64 = 0.1;
/// New bins at each refresh.
const NEWEST: usize = 1000;

fn main() {
    let given: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    for n in if given.is_empty() { vec![100, 300, 1000] } else { given } {
        let repeats = (10_000 / n).clamp(3, 15);
        let bench = Bench { n, repeats };
        let counts = bench.estimators();
        bench.queries(&counts);
        for (name, ridges) in [("one ridge", Ridges::new(&[RIDGE])), ("default ridges", Ok(Ridges::auto()))] {
            bench.refresh(name, ridges.expect("a ridge"));
        }
        if n <= 3000 {
            bench.eigendecomposition(&counts);
        }
    }
}

struct Bench {
    n: usize,
    repeats: usize,
}

impl Bench {
    fn time<R>(&self, what: &str, mut work: impl FnMut() -> R) {
        let times = (0..self.repeats).map(|_| {
            let began = Instant::now();
            black_box(work());
            began.elapsed().as_secs_f64()
        });
        self.report(what, times.collect());
    }

    fn report(&self, what: &str, mut seconds: Vec<f64>) {
        seconds.sort_by(f64::total_cmp);
        let (median, least) = (1e3 * seconds[seconds.len() / 2], 1e3 * seconds[0]);
        println!("n = {}, {what}: median {median:.2} ms (min {least:.2} ms)", self.n);
    }

    fn estimators(&self) -> Counts {
        let block = bins(self.n, 20_000.max(4 * self.n), 1);
        let mut counts = Accumulator::new(self.n, &Lags::default());
        counts.add_newest(&block, 0..block.n_bins());
        let counts = counts.counts();
        for ridge in [0.0, RIDGE] {
            let together = kinetic::estimate(&counts, &MEAN_FIELD, ridge);
            for (estimator, found) in MEAN_FIELD.into_iter().zip(&together) {
                assert!(found.couplings.iter().chain(&found.fields).all(|v| v.is_finite()));
                assert_eq!(kinetic::estimate(&counts, &[estimator], ridge)[0].couplings, found.couplings);
                let name = format!("{estimator}, ridge {ridge}");
                self.time(&name, || kinetic::estimate(&counts, &[estimator], ridge));
            }
            let name = format!("nmf, tap and exact-mean-field, ridge {ridge}");
            self.time(&name, || kinetic::estimate(&counts, &MEAN_FIELD, ridge));
        }
        counts
    }

    fn queries(&self, counts: &Counts) {
        let estimate: Estimate = kinetic::estimate(counts, &[Estimator::Nmf], RIDGE).remove(0);
        let significance = Significance::of(&estimate);
        assert_eq!(significance.couplings_q(&estimate).dim(), (self.n, self.n));
        self.time("ranking for q", || Significance::of(&estimate));
        self.time("q of all couplings", || significance.couplings_q(&estimate));
        self.time("strongest 20 pairs", || estimate.strongest_pairs(20));
        self.time("strongest 100000 pairs", || estimate.strongest_pairs(100_000));
    }

    fn refresh(&self, name: &str, ridges: Ridges) {
        let spec = spec(self.n, ridges);
        let mut session = Session::new(spec.clone()).expect("a session");
        let mut tracker = Tracker::new(Arc::new(spec), Tracker::LIVE_WORK_MAX);
        let (mut observed, mut published, mut total) = (Vec::new(), Vec::new(), Vec::new());
        let mut through = 0;
        // Everything is there, and has been scored, at the third.
        let refreshes = self.repeats + 2;
        let block = bins(self.n, NEWEST * refreshes, 2);
        for k in 0..refreshes {
            session.push(&block.slice(NEWEST * k, NEWEST * (k + 1)), &mut |_| {}).expect("bins");
            let windows = vec![session.window_counts(0)];
            let newest = session.newest_bins(through);
            through = session.next_bin();
            let began = Instant::now();
            tracker.observe(&windows, &newest.bins.runs(), &newest.trials);
            let observing = began.elapsed().as_secs_f64();
            let snapshots = tracker.publish(windows, None);
            let all = began.elapsed().as_secs_f64();
            assert_eq!(snapshots[0].estimates.len(), MEAN_FIELD.len());
            if k >= 2 {
                observed.push(observing);
                published.push(all - observing);
                total.push(all);
            }
        }
        self.report(&format!("refresh with {name}, observe"), observed);
        self.report(&format!("refresh with {name}, publish"), published);
        self.report(&format!("refresh with {name}, total"), total);
    }

    fn eigendecomposition(&self, counts: &Counts) {
        let (n, c, d) = (self.n, counts.equal_time_correlations(), counts.lags[0].delayed_correlations());
        let c = Mat::from_fn(n, n, |i, j| c[[i, j]]);
        let transposed = Mat::from_fn(n, n, |i, j| d[[j, i]]);
        let ridged = || Mat::from_fn(n, n, |i, j| c[(i, j)] + if i == j { RIDGE } else { 0.0 });
        self.time("Cholesky factorization and solves of one ridge", || {
            let mut solved = transposed.clone();
            ridged().llt(Side::Lower).expect("a factor").solve_in_place(solved.as_mut());
            solved
        });
        let decompose = || c.self_adjoint_eigen(Side::Lower).expect("eigenvalues");
        self.time("eigendecomposition", decompose);
        let eigen = decompose();
        let mut product = Mat::zeros(n, n);
        self.time("product of matrices of one ridge", || {
            matmul(product.as_mut(), Accum::Replace, eigen.U(), transposed.as_ref(), 1.0, Par::Seq);
        });
    }
}

/// Random bins, 1 % of the neurons active, each bin with a neighbour of one of the bin before.
fn bins(n: usize, n_bins: usize, seed: u64) -> SpikeBlock {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut lists: Vec<Vec<u16>> = Vec::with_capacity(n_bins);
    for t in 0..n_bins {
        let mut active: Vec<u16> = (0..n.div_ceil(100)).map(|_| rng.random_range(0..n) as u16).collect();
        if let Some(&first) = t.checked_sub(1).and_then(|before| lists[before].first()) {
            active.push((first + 1) % n as u16);
        }
        active.sort_unstable();
        active.dedup();
        lists.push(active);
    }
    SpikeBlock::from_lists(0, &lists, n).expect("bins")
}

fn spec(n: usize, ridges: Ridges) -> SessionSpec {
    SessionSpec {
        name: String::new(),
        neurons: (0..n as i64).map(|id| Neuron { id, label: String::new() }).collect(),
        bin_width: BinWidth::from_us(1000).expect("a width"),
        origin_ns: 0,
        windows: vec![Window::All],
        lags: Lags::default(),
        estimators: MEAN_FIELD.to_vec(),
        ridges,
        refresh_interval_bins: 1 << 30,
        refit_interval_bins: 1 << 30,
        refit_bins_max: 1 << 16,
        score_memory_bins: 600_000,
        equilibrium: EquilibriumSpec::default(),
        metadata: SessionMetadata::default(),
    }
}
