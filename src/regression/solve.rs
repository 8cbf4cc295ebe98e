//! All rows to their maxima in lockstep: every pass over the observations serves all rows that still move.

use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{MatMut, Par};

use super::fisher;
use super::pass::{self, LogOdds, Summand};
use super::problem::{Parameters, Problem};
use super::row::{Progress, Row};
use crate::moments::threads;

/// Rows whitened together; fixed, so that results do not depend on threads.
const WHITENED_ROWS: usize = 32;
/// Newton steps that a row is expected to need once it takes them.
const NEWTON_STEPS: f64 = 4.0;

/// When the iteration ends, and on how many threads it runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopping {
    /// Largest Euclidean norm of the gradient with respect to `(h_i, J_i·)` of a row that has converged.
    pub(crate) gradient_norm_max: f64,
    /// Most passes over the observations.
    pub(crate) iterations_max: u32,
    /// Most threads; the result does not depend on it.
    pub(crate) threads: usize,
}

/// Move every row until it converges or stops.
///
/// Rows begin with quasi-Newton steps, whitened by the one Cholesky factor of `C + λI` they share; near weak couplings each is nearly
/// a Newton step. A row not there after as many passes as a few steps of Newton's method with the row's own Fisher information would
/// cost takes those: never much more than twice the cost of the better of the two methods, whichever it is.
pub(crate) fn maximise(problem: &Problem, rows: &mut [Row], options: Stopping) {
    let costs = &problem.costs;
    let patience = (NEWTON_STEPS * (1.0 + costs.fisher / costs.pass)).min(f64::from(u32::MAX)) as u32;
    // Where Fisher information costs about as little as a pass, there is nothing to be patient for.
    let patience = if costs.fisher <= 3.0 * costs.pass { 1 } else { patience };
    for row in rows.iter_mut() {
        if !row.settle(problem, options.gradient_norm_max) && options.iterations_max == 0 {
            row.progress = Progress::Stopped;
        }
    }
    loop {
        turn(problem, rows, patience, options.threads);
        let mut moving: Vec<&mut Row> = rows.iter_mut().filter(|r| r.progress == Progress::Moving).collect();
        if moving.is_empty() {
            return;
        }
        let trials: Vec<Parameters> = moving.iter().map(|row| row.trial()).collect();
        let log_odds: Vec<LogOdds> = trials.iter().map(|trial| problem.log_odds(trial)).collect();
        let sums = pass::sums(
            problem.patterns,
            problem.costs.pass_layout,
            &log_odds,
            Summand::Probability,
            options.threads,
        );
        for ((row, trial), sums) in moving.iter_mut().zip(trials).zip(sums) {
            let there = problem.evaluation(row.place, &trial, &sums);
            row.judge(trial, there);
            let converged = row.settle(problem, options.gradient_norm_max);
            if !converged && row.iterations >= options.iterations_max {
                row.progress = Progress::Stopped;
            }
        }
    }
}

/// Give every row that has just arrived somewhere its next direction.
fn turn(problem: &Problem, rows: &mut [Row], patience: u32, threads: usize) {
    let turning = rows.iter_mut().filter(|row| row.turning && row.progress == Progress::Moving);
    let (newton, mut quasi): (Vec<&mut Row>, Vec<&mut Row>) =
        turning.partition(|row| row.iterations >= patience);
    if !newton.is_empty() {
        let points: Vec<(usize, &Parameters)> = newton.iter().map(|r| (r.place, &r.parameters)).collect();
        let gradients: Vec<&Parameters> = newton.iter().map(|row| &row.here.gradient).collect();
        let directions = fisher::newton_directions(problem, &points, &gradients, threads);
        for (row, direction) in newton.into_iter().zip(directions) {
            match direction {
                Some(direction) => row.head(direction),
                // Singular to rounding: the shared factor is not.
                None => {
                    row.forget();
                    quasi.push(row);
                }
            }
        }
    }
    threads::for_each_piece(threads, &mut quasi, WHITENED_ROWS, |rows| quasi_newton(problem, rows));
}

fn quasi_newton(problem: &Problem, rows: &mut [&mut Row]) {
    let (n, count) = (problem.n(), rows.len());
    let mut columns: Vec<f64> = rows.iter().flat_map(|row| &row.here.gradient.couplings).copied().collect();
    // Gradients with respect to Lᵀ J are L⁻¹ times those with respect to J; a direction d of Lᵀ J moves J by L⁻ᵀ d.
    solve_lower_triangular_in_place(
        problem.factor(),
        MatMut::from_column_major_slice_mut(&mut columns, n, count),
        Par::Seq,
    );
    let mut drives = Vec::with_capacity(count);
    for (row, column) in rows.iter_mut().zip(columns.chunks_exact_mut(n)) {
        problem.hold(row.place, column);
        let gradient = std::iter::once(row.here.gradient.drive).chain(column.iter().copied()).collect();
        let direction = row.quasi_newton(gradient);
        drives.push(direction[0]);
        column.copy_from_slice(&direction[1..]);
    }
    solve_upper_triangular_in_place(
        problem.factor().transpose(),
        MatMut::from_column_major_slice_mut(&mut columns, n, count),
        Par::Seq,
    );
    for ((row, column), drive) in rows.iter_mut().zip(columns.chunks_exact(n)).zip(drives) {
        let mut couplings = column.to_vec();
        if problem.holds(row.place, row.place) {
            // Rounding is all that is left of it.
            couplings[row.place] = 0.0;
        }
        row.head(Parameters { drive, couplings });
    }
}
