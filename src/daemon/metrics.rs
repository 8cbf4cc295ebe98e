//! Numbers for monitoring, in the text format of Prometheus.
//!
//! They are read from the sessions when someone asks: what the daemon has forgotten is in them no more, so that labels never add up.
//! Labels are sessions, windows and estimators, never neurons or pairs.

mod daemon;
#[cfg(target_os = "linux")]
mod process;

use std::fmt::Write;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::connections::Connections;
use super::handle::SessionHandle;
use super::journaling::Durability;
use super::registry::Registry;
use crate::proto::v1;
use crate::session::{ScoredEquilibrium, ScoredEstimate, Snapshot};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

/// Most connections at once.
pub(super) const CONNECTIONS_MAX: usize = 16;

const TEXT_FORMAT: &str = "text/plain; version=0.0.4";

/// How long something took, each time: counts of durations up to each bound.
#[derive(Debug, Default)]
pub(super) struct Durations {
    /// Of durations above the bound before and up to this one; the last of those above all.
    counts: [AtomicU64; Durations::BOUNDS_S.len() + 1],
    sum_us: AtomicU64,
}

impl Durations {
    const BOUNDS_S: [f64; 12] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0];

    pub(super) fn add(&self, duration: Duration) {
        let place = Self::BOUNDS_S.iter().take_while(|bound| duration.as_secs_f64() > **bound).count();
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// How often.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

/// One number of each session.
struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&SessionHandle) -> u64,
}

const METRICS: [Metric; 20] = [
    counter("glauber_bins_applied_total", "Bins counted.", |s| {
        s.applied_through().saturating_sub(load(&s.counters.gap_bins))
    }),
    counter("glauber_spikes_applied_total", "Active (neuron, bin) entries counted.", |s| {
        load(&s.counters.active_entries)
    }),
    counter("glauber_gaps_total", "Stretches of bins that never came.", |s| load(&s.counters.gap_count)),
    counter("glauber_gap_bins_total", "Bins that never came.", |s| load(&s.counters.gap_bins)),
    counter("glauber_bins_repeated_total", "Bins that came again and were ignored.", |s| {
        load(&s.counters.repeated_bins)
    }),
    counter("glauber_refreshes_published_total", "Publications of estimates.", |s| s.publisher.count()),
    counter(
        "glauber_refreshes_skipped_total",
        "Refreshes skipped: the one before was still computed.",
        |s| load(&s.counters.refreshes_skipped),
    ),
    counter("glauber_equilibrium_published_total", "Publications of equilibrium models.", |s| {
        s.equilibrium.count()
    }),
    counter(
        "glauber_equilibrium_skipped_total",
        "Fits of equilibrium models skipped: the one before was still computed, or the session rested from it.",
        |s| load(&s.equilibrium.counters.skipped),
    ),
    counter("glauber_spikes_late_total", "Time-stamped spikes that came after their bin was closed.", |s| {
        load(&s.counters.late_spikes)
    }),
    counter(
        "glauber_spikes_merged_total",
        "Time-stamped spikes of a neuron that had fired in their bin.",
        |s| load(&s.counters.merged_spikes),
    ),
    counter(
        "glauber_spikes_masked_total",
        "Time-stamped spikes in bins that were declared unobserved.",
        |s| load(&s.counters.masked_spikes),
    ),
    counter("glauber_snapshots_failed_total", "Snapshots that could not be written.", |s| {
        s.record().snapshot_failures
    }),
    gauge("glauber_producer_connected", "1 while a producer is connected.", |s| {
        u64::from(s.producer.current().is_some_and(|link| link.is_connected()))
    }),
    gauge("glauber_ingest_lag_bins", "Bins received and not yet counted.", |s| {
        s.received_through().saturating_sub(s.applied_through())
    }),
    gauge(
        "glauber_durable_lag_bins",
        "Bins counted and not yet durable; all of them without a journal.",
        |s| s.applied_through().saturating_sub(s.durable_through()),
    ),
    gauge("glauber_counts_bytes", "Bins and counts kept for the windows.", |s| {
        load(&s.counters.session_bytes)
    }),
    gauge("glauber_queued_bytes", "Bins waiting to be counted.", |s| s.queued_bytes()),
    gauge("glauber_queued_messages", "Messages waiting for the session's engine.", |s| s.queued_messages()),
    gauge("glauber_memory_bytes", "Bins, queued and kept, counts and published estimates.", |s| {
        s.memory_bytes()
    }),
];

