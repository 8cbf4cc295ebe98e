use std::sync::{Arc, Mutex};

use glauber::daemon::{SnapshotWriter, StartError, WriteFailed, start};
use glauber::proto::v1;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::rig::{Producer, Rig, assert_status, fake_writer, pattern, query, test_config};

#[tokio::test]
async fn a_port_in_use_is_one_clear_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = test_config();
    config.server.listen = taken.local_addr().unwrap();
    let error = start(config).await.unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }));
    assert!(error.to_string().contains(&taken.local_addr().unwrap().to_string()), "{error}");
}

#[tokio::test]
async fn an_archive_that_cannot_be_written_is_one_clear_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut config = test_config();
    config.archive.directory = file.path().join("snapshots");
    let error = start(config).await.unwrap_err();
    assert!(matches!(error, StartError::Archive { .. }));
    assert!(error.to_string().contains("snapshots cannot be written to"), "{error}");
}

#[tokio::test]
async fn a_configuration_that_is_not_allowed_does_not_start() {
    let mut config = test_config();
    config.defaults.ridge = "NaN".to_owned();
    assert!(matches!(start(config).await, Err(StartError::Config(error)) if error.key == "defaults.ridge"));
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let rig = Rig::new().await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(rig.channel.clone());
    let mut stream = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = stream.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["Session", "Ingest", "Inference", "Archive"] {
        assert!(names.contains(&format!("glauber.v1.{name}Service").as_str()), "{names:?}");
    }
}

#[tokio::test]
async fn health_is_reported_for_the_daemon_and_its_services() {
    let rig = Rig::new().await;
    let mut client = HealthClient::new(rig.channel.clone());
    for service in ["", "glauber.v1.IngestService", "glauber.v1.ArchiveService"] {
        let answer = client.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap();
        assert_eq!(
            answer.into_inner().status(),
            tonic_health::pb::health_check_response::ServingStatus::Serving
        );
    }
}

#[tokio::test]
async fn shutdown_counts_publishes_and_archives_everything_sent() {
    let directory = tempfile::tempdir().unwrap();
    let written = Arc::new(Mutex::new(Vec::new()));
    let mut config = test_config();
    config.archive.directory = directory.path().join("made");
    let mut rig = Rig::with_writer(config, fake_writer(&written)).await;
    let session = rig.create().await;
    let mut watcher = {
        let watched = v1::CouplingsQuery { header_only: true, ..query(&session) };
        let request = v1::WatchCouplingsRequest { query: Some(watched) };
        rig.inference.watch_couplings(request).await.unwrap().into_inner()
    };
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(0, 30)).await;
    producer.applied(30).await;

    let report = rig.daemon.shutdown().await;
    assert!(report.complete);
    assert_status(&producer.status().await, Code::Unavailable, &["shutting down"]);
    let last = watcher.message().await.unwrap().unwrap().part.unwrap();
    let v1::watch_couplings_response::Part::Header(header) = last else { panic!("{last:?}") };
    assert_eq!((header.publication, header.end_bin), (1, 30));
    assert_eq!(watcher.message().await.unwrap(), None);
    let folder = config_folder(directory.path(), &session);
    let mut written = written.lock().unwrap().clone();
    written.sort();
    assert_eq!(written, [folder.join("000000000030_10s.h5"), folder.join("000000000030_all.h5")]);
}

/// Clients that stop reading, a watcher, an answer and a producer, hold up no shutdown and do not make it a failure.
#[tokio::test]
async fn clients_that_do_not_read_hold_up_no_shutdown() {
    let mut rig = Rig::new().await;
    let asked = v1::SessionSpec { neuron_count: 800, ..super::rig::spec() };
    let session = rig.create_from(asked).await.unwrap().session_id;
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(super::rig::sparse(0, &[&[1][..]; 100])).await;
    // 800 × 800 numbers are 5 MB: more than the client takes without reading.
    let request = v1::WatchCouplingsRequest { query: Some(query(&session)) };
    let watcher = rig.inference.watch_couplings(request).await.unwrap().into_inner();
    let request = v1::GetCorrelationsRequest { session_id: session.clone(), ..Default::default() };
    let answer = rig.inference.get_correlations(request).await.unwrap().into_inner();
    let began = std::time::Instant::now();
    let report = rig.daemon.shutdown().await;
    assert!(report.complete);
    // The time of grace is 30 s.
    assert!(began.elapsed().as_secs() < 14, "{:?}", began.elapsed());
    drop((watcher, answer, producer));
}

