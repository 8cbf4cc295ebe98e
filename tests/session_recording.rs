//! Sessions as NWB files: what was taken bin by bin reads back bin by bin, in one file or in parts.
//!
//! When `GLAUBER_PYTHON` names an interpreter with pynwb and nwbinspector, `tests/python/check_nwb.py` validates what was written.
#![cfg(feature = "hdf5")]

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use glauber::equilibrium::{self, FitOptions, Samples};
use glauber::ingest::{self, BinnedRecording, BinningError};
use glauber::kinetic;
use glauber::model::{
    BinWidth, EquilibriumMethod, Estimator, Lags, Neuron, Ridges, RunningScore, Runs, SessionMetadata,
    SpikeBlock, Subject, Trial, TrialMark, Window,
};
use glauber::moments::Counts;
use glauber::recording::{
    self, Overwrite, PartError, RecordedPart, RecordingError, SessionFile, SessionPart, WindowEstimate,
    WindowModel, file_name, write_session,
};
use glauber::session::{EquilibriumSpec, Gap, Marks, Session, SessionSpec};
use glauber::simulate::{KineticIsing, KineticSimulation};
use ndarray::Array2;
use proptest::prelude::*;

fn neurons(n: usize) -> Vec<Neuron> {
    (0..n as i64).map(|k| Neuron { id: 3 * k - 4, label: format!("électrode {k}") }).collect()
}

fn spec(n: usize, bin_width: BinWidth, origin_ns: i64) -> SessionSpec {
    SessionSpec {
        name: "recorded".to_owned(),
        neurons: neurons(n),
        bin_width,
        origin_ns,
        windows: vec![Window::All],
        lags: Lags::new(&[1, 2, 5]).unwrap(),
        estimators: vec![Estimator::Nmf],
        ridges: Ridges::none(),
        refresh_interval_bins: 1 << 40,
        refit_interval_bins: 1 << 40,
        refit_bins_max: 1 << 10,
        score_memory_bins: 1000,
        equilibrium: EquilibriumSpec::default(),
        metadata: SessionMetadata::default(),
    }
}

fn created() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_717_250_000)
}

fn plain<'a>(part: &'a RecordedPart, metadata: &'a SessionMetadata) -> SessionFile<'a> {
    SessionFile {
        session_id: "0123-abcd",
        name: "recorded",
        metadata,
        is_part: false,
        part,
        estimates: &[],
        models: &[],
        created: created(),
    }
}

/// The counts of a whole session.
fn counts(session: &mut Session) -> Counts {
    (*session.window_counts(0).counts).clone()
}

/// What a rig does, one step after the other.
#[derive(Debug, Clone)]
enum Step {
    /// Bins, so many of them behind those sent before, with marks at (bins ahead of the block's first bin).
    Bins { lists: Vec<Vec<u16>>, again: u64, hole: u64, edge: Option<u64>, trial: Option<(u64, Option<u64>)> },
    /// A trial marked on its own.
    Trial { ahead: u64, length: Option<u64> },
    /// An edge marked on its own.
    Edge { ahead: u64 },
}

const N: usize = 5;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let list = prop_oneof![3 => Just(vec![]), 2 => prop::collection::vec(0..N as u16 - 1, 0..4)];
    let trial = (0_u64..6, prop::option::of(1_u64..9));
    let bins = (
        prop::collection::vec(list, 0..12),
        prop_oneof![3 => Just(0_u64), 1 => 1_u64..6],
        prop_oneof![3 => Just(0_u64), 1 => 1_u64..6],
        prop::option::weighted(0.2, 0_u64..8),
        prop::option::weighted(0.3, trial.clone()),
    );
    let bins =
        bins.prop_map(|(lists, again, hole, edge, trial)| Step::Bins { lists, again, hole, edge, trial });
    let trial = trial.prop_map(|(ahead, length)| Step::Trial { ahead, length });
    let edge = (0_u64..8).prop_map(|ahead| Step::Edge { ahead });
    prop::collection::vec(prop_oneof![6 => bins, 1 => trial, 1 => edge], 1..14)
}

/// What the session is known to have taken, kept beside it.
#[derive(Debug, Default, Clone)]
struct Taken {
    /// Bins before this one are counted or lie in a gap.
    next_bin: u64,
    bins: Vec<(u64, Vec<u16>)>,
    edges: BTreeSet<u64>,
    trials: std::collections::BTreeMap<u64, Option<u64>>,
}

