use crate::model::Runs;
use crate::regression::{ActiveSets, Grouping};

/// The distinct configurations of a set of bins, how often each occurs and in which bins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configurations {
    n_neurons: usize,
    sets: ActiveSets,
    /// The configuration of each observed bin, in time order.
    order: Vec<u32>,
}

impl Configurations {
    /// Of all observed bins, in the order of their first occurrence. At most 2³² − 1 of them.
    #[must_use]
    pub fn of(runs: &Runs) -> Self {
        let all: Vec<usize> = (0..runs.n_neurons).collect();
        Self::of_neurons(runs, &all)
    }

    /// The same, seen by the neurons `keep` (increasing) alone, which are numbered anew in this order.
    #[must_use]
    pub fn of_neurons(runs: &Runs, keep: &[usize]) -> Self {
        let mut grouping = Grouping::new(runs.n_neurons, keep);
        let order = runs.blocks.iter().flat_map(|block| block.bins()).map(|bin| grouping.add(bin)).collect();
        Self { n_neurons: keep.len(), sets: grouping.finish(), order }
    }

    /// Number of neurons.
    #[must_use]
    pub fn n_neurons(&self) -> usize {
        self.n_neurons
    }

    /// Number of distinct configurations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sets.len() == 0
    }

    /// Number of bins.
    #[must_use]
    pub fn n_bins(&self) -> usize {
        self.order.len()
    }

    /// Active neurons of a configuration, increasing.
    #[must_use]
    pub fn active(&self, configuration: usize) -> &[u16] {
        self.sets.active(configuration)
    }

    /// How often each configuration occurs.
    #[must_use]
    pub fn multiplicities(&self) -> &[u64] {
        self.sets.counts()
    }

    /// The configuration of each bin, in time order.
    #[must_use]
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Active entries over all distinct configurations.
    #[must_use]
    pub fn n_active(&self) -> usize {
        self.sets.n_active()
    }

    /// The distinct sets of active neurons.
    pub(super) fn sets(&self) -> &ActiveSets {
        &self.sets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SpikeBlock;

    #[test]
    fn bins_are_grouped_and_counted() {
        let blocks = vec![
            SpikeBlock::from_lists(0, &[vec![0, 3], vec![], vec![3, 1], vec![0, 1, 3], vec![1]], 4).unwrap(),
            SpikeBlock::from_lists(9, &[vec![2], vec![0]], 4).unwrap(),
        ];
        let found = Configurations::of_neurons(&Runs { n_neurons: 4, blocks }, &[1, 2, 3]);
        let lists: Vec<_> = (0..found.len()).map(|c| found.active(c)).collect();
        assert_eq!(lists, [&[2u16][..], &[], &[0, 2], &[0], &[1]]);
        assert_eq!(found.multiplicities(), [1, 2, 2, 1, 1]);
        assert_eq!(found.order(), [0, 1, 2, 2, 3, 4, 1]);
        assert_eq!((found.n_bins(), found.n_active()), (7, 5));
    }
}
