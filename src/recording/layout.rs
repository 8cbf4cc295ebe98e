use std::fmt;

use super::cell_explorer::CellExplorer;
use super::maxwell::MaxWell;
use super::maxwell_old::MaxWellOld;
use super::mearec::Mearec;
use super::multi_channel_systems::MultiChannelSystems;
use super::parts::Part;
use super::three_brain_v3::ThreeBrainV3;
use super::three_brain_v4::ThreeBrainV4;
use super::{Recording, RecordingError, nwb::Nwb, waverepo::Waverepo};
use crate::storage::{InputFile, StorageError};

/// A file layout that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Neurodata Without Borders 2.
    Nwb,
    /// The public collection of retinal multi-electrode recordings, `waverepo`.
    Waverepo,
    /// MaxWell Biosystems, MaxLab Live since 2019.
    MaxWell,
    /// MaxWell Biosystems, before 2019.
    MaxWellOld,
    /// 3Brain BrainWave 3.
    ThreeBrainV3,
    /// 3Brain BrainWave 4 and later.
    ThreeBrainV4,
    /// Multi Channel Systems, Multi Channel DataManager.
    MultiChannelSystems,
    /// Simulations by MEArec.
    Mearec,
    /// CellExplorer `spikes.cellinfo`, MATLAB 7.3.
    CellExplorer,
}

impl Layout {
    /// Name in messages and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nwb => "nwb",
            Self::Waverepo => "waverepo",
            Self::MaxWell => "maxwell",
            Self::MaxWellOld => "maxwell-old",
            Self::ThreeBrainV3 => "3brain-v3",
            Self::ThreeBrainV4 => "3brain-v4",
            Self::MultiChannelSystems => "multi-channel-systems",
            Self::Mearec => "mearec",
            Self::CellExplorer => "cell-explorer",
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

    /// The recordings in the file, for layouts that can hold several.
    fn parts(&self, _file: &InputFile) -> Result<Vec<Part>, StorageError> {
        Ok(Vec::new())
    }

    /// Read a file that [`RecordingLayout::recognises`] accepted: the part whose group is named, or all where there are no parts.
    fn read(&self, file: &InputFile, part: &str) -> Result<Recording, RecordingError>;
}

/// Every layout, in the order in which they are tried.
pub(super) const LAYOUTS: [&dyn RecordingLayout; 9] = [
    &Nwb,
    &Waverepo,
    &MaxWell,
    &MaxWellOld,
    &ThreeBrainV3,
    &ThreeBrainV4,
    &MultiChannelSystems,
    &Mearec,
    &CellExplorer,
];

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
