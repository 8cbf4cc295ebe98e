use std::path::PathBuf;

use crate::storage::StorageError;

/// A recording that cannot be read or written. Every message is one line that names the file and the object inside.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file or an object inside it cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The file is HDF5, but of no layout that is known.
    #[error("{}: unknown layout: the file holds {found}; known layouts are {known}", path.display())]
    UnknownLayout {
        /// The file.
        path: PathBuf,
        /// What stands at its top.
        found: String,
        /// The layouts that would have been recognised, and by what.
        known: String,
    },
    /// A list of cumulative counts goes down.
    #[error(
        "{}: {object} decreases from {before} to {after} at position {position}: expected cumulative ends",
        path.display()
    )]
    IndexNotMonotonic {
        /// The file.
        path: PathBuf,
        /// The index inside the file.
        object: String,
        /// 0-based position of the smaller value.
        position: usize,
        /// The value before.
        before: i64,
        /// The smaller value, or a negative one.
        after: i64,
    },
    /// An index points past the data it divides.
    #[error(
        "{}: {object} ends at {end}, but {target} has only {available} entries (position {position})",
        path.display()
    )]
    IndexOutOfRange {
        /// The file.
        path: PathBuf,
        /// The index inside the file.
        object: String,
        /// The data it divides.
        target: String,
        /// 0-based position of the offending value.
        position: usize,
        /// The offending value.
        end: i64,
        /// Number of entries there are.
        available: usize,
    },
    /// Two columns that must be equally long are not.
    #[error("{}: {object} has {got} entries, expected {expected} (one per entry of {reference})", path.display())]
    LengthMismatch {
        /// The file.
        path: PathBuf,
        /// The column inside the file.
        object: String,
        /// Its length.
        got: usize,
        /// The length expected.
        expected: usize,
        /// The column that sets the length.
        reference: String,
    },
    /// A spike time is not a number or lies more than 4 · 10⁹ s from zero.
    #[error(
        "{}: {object}: spike {spike} of unit {unit} is at {seconds} s: expected a finite time within ±4e9 s",
        path.display()
    )]
    UnusableTime {
        /// The file.
        path: PathBuf,
        /// The dataset inside the file.
        object: String,
        /// 0-based index of the unit.
        unit: usize,
        /// 0-based index of the spike within the unit.
        spike: usize,
        /// The value found.
        seconds: f64,
    },
    /// A sampling rate that no recording has.
    #[error("{}: {object} is {rate_hz} Hz: expected a sampling rate of 1 Hz to 10 MHz", path.display())]
    UnusableRate {
        /// The file.
        path: PathBuf,
        /// The dataset or attribute inside the file.
        object: String,
        /// The rate found.
        rate_hz: f64,
    },
    /// A unit of time that no recording has.
    #[error("{}: {object} has exponent {exponent} in row {row}: expected units of 10^-12 s to 1 s", path.display())]
    UnusableExponent {
        /// The file.
        path: PathBuf,
        /// The table inside the file.
        object: String,
        /// 0-based row.
        row: usize,
        /// The power of ten found.
        exponent: i64,
    },
    /// More units than any probe has.
    #[error("{}: {object} has more than {limit} units", path.display())]
    TooManyUnits {
        /// The file.
        path: PathBuf,
        /// The dataset inside the file.
        object: String,
        /// Most units that are read.
        limit: usize,
    },
    /// The file has no such recording in it.
    #[error("{}: there is no '{wanted}' in the file; it holds {found}", path.display())]
    NoSuchPart {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// The parts there are.
        found: String,
    },
    /// A coupling or field is not a finite number.
    #[error("{}: ground truth has {what} that are not finite", path.display())]
    TruthNotFinite {
        /// The file.
        path: PathBuf,
        /// `couplings` or `fields`.
        what: &'static str,
    },
    /// Couplings and fields do not fit the units they are written with.
    #[error(
        "{}: ground truth has couplings {couplings:?} and {fields} fields, expected {units} units throughout",
        path.display()
    )]
    TruthShape {
        /// The file.
        path: PathBuf,
        /// Shape of the couplings.
        couplings: Vec<usize>,
        /// Number of fields.
        fields: usize,
        /// Number of units.
        units: usize,
    },
}
