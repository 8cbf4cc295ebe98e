use std::fmt;
use std::str::FromStr;

use ndarray::{Array1, Array2};

use super::RowStatus;

/// How the couplings of an equilibrium (pairwise maximum entropy) model `P(s) ∝ exp(Σ_i h_i s_i + Σ_{i<j} J_ij s_i s_j)` are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EquilibriumMethod {
    /// Erasure machine: moments of configurations reweighted towards equal probability (Jo, Hoang & Periwal 2019).
    ErasureMachine,
    /// Hopfield's rule: couplings are the second moments.
    Hopfield,
    /// Naive mean field: inverse of the covariance.
    Nmf,
    /// TAP correction of the naive mean field.
    Tap,
    /// Pseudo-likelihood: each neuron's logistic regression on the others.
    PseudoLikelihood,
    /// Maximum likelihood by enumeration of every configuration; few neurons only.
    MaximumLikelihood,
    /// Maximum likelihood by Boltzmann learning with persistent Monte Carlo chains.
    Boltzmann,
    /// Low-temperature inversion of naive mean field in several states.
    ManyStates,
    /// Low-temperature inversion of TAP in several states.
    ManyStatesTap,
}

/// A name that is no method's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an equilibrium method: expected one of {}", EquilibriumMethod::ALL.map(EquilibriumMethod::as_str).join(", "))]
pub struct UnknownEquilibriumMethod {
    /// What was given.
    pub text: String,
}

impl EquilibriumMethod {
    /// Every method.
    pub const ALL: [Self; 9] = [
        Self::ErasureMachine,
        Self::Hopfield,
        Self::Nmf,
        Self::Tap,
        Self::PseudoLikelihood,
        Self::MaximumLikelihood,
        Self::Boltzmann,
        Self::ManyStates,
        Self::ManyStatesTap,
    ];

    /// Name on the command line, in configuration, files and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ErasureMachine => "erasure-machine",
            Self::Hopfield => "hopfield",
            Self::Nmf => "nmf",
            Self::Tap => "tap",
            Self::PseudoLikelihood => "pseudo-likelihood",
            Self::MaximumLikelihood => "maximum-likelihood",
            Self::Boltzmann => "boltzmann",
            Self::ManyStates => "many-states",
            Self::ManyStatesTap => "many-states-tap",
        }
    }
}

impl FromStr for EquilibriumMethod {
    type Err = UnknownEquilibriumMethod;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|method| method.as_str() == text);
        found.ok_or_else(|| UnknownEquilibriumMethod { text: text.to_owned() })
    }
}

impl fmt::Display for EquilibriumMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A fitted equilibrium model. No number in it is NaN or infinite.
#[derive(Debug, Clone, PartialEq)]
pub struct EquilibriumModel {
    /// How it was found.
    pub method: EquilibriumMethod,
    /// `J`, shape `(n_neurons, n_neurons)`: symmetric, zero on the diagonal; rows and columns of neurons without an estimate are zero.
    pub couplings: Array2<f64>,
    /// `h`, shape `(n_neurons)`.
    pub fields: Array1<f64>,
    /// What each neuron's couplings and field are worth.
    pub status: Vec<RowStatus>,
    /// How far couplings and fields would vary from recording to recording; `None` where the method gives no such number.
    pub errors: Option<EquilibriumErrors>,
    /// Observed bins.
    pub samples: u64,
    /// Distinct configurations among them.
    pub distinct: u64,
    /// Passes over the distinct configurations, or Monte Carlo updates.
    pub iterations: u32,
    /// What is particular to the method.
    pub diagnostics: EquilibriumDiagnostics,
}

/// Standard errors from the differences between contiguous blocks of bins, so that correlations in time shorter than a block are in them;
/// the bias of a method or of a ridge is not.
#[derive(Debug, Clone, PartialEq)]
pub struct EquilibriumErrors {
    /// Of the couplings, shape `(n_neurons, n_neurons)`, symmetric; 0 where there is no estimate.
    pub couplings: Array2<f64>,
    /// Of the fields, shape `(n_neurons)`.
    pub fields: Array1<f64>,
    /// Blocks they come from: each error is itself uncertain by a factor of about `1 ± 1/√(2 (blocks − 1))`.
    pub blocks: u32,
}

