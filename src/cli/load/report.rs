//! What a load has shown: the document of `--json`, the same for people, and whether it is what was hoped for.

use serde::Serialize;

use super::latency::{Latencies, Quantiles, Until};
use super::process::{CpuShare, Memory};
use super::ring::Encoding;
use crate::cli::error::CliError;
use crate::cli::output::{self, Align, outln};
use crate::cli::{Manner, text};

/// Everything that is told of a load, as `glauber load --json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// What was asked for.
    pub(super) load: Load,
    /// Whether it was ended by Ctrl-C; everything is then of the time until it.
    pub(super) interrupted: bool,
    /// Time before anything was measured, and the measured interval, seconds.
    pub(super) warmup_s: f64,
    pub(super) measured_s: f64,
    pub(super) throughput: Throughput,
    pub(super) latency: Latency,
    /// The daemon's process; absent where nothing is known of it (without --daemon-pid, or where there is no /proc).
    pub(super) daemon: Option<Process>,
    /// The process of this program: rigs, watchers and queries.
    pub(super) client: Option<Process>,
    pub(super) estimates: Estimates,
    pub(super) watchers: Watchers,
    pub(super) queries: Queries,
    pub(super) check: Check,
    /// Everything that is wrong, each in a line; empty when all is well.
    pub(super) problems: Vec<String>,
}

/// What was asked for.
#[derive(Debug, Serialize)]
pub(super) struct Load {
    /// Where the daemon listens, and whether it was started for this.
    pub(super) address: String,
    pub(super) own_daemon: bool,
    /// Whether it keeps a journal, and, of a daemon of our own, whether that lies in memory (tmpfs), where syncing costs nothing.
    pub(super) journal: bool,
    pub(super) journal_in_memory: bool,
    pub(super) rigs: usize,
    pub(super) neurons: u32,
    pub(super) bin_width_us: u32,
    /// Share of the neurons that are active in a bin.
    pub(super) active: f64,
    pub(super) batch_bins: u64,
    pub(super) encoding: Encoding,
    /// Times real time; absent for as fast as possible.
    pub(super) speed: Option<f64>,
    pub(super) seed: u64,
    /// As the sessions had them.
    pub(super) windows: Vec<String>,
    pub(super) estimators: Vec<String>,
    pub(super) refresh_interval_bins: u64,
    pub(super) equilibrium_methods: usize,
}

/// What was counted, of all rigs together, per second of the measured interval.
#[derive(Debug, Serialize)]
pub(super) struct Throughput {
    pub(super) bins_per_s: f64,
    pub(super) messages_per_s: f64,
    /// Active (neuron, bin) entries.
    pub(super) entries_per_s: f64,
    /// Encoded spikes, millions of bytes.
    pub(super) payload_mb_per_s: f64,
    /// Recording time of one rig per second: 1 is real time.
    pub(super) times_real_time: f64,
    /// How far counting was behind what was due at the end, seconds by the clock; absent for as fast as possible.
    pub(super) behind_s: Option<f64>,
}

/// How long messages took that were due in the measured interval. Acknowledgements say how far a session is each time more is durable, or a
/// `server.ack_interval_ms` has passed (20 ms unless configured otherwise), so `received` and `applied` contain the wait for the next one.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    /// How late messages were handed to their stream: the generator's own lateness, and waiting for a daemon that pushes back.
    pub(super) lag: Option<Quantiles>,
    pub(super) received: Spans,
    pub(super) applied: Spans,
    /// Absent without a journal.
    pub(super) durable: Option<Spans>,
    /// Until a client on a connection of its own, which asks again and again, is told that the bins are counted; of a sample of messages.
    pub(super) visible: Spans,
    /// How long its questions took, from the beginning to the end.
    pub(super) asking: Option<Quantiles>,
    /// Acknowledgements per second and rig, from the beginning to the end.
    pub(super) acks_per_s_and_rig: f64,
}

