use ndarray::{Array1, Array2};

use super::super::Configurations;
use super::super::blocks::{Replicates, TAKEN};
use super::mean_field::MeanField;
use super::states::{Counts, State, block_counts};
use super::{determined_neurons, part};
use crate::model::EquilibriumErrors;
use crate::moments::threads::map;

/// What the neurons kept were found from.
pub(super) struct Estimate<'a> {
    pub(super) configurations: &'a Configurations,
    /// The state of each configuration.
    pub(super) state: &'a [usize],
    /// Counts of each state over all bins.
    pub(super) totals: &'a [Counts],
    /// Neurons kept, increasing.
    pub(super) kept: &'a [usize],
    /// Their couplings and fields.
    pub(super) found: &'a (Array2<f64>, Array1<f64>),
}

/// Standard errors of the neurons kept from taking away half of each block in turn, the division into states held fixed; `None` where there is
/// one block, or where without such a half other couplings are determined than with it.
pub(super) fn errors(estimate: &Estimate<'_>, threads: usize) -> Option<EquilibriumErrors> {
    let &Estimate { configurations, state, totals, kept, found } = estimate;
    let blocks = configurations.n_blocks();
    if blocks < 2 {
        return None;
    }
    let replicate = |block: usize| {
        let own = block_counts(configurations, state, totals.len(), block);
        let left: Vec<State> =
            totals.iter().zip(&own).filter_map(|(all, own)| all.without(TAKEN, own).state()).collect();
        let mean_field = MeanField::of(&left, configurations.n_neurons());
        (determined_neurons(&left, &mean_field) == kept).then(|| part(&left, &mean_field, kept))
    };
    let mut replicates = Replicates::new(kept.len());
    // As many at a time as there are threads: memory for their matrices, and always added in the order of blocks.
    let at_once = threads.clamp(1, blocks);
    for first in (0..blocks).step_by(at_once) {
        let some = map(threads, at_once.min(blocks - first), |k| replicate(first + k));
        for replicate in some {
            replicates.add(&replicate?, found);
        }
    }
    let (couplings, fields) = replicates.errors();
    Some(EquilibriumErrors { couplings, fields, blocks: blocks as u32 })
}
