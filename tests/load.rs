//! `glauber load` as a user meets it: what it reports adds up, and what goes wrong is said.
#![cfg(feature = "daemon")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// Small enough for an unoptimized build beside others: the estimators of the default would keep it busy.
const SMALL: &str =
    "load --rigs 2 --windows 1s,all --estimator nmf --ridge 0.1 --no-equilibrium --warmup-seconds 0";

fn glauber(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glauber"));
    // What the tester's shell holds must not decide the outcome.
    command.args(args).env_remove("GLAUBER_CONNECT").env_remove("GLAUBER_CONFIG").env_remove("RUST_LOG");
    command
}

fn small(more: &[&str]) -> Command {
    let mut command = glauber(&SMALL.split(' ').collect::<Vec<_>>());
    command.args(more);
    for usual in [["--seconds", "2"], ["--neurons", "50"]] {
        if !more.contains(&usual[0]) {
            command.args(usual);
        }
    }
    command
}

fn output(mut command: Command) -> (Output, String) {
    let output = command.output().unwrap();
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    (output, errors)
}

/// The report of a load that succeeds.
fn report(more: &[&str]) -> Value {
    let mut command = small(more);
    command.arg("--json");
    let (output, errors) = output(command);
    assert!(output.status.success(), "{more:?}: {:?} {errors}", output.status);
    let report = serde_json::from_slice(&output.stdout).unwrap();
    check(&report);
    report
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// What must hold of every report.
fn check(report: &Value) {
    assert_eq!(report["problems"], Value::Array(vec![]), "{report:#}");
    let check = &report["check"];
    assert!(number(&check["bins_sent"]) > 0.0);
    assert_eq!(check["bins_sent"], check["bins_applied"]);
    assert_eq!(check["entries_sent"], check["entries_applied"]);
    assert_eq!((&check["gap_bins"], &check["repeated_bins"]), (&Value::from(0), &Value::from(0)));

    let (load, throughput) = (&report["load"], &report["throughput"]);
    let batch = number(&load["batch_bins"]);
    let bins_per_s = number(&throughput["bins_per_s"]);
    assert!(bins_per_s > 0.0);
    assert!((number(&throughput["messages_per_s"]) * batch - bins_per_s).abs() < 1e-6 * bins_per_s);
    let real_time = bins_per_s * number(&load["bin_width_us"]) * 1e-6 / number(&load["rigs"]);
    assert!((number(&throughput["times_real_time"]) - real_time).abs() < 1e-6 * real_time);
    // A rate times a time is the count that it was made from but for rounding.
    let counted = bins_per_s * number(&report["measured_s"]);
    assert!(counted <= number(&check["bins_sent"]) * (1.0 + 1e-12), "{report:#}");
    // Independent spikes, of which the ring has thousands.
    let expected = bins_per_s * number(&load["neurons"]) * number(&load["active"]);
    let entries = number(&throughput["entries_per_s"]);
    assert!((entries - expected).abs() < 0.25 * expected, "{entries} entries/s, {expected} expected");

    let latency = &report["latency"];
    for spans in ["received", "applied", "visible"] {
        for from in ["from_due", "from_handed"] {
            quantiles(&latency[spans][from], spans);
        }
        let p50 = |from: &str| number(&latency[spans][from]["p50_ms"]);
        assert!(p50("from_due") >= p50("from_handed"), "{spans}: {latency:#}");
    }
    assert_eq!(latency["applied"]["from_due"]["samples"], latency["received"]["from_due"]["samples"]);
    if cfg!(target_os = "linux") {
        let cpu = &report["daemon"]["cpu"];
        let threads: f64 = cpu["by_threads"].as_object().unwrap().values().map(number).sum();
        assert!((threads - number(&cpu["percent"])).abs() < 1e-6, "{cpu:#}");
        let memory = &report["daemon"]["memory"];
        assert!(number(&memory["peak_bytes"]) >= number(&memory["resident_bytes"]));
        assert!(number(&report["client"]["cpu"]["percent"]) > 0.0);
    }
}

fn quantiles(found: &Value, what: &str) {
    let names = ["p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms"];
    let values: Vec<f64> = names.iter().map(|name| number(&found[*name])).collect();
    assert!(values.is_sorted(), "{what}: {values:?}");
    assert!(number(&found["samples"]) > 0.0, "{what}");
}

/// A daemon of the test's own.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(dir: &Path) -> Self {
        let mut child = glauber(&["serve", "--listen", "127.0.0.1:0", "--json"])
            .arg("--archive-dir")
            .arg(dir.join("snapshots"))
            .arg("--journal-dir")
            .arg(dir.join("journal"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let announced: Value = serde_json::from_str(&line).unwrap();
        Self { address: announced["address"].as_str().unwrap().to_owned(), child }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn entries_of(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
fn sparse_and_packed_by_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let place = ["--dir", dir.path().to_str().unwrap()];
    let sparse = report(&place);
    let packed = report(&[&place[..], &["--encoding", "packed", "--batch-bins", "25"]].concat());
    assert_eq!(entries_of(dir.path()), 0, "the daemon's directory is still there");
    for (report, batch) in [(&sparse, 10), (&packed, 25)] {
        assert_eq!(report["load"]["batch_bins"], batch);
        assert_eq!(report["check"]["bins_durable"], report["check"]["bins_sent"]);
        assert!(report["throughput"]["behind_s"].is_number());
        quantiles(&report["latency"]["durable"]["from_due"], "durable");
        quantiles(&report["latency"]["lag"], "lag");
        assert_eq!(report["load"]["own_daemon"], true);
    }
    let bytes_per_bin =
        number(&packed["throughput"]["payload_mb_per_s"]) * 1e6 / number(&packed["throughput"]["bins_per_s"]);
    assert!((7.0..8.0).contains(&bytes_per_bin), "{bytes_per_bin} bytes for a bin of 50 neurons");
}

#[test]
fn as_fast_as_possible_without_a_journal() {
    // Many bytes for a bin, so that few bins are on the way at the end.
    let large = ["--neurons", "800", "--active", "0.001", "--encoding", "packed"];
    let report = report(&[&["--speed", "max", "--no-journal", "--batch-bins", "100"], &large[..]].concat());
    assert!(report["load"]["speed"].is_null() && report["throughput"]["behind_s"].is_null());
    assert!(report["latency"]["durable"].is_null() && report["check"]["bins_durable"].is_null());
    assert!(report["latency"]["lag"].is_null());
}

#[test]
fn watchers_and_queries_beside_it() {
    // Longer than the others: the first publications wait for a machine that is busy with those.
    let more =
        ["--watchers", "3", "--queries-per-second", "20", "--refresh-interval", "250ms", "--seconds", "8"];
    let report = report(&more);
    let watchers = &report["watchers"];
    assert_eq!(watchers["count"], 3);
    assert!(number(&watchers["publications"]) > 0.0 && number(&watchers["mb_per_s"]) > 0.0, "{watchers:#}");
    assert!(number(&report["queries"]["answers"]) > 0.0, "{:#}", report["queries"]);
    assert!(number(&report["estimates"]["refreshes_published"]) > 0.0);
    quantiles(&report["queries"]["latency"], "queries");
}

#[test]
fn a_running_daemon_is_measured_and_its_sessions_are_closed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let pid = server.child.id().to_string();
    let found =
        report(&["--connect", &server.address, "--daemon-pid", &pid, "--top", "5", "--watchers", "1"]);
    assert_eq!((&found["load"]["own_daemon"], &found["load"]["journal"]), (&false.into(), &true.into()));
    let status = output(glauber(&["status", "--connect", &server.address, "--json"])).0;
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let sessions = status["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    assert!(sessions.iter().all(|session| session["state"] == "closed"), "{status:#}");
}

#[test]
fn the_text_says_what_was_found_and_which_bound_was_passed() {
    let (output, errors) = output(small(&["--quiet", "--expect-visible-p99-ms", "0.001"]));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for part in ["2 rigs of 50 neurons", "windows 1s, all; nmf;", "until visible to others", "0 missing"] {
        assert!(text.contains(part), "no '{part}' in\n{text}");
    }
    let expected = "error: visible p99: expected at most 0.001 ms, got ";
    assert!(errors.starts_with(expected) && errors.lines().count() == 1, "{errors}");
}

/// Start a load that would take minutes: its process, that of its daemon, and what it says after having told of it.
#[cfg(target_os = "linux")]
fn long_load(dir: &Path) -> (Child, u32, BufReader<std::process::ChildStderr>) {
    let mut command = small(&["--dir", dir.to_str().unwrap(), "--seconds", "300"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    let pid = line.split("process ").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or_default();
    let pid = pid.parse().unwrap_or_else(|_| panic!("no process in '{line}'"));
    (child, pid, errors)
}

/// Wait until the daemon's journal grows: bins are on their way.
#[cfg(target_os = "linux")]
fn wait_until_it_writes(daemon: u32) {
    let written = || {
        let io = std::fs::read_to_string(format!("/proc/{daemon}/io")).unwrap();
        let line = io.lines().find_map(|line| line.strip_prefix("syscw: ")).unwrap();
        line.parse::<u64>().unwrap()
    };
    let begin = std::time::Instant::now();
    let before = written();
    while written() < before + 1000 {
        assert!(begin.elapsed().as_secs() < 60, "nothing is written");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[cfg(target_os = "linux")]
fn send_signal(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
fn a_daemon_that_is_killed_is_one_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let (mut load, daemon, mut errors) = long_load(dir.path());
    wait_until_it_writes(daemon);
    send_signal("-KILL", daemon);
    let (mut said, mut shown) = (String::new(), String::new());
    errors.read_to_string(&mut said).unwrap();
    load.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    assert_eq!(load.wait().unwrap().code(), Some(1), "{said}");
    assert!(said.starts_with("error: the daemon was killed by signal 9"), "{said}");
    assert_eq!((said.lines().count(), shown.as_str()), (1, ""));
    assert_eq!(entries_of(dir.path()), 0, "the daemon's directory is still there");
}

#[cfg(target_os = "linux")]
#[test]
fn a_running_daemon_that_is_killed_is_one_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path());
    let mut command = small(&["--connect", &server.address, "--seconds", "300"]);
    let load = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until_it_writes(server.child.id());
    server.child.kill().unwrap();
    let output = load.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
    let expected = format!("error: the daemon at {} went away while it was measured (", server.address);
    assert!(said.starts_with(&expected) && said.lines().count() == 1, "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_gives_the_report_of_what_was_measured() {
    let dir = tempfile::tempdir().unwrap();
    let (mut load, daemon, mut errors) = long_load(dir.path());
    wait_until_it_writes(daemon);
    send_signal("-INT", load.id());
    let (mut said, mut shown) = (String::new(), String::new());
    errors.read_to_string(&mut said).unwrap();
    load.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    assert_eq!(load.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.starts_with("error: interrupted: ") && said.lines().count() == 1, "{said}");
    assert!(shown.contains("ended by Ctrl-C") && shown.contains("0 missing"), "{shown}");
    assert_eq!(entries_of(dir.path()), 0, "the daemon's directory is still there");
}

#[test]
fn the_environment_configures_the_daemon_only_beside_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("glauber.toml");
    std::fs::write(&file, "[limits]\nsessions_open_max = 9\n").unwrap();
    let small = |more: &[&str]| {
        let mut command = small(&[&["--seconds", "1", "--quiet"], more].concat());
        command.env("GLAUBER_CONFIG", "/nowhere/glauber.toml").env("GLAUBER_LIMITS__NEURONS_MAX", "49");
        output(command)
    };
    let (found, errors) = small(&[]);
    assert!(found.status.success(), "{errors}");
    let (found, errors) = small(&["--config", file.to_str().unwrap()]);
    assert_eq!(found.status.code(), Some(1), "{errors}");
    assert!(errors.contains("neurons_max") && errors.lines().count() == 1, "{errors}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_that_closes_leaves_nothing_behind() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    if u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 == 1 {
        return println!(
            "skipped: SIGHUP is ignored here (nohup), and so it is by what is started from here"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    let (mut load, daemon, mut errors) = long_load(dir.path());
    wait_until_it_writes(daemon);
    send_signal("-HUP", load.id());
    let mut said = String::new();
    errors.read_to_string(&mut said).unwrap();
    assert_eq!(load.wait().unwrap().code(), Some(130), "{said}");
    assert_eq!(entries_of(dir.path()), 0, "the daemon's directory is still there");
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_is_heard_while_a_daemon_does_not_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (mut load, daemon, mut errors) = long_load(dir.path());
    // Whether during set-up or later: nothing comes any more.
    send_signal("-STOP", daemon);
    // Once to end what is measured, and once more should that wait for the daemon.
    let begin = std::time::Instant::now();
    let status = loop {
        if let Some(status) = load.try_wait().unwrap() {
            break status;
        }
        assert!(begin.elapsed().as_secs() < 60, "signals are not heard");
        send_signal("-INT", load.id());
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    let mut said = String::new();
    errors.read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.starts_with("error: interrupted") && said.lines().count() == 1, "{said}");
    assert!(!Path::new(&format!("/proc/{daemon}")).exists(), "the daemon is still there");
    assert_eq!(entries_of(dir.path()), 0, "the daemon's directory is still there");
}

#[cfg(target_os = "linux")]
#[test]
fn a_daemon_whose_parent_is_gone_ends_at_once() {
    // Nobody's parent, as it is after the one that started it has ended.
    let (output, errors) = output(glauber(&["serve", "--quiet", "--stop-with-parent", "1073741824"]));
    assert_eq!((output.status.code(), output.stdout.len()), (Some(130), 0), "{errors}");
    assert!(errors.contains("the process that started this one has ended"), "{errors}");
}

#[test]
fn wrong_arguments_are_told_in_one_line() {
    let huge = ["--neurons", "16384", "--batch-bins", "65536", "--active", "0.5", "--seconds", "1"];
    let cases: [(&[&str], &str); 12] = [
        (&huge, "--batch-bins: 65536 bins make messages of about "),
        (&[&huge[..], &["--encoding", "packed"]].concat(), "134217728 bytes: expected at most 4194304 (lim"),
        (&[&huge[..], &["--connect", "127.0.0.1:1"]].concat(), "expected at most 268435456 (limits.message"),
        (&["--active", "1.5"], "'1.5' is not a share"),
        (&["--rigs", "0"], "0 is not in 1..=1024"),
        (&["--speed", "fast"], "'fast' is not a speed"),
        (&["--speed", "1000x", "--batch-bins", "1"], "--speed: one rig would send more than"),
        (&["--encoding", "dense"], "invalid value 'dense'"),
        (&["--daemon-pid", "1"], "--connect"),
        (&["--connect", "127.0.0.1:1", "--no-journal"], "cannot be used with"),
        (&["--set", "limits.nothing=1"], "limits.nothing"),
        (&["--expect-cpu-percent", "0"], "'0' is not a bound"),
    ];
    for (more, expected) in cases {
        let (output, errors) = output(glauber(&[&["load", "--quiet"], more].concat()));
        assert_eq!(output.status.code(), Some(2), "{more:?}: {errors}");
        assert!(errors.starts_with("error: ") && errors.contains(expected), "{more:?}: {errors}");
        assert_eq!((errors.lines().count(), output.stdout.len()), (1, 0), "{more:?}: {errors}");
    }
}

#[test]
fn what_the_daemon_refuses_is_told_in_one_line() {
    let more = ["--neurons", "100", "--set", "limits.neurons_max=99"];
    let (output, errors) = output(glauber(&[&["load", "--quiet"], &more[..]].concat()));
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.starts_with("error: opening a session at ") && errors.contains("neurons_max"), "{errors}");
    assert_eq!((errors.lines().count(), output.stdout.len()), (1, 0));
}
