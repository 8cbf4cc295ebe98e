//! Snapshots as files: what is written reads back bit for bit, appears whole or not at all, and says what it is.
//!
//! When `GLAUBER_PYTHON` names an interpreter with h5py and numpy, `tests/python/check_snapshot.py` recomputes the
//! moments and standard errors of a written file from its counts.
#![cfg(feature = "hdf5")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use glauber::archive::{
    ArchiveError, Overwrite, Provenance, StorageError, describe, read_snapshot, write_snapshot,
};
use glauber::model::{
    ActiveCount, Agreement, BinWidth, BoltzmannDiagnostics, CheckedPair, Convergence, CrossValidated,
    EquilibriumDiagnostics, EquilibriumErrors, EquilibriumMethod, EquilibriumModel, ErasureStep, Estimator,
    Lags, ModelCheck, Neuron, Ridges, RowStatus, RunningScore, SamplingVariance, Score, SessionMetadata,
    SpikeBlock, TrialFields, Window,
};
use glauber::moments::Counts;
use glauber::session::{
    EquilibriumSpec, FittedEquilibrium, Refusal, RidgeScore, ScoredEquilibrium, ScoredEstimate, Session,
    SessionSpec, Snapshot,
};
use glauber::simulate::{KineticIsing, KineticSimulation};
use ndarray::{Array1, Array2};

fn spec(n: usize) -> SessionSpec {
    let neuron = |k: usize| Neuron {
        id: k as i64 * 3 - 1,
        label: if k == 1 { "α shank ".to_owned() } else { String::new() },
    };
    SessionSpec {
        name: "retina, second slice".to_owned(),
        neurons: (0..n).map(neuron).collect(),
        bin_width: BinWidth::from_us(20_000).unwrap(),
        origin_ns: -1_234_567_890,
        windows: vec![Window::Last { ms: 60_000 }, Window::All],
        lags: Lags::new(&[1, 2, 5]).unwrap(),
        estimators: Estimator::MOMENTS.to_vec(),
        ridges: Ridges::new(&[0.1 + 0.2]).unwrap(),
        refit_interval_bins: 5000,
        refit_bins_max: 1 << 20,
        score_memory_bins: 77,
        equilibrium: EquilibriumSpec::default(),
        metadata: SessionMetadata::default(),
        refresh_interval_bins: 500,
    }
}

/// A network in which neuron 0 never fires and the last one fires with the one before it, so that several row
/// statuses occur.
fn snapshot(n: usize, n_bins: usize) -> Snapshot {
    let network = KineticIsing::asymmetric_sk(n, 0.3, 0.0, 5).unwrap().with_spike_probability(0.1).unwrap();
    let simulated = KineticSimulation::new(&network, 7).bins(n_bins);
    let lists: Vec<Vec<u16>> = simulated
        .bins()
        .map(|bin| {
            let (last, twin) = (n as u16 - 1, n as u16 - 2);
            let mut list: Vec<u16> = bin.iter().copied().filter(|&i| i != 0 && i != last).collect();
            if list.contains(&twin) {
                list.push(last);
            }
            list
        })
        .collect();
    let mut session = Session::new(spec(n)).unwrap();
    session.push(&SpikeBlock::from_lists(0, &lists, n).unwrap(), &mut |_| {}).unwrap();
    Snapshot::compute(session.spec().clone(), session.window_counts(0))
}

fn provenance() -> Provenance {
    Provenance {
        session_id: "2f6c".to_owned(),
        source: "retina.nwb".to_owned(),
        created: SystemTime::UNIX_EPOCH + Duration::from_micros(1_717_243_200_123_456),
        gap_count: 2,
        gap_bins: 77,
    }
}

fn write(path: &Path, snapshot: &Snapshot) -> Result<(), ArchiveError> {
    write_snapshot(path, snapshot, &provenance(), Overwrite::Refuse)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_snapshot_reads_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.h5");
    let mut written = snapshot(12, 8000);
    // What `==` would overlook: the sign of a zero.
    Arc::make_mut(&mut written.estimates[0].estimate).fields[0] = -0.0;
    every_part(&mut written.estimates[1]);
    write(&path, &written).unwrap();
    let read = read_snapshot(&path).unwrap();
    assert_eq!(read.snapshot, written);
    assert_eq!(read.provenance, provenance());
    assert_eq!(read.glauber_version, env!("CARGO_PKG_VERSION"));
    assert!(read.snapshot.window.first_bin > 0, "a window that has moved");
    for (a, b) in read.snapshot.estimates.iter().zip(&written.estimates) {
        let (a, b) = (&a.estimate, &b.estimate);
        let bits = |m: &Array2<f64>| m.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&a.couplings), bits(&b.couplings));
        assert_eq!(a.fields[0].to_bits(), b.fields[0].to_bits());
        assert_eq!(a.status[0], RowStatus::Silent);
        assert_eq!(a.status[11], RowStatus::Duplicate);
    }
    assert_eq!(names(folder.path()), ["snapshot.h5"], "no temporary file is left");
}

