//! Recorded sessions as NWB 2 files that pynwb validates and nwbinspector accepts.

use std::path::Path;
use std::time::SystemTime;

use super::times::{seconds, seconds_from, seconds_to};
use super::truth::{self, Truth};
use super::{Overwrite, RecordingError};
use crate::model::{Interval, RecordedSession, RecordedUnit, SessionMetadata, Subject};
use crate::storage::{OutputFile, Storage, StorageError, publish};

/// Version of the NWB schema the files follow.
const NWB_VERSION: &str = "2.7.0";
const CORE: &str = "core";
const COMMON: &str = "hdmf-common";
/// What the column of spike times says of itself.
pub(super) const SPIKE_TIMES: &str = "the spike times for each unit in seconds";
pub(super) const TRIALS: &str = "/intervals/trials";
pub(super) const INVALID_TIMES: &str = "/intervals/invalid_times";
/// What stands where the format asks for something that nobody said.
pub(super) const UNKNOWN: &str = "unknown";
/// The same in the form of a Latin binomial, which the format's inspector asks of a species.
pub(super) const UNKNOWN_SPECIES: &str = "Unknown species";
/// The same of a sex.
pub(super) const UNKNOWN_SEX: &str = "U";
/// The same of an age: some time after birth.
pub(super) const UNKNOWN_AGE: &str = "P0D/";

/// What a file says about the session besides the spikes.
#[derive(Debug, Clone, PartialEq)]
pub struct NwbMetadata {
    /// Unique name of the session; the object ids of the file derive from it and the start time.
    pub identifier: String,
    /// What was done, in words.
    pub session_description: String,
    /// Wall-clock time of the recording's time zero.
    pub session_start: SystemTime,
    /// Wall-clock time at which the file is made.
    pub created: SystemTime,
    /// Smallest difference between spike times, in seconds: the bin width when times are bin-resolved.
    pub resolution_seconds: f64,
    /// Whose neurons these are.
    pub subject: Subject,
}

/// What stands at the top of a file, whoever writes it.
pub(super) struct Top<'a> {
    /// Unique name of the file's content.
    pub(super) identifier: &'a str,
    /// Wall-clock time of time zero.
    pub(super) start: SystemTime,
    /// Wall-clock time at which the file is made.
    pub(super) created: SystemTime,
    /// All else that is said; the start in here is not looked at.
    pub(super) metadata: &'a SessionMetadata,
}

/// Write a recorded session, and the couplings it was simulated from when there are any, as an NWB file.
///
/// Spike times are written as seconds, `nanoseconds / 10⁹`, and read back to the same nanoseconds within ±26 days of
/// zero. Units without observation intervals in a session where others have them get an empty list. Edges besides those of trials and
/// the origin of the clock are left out: [`write_session`](super::write_session) keeps them. The file appears whole or not at all.
///
/// # Errors
/// [`RecordingError`]: the file exists and may not be replaced, it cannot be written, a text holds a zero byte, or
/// the truth does not fit the units.
pub fn write_nwb(
    path: impl AsRef<Path>,
    session: &RecordedSession,
    metadata: &NwbMetadata,
    truth: Option<&Truth>,
    overwrite: Overwrite,
) -> Result<(), RecordingError> {
    let path = path.as_ref();
    let said = SessionMetadata {
        description: metadata.session_description.clone(),
        subject: metadata.subject.clone(),
        ..SessionMetadata::default()
    };
    let (identifier, start, created) = (&metadata.identifier, metadata.session_start, metadata.created);
    let file = NwbFile::new(path, &Top { identifier, start, created, metadata: &said })?;
    write_units(&file, &session.units, metadata.resolution_seconds, SPIKE_TIMES)?;
    if !session.trials.is_empty() || !session.invalid.is_empty() {
        file.out.group("/intervals")?;
    }
    write_intervals(&file, TRIALS, "Repeats of the experiment", &session.trials)?;
    write_intervals(&file, INVALID_TIMES, "Times in which nothing is valid", &session.invalid)?;
    if let Some(truth) = truth {
        truth::write(&file, path, truth, session.units.len())?;
    }
    let bytes = file.out.into_bytes()?;
    let units = session.units.len();
    publish(path, &bytes, overwrite, |written| verify(written, units))
}

/// The file must read back as an NWB file with as many units.
fn verify(written: &Path, units: usize) -> Result<(), RecordingError> {
    let recording = super::open(written)?;
    if recording.session.units.len() == units {
        return Ok(());
    }
    Err(RecordingError::LengthMismatch {
        path: written.to_owned(),
        object: "/units".to_owned(),
        got: recording.session.units.len(),
        expected: units,
        reference: "the session written".to_owned(),
    })
}

/// A file under construction whose objects carry the attributes NWB asks for.
pub(super) struct NwbFile {
    pub(super) out: OutputFile,
    seed: u64,
}