/// Spans from the time a message was due by the schedule (no coordinated omission), and from when it was handed to its stream. The
/// same when sent as fast as possible.
#[derive(Debug, Serialize)]
pub(super) struct Spans {
    pub(super) from_due: Option<Quantiles>,
    pub(super) from_handed: Option<Quantiles>,
}

impl From<&Until> for Spans {
    fn from(until: &Until) -> Self {
        Self { from_due: until.from_due.quantiles(), from_handed: until.from_handed.quantiles() }
    }
}

/// What a process used in the measured interval, and its memory at its end.
#[derive(Debug, Serialize)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// In % of one core.
    pub(super) cpu: CpuShare,
    pub(super) memory: Option<Memory>,
}

/// What the sessions estimated in the measured interval.
#[derive(Debug, Default, Serialize)]
pub(super) struct Estimates {
    pub(super) refreshes_published: u64,
    /// Because the one before was still running.
    pub(super) refreshes_skipped: u64,
    pub(super) refits: u64,
    pub(super) equilibrium_published: u64,
}

/// Watchers of couplings in the measured interval.
#[derive(Debug, Default, Serialize)]
pub(super) struct Watchers {
    pub(super) count: usize,
    pub(super) publications: u64,
    /// Publications that a watcher was too slow for.
    pub(super) missed: u64,
    pub(super) mb_per_s: f64,
}

/// Queries for couplings in the measured interval.
#[derive(Debug, Default, Serialize)]
pub(super) struct Queries {
    pub(super) per_second: u32,
    pub(super) answers: u64,
    /// Because nothing was published yet, or too many large answers were under way.
    pub(super) refused: u64,
    pub(super) mb_per_s: f64,
    /// From when a query was due until its whole answer was there.
    pub(super) latency: Option<Quantiles>,
}

/// What was sent from the beginning to the end, and what the sessions have of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Check {
    pub(super) bins_sent: u64,
    pub(super) bins_applied: u64,
    /// Absent without a journal.
    pub(super) bins_durable: Option<u64>,
    pub(super) entries_sent: u64,
    pub(super) entries_applied: u64,
    pub(super) gap_bins: u64,
    pub(super) repeated_bins: u64,
}

/// What the user hopes for.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct AimArgs {
    /// Fail when bins take longer to be visible, 99th percentile, milliseconds
    #[arg(long, value_name = "MS", value_parser = positive)]
    expect_visible_p99_ms: Option<f64>,
    /// Fail when bins take longer to be durable, 99th percentile, milliseconds
    #[arg(long, value_name = "MS", value_parser = positive)]
    expect_durable_p99_ms: Option<f64>,
    /// Fail when the daemon uses more than this of one core, %
    #[arg(long, value_name = "PERCENT", value_parser = positive)]
    expect_cpu_percent: Option<f64>,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err(format!("'{text}' is not a bound: expected a number above 0")),
    }
}

impl AimArgs {
    /// Each aim that was missed, in a line.
    pub(super) fn missed(&self, report: &Report) -> Vec<String> {
        let p99 = |spans: Option<&Spans>| Some(spans?.from_due?.p99_ms);
        let latency = &report.latency;
        let cpu = report.daemon.as_ref().map(|daemon| daemon.cpu.percent);
        let aims = [
            ("visible p99", "ms", self.expect_visible_p99_ms, p99(Some(&latency.visible))),
            ("durable p99", "ms", self.expect_durable_p99_ms, p99(latency.durable.as_ref())),
            ("CPU of the daemon", "% of one core", self.expect_cpu_percent, cpu),
        ];
        aims.into_iter()
            .filter_map(|(what, unit, expected, found)| match (expected?, found) {
                (expected, Some(found)) if found <= expected => None,
                (expected, Some(found)) => {
                    Some(format!("{what}: expected at most {expected} {unit}, got {found:.1}"))
                }
                (expected, None) => {
                    Some(format!("{what}: expected at most {expected} {unit}, but it could not be measured"))
                }
            })
            .collect()
    }
}

