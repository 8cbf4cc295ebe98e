//! The log for programs: one JSON object a line.

use std::process::Stdio;

use serde_json::Value;

use super::program::{Server, glauber, output, stdout};

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn find<'a>(lines: &'a [Value], message: &str) -> &'a Value {
    let found =
        lines.iter().find(|line| line["message"].as_str().is_some_and(|text| text.starts_with(message)));
    found.unwrap_or_else(|| panic!("{message} is missing: {lines:#?}"))
}

#[test]
fn every_line_of_a_run_is_one_object_with_the_documented_fields() {
    let dir = tempfile::tempdir().unwrap();
    let rig = dir.path().join("rig.nwb").display().to_string();
    let simulate =
        ["simulate", "--neurons", "4", "--coupling-std", "0.3", "--duration", "30s", "--bin-width", "10ms"];
    stdout(glauber(&simulate).args(["--rate-hz", "20", "--out", &rig]));
    let token = "0123456789abcdef0123456789abcdef-secret";
    let tokens = dir.path().join("tokens");
    std::fs::write(&tokens, format!("rig:{token}\n")).unwrap();
    let tokens = tokens.display().to_string();
    let setting = format!("server.token_file={tokens}");
    let log = dir.path().join("log");
    let mut command = Server::command(dir.path());
    command.args(["--log-format", "json", "--set", &setting, "--set", "defaults.equilibrium_methods=[]"]);
    let mut server = Server::start(command.stderr(Stdio::from(std::fs::File::create(&log).unwrap())));
    let connect = ["--connect", &server.address];
    let (code, _, _) = output(glauber(&["status"]).args(connect));
    assert_eq!(code, Some(1), "no token was needed");
    let replay = [
        "replay",
        &rig,
        "--bin-width",
        "10ms",
        "--windows",
        "all",
        "--estimator",
        "nmf",
        "--token-file",
        &tokens,
    ];
    stdout(glauber(&replay).args(connect));
    server.signal("-HUP");
    server.signal("-TERM");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));

    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.contains("secret"), "a token is in the log: {text}");
    let lines = lines(&text);
    for line in &lines {
        for field in ["timestamp", "level", "message", "target"] {
            assert!(line[field].is_string(), "no {field}: {line}");
        }
        assert!(line["timestamp"].as_str().is_some_and(|at| humantime::parse_rfc3339(at).is_ok()), "{line}");
    }
    assert_eq!(find(&lines, "listening")["address"], server.address.trim_start_matches("http://"));
    let created = find(&lines, "session created");
    assert_eq!((&created["level"], &created["neurons"]), (&"INFO".into(), &4.into()));
    let session = created["session"].as_str().unwrap();
    assert_eq!(find(&lines, "producer connected")["resume_from_bin"], 0);
    let closed = find(&lines, "session closed");
    assert_eq!((&closed["session"], &closed["bins"]), (&session.into(), &3000.into()));
    assert!(find(&lines, "call refused: no valid token")["path"].is_string());
    find(&lines, "terminated: suspending sessions");
    find(&lines, "stopped");
}

#[test]
fn a_daemon_that_does_not_start_says_so_in_json_too() {
    for format in [["--log-format", "json"], ["--log-format=json", "-q"]] {
        let (code, out, errors) =
            output(glauber(&["serve", "--set", "limits.streams_max=0"]).args(format).env("RUST_LOG", "off"));
        assert_eq!((code, &*out), (Some(2), ""));
        let [line] = &lines(&errors)[..] else { panic!("{errors}") };
        assert_eq!(line["level"], "ERROR");
        assert!(
            line["message"].as_str().unwrap().contains("limits.streams_max = 0 is not allowed"),
            "{line}"
        );
    }
}

#[test]
fn levels_follow_the_environment_ours_before_others() {
    let warned = |filters: &[(&str, &str)]| {
        let mut command = glauber(&["config", "check"]);
        // What is warned of.
        let (code, _, errors) = output(command.env("GLAUBER_LISTEN", "x").envs(filters.iter().copied()));
        (code, errors)
    };
    assert!(warned(&[]).1.contains("GLAUBER_LISTEN"));
    assert_eq!(warned(&[("RUST_LOG", "error")]), (Some(0), String::new()));
    assert_eq!(warned(&[("GLAUBER_LOG", "error"), ("RUST_LOG", "warn")]), (Some(0), String::new()));
    assert!(warned(&[("GLAUBER_LOG", "warn"), ("RUST_LOG", "error")]).1.contains("GLAUBER_LISTEN"));
    let (code, errors) = warned(&[("GLAUBER_LOG", "a=b=c")]);
    assert_eq!((code, errors.lines().count()), (Some(2), 1), "{errors}");
    assert!(errors.contains("GLAUBER_LOG = a=b=c is not allowed"), "{errors}");
    let (code, errors) = warned(&[("RUST_LOG", "a=b=c")]);
    assert!(
        code == Some(0) && errors.contains("RUST_LOG = a=b=c is not allowed") && errors.contains("ignored")
    );
}
