//! Writing recorded sessions as NWB files, and reading them back.
//!
//! When `GLAUBER_PYTHON` names an interpreter with pynwb and nwbinspector, `tests/python/check_nwb.py` validates what
//! was written.
#![cfg(feature = "hdf5")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use glauber::model::{Interval, Neuron, RecordedSession, RecordedUnit};
use glauber::recording::{
    self, NwbMetadata, Overwrite, Problem, RecordingError, StorageError, Subject, Truth, TruthModel,
    read_truth, write_nwb,
};
use ndarray::{Array1, Array2};
use proptest::prelude::*;

fn metadata() -> NwbMetadata {
    NwbMetadata {
        identifier: "simulation seed 7".to_owned(),
        session_description: "Kinetic Ising network, 20 neurons".to_owned(),
        session_start: SystemTime::UNIX_EPOCH + Duration::from_secs(1_717_243_200),
        created: SystemTime::UNIX_EPOCH + Duration::from_secs(1_717_250_000),
        resolution_seconds: 0.01,
        subject: Subject::simulated(),
    }
}

fn interval(start_ms: i64, stop_ms: i64) -> Interval {
    Interval { start_ns: start_ms * 1_000_000, stop_ns: stop_ms * 1_000_000 }
}

/// Twenty units with spikes in the middle of bins of 10 ms, one of them silent.
fn plain() -> RecordedSession {
    let unit = |k: i64| RecordedUnit {
        neuron: Neuron { id: k, label: String::new() },
        spike_times_ns: (0..if k == 3 { 0 } else { 50 + k })
            .map(|spike| (spike * (7 + k % 5) + k) * 10_000_000 + 5_000_000)
            .collect(),
        observed: None,
    };
    RecordedSession { units: (0..20).map(unit).collect(), ..RecordedSession::default() }
}

/// The same with everything that a session can have.
fn full() -> RecordedSession {
    let mut session = plain();
    for (k, unit) in session.units.iter_mut().enumerate() {
        unit.neuron.id = 100 - k as i64;
        unit.neuron.label = format!("électrode {k}");
        unit.observed = Some(vec![interval(0, 4000), interval(4000, 60_000)]);
    }
    session.trials = (0..4).map(|k| interval(k * 1000, k * 1000 + 900)).collect();
    session.invalid = vec![interval(4500, 4600), interval(5000, 5050)];
    session
}

fn truth(n: usize) -> Truth {
    Truth {
        model: TruthModel::Kinetic,
        couplings: Array2::from_shape_fn((n, n), |(i, j)| (i as f64 - 2.0 * j as f64) / 7.0),
        fields: Array1::from_shape_fn(n, |i| -1.0 / (i as f64 + 3.0)),
    }
}

fn write(path: &Path, session: &RecordedSession, truth: Option<&Truth>) -> Result<(), RecordingError> {
    write_nwb(path, session, &metadata(), truth, Overwrite::Refuse)
}

#[test]
fn sessions_read_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let empty = RecordedSession::default();
    for (name, session) in [("plain.nwb", plain()), ("full.nwb", full()), ("empty.nwb", empty)] {
        let path = folder.path().join(name);
        write(&path, &session, None).unwrap();
        let read = recording::open(&path).unwrap();
        assert_eq!(read.session, session, "{name}");
        let silent = Problem::SilentUnits { units: 1, first_unit: 3 };
        let expected = if session.units.is_empty() { vec![] } else { vec![silent] };
        assert_eq!(read.problems, expected, "{name}");
        assert_eq!(read.facts.identifier.as_deref(), Some("simulation seed 7"));
        assert_eq!(read.facts.session_start.as_deref(), Some("2024-06-01T12:00:00.000000+00:00"));
        let resolution = (!session.units.is_empty()).then_some(0.01);
        assert_eq!(read.facts.resolution_seconds, resolution);
        assert_eq!(read_truth(&path).unwrap(), None);
    }
}

#[test]
fn the_truth_reads_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.nwb");
    write(&path, &plain(), Some(&truth(20))).unwrap();
    assert_eq!(read_truth(&path).unwrap(), Some(truth(20)));
    assert_eq!(recording::open(&path).unwrap().session, plain());

    // A transposed view has another order in memory; the file must not.
    let transposed = Truth { couplings: truth(20).couplings.reversed_axes(), ..truth(20) };
    let path = folder.path().join("transposed.nwb");
    write(&path, &plain(), Some(&transposed)).unwrap();
    assert_eq!(read_truth(&path).unwrap(), Some(transposed));

    let equilibrium = Truth { model: TruthModel::Equilibrium, ..truth(20) };
    let path = folder.path().join("equilibrium.nwb");
    write(&path, &plain(), Some(&equilibrium)).unwrap();
    assert_eq!(read_truth(&path).unwrap(), Some(equilibrium));

    let error = write(&folder.path().join("small.nwb"), &plain(), Some(&truth(19))).unwrap_err();
    assert!(matches!(error, RecordingError::TruthShape { fields: 19, units: 20, .. }), "{error}");
    assert!(!folder.path().join("small.nwb").exists());
}

#[test]
fn the_same_session_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |name: &str| {
        let path = folder.path().join(name);
        write(&path, &full(), Some(&truth(20))).unwrap();
        fs::read(path).unwrap()
    };
    assert!(bytes("first.nwb") == bytes("second.nwb"));
}

#[test]
fn existing_files_are_safe() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.nwb");
    fs::write(&path, "precious").unwrap();
    let error = write(&path, &plain(), None).unwrap_err();
    assert!(matches!(error, RecordingError::Storage(StorageError::Exists { .. })), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    write_nwb(&path, &plain(), &metadata(), None, Overwrite::Replace).unwrap();
    assert_eq!(recording::open(&path).unwrap().session, plain());

    let error = write(&folder.path().join("absent/session.nwb"), &plain(), None).unwrap_err();
    assert!(matches!(error, RecordingError::Storage(StorageError::Io { .. })), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Seconds in double precision carry nanoseconds unharmed for 26 days on either side of zero.
    #[test]
    fn nanoseconds_survive_as_seconds(mut times in prop::collection::vec(-(1_i64 << 51)..1_i64 << 51, 1..200)) {
        times.sort_unstable();
        let neuron = Neuron { id: 0, label: String::new() };
        let units = vec![RecordedUnit { neuron, spike_times_ns: times, observed: None }];
        let session = RecordedSession { units, ..RecordedSession::default() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.nwb");
        write(&path, &session, None).unwrap();
        prop_assert_eq!(recording::open(&path).unwrap().session, session);
    }
}

#[test]
fn pynwb_and_nwbinspector_accept_what_is_written() {
    let Some(python) = std::env::var_os("GLAUBER_PYTHON") else {
        println!("skipped: GLAUBER_PYTHON does not name an interpreter with pynwb and nwbinspector");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut paths: Vec<PathBuf> = Vec::new();
    for (name, session, truth) in [
        ("plain.nwb", plain(), None),
        ("truth.nwb", plain(), Some(truth(20))),
        ("full.nwb", full(), Some(truth(20))),
    ] {
        paths.push(folder.path().join(name));
        write(&paths[paths.len() - 1], &session, truth.as_ref()).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/check_nwb.py");
    let check = Command::new(python).arg(script).args(&paths).output().unwrap();
    let printed =
        String::from_utf8_lossy(&check.stdout).into_owned() + &String::from_utf8_lossy(&check.stderr);
    assert!(check.status.success(), "{printed}");
}
