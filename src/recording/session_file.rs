use std::path::Path;
use std::time::{Duration, SystemTime};

use super::nwb_write::{INVALID_TIMES, NwbFile, SPIKE_TIMES, TRIALS, Top, write_intervals, write_units};
use super::own::{MODULE, SESSION, TRIAL_EDGES, UNFINISHED};
use super::session_models::{self, WindowEstimate, WindowModel};
use super::times::{nanoseconds, seconds};
use super::{Overwrite, RecordedPart, RecordingError};
use crate::model::{BinWidth, Interval, RecordedSession, SessionMetadata};
use crate::storage::{StorageError, publish};

/// A session, or a part of one, as an NWB file.
#[derive(Debug, Clone, Copy)]
pub struct SessionFile<'a> {
    /// Identifier of the session; that of the file as well, with the number of the part.
    pub session_id: &'a str,
    /// Name that the user gave the session.
    pub name: &'a str,
    /// What is said about it; `start_ns` is the time of the left edge of bin 0, and `created` where nobody said.
    pub metadata: &'a SessionMetadata,
    /// Whether this is one of several files of the session, so that its identifier has the number of the part.
    pub is_part: bool,
    /// The bins.
    pub part: &'a RecordedPart,
    /// Couplings, each (window, estimator) once; none are written into a file without units.
    pub estimates: &'a [WindowEstimate<'a>],
    /// Equilibrium models, each (window, method) once.
    pub models: &'a [WindowModel<'a>],
    /// Wall-clock time at which the file is made.
    pub created: SystemTime,
}

/// Name of the file of a session, or of its part of this number.
#[must_use]
pub fn file_name(session_id: &str, part: Option<u32>) -> String {
    match part {
        None => format!("{session_id}.nwb"),
        Some(number) => format!("{session_id}_part{number:03}.nwb"),
    }
}

/// Write a session, or a part of one, as an NWB file that pynwb validates.
///
/// Besides units, trials and invalid times there are the session's own facts and the couplings, under `/processing/glauber`. What
/// nobody said about the session or its subject is written as unknown. The file appears whole or not at all, and was read back before it
/// has its name.
///
/// With the part some 31 bytes of memory for each spike at the peak, while the file is read back (measured: 4 · 10⁶ spikes of 500 units).
///
/// # Errors
/// [`RecordingError`]: the file exists and may not be replaced, it cannot be written, a model is of another number of neurons, or what was
/// written does not read back.
pub fn write_session(
    path: impl AsRef<Path>,
    session: &SessionFile<'_>,
    overwrite: Overwrite,
) -> Result<(), RecordingError> {
    let path = path.as_ref();
    let bytes = session.bytes(path)?;
    publish(path, &bytes, overwrite, |written| verify(written, &session.part.session))
}

