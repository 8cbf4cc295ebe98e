use std::collections::VecDeque;

use super::super::kernels::dot;
use super::problem::add;

/// Bytes of steps that are remembered at most, and how many of them at least and at most.
const BYTES: usize = 64 << 20;
const STEPS_MIN: usize = 5;
const STEPS_MAX: usize = 20;

/// What the last steps told about the Hessian `ε + (1 − ε) Cov_f̃(O)` (limited-memory BFGS, Nocedal 1980).
///
/// It keeps `Cov_f̃(O) s` of each step `s` and not the change of the gradient, so that what was learnt at one `ε` also serves the next.
pub(super) struct Memory {
    steps: VecDeque<Step>,
    capacity: usize,
}

struct Step {
    /// `s`.
    step: Vec<f64>,
    /// `k = Cov_f̃(O) s`, averaged along the step.
    covariance: Vec<f64>,
    /// `s·s`, `s·k`, `k·k`.
    products: [f64; 3],
}

impl Step {
    /// `y·s` and `y·y` of the change of the gradient `y = ε s + (1 − ε) k`.
    fn curvature(&self, epsilon: f64) -> (f64, f64) {
        let ([ss, sk, kk], rest) = (self.products, 1.0 - epsilon);
        (epsilon * ss + rest * sk, epsilon * epsilon * ss + 2.0 * epsilon * rest * sk + rest * rest * kk)
    }
}

impl Memory {
    pub(super) fn new(n_features: usize) -> Self {
        let capacity = (BYTES / (16 * n_features.max(1))).clamp(STEPS_MIN, STEPS_MAX);
        Self { steps: VecDeque::with_capacity(capacity), capacity }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(super) fn forget(&mut self) {
        self.steps.clear();
    }

    pub(super) fn remember(&mut self, step: Vec<f64>, covariance: Vec<f64>) {
        let products = [dot(&step, &step), dot(&step, &covariance), dot(&covariance, &covariance)];
        // By convexity `s·k` is not negative; rounding of a tiny step may make it so.
        if !(products.iter().all(|product| product.is_finite()) && products[0] > 0.0 && products[1] > 0.0) {
            return;
        }
        if self.steps.len() == self.capacity {
            self.steps.pop_front();
        }
        self.steps.push_back(Step { step, covariance, products });
    }

    /// Turn a gradient into (about) the inverse of the Hessian times it.
    pub(super) fn apply(&self, epsilon: f64, vector: &mut [f64]) {
        let rest = 1.0 - epsilon;
        let mut parts = Vec::with_capacity(self.steps.len());
        for memory in self.steps.iter().rev() {
            let part = dot(&memory.step, vector) / memory.curvature(epsilon).0;
            add(vector, -part * epsilon, &memory.step);
            add(vector, -part * rest, &memory.covariance);
            parts.push(part);
        }
        if let Some(newest) = self.steps.back() {
            let (ys, yy) = newest.curvature(epsilon);
            vector.iter_mut().for_each(|value| *value *= ys / yy);
        }
        for (memory, part) in self.steps.iter().zip(parts.iter().rev()) {
            let change = epsilon * dot(&memory.step, vector) + rest * dot(&memory.covariance, vector);
            add(vector, part - change / memory.curvature(epsilon).0, &memory.step);
        }
    }
}
