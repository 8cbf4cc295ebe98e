//! The generated Rust and the descriptor set that are committed are those of `proto/`.
//!
//! Rewrite them after a change of the interface: `GLAUBER_REGENERATE=1 cargo test --test generated_proto`.

use std::path::{Path, PathBuf};

use prost::Message;

/// The files generated from `proto/`, by the place they are committed at.
fn generate() -> Vec<(PathBuf, Vec<u8>)> {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/proto");
    let (interface, set) = compiled("glauber/v1", "glauber.v1.rs");
    // The journal's format is the daemon's alone: clients do not see it by reflection.
    let (journal, _) = compiled("glauber/journal/v1", "glauber.journal.v1.rs");
    vec![
        (committed.join("glauber.v1.rs"), interface),
        (committed.join("descriptor_set.bin"), set),
        (committed.join("glauber.journal.v1.rs"), journal),
    ]
}

/// The Rust and the descriptor set of one folder of `proto/`.
fn compiled(folder: &str, name: &str) -> (Vec<u8>, Vec<u8>) {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let entries = std::fs::read_dir(include.join(folder)).unwrap();
    let mut sources: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    sources.sort();
    let set = protox::compile(&sources, [&include]).unwrap();
    let encoded = set.encode_to_vec();
    let out = tempfile::tempdir().unwrap();
    tonic_prost_build::configure().out_dir(out.path()).compile_fds(set).unwrap();
    (std::fs::read(out.path().join(name)).unwrap(), encoded)
}

#[test]
fn what_is_committed_is_current() {
    let regenerate = std::env::var_os("GLAUBER_REGENERATE").is_some_and(|value| value == "1");
    for (path, current) in generate() {
        if regenerate {
            std::fs::write(&path, &current).unwrap();
            continue;
        }
        let committed = std::fs::read(&path).unwrap();
        assert!(
            committed == current,
            "{} is not what proto/ gives: run GLAUBER_REGENERATE=1 cargo test --test generated_proto",
            path.display()
        );
    }
}