impl Taken {
    fn mark(&mut self, mark: TrialMark) {
        let stop = self.trials.entry(mark.start_bin).or_insert(None);
        *stop = mark.stop_bin.or(*stop);
    }

    /// What binning must give of the bins of a range.
    fn binned(&self, spec: &SessionSpec, range: Range<u64>) -> Option<BinnedRecording> {
        let held: Vec<&(u64, Vec<u16>)> = self.bins.iter().filter(|(bin, _)| range.contains(bin)).collect();
        let (first, end) = (held.first()?.0, held.last()?.0 + 1);
        let mut blocks: Vec<SpikeBlock> = Vec::new();
        for (bin, list) in &held {
            match blocks.last_mut() {
                Some(block) if block.end_bin() == bin - first => block.push_sorted(list),
                _ => blocks.push(SpikeBlock::from_lists(bin - first, std::slice::from_ref(list), N).unwrap()),
            }
        }
        let mut edges = self.edges.clone();
        let mut trials = Vec::new();
        for (&start, &declared) in &self.trials {
            let next = || self.trials.range(start + 1..).next().map(|(&next, _)| next);
            let stop = declared.or_else(next);
            // The end of a trial of which no bin came is no edge between bins that did.
            edges.insert(start);
            edges.extend(stop);
            if let Some(stop) = stop.filter(|&stop| start >= first && stop <= end) {
                trials.push(Trial { start_bin: start - first, stop_bin: stop - first });
            }
        }
        Some(BinnedRecording {
            neurons: spec.neurons.clone(),
            bin_width: spec.bin_width,
            origin_ns: spec.origin_ns + first as i64 * spec.bin_width.ns(),
            n_bins: end - first,
            blocks,
            trial_edges: edges
                .into_iter()
                .filter(|&bin| bin > first && bin < end)
                .map(|bin| bin - first)
                .collect(),
            trials,
            merged_spikes: 0,
            masked_spikes: 0,
        })
    }
}

/// Carry the steps out on a session; what it takes goes to the parts too. A full part is followed by the next one.
fn run(
    spec: &SessionSpec,
    steps: &[Step],
    spikes_max: u64,
    start_bin: u64,
) -> (Session, Taken, Vec<RecordedPart>) {
    let mut session = Session::new(spec.clone()).unwrap();
    let mut part = SessionPart::new(spec.neurons.clone(), spec.bin_width, spec.origin_ns, spikes_max);
    let mut parts = Vec::new();
    let mut taken = Taken::default();
    let mut first = true;
    for step in steps {
        match step {
            Step::Bins { lists, again, hole, edge, trial } => {
                let begin = session.next_bin() + hole + if first { start_bin } else { 0 };
                let block = SpikeBlock::from_lists(begin.saturating_sub(*again), lists, N).unwrap();
                let edges: Vec<u64> = edge.iter().map(|ahead| block.first_bin() + ahead).collect();
                let mark = |&(ahead, length): &(u64, Option<u64>)| {
                    let start_bin = block.first_bin() + ahead;
                    TrialMark { start_bin, stop_bin: length.map(|length| start_bin + length) }
                };
                let marks: Vec<TrialMark> = trial.iter().map(mark).collect();
                let repeated = block.end_bin() <= session.next_bin();
                let told = Marks { trial_edges: &edges, trials: &marks };
                let Ok(outcome) = session.push_with_marks(&block, told, &mut |_| {}) else { continue };
                first = false;
                let old = |bin: u64| repeated && bin < taken.next_bin;
                let new_marks: Vec<TrialMark> = marks
                    .iter()
                    .copied()
                    .filter(|mark| !(old(mark.start_bin) && mark.stop_bin.is_none_or(old)))
                    .collect();
                let new_edges: Vec<u64> = edges.iter().copied().filter(|&bin| !old(bin)).collect();
                taken.edges.extend(new_edges);
                new_marks.into_iter().for_each(|mark| taken.mark(mark));
                let from = outcome.gap.map_or(taken.next_bin, |gap: Gap| gap.end_bin).max(block.first_bin());
                for bin in from..block.end_bin() {
                    taken.bins.push((bin, block.bin((bin - block.first_bin()) as usize).to_vec()));
                }
                taken.next_bin = session.next_bin();
                if part.push(&block, &edges, &marks) == Err(PartError::Full) {
                    let next = part.next_part();
                    parts.push(std::mem::replace(&mut part, next).finish());
                    part.push(&block, &edges, &marks).unwrap();
                }
            }
            Step::Trial { ahead, length } => {
                let start_bin = session.next_bin() + ahead;
                let mark = TrialMark { start_bin, stop_bin: length.map(|length| start_bin + length) };
                if session.mark_trial(mark.start_bin, mark.stop_bin).is_ok() {
                    part.mark_trial(mark);
                    taken.mark(mark);
                }
            }
            Step::Edge { ahead } => {
                let bin = session.next_bin() + ahead;
                if session.mark_trial_edge(bin).is_ok() {
                    part.mark_trial_edge(bin);
                    taken.edges.insert(bin);
                }
            }
        }
    }
    parts.push(part.finish());
    (session, taken, parts)
}

