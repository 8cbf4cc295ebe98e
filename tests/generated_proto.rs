//! The generated Rust and the descriptor set that are committed are those of `proto/`.
//!
//! Rewrite them after a change of the interface: `GLAUBER_REGENERATE=1 cargo test --test generated_proto`.

use std::path::{Path, PathBuf};

use prost::Message;

/// The files generated from `proto/`, by the place they are committed at.
fn generate() -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let include = root.join("proto");
    let folder = include.join("glauber/v1");
    let mut sources: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    sources.sort();
    let set = protox::compile(&sources, [&include]).unwrap();
    let encoded = set.encode_to_vec();

    let out = tempfile::tempdir().unwrap();
    tonic_prost_build::configure().out_dir(out.path()).compile_fds(set).unwrap();
    let generated = std::fs::read(out.path().join("glauber.v1.rs")).unwrap();
    let committed = root.join("src/proto");
    vec![(committed.join("glauber.v1.rs"), generated), (committed.join("descriptor_set.bin"), encoded)]
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
