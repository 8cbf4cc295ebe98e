//! What survives: sessions, bins, trials, epochs; and what is refused when nothing can be made durable.

use std::path::Path;

use glauber::daemon::{DaemonConfig, StartError, start};
use glauber::ingest::bin_recording;
use glauber::journal::{JournalError, Record, Store, file_disk};
use glauber::model::BinWidth;
use glauber::proto::v1;
use glauber::proto::v1::stream_spikes_request::Message;
use glauber::proto::v1::stream_spikes_response::Message as Reply;
use glauber::recording;
use tonic::Code;

use super::rig::{Producer, Rig, assert_status, open, pattern, query, spec, test_config};

fn config(folder: &Path) -> DaemonConfig {
    let mut config = test_config();
    config.journal.directory = folder.join("journal");
    config.journal.free_bytes_min = 0;
    config
}

/// Header and rows of the correlations of a window, as they are now.
async fn correlations(rig: &mut Rig, session_id: &str, window: &str) -> Vec<v1::GetCorrelationsResponse> {
    let request = v1::GetCorrelationsRequest {
        session_id: session_id.to_owned(),
        window: window.to_owned(),
        ..Default::default()
    };
    let mut stream = rig.inference.get_correlations(request).await.unwrap().into_inner();
    let mut parts = Vec::new();
    while let Some(part) = stream.message().await.unwrap() {
        parts.push(part);
    }
    parts
}

async fn published(rig: &mut Rig, session_id: &str, end_bin: u64) -> v1::EstimateHeader {
    let watched = v1::CouplingsQuery { header_only: true, ..query(session_id) };
    let request = v1::WatchCouplingsRequest { query: Some(watched) };
    let mut stream = rig.inference.watch_couplings(request).await.unwrap().into_inner();
    loop {
        let part = stream.message().await.unwrap().unwrap().part.unwrap();
        if let v1::watch_couplings_response::Part::Header(header) = part
            && header.end_bin >= end_bin
        {
            return header;
        }
    }
}

#[tokio::test]
async fn a_session_goes_on_after_a_restart_with_the_very_state_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::with(config(folder.path())).await;
    let session = rig.create().await;
    let uninterrupted = rig.create().await;
    for id in [&session, &uninterrupted] {
        let producer = Producer::open(&rig.channel, id, 3).await.unwrap();
        producer.send(pattern(0, 250)).await;
        // A gap, a trial in the middle of which the daemon stops, an edge ahead.
        producer.send(v1::SpikeBins { trial_edges: vec![301], ..pattern(270, 60) }).await;
        let last = producer.finish().await.unwrap();
        assert_eq!((last.received_through, last.applied_through, last.durable_through), (330, 330, 330));
        let (session_id, start_bin, stop_bin) = (id.clone(), 340, Some(700));
        rig.sessions.mark_trial(v1::MarkTrialRequest { session_id, start_bin, stop_bin }).await.unwrap();
    }
    let before =
        (correlations(&mut rig, &session, "all").await, correlations(&mut rig, &session, "10s").await);
    let header = published(&mut rig, &session, 300).await;
    let state = rig.session(&session).await;
    assert!(rig.daemon.shutdown().await.complete);

    let mut rig = Rig::with(config(folder.path())).await;
    let after =
        (correlations(&mut rig, &session, "all").await, correlations(&mut rig, &session, "10s").await);
    assert_eq!(after, before);
    let again = rig.session(&session).await;
    assert_eq!(again.spec, state.spec);
    assert_eq!(again.watermarks, state.watermarks);
    assert_eq!((again.gap_count, again.gap_bins, again.active_entries), (1, 20, state.active_entries));
    assert_eq!((again.producer_epoch, again.producer_connected), (3, false));
    // What the last refresh was of is published again: bins 0 to 249 and 270 to 299. While it ran, one that came late could be of
    // later bins.
    let republished = published(&mut rig, &session, 300).await;
    assert_eq!((republished.end_bin, republished.transitions), (300, 249 + 29));
    assert!(header.end_bin >= 300);

    // Who was fenced stays fenced; the producer itself goes on where it was.
    let fenced = Producer::open(&rig.channel, &session, 2).await.err().unwrap();
    assert_status(&fenced, Code::Aborted, &["fenced", "3"]);
    for id in [&session, &uninterrupted] {
        let producer = Producer::open(&rig.channel, id, 3).await.unwrap();
        assert_eq!(producer.resume_from_bin, 330);
        producer.send(pattern(330, 470)).await;
        assert_eq!(producer.finish().await.unwrap().durable_through, 800);
    }
    let counts = correlations(&mut rig, &session, "all").await;
    // One that was stopped twice, one once and one never agree.
    assert!(rig.daemon.shutdown().await.complete);
    let mut rig = Rig::with(config(folder.path())).await;
    assert_eq!(correlations(&mut rig, &session, "all").await, counts);
    let never = rig.create().await;
    let producer = Producer::open(&rig.channel, &never, 0).await.unwrap();
    producer.send(pattern(0, 250)).await;
    producer.send(v1::SpikeBins { trial_edges: vec![301], ..pattern(270, 60) }).await;
    let trials = vec![v1::Trial { start_bin: 340, stop_bin: Some(700) }];
    producer.send(v1::SpikeBins { trials, ..pattern(330, 470) }).await;
    producer.finish().await.unwrap();
    let bodies = |parts: Vec<v1::GetCorrelationsResponse>| {
        let mut parts: Vec<_> = parts.into_iter().map(|part| part.part.unwrap()).collect();
        if let Some(v1::get_correlations_response::Part::Header(header)) = parts.first_mut() {
            header.session_id.clear();
        }
        parts
    };
    for id in [&session, &uninterrupted] {
        for window in ["all", "10s"] {
            let found = bodies(correlations(&mut rig, id, window).await);
            assert_eq!(found, bodies(correlations(&mut rig, &never, window).await), "{window}");
        }
    }
    rig.assert_healthy(&never).await;
}

