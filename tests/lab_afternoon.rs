//! Everything together, as a lab would use it: an emulated Open Ephys rig, the bridge, the daemon, the live page in a real browser, the Python
//! client, a daemon that is killed, pynwb, replay.
//!
//! Runs with the interpreter named by GLAUBER_PYTHON and a Chromium on the PATH; skipped with a message when either is missing.
#![cfg(feature = "daemon")]

use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn an_afternoon_from_the_rig_to_the_replay() {
    let Some(interpreter) = std::env::var_os("GLAUBER_PYTHON") else {
        println!("skipped: set GLAUBER_PYTHON to an interpreter with tests/python/requirements.txt");
        return;
    };
    let browsers = ["chromium", "chromium-browser", "google-chrome"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|place| browsers.iter().any(|name| place.join(name).is_file())) {
        assert!(std::env::var_os("REQUIRE_BROWSER").is_none(), "no Chromium on the PATH");
        println!("skipped: no Chromium on the PATH");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(interpreter)
        .current_dir(ROOT)
        .args(["tests/python/lab_afternoon.py", env!("CARGO_BIN_EXE_glauber")])
        .arg(directory.path())
        .output()
        .unwrap();
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let logs = ["bridge.log", "daemon.log"].map(|name| std::fs::read_to_string(directory.path().join(name)));
    assert!(output.status.success(), "{told}\n{errors}\n{logs:?}");
    let steps = [
        "the bridge listens",
        "the live page shows it",
        "the daemon is killed",
        "nothing is lost",
        "standard errors from the truth",
        "pynwb reads",
        "the same couplings, bit for bit",
    ];
    for step in steps {
        assert!(told.contains(step), "no '{step}' in\n{told}");
    }
    let picture = std::fs::read(directory.path().join("page.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n") && picture.len() > 20_000, "{} bytes", picture.len());
    println!("{told}");
}
