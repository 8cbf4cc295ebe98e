use std::time::Duration;

use glauber::proto::v1;
use glauber::proto::v1::spike_bins::Spikes;
use tonic::Code;
use tonic_types::StatusExt;

use super::rig::{NEURONS, Producer, Rig, assert_status, open, pattern, sparse, test_config};

/// Send one message, expect the stream to end with a status, and that neither session minds.
async fn refused(bins: v1::SpikeBins, code: Code, names: &[&str], field: &str) {
    let mut rig = Rig::new().await;
    let (session, other) = (rig.create().await, rig.create().await);
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(0, 10)).await;
    producer.applied(10).await;
    producer.send(bins).await;
    // What follows a refused message must not be counted around it.
    producer.send(sparse(1000, &[&[1]])).await;
    let status = producer.status().await;
    assert_status(&status, code, names);
    let details = status.get_error_details();
    let violations = &details.bad_request().expect("details").field_violations;
    assert_eq!(violations[0].field, field);
    drop(producer);
    assert_eq!(rig.session(&session).await.watermarks.unwrap().applied_through, 10);
    rig.assert_healthy(&other).await;
    rig.assert_healthy(&session).await;
}

#[tokio::test]
async fn a_neuron_that_does_not_exist_is_named() {
    let bins = sparse(10, &[&[0], &[NEURONS]]);
    refused(bins, Code::InvalidArgument, &["bin 11", "neuron index 5"], "bins.sparse.neurons").await;
}

#[tokio::test]
async fn counts_that_do_not_add_up_are_refused() {
    let mut bins = sparse(10, &[&[0], &[1, 2]]);
    if let Some(Spikes::Sparse(sparse)) = &mut bins.spikes {
        sparse.active_counts[1] = 1;
    }
    refused(bins, Code::InvalidArgument, &["add up to 2", "3 are listed"], "bins.sparse.active_counts").await;
}

#[tokio::test]
async fn packed_bits_of_the_wrong_length_are_refused() {
    let spikes = Some(Spikes::Packed(v1::PackedBins { bin_count: 3, bits: vec![1, 2] }));
    let bins = v1::SpikeBins { first_bin: 10, spikes, trial_edges: vec![], trials: vec![] };
    refused(bins, Code::InvalidArgument, &["3 bytes, got 2"], "bins.packed.bits").await;
}

#[tokio::test]
async fn packed_bits_of_no_neuron_are_refused() {
    let spikes = Some(Spikes::Packed(v1::PackedBins { bin_count: 1, bits: vec![1 << 5] }));
    let bins = v1::SpikeBins { first_bin: 10, spikes, trial_edges: vec![], trials: vec![] };
    refused(bins, Code::InvalidArgument, &["bit 5"], "bins.packed.bits").await;
}

#[tokio::test]
async fn a_message_without_bins_is_refused() {
    refused(sparse(10, &[]), Code::InvalidArgument, &["got 0"], "bins.spikes").await;
    let bins = v1::SpikeBins { first_bin: 10, spikes: None, trial_edges: vec![], trials: vec![] };
    refused(bins, Code::InvalidArgument, &["bins.spikes"], "bins.spikes").await;
}

#[tokio::test]
async fn a_bin_too_far_ahead_is_refused() {
    refused(sparse(1 << 40, &[&[0]]), Code::OutOfRange, &["past bin 10"], "first_bin").await;
    refused(sparse(u64::MAX, &[&[0]]), Code::InvalidArgument, &["bin numbers go up to"], "bins.first_bin")
        .await;
}

#[tokio::test]
async fn a_late_trial_edge_is_refused() {
    let mut bins = pattern(0, 20);
    bins.trial_edges = vec![5];
    refused(bins, Code::OutOfRange, &["bin 5 comes too late"], "trial_edges").await;
    let mut bins = pattern(10, 5);
    bins.trial_edges = vec![9];
    refused(bins, Code::InvalidArgument, &["lies before bin 10"], "bins.trial_edges").await;
    let mut bins = pattern(10, 5);
    bins.trial_edges = vec![12, 11];
    refused(bins, Code::InvalidArgument, &["must increase"], "bins.trial_edges").await;
}

