//! Recordings in other laboratories' layouts: exact times, labels, what is reported, every way a file can be refused.
//!
//! The files in `tests/fixtures/layouts` were written by h5py (`make_layouts.py` beside them). Larger ones of every layout are
//! read when `GLAUBER_DATA` names a folder that holds `vendor_like`.
#![cfg(feature = "hdf5")]

use std::path::{Path, PathBuf};

use glauber::model::Interval;
use glauber::recording::{self, Layout, Problem, Recording, RecordingError, StorageError};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/layouts").join(name)
}

fn read(name: &str) -> Recording {
    recording::open(fixture(name)).unwrap_or_else(|e| panic!("{e}"))
}

fn refuse(name: &str) -> RecordingError {
    let error = recording::open(fixture(name)).expect_err(name);
    let message = error.to_string();
    assert!(message.contains(name) && !message.contains('\n'), "{message}: one line that names the file");
    error
}

/// Id, label and times of each unit, in milliseconds where they are whole.
fn units(recording: &Recording) -> Vec<(i64, &str, Vec<i64>)> {
    let units = recording.session.units.iter();
    units.map(|u| (u.neuron.id, u.neuron.label.as_str(), u.spike_times_ns.clone())).collect()
}

fn ms(times: &[i64]) -> Vec<i64> {
    times.iter().map(|t| t * 1_000_000).collect()
}

/// The trains of `make_layouts.py`, which belong to channels 11, 3 and 17.
fn trains() -> [Vec<i64>; 3] {
    [ms(&[20, 100, 300, 1500, 2250]), ms(&[40, 500, 3000]), ms(&[60, 750, 800, 4125])]
}

/// The trains by channel: 3, a silent one, 11, 17.
fn by_channel(labels: [&str; 4], shift_ns: i64) -> Vec<(i64, &str, Vec<i64>)> {
    let [a, b, c] = trains().map(|train| train.into_iter().map(|t| t + shift_ns).collect::<Vec<_>>());
    vec![(3, labels[0], b), (5, labels[1], vec![]), (11, labels[2], a), (17, labels[3], c)]
}

const ELECTRODES: [&str; 4] = ["electrode 21", "electrode 35", "electrode 77", "electrode 119"];
const SILENT: Problem = Problem::SilentUnits { units: 1, first_unit: 1 };

