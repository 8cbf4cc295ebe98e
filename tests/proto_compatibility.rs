//! The interface and the journal only grow: what is in `proto/` now is compared with the descriptors that are pinned in `proto/baseline`, by rules
//! as those of `buf breaking` (its categories FILE and WIRE_JSON).
//!
//! Additions pass. A change that breaks clients needs a new package, `glauber.v2`. The baseline advances when a version is released, so that
//! what was added is pinned as well: `GLAUBER_ADVANCE_BASELINE=1 cargo test --test proto_compatibility`, and commit `proto/baseline`.
#![cfg(feature = "daemon")]

#[path = "proto_compatibility/rules.rs"]
mod rules;

use std::path::{Path, PathBuf};

use prost::Message;
use prost_types::FileDescriptorSet;
use rules::breaking;

/// Folders of `proto/`, and the file that each is pinned in.
const PINNED: [(&str, &str); 2] = [("glauber/v1", "v1.binpb"), ("glauber/journal/v1", "journal_v1.binpb")];

fn proto() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("proto")
}

/// Descriptors of all files in a folder, without comments and places in the text.
fn compile(include: &Path, folder: &str) -> FileDescriptorSet {
    let entries = std::fs::read_dir(include.join(folder)).unwrap();
    let mut sources: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    sources.sort();
    let mut set = protox::compile(&sources, [include]).unwrap();
    set.file.iter_mut().for_each(|file| file.source_code_info = None);
    set
}

#[test]
fn nothing_that_clients_or_journals_rely_on_has_changed() {
    let advance = std::env::var_os("GLAUBER_ADVANCE_BASELINE").is_some_and(|value| value == "1");
    for (folder, pinned) in PINNED {
        let (current, path) = (compile(&proto(), folder), proto().join("baseline").join(pinned));
        if advance {
            std::fs::write(&path, current.encode_to_vec()).unwrap();
            continue;
        }
        let baseline = FileDescriptorSet::decode(std::fs::read(&path).unwrap().as_slice()).unwrap();
        assert!(baseline.file.iter().any(|file| !file.message_type.is_empty()), "{pinned} pins nothing");
        let broken = breaking(&baseline, &current);
        assert!(broken.is_empty(), "proto/{folder} breaks what {pinned} pins:\n{}", broken.join("\n"));
    }
}

/// What is broken between two texts of one file.
fn between(old: &str, new: &str) -> Vec<String> {
    let compiled = |text: &str| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("t")).unwrap();
        let text = match text.contains("syntax") {
            true => text.to_owned(),
            false => format!("syntax = \"proto3\"; package t; {text}"),
        };
        std::fs::write(dir.path().join("t/t.proto"), text).unwrap();
        compile(dir.path(), "t")
    };
    breaking(&compiled(old), &compiled(new))
}

#[test]
fn additions_break_nothing() {
    let old =
        "enum E { A = 0; } message M { uint32 x = 1; oneof o { bool y = 2; } enum I { Z = 0; } message N {} }
        service S { rpc R(M) returns (M); }";
    let new = "message New {} enum Other { C = 0; } enum E { A = 0; B = 1; }
        message M { oneof o { bool y = 2; New n = 4; } uint32 x = 1; repeated string added = 3; enum I { Z = 0; Y = 9; }
            message N { bool b = 1; } reserved 20 to 30; }
        service Another { rpc R(M) returns (M); } service S { rpc R(M) returns (M); rpc T(stream New) returns (M); }";
    assert_eq!(between(old, new), Vec::<String>::new());
    // With its number and its name reserved a field may go, and a value.
    let kept = "message M { reserved 1; reserved \"x\"; uint32 y = 2; } enum E { A = 0; reserved 1; reserved \"B\"; }";
    assert_eq!(
        between("message M { uint32 x = 1; uint32 y = 2; } enum E { A = 0; B = 1; }", kept),
        Vec::<String>::new()
    );
}

