//! Reading recorded sessions: every layout, every oddity that is only reported, every way a file can be refused.
//!
//! The files in `tests/fixtures/recordings` were written by h5py and pynwb (`make_recordings.py` beside them).
//! Larger files, real recordings among them, are read when `GLAUBER_DATA` names a folder that holds `nwb_good`,
//! `nwb_bad` and `real`.
#![cfg(feature = "hdf5")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use glauber::model::{Interval, RecordedSession};
use glauber::recording::{self, Layout, Problem, Recording, RecordingError, StorageError};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recordings").join(name)
}

fn read(name: &str) -> Recording {
    recording::open(fixture(name)).unwrap_or_else(|e| panic!("{e}"))
}

fn refuse(name: &str) -> RecordingError {
    let error = recording::open(fixture(name)).expect_err(name);
    let message = error.to_string();
    assert!(message.contains(name), "{message}: names the file");
    assert!(!message.contains('\n'), "{message}: one line");
    error
}

/// Folder with the larger files, when there is one.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("GLAUBER_DATA").map(PathBuf::from);
    let folder = folder.filter(|folder| folder.join("nwb_good").is_dir());
    if folder.is_none() {
        eprintln!("skipped: GLAUBER_DATA does not name a folder with nwb_good, nwb_bad and real");
    }
    folder
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    // The truth beside a simulated file is a numpy archive.
    paths.retain(|path| path.extension().is_none_or(|extension| extension != "npz"));
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

fn times(recording: &Recording) -> Vec<Vec<i64>> {
    recording.session.units.iter().map(|u| u.spike_times_ns.clone()).collect()
}

fn ids(recording: &Recording) -> Vec<i64> {
    recording.session.units.iter().map(|u| u.neuron.id).collect()
}

fn labels(recording: &Recording) -> Vec<&str> {
    recording.session.units.iter().map(|u| u.neuron.label.as_str()).collect()
}

/// The spike trains of `make_recordings.py`, in nanoseconds; 0.1 + 0.2 rounds to 0.3 s.
fn trains() -> Vec<Vec<i64>> {
    vec![
        vec![20_000_000, 100_000_000, 300_000_000, 1_500_000_000, 2_250_000_000],
        vec![40_000_000, 500_000_000, 3_000_000_000],
        vec![60_000_000, 750_000_000, 800_000_000, 4_125_000_000],
    ]
}

fn shifted(by_ns: i64) -> Vec<Vec<i64>> {
    trains().into_iter().map(|train| train.into_iter().map(|t| t + by_ns).collect()).collect()
}

fn interval(start_ms: i64, stop_ms: i64) -> Interval {
    Interval { start_ns: start_ms * 1_000_000, stop_ns: stop_ms * 1_000_000 }
}

#[test]
fn every_index_width_and_file_version_reads_the_same() {
    let plain = ["index_u1", "index_u2", "index_u4", "index_u8", "index_big_endian_u2", "times_big_endian"];
    for name in plain.iter().chain(&["superblock_earliest", "superblock_3", "user_block"]) {
        let recording = read(&format!("{name}.nwb"));
        assert_eq!(times(&recording), trains(), "{name}");
        assert_eq!(ids(&recording), [0, 1, 2], "{name}");
        assert_eq!(recording.problems, [], "{name}");
        assert_eq!(recording.layout, Layout::Nwb, "{name}");
        assert_eq!(recording.facts.layout_version.as_deref(), Some("2.7.0"));
    }
}

#[test]
fn what_pynwb_writes_reads_whole() {
    let recording = read("written_by_pynwb.nwb");
    assert_eq!(times(&recording), trains());
    assert_eq!(ids(&recording), [10, 11, 12]);
    assert_eq!(labels(&recording), ["u0", "u1", "u2"]);
    let session = &recording.session;
    assert_eq!(session.trials, [interval(0, 900), interval(1000, 1900), interval(2000, 2900)]);
    assert_eq!(session.invalid, [interval(2000, 2100)]);
    for unit in &session.units {
        assert_eq!(unit.observed, Some(vec![interval(0, 2000), interval(2200, 5000)]));
    }
    let facts = &recording.facts;
    assert_eq!(facts.identifier.as_deref(), Some("tiny-1"));
    assert_eq!(facts.description.as_deref(), Some("three units"));
    assert_eq!(facts.session_start.as_deref(), Some("2024-06-01T12:00:00+00:00"));
    assert_eq!(facts.resolution_seconds, Some(0.02));
    assert_eq!(facts.units_object.as_deref(), Some("/units"));
    assert_eq!(recording.problems, []);
}