impl Report {
    /// Print it.
    pub(super) fn print(&self, manner: Manner) -> Result<(), CliError> {
        if manner.json {
            let document =
                serde_json::to_value(self).map_err(|error| CliError::Stdout { source: error.into() })?;
            return output::json(&document);
        }
        output::print_facts(&self.facts())?;
        outln!("")?;
        self.print_latencies()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let interrupted = if self.interrupted { ", ended by Ctrl-C" } else { "" };
        let mut facts = vec![
            ("load", self.load.text()),
            ("sessions", self.load.sessions()),
            (
                "measured",
                format!(
                    "{} after {} of warm-up{interrupted}",
                    text::seconds(self.measured_s),
                    text::seconds(self.warmup_s)
                ),
            ),
            ("counted", self.throughput.text()),
        ];
        facts.push((
            "daemon",
            self.daemon.as_ref().map_or_else(|| "CPU and memory unknown".to_owned(), Process::text),
        ));
        if let Some(daemon) = &self.daemon {
            facts.push(("", daemon.threads()));
        }
        if let Some(client) = &self.client {
            facts.push(("this side", client.text()));
        }
        facts.push(("refreshes", self.estimates.text()));
        facts.extend((self.watchers.count > 0).then(|| ("watchers", self.watchers.text())));
        facts.extend((self.queries.per_second > 0).then(|| ("queries", self.queries.text())));
        facts.push(("sent", self.check.text()));
        facts
    }

    fn print_latencies(&self) -> Result<(), CliError> {
        let latency = &self.latency;
        let paced = self.load.speed.is_some();
        let mut table = output::table(&[
            ("milliseconds", Align::Left),
            ("p50", Align::Right),
            ("p90", Align::Right),
            ("p99", Align::Right),
            ("p99.9", Align::Right),
            ("max", Align::Right),
            ("samples", Align::Right),
        ]);
        let durable = latency.durable.as_ref().and_then(|spans| spans.from_due);
        let rows = [
            ("handed over late by", latency.lag),
            ("until acknowledged as received", latency.received.from_due),
            ("… as applied", latency.applied.from_due),
            ("… as durable", durable),
            ("until visible to others", latency.visible.from_due),
            ("query answered", self.queries.latency),
        ];
        for (name, quantiles) in rows {
            let Some(quantiles) = quantiles else { continue };
            let Quantiles { samples, p50_ms, p90_ms, p99_ms, p999_ms, max_ms } = quantiles;
            let values = [p50_ms, p90_ms, p99_ms, p999_ms, max_ms].map(milliseconds);
            table.add_row([name.to_owned()].into_iter().chain(values).chain([text::count(samples)]));
        }
        output::print_table(&table)?;
        outln!("")?;
        outln!(
            "Times are from {}; acknowledgements come each time more is durable or server.ack_interval_ms has",
            if paced {
                "when a message was due by the schedule"
            } else {
                "when a message was handed to its stream"
            }
        )?;
        outln!("passed, here {:.0} a second and rig.", latency.acks_per_s_and_rig)
    }
}

fn milliseconds(value: f64) -> String {
    if value < 99.95 { format!("{value:.2}") } else { format!("{value:.0}") }
}

/// A number of things per second, in as many digits as mean something.
fn rate(value: f64) -> String {
    if value < 99.95 { format!("{value:.2}") } else { text::count(value.round() as u64) }
}

impl Load {
    fn text(&self) -> String {
        let speed =
            self.speed.map_or_else(|| "as fast as possible".to_owned(), |speed| format!("at {speed}x"));
        let encoding = match self.encoding {
            Encoding::Sparse => "sparse",
            Encoding::Packed => "packed",
        };
        format!(
            "{} of {}, bins of {} ms, {} % active, {encoding} messages of {}, {speed}",
            text::counted(self.rigs as u64, "rig"),
            text::counted(self.neurons.into(), "neuron"),
            f64::from(self.bin_width_us) / 1000.0,
            (self.active * 1e6).round() / 1e4,
            text::counted(self.batch_bins, "bin"),
        )
    }

