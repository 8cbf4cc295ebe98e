use std::sync::{Arc, Mutex};
use std::time::Duration;

use glauber::archive::read_snapshot;
use glauber::equilibrium::{
    CheckOptions, Conditional, FitOptions, Rates, ReconstructOptions, Samples, check, fit, reconstruct,
};
use glauber::model::{EquilibriumMethod, EquilibriumModel, RowStatus, Runs, SpikeBlock};
use glauber::proto::v1;
use glauber::proto::v1::get_equilibrium_model_response::Part;
use tonic::{Code, Status};

use super::inference::hundred;
use super::metrics::scrape;
use super::rig::{NEURONS, Producer, Rig, active, assert_status, fake_writer, pattern, spec, test_config};

const N: usize = NEURONS as usize;
const HOPFIELD: v1::EquilibriumMethod = v1::EquilibriumMethod::Hopfield;

/// A session of one method, fitted every 200 bins.
fn fitting() -> v1::SessionSpec {
    v1::SessionSpec {
        ridge: Some(0.1),
        equilibrium_methods: vec![HOPFIELD.into()],
        equilibrium_interval_bins: Some(200),
        ..spec()
    }
}

/// The bins of the pattern.
fn bins(range: std::ops::Range<u64>) -> Runs {
    let lists: Vec<Vec<u16>> =
        range.clone().map(|bin| active(bin).into_iter().map(|i| i as u16).collect()).collect();
    Runs { n_neurons: N, blocks: vec![SpikeBlock::from_lists(range.start, &lists, N).unwrap()] }
}

fn model_of(range: std::ops::Range<u64>) -> EquilibriumModel {
    fit(&Samples::of(&bins(range)), EquilibriumMethod::Hopfield, &FitOptions::default()).unwrap()
}

fn asked(session: &str) -> v1::GetEquilibriumModelRequest {
    v1::GetEquilibriumModelRequest { session_id: session.to_owned(), ..Default::default() }
}

async fn model(
    rig: &Rig,
    request: v1::GetEquilibriumModelRequest,
) -> Result<(v1::EquilibriumHeader, Vec<Part>), Status> {
    let mut stream = rig.inference.clone().get_equilibrium_model(request).await?.into_inner();
    let mut parts = Vec::new();
    while let Some(message) = stream.message().await? {
        parts.push(message.part.unwrap());
    }
    match parts.remove(0) {
        Part::Header(header) => Ok((header, parts)),
        other => panic!("expected a header first, got {other:?}"),
    }
}

async fn header(rig: &Rig, request: v1::GetEquilibriumModelRequest) -> v1::EquilibriumHeader {
    model(rig, v1::GetEquilibriumModelRequest { header_only: true, ..request }).await.unwrap().0
}

fn identity(header: &v1::EquilibriumHeader) -> &v1::EquilibriumIdentity {
    header.identity.as_ref().unwrap()
}