#[test]
fn times_in_other_places_and_precisions() {
    assert_eq!(times(&read("times_late.nwb")), shifted(86_400_000_000_000));
    let negative = read("times_negative.nwb");
    assert_eq!(times(&negative), shifted(-1_000_000_000));
    assert_eq!(negative.problems, [Problem::NegativeTimes { spikes: 8, earliest_ns: -980_000_000 }]);

    let single = read("times_float32.nwb");
    for (train, exact) in times(&single).iter().zip(trains()) {
        // Half the distance of single-precision numbers below 8 s is 238 ns.
        assert!(train.iter().zip(exact).all(|(a, b)| (a - b).abs() <= 239), "{train:?}");
    }
    let object = "/units/spike_times".to_owned();
    assert_eq!(single.problems, [Problem::SinglePrecision { object, blur_ns: 477 }]);
}

#[test]
fn disorder_is_sorted_and_reported() {
    let unsorted = read("times_unsorted.nwb");
    assert_eq!(times(&unsorted), trains());
    assert_eq!(unsorted.problems, [Problem::UnsortedTimes { units: 3, first_unit: 0, steps_back: 4 }]);

    let repeated = read("times_repeated.nwb");
    assert_eq!(repeated.problems, [Problem::DuplicateTimes { units: 3, first_unit: 0, repeats: 5 }]);

    let reset = read("times_reset.nwb");
    assert!(times(&reset)[0].is_sorted());
    let first =
        Problem::TimesReset { units: 1, first_unit: 0, spike: 12, before_ns: 16_500_000_000, after_ns: 0 };
    assert_eq!(reset.problems.first(), Some(&first));

    let milliseconds = read("times_milliseconds.nwb");
    let expected = Problem::LooksLikeMilliseconds { span_seconds: 86_516_000, median_interval_ms: 4_000_000 };
    assert_eq!(milliseconds.problems, [expected]);
}

#[test]
fn units_may_be_absent_silent_or_elsewhere() {
    for name in ["no_units.nwb", "zero_rows.nwb"] {
        let recording = read(name);
        assert_eq!((recording.session, recording.problems), (RecordedSession::default(), vec![]), "{name}");
    }
    let silent = read("unit_without_spikes.nwb");
    assert_eq!(times(&silent).iter().map(Vec::len).collect::<Vec<_>>(), [5, 0, 7]);
    assert!(silent.problems.contains(&Problem::SilentUnits { units: 1, first_unit: 1 }));

    let elsewhere = read("units_in_processing.nwb");
    assert_eq!(times(&elsewhere), trains());
    let object = "/processing/ecephys/units".to_owned();
    assert_eq!(elsewhere.facts.units_object.as_ref(), Some(&object));
    assert_eq!(elsewhere.problems, [Problem::UnitsElsewhere { object, ignored: 0 }]);

    let beyond = read("times_beyond_index.nwb");
    assert_eq!(times(&beyond)[2].len(), 2);
    let object = "/units/spike_times".to_owned();
    assert_eq!(beyond.problems, [Problem::UnindexedEntries { object, entries: 2 }]);

    let signed = read("index_i8.nwb");
    assert_eq!(times(&signed), trains());
    assert_eq!(signed.problems, [Problem::SignedIndex { object: "/units/spike_times_index".to_owned() }]);
}

