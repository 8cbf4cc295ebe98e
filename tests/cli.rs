//! The program as a user meets it: every subcommand, and what it says when something is wrong.
#![cfg(feature = "daemon")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use glauber::archive::read_snapshot;
use glauber::model::Interval;
use glauber::recording::{NwbMetadata, Overwrite, Subject, write_nwb};
use serde_json::Value;

const WIDTH: &str = "10ms";

fn glauber(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glauber"));
    // What the tester's shell holds must not decide the outcome.
    command.args(args).env_remove("GLAUBER_CONNECT").env_remove("GLAUBER_CONFIG").env_remove("RUST_LOG");
    command
}

fn run(args: &[&str]) -> Output {
    glauber(args).output().unwrap()
}

/// Stdout of a run that succeeds.
fn stdout(args: &[&str]) -> String {
    let output = run(args);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {:?} {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&stdout(args)).unwrap()
}

/// The one line of a run that fails with that exit code.
fn refusal(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {errors}");
    assert_eq!(errors.lines().count(), 1, "{command:?}: {errors}");
    assert!(errors.starts_with("error: "), "{errors}");
    assert!(output.stdout.is_empty(), "results in spite of an error");
    errors
}

/// A directory with a small recording in it.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { dir: tempfile::tempdir().unwrap() };
        let out = desk.path("rig.nwb");
        stdout(&[
            "simulate",
            "--neurons",
            "12",
            "--coupling-std",
            "0.6",
            "--duration",
            "2min",
            "--bin-width",
            WIDTH,
            "--rate-hz",
            "20",
            "--seed",
            "3",
            "--out",
            &out,
        ]);
        desk
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn rig(&self) -> String {
        self.path("rig.nwb")
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A daemon of its own, ended with the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(archive: &Path) -> Self {
        Self::start_logging_to(archive, Stdio::null())
    }

    fn start_logging_to(archive: &Path, stderr: Stdio) -> Self {
        let journal = archive.with_file_name("journal");
        Self::start_with(archive, &journal.display().to_string(), stderr)
    }

    fn start_without_journal(archive: &Path) -> Self {
        Self::start_with(archive, "", Stdio::null())
    }

    fn start_with(archive: &Path, journal: &str, stderr: Stdio) -> Self {
        let archive = archive.display().to_string();
        let directories = ["--archive-dir", &archive, "--journal-dir", journal];
        let mut child = glauber(&["serve", "--listen", "127.0.0.1:0", "--json"])
            .args(directories)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let announced: Value = serde_json::from_str(&line).unwrap();
        Self { address: announced["address"].as_str().unwrap().to_owned(), child }
    }

    /// Ask for an end as a service manager does; gives the exit code.
    fn terminate(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn the_daemon_goes_on_when_nobody_reads_its_log() {
    let desk = Desk::new();
    let mut server = Server::start_logging_to(&desk.dir.path().join("snapshots"), Stdio::piped());
    drop(server.child.stderr.take());
    let rig = desk.rig();
    let replay = ["replay", &rig, "--bin-width", WIDTH, "--connect", &server.address, "--json"];
    assert_eq!(json(&replay)["snapshots"].as_array().unwrap().len(), 3);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn help_names_every_subcommand_and_each_shows_examples() {
    let help = stdout(&["--help"]);
    let names = ["demo", "serve", "replay", "fit", "compare", "inspect", "simulate", "close", "status"];
    for name in names.into_iter().chain(["couplings", "watch", "predict", "refit", "plot"]) {
        assert!(help.contains(&format!("  {name} ")), "{name} is missing: {help}");
        assert!(stdout(&[name, "--help"]).contains(&format!("glauber {name}")), "{name} has no example");
    }
    assert!(
        stdout(&["bridge", "open-ephys", "--help"]).contains("glauber bridge open-ephys --bin-width 20ms")
    );
    assert_eq!(stdout(&["--version"]).trim(), format!("glauber {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_simulated_recording_is_the_same_for_the_same_seed_and_can_be_inspected() {
    let desk = Desk::new();
    let seen = json(&["inspect", &desk.rig(), "--json"]);
    assert_eq!(seen["kind"], "recording");
    assert_eq!(seen["units"].as_array().unwrap().len(), 12);
    assert_eq!(seen["has_truth"], true);
    assert_eq!(seen["resolution_s"], 0.01);
    let text = stdout(&["inspect", &desk.rig()]);
    assert!(text.contains("12 in /units"), "{text}");
    // 20 spikes a second in 12,000 bins of 10 ms: 2,400 per neuron, coupled; a tenth more or less would be a bug.
    let spikes = seen["spikes"].as_f64().unwrap();
    assert!((spikes / (12.0 * 2400.0) - 1.0).abs() < 0.2, "{spikes}");

    let again = desk.path("again.nwb");
    let args =
        ["simulate", "--neurons", "12", "--coupling-std", "0.6", "--duration", "2min", "--bin-width", WIDTH];
    stdout(&[&args[..], &["--rate-hz", "20", "--seed", "3", "--out", &again]].concat());
    assert_eq!(json(&["inspect", &again, "--json"])["units"], seen["units"]);
}

/// A copy of the recording with trials, and a stretch in which nothing is valid.
fn with_trials_and_a_gap(desk: &Desk) -> String {
    let second = 1_000_000_000;
    let mut session = glauber::recording::open(desk.rig()).unwrap().session;
    session.trials = [(3, 20), (20, 41), (60, 90)]
        .map(|(start, stop)| Interval { start_ns: start * second, stop_ns: stop * second })
        .to_vec();
    session.invalid = vec![Interval { start_ns: 50 * second + 1, stop_ns: 51 * second }];
    let metadata = NwbMetadata {
        identifier: "trials".to_owned(),
        session_description: "trials and a gap".to_owned(),
        session_start: std::time::UNIX_EPOCH,
        created: std::time::UNIX_EPOCH,
        resolution_seconds: 0.01,
        subject: Subject::simulated(),
    };
    let path = desk.path("trials.nwb");
    write_nwb(&path, &session, &metadata, None, Overwrite::Refuse).unwrap();
    path
}

#[test]
fn replay_through_the_daemon_equals_fit_bit_for_bit() {
    let desk = Desk::new();
    let server = Server::start(&desk.dir.path().join("snapshots"));
    let recordings = [desk.rig(), with_trials_and_a_gap(&desk)];
    let estimators = "nmf,tap,tap-self-consistent,exact-mean-field,exact,trial-nmf,trial-tap,trial-exact";
    for (recording, observed) in recordings.iter().zip([12_000, 11_900]) {
        let what = ["--estimator", estimators, "--lags", "1,3", "--ridge", "0.01", "--json"];
        let same = [&[recording, "--bin-width", WIDTH], &what[..]].concat();
        // A batch length that divides neither the refresh interval nor the recording; several windows at once.
        let sent = ["--connect", &server.address, "--batch-bins", "37", "--windows", "1min,all,30s"];
        let replayed = json(&[&["replay"], &same[..], &sent[..]].concat());
        let live = replayed["snapshots"].as_array().unwrap();
        for (window, live) in ["1min", "all", "30s"].into_iter().zip(live) {
            let out = desk.path(&format!("{observed}-{window}.h5"));
            let fitted = json(&[&["fit"], &same[..], &["--window", window, "--out", &out]].concat());
            assert_eq!(fitted["recording"]["bins_observed"], observed);
            let live = read_snapshot(live.as_str().unwrap()).unwrap().snapshot;
            let fit = read_snapshot(&out).unwrap().snapshot;
            assert_eq!(live.window.window.to_string(), window);
            assert_eq!(live.window, fit.window, "{recording} {window}");
            assert_eq!((live.estimates.len(), fit.estimates.len()), (8, 8));
            for (live, fit) in live.estimates.iter().zip(&fit.estimates) {
                let estimator = fit.estimate.estimator;
                // Not the scores, which are of what was estimated on the way: at every refresh there, at a few checkpoints here.
                let bins = ((live.first_bin, live.end_bin), (fit.first_bin, fit.end_bin));
                assert_eq!(bins.0, bins.1, "{recording} {window} {estimator}");
                assert!(live.estimate == fit.estimate, "{recording} {window} {estimator} differs");
            }
            // There is something to be equal in; only the whole recording holds more than one trial.
            let exact = &fit.estimates[4].estimate;
            assert_eq!(exact.n_ok(), 12);
            let trials = &fit.estimates[7].estimate;
            assert_eq!(
                trials.n_ok() > 0,
                observed == 11_900 && window == "all",
                "{window}: {:?}",
                trials.status
            );
        }
        assert_eq!(live.len(), 3);
    }
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn an_interrupted_replay_closes_its_session_and_says_so() {
    let desk = Desk::new();
    let server = Server::start(&desk.dir.path().join("snapshots"));
    let replay = ["replay", &desk.rig(), "--bin-width", WIDTH, "--speed", "1x", "--connect", &server.address];
    let replay = glauber(&replay).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let session = || json(&["status", "--json", "--connect", &server.address])["sessions"][0].clone();
    // Two minutes at the speed of the clock: there is time until the first bins are counted.
    let began = Instant::now();
    while session()["applied_through"].as_u64().unwrap_or(0) == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "no bin is counted");
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-INT", &replay.id().to_string()]).status().unwrap().success());
    let output = replay.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&output.stderr).contains("was closed"));
    assert_eq!(session()["state"], "closed");
}

#[test]
fn a_replay_tells_how_far_a_daemon_that_shuts_down_has_counted() {
    let desk = Desk::new();
    let server = Server::start_without_journal(&desk.dir.path().join("snapshots"));
    let replay = ["replay", &desk.rig(), "--bin-width", WIDTH, "--speed", "1x", "--connect", &server.address];
    let replay = glauber(&replay).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    let status = ["status", "--json", "--connect", &server.address];
    while json(&status)["sessions"][0]["applied_through"].as_u64().unwrap_or(0) == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "no bin is counted");
    }
    let id = json(&status)["sessions"][0]["session_id"].as_str().unwrap().to_owned();
    assert_eq!(server.terminate(), Some(0));
    let output = replay.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for part in ["shutting down", id.as_str(), "every bin before bin "] {
        assert!(errors.contains(part), "{part} is missing: {errors}");
    }
    assert!(!errors.contains("trying again"), "{errors}");
}

#[test]
fn a_stimulus_locked_recording_has_its_trials() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let simulate = |out: &str, more: &[&'static str]| {
        let out = path(out);
        let args =
            ["simulate", "--neurons", "5", "--coupling-std", "0.2", "--bin-width", "10ms", "--out", &out];
        glauber(&[&args[..], more].concat())
    };
    let locked = ["--trials", "30", "--trial-length", "250ms", "--stimulus-drive", "0.8", "--json"];
    for out in ["locked.nwb", "again.nwb"] {
        assert!(simulate(out, &locked).output().unwrap().status.success());
    }
    let session = |name: &str| glauber::recording::open(path(name)).unwrap().session;
    let recorded = session("locked.nwb");
    assert_eq!(recorded, session("again.nwb"));
    assert_eq!(recorded.trials.len(), 30);
    let width = glauber::model::BinWidth::from_us(10_000).unwrap();
    let binned = glauber::ingest::bin_recording(&recorded, width, None).unwrap();
    assert_eq!(binned.trials.len(), 30);
    assert!(binned.trials.iter().zip(0..).all(|(t, k)| (t.start_bin, t.stop_bin) == (25 * k, 25 * k + 25)));
    assert_eq!((binned.n_bins, &binned.trial_edges[..2]), (750, &[25, 50][..]));

    for (more, part) in [
        (&["--trials", "3"][..], "--trial-length"),
        (&["--stimulus-drive", "1", "--duration", "1min"], "--trials"),
        (&["--trials", "3", "--trial-length", "1s", "--duration", "1min"], "--duration"),
        (&[], "--duration"),
    ] {
        let output = simulate("never.nwb", more).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && errors.contains(part), "{more:?}: {errors}");
    }
    let refused = refusal(&mut simulate("never.nwb", &["--trials", "3", "--trial-length", "1h"]), 2);
    assert!(refused.contains("--trial-length"), "{refused}");
}

