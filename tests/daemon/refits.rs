use std::sync::{Arc, Mutex};
use std::time::Duration;

use glauber::proto::v1;
use glauber::proto::v1::get_couplings_response::Part;
use tonic::{Code, Status};

use super::rig::{NEURONS, Producer, Rig, assert_status, fake_writer, pattern, query, spec, test_config};

async fn refit(rig: &Rig, session_id: &str) -> Result<v1::RefitResponse, Status> {
    let request = v1::RefitRequest { session_id: session_id.to_owned(), equilibrium: false };
    rig.inference.clone().refit(request).await.map(tonic::Response::into_inner)
}

/// Wait until a refit is under way.
async fn refitting_now(rig: &Rig, session_id: &str) {
    let mut sessions = rig.sessions.clone();
    let poll = async {
        loop {
            let request = v1::GetSessionRequest { session_id: session_id.to_owned() };
            let now = sessions.get_session(request).await.unwrap().into_inner().session.unwrap();
            if now.refit_running {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), poll).await.expect("a refit is under way");
}

/// A session that refits only when asked.
fn refitting() -> v1::SessionSpec {
    v1::SessionSpec {
        windows: vec!["all".into()],
        estimators: vec![v1::Estimator::Nmf.into(), v1::Estimator::Exact.into()],
        refresh_interval_bins: Some(1 << 40),
        refit_interval_bins: Some(1 << 40),
        ..spec()
    }
}

#[tokio::test]
async fn a_refit_is_published_before_it_is_answered() {
    let mut rig = Rig::new().await;
    let asked = v1::SessionSpec { ridge: Some(0.01), ..refitting() };
    let session = rig.create_from(asked).await.unwrap().session_id;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(0, 450)).await;
    producer.applied(450).await;
    let answer = refit(&rig, &session).await.unwrap();
    assert_eq!(answer.end_bin, 450);
    let exact = v1::CouplingsQuery {
        estimator: v1::Estimator::Exact.into(),
        standard_errors: true,
        ..query(&session)
    };
    let parts = rig.couplings(exact).await.unwrap();
    let [Part::Header(header), Part::Rows(rows)] = &parts[..] else { panic!("{parts:?}") };
    assert_eq!((header.publication, header.first_bin, header.end_bin), (answer.publication, 0, 450));
    assert_eq!(header.variance_form(), v1::VarianceForm::Full);
    assert!(header.variance_sender.is_empty() && header.iterations.len() == NEURONS as usize);
    assert!(header.gradient_norm.iter().all(|&norm| norm <= 1e-8), "{:?}", header.gradient_norm);
    assert!(
        rows.standard_errors.iter().all(|&se| se > 0.0) && rows.standard_errors.len() == rows.couplings.len()
    );
    let now = rig.session(&session).await;
    assert_eq!((now.refits, now.refit_running), (1, false));
}

#[tokio::test]
async fn without_anything_to_refit_it_is_a_refresh() {
    let mut rig = Rig::new().await;
    let estimators = vec![v1::Estimator::Nmf.into()];
    let asked = v1::SessionSpec { refresh_interval_bins: Some(1 << 40), estimators, ..spec() };
    let session = rig.create_from(asked).await.unwrap().session_id;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(0, 70)).await;
    producer.applied(70).await;
    for publication in [1, 2] {
        assert_eq!(
            refit(&rig, &session).await.unwrap(),
            v1::RefitResponse { publication, end_bin: 70, equilibrium_publication: None }
        );
    }
    assert_eq!(rig.session(&session).await.refits, 0);
    drop(producer);
    rig.close(&session).await;
    let status = refit(&rig, &session).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &[&session, "is closed"]);
    assert_status(&refit(&rig, "s-none").await.unwrap_err(), Code::NotFound, &["s-none"]);
}