#[test]
fn ids_and_labels_of_every_text_type() {
    assert_eq!(ids(&read("ids_any.nwb")), [-5, 1000, 2]);
    let missing = read("ids_missing.nwb");
    assert_eq!(ids(&missing), [0, 1, 2]);
    assert_eq!(missing.problems, [Problem::MissingIds { object: "/units/id".to_owned() }]);
    let repeated = read("ids_repeated.nwb");
    assert_eq!(ids(&repeated), [0, 1, 2]);
    assert_eq!(repeated.problems, [Problem::DuplicateIds { id: 7, unit: 2 }]);

    assert_eq!(labels(&read("labels_fixed.nwb")), ["a1", "b2", "c3"]);
    assert_eq!(read("labels_fixed.nwb").facts.identifier.as_deref(), Some("fixed identifier"));
    assert_eq!(labels(&read("labels_utf8.nwb")), ["α1", "β2", ""]);
    assert_eq!(labels(&read("labels_never_written.nwb")), ["", "", ""]);
}

/// Variable-length ASCII reads as another type only after a variable-length text was read in the same process, so
/// this must hold in a process that has read nothing else.
#[test]
fn ascii_texts_read_in_a_fresh_process() {
    const FRESH: &str = "GLAUBER_TEST_FRESH_PROCESS";
    if std::env::var_os(FRESH).is_some() {
        let recording = read("labels_ascii.nwb");
        assert_eq!(labels(&recording), ["a1", "b2", "c3"]);
        assert_eq!(recording.facts.session_start.as_deref(), Some("2024-06-01T12:00:00+00:00"));
        return;
    }
    let test = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ascii_texts_read_in_a_fresh_process"])
        .env(FRESH, "1")
        .output()
        .unwrap();
    assert!(test.status.success(), "{}", String::from_utf8_lossy(&test.stdout));
}

#[test]
fn odd_intervals_are_reported() {
    let recording = read("intervals_odd.nwb");
    let expected = [interval(0, 1500), interval(1000, 2000), interval(2000, 3000)];
    assert_eq!(recording.session.trials, expected);
    assert_eq!(recording.session.invalid, [interval(500, 750)]);
    let observed: Vec<_> = recording.session.units.iter().map(|u| u.observed.clone()).collect();
    let first = Some(vec![interval(0, 2000), interval(3000, 4000)]);
    assert_eq!(observed, [first, None, Some(vec![interval(0, 5000)])]);
    let table = "/intervals/trials".to_owned();
    assert_eq!(
        recording.problems,
        [
            Problem::NoObservedIntervals { units: 1, first_unit: 1 },
            // One stops as it starts, one starts at no time, one stops before it starts.
            Problem::UnusableIntervals { object: table.clone(), intervals: 3 },
            Problem::UnsortedIntervals { object: table },
            Problem::OverlappingTrials { trials: 1, first_start_ns: 1_000_000_000 },
        ]
    );
}

#[test]
fn the_layout_is_recognised_by_content() {
    let waverepo = read("waverepo.h5");
    assert_eq!(waverepo.layout, Layout::Waverepo);
    assert_eq!(times(&waverepo), trains());
    assert_eq!(labels(&waverepo), ["c1", "c2", "c10"]);
    assert_eq!(waverepo.facts.identifier.as_deref(), Some("tiny"));
    assert_eq!(waverepo.problems, []);

    let folder = tempfile::tempdir().unwrap();
    for (name, other, layout) in
        [("waverepo.h5", "data.nwb", Layout::Waverepo), ("index_u1.nwb", "data.h5", Layout::Nwb)]
    {
        let copy = folder.path().join(other);
        fs::copy(fixture(name), &copy).unwrap();
        assert_eq!(recording::open(&copy).unwrap().layout, layout);
    }
}

#[test]
fn times_since_1970_are_read() {
    let recording = read("times_since_1970.nwb");
    for (train, exact) in times(&recording).iter().zip(shifted(1_717_243_200_000_000_000)) {
        // Double-precision seconds at 1.7e9 are 238 ns apart, and nanoseconds 256; half of each at most.
        assert!(train.iter().zip(exact).all(|(a, b)| (a - b).abs() <= 247), "{train:?}");
    }
    assert_eq!(recording.problems, []);
}

