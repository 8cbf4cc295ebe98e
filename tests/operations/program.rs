//! The program as a process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The program, without what the tester's shell holds.
pub(crate) fn glauber(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glauber"));
    command.args(args);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("GLAUBER_") || ["RUST_LOG", "NOTIFY_SOCKET", "WATCHDOG_USEC"].contains(&&*name) {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Stdout of a run that succeeds.
pub(crate) fn stdout(command: &mut Command) -> String {
    let (code, out, errors) = output(command);
    assert_eq!(code, Some(0), "{command:?}: {errors}");
    out
}

/// A daemon in a directory of its own; killed with the test.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn command(dir: &Path) -> Command {
        let mut command = glauber(&["serve", "--json", "--listen", "127.0.0.1:0"]);
        command.arg("--journal-dir").arg(dir.join("journal")).arg("--archive-dir").arg(dir.join("snapshots"));
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let announced: Value = serde_json::from_str(&line).unwrap();
        Self { address: announced["address"].as_str().unwrap().to_owned(), child }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
