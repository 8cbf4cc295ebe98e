//! What others take for the same, by benches/baselines.py.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::Asked;
use super::child;

/// A Python that can be asked.
pub(crate) struct Python {
    program: OsString,
    script: std::path::PathBuf,
}

impl Python {
    /// The one of `GLAUBER_PYTHON`, else python3, if it has these packages; why not otherwise.
    pub(crate) fn with(asked: &Asked, packages: &[&str]) -> Result<Self, String> {
        let program = std::env::var_os("GLAUBER_PYTHON").unwrap_or_else(|| "python3".into());
        let python = Self { program, script: asked.root.join("benches/baselines.py") };
        let mut command = Command::new(&python.program);
        command.arg(&python.script).arg("have");
        let quiet = command.output().map_err(|error| format!("{}: {error}", python.program.display()))?;
        let there: Value = serde_json::from_slice(&quiet.stdout).unwrap_or_default();
        let missing: Vec<&str> =
            packages.iter().filter(|package| there[**package] != Value::Bool(true)).copied().collect();
        if missing.is_empty() {
            return Ok(python);
        }
        let program = python.program.display();
        Err(format!("{program} has no {} (set GLAUBER_PYTHON to one that has)", missing.join(", ")))
    }

    /// Its answer, made with so many threads, and the command.
    pub(crate) fn ask(&self, arguments: &[String], threads: usize) -> (Result<Value, String>, String) {
        let mut command = Command::new(&self.program);
        command.arg(&self.script).args(arguments);
        for library in ["OPENBLAS", "OMP", "MKL", "VECLIB"] {
            let name = if library == "VECLIB" {
                "VECLIB_MAXIMUM_THREADS".to_owned()
            } else {
                format!("{library}_NUM_THREADS")
            };
            command.env(name, threads.to_string());
        }
        let text = format!("OMP_NUM_THREADS={threads} python benches/baselines.py {}", arguments.join(" "));
        (child::run(&mut command, Duration::from_secs(600)).and_then(|said| child::json(&said)), text)
    }
}
