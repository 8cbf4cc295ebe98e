//! `glauber simulate --equilibrium` as a user meets it.
#![cfg(feature = "daemon")]

use std::process::Command;

use glauber::recording::{TruthModel, open, read_truth};
use glauber::simulate::EquilibriumIsing;
use serde_json::Value;

/// Exit code, stdout and stderr of `glauber simulate … --out FILE`.
fn simulate(out: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glauber"));
    command.env_remove("GLAUBER_CONNECT").env_remove("GLAUBER_CONFIG").env_remove("RUST_LOG");
    let output =
        command.arg("simulate").args(args).args(["--bin-width", "10ms", "--out", out]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn json(out: &str, args: &[&str]) -> Value {
    let (code, stdout, stderr) = simulate(out, &[args, &["--json"]].concat());
    assert_eq!(code, Some(0), "{args:?}: {stderr}");
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn every_model_is_written_with_its_truth() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    for (name, args, neurons, expected) in [
        (
            "sk.nwb",
            &[
                "--equilibrium",
                "sk",
                "--neurons",
                "12",
                "--coupling-std",
                "0.8",
                "--bins",
                "500",
                "--seed",
                "4",
            ][..],
            12,
            EquilibriumIsing::sk(12, 0.8, 0.8, 4).unwrap(),
        ),
        (
            "tempered.nwb",
            &[
                "--equilibrium",
                "sk",
                "--neurons",
                "12",
                "--coupling-std",
                "2",
                "--field-std",
                "0",
                "--bins",
                "500",
                "--sampler",
                "tempered",
                "--sweeps",
                "2",
            ][..],
            12,
            EquilibriumIsing::sk(12, 2.0, 0.0, 1).unwrap(),
        ),
        (
            "curie.nwb",
            &[
                "--equilibrium",
                "curie-weiss",
                "--neurons",
                "20",
                "--beta",
                "1.2",
                "--field",
                "-0.1",
                "--duration",
                "5s",
            ][..],
            20,
            EquilibriumIsing::curie_weiss(20, 1.2, -0.1).unwrap(),
        ),
        (
            "lattice.nwb",
            &[
                "--equilibrium",
                "lattice",
                "--rows",
                "3",
                "--columns",
                "5",
                "--open",
                "--coupling",
                "0.3",
                "--bins",
                "500",
            ][..],
            15,
            EquilibriumIsing::lattice(3, 5, 0.3, 0.0, false).unwrap(),
        ),
    ] {
        let told = json(&path(name), args);
        assert_eq!((&told["neurons"], &told["bins"]), (&neurons.into(), &500.into()), "{told}");
        let truth = read_truth(path(name)).unwrap().unwrap();
        assert_eq!(truth.model, TruthModel::Equilibrium);
        assert_eq!((truth.couplings, truth.fields), (expected.couplings, expected.fields), "{name}");
        let session = open(path(name)).unwrap().session;
        let spikes: usize = session.units.iter().map(|unit| unit.spike_times_ns.len()).sum();
        assert_eq!(told["spikes"], spikes, "{told}");
        assert!(spikes > 500);
    }
    let told = json(
        &path("again.nwb"),
        &["--equilibrium", "curie-weiss", "--neurons", "5", "--beta", "1", "--bins", "9"],
    );
    assert_eq!(told["sampler"], "exact");
}

#[test]
fn the_same_seed_gives_the_same_bins() {
    let dir = tempfile::tempdir().unwrap();
    let session = |name: &str, seed: &str| {
        let out = dir.path().join(name).display().to_string();
        json(
            &out,
            &[
                "--equilibrium",
                "sk",
                "--neurons",
                "9",
                "--coupling-std",
                "1",
                "--bins",
                "5000",
                "--seed",
                seed,
            ],
        );
        open(out).unwrap().session
    };
    let first = session("a.nwb", "3");
    assert_eq!(session("b.nwb", "3"), first);
    assert_ne!(session("c.nwb", "4"), first);
}

#[test]
fn importance_resampling_says_how_little_it_rests_on() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("published.nwb").display().to_string();
    let args = [
        "--equilibrium",
        "sk",
        "--neurons",
        "100",
        "--coupling-std",
        "1",
        "--bins",
        "2000",
        "--sampler",
        "importance",
    ];
    let (code, stdout, stderr) = simulate(&out, &args);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stdout.contains("3,000 uniform configurations") || stdout.contains("3000 uniform configurations"),
        "{stdout}"
    );
    assert!(stdout.contains("effective sample size"), "{stdout}");
    let out = dir.path().join("more.nwb").display().to_string();
    let told = json(&out, &[&args[..], &["--proposals", "7"]].concat());
    assert_eq!(told["proposals"], 7);
    assert!((1.0..=7.0).contains(&told["effective_samples"].as_f64().unwrap()), "{told}");
}

#[test]
fn combinations_without_a_meaning_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("none.nwb").display().to_string();
    let sk = ["--equilibrium", "sk", "--neurons", "9", "--coupling-std", "1", "--bins", "50"];
    let lattice = ["--equilibrium", "lattice", "--coupling", "0.2", "--bins", "50"];
    let curie_weiss = ["--equilibrium", "curie-weiss", "--neurons", "9", "--bins", "50"];
    for (args, more, named) in [
        (&sk[..], &["--beta", "1"][..], "--beta"),
        (&sk, &["--field", "0"], "--field"),
        (&sk, &["--open"], "--open"),
        (&sk, &["--sampler", "exact"], "--sampler"),
        (&sk, &["--sampler", "gibbs", "--proposals", "50"], "--proposals"),
        (&sk, &["--sampler", "importance", "--sweeps", "5"], "--sweeps"),
        (&sk, &["--sampler", "importance", "--proposals", "0"], "got 0"),
        (&sk, &["--field-std", "NaN"], "NaN"),
        (&curie_weiss, &[], "--beta"),
        (&curie_weiss, &["--beta", "1", "--coupling", "1"], "--coupling"),
        (&curie_weiss, &["--beta", "1", "--sweeps", "3"], "--sweeps"),
        (&lattice, &[], "--side"),
        (&lattice, &["--side", "2"], "at least 3"),
        (&lattice, &["--side", "4", "--neurons", "16"], "--neurons"),
        (&lattice, &["--side", "4", "--sampler", "exact"], "--sampler"),
        (&lattice, &["--side", "4", "--rows", "4", "--columns", "4"], "--side"),
        (&lattice, &["--rows", "4"], "--columns"),
        (&lattice[..4], &["--side", "4"], "--duration"),
        (&sk, &["--trials", "3", "--trial-length", "1s"], "--trials"),
        (&sk, &["--rate-hz", "3"], "--rate-hz"),
        (&sk, &["--duration", "3s"], "--duration"),
        (&[], &["--neurons", "5", "--coupling-std", "1", "--bins", "30"], "--equilibrium"),
        (&[], &["--coupling-std", "1", "--duration", "30s"], "--neurons"),
        (&["--equilibrium", "potts", "--bins", "5"], &[], "potts"),
    ] {
        let args = [args, more].concat();
        let (code, stdout, stderr) = simulate(&out, &args);
        assert_eq!(code, Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(named) && stdout.is_empty(), "{args:?}: {stderr}");
        assert!(!dir.path().join("none.nwb").exists());
    }
}
