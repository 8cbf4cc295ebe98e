//! TAP in several states at once.
//!
//! With `atanh m_i = h_i + Σ_j J_ij m_j − m_i Σ_j J_ij² (1 − m_j²)` differentiated by the fields, state `a` leaves
//!
//! ```text
//! R^a_ik = Σ_j J_ij C_jk + δ_ik − C_ik / (1 − m_i²) − C_ik Σ_j J_ij² (1 − m_j²) + 2 m_i Σ_j J_ij² m_j C_jk
//! P^a_i  = h^a_i − mean over states,   h^a_i = atanh m_i − Σ_j J_ij m_j + m_i Σ_j J_ij² (1 − m_j²)
//! ```
//!
//! of its equations, `j ≠ i` throughout, and `½ Σ R² + ½ Σ P²` is minimised over symmetric `J` with a zero diagonal. With
//! `Q = R C` its derivative by `J_ij` is `Q_ij − 2 J_ij (1 − m_j²) Q_ii + 4 J_ij m_i m_j Q_ij + P_i (2 J_ij m_i (1 − m_j²) − m_j)`, summed over
//! states and both orders of the pair.

use ndarray::{Array1, Array2, Axis, Zip};

use super::mean_field::{Eigen, eigen, normal_matrix, usable};
use super::states::State;

/// The squared residual of all states.
pub(super) struct TapProblem<'a> {
    states: &'a [State],
    /// States each neuron has equations in.
    usable: Vec<Vec<usize>>,
}

/// The objective somewhere.
#[derive(Debug, Clone)]
pub(super) struct Evaluation {
    /// `½ Σ R² + ½ Σ P²`.
    pub(super) value: f64,
    /// By each pair, symmetric, zero on the diagonal.
    pub(super) gradient: Array2<f64>,
}

impl<'a> TapProblem<'a> {
    pub(super) fn new(states: &'a [State], n: usize) -> Self {
        Self { states, usable: (0..n).map(|i| usable(states, i)).collect() }
    }

    /// Number of equations.
    pub(super) fn equations(&self) -> f64 {
        let n = self.usable.len();
        self.usable.iter().map(|states| states.len() * (n + 1)).sum::<usize>() as f64
    }

    /// `h^a_i`, shape `(states, n)`; 0 where the neuron is frozen.
    pub(super) fn fields(&self, couplings: &Array2<f64>) -> Array2<f64> {
        let mut fields = Array2::zeros((self.states.len(), self.usable.len()));
        let squares = couplings.mapv(|j| j * j);
        for (state, mut row) in self.states.iter().zip(fields.rows_mut()) {
            let m = &state.magnetizations;
            let (input, reaction) = (couplings.dot(m), squares.dot(&m.mapv(|m| 1.0 - m * m)));
            for i in (0..m.len()).filter(|&i| !state.frozen[i]) {
                row[i] = m[i].atanh() - input[i] + m[i] * reaction[i];
            }
        }
        fields
    }

    /// Means over the states each neuron has equations in.
    pub(super) fn mean_fields(&self, fields: &Array2<f64>) -> Array1<f64> {
        let mean = |(i, states): (usize, &Vec<usize>)| {
            states.iter().map(|&a| fields[[a, i]]).sum::<f64>() / states.len().max(1) as f64
        };
        self.usable.iter().enumerate().map(mean).collect()
    }

    /// Multiplications of [`TapProblem::evaluate`]: two products of matrices for each state.
    pub(super) fn cost(&self) -> f64 {
        2.0 * self.states.len() as f64 * (self.usable.len() as f64).powi(3)
    }

    pub(super) fn evaluate(&self, couplings: &Array2<f64>) -> Evaluation {
        let fields = self.fields(couplings);
        let mean = self.mean_fields(&fields);
        let squares = couplings.mapv(|j| j * j);
        let mut value = 0.0;
        let mut gradient = Array2::<f64>::zeros(couplings.dim());
        for (a, state) in self.states.iter().enumerate() {
            let residual = residual(state, couplings, &squares);
            let apart = Array1::from_shape_fn(mean.len(), |i| {
                if state.frozen[i] { 0.0 } else { fields[[a, i]] - mean[i] }
            });
            value += 0.5 * (residual.iter().map(|r| r * r).sum::<f64>() + apart.dot(&apart));
            let q = residual.dot(&state.covariance);
            let m = &state.magnetizations;
            Zip::indexed(&mut gradient).and(couplings).for_each(|(i, j), gradient, &coupling| {
                let variance = 1.0 - m[j] * m[j];
                *gradient += q[[i, j]] - 2.0 * coupling * variance * q[[i, i]]
                    + 4.0 * coupling * m[i] * m[j] * q[[i, j]]
                    + apart[i] * (2.0 * coupling * m[i] * variance - m[j]);
            });
        }
        let mut gradient = &gradient + &gradient.t();
        gradient.diag_mut().fill(0.0);
        Evaluation { value, gradient }
    }
}

