//! Faults of the journal's disk.

use tonic::Code;

use super::server::{Place, durable, until};
use super::shim::{EIO, ENOSPC, SYNC, TRUNCATE, WRITE};
use crate::rig::{Producer, assert_status, pattern};

const JOURNAL: &str = "journal.redb";

#[tokio::test]
async fn a_full_disk_refuses_bins_until_there_is_room_and_loses_none() {
    let Some(place) = Place::new() else { return };
    let server = place.start().await;
    let id = server.create().await;
    let mut producer = Producer::open(&server.channel, &id, 0).await.unwrap();
    producer.send(pattern(0, 300)).await;
    durable(&mut producer, 300).await;
    until("couplings", async || server.coupled_through(&id).await == 300).await;

    place.faults.begin(WRITE | TRUNCATE, JOURNAL, ENOSPC);
    producer.send(pattern(300, 50)).await;
    assert_status(&producer.status().await, Code::ResourceExhausted, &["journal is full", "No space left"]);
    let opened = Producer::open(&server.channel, &id, 0).await.map(|producer| producer.resume_from_bin);
    for refused in [
        server.try_create().await.map(drop),
        server.mark_trial(&id, 400).await,
        server.close(&id).await.map(drop),
        opened.map(drop),
    ] {
        assert_status(&refused.unwrap_err(), Code::ResourceExhausted, &["journal is full"]);
    }

    // Queries go on, and say how far it is.
    let marks = server.session(&id).await.watermarks.unwrap();
    assert_eq!((marks.durable_through, marks.applied_through), (300, 350));
    let counted = server.counted(&id).await;
    assert_eq!(server.coupled_through(&id).await, 300);
    let status = server.status_text();
    assert!(status.contains("journal FULL, bins are refused: No space left"), "{status}");
    assert!(place.faults.failed() > 0);

    // Nobody does anything: it goes on by itself, and what had been counted becomes durable.
    place.faults.end();
    until("what was counted becomes durable", async || server.durable_through(&id).await == 350).await;
    until("the journal works", async || server.status_text().contains("journal working")).await;
    assert_eq!(server.counted(&id).await, counted);
    server.feed(&id, 600).await;
    let uninterrupted = server.create().await;
    server.feed(&uninterrupted, 600).await;
    let expected = server.counted(&uninterrupted).await;
    assert_eq!(server.counted(&id).await, expected);

    server.kill();
    let server = place.start().await;
    assert_eq!(server.durable_through(&id).await, 600);
    assert_eq!(server.counted(&id).await, expected);
}

#[tokio::test]
async fn calls_that_meet_a_full_disk_first_do_not_wait_for_room() {
    let Some(place) = Place::new() else { return };
    let server = place.start().await;
    let (marked, closed) = (server.create().await, server.create().await);
    for id in [&marked, &closed] {
        server.feed(id, 150).await;
    }
    let working = async || server.status_text().contains("journal working");

    // Each is the first to write, and so the first to learn of it.
    place.faults.begin(WRITE | TRUNCATE, JOURNAL, ENOSPC);
    let refused = server.try_create().await.unwrap_err();
    assert_status(&refused, Code::ResourceExhausted, &["journal is full"]);
    place.faults.end();
    until("room again", working).await;

    place.faults.begin(WRITE | TRUNCATE, JOURNAL, ENOSPC);
    let refused = server.mark_trial(&marked, 200).await.unwrap_err();
    assert_status(&refused, Code::ResourceExhausted, &["journal is full"]);
    place.faults.end();
    until("room again", working).await;
    server.mark_trial(&marked, 200).await.unwrap();

    place.faults.begin(WRITE | TRUNCATE, JOURNAL, ENOSPC);
    let refused = server.close(&closed).await.unwrap_err();
    assert_status(&refused, Code::ResourceExhausted, &["journal is full"]);
    place.faults.end();
    until("room again", working).await;

    // The session whose making was refused is not there, the closed one is closed, and its recording stands.
    assert!(server.terminate());
    let server = place.start().await;
    assert_eq!(server.list().await, [marked]);
    let recording = place.folder_of(&closed).join(format!("{closed}.nwb"));
    until("the recording", async || recording.exists()).await;
    glauber::recording::open(recording).unwrap();
}

