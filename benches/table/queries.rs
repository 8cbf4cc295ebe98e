//! What queries take, from the benchmark of queries.

use std::time::Duration;

use super::row::Row;
use super::{Asked, Found, child};

/// Lines of the other benchmark, as told here, and the target in milliseconds.
const LINES: [(&str, &str, Option<f64>); 6] = [
    ("matrix, first", "couplings, the whole matrix, first after a publication", Some(20.0)),
    ("matrix", "… asked again", Some(20.0)),
    ("matrix with errors and q, first", "couplings, standard errors and q, first", None),
    ("top 20, first", "the 20 strongest pairs, first", None),
    ("top 20", "… asked again", None),
    ("correlations", "equal-time and delayed correlations", None),
];

pub(crate) fn measure(asked: &Asked, _: &mut Found) -> Vec<Row> {
    let sizes = asked.pick(["200", "100", "10"], ["1000", "400", "100"]);
    let (mut child, command) = child::bench(&asked.root, "queries", &sizes.map(str::to_owned));
    let output = match child::run(&mut child, Duration::from_secs(1200)) {
        Ok(said) => said.stdout,
        Err(why) => return vec![Row::failed("queries", why).by(&command)],
    };
    let mut rows = Vec::new();
    for (line, what, target) in LINES {
        let what = format!("{what}, n = {}", sizes[0]);
        let row = match child::median_ms(&output, line) {
            Ok(ms) => Row::new(what, ms, "ms"),
            Err(why) => Row::failed(what, why),
        };
        rows.push(if let Some(limit) = target { row.at_most(limit) } else { row });
    }
    rows.extend(["top 20", "matrices"].map(|of| watchers(&output, &sizes, of)));
    rows.into_iter().map(|row| row.by(&command)).collect()
}

/// `N watchers of WHAT, n = M: MS ms of the daemon's threads a publication, MS ms for each watcher, MB MB`
fn watchers(output: &str, sizes: &[&str; 3], of: &str) -> Row {
    let name = format!("{} watchers of {of}, n = {}", sizes[2], sizes[1]);
    let line = output.lines().find_map(|line| line.strip_prefix(&name)?.strip_prefix(": "));
    let ms = line.and_then(|line| line.split(' ').next()?.parse().ok());
    match (line, ms) {
        (Some(line), Some(ms)) => {
            let each = line.split(", ").skip(1).collect::<Vec<_>>().join(", ");
            Row::new(format!("{name}: processor time of the daemon a publication"), ms, "ms").beside(each)
        }
        _ => Row::failed(&name, format!("it printed no line '{name}: MS ms …'")),
    }
}
