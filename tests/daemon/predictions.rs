use std::collections::BTreeMap;

use glauber::proto::v1;
use glauber::proto::v1::inference_service_client::InferenceServiceClient;
use glauber::proto::v1::stream_predictions_response::Part;
use tonic::{Code, Status, Streaming};

use super::rig::{NEURONS, Producer, Rig, active, assert_status, pattern, query, spec, test_config};
use super::scores::next_model;

fn request(session_id: &str) -> v1::StreamPredictionsRequest {
    v1::StreamPredictionsRequest { session_id: session_id.to_owned(), ..Default::default() }
}

fn nmf(session_id: &str) -> v1::StreamPredictionsRequest {
    v1::StreamPredictionsRequest { estimator: v1::Estimator::Nmf.into(), ..request(session_id) }
}

/// A stream whose header has been read.
async fn follow(
    rig: &mut Rig,
    request: v1::StreamPredictionsRequest,
) -> Result<(v1::PredictionsHeader, Streaming<v1::StreamPredictionsResponse>), Status> {
    let mut stream = rig.inference.stream_predictions(request).await?.into_inner();
    match stream.message().await?.unwrap().part.unwrap() {
        Part::Header(header) => Ok((header, stream)),
        other => panic!("expected a header, got {other:?}"),
    }
}

async fn next(stream: &mut Streaming<v1::StreamPredictionsResponse>) -> Option<v1::Predictions> {
    match stream.message().await.unwrap()?.part.unwrap() {
        Part::Predictions(predictions) => Some(predictions),
        other => panic!("expected predictions, got {other:?}"),
    }
}

#[tokio::test]
async fn predictions_are_those_of_the_published_couplings_bin_by_bin() {
    let mut rig = Rig::new().await;
    let session = rig.create().await;
    let watch = v1::WatchCouplingsRequest { query: Some(query(&session)) };
    let mut watcher = rig.inference.watch_couplings(watch).await.unwrap().into_inner();
    let chosen = v1::StreamPredictionsRequest { neurons: vec![3, 1], ..nmf(&session) };
    let (header, mut some) = follow(&mut rig, chosen).await.unwrap();
    assert_eq!((header.neurons, header.neuron_ids), (vec![3, 1], vec![3, 1]));
    let (header, mut all) = follow(&mut rig, nmf(&session)).await.unwrap();
    assert_eq!(header.neurons, (0..NEURONS).collect::<Vec<_>>());
    let (_, mut best) = follow(&mut rig, request(&session)).await.unwrap();

    // Nothing predicts these.
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(0, 100)).await;
    let model = next_model(&mut watcher).await;
    // Batches of several sizes, bins that come again, and a gap.
    for (first_bin, count) in [(100, 1), (101, 7), (101, 12), (120, 5)] {
        producer.send(pattern(first_bin, count)).await;
    }
    let expected: Vec<u64> = (100..113).chain(120..125).collect();
    for (stream, neurons) in [(&mut some, vec![3, 1]), (&mut all, (0..NEURONS).collect())] {
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            let predictions = next(stream).await.unwrap();
            let told = predictions.model.unwrap();
            assert_eq!((told.publication, told.end_bin, predictions.skipped), (1, 100, 0));
            assert_eq!((told.estimator(), told.window.as_str()), (v1::Estimator::Nmf, "all"));
            assert_eq!(told.ridge, model.header.ridge);
            for (bin, row) in (predictions.first_bin..).zip(predictions.probabilities.chunks(neurons.len())) {
                seen.push(bin);
                for (&neuron, &probability) in neurons.iter().zip(row) {
                    let expected = 1.0 / (1.0 + (-model.log_odds(neuron as usize, &active(bin))).exp());
                    assert!((f64::from(probability) - expected).abs() < 1e-6, "bin {bin} neuron {neuron}");
                }
            }
        }
        assert_eq!(seen, expected);
    }

    // After a new publication it is the one that predicts, and there is a best one.
    producer.send(pattern(125, 75)).await;
    let second = next_model(&mut watcher).await;
    assert_eq!(second.header.publication, 2);
    producer.send(pattern(200, 3)).await;
    let mut last = BTreeMap::new();
    for (name, stream) in [("some", &mut some), ("all", &mut all), ("best", &mut best)] {
        while let Some(predictions) = next(stream).await {
            last.insert(name, predictions);
            if last[name].first_bin + u64::from(last[name].bin_count) == 203 {
                break;
            }
        }
    }
    for predictions in last.values() {
        assert_eq!((predictions.model.as_ref().unwrap().publication, predictions.skipped), (2, 0));
    }
    let told = rig.session(&session).await.best.unwrap();
    let model = last["best"].model.as_ref().unwrap();
    assert_eq!((model.estimator, &model.window), (told.estimator, &told.window));
    drop(producer);
    rig.close(&session).await;
    for stream in [&mut some, &mut all, &mut best] {
        assert_eq!(next(stream).await, None);
    }
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_missed_and_slows_nobody() {
    const BINS: u64 = 2000;
    let mut rig = Rig::new().await;
    let asked = v1::SessionSpec {
        neuron_count: 50,
        windows: vec!["all".into()],
        estimators: vec![v1::Estimator::Nmf.into()],
        ridge: Some(0.3),
        ..spec()
    };
    let session = rig.create_from(asked).await.unwrap().session_id;
    let watch = v1::WatchCouplingsRequest { query: Some(query(&session)) };
    let mut watcher = rig.inference.watch_couplings(watch).await.unwrap().into_inner();
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(0, 100)).await;
    next_model(&mut watcher).await;
    drop(watcher);
    // A connection that holds little of what is not read.
    let address = format!("http://{}", rig.daemon.address());
    let small = tonic::transport::Channel::from_shared(address).unwrap();
    let small = small.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    rig.inference = InferenceServiceClient::new(small.connect().await.unwrap());
    let (_, mut stream) = follow(&mut rig, nmf(&session)).await.unwrap();
    for bin in 100..100 + BINS {
        producer.send(pattern(bin, 1)).await;
    }
    // All is counted although nobody reads.
    assert_eq!(producer.finish().await.unwrap().applied_through, 100 + BINS);
    let (mut next_bin, mut missed) = (100, 0);
    while next_bin < 100 + BINS {
        let predictions = next(&mut stream).await.unwrap();
        // Without gaps, what is skipped is what is missing.
        assert_eq!(predictions.first_bin, next_bin + predictions.skipped);
        next_bin = predictions.first_bin + u64::from(predictions.bin_count);
        missed += predictions.skipped;
    }
    assert!(missed > 0, "{BINS} messages of 200 bytes do not fit 64 KiB and 256 blocks");
    rig.assert_healthy(&session).await;
}

