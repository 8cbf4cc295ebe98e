//! The report of a load for people.

use super::latency::Quantiles;
use super::report::{Check, Estimates, Load, Process, Queries, Report, Throughput, Watchers};
use super::ring::Encoding;
use crate::cli::error::CliError;
use crate::cli::output::{self, Align, outln};
use crate::cli::{Manner, text};

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
