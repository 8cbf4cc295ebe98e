use std::collections::VecDeque;

use super::super::kernels::dot;
use crate::moments::threads;
use crate::regression::logistic::per_instruction_set;

/// Bytes of steps that are remembered at most, and how many of them at least and at most.
const BYTES: usize = 24 << 20;
const STEPS_MIN: usize = 5;
const STEPS_MAX: usize = 20;
/// Entries of vectors that are worked on at once: those of one vector fit the nearest cache.
const PIECE: usize = 2048;
/// A covariance times a step of length 1 is no larger than the number of features: anything larger is no covariance.
const LARGEST: f64 = 1e15;
/// Below so many entries of all vectors a thread costs more than it does.
const THREAD_ENTRIES: usize = 1 << 19;

/// What the last steps told about the Hessian `ε + (1 − ε) Cov_f̃(O)` (limited-memory BFGS, Nocedal 1980).
///
/// It keeps `Cov_f̃(O) s` of each step `s` and not the change of the gradient, so that what was learnt at one `ε` also serves the next.
/// The recursion runs on coefficients of the vectors kept, from their products (Chen, Wang & Zhou 2014): each is read twice, not six
/// times. Not in single precision: the largest eigenvalue of the covariance is that of many features, and its rounding would hide `ε`.
pub(super) struct Memory {
    n_features: usize,
    threads: usize,
    /// `s` of each place at `2 k`, `Cov_f̃(O) s`, averaged along the step, at `2 k + 1`; divided by `|s|`.
    vectors: Vec<Vec<f64>>,
    /// `v·w` of any two of these, row by row.
    products: Vec<f64>,
    /// Places of the steps kept, the oldest first.
    places: VecDeque<usize>,
    capacity: usize,
}