#[test]
fn every_rule_finds_what_it_is_there_for() {
    for (broken, old, new) in [
        ("t.M.x (1) is gone", "message M { uint32 x = 1; }", "message M {}"),
        (
            "t.M.x (1) is gone: its number is not reserved",
            "message M { uint32 x = 1; }",
            "message M { reserved \"x\"; }",
        ),
        (
            "t.M.x (1) is gone: its name is not reserved",
            "message M { uint32 x = 1; }",
            "message M { reserved 1; }",
        ),
        ("t.M.x (1) is gone", "message M { uint32 x = 1; }", "message M { uint32 x = 2; }"),
        ("t.M.x (1): name was x and is y", "message M { uint32 x = 1; }", "message M { uint32 y = 1; }"),
        (
            "t.M.x (1): type was TYPE_UINT32 and is TYPE_UINT64",
            "message M { uint32 x = 1; }",
            "message M { uint64 x = 1; }",
        ),
        (
            "t.M.x (1): type was TYPE_MESSAGE .t.A and is TYPE_MESSAGE .t.B",
            "message A {} message B {} message M { A x = 1; }",
            "message A {} message B {} message M { B x = 1; }",
        ),
        ("t.M.x (1): label", "message M { uint32 x = 1; }", "message M { repeated uint32 x = 1; }"),
        ("t.M.x (1): presence", "message M { uint32 x = 1; }", "message M { optional uint32 x = 1; }"),
        ("t.M.x (1): oneof", "message M { uint32 x = 1; }", "message M { oneof o { uint32 x = 1; } }"),
        (
            "t.M.x (1): oneof",
            "message M { oneof o { uint32 x = 1; } }",
            "message M { oneof p { uint32 x = 1; } }",
        ),
        (
            "t.M.x (1): JSON name",
            "message M { uint32 x = 1; }",
            "message M { uint32 x = 1 [json_name = \"z\"]; }",
        ),
        (
            "t.M.x (1): packing",
            "message M { repeated uint32 x = 1; }",
            "message M { repeated uint32 x = 1 [packed = false]; }",
        ),
        ("t.M.N is gone", "message M { message N {} }", "message M {}"),
        ("t.M is gone", "message M {} message N {}", "message N {}"),
        (
            "t.M: reserved 3 to 5 is no more",
            "message M { reserved 3 to 5; }",
            "message M { reserved 4 to 5; }",
        ),
        ("t.M: reserved \"x\" is no more", "message M { reserved \"x\"; }", "message M {}"),
        ("t.E is gone", "enum E { A = 0; }", "message M {}"),
        ("t.M.E is gone", "message M { enum E { A = 0; } }", "message M {}"),
        ("t.E: value B (1) is gone", "enum E { A = 0; B = 1; }", "enum E { A = 0; }"),
        ("t.E: value B (1) is gone: its name", "enum E { A = 0; B = 1; }", "enum E { A = 0; reserved 1; }"),
        ("t.E: value 1 was B and is C", "enum E { A = 0; B = 1; }", "enum E { A = 0; C = 1; }"),
        ("t.E: reserved 7 to 9 is no more", "enum E { A = 0; reserved 7 to 9; }", "enum E { A = 0; }"),
        ("t.E: reserved \"B\" is no more", "enum E { A = 0; reserved \"B\"; }", "enum E { A = 0; }"),
        ("t.S is gone", "message M {} service S { rpc R(M) returns (M); }", "message M {}"),
        ("t.S.R is gone", "message M {} service S { rpc R(M) returns (M); }", "message M {} service S {}"),
        (
            "t.S.R: request was .t.M and is .t.N",
            "message M {} message N {} service S { rpc R(M) returns (M); }",
            "message M {} message N {} service S { rpc R(N) returns (M); }",
        ),
        (
            "t.S.R: answer was .t.M and is .t.N",
            "message M {} message N {} service S { rpc R(M) returns (M); }",
            "message M {} message N {} service S { rpc R(M) returns (N); }",
        ),
        (
            "t.S.R: streaming",
            "message M {} service S { rpc R(M) returns (M); }",
            "message M {} service S { rpc R(stream M) returns (M); }",
        ),
        (
            "t.S.R: streaming",
            "message M {} service S { rpc R(M) returns (stream M); }",
            "message M {} service S { rpc R(M) returns (M); }",
        ),
        ("t/t.proto: package was t and is u", "message M {}", "syntax = \"proto3\"; package u; message M {}"),
        ("t/t.proto: syntax", "message M {}", "syntax = \"proto2\"; package t; message M {}"),
    ] {
        let found = between(old, new);
        assert!(found.iter().any(|line| line.starts_with(broken)), "{broken}: {found:?}");
    }
}

#[test]
fn a_type_that_moves_to_another_file_is_gone_from_its_own() {
    let mut current = compile(&proto(), "glauber/v1");
    let baseline = current.clone();
    assert_eq!(breaking(&baseline, &current), Vec::<String>::new());
    let place = current.file.iter().position(|file| file.name() == "glauber/v1/types.proto").unwrap();
    let moved = current.file[place].message_type.remove(0);
    let name = moved.name().to_owned();
    let other = (place + 1) % current.file.len();
    current.file[other].message_type.push(moved);
    let found = breaking(&baseline, &current);
    assert_eq!(found, [format!("glauber.v1.{name} is gone from glauber/v1/types.proto")]);
    current.file.remove(place);
    assert_eq!(breaking(&baseline, &current)[0], "glauber/v1/types.proto is gone");
}
