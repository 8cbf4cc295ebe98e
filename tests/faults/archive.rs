//! Faults of the archive's disk: a file that cannot be written is counted and said, and stops nobody.

use std::path::Path;

use glauber::archive::read_snapshot;

use super::server::{Place, Server, names, until};
use super::shim::{
    CREATE, EACCES, EIO, ENOSPC, LINK, MAKE_DIRECTORY, RENAME, SYNC, SYNC_DIRECTORY, UNLINK, WRITE, said,
};
use crate::rig::active;

const SNAPSHOTS: &str = "/snapshots/s-";

/// Every file under a final name opens, and nothing else is there.
fn check(folder: &Path) {
    for name in names(folder) {
        let path = folder.join(&name);
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("h5") => drop(read_snapshot(&path).unwrap_or_else(|error| panic!("{error}"))),
            Some("nwb") => drop(glauber::recording::open(&path).unwrap_or_else(|error| panic!("{error}"))),
            _ => panic!("{name} is left"),
        }
    }
}

/// Wait until nothing is being written.
async fn settled(folder: &Path) {
    until("no unfinished file", async || !names(folder).iter().any(|name| name.ends_with(".tmp"))).await;
}

/// The recording of a session holds every spike of its bins.
fn check_recording(place: &Place, id: &str, n_bins: u64) {
    let read = glauber::recording::open(place.folder_of(id).join(format!("{id}.nwb"))).unwrap();
    let spikes: usize = read.session.units.iter().map(|unit| unit.spike_times_ns.len()).sum();
    assert_eq!(spikes, (0..n_bins).map(|bin| active(bin).len()).sum::<usize>());
}

async fn check_failures(server: &Server, id: &str, what: &str, errno: i32) {
    let session = server.session(id).await;
    assert!(session.snapshot_failures > 0, "{what}");
    let error = &session.last_snapshot_error;
    assert!(error.contains(&said(errno)) && error.contains(id), "{what}: {error}");
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_written_stops_nobody() {
    let Some(place) = Place::new() else { return };
    let server = place.start().await;
    let sites = [
        ("making the folder", MAKE_DIRECTORY, SNAPSHOTS),
        ("creating the file", CREATE, ".h5"),
        ("writing", WRITE, ".h5"),
        ("fsync", SYNC, ".h5"),
        ("its name", LINK, ".h5"),
        ("fsync of the folder", SYNC_DIRECTORY, SNAPSHOTS),
    ];
    for errno in [EIO, ENOSPC, EACCES] {
        for (what, kinds, part) in sites {
            let id = server.create().await;
            let folder = place.folder_of(&id);
            place.faults.begin(kinds, part, errno);
            server.feed(&id, 150).await;
            until("a failure", async || server.session(&id).await.snapshot_failures > 0).await;
            check_failures(&server, &id, what, errno).await;
            assert!(place.faults.failed() > 0, "{what}");
            // The fsync of a folder comes when the file is there.
            let found = names(&folder);
            assert_eq!(found.len(), usize::from(kinds == SYNC_DIRECTORY), "{what}: {found:?}");
            check(&folder);

            place.faults.end();
            server.feed(&id, 250).await;
            until("a later snapshot", async || {
                names(&folder).iter().any(|name| name.as_str() > "0000000002")
            })
            .await;
            settled(&folder).await;
            check(&folder);
            let failures = server.session(&id).await.snapshot_failures;
            server.close(&id).await.unwrap();
            assert_eq!(server.session(&id).await.snapshot_failures, failures, "{what}");
            check(&folder);
            check_recording(&place, &id, 250);
        }
    }
}

#[tokio::test]
async fn a_session_closes_whose_files_cannot_be_written_and_its_recording_is_written_at_the_next_start() {
    let Some(place) = Place::new() else { return };
    let server = place.start().await;
    // Closing writes the last snapshot, then the recording; both fsync the folder.
    let sites = [
        ("creating the snapshot", CREATE, ".h5", 0, true),
        ("writing the snapshot", WRITE, ".h5", 0, true),
        ("fsync of the snapshot", SYNC, ".h5", 0, true),
        ("the snapshot's name", RENAME, ".h5", 0, true),
        ("fsync of the folder of the snapshot", SYNC_DIRECTORY, SNAPSHOTS, 0, true),
        ("creating the recording", CREATE, ".nwb", 0, false),
        ("writing the recording", WRITE, ".nwb", 0, false),
        ("fsync of the recording", SYNC, ".nwb", 0, false),
        ("the recording's name", RENAME, ".nwb", 0, false),
        ("fsync of the folder of the recording", SYNC_DIRECTORY, SNAPSHOTS, 1, false),
    ];
    let mut unrecorded = Vec::new();
    for errno in [EIO, ENOSPC, EACCES] {
        for (what, kinds, part, skip, is_recorded) in sites {
            let id = server.create().await;
            server.feed(&id, 150).await;
            let folder = place.folder_of(&id);
            until("a snapshot", async || !names(&folder).is_empty()).await;
            settled(&folder).await;

            place.faults.begin_at(kinds, part, errno, skip, 1);
            let closed = server.close(&id).await.unwrap();
            place.faults.end();
            assert_eq!(place.faults.failed(), 1, "{what}");
            check_failures(&server, &id, what, errno).await;
            assert_eq!(closed.recording_paths.len(), usize::from(is_recorded), "{what}");
            assert_eq!(closed.snapshot_paths.len(), usize::from(!is_recorded), "{what}");
            check(&folder);
            if is_recorded {
                check_recording(&place, &id, 150);
            } else {
                unrecorded.push(id);
            }
        }
    }
    server.kill();
    let server = place.start().await;
    for id in &unrecorded {
        let recording = place.folder_of(id).join(format!("{id}.nwb"));
        until("the recording", async || recording.exists()).await;
        check_recording(&place, id, 150);
    }
    // The archiver is done with them: what is left is noted, and the next start has nothing to write.
    assert!(server.terminate());
    for id in &unrecorded {
        std::fs::remove_file(place.folder_of(id).join(format!("{id}.nwb"))).unwrap();
    }
    let server = place.start().await;
    assert!(server.terminate());
    assert!(unrecorded.iter().all(|id| !names(&place.folder_of(id)).contains(&format!("{id}.nwb"))));
}

#[tokio::test]
async fn what_a_killed_daemon_left_unfinished_is_removed_at_the_next_start() {
    let Some(place) = Place::new() else { return };
    let server = place.start().await;
    let id = server.create().await;
    // Neither written nor removed.
    place.faults.begin(WRITE | UNLINK, ".tmp", EIO);
    server.feed(&id, 150).await;
    until("a failure", async || server.session(&id).await.snapshot_failures > 0).await;
    server.kill();
    place.faults.end();
    let folder = place.folder_of(&id);
    assert!(names(&folder).iter().all(|name| name.ends_with(".tmp")) && !names(&folder).is_empty());
    std::fs::write(folder.join("mine.tmp"), b"kept").unwrap();
    let server = place.start().await;
    until("clean", async || names(&folder).iter().filter(|name| name.ends_with(".tmp")).eq(["mine.tmp"]))
        .await;
    assert!(server.terminate());
}
