//! What Python sees: a gRPC client of the real daemon, and the example of the README.
//!
//! Runs with the interpreter named by GLAUBER_PYTHON, which needs the packages of tests/python/requirements.txt; skipped
//! with a message when there is none.
#![cfg(feature = "daemon")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The real binary, listening on a free port; killed when dropped.
struct Daemon {
    process: Child,
    address: String,
}

impl Daemon {
    fn start(archive: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_glauber"))
            .args(["--json", "serve", "--listen", "127.0.0.1:0", "--archive-dir"])
            .arg(archive)
            .arg("--journal-dir")
            .arg(archive.join("journal"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let announced: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = announced["address"].as_str().unwrap().trim_start_matches("http://").to_owned();
        Self { process, address }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn python(script: &str, argument: &str) -> Option<String> {
    let Some(interpreter) = std::env::var_os("GLAUBER_PYTHON") else {
        println!("skipped: set GLAUBER_PYTHON to an interpreter with tests/python/requirements.txt");
        return None;
    };
    let output =
        Command::new(interpreter).current_dir(ROOT).args([script, argument]).output().expect("python starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {out}\n{err}");
    Some(out.into_owned())
}

#[test]
fn a_python_client_gets_what_numpy_computes() {
    let archive = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(archive.path());
    if let Some(out) = python("tests/python/grpc_client.py", &daemon.address) {
        assert!(out.contains("all checks passed"), "{out}");
    }
}

#[test]
fn the_example_feeds_the_daemon() {
    let archive = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(archive.path());
    if let Some(out) = python("examples/feed.py", &daemon.address) {
        assert!(out.trim_end().ends_with("6000"), "the last acknowledgement covers every bin: {out}");
    }
}

#[test]
fn the_readme_shows_the_example_as_it_is() {
    let read = |name: &str| std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap();
    assert!(read("README.md").contains(&read("examples/feed.py")));
}

#[test]
fn the_quick_start_of_the_readme_runs_as_it_is() {
    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let (_, section) = readme.split_once("### From Python").unwrap();
    let (_, code) = section.split_once("```python\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    let archive = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(archive.path());
    let connect = "glauber.connect()";
    assert!(code.contains(connect), "{code}");
    let here = format!("glauber.connect(\"{}\")", daemon.address);
    let prelude = "import sys; sys.path.insert(0, 'python/src')\n";
    let script = archive.path().join("quick_start.py");
    std::fs::write(&script, format!("{prelude}{}", code.replace(connect, &here))).unwrap();
    python(script.to_str().unwrap(), "");
}
