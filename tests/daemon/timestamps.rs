//! Time-stamped spikes: the bins are those of the same spikes binned offline, and what is late, lost or wrong is told.

use std::path::Path;

use glauber::daemon::DaemonConfig;
use glauber::ingest::{BinnedRecording, bin_recording};
use glauber::model::{BinWidth, Interval, Neuron, RecordedSession, RecordedUnit};
use glauber::proto::v1;
use glauber::proto::v1::stream_spikes_request::Message;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tonic::{Code, Status};

use super::rig::{NEURONS, Producer, Rig, assert_status, pattern, sparse, spec, test_config};

const MS: i64 = 1_000_000;
const ORIGIN_NS: i64 = 1_700_000_000_000_000_000;
const END_NS: i64 = ORIGIN_NS + 60_000 * MS;

fn config(folder: &Path) -> DaemonConfig {
    let mut config = test_config();
    config.journal.directory = folder.join("journal");
    config.journal.free_bytes_min = 0;
    config
}

fn stamped(
    session_id: &str,
    producer_epoch: u64,
    settings: v1::TimestampSettings,
) -> v1::StreamSpikesRequest {
    let session_id = session_id.to_owned();
    let open =
        v1::OpenStream { session_id, producer_epoch, durable_acks_only: false, timestamps: Some(settings) };
    v1::StreamSpikesRequest { message: Some(Message::Open(open)) }
}

fn request(times: v1::SpikeTimes) -> v1::StreamSpikesRequest {
    v1::StreamSpikesRequest { message: Some(Message::Times(times)) }
}

fn spikes(spikes: &[(u32, i64)]) -> v1::SpikeTimes {
    let (neurons, times_ns) = spikes.iter().copied().unzip();
    v1::SpikeTimes { neurons, times_ns, ..Default::default() }
}

/// A session of 5 neurons and bins of 20 ms that begins at [`ORIGIN_NS`].
async fn create(rig: &mut Rig) -> String {
    rig.create_from(v1::SessionSpec { origin_ns: ORIGIN_NS, ..spec() }).await.unwrap().session_id
}

async fn open_stamped(
    rig: &Rig,
    session_id: &str,
    epoch: u64,
    settings: v1::TimestampSettings,
) -> Result<Producer, Status> {
    Producer::open_with(&rig.channel, stamped(session_id, epoch, settings)).await
}

/// Two units on one clock and three on another that shows 7 s less, with spikes at random times of 60 s, and what was not observed.
fn recording() -> RecordedSession {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let units = (0..i64::from(NEURONS)).map(|id| {
        let mut times: Vec<i64> = (0..900).map(|_| ORIGIN_NS + rng.random_range(0..60_000 * MS)).collect();
        // One at either end, so that both ways to bin begin and end with the same bins.
        times.extend((id == 0).then_some([ORIGIN_NS, END_NS - 1]).into_iter().flatten());
        times.sort_unstable();
        RecordedUnit { neuron: Neuron { id, label: String::new() }, spike_times_ns: times, observed: None }
    });
    let invalid = [(12_345, 13_001), (40_000, 40_020), (55_501, 55_503)]
        .map(|(start, stop)| Interval { start_ns: ORIGIN_NS + start * MS, stop_ns: ORIGIN_NS + stop * MS });
    RecordedSession { units: units.collect(), invalid: invalid.to_vec(), ..Default::default() }
}

const OFFSET_NS: i64 = 7000 * MS;

fn settings() -> v1::TimestampSettings {
    let source = |name: &str, clock_offset_ns| v1::ClockSource { name: name.to_owned(), clock_offset_ns };
    let sources = vec![source("probe A", 0), source("probe B", OFFSET_NS)];
    v1::TimestampSettings { lateness_us: Some(50_000), sources }
}