impl NwbFile {
    /// A file with nothing but its top and its subject.
    pub(super) fn new(path: &Path, top: &Top<'_>) -> Result<Self, StorageError> {
        let start = timestamp(top.start);
        let seed = fnv1a(fnv1a(FNV_BASIS, top.identifier.as_bytes()), start.as_bytes());
        let file = Self { out: OutputFile::new(path)?, seed };
        write_top(&file, top)?;
        write_subject(&file, &top.metadata.subject)?;
        Ok(file)
    }

    /// Mark an object as an NWB type. Ids derive from identifier, start time and object, so the same session
    /// with the same metadata gives the same file.
    pub(super) fn mark(&self, object: &str, namespace: &str, kind: &str) -> Result<(), StorageError> {
        let half = |part: u8| fnv1a(fnv1a(self.seed, &[part]), object.as_bytes());
        let bits = (u128::from(half(0)) << 64) | u128::from(half(1));
        let object_id = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string();
        self.out.set_text(object, "namespace", namespace)?;
        self.out.set_text(object, "neurodata_type", kind)?;
        self.out.set_text(object, "object_id", &object_id)
    }

    /// A table: its group, its `id` column and the names of its further columns, which the caller then writes.
    pub(super) fn table(
        &self,
        object: &str,
        (namespace, kind): (&str, &str),
        description: &str,
        ids: &[i64],
        columns: &[&str],
    ) -> Result<(), StorageError> {
        self.out.group(object)?;
        self.mark(object, namespace, kind)?;
        self.out.set_text(object, "description", description)?;
        self.out.set_texts(object, "colnames", columns)?;
        let id = format!("{object}/id");
        self.out.values(&id, &[ids.len()], ids, Storage::Extendable)?;
        self.mark(&id, COMMON, "ElementIdentifiers")
    }

    /// A column of real numbers.
    pub(super) fn column(
        &self,
        object: &str,
        description: &str,
        shape: &[usize],
        values: &[f64],
    ) -> Result<(), StorageError> {
        self.out.values(object, shape, values, Storage::Extendable)?;
        self.mark(object, COMMON, "VectorData")?;
        self.out.set_text(object, "description", description)
    }

    /// A column of whole numbers.
    pub(super) fn integers(
        &self,
        object: &str,
        description: &str,
        values: &[i64],
    ) -> Result<(), StorageError> {
        self.out.values(object, &[values.len()], values, Storage::Extendable)?;
        self.mark(object, COMMON, "VectorData")?;
        self.out.set_text(object, "description", description)
    }

    /// A column that names rows of the table of units by their places, from 0.
    pub(super) fn units_region(&self, object: &str, units: usize) -> Result<(), StorageError> {
        let places: Vec<i64> = (0..units as i64).collect();
        self.out.values(object, &[units], &places, Storage::Extendable)?;
        self.mark(object, COMMON, "DynamicTableRegion")?;
        self.out.set_text(object, "description", "the unit, as its row in /units")?;
        self.out.set_reference(object, "table", "/units")
    }

    /// A column of texts.
    pub(super) fn text_column<S: AsRef<str>>(
        &self,
        object: &str,
        description: &str,
        texts: &[S],
    ) -> Result<(), StorageError> {
        self.out.texts(object, texts, Storage::Extendable)?;
        self.mark(object, COMMON, "VectorData")?;
        self.out.set_text(object, "description", description)
    }

    /// The index that divides the column `target` among the rows of its table.
    fn index(&self, target: &str, lengths: impl Iterator<Item = usize>) -> Result<(), StorageError> {
        let object = format!("{target}_index");
        let ends: Vec<u64> = lengths
            .scan(0_u64, |end, length| {
                *end += length as u64;
                Some(*end)
            })
            .collect();
        self.out.values(&object, &[ends.len()], &ends, Storage::Extendable)?;
        self.mark(&object, COMMON, "VectorIndex")?;
        let column = target.rsplit('/').next().unwrap_or(target);
        self.out.set_text(&object, "description", &format!("Index for VectorData '{column}'"))?;
        self.out.set_reference(&object, "target", target)
    }
}

/// Where the hash [`fnv1a`] begins.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// The Fowler–Noll–Vo hash FNV-1a, which is the same in every version of every program.
fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// ISO 8601 with the zone as an offset, which every version of Python reads.
fn timestamp(time: SystemTime) -> String {
    // Times before 1970 have no such text.
    humantime::format_rfc3339_micros(time.max(SystemTime::UNIX_EPOCH)).to_string().replace('Z', "+00:00")
}

