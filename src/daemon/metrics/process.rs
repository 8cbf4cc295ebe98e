//! Numbers of the process, under the names that all clients of Prometheus give them. Linux alone, which tells them in /proc.

use super::Text;

/// What `/proc` says of this process.
struct Process {
    start_s: f64,
    cpu_s: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    open_fds: u64,
    max_fds: Option<u64>,
    threads: u64,
}

pub(super) fn tell(out: &mut Text) {
    let Some(process) = Process::read() else { return };
    let whole = |value: u64| value as f64;
    let numbers = [
        (
            "process_start_time_seconds",
            "gauge",
            "When the process started, since the epoch.",
            Some(process.start_s),
        ),
        ("process_cpu_seconds_total", "counter", "CPU time, user and system.", Some(process.cpu_s)),
        ("process_resident_memory_bytes", "gauge", "Memory in RAM.", Some(whole(process.resident_bytes))),
        ("process_virtual_memory_bytes", "gauge", "Address space.", Some(whole(process.virtual_bytes))),
        ("process_open_fds", "gauge", "Open file descriptors.", Some(whole(process.open_fds))),
        ("process_max_fds", "gauge", "Most file descriptors.", process.max_fds.map(whole)),
        ("process_threads", "gauge", "Threads.", Some(whole(process.threads))),
    ];
    for (name, kind, help, value) in numbers {
        if let Some(value) = value {
            out.describe(name, kind, help);
            out.line(name, "", value);
        }
    }
}

impl Process {
    fn read() -> Option<Self> {
        use rustix::param::{clock_ticks_per_second, page_size};
        use rustix::process::{Resource, getrlimit};
        let stat = Stat::parse(&std::fs::read_to_string("/proc/self/stat").ok()?)?;
        let booted_s = booted_s(&std::fs::read_to_string("/proc/stat").ok()?)?;
        let ticks = clock_ticks_per_second() as f64;
        Some(Self {
            start_s: booted_s + stat.start_ticks as f64 / ticks,
            cpu_s: stat.cpu_ticks as f64 / ticks,
            resident_bytes: stat.resident_pages * page_size() as u64,
            virtual_bytes: stat.virtual_bytes,
            // The one that reads the directory is among them.
            open_fds: (std::fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1),
            max_fds: getrlimit(Resource::Nofile).current,
            threads: stat.threads,
        })
    }
}

/// What `/proc/self/stat` tells.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    /// Fields are counted from 1 in proc(5); the second, a name in parentheses, may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let (_, after_name) = text.rsplit_once(')')?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// When the machine was booted, seconds since the epoch.
fn booted_s(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let numbers: Vec<String> = (4..=40).map(|number| number.to_string()).collect();
        let text = format!("77 (a) b (c)) S {}", numbers.join(" "));
        let expected =
            Stat { cpu_ticks: 14 + 15, threads: 20, start_ticks: 22, virtual_bytes: 23, resident_pages: 24 };
        assert_eq!(Stat::parse(&text), Some(expected));
        assert_eq!(Stat::parse("77 (a) S 1 2 3"), None);
        assert_eq!(booted_s("cpu 1 2\nbtime 1700000000\n"), Some(1.7e9));
    }

    #[test]
    fn this_process_is_found() {
        let process = Process::read().unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(
            process.start_s > now - 7.0 * 86_400.0 && process.start_s < now + 60.0,
            "{}",
            process.start_s
        );
        assert!(process.resident_bytes > 1 << 20 && process.virtual_bytes > process.resident_bytes);
        assert!(process.open_fds >= 3 && process.threads >= 1);
    }
}