/// What the estimators of the snapshot leave out.
fn every_part(scored: &mut ScoredEstimate) {
    let n = scored.estimate.n_neurons();
    let estimate = Arc::make_mut(&mut scored.estimate);
    estimate.variance = SamplingVariance::Full {
        couplings: Array2::from_shape_fn((n, n), |(i, j)| 0.1 * i as f64 + 0.3 * j as f64),
        fields: Array1::from_shape_fn(n, |i| 0.7 * i as f64),
        transitions: 4321,
    };
    estimate.convergence =
        Some(Convergence { iterations: (0..n as u32).collect(), gradient_norm: Array1::from_elem(n, 1e-9) });
    estimate.trial_fields = Some(TrialFields {
        fields: Array2::from_shape_fn((n, 5), |(i, t)| i as f64 - 0.1 * t as f64),
        estimated: Array2::from_shape_fn((n, 5), |(i, t)| (i + t) % 2 == 0),
        repeats: vec![3, 3, 3, 2, 2],
    });
    (scored.first_bin, scored.end_bin) = (100, 7000);
    let newer = Score {
        transitions: 500.0,
        spikes: Array1::from_elem(n, 3.0),
        gain_bits: Array1::from_shape_fn(n, |i| i as f64 / 3.0 - 1.0),
    };
    scored.score.add(&newer, 0.5);
    scored.score.add(&newer, 0.9);
    scored.path = vec![
        RidgeScore { ridge: 0.0, bits_per_spike: None },
        RidgeScore { ridge: 0.1 + 0.2, bits_per_spike: Some(-0.25) },
    ];
}

#[test]
fn files_of_version_1_still_open() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/snapshot_v1.h5");
    let stored = read_snapshot(&path).unwrap();
    assert_eq!(describe(&path).unwrap().ridges.fixed(), Some(0.25));
    let [nmf, ..] = &stored.snapshot.estimates[..] else { panic!("no estimates") };
    assert_eq!((nmf.estimate.estimator, nmf.estimate.ridge), (Estimator::Nmf, 0.25));
    assert_eq!((nmf.first_bin, nmf.end_bin), (0, stored.snapshot.window.end_bin));
    assert_eq!(nmf.score.total.bits_per_spike(), None);
    // The counts give the same couplings as they gave then.
    let again = Snapshot::compute(stored.snapshot.spec.clone(), stored.snapshot.window.clone());
    let error = &again.estimates[0].estimate.couplings - &nmf.estimate.couplings;
    assert!(nmf.estimate.n_ok() > 0 && error.iter().all(|e| e.abs() < 1e-12));
}

/// Written by `glauber fit tiny.nwb --bin-width 20ms --estimator nmf,exact --ridge 0.05 --lags 1,2` of version 0.1.0 while layout 2 was current,
/// on `glauber simulate --neurons 6 --coupling-std 0.3 --duration 60s --bin-width 20ms --rate-hz 10 --seed 4`.
#[test]
fn files_of_version_2_still_open() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/snapshot_v2.h5");
    let snapshot = read_snapshot(&path).unwrap().snapshot;
    assert_eq!(describe(&path).unwrap().lags.as_slice(), [1, 2]);
    assert!(snapshot.spec.equilibrium.is_empty() && snapshot.equilibrium.is_empty());
    let [nmf, exact] = &snapshot.estimates[..] else { panic!("two estimates") };
    assert_eq!((nmf.estimate.estimator, exact.estimate.estimator), (Estimator::Nmf, Estimator::Exact));
    assert_eq!((exact.first_bin, exact.end_bin, exact.estimate.ridge), (0, 3000, 0.05));
    // As the program that wrote it printed.
    let bits = exact.score.total.bits_per_spike().unwrap();
    assert!((bits - 0.104_025_724).abs() < 1e-9, "{bits}");
    let strongest = exact.estimate.couplings[[3, 4]];
    assert!((strongest + 0.2497).abs() < 5e-5, "{strongest}");
    let again = Snapshot::compute(snapshot.spec.clone(), snapshot.window.clone());
    let error = &again.estimates[0].estimate.couplings - &nmf.estimate.couplings;
    assert!(error.iter().all(|e| e.abs() < 1e-12));
}

