//! Files made to do harm: what they declare is not believed, what they point to is not followed, and a parser that falls takes
//! nothing with it.
//!
//! The files in `tests/fixtures/hostile` were written by h5py (`make_hostile.py` beside them); those in `library_faults` are
//! what `mutations` found.
#![cfg(feature = "daemon")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use glauber::recording::{self, RecordingError, StorageError};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// What the library says of a file, after its name.
fn refusal(name: &str) -> String {
    let path = fixture("hostile").join(name);
    let message = recording::open(&path).expect_err(name).to_string();
    let rest = message.strip_prefix(&format!("{}: ", path.display()));
    let rest = rest.unwrap_or_else(|| panic!("{message}: names the file")).to_owned();
    assert!(!rest.contains('\n'), "{rest}: one line");
    rest
}

fn glauber(arguments: &[&str], file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glauber"));
    command.args(arguments).arg(file).env_remove("GLAUBER_READ_MEMORY").env_remove("GLAUBER_READ_SECONDS");
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn declarations_are_not_believed() {
    for (name, expected) in [
        ("declares_petabyte.nwb", "declares 125000000000000 elements, more than the 2147483648 accepted"),
        (
            "declares_petabyte_contiguous.nwb",
            "declares 125000000000000 elements, more than the 2147483648 accepted",
        ),
        (
            "declares_many_dimensions.nwb",
            "declares 1152921504606846976 elements, more than the 2147483648 accepted",
        ),
        (
            "declares_petabyte_chunk.nwb",
            "declares 4000000000 bytes, more than the 65536 its stored bytes can expand to",
        ),
        (
            "bomb.nwb",
            "declares 100663296 bytes, more than the 67108864 that so few stored bytes are taken to hold",
        ),
    ] {
        assert_eq!(refusal(name), format!("/units/spike_times {expected}"), "{name}");
    }
    assert_eq!(
        refusal("many_chunks.nwb"),
        "/units/spike_times_index declares 60000 chunks, more than the 16384 that the file has room to list"
    );
    assert_eq!(
        refusal("attribute_many.nwb"),
        "/@nwb_version declares 60000 elements, more than the 4096 accepted"
    );
    assert_eq!(
        refusal("cells_over_and_over.mat"),
        "/spikes/times declares 10066334400 bytes with all before it, more than the 4294967296 accepted of one file"
    );
    // Names that would fill the memory are passed over.
    let recording = recording::open(fixture("hostile/text_long.nwb")).unwrap();
    let problem = recording.problems.first().map(ToString::to_string).unwrap_or_default();
    assert!(problem.starts_with("/units/unit_name declares 6000000000 bytes, more than"), "{problem}");
}

#[test]
fn nothing_is_read_from_elsewhere() {
    for (name, expected) in [
        ("external_storage.nwb", "/units/spike_times is stored in another file, which is not followed"),
        ("external_link.nwb", "/units/spike_times is a link to another file, which is not followed"),
        ("external_group.nwb", "/units is a link to another file, which is not followed"),
        ("virtual.nwb", "/units/spike_times is a virtual dataset, which is not followed"),
        ("soft_link_loop.nwb", "/units/spike_times is a soft link, which is not followed"),
        ("soft_link_to_itself.nwb", "/units is a soft link, which is not followed"),
    ] {
        assert_eq!(refusal(name), expected, "{name}");
    }
}

#[test]
fn groups_that_contain_themselves_are_not_walked_to_their_end() {
    let recording = recording::open(fixture("hostile/group_in_itself.nwb")).unwrap();
    assert_eq!(recording.session.units.len(), 3);
    assert!(refusal("wells_in_themselves.h5").starts_with("unknown layout"));
}

#[test]
fn filters_that_are_not_part_of_the_library_are_refused_and_never_loaded() {
    for (name, filter) in [
        ("filter_unknown.nwb", "32000 (lzf)"),
        ("filter_unregistered.nwb", "61234"),
        ("filter_scale_offset.nwb", "6 (scale-offset)"),
    ] {
        match recording::open(fixture("hostile").join(name)) {
            Err(RecordingError::Storage(StorageError::UnknownFilter { object, filter: found, .. })) => {
                assert_eq!((object.as_str(), found.as_str()), ("/units/spike_times", filter), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// What crosses the boundary is what was read, and the errors are the very same.
#[test]
fn the_program_says_what_the_library_says() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("fit.h5");
    let fit = ["fit", "--bin-width", "20ms", "--out", out.to_str().unwrap()];
    for name in fs::read_dir(fixture("hostile")).unwrap().map(|entry| entry.unwrap().path()) {
        let Err(expected) = recording::open(&name) else { continue };
        for arguments in [&["inspect"][..], &fit] {
            let output = glauber(arguments, &name);
            assert_eq!(output.status.code(), Some(1), "{name:?}: {}", stderr(&output));
            assert_eq!(stderr(&output), format!("error: {expected}\n"));
            assert!(output.stdout.is_empty() && !out.exists());
        }
    }
    let absent = glauber(&["inspect"], Path::new("absent.nwb"));
    assert_eq!(
        (absent.status.code(), stderr(&absent).as_str()),
        (Some(1), "error: absent.nwb: no such file\n")
    );
    let part = glauber(&["inspect", "--part=-x"], &fixture("layouts/maxwell_plate.h5"));
    assert!(stderr(&part).contains("there is no '-x' in the file"), "{}", stderr(&part));
}

#[test]
fn inspect_prints_the_part_asked_for() {
    let plate = fixture("layouts/maxwell_plate.h5");
    let first = String::from_utf8(glauber(&["inspect"], &plate).stdout).unwrap();
    assert!(
        first.contains("maxwell 20190530") && first.contains("/wells/well001/rec0000 was read"),
        "{first}"
    );
    let other = String::from_utf8(glauber(&["inspect", "--part", "well002"], &plate).stdout).unwrap();
    assert!(other.contains("/wells/well002/rec0000/spikes"), "{other}");
}

/// Memory and time are bounded by the operating system, whatever the library does.
#[test]
fn bounds_are_kept_and_named() {
    let file = fixture("recordings/written_by_pynwb.nwb");
    let wrong = glauber(&["inspect", "--read-memory", "3GB"], &file);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("'3GB' is not an amount of memory"), "{}", stderr(&wrong));
    let none = glauber(&["inspect", "--read-seconds", "0"], &file);
    assert_eq!(none.status.code(), Some(2), "{}", stderr(&none));
    let enough = glauber(&["inspect", "--read-memory", "1GiB", "--read-seconds", "5"], &file);
    assert!(enough.status.success(), "{}", stderr(&enough));

    // Nothing is wrong with eight million spikes, but with the program itself they do not fit.
    let large = fixture("hostile/many_spikes.nwb");
    let output = glauber(&["inspect", "--read-memory", "128MiB"], &large);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("memory"), "{}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
}

/// `mutations` found these files: one keeps version 1.10.8 of the library in an endless loop in its global heap, one has it free what
/// it never had. A version that refuses them, or reads them, is as good.
#[test]
fn loops_and_crashes_of_the_library_are_errors_like_others() {
    for name in ["endless_loop.nwb", "crash.h5"] {
        let output = glauber(&["inspect", "--read-seconds", "1"], &fixture("library_faults").join(name));
        let said = stderr(&output);
        eprintln!("{said}");
        if !output.status.success() {
            assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
            assert!(said.contains(&format!("{name}: ")) && !said.contains("panicked"), "{said}");
        }
    }
}

/// The child limits itself before it reads, and answers in one frame.
#[test]
fn the_child_answers_in_one_frame() {
    let file = fixture("recordings/written_by_pynwb.nwb");
    let arguments = ["read-in-child", "recording", "--memory", "1000000000", "--seconds", "5"];
    let output = glauber(&arguments, &file);
    assert!(output.status.success() && output.stdout.starts_with(b"glauber1"), "{}", stderr(&output));
    let length = u64::from_le_bytes(output.stdout[8..16].try_into().unwrap());
    assert_eq!(length, output.stdout.len() as u64 - 16);
}
