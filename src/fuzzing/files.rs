use std::path::PathBuf;
use std::sync::OnceLock;

use super::columns::spans_few_bins;
use crate::archive::{self, Overwrite};
use crate::ingest;
use crate::model::BinWidth;

/// Where this process keeps the file that is read: in memory where the system allows.
pub(super) fn path(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        if memory.is_dir() { memory } else { std::env::temp_dir() }
    });
    folder.join(format!("glauber-fuzz-{}-{name}", std::process::id()))
}

fn with_file(name: &str, input: &[u8], read: impl FnOnce(&PathBuf)) {
    let path = path(name);
    // A file that cannot be written is nobody's finding.
    if std::fs::write(&path, input).is_ok() {
        read(&path);
    }
    drop(std::fs::remove_file(&path));
}

/// A recording, in this very process: the HDF5 library may crash, which is why users' files are read in another.
///
/// # Panics
/// When one that is read cannot be told of or cut into bins.
pub fn recording(input: &[u8]) {
    with_file("recording", input, |path| {
        let recording = match crate::recording::open(path) {
            Ok(recording) => recording,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return;
            }
        };
        recording.problems.iter().for_each(|problem| assert!(!problem.to_string().is_empty()));
        let Ok(width) = BinWidth::from_us(20_000) else { return };
        if spans_few_bins(&recording.session, width) {
            match ingest::bin_recording(&recording.session, width, None) {
                Ok(binned) => assert!(binned.n_observed() <= binned.n_bins),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
        drop(crate::recording::read_truth(path));
    });
}

/// A snapshot, likewise. One that is read is written again and comes back.
///
/// # Panics
/// When it does not.
pub fn snapshot(input: &[u8]) {
    with_file("snapshot", input, |path| {
        drop(archive::describe(path));
        let stored = match archive::read_snapshot(path) {
            Ok(stored) => stored,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return;
            }
        };
        if archive::write_snapshot(path, &stored.snapshot, &stored.provenance, Overwrite::Replace).is_ok() {
            let again = archive::read_snapshot(path).expect("what was written can be read");
            assert_eq!(again.snapshot, stored.snapshot);
        }
    });
}
