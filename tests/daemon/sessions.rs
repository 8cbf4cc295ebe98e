use glauber::proto::v1;
use tonic::Code;
use tonic_types::StatusExt;

use super::rig::{NEURONS, Rig, assert_status, query, spec, test_config};

async fn refused(rig: &mut Rig, field: &str, names: &[&str], change: impl FnOnce(&mut v1::SessionSpec)) {
    let mut asked = spec();
    change(&mut asked);
    let status = rig.create_from(asked).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, names);
    assert_eq!(status.get_error_details().bad_request().unwrap().field_violations[0].field, field);
}

#[tokio::test]
async fn a_wrong_specification_names_its_field() {
    let mut rig = Rig::new().await;
    let neuron = |id| v1::Neuron { id, label: String::new() };
    refused(&mut rig, "spec.neurons", &["got 0"], |s| s.neuron_count = 0).await;
    refused(&mut rig, "spec.neurons", &["id 7 appears twice"], |s| {
        s.neuron_count = 0;
        s.neurons = vec![neuron(7), neuron(7)];
    })
    .await;
    refused(&mut rig, "spec.neuron_count", &["5", "1 neurons listed"], |s| s.neurons = vec![neuron(7)]).await;
    refused(&mut rig, "spec.bin_width_us", &["99 us"], |s| s.bin_width_us = 99).await;
    refused(&mut rig, "spec.windows", &["'soon'"], |s| s.windows = vec!["soon".into()]).await;
    refused(&mut rig, "spec.windows", &["1s"], |s| s.windows = vec!["1s".into()]).await;
    refused(&mut rig, "spec.windows", &["distinct"], |s| s.windows = vec!["all".into(), "all".into()]).await;
    refused(&mut rig, "spec.lags_bins", &["lag 0"], |s| s.lags_bins = vec![0]).await;
    refused(&mut rig, "spec.estimators", &["99"], |s| s.estimators = vec![99]).await;
    refused(&mut rig, "spec.estimators", &["twice"], |s| s.estimators = vec![1, 1]).await;
    refused(&mut rig, "spec.ridge", &["NaN"], |s| s.ridge = Some(f64::NAN)).await;
    refused(&mut rig, "spec.ridge", &["-1"], |s| s.ridge = Some(-1.0)).await;
    refused(&mut rig, "spec.refresh_interval_bins", &["at least 1"], |s| s.refresh_interval_bins = Some(0))
        .await;
    let status = rig.sessions.create_session(v1::CreateSessionRequest { spec: None }).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["'spec' is missing"]);
    let session = rig.create().await;
    rig.assert_healthy(&session).await;
}

#[tokio::test]
async fn names_and_labels_are_short_and_printable() {
    let mut rig = Rig::new().await;
    for name in ["a\0b", "\u{1b}[2J", "a\u{9b}b", "two\nlines"] {
        refused(&mut rig, "spec.name", &["control character"], |s| s.name = name.into()).await;
        refused(&mut rig, "spec.neurons[1].label", &["control character"], |s| {
            s.neuron_count = 0;
            s.neurons = vec![labelled(0, "fine"), labelled(1, name)];
        })
        .await;
    }
    refused(&mut rig, "spec.name", &["257 characters", "256"], |s| s.name = "é".repeat(257)).await;
    refused(&mut rig, "spec.neurons[0].label", &["257 characters"], |s| {
        s.neuron_count = 0;
        s.neurons = vec![labelled(0, &"x".repeat(257))];
    })
    .await;
}

fn labelled(id: i64, label: &str) -> v1::Neuron {
    v1::Neuron { id, label: label.to_owned() }
}

#[tokio::test]
async fn every_session_there_can_be_is_listed() {
    let mut config = test_config();
    config.limits.message_bytes_max = 64 << 10;
    config.limits.sessions_closed_kept = 4096;
    let mut rig = Rig::with(config).await;
    let name = "𝄞".repeat(256);
    for _ in 0..300 {
        let asked = v1::SessionSpec { name: name.clone(), neuron_count: 1, ..spec() };
        let session = rig.create_from(asked).await.unwrap();
        rig.close(&session.session_id).await;
    }
    let listed = rig.sessions.list_sessions(v1::ListSessionsRequest {}).await.unwrap().into_inner();
    assert_eq!(listed.sessions.len(), 300);
    assert!(listed.sessions.iter().all(|session| session.spec.as_ref().unwrap().name == name));
}

#[tokio::test]
async fn what_a_client_sent_is_repeated_cut_and_printable() {
    let mut rig = Rig::new().await;
    let long = format!("\u{1b}{}", "x".repeat(100_000));
    let request = v1::GetSessionRequest { session_id: long.clone() };
    let mut statuses = vec![rig.sessions.get_session(request).await.unwrap_err()];
    statuses
        .push(rig.create_from(v1::SessionSpec { windows: vec![long.clone()], ..spec() }).await.unwrap_err());
    let session = rig.create().await;
    rig.close(&session).await;
    let asked = v1::CouplingsQuery { window: long, ..query(&session) };
    statuses.push(rig.couplings(asked).await.unwrap_err());
    for status in statuses {
        let message = status.message();
        assert!(message.chars().count() < 400 && message.contains("xxx…"), "{message}");
        assert!(!message.contains('\u{1b}'), "{message}");
    }
}