#[tokio::test]
async fn a_closed_session_stays_closed_and_is_there_as_a_recording() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.archive.directory = folder.path().join("snapshots");
    let mut rig = Rig::with(config.clone()).await;
    let session =
        rig.create_from(v1::SessionSpec { origin_ns: 7_000_000, ..spec() }).await.unwrap().session_id;
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    let trials = vec![v1::Trial { start_bin: 10, stop_bin: Some(60) }];
    producer.send(v1::SpikeBins { trials, trial_edges: vec![75], ..pattern(0, 80) }).await;
    producer.send(pattern(90, 40)).await;
    producer.finish().await.unwrap();
    let counts = correlations(&mut rig, &session, "all").await;
    let closed = rig.close(&session).await;
    let [path] = closed.recording_paths.as_slice() else { panic!("{closed:?}") };
    assert!(path.ends_with(&format!("{session}/{session}.nwb")), "{path}");
    assert_eq!(closed.session.unwrap().snapshot_failures, 0);
    assert!(rig.daemon.shutdown().await.complete);

    // Replaying the file gives the same counts.
    let recorded = recording::open(path).unwrap();
    assert_eq!(recorded.problems, []);
    let binned = bin_recording(&recorded.session, BinWidth::from_us(20_000).unwrap(), None).unwrap();
    assert_eq!((binned.origin_ns, binned.n_bins), (7_000_000, 130));
    let mut rig = Rig::with(config).await;
    let status = rig.sessions.get_session(v1::GetSessionRequest { session_id: session.clone() }).await;
    assert_status(&status.unwrap_err(), Code::NotFound, &[&session]);
    let replayed =
        rig.create_from(v1::SessionSpec { origin_ns: 7_000_000, ..spec() }).await.unwrap().session_id;
    assert_ne!(replayed, session);
    let producer = Producer::open(&rig.channel, &replayed, 0).await.unwrap();
    for block in &binned.blocks {
        let bins: Vec<Vec<u32>> =
            block.bins().map(|bin| bin.iter().map(|&i| u32::from(i)).collect()).collect();
        let bins: Vec<&[u32]> = bins.iter().map(Vec::as_slice).collect();
        let inside = |bin: &&u64| (block.first_bin()..block.end_bin()).contains(*bin);
        let trial_edges = binned.trial_edges.iter().filter(inside).copied().collect();
        let sparse = super::rig::sparse(block.first_bin(), &bins);
        producer.send(v1::SpikeBins { trial_edges, ..sparse }).await;
    }
    producer.finish().await.unwrap();
    let again = correlations(&mut rig, &replayed, "all").await;
    assert_eq!(again[1..], counts[1..]);
}