/// Wait until so many publications have been made and no fit is under way.
async fn published(rig: &mut Rig, session: &str, count: u64) -> v1::Session {
    let poll = async {
        loop {
            let now = rig.session(session).await;
            if now.equilibrium_published >= count && !now.equilibrium_running {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), poll).await.expect("a publication of equilibrium models")
}

async fn refit(rig: &Rig, session: &str) -> Result<v1::RefitResponse, Status> {
    let request = v1::RefitRequest { session_id: session.to_owned(), equilibrium: true };
    rig.inference.clone().refit(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_model_is_fitted_while_bins_come_and_is_that_of_its_bins() {
    let mut rig = Rig::new().await;
    let session = rig.create_from(fitting()).await.unwrap().session_id;
    let status = model(&rig, asked(&session)).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["hopfield", "comes at bin 200", &session]);
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    for first_bin in (0..700).step_by(100) {
        producer.send(pattern(first_bin, 100)).await;
    }
    producer.applied(700).await;
    published(&mut rig, &session, 1).await;
    // Whichever were skipped while it ran or the session rested: the one that is asked for reads every bin.
    let answer = refit(&rig, &session).await.unwrap();
    for (window, first_bin) in [("all", 0), ("10s", 192)] {
        let request = v1::GetEquilibriumModelRequest {
            window: window.into(),
            standard_errors: true,
            ..asked(&session)
        };
        let (header, parts) = model(&rig, request.clone()).await.unwrap();
        let told = identity(&header);
        assert_eq!((told.first_bin, told.end_bin, told.method()), (first_bin, 700, HOPFIELD));
        assert_eq!((told.window.as_str(), Some(told.publication)), (window, answer.equilibrium_publication));
        let samples = Samples::of(&bins(first_bin..700));
        let expected = model_of(first_bin..700);
        let [Part::Rows(rows)] = &parts[..] else { panic!("{parts:?}") };
        assert_eq!(rows.receivers, [0, 1, 2, 3, 4]);
        assert_eq!(rows.couplings, expected.couplings.iter().copied().collect::<Vec<_>>());
        let errors = expected.errors.as_ref().unwrap();
        assert_eq!(rows.standard_errors, errors.couplings.iter().copied().collect::<Vec<_>>());
        assert_eq!(
            (header.field_standard_errors, header.error_blocks),
            (errors.fields.to_vec(), errors.blocks)
        );
        assert_eq!((header.fields, header.status.len()), (expected.fields.to_vec(), N));
        assert_eq!((header.bins_observed, header.bins_since), (700 - first_bin, 0));
        assert_eq!(header.distinct_configurations, samples.configurations.len() as u64);
        assert_eq!((header.refusal.as_str(), header.diagnostics), ("", None));
        let checked = check(&samples, &expected, &CheckOptions::default()).unwrap();
        let told = header.check.unwrap();
        assert_eq!((told.drawn, told.bins), (checked.drawn, 700 - first_bin));
        assert_eq!(told.pair_correlations.unwrap().rms_difference, checked.pair_correlations.rms_difference);
        assert_eq!(told.active_counts.len(), checked.active_counts.len());
        assert_eq!(told.active_counts[1].predicted, checked.active_counts[1].predicted);

        let two = v1::GetEquilibriumModelRequest { neurons: vec![3, 1], ..request.clone() };
        let (_, parts) = model(&rig, two).await.unwrap();
        let [Part::Rows(rows)] = &parts[..] else { panic!("{parts:?}") };
        assert_eq!((&rows.receivers[..], rows.couplings[0]), (&[3, 1][..], expected.couplings[[3, 0]]));
        let strongest = v1::GetEquilibriumModelRequest { top_pairs: 3, ..request };
        let (_, parts) = model(&rig, strongest).await.unwrap();
        let [Part::Pairs(pairs)] = &parts[..] else { panic!("{parts:?}") };
        let z = |i: usize, j: usize| expected.couplings[[i, j]] / errors.couplings[[i, j]];
        let all = (0..N).flat_map(|i| (i + 1..N).map(move |j| (i, j)));
        let largest = all.map(|(i, j)| z(i, j).abs()).fold(0.0, f64::max);
        assert_eq!((pairs.pairs.len(), pairs.pairs[0].z.abs()), (3, largest));
    }
    producer.finish().await.unwrap();
    rig.assert_healthy(&session).await;
}

#[tokio::test]
async fn models_are_scored_on_the_bins_after_them_and_the_best_is_found() {
    let mut rig = Rig::new().await;
    let asked_spec = v1::SessionSpec { equilibrium_interval_bins: Some(1 << 40), ..fitting() };
    let session = rig.create_from(asked_spec).await.unwrap().session_id;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(0, 300)).await;
    producer.applied(300).await;
    assert_eq!(refit(&rig, &session).await.unwrap().equilibrium_publication, Some(1));
    let best =
        v1::GetEquilibriumModelRequest { method: v1::EquilibriumMethod::Best.into(), ..asked(&session) };
    let status = model(&rig, best.clone()).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["no best equilibrium model", &session]);
    producer.send(pattern(300, 500)).await;
    producer.applied(800).await;
    assert_eq!(refit(&rig, &session).await.unwrap().equilibrium_publication, Some(2));

    let header = header(&rig, best).await;
    assert_eq!(identity(&header).end_bin, 800);
    let rates = Rates::of(&bins(0..300));
    let expected = Conditional::new(&model_of(0..300), &rates).score(&bins(300..800), &rates);
    let total = header.score.unwrap().total.unwrap();
    assert_eq!((total.transitions, total.gain_bits), (500.0, expected.gain_bits.sum()));
    assert_eq!(total.neuron_spikes, expected.spikes.to_vec());
}

