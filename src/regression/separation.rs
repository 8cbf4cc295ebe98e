//! Rows whose likelihood has no finite maximum. Told exactly from the counts if one sender is to blame
//! ([`Problem::has_empty_cell`]); if several are, from where the iteration ended.

use super::fisher::RowVariance;
use super::pass::{self, LogOdds, Summand};
use super::problem::Problem;
use super::row::{Progress, Row};

/// Information about a coefficient (a log-odds), in observations, below which a row without ridge counts as separated. At a maximum at
/// finite couplings, observations that pull either way hold some tenths at least.
const INFORMATION_MIN: f64 = 0.01;

/// Log-odds per sender beyond which a row without ridge that still moves counts as separated.
const LOG_ODDS_MAX: f64 = 50.0;

/// Whether each row is separated, by its variances.
pub(crate) fn by_variances<'a>(
    problem: &Problem,
    rows: &[Row],
    variances: impl Iterator<Item = Option<&'a RowVariance>>,
) -> Vec<bool> {
    let penalised = problem.ridge > 0.0;
    let told = rows.iter().zip(variances).map(|(row, v)| !penalised && (diverges(row) || uninformed(v)));
    told.collect()
}

/// The same without the variances: one pass instead of a matrix per row.
pub(crate) fn by_gains(problem: &Problem, rows: &[Row], threads: usize) -> Vec<bool> {
    if problem.ridge > 0.0 {
        return vec![false; rows.len()];
    }
    let log_odds: Vec<LogOdds> = rows.iter().map(|row| problem.log_odds(&row.parameters)).collect();
    let layout = problem.costs.pass_layout;
    let sums = pass::sums(problem.patterns, layout, &log_odds, Summand::Gain, threads);
    let uninformed = |row: &Row, sums: &pass::RowSums| {
        let (all, senders) = sums.sums.split_first().unwrap_or((&0.0, &[]));
        senders.iter().enumerate().any(|(j, &active)| {
            !problem.holds(row.place, j) && (active < INFORMATION_MIN || all - active < INFORMATION_MIN)
        })
    };
    rows.iter().zip(&sums).map(|(row, sums)| diverges(row) || uninformed(row, sums)).collect()
}

fn diverges(row: &Row) -> bool {
    row.progress != Progress::Converged
        && row.parameters.couplings.iter().any(|j| 4.0 * j.abs() > LOG_ODDS_MAX)
}

/// Whether the data say next to nothing about some coefficient, the others being free.
fn uninformed(variance: Option<&RowVariance>) -> bool {
    // A coupling is a quarter of a log-odds.
    variance.is_none_or(|v| v.couplings.iter().any(|variance| 16.0 * variance * INFORMATION_MIN > 1.0))
}