/// One model of each kind of diagnostics, one that was refused, and scores.
fn equilibrium(n: usize) -> Vec<Arc<ScoredEquilibrium>> {
    let step = |k: u32| ErasureStep {
        epsilon: 1.0 - 0.1 * f64::from(k),
        mean_energy: -0.3 * f64::from(k),
        effective_samples: 77.5,
        residual: 1e-9,
        iterations: k,
        converged: k == 1,
    };
    let point = |ridge| CrossValidated { ridge, bits_per_bin: -0.1 - ridge };
    let boltzmann = BoltzmannDiagnostics {
        chains: 8,
        sweeps: (1 << 40) + 1,
        moment_residual: 0.01,
        moment_residual_max: 0.02,
        monte_carlo_error: 0.003,
        parameter_error: 0.004,
        chain_disagreement: 1.5,
        converged: true,
    };
    let (gradient_norm, ridge) = (Array1::from_elem(n, 1e-7), 0.1 + 0.2);
    use EquilibriumDiagnostics as Kind;
    let kinds = [
        Kind::Erasure { chosen: 1, path: vec![step(0), step(1)] },
        Kind::ClosedForm,
        Kind::PseudoLikelihood {
            ridge,
            path: vec![point(0.0), point(1.0)],
            gradient_norm: gradient_norm.clone(),
        },
        Kind::PseudoLikelihood { ridge, path: Vec::new(), gradient_norm },
        Kind::MaximumLikelihood { gradient_norm: 1e-11, log_likelihood_bits: -4.5 },
        Kind::Boltzmann(boltzmann),
        Kind::ManyStates { bins: vec![(1 << 53) + 1, 3], residual: 0.25 },
    ];
    let methods = EquilibriumMethod::ALL;
    let mut models: Vec<_> = methods
        .iter()
        .zip(kinds)
        .map(|(&method, kind)| Arc::new(scored(method, Ok(model(method, n, kind)), n)))
        .collect();
    let refused = Err(Refusal("at most 20 neurons".to_owned()));
    models.push(Arc::new(scored(methods[models.len()], refused, n)));
    models
}

fn model(method: EquilibriumMethod, n: usize, diagnostics: EquilibriumDiagnostics) -> EquilibriumModel {
    let mut status = vec![RowStatus::Ok; n];
    status[0] = RowStatus::Silent;
    let mut model = EquilibriumModel::zeros(method, status, 4000, 17, diagnostics);
    model.couplings =
        Array2::from_shape_fn((n, n), |(i, j)| if i == j { -0.0 } else { 0.1 * (i * j) as f64 });
    model.fields = Array1::from_shape_fn(n, |i| 0.7 * i as f64 - 1.0);
    model.iterations = 12;
    // Not every method gives them.
    model.errors = (method != EquilibriumMethod::Hopfield).then(|| EquilibriumErrors {
        couplings: Array2::from_shape_fn((n, n), |(i, j)| 0.01 * (i + j) as f64),
        fields: Array1::from_shape_fn(n, |i| 0.03 * i as f64),
        blocks: 32,
    });
    model
}

fn scored(
    method: EquilibriumMethod,
    model: Result<EquilibriumModel, Refusal>,
    n: usize,
) -> ScoredEquilibrium {
    let agreement = |correlation| Agreement {
        values: 10,
        correlation,
        rms_difference: 0.01,
        rms_observed: 0.1,
        rms_predicted_error: 0.012,
        rms_observed_error: 0.016,
        rms_error: 0.02,
    };
    let count = |active: u32| ActiveCount {
        active,
        observed: 0.5,
        predicted: 1.0 / (1.0 + f64::from(active)),
        predicted_error: 0.01,
    };
    let pair = |neurons: [u32; 2]| CheckedPair {
        neurons,
        observed: 0.25 / f64::from(neurons[1]),
        observed_error: 0.01,
        predicted: 0.2 - f64::from(neurons[0]),
        predicted_error: 0.02,
    };
    let check = ModelCheck {
        drawn: 1000,
        bins: 4000,
        means: agreement(Some(0.99)),
        pair_correlations: agreement(Some(-0.25)),
        triplet_correlations: agreement(None),
        active_counts: (0..4).map(count).collect(),
        pairs: [[0, 1], [1, 2]].map(pair).to_vec(),
    };
    let mut score = RunningScore::new(n);
    let newer = Score {
        transitions: 500.0,
        spikes: Array1::from_elem(n, 3.0),
        gain_bits: Array1::from_shape_fn(n, |i| i as f64 / 3.0 - 1.0),
    };
    score.add(&newer, 0.5);
    score.add(&newer, 0.9);
    let check = model.is_ok().then_some(check);
    ScoredEquilibrium {
        fitted: Arc::new(FittedEquilibrium { method, model, check, first_bin: 3, end_bin: 4003 }),
        score,
    }
}