impl Memory {
    pub(super) fn new(n_features: usize, threads: usize) -> Self {
        let capacity = (BYTES / (16 * n_features.max(1))).clamp(STEPS_MIN, STEPS_MAX);
        let (vectors, places) = (Vec::new(), VecDeque::with_capacity(capacity));
        Self { n_features, threads, vectors, products: vec![0.0; 4 * capacity * capacity], places, capacity }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn forget(&mut self) {
        self.vectors.clear();
        self.places.clear();
    }

    /// Take up a step and `Cov_f̃(O)` times it.
    pub(super) fn remember(&mut self, step: &[f64], covariance: &[f64]) {
        let [ss, sk, kk] = [dot(step, step), dot(step, covariance), dot(covariance, covariance)];
        // Only the direction matters.
        let scale = 1.0 / ss.sqrt();
        // By convexity `s·k` is not negative; rounding of a tiny step may make it so.
        let is_step = ss > 0.0 && sk > 0.0 && scale.is_finite() && ss.is_finite();
        if !(is_step && scale * kk.sqrt() < LARGEST) {
            return;
        }
        let full = self.places.len() == self.capacity;
        let place = if full { self.places.pop_front().unwrap_or(0) } else { self.unused() };
        if self.vectors.len() < 2 * place + 2 {
            self.vectors.resize(2 * place + 2, Vec::new());
        }
        for (vector, values) in self.vectors[2 * place..].iter_mut().zip([step, covariance]) {
            vector.clear();
            vector.extend(values.iter().map(|value| scale * value));
        }
        for own in [2 * place, 2 * place + 1] {
            for (other, product) in self.products_with(&self.vectors[own]).into_iter().enumerate() {
                let width = 2 * self.capacity;
                self.products[own * width + other] = product;
                self.products[other * width + own] = product;
            }
        }
        let [ss, sk, _] = self.own_products(place);
        if ss > 0.0 && sk > 0.0 {
            self.places.push_back(place);
        }
    }

    fn unused(&self) -> usize {
        (0..self.capacity).find(|place| !self.places.contains(place)).unwrap_or(0)
    }

    fn own_products(&self, place: usize) -> [f64; 3] {
        let (s, k) = (2 * place, 2 * place + 1);
        [self.product(s, s), self.product(s, k), self.product(k, k)]
    }

    fn product(&self, a: usize, b: usize) -> f64 {
        self.products[a * 2 * self.capacity + b]
    }

    /// `y·s` and `y·y` of the change of the gradient `y = ε s + (1 − ε) k`.
    fn curvature(&self, place: usize, epsilon: f64) -> (f64, f64) {
        let ([ss, sk, kk], rest) = (self.own_products(place), 1.0 - epsilon);
        (epsilon * ss + rest * sk, epsilon * epsilon * ss + 2.0 * epsilon * rest * sk + rest * rest * kk)
    }

    /// (About) minus the inverse of the Hessian times the gradient.
    pub(super) fn direction(&self, epsilon: f64, gradient: &[f64]) -> Vec<f64> {
        let rest = 1.0 - epsilon;
        let along = if self.is_empty() { Vec::new() } else { self.products_with(gradient) };
        // The vector that the recursion turns: `of_gradient · gradient + Σ_v coefficients_v v`.
        let (mut of_gradient, mut coefficients) = (1.0, vec![0.0; along.len()]);
        let times = |v: usize, of_gradient: f64, coefficients: &[f64]| -> f64 {
            let own = &self.products[v * 2 * self.capacity..];
            of_gradient * along[v] + coefficients.iter().zip(own).map(|(c, product)| c * product).sum::<f64>()
        };
        let mut parts = Vec::with_capacity(self.places.len());
        for &place in self.places.iter().rev() {
            let part = times(2 * place, of_gradient, &coefficients) / self.curvature(place, epsilon).0;
            coefficients[2 * place] -= part * epsilon;
            coefficients[2 * place + 1] -= part * rest;
            parts.push(part);
        }
        if let Some(&newest) = self.places.back() {
            let (ys, yy) = self.curvature(newest, epsilon);
            of_gradient *= ys / yy;
            coefficients.iter_mut().for_each(|coefficient| *coefficient *= ys / yy);
        }
        for (&place, part) in self.places.iter().zip(parts.iter().rev()) {
            let change = epsilon * times(2 * place, of_gradient, &coefficients)
                + rest * times(2 * place + 1, of_gradient, &coefficients);
            coefficients[2 * place] += part - change / self.curvature(place, epsilon).0;
        }
        coefficients.iter_mut().for_each(|coefficient| *coefficient = -*coefficient);
        self.combination(-of_gradient, gradient, &coefficients)
    }

    /// `v·target` of all vectors.
    fn products_with(&self, target: &[f64]) -> Vec<f64> {
        let of_piece = |piece: usize| {
            let range = piece * PIECE..((piece + 1) * PIECE).min(self.n_features);
            let target = &target[range.clone()];
            let of_vector = |vector: &Vec<f64>| {
                let mut product = 0.0;
                add_product(&vector[range.clone()], target, &mut product);
                product
            };
            self.vectors.iter().map(of_vector).collect::<Vec<f64>>()
        };
        let mut products = vec![0.0; self.vectors.len()];
        for piece in threads::map(self.useful_threads(), self.n_features.div_ceil(PIECE), of_piece) {
            products.iter_mut().zip(piece).for_each(|(product, part)| *product += part);
        }
        products
    }

    /// `of_target · target + Σ_v coefficients_v v`.
    fn combination(&self, of_target: f64, target: &[f64], coefficients: &[f64]) -> Vec<f64> {
        let mut values: Vec<f64> = target.iter().map(|value| of_target * value).collect();
        let mut pieces: Vec<(usize, &mut [f64])> = values.chunks_mut(PIECE).enumerate().collect();
        threads::for_each_piece(self.useful_threads(), &mut pieces, 1, |pieces| {
            for (piece, values) in pieces {
                for (vector, &coefficient) in self.vectors.iter().zip(coefficients) {
                    if coefficient != 0.0 {
                        add_scaled(values, coefficient, &vector[*piece * PIECE..][..values.len()]);
                    }
                }
            }
        });
        values
    }

    fn useful_threads(&self) -> usize {
        self.threads.min(self.n_features * self.vectors.len() / THREAD_ENTRIES).max(1)
    }
}

/// Partial sums: fixed order, and not one long chain of additions.
const LANES: usize = 16;

#[inline(always)]
fn product_body<const FMA: bool>(a: &[f64], b: &[f64], product: &mut f64) {
    let ((a_lanes, a_rest), (b_lanes, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for k in 0..LANES {
            sums[k] += a[k] * b[k];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    *product += sums.iter().sum::<f64>() + rest;
}

per_instruction_set!(
    /// `product += a·b`.
    fn add_product(a: &[f64], b: &[f64], product: &mut f64) = product_body
);

#[inline(always)]
fn scaled_body<const FMA: bool>(target: &mut [f64], factor: f64, other: &[f64]) {
    target.iter_mut().zip(other).for_each(|(target, other)| *target += factor * other);
}

per_instruction_set!(
    /// `target += factor · other`.
    fn add_scaled(target: &mut [f64], factor: f64, other: &[f64]) = scaled_body
);

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::equilibrium::erasure::problem::add;
    use crate::equilibrium::kernels::dot;

    /// The recursion as it is in books, on vectors.
    fn by_hand(epsilon: f64, steps: &[(Vec<f64>, Vec<f64>)], gradient: &[f64]) -> Vec<f64> {
        let change = |(s, k): &(Vec<f64>, Vec<f64>)| -> Vec<f64> {
            s.iter().zip(k).map(|(s, k)| epsilon * s + (1.0 - epsilon) * k).collect()
        };
        let (mut vector, mut parts) = (gradient.to_vec(), Vec::new());
        for step in steps.iter().rev() {
            let y = change(step);
            let part = dot(&step.0, &vector) / dot(&step.0, &y);
            add(&mut vector, -part, &y);
            parts.push(part);
        }
        let y = change(&steps[steps.len() - 1]);
        let scale = dot(&steps[steps.len() - 1].0, &y) / dot(&y, &y);
        vector.iter_mut().for_each(|value| *value *= scale);
        for (step, part) in steps.iter().zip(parts.iter().rev()) {
            let y = change(step);
            let change = dot(&y, &vector) / dot(&step.0, &y);
            add(&mut vector, part - change, &step.0);
        }
        vector.iter().map(|value| -value).collect()
    }

    #[test]
    fn directions_are_those_of_the_plain_recursion_whatever_the_threads() {
        // Longer than a piece, and no multiple of the lanes.
        let n = 2 * PIECE + 37;
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let scales: Vec<f64> = (0..n).map(|_| 0.1 + random.random::<f64>()).collect();
        let mut draw = || -> Vec<f64> { (0..n).map(|_| random.random::<f64>() - 0.5).collect() };
        let mut memories = [Memory::new(n, 1), Memory::new(n, 3)];
        let mut steps = Vec::new();
        // More than are kept.
        for _ in 0..STEPS_MAX + 3 {
            let step = draw();
            let covariance: Vec<f64> = step.iter().zip(&scales).map(|(s, scale)| s * scale).collect();
            memories.iter_mut().for_each(|memory| memory.remember(&step, &covariance));
            steps.push((step, covariance));
        }
        // A step that is none leaves everything as it was.
        memories.iter_mut().for_each(|memory| memory.remember(&vec![0.0; n], &vec![0.0; n]));
        steps.drain(..3);
        let gradient = draw();
        let (found, expected) = (memories[0].direction(0.3, &gradient), by_hand(0.3, &steps, &gradient));
        // The same sums in another order, which lose digits where they cancel.
        let largest = expected.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9 * largest));
        assert_eq!(memories[1].direction(0.3, &gradient), found);
        memories[0].forget();
        assert!(memories[0].is_empty());
        let minus: Vec<f64> = gradient.iter().map(|value| -value).collect();
        assert_eq!(memories[0].direction(0.3, &gradient), minus);
    }
}
