//! The examples of every `--help`, which the program must take.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command as Process, Stdio};

use clap::{Command, CommandFactory, Parser};

use super::Arguments;

/// Says what it was called with, an argument after the other.
const GLAUBER: &str = "#!/bin/sh\nfor argument in \"$@\"; do printf '%s\\0' \"$argument\"; done >>\"$SAID\"\nprintf '\\n' >>\"$SAID\"\n";
/// Stands for what else they name, which must not run; a process identifier, for one that is asked for it.
const OTHER: &str = "#!/bin/sh\necho 4242\n";
const OTHERS: [&str; 6] = ["grep", "jq", "man", "pgrep", "systemctl", "xdg-open"];

/// Every subcommand that is shown, with its words.
fn subcommands(command: &Command, words: &str, found: &mut Vec<(String, Command)>) {
    found.push((words.to_owned(), command.clone()));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        subcommands(inner, &format!("{words} {}", inner.get_name()), found);
    }
}

fn examples(help: &str) -> Vec<String> {
    let (_, after) =
        help.split_once("Examples:\n").or_else(|| help.split_once("Start here:\n")).unwrap_or_default();
    let lines = after.lines().take_while(|line| line.starts_with("  ")).map(str::trim);
    // Of the program itself they have what they do beside them.
    lines.filter_map(|line| line.split("   ").next()).map(str::to_owned).collect()
}

fn write_program(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Let the shell take an example apart; what `glauber` is called with then.
fn calls(example: &str) -> Vec<Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    write_program(&dir.path().join("glauber"), GLAUBER);
    for other in OTHERS {
        write_program(&dir.path().join(other), OTHER);
    }
    for folder in [".local/share/bash-completion/completions", ".zfunc", ".config/fish/completions"] {
        std::fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    let said = dir.path().join("said");
    let ran = Process::new("/bin/sh")
        .args(["-c", example])
        .env("PATH", dir.path())
        .env("HOME", dir.path())
        .env("SAID", &said)
        .current_dir(&dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(ran.status.success(), "the shell does not take {example}: {ran:?}");
    let said = std::fs::read_to_string(&said).unwrap_or_else(|_| panic!("{example} does not call glauber"));
    said.lines().map(|call| call.split_terminator('\0').map(str::to_owned).collect()).collect()
}

#[test]
fn every_subcommand_has_examples_and_each_is_taken() {
    let mut all = Vec::new();
    subcommands(&Arguments::command(), "glauber", &mut all);
    assert!(all.len() > 20, "{}", all.len());
    for (words, command) in all {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let shown = examples(&help);
        assert!(shown.iter().any(|example| example.contains(&words)), "{words} has no example: {help}");
        for example in shown {
            for call in calls(&example) {
                let arguments = ["glauber".to_owned()].into_iter().chain(call);
                if let Err(error) = Arguments::try_parse_from(arguments) {
                    panic!("{example}: {error}");
                }
            }
        }
    }
}

#[test]
fn an_example_that_has_rotted_is_found() {
    let call = calls("X=1 glauber serve --nonsense 'a b' | jq .").remove(0);
    assert_eq!(call, ["serve", "--nonsense", "a b"]);
    assert!(Arguments::try_parse_from(["glauber".to_owned()].into_iter().chain(call)).is_err());
    Arguments::command().debug_assert();
}