#[test]
fn equilibrium_models_read_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.h5");
    let mut written = snapshot(4, 5000);
    let methods = EquilibriumMethod::ALL.to_vec();
    Arc::make_mut(&mut written.spec).equilibrium =
        EquilibriumSpec { methods, interval_bins: 3, bins_max: 65_537, seed: u64::MAX };
    written.equilibrium = equilibrium(4);
    write(&path, &written).unwrap();
    let read = read_snapshot(&path).unwrap().snapshot;
    assert_eq!(read, written);
    let couplings = &read.equilibrium[0].fitted.model.as_ref().unwrap().couplings;
    assert_eq!(couplings[[1, 1]].to_bits(), (-0.0_f64).to_bits());
    assert_eq!(read.equilibrium.len(), 8, "the last method was not fitted yet");

    let mut uneven = written.clone();
    uneven.equilibrium = equilibrium(5);
    let error = write(&folder.path().join("uneven.h5"), &uneven).unwrap_err();
    assert!(matches!(error, ArchiveError::SizeMismatch { got: 5, expected: 4, .. }), "{error}");

    let file = hdf5_metno::File::open_rw(&path).unwrap();
    let group = file.group("equilibrium/erasure-machine").unwrap();
    group.attr("chosen").unwrap().write_scalar(&2_u64).unwrap();
    drop((group, file));
    let error = read_snapshot(&path).unwrap_err();
    assert!(
        matches!(&error, ArchiveError::BadValue { object, .. } if object.ends_with("@chosen")),
        "{error}"
    );
}

#[test]
fn counts_beyond_single_and_double_precision_survive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.h5");
    let mut written = snapshot(3, 4000);
    let counts: &mut Counts = Arc::make_mut(&mut written.window.counts);
    counts.bins = (1 << 60) + 1;
    counts.spikes[1] = (1 << 53) + 1;
    for lag in &mut counts.lags {
        lag.transitions = 1 << 59;
    }
    counts.equal_time[4] = (1 << 56) - 1;
    counts.lags[2].delayed[5] = (1 << 53) + 3;
    write(&path, &written).unwrap();
    assert_eq!(read_snapshot(&path).unwrap().snapshot, written);
}

#[test]
fn an_empty_window_can_be_archived() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.h5");
    let mut session = Session::new(spec(1)).unwrap();
    let written = Snapshot::compute(session.spec().clone(), session.window_counts(1));
    write(&path, &written).unwrap();
    assert_eq!(read_snapshot(&path).unwrap().snapshot, written);
}

#[test]
fn attributes_describe_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.h5");
    let written = snapshot(4, 5000);
    write(&path, &written).unwrap();
    let summary = describe(&path).unwrap();
    assert_eq!(summary.session_name, "retina, second slice");
    assert_eq!(summary.provenance, provenance());
    assert_eq!((summary.n_neurons, summary.bin_width.us()), (4, 20_000));
    assert_eq!(summary.window, Window::Last { ms: 60_000 });
    assert_eq!((summary.first_bin, summary.end_bin), (written.window.first_bin, 5000));
    assert_eq!(summary.bins_observed, written.window.counts.bins);
    assert_eq!(summary.lags.as_slice(), [1, 2, 5]);
    assert_eq!(summary.estimators, Estimator::MOMENTS);
}

#[test]
fn an_existing_file_is_replaced_only_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.h5");
    let (first, second) = (snapshot(3, 3000), snapshot(3, 4000));
    write(&path, &first).unwrap();
    let refused = write(&path, &second).unwrap_err();
    assert!(matches!(refused, ArchiveError::Storage(StorageError::Exists { .. })), "{refused}");
    assert_eq!(read_snapshot(&path).unwrap().snapshot, first);
    write_snapshot(&path, &second, &provenance(), Overwrite::Replace).unwrap();
    assert_eq!(read_snapshot(&path).unwrap().snapshot, second);
    assert_eq!(names(folder.path()), ["snapshot.h5"]);
}

