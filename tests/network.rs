//! The command line and Python over TLS: with the certificates of the README's recipe, and with those that must not work.
#![cfg(feature = "daemon")]

mod certificates;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use certificates::Certificates;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn glauber(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glauber"));
    let names = ["CONNECT", "CONFIG", "CA", "CLIENT_CERTIFICATE", "CLIENT_KEY", "TOKEN_FILE"];
    for name in names {
        command.env_remove(format!("GLAUBER_{name}"));
    }
    command.args(args);
    command
}

/// The one line of a run that fails.
fn refusal(args: &[&str]) -> String {
    let output = glauber(args).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{args:?}");
    assert_eq!(errors.lines().count(), 1, "{args:?}: {errors}");
    assert!(!errors.contains(TOKEN), "a token is shown: {errors}");
    errors
}

fn succeeds(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The real binary on a free port; ended with the test.
struct Daemon {
    process: Child,
    address: String,
    log: PathBuf,
}

impl Daemon {
    /// Serve with these keys set, logging everything to a file.
    fn start(log: PathBuf, keys: &[(&str, &Path)]) -> Self {
        let set =
            keys.iter().flat_map(|(key, path)| ["--set".to_owned(), format!("{key}={}", path.display())]);
        let mut process = glauber(&[
            "--json",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--archive-dir",
            "",
            "--journal-dir",
            "",
        ])
        .args(set)
        .env("RUST_LOG", "trace")
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let announced = serde_json::from_str::<serde_json::Value>(&line);
        let announced = announced.unwrap_or_else(|_| panic!("{}", certificates::read(&log)));
        let address = announced["address"].as_str().unwrap().to_owned();
        Self { process, address, log }
    }

    /// The same port by another scheme and name.
    fn at(&self, scheme_and_name: &str) -> String {
        format!("{scheme_and_name}:{}", self.address.rsplit(':').next().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[test]
fn whoever_is_not_let_in_is_told_why() {
    let (own, other) = (Certificates::new(), Certificates::new());
    let path = |name: &str| own.path(name).display().to_string();
    own.write("token", &format!("rig-1:{TOKEN}\n"));
    own.write("wrong", &TOKEN.replace('0', "1"));
    let keys = [
        ("server.tls.certificate", own.path("server.pem")),
        ("server.tls.key", own.path("server.key")),
        ("server.tls.client_ca", own.path("ca.pem")),
        ("server.token_file", own.path("token")),
    ];
    let keys = keys.each_ref().map(|(key, path)| (*key, path.as_path()));
    let daemon = Daemon::start(own.path("log"), &keys);
    assert!(daemon.address.starts_with("https://"), "{}", daemon.address);

    let (ca, token) = (["--ca", &path("ca.pem")], ["--token-file", &path("token")]);
    let client = ["--client-certificate", &path("client.pem"), "--client-key", &path("client.key")];
    let status = ["status", "--connect", &daemon.address];
    let all = [&status[..], &ca, &client, &token].concat();
    succeeds(&glauber(&all).output().unwrap());
    // The same from the environment.
    let mut command = glauber(&["status"]);
    let values = [
        ("GLAUBER_CONNECT", daemon.address.clone()),
        ("GLAUBER_CA", path("ca.pem")),
        ("GLAUBER_CLIENT_CERTIFICATE", path("client.pem")),
        ("GLAUBER_CLIENT_KEY", path("client.key")),
        ("GLAUBER_TOKEN_FILE", path("token")),
    ];
    succeeds(&command.envs(values).output().unwrap());

    let with = |parts: &[&[&str]]| refusal(&[&[&status[..]], parts].concat().concat());
    let expect =
        |said: String, expected: &str| assert!(said.contains(expected), "'{said}' is not '{expected}'");
    expect(with(&[&client, &token]), "--ca: an https address needs the authority");
    expect(with(&[&ca, &token]), "it asks for a certificate: --client-certificate FILE");
    expect(with(&[&ca, &client]), "needs a valid token");
    expect(with(&[&ca, &client, &["--token-file", &path("wrong")]]), "--token-file FILE");
    expect(with(&[&ca, &client, &["--token-file", &path("none")]]), "none: No such file");
    expect(with(&[&["--ca", &path("server.key")], &client, &token]), "--ca");
    let stranger = |name: &str| other.path(name).display().to_string();
    expect(with(&[&["--ca", &stranger("ca.pem")], &client, &token]), "not signed by an authority in --ca");
    let strange = ["--client-certificate", &stranger("client.pem"), "--client-key", &stranger("client.key")];
    expect(with(&[&ca, &strange, &token]), "does not accept --client-certificate");
    let mixed = ["--client-certificate", &path("client.pem"), "--client-key", &path("server.key")];
    expect(
        with(&[&ca, &mixed, &token]),
        "--ca, --client-certificate, --client-key: the files cannot be used",
    );
    let keys =
        [("server.tls.certificate", own.path("client.pem")), ("server.tls.key", own.path("client.key"))];
    let keys = keys.each_ref().map(|(key, path)| (*key, path.as_path()));
    let elsewhere = Daemon::start(own.path("elsewhere.log"), &keys);
    let named = refusal(&["status", "--connect", &elsewhere.address, ca[0], ca[1]]);
    expect(named, "its certificate is not for this name but for rig");
    expect(refusal(&["status", "--connect", &daemon.at("http://127.0.0.1")]), "speaks TLS: use https://");

    let plain = Daemon::start(own.path("plain.log"), &[]);
    let encrypted = plain.at("https://127.0.0.1");
    expect(refusal(&["status", "--connect", &encrypted, ca[0], ca[1]]), "does not speak TLS: use http://");

    let log = certificates::read(&daemon.log);
    assert!(log.contains("no valid token"), "refusals are logged");
    assert!(!log.contains(TOKEN), "the token is logged");
}

#[test]
fn other_addresses_than_loopback_need_encryption_and_access() {
    let said = refusal(&["serve", "--listen", "0.0.0.0:0", "--archive-dir", "", "--journal-dir", ""]);
    assert!(said.contains("server.listen = 0.0.0.0:0 is not allowed: expected a loopback address"), "{said}");
    assert!(said.contains("server.tls.client_ca or server.token_file"), "{said}");
}

#[test]
fn a_signal_replaces_the_tokens() {
    let own = Certificates::new();
    own.write("token", &format!("rig:{TOKEN}"));
    let daemon = Daemon::start(own.path("log"), &[("server.token_file", &own.path("token"))]);
    let token = own.write("new", &format!("rig:{}", TOKEN.repeat(2))).display().to_string();
    let status = ["status", "--connect", &daemon.address, "--token-file", &token];
    assert!(refusal(&status).contains("needs a valid token"));
    std::fs::copy(&token, own.path("token")).unwrap();
    let id = daemon.process.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    let begun = Instant::now();
    while !glauber(&status).output().unwrap().status.success() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", certificates::read(&daemon.log));
    }
}

/// What the README tells to do, as it tells it.
#[test]
fn the_recipe_of_the_readme_works() {
    let readme = certificates::read(&Path::new(ROOT).join("README.md"));
    assert!(readme.contains("examples/certificates.sh"));
    if Command::new("openssl").arg("version").output().is_err() {
        return println!("skipped: there is no openssl");
    }
    let dir = tempfile::tempdir().unwrap();
    let script = Path::new(ROOT).join("examples/certificates.sh");
    let made = dir.path().join("certificates");
    succeeds(&Command::new("sh").arg(script).arg(&made).args(["rig.lab", "10.0.0.5"]).output().unwrap());
    let file = |name: &str| made.join(name).display().to_string();
    let keys = [
        ("server.tls.certificate", made.join("server.pem")),
        ("server.tls.key", made.join("server.key")),
        ("server.tls.client_ca", made.join("ca.pem")),
        ("server.token_file", made.join("tokens")),
    ];
    let keys = keys.each_ref().map(|(key, path)| (*key, path.as_path()));
    let daemon = Daemon::start(dir.path().join("log"), &keys);
    let client = [
        "--ca",
        &file("ca.pem"),
        "--client-certificate",
        &file("client.pem"),
        "--client-key",
        &file("client.key"),
        "--token-file",
        &file("tokens"),
    ];
    let listed =
        glauber(&[&["status", "--connect", &daemon.address, "--json"][..], &client].concat()).output();
    succeeds(&listed.unwrap());
    let log = certificates::read(&daemon.log);
    assert!(!log.contains("WARN"), "files of the recipe are for their owner alone: {log}");
}

#[test]
fn a_python_client_is_let_in_over_tls_with_a_token() {
    let Some(interpreter) = std::env::var_os("GLAUBER_PYTHON") else {
        return println!("skipped: set GLAUBER_PYTHON to an interpreter with tests/python/requirements.txt");
    };
    let own = Certificates::new();
    own.write("token", &format!("python:{TOKEN}"));
    let keys = [
        ("server.tls.certificate", own.path("server.pem")),
        ("server.tls.key", own.path("server.key")),
        ("server.token_file", own.path("token")),
    ];
    let keys = keys.each_ref().map(|(key, path)| (*key, path.as_path()));
    let daemon = Daemon::start(own.path("log"), &keys);
    let python = |arguments: &[&str]| {
        let mut command = Command::new(&interpreter);
        command.current_dir(ROOT).arg("tests/python/tls_client.py").args(arguments);
        succeeds(&command.output().unwrap())
    };
    let address = daemon.at("localhost");
    let ca = own.path("ca.pem").display().to_string();
    assert_eq!(python(&[&address, &ca, TOKEN]).trim(), "6 bins counted");
    assert_eq!(python(&[&address, &ca]).trim(), "UNAUTHENTICATED");
    assert_eq!(python(&[&address, &ca, &TOKEN[1..]]).trim(), "UNAUTHENTICATED");
}
