//! What estimates and refreshes take, from the benchmark of estimators and, for many neurons, measured here.

use std::time::Duration;

use super::baselines::Python;
use super::row::{Row, share, times};
use super::{Asked, Found, child, refresh};

/// Neurons, and the time that a refresh is to take at most, milliseconds.
const TARGETS: [(usize, f64); 2] = [(1000, 150.0), (5000, 30_000.0)];
/// Lines of the other benchmark, as told here, and whether the target is for them.
const LINES: [(&str, &str, bool); 5] = [
    ("nmf, ridge 0.1", "naive mean field at one ridge", true),
    ("nmf, tap and exact-mean-field, ridge 0.1", "the three mean-field estimators at one ridge", false),
    ("refresh with one ridge, total", "a refresh of all three at one ridge, scoring included", true),
    ("refresh with one ridge, observe", "… of it scoring", false),
    ("refresh with default ridges, total", "the same with the default ridges", false),
];

pub(crate) fn measure(asked: &Asked, found: &mut Found) -> Vec<Row> {
    let sizes: &[usize] = asked.pick(&[100, 300], &[100, 300, 1000]);
    let told = sizes[sizes.len() - 1];
    let arguments: Vec<String> = sizes.iter().map(ToString::to_string).collect();
    let (mut child, command) = child::bench(&asked.root, "estimators", &arguments);
    let output = match child::run(&mut child, Duration::from_secs(1200)) {
        Ok(said) => said.stdout,
        Err(why) => return vec![Row::failed("estimates", why).by(&command)],
    };
    let mut rows = Vec::new();
    for (line, what, has_target) in LINES {
        let what = format!("{what}, n = {told}");
        let row = match child::median_ms(&output, &format!("n = {told}, {line}")) {
            Ok(ms) => Row::new(what, ms, "ms"),
            Err(why) => Row::failed(what, why),
        };
        let target = TARGETS.iter().find(|(n, _)| has_target && *n == told);
        rows.push(if let Some((_, limit)) = target { row.at_most(*limit) } else { row }.by(&command));
    }
    for &n in sizes {
        if let Ok(ms) = child::median_ms(&output, &format!("n = {n}, refresh with one ridge, total")) {
            found.refreshes.push((n, ms));
        }
    }
    rows.extend(large(asked, found));
    rows.extend(baseline(asked, &output, told));
    rows
}

/// A refresh of many neurons, measured here because the other benchmark takes each time of many estimates.
fn large(asked: &Asked, found: &mut Found) -> Vec<Row> {
    let n = asked.pick(600, 5000);
    let times = match refresh::measure(n) {
        Ok(times) => times,
        Err(why) => {
            return vec![Row::failed(format!("a refresh, n = {n}"), why).by(&asked.myself("estimators"))];
        }
    };
    // A factor of a symmetric matrix, and two triangular solves of n right sides.
    let operations = (1.0 / 3.0 + 2.0) * (n as f64).powi(3);
    let limit = share("the rate of products", operations / times.estimate_s / found.machine.flops);
    let alone = Row::new(format!("naive mean field at one ridge, n = {n}"), 1e3 * times.estimate_s, "ms");
    let all = Row::new(
        format!("a refresh of all three at one ridge, scoring included, n = {n}"),
        1e3 * times.refresh_s,
        "ms",
    );
    let target = TARGETS.iter().find(|(of, _)| *of == n);
    let aim = |row: Row| if let Some((_, limit)) = target { row.at_most(*limit) } else { row };
    found.refreshes.push((n, 1e3 * times.refresh_s));
    [aim(alone.against(limit)), aim(all)].into_iter().map(|row| row.by(&asked.myself("estimators"))).collect()
}

/// scipy's factorization and solves of the same shapes; no standard errors, no checks of rows.
fn baseline(asked: &Asked, output: &str, n: usize) -> Vec<Row> {
    let what = format!("scipy, Cholesky factorization and solves, n = {n}, one core");
    let python = match Python::with(asked, &["numpy", "scipy"]) {
        Ok(python) => python,
        Err(why) => return vec![Row::skipped(what, why)],
    };
    let (answer, command) = python.ask(&["estimators".to_owned(), n.to_string()], 1);
    let seconds =
        answer.and_then(|answer| answer[n.to_string()].as_f64().ok_or("no time in its answer".to_owned()));
    let row = match (seconds, child::median_ms(output, &format!("n = {n}, nmf, ridge 0.1"))) {
        (Ok(seconds), Ok(ours)) => {
            Row::new(what, 1e3 * seconds, "ms").against(times(1e3 * seconds / ours, "naive mean field here"))
        }
        (Err(why), _) | (_, Err(why)) => Row::failed(what, why),
    };
    vec![row.by(&command)]
}