#[tokio::test]
async fn a_recording_that_could_not_be_written_is_written_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let archive = folder.path().join("snapshots");
    config.archive.directory.clone_from(&archive);
    config.archive.on_close = false;
    let mut rig = Rig::with(config.clone()).await;
    let session = rig.create().await;
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(0, 50)).await;
    producer.finish().await.unwrap();
    // A file where the session's folder should be.
    std::fs::write(archive.join(&session), b"in the way").unwrap();
    let closed = rig.close(&session).await;
    let state = closed.session.unwrap();
    assert_eq!((closed.recording_paths.len(), state.snapshot_failures), (0, 1));
    assert!(state.last_snapshot_error.contains("recording"), "{}", state.last_snapshot_error);
    assert!(rig.daemon.shutdown().await.complete);

    std::fs::remove_file(archive.join(&session)).unwrap();
    let rig = Rig::with(config).await;
    // The archiver ends with the daemon, once it has done what it was asked.
    assert!(rig.daemon.shutdown().await.complete);
    let path = archive.join(&session).join(format!("{session}.nwb"));
    assert_eq!(recording::open(&path).unwrap().session.units.len(), 5);
    let store = Store::open(file_disk(&folder.path().join("journal/journal.redb"))).unwrap();
    assert!(store.sessions().unwrap()[&0].is_recorded);
}

#[tokio::test]
async fn a_session_is_recorded_in_parts_while_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.archive.directory = folder.path().join("snapshots");
    // 100 bins of 20 ms.
    config.recording.roll_interval_s = 2;
    let mut rig = Rig::with(config).await;
    let session = rig.create().await;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    for first_bin in (0..450).step_by(30) {
        producer.send(pattern(first_bin, 30)).await;
        producer.applied(first_bin + 30).await;
    }
    let parts_folder = folder.path().join("snapshots").join(&session);
    let part = |number: u32| parts_folder.join(recording::file_name(&session, Some(number)));
    while !part(3).exists() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    for number in 1..=3_u32 {
        let found = recording::open(part(number)).unwrap();
        let binned = bin_recording(&found.session, BinWidth::from_us(20_000).unwrap(), None).unwrap();
        assert_eq!(binned.n_bins, 100, "part {number}");
    }
    producer.finish().await.unwrap();
    let closed = rig.close(&session).await;
    assert_eq!(closed.recording_paths.len(), 1, "{closed:?}");
    let whole = recording::open(&closed.recording_paths[0]).unwrap();
    let binned = bin_recording(&whole.session, BinWidth::from_us(20_000).unwrap(), None).unwrap();
    assert_eq!(binned.n_bins, 450);
    assert!(!part(1).exists() && !part(3).exists(), "the one file has taken the place of its parts");
}

#[tokio::test]
async fn a_session_too_large_for_one_file_is_several() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.archive.directory = folder.path().join("snapshots");
    config.recording.spikes_max = 1000;
    let mut rig = Rig::with(config).await;
    let session = rig.create().await;
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    for first_bin in (0..3000).step_by(100) {
        producer.send(pattern(first_bin, 100)).await;
    }
    producer.finish().await.unwrap();
    let paths = rig.close(&session).await.recording_paths;
    assert!(paths.len() >= 3, "{paths:?}");
    let mut bins = 0;
    for path in &paths {
        let found = recording::open(path).unwrap();
        bins += bin_recording(&found.session, BinWidth::from_us(20_000).unwrap(), None).unwrap().n_bins;
    }
    assert_eq!(bins, 3000);
}

#[tokio::test]
async fn durable_acknowledgements_come_alone_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::with(config(folder.path())).await;
    let session = rig.create().await;
    let (requests, mut replies) = Producer::raw(&rig.channel).await;
    let mut opened = open(&session, 0);
    if let Some(Message::Open(open)) = &mut opened.message {
        open.durable_acks_only = true;
    }
    requests.send(opened.clone()).await.unwrap();
    let Some(Reply::Opened(reply)) = replies.message().await.unwrap().unwrap().message else { panic!() };
    assert_eq!(reply.watermarks, Some(v1::Watermarks::default()));
    let mut durable = 0;
    for first_bin in (0..200).step_by(20) {
        let bins = Message::Bins(pattern(first_bin, 20));
        requests.send(v1::StreamSpikesRequest { message: Some(bins) }).await.unwrap();
        while durable < first_bin + 20 {
            let Some(Reply::Ack(ack)) = replies.message().await.unwrap().unwrap().message else { panic!() };
            let marks = ack.watermarks.unwrap();
            assert!(marks.durable_through > durable, "an acknowledgement that says nothing new: {marks:?}");
            durable = marks.durable_through;
        }
    }
    drop((requests, replies));

    let mut without = Rig::new().await;
    let session = without.create().await;
    if let Some(Message::Open(open)) = &mut opened.message {
        open.session_id = session;
    }
    let (requests, mut replies) = Producer::raw(&without.channel).await;
    requests.send(opened).await.unwrap();
    let status = replies.message().await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["journal.directory"]);
}

