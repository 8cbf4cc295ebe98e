//! Cost of archiving a snapshot, fsync and verification included, and of reading it back. `cargo bench --bench archive`

use std::time::SystemTime;

use glauber::archive::{Overwrite, Provenance, read_snapshot, write_snapshot};
use glauber::model::{BinWidth, Estimator, Lags, Neuron, Ridges, SessionMetadata, TapForm, Window};
use glauber::session::{EquilibriumSpec, Session, SessionSpec, Snapshot};
use glauber::simulate::{KineticIsing, KineticSimulation};

const SIZES: [usize; 3] = [100, 410, 1000];

fn main() {
    divan::main();
}

fn snapshot(n: usize) -> Snapshot {
    let spec = SessionSpec {
        name: "bench".to_owned(),
        neurons: (0..n as i64).map(|id| Neuron { id, label: String::new() }).collect(),
        bin_width: BinWidth::from_us(20_000).expect("in range"),
        origin_ns: 0,
        windows: vec![Window::All],
        lags: Lags::default(),
        estimators: vec![Estimator::Nmf, Estimator::Tap(TapForm::Preprint), Estimator::ExactMeanField],
        ridges: Ridges::none(),
        refit_interval_bins: 1000,
        refit_bins_max: 1 << 18,
        score_memory_bins: 1000,
        equilibrium: EquilibriumSpec::default(),
        metadata: SessionMetadata::default(),
        refresh_interval_bins: 1000,
    };
    let network = KineticIsing::asymmetric_sk(n, 0.3, 0.0, 1)
        .and_then(|network| network.with_spike_probability(0.05))
        .expect("parameters in range");
    let mut session = Session::new(spec).expect("a sound specification");
    session.push(&KineticSimulation::new(&network, 2).bins(10 * n), &mut |_| {}).expect("bins in order");
    Snapshot::compute(session.spec().clone(), session.window_counts(0))
}

fn provenance() -> Provenance {
    Provenance {
        session_id: "bench".to_owned(),
        source: "simulated".to_owned(),
        created: SystemTime::UNIX_EPOCH,
        gap_count: 0,
        gap_bins: 0,
    }
}

#[divan::bench(args = SIZES, sample_count = 10)]
fn write(bencher: divan::Bencher, n: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("snapshot.h5");
    let snapshot = snapshot(n);
    bencher.bench_local(|| {
        write_snapshot(&path, &snapshot, &provenance(), Overwrite::Replace).expect("the snapshot is written");
    });
    assert_eq!(read_snapshot(&path).expect("the snapshot reads back").snapshot, snapshot);
}

#[divan::bench(args = SIZES, sample_count = 10)]
fn read(bencher: divan::Bencher, n: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("snapshot.h5");
    let snapshot = snapshot(n);
    write_snapshot(&path, &snapshot, &provenance(), Overwrite::Refuse).expect("the snapshot is written");
    bencher.bench_local(|| read_snapshot(&path).expect("the snapshot reads back"));
}
