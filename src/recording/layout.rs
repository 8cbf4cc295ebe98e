use std::fmt;

use super::{Recording, RecordingError, nwb::Nwb, waverepo::Waverepo};
use crate::storage::{InputFile, StorageError};

/// A file layout that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Neurodata Without Borders 2.
    Nwb,
    /// The public collection of retinal multi-electrode recordings, `waverepo`.
    Waverepo,
}

impl Layout {
    /// Name in messages and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nwb => "nwb",
            Self::Waverepo => "waverepo",
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One way to store a recorded session in an HDF5 file.
pub(super) trait RecordingLayout: Sync {
    /// Which layout this is.
    fn layout(&self) -> Layout;

    /// What the layout is recognised by, in a few words.
    fn mark(&self) -> &'static str;

    /// Whether the content of the file is of this layout.
    fn recognises(&self, file: &InputFile) -> Result<bool, StorageError>;

    /// Read a file that [`RecordingLayout::recognises`] accepted.
    fn read(&self, file: &InputFile) -> Result<Recording, RecordingError>;
}

/// Every layout, in the order in which they are tried.
pub(super) const LAYOUTS: [&dyn RecordingLayout; 2] = [&Nwb, &Waverepo];

/// The layouts and their marks, for a message.
pub(super) fn known() -> String {
    let each: Vec<String> = LAYOUTS.iter().map(|l| format!("{} ({})", l.layout(), l.mark())).collect();
    each.join(", ")
}

/// Names at the top of a file, for a message.
pub(super) fn summary(names: &[String]) -> String {
    const SHOWN_MAX: usize = 8;
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let shown: Vec<String> = names.iter().take(SHOWN_MAX).map(|n| format!("/{}", n.escape_debug())).collect();
    match names.len().saturating_sub(SHOWN_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
