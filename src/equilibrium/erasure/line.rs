use super::problem::Problem;

/// A slope so much less than the one a line began with ends the search along it.
const SLOPE_LEFT: f64 = 0.1;
/// Places of a line that are looked at before the search is content with any that is lower.
const PLACES_MAX: usize = 60;

/// `F` along the line `w + t d`. Only weights change along it, so that a place costs one exponential per configuration and no pass.
pub(super) struct Line<'a> {
    pub(super) problem: &'a Problem<'a>,
    pub(super) epsilon: f64,
    /// `w·O_c`.
    pub(super) energies: &'a [f64],
    /// `d·O_c`.
    pub(super) slopes: &'a [f64],
    /// `w·d`.
    pub(super) along: f64,
    /// `d·d`.
    pub(super) square: f64,
}

/// Where a search along a line ended.
pub(super) struct Found {
    /// `t > 0`.
    pub(super) step: f64,
    /// `f̃` there.
    pub(super) weights: Vec<f64>,
    /// Log of the sum of weights there.
    pub(super) log_sum: f64,
}

struct Place {
    /// `F` less `ε |w|²/2`.
    value: f64,
    slope: f64,
    curvature: f64,
}

impl Line<'_> {
    fn place(&self, step: f64, weights: &[f64], log_sum: f64) -> Place {
        let mean: f64 = weights.iter().zip(self.slopes).map(|(weight, slope)| weight * slope).sum();
        let variance: f64 =
            weights.iter().zip(self.slopes).map(|(weight, slope)| weight * (slope - mean).powi(2)).sum();
        let epsilon = self.epsilon;
        Place {
            value: log_sum / (1.0 - epsilon) + epsilon * step * (self.along + 0.5 * step * self.square),
            slope: epsilon * (self.along + step * self.square) - mean,
            curvature: epsilon * self.square + (1.0 - epsilon) * variance,
        }
    }

    /// A lower place with next to no slope, by Newton's method inside a bracket; `None` where the line does not lead down from
    /// `t = 0` beyond rounding. `weights` and `log_sum` are those at `t = 0`.
    ///
    /// `F` is convex: any place still leading down is lower than the start.
    pub(super) fn search(&self, weights: &[f64], log_sum: f64) -> Option<Found> {
        let start = self.place(0.0, weights, log_sum);
        // Not `slope >= 0`: a slope that is no number leads nowhere either.
        if !(start.slope < 0.0 && start.curvature > 0.0 && start.curvature.is_finite()) {
            return None;
        }
        let rounding = 1e-12 * (1.0 + start.value.abs());
        let (mut low, mut high) = (0.0, f64::INFINITY);
        let mut step = -start.slope / start.curvature;
        let mut weights = Vec::with_capacity(weights.len());
        for _ in 0..PLACES_MAX {
            if !step.is_finite() {
                break;
            }
            let log_sum =
                self.problem.reweigh(self.epsilon, self.energies, (step, self.slopes), &mut weights);
            let here = self.place(step, &weights, log_sum);
            if here.slope.abs() <= -SLOPE_LEFT * start.slope && here.value <= start.value + rounding {
                return Some(Found { step, weights, log_sum });
            }
            if here.slope < 0.0 {
                low = step;
            } else {
                high = step;
            }
            let newton = step - here.slope / here.curvature;
            step = if newton > low && newton < high {
                newton
            } else if high.is_finite() {
                0.5 * (low + high)
            } else {
                4.0 * low
            };
        }
        let log_sum = self.problem.reweigh(self.epsilon, self.energies, (low, self.slopes), &mut weights);
        (low > 0.0).then_some(Found { step: low, weights, log_sum })
    }
}
