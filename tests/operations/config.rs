//! `glauber config`.

use serde_json::Value;

use super::program::{ROOT, glauber, output, stdout};

fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rig.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    (dir, path)
}

#[test]
fn what_is_shown_is_the_default_file_and_can_be_a_file_itself() {
    let shown = stdout(&mut glauber(&["config", "show"]));
    let documented: toml::Table =
        std::fs::read_to_string(format!("{ROOT}/config/glauber.toml")).unwrap().parse().unwrap();
    assert_eq!(shown.parse::<toml::Table>().unwrap(), documented);
    let (_dir, path) = file(&stdout(&mut glauber(&["config", "show", "--set", "limits.streams_max=8"])));
    assert_eq!(stdout(&mut glauber(&["config", "show", &path])), std::fs::read_to_string(&path).unwrap());
}

#[test]
fn every_layer_goes_before_the_one_below_and_is_named() {
    let (_dir, path) = file(
        "[limits]\nstreams_max = 9\nwatchers_max = 9\nsessions_open_max = 9\n[defaults]\nwindows = [\"2min\", \"all\"]\n",
    );
    let mut command = glauber(&[
        "config",
        "show",
        &path,
        "--origin",
        "--set",
        "limits.streams_max=8",
        "--listen",
        "127.0.0.1:7",
    ]);
    command.env("GLAUBER_LIMITS__STREAMS_MAX", "7").env("GLAUBER_LIMITS__WATCHERS_MAX", "7");
    let shown = stdout(&mut command);
    for line in [
        "streams_max = 8  # command line: --set limits.streams_max".to_owned(),
        "watchers_max = 7  # environment: GLAUBER_LIMITS__WATCHERS_MAX".to_owned(),
        format!("sessions_open_max = 9  # file: {path}"),
        format!("windows = [\"2min\", \"all\"]  # file: {path}"),
        "listen = \"127.0.0.1:7\"  # command line: --listen".to_owned(),
        "neurons_max = 16384  # default".to_owned(),
    ] {
        assert!(shown.lines().any(|found| found == line), "{line} is missing: {shown}");
    }
    assert!(shown.parse::<toml::Table>().is_ok(), "{shown}");
    let json: Value = serde_json::from_str(&stdout(command.arg("--json"))).unwrap();
    assert_eq!(json["limits"]["watchers_max"]["value"], 7);
    assert_eq!(json["limits"]["watchers_max"]["origin"], "environment: GLAUBER_LIMITS__WATCHERS_MAX");
    assert_eq!(json["server"]["tls"]["key"]["origin"], "default");
}

#[test]
fn a_configuration_that_is_fine_is_ok_and_says_what_is_set() {
    let (dir, path) = file("[limits]\nstreams_max = 9\n");
    let shown = stdout(glauber(&["config", "check", &path]).current_dir(&dir));
    assert!(shown.starts_with(&format!("ok: {path}\n")), "{shown}");
    assert!(shown.contains("http://127.0.0.1:50051"), "{shown}");
    assert!(shown.contains(&format!("limits.streams_max = 9  # file: {path}")), "{shown}");
    assert!(!shown.contains("watchers_max"), "{shown}");
    // Nothing is made.
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    let json: Value =
        serde_json::from_str(&stdout(&mut glauber(&["config", "check", &path, "--json"]))).unwrap();
    assert_eq!((&json["ok"], &json["set"]["limits.streams_max"]["value"]), (&true.into(), &9.into()));
    // The environment names the file as it does for serve.
    let shown = stdout(glauber(&["config", "check"]).env("GLAUBER_CONFIG", &path));
    assert!(shown.starts_with(&format!("ok: {path}\n")), "{shown}");
}

#[test]
fn what_serve_would_refuse_is_refused_in_the_same_words() {
    let (_dir, path) = file("[limits]\nstreams_max = 0\n");
    let (_other, unknown) = file("[limits]\nstreams_maximum = 1\n");
    let (_third, missing) = file("[server]\ntoken_file = \"/nowhere/tokens\"\n");
    for (file, code, names) in [
        (&*path, 2, vec!["limits.streams_max = 0 is not allowed: expected 1 to 65536", &path]),
        (&unknown, 2, vec!["unknown key 'streams_maximum' in [limits]", "streams_max,"]),
        (&missing, 1, vec!["server.token_file = /nowhere/tokens cannot be read"]),
        ("/nowhere/rig.toml", 2, vec!["reading the configuration /nowhere/rig.toml"]),
    ] {
        let (found, out, errors) = output(&mut glauber(&["config", "check", file]));
        assert_eq!((found, &*out, errors.lines().count()), (Some(code), "", 1), "{errors}");
        assert!(names.iter().all(|name| errors.contains(name)), "{errors}");
        assert_eq!(output(&mut glauber(&["serve", "--config", file])), (Some(code), String::new(), errors));
    }
}

#[test]
fn a_variable_that_means_nothing_is_warned_of() {
    let (code, _, errors) = output(glauber(&["config", "check"]).env("GLAUBER_LISTEN", "127.0.0.1:1"));
    assert_eq!(code, Some(0));
    assert!(errors.contains("GLAUBER_LISTEN in the environment is not known"), "{errors}");
    let (code, _, errors) = output(glauber(&["config", "check"]).env("GLAUBER_LIMITS__NOTHING", "1"));
    assert_eq!(code, Some(2));
    assert!(errors.contains("unknown key 'nothing' in [limits] of the environment"), "{errors}");
}
