use super::super::kernels::dot;
use super::line::{Found, Line};
use super::memory::Memory;
use super::problem::{Point, Problem, add};

/// Fixed points from `ε = 1` downward, each looked for from those before.
pub(super) struct Path<'a> {
    problem: &'a Problem<'a>,
    memory: Memory,
    last: Point,
    /// Parameters and energies of the point before the last.
    before: Option<(Vec<f64>, Vec<f64>)>,
}

impl<'a> Path<'a> {
    pub(super) fn new(problem: &'a Problem<'a>) -> Self {
        let memory = Memory::new(problem.n_features(), problem.sums.threads);
        Self { problem, memory, last: problem.hopfield(), before: None }
    }

    /// The fixed point of a smaller `ε`, with the number of passes it took.
    pub(super) fn advance(&mut self, epsilon: f64, tolerance: f64, passes_max: u32) -> (Point, u32) {
        if epsilon == 1.0 {
            return (self.last.clone(), 0);
        }
        let start = self.start(epsilon);
        let before = (std::mem::take(&mut self.last.parameters), std::mem::take(&mut self.last.energies));
        let (point, passes) = self.minimize(epsilon, start, tolerance, passes_max);
        self.last = point.clone();
        self.before = Some(before);
        (point, passes)
    }

    /// The lowest place on the ray through the last point, and then along the line from the one before it: the path of fixed points,
    /// drawn on. Neither takes a pass.
    fn start(&self, epsilon: f64) -> Vec<f64> {
        let (mut parameters, mut energies) = (self.last.parameters.clone(), self.last.energies.clone());
        let mut lines = vec![(parameters.clone(), energies.clone())];
        if let Some((before, before_energies)) = &self.before {
            let (mut direction, mut slopes) = lines[0].clone();
            add(&mut direction, -1.0, before);
            add(&mut slopes, -1.0, before_energies);
            lines.push((direction, slopes));
        }
        let mut weights = Vec::with_capacity(energies.len());
        for (mut direction, mut slopes) in lines {
            let log_sum = self.problem.reweigh(epsilon, &energies, (0.0, &slopes), &mut weights);
            let along = dot(&parameters, &direction);
            if epsilon * along > dot(&weights, &slopes) {
                direction.iter_mut().for_each(|value| *value = -*value);
                slopes.iter_mut().for_each(|value| *value = -*value);
            }
            let line = Line {
                problem: self.problem,
                epsilon,
                energies: &energies,
                slopes: &slopes,
                along: dot(&parameters, &direction),
                square: dot(&direction, &direction),
            };
            if let Some(Found { step, .. }) = line.search(&weights, log_sum) {
                add(&mut parameters, step, &direction);
                add(&mut energies, step, &slopes);
            }
        }
        parameters
    }

    fn minimize(&mut self, epsilon: f64, start: Vec<f64>, tolerance: f64, passes_max: u32) -> (Point, u32) {
        let mut point = self.problem.point(epsilon, start);
        let mut passes = 1;
        while point.residual(epsilon) > tolerance && passes < passes_max {
            passes += 1;
            if !self.step(epsilon, &mut point) {
                if self.memory.is_empty() {
                    // Not even the gradient leads down: rounding has the last word, and the residual says how near that is.
                    break;
                }
                self.memory.forget();
            }
        }
        (point, passes)
    }

    /// Go to a lower point; `false` where the direction does not lead down.
    fn step(&mut self, epsilon: f64, point: &mut Point) -> bool {
        let gradient = point.gradient(epsilon);
        let mut direction = self.memory.direction(epsilon, &gradient);
        let downward = dot(&direction, &gradient);
        if downward.is_nan() || downward >= 0.0 {
            return false;
        }
        let slopes = self.problem.sums.feature_sums(&direction);
        let line = Line {
            problem: self.problem,
            epsilon,
            energies: &point.energies,
            slopes: &slopes,
            along: dot(&point.parameters, &direction),
            square: dot(&direction, &direction),
        };
        let Some(Found { step, weights, log_sum }) = line.search(&point.weights, point.log_sum) else {
            return false;
        };
        add(&mut point.parameters, step, &direction);
        add(&mut point.energies, step, &slopes);
        direction.iter_mut().for_each(|value| *value *= step);
        let means = self.problem.sums.weighted_features(&weights);
        // The change of the means, in place of those before.
        let mut change = std::mem::take(&mut point.means);
        change
            .iter_mut()
            .zip(&means)
            .for_each(|(before, after)| *before = (*before - after) / (1.0 - epsilon));
        self.memory.remember(&direction, &change);
        (point.weights, point.log_sum, point.means) = (weights, log_sum, means);
        true
    }
}