/// A session fed with a binned recording as `replay` and `fit` do.
fn replayed(spec: &SessionSpec, binned: &BinnedRecording) -> Session {
    let mut session = Session::new(spec.clone()).unwrap();
    for &edge in &binned.trial_edges {
        session.mark_trial_edge(edge).unwrap();
    }
    for block in &binned.blocks {
        session.push(block, &mut |_| {}).unwrap();
    }
    session
}

fn through_a_file(
    folder: &Path,
    part: &RecordedPart,
    width: BinWidth,
) -> (recording::Recording, BinnedRecording) {
    let (read, binned) = maybe_silent(folder, part, width);
    (read, binned.unwrap())
}

/// A recording in which nobody ever fired is written, and not binned.
fn maybe_silent(
    folder: &Path,
    part: &RecordedPart,
    width: BinWidth,
) -> (recording::Recording, Option<BinnedRecording>) {
    let path = folder.join(format!("{}.nwb", part.number));
    write_session(&path, &plain(part, &SessionMetadata::default()), Overwrite::Refuse).unwrap();
    let read = recording::open(&path).unwrap();
    match ingest::bin_recording(&read.session, width, None) {
        Ok(binned) => (read, Some(binned)),
        Err(error) => {
            assert_eq!((error, part.spikes), (BinningError::NoSpikes { units: N }, 0));
            (read, None)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// What a session took reads back from its file, bin by bin, and gives the same counts.
    #[test]
    fn a_session_reads_back_as_it_was_taken(
        steps in steps(),
        width_us in prop::sample::select(vec![100_u64, 333, 7919, 10_000, 20_000, 1_000_000]),
        origin_ns in prop_oneof![Just(0_i64), Just(-123_456_789), any::<i64>().prop_map(|ns| ns / 4)],
        // Within 26 days of bin 0, and years after it, where seconds are no longer exact.
        start_bin in prop_oneof![4 => 0_u64..4, 1 => 3_000_000_000_u64..3_900_000_000],
    ) {
        let spec = spec(N, BinWidth::from_us(width_us).unwrap(), origin_ns);
        let (mut session, taken, parts) = run(&spec, &steps, u64::MAX, start_bin);
        let folder = tempfile::tempdir().unwrap();
        prop_assert_eq!(parts.len(), 1);
        let Some(expected) = taken.binned(&spec, 0..u64::MAX) else {
            prop_assert_eq!(parts[0].bins.clone().count(), 0);
            return Ok(());
        };
        let (read, binned) = maybe_silent(folder.path(), &parts[0], spec.bin_width);
        let Some(binned) = binned else { return Ok(()) };
        prop_assert_eq!(&binned, &expected);
        prop_assert_eq!(counts(&mut replayed(&spec, &binned)), counts(&mut session));
        if taken.next_bin as u128 * u128::from(width_us) < 2_000_000_000_000 {
            prop_assert_eq!(&read.session, &parts[0].session);
        }
    }

    /// Parts share the session's clock, hold every bin once, and each reads back on its own.
    #[test]
    fn parts_hold_every_bin_once(steps in steps(), spikes_max in 1_u64..12) {
        let spec = spec(N, BinWidth::from_us(20_000).unwrap(), 5);
        let (_, taken, parts) = run(&spec, &steps, spikes_max, 0);
        let folder = tempfile::tempdir().unwrap();
        let mut bins_held = 0;
        for (part, number) in parts.iter().zip(1..) {
            prop_assert_eq!(part.number, number);
            let Some(expected) = taken.binned(&spec, part.bins.clone()) else {
                prop_assert!(part.bins.is_empty());
                continue;
            };
            let (read, binned) = maybe_silent(folder.path(), part, spec.bin_width);
            bins_held += part.bins.end - part.bins.start - part.gap_bins;
            prop_assert_eq!(&read.session, &part.session);
            let Some(binned) = binned else { continue };
            prop_assert_eq!(&binned.blocks, &expected.blocks);
            prop_assert_eq!((binned.origin_ns, binned.n_bins), (expected.origin_ns, expected.n_bins));
            prop_assert_eq!(&read.session, &part.session);
            // What was told later than the part was written is in the next one.
            let known: BTreeSet<u64> = expected.trial_edges.iter().copied().collect();
            prop_assert!(binned.trial_edges.iter().all(|edge| known.contains(edge)));
            prop_assert!(expected.trial_edges.iter().all(|edge| binned.trial_edges.contains(edge)));
        }
        prop_assert_eq!(bins_held, taken.bins.len() as u64);
    }
}

#[test]
fn a_range_of_bins_is_a_recording_of_its_own() {
    let width = BinWidth::from_us(10_000).unwrap();
    let lists: Vec<Vec<u16>> =
        (0..100).map(|k| if k % 3 == 0 { vec![0, (k % 5) as u16] } else { vec![] }).collect();
    let block = SpikeBlock::from_lists(0, &lists, N).unwrap();
    let mut part = SessionPart::new(neurons(N), width, 7, u64::MAX).of_bins(31..64, 4);
    part.mark_trial(TrialMark { start_bin: 20, stop_bin: Some(40) });
    part.mark_trial(TrialMark { start_bin: 50, stop_bin: None });
    part.push(&block.slice(0, 50), &[], &[]).unwrap();
    part.push(&block.slice(50, 100), &[], &[]).unwrap();
    assert_eq!((part.bins(), part.number()), (31..64, 4));
    let part = part.finish();
    let folder = tempfile::tempdir().unwrap();
    let (_, binned) = through_a_file(folder.path(), &part, width);
    let slice = block.slice(31, 64);
    assert!(binned.blocks[0].bins().eq(slice.bins()));
    assert_eq!((binned.blocks.len(), binned.origin_ns, binned.trial_edges), (1, 310_000_007, vec![9, 19]));
    assert_eq!(binned.trials, [], "one began before, one had not ended");
}

#[test]
fn bins_that_no_file_can_hold_are_refused_and_the_part_is_as_it_was() {
    let mut part = SessionPart::new(neurons(N), BinWidth::from_us(1_000_000).unwrap(), 0, 3);
    let block =
        |first_bin: u64, spikes: usize| SpikeBlock::from_lists(first_bin, &vec![vec![1]; spikes], N).unwrap();
    let far = part.push(&block(4_000_000_000, 1), &[], &[]);
    assert_eq!(far, Err(PartError::TooFar { bin: 4_000_000_001 }));
    assert!(part.is_empty());
    // The first block of a part is taken whatever its size.
    part.push(&block(0, 5), &[], &[]).unwrap();
    assert!(part.is_full());
    assert_eq!(part.push(&block(5, 1), &[6], &[]), Err(PartError::Full));
    assert_eq!((part.bins(), part.spikes()), (0..5, 5));
    let mut next = part.next_part();
    next.push(&block(5, 1), &[6], &[]).unwrap();
    assert_eq!(next.push(&block(5 + SessionPart::BINS_MAX, 1), &[], &[]), Err(PartError::Full));
    assert_eq!((next.number(), next.is_full(), next.bins()), (2, false, 5..6));
}

fn metadata() -> SessionMetadata {
    SessionMetadata {
        description: "Spontaneous activity, dark".to_owned(),
        experimenters: vec!["Doe, Jane".to_owned(), "Müller, Jörg".to_owned()],
        lab: "Retina lab".to_owned(),
        institution: "University of Somewhere".to_owned(),
        keywords: vec!["retina".to_owned(), "waves".to_owned()],
        start_ns: Some(1_717_243_200_123_456_000),
        subject: Subject {
            subject_id: "mouse-7".to_owned(),
            species: "Mus musculus".to_owned(),
            sex: "F".to_owned(),
            age: "P9D".to_owned(),
            description: "litter 3".to_owned(),
            strain: "C57BL/6J".to_owned(),
            genotype: "wt/wt".to_owned(),
        },
    }
}

/// A recording of a network of which one neuron is silent, with gaps, trials and edges.
fn rich(width_us: u64) -> (RecordedPart, Runs) {
    let width = BinWidth::from_us(width_us).unwrap();
    let network = KineticIsing::asymmetric_sk(6, 0.4, 0.0, 5).unwrap().with_spike_probability(0.2).unwrap();
    let bins = KineticSimulation::new(&network, 7).bins(6000);
    let lists: Vec<Vec<u16>> =
        bins.bins().map(|bin| bin.iter().copied().filter(|&neuron| neuron != 2).collect()).collect();
    let mut part = SessionPart::new(neurons(6), width, 1_717_243_200_000_000_003, u64::MAX);
    let blocks = [
        SpikeBlock::from_lists(10, &lists[..2000], 6).unwrap(),
        SpikeBlock::from_lists(2110, &lists[2000..3500], 6).unwrap(),
        SpikeBlock::from_lists(3700, &lists[3500..], 6).unwrap(),
    ];
    let trials: Vec<TrialMark> =
        (1..6).map(|k| TrialMark { start_bin: 1000 * k, stop_bin: Some(1000 * k + 700) }).collect();
    part.push(&blocks[0], &[17, 1400], &trials).unwrap();
    part.push(&blocks[1], &[], &[]).unwrap();
    part.push(&blocks[2], &[], &[TrialMark { start_bin: 6000, stop_bin: None }]).unwrap();
    (part.finish(), Runs { n_neurons: 6, blocks: blocks.to_vec() })
}

/// Write it with everything there can be and, as JSON beside it, the numbers that must be found in it.
fn write_rich(
    path: &Path,
    width_us: u64,
    metadata: &SessionMetadata,
) -> Result<RecordedPart, RecordingError> {
    let (part, runs) = rich(width_us);
    let mut session = Session::new(spec(6, part.bin_width, 0)).unwrap();
    for block in &runs.blocks {
        session.push(block, &mut |_| {}).unwrap();
    }
    let counts = counts(&mut session);
    let estimators = [Estimator::Nmf, Estimator::ExactMeanField];
    let estimates = kinetic::estimate(&counts, &estimators, 0.01);
    let mut score = RunningScore::new(6);
    let windows = [Window::All, Window::Last { ms: 60_000 }];
    let of = |window| estimates.iter().map(move |estimate| (window, estimate));
    let estimates_of: Vec<_> = windows.into_iter().flat_map(of).collect();
    score.total.transitions = 500.0;
    score.total.spikes.fill(40.0);
    score.total.gain_bits.fill(10.0);
    let estimates: Vec<WindowEstimate<'_>> = estimates_of
        .into_iter()
        .map(|(window, estimate)| WindowEstimate {
            window,
            first_bin: 10,
            end_bin: 6200,
            estimate,
            score: &score,
        })
        .collect();
    let samples = Samples::of(&runs);
    let unscored = RunningScore::new(6);
    let fitted: Vec<_> = [EquilibriumMethod::Hopfield, EquilibriumMethod::Nmf]
        .into_iter()
        .map(|method| equilibrium::fit(&samples, method, &FitOptions::default()).unwrap())
        .collect();
    let model =
        |model| WindowModel { window: Window::All, first_bin: 10, end_bin: 6200, model, score: &unscored };
    let models: Vec<WindowModel<'_>> = fitted.iter().map(model).collect();
    let file =
        SessionFile { estimates: &estimates, models: &models, is_part: true, ..plain(&part, metadata) };
    write_session(path, &file, Overwrite::Refuse)?;
    let rows = |matrix: &Array2<f64>| matrix.rows().into_iter().map(|row| row.to_vec()).collect::<Vec<_>>();
    let kinetic = estimates.iter().map(|WindowEstimate { window, estimate, .. }| {
        let told = serde_json::json!({
            "couplings": rows(&estimate.couplings),
            "fields": estimate.fields.to_vec(),
            "status": estimate.status.iter().map(|status| status.as_str()).collect::<Vec<_>>(),
            "standard_errors":
                rows(&Array2::from_shape_fn((6, 6), |(i, j)| estimate.standard_error(i, j).unwrap_or(0.0))),
        });
        (format!("kinetic_{window}_{}", estimate.estimator), told)
    });
    let equilibrium = models.iter().map(|WindowModel { window, model, .. }| {
        let told =
            serde_json::json!({ "couplings": rows(&model.couplings), "fields": model.fields.to_vec() });
        (format!("equilibrium_{window}_{}", model.method), told)
    });
    let expected: serde_json::Map<_, _> = kinetic.chain(equilibrium).collect();
    std::fs::write(path.with_extension("json"), serde_json::Value::Object(expected).to_string()).unwrap();
    Ok(part)
}

#[test]
fn what_is_said_about_a_session_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file_name("0123-abcd", Some(1)));
    assert!(path.ends_with("0123-abcd_part001.nwb"));
    assert_eq!(file_name("0123-abcd", None), "0123-abcd.nwb");
    let part = write_rich(&path, 20_000, &metadata()).unwrap();
    let read = recording::open(&path).unwrap();
    assert_eq!(read.session, part.session);
    assert_eq!(read.facts.metadata, metadata());
    assert_eq!(read.facts.identifier.as_deref(), Some("0123-abcd_part001"));
    assert_eq!(
        read.facts.resolution_seconds,
        Some(0.02),
        "the bin width, whatever the format's inspector allows"
    );

    // What nobody said is unknown in the file, and nothing when it is read.
    let path = folder.path().join("unsaid.nwb");
    write_rich(&path, 5000, &SessionMetadata::default()).unwrap();
    let read = recording::open(&path).unwrap().facts;
    assert_eq!(read.description.as_deref(), Some("unknown"));
    let start_ns = Some(1_717_250_000_000_000_000);
    assert_eq!(
        read.metadata,
        SessionMetadata { start_ns, ..SessionMetadata::default() },
        "when it was written"
    );
}