#[tokio::test]
async fn late_fits_are_skipped_and_counted_and_delay_nothing() {
    let mut config = test_config();
    // After its first fit, of a good fraction of a second, the session rests for minutes.
    config.server.refit_duty = 0.001;
    let mut rig = Rig::with(config).await;
    let asked_spec = v1::SessionSpec {
        neuron_count: 100,
        windows: vec!["all".into()],
        estimators: vec![v1::Estimator::Nmf.into()],
        equilibrium_interval_bins: Some(500),
        ..fitting()
    };
    let session = rig.create_from(asked_spec).await.unwrap().session_id;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(hundred(0, 500)).await;
    producer.applied(500).await;
    let first = published(&mut rig, &session, 1).await;
    assert_eq!((first.equilibrium_published, first.equilibrium_skipped), (1, 0));
    for first_bin in (500..2250).step_by(250) {
        producer.send(hundred(first_bin, 250)).await;
    }
    producer.applied(2250).await;
    let now = rig.session(&session).await;
    assert_eq!((now.equilibrium_published, now.equilibrium_skipped), (1, 3), "due at 1000, 1500 and 2000");
    assert_eq!(header(&rig, asked(&session)).await.skipped, 3);
    assert_eq!(header(&rig, asked(&session)).await.bins_since, 1750);
    // Who asks does not wait for the rest.
    assert_eq!(refit(&rig, &session).await.unwrap().equilibrium_publication, Some(2));
    assert_eq!(identity(&header(&rig, asked(&session)).await).end_bin, 2250);
    producer.finish().await.unwrap();
    rig.assert_healthy(&session).await;
}

#[tokio::test]
async fn a_method_that_gives_no_model_says_why() {
    let mut rig = Rig::new().await;
    let maximum_likelihood = v1::EquilibriumMethod::MaximumLikelihood;
    let asked_spec = v1::SessionSpec {
        neuron_count: 100,
        windows: vec!["all".into()],
        estimators: vec![v1::Estimator::Nmf.into()],
        equilibrium_methods: vec![maximum_likelihood.into(), HOPFIELD.into()],
        ..fitting()
    };
    let session = rig.create_from(asked_spec).await.unwrap().session_id;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(hundred(0, 200)).await;
    producer.applied(200).await;
    published(&mut rig, &session, 1).await;
    let (refused, parts) = model(&rig, asked(&session)).await.unwrap();
    assert_eq!(identity(&refused).method(), maximum_likelihood);
    assert!(refused.refusal.contains("at most 20 neurons"), "{}", refused.refusal);
    assert!(parts.is_empty() && refused.fields.is_empty() && refused.check.is_none());
    let request = v1::ReconstructRequest { session_id: session.clone(), ..Default::default() };
    let status = rig.inference.clone().reconstruct(request).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["maximum-likelihood", "at most 20 neurons"]);
    let hopfield = v1::GetEquilibriumModelRequest { method: HOPFIELD.into(), ..asked(&session) };
    assert_eq!(model(&rig, hopfield).await.unwrap().0.fields.len(), 100);
}

#[tokio::test]
async fn missing_neurons_are_reconstructed_by_the_model() {
    let mut rig = Rig::new().await;
    let session = rig.create_from(fitting()).await.unwrap().session_id;
    let client = rig.inference.clone();
    let ask = |active: &[u32], silent: &[u32]| {
        let request = v1::ReconstructRequest {
            session_id: session.clone(),
            active: active.to_vec(),
            silent: silent.to_vec(),
            ..Default::default()
        };
        let mut inference = client.clone();
        async move { inference.reconstruct(request).await.map(tonic::Response::into_inner) }
    };
    assert_status(&ask(&[0], &[]).await.unwrap_err(), Code::FailedPrecondition, &["comes at bin 200"]);
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(0, 200)).await;
    producer.applied(200).await;
    let poll = async { while ask(&[], &[]).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(60), poll).await.expect("a model");

    let answer = ask(&[1], &[4, 0]).await.unwrap();
    let told = answer.identity.unwrap();
    assert_eq!((told.end_bin, told.publication, told.window.as_str()), (200, 1, "all"));
    let observed = [Some(false), Some(true), None, None, Some(false)];
    let expected = reconstruct(&model_of(0..200), &observed, &ReconstructOptions::default()).unwrap();
    assert!(answer.exact && expected.exact);
    let indices: Vec<u32> = answer.neurons.iter().map(|neuron| neuron.neuron).collect();
    assert_eq!(indices, [2, 3]);
    for (told, missing) in answer.neurons.iter().zip(&expected.missing) {
        let guess = missing.guess.unwrap();
        assert_eq!((told.active, told.probability), (Some(guess.active), Some(guess.probability)));
        assert_eq!((told.probability_error, told.status()), (Some(0.0), v1::RowStatus::Ok));
    }
    assert_eq!(ask(&[], &[]).await.unwrap().neurons.len(), N, "nothing observed");
    assert!(ask(&[0, 1, 2], &[3, 4]).await.unwrap().neurons.is_empty(), "everything observed");

    let status = ask(&[1, 2], &[2]).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["neuron 2", "active and silent"]);
    let status = ask(&[], &[5]).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["silent neuron 5", "0 to 4"]);
    let status = ask(&[u32::MAX], &[]).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["active neuron 4294967295"]);
    drop(producer);
    rig.close(&session).await;
    assert_eq!(ask(&[1], &[]).await.unwrap().neurons.len(), 4, "a closed session still answers");
}