fn texts(recording: &Recording) -> Vec<String> {
    recording.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn maxwell_times_are_frames_of_the_device_unless_the_file_says_where_it_began() {
    let offset_ns = 50_000_000_000;
    for (name, group) in [
        ("maxwell.h5", "/wells/well000/rec0000"),
        ("maxwell_recordings.h5", "/recordings/rec0000/well000"),
        // The other names are soft links.
        ("maxwell_linked.h5", "/data_store/data0000"),
    ] {
        let recording = read(name);
        assert_eq!(recording.layout, Layout::MaxWell, "{name}");
        assert_eq!(units(&recording), by_channel(ELECTRODES, offset_ns), "{name}");
        let object = format!("{group}/spikes");
        assert_eq!(recording.facts.units_object.as_ref(), Some(&object));
        assert_eq!(
            recording.problems,
            [Problem::FramesOfDevice { object, frame: 1_000_400 }, SILENT],
            "{name}"
        );
        assert_eq!(recording.facts.layout_version.as_deref(), Some("20190530"));
        assert_eq!(recording.facts.resolution_seconds, Some(5e-5));
    }
    let relative = read("maxwell_frames.h5");
    assert_eq!(units(&relative), by_channel(ELECTRODES, 0));
    let object = "/wells/well000/rec0000/groups/routed/frame_nos".to_owned();
    assert_eq!(relative.problems, [Problem::FramesRelative { object, first_frame: 1_000_000 }, SILENT]);

    let negative = read("maxwell_negative.h5");
    assert_eq!(units(&negative), by_channel(ELECTRODES, -100_000_000));
    let early = Problem::NegativeTimes { spikes: 3, earliest_ns: -80_000_000 };
    assert_eq!(negative.problems[1..], [SILENT, early]);
}

#[test]
fn maxwell_channels_outside_the_mapping_are_kept() {
    let unmapped = read("maxwell_unmapped.h5");
    let ids: Vec<_> = units(&unmapped).iter().map(|(id, label, _)| (*id, label.to_string())).collect();
    let expected = [(3, "electrode 21"), (17, "electrode 119"), (11, "")].map(|(id, l)| (id, l.to_owned()));
    assert_eq!(ids, expected);
    let object = "/wells/well000/rec0000/settings/mapping".to_owned();
    assert_eq!(unmapped.problems[1], Problem::UnlistedChannels { object, channels: 1, first: 11 });

    let without = read("maxwell_without_mapping.h5");
    assert_eq!(units(&without).iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [3, 11, 17]);
    assert_eq!(texts(&without)[1], "/wells/well000/rec0000/settings/mapping is missing; passed over");
}

#[test]
fn the_well_with_spikes_is_read_or_the_one_asked_for() {
    let plate = read("maxwell_plate.h5");
    assert_eq!(units(&plate), by_channel(ELECTRODES, 0));
    let other = |n: u32| format!("/wells/well00{n}/rec0000");
    assert_eq!(plate.problems[0], Problem::OtherParts { read: other(1), others: vec![other(0), other(2)] });

    for wanted in ["well002", "/wells/well002/rec0000", "well002/rec0000"] {
        let third = recording::open_part(fixture("maxwell_plate.h5"), Some(wanted)).unwrap();
        // Sampled at half the rate.
        assert_eq!(units(&third)[2].2, ms(&[40, 200]), "{wanted}");
        assert!(!third.problems.iter().any(|p| matches!(p, Problem::OtherParts { .. })));
    }
    for (name, wanted, found) in [
        (
            "maxwell_plate.h5",
            "well003",
            "/wells/well000/rec0000, /wells/well001/rec0000, /wells/well002/rec0000",
        ),
        ("mearec.h5", "well003", "no parts"),
    ] {
        let error = recording::open_part(fixture(name), Some(wanted)).unwrap_err();
        assert!(
            error.to_string().ends_with(&format!("there is no 'well003' in the file; it holds {found}")),
            "{error}"
        );
    }
    let wells = read("3brain_v4_wells.bxr");
    let others = vec!["/Well_A2".to_owned(), "/Well_B1".to_owned()];
    assert_eq!(wells.problems[0], Problem::OtherParts { read: "/Well_A1".to_owned(), others });
    assert!(recording::open_part(fixture("3brain_v4_wells.bxr"), Some("Well_B1")).is_ok());
}

#[test]
fn old_maxwell_files_are_sampled_at_20_khz() {
    let recording = read("maxwell_old.h5");
    assert_eq!(recording.layout, Layout::MaxWellOld);
    assert_eq!(units(&recording), by_channel(ELECTRODES, 50_000_000_000));
    let object = "/proc0/spikeTimes".to_owned();
    assert_eq!(recording.problems, [Problem::FramesOfDevice { object, frame: 1_000_400 }, SILENT]);
    assert_eq!(recording.facts.layout_version.as_deref(), Some("20160704"));
}

#[test]
fn three_brain_frames_channels_and_units() {
    let recording = read("3brain_v3.bxr");
    assert_eq!(recording.layout, Layout::ThreeBrainV3);
    let [a, b, c] = trains();
    assert_eq!(units(&recording), [(3, "", b.clone()), (11, "", a.clone()), (17, "", c.clone())]);
    assert_eq!(recording.problems, []);

    let odd = read("3brain_v3_odd_rate.bxr");
    // Frame 800 at 17,855.5 Hz.
    assert_eq!(units(&odd)[0].2[0], 44_804_122);

    let sorted = read("3brain_v3_sorted.bxr");
    let expected = [
        (0, "channel 3 unit 1", b),
        (1, "channel 11 unit 0", ms(&[20, 300, 1500, 2250])),
        (2, "channel 11 unit 2", ms(&[100])),
        (3, "channel 17 unit 0", c),
    ];
    assert_eq!(units(&sorted), expected);

    let short = read("3brain_v3_short.bxr");
    assert_eq!(short.problems, [Problem::SpikesBeyondEnd { spikes: 2, end_ns: 3_000_000_000 }]);
}

#[test]
fn three_brain_stretches_are_not_joined() {
    for name in ["3brain_v4.bxr", "3brain_v4_integer_rate.bxr", "3brain_v4_stretches_odd.bxr"] {
        let recording = read(name);
        assert_eq!(recording.layout, Layout::ThreeBrainV4, "{name}");
        assert_eq!(units(&recording), by_channel([""; 4], 0), "{name}");
        assert_eq!(
            recording.session.invalid,
            [Interval { start_ns: 2_000_000_000, stop_ns: 2_200_000_000 }],
            "{name}"
        );
        assert_eq!(recording.facts.layout_version.as_deref(), Some("301"));
        let toc = "/TOC".to_owned();
        let odd = [
            Problem::UnusableIntervals { object: toc.clone(), intervals: 1 },
            Problem::UnsortedIntervals { object: toc },
        ];
        assert_eq!(recording.problems[0], SILENT);
        assert_eq!(recording.problems[1..], odd[if name.contains("odd") { 0 } else { 2 }..], "{name}");
    }
}

#[test]
fn multi_channel_systems_entities() {
    let [a, b, c] = trains();
    let expected = [(0, "A1", a), (2, "B2", b), (10, "C3", c), (4, "D4", vec![])];
    let files =
        ["mcs.h5", "mcs_milliseconds.h5", "mcs_labels_variable.h5", "mcs_labels_utf8.h5", "mcs_unlisted.h5"];
    for name in files {
        let recording = read(name);
        assert_eq!(recording.layout, Layout::MultiChannelSystems, "{name}");
        assert_eq!(units(&recording), expected, "{name}");
        assert!(recording.problems.contains(&Problem::SilentUnits { units: 1, first_unit: 3 }), "{name}");
    }
    let stream = "/Data/Recording_0/TimeStampStream/Stream_0";
    let unlisted = Problem::UnlistedEntities {
        object: format!("{stream}/InfoTimeStamp"),
        entities: 1,
        first: format!("{stream}/TimeStampEntity_99"),
    };
    assert_eq!(read("mcs_unlisted.h5").problems[0], unlisted);
    assert_eq!(read("mcs_milliseconds.h5").facts.resolution_seconds, Some(1e-3));
}

#[test]
fn mearec_and_cell_explorer_trains() {
    let [a, b, c] = trains();
    let mearec = read("mearec.h5");
    assert_eq!(mearec.layout, Layout::Mearec);
    assert_eq!(units(&mearec), [(0, "", a.clone()), (2, "", b.clone()), (10, "", c.clone())]);
    assert_eq!(mearec.problems, []);
    let named = read("mearec_named.h5");
    assert_eq!(units(&named), [(0, "a", a.clone()), (1, "b", b.clone()), (2, "c", c.clone())]);
    let short = read("mearec_short.h5");
    assert_eq!(short.problems, [Problem::SpikesBeyondEnd { spikes: 3, end_ns: 2_000_000_000 }]);

    let silent = Problem::SilentUnits { units: 1, first_unit: 3 };
    let cells = read("cellinfo.mat");
    assert_eq!(cells.layout, Layout::CellExplorer);
    assert_eq!(units(&cells), [(1, "", a), (2, "", b), (7, "", c), (9, "", vec![])]);
    assert_eq!(cells.problems, std::slice::from_ref(&silent));
    let ids = |name: &str| units(&read(name)).iter().map(|(id, ..)| *id).collect::<Vec<_>>();
    assert_eq!(ids("cellinfo_without_uid.mat"), [0, 1, 2, 3]);
    let object = "/spikes/UID".to_owned();
    assert_eq!(
        read("cellinfo_without_uid.mat").problems,
        [Problem::MissingIds { object: object.clone() }, silent]
    );
    assert_eq!(ids("cellinfo_uid_fraction.mat"), [0, 1, 2, 3]);
    let found = "not whole numbers".to_owned();
    assert_eq!(read("cellinfo_uid_fraction.mat").problems[0], Problem::UnusableIds { object, found });
}

#[test]
fn sampling_rates_that_no_recording_has() {
    let well = "/wells/well000/rec0000/settings/sampling";
    for (name, expected, rate) in [
        ("bad_maxwell_rate_zero.h5", well, "0"),
        ("bad_maxwell_rate_nan.h5", well, "NaN"),
        ("bad_3brain_v3_rate_infinite.bxr", "/3BRecInfo/3BRecVars/SamplingRate", "inf"),
        ("bad_3brain_v4_rate_negative.bxr", "/@SamplingRate", "-20000"),
    ] {
        match refuse(name) {
            RecordingError::UnusableRate { object, rate_hz, .. } => {
                assert_eq!((object.as_str(), rate_hz.to_string().as_str()), (expected, rate), "{name}");
            }
            other => panic!("{name}: {other}"),
        }
    }
}

/// What is wrong with a file, after its name.
fn refusal(name: &str) -> String {
    let message = refuse(name).to_string();
    message.split_once(&format!("{name}: ")).unwrap().1.to_owned()
}

#[test]
fn malformed_files_are_one_clear_error_each() {
    let well = "/wells/well000/rec0000";
    let (stream, events) = ("/Data/Recording_0/TimeStampStream/Stream_0", "/3BResults/3BChEvents");
    let exponent = |n: i64| {
        format!("{stream}/InfoTimeStamp has exponent {n} in row 0: expected units of 10^-12 s to 1 s")
    };
    for (name, expected) in [
        (
            "bad_maxwell_spikes_missing.h5",
            format!("{well}/spikes is missing: expected spikes with frame and channel"),
        ),
        (
            "bad_maxwell_rate_missing.h5",
            format!("{well}/settings/sampling is missing: expected the sampling rate"),
        ),
        (
            "bad_maxwell_rate_text.h5",
            format!(
                "{well}/settings/sampling has the wrong type: expected float32 or float64, got string (len 5)"
            ),
        ),
        (
            "bad_maxwell_spikes_plain.h5",
            format!("{well}/spikes has the wrong type: expected rows of compounds, got int64"),
        ),
        (
            "bad_maxwell_field_missing.h5",
            format!("{well}/spikes field channel is missing: expected an integer in each row"),
        ),
        (
            "bad_maxwell_field_real.h5",
            format!("{well}/spikes field frameno has the wrong type: expected an integer, got float64"),
        ),
        (
            "bad_maxwell_frame_far.h5",
            format!(
                "{well}/spikes: spike 1 of unit 2 is at 230584300921369.4 s: expected a finite time within ±4e9 s"
            ),
        ),
        (
            "bad_maxwell_old_spikes_missing.h5",
            "/proc0/spikeTimes is missing: expected spikes with frame and channel".to_owned(),
        ),
        (
            "bad_3brain_v3_channels_short.bxr",
            format!("{events}/SpikeChIDs has 3 entries, expected 12 (one per entry of {events}/SpikeTimes)"),
        ),
        (
            "bad_3brain_v3_units_short.bxr",
            format!("{events}/SpikeUnits has 2 entries, expected 12 (one per entry of {events}/SpikeTimes)"),
        ),
        (
            "bad_3brain_v3_without_SpikeTimes.bxr",
            format!("{events}/SpikeTimes is missing: expected the frame of each spike"),
        ),
        (
            "bad_3brain_v3_without_SpikeChIDs.bxr",
            format!("{events}/SpikeChIDs is missing: expected the channel of each spike"),
        ),
        (
            "bad_3brain_v3_without_SamplingRate.bxr",
            "/3BRecInfo/3BRecVars/SamplingRate is missing: expected the sampling rate".to_owned(),
        ),
        (
            "bad_3brain_v3_channels_group.bxr",
            format!("{events}/SpikeChIDs has the wrong type: expected a dataset, got a group"),
        ),
        (
            "bad_3brain_v4_rate_missing.bxr",
            "/@SamplingRate is missing: expected the sampling rate".to_owned(),
        ),
        (
            "bad_3brain_v4_stretches_shape.bxr",
            "/TOC has the wrong shape: expected two columns, got [1, 3]".to_owned(),
        ),
        ("bad_mcs_exponent_-13.h5", exponent(-13)),
        ("bad_mcs_exponent_1.h5", exponent(1)),
        ("bad_mcs_exponent_-2147483648.h5", exponent(-2_147_483_648)),
        (
            "bad_mcs_info_missing.h5",
            format!("{stream}/InfoTimeStamp is missing: expected the table of entities"),
        ),
        (
            "bad_mcs_time_far.h5",
            format!(
                "{stream}/TimeStampEntity_0: spike 3 of unit 0 is at 15000000000 s: expected a finite time within ±4e9 s"
            ),
        ),
        (
            "bad_mcs_entity_real.h5",
            format!("{stream}/TimeStampEntity_2 has the wrong type: expected integers, got float64"),
        ),
        (
            "bad_mcs_entity_rows.h5",
            format!("{stream}/TimeStampEntity_2 has the wrong shape: expected one row of times, got [2, 3]"),
        ),
        (
            "bad_mearec_times_missing.h5",
            "/spiketrains/2/times is missing: expected spike times of the unit".to_owned(),
        ),
        (
            "bad_mearec_times_integer.h5",
            "/spiketrains/2/times has the wrong type: expected float32 or float64, got int64".to_owned(),
        ),
        (
            "bad_mearec_times_nan.h5",
            "/spiketrains/2/times: spike 1 of unit 1 is at NaN s: expected a finite time within ±4e9 s"
                .to_owned(),
        ),
        (
            "bad_cellinfo_uid_length.mat",
            "/spikes/UID has 2 entries, expected 4 (one per entry of /spikes/times)".to_owned(),
        ),
        (
            "bad_cellinfo_times_missing.mat",
            "/spikes/times is missing: expected a cell array of spike times".to_owned(),
        ),
        (
            "bad_cellinfo_times_real.mat",
            "/spikes/times has the wrong type: expected references to objects, got float64".to_owned(),
        ),
        (
            "bad_cellinfo_to_group.mat",
            "/spikes/times{2} has the wrong type: expected a reference to a dataset, got one to a group"
                .to_owned(),
        ),
        (
            "bad_cellinfo_to_itself.mat",
            "/spikes/times{2} has the wrong type: expected float32 or float64, got reference (object)"
                .to_owned(),
        ),
    ] {
        assert_eq!(refusal(name), expected, "{name}");
    }
}

#[test]
fn references_that_point_nowhere() {
    for name in ["bad_cellinfo_null.mat", "bad_cellinfo_nowhere.mat", "bad_cellinfo_inside.mat"] {
        match refuse(name) {
            RecordingError::Storage(StorageError::Unreadable { object, .. }) => {
                assert_eq!(object, "/spikes/times{2}", "{name}");
            }
            other => panic!("{name}: {other}"),
        }
    }
}

/// Problems print on one line, and say what was done.
#[test]
fn problems_say_what_was_done() {
    for name in
        ["maxwell.h5", "maxwell_frames.h5", "maxwell_plate.h5", "maxwell_unmapped.h5", "mcs_unlisted.h5"]
    {
        for text in texts(&read(name)) {
            let done = ["taken from frame", "kept", "was read", "left out", "passed over"];
            assert!(done.iter().any(|word| text.contains(word)) && !text.contains('\n'), "{text}");
        }
    }
}

/// The same twenty units, written by independent programs in every layout, and as NWB.
#[test]
fn larger_files_of_every_layout_hold_the_same_spikes() {
    let data = std::env::var_os("GLAUBER_DATA").map(PathBuf::from);
    let Some(data) = data.filter(|folder| folder.join("vendor_like").is_dir()) else {
        eprintln!("skipped: GLAUBER_DATA does not name a folder with vendor_like");
        return;
    };
    let open = |name: &str| recording::open(data.join(name)).unwrap_or_else(|e| panic!("{e}"));
    let nwb = open("nwb_good/units20_60s.nwb");
    for (name, layout, offset_ns, blur_ns) in [
        // Frames at 20 kHz, rounded; MaxWell's begin at a million.
        ("maxwell_new_like.raw.h5", Layout::MaxWell, 50_000_000_000, 25_000),
        ("maxwell_old_like.raw.h5", Layout::MaxWellOld, 50_000_000_000, 25_000),
        ("3brain_v3_like.bxr", Layout::ThreeBrainV3, 0, 25_000),
        ("3brain_v4_like.bxr", Layout::ThreeBrainV4, 0, 25_000),
        ("mcs_like.h5", Layout::MultiChannelSystems, 0, 500),
        ("mearec_like.h5", Layout::Mearec, 0, 0),
        ("cellinfo_v73_like.spikes.cellinfo.mat", Layout::CellExplorer, 0, 0),
    ] {
        let recording = open(&format!("vendor_like/{name}"));
        eprintln!("{name}: {:?}", texts(&recording));
        assert_eq!((recording.layout, recording.session.units.len()), (layout, 20), "{name}");
        for (unit, expected) in recording.session.units.iter().zip(&nwb.session.units) {
            let (times, expected) = (&unit.spike_times_ns, &expected.spike_times_ns);
            assert_eq!(times.len(), expected.len(), "{name}");
            let far = times.iter().zip(expected).map(|(a, b)| (a - offset_ns - b).abs()).max();
            assert!(far <= Some(blur_ns), "{name}: {far:?}");
        }
    }
}
