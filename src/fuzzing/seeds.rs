//! The seeds: what fuzzing begins with, and what it has found. Every test run takes them all through their targets.
//!
//! `GLAUBER_REGENERATE=1 cargo test --lib fuzzing` writes those that are made here anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::journal::Record;
use crate::journal::fuzzing::value;
use crate::model::{LostSpikes, SpikeBlock, TrialMark};
use crate::proto::v1;
use crate::proto::v1::spike_bins::Spikes;
use crate::proto::v1::stream_spikes_request::Message;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file in these folders.
fn run(target: fn(&[u8]), folders: &[&str]) {
    for folder in folders {
        let folder = root().join(folder);
        let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{} is empty", folder.display());
        for file in files {
            eprintln!("{}", file.display());
            target(&fs::read(file).unwrap());
        }
    }
}

/// The committed seeds of a target are those made here, and perhaps others.
fn made(target: &str, seeds: BTreeMap<&str, Vec<u8>>) {
    let folder = root().join("fuzz/seeds").join(target);
    for (name, seed) in seeds {
        let path = folder.join(name);
        if std::env::var_os("GLAUBER_REGENERATE").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &seed).unwrap();
        }
        assert!(fs::read(&path).unwrap() == seed, "{} is another one", path.display());
    }
}

fn random(bytes: usize, seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..bytes).map(|_| rng.random()).collect()
}

fn message(kind: u8, message: impl prost::Message) -> Vec<u8> {
    [vec![kind], message.encode_to_vec()].concat()
}

fn stream(n_neurons: u8, messages: Vec<v1::SpikeBins>) -> Vec<u8> {
    let mut out = vec![1, n_neurons];
    for bins in messages {
        let request = v1::StreamSpikesRequest { message: Some(Message::Bins(bins)) };
        out.extend(request.encode_length_delimited_to_vec());
    }
    out
}