#[tokio::test]
async fn closing_fits_once_more_and_archives_what_it_found() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = test_config();
    config.archive.directory = directory.path().to_path_buf();
    let mut rig = Rig::around(glauber::daemon::start(config).await.unwrap()).await;
    let session = rig.create_from(fitting()).await.unwrap().session_id;
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    for first_bin in (0..1150).step_by(50) {
        producer.send(pattern(first_bin, 50)).await;
    }
    producer.finish().await.unwrap();
    let closed = rig.close(&session).await;
    assert_eq!(closed.snapshot_paths.len(), 2);
    for (path, first_bin) in closed.snapshot_paths.iter().zip([0, 640]) {
        let snapshot = read_snapshot(path).unwrap().snapshot;
        assert_eq!(snapshot.window.first_bin, first_bin);
        let scored = snapshot.equilibrium(EquilibriumMethod::Hopfield).unwrap();
        let fitted = &scored.fitted;
        assert_eq!((fitted.first_bin, fitted.end_bin), (first_bin, 1150));
        let expected = model_of(first_bin..1150);
        assert_eq!(fitted.model.as_ref().unwrap(), &expected);
        let checked = check(&Samples::of(&bins(first_bin..1150)), &expected, &CheckOptions::default());
        assert_eq!(fitted.check, checked.ok());
        assert!(expected.status.iter().all(|&status| status == RowStatus::Ok));
    }
    let told = header(&rig, asked(&session)).await;
    assert_eq!((identity(&told).end_bin, told.fields), (1150, model_of(0..1150).fields.to_vec()));
    let status = refit(&rig, &session).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["is closed"]);
}

