use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::ANSWERS_QUEUED;
use crate::daemon::archiver::parse_file_name;
use crate::daemon::couplings::CHUNK_BYTES;
use crate::daemon::error::{RequestError, echoed};
use crate::daemon::registry::Registry;
use crate::proto::v1;
use crate::proto::v1::archive_service_server::ArchiveService;

/// Most snapshots in one list, so that it fits a message: the newest ones.
const LISTED_MAX: usize = 10_000;

/// Snapshots on disk.
pub(in crate::daemon) struct ArchiveRpc {
    pub(in crate::daemon) registry: Arc<Registry>,
}

#[tonic::async_trait]
impl ArchiveService for ArchiveRpc {
    type FetchSnapshotStream = ReceiverStream<Result<v1::FetchSnapshotResponse, Status>>;

    async fn list_snapshots(
        &self,
        request: Request<v1::ListSnapshotsRequest>,
    ) -> Result<Response<v1::ListSnapshotsResponse>, Status> {
        let session_id = request.into_inner().session_id;
        let directory = self.directory()?;
        let known = session_id.is_empty() || self.registry.get(&session_id).is_ok();
        let listed = tokio::task::spawn_blocking(move || list(&directory, &session_id, known));
        let snapshots = listed.await.map_err(|_| RequestError::Stopped { what: "archive" })??;
        Ok(Response::new(v1::ListSnapshotsResponse { snapshots }))
    }

    async fn fetch_snapshot(
        &self,
        request: Request<v1::FetchSnapshotRequest>,
    ) -> Result<Response<Self::FetchSnapshotStream>, Status> {
        let v1::FetchSnapshotRequest { session_id, file_name } = request.into_inner();
        let directory = self.directory()?;
        let place = self.registry.bulk_answer().await?;
        let opened = tokio::task::spawn_blocking(move || open(&directory, session_id, file_name));
        let mut file = opened.await.map_err(|_| RequestError::Stopped { what: "archive" })??;
        let (answers, stream) = mpsc::channel(ANSWERS_QUEUED);
        tokio::task::spawn_blocking(move || {
            let _place = place;
            loop {
                let answer = match next_chunk(&mut file) {
                    Ok(chunk) if chunk.is_empty() => return,
                    Ok(chunk) => Ok(v1::FetchSnapshotResponse { chunk }),
                    Err(error) => Err(Status::from(unreadable(&error))),
                };
                let last = answer.is_err();
                // The client has gone, or has been told that nothing follows.
                if answers.blocking_send(answer).is_err() || last {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

impl ArchiveRpc {
    fn directory(&self) -> Result<PathBuf, RequestError> {
        self.registry.archive.directory().map(Path::to_path_buf).ok_or(RequestError::NoArchive)
    }
}

fn unreadable(error: &io::Error) -> RequestError {
    RequestError::ArchiveUnreadable { reason: error.to_string() }
}

/// Whether a name from a client is one plain component, which stays inside the folder it is looked up in.
fn is_plain(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let normal = matches!(components.next(), Some(Component::Normal(only)) if only == name);
    normal && components.next().is_none() && !name.contains(['/', '\\', '\0'])
}

fn list(directory: &Path, session_id: &str, known: bool) -> Result<Vec<v1::SnapshotEntry>, RequestError> {
    let unknown = || RequestError::UnknownSession { session_id: echoed(session_id) };
    let mut entries = Vec::new();
    if session_id.is_empty() {
        for folder in fs::read_dir(directory).map_err(|error| unreadable(&error))? {
            let folder = folder.map_err(|error| unreadable(&error))?;
            if folder.file_type().is_ok_and(|kind| kind.is_dir()) {
                let session_id = folder.file_name().to_string_lossy().into_owned();
                list_folder(&folder.path(), &session_id, &mut entries)?;
            }
        }
    } else {
        if !is_plain(session_id) {
            return Err(unknown());
        }
        let folder = directory.join(session_id);
        match fs::symlink_metadata(&folder) {
            Ok(found) if found.is_dir() => list_folder(&folder, session_id, &mut entries)?,
            _ if known => {}
            _ => return Err(unknown()),
        }
    }
    entries.sort_by(|(a, newer_a), (b, newer_b)| {
        newer_b.cmp(newer_a).then_with(|| (&a.session_id, &a.file_name).cmp(&(&b.session_id, &b.file_name)))
    });
    entries.truncate(LISTED_MAX);
    let mut entries: Vec<_> = entries.into_iter().map(|(entry, _)| entry).collect();
    entries.sort_by(|a, b| (&a.session_id, &a.file_name).cmp(&(&b.session_id, &b.file_name)));
    Ok(entries)
}

type Dated = (v1::SnapshotEntry, Option<std::time::SystemTime>);

fn list_folder(folder: &Path, session_id: &str, entries: &mut Vec<Dated>) -> Result<(), RequestError> {
    for file in fs::read_dir(folder).map_err(|error| unreadable(&error))? {
        let file = file.map_err(|error| unreadable(&error))?;
        let file_name = file.file_name().to_string_lossy().into_owned();
        // Anything else in the folder, such as a file still being written, is no snapshot.
        let (Some((end_bin, window)), Ok(metadata)) = (parse_file_name(&file_name), file.metadata()) else {
            continue;
        };
        if metadata.is_file() {
            let entry = v1::SnapshotEntry {
                session_id: session_id.to_owned(),
                file_name,
                window: window.to_string(),
                end_bin,
                size_bytes: metadata.len(),
                path: file.path().display().to_string(),
            };
            entries.push((entry, metadata.modified().ok()));
        }
    }
    Ok(())
}

fn open(directory: &Path, session_id: String, file_name: String) -> Result<File, RequestError> {
    let allowed = is_plain(&session_id) && is_plain(&file_name) && parse_file_name(&file_name).is_some();
    let folder = directory.join(&session_id);
    let path = folder.join(&file_name);
    // Neither the folder nor the file may be a link out of the archive.
    let inside = || {
        fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir())
            && fs::symlink_metadata(&path).is_ok_and(|found| found.is_file())
    };
    if !allowed || !inside() {
        let (session_id, file_name) = (echoed(&session_id), echoed(&file_name));
        return Err(RequestError::UnknownSnapshot { session_id, file_name });
    }
    File::open(&path).map_err(|error| unreadable(&error))
}

/// The next bytes of the file; none at its end.
fn next_chunk(file: &mut File) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    file.take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_folder_are_not_plain() {
        for name in ["", ".", "..", "../x", "/etc", "a/b", "a/..", "a\\b", "./a", "a/"] {
            assert!(!is_plain(name), "{name:?}");
        }
        assert!(is_plain("s-0123abcd") && is_plain("000000003000_all.h5"));
    }
}