#[test]
fn failures_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent").join("snapshot.h5");
    let error = write(&absent, &snapshot(3, 3000)).unwrap_err();
    assert!(matches!(error, ArchiveError::Storage(StorageError::Io { action: "create", .. })), "{error}");

    let mut impossible = snapshot(3, 3000);
    Arc::make_mut(&mut impossible.spec).name = "zero\0byte".to_owned();
    let error = write(&folder.path().join("text.h5"), &impossible).unwrap_err();
    assert!(
        matches!(&error, ArchiveError::Storage(StorageError::Unwritable { object, .. }) if object == "/@session_name"),
        "{error}"
    );

    let mut uneven = snapshot(3, 3000);
    Arc::make_mut(&mut uneven.spec).neurons.pop();
    let error = write(&folder.path().join("uneven.h5"), &uneven).unwrap_err();
    assert!(matches!(error, ArchiveError::SizeMismatch { got: 3, expected: 2, .. }), "{error}");

    // The last step fails, because a directory stands where the file should go.
    let taken = folder.path().join("taken.h5");
    fs::create_dir(&taken).unwrap();
    let error = write_snapshot(&taken, &snapshot(3, 3000), &provenance(), Overwrite::Replace).unwrap_err();
    assert!(matches!(error, ArchiveError::Storage(StorageError::Io { action: "rename to", .. })), "{error}");
    assert_eq!(names(folder.path()), ["taken.h5"]);
}

#[test]
fn files_of_others_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.h5");
    fs::write(folder.path().join("snapshot.h5.tmp"), "precious").unwrap();
    write(&path, &snapshot(3, 3000)).unwrap();
    assert_eq!(fs::read(folder.path().join("snapshot.h5.tmp")).unwrap(), b"precious");
    assert_eq!(names(folder.path()), ["snapshot.h5", "snapshot.h5.tmp"]);

    // A link that leads nowhere is taken for a file all the same.
    let link = folder.path().join("link.h5");
    std::os::unix::fs::symlink(folder.path().join("nowhere.h5"), &link).unwrap();
    let error = write(&link, &snapshot(3, 3000)).unwrap_err();
    assert!(matches!(error, ArchiveError::Storage(StorageError::Exists { .. })), "{error}");
    assert!(!folder.path().join("nowhere.h5").exists());
}

#[test]
fn the_largest_numbers_survive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.h5");
    let mut written = snapshot(3, 3000);
    Arc::make_mut(&mut written.spec).refresh_interval_bins = u64::MAX;
    write(&path, &written).unwrap();
    assert_eq!(read_snapshot(&path).unwrap().snapshot, written);
}

#[test]
fn what_is_no_snapshot_is_refused() {
    let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recordings/index_u1.nwb");
    let error = describe(&recording).unwrap_err();
    assert!(matches!(error, ArchiveError::NotASnapshot { got: None, .. }), "{error}");
    assert!(matches!(read_snapshot("absent.h5"), Err(ArchiveError::Storage(StorageError::NotFound { .. }))));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.h5");
    write(&path, &snapshot(3, 3000)).unwrap();
    let edit = |name: &str, edit: &dyn Fn(&hdf5_metno::File) -> hdf5_metno::Result<()>| -> PathBuf {
        let copy = folder.path().join(name);
        fs::copy(&path, &copy).unwrap();
        edit(&hdf5_metno::File::open_rw(&copy).unwrap()).unwrap();
        copy
    };
    let newer = edit("newer.h5", &|file| file.attr("format_version")?.write_scalar(&4_u32));
    let error = read_snapshot(newer).unwrap_err();
    assert!(matches!(error, ArchiveError::UnsupportedVersion { got: 4, .. }), "{error}");

    let narrow = edit("narrow.h5", &|file| file.attr("bin_width_us")?.write_scalar(&3_u32));
    let error = describe(narrow).unwrap_err();
    assert!(matches!(&error, ArchiveError::BadValue { object, .. } if object == "/@bin_width_us"), "{error}");

    let partial = edit("partial.h5", &|file| file.unlink("/counts/delayed"));
    let error = read_snapshot(partial).unwrap_err();
    assert!(
        matches!(&error, ArchiveError::Storage(StorageError::Missing { object, .. }) if object == "/counts/delayed"),
        "{error}"
    );

    let crowded = edit("crowded.h5", &|file| file.attr("n_neurons")?.write_scalar(&4_u32));
    let error = read_snapshot(crowded).unwrap_err();
    assert!(matches!(error, ArchiveError::Storage(StorageError::WrongShape { .. })), "{error}");
}

#[test]
fn python_finds_the_same_moments() {
    let Some(python) = std::env::var_os("GLAUBER_PYTHON") else {
        println!("skipped: GLAUBER_PYTHON does not name an interpreter with h5py and numpy");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.h5");
    write(&path, &snapshot(60, 20_000)).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/check_snapshot.py");
    let check = Command::new(python).arg(script).arg(&path).output().unwrap();
    let printed = String::from_utf8_lossy(&check.stderr);
    assert!(check.status.success(), "{printed}");
}