impl SessionFile<'_> {
    fn bytes(&self, path: &Path) -> Result<Vec<u8>, RecordingError> {
        let recorded = &self.part.session;
        let identifier = if self.is_part {
            format!("{}_part{:03}", self.session_id, self.part.number)
        } else {
            self.session_id.to_owned()
        };
        let (start, created) = (self.start(), self.created);
        let file =
            NwbFile::new(path, &Top { identifier: &identifier, start, created, metadata: self.metadata })?;
        file.out.text("/general/session_id", self.session_id)?;
        let width = self.part.bin_width;
        let times_are = format!("{SPIKE_TIMES}: the middle of the bin of {width} in which the unit fired");
        write_units(&file, &recorded.units, resolution_seconds(width), &times_are)?;
        self.write_intervals(&file)?;
        self.write_own(&file)?;
        let units = recorded.units.len();
        session_models::write_estimates(&file, path, units, self.estimates)?;
        session_models::write_models(&file, path, units, self.models)?;
        Ok(file.out.into_bytes()?)
    }

    fn start(&self) -> SystemTime {
        let since_1970 = self.metadata.start_ns.and_then(|ns| u64::try_from(ns).ok());
        since_1970.map_or(self.created, |ns| SystemTime::UNIX_EPOCH + Duration::from_nanos(ns))
    }

    fn write_intervals(&self, file: &NwbFile) -> Result<(), StorageError> {
        let RecordedPart { session, unfinished, .. } = self.part;
        let unfinished: Vec<Interval> = unfinished.iter().copied().collect();
        if [&session.trials, &session.invalid, &unfinished].iter().any(|table| !table.is_empty()) {
            file.out.group("/intervals")?;
        }
        write_intervals(file, TRIALS, "Repeats of the experiment", &session.trials)?;
        write_intervals(file, INVALID_TIMES, "Gaps: bins that never arrived", &session.invalid)?;
        let description = "The trial that was going on when the recording, or this part of it, ended: cut there, and no repeat";
        write_intervals(file, UNFINISHED, description, &unfinished)
    }

    /// The module of our own, with what the format has no place for.
    fn write_own(&self, file: &NwbFile) -> Result<(), StorageError> {
        file.out.group(MODULE)?;
        file.mark(MODULE, "core", "ProcessingModule")?;
        let description = "The session as glauber took it, and the couplings it gave";
        file.out.set_text(MODULE, "description", description)?;
        self.write_facts(file)?;
        let session = &self.part.session;
        let unfinished_ns = self.part.unfinished.map(|trial| trial.start_ns);
        let edges: Vec<i64> =
            session.edges_ns.iter().copied().filter(|&ns| Some(ns) != unfinished_ns).collect();
        if edges.is_empty() {
            return Ok(());
        }
        let description = "Instants that no transition crosses, besides the starts and ends of trials";
        let ids: Vec<i64> = (0..edges.len() as i64).collect();
        file.table(TRIAL_EDGES, ("hdmf-common", "DynamicTable"), description, &ids, &["time"])?;
        let times: Vec<f64> = edges.iter().map(|&ns| seconds(ns)).collect();
        file.column(&format!("{TRIAL_EDGES}/time"), "left edge of a bin, in seconds", &[times.len()], &times)
    }

    fn write_facts(&self, file: &NwbFile) -> Result<(), StorageError> {
        let part = self.part;
        let integer = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let observed = part.bins.end - part.bins.start - part.gap_bins;
        let integers = [
            ("bin_width_us", i64::from(part.bin_width.us()), "width of a bin, in microseconds"),
            (
                "origin_ns",
                part.session.origin_ns,
                "what the clock of the rig showed at time zero, the left edge of bin 0, in nanoseconds",
            ),
            ("part", i64::from(part.number), "which part of the session this is, from 1"),
            (
                "first_bin",
                integer(part.bins.start),
                "first bin of the session that was recorded here, from 0",
            ),
            ("end_bin", integer(part.bins.end), "bin after the last one"),
            ("bins_observed", integer(observed), "bins from first_bin to end_bin without those in gaps"),
            ("gaps", integer(part.gaps), "stretches of bins that never arrived; they are the invalid_times"),
            ("spikes", integer(part.spikes), "spikes, at most one per unit and bin"),
        ];
        let names = ["session_id", "session_name"];
        let columns: Vec<&str> = names.into_iter().chain(integers.iter().map(|(name, ..)| *name)).collect();
        let description = "The session as it was taken, bin by bin";
        file.table(SESSION, ("hdmf-common", "DynamicTable"), description, &[0], &columns)?;
        let column = |name: &str| format!("{SESSION}/{name}");
        file.text_column(&column("session_id"), "identifier of the session", &[self.session_id])?;
        file.text_column(&column("session_name"), "name that the user gave the session", &[self.name])?;
        for (name, value, description) in integers {
            file.integers(&column(name), description, &[value])?;
        }
        Ok(())
    }
}

/// The resolution that is written: the bin width or, since the format's inspector takes a resolution above 10 ms for a mistaken sampling
/// rate, the largest whole part of the width that is not above it.
fn resolution_seconds(width: BinWidth) -> f64 {
    const LARGEST_US: u32 = 10_000;
    width.seconds() / f64::from(width.us().div_ceil(LARGEST_US))
}

/// The file must read back as what was written.
fn verify(written: &Path, session: &RecordedSession) -> Result<(), RecordingError> {
    let read = super::open(written)?.session;
    let mismatch = |object: &str, got: usize, expected: usize| {
        Err(RecordingError::LengthMismatch {
            path: written.to_owned(),
            object: object.to_owned(),
            got,
            expected,
            reference: "the session written".to_owned(),
        })
    };
    if read.units.len() != session.units.len() {
        return mismatch("/units", read.units.len(), session.units.len());
    }
    for (read, unit) in read.units.iter().zip(&session.units) {
        let expected = unit.spike_times_ns.iter().map(|&ns| nanoseconds(seconds(ns)));
        let same =
            expected.zip(&read.spike_times_ns).filter(|(expected, read)| *expected == Some(**read)).count();
        if read.neuron != unit.neuron
            || same != unit.spike_times_ns.len()
            || same != read.spike_times_ns.len()
        {
            return mismatch("/units/spike_times", same, unit.spike_times_ns.len());
        }
    }
    let tables = [
        (TRIALS, read.trials.len(), session.trials.len()),
        (INVALID_TIMES, read.invalid.len(), session.invalid.len()),
        (TRIAL_EDGES, read.edges_ns.len(), session.edges_ns.len()),
    ];
    match tables.into_iter().find(|(_, got, expected)| got != expected) {
        Some((object, got, expected)) => mismatch(object, got, expected),
        None => Ok(()),
    }
}
