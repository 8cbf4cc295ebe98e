//! Producers that lose their connection all the time, two to a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use glauber::proto::v1;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tonic::Code;
use tonic::transport::Channel;

use super::rig::{NEURONS, Producer, Rig, active, pattern, spec, test_config};

const PRODUCERS: u64 = 20;
const RECONNECTS: u64 = 50;
const SESSIONS: u64 = 10;

/// Connect, send from where the session is, and break off in the middle, again and again; gives how often a stream was opened.
async fn storm(address: String, session_id: String, seed: u64, epoch: Arc<AtomicU64>) -> u64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut opened = 0;
    while opened < RECONNECTS {
        let channel = Channel::from_shared(address.clone()).unwrap().connect().await.unwrap();
        // The other producer of the session may be there: then only a higher epoch is let in.
        let takes_over = rng.random_bool(0.2);
        let asked = epoch.fetch_add(u64::from(takes_over), Ordering::SeqCst) + u64::from(takes_over);
        let producer = match Producer::open(&channel, &session_id, asked).await {
            Ok(producer) => producer,
            Err(status) => {
                let expected = [Code::AlreadyExists, Code::Aborted];
                assert!(expected.contains(&status.code()), "{status:?}");
                tokio::task::yield_now().await;
                continue;
            }
        };
        opened += 1;
        let mut bin = producer.resume_from_bin;
        // Some of what has long been counted comes first.
        bin = bin.saturating_sub(if rng.random_bool(0.3) { rng.random_range(0..40) } else { 0 });
        for _ in 0..rng.random_range(0..12) {
            let n_bins = rng.random_range(1..30);
            producer.send(pattern(bin, n_bins)).await;
            // Messages overlap, and none begins before the one before it.
            bin += if rng.random_bool(0.2) { rng.random_range(0..=n_bins) } else { n_bins };
            if rng.random_bool(0.2) {
                tokio::task::yield_now().await;
            }
        }
        if rng.random_bool(0.1) {
            // Some end in order; who was fenced meanwhile is told.
            if let Err(status) = producer.finish().await {
                assert_eq!(status.code(), Code::Aborted, "{status:?}");
            }
        } else {
            drop((producer, channel));
        }
    }
    opened
}

async fn correlations(rig: &Rig, session_id: &str) -> (v1::CorrelationsHeader, Vec<u64>) {
    let request = v1::GetCorrelationsRequest {
        session_id: session_id.to_owned(),
        window: "all".to_owned(),
        lag_bins: 1,
        header_only: false,
    };
    let mut parts = rig.inference.clone().get_correlations(request).await.unwrap().into_inner();
    let (mut header, mut bits) = (None, Vec::new());
    while let Some(part) = parts.message().await.unwrap() {
        match part.part.unwrap() {
            v1::get_correlations_response::Part::Header(one) => {
                header = Some(v1::CorrelationsHeader { session_id: String::new(), ..one });
            }
            v1::get_correlations_response::Part::Rows(rows) => {
                bits.extend(rows.equal_time.iter().chain(&rows.delayed).map(|value| value.to_bits()));
            }
        }
    }
    (header.unwrap(), bits)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_reconnects_loses_and_repeats_nothing() {
    let journal = tempfile::tempdir().unwrap();
    let mut config = test_config();
    config.journal.directory = journal.path().to_owned();
    let mut rig = Rig::with(config).await;
    let address = format!("http://{}", rig.daemon.address());
    let spec = || v1::SessionSpec { estimators: vec![v1::Estimator::Nmf.into()], ridge: Some(0.1), ..spec() };
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push((rig.create_from(spec()).await.unwrap().session_id, Arc::new(AtomicU64::new(0))));
    }
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|number| {
            let (id, epoch) = &sessions[(number % SESSIONS) as usize];
            tokio::spawn(storm(address.clone(), id.clone(), number, Arc::clone(epoch)))
        })
        .collect();
    let mut opened = 0;
    for producer in producers {
        opened += producer.await.unwrap();
    }
    assert_eq!(opened, PRODUCERS * RECONNECTS);

    // Each session once more without a storm.
    for (id, epoch) in &sessions {
        let last_epoch = epoch.load(Ordering::SeqCst) + 1;
        let producer = Producer::open(&rig.channel, id, last_epoch).await.unwrap();
        let end_bin = producer.resume_from_bin + 10;
        producer.send(pattern(producer.resume_from_bin, 10)).await;
        let last = producer.finish().await.unwrap();
        assert_eq!((last.applied_through, last.durable_through), (end_bin, end_bin));

        let session = rig.session(id).await;
        assert_eq!((session.gap_count, session.gap_bins), (0, 0));
        let calm = rig.create_from(spec()).await.unwrap().session_id;
        let producer = Producer::open(&rig.channel, &calm, 0).await.unwrap();
        for bin in (0..end_bin).step_by(1000) {
            producer.send(pattern(bin, (end_bin - bin).min(1000))).await;
        }
        assert_eq!(producer.finish().await.unwrap().applied_through, end_bin);
        let (header, bits) = correlations(&rig, id).await;
        assert_eq!((header.first_bin, header.end_bin, header.bins_observed), (0, end_bin, end_bin));
        let spikes: Vec<u64> = (0..NEURONS)
            .map(|neuron| (0..end_bin).filter(|&bin| active(bin).contains(&neuron)).count() as u64)
            .collect();
        assert_eq!(header.spikes, spikes);
        assert_eq!(correlations(&rig, &calm).await, (header, bits));
        assert_eq!(rig.session(&calm).await.active_entries, session.active_entries);
    }
    assert!(rig.daemon.shutdown().await.complete);
}