#[tokio::test]
async fn going_backwards_is_refused() {
    let mut rig = Rig::new().await;
    let session = rig.create().await;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(50, 10)).await;
    producer.send(pattern(40, 10)).await;
    let status = producer.status().await;
    assert_status(&status, Code::OutOfRange, &["begins at bin 40", "began at bin 50"]);
    drop(producer);
    rig.assert_healthy(&session).await;
}

#[tokio::test]
async fn an_oversized_message_ends_its_stream_only() {
    let mut config = test_config();
    config.limits.message_bytes_max = 64 << 10;
    let mut rig = Rig::with(config).await;
    let session = rig.create().await;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(0, 60_000)).await;
    let status = producer.status().await;
    assert_status(&status, Code::ResourceExhausted, &["65536 bytes", "limits.message_bytes_max"]);
    let details = status.get_error_details();
    assert_eq!(details.quota_failure().unwrap().violations[0].subject, "limits.message_bytes_max");
    drop(producer);
    rig.assert_healthy(&session).await;
}

#[tokio::test]
async fn too_many_bins_are_refused() {
    let mut config = test_config();
    config.limits.message_bins_max = 100;
    let mut rig = Rig::with(config).await;
    let session = rig.create().await;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(0, 101)).await;
    assert_status(&producer.status().await, Code::InvalidArgument, &["1 to 100 bins, got 101"]);
}

#[tokio::test]
async fn a_stream_begins_with_open_and_opens_once() {
    let mut rig = Rig::new().await;
    let session = rig.create().await;
    assert_status(
        &Producer::open(&rig.channel, "s-none", 0).await.err().unwrap(),
        Code::NotFound,
        &["s-none"],
    );

    let (requests, mut replies) = Producer::raw(&rig.channel).await;
    requests.send(v1::StreamSpikesRequest { message: None }).await.unwrap();
    assert_status(&replies.message().await.unwrap_err(), Code::InvalidArgument, &["must be 'open'"]);

    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send_request(open(&session, 0)).await;
    assert_status(&producer.status().await, Code::InvalidArgument, &["come once"]);
    rig.assert_healthy(&session).await;
}

#[tokio::test]
async fn repeats_are_ignored_and_gaps_recorded() {
    let mut rig = Rig::new().await;
    let session = rig.create().await;
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(0, 50)).await;
    producer.send(pattern(0, 50)).await;
    producer.send(pattern(40, 20)).await;
    producer.send(pattern(70, 30)).await;
    let last = producer.finish().await.unwrap();
    assert_eq!((last.received_through, last.applied_through, last.durable_through), (100, 100, 0));
    let state = rig.session(&session).await;
    assert_eq!((state.repeated_bins, state.gap_count, state.gap_bins), (60, 1, 10));
    assert!(state.last_bin_age_ms.is_some() && state.memory_bytes > 0 && !state.producer_connected);
}

#[tokio::test]
async fn a_repeated_message_with_trial_edges_is_ignored() {
    let mut rig = Rig::new().await;
    let session = rig.create().await;
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    let mut bins = pattern(0, 50);
    bins.trial_edges = vec![10, 30, 60];
    producer.send(bins.clone()).await;
    producer.send(bins).await;
    assert_eq!(producer.finish().await.unwrap().applied_through, 50);
    // Two edges cut the 49 transitions of 50 bins.
    assert_eq!(correlations_header(&mut rig, &session).await.transitions, 47);
}

