//! The outside: start the child, bound what it may take, and tell what became of it.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal};

use super::error::ReadingError;
use super::reply::Reply;

/// Name of the hidden subcommand.
pub(crate) const SUBCOMMAND: &str = "read-in-child";

/// Processor time for any file, seconds, and bytes of a file for each further second: a tenth of what gzip gives here.
const SECONDS_MIN: u64 = 4;
const BYTES_PER_SECOND: u64 = 4_000_000;
/// Most processor time that a file gets for its length alone, which costs nothing to claim.
const SECONDS_MAX: u64 = 300;
/// How many times its processor time a child may take by the clock: disks are slow and machines busy.
const CLOCK_FACTOR: u64 = 2;
/// Least memory that can be asked for: the program with its libraries takes some of it before it reads anything.
const MEMORY_MIN: u64 = 64 << 20;
/// Bytes of stderr that are kept: the first line of a panic is of interest.
const STDERR_BYTES_MAX: u64 = 1 << 14;
/// Files that a child needs open: its pipes, the file, and what the loader reads.
const FILES_MAX: u64 = 64;
/// Exit code of a Rust program that panicked.
const PANICKED: i32 = 101;

/// What a child may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Address space, bytes.
    memory: u64,
    /// Processor time, seconds.
    seconds: u64,
}

impl Limits {
    /// The limits for a file; seconds that are not given follow from its length.
    pub(super) fn new(path: &Path, memory: u64, seconds: Option<u64>) -> Self {
        // Of a file that is not there the child will say so.
        let bytes = || fs::metadata(path).map_or(0, |metadata| metadata.len());
        Self {
            memory,
            seconds: seconds.unwrap_or_else(|| (SECONDS_MIN + bytes() / BYTES_PER_SECOND).min(SECONDS_MAX)),
        }
    }

    fn clock(self) -> Duration {
        Duration::from_secs(self.seconds.saturating_mul(CLOCK_FACTOR))
    }
}

/// Bytes with an optional unit: 512MiB, 4GiB.
pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let unit = UNITS.iter().find_map(|&(unit, bits)| Some((text.strip_suffix(unit)?, bits)));
    let (number, bits) = unit.unwrap_or((text, 0));
    let bytes = number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(1 << bits));
    match bytes {
        Some(bytes) if (MEMORY_MIN..=1 << 50).contains(&bytes) => Ok(bytes),
        _ => Err(format!(
            "'{text}' is not an amount of memory: expected 64MiB to 1024TiB, such as 512MiB or 16GiB"
        )),
    }
}

/// Have the calling process limited before it opens a stranger's file: memory, processor time, no core dumps, nothing written to
/// files, few open ones; and ended when its parent ends.
pub(super) fn confine(memory: u64, seconds: u64) -> io::Result<()> {
    let limits = [
        (Resource::As, memory),
        (Resource::Cpu, seconds),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, FILES_MAX),
    ];
    for (resource, limit) in limits {
        // A limit of the system that is lower already stays.
        let own = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        // At the soft limit of processor time comes a signal that says so, at the hard one a plain SIGKILL.
        let hard = if resource == Resource::Cpu { limit.saturating_add(1) } else { limit };
        let limit = Rlimit { current: Some(limit.min(own)), maximum: Some(hard.min(own)) };
        match rustix::process::setrlimit(resource, limit) {
            // macOS bounds no address space.
            Err(_) if cfg!(target_os = "macos") && resource == Resource::As => {}
            outcome => outcome?,
        }
    }
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

/// Run this program again to read a file, and hear its answer.
pub(super) fn ask(
    what: &str,
    path: &Path,
    limits: Limits,
    options: Vec<OsString>,
) -> Result<Reply, ReadingError> {
    let process = |doing| move |source| ReadingError::Process { path: path.to_owned(), doing, source };
    let mut child = Command::new(program().map_err(process("find"))?)
        .args([SUBCOMMAND, what, "--memory", &limits.memory.to_string()])
        .args(["--seconds", &limits.seconds.to_string()])
        .args(options)
        .arg("--")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(process("start"))?;
    let (sender, ended) = mpsc::channel();
    // An answer takes less room than what it was made from; the rest of a longer one is left in the pipe, and its end missed.
    let answer = drain(child.stdout.take(), limits.memory, Some(sender));
    let words = drain(child.stderr.take(), STDERR_BYTES_MAX, None);
    let in_time = ended.recv_timeout(limits.clock()) != Err(mpsc::RecvTimeoutError::Timeout);
    let status = end(&mut child, in_time).map_err(process("wait for"))?;
    let (answer, words) = (joined(answer), joined(words));
    let Some(status) = status else {
        let bound = format!("{} s", limits.clock().as_secs());
        return Err(ReadingError::Time { path: path.to_owned(), bound });
    };
    if status.success() {
        return Reply::parse(&answer)
            .map_err(|problem| ReadingError::BadReply { path: path.to_owned(), problem });
    }
    Err(failure(path.to_owned(), status, &String::from_utf8_lossy(&words), limits))
}

