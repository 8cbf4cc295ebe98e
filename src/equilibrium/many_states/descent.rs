//! Minimisation by L-BFGS (Liu & Nocedal 1989) over symmetric matrices with a zero diagonal.

use std::collections::VecDeque;

use ndarray::Array2;

use super::tap::{Evaluation, Preconditioner, TapProblem};

/// Steps remembered.
const MEMORY: usize = 10;
/// Largest step to the minimum, as the preconditioner sees it, that is none: far below what any recording determines.
const STEP_MAX: f64 = 1e-6;
/// Shortest part of a step tried.
const SHORTEST: f64 = 1e-8;

/// What a minimisation may cost.
pub(super) struct Limits {
    pub(super) iterations: u32,
    /// Multiplications.
    pub(super) operations: f64,
}

/// Where a minimisation ended.
pub(super) struct Minimum {
    pub(super) couplings: Array2<f64>,
    pub(super) value: f64,
    pub(super) iterations: u32,
    pub(super) converged: bool,
}

/// A step and how the gradient changed over it.
struct Step {
    moved: Array2<f64>,
    turned: Array2<f64>,
    product: f64,
}

pub(super) fn minimise(
    problem: &TapProblem<'_>,
    preconditioner: &Preconditioner,
    start: Array2<f64>,
    limits: &Limits,
) -> Minimum {
    let mut couplings = start;
    let mut here = problem.evaluate(&couplings);
    let mut memory: VecDeque<Step> = VecDeque::with_capacity(MEMORY);
    let mut iterations = 1;
    let mut operations = problem.cost();
    let end = |couplings, here: Evaluation, iterations, converged| Minimum {
        couplings,
        value: here.value,
        iterations,
        converged,
    };
    loop {
        let to_minimum = preconditioner.apply(&here.gradient);
        if to_minimum.iter().all(|x| x.abs() <= STEP_MAX) {
            return end(couplings, here, iterations, true);
        }
        if iterations >= limits.iterations || operations >= limits.operations {
            return end(couplings, here, iterations, false);
        }
        iterations += 1;
        operations += 2.0 * preconditioner.cost();
        let direction = direction(&here.gradient, &memory, preconditioner);
        let slope = dot(&here.gradient, &direction);
        let (found, evaluations) = search(problem, &couplings, &here, &direction, slope);
        operations += f64::from(evaluations) * problem.cost();
        match found {
            Some((moved, there)) => {
                let step = Step::new(&moved - &couplings, &there.gradient - &here.gradient);
                // Only a step along which the slope rises tells of a minimum.
                if step.product > 1e-14 * dot(&step.moved, &step.moved) {
                    if memory.len() == MEMORY {
                        memory.pop_front();
                    }
                    memory.push_back(step);
                }
                (couplings, here) = (moved, there);
            }
            // Begin anew along the slope; without a memory there is no better direction.
            None if !memory.is_empty() => memory.clear(),
            None => return end(couplings, here, iterations, false),
        }
    }
}

impl Step {
    fn new(moved: Array2<f64>, turned: Array2<f64>) -> Self {
        Self { product: dot(&moved, &turned), moved, turned }
    }
}

/// The two loops of L-BFGS.
fn direction(
    gradient: &Array2<f64>,
    memory: &VecDeque<Step>,
    preconditioner: &Preconditioner,
) -> Array2<f64> {
    let mut direction = gradient.mapv(|g| -g);
    let mut shares = Vec::with_capacity(memory.len());
    for step in memory.iter().rev() {
        let share = dot(&step.moved, &direction) / step.product;
        direction.scaled_add(-share, &step.turned);
        shares.push(share);
    }
    let mut direction = preconditioner.apply(&direction);
    for (step, share) in memory.iter().zip(shares.into_iter().rev()) {
        let other = dot(&step.turned, &direction) / step.product;
        direction.scaled_add(share - other, &step.moved);
    }
    direction
}

/// The longest of halved steps that lowers the value by at least a part of what the slope promises, and how many were tried.
fn search(
    problem: &TapProblem<'_>,
    couplings: &Array2<f64>,
    here: &Evaluation,
    direction: &Array2<f64>,
    slope: f64,
) -> (Option<(Array2<f64>, Evaluation)>, u32) {
    let (mut length, mut tried) = (1.0, 0);
    while length >= SHORTEST && slope < 0.0 {
        let moved = couplings + &(direction * length);
        let there = problem.evaluate(&moved);
        tried += 1;
        if there.value <= here.value + 1e-4 * length * slope + 1e-14 * here.value {
            return (Some((moved, there)), tried);
        }
        length *= 0.5;
    }
    (None, tried)
}

/// Over pairs.
fn dot(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    0.5 * a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>()
}