/// `R` of a state; rows of frozen neurons are zero.
fn residual(state: &State, couplings: &Array2<f64>, squares: &Array2<f64>) -> Array2<f64> {
    let (m, covariance) = (&state.magnetizations, &state.covariance);
    let reaction = squares.dot(&m.mapv(|m| 1.0 - m * m));
    // J C + 2 diag(m) (J² diag(m)) C in one product.
    let mut left = couplings.clone();
    Zip::indexed(&mut left).and(squares).for_each(|(i, j), left, square| *left += 2.0 * m[i] * m[j] * square);
    let mut residual = left.dot(covariance);
    for (i, mut row) in residual.axis_iter_mut(Axis(0)).enumerate() {
        if state.frozen[i] {
            row.fill(0.0);
        } else {
            row.scaled_add(-1.0 / (1.0 - m[i] * m[i]) - reaction[i], &covariance.row(i));
            row[i] += 1.0;
        }
    }
    residual
}

/// An approximate inverse of the matrix of second derivatives, that of the terms linear in `J`: it maps `J` to `J G + G J`.
pub(super) struct Preconditioner {
    basis: Eigen,
}

impl Preconditioner {
    pub(super) fn of(states: &[State]) -> Option<Self> {
        let all: Vec<&State> = states.iter().collect();
        let mut basis = eigen(&normal_matrix(&all))?;
        let least = 1e-10 * basis.values.last()?.max(f64::MIN_POSITIVE);
        basis.values.iter_mut().for_each(|value| *value = value.max(least));
        Some(Self { basis })
    }

    /// Multiplications of [`Preconditioner::apply`].
    pub(super) fn cost(&self) -> f64 {
        4.0 * (self.basis.values.len() as f64).powi(3)
    }

    pub(super) fn apply(&self, gradient: &Array2<f64>) -> Array2<f64> {
        let Eigen { values, vectors } = &self.basis;
        let mut inside = vectors.t().dot(gradient).dot(vectors);
        Zip::indexed(&mut inside).for_each(|(i, j), x| *x /= values[i] + values[j]);
        let mut direction = vectors.dot(&inside).dot(&vectors.t());
        // Symmetric to the last bit.
        direction = 0.5 * (&direction + &direction.t());
        direction.diag_mut().fill(0.0);
        direction
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::equilibrium::many_states::states::Counts;

    fn states(n: usize) -> Vec<State> {
        let mut random = 5_u64;
        let mut next = || {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            random >> 33
        };
        let state = |level: u64| {
            let mut counts = Counts::new(n);
            for _ in 0..60 {
                // Neuron 2 is frozen in the second state.
                let active: Vec<u16> =
                    (0..n as u16).filter(|&i| next() % 10 < level && !(i == 2 && level == 7)).collect();
                counts.add(&active, 1.0);
            }
            counts.state().unwrap()
        };
        [3, 7, 5].into_iter().map(state).collect()
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let n = 6;
        let states = states(n);
        assert!(states[1].frozen[2] && !states[0].frozen[2]);
        let problem = TapProblem::new(&states, n);
        let couplings =
            Array2::from_shape_fn(
                (n, n),
                |(i, j)| {
                    if i == j { 0.0 } else { 0.3 * ((i * j + i + j) as f64).sin() }
                },
            );
        let found = problem.evaluate(&couplings);
        let step = 1e-5;
        for i in 0..n {
            assert_eq!(found.gradient[[i, i]], 0.0);
            for j in 0..i {
                let moved = |by: f64| {
                    let mut moved = couplings.clone();
                    moved[[i, j]] += by;
                    moved[[j, i]] += by;
                    problem.evaluate(&moved).value
                };
                let slope = (moved(step) - moved(-step)) / (2.0 * step);
                // Second differences leave some step².
                assert!(
                    (found.gradient[[i, j]] - slope).abs() < 1e-7,
                    "{i} {j}: {} {slope}",
                    found.gradient[[i, j]]
                );
            }
        }
    }

    #[test]
    fn the_equations_are_those_of_the_tap_fields() {
        // Move the fields by little: magnetizations that obey TAP move by C, which then leaves no residual.
        let n = 5;
        let couplings =
            Array2::from_shape_fn((n, n), |(i, j)| if i == j { 0.0 } else { 0.1 * ((i + j) as f64 - 3.5) });
        let squares = couplings.mapv(|j| j * j);
        let solve = |fields: &Array1<f64>| {
            let mut m = Array1::<f64>::zeros(n);
            for _ in 0..2000 {
                let reaction = squares.dot(&m.mapv(|m| 1.0 - m * m));
                m = (fields + &couplings.dot(&m) - &m * &reaction).mapv(f64::tanh);
            }
            m
        };
        let fields = Array1::from_shape_fn(n, |i| 0.2 * i as f64 - 0.3);
        let magnetizations = solve(&fields);
        let mut covariance = Array2::zeros((n, n));
        for k in 0..n {
            let moved = |by: f64| {
                let mut moved = fields.clone();
                moved[k] += by;
                solve(&moved)
            };
            covariance.column_mut(k).assign(&((moved(1e-5) - moved(-1e-5)) / 2e-5));
        }
        let state = State { magnetizations, covariance, frozen: vec![false; n] };
        let left = residual(&state, &couplings, &squares);
        assert!(left.iter().all(|r| r.abs() < 1e-8), "{left}");
        let found = TapProblem::new(std::slice::from_ref(&state), n).fields(&couplings);
        assert!(found.row(0).iter().zip(&fields).all(|(f, h)| (f - h).abs() < 1e-12));
    }
}
