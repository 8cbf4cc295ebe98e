//! What there is to plot, wherever it comes from: numbers and names, no figures yet. A child that reads a snapshot sends it over a pipe.

use glauber::model::{ModelCheck, Neuron};
use serde::{Deserialize, Serialize};

/// All that was gathered of one recording, snapshot or session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Material {
    /// Name of the session or recording.
    pub(crate) name: String,
    /// Where it comes from, such as `snapshot fit.h5, written …`.
    pub(crate) origin: String,
    /// Width of a bin, such as `20 ms`.
    pub(crate) bin_width: String,
    /// Seconds in a bin.
    pub(crate) bin_s: f64,
    /// The neurons, in the order of every row and column.
    pub(crate) neurons: Vec<Neuron>,
    /// Couplings of one estimator.
    pub(crate) couplings: Option<Couplings>,
    /// How each estimator has predicted.
    pub(crate) scores: Vec<EstimatorScore>,
    /// Where couplings and scores are of several publications: that they are, and of which, as a sentence.
    pub(crate) mixed: Option<String>,
    /// An equilibrium model and what was observed.
    pub(crate) equilibrium: Option<Equilibrium>,
    /// Why there are no couplings or no model, by what is missing.
    pub(crate) missing: Vec<String>,
}

/// Bins that something was computed on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Span {
    /// `all`, `10min`, …
    pub(crate) window: String,
    /// First bin.
    pub(crate) first_bin: u64,
    /// Bin after the last one.
    pub(crate) end_bin: u64,
    /// Bins of these that were observed, when known.
    pub(crate) observed: Option<u64>,
}

/// The couplings of one estimator, with what each is worth. Matrices are row-major, row = receiver, column = sender.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Couplings {
    pub(crate) estimator: String,
    pub(crate) ridge: f64,
    pub(crate) span: Span,
    pub(crate) transitions: u64,
    /// How old a live estimate is, in words.
    pub(crate) age: Option<String>,
    /// Status of each row.
    pub(crate) status: Vec<String>,
    /// `J`, dimensionless.
    pub(crate) values: Vec<f64>,
    /// Standard errors; 0 where there is none.
    pub(crate) errors: Vec<f64>,
    /// q of each coupling; 1 where there is none.
    pub(crate) q: Vec<f64>,
}

impl Couplings {
    /// Whether the row has an estimate that is reliable.
    pub(crate) fn is_ok(&self, receiver: usize) -> bool {
        self.status[receiver] == "OK"
    }

    /// Whether the row is estimated and the sender takes part.
    pub(crate) fn has_error(&self, receiver: usize, sender: usize) -> bool {
        self.errors[receiver * self.status.len() + sender] > 0.0
    }

    /// The coupling of a pair.
    pub(crate) fn at(&self, receiver: usize, sender: usize) -> f64 {
        self.values[receiver * self.status.len() + sender]
    }
}

/// Sums of a score.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct ScoreSums {
    /// Transitions scored; discounted where the past is.
    pub(crate) transitions: f64,
    /// Spikes of each neuron in them.
    pub(crate) spikes: Vec<f64>,
    /// Bits gained over its rate, of each neuron.
    pub(crate) gain_bits: Vec<f64>,
}

/// How an estimator has predicted bins that it was not fitted to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EstimatorScore {
    pub(crate) estimator: String,
    pub(crate) ridge: f64,
    /// Of late, with the past discounted.
    pub(crate) recent: ScoreSums,
    /// Of all that was scored.
    pub(crate) total: ScoreSums,
    /// Every ridge there was to choose from, and its recent bits per spike.
    pub(crate) path: Vec<(f64, Option<f64>)>,
}

/// An equilibrium model and the correlations that were observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Equilibrium {
    pub(crate) method: String,
    /// Bins the model was fitted to.
    pub(crate) span: Span,
    /// Status of each neuron.
    pub(crate) status: Vec<String>,
    /// Whether the neuron has an estimate.
    pub(crate) estimated: Vec<bool>,
    /// `J`, row-major.
    pub(crate) couplings: Vec<f64>,
    pub(crate) fields: Vec<f64>,
    /// Bits per spike gained on bins not fitted to.
    pub(crate) bits_per_spike: Option<f64>,
    /// What the model says of the bins it was fitted to.
    pub(crate) check: Option<ModelCheck>,
    pub(crate) observed: Observed,
}

/// Means and equal-time correlations of bins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Observed {
    pub(crate) span: Span,
    /// Whether these are the very bins that the model was fitted to.
    pub(crate) same_bins: bool,
    /// `⟨s_i s_j⟩ − m_i m_j`, row-major.
    pub(crate) correlations: Vec<f64>,
}