#[tokio::test]
async fn what_cannot_be_predicted_is_refused() {
    let mut config = test_config();
    config.limits.prediction_streams_max = 1;
    let mut rig = Rig::with(config).await;
    let asked = v1::SessionSpec {
        estimators: vec![v1::Estimator::Nmf.into(), v1::Estimator::TrialNmf.into()],
        ..spec()
    };
    let session = rig.create_from(asked).await.unwrap().session_id;
    let mut refused = async |names: &[&str], change: &dyn Fn(&mut v1::StreamPredictionsRequest)| {
        let mut asked = request(&session);
        change(&mut asked);
        assert_status(&follow(&mut rig, asked).await.unwrap_err(), Code::InvalidArgument, names);
    };
    refused(&["neuron 5", "0 to 4"], &|r| r.neurons = vec![5]).await;
    refused(&["6 neurons"], &|r| r.neurons = vec![0; 6]).await;
    refused(&["'1h'", "all, 10s"], &|r| r.window = "1h".into()).await;
    refused(&["'tap'", "nmf, trial-nmf"], &|r| r.estimator = v1::Estimator::Tap.into()).await;

    let (_, stream) = follow(&mut rig, request(&session)).await.unwrap();
    let status = follow(&mut rig, request(&session)).await.unwrap_err();
    assert_status(&status, Code::ResourceExhausted, &["limits.prediction_streams_max"]);
    // The place of a reader that goes is free again, though no bin comes.
    drop(stream);
    let free = async { while follow(&mut rig, request(&session)).await.is_err() {} };
    tokio::time::timeout(std::time::Duration::from_secs(60), free).await.expect("a free place");
    rig.close(&session).await;
    let status = follow(&mut rig, request(&session)).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["is closed"]);
}