#[test]
fn odd_columns_that_nobody_needs_do_not_refuse_the_file() {
    let integer = read("intervals_integer.nwb");
    assert_eq!(integer.session.trials, [interval(0, 2000), interval(2000, 4000)]);
    assert_eq!(integer.session.units[1].observed, Some(vec![interval(3000, 4000)]));
    assert_eq!(integer.problems, []);

    let endless = read("intervals_endless.nwb");
    assert_eq!(endless.session.units[0].observed, Some(vec![interval(0, 5125)]));
    let object = "/units/obs_intervals".to_owned();
    assert_eq!(
        endless.problems,
        [
            Problem::UnusableIntervals { object: object.clone(), intervals: 2 },
            Problem::EndlessIntervals { object, intervals: 3 }
        ]
    );

    let ids_text = read("ids_text.nwb");
    assert_eq!(ids(&ids_text), [0, 1, 2]);
    let (object, found) = ("/units/id".to_owned(), "string (len 1)".to_owned());
    assert_eq!(ids_text.problems, [Problem::UnusableIds { object, found }]);

    let long = read("labels_long.nwb");
    assert_eq!(labels(&long), ["a1", "b2", "c3"], "the next column");
    let expected =
        |p: &Problem| matches!(p, Problem::UnusableLabels { object, .. } if object == "/units/unit_name");
    assert!(matches!(&long.problems[..], [problem] if expected(problem)), "{:?}", long.problems);

    let linked = read("labels_linked.nwb");
    assert_eq!(labels(&linked), ["", "", ""]);
    assert_eq!(
        linked.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["/units/label is a soft link, which is not followed; passed over"]
    );
    assert_eq!(labels(&read("labels_control.nwb")), ["a", "b\u{fffd}[2J", "c\u{fffd}3"]);
}

#[test]
fn small_files_that_would_fill_the_memory_are_refused() {
    let units = refuse_storage("bad_many_units.nwb");
    assert!(
        matches!(units, StorageError::TooLarge { unit: "units", declared: 2_000_000, limit: 1_000_000, .. }),
        "{units}"
    );
    // Four million texts of one byte; as a fact about the session they are passed over.
    let recording = read("identifier_many.nwb");
    assert_eq!((times(&recording), recording.facts.identifier), (trains(), None));
}

#[test]
fn problems_print_what_was_found_and_done() {
    for name in ["intervals_odd", "times_unsorted", "times_reset", "times_milliseconds", "times_negative"] {
        for problem in read(&format!("{name}.nwb")).problems {
            let text = problem.to_string();
            let done = ["sorted", "left out", "kept", "taken as", "out of order"];
            assert!(done.iter().any(|word| text.contains(word)) && !text.contains('\n'), "{text}");
        }
    }
}

#[test]
fn times_that_are_not_times() {
    for (name, expected) in [
        ("bad_nan_time.nwb", f64::NAN),
        ("bad_infinite_time.nwb", f64::NEG_INFINITY),
        ("bad_far_time.nwb", 5e9),
    ] {
        match refuse(name) {
            RecordingError::UnusableTime { unit: 1, spike: 1, seconds, object, .. } => {
                assert_eq!(seconds.to_string(), expected.to_string());
                assert_eq!(object, "/units/spike_times");
            }
            other => panic!("{name}: {other}"),
        }
    }
}

#[test]
fn indices_that_do_not_divide_the_times() {
    use RecordingError::{IndexNotMonotonic, IndexOutOfRange, LengthMismatch};
    let decreasing = refuse("bad_index_decreases.nwb");
    assert!(matches!(decreasing, IndexNotMonotonic { position: 1, before: 5, after: 4, .. }), "{decreasing}");
    let negative = refuse("bad_index_negative.nwb");
    assert!(matches!(negative, IndexNotMonotonic { position: 0, before: 0, after: -5, .. }), "{negative}");
    let past = refuse("bad_index_past_end.nwb");
    assert!(matches!(past, IndexOutOfRange { position: 2, end: 13, available: 12, .. }), "{past}");
    let enormous = refuse("bad_index_enormous.nwb");
    assert!(matches!(enormous, IndexOutOfRange { position: 2, end: i64::MAX, .. }), "{enormous}");
    let observed = refuse("bad_observed_index.nwb");
    assert!(matches!(observed, LengthMismatch { got: 2, expected: 3, .. }), "{observed}");
    let ids = refuse("bad_id_length.nwb");
    assert!(matches!(ids, LengthMismatch { got: 2, expected: 3, .. }), "{ids}");
    let stops = refuse("bad_trial_stops.nwb");
    assert!(matches!(stops, LengthMismatch { got: 2, expected: 3, .. }), "{stops}");
    let sum = refuse("bad_waverepo_sum.h5");
    assert!(matches!(sum, IndexOutOfRange { position: 2, end: 13, available: 12, .. }), "{sum}");
    let negative = refuse("bad_waverepo_negative.h5");
    assert!(matches!(negative, IndexNotMonotonic { position: 1, before: 5, after: 2, .. }), "{negative}");
}

