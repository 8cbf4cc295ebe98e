//! What a load has shown: the document of `--json`.

use serde::Serialize;

use super::latency::{Latencies, Quantiles, Until};
use super::process::{CpuShare, Memory};
use super::ring::Encoding;

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

/// All of the rigs' spans of one kind.
pub(super) fn together<'a>(empty: &Latencies, all: impl Iterator<Item = &'a Until>) -> Spans {
    let mut sum = Until::new(empty);
    all.for_each(|until| sum.add(until));
    Spans::from(&sum)
}
