//! The live page against the real daemon: what it is told equals what gRPC clients are told, nobody else is told, and it holds nobody up.
#![cfg(feature = "daemon")]

#[path = "daemon/rig.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon in this process")]
mod rig;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use glauber::daemon::start;
use glauber::proto::v1;
use glauber::proto::v1::get_couplings_response::Part;
use rig::{Producer, Rig, active, assert_status, pattern, query, sparse, spec, test_config};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

const HOPFIELD: i32 = v1::EquilibriumMethod::Hopfield as i32;

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.head))
    }

    /// The header and the bytes of the numbers.
    fn packed(&self) -> (Value, &[u8]) {
        assert_eq!(
            (&self.body[..4], self.header("content-type")),
            (&b"GLB1"[..], Some("application/octet-stream"))
        );
        let length = u32::from_le_bytes(self.body[4..8].try_into().unwrap()) as usize;
        (serde_json::from_slice(&self.body[8..8 + length]).unwrap(), &self.body[8 + length..])
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

fn small(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(2).map(|two| u16::from_le_bytes(two.try_into().unwrap()).into()).collect()
}

/// Whether numbers are equal but for the last digit, which reading them from text may cost here.
fn equal(found: &[f64], expected: &[f64]) -> bool {
    let same = |(f, e): (&f64, &f64)| (f - e).abs() <= 4.0 * f64::EPSILON * e.abs();
    found.len() == expected.len() && found.iter().zip(expected).all(same)
}

#[track_caller]
fn assert_equal(found: &Value, expected: &[f64]) {
    let found = numbers(found);
    assert!(equal(&found, expected), "{found:?} {expected:?}");
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Send lines of a request, and read the answer to its end.
async fn ask(address: SocketAddr, lines: &[&str]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: answer[end + 4..].to_vec() }
}

/// HTTP/1.0, so that the body ends with the connection.
async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &[&format!("GET {path} HTTP/1.0"), "Host: localhost"]).await
}

