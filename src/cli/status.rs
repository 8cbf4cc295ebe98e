//! `glauber status`: which sessions a daemon has and how far they are.

use clap::Args;
use glauber::proto::v1;
use serde_json::{Value, json};

use super::Manner;
use super::client::{self, ConnectArgs, Daemon};
use super::error::CliError;
use super::output::{self, Align, outln};
use super::{score, text};

/// Show the sessions of a daemon and how far they are
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  glauber status
  glauber status --connect http://rig-pc:50051
  glauber status --json | jq '.sessions[].session_id'")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Show details of this session: its id, name, or a prefix that fits only one
    #[arg(value_name = "SESSION", value_parser = super::values::parse_session)]
    session: Option<String>,
}

pub(crate) async fn run(args: StatusArgs, manner: Manner) -> Result<(), CliError> {
    let daemon = Daemon::connect(&args.connect).await?;
    let (mut sessions, version) = daemon.list().await?;
    let journal = daemon.journal().await?;
    if args.session.is_some() {
        sessions = vec![daemon.select(args.session.as_deref()).await?];
    }
    if manner.json {
        let sessions: Vec<Value> = sessions.iter().map(session_json).collect();
        return output::json(&json!({
            "address": daemon.address(), "daemon_version": version, "journal": journal.as_ref().map(journal_json),
            "sessions": sessions,
        }));
    }
    outln!("daemon {version} at {}: {}", daemon.address(), text::counted(sessions.len() as u64, "session"))?;
    outln!("{}", journal_text(journal.as_ref()))?;
    if sessions.is_empty() {
        return outln!("start one with: glauber replay FILE --bin-width 20ms");
    }
    outln!("")?;
    output::print_table(&table(&sessions))?;
    outln!("")?;
    match sessions.as_slice() {
        [session] => output::print_facts(&details(session)),
        sessions => output::print_table(&best_table(sessions)),
    }
}

/// How safe the bins are.
fn journal_text(journal: Option<&v1::JournalStatus>) -> String {
    let Some(journal) = journal else {
        return "no journal: a crash of the daemon loses the open sessions".to_owned();
    };
    let kept = format!(
        "{} kept of at most {}, in a file of {}",
        text::bytes(journal.entry_bytes),
        text::bytes(journal.bytes_max),
        text::bytes(journal.file_bytes)
    );
    match journal.health() {
        v1::JournalHealth::Full => format!("journal FULL, bins are refused: {} ({kept})", journal.reason),
        v1::JournalHealth::Failed => format!(
            "journal FAILED, bins are refused until the daemon is started again: {} ({kept})",
            journal.reason
        ),
        _ => format!("journal working: {kept}"),
    }
}

fn journal_json(journal: &v1::JournalStatus) -> Value {
    let health = journal.health().as_str_name().trim_start_matches("JOURNAL_HEALTH_").to_lowercase();
    json!({
        "health": health,
        "reason": journal.reason,
        "entry_bytes": journal.entry_bytes,
        "file_bytes": journal.file_bytes,
        "bytes_max": journal.bytes_max,
    })
}

/// What predicts best in each session.
fn best_table(sessions: &[v1::Session]) -> comfy_table::Table {
    let mut table = output::table(&[
        ("session", Align::Left),
        ("best estimator", Align::Left),
        ("window", Align::Left),
        ("ridge", Align::Right),
        ("bits/spike", Align::Right),
        ("refits", Align::Right),
    ]);
    for session in sessions {
        let best = session.best.as_ref();
        let of_best = |text: fn(&v1::BestEstimate) -> String| best.map_or_else(|| "-".to_owned(), text);
        table.add_row([
            session.session_id.clone(),
            of_best(|best| client::estimator_name(best.estimator).to_owned()),
            of_best(|best| best.window.clone()),
            of_best(|best| best.ridge.to_string()),
            of_best(|best| format!("{:+.3}", best.bits_per_spike)),
            text::count(session.refits),
        ]);
    }
    table
}

