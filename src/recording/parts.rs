//! Files that hold several recordings: wells of a plate, runs of a session.

use super::{Problem, RecordingError};
use crate::storage::InputFile;

/// One of several recordings in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Group in the file, such as `/wells/well000/rec0000`.
    pub(super) object: String,
    /// Whether it holds spikes, as far as that can be told without reading them.
    pub(super) has_spikes: bool,
}

/// The group to read: the one asked for, by its path or the end of it or a name in it, else the first with spikes. Empty when
/// the layout knows no parts.
pub(super) fn choose(
    file: &InputFile,
    parts: &[Part],
    wanted: Option<&str>,
    problems: &mut Vec<Problem>,
) -> Result<String, RecordingError> {
    if let Some(wanted) = wanted {
        let bare = wanted.trim_matches('/');
        let is_wanted = |part: &&Part| {
            let object = part.object.trim_start_matches('/');
            object == bare
                || object.ends_with(&format!("/{bare}"))
                || object.split('/').any(|name| name == bare)
        };
        let found: Vec<&Part> = parts.iter().filter(is_wanted).collect();
        let with_spikes = found.iter().find(|part| part.has_spikes);
        return match with_spikes.or(found.first()) {
            Some(part) => Ok(part.object.clone()),
            None => Err(RecordingError::NoSuchPart {
                path: file.path().to_owned(),
                wanted: wanted.to_owned(),
                found: listed(parts.iter().map(|part| part.object.as_str())),
            }),
        };
    }
    let first = parts.iter().find(|part| part.has_spikes).or(parts.first());
    let Some(first) = first else { return Ok(String::new()) };
    let others: Vec<String> =
        parts.iter().filter(|part| part.object != first.object).map(|part| part.object.clone()).collect();
    if !others.is_empty() {
        problems.push(Problem::OtherParts { read: first.object.clone(), others });
    }
    Ok(first.object.clone())
}

/// Names of groups for a message.
pub(super) fn listed<'a>(objects: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN_MAX: usize = 8;
    let more = objects.len().saturating_sub(SHOWN_MAX);
    let shown: Vec<String> =
        objects.take(SHOWN_MAX).map(|object| object.escape_debug().to_string()).collect();
    match (shown.len(), more) {
        (0, _) => "no parts".to_owned(),
        (_, 0) => shown.join(", "),
        (_, more) => format!("{} and {more} more", shown.join(", ")),
    }
}