/// The recording as its two sources would send it from some time on: 40 ms at a time, spikes up to 45 ms late.
fn messages(recording: &RecordedSession, from_ns: i64) -> Vec<v1::SpikeTimes> {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut events: Vec<(i64, u32, i64)> = Vec::new();
    for (unit, of) in (0_u32..).zip(&recording.units) {
        let late = |&time: &i64| (time + rng.random_range(0..45 * MS), unit, time);
        events.extend(of.spike_times_ns.iter().map(late).filter(|&(_, _, time)| time >= from_ns));
    }
    events.sort_unstable();
    let mut messages = Vec::new();
    let mut now = from_ns;
    while now < END_NS || !events.is_empty() {
        now += 40 * MS;
        let here = events.partition_point(|&(at, ..)| at < now);
        let came: Vec<_> = events.drain(..here).collect();
        for source in [0, 1] {
            let offset = i64::from(source) * OFFSET_NS;
            let of = came.iter().filter(|&&(_, unit, _)| u32::from(unit >= 2) == source);
            let of: Vec<(u32, i64)> = of.map(|&(_, unit, time)| (unit, time - offset)).collect();
            let lost = recording
                .invalid
                .iter()
                .filter(|lost| source == 1 && (now - 40 * MS..now).contains(&lost.start_ns));
            let unobserved = lost
                .map(|lost| v1::TimeStretch {
                    start_ns: lost.start_ns - offset,
                    stop_ns: lost.stop_ns - offset,
                })
                .collect();
            messages.push(v1::SpikeTimes {
                source,
                clock_ns: Some(now.min(END_NS) - offset),
                unobserved,
                ..spikes(&of)
            });
        }
    }
    messages
}

fn offline(recording: &RecordedSession) -> BinnedRecording {
    bin_recording(recording, BinWidth::from_us(20_000).unwrap(), None).unwrap()
}

/// Counts of the window "all" as the daemon has them: C and D over pairs, spikes of each neuron, bins and transitions.
async fn counts(rig: &mut Rig, session_id: &str) -> Vec<v1::GetCorrelationsResponse> {
    let request = v1::GetCorrelationsRequest {
        session_id: session_id.to_owned(),
        window: "all".to_owned(),
        ..Default::default()
    };
    let mut stream = rig.inference.get_correlations(request).await.unwrap().into_inner();
    let mut parts = Vec::new();
    while let Some(part) = stream.message().await.unwrap() {
        parts.push(part);
    }
    parts
}

/// A session to which the bins of the recording are sent as bins.
async fn binned(rig: &mut Rig, recording: &BinnedRecording) -> String {
    let session_id = create(rig).await;
    let producer = Producer::open(&rig.channel, &session_id, 0).await.unwrap();
    for block in &recording.blocks {
        let lists: Vec<Vec<u32>> =
            block.bins().map(|bin| bin.iter().map(|&neuron| u32::from(neuron)).collect()).collect();
        let lists: Vec<&[u32]> = lists.iter().map(Vec::as_slice).collect();
        producer.send(sparse(block.first_bin(), &lists)).await;
    }
    producer.finish().await.unwrap();
    session_id
}

/// The same counts under another session's name.
fn renamed(
    mut parts: Vec<v1::GetCorrelationsResponse>,
    session_id: &str,
) -> Vec<v1::GetCorrelationsResponse> {
    for part in &mut parts {
        if let Some(v1::get_correlations_response::Part::Header(header)) = &mut part.part {
            header.session_id = session_id.to_owned();
        }
    }
    parts
}

#[tokio::test]
async fn the_bins_are_those_of_the_same_spikes_binned_offline() {
    let mut rig = Rig::new().await;
    let (recording, session_id) = (recording(), create(&mut rig).await);
    let producer = open_stamped(&rig, &session_id, 0, settings()).await.unwrap();
    for message in messages(&recording, ORIGIN_NS) {
        producer.send_request(request(message)).await;
    }
    let last = producer.finish().await.unwrap();
    let offline = offline(&recording);
    assert_eq!((last.received_through, last.applied_through), (3000, 3000));
    let session = rig.session(&session_id).await;
    assert_eq!((session.late_spikes, session.merged_spikes), (0, offline.merged_spikes));
    assert_eq!((session.masked_spikes, session.active_entries), (offline.masked_spikes, offline.n_active()));
    assert_eq!((session.gap_count, session.gap_bins), (3, 3000 - offline.n_observed()));
    assert!(offline.merged_spikes > 0 && offline.masked_spikes > 0);

    let as_bins = binned(&mut rig, &offline).await;
    let expected = counts(&mut rig, &as_bins).await;
    assert_eq!(counts(&mut rig, &session_id).await, renamed(expected, &session_id));
}