fn best_text(session: &v1::Session) -> String {
    session.best.as_ref().map_or_else(
        || "nothing scored yet".to_owned(),
        |best| {
            format!(
                "{}, window {}, ridge {}: {}",
                client::estimator_name(best.estimator),
                best.window,
                best.ridge,
                score::bits_text(best.bits_per_spike)
            )
        },
    )
}

fn refits_text(session: &v1::Session) -> String {
    let running = if session.refit_running { ", one under way" } else { "" };
    format!("{} done{running}", text::count(session.refits))
}

/// Fits of the equilibrium models.
fn equilibrium_text(session: &v1::Session) -> String {
    let spec = session.spec.as_ref();
    let methods = spec.map_or(&[][..], |spec| &spec.equilibrium_methods);
    if methods.is_empty() {
        return "no models".to_owned();
    }
    let running = if session.equilibrium_running { ", one under way" } else { "" };
    format!(
        "{} published, {} skipped because late{running}",
        text::count(session.equilibrium_published),
        text::count(session.equilibrium_skipped)
    )
}

fn table(sessions: &[v1::Session]) -> comfy_table::Table {
    let mut table = output::table(&[
        ("session", Align::Left),
        ("name", Align::Left),
        ("state", Align::Left),
        ("neurons", Align::Right),
        ("bin", Align::Right),
        ("recorded", Align::Right),
        ("gaps", Align::Right),
        ("last bin", Align::Right),
    ]);
    for session in sessions {
        table.add_row([
            session.session_id.clone(),
            name(session),
            client::state_name(session).to_owned(),
            text::count(neuron_count(session)),
            bin_width(session),
            text::short_seconds(recorded_s(session)),
            text::count(session.gap_count),
            session.last_bin_age_ms.map_or_else(|| "never".to_owned(), age),
        ]);
    }
    table
}

fn details(session: &v1::Session) -> Vec<(&'static str, String)> {
    let applied = applied(session);
    let observed_s = applied.saturating_sub(session.gap_bins) as f64 * bin_width_s(session);
    let (received, durable) = session.watermarks.map_or((0, 0), |w| (w.received_through, w.durable_through));
    let rate = session.active_entries as f64 / (observed_s * neuron_count(session) as f64);
    let producer = match session.producer_connected {
        true => format!("connected, epoch {}", session.producer_epoch),
        false => "not connected".to_owned(),
    };
    let mut facts = vec![
        ("name", client::session_name(session).to_owned()),
        ("producer", producer),
        (
            "bins",
            format!(
                "{} received, {} applied, {} durable",
                text::count(received),
                text::count(applied),
                text::count(durable)
            ),
        ),
        ("gaps", format!("{} of {}", text::count(session.gap_count), text::counted(session.gap_bins, "bin"))),
        ("repeated", format!("{} ignored", text::counted(session.repeated_bins, "bin"))),
        (
            "rate",
            if rate.is_finite() {
                format!("{rate:.2} active bins/s per neuron")
            } else {
                "none yet".to_owned()
            },
        ),
        (
            "refreshes",
            format!(
                "{} published, {} skipped",
                text::count(session.refreshes_published),
                text::count(session.refreshes_skipped)
            ),
        ),
        ("refits", refits_text(session)),
        ("equilibrium", equilibrium_text(session)),
        ("best", best_text(session)),
        ("memory", text::bytes(session.memory_bytes)),
    ];
    if let Some(spec) = &session.spec {
        let estimators: Vec<&str> = spec.estimators.iter().map(|&e| client::estimator_name(e)).collect();
        facts.push(("windows", spec.windows.join(", ")));
        facts.push(("estimators", estimators.join(", ")));
        facts.push(("ridge", client::ridge_text(spec)));
    }
    let v1::Session { late_spikes: late, merged_spikes: merged, masked_spikes: masked, .. } = *session;
    if late + merged + masked > 0 {
        let [late, merged, masked] = [late, merged, masked].map(text::count);
        let counted =
            format!("{late} too late, {masked} in bins not observed, {merged} in a bin with another");
        facts.push(("not counted", format!("of time-stamped spikes {counted}")));
    }
    if session.snapshot_failures > 0 {
        let failures = text::counted(session.snapshot_failures, "failure");
        facts.push(("snapshots", format!("{failures}, the last: {}", session.last_snapshot_error)));
    }
    facts
}