fn config_folder(directory: &std::path::Path, session: &str) -> std::path::PathBuf {
    directory.join("made").join(session)
}

#[tokio::test]
async fn snapshots_are_listed_and_fetched() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = test_config();
    config.archive.directory = directory.path().to_path_buf();
    let mut rig = Rig::with(config).await;
    let session = rig.create().await;
    let closed = rig.close(&session).await;
    assert_eq!(closed.snapshot_paths.len(), 2);
    // Neither a file still being written nor what lies beside the archive is a snapshot.
    std::fs::write(directory.path().join(&session).join("000000000001_all.h5.tmp"), "x").unwrap();
    std::fs::write(directory.path().join("000000000001_all.h5"), "secret").unwrap();

    for session_id in ["", &session] {
        let request = v1::ListSnapshotsRequest { session_id: session_id.to_owned() };
        let listed = rig.archive.list_snapshots(request).await.unwrap().into_inner().snapshots;
        let names: Vec<_> = listed.iter().map(|entry| entry.file_name.as_str()).collect();
        assert_eq!(names, ["000000000000_10s.h5", "000000000000_all.h5"]);
        assert_eq!((listed[0].window.as_str(), listed[0].end_bin), ("10s", 0));
    }
    let fetch = |session_id: &str, file_name: &str| v1::FetchSnapshotRequest {
        session_id: session_id.to_owned(),
        file_name: file_name.to_owned(),
    };
    let request = fetch(&session, "000000000000_all.h5");
    let mut stream = rig.archive.fetch_snapshot(request).await.unwrap().into_inner();
    let chunk = stream.message().await.unwrap().unwrap().chunk;
    assert_eq!(chunk, format!("{session} 0").into_bytes());
    assert!(stream.message().await.unwrap().is_none());

    let outside = format!("../{session}");
    let wrong = [
        (session.as_str(), "../000000000001_all.h5"),
        (".", "000000000001_all.h5"),
        ("", "000000000001_all.h5"),
        (outside.as_str(), "000000000000_all.h5"),
        (session.as_str(), "000000000009_all.h5"),
        (session.as_str(), "000000000001_all.h5.tmp"),
    ];
    for (session_id, file_name) in wrong {
        let status = rig.archive.fetch_snapshot(fetch(session_id, file_name)).await.unwrap_err();
        assert_status(&status, Code::NotFound, &[file_name]);
    }
    let request = v1::ListSnapshotsRequest { session_id: "..".to_owned() };
    assert_status(&rig.archive.list_snapshots(request).await.unwrap_err(), Code::NotFound, &["'..'"]);
}

#[tokio::test]
async fn an_archived_snapshot_reads_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = test_config();
    config.archive.directory = directory.path().to_path_buf();
    let mut rig = Rig::around(start(config).await.unwrap()).await;
    let session = rig.create().await;
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(0, 40)).await;
    producer.send(pattern(50, 40)).await;
    producer.finish().await.unwrap();
    let closed = rig.close(&session).await;
    assert_eq!(closed.session.unwrap().last_snapshot_error, "");
    let archived = glauber::archive::read_snapshot(&closed.snapshot_paths[0]).unwrap();
    assert_eq!(
        (archived.provenance.session_id.as_str(), archived.provenance.gap_bins),
        (session.as_str(), 10)
    );
    assert_eq!((archived.snapshot.window.end_bin, archived.snapshot.window.counts.bins), (90, 80));
}

#[tokio::test]
async fn without_an_archive_its_service_says_so() {
    let mut rig = Rig::new().await;
    let request = v1::ListSnapshotsRequest::default();
    let status = rig.archive.list_snapshots(request).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["archive.directory"]);
}