#[tokio::test]
async fn after_a_restart_what_is_sent_again_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::with(config(folder.path())).await;
    let (recording, session_id) = (recording(), create(&mut rig).await);
    let mut producer = open_stamped(&rig, &session_id, 0, settings()).await.unwrap();
    // Half of it; the stream is neither ended nor everything of it in bins when the daemon goes down.
    for message in messages(&recording, ORIGIN_NS).into_iter().take(1501) {
        producer.send_request(request(message)).await;
    }
    producer.applied(1490).await;
    assert!(rig.daemon.shutdown().await.complete);
    assert_status(&producer.status().await, Code::Unavailable, &["shutting down"]);

    let mut rig = Rig::with(config(folder.path())).await;
    let before = rig.session(&session_id).await;
    let producer = open_stamped(&rig, &session_id, 0, settings()).await.unwrap();
    let resume = producer.resume_from_bin;
    assert!((1490..=1500).contains(&resume), "{resume}");
    assert!(before.merged_spikes > 0 && before.masked_spikes > 0, "they survive as well");
    // From two seconds before where it has to be.
    for message in messages(&recording, ORIGIN_NS + (resume as i64 - 100) * 20 * MS) {
        producer.send_request(request(message)).await;
    }
    assert_eq!(producer.finish().await.unwrap().durable_through, 3000);
    let (session, offline) = (rig.session(&session_id).await, offline(&recording));
    assert_eq!((session.late_spikes, session.merged_spikes), (0, offline.merged_spikes));
    assert_eq!((session.masked_spikes, session.gap_count), (offline.masked_spikes, 3));
    let as_bins = binned(&mut rig, &offline).await;
    let expected = counts(&mut rig, &as_bins).await;
    assert_eq!(counts(&mut rig, &session_id).await, renamed(expected, &session_id));
    assert!(rig.daemon.shutdown().await.complete);
    let mut rig = Rig::with(config(folder.path())).await;
    let again = rig.session(&session_id).await;
    assert_eq!(
        (again.late_spikes, again.merged_spikes, again.masked_spikes),
        (session.late_spikes, session.merged_spikes, session.masked_spikes)
    );
}

#[tokio::test]
async fn late_spikes_are_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::with(config(folder.path())).await;
    let session_id = create(&mut rig).await;
    // The lateness of the configuration: 20 ms.
    let mut producer = open_stamped(&rig, &session_id, 0, v1::TimestampSettings::default()).await.unwrap();
    let at = |ms: i64| ORIGIN_NS + ms * MS;
    producer.send_request(request(spikes(&[(0, at(5)), (1, at(79))]))).await;
    producer.applied(2).await;
    producer.send_request(request(spikes(&[(2, at(39)), (3, at(40)), (2, at(-1))]))).await;
    let last = producer.finish().await.unwrap();
    assert_eq!((last.applied_through, last.durable_through), (4, 4));
    let session = rig.session(&session_id).await;
    assert_eq!((session.late_spikes, session.active_entries), (2, 3));

    // All of a message may be late: there are no bins then that could tell of it.
    let mut producer = open_stamped(&rig, &session_id, 0, v1::TimestampSettings::default()).await.unwrap();
    producer.send_request(request(spikes(&[(4, at(139))]))).await;
    producer.applied(5).await;
    producer.send_request(request(spikes(&[(4, at(90))]))).await;
    producer
        .send_request(request(v1::SpikeTimes { clock_ns: Some(at(139)), ..spikes(&[(4, at(90))]) }))
        .await;
    assert_eq!(producer.finish().await.unwrap().applied_through, 7);
    assert_eq!(rig.session(&session_id).await.late_spikes, 4);
    assert!(rig.daemon.shutdown().await.complete);
    let mut rig = Rig::with(config(folder.path())).await;
    assert_eq!(rig.session(&session_id).await.late_spikes, 4);
}