fn refuse_storage(name: &str) -> StorageError {
    match refuse(name) {
        RecordingError::Storage(error) => error,
        other => panic!("{name}: {other}"),
    }
}

#[test]
fn datasets_that_are_missing_or_of_the_wrong_kind() {
    let missing = |name: &str, expected: &str| match refuse_storage(name) {
        StorageError::Missing { object, .. } => assert_eq!(object, expected, "{name}"),
        other => panic!("{name}: {other}"),
    };
    missing("bad_times_missing.nwb", "/units/spike_times");
    missing("bad_index_missing.nwb", "/units/spike_times_index");
    missing("bad_columns_missing.nwb", "/units/spike_times");

    let wrong_type = |name: &str, expected: &str| match refuse_storage(name) {
        StorageError::WrongType { got, .. } => assert_eq!(got, expected, "{name}"),
        other => panic!("{name}: {other}"),
    };
    wrong_type("bad_times_integer.nwb", "int64");
    wrong_type("bad_times_text.nwb", "string (len 1)");
    wrong_type("bad_index_real.nwb", "float64");
    wrong_type("bad_times_group.nwb", "a group");

    let wrong_shape = |name: &str, expected: &[usize]| match refuse_storage(name) {
        StorageError::WrongShape { got, .. } => assert_eq!(got, expected, "{name}"),
        other => panic!("{name}: {other}"),
    };
    wrong_shape("bad_times_two_dimensional.nwb", &[3, 4]);
    wrong_shape("bad_observed_shape.nwb", &[6]);
}

#[test]
fn data_that_lie_elsewhere_are_not_followed() {
    for name in ["bad_soft_link.nwb", "bad_external_link.nwb", "bad_external_storage.nwb", "bad_virtual.nwb"]
    {
        let error = refuse_storage(name);
        assert!(matches!(error, StorageError::NotFollowed { .. }), "{name}: {error}");
    }
}

#[test]
fn declared_sizes_are_checked_before_anything_is_allocated() {
    let terabytes = refuse_storage("bad_declares_terabytes.nwb");
    let expected = 1_u64 << 40;
    assert!(
        matches!(terabytes, StorageError::TooLarge { unit: "elements", declared, .. } if declared == expected),
        "{terabytes}"
    );
    let gigabyte = refuse_storage("bad_declares_gigabyte.nwb");
    let expected = 1_u64 << 30;
    assert!(
        matches!(gigabyte, StorageError::TooLarge { unit: "bytes", declared, .. } if declared == expected),
        "{gigabyte}"
    );
}

#[test]
fn files_that_cannot_be_read_at_all() {
    let error = refuse_storage("bad_deflated_bytes.nwb");
    assert!(
        matches!(&error, StorageError::Unreadable { object, .. } if object == "/units/spike_times"),
        "{error}"
    );
    let error = refuse_storage("bad_filter_unknown.nwb");
    assert!(
        matches!(&error, StorageError::UnknownFilter { object, filter, .. } if object == "/units/spike_times" && filter == "32000 (lzf)"),
        "{error}"
    );
    assert!(matches!(refuse_storage("bad_not_closed.nwb"), StorageError::NotClosed { .. }));
    assert!(matches!(refuse_storage("absent.nwb"), StorageError::NotFound { .. }));

    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(fixture("written_by_pynwb.nwb")).unwrap();
    let open = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        match recording::open(&path).expect_err(name) {
            RecordingError::Storage(error) => error,
            other => panic!("{name}: {other}"),
        }
    };
    assert!(matches!(open("empty.nwb", b""), StorageError::Empty { .. }));
    assert!(matches!(open("text.nwb", b"time,unit\n0.1,3\n"), StorageError::NotHdf5 { .. }));
    assert!(matches!(open("half.nwb", &whole[..whole.len() / 2]), StorageError::Truncated { .. }));
    assert!(matches!(
        recording::open(folder.path()),
        Err(RecordingError::Storage(StorageError::NotAFile { .. }))
    ));

    // Wherever a file is cut off there is an error and no panic.
    for bytes in (0..whole.len()).step_by(509) {
        open("cut.nwb", &whole[..bytes]);
    }
}