#[tokio::test]
async fn trials_come_with_bins_and_may_come_again() {
    let mut rig = Rig::new().await;
    let session = rig.create().await;
    let trial = |start_bin, stop_bin| v1::Trial { start_bin, stop_bin };
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    let mut bins = pattern(0, 50);
    bins.trials = vec![trial(10, Some(30)), trial(30, None), trial(70, Some(80))];
    producer.send(bins.clone()).await;
    producer.send(bins).await;
    // The end of the second trial is told with the bins before it.
    let mut more = pattern(50, 50);
    more.trials = vec![trial(60, None)];
    producer.send(more.clone()).await;
    producer.send(more).await;
    assert_eq!(producer.finish().await.unwrap().applied_through, 100);
    // Edges at 10, 30, 60, 70 and 80 cut the 99 transitions of 100 bins.
    assert_eq!(correlations_header(&mut rig, &session).await.transitions, 94);
    let overlapping =
        v1::MarkTrialRequest { session_id: session.clone(), start_bin: 75, stop_bin: Some(120) };
    let status = rig.sessions.mark_trial(overlapping).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["bins 75 to 120", "bins 70 to 80"]);
    rig.assert_healthy(&session).await;
}

#[tokio::test]
async fn trials_that_cannot_be_are_refused() {
    let cases: [(&[(u64, Option<u64>)], &[&str]); 4] = [
        (&[(9, None)], &["bin 9 on", "before bin 10"]),
        (&[(12, Some(12))], &["bins 12 to 12", "no bins"]),
        (&[(12, Some(20)), (15, None)], &["bin 15 on", "bins 12 to 20"]),
        (&[(12, None), (12, Some(20))], &["follow one another"]),
    ];
    for (trials, names) in cases {
        let mut bins = pattern(10, 5);
        bins.trials = trials.iter().map(|&(start_bin, stop_bin)| v1::Trial { start_bin, stop_bin }).collect();
        refused(bins, Code::InvalidArgument, names, "bins.trials").await;
    }
}

#[tokio::test]
async fn marked_trials_cut_transitions() {
    let mut rig = Rig::new().await;
    let session = rig.create().await;
    let mark =
        |start_bin, stop_bin| v1::MarkTrialRequest { session_id: session.clone(), start_bin, stop_bin };
    rig.sessions.mark_trial(mark(10, Some(30))).await.unwrap();
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(0, 50)).await;
    producer.finish().await.unwrap();
    assert_eq!(correlations_header(&mut rig, &session).await.transitions, 47);
    let status = rig.sessions.mark_trial(mark(35, None)).await.unwrap_err();
    assert_status(&status, Code::OutOfRange, &["bin 35 comes too late"]);
    let status = rig.sessions.mark_trial(mark(20, None)).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["bin 20 on", "bins 10 to 30"]);
    rig.sessions.mark_trial(mark(10, Some(30))).await.unwrap();
    let status = rig.sessions.mark_trial(mark(60, Some(60))).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["not after its start"]);
}

async fn correlations_header(rig: &mut Rig, session: &str) -> v1::CorrelationsHeader {
    let request = v1::GetCorrelationsRequest {
        session_id: session.to_owned(),
        header_only: true,
        ..Default::default()
    };
    let mut stream = rig.inference.get_correlations(request).await.unwrap().into_inner();
    match stream.message().await.unwrap().unwrap().part.unwrap() {
        v1::get_correlations_response::Part::Header(header) => header,
        other => panic!("expected a header, got {other:?}"),
    }
}

#[tokio::test]
async fn packed_and_sparse_bins_count_the_same() {
    let mut rig = Rig::new().await;
    let session = rig.create().await;
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    let spikes = Some(Spikes::Packed(v1::PackedBins { bin_count: 3, bits: vec![0b1_0001, 0, 0b10] }));
    producer.send(v1::SpikeBins { first_bin: 0, spikes, trial_edges: vec![], trials: vec![] }).await;
    producer.send(sparse(3, &[&[4, 0], &[]])).await;
    producer.finish().await.unwrap();
    let header = correlations_header(&mut rig, &session).await;
    assert_eq!((header.spikes, header.bins_observed), (vec![2, 1, 0, 0, 2], 5));
}

#[tokio::test]
async fn a_producer_resumes_where_it_was() {
    let mut rig = Rig::new().await;
    let session = rig.create().await;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    assert_eq!(producer.resume_from_bin, 0);
    producer.send(pattern(0, 37)).await;
    producer.applied(37).await;
    // Gone without an end of stream.
    drop(producer);
    let again = reconnect(&rig, &session).await;
    assert_eq!(again.resume_from_bin, 37);
}

