//! Help, manual and completions, which must not rot.

use std::process::Command;

use super::program::{glauber, output, stdout};

/// Every subcommand that is shown, by its words.
fn subcommands() -> Vec<Vec<String>> {
    let mut found = vec![vec![]];
    let mut next = 0;
    while let Some(words) = found.get(next).cloned() {
        next += 1;
        let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
        args.push("--help");
        let help = stdout(&mut glauber(&args));
        let Some((_, listed)) = help.split_once("\nCommands:\n") else { continue };
        let names =
            listed.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
        for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
            found.push([words.clone(), vec![name.to_owned()]].concat());
        }
    }
    found
}

#[test]
fn there_are_all_subcommands() {
    let names: Vec<String> = subcommands().iter().map(|words| words.join(" ")).collect();
    for name in
        ["serve", "config", "config check", "config show", "health", "completions", "man", "fit", "status"]
    {
        assert!(names.iter().any(|found| found == name), "{name} is missing: {names:?}");
    }
}

#[test]
fn the_manual_has_a_page_of_every_subcommand_that_man_takes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("man1");
    stdout(glauber(&["man", "--dir"]).arg(&path));
    let mut expected: Vec<String> = subcommands()
        .iter()
        .map(|words| [vec!["glauber".to_owned()], words.clone()].concat().join("-") + ".1")
        .collect();
    let mut found: Vec<String> = std::fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    let page = std::fs::read_to_string(path.join("glauber-serve.1")).unwrap();
    assert!(page.contains(".TH glauber-serve 1") && page.contains("Examples:"), "{page}");
    assert_eq!(stdout(&mut glauber(&["man"])), std::fs::read_to_string(path.join("glauber.1")).unwrap());
    for name in found {
        let Ok(checked) = Command::new("groff")
            .args(["-Kutf8", "-man", "-Tutf8", "-ww", "-z"])
            .arg(path.join(&name))
            .output()
        else {
            println!("skipped: no groff on PATH");
            return;
        };
        let complaints = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success() && complaints.is_empty(), "{name}: {complaints}");
    }
}

#[test]
fn every_shell_takes_its_completions() {
    for (shell, check) in [
        ("bash", Some("-n")),
        ("zsh", Some("-n")),
        ("fish", Some("--no-execute")),
        ("elvish", None),
        ("powershell", None),
    ] {
        let text = stdout(&mut glauber(&["completions", shell]));
        assert!(text.contains("reconstruct"), "{shell}: {text}");
        assert!(!text.contains("read-in-child"), "{shell} completes what is hidden");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("completions");
        std::fs::write(&path, text).unwrap();
        match check.map(|check| Command::new(shell).arg(check).arg(&path).output()) {
            Some(Ok(checked)) => assert!(checked.status.success(), "{shell}: {checked:?}"),
            _ => println!("skipped: {shell} is not on PATH or does not check"),
        }
    }
    let (code, _, errors) = output(&mut glauber(&["completions", "tcsh"]));
    assert!(code == Some(2) && errors.contains("tcsh"), "{errors}");
}