    fn sessions(&self) -> String {
        let journal = match (self.journal, self.journal_in_memory) {
            (false, _) => "no journal",
            (true, false) => "a journal",
            (true, true) => "a journal in memory, where syncing costs nothing (--dir DIR)",
        };
        format!(
            "windows {}; {}; a refresh every {}; {}; {journal}",
            self.windows.join(", "),
            self.estimators.join(", "),
            text::counted(self.refresh_interval_bins, "bin"),
            text::counted(self.equilibrium_methods as u64, "equilibrium method"),
        )
    }
}

impl Throughput {
    fn text(&self) -> String {
        let behind = match self.behind_s {
            Some(behind_s) => format!(", {} behind at the end", text::seconds(behind_s)),
            None => String::new(),
        };
        format!(
            "{} bins/s, {} real time for each rig; {} messages/s, {} entries/s, {:.2} MB/s of spikes{behind}",
            rate(self.bins_per_s),
            text::ratio(self.times_real_time),
            rate(self.messages_per_s),
            rate(self.entries_per_s),
            self.payload_mb_per_s,
        )
    }
}

impl Process {
    fn text(&self) -> String {
        let memory = self.memory.map_or_else(String::new, |memory| {
            format!(
                "; memory {}, at most {}",
                text::bytes(memory.resident_bytes),
                text::bytes(memory.peak_bytes)
            )
        });
        format!("CPU {:.1} % of one core{memory}", self.cpu.percent)
    }

    /// What its threads did, most first.
    fn threads(&self) -> String {
        let mut groups: Vec<(&str, f64)> =
            self.cpu.by_threads.iter().map(|(name, percent)| (name.as_str(), *percent)).collect();
        groups.sort_by(|a, b| b.1.total_cmp(&a.1));
        let groups: Vec<String> =
            groups.iter().map(|(name, percent)| format!("{name} {percent:.1}")).collect();
        if groups.is_empty() { "idle".to_owned() } else { groups.join(", ") }
    }
}

impl Estimates {
    fn text(&self) -> String {
        format!(
            "{} published, {} skipped; {}; {}",
            text::count(self.refreshes_published),
            text::count(self.refreshes_skipped),
            text::counted(self.refits, "refit"),
            text::counted(self.equilibrium_published, "equilibrium fit"),
        )
    }
}

impl Watchers {
    fn text(&self) -> String {
        format!(
            "{}: {} read, {} missed, {:.2} MB/s",
            self.count,
            text::counted(self.publications, "publication"),
            text::count(self.missed),
            self.mb_per_s
        )
    }
}

impl Queries {
    fn text(&self) -> String {
        format!(
            "{} a second: {}, {} refused, {:.2} MB/s",
            self.per_second,
            text::counted(self.answers, "answer"),
            text::count(self.refused),
            self.mb_per_s
        )
    }
}

impl Check {
    fn text(&self) -> String {
        let durable = match self.bins_durable {
            Some(durable) => format!(", {} durable", text::count(durable)),
            None => String::new(),
        };
        format!(
            "{}: {} counted{durable}; {} of {} entries; {} missing, {} repeated",
            text::counted(self.bins_sent, "bin"),
            text::count(self.bins_applied),
            text::count(self.entries_applied),
            text::count(self.entries_sent),
            text::count(self.gap_bins),
            text::count(self.repeated_bins),
        )
    }
}

/// All of the rigs' spans of one kind.
pub(super) fn together<'a>(empty: &Latencies, all: impl Iterator<Item = &'a Until>) -> Spans {
    let mut sum = Until::new(empty);
    all.for_each(|until| sum.add(until));
    Spans::from(&sum)
}

#[cfg(test)]
mod tests {
    use super::positive;

    #[test]
    fn a_bound_is_a_number_above_zero() {
        assert_eq!(positive("2.5"), Ok(2.5));
        for text in ["0", "-1", "nan", "inf", "x", ""] {
            assert!(positive(text).is_err(), "{text:?} was taken");
        }
    }
}