#[tokio::test]
async fn after_a_failed_write_or_sync_nothing_is_acknowledged_until_the_next_start() {
    // Once is enough: that the disk works again afterwards is no comfort. A full disk found at fsync is a failure too.
    for (kinds, errno) in [(WRITE, EIO), (SYNC, EIO), (SYNC, ENOSPC)] {
        let Some(place) = Place::new() else { return };
        let server = place.start().await;
        let id = server.create().await;
        let mut producer = Producer::open(&server.channel, &id, 0).await.unwrap();
        producer.send(pattern(0, 300)).await;
        durable(&mut producer, 300).await;
        until("couplings", async || server.coupled_through(&id).await == 300).await;

        place.faults.begin_at(kinds, JOURNAL, errno, 0, 1);
        producer.send(pattern(300, 50)).await;
        assert_status(&producer.status().await, Code::Internal, &["journal has failed"]);
        assert_eq!(place.faults.failed(), 1);
        let opened = Producer::open(&server.channel, &id, 0).await.map(|producer| producer.resume_from_bin);
        for refused in
            [server.try_create().await.map(drop), server.mark_trial(&id, 400).await, opened.map(drop)]
        {
            assert_status(&refused.unwrap_err(), Code::Internal, &["journal has failed"]);
        }
        let status = server.status_text();
        assert!(
            status.contains("journal FAILED, bins are refused until the daemon is started again"),
            "{status}"
        );
        let marks = server.session(&id).await.watermarks.unwrap();
        assert_eq!((marks.durable_through, marks.applied_through), (300, 350));
        server.counted(&id).await;
        assert_eq!(server.coupled_through(&id).await, 300);
        // It ends in order: a failed journal is no reason to hang.
        assert!(server.terminate());

        let server = place.start().await;
        let marks = server.session(&id).await.watermarks.unwrap();
        // What was not acknowledged may be there, and is whole then.
        assert!([300, 350].contains(&marks.durable_through), "{marks:?}");
        server.feed(&id, 600).await;
        let uninterrupted = server.create().await;
        server.feed(&uninterrupted, 600).await;
        assert_eq!(server.counted(&id).await, server.counted(&uninterrupted).await);
    }
}

#[tokio::test]
async fn with_a_watchdog_a_journal_that_has_failed_ends_the_daemon_in_order_for_the_next_start_to_cure() {
    let Some(mut place) = Place::new() else { return };
    place.supervise();
    let mut server = place.start().await;
    let id = server.create().await;
    let mut producer = Producer::open(&server.channel, &id, 0).await.unwrap();
    producer.send(pattern(0, 300)).await;
    durable(&mut producer, 300).await;
    // A full disk is no reason to end: a new start would find it as full.
    place.faults.begin(WRITE | TRUNCATE, JOURNAL, ENOSPC);
    producer.send(pattern(300, 50)).await;
    assert_status(&producer.status().await, Code::ResourceExhausted, &["journal is full"]);
    place.faults.end();
    until("room again", async || server.durable_through(&id).await == 350).await;

    place.faults.begin_at(SYNC, JOURNAL, EIO, 0, 1);
    let producer = Producer::open(&server.channel, &id, 0).await.unwrap();
    producer.send(pattern(350, 50)).await;
    assert_eq!(server.end().await, Some(1), "{}", place.log());
    let log = place.log();
    assert!(log.contains("the journal has failed") && log.contains("has to be started again"), "{log}");
    let server = place.start().await;
    assert!(server.durable_through(&id).await >= 350);
    server.feed(&id, 600).await;
}

#[tokio::test]
async fn closing_a_session_whose_journal_has_failed_says_so_and_it_goes_on_later() {
    let Some(place) = Place::new() else { return };
    let server = place.start().await;
    let id = server.create().await;
    server.feed(&id, 150).await;
    place.faults.begin(SYNC, JOURNAL, EIO);
    let refused = server.close(&id).await.unwrap_err();
    assert_status(&refused, Code::Internal, &["journal has failed"]);
    server.kill();
    place.faults.end();
    let server = place.start().await;
    // It was never told to be closed; whether it is depends on what the failed fsync left behind.
    if server.list().await.contains(&id) {
        server.feed(&id, 300).await;
        server.close(&id).await.unwrap();
    }
    assert!(place.folder_of(&id).join(format!("{id}.nwb")).exists());
}