fn session_json(session: &v1::Session) -> Value {
    let watermarks = session.watermarks.unwrap_or_default();
    let spec = session.spec.clone().unwrap_or_default();
    let estimators: Vec<&str> = spec.estimators.iter().map(|&e| client::estimator_name(e)).collect();
    let best = session.best.as_ref().map(|best| {
        json!({
            "estimator": client::estimator_name(best.estimator),
            "window": best.window,
            "ridge": best.ridge,
            "bits_per_spike": best.bits_per_spike,
        })
    });
    json!({
        "session_id": session.session_id,
        "name": spec.name,
        "state": client::state_name(session),
        "neurons": neuron_count(session),
        "bin_width_us": spec.bin_width_us,
        "origin_ns": spec.origin_ns,
        "windows": spec.windows,
        "lags_bins": spec.lags_bins,
        "estimators": estimators,
        "ridge": spec.ridge,
        "ridge_path": spec.ridge_path,
        "refresh_interval_bins": spec.refresh_interval_bins,
        "received_through": watermarks.received_through,
        "applied_through": watermarks.applied_through,
        "durable_through": watermarks.durable_through,
        "gap_count": session.gap_count,
        "gap_bins": session.gap_bins,
        "active_entries": session.active_entries,
        "repeated_bins": session.repeated_bins,
        "late_spikes": session.late_spikes,
        "merged_spikes": session.merged_spikes,
        "masked_spikes": session.masked_spikes,
        "refreshes_published": session.refreshes_published,
        "refreshes_skipped": session.refreshes_skipped,
        "refits": session.refits,
        "refit_running": session.refit_running,
        "equilibrium_published": session.equilibrium_published,
        "equilibrium_skipped": session.equilibrium_skipped,
        "equilibrium_running": session.equilibrium_running,
        "best": best,
        "producer_connected": session.producer_connected,
        "producer_epoch": session.producer_epoch,
        "memory_bytes": session.memory_bytes,
        "last_bin_age_ms": session.last_bin_age_ms,
        "snapshot_failures": session.snapshot_failures,
        "last_snapshot_error": session.last_snapshot_error,
    })
}

fn applied(session: &v1::Session) -> u64 {
    session.watermarks.map_or(0, |watermarks| watermarks.applied_through)
}

fn neuron_count(session: &v1::Session) -> u64 {
    let Some(spec) = &session.spec else { return 0 };
    if spec.neurons.is_empty() { u64::from(spec.neuron_count) } else { spec.neurons.len() as u64 }
}

fn bin_width_s(session: &v1::Session) -> f64 {
    session.spec.as_ref().map_or(0.0, |spec| f64::from(spec.bin_width_us) / 1e6)
}

fn recorded_s(session: &v1::Session) -> f64 {
    applied(session) as f64 * bin_width_s(session)
}

fn bin_width(session: &v1::Session) -> String {
    let us = session.spec.as_ref().map_or(0, |spec| spec.bin_width_us);
    glauber::model::BinWidth::from_us(u64::from(us))
        .map_or_else(|_| "?".to_owned(), |width| width.to_string())
}

/// The name, cut so that a table of sessions fits 80 columns.
fn name(session: &v1::Session) -> String {
    const CHARS_MAX: usize = 10;
    text::cut(client::session_name(session), CHARS_MAX)
}

fn age(ms: u64) -> String {
    text::short_seconds(ms as f64 / 1000.0)
}