#[test]
fn a_model_of_other_neurons_is_refused_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.nwb");
    let (part, _) = rich(20_000);
    let estimate = kinetic::estimate(
        &counts(&mut Session::new(spec(4, part.bin_width, 0)).unwrap()),
        &[Estimator::Nmf],
        0.0,
    );
    let score = RunningScore::new(4);
    let estimates = [WindowEstimate {
        window: Window::All,
        first_bin: 0,
        end_bin: 1,
        estimate: &estimate[0],
        score: &score,
    }];
    let metadata = metadata();
    let file = SessionFile { estimates: &estimates, ..plain(&part, &metadata) };
    let error = write_session(&path, &file, Overwrite::Refuse).unwrap_err();
    assert!(matches!(error, RecordingError::LengthMismatch { got: 4, expected: 6, .. }), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn pynwb_and_nwbinspector_accept_sessions() {
    let Some(python) = std::env::var_os("GLAUBER_PYTHON") else {
        println!("skipped: GLAUBER_PYTHON does not name an interpreter with pynwb and nwbinspector");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut paths: Vec<PathBuf> = Vec::new();
    for (name, width_us, metadata) in [
        ("said.nwb", 20_000, metadata()),
        ("unsaid.nwb", 333, SessionMetadata::default()),
        ("wide.nwb", 1_000_000, metadata()),
    ] {
        paths.push(folder.path().join(name));
        write_rich(&paths[paths.len() - 1], width_us, &metadata).unwrap();
    }
    // Nobody fires, and there is neither trial nor gap.
    let mut silent = SessionPart::new(neurons(2), BinWidth::from_us(20_000).unwrap(), 0, 10);
    silent.push(&SpikeBlock::from_lists(0, &vec![vec![]; 50], 2).unwrap(), &[], &[]).unwrap();
    paths.push(folder.path().join("silent.nwb"));
    let nothing = SessionMetadata::default();
    write_session(&paths[3], &plain(&silent.finish(), &nothing), Overwrite::Refuse).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/check_nwb.py");
    let check = Command::new(python).arg(script).args(&paths).output().unwrap();
    let printed =
        String::from_utf8_lossy(&check.stdout).into_owned() + &String::from_utf8_lossy(&check.stderr);
    println!("{printed}");
    assert!(check.status.success(), "{printed}");
}