#[tokio::test]
async fn what_cannot_be_taken_ends_the_stream_and_nothing_else() {
    let mut rig = Rig::new().await;
    let session_id = create(&mut rig).await;
    let too_late = v1::TimestampSettings { lateness_us: Some(60_000_001), ..Default::default() };
    let named = |name: &str| v1::ClockSource { name: name.to_owned(), clock_offset_ns: 0 };
    let refused = [
        (too_late, "60000001 µs"),
        (v1::TimestampSettings { sources: vec![named(""); 65], ..Default::default() }, "65 sources"),
        (v1::TimestampSettings { sources: vec![named("a\u{7}")], ..Default::default() }, "control character"),
    ];
    for (settings, named) in refused {
        let status = open_stamped(&rig, &session_id, 0, settings).await.err().unwrap();
        assert_status(&status, Code::InvalidArgument, &[named]);
    }
    let at = |ms: i64| ORIGIN_NS + ms * MS;
    let clock = |clock_ns| v1::SpikeTimes { clock_ns: Some(clock_ns), ..Default::default() };
    let stretch = |start_ns, stop_ns| {
        let unobserved = vec![v1::TimeStretch { start_ns, stop_ns }];
        v1::SpikeTimes { unobserved, ..Default::default() }
    };
    let refused = [
        (
            v1::SpikeTimes { source: 1, ..spikes(&[(0, at(1))]) },
            Code::InvalidArgument,
            "source 1 does not exist",
        ),
        (
            v1::SpikeTimes { times_ns: vec![], ..spikes(&[(0, 0)]) },
            Code::InvalidArgument,
            "1 neurons and 0 times",
        ),
        (spikes(&[(NEURONS, at(1))]), Code::InvalidArgument, "neuron 5"),
        (spikes(&[(0, at(3_700_000))]), Code::OutOfRange, "nanoseconds"),
        (clock(i64::MAX), Code::OutOfRange, "the clock"),
        (stretch(at(5), at(5)), Code::InvalidArgument, "has no length"),
    ];
    for (times, code, named) in refused {
        let mut producer = open_stamped(&rig, &session_id, 0, settings_of_one()).await.unwrap();
        producer.send_request(request(times)).await;
        assert_status(&producer.status().await, code, &[named]);
    }
    let mut producer = open_stamped(&rig, &session_id, 0, settings_of_one()).await.unwrap();
    producer.send_request(request(clock(at(100)))).await;
    producer.applied(4).await;
    producer.send_request(request(stretch(at(70), at(110)))).await;
    assert_status(&producer.status().await, Code::OutOfRange, &["touches bin 3", "every bin before 4"]);
    let mut producer = open_stamped(&rig, &session_id, 0, settings_of_one()).await.unwrap();
    producer.send_request(request(clock(at(100)))).await;
    producer.send_request(request(clock(at(79)))).await;
    assert_status(&producer.status().await, Code::OutOfRange, &["goes backwards", "21000 µs"]);

    // Neither kind of stream takes the spikes of the other.
    let mut producer = open_stamped(&rig, &session_id, 0, settings_of_one()).await.unwrap();
    producer.send(pattern(4, 1)).await;
    assert_status(&producer.status().await, Code::InvalidArgument, &["expected 'times', got 'bins'"]);
    let mut producer = Producer::open(&rig.channel, &session_id, 0).await.unwrap();
    producer.send_request(request(spikes(&[(0, at(90))]))).await;
    assert_status(&producer.status().await, Code::InvalidArgument, &["expected 'bins', got 'times'"]);
    // Invalid settings take over from nobody.
    let first = Producer::open(&rig.channel, &session_id, 0).await.unwrap();
    let wrong = v1::TimestampSettings { lateness_us: Some(u64::MAX), ..Default::default() };
    assert!(open_stamped(&rig, &session_id, 9, wrong).await.is_err());
    first.send(pattern(4, 2)).await;
    assert_eq!(first.finish().await.unwrap().applied_through, 6);
    rig.assert_healthy(&session_id).await;
}

fn settings_of_one() -> v1::TimestampSettings {
    v1::TimestampSettings::default()
}
