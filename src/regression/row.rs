use std::collections::VecDeque;

use super::problem::{Evaluation, Parameters, Problem, dot};

/// Steps remembered by the quasi-Newton method.
const HISTORY: usize = 8;
/// Shortenings of one step after which a row is given up: rounding, not curvature, stands in the way.
const SHORTENINGS_MAX: u32 = 40;
/// Least share of the expected gain a step must bring.
const SUFFICIENT: f64 = 1e-4;
/// Largest slope left at the end of a step, relative to that at its start, if the gain is below rounding.
const FLAT: f64 = 0.9;
/// Rounding of the mean log-likelihood, relative to its size.
const ROUNDING: f64 = 1e-13;

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Steps lie ahead.
    Moving,
    /// The gradient is as small as asked for.
    Converged,
    /// Iterations ran out, or no step gained anything.
    Stopped,
}

/// A row on its way to its maximum.
pub(crate) struct Row {
    /// Place among the neurons that take part.
    pub(crate) place: usize,
    pub(crate) progress: Progress,
    pub(crate) parameters: Parameters,
    pub(crate) here: Evaluation,
    /// Euclidean norm of the gradient with respect to `(h_i, J_i·)`.
    pub(crate) gradient_norm: f64,
    pub(crate) iterations: u32,
    /// Whether the row needs a new direction.
    pub(crate) turning: bool,
    direction: Parameters,
    slope: f64,
    step: f64,
    shortenings: u32,
    whitened: Whitened,
}

/// The quasi-Newton method sees a row in coordinates `(u, Lᵀ J)` with `C + λI = L Lᵀ`, in which the curvature near independent
/// rates is `a_i` in all directions.
#[derive(Default)]
struct Whitened {
    gradient: Vec<f64>,
    direction: Vec<f64>,
    /// Step taken since `gradient`, if any.
    taken: Option<f64>,
    history: VecDeque<Step>,
}

struct Step {
    moved: Vec<f64>,
    /// Fall of the gradient.
    fall: Vec<f64>,
    /// `moved · fall`.
    curvature: f64,
}

impl Row {
    pub(crate) fn new(place: usize, parameters: Parameters, here: Evaluation) -> Self {
        let direction = Parameters { drive: 0.0, couplings: Vec::new() };
        Self {
            place,
            progress: Progress::Moving,
            parameters,
            here,
            gradient_norm: 0.0,
            iterations: 0,
            turning: true,
            direction,
            slope: 0.0,
            step: 1.0,
            shortenings: 0,
            whitened: Whitened::default(),
        }
    }

    /// Note the gradient; true if it is small enough.
    pub(crate) fn settle(&mut self, problem: &Problem, gradient_norm_max: f64) -> bool {
        self.gradient_norm = problem.gradient_norm(self.place, &self.here.gradient);
        if self.gradient_norm <= gradient_norm_max {
            self.progress = Progress::Converged;
        }
        self.progress == Progress::Converged
    }

    /// Where the likelihood is wanted next.
    pub(crate) fn trial(&self) -> Parameters {
        self.parameters.moved(self.step, &self.direction)
    }

    /// Start along a direction of ascent.
    pub(crate) fn head(&mut self, direction: Parameters) {
        self.slope = self.here.gradient.dot(&direction);
        self.direction = direction;
        (self.step, self.shortenings, self.turning) = (1.0, 0, false);
        if !(self.slope > 0.0 && self.slope.is_finite() && self.direction.is_finite()) {
            self.progress = Progress::Stopped;
        }
    }

    /// Take the step whose end was evaluated, or shorten it.
    ///
    /// The likelihood is concave, so that a step is good if it gains in proportion to the slope. Near the maximum gains drown in
    /// rounding long before the gradient does; then the slope at the end of the step decides.
    pub(crate) fn judge(&mut self, trial: Parameters, there: Evaluation) {
        self.iterations += 1;
        let slope = there.gradient.dot(&self.direction);
        let gain = there.value - self.here.value;
        let rounding = ROUNDING * (1.0 + self.here.value.abs());
        let rises = gain >= SUFFICIENT * self.step * self.slope && gain > rounding;
        let flattens = gain >= -rounding && slope.abs() <= FLAT * self.slope;
        if (rises || flattens) && slope.is_finite() {
            self.parameters = trial;
            self.here = there;
            self.turning = true;
            self.whitened.taken = Some(self.step);
            return;
        }
        self.shortenings += 1;
        if self.shortenings > SHORTENINGS_MAX {
            self.progress = Progress::Stopped;
        }
        // Where the slope, if it fell evenly, would be zero.
        let even = self.slope / (self.slope - slope);
        self.step *= if even.is_finite() { even.clamp(0.1, 0.5) } else { 0.1 };
    }

    /// Forget the curvature met so far.
    pub(crate) fn forget(&mut self) {
        self.whitened = Whitened::default();
    }

    /// Direction of the quasi-Newton method (L-BFGS: Nocedal, Math. Comp. 35, 773 (1980)) from the gradient, both whitened: the field
    /// first, then the couplings.
    pub(crate) fn quasi_newton(&mut self, gradient: Vec<f64>) -> &[f64] {
        let whitened = &mut self.whitened;
        if let Some(taken) = whitened.taken.take()
            && whitened.gradient.len() == gradient.len()
        {
            let moved: Vec<f64> = whitened.direction.iter().map(|d| taken * d).collect();
            let fall: Vec<f64> =
                whitened.gradient.iter().zip(&gradient).map(|(old, new)| old - new).collect();
            let curvature = dot(&moved, &fall);
            // Concavity makes it positive but for rounding.
            if curvature > f64::EPSILON * dot(&fall, &fall).sqrt() * dot(&moved, &moved).sqrt() {
                if whitened.history.len() == HISTORY {
                    whitened.history.pop_front();
                }
                whitened.history.push_back(Step { moved, fall, curvature });
            }
        }
        whitened.direction = two_loops(&whitened.history, &gradient, self.here.gain);
        whitened.gradient = gradient;
        &self.whitened.direction
    }
}

fn two_loops(history: &VecDeque<Step>, gradient: &[f64], gain: f64) -> Vec<f64> {
    let add = |to: &mut [f64], factor: f64, from: &[f64]| {
        to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from);
    };
    let mut direction = gradient.to_vec();
    let mut along = Vec::with_capacity(history.len());
    for step in history.iter().rev() {
        let share = dot(&step.moved, &direction) / step.curvature;
        add(&mut direction, -share, &step.fall);
        along.push(share);
    }
    let scale = match history.back() {
        Some(step) => step.curvature / dot(&step.fall, &step.fall),
        None => 1.0 / gain,
    };
    direction.iter_mut().for_each(|d| *d *= scale);
    for (step, share) in history.iter().zip(along.into_iter().rev()) {
        let back = dot(&step.fall, &direction) / step.curvature;
        add(&mut direction, share - back, &step.moved);
    }
    direction
}