#[tokio::test]
async fn defaults_fill_what_is_left_open() {
    let mut rig = Rig::new().await;
    let asked = v1::SessionSpec { neuron_count: 3, bin_width_us: 20_000, ..Default::default() };
    let session = rig.create_from(asked).await.unwrap();
    let spec = session.spec.unwrap();
    assert_eq!(spec.windows, ["1min", "10min", "all"]);
    assert_eq!((spec.lags_bins, spec.ridge, spec.refresh_interval_bins), (vec![1], None, Some(50)));
    assert_eq!(spec.ridge_path, [0.0, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0]);
    assert_eq!(spec.estimators, [1, 2, 4, 5]);
    assert_eq!(spec.neurons.iter().map(|n| n.id).collect::<Vec<_>>(), [0, 1, 2]);
    // What is answered can be asked for again.
    let answered = rig.session(&session.session_id).await.spec.unwrap();
    assert!(
        answered
            .metadata
            .as_ref()
            .unwrap()
            .start_unix_ns
            .is_some_and(|start| start > 1_700_000_000_000_000_000)
    );
    let again = rig.create_from(answered.clone()).await.unwrap().spec.unwrap();
    assert_eq!(again, answered);
}

#[tokio::test]
async fn a_subject_that_no_file_could_name_is_refused() {
    let mut rig = Rig::new().await;
    let subject = |species: &str| v1::Subject { species: species.to_owned(), ..Default::default() };
    let about = |species| v1::SessionMetadata { subject: Some(subject(species)), ..Default::default() };
    let asked = |species| v1::SessionSpec { metadata: Some(about(species)), ..spec() };
    let status = rig.create_from(asked("mouse")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("spec.metadata: subject.species is 'mouse'"), "{}", status.message());
    let told = rig.create_from(asked("Mus musculus")).await.unwrap().spec.unwrap().metadata.unwrap();
    assert_eq!(told.subject, Some(subject("Mus musculus")));
}

#[tokio::test]
async fn limits_are_checked_before_anything_is_allocated() {
    let mut config = test_config();
    config.limits.neurons_max = 1000;
    config.limits.memory_bytes_max = 4 << 20;
    // Scoring alone keeps 16,384 bins.
    config.limits.ring_bytes_max = 8 << 20;
    config.defaults.refit_bins_max = 1 << 14;
    config.limits.sessions_open_max = 2;
    let mut rig = Rig::with(config).await;
    let mut limited = async |key: &str, change: &dyn Fn(&mut v1::SessionSpec)| {
        let mut asked = spec();
        change(&mut asked);
        let status = rig.create_from(asked).await.unwrap_err();
        assert_status(&status, Code::ResourceExhausted, &[key]);
        let details = status.get_error_details();
        assert_eq!(details.quota_failure().unwrap().violations[0].subject, format!("limits.{key}"));
    };
    limited("neurons_max", &|s| s.neuron_count = u32::MAX).await;
    limited("neurons_max", &|s| s.neuron_count = 1001).await;
    limited("memory_bytes_max", &|s| {
        s.neuron_count = 1000;
        s.windows = vec!["all".into()];
    })
    .await;
    limited("ring_bytes_max", &|s| s.windows = vec!["168h".into()]).await;
    let first = rig.create().await;
    rig.create().await;
    let status = rig.create_from(spec()).await.unwrap_err();
    assert_status(&status, Code::ResourceExhausted, &["sessions_open_max", "3 asked for, 2 allowed"]);
    rig.close(&first).await;
    let third = rig.create().await;
    rig.assert_healthy(&third).await;
}

#[tokio::test]
async fn an_unknown_session_is_not_found_everywhere() {
    let mut rig = Rig::new().await;
    let session_id = "s-none".to_owned();
    let mut statuses = Vec::new();
    let request = v1::GetSessionRequest { session_id: session_id.clone() };
    statuses.push(rig.sessions.get_session(request).await.unwrap_err());
    let request = v1::CloseSessionRequest { session_id: session_id.clone() };
    statuses.push(rig.sessions.close_session(request).await.unwrap_err());
    let request = v1::MarkTrialRequest { session_id: session_id.clone(), ..Default::default() };
    statuses.push(rig.sessions.mark_trial(request).await.unwrap_err());
    statuses.push(rig.couplings(query(&session_id)).await.unwrap_err());
    let request = v1::WatchCouplingsRequest { query: Some(query(&session_id)) };
    statuses.push(rig.inference.watch_couplings(request).await.unwrap_err());
    let request = v1::GetCorrelationsRequest { session_id, ..Default::default() };
    statuses.push(rig.inference.get_correlations(request).await.unwrap_err());
    for status in statuses {
        assert_status(&status, Code::NotFound, &["'s-none'"]);
        assert_eq!(status.get_error_details().resource_info().unwrap().resource_name, "s-none");
    }
}

#[tokio::test]
async fn sessions_are_listed_without_their_neurons() {
    let mut rig = Rig::new().await;
    let mut ids = vec![rig.create().await, rig.create().await];
    ids.sort();
    let listed = rig.sessions.list_sessions(v1::ListSessionsRequest {}).await.unwrap().into_inner();
    assert_eq!(listed.sessions.iter().map(|s| s.session_id.clone()).collect::<Vec<_>>(), ids);
    let spec = listed.sessions[0].spec.clone().unwrap();
    assert_eq!((spec.neurons.len(), spec.neuron_count), (0, NEURONS));
    assert_eq!(listed.daemon_version, env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn closing_again_is_no_error_and_the_oldest_closed_is_forgotten() {
    let mut config = test_config();
    config.limits.sessions_closed_kept = 1;
    let mut rig = Rig::with(config).await;
    let (first, second) = (rig.create().await, rig.create().await);
    for _ in 0..2 {
        let closed = rig.close(&first).await.session.unwrap();
        assert_eq!(closed.state(), v1::SessionState::Closed);
        assert_eq!(closed.refreshes_published, 1);
    }
    rig.close(&second).await;
    let request = v1::GetSessionRequest { session_id: first };
    assert_eq!(rig.sessions.get_session(request).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(rig.session(&second).await.state(), v1::SessionState::Closed);
}
