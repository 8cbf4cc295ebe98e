use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

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

/// What each line of the table in docs/metrics.md says: name, type, labels.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" |").map(str::trim).collect();
        assert_eq!(cells.len(), 6, "{row}");
        let meaning = cells[4];
        assert!(!cells[2].is_empty() && !meaning.is_empty(), "{row}");
        let labels = cells[3].split(", ").filter(|label| !label.is_empty()).map(str::to_owned).collect();
        (cells[0].trim_matches('`').to_owned(), (cells[1].to_owned(), labels))
    })
    .collect()
}

/// The family that a sample belongs to.
fn family<'a>(sample: &'a str, types: &BTreeMap<String, String>) -> &'a str {
    let stems = ["_bucket", "_sum", "_count"].iter().filter_map(|suffix| sample.strip_suffix(suffix));
    stems.into_iter().find(|stem| types.get(*stem).is_some_and(|kind| kind == "histogram")).unwrap_or(sample)
}

/// A session with all that there is to tell of, on a daemon that keeps a journal; what it is told as.
async fn everything() -> String {
    let journal = tempfile::tempdir().unwrap();
    let mut config = test_config();
    config.metrics.listen = "127.0.0.1:0".to_owned();
    config.journal.directory = journal.path().to_owned();
    let mut rig = Rig::with(config).await;
    let methods = vec![v1::EquilibriumMethod::Nmf.into()];
    let asked = v1::SessionSpec {
        name: "a \"rig\"\\".to_owned(),
        equilibrium_methods: methods,
        ridge: Some(0.3),
        ..spec()
    };
    let session = rig.create_from(asked).await.unwrap().session_id;
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    let watch = v1::WatchCouplingsRequest { query: Some(query(&session)) };
    let mut watcher = rig.inference.watch_couplings(watch).await.unwrap().into_inner();
    for first_bin in [0, 100] {
        producer.send(pattern(first_bin, 100)).await;
        next_model(&mut watcher).await;
    }
    // The models are scored on bins that came after them.
    let fit = v1::RefitRequest { session_id: session.clone(), equilibrium: true };
    for first_bin in [200, 300] {
        producer.send(pattern(first_bin, 100)).await;
        rig.inference.refit(fit.clone()).await.unwrap();
    }
    let answer = scrape(rig.daemon.metrics_address().unwrap()).await;
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test]
async fn the_table_of_the_documentation_is_what_is_told() {
    let (text, documented) = (everything().await, documented());
    let mut types = BTreeMap::new();
    let mut labels: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').unwrap();
            assert_eq!(types.insert(name.to_owned(), kind.to_owned()), None, "{name} is described twice");
        }
        if line.starts_with('#') {
            continue;
        }
        let name = family(line.split(['{', ' ']).next().unwrap(), &types);
        assert!(types.contains_key(name), "{line} comes before its type");
        let keys = line.match_indices("=\"").map(|(end, _)| {
            let begin = line[..end].rfind(['{', ',']).unwrap() + 1;
            line[begin..end].to_owned()
        });
        labels.entry(name).or_default().extend(keys.filter(|key| key != "le"));
    }
    let told: BTreeMap<String, (String, BTreeSet<String>)> = types
        .iter()
        .map(|(name, kind)| (name.clone(), (kind.clone(), labels.get(&**name).cloned().unwrap_or_default())))
        .collect();
    let is_here = |name: &String| cfg!(target_os = "linux") || !name.starts_with("process_");
    let mut expected = documented;
    expected.retain(|name, _| is_here(name));
    // Where the account has no bound on them there is none to tell.
    if !told.contains_key("process_max_fds") {
        expected.remove("process_max_fds");
    }
    assert_eq!(told, expected);
    // Each of them has a value, or its labels would be compared with nothing.
    let silent: Vec<_> = types.keys().filter(|name| !labels.contains_key(name.as_str())).collect();
    assert!(silent.is_empty(), "no value: {silent:?} in {text}");
}

#[tokio::test]
async fn names_and_values_pass_the_checks_of_prometheus() {
    let text = everything().await;
    for (name, kind) in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')) {
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &text).unwrap();
    match Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(file.reopen().unwrap())
        .stderr(Stdio::piped())
        .output()
    {
        Ok(checked) => {
            let complaints = String::from_utf8_lossy(&checked.stderr).into_owned();
            // Of information bits are the unit; it takes them for sizes.
            let is_information = |line: &&str| line.contains("bits_per_spike use base unit \"bytes\"");
            let lines: Vec<&str> =
                complaints.lines().filter(|line| !line.is_empty() && !is_information(line)).collect();
            assert!(lines.is_empty(), "{lines:?}");
        }
        Err(_) => println!("skipped: promtool is not on PATH"),
    }
    let Some(python) = std::env::var_os("GLAUBER_PYTHON") else {
        println!("skipped: set GLAUBER_PYTHON to an interpreter with tests/python/requirements.txt");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/check_metrics.py");
    let checked = Command::new(python).arg(script).arg(file.path()).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn the_alerts_are_rules_of_prometheus_on_metrics_that_there_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/prometheus/alerts.yml");
    let text = std::fs::read_to_string(&path).unwrap();
    let documented = documented();
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let named: BTreeSet<&str> =
        words.filter(|word| word.starts_with("glauber_") || word.starts_with("process_")).collect();
    let unknown: Vec<_> = named.iter().filter(|name| !documented.contains_key(**name)).collect();
    assert!(named.len() > 10 && unknown.is_empty(), "{unknown:?}");
    match Command::new("promtool").args(["check", "rules"]).arg(&path).output() {
        Ok(checked) => assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr)),
        Err(_) => println!("skipped: promtool is not on PATH"),
    }
}
