use glauber::proto::v1;
use glauber::proto::v1::get_couplings_response::Part;
use glauber::proto::v1::watch_couplings_response::Part as WatchPart;
use tonic::{Code, Streaming};

use super::rig::{NEURONS, Producer, Rig, assert_status, pattern, query, spec, test_config};

const N: usize = NEURONS as usize;

fn header(parts: &[Part]) -> &v1::EstimateHeader {
    match &parts[0] {
        Part::Header(header) => header,
        other => panic!("expected a header first, got {other:?}"),
    }
}

fn rows(parts: &[Part]) -> (Vec<u32>, Vec<f64>) {
    let (mut receivers, mut couplings) = (Vec::new(), Vec::new());
    for part in &parts[1..] {
        match part {
            Part::Rows(rows) => {
                receivers.extend(&rows.receivers);
                couplings.extend(&rows.couplings);
            }
            other => panic!("expected rows, got {other:?}"),
        }
    }
    (receivers, couplings)
}

/// A closed session of `bins` bins.
async fn recorded(rig: &mut Rig, bins: u64) -> String {
    let session = rig.create().await;
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(0, bins)).await;
    producer.finish().await.unwrap();
    rig.close(&session).await;
    session
}

#[tokio::test]
async fn before_the_first_estimate_its_bin_is_told() {
    let mut rig = Rig::new().await;
    let session = rig.create().await;
    let status = rig.couplings(query(&session)).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["comes at bin 100", &session]);
    rig.assert_healthy(&session).await;
}

#[tokio::test]
async fn what_the_session_does_not_have_is_refused_with_what_it_has() {
    let mut rig = Rig::new().await;
    let session = recorded(&mut rig, 300).await;
    let mut refused = async |names: &[&str], change: &dyn Fn(&mut v1::CouplingsQuery)| {
        let mut asked = query(&session);
        change(&mut asked);
        assert_status(&rig.couplings(asked).await.unwrap_err(), Code::InvalidArgument, names);
    };
    refused(&["'1h'", "all, 10s"], &|q| q.window = "1h".into()).await;
    refused(&["'soon'", "all, 10s"], &|q| q.window = "soon".into()).await;
    let self_consistent = v1::Estimator::TapSelfConsistent.into();
    let names = ["'tap-self-consistent'", "nmf, tap, exact-mean-field"];
    refused(&names, &|q| q.estimator = self_consistent).await;
    refused(&["'77'"], &|q| q.estimator = 77).await;
    refused(&["receiver 5", "0 to 4"], &|q| q.receivers = vec![0, 5]).await;
    refused(&["at most 1000000"], &|q| q.top_pairs = u32::MAX).await;
    let request = v1::GetCorrelationsRequest { session_id: session, lag_bins: 9, ..Default::default() };
    let status = rig.inference.get_correlations(request).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["'9'", "has 1"]);
    let status = rig.inference.get_couplings(v1::GetCouplingsRequest { query: None }).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["'query' is missing"]);
}

#[tokio::test]
async fn a_closed_session_answers_with_its_final_estimate() {
    let mut rig = Rig::new().await;
    let session = recorded(&mut rig, 330).await;
    let parts = rig.couplings(query(&session)).await.unwrap();
    let (receivers, couplings) = rows(&parts);
    let header = header(&parts);
    assert_eq!(
        (header.first_bin, header.end_bin, header.bins_observed, header.transitions),
        (0, 330, 330, 329)
    );
    assert_eq!((header.window.as_str(), header.estimator()), ("all", v1::Estimator::Nmf));
    assert_eq!((header.status.clone(), header.neuron_ids.len()), (vec![1; N], N));
    assert_eq!((header.bins_since, header.skipped), (0, 0));
    assert_eq!((receivers, couplings.len()), ((0..NEURONS).collect(), N * N));
    assert!(couplings.iter().all(|j| j.is_finite()) && couplings.iter().any(|&j| j != 0.0));

    let some = rig.couplings(v1::CouplingsQuery { receivers: vec![3, 1], ..query(&session) }).await.unwrap();
    let expected = [&couplings[3 * N..4 * N], &couplings[N..2 * N]].concat();
    assert_eq!(rows(&some), (vec![3, 1], expected));
    let only = rig.couplings(v1::CouplingsQuery { header_only: true, ..query(&session) }).await.unwrap();
    assert_eq!(only.len(), 1);
}