#[tokio::test]
async fn a_snapshot_that_fails_is_counted_and_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = test_config();
    config.archive.directory = directory.path().to_path_buf();
    let writer: SnapshotWriter = Arc::new(|_, _, _| Err(WriteFailed("disk full".to_owned())));
    let mut rig = Rig::with_writer(config, writer).await;
    let session = rig.create().await;
    rig.assert_healthy(&session).await;
    let closed = rig.close(&session).await;
    assert!(closed.snapshot_paths.is_empty());
    let state = closed.session.unwrap();
    assert_eq!(state.snapshot_failures, 2);
    assert!(state.last_snapshot_error.ends_with("disk full"), "{}", state.last_snapshot_error);
    rig.couplings(query(&session)).await.unwrap();
}

#[tokio::test]
async fn snapshots_come_once_per_interval_of_the_recording() {
    let directory = tempfile::tempdir().unwrap();
    let written = Arc::new(Mutex::new(Vec::new()));
    let mut config = test_config();
    config.archive.directory = directory.path().to_path_buf();
    // 150 bins of 20 ms.
    config.archive.snapshot_interval_s = 3;
    config.archive.on_close = false;
    let mut rig = Rig::with_writer(config, fake_writer(&written)).await;
    let session = rig.create().await;
    let watched = v1::CouplingsQuery { header_only: true, ..query(&session) };
    let request = v1::WatchCouplingsRequest { query: Some(watched) };
    let mut watcher = rig.inference.watch_couplings(request).await.unwrap().into_inner();
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    for first_bin in [0, 100, 200] {
        producer.send(pattern(first_bin, 100)).await;
        // One at a time: a refresh that finds the one before still running is skipped.
        watcher.message().await.unwrap().unwrap();
    }
    producer.finish().await.unwrap();
    rig.close(&session).await;
    rig.daemon.shutdown().await;
    let names: Vec<_> =
        written.lock().unwrap().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    let expected =
        ["000000000200_all.h5", "000000000200_10s.h5", "000000000300_all.h5", "000000000300_10s.h5"];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn one_connection_too_many_is_refused() {
    let mut config = test_config();
    config.limits.connections_max = 1;
    let mut rig = Rig::with(config).await;
    let session = rig.create().await;
    let endpoint = tonic::transport::Endpoint::new(format!("http://{}", rig.daemon.address())).unwrap();
    let refused = match endpoint.connect().await {
        Ok(channel) => {
            let mut client = v1::session_service_client::SessionServiceClient::new(channel);
            client.list_sessions(v1::ListSessionsRequest {}).await.is_err()
        }
        Err(_) => true,
    };
    assert!(refused);
    rig.assert_healthy(&session).await;
}

/// Niceness of the threads of this process that are called so; `None` while there is none.
#[cfg(target_os = "linux")]
fn nice_of_threads(name: &str) -> Option<Vec<i32>> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    // A thread that ends meanwhile has no files any more.
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    let of_name = stats.filter(|stat| stat.contains(&format!("({name})")));
    let nice = |stat: String| stat.rsplit_once(") ")?.1.split(' ').nth(16)?.parse().ok();
    let found: Vec<i32> = of_name.filter_map(nice).collect();
    (!found.is_empty()).then_some(found)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn estimates_give_way_to_what_serves() {
    let rig = Rig::new().await;
    let own = nice_of_threads("archiver").or_else(|| nice_of_threads("tokio-rt-worker"));
    let expected = test_config().server.estimator_nice;
    assert_eq!(expected, 10, "the default");
    let lowered = |name: &str| {
        // Other tests' daemons are in this process, too.
        nice_of_threads(name).is_some_and(|nice| nice.iter().all(|&nice| nice >= 10))
    };
    for name in ["estimator-0", "refit-0", "equilibrium-0"] {
        // A thread lowers itself as it begins.
        let began = std::time::Instant::now();
        while !lowered(name) {
            assert!(began.elapsed().as_secs() < 60, "{name}: {:?}", nice_of_threads(name));
            tokio::task::yield_now().await;
        }
    }
    assert!(own.is_none_or(|nice| nice.iter().all(|&nice| nice < 10)), "others are as they were");
    drop(rig);
}
