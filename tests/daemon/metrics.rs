use std::net::SocketAddr;

use glauber::proto::v1;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{Producer, Rig, pattern, query, spec, test_config};
use super::scores::next_model;

/// What Prometheus would read.
pub(super) async fn scrape(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: rig\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn metrics_tell_of_every_session_until_it_is_forgotten() {
    let mut config = test_config();
    config.metrics.listen = "127.0.0.1:0".to_owned();
    config.limits.sessions_closed_kept = 0;
    let mut rig = Rig::with(config).await;
    let address = rig.daemon.metrics_address().unwrap();
    let session = rig.create_from(v1::SessionSpec { ridge: Some(0.3), ..spec() }).await.unwrap().session_id;
    let watch = v1::WatchCouplingsRequest { query: Some(query(&session)) };
    let mut watcher = rig.inference.watch_couplings(watch).await.unwrap().into_inner();
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    for first_bin in [0, 100] {
        producer.send(pattern(first_bin, 100)).await;
        next_model(&mut watcher).await;
    }
    producer.send(pattern(210, 5)).await;
    producer.finish().await.unwrap();

    let text = scrape(address).await;
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("text/plain; version=0.0.4"), "{text}");
    for (name, value) in [
        ("glauber_bins_applied_total", "205"),
        ("glauber_gap_bins_total", "10"),
        ("glauber_gaps_total", "1"),
        ("glauber_refreshes_published_total", "2"),
        ("glauber_refresh_seconds_count", "2"),
        ("glauber_refit_seconds_count", "0"),
        ("glauber_ingest_lag_bins", "0"),
    ] {
        let line = format!("{name}{{session=\"{session}\"}} {value}");
        assert!(text.lines().any(|found| found == line), "{line} is missing: {text}");
    }
    assert!(text.lines().any(|line| line == "glauber_sessions_open 1"), "{text}");
    for window in ["all", "10s"] {
        let labels = format!("{{session=\"{session}\",window=\"{window}\",estimator=\"tap\"}}");
        for name in ["glauber_score_bits_per_spike", "glauber_score_total_bits_per_spike"] {
            assert!(text.contains(&format!("{name}{labels} ")), "{text}");
        }
        assert!(text.contains(&format!("glauber_ridge{labels} 0.3\n")), "{text}");
    }
    let best = rig.session(&session).await.best.unwrap();
    let best = format!("{{session=\"{session}\",window=\"{}\"", best.window);
    let told: Vec<&str> = text.lines().filter(|line| line.starts_with("glauber_best_estimator{")).collect();
    assert!(told.len() == 1 && told[0].contains(&best) && told[0].ends_with(" 1"), "{text}");
    rig.close(&session).await;
    assert!(!scrape(address).await.contains(&session), "a forgotten session is told of");
}