#[tokio::test]
async fn answers_and_watchers_have_their_number() {
    let mut config = test_config();
    config.limits.bulk_answers_max = 1;
    config.limits.watchers_max = 1;
    let mut rig = Rig::with(config).await;
    let session = recorded(&mut rig, 300).await;
    let correlations = || v1::GetCorrelationsRequest { session_id: session.clone(), ..Default::default() };
    // One after the other, as many as one likes.
    for _ in 0..3 {
        let mut stream = rig.inference.get_correlations(correlations()).await.unwrap().into_inner();
        while stream.message().await.unwrap().is_some() {}
    }
    let open = rig.create().await;
    let watch = || v1::WatchCouplingsRequest { query: Some(query(&open)) };
    let watcher = rig.inference.watch_couplings(watch()).await.unwrap();
    let status = rig.inference.watch_couplings(watch()).await.unwrap_err();
    assert_status(&status, Code::ResourceExhausted, &["limits.watchers_max"]);
    drop(watcher);
}

#[tokio::test]
async fn top_pairs_are_the_strongest_of_all_rows() {
    let mut rig = Rig::new().await;
    let session = recorded(&mut rig, 500).await;
    let parts = rig.couplings(query(&session)).await.unwrap();
    let (header, (_, couplings)) = (header(&parts).clone(), rows(&parts));
    let z = |i: usize, j: usize| {
        let variance = header.variance_sender[j] / (header.transitions as f64 * header.variance_receiver[i]);
        couplings[i * N + j] / variance.sqrt()
    };
    let mut expected: Vec<(usize, usize)> =
        (0..N * N).map(|k| (k / N, k % N)).filter(|(i, j)| i != j).collect();
    expected.sort_by(|&(a, b), &(c, d)| z(c, d).abs().total_cmp(&z(a, b).abs()));

    let parts = rig.couplings(v1::CouplingsQuery { top_pairs: 7, ..query(&session) }).await.unwrap();
    let [_, Part::Pairs(top)] = &parts[..] else { panic!("expected a header and pairs, got {parts:?}") };
    let found: Vec<_> = top.pairs.iter().map(|p| (p.receiver as usize, p.sender as usize)).collect();
    assert_eq!(found, expected[..7]);
    for pair in &top.pairs {
        let (i, j) = (pair.receiver as usize, pair.sender as usize);
        assert!(
            (pair.z - z(i, j)).abs() <= 1e-12 * z(i, j).abs(),
            "the same numbers in another order of operations"
        );
        assert_eq!(pair.coupling, couplings[i * N + j]);
    }
}

#[tokio::test]
async fn large_matrices_come_in_chunks() {
    let mut rig = Rig::new().await;
    let neurons = 700_u32;
    let asked = v1::SessionSpec {
        neuron_count: neurons,
        windows: vec!["all".into()],
        estimators: vec![v1::Estimator::Nmf.into()],
        ..spec()
    };
    let session = rig.create_from(asked).await.unwrap().session_id;
    rig.close(&session).await;
    let parts = rig.couplings(query(&session)).await.unwrap();
    assert!(parts.len() > 4, "{} messages for a matrix of 3.7 MiB", parts.len());
    let (receivers, couplings) = rows(&parts);
    assert_eq!((receivers, couplings.len()), ((0..neurons).collect(), (neurons * neurons) as usize));

    let request = v1::GetCorrelationsRequest { session_id: session, ..Default::default() };
    let mut stream = rig.inference.get_correlations(request).await.unwrap().into_inner();
    let (mut next_row, mut entries) = (0, 0);
    while let Some(message) = stream.message().await.unwrap() {
        if let Some(v1::get_correlations_response::Part::Rows(rows)) = message.part {
            assert_eq!(rows.first_row, next_row);
            next_row += rows.row_count;
            entries += rows.equal_time.len() + rows.delayed.len();
        }
    }
    assert_eq!((next_row, entries), (neurons, 2 * (neurons * neurons) as usize));
}

async fn next_header(stream: &mut Streaming<v1::WatchCouplingsResponse>) -> Option<v1::EstimateHeader> {
    match stream.message().await.unwrap()?.part.unwrap() {
        WatchPart::Header(header) => Some(header),
        other => panic!("expected a header, got {other:?}"),
    }
}