#[tokio::test]
async fn those_who_ask_during_a_refit_share_the_next_one() {
    let mut rig = Rig::new().await;
    let asked = v1::SessionSpec { neuron_count: 100, ridge: Some(0.3), ..refitting() };
    let session = rig.create_from(asked).await.unwrap().session_id;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    for first_bin in (0..4000).step_by(500) {
        producer.send(super::inference::hundred(first_bin, 500)).await;
    }
    producer.applied(4000).await;
    let first = async { refit(&rig, &session).await.unwrap() };
    let others = async {
        refitting_now(&rig, &session).await;
        // One of them does not wait for its answer, which harms nobody.
        let gone = tokio::time::timeout(Duration::from_millis(5), refit(&rig, &session));
        let (gone, one, two) = tokio::join!(gone, refit(&rig, &session), refit(&rig, &session));
        assert!(gone.is_err());
        (one.unwrap(), two.unwrap())
    };
    let (first, (one, two)) = tokio::join!(first, others);
    assert_eq!(one, two);
    assert!(first.publication < one.publication);
    assert_eq!(rig.session(&session).await.refits, 2);
    producer.finish().await.unwrap();
    rig.assert_healthy(&session).await;
}

#[tokio::test]
async fn closing_answers_who_waits_for_a_refit() {
    let mut rig = Rig::new().await;
    let session = rig
        .create_from(v1::SessionSpec { neuron_count: 100, ridge: Some(0.3), ..refitting() })
        .await
        .unwrap()
        .session_id;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(super::inference::hundred(0, 500)).await;
    producer.applied(500).await;
    let mut closing = rig.sessions.clone();
    let request = v1::CloseSessionRequest { session_id: session.clone() };
    let waiting = [refit(&rig, &session), refit(&rig, &session)];
    let [one, two] = waiting;
    let (one, two, closed) = tokio::join!(one, two, closing.close_session(request));
    closed.unwrap();
    for answer in [one, two] {
        // Asked before it was closed, there is an answer; after, a status.
        match answer {
            Ok(answer) => assert_eq!(answer.end_bin, 500),
            Err(status) => assert_status(&status, Code::FailedPrecondition, &["is closed"]),
        }
    }
}

/// A refit cannot be stopped, and may take longer than the time of grace: a shutdown leaves it alone.
#[tokio::test]
async fn a_shutdown_during_a_refit_publishes_and_archives_without_it() {
    let directory = tempfile::tempdir().unwrap();
    let written = Arc::new(Mutex::new(Vec::new()));
    let mut config = test_config();
    config.archive.directory = directory.path().to_path_buf();
    let mut rig = Rig::with_writer(config, fake_writer(&written)).await;
    let asked = v1::SessionSpec { neuron_count: 100, ridge: Some(0.3), ..refitting() };
    let session = rig.create_from(asked).await.unwrap().session_id;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    for first_bin in (0..8000).step_by(500) {
        producer.send(super::inference::hundred(first_bin, 500)).await;
    }
    producer.applied(8000).await;
    let mut asker = rig.inference.clone();
    let request = v1::RefitRequest { session_id: session.clone(), equilibrium: false };
    let asked = tokio::spawn(async move { asker.refit(request).await });
    refitting_now(&rig, &session).await;
    let report = rig.daemon.shutdown().await;
    assert!(report.complete);
    // Had it been waited for, this would be an answer.
    assert_status(&asked.await.unwrap().unwrap_err(), Code::FailedPrecondition, &["is closed"]);
    assert_eq!(*written.lock().unwrap(), [directory.path().join(&session).join("000000008000_all.h5")]);
}

#[tokio::test]
async fn a_refit_that_is_due_comes_after_its_rest_though_no_bin_does() {
    let mut config = test_config();
    config.server.refit_duty = 0.2;
    let mut rig = Rig::with(config).await;
    let asked = v1::SessionSpec { ridge: Some(0.1), refit_interval_bins: Some(100), ..refitting() };
    let session = rig.create_from(asked).await.unwrap().session_id;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    // The first refit begins with the bins that make it due; these come while it runs, or rests.
    for first_bin in (0..2000).step_by(100) {
        producer.send(pattern(first_bin, 100)).await;
    }
    producer.applied(2000).await;
    let exact =
        v1::CouplingsQuery { estimator: v1::Estimator::Exact.into(), header_only: true, ..query(&session) };
    let newest = async {
        loop {
            if let Ok(parts) = rig.couplings(exact.clone()).await
                && let [Part::Header(header)] = &parts[..]
                && header.end_bin > 1900
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), newest).await.expect("a refit of the last bins");
}
