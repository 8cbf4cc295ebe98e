//! Imports between rooms point one way.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every room with the rooms it may import; `*` = any.
const MAY_IMPORT: [(&str, &[&str]); 17] = [
    ("model", &[]),
    ("ingest", &["model"]),
    ("ring", &["model"]),
    ("moments", &["model"]),
    ("regression", &["model", "moments"]),
    ("kinetic", &["model", "moments", "regression"]),
    ("simulate", &["model"]),
    ("equilibrium", &["model", "moments", "regression", "simulate"]),
    ("session", &["model", "ingest", "ring", "moments", "kinetic", "equilibrium", "simulate"]),
    ("storage", &["model"]),
    ("recording", &["model", "storage"]),
    ("archive", &["model", "moments", "session", "storage"]),
    ("journal", &["model", "proto"]),
    ("proto", &[]),
    ("daemon", &["*"]),
    ("cli", &["*"]),
    ("fuzzing", &["*"]),
];

/// Crates that only these rooms may name.
const RESERVED_CRATES: [(&str, &[&str]); 9] = [
    ("hdf5_metno", &["storage"]),
    ("hdf5_metno_sys", &["storage"]),
    ("tokio", &["daemon", "cli"]),
    ("tonic", &["daemon", "cli", "proto"]),
    ("prost", &["daemon", "cli", "fuzzing", "journal", "proto"]),
    ("redb", &["journal"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("figment", &["cli", "fuzzing"]),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Code of each room without comments: `(file, text)`.
fn rooms() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let mut rooms = BTreeMap::new();
    for entry in fs::read_dir(source()).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let mut files = Vec::new();
        rust_files(&path, &mut files);
        let read = |file: PathBuf| {
            let text = fs::read_to_string(&file).unwrap();
            let code: Vec<&str> =
                text.lines().map(|l| l.split_once("//").map_or(l, |(code, _)| code)).collect();
            (file, code.join("\n"))
        };
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        rooms.insert(name, files.into_iter().map(read).collect());
    }
    rooms
}

/// First path segments that follow `crate::` in code: both `crate::room::…` and `crate::{room, other::…}`.
fn imported_rooms(code: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => found.push(word(rest)),
            Some(list) => {
                let (mut depth, mut start) = (0, 0);
                for (k, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => {
                            found.push(word(&list[start..k]));
                            break;
                        }
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            found.push(word(&list[start..k]));
                            start = k + 1;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

/// First path segments that follow a chain of `super::` as long as the file lies deep, or longer: those leave the room.
fn climbed_to(code: &str, depth: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("super::") {
        let mut climbed = 0;
        rest = &rest[at..];
        while let Some(after) = rest.strip_prefix("super::") {
            climbed += 1;
            rest = after;
        }
        if climbed >= depth {
            found.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    found
}

/// How many `super::` lead from a file to the crate's root: `src/room/mod.rs` is 1 deep, `src/room/file.rs` 2.
fn depth(file: &Path) -> usize {
    let inside = file.strip_prefix(source()).unwrap().components().count();
    inside - usize::from(file.ends_with("mod.rs"))
}

fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before =
            code[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':');
        let after = code[at + name.len()..].chars().next();
        before && (after == Some(':') || after == Some(';') || after == Some(' '))
    })
}

#[test]
fn every_room_is_listed() {
    let listed: Vec<&str> = MAY_IMPORT.iter().map(|(room, _)| *room).collect();
    let found = rooms();
    for room in found.keys() {
        assert!(listed.contains(&room.as_str()), "src/{room} is missing from the import rule");
    }
    for room in listed {
        assert!(found.contains_key(room), "the import rule names src/{room}, which does not exist");
    }
}

#[test]
fn imports_point_one_way() {
    for (room, files) in rooms() {
        let (_, allowed) = MAY_IMPORT.iter().find(|(name, _)| *name == room).unwrap();
        for (file, code) in files {
            for import in imported_rooms(&code).into_iter().chain(climbed_to(&code, depth(&file))) {
                let known = MAY_IMPORT.iter().any(|(name, _)| *name == import);
                let fine =
                    !known || import == room || allowed.contains(&import.as_str()) || allowed == &["*"];
                assert!(fine, "{}: src/{room} may not import {import}", file.display());
            }
        }
    }
}

#[test]
fn reserved_crates_stay_in_their_rooms() {
    for (room, files) in rooms() {
        for (file, code) in files {
            for (name, allowed) in RESERVED_CRATES {
                let fine = allowed.contains(&room.as_str()) || !names_crate(&code, name);
                assert!(fine, "{}: src/{room} may not name {name}", file.display());
            }
        }
    }
}

#[test]
fn the_reading_of_imports_is_not_blind() {
    let code =
        "use crate::model::X;\nuse crate::{ring::{A, B}, moments};\nlet x = crate::kinetic::estimate();";
    assert_eq!(imported_rooms(code), ["model", "ring", "moments", "kinetic"]);
    assert_eq!(climbed_to("use super::super::ring::A; super::b()", 2), ["ring"]);
    assert_eq!(depth(&source().join("ring/mod.rs")), 1);
    assert_eq!(depth(&source().join("daemon/services/ingest.rs")), 3);
    assert!(names_crate("use tokio::sync;", "tokio") && !names_crate("my_tokio::x; mytokio::", "tokio"));
}
