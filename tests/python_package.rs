//! The Python package under `python/`: its own tests, against the daemon that was just built.
//!
//! Runs with the interpreter named by GLAUBER_PYTHON, which needs the packages of tests/python/requirements.txt; skipped
//! with a message when there is none.
#![cfg(feature = "daemon")]

use std::path::Path;
use std::process::Command;

#[test]
fn the_tests_of_the_python_package_pass() {
    let Some(interpreter) = std::env::var_os("GLAUBER_PYTHON") else {
        println!("skipped: set GLAUBER_PYTHON to an interpreter with tests/python/requirements.txt");
        return;
    };
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let output = Command::new(interpreter)
        .current_dir(&package)
        .env("GLAUBER_BIN", env!("CARGO_BIN_EXE_glauber"))
        .env("PYTHONPATH", package.join("src"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["-m", "pytest", "-p", "no:cacheprovider", "--durations=10", "tests"])
        .output()
        .expect("python starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{out}");
    assert!(output.status.success(), "{out}\n{err}");
}
