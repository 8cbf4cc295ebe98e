//! How well does each equilibrium method describe what it has not seen?

use std::ops::Range;

use super::{ComparisonError, Recorded};
use crate::equilibrium::{
    CheckOptions, Conditional, EquilibriumError, FitOptions, Rates, ReconstructError, ReconstructionScore,
    ReconstructionScoreOptions, Samples, check, fit, reconstruction_score,
};
use crate::model::{EquilibriumMethod, EquilibriumModel, ModelCheck, Runs, Score};

/// A recording split in time: equilibrium models are fitted to its first part and judged by the rest.
#[derive(Debug)]
pub struct EquilibriumComparison {
    train_bins: Range<u64>,
    held_out_bins: Range<u64>,
    train: Samples,
    held_out: Runs,
    held_out_samples: Samples,
    rates: Rates,
    options: FitOptions,
}

/// What one method makes of the first part, and how that describes the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedEquilibrium {
    /// Fitted to the first part.
    pub model: EquilibriumModel,
    /// Of each neuron of the held-out bins given all others: bits gained over independent rates of the first part.
    pub score: Score,
    /// Statistics of configurations drawn from the model next to those of the held-out bins.
    pub check: ModelCheck,
    /// How well it fills in neurons that are hidden in the held-out bins.
    pub reconstruction: ReconstructionScore,
}

/// A method that gives no model to compare.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum UnfitMethod {
    /// It cannot be fitted.
    #[error(transparent)]
    Fit(#[from] EquilibriumError),
    /// Nothing can be hidden.
    #[error(transparent)]
    Reconstruct(#[from] ReconstructError),
}

impl EquilibriumComparison {
    /// Share of the neurons that are hidden in each bin to see whether a model finds them.
    pub const HIDDEN_SHARE: f64 = 0.2;

    /// Fit to the first `share` of a recording and judge by the rest.
    ///
    /// # Errors
    /// [`ComparisonError`] when there is nothing to fit to or nothing to judge by.
    pub fn new(recorded: &Recorded, share: f64, options: FitOptions) -> Result<Self, ComparisonError> {
        if !(share > 0.0 && share < 1.0) {
            return Err(ComparisonError::Share { found: share });
        }
        let Range { start, end } = recorded.bins;
        let split = start + ((end - start) as f64 * share) as u64;
        let train = recorded.runs.range(start..split);
        let held_out = recorded.runs.range(split..end);
        if train.n_bins() == 0 || held_out.n_bins() == 0 {
            return Err(ComparisonError::NoBins { train: train.n_bins(), held_out: held_out.n_bins() });
        }
        Ok(Self {
            train_bins: start..split,
            held_out_bins: split..end,
            rates: Rates::of(&train),
            train: Samples::of(&train),
            held_out_samples: Samples::of(&held_out),
            held_out,
            options,
        })
    }

    /// Bins fitted to.
    #[must_use]
    pub fn train_bins(&self) -> Range<u64> {
        self.train_bins.clone()
    }

    /// Bins judged by.
    #[must_use]
    pub fn held_out_bins(&self) -> Range<u64> {
        self.held_out_bins.clone()
    }

    /// What is fitted to.
    #[must_use]
    pub fn train(&self) -> &Samples {
        &self.train
    }

    /// What is judged by.
    #[must_use]
    pub fn held_out(&self) -> &Samples {
        &self.held_out_samples
    }

    /// One method.
    ///
    /// # Errors
    /// [`UnfitMethod`] when it cannot do so many neurons.
    pub fn run(&self, method: EquilibriumMethod) -> Result<ComparedEquilibrium, UnfitMethod> {
        let FitOptions { threads, seed, .. } = self.options;
        let model = fit(&self.train, method, &self.options)?;
        let drawing = CheckOptions { threads, seed, ..CheckOptions::default() };
        let hiding = ReconstructionScoreOptions {
            hidden: Self::HIDDEN_SHARE,
            threads,
            seed,
            ..ReconstructionScoreOptions::default()
        };
        Ok(ComparedEquilibrium {
            score: Conditional::new(&model, &self.rates).score(&self.held_out, &self.rates),
            check: check(&self.held_out_samples, &model, &drawing)?,
            reconstruction: reconstruction_score(&model, &self.held_out, &self.rates, &hiding)?,
            model,
        })
    }
}
