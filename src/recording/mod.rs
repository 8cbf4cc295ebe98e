//! What was recorded, and in which file layout? Read and write recorded sessions.
//!
//! [`open`] recognises the layout of an HDF5 file from its content, never from its name, and reads it into a
//! [`RecordedSession`]: spike times as integer nanoseconds, trials, invalid intervals. What is odd about a file but
//! can be dealt with is a [`Problem`] that says what was found, where, and what was done; what cannot be dealt with
//! is one [`RecordingError`] that names the object inside the file.
//!
//! Adding a layout is one file that implements `RecordingLayout` and its lines in `layout.rs`.
//!
//! [`write_nwb`] writes NWB 2 files that pynwb validates, optionally with the couplings a simulation was made from,
//! which [`read_truth`] gives back. [`write_session`] does so for what a daemon has taken: a [`SessionPart`] collects it bin by bin, and
//! the file carries the couplings that were estimated. Binning such a file gives back the very bins.

mod cell_explorer;
mod error;
mod frames;
#[cfg(all(any(test, fuzzing), feature = "daemon"))]
pub(crate) mod fuzzing;
mod layout;
mod maxwell;
mod maxwell_old;
mod mearec;
mod multi_channel_systems;
mod nwb;
mod nwb_write;
mod own;
mod parts;
mod problem;
mod read_metadata;
mod session_file;
mod session_models;
mod session_part;
mod three_brain_v3;
mod three_brain_v4;
mod times;
mod truth;
mod waverepo;

use std::path::Path;

pub use error::RecordingError;
pub use layout::Layout;
pub use nwb_write::{NwbMetadata, write_nwb};
pub use problem::Problem;
pub use session_file::{SessionFile, file_name, write_session};
pub use session_models::{WindowEstimate, WindowModel};
pub use session_part::{PartError, RecordedPart, SessionPart};
pub use truth::{Truth, TruthModel, read_truth};

pub use crate::model::Subject;
pub use crate::storage::{Overwrite, StorageError};

use crate::model::{RecordedSession, SessionMetadata};
use crate::storage::{InputFile, InputLimits};

/// A recorded session and what is known about its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// The layout that was recognised.
    pub layout: Layout,
    /// Units, trials and invalid intervals.
    pub session: RecordedSession,
    /// What the file says about itself.
    pub facts: RecordingFacts,
    /// Oddities that were dealt with, in the order they were met.
    pub problems: Vec<Problem>,
}

/// What a file says about itself; every entry may be absent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RecordingFacts {
    /// Unique name of the session.
    pub identifier: Option<String>,
    /// Description in words.
    pub description: Option<String>,
    /// Wall-clock time of the session's start, as the file spells it (ISO 8601 in NWB).
    pub session_start: Option<String>,
    /// Version of the layout, such as `2.11.0`.
    pub layout_version: Option<String>,
    /// Smallest difference between spike times, in seconds: the bin width when times are bin-resolved.
    pub resolution_seconds: Option<f64>,
    /// Where in the file the units stand, such as `/units`.
    pub units_object: Option<String>,
    /// Who recorded what, where and when, as far as the file says; unchecked.
    pub metadata: SessionMetadata,
}

/// Read a recorded session; the layout is recognised from the content. Of a file that holds several recordings, such as the
/// wells of a plate, the first with spikes is read.
///
/// The file is not locked, links are not followed, and declared sizes are checked before anything is allocated.
///
/// # Errors
/// One [`RecordingError`] that names the file and the object inside it.
pub fn open(path: impl AsRef<Path>) -> Result<Recording, RecordingError> {
    open_part(path, None)
}

/// As [`open`], of a file that may hold several recordings: `part` is the path of a group, the end of one, or a name in one, such
/// as `well001`.
///
/// # Errors
/// As [`open`], and [`RecordingError::NoSuchPart`].
pub fn open_part(path: impl AsRef<Path>, part: Option<&str>) -> Result<Recording, RecordingError> {
    let file = InputFile::open(path.as_ref(), InputLimits::RECORDING)?;
    for layout in layout::LAYOUTS {
        if layout.recognises(&file)? {
            let mut problems = Vec::new();
            let part = parts::choose(&file, &layout.parts(&file)?, part, &mut problems)?;
            let mut recording = layout.read(&file, &part)?;
            problems.append(&mut recording.problems);
            return Ok(Recording { problems, ..recording });
        }
    }
    Err(RecordingError::UnknownLayout {
        path: file.path().to_owned(),
        found: layout::summary(&file.members("/")?),
        known: layout::known(),
    })
}