async fn told(address: SocketAddr, path: &str) -> Value {
    let answer = get(address, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

async fn rig_with_page() -> (Rig, SocketAddr) {
    let mut config = test_config();
    config.web.listen = "127.0.0.1:0".to_owned();
    let rig = Rig::with(config).await;
    let address = rig.daemon.web_address().unwrap();
    (rig, address)
}

/// A session with estimates on 1000 bins and a gap after them, scored once, with an equilibrium model.
async fn session(rig: &mut Rig) -> (String, Producer) {
    let asked = v1::SessionSpec {
        estimators: vec![v1::Estimator::Nmf.into(), v1::Estimator::Tap.into()],
        ridge: Some(0.1),
        refresh_interval_bins: Some(1 << 30),
        equilibrium_methods: vec![HOPFIELD],
        equilibrium_interval_bins: Some(1 << 40),
        neurons: (0..5).map(|k| v1::Neuron { id: i64::MAX - k, label: format!("unit \"{k}\"") }).collect(),
        ..spec()
    };
    let session = rig.create_from(asked).await.unwrap().session_id;
    let mut producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    for first_bin in [0, 500] {
        producer.send(pattern(first_bin, 500)).await;
        producer.applied(first_bin + 500).await;
        let refit = v1::RefitRequest { session_id: session.clone(), equilibrium: true };
        rig.inference.refit(refit).await.unwrap();
    }
    producer.send(pattern(1010, 90)).await;
    producer.applied(1100).await;
    (session, producer)
}

#[tokio::test]
async fn the_page_is_off_unless_it_is_asked_for_and_never_open_to_others() {
    assert_eq!(Rig::new().await.daemon.web_address(), None);
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let mut config = test_config();
        config.web.listen = address.to_owned();
        let error = start(config).await.unwrap_err().to_string();
        assert!(
            error.contains(&format!("web.listen = '{address}'")) && error.contains("loopback"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn sessions_and_their_state_are_those_of_grpc() {
    let (mut rig, page) = rig_with_page().await;
    let empty = told(page, "/api/sessions").await;
    assert_eq!((&empty["sessions"], &empty["journal"]), (&Value::Array(vec![]), &Value::Null));
    assert_eq!(empty["daemon_version"], env!("CARGO_PKG_VERSION"));
    let (id, producer) = session(&mut rig).await;
    let expected = rig.session(&id).await;
    let listed = &told(page, "/api/sessions").await["sessions"][0];
    let one = told(page, &format!("/api/sessions/{id}")).await;
    assert_eq!(
        one["spec"]["neurons"][1]["id"],
        (i64::MAX - 1).to_string(),
        "too large for a number of JavaScript"
    );
    assert_eq!(one["spec"]["neurons"][1]["label"], "unit \"1\"");
    for found in [listed, &one] {
        assert_eq!(found["session_id"], id);
        assert_eq!((&found["state"], &found["producer_connected"]), (&"open".into(), &true.into()));
        assert_eq!((&found["gap_bins"], &found["gap_count"]), (&10.into(), &1.into()));
        assert_eq!(found["watermarks"]["applied_through"], 1100);
        assert_eq!(found["active_entries"], expected.active_entries);
        assert_eq!(found["refreshes_published"], expected.refreshes_published);
        assert_eq!(found["equilibrium_published"], 2);
        assert_eq!(found["spec"]["estimators"], serde_json::json!(["nmf", "tap"]));
        assert_eq!(found["spec"]["windows"], serde_json::json!(["all", "10s"]));
        let best = expected.best.as_ref().unwrap().bits_per_spike;
        assert!(equal(&[found["best"]["bits_per_spike"].as_f64().unwrap()], &[best]));
    }
    producer.finish().await.unwrap();
}

#[tokio::test]
async fn couplings_are_those_of_grpc() {
    let (mut rig, page) = rig_with_page().await;
    let (id, _producer) = session(&mut rig).await;
    for (estimator, name) in
        [(v1::Estimator::Tap, "tap"), (v1::Estimator::Best, "best"), (v1::Estimator::Unspecified, "")]
    {
        let asked = v1::CouplingsQuery {
            estimator: estimator.into(),
            standard_errors: true,
            q_values: true,
            ..query(&id)
        };
        let parts = rig.couplings(asked.clone()).await.unwrap();
        let [Part::Header(header), Part::Rows(rows)] = &parts[..] else { panic!("{parts:?}") };
        let path = |kind: &str| format!("/api/sessions/{id}/{kind}&estimator={name}");

        let answer = get(page, &path("couplings?q=true")).await;
        let (told_header, matrix) = answer.packed();
        let n = 5;
        let expected: Vec<f32> = (0..n)
            .flat_map(|i| [&rows.couplings[i * n..(i + 1) * n], &rows.q_values[i * n..(i + 1) * n]].concat())
            .map(|value| value as f32)
            .collect();
        assert_eq!(floats(matrix), expected);
        assert_eq!(floats(get(page, &path("couplings?")).await.packed().1).len(), n * n);
        assert_equal(&told_header["fields"], &header.fields);
        assert_eq!(told_header["transitions"], header.transitions);
        assert_eq!(told_header["publication"], header.publication);
        assert_eq!(told_header["end_bin"], 1000);
        assert_eq!(
            (&told_header["window"], &told_header["status"][4]),
            (&header.window.clone().into(), &"OK".into())
        );
        let recent = header.score.clone().unwrap().recent.unwrap();
        let found: Vec<f64> = told_header["score"]["recent"]["bits_per_spike"].as_f64().into_iter().collect();
        assert!(equal(&found, recent.bits_per_spike.as_slice()), "{found:?}");

        let row = told(page, &path("row?receiver=3")).await;
        let third = 3 * n..4 * n;
        assert_equal(&row["couplings"], &rows.couplings[third.clone()]);
        assert_equal(&row["standard_errors"], &rows.standard_errors[third.clone()]);
        assert_equal(&row["q_values"], &rows.q_values[third]);

        let strongest = v1::CouplingsQuery { top_pairs: 7, ..asked };
        let parts = rig.couplings(strongest).await.unwrap();
        let [_, Part::Pairs(pairs)] = &parts[..] else { panic!("{parts:?}") };
        let told = told(page, &path("pairs?top=7")).await;
        assert_eq!(told["pairs"].as_array().unwrap().len(), 7);
        for (pair, told) in pairs.pairs.iter().zip(told["pairs"].as_array().unwrap()) {
            assert_eq!((&told["receiver"], &told["sender"]), (&pair.receiver.into(), &pair.sender.into()));
            for (name, value) in [
                ("coupling", Some(pair.coupling)),
                ("standard_error", Some(pair.standard_error)),
                ("z", Some(pair.z)),
                ("p", Some(pair.p)),
                ("q", pair.q),
            ] {
                let found: Vec<f64> = told[name].as_f64().into_iter().collect();
                assert!(equal(&found, value.as_slice()), "{name}");
            }
            assert_eq!(told["status"], "OK");
        }
    }
}

#[tokio::test]
async fn correlations_and_rates_are_those_of_grpc() {
    let (mut rig, page) = rig_with_page().await;
    let (id, _producer) = session(&mut rig).await;
    let request =
        v1::GetCorrelationsRequest { session_id: id.clone(), window: "10s".to_owned(), ..Default::default() };
    let mut stream = rig.inference.get_correlations(request).await.unwrap().into_inner();
    let (mut header, mut expected) = (v1::CorrelationsHeader::default(), Vec::new());
    while let Some(message) = stream.message().await.unwrap() {
        match message.part.unwrap() {
            v1::get_correlations_response::Part::Header(found) => header = found,
            v1::get_correlations_response::Part::Rows(rows) => {
                for (equal, delayed) in rows.equal_time.chunks(5).zip(rows.delayed.chunks(5)) {
                    expected.extend([equal, delayed].concat().into_iter().map(|value| value as f32));
                }
            }
        }
    }
    let answer = get(page, &format!("/api/sessions/{id}/correlations?window=10s")).await;
    let (told_header, matrices) = answer.packed();
    assert_eq!((floats(matrices), expected.len()), (expected, 50));
    let rates = told(page, &format!("/api/sessions/{id}/rates?window=10s")).await;
    for told in [&told_header, &rates] {
        let spikes: Vec<f64> = header.spikes.iter().map(|&count| count as f64).collect();
        assert_equal(&told["spikes"], &spikes);
        assert_eq!((&told["bins_observed"], &told["end_bin"]), (&header.bins_observed.into(), &1100.into()));
    }
}

#[tokio::test]
async fn recent_spikes_are_those_that_were_sent() {
    let (mut rig, page) = rig_with_page().await;
    let (id, producer) = session(&mut rig).await;
    let request =
        |bins_max, from_bin| v1::GetRecentSpikesRequest { session_id: id.clone(), bins_max, from_bin };
    let found = rig.inference.get_recent_spikes(request(150, 0)).await.unwrap().into_inner();
    assert_eq!((found.first_bin, found.end_bin), (950, 1100));
    let starts: Vec<u64> = found.runs.iter().map(|run| run.first_bin).collect();
    assert_eq!(starts, [950, 1010], "a gap lies between");
    let mut bins = 0;
    for run in &found.runs {
        let mut left = &run.neurons[..];
        for (bin, &count) in (run.first_bin..).zip(&run.active_counts) {
            let (neurons, after) = left.split_at(count as usize);
            assert_eq!(neurons.iter().copied().collect::<BTreeSet<u32>>(), active(bin), "{bin}");
            (left, bins) = (after, bins + 1);
        }
        assert!(left.is_empty());
    }
    assert_eq!(bins, 140);
    // By default, and from a bin on.
    assert_eq!(rig.inference.get_recent_spikes(request(0, 0)).await.unwrap().into_inner().first_bin, 100);
    let newer = rig.inference.get_recent_spikes(request(0, 1098)).await.unwrap().into_inner();
    assert_eq!((newer.first_bin, newer.runs[0].active_counts.len()), (1098, 2));
    let none = rig.inference.get_recent_spikes(request(0, 5000)).await.unwrap().into_inner();
    assert_eq!((none.first_bin, none.end_bin, none.runs.len()), (1100, 1100, 0));

    let answer = get(page, &format!("/api/sessions/{id}/spikes?bins=150")).await;
    let (header, numbers) = answer.packed();
    assert_eq!((&header["first_bin"], &header["end_bin"]), (&950.into(), &1100.into()));
    assert_eq!((&header["runs"][1]["first_bin"], &header["runs"][1]["bins"]), (&1010.into(), &90.into()));
    let expected =
        |of: fn(&v1::SpikeRun) -> &Vec<u32>| found.runs.iter().flat_map(of).copied().collect::<Vec<u32>>();
    assert_eq!(small(numbers), [expected(|run| &run.active_counts), expected(|run| &run.neurons)].concat());

    producer.finish().await.unwrap();
    rig.close(&id).await;
    let closed = rig.inference.get_recent_spikes(request(0, 0)).await.unwrap_err();
    assert_status(&closed, Code::FailedPrecondition, &[&id, "closed"]);
    let refused = get(page, &format!("/api/sessions/{id}/spikes")).await;
    assert_eq!((refused.status, &refused.json()["code"]), (409, &"FAILED_PRECONDITION".into()));
    assert_eq!(refused.json()["error"], closed.message());
}

#[tokio::test]
async fn scores_and_checked_pairs_are_those_of_grpc() {
    let (mut rig, page) = rig_with_page().await;
    let (id, _producer) = session(&mut rig).await;
    let request = v1::GetScoreHistoryRequest { session_id: id.clone() };
    let history = rig.inference.get_score_history(request).await.unwrap().into_inner();
    let of = |series: &v1::ScoreSeries| (series.model.unwrap(), series.window.clone());
    use v1::score_series::Model::{Estimator, Method};
    let (nmf, tap) = (Estimator(v1::Estimator::Nmf.into()), Estimator(v1::Estimator::Tap.into()));
    let windows = ["all".to_owned(), "10s".to_owned()];
    let expected: Vec<_> = [[nmf, tap], [nmf, tap]]
        .into_iter()
        .zip(&windows)
        .flat_map(|(two, window)| two.map(|one| (one, window.clone())))
        .collect();
    let methods = windows.iter().map(|window| (Method(HOPFIELD), window.clone()));
    assert_eq!(
        history.series.iter().map(of).collect::<Vec<_>>(),
        expected.into_iter().chain(methods).collect::<Vec<_>>()
    );
    let parts = rig.couplings(v1::CouplingsQuery { header_only: true, ..query(&id) }).await.unwrap();
    let [Part::Header(header)] = &parts[..] else { panic!("{parts:?}") };
    let newest = header.score.as_ref().unwrap().recent.as_ref().unwrap().bits_per_spike.unwrap();
    assert_eq!(history.series[0].end_bins, [1000], "the first publication had not been scored");
    assert_eq!(
        (&history.series[0].bits_per_spike[..], &history.series[0].ridge[..]),
        (&[newest][..], &[0.1][..])
    );

    let told_scores = told(page, &format!("/api/sessions/{id}/scores")).await;
    assert_eq!(told_scores["series"].as_array().unwrap().len(), history.series.len());
    for (told, series) in told_scores["series"].as_array().unwrap().iter().zip(&history.series) {
        assert_equal(&told["bits_per_spike"], &series.bits_per_spike);
        assert_eq!(told["window"], series.window);
    }
    assert_eq!(
        (&told_scores["series"][1]["kind"], &told_scores["series"][1]["name"]),
        (&"estimator".into(), &"tap".into())
    );
    assert_eq!(
        (&told_scores["series"][4]["kind"], &told_scores["series"][4]["name"]),
        (&"method".into(), &"hopfield".into())
    );

    let mut model = async |checked_pairs| {
        let request = v1::GetEquilibriumModelRequest {
            session_id: id.clone(),
            header_only: true,
            checked_pairs,
            ..Default::default()
        };
        let mut stream = rig.inference.get_equilibrium_model(request).await.unwrap().into_inner();
        match stream.message().await.unwrap().unwrap().part.unwrap() {
            v1::get_equilibrium_model_response::Part::Header(header) => header.check.unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(model(false).await.pairs, None, "who does not ask for pairs gets none");
    let check = model(true).await;
    let pairs = check.pairs.unwrap();
    let agreement = check.pair_correlations.unwrap();
    assert_eq!((pairs.first.len() as u64, agreement.values), (10, 10));
    assert_eq!((&pairs.first[..5], &pairs.second[..5]), (&[0, 0, 0, 0, 1][..], &[1, 2, 3, 4, 2][..]));
    let differences = pairs.observed.iter().zip(&pairs.predicted).map(|(o, p)| (o - p).powi(2));
    let rms = (differences.sum::<f64>() / 10.0).sqrt();
    assert!((rms - agreement.rms_difference).abs() < 1e-12, "{rms} {agreement:?}");
    let errors = pairs.observed_error.iter().zip(&pairs.predicted_error).map(|(o, p)| o * o + p * p);
    assert!(((errors.sum::<f64>() / 10.0).sqrt() - agreement.rms_error).abs() < 1e-12);

    let told = told(page, &format!("/api/sessions/{id}/equilibrium?method=hopfield&window=all")).await;
    assert_equal(&told["check"]["pairs"]["observed"], &pairs.observed);
    assert_equal(&told["check"]["pairs"]["predicted_error"], &pairs.predicted_error);
    let correlation = told["check"]["pair_correlations"]["correlation"].as_f64().unwrap();
    assert!(equal(&[correlation], &[agreement.correlation.unwrap()]));
}

#[tokio::test]
async fn what_cannot_be_answered_is_said_as_grpc_says_it() {
    let (mut rig, page) = rig_with_page().await;
    let id = rig.create().await;
    let grpc = rig.couplings(query(&id)).await.unwrap_err();
    for (path, status, code, names) in [
        (format!("/api/sessions/{id}/couplings"), 409, "FAILED_PRECONDITION", grpc.message()),
        (format!("/api/sessions/{id}/couplings?estimator=guess"), 400, "INVALID_ARGUMENT", "guess"),
        (format!("/api/sessions/{id}/couplings?estimator=exact&window=7h"), 400, "INVALID_ARGUMENT", "7h"),
        (format!("/api/sessions/{id}/row"), 400, "INVALID_ARGUMENT", "receiver"),
        (format!("/api/sessions/{id}/row?receiver=5"), 400, "INVALID_ARGUMENT", "5"),
        (format!("/api/sessions/{id}/rates?lag=7"), 400, "INVALID_ARGUMENT", "7"),
        (format!("/api/sessions/{id}/equilibrium"), 409, "FAILED_PRECONDITION", "equilibrium"),
        ("/api/sessions/s-none/scores".to_owned(), 404, "NOT_FOUND", "s-none"),
        ("/api/nothing".to_owned(), 404, "NOT_FOUND", "nothing"),
        ("/assets/..%2fmain.js".to_owned(), 404, "NOT_FOUND", "no such file"),
    ] {
        let answer = get(page, &path).await;
        assert_eq!((answer.status, &answer.json()["code"]), (status, &code.into()), "{path}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(names), "{path}: '{error}' does not name '{names}'");
    }
    assert_eq!(
        get(page, &format!("/api/sessions/{id}/rates?widow=all")).await.status,
        400,
        "a name that is not known"
    );
    rig.assert_healthy(&id).await;
}

#[tokio::test]
async fn only_the_page_of_this_machine_is_answered() {
    let (_rig, page) = rig_with_page().await;
    let own = ["Host: localhost", "Host: 127.0.0.1:8080", "Host: [::1]:9"];
    for path in ["/", "/api/sessions", "/assets/main.js"] {
        let first = format!("GET {path} HTTP/1.0");
        for host in own {
            assert_eq!(ask(page, &[&first, host]).await.status, 200, "{path} {host}");
        }
        for host in [
            "Host: rig.evil.example",
            "Host: localhost.evil.example:8080",
            "Host: 10.0.0.5",
            "X: y",
            "Host: localhost\r\nHost: evil.example",
        ] {
            let answer = ask(page, &[&first, host]).await;
            assert!([400, 421].contains(&answer.status), "{path} {host}: {}", answer.head);
            assert!(
                answer.status == 400 || answer.json()["error"].as_str().unwrap().contains("http://localhost")
            );
        }
        let absolute = format!("GET http://evil.example{path} HTTP/1.0");
        assert_eq!(ask(page, &[&absolute, own[0]]).await.status, 421);
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer =
            ask(page, &[&format!("{method} /api/sessions HTTP/1.0"), own[0], "Origin: http://evil.example"])
                .await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let elsewhere = ask(page, &["GET /api/sessions HTTP/1.0", own[0], "Sec-Fetch-Site: cross-site"]).await;
    assert_eq!(elsewhere.status, 403);
    let link = ask(page, &["GET / HTTP/1.0", own[0], "Sec-Fetch-Site: cross-site"]).await;
    assert_eq!(link.status, 200, "a link to the page may stand anywhere");
}

#[tokio::test]
async fn browsers_are_told_to_ask_nobody_else() {
    let (mut rig, page) = rig_with_page().await;
    let id = rig.create().await;
    for path in [
        "/".to_owned(),
        "/assets/page.css".to_owned(),
        "/api/sessions".to_owned(),
        "/none".to_owned(),
        format!("/api/sessions/{id}/couplings"),
    ] {
        let answer = get(page, &path).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe") && !policy.contains("http"),
            "{policy}"
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        let cache = if path.starts_with("/api") || path == "/none" { "no-store" } else { "no-cache" };
        assert_eq!(answer.header("cache-control"), Some(cache), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let asset = get(page, "/assets/uPlot.iife.min.js").await;
    let tag = asset.header("etag").unwrap();
    let again = ask(
        page,
        &["GET /assets/uPlot.iife.min.js HTTP/1.0", "Host: localhost", &format!("If-None-Match: {tag}")],
    )
    .await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert!(
        String::from_utf8(get(page, "/assets/uPlot.LICENSE").await.body)
            .unwrap()
            .contains("Permission is hereby granted")
    );
}

#[tokio::test]
async fn every_file_that_the_page_names_is_there() {
    let (_rig, page) = rig_with_page().await;
    let mut left = vec!["/".to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(path) = left.pop() {
        let answer = get(page, &path).await;
        assert_eq!(answer.status, 200, "{path}");
        let text = String::from_utf8(answer.body).unwrap();
        if path.contains("uPlot") {
            continue;
        }
        let quoted = text.split('"').skip(1).step_by(2);
        for name in quoted.filter_map(|name| name.strip_prefix("assets/").or_else(|| name.strip_prefix("./")))
        {
            let named = format!("/assets/{name}");
            if seen.insert(named.clone()) {
                left.push(named);
            }
        }
    }
    assert!(seen.len() >= 17, "{seen:?}");
}

#[tokio::test]
async fn connections_of_pages_are_bounded() {
    let (mut rig, page) = rig_with_page().await;
    let mut open = Vec::new();
    for _ in 0..32 {
        let mut stream = TcpStream::connect(page).await.unwrap();
        stream.write_all(b"GET /api/sessions HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        open.push(stream);
    }
    let mut one_more = TcpStream::connect(page).await.unwrap();
    let mut nothing = Vec::new();
    drop(one_more.write_all(b"GET /api/sessions HTTP/1.1\r\nHost: localhost\r\n\r\n").await);
    drop(one_more.read_to_end(&mut nothing).await);
    assert_eq!(nothing, b"", "one too many is closed");
    let id = rig.create().await;
    rig.assert_healthy(&id).await;
    drop(open);
    let started = Instant::now();
    while TcpStream::connect(page).await.is_err() || get_or_none(page).await.is_none() {
        assert!(started.elapsed() < Duration::from_secs(60), "places are given back");
    }
}

async fn get_or_none(page: SocketAddr) -> Option<usize> {
    let mut stream = TcpStream::connect(page).await.ok()?;
    stream.write_all(b"GET /api/sessions HTTP/1.0\r\nHost: localhost\r\n\r\n").await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok().filter(|&bytes| bytes > 0)
}

#[tokio::test]
async fn pages_that_do_not_read_hold_nobody_up_and_are_given_up() {
    let (mut rig, page) = rig_with_page().await;
    let n = 2000;
    let asked = v1::SessionSpec {
        neuron_count: n,
        windows: vec!["all".to_owned()],
        estimators: vec![v1::Estimator::Nmf.into()],
        ridge: Some(0.1),
        refresh_interval_bins: Some(100),
        ..spec()
    };
    let id = rig.create_from(asked).await.unwrap().session_id;
    let mut producer = Producer::open(&rig.channel, &id, 0).await.unwrap();
    // All neurons but three are silent, so that there is little to compute.
    let bins: Vec<&[u32]> = (0..100).map(|bin| [&[0][..], &[1, 2], &[], &[2]][bin % 4]).collect();
    producer.send(sparse(0, &bins)).await;
    producer.applied(100).await;
    let started = Instant::now();
    while rig.session(&id).await.refreshes_published == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "nothing is published");
        tokio::task::yield_now().await;
    }
    let request = format!("GET /api/sessions/{id}/couplings HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut stuck = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(page).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        stuck.push(stream);
    }
    // 16 MB each: more than the system keeps of what is not read.
    let refused = get(page, &format!("/api/sessions/{id}/couplings")).await;
    assert_eq!((refused.status, &refused.json()["code"]), (503, &"RESOURCE_EXHAUSTED".into()));
    assert_eq!(
        rig.couplings(query(&id)).await.unwrap().len(),
        1 + 31,
        "other clients have places of their own"
    );
    assert_eq!(told(page, "/api/sessions").await["sessions"][0]["session_id"], id);
    producer.send(sparse(100, &bins)).await;
    producer.applied(200).await;
    let started = Instant::now();
    while get(page, &format!("/api/sessions/{id}/couplings")).await.status != 200 {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "their places are given back while they are still connected"
        );
    }
    drop(stuck);
}

/// The page in a real browser, with a daemon of its own: see `tests/python/check_page.py`.
#[test]
fn a_browser_shows_what_the_daemon_answers() {
    let Some(interpreter) = std::env::var_os("GLAUBER_PYTHON") else {
        println!("skipped: set GLAUBER_PYTHON to an interpreter with tests/python/requirements.txt");
        return;
    };
    let checked = Command::new(interpreter)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tests/python/check_page.py", env!("CARGO_BIN_EXE_glauber")])
        .output()
        .expect("python starts");
    let (out, err) = (String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
    println!("{out}");
    assert!(checked.status.success(), "{out}\n{err}");
    // Where a browser must be there, a test that misses it fails.
    let may_skip = std::env::var_os("REQUIRE_BROWSER").is_none();
    assert!(out.contains("all checks passed") || may_skip && out.contains("skipped"), "{out}");
}