/// Open again, as often as the daemon has not yet noticed that the producer before is gone.
async fn reconnect(rig: &Rig, session: &str) -> Producer {
    let opened = async {
        loop {
            match Producer::open(&rig.channel, session, 0).await {
                Ok(producer) => return producer,
                Err(status) => assert_eq!(status.code(), Code::AlreadyExists, "{status:?}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), opened)
        .await
        .expect("the producer before is noticed to be gone")
}

#[tokio::test]
async fn a_second_producer_is_refused_unless_its_epoch_is_higher() {
    let mut rig = Rig::new().await;
    let session = rig.create().await;
    let mut first = Producer::open(&rig.channel, &session, 3).await.unwrap();
    for (epoch, code) in [(0, Code::Aborted), (3, Code::AlreadyExists)] {
        let status = Producer::open(&rig.channel, &session, epoch).await.err().unwrap();
        assert_status(&status, code, &["epoch 3", &session]);
    }
    first.send(pattern(0, 20)).await;
    first.applied(20).await;
    let state = rig.session(&session).await;
    assert_eq!((state.producer_connected, state.producer_epoch), (true, 3));

    let second = Producer::open(&rig.channel, &session, 4).await.unwrap();
    assert_eq!(second.resume_from_bin, 20);
    assert_status(&first.status().await, Code::Aborted, &["fenced", "epoch 4"]);
    second.send(pattern(20, 20)).await;
    assert_eq!(second.finish().await.unwrap().applied_through, 40);
    // The one fenced stays so after its successor has left.
    let status = Producer::open(&rig.channel, &session, 3).await.err().unwrap();
    assert_status(&status, Code::Aborted, &["fenced by epoch 4", &session]);
}

/// More than one piece of packed bits, more than the queue may hold, all ones: nothing is lost, nothing hangs.
#[tokio::test]
async fn a_message_larger_than_the_queue_is_counted_whole() {
    let mut config = test_config();
    config.limits.engine_queue_bytes = 64 << 10;
    let mut rig = Rig::with(config).await;
    let asked = v1::SessionSpec { neuron_count: 1024, windows: vec!["all".to_owned()], ..super::rig::spec() };
    let session = rig.create_from(asked).await.unwrap().session_id;
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    for first_bin in [0, 5000] {
        let spikes = Some(Spikes::Packed(v1::PackedBins { bin_count: 5000, bits: vec![255; 5000 * 128] }));
        producer
            .send(v1::SpikeBins { first_bin, spikes, trial_edges: vec![first_bin + 4000], trials: vec![] })
            .await;
    }
    assert_eq!(producer.finish().await.unwrap().applied_through, 10_000);
    let state = rig.session(&session).await;
    assert_eq!((state.active_entries, state.gap_count), (10_000 * 1024, 0));
    assert_eq!(correlations_header(&mut rig, &session).await.transitions, 9999 - 2);
}

#[tokio::test]
async fn a_packed_message_with_one_wrong_bit_is_refused_whole() {
    let mut rig = Rig::new().await;
    let session = rig.create().await;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    // The wrong bit lies beyond the first piece.
    let mut bits = vec![1; 60_000];
    bits[59_999] = 1 << 6;
    let spikes = Some(Spikes::Packed(v1::PackedBins { bin_count: 60_000, bits }));
    producer.send(v1::SpikeBins { first_bin: 0, spikes, trial_edges: vec![], trials: vec![] }).await;
    assert_status(&producer.status().await, Code::InvalidArgument, &["bin 59999", "bit 6"]);
    assert_eq!(rig.session(&session).await.watermarks.unwrap().applied_through, 0);
}

#[tokio::test]
async fn closing_ends_the_producer() {
    let mut rig = Rig::new().await;
    let (session, other) = (rig.create().await, rig.create().await);
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    rig.close(&session).await;
    assert_status(&producer.status().await, Code::FailedPrecondition, &["is closed"]);
    let status = Producer::open(&rig.channel, &session, 9).await.err().unwrap();
    assert_status(&status, Code::FailedPrecondition, &[&session]);
    rig.assert_healthy(&other).await;
}