#[tokio::test]
async fn a_watcher_sees_publications_until_the_final_one() {
    let mut rig = Rig::new().await;
    let session = rig.create().await;
    let watched = v1::CouplingsQuery { header_only: true, ..query(&session) };
    let request = v1::WatchCouplingsRequest { query: Some(watched) };
    let mut watcher = rig.inference.watch_couplings(request.clone()).await.unwrap().into_inner();
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    for (publication, end_bin) in [(1, 100), (2, 200)] {
        producer.send(pattern(end_bin - 100, 100)).await;
        let header = next_header(&mut watcher).await.unwrap();
        assert_eq!((header.publication, header.end_bin, header.skipped), (publication, end_bin, 0));
    }
    producer.send(pattern(200, 30)).await;
    producer.finish().await.unwrap();
    // A late watcher begins with the publication that stands.
    let mut late = rig.inference.watch_couplings(request).await.unwrap().into_inner();
    assert_eq!(next_header(&mut late).await.unwrap().publication, 2);
    rig.close(&session).await;
    for watcher in [&mut watcher, &mut late] {
        let header = next_header(watcher).await.unwrap();
        assert_eq!((header.publication, header.end_bin), (3, 230));
        assert_eq!(next_header(watcher).await, None);
    }
}

#[tokio::test]
async fn an_estimate_does_not_depend_on_how_bins_were_batched() {
    let mut rig = Rig::new().await;
    let mut found = Vec::new();
    for batch in [1, 7, 330] {
        let session = rig.create().await;
        let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
        let mut first = 0;
        while first < 330 {
            producer.send(pattern(first, batch.min(330 - first))).await;
            first += batch;
        }
        producer.finish().await.unwrap();
        rig.close(&session).await;
        found.push(rows(&rig.couplings(query(&session)).await.unwrap()));
    }
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0], found[2]);
}

#[tokio::test]
async fn correlations_include_the_newest_bin() {
    let mut rig = Rig::new().await;
    let session = rig.create().await;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(0, 50)).await;
    producer.applied(50).await;
    for closed in [false, true] {
        if closed {
            rig.close(&session).await;
        }
        let request = v1::GetCorrelationsRequest { session_id: session.clone(), ..Default::default() };
        let mut stream = rig.inference.get_correlations(request).await.unwrap().into_inner();
        let first = stream.message().await.unwrap().unwrap().part.unwrap();
        let v1::get_correlations_response::Part::Header(header) = first else { panic!("{first:?}") };
        assert_eq!(
            (header.end_bin, header.bins_observed, header.transitions, header.lag_bins),
            (50, 50, 49, 1)
        );
        let m = header.magnetization_sender[2];
        let second = stream.message().await.unwrap().unwrap().part.unwrap();
        let v1::get_correlations_response::Part::Rows(rows) = second else { panic!("{second:?}") };
        // The variance of a spin is 1 − m², up to the rounding of the three operations.
        assert!((rows.equal_time[2 * N + 2] - (1.0 - m * m)).abs() < 1e-15 * 4.0);
    }
}

/// Bins of 100 neurons, a fixed pattern, packed.
fn hundred(first_bin: u64, count: u32) -> v1::SpikeBins {
    let mut state = first_bin ^ 0x9E37_79B9_7F4A_7C15;
    let bytes = (0..count * 13).map(|k| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // 100 neurons leave 4 bits over in the 13th byte.
        let mask = if k % 13 == 12 { 0x0F } else { 0xFF };
        (state >> 40) as u8 & (state >> 20) as u8 & mask
    });
    let packed = v1::PackedBins { bin_count: count, bits: bytes.collect() };
    v1::SpikeBins {
        first_bin,
        spikes: Some(v1::spike_bins::Spikes::Packed(packed)),
        trial_edges: Vec::new(),
        trials: vec![],
    }
}

#[tokio::test]
async fn a_full_queue_slows_the_producer_and_skipped_refreshes_are_made_up_for() {
    let mut config = test_config();
    config.limits.engine_queue_messages = 1;
    let mut rig = Rig::with(config).await;
    let asked = v1::SessionSpec {
        name: "flood".to_owned(),
        neuron_count: 100,
        bin_width_us: 20_000,
        windows: vec!["all".to_owned()],
        refresh_interval_bins: Some(1),
        ..Default::default()
    };
    let session = rig.create_from(asked).await.unwrap().session_id;
    let watched = v1::CouplingsQuery { header_only: true, ..query(&session) };
    let request = v1::WatchCouplingsRequest { query: Some(watched) };
    let mut watcher = rig.inference.watch_couplings(request).await.unwrap().into_inner();
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    for first_bin in (0..20_000).step_by(500) {
        producer.send(hundred(first_bin, 500)).await;
    }
    assert_eq!(producer.finish().await.unwrap().applied_through, 20_000);
    // No bin follows, and yet the estimates reach the newest one.
    while next_header(&mut watcher).await.unwrap().end_bin < 20_000 {}
    let now = rig.session(&session).await;
    assert!(now.refreshes_skipped > 0, "a refresh per bin cannot be kept up with");
    assert!(now.refreshes_published < 20_000);
}
