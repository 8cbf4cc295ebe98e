//! A recording of two hours in bins of 1 ms, fitted offline and replayed through a daemon.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::baselines::Python;
use super::child::{self, Daemon, GLAUBER};
use super::row::{Row, times};
use super::{Asked, Found};

const RECORDING: &str = "real/retina_stafford2009_nasal.nwb";
/// Seconds, end to end.
const TARGET: f64 = 10.0;
/// Longer than this nobody waits for a row.
const TIME_LIMIT: Duration = Duration::from_secs(240);

pub(crate) fn measure(asked: &Asked, found: &mut Found) -> Vec<Row> {
    let Some(folder) = std::env::var_os("GLAUBER_DATA") else {
        return vec![Row::skipped(RECORDING, "GLAUBER_DATA does not name the folder of recordings")];
    };
    let file = Path::new(&folder).join(RECORDING);
    if !file.exists() {
        return vec![Row::skipped(RECORDING, "it is not in the folder that GLAUBER_DATA names")];
    }
    let mut rows = Vec::new();
    let (said, command) = glauber(&["--json", "inspect"], &file, &[]);
    let reading_s = said.as_ref().map_or(0.0, |said| said.seconds);
    rows.push(
        match said {
            Ok(said) => Row::new("reading it (inspect), 7.2 M bins of 410 units", said.seconds, "s"),
            Err(why) => Row::failed("reading it", why),
        }
        .by(&command),
    );
    let one_ridge = ["--ridge", "0.1"];
    let mean_field = ["--estimator", "nmf,tap,exact-mean-field"];
    let fits: [(&str, Vec<&str>); 3] = [
        ("fit, naive mean field, one ridge", [&["--estimator", "nmf"][..], &one_ridge].concat()),
        ("fit, three mean-field estimators, one ridge", [&mean_field[..], &one_ridge].concat()),
        ("fit, the defaults (exact, seven ridges)", Vec::new()),
    ];
    let mut first = None;
    for (what, arguments) in fits.into_iter().take(asked.pick(1, 3)) {
        let (row, seconds) = fit(asked, &file, what, &arguments, reading_s);
        rows.push(row);
        first = first.or(seconds);
    }
    let replays = [
        ("replay at full speed, naive mean field, one ridge", Some("defaults.equilibrium_methods=[]")),
        ("the same with the equilibrium models that are the default", None),
    ];
    for (what, setting) in replays.into_iter().take(asked.pick(1, 2)) {
        rows.push(replay(asked, &file, what, setting));
    }
    rows.push(baseline(asked, found, &file, first));
    rows
}

/// Run a command of ours on the recording.
fn glauber(before: &[&str], file: &Path, after: &[&str]) -> (Result<child::Said, String>, String) {
    let mut command = Command::new(GLAUBER);
    command.args(before).arg(file).args(after);
    let name = before.iter().filter(|word| **word != "--json").copied().collect::<Vec<_>>().join(" ");
    let rest: String = after.iter().map(|word| format!(" {word}")).collect();
    (child::run(&mut command, TIME_LIMIT), format!("glauber {name} $GLAUBER_DATA/{RECORDING}{rest}"))
}

/// Fit it; gives the seconds as well.
fn fit(asked: &Asked, file: &Path, what: &str, arguments: &[&str], reading_s: f64) -> (Row, Option<f64>) {
    let out = out(asked);
    let after = [&["--bin-width", "1ms"][..], arguments, &["--out", &out, "--force"]].concat();
    let (said, command) = glauber(&["--json", "fit"], file, &after);
    let report = said.and_then(|said| Ok((child::json(&said)?, said.seconds)));
    let (report, seconds) = match report {
        Ok(report) => report,
        // Iterations over millions of bins may take longer than a table is waited for; closed forms may not.
        Err(why) if arguments.is_empty() && why.starts_with(child::LATE) => {
            return (Row::skipped(what, why).by(&command), None);
        }
        Err(why) => return (Row::failed(what, why).by(&command), None),
    };
    let part = |name: &str| report[name].as_f64().unwrap_or(0.0);
    let parts = ["counting", "scoring", "estimating"].map(|name| (name, part(&format!("{name}_s"))));
    let inside: f64 = parts.iter().map(|(_, seconds)| seconds).sum();
    let mut beside: Vec<String> =
        parts.iter().map(|(name, seconds)| format!("{name} {seconds:.2}")).collect();
    beside.push(format!("reading, binning and writing {:.2}", seconds - inside));
    let row = Row::new(what, seconds, "s")
        .beside(beside.join(", "))
        .against(format!("{:.0} % of it is reading the file", 100.0 * reading_s / seconds))
        .by(&command);
    (if arguments.is_empty() { row } else { row.at_most(TARGET) }, Some(seconds))
}