fn specification() -> v1::SessionSpec {
    v1::SessionSpec {
        name: "rétina".to_owned(),
        neurons: (0..3).map(|id| v1::Neuron { id: 7 * id - 9, label: format!("Ω{id}") }).collect(),
        neuron_count: 3,
        bin_width_us: 12_345,
        origin_ns: -5,
        windows: ["2min", "90s", "1h", "all"].map(String::from).to_vec(),
        lags_bins: vec![1, 3, 50],
        estimators: vec![v1::Estimator::Tap.into(), v1::Estimator::TrialExact.into()],
        ridge_path: vec![0.1, 1e-9, 1e6],
        refresh_interval_bins: Some(7),
        refit_interval_bins: Some(17),
        refit_bins_max: Some(4321),
        score_memory_bins: Some(99),
        equilibrium_methods: vec![v1::EquilibriumMethod::Boltzmann.into()],
        equilibrium_interval_bins: Some(5),
        equilibrium_bins_max: Some(64),
        equilibrium_seed: Some(u64::MAX),
        metadata: Some(v1::SessionMetadata {
            experimenters: vec!["Doe, Jane".to_owned()],
            keywords: vec!["k".to_owned()],
            start_unix_ns: Some(1),
            subject: Some(v1::Subject {
                species: "Mus musculus".to_owned(),
                sex: "F".to_owned(),
                age: "P80D/P100D".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[test]
fn requests() {
    let sparse = |first_bin, active_counts: Vec<u32>, neurons: Vec<u32>| {
        let spikes = Some(Spikes::Sparse(v1::SparseBins { active_counts, neurons }));
        v1::SpikeBins { first_bin, spikes, ..Default::default() }
    };
    let packed = |first_bin, bin_count, bits: Vec<u8>| {
        let spikes = Some(Spikes::Packed(v1::PackedBins { bin_count, bits }));
        v1::SpikeBins { first_bin, spikes, ..Default::default() }
    };
    let trials =
        vec![v1::Trial { start_bin: 60, stop_bin: Some(80) }, v1::Trial { start_bin: 80, stop_bin: None }];
    let marked = v1::SpikeBins { trial_edges: vec![51, 1 << 20], trials, ..sparse(50, vec![0; 40], vec![]) };
    let again = v1::SpikeBins { trial_edges: vec![1 << 21], ..packed(89, 2, vec![255, 1, 0, 0]) };
    let busy = packed(1 << 40, 300, vec![0x55; 300 * 3]);
    let query = v1::CouplingsQuery {
        window: "200ms".to_owned(),
        estimator: v1::Estimator::Best.into(),
        receivers: vec![0, 8],
        top_pairs: 100,
        q_max: Some(0.05),
        ..Default::default()
    };
    let predictions =
        v1::StreamPredictionsRequest { window: "all".to_owned(), neurons: vec![1], ..Default::default() };
    let few = v1::SessionSpec { neuron_count: 16_384, bin_width_us: 1000, ..Default::default() };
    let settings = v1::TimestampSettings {
        lateness_us: Some(3000),
        sources: vec![v1::ClockSource { name: "A".to_owned(), clock_offset_ns: -5 }; 2],
    };
    let opened = v1::OpenStream { timestamps: Some(settings), ..Default::default() };
    let times = |source, clock_ns| v1::SpikeTimes {
        source,
        neurons: vec![3, 0, 3],
        times_ns: vec![9_000_000, 1_000_000, 10_000_000],
        clock_ns: Some(clock_ns),
        unobserved: vec![v1::TimeStretch { start_ns: 20_000_000, stop_ns: 31_000_000 }],
        clock_offset_ns: (clock_ns > 40_000_000).then_some(7),
    };
    let stamped = [
        Message::Open(opened),
        Message::Times(times(0, 15_000_000)),
        Message::Times(times(1, 40_000_001)),
        Message::Times(times(0, 50_000_000)),
    ];
    let stamped = stamped.map(|message| v1::StreamSpikesRequest { message: Some(message) });
    let stamped: Vec<u8> = stamped.iter().flat_map(prost::Message::encode_length_delimited_to_vec).collect();
    let seeds = [
        ("timestamps", [vec![1, 9], stamped].concat()),
        ("specification", message(0, specification())),
        ("specification_counted", message(0, few)),
        ("sparse", stream(9, vec![sparse(0, vec![2, 0, 1], vec![8, 0, 4]), marked, again])),
        ("packed", stream(20, vec![packed(3, 1, vec![255, 255, 15]), packed(4, 2, vec![0; 6]), busy])),
        ("query", message(2, query)),
        ("predictions", message(3, predictions)),
    ];
    made("proto", seeds.into());
    run(super::proto, &["fuzz/seeds/proto"]);
}

#[test]
fn histories() {
    let seeds = [("random_1", random(300, 1)), ("random_2", random(3000, 2)), ("random_3", random(6000, 3))];
    made("counting", seeds.into());
    run(super::counting, &["fuzz/seeds/counting"]);
}

#[test]
fn configurations() {
    run(super::config, &["fuzz/seeds/config", "config"]);
}

#[test]
fn journals() {
    let input = |n_neurons: u16, records: Vec<Record>| {
        let value = value(records, 7, usize::from(n_neurons));
        [&n_neurons.to_le_bytes()[..], &value].concat()
    };
    let bins = |n_neurons: u16, lists: &[Vec<u16>]| Record::Bins {
        block: SpikeBlock::from_lists(5, lists, usize::from(n_neurons)).unwrap(),
        trial_edges: vec![6, 1 << 30],
        trials: vec![TrialMark { start_bin: 8, stop_bin: Some(9) }],
        lost: LostSpikes { late: 1, merged: u64::MAX, masked: 0 },
    };
    let trial = Record::Trial(TrialMark { start_bin: 20, stop_bin: None });
    let epoch = Record::ProducerEpoch(u64::MAX);
    let lost = Record::LostSpikes(LostSpikes { late: u64::MAX, merged: 0, masked: 7 });
    let listed = bins(40, &[vec![3], vec![], vec![1, 39], vec![0]]);
    let seeds = [
        ("listed", input(40, vec![epoch, listed.clone(), trial, listed, lost])),
        ("packed", input(40, vec![bins(40, &[(0..40).collect(), (3..30).collect()])])),
        ("many_neurons", input(16_384, vec![bins(16_384, &[vec![3, 16_383]])])),
        ("empty", input(1, vec![])),
    ];
    made("journal", seeds.into());
    run(super::journal, &["fuzz/seeds/journal"]);
}

#[test]
fn columns() {
    let seeds = [("random_1", random(100, 1)), ("random_2", random(400, 2)), ("random_3", random(1000, 3))];
    let written = [&[15][..], &random(600, 4)].concat();
    made("columns", seeds.into_iter().chain([("written", written)]).collect());
    run(super::columns, &["fuzz/seeds/columns"]);
}