/// What a method says of itself.
#[derive(Debug, Clone, PartialEq)]
pub enum EquilibriumDiagnostics {
    /// Nothing: a closed form of the moments.
    ClosedForm,
    /// Of the erasure machine.
    Erasure {
        /// Index in `path` of the one chosen: the largest mean energy.
        chosen: usize,
        /// Every `ε`, in decreasing order.
        path: Vec<ErasureStep>,
    },
    /// Of pseudo-likelihood.
    PseudoLikelihood {
        /// The ridge chosen.
        ridge: f64,
        /// Ridges and what they have scored in cross-validation; empty when there was nothing to choose.
        path: Vec<CrossValidated>,
        /// Norm of the gradient of each neuron's mean log-likelihood at the end, shape `(n_neurons)`.
        gradient_norm: Array1<f64>,
    },
    /// Of maximum likelihood by enumeration.
    MaximumLikelihood {
        /// Norm of the gradient of the mean log-likelihood at the end: the largest of moments that are not matched is below it.
        gradient_norm: f64,
        /// Mean log-likelihood of a bin, bits.
        log_likelihood_bits: f64,
    },
    /// Of Boltzmann learning.
    Boltzmann(BoltzmannDiagnostics),
    /// Of the inversion in several states.
    ManyStates {
        /// Bins in each state, largest first.
        bins: Vec<u64>,
        /// Root mean square of what is left of the equations.
        residual: f64,
    },
}

/// One `ε` of the erasure machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErasureStep {
    /// `ε`: 0 < ε ≤ 1; 1 is Hopfield's rule.
    pub epsilon: f64,
    /// `⟨E⟩_f` over the bins as observed, `E(s) = −Σ h_i s_i − Σ_{i<j} J_ij s_i s_j`.
    pub mean_energy: f64,
    /// `1 / Σ f̃²` over distinct configurations: how many of them count.
    pub effective_samples: f64,
    /// Largest of `|⟨O⟩_f̃ − ε w|`.
    pub residual: f64,
    /// Passes over the configurations.
    pub iterations: u32,
    /// Whether the residual is below its bound.
    pub converged: bool,
}

/// A ridge and its score on bins left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CrossValidated {
    /// The ridge.
    pub ridge: f64,
    /// Mean pseudo-log-likelihood of a bin that was left out, bits.
    pub bits_per_bin: f64,
}

/// What Boltzmann learning ended with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoltzmannDiagnostics {
    /// Persistent chains.
    pub chains: u32,
    /// Sweeps of each chain in all.
    pub sweeps: u64,
    /// Root mean square difference of model and data moments, of `⟨s_i⟩` and `⟨s_i s_j⟩`.
    pub moment_residual: f64,
    /// The largest one.
    pub moment_residual_max: f64,
    /// Root mean square Monte Carlo error of the model moments it was told by.
    pub monte_carlo_error: f64,
    /// Root mean square error of couplings and fields that stems from the finite chains alone.
    pub parameter_error: f64,
    /// Spread between chains over what pieces of single chains let expect, as a ratio of standard deviations, cut at 1000: about 1 when every
    /// chain visits what the others do, far above when each stays in a state of its own or pieces are too short to forget the one before.
    pub chain_disagreement: f64,
    /// Whether the residual is down to the Monte Carlo error, that is small enough, and chains agree.
    pub converged: bool,
}

impl EquilibriumModel {
    /// Number of neurons.
    #[must_use]
    pub fn n_neurons(&self) -> usize {
        self.fields.len()
    }

    /// A model of zeros, with the status of every neuron.
    #[must_use]
    pub fn zeros(
        method: EquilibriumMethod,
        status: Vec<RowStatus>,
        samples: u64,
        distinct: u64,
        diagnostics: EquilibriumDiagnostics,
    ) -> Self {
        let n = status.len();
        let (couplings, fields) = (Array2::zeros((n, n)), Array1::zeros(n));
        Self {
            method,
            couplings,
            fields,
            status,
            errors: None,
            samples,
            distinct,
            iterations: 0,
            diagnostics,
        }
    }
}