fn out(asked: &Asked) -> String {
    let out = asked.directory.join("fit.h5");
    out.strip_prefix(std::env::current_dir().unwrap_or_default()).unwrap_or(&out).display().to_string()
}

/// Through a daemon of its own, from starting the replay until the session is closed and its files are written.
fn replay(asked: &Asked, file: &Path, what: &str, setting: Option<&str>) -> Row {
    let directory = asked.directory.join("daemon");
    drop(std::fs::remove_dir_all(&directory));
    let daemon = match super::make_directory(&directory).and_then(|()| Daemon::start(&directory, setting)) {
        Ok(daemon) => daemon,
        Err(why) => return Row::failed(what, why),
    };
    let options =
        ["--bin-width", "1ms", "--speed", "max", "--windows", "all", "--estimator", "nmf", "--ridge", "0.1"];
    let after = [&options[..], &["--connect", &daemon.address]].concat();
    let began = Instant::now();
    let (said, command) = glauber(&["--json", "replay"], file, &after);
    let seconds = began.elapsed().as_secs_f64();
    let report = said.and_then(|said| child::json(&said));
    drop(daemon);
    drop(std::fs::remove_dir_all(&directory));
    let set = setting.map_or_else(String::new, |setting| format!(" --set '{setting}'"));
    let command = command.rsplit_once(" --connect").map_or(command.as_str(), |(before, _)| before);
    match report.as_ref().map(|report: &Value| report["elapsed_s"].as_f64()) {
        Ok(Some(sending)) => {
            let rest = seconds - sending;
            let beside = format!(
                "sending until all is acknowledged {sending:.2}, reading before and closing after {rest:.2}"
            );
            let row = Row::new(what, seconds, "s").beside(beside);
            // The aim is for what streams through; models beside it are fitted when the session closes.
            if setting.is_some() { row.at_most(TARGET) } else { row }
        }
        Ok(None) => Row::failed(what, "the report does not tell how long it took"),
        Err(why) => Row::failed(what, why.as_str()),
    }
    .by(&format!("glauber serve{set} & {command}"))
}

/// Reading, binning and counting with h5py and scipy, compared with the counts of the last fit.
fn baseline(asked: &Asked, found: &Found, file: &Path, ours: Option<f64>) -> Row {
    let what = "h5py and scipy.sparse: reading, binning, counting";
    let python = match Python::with(asked, &["numpy", "scipy", "h5py"]) {
        Ok(python) => python,
        Err(why) => return Row::skipped(what, why),
    };
    let arguments = ["offline".to_owned(), file.display().to_string(), out(asked)];
    let (answer, command) = python.ask(&arguments, found.machine.cores);
    let command = command.replace(&file.display().to_string(), &format!("$GLAUBER_DATA/{RECORDING}"));
    let row = match (answer, ours) {
        (Ok(answer), Some(ours)) => {
            let part = |name: &str| answer[name].as_f64().unwrap_or(0.0);
            let [reading, binning, counting] = ["reading_s", "binning_s", "counting_s"].map(part);
            Row::new(what, part("all_s"), "s")
                .beside(format!("reading {reading:.2}, binning {binning:.2}, counting {counting:.2}"))
                .against(times(part("all_s") / ours, "the first fit as a whole"))
        }
        (Ok(_), None) => Row::failed(what, "there is no fit to compare with"),
        (Err(why), _) => Row::failed(what, why),
    };
    row.by(&command)
}
