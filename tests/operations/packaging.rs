//! What is installed with the program.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::program::{ROOT, glauber, stdout};

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap()
}

fn unit(key: &str) -> Vec<String> {
    let text = read("packaging/systemd/glauber.service");
    text.lines().filter_map(|line| line.strip_prefix(&format!("{key}="))).map(str::to_owned).collect()
}

#[test]
fn systemd_takes_the_unit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("glauber.service");
    let program = env!("CARGO_BIN_EXE_glauber");
    // Only what is there can be verified.
    let text = read("packaging/systemd/glauber.service").replace("/usr/local/bin/glauber", program);
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with("Documentation="))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(text.contains(program));
    let verify = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Command::new("systemd-analyze").arg("verify").arg(&path).output()
    };
    let Ok(checked) = verify(&text) else {
        println!("skipped: systemd-analyze is not on PATH");
        return;
    };
    let complaints = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success() && complaints.is_empty(), "{complaints}");
    let wrong = verify(&text.replace("WatchdogSec=", "WatchdogSecs=")).unwrap();
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("WatchdogSecs"), "nothing is verified");
}

#[test]
fn the_unit_fits_the_program() {
    let [start] = &unit("ExecStart")[..] else { panic!("one ExecStart") };
    let words: Vec<&str> = start.split_whitespace().skip(1).collect();
    assert_eq!(words[0], "serve");
    // The arguments of serve that configure it are those of config check, with the file named before them.
    let file = format!("{ROOT}/config/glauber.toml");
    let settings = words.iter().skip(1).skip_while(|word| **word != "--journal-dir").copied();
    let args: Vec<&str> = ["config", "check", &file].into_iter().chain(settings).collect();
    let checked = stdout(&mut glauber(&args));
    for directory in ["/var/lib/glauber/journal", "/var/lib/glauber/snapshots"] {
        assert!(checked.contains(directory), "{checked}");
    }
    let seconds = |key: &str| unit(key).remove(0).parse::<u64>().unwrap();
    let shown: toml::Table = stdout(&mut glauber(&["config", "show"])).parse().unwrap();
    let grace_s = shown["server"]["shutdown_grace_s"].as_integer().unwrap() as u64;
    assert!(seconds("TimeoutStopSec") >= grace_s + 10, "a shutdown would be cut short");
    assert!(seconds("LimitNOFILE") > shown["limits"]["connections_max"].as_integer().unwrap() as u64);
    assert_eq!(
        (unit("Type"), unit("ExecReload")),
        (vec!["notify".to_owned()], vec!["/bin/kill -HUP $MAINPID".to_owned()])
    );
}

#[test]
fn the_container_recipe_names_what_there_is_and_builds_from_it_alone() {
    let recipe = read("packaging/container/Containerfile").replace("\\\n", " ");
    let ignored: Vec<String> =
        read(".dockerignore").lines().map(|line| line.trim_start_matches('/').to_owned()).collect();
    let dir = tempfile::tempdir().unwrap();
    let stages: Vec<&str> = recipe.split("\nFROM ").collect();
    assert_eq!(stages.len(), 3, "a stage that builds and one that runs");
    let mut copied = 0;
    for words in recipe
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
    {
        if words[0].starts_with("--from=") {
            continue;
        }
        for source in &words[..words.len() - 1] {
            let path = Path::new(ROOT).join(source);
            assert!(path.exists(), "{source} is not in the checkout");
            assert!(!ignored.iter().any(|name| name == source), "{source} is left out by .dockerignore");
            let to: PathBuf = dir.path().join(source);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            assert!(Command::new("cp").arg("-r").arg(&path).arg(&to).status().unwrap().success());
            copied += 1;
        }
    }
    assert!(copied >= 5, "{recipe}");
    // Cargo finds every target of the manifest among what is copied, and the program's among them.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let metadata = Command::new(cargo)
        .args(["metadata", "--offline", "--locked", "--no-deps", "--format-version", "1"])
        .current_dir(&dir)
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let targets = metadata["packages"][0]["targets"].as_array().unwrap();
    for target in targets {
        let path = target["src_path"].as_str().unwrap();
        assert!(Path::new(path).exists(), "{path} is not copied");
    }
    // So is what the sources build in.
    assert!(included(&dir.path().join("src")) >= 3, "the page, the font and the interface are built in");
    // The compiler is the one that is asked for.
    let version = metadata["packages"][0]["rust_version"].as_str().unwrap();
    assert!(stages[1].starts_with(&format!("rust:{version}-")), "{}", stages[1]);
    let runs = stages[2];
    for line in [
        "USER 10001:10001",
        "STOPSIGNAL SIGTERM",
        "ENTRYPOINT [\"glauber\"]",
        "CMD [\"serve\"]",
        "VOLUME [\"/var/lib/glauber\"]",
    ] {
        assert!(runs.lines().any(|found| found == line), "{line} is missing");
    }
    // What is checked and started is what the program takes.
    let (_, health) = runs.split_once("CMD [\"glauber\", ").unwrap();
    let (health, _) = health.split_once(']').unwrap();
    let words: Vec<&str> = health.split(',').map(|word| word.trim().trim_matches('"')).collect();
    assert!(stdout(glauber(&words).arg("--help")).contains("Ask a daemon whether it serves"));
}

/// How many files the sources under a directory build in by name; each must be there.
fn included(folder: &Path) -> usize {
    let mut found = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found += included(&path);
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        for call in ["include_bytes!(\"", "include_str!(\""] {
            for rest in source.split(call).skip(1) {
                let named = path.parent().unwrap().join(rest.split('"').next().unwrap());
                assert!(
                    named.exists(),
                    "{} builds in {}, which is not copied",
                    path.display(),
                    named.display()
                );
                found += 1;
            }
        }
    }
    found
}
