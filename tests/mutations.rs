//! Damaged files through the real program: never a panic, never a signal, never more than the bounds.
//!
//! Small recordings and snapshots of every layout are changed at random, most often where their structure is described, and given
//! to `glauber inspect`. It must print what it read or one line about what is wrong. A crash of the HDF5 library is such a line,
//! too: it happened in the process that reads. A few hundred changes by default; `GLAUBER_MUTATIONS=10000` for a long run, which
//! prints the tally and keeps what crashed the library in `target/tmp/mutations`.
#![cfg(feature = "daemon")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const MUTATIONS_DEFAULT: usize = 200;
/// Bounds of a child: a small file takes a fraction of either.
const MEMORY: &str = "512MiB";
const SECONDS: &str = "2";
/// What all HDF5 structures but data begin with.
const SIGNATURES: [&[u8]; 12] = [
    b"OHDR", b"OCHK", b"TREE", b"HEAP", b"SNOD", b"GCOL", b"FRHP", b"FHDB", b"BTHD", b"BTLF", b"FADB",
    b"EAHD",
];

/// Files to begin with: those of our fixtures that are small.
fn seeds() -> Vec<(PathBuf, Vec<u8>)> {
    const BYTES_MAX: usize = 100_000;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut paths = vec![fixtures.join("snapshot_v1.h5"), fixtures.join("snapshot_v2.h5")];
    for folder in ["recordings", "layouts"] {
        paths.extend(fs::read_dir(fixtures.join(folder)).unwrap().map(|entry| entry.unwrap().path()));
    }
    paths.sort();
    let read = paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap()));
    let seeds: Vec<_> = read.filter(|(_, bytes)| (1..BYTES_MAX).contains(&bytes.len())).collect();
    assert!(seeds.len() > 80, "{}", seeds.len());
    seeds
}

/// A place in the file: half of the time shortly after a signature.
fn place(bytes: &[u8], random: &mut impl Rng) -> usize {
    let anywhere = random.random_range(0..bytes.len());
    if random.random_bool(0.5) {
        return anywhere;
    }
    let signature = SIGNATURES[random.random_range(0..SIGNATURES.len())];
    let found: Vec<usize> =
        bytes.windows(4).enumerate().filter(|(_, w)| *w == signature).map(|(at, _)| at).collect();
    match found.len() {
        // The superblock, or the first object header after it.
        0 => random.random_range(0..bytes.len().min(256)),
        n => (found[random.random_range(0..n)] + random.random_range(0..128)).min(bytes.len() - 1),
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut impl Rng) {
    for _ in 0..random.random_range(1..=4) {
        let at = place(bytes, random);
        let run = random.random_range(1..=16).min(bytes.len() - at);
        match random.random_range(0..10) {
            0..3 => bytes[at] ^= 1 << random.random_range(0..8),
            3..5 => bytes[at] = random.random(),
            5 => bytes[at..at + run].fill(0),
            6 => bytes[at..at + run].fill(0xff),
            7 => random.fill(&mut bytes[at..at + run]),
            8 => {
                let from = place(bytes, random).min(bytes.len() - run);
                bytes.copy_within(from..from + run, at);
            }
            _ => bytes.truncate(at.max(1)),
        }
    }
}

/// What became of one file, in a word; `Err` when it is not what must become of it.
fn outcome(file: &Path) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_glauber"))
        .args(["inspect", "--read-memory", MEMORY, "--read-seconds", SECONDS])
        .arg(file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = |what: &str| format!("{what}: {:?}, {said}", output.status);
    match output.status.code() {
        Some(0) if said.is_empty() && !output.stdout.is_empty() => Ok("read".to_owned()),
        Some(1) if said.contains("panicked") => Err(told("a panic")),
        Some(1) if said.contains("no usable answer") => Err(told("no answer")),
        Some(1) if said.starts_with("error: ") && said.lines().count() == 1 && output.stdout.is_empty() => {
            if !said.contains(file.to_str().unwrap()) {
                return Err(told("the file is not named"));
            }
            let crash = said.split("crashed (").nth(1).and_then(|rest| rest.split(')').next());
            Ok(match crash {
                Some(signal) => format!("crash of the library ({signal})"),
                None if said.contains("GLAUBER_READ_MEMORY") => "too much memory".to_owned(),
                None if said.contains("GLAUBER_READ_SECONDS") => "too much time".to_owned(),
                None => "refused".to_owned(),
            })
        }
        _ => Err(told("neither result nor error")),
    }
}

#[test]
fn damaged_files_are_read_or_refused() {
    let count = std::env::var("GLAUBER_MUTATIONS").map_or(MUTATIONS_DEFAULT, |n| n.parse().unwrap());
    let (seeds, folder) = (seeds(), tempfile::tempdir().unwrap());
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutations");
    let next = AtomicUsize::new(0);
    let tally = Mutex::new((BTreeMap::<String, usize>::new(), Vec::<String>::new(), Duration::ZERO));
    let work = || {
        while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&n| n < count) {
            let mut random = ChaCha8Rng::seed_from_u64(number as u64);
            let (path, bytes) = &seeds[random.random_range(0..seeds.len())];
            let mut bytes = bytes.clone();
            mutate(&mut bytes, &mut random);
            let name = format!("{number}_{}", path.file_name().unwrap().to_str().unwrap());
            let file = folder.path().join(&name);
            fs::write(&file, &bytes).unwrap();
            let start = Instant::now();
            let outcome = outcome(&file);
            let took = start.elapsed();
            if !matches!(outcome.as_deref(), Ok("read" | "refused")) {
                fs::create_dir_all(&kept).unwrap();
                fs::copy(&file, kept.join(&name)).unwrap();
            }
            fs::remove_file(&file).unwrap();
            let mut tally = tally.lock().unwrap();
            tally.2 = tally.2.max(took);
            match outcome {
                Ok(what) => *tally.0.entry(what).or_default() += 1,
                Err(problem) => tally.1.push(format!("{name}: {problem}")),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    let (tally, problems, longest) = tally.into_inner().unwrap();
    eprintln!("{count} files: {tally:?}; the longest took {longest:.2?}");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    // Changes that never do anything, or always, would test nothing.
    assert!(tally.get("read").is_some_and(|&n| n > count / 50), "{tally:?}");
    assert!(tally.get("refused").is_some_and(|&n| n > count / 10), "{tally:?}");
}
