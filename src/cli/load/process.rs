//! What a process uses of the machine, by /proc. Where there is none, nothing is known.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a process has used since it began, in clock ticks of the processor.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage {
    total: u64,
    /// By thread: what it is for, and ticks.
    threads: BTreeMap<u64, (String, u64)>,
}

/// Memory of a process, bytes.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(super) struct Memory {
    /// Resident now.
    pub(super) resident_bytes: u64,
    /// Most that was ever resident.
    pub(super) peak_bytes: u64,
}

/// What was used between two readings, in % of one core.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(super) struct CpuShare {
    /// By the whole process.
    pub(super) percent: f64,
    /// By groups of threads that do the same; `ended threads` are those that were gone at the end.
    pub(super) by_threads: BTreeMap<String, f64>,
}

/// The directory of a process, if there is one.
fn directory(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

/// Whether processes can be looked at here at all.
pub(super) fn is_known() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// Whether there is such a process.
pub(super) fn exists(pid: u32) -> bool {
    directory(pid).exists()
}

/// Whether this one was told to outlive its terminal, as by nohup.
pub(super) fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // SIGHUP is 1, the lowest bit.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// What a process has used so far.
pub(super) fn usage(pid: u32) -> Option<Usage> {
    let directory = directory(pid);
    let (_, total) = stat(&directory.join("stat"))?;
    let mut threads = BTreeMap::new();
    for entry in fs::read_dir(directory.join("task")).ok()?.flatten() {
        let thread = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // One that has just ended is among the ended.
        if let (Some(thread), Some((name, ticks))) = (thread, stat(&entry.path().join("stat"))) {
            threads.insert(thread, (group(&name).to_owned(), ticks));
        }
    }
    Some(Usage { total, threads })
}

/// The memory of a process.
pub(super) fn memory(pid: u32) -> Option<Memory> {
    let status = fs::read_to_string(directory(pid).join("status")).ok()?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(1024 * kilobytes)
    };
    Some(Memory { resident_bytes: bytes("VmRSS:")?, peak_bytes: bytes("VmHWM:")? })
}

/// Name, and user and system time in ticks, of a process or thread.
fn stat(path: &Path) -> Option<(String, u64)> {
    parse_stat(&fs::read_to_string(path).ok()?)
}

fn parse_stat(text: &str) -> Option<(String, u64)> {
    // The name is in parentheses and may itself contain any.
    let (head, rest) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((name.to_owned(), user + system))
}

/// What a thread of the daemon is for, by its name, of which the system keeps 15 bytes.
fn group(name: &str) -> &str {
    let groups = [
        ("engine", "engines"),
        ("estimator", "estimators"),
        ("refit", "refits"),
        ("last-refit", "refits"),
        ("trials", "refits"),
        ("equilibrium", "equilibrium fits"),
        ("last-fit", "equilibrium fits"),
        ("journal", "journal"),
        ("archiver", "archiver"),
        ("tokio", "gRPC"),
        // As a program names them that has no name for them.
        ("glauber", "main"),
    ];
    groups.iter().find(|(prefix, _)| name.starts_with(prefix)).map_or("other", |(_, group)| group)
}

impl Usage {
    /// What was used since an earlier reading, `seconds` ago.
    pub(super) fn since(&self, before: &Self, seconds: f64) -> CpuShare {
        let percent = |ticks: u64| 100.0 * ticks as f64 / ticks_per_second() / seconds;
        let total = self.total.saturating_sub(before.total);
        let mut by_group: BTreeMap<String, u64> = BTreeMap::new();
        let mut living = 0;
        for (thread, (group, ticks)) in &self.threads {
            let earlier = before.threads.get(thread).map_or(0, |(_, ticks)| *ticks);
            let used = ticks.saturating_sub(earlier);
            living += used;
            *by_group.entry(group.clone()).or_default() += used;
        }
        // Threads are read after the process, and may be a tick or two further.
        let total = total.max(living);
        by_group.insert("ended threads".to_owned(), total - living);
        let by_threads = by_group
            .into_iter()
            .filter(|(_, ticks)| *ticks > 0)
            .map(|(group, ticks)| (group, percent(ticks)))
            .collect();
        CpuShare { percent: percent(total), by_threads }
    }
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_is_read() {
        let text = "12 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20 0";
        assert_eq!(parse_stat(text), Some(("a) b (c)".to_owned(), 42)));
        assert_eq!(parse_stat("12 (a"), None);
        assert_eq!(parse_stat("12 (a) S 1"), None);
    }

    #[test]
    fn groups_add_up_to_the_process() {
        let threads = |list: &[(u64, &str, u64)]| {
            list.iter().map(|&(id, name, ticks)| (id, (group(name).to_owned(), ticks))).collect()
        };
        let before = Usage { total: 100, threads: threads(&[(1, "engine-s-01", 60), (2, "refit-0", 40)]) };
        let now = Usage {
            total: 400,
            threads: threads(&[(1, "engine-s-01", 160), (3, "engine-s-02", 50), (4, "tokio-rt-worker", 70)]),
        };
        let share = now.since(&before, 2.0);
        let ticks = |percent: f64| (percent / 100.0 * 2.0 * ticks_per_second()).round();
        let found: Vec<_> =
            share.by_threads.iter().map(|(name, percent)| (name.as_str(), ticks(*percent))).collect();
        assert_eq!(found, [("ended threads", 80.0), ("engines", 150.0), ("gRPC", 70.0)]);
        assert_eq!(ticks(share.percent), 300.0);
        let early = Usage { total: 170, threads: threads(&[(1, "engine-s-01", 142)]) };
        assert_eq!(ticks(early.since(&before, 2.0).percent), 82.0);
    }

    #[test]
    fn the_own_process_is_known_where_any_is() {
        if is_known() {
            let own = std::process::id();
            assert!(exists(own) && usage(own).is_some_and(|usage| !usage.threads.is_empty()));
            assert!(memory(own).is_some_and(|memory| memory.peak_bytes >= memory.resident_bytes));
        }
    }
}