#[tokio::test]
async fn a_full_journal_refuses_bins_and_answers_queries() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.journal.bytes_max = 1 << 20;
    let mut rig = Rig::with(config.clone()).await;
    let asked = v1::SessionSpec {
        neuron_count: 600,
        refresh_interval_bins: Some(1 << 30),
        estimators: vec![v1::Estimator::Nmf.into()],
        ..spec()
    };
    let session = rig.create_from(asked).await.unwrap().session_id;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    let every_third: Vec<u32> = (0..600).step_by(3).collect();
    // 75 bytes for each bin: more than a megabyte after some 14,000.
    for first_bin in (0..20_000).step_by(500) {
        producer.send(super::rig::sparse(first_bin, &vec![every_third.as_slice(); 500])).await;
    }
    assert_status(
        &producer.status().await,
        Code::ResourceExhausted,
        &["journal is full", "journal.bytes_max"],
    );
    let refused = Producer::open(&rig.channel, &session, 1).await.err().unwrap();
    assert_status(&refused, Code::ResourceExhausted, &["journal.bytes_max"]);
    let refused = rig.create_from(spec()).await.unwrap_err();
    assert_status(&refused, Code::ResourceExhausted, &["journal.bytes_max"]);
    let state = rig.session(&session).await;
    let marks = state.watermarks.unwrap();
    assert!(marks.applied_through >= 13_000, "{marks:?}");
    assert!(!correlations(&mut rig, &session, "all").await.is_empty());
    let listed = rig.sessions.list_sessions(v1::ListSessionsRequest {}).await.unwrap().into_inner();
    let journal = listed.journal.unwrap();
    assert_eq!(journal.health(), v1::JournalHealth::Full);
    assert!(journal.entry_bytes > 1 << 20 && journal.file_bytes > journal.entry_bytes, "{journal:?}");
    assert!(rig.daemon.shutdown().await.complete);

    // With more room it goes on where it was; what was counted, also after that answer, was made durable.
    config.journal.bytes_max = 1 << 30;
    let rig = Rig::with(config).await;
    let producer = Producer::open(&rig.channel, &session, 2).await.unwrap();
    assert!(producer.resume_from_bin >= marks.applied_through, "{} < {marks:?}", producer.resume_from_bin);
}

#[tokio::test]
async fn a_session_whose_entries_are_damaged_is_set_aside_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::with(config(folder.path())).await;
    let (damaged, sound) = (rig.create().await, rig.create().await);
    for id in [&damaged, &sound] {
        let producer = Producer::open(&rig.channel, id, 0).await.unwrap();
        producer.send(pattern(0, 50)).await;
        producer.finish().await.unwrap();
    }
    assert!(rig.daemon.shutdown().await.complete);
    let path = folder.path().join("journal/journal.redb");
    // One byte of a value, found by what it must hold: the first session's bins.
    let store = Store::open(file_disk(&path)).unwrap();
    let records: Vec<Record> = store.records(0, &damaged, 5, 0).unwrap().collect::<Result<_, _>>().unwrap();
    assert!(!records.is_empty());
    drop(store);
    let database = redb::Database::open(&path).unwrap();
    let table: redb::TableDefinition<'_, (u64, u64), &[u8]> = redb::TableDefinition::new("entries");
    let transaction = database.begin_write().unwrap();
    let mut entries = transaction.open_table(table).unwrap();
    let mut value = redb::ReadableTable::get(&entries, (0, 0)).unwrap().unwrap().value().to_vec();
    *value.last_mut().unwrap() ^= 1;
    entries.insert((0, 0), value.as_slice()).unwrap();
    drop(entries);
    transaction.commit().unwrap();
    drop(database);

    let mut rig = Rig::with(config(folder.path())).await;
    let refused = Producer::open(&rig.channel, &damaged, 1).await.err().unwrap();
    assert_status(&refused, Code::FailedPrecondition, &[&damaged, "damaged at entry 0", "checksum"]);
    rig.assert_healthy(&sound).await;
}

#[tokio::test]
async fn a_journal_that_cannot_be_opened_is_one_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::with(config(folder.path())).await;
    let error = start(config(folder.path())).await.unwrap_err();
    let StartError::Journal { source: JournalError::InUse { .. }, .. } = &error else { panic!("{error}") };
    assert!(error.to_string().contains("another daemon runs on it"), "{error}");
    drop(rig);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut config = config(elsewhere.path());
    std::fs::write(elsewhere.path().join("journal"), b"a file").unwrap();
    config.journal.directory = elsewhere.path().join("journal");
    let error = start(config).await.unwrap_err().to_string();
    assert!(error.contains("journal.directory") && error.contains("make the directory"), "{error}");
}