/// A damaged byte may go unnoticed, but it must never bring the process down.
#[test]
fn damaged_bytes_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["index_u1.nwb", "superblock_earliest.nwb", "waverepo.h5"] {
        let whole = fs::read(fixture(name)).unwrap();
        let path = folder.path().join(name);
        for at in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            fs::write(&path, &damaged).unwrap();
            let _ = recording::open(&path);
        }
    }
}

#[test]
fn unknown_layouts_say_what_was_found_and_what_is_known() {
    for (name, member) in
        [("bad_unknown_layout.h5", "/settings, /voltage"), ("bad_nwb_1.nwb", "/nwb_version")]
    {
        match refuse(name) {
            RecordingError::UnknownLayout { found, known, .. } => {
                assert!(found.contains(member), "{found}");
                assert!(known.contains("nwb") && known.contains("waverepo"), "{known}");
            }
            other => panic!("{name}: {other}"),
        }
    }
}

/// The library's own error stack on standard error would be noise beside our one line.
#[test]
fn errors_leave_standard_error_alone() {
    const QUIET: &str = "GLAUBER_TEST_QUIET_PROCESS";
    if std::env::var_os(QUIET).is_some() {
        let each = |name: &str| {
            std::thread::spawn({
                let path = fixture(name);
                move || recording::open(path).is_err()
            })
        };
        for name in
            ["bad_not_closed.nwb", "bad_deflated_bytes.nwb", "bad_times_text.nwb", "bad_filter_unknown.nwb"]
        {
            assert!(each(name).join().unwrap());
        }
        return;
    }
    let test = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "errors_leave_standard_error_alone", "--nocapture"])
        .env(QUIET, "1")
        .output()
        .unwrap();
    assert!(test.status.success());
    assert_eq!(String::from_utf8_lossy(&test.stderr), "");
}

#[test]
fn larger_synthetic_files() {
    let Some(data) = data() else { return };
    for path in files(&data.join("nwb_good")) {
        let recording = recording::open(&path).unwrap_or_else(|e| panic!("{e}"));
        let units = recording.session.units.len();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let expected = if name.starts_with("units5") {
            5
        } else if name.contains("no_units") || name.contains("zero") {
            0
        } else {
            20
        };
        assert_eq!(units, expected, "{name}");
    }
    for path in files(&data.join("nwb_bad")) {
        let message = recording::open(&path).map(|_| path.clone()).expect_err("must be refused").to_string();
        eprintln!("{message}");
        assert!(!message.contains('\n') && message.starts_with(path.to_str().unwrap()), "{message}");
    }
}

#[test]
fn real_recordings() {
    let Some(data) = data() else { return };
    let real = |name: &str| recording::open(data.join("real").join(name)).unwrap_or_else(|e| panic!("{e}"));
    let spikes = |r: &Recording| r.session.units.iter().map(|u| u.spike_times_ns.len()).sum::<usize>();
    for (name, units, n_spikes) in [
        ("retina_wong1993_p5.nwb", 91, 19_277),
        ("retina_stafford2009_nasal.nwb", 410, 872_460),
        ("culture_tc21_div28.nwb", 59, 822_104),
    ] {
        let start = std::time::Instant::now();
        let recording = real(name);
        eprintln!("{name}: {:?}; {:?}", start.elapsed(), recording.problems);
        assert_eq!((recording.session.units.len(), spikes(&recording)), (units, n_spikes), "{name}");
    }
    // The same recording as the collection stores it and as NWB.
    assert_eq!(times(&real("Wong1993_P5.h5")), times(&real("retina_wong1993_p5.nwb")));
}
