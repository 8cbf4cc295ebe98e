//! Every finished file must open.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Read every finished file below a folder and remove it; gives how many there were.
pub(crate) fn check_new(folder: &Path) -> u64 {
    let mut found = Vec::new();
    collect(folder, &mut found);
    let mut checked = HashSet::new();
    for path in found {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("h5") => {
                if let Err(error) = glauber::archive::read_snapshot(&path) {
                    panic!("a finished snapshot does not open: {error}");
                }
            }
            Some("nwb") => {
                if let Err(error) = glauber::recording::open(&path) {
                    panic!("a finished recording does not open: {error}");
                }
            }
            // What a kill left behind under a temporary name.
            _ => continue,
        }
        checked.insert(path);
    }
    for path in &checked {
        std::fs::remove_file(path).expect("it can be removed");
    }
    checked.len() as u64
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() { collect(&path, found) } else { found.push(path) }
    }
}