fn write_top(file: &NwbFile, top: &Top<'_>) -> Result<(), StorageError> {
    let (out, metadata) = (&file.out, top.metadata);
    file.mark("/", CORE, "NWBFile")?;
    out.set_text("/", "nwb_version", NWB_VERSION)?;
    for group in ["/acquisition", "/analysis", "/general", "/processing", "/stimulus"] {
        out.group(group)?;
    }
    out.group("/stimulus/presentation")?;
    out.group("/stimulus/templates")?;
    out.text("/identifier", top.identifier)?;
    out.text("/session_description", or_unknown(&metadata.description, UNKNOWN))?;
    let start = timestamp(top.start);
    out.ascii("/session_start_time", &start)?;
    out.ascii("/timestamps_reference_time", &start)?;
    out.ascii_list("/file_create_date", &timestamp(top.created))?;
    let optional = |object: &str, text: &str| if text.is_empty() { Ok(()) } else { out.text(object, text) };
    optional("/general/lab", &metadata.lab)?;
    optional("/general/institution", &metadata.institution)?;
    for (object, list) in
        [("/general/experimenter", &metadata.experimenters), ("/general/keywords", &metadata.keywords)]
    {
        if !list.is_empty() {
            out.texts(object, list, Storage::Extendable)?;
        }
    }
    out.text("/general/source_script", concat!("glauber ", env!("CARGO_PKG_VERSION")))?;
    out.set_text("/general/source_script", "file_name", "glauber")
}

fn or_unknown<'a>(text: &'a str, unknown: &'a str) -> &'a str {
    if text.is_empty() { unknown } else { text }
}

/// The format's inspector asks for a subject with an identifier, a species, a sex and an age, whoever knows them.
fn write_subject(file: &NwbFile, subject: &Subject) -> Result<(), StorageError> {
    let out = &file.out;
    out.group("/general/subject")?;
    file.mark("/general/subject", CORE, "Subject")?;
    let texts = [
        ("subject_id", or_unknown(&subject.subject_id, UNKNOWN)),
        ("species", or_unknown(&subject.species, UNKNOWN_SPECIES)),
        ("sex", or_unknown(&subject.sex, UNKNOWN_SEX)),
        ("description", &subject.description),
        ("strain", &subject.strain),
        ("genotype", &subject.genotype),
        ("age", or_unknown(&subject.age, UNKNOWN_AGE)),
    ];
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        out.text(&format!("/general/subject/{name}"), text)?;
    }
    out.set_text("/general/subject/age", "reference", "birth")
}

/// The table of units; `times_are` describes their spike times. Observation intervals that no number has exactly reach a little further.
pub(super) fn write_units(
    file: &NwbFile,
    units: &[RecordedUnit],
    resolution_seconds: f64,
    times_are: &str,
) -> Result<(), StorageError> {
    if units.is_empty() {
        return Ok(());
    }
    let labelled = units.iter().any(|u| !u.neuron.label.is_empty());
    let observed = units.iter().any(|u| u.observed.is_some());
    let mut columns = vec!["spike_times"];
    if observed {
        columns.push("obs_intervals");
    }
    if labelled {
        columns.push("unit_name");
    }
    let ids: Vec<i64> = units.iter().map(|u| u.neuron.id).collect();
    file.table("/units", (CORE, "Units"), "Units and their spike times", &ids, &columns)?;

    let all: Vec<f64> = units.iter().flat_map(|u| &u.spike_times_ns).map(|&ns| seconds(ns)).collect();
    let times = "/units/spike_times";
    file.column(times, times_are, &[all.len()], &all)?;
    file.out.set(times, "resolution", resolution_seconds)?;
    file.index(times, units.iter().map(|u| u.spike_times_ns.len()))?;

    if observed {
        let intervals_of = |u: &RecordedUnit| u.observed.clone().unwrap_or_default();
        let bounds: Vec<f64> = units
            .iter()
            .flat_map(intervals_of)
            .flat_map(|i| [seconds_to(i.start_ns), seconds_from(i.stop_ns)])
            .collect();
        let object = "/units/obs_intervals";
        file.column(object, "the observation intervals for each unit", &[bounds.len() / 2, 2], &bounds)?;
        file.index(object, units.iter().map(|u| u.observed.as_ref().map_or(0, Vec::len)))?;
    }
    if labelled {
        let labels: Vec<&str> = units.iter().map(|u| u.neuron.label.as_str()).collect();
        file.text_column("/units/unit_name", "name or electrode label of each unit", &labels)?;
    }
    Ok(())
}

/// A table of intervals, unless there are none. Bounds that no number has exactly lie a little further inside.
pub(super) fn write_intervals(
    file: &NwbFile,
    object: &str,
    description: &str,
    intervals: &[Interval],
) -> Result<(), StorageError> {
    if intervals.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = (0..intervals.len() as i64).collect();
    file.table(object, (CORE, "TimeIntervals"), description, &ids, &["start_time", "stop_time"])?;
    let starts: Vec<f64> = intervals.iter().map(|i| seconds_from(i.start_ns)).collect();
    let stops: Vec<f64> = intervals.iter().map(|i| seconds_to(i.stop_ns)).collect();
    let n = intervals.len();
    file.column(&format!("{object}/start_time"), "Start time of epoch, in seconds", &[n], &starts)?;
    file.column(&format!("{object}/stop_time"), "Stop time of epoch, in seconds", &[n], &stops)
}