#[tokio::test]
async fn a_shutdown_waits_for_no_fit() {
    let directory = tempfile::tempdir().unwrap();
    let written = Arc::new(Mutex::new(Vec::new()));
    let mut config = test_config();
    config.archive.directory = directory.path().to_path_buf();
    let mut rig = Rig::with_writer(config, fake_writer(&written)).await;
    let asked_spec = v1::SessionSpec {
        neuron_count: 100,
        windows: vec!["all".into()],
        estimators: vec![v1::Estimator::Nmf.into()],
        equilibrium_interval_bins: Some(1 << 40),
        ..fitting()
    };
    let session = rig.create_from(asked_spec).await.unwrap().session_id;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(hundred(0, 1000)).await;
    producer.applied(1000).await;
    let mut asker = rig.inference.clone();
    let request = v1::RefitRequest { session_id: session.clone(), equilibrium: true };
    let waiting = tokio::spawn(async move { asker.refit(request).await });
    while !rig.session(&session).await.equilibrium_running {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(rig.daemon.shutdown().await.complete);
    assert_status(&waiting.await.unwrap().unwrap_err(), Code::FailedPrecondition, &["is closed"]);
    assert_eq!(*written.lock().unwrap(), [directory.path().join(&session).join("000000001000_all.h5")]);
}

#[tokio::test]
async fn a_session_without_equilibrium_models_says_so() {
    let mut rig = Rig::new().await;
    let asked_spec = v1::SessionSpec { no_equilibrium: true, ..spec() };
    let created = rig.create_from(asked_spec).await.unwrap();
    let (session, told) = (created.session_id, created.spec.unwrap());
    assert!(told.no_equilibrium && told.equilibrium_methods.is_empty());
    let status = model(&rig, asked(&session)).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["no equilibrium models", &session]);
    let request = v1::ReconstructRequest { session_id: session.clone(), ..Default::default() };
    let status = rig.inference.clone().reconstruct(request).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["no equilibrium models"]);
    let status = refit(&rig, &session).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["no equilibrium models"]);
    let status = model(&rig, asked("s-none")).await.unwrap_err();
    assert_status(&status, Code::NotFound, &["s-none"]);
    rig.assert_healthy(&session).await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_defaults_are_told() {
    let mut config = test_config();
    config.defaults = glauber::daemon::SessionDefaults::default();
    let mut rig = Rig::with(config).await;
    let mut refused = async |names: &[&str], change: &dyn Fn(&mut v1::SessionSpec)| {
        let mut asked = fitting();
        change(&mut asked);
        let status = rig.create_from(asked).await.unwrap_err();
        assert_status(&status, Code::InvalidArgument, names);
    };
    let hopfield: i32 = HOPFIELD.into();
    refused(&["equilibrium_methods", "each equilibrium method once"], &|s| {
        s.equilibrium_methods = vec![hopfield, hopfield];
    })
    .await;
    refused(&["equilibrium_methods", "99"], &|s| s.equilibrium_methods = vec![99]).await;
    refused(&["equilibrium_methods", "'best'"], &|s| s.equilibrium_methods = vec![100]).await;
    refused(&["no_equilibrium"], &|s| s.no_equilibrium = true).await;
    refused(&["equilibrium_interval_bins", "at least 1"], &|s| s.equilibrium_interval_bins = Some(0)).await;
    refused(&["equilibrium_bins_max", "got 63"], &|s| s.equilibrium_bins_max = Some(63)).await;
    refused(&["equilibrium_bins_max"], &|s| s.equilibrium_bins_max = Some(1 << 31)).await;

    let told = rig.create_from(spec()).await.unwrap().spec.unwrap();
    let (erasure, pseudo_likelihood) =
        (v1::EquilibriumMethod::ErasureMachine, v1::EquilibriumMethod::PseudoLikelihood);
    assert_eq!(told.equilibrium_methods, [i32::from(pseudo_likelihood), erasure.into()]);
    assert_eq!((told.equilibrium_interval_bins, told.equilibrium_bins_max), (Some(3000), Some(1 << 15)));
    assert_eq!((told.equilibrium_seed, told.no_equilibrium), (Some(1), false));

    let session = rig.create_from(fitting()).await.unwrap().session_id;
    let refused = async |names: &[&str], change: &dyn Fn(&mut v1::GetEquilibriumModelRequest)| {
        let mut request = asked(&session);
        change(&mut request);
        assert_status(&model(&rig, request).await.unwrap_err(), Code::InvalidArgument, names);
    };
    refused(&["'1h'", "all, 10s"], &|q| q.window = "1h".into()).await;
    refused(&["'boltzmann'", "hopfield"], &|q| q.method = v1::EquilibriumMethod::Boltzmann.into()).await;
    refused(&["'77'", "hopfield"], &|q| q.method = 77).await;
    refused(&["neuron 5", "0 to 4"], &|q| q.neurons = vec![0, 5]).await;
    refused(&["2000000", "1000000"], &|q| q.top_pairs = 2_000_000).await;
}

#[tokio::test]
async fn metrics_tell_of_equilibrium_models() {
    let mut config = test_config();
    config.metrics.listen = "127.0.0.1:0".to_owned();
    let mut rig = Rig::with(config).await;
    let address = rig.daemon.metrics_address().unwrap();
    let asked_spec = v1::SessionSpec { equilibrium_interval_bins: Some(1 << 40), ..fitting() };
    let session = rig.create_from(asked_spec).await.unwrap().session_id;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    for first_bin in [0, 300] {
        producer.send(pattern(first_bin, 300)).await;
        producer.applied(first_bin + 300).await;
        refit(&rig, &session).await.unwrap();
    }
    let text = scrape(address).await;
    for (name, value) in [
        ("glauber_equilibrium_published_total", "2"),
        ("glauber_equilibrium_skipped_total", "0"),
        ("glauber_equilibrium_seconds_count", "2"),
    ] {
        let line = format!("{name}{{session=\"{session}\"}} {value}");
        assert!(text.lines().any(|found| found == line), "{line} is missing: {text}");
    }
    for window in ["all", "10s"] {
        let labels = format!("{{session=\"{session}\",window=\"{window}\",method=\"hopfield\"}} ");
        for name in ["glauber_equilibrium_score_bits_per_spike", "glauber_equilibrium_pair_correlation"] {
            assert!(text.contains(&format!("{name}{labels}")), "{text}");
        }
    }
}
