//! What `glauber load` finds: how much a daemon takes, and whether eight rigs are held.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::child::{self, GLAUBER};
use super::row::{Row, digits};
use super::{Asked, Found};

/// Taking bins in alone: one window, one closed-form estimator, nothing beside them.
const LEAN: &str = "--windows all --estimator nmf --ridge 0.1 --no-equilibrium";
const NEVER: &str = "--refresh-interval 1h";
const CPU_PERCENT: f64 = 50.0;
const VISIBLE_P50_MS: f64 = 2.0;
const VISIBLE_P99_MS: f64 = 5.0;

pub(crate) fn measure(asked: &Asked, _: &mut Found) -> Vec<Row> {
    let mut rows = Vec::new();
    for (refresh, what) in [(NEVER, "no refresh"), ("--refresh-interval 1s", "a refresh every second")] {
        rows.extend(real_time(asked, refresh, what));
    }
    let sizes: &[(u32, &[u32])] =
        asked.pick(&[(1000, &[1])], &[(100, &[1, 8]), (1000, &[1, 8]), (10_000, &[1])]);
    for &(neurons, rigs) in sizes {
        for &rigs in rigs {
            for encoding in ["sparse", "packed"] {
                rows.push(ceiling(asked, neurons, rigs, encoding, 100));
            }
        }
    }
    let batches: &[u32] = asked.pick(&[1], &[1, 10, 1000]);
    rows.extend(batches.iter().map(|&batch| ceiling(asked, 1000, 1, "sparse", batch)));
    rows
}

fn load(arguments: &str) -> (Result<Value, String>, String) {
    let mut command = Command::new(GLAUBER);
    command.args(["--json", "--quiet", "load"]).args(arguments.split(' '));
    let report = child::run(&mut command, Duration::from_secs(180)).and_then(|said| child::json(&said));
    (report, format!("glauber load {arguments}"))
}

/// The aim: eight rigs of 1,000 neurons in bins of 1 ms.
fn real_time(asked: &Asked, refresh: &str, with: &str) -> Vec<Row> {
    let seconds = asked.pick("--seconds 4 --warmup-seconds 1", "--seconds 20");
    let rigs = "8 rigs × 1,000 neurons × 1 ms";
    let (report, command) = load(&format!("--rigs 8 --neurons 1000 {seconds} {LEAN} {refresh}"));
    let report = match report {
        Ok(report) => report,
        Err(why) => return vec![Row::failed(format!("{rigs}, {with}"), why).by(&command)],
    };
    let what = |of: &str| format!("{rigs}, {with}: {of}");
    let mut rows = Vec::new();
    let speed = report["throughput"]["times_real_time"].as_f64().unwrap_or(0.0);
    let behind = report["throughput"]["behind_s"].as_f64().unwrap_or(0.0);
    rows.push(
        Row::new(what("counted"), speed, "× real time")
            .beside(format!("{:.0} ms behind at the end", 1e3 * behind)),
    );
    rows.push(match cpu(&report) {
        Some((percent, split)) => {
            let row = Row::new(what("daemon"), percent, "% of one core").beside(split);
            // Estimates come on top of what the aim is for.
            if refresh == NEVER { row.at_most(CPU_PERCENT) } else { row }
        }
        None => Row::skipped(what("daemon"), "nothing is known of processes here"),
    });
    let latencies = [
        ("visible", "p50", Some(VISIBLE_P50_MS)),
        ("visible", "p99", Some(VISIBLE_P99_MS)),
        ("durable", "p50", None),
        ("durable", "p99", None),
    ];
    for (until, quantile, limit) in latencies {
        let found = &report["latency"][until]["from_due"];
        let what = what(&format!("due until {until}, {quantile}"));
        let row = match found[format!("{quantile}_ms")].as_f64() {
            Some(ms) => Row::new(what, ms, "ms"),
            None => Row::failed(what, "the report does not tell"),
        };
        rows.push(if let Some(limit) = limit { row.at_most(limit) } else { row });
    }
    rows.into_iter().map(|row| row.by(&command)).collect()
}

/// As fast as the daemon takes it.
fn ceiling(asked: &Asked, neurons: u32, rigs: u32, encoding: &str, batch: u32) -> Row {
    let seconds = asked.pick(2, 4);
    let arguments = format!(
        "--speed max --rigs {rigs} --neurons {neurons} --encoding {encoding} --batch-bins {batch} --seconds {seconds} \
         --warmup-seconds 1 {LEAN} {NEVER}"
    );
    let (report, command) = load(&arguments);
    let of = if rigs == 1 { "1 rig".to_owned() } else { format!("{rigs} rigs") };
    let what = format!("ceiling, n = {neurons}, {of}, {encoding}, batches of {batch}");
    let row = match report {
        Ok(report) => {
            let throughput = &report["throughput"];
            let payload = throughput["payload_mb_per_s"].as_f64().unwrap_or(0.0);
            let split = cpu(&report).map_or_else(String::new, |(percent, split)| {
                format!("; daemon {} % of one core: {split}", digits(percent))
            });
            match throughput["bins_per_s"].as_f64() {
                Some(bins) => {
                    Row::new(what, bins, "bins/s").beside(format!("{} MB/s{split}", digits(payload)))
                }
                None => Row::failed(what, "the report does not tell"),
            }
        }
        Err(why) => Row::failed(what, why),
    };
    row.by(&command)
}

/// What the daemon used, in % of one core, and by groups of threads, the busiest first.
fn cpu(report: &Value) -> Option<(f64, String)> {
    let cpu = &report["daemon"]["cpu"];
    let mut groups: Vec<(&str, f64)> = cpu["by_threads"]
        .as_object()?
        .iter()
        .filter_map(|(name, percent)| Some((name.as_str(), percent.as_f64()?)))
        .filter(|(_, percent)| *percent >= 0.5)
        .collect();
    groups.sort_by(|a, b| b.1.total_cmp(&a.1));
    let split: Vec<String> = groups.iter().map(|(name, percent)| format!("{name} {percent:.0}")).collect();
    Some((cpu["percent"].as_f64()?, split.join(", ")))
}
