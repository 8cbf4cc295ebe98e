use std::time::{Duration, SystemTime};

use arbitrary::Unstructured;

use super::{files, up_to};
use crate::ingest::{self, BinnedRecording};
use crate::model::{BinWidth, RecordedSession};
use crate::recording::fuzzing::{Columns, session};
use crate::recording::{self, NwbMetadata, Overwrite, Subject};

/// Bins that are made: a million take 4 MB.
const BINS_MAX: f64 = 1e6;

/// Columns of times, indices and intervals as a file may hold them, past the library that reads files: a session is made of them, cut
/// into bins, and now and then written and read again.
///
/// # Panics
/// When a spike is lost, or the session that is read is another.
pub fn columns(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let writes = up_to(&mut input, 15_u8) == 15;
    let width_us =
        u64::from(BinWidth::US_MIN) + up_to(&mut input, u64::from(BinWidth::US_MAX - BinWidth::US_MIN));
    let top = match up_to(&mut input, 7_usize) {
        7 => Some(up_to(&mut input, 3_usize)),
        _ => None,
    };
    let Ok((session, problems)) = session(taken_from(&mut input)) else { return };
    problems.iter().for_each(|problem| assert!(!problem.to_string().is_empty()));
    assert!(session.units.iter().all(|unit| unit.spike_times_ns.is_sorted()));
    let Ok(width) = BinWidth::from_us(width_us) else { return };
    if spans_few_bins(&session, width) {
        match ingest::bin_recording(&session, width, top) {
            Ok(binned) => check_bins(&session, &binned, top),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    if writes {
        write_and_read(&session);
    }
}

/// Whether there are no more than [`BINS_MAX`] from the first to the last time that is named anywhere.
pub(super) fn spans_few_bins(session: &RecordedSession, width: BinWidth) -> bool {
    let of_units = session.units.iter().flat_map(|unit| {
        let observed = unit.observed.iter().flatten().flat_map(|i| [i.start_ns, i.stop_ns]);
        unit.spike_times_ns.iter().copied().chain(observed)
    });
    let trials = session.trials.iter().flat_map(|i| [i.start_ns, i.stop_ns]);
    let (least, most) = of_units.chain(trials).fold((i64::MAX, i64::MIN), |(a, b), t| (a.min(t), b.max(t)));
    (most as f64 - least as f64) / width.ns() as f64 <= BINS_MAX
}

fn check_bins(session: &RecordedSession, binned: &BinnedRecording, top: Option<usize>) {
    let spikes: u64 = session.units.iter().map(|unit| unit.spike_times_ns.len() as u64).sum();
    let told = binned.n_active() + binned.merged_spikes + binned.masked_spikes;
    assert!(
        if top.is_none() { told == spikes } else { told <= spikes },
        "{told} of {spikes} spikes are told of"
    );
    let mut end = 0;
    for block in &binned.blocks {
        assert!(block.first_bin() >= end && block.n_bins() > 0);
        end = block.end_bin();
    }
    assert!(end <= binned.n_bins);
    assert!(binned.trial_edges.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(binned.trial_edges.iter().all(|&bin| bin > 0 && bin < binned.n_bins));
    assert!(
        binned.trials.iter().all(|trial| trial.start_bin < trial.stop_bin && trial.stop_bin <= binned.n_bins)
    );
    assert!(binned.trials.windows(2).all(|pair| pair[0].stop_bin <= pair[1].start_bin));
}

/// Within 26 days of zero a file gives back the very times.
fn write_and_read(session: &RecordedSession) {
    const EXACT_NS: i64 = 26 * 24 * 3600 * 1_000_000_000;
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let metadata = NwbMetadata {
        identifier: "fuzz".to_owned(),
        session_description: "fuzz".to_owned(),
        session_start: at,
        created: at,
        resolution_seconds: 0.001,
        subject: Subject::default(),
    };
    let path = files::path("columns");
    let written = recording::write_nwb(&path, session, &metadata, None, Overwrite::Replace);
    let read = recording::open(&path);
    drop(std::fs::remove_file(&path));
    written.expect("a session that was read can be written");
    let read = read.expect("what was written can be read").session;
    assert_eq!(read.units.len(), session.units.len());
    for (read, unit) in read.units.iter().zip(&session.units) {
        assert_eq!(read.neuron, unit.neuron);
        assert_eq!(read.spike_times_ns.len(), unit.spike_times_ns.len());
        let pairs = read.spike_times_ns.iter().zip(&unit.spike_times_ns);
        assert!(pairs.into_iter().all(|(read, time)| read == time || time.abs() > EXACT_NS));
    }
    if session.trials.iter().all(|trial| trial.start_ns.abs().max(trial.stop_ns.abs()) < EXACT_NS) {
        assert_eq!(read.trials, session.trials);
    }
}

fn taken_from(input: &mut Unstructured<'_>) -> Columns {
    let units = up_to(input, 5_usize);
    let mut columns = Columns { single_precision: up_to(input, 1_u8) == 1, ..Columns::default() };
    for unit in 0..units {
        columns.seconds.extend(many(input, 40, seconds));
        columns.ends.push(columns.seconds.len());
        if up_to(input, 2_u8) == 2 {
            columns.observed.push((unit, many(input, 4, pair)));
        }
    }
    // Times that belong to no unit.
    columns.seconds.extend(many(input, 3, seconds));
    if up_to(input, 1_u8) == 1 {
        columns.ids = Some((0..units).map(|_| input.arbitrary().unwrap_or(0)).collect());
    }
    if up_to(input, 1_u8) == 1 {
        columns.labels = Some((0..units).map(|_| input.arbitrary().unwrap_or_default()).collect());
    }
    columns.trials = many(input, 6, pair);
    columns.invalid = many(input, 6, pair);
    columns.edges = many(input, 4, seconds);
    columns
}

fn many<T>(input: &mut Unstructured<'_>, max: u8, mut one: impl FnMut(&mut Unstructured<'_>) -> T) -> Vec<T> {
    (0..up_to(input, max)).map(|_| one(input)).collect()
}

fn pair(input: &mut Unstructured<'_>) -> (f64, f64) {
    (seconds(input), seconds(input))
}

/// Mostly milliseconds of one minute, at times any number there is.
fn seconds(input: &mut Unstructured<'_>) -> f64 {
    match up_to(input, 31_u8) {
        0 => f64::from_bits(input.arbitrary().unwrap_or(0)),
        1 => f64::INFINITY,
        2 => f64::from(up_to(input, u32::MAX)) - 2e9,
        3 => -f64::from(up_to(input, 60_000_u16)) / 1e3,
        4..16 => f64::from(up_to(input, 60_000_u16)) / 1e3,
        _ => f64::from(up_to(input, 1000_u16)) / 1e3,
    }
}
