//! Which logistic regressions make the observed spikes most probable?
//!
//! For every receiver *i* the penalised mean log-likelihood of its `T` observations is maximised on its own,
//!
//! ```text
//! (1/T) Σ_t log P(r_i(t) | s(t)) − (λ a_i / 2) Σ_j J_ij²        a_i = 1 − ⟨r_i⟩²
//! ∂/∂J_ij = ⟨r_i s_j⟩ − ⟨tanh θ_i s_j⟩ − λ a_i J_ij
//! ∂/∂h_i  = ⟨r_i⟩ − ⟨tanh θ_i⟩                                  θ_i(t) = h_i + Σ_j J_ij s_j(t)
//! ```
//!
//! a concave logistic regression of the receiver `r_i` on the senders `s_j`. In kinetic models the receivers are the next bin; in
//! equilibrium models they are the senders themselves, and a neuron's coupling to itself is held at zero ([`Own::Held`]).
//!
//! Receivers enter through integer counts ([`Table`]), so that a pass needs the senders alone, each distinct pattern of active
//! neurons once ([`Patterns`]), at O(active neurons) per pattern and row, or by products of matrices where many are active (`pass`). All
//! rows advance in lockstep, with quasi-Newton steps whitened by one shared Cholesky factor of `C + λI`, later with Newton steps
//! where those are the cheaper (`solve`). No step is taken that does not raise the likelihood (`row`): undamped steps diverge on sparse
//! recordings. A coupling that is held stays zero because whitened gradients are made orthogonal to the one direction that moves it; in
//! Newton steps its row and column are those of the identity.
//!
//! Results do not depend on the number of threads, bit for bit.

mod active_sets;
mod cost;
mod fisher;
pub(crate) mod logistic;
mod pass;
mod patterns;
mod problem;
mod row;
pub(crate) mod separation;
mod solve;
mod table;

pub(crate) use active_sets::{ActiveSets, Grouping};
pub(crate) use cost::Costs;
pub(crate) use fisher::{RowResponse, RowVariance, responses, variances};
pub(crate) use logistic::{FACTORS_MAX, add_softplus};
pub(crate) use pass::{LogOdds, Summand, sums};
pub(crate) use patterns::Patterns;
pub(crate) use problem::{Parameters, Problem};
pub(crate) use row::{Progress, Row};
pub(crate) use solve::{Stopping, maximise};
pub(crate) use table::{Own, Table};