const fn counter(name: &'static str, help: &'static str, value: fn(&SessionHandle) -> u64) -> Metric {
    Metric { name, kind: "counter", help, value }
}

const fn gauge(name: &'static str, help: &'static str, value: fn(&SessionHandle) -> u64) -> Metric {
    Metric { name, kind: "gauge", help, value }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Serve the numbers of a registry until the daemon stops.
pub(super) async fn serve(
    connections: Connections,
    registry: Arc<Registry>,
    stopped: impl Future<Output = ()> + Send + 'static,
) {
    let answer = move || {
        let text = render(&registry);
        async move { ([(CONTENT_TYPE, TEXT_FORMAT)], text) }
    };
    let router = Router::new().route("/metrics", get(answer));
    if let Err(error) = axum::serve(connections, router).with_graceful_shutdown(stopped).await {
        tracing::warn!(%error, "metrics are no longer served");
    }
}

fn render(registry: &Registry) -> String {
    let (sessions, durability) = (&registry.list()[..], &registry.durability);
    let mut out = Text::default();
    #[cfg(target_os = "linux")]
    process::tell(&mut out);
    daemon::tell(&mut out, registry, sessions);
    for metric in &METRICS {
        out.describe(metric.name, metric.kind, metric.help);
        for session in sessions {
            out.line(metric.name, &label(session), (metric.value)(session));
        }
    }
    type DurationsOf = fn(&SessionHandle) -> &Durations;
    let durations: [(&str, &str, DurationsOf); 3] = [
        ("glauber_refresh_seconds", "Time to compute a refresh.", |s| &s.counters.refreshes),
        ("glauber_refit_seconds", "Time to compute a refit.", |s| &s.counters.refits),
        ("glauber_equilibrium_seconds", "Time to fit the equilibrium models of a session.", |s| {
            &s.equilibrium.counters.fits
        }),
    ];
    for (name, help, of) in durations {
        out.describe(name, "histogram", help);
        for session in sessions {
            out.histogram(name, &label(session), of(session));
        }
    }
    out.journal(durability);
    out.scores(sessions);
    out.equilibrium_scores(sessions);
    out.0
}

fn label(session: &SessionHandle) -> String {
    // Identifiers are the daemon's own: nothing in them needs escaping.
    format!("session=\"{}\"", session.id)
}

fn estimate_label(session: &SessionHandle, snapshot: &Snapshot, scored: &ScoredEstimate) -> String {
    let (window, estimator) = (snapshot.window.window, scored.estimate.estimator);
    format!("{},window=\"{window}\",estimator=\"{estimator}\"", label(session))
}

/// Text in the format of Prometheus; writing to a string does not fail.
#[derive(Default)]
struct Text(String);

impl Text {
    fn describe(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    fn histogram(&mut self, name: &str, labels: &str, durations: &Durations) {
        let bounds = Durations::BOUNDS_S.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        let mut count = 0;
        for (bound, counted) in bounds.zip(&durations.counts) {
            count += load(counted);
            self.line(&format!("{name}_bucket"), &format!("{labels},le=\"{bound}\""), count);
        }
        let sum_s = Duration::from_micros(load(&durations.sum_us)).as_secs_f64();
        self.line(&format!("{name}_sum"), labels, sum_s);
        self.line(&format!("{name}_count"), labels, count);
    }

    fn journal(&mut self, durability: &Durability) {
        let Some(status) = durability.status() else { return };
        let is_working = status.health() == v1::JournalHealth::Working;
        let has_failed = status.health() == v1::JournalHealth::Failed;
        let numbers = [
            ("glauber_journal_working", "gauge", "1 while bins can be made durable.", u64::from(is_working)),
            (
                "glauber_journal_failed",
                "gauge",
                "1 once nothing becomes durable until the next start.",
                u64::from(has_failed),
            ),
            ("glauber_journal_entry_bytes", "gauge", "Bytes that the journal keeps.", status.entry_bytes),
            ("glauber_journal_file_bytes", "gauge", "Bytes of the journal's file.", status.file_bytes),
            ("glauber_journal_limit_bytes", "gauge", "Most bytes that the journal keeps.", status.bytes_max),
            ("glauber_journal_commits_total", "counter", "Commits of the journal.", durability.commits()),
        ];
        for (name, kind, help, value) in numbers {
            self.describe(name, kind, help);
            self.line(name, "", value);
        }
    }

    fn scores(&mut self, sessions: &[Arc<SessionHandle>]) {
        type OfEstimate = fn(&ScoredEstimate) -> Option<f64>;
        let metrics: [(&str, &str, OfEstimate); 3] = [
            (
                "glauber_score_bits_per_spike",
                "Recent gain over rates of predictions of bins that came later.",
                |scored| scored.score.recent.bits_per_spike(),
            ),
            ("glauber_score_total_bits_per_spike", "The same since the session began.", |scored| {
                scored.score.total.bits_per_spike()
            }),
            ("glauber_ridge", "Ridge in use.", |scored| Some(scored.estimate.ridge)),
        ];
        let publications: Vec<_> =
            sessions.iter().filter_map(|session| Some((session, session.publisher.latest()?))).collect();
        for (name, help, value) in metrics {
            self.describe(name, "gauge", help);
            for (session, publication) in &publications {
                for snapshot in &publication.snapshots {
                    for scored in &snapshot.estimates {
                        let Some(value) = value(scored) else { continue };
                        self.line(name, &estimate_label(session, snapshot, scored), value);
                    }
                }
            }
        }
        const BEST: &str = "glauber_best_estimator";
        self.describe(BEST, "gauge", "1 for the estimator with the best recent score of the session.");
        for (session, publication) in &publications {
            let Some(best) = publication.best(None) else { continue };
            self.line(BEST, &estimate_label(session, best.snapshot, best.scored()), 1);
        }
    }

    fn equilibrium_scores(&mut self, sessions: &[Arc<SessionHandle>]) {
        type OfModel = fn(&ScoredEquilibrium) -> Option<f64>;
        let metrics: [(&str, &str, OfModel); 2] = [
            (
                "glauber_equilibrium_score_bits_per_spike",
                "Recent gain over rates of equilibrium models, each neuron told from the others of its bin.",
                |scored| scored.score.recent.bits_per_spike(),
            ),
            (
                "glauber_equilibrium_pair_correlation",
                "Pearson correlation of the pair correlations that an equilibrium model predicts with those observed.",
                |scored| scored.fitted.check.as_ref()?.pair_correlations.correlation,
            ),
        ];
        let publications: Vec<_> =
            sessions.iter().filter_map(|session| Some((session, session.equilibrium.latest()?))).collect();
        for (name, help, value) in metrics {
            self.describe(name, "gauge", help);
            for (session, publication) in &publications {
                for (window, models) in session.spec.windows.iter().zip(&publication.windows) {
                    for scored in models {
                        let Some(value) = value(scored) else { continue };
                        let method = scored.fitted.method;
                        let label = format!("{},window=\"{window}\",method=\"{method}\"", label(session));
                        self.line(name, &label, value);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_up_to_each_bound() {
        let durations = Durations::default();
        for ms in [1, 2, 250, 1_000_000] {
            durations.add(Duration::from_millis(ms));
        }
        let mut text = Text::default();
        text.histogram("t", "a=\"b\"", &durations);
        for line in [
            "t_bucket{a=\"b\",le=\"0.001\"} 1",
            "t_bucket{a=\"b\",le=\"0.003\"} 2",
            "t_bucket{a=\"b\",le=\"0.3\"} 3",
            "t_bucket{a=\"b\",le=\"300\"} 3",
            "t_bucket{a=\"b\",le=\"+Inf\"} 4",
            "t_sum{a=\"b\"} 1000.253",
            "t_count{a=\"b\"} 4",
        ] {
            assert!(text.0.lines().any(|found| found == line), "{line} is missing: {}", text.0);
        }
    }
}