#[test]
fn fit_finds_the_couplings_and_inspect_shows_them() {
    let desk = Desk::new();
    let out = desk.path("fit.h5");
    let args =
        ["fit", &desk.rig(), "--bin-width", WIDTH, "--estimator", "nmf", "--estimator", "tap", "--out", &out];
    let text = stdout(&args);
    assert!(text.contains("nmf") && text.contains("tap") && !text.contains("exact-mean-field"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "wider than 80 columns: {text}");

    let truth = glauber::recording::read_truth(desk.rig()).unwrap().unwrap().couplings;
    let seen = json(&["inspect", &out, "--top", "3", "--json"]);
    assert_eq!(seen["kind"], "snapshot");
    for pair in seen["estimates"][1]["strongest"].as_array().unwrap() {
        let place = |key: &str| pair[key].as_u64().unwrap() as usize;
        let found = pair["coupling"].as_f64().unwrap();
        // At z near 30 no sign is left to chance.
        assert!(found * truth[[place("receiver_id"), place("sender_id")]] > 0.0, "{pair}");
        let (p, q) = (pair["p"].as_f64().unwrap(), pair["q"].as_f64().unwrap());
        assert!(p <= q && q < 1e-20, "{pair}");
    }
    let significant = seen["estimates"][1]["significant_pairs"].as_u64().unwrap();
    let inspected = stdout(&["inspect", &out]);
    let (_, pairs) = inspected.split_once("tap: strongest pairs").unwrap();
    assert!(pairs.contains(" q ") && pairs.lines().all(|line| line.chars().count() <= 80), "{pairs}");
    assert!(text.contains("q < 0.05") && text.contains(&format!(" {significant} ")), "{significant}: {text}");

    let tap = &read_snapshot(&out).unwrap().snapshot.estimates[1];
    let (product, found, true_square) = (tap.estimate.couplings.iter().zip(&truth))
        .fold((0.0, 0.0, 0.0), |(ab, aa, bb), (a, b)| (ab + a * b, aa + a * a, bb + b * b));
    // True couplings of 0.6 / √12 = 0.17 known to 0.014 correlate to 0.997; the rest is room for the estimator's bias.
    assert!(product / f64::sqrt(found * true_square) > 0.98);
}

#[test]
fn compare_finds_what_predicts_best_and_says_how_it_is_scored() {
    let desk = Desk::new();
    let rig = desk.rig();
    let what =
        ["compare", &rig, "--bin-width", WIDTH, "--estimator", "nmf,exact,online", "--ridge", "0,0.1,10"];
    let text = stdout(&[&what[..], &["--prequential"]].concat());
    assert!(text.lines().all(|line| line.chars().count() <= 80), "wider than 80 columns: {text}");
    for part in ["in hindsight", "learning on", "* best: ", "q < 0.05", "12/12"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    let seen = json(&[&what[..], &["--json"]].concat());
    assert_eq!(seen["train_bins"], serde_json::json!([0, 8400]));
    assert_eq!(seen["held_out_bins"], serde_json::json!([8400, 12_000]));
    assert_eq!(seen["held_out_transitions"], 3600);
    let [nmf, exact, _] = &seen["estimators"].as_array().unwrap()[..] else { panic!("{seen}") };
    let bits = |of: &Value| of["bits_per_spike"].as_f64().unwrap();
    // A ridge of 10 shrinks every coupling to a tenth; this recording needs none.
    assert!(exact["ridge"].as_f64().unwrap() < 1.0 && bits(exact) > 0.2, "{exact}");
    assert!(bits(&exact["hindsight"]) >= bits(exact) && bits(exact) >= bits(nmf) - 0.02, "{seen}");
    assert_eq!((exact["path"].as_array().unwrap().len(), exact["tested_pairs"].as_u64()), (3, Some(132)));
    // Per neuron and as a whole, the same gain.
    let neurons = exact["neurons"].as_array().unwrap();
    let number = |neuron: &Value, key: &str| neuron[key].as_f64().unwrap();
    let gain = |neuron: &Value| number(neuron, "spikes") * number(neuron, "bits_per_spike");
    let spikes: f64 = neurons.iter().map(|neuron| number(neuron, "spikes")).sum();
    assert!((neurons.iter().map(gain).sum::<f64>() / spikes - bits(exact)).abs() < 1e-9);

    // A part of the recording, and one with trials.
    let part = ["compare", &rig, "--bin-width", WIDTH, "--estimator", "nmf", "--json"];
    let part = json(&[&part[..], &["--from", "30s", "--duration", "1min", "--train", "0.5"]].concat());
    assert_eq!(part["train_bins"], serde_json::json!([3000, 6000]));
    assert_eq!(part["held_out_bins"], serde_json::json!([6000, 9000]));
    let trials = with_trials_and_a_gap(&desk);
    let trials = json(&["compare", &trials, "--bin-width", WIDTH, "--ridge", "0.1", "--json"]);
    let names: Vec<_> =
        trials["estimators"].as_array().unwrap().iter().map(|e| e["estimator"].clone()).collect();
    assert_eq!(names, glauber::model::Estimator::ALL.map(|estimator| estimator.as_str()));

    for (more, expected) in [
        (&["--train", "1"][..], "between 0 and 1"),
        (&["--train", "NaN"], "between 0 and 1"),
        (&["--from", "1h"], "ends after"),
        (&["--ridge", "-1"], "from 0 to 1000000"),
        (&["--ridge", "NaN"], "from 0 to 1000000"),
        (&["--duration", "0s"], "90s"),
    ] {
        let line = refusal(&mut glauber(&[&["compare", &rig, "--bin-width", WIDTH], more].concat()), 2);
        assert!(line.contains(expected), "{more:?}: {line}");
    }
    let short = ["compare", &rig, "--bin-width", WIDTH, "--duration", "20ms"];
    assert!(refusal(&mut glauber(&short), 1).contains("too short"));
}

#[test]
fn a_session_can_be_watched_queried_and_listed() {
    let desk = Desk::new();
    let server = Server::start(&desk.dir.path().join("snapshots"));
    let connect = ["--connect", &server.address];
    let with = |args: &[&'static str]| [args, &connect[..]].concat();

    assert_eq!(json(&with(&["status", "--json"]))["sessions"], Value::Array(vec![]));
    let none = refusal(&mut glauber(&with(&["couplings"])), 1);
    assert!(none.contains("no session yet"), "{none}");

    let replay = ["replay", &desk.rig(), "--bin-width", WIDTH, "--name", "rig", "--keep-open", "--json"];
    let replayed = json(&[&replay[..], &connect[..]].concat());
    let id = replayed["session_id"].as_str().unwrap();
    assert_eq!(replayed["closed"], false);

    let status = json(&with(&["status", "rig", "--json"]));
    assert_eq!(status["sessions"][0]["session_id"], id);
    assert_eq!(status["sessions"][0]["applied_through"], 12_000);
    assert_eq!(status["sessions"][0]["state"], "open");
    let table = stdout(&with(&["status"]));
    assert!(table.contains("rig") && table.lines().all(|line| line.chars().count() <= 80), "{table}");

    // Closing publishes the final estimates: what is asked for now does not depend on when.
    let done = ["replay", &desk.rig(), "--bin-width", WIDTH, "--name", "done", "--json"];
    let id = json(&[&done[..], &connect[..]].concat())["session_id"].clone();
    let tap =
        ["couplings", "--session", "do", "--estimator", "tap", "--window", "all", "--top", "4", "--json"];
    let pairs = json(&with(&tap));
    assert_eq!(pairs["session_id"], id);
    assert_eq!(pairs["estimator"], "tap");
    assert_eq!(pairs["bins_observed"], 12_000);
    assert_eq!(pairs["pairs"].as_array().unwrap().len(), 4);
    let text = stdout(&with(&["couplings", "--session", "done", "--top", "2"]));
    assert!(text.contains("excitatory") || text.contains("inhibitory"), "{text}");
    let watched = stdout(&with(&["watch", "--session", "done", "--count", "1", "--top", "1", "--json"]));
    assert_eq!(watched.lines().count(), 1);
    let missing = refusal(&mut glauber(&with(&["couplings", "--window", "3min"])), 1);
    assert!(missing.contains("3min") && missing.contains("10min"), "{missing}");
    let empty = refusal(&mut glauber(&with(&["couplings", "--session", ""])), 2);
    assert!(empty.contains("names no session"), "{empty}");
    let closed = json(&with(&["close", "rig", "--json"]));
    assert_eq!((closed["bins"].as_u64(), closed["snapshots"].as_array().unwrap().len()), (Some(12_000), 3));
    assert_eq!(json(&with(&["status", "rig", "--json"]))["sessions"][0]["state"], "closed");
    let unknown = refusal(&mut glauber(&with(&["watch", "--session", "nobody"])), 1);
    assert!(unknown.contains("nobody") && unknown.contains("rig"), "{unknown}");
}

#[test]
fn a_session_is_scored_refitted_and_predicted() {
    let desk = Desk::new();
    let server = Server::start(&desk.dir.path().join("snapshots"));
    let connect = ["--connect", &server.address];
    let with = |args: &[&'static str]| [args, &connect[..]].concat();
    // At twenty times the speed of the clock there is time to predict: 2 min take 6 s.
    let replay =
        ["replay", &desk.rig(), "--bin-width", WIDTH, "--name", "rig", "--speed", "20x", "--keep-open"];
    let mut replay = glauber(&[&replay[..], &connect[..]].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let status = || json(&with(&["status", "--json"]))["sessions"][0].clone();
    while status()["best"].is_null() {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing is scored");
    }
    let lines =
        stdout(&with(&["predict", "--session", "rig", "--neurons", "7,2", "--count", "30", "--json"]));
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["neuron_ids"], serde_json::json!([7, 2]));
    let bins: Vec<&Value> = lines[1..].iter().flat_map(|line| line["bins"].as_array().unwrap()).collect();
    assert_eq!(bins.len(), 30);
    for bin in &bins {
        let probabilities = bin["probabilities"].as_array().unwrap();
        assert!(probabilities.iter().all(|p| (0.0..1.0).contains(&p.as_f64().unwrap())), "{bin}");
    }
    let text = stdout(&with(&["predict", "--estimator", "nmf", "--window", "all", "--count", "3"]));
    assert!(text.starts_with("# publication ") && text.contains(": nmf, window all"), "{text}");
    assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), 3, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let unknown = refusal(&mut glauber(&with(&["predict", "--neurons", "99"])), 2);
    assert!(unknown.contains("has no neuron 99"), "{unknown}");
    assert!(replay.wait().unwrap().success());

    let refit = json(&with(&["refit", "rig", "--json"]));
    assert_eq!(refit["end_bin"], 12_000);
    assert!(stdout(&with(&["refit"])).contains("12,000 counted"));
    let best = json(&with(&["couplings", "--estimator", "best", "--q", "0.05", "--top", "9", "--json"]));
    assert_eq!(
        (&best["estimator"], &best["window"]),
        (&status()["best"]["estimator"], &status()["best"]["window"])
    );
    let pairs = best["pairs"].as_array().unwrap();
    assert!(pairs.len() == 9 && best["pairs_found"].as_u64().unwrap() >= 9, "{best}");
    assert!(pairs.iter().all(|pair| pair["q"].as_f64().unwrap() <= 0.05), "{best}");
    assert_eq!(best["fields"].as_array().unwrap().len(), 12);
    assert_eq!(best["score"]["total"]["neuron_gain_bits"].as_array().unwrap().len(), 12);
    assert!(best["score"]["recent"]["bits_per_spike"].as_f64().unwrap() > 0.0, "{best}");
    let text = stdout(&with(&["couplings", "--estimator", "best", "--q", "0.05", "--top", "9"]));
    for part in
        ["bits/spike better than rates", "the best by score of 0,0.01", "with q <= 0.05, the strongest 9"]
    {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    assert!(text.lines().skip_while(|line| !line.is_empty()).count() > 10, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let text = stdout(&with(&["status"]));
    assert!(text.contains("bits/spike better than rates") && text.contains("refits"), "{text}");
    let text = stdout(&with(&["watch", "--estimator", "best", "--count", "1"]));
    assert!(text.contains("bits/spike better than rates"), "{text}");
    let wrong = refusal(&mut glauber(&with(&["couplings", "--q", "0"])), 2);
    assert!(wrong.contains("at most 1"), "{wrong}");
    let wrong = refusal(&mut glauber(&with(&["couplings", "--estimator", "magic"])), 2);
    assert!(wrong.contains("best"), "{wrong}");
    stdout(&with(&["close", "rig"]));
    let closed = refusal(&mut glauber(&with(&["refit", "rig"])), 1);
    assert!(closed.contains("is closed"), "{closed}");
}

#[test]
fn a_watch_ends_when_its_session_is_closed() {
    let desk = Desk::new();
    let server = Server::start(&desk.dir.path().join("snapshots"));
    let connect = ["--connect", &server.address];
    let replay = ["replay", &desk.rig(), "--bin-width", WIDTH, "--keep-open"];
    stdout(&[&replay[..], &connect[..]].concat());
    let mut watch =
        glauber(&[&["watch", "--json"], &connect[..]].concat()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    serde_json::from_str::<Value>(&first).unwrap();
    // Ending the daemon closes its sessions.
    assert_eq!(server.terminate(), Some(0));
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    for line in rest.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
    assert_eq!(watch.wait().unwrap().code(), Some(0));
}

#[test]
fn the_demo_recovers_its_couplings_and_can_be_run_again() {
    let desk = tempfile::tempdir().unwrap();
    let dir = desk.path().join("demo").display().to_string();
    for _ in 0..2 {
        let lines = stdout(&["demo", "--dir", &dir, "--neurons", "20", "--seconds", "320", "--json"]);
        let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert_eq!(last["bins"], 32_000);
        for estimator in last["estimators"].as_array().unwrap() {
            assert!(estimator["correlation"].as_f64().unwrap() > 0.98, "{estimator}");
            // Mean field has a bias, but not one of several times the sampling error here.
            let times_bound = estimator["times_bound"].as_f64().unwrap();
            assert!((0.7..6.0).contains(&times_bound), "{estimator}");
        }
    }
    let text = stdout(&["demo", "--dir", &dir, "--neurons", "20", "--seconds", "60"]);
    let snapshot =
        text.lines().find_map(|line| line.trim().split_once(" inspect ")).expect("a command to try");
    let (program, snapshot) = snapshot;
    assert!(Path::new(program).exists(), "{program}");
    stdout(&["inspect", snapshot]);
    // Commands are as long as the paths in them.
    let mut prose = text.lines().filter(|line| !line.trim().starts_with(program));
    assert!(prose.all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn wrong_arguments_are_one_line_and_code_2() {
    let desk = Desk::new();
    let rig = desk.rig();
    let out = desk.path("x.h5");
    let before = desk.files();
    let wrong: [(&[&str], &str); 12] = [
        (&["fot"], "fot"),
        (&["fit", &rig, "--bin-width", WIDTH, "--ridge", "-0.1", "--out", &out], "from 0 to 1000000"),
        (&["fit", &rig, "--bin-width", WIDTH, "--ridge", "0,NaN", "--out", &out], "from 0 to 1000000"),
        (&["fit", &rig, "--bin-width", WIDTH, "--ridge", "best", "--out", &out], "'auto'"),
        (&["fit", &rig, "--out", &out], "--bin-width"),
        (&["fit", &rig, "--bin-width", "20", "--out", &out], "20ms"),
        (&["fit", &rig, "--bin-width", "2s", "--out", &out], "1000000 us"),
        (&["fit", &rig, "--bin-width", WIDTH, "--estimator", "magic", "--out", &out], "exact-mean-field"),
        (&["fit", &rig, "--bin-width", WIDTH, "--estimator", "tap,tap", "--out", &out], "twice"),
        (&["fit", &rig, "--bin-width", WIDTH, "--lags", "0", "--out", &out], "1 to 1024"),
        (&["replay", &rig, "--bin-width", WIDTH, "--speed", "fast"], "0.5x"),
        (&["replay", &rig, "--bin-width", WIDTH, "--connect", "localhost"], "http://host:port"),
    ];
    for (args, expected) in wrong {
        let line = refusal(&mut glauber(args), 2);
        assert!(line.contains(expected), "{args:?}: {line}");
    }
    assert_eq!(desk.files(), before);
}

#[test]
fn files_that_cannot_be_used_are_one_line_and_leave_nothing_behind() {
    let desk = Desk::new();
    let (rig, out, text) = (desk.rig(), desk.path("x.h5"), desk.path("notes.txt"));
    std::fs::write(&text, "not a recording").unwrap();
    let before = desk.files();
    let nowhere = desk.path("no/such/directory/x.h5");
    let wrong: [(&[&str], &str); 7] = [
        (&["fit", &desk.path("none.nwb"), "--bin-width", WIDTH, "--out", &out], "no such file"),
        (&["fit", &text, "--bin-width", WIDTH, "--out", &out], "not an HDF5 file"),
        (&["inspect", &desk.path("none.nwb")], "no such file"),
        (&["inspect", &text], "not an HDF5 file"),
        (&["fit", &rig, "--bin-width", WIDTH, "--out", &nowhere], "no/such/directory"),
        (&["fit", &rig, "--bin-width", WIDTH, "--out", &rig], "--force"),
        (&["fit", &rig, "--bin-width", WIDTH, "--window", "100ms", "--out", &out], "64 bins"),
    ];
    for (args, expected) in wrong {
        let line = refusal(&mut glauber(args), 1);
        assert!(line.contains(expected), "{args:?}: {line}");
    }
    assert_eq!(desk.files(), before);
}

#[test]
fn nobody_listening_is_said_with_what_to_do() {
    let line = refusal(&mut glauber(&["status", "--connect", "http://127.0.0.1:9"]), 1);
    assert!(line.contains("no daemon at http://127.0.0.1:9") && line.contains("glauber serve"), "{line}");
}

#[test]
fn a_bad_configuration_names_key_value_source_and_range() {
    let desk = tempfile::tempdir().unwrap();
    let file = desk.path().join("glauber.toml");
    let config = file.display().to_string();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--config", &config];

    std::fs::write(&file, "[limits]\nneurons_max = 20000\n").unwrap();
    let line = refusal(&mut glauber(&serve), 2);
    for part in ["limits.neurons_max", "20000", "1 to 16384", "glauber.toml"] {
        assert!(line.contains(part), "{part} is missing: {line}");
    }
    // The environment goes before the file, the command line before both.
    let line = refusal(glauber(&serve).env("GLAUBER_LIMITS__NEURONS_MAX", "0"), 2);
    assert!(line.contains("neurons_max = 0") && line.contains("environment"), "{line}");
    let set = [&serve[..], &["--set", "limits.neurons_max=-1"]].concat();
    let line = refusal(glauber(&set).env("GLAUBER_LIMITS__NEURONS_MAX", "0"), 2);
    assert!(line.contains("limits.neurons_max") && line.contains("-1") && line.contains("--set"), "{line}");

    std::fs::write(&file, "[limits]\nneuron_max = 2\n").unwrap();
    let line = refusal(&mut glauber(&serve), 2);
    assert!(line.contains("neuron_max") && line.contains("neurons_max"), "{line}");
    std::fs::write(&file, "[limits\n").unwrap();
    let line = refusal(&mut glauber(&serve), 2);
    assert!(line.contains("glauber.toml") && line.contains("invalid table header"), "{line}");
    std::fs::write(&file, "[limits]\nstreams_max = \"many\"\n").unwrap();
    let line = refusal(&mut glauber(&serve), 2);
    let expected = "limits.streams_max = \"many\" is not allowed: expected a whole number >= 0";
    assert!(line.contains(expected), "{line}");
    let line = refusal(&mut glauber(&["serve", "--set", "=3"]), 2);
    assert!(line.contains("'=3' is not a setting"), "{line}");
    for unreadable in ["/no/such.toml", "/"] {
        let line = refusal(&mut glauber(&["serve", "--config", unreadable]), 2);
        assert!(line.contains(&format!("reading the configuration {unreadable}")), "{line}");
    }
    let open = refusal(&mut glauber(&["serve", "--listen", "0.0.0.0:0"]), 2);
    assert!(open.contains("loopback") && open.contains("--listen"), "{open}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let desk = Desk::new();
    let mut child = glauber(&["inspect", &desk.rig(), "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