/// This very program, even if another has taken its place on the disk since.
fn program() -> io::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { Ok(running) } else { std::env::current_exe() }
}

/// Read a pipe to its end on a thread of its own; says when it is there.
fn drain(
    pipe: Option<impl Read + Send + 'static>,
    bytes_max: u64,
    ended: Option<mpsc::Sender<()>>,
) -> Option<JoinHandle<Vec<u8>>> {
    let mut pipe = pipe?;
    Some(std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // Of a pipe that breaks, what came before is kept; the child's end tells the rest.
        let _ = pipe.by_ref().take(bytes_max).read_to_end(&mut bytes);
        let _ = io::copy(&mut pipe, &mut io::sink());
        drop(ended);
        bytes
    }))
}

fn joined(reader: Option<JoinHandle<Vec<u8>>>) -> Vec<u8> {
    reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
}

/// How the child ended; `None` when it had to be killed for being late.
fn end(child: &mut Child, in_time: bool) -> io::Result<Option<ExitStatus>> {
    /// A child that has closed its end of the pipe is all but gone.
    const LAST: Duration = Duration::from_secs(5);
    if in_time {
        let deadline = Instant::now() + LAST;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// Why a child ended that did not succeed.
fn failure(path: PathBuf, status: ExitStatus, words: &str, limits: Limits) -> ReadingError {
    // What the runtime says before it aborts for want of memory.
    let is_memory = words.contains("memory allocation of");
    match status.signal() {
        _ if is_memory => ReadingError::Memory { path, limit: format!("{} MiB", limits.memory >> 20) },
        Some(signal) => {
            let (name, is_crash) = signal_name(signal);
            match Signal::from_named_raw(signal) {
                Some(Signal::XCPU) => {
                    ReadingError::Time { path, bound: format!("{} s of processor time", limits.seconds) }
                }
                _ if is_crash => ReadingError::Crashed { path, signal: name },
                _ => ReadingError::Killed { path, signal: name },
            }
        }
        None if status.code() == Some(PANICKED) => {
            let message = words.split_whitespace().collect::<Vec<_>>().join(" ");
            ReadingError::Panicked { path, message }
        }
        None => {
            let said = words.split_whitespace().collect::<Vec<_>>().join(" ");
            ReadingError::BadReply { path, problem: format!("{status}; {said}") }
        }
    }
}

/// The name of a signal, and whether it is one that a crash sends.
fn signal_name(signal: i32) -> (String, bool) {
    let named = [
        (Signal::SEGV, "SIGSEGV", true),
        (Signal::ABORT, "SIGABRT", true),
        (Signal::BUS, "SIGBUS", true),
        (Signal::FPE, "SIGFPE", true),
        (Signal::ILL, "SIGILL", true),
        (Signal::SYS, "SIGSYS", true),
        (Signal::KILL, "SIGKILL", false),
        (Signal::TERM, "SIGTERM", false),
        (Signal::INT, "SIGINT", false),
    ];
    let found = named.iter().find(|(candidate, ..)| candidate.as_raw() == signal);
    found.map_or_else(
        || (format!("signal {signal}"), false),
        |&(_, name, is_crash)| (name.to_owned(), is_crash),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_memory() {
        assert_eq!(parse_bytes("4GiB"), Ok(4 << 30));
        assert_eq!(parse_bytes("512 MiB"), Ok(512 << 20));
        assert_eq!(parse_bytes("67108864"), Ok(64 << 20));
        for text in ["", "GiB", "1", "1KiB", "-1GiB", "4GB", "99999999999TiB", "2000TiB"] {
            assert!(parse_bytes(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn ends_of_a_child_are_told_apart() {
        let limits = Limits { memory: 256 << 20, seconds: 9 };
        let told = |raw: i32, words: &str| {
            failure("a.nwb".into(), ExitStatus::from_raw(raw), words, limits).to_string()
        };
        let crash =
            "a.nwb: the HDF5 library crashed (SIGSEGV) while reading it: the file is damaged or malicious";
        assert_eq!(told(Signal::SEGV.as_raw(), ""), crash);
        assert!(told(Signal::ABORT.as_raw(), "malloc(): corrupted top size").contains("crashed (SIGABRT)"));
        assert!(
            told(Signal::ABORT.as_raw(), "memory allocation of 9 bytes failed")
                .contains("more than 256 MiB of memory")
        );
        assert!(told(Signal::XCPU.as_raw(), "").contains("more than 9 s of processor time"));
        assert!(told(Signal::KILL.as_raw(), "").contains("was killed (SIGKILL)"));
        assert!(
            told(PANICKED << 8, "panicked at src/x.rs:1:\nindex")
                .contains("reported: panicked at src/x.rs:1: index")
        );
        assert!(told(3 << 8, "").contains("no usable answer"));
    }
}
