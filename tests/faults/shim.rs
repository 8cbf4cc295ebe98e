//! Faults of the disk, turned on and off from outside the daemon.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Kinds of calls, as in tests/fixtures/faults.c.
pub(crate) const CREATE: u32 = 1;
pub(crate) const OPEN: u32 = 2;
pub(crate) const WRITE: u32 = 4;
pub(crate) const TRUNCATE: u32 = 8;
pub(crate) const SYNC: u32 = 16;
pub(crate) const SYNC_DIRECTORY: u32 = 32;
pub(crate) const RENAME: u32 = 64;
pub(crate) const LINK: u32 = 128;
pub(crate) const MAKE_DIRECTORY: u32 = 256;
pub(crate) const UNLINK: u32 = 512;

pub(crate) const EIO: i32 = 5;
pub(crate) const EACCES: i32 = 13;
pub(crate) const ENOSPC: i32 = 28;

/// What the system says of an error.
pub(crate) fn said(errno: i32) -> String {
    std::io::Error::from_raw_os_error(errno).to_string()
}

/// Offset of `failed` in the control file, and its length.
const FAILED_AT: u64 = 24;
const PART_AT: u64 = 32;
const BYTES: u64 = 256;

/// The compiled library, once per process; `None`, and said so, where there is no compiler.
fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("faults.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/faults.c");
        let compiler = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl")
            .output();
        let Ok(output) = compiler else {
            println!("skipped: no C compiler (cc) here");
            return None;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some((folder, library))
    });
    library.as_ref().map(|(_, library)| library.as_path())
}

/// Faults of the files below one directory.
pub(crate) struct Faults {
    control: File,
    control_path: PathBuf,
    directory: PathBuf,
    library: &'static Path,
}

impl Faults {
    /// None yet; `None` where there can be none.
    pub(crate) fn below(directory: &Path) -> Option<Self> {
        let library = library()?;
        let control_path = directory.join("control");
        let control =
            File::options().read(true).write(true).create(true).truncate(true).open(&control_path).unwrap();
        control.set_len(BYTES).unwrap();
        Some(Self { control, control_path, directory: directory.to_owned(), library })
    }

    pub(crate) fn preload(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", self.library)
            .env("FAULTS_DIR", &self.directory)
            .env("FAULTS_CONTROL", &self.control_path);
    }

    /// From now on let calls of these kinds on paths that contain `part` fail, for good.
    pub(crate) fn begin(&self, kinds: u32, part: &str, errno: i32) {
        self.begin_at(kinds, part, errno, 0, i64::MAX);
    }

    /// The same, of `count` calls, once `skip` have passed.
    pub(crate) fn begin_at(&self, kinds: u32, part: &str, errno: i32, skip: i64, count: i64) {
        self.end();
        let mut name = [0; (BYTES - PART_AT) as usize];
        name[..part.len()].copy_from_slice(part.as_bytes());
        self.write(4, &errno.to_ne_bytes());
        self.write(8, &skip.to_ne_bytes());
        self.write(16, &count.to_ne_bytes());
        self.write(FAILED_AT, &0_u64.to_ne_bytes());
        self.write(PART_AT, &name);
        self.write(0, &kinds.to_ne_bytes());
    }

    pub(crate) fn end(&self) {
        self.write(0, &0_u32.to_ne_bytes());
    }

    /// How many calls have failed since the last beginning.
    pub(crate) fn failed(&self) -> u64 {
        let mut failed = [0; 8];
        self.control.read_exact_at(&mut failed, FAILED_AT).unwrap();
        u64::from_ne_bytes(failed)
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.control.write_all_at(bytes, at).unwrap();
    }
}
