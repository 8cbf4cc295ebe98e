use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::model::Runs;

/// The distinct configurations of a set of bins, how often each occurs and in which bins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configurations {
    n_neurons: usize,
    /// Configuration `c` has the active neurons `active[offsets[c]..offsets[c + 1]]`, increasing.
    offsets: Vec<usize>,
    active: Vec<u16>,
    multiplicities: Vec<u64>,
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
        let mut place = vec![u16::MAX; runs.n_neurons];
        keep.iter().enumerate().for_each(|(k, &neuron)| place[neuron] = k as u16);
        let mut configurations = Self {
            n_neurons: keep.len(),
            offsets: vec![0],
            active: Vec::new(),
            multiplicities: Vec::new(),
            order: Vec::new(),
        };
        let mut known: HashMap<u64, u32> = HashMap::new();
        let mut bin_active: Vec<u16> = Vec::new();
        for bin in runs.blocks.iter().flat_map(|block| block.bins()) {
            bin_active.clear();
            bin_active.extend(bin.iter().map(|&i| place[usize::from(i)]).filter(|&k| k != u16::MAX));
            configurations.add(&bin_active, &mut known);
        }
        configurations
    }

    fn add(&mut self, active: &[u16], known: &mut HashMap<u64, u32>) {
        let mut key = hash(active);
        loop {
            match known.entry(key) {
                Entry::Occupied(entry) => {
                    let place = *entry.get();
                    if self.active(place as usize) == active {
                        self.multiplicities[place as usize] += 1;
                        self.order.push(place);
                        return;
                    }
                    // Another configuration with the same hash: look one further.
                    key = key.wrapping_add(1);
                }
                Entry::Vacant(entry) => {
                    let place = self.multiplicities.len() as u32;
                    entry.insert(place);
                    self.active.extend_from_slice(active);
                    self.offsets.push(self.active.len());
                    self.multiplicities.push(1);
                    self.order.push(place);
                    return;
                }
            }
        }
    }

    /// Number of neurons.
    #[must_use]
    pub fn n_neurons(&self) -> usize {
        self.n_neurons
    }

    /// Number of distinct configurations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.multiplicities.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.multiplicities.is_empty()
    }

    /// Number of bins.
    #[must_use]
    pub fn n_bins(&self) -> usize {
        self.order.len()
    }

    /// Active neurons of a configuration, increasing.
    #[must_use]
    pub fn active(&self, configuration: usize) -> &[u16] {
        &self.active[self.offsets[configuration]..self.offsets[configuration + 1]]
    }

    /// How often each configuration occurs.
    #[must_use]
    pub fn multiplicities(&self) -> &[u64] {
        &self.multiplicities
    }

    /// The configuration of each bin, in time order.
    #[must_use]
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Active entries over all distinct configurations.
    #[must_use]
    pub fn n_active(&self) -> usize {
        self.active.len()
    }
}

/// FNV-1a over the indices; equal configurations are told by comparison, so that only speed depends on it.
fn hash(active: &[u16]) -> u64 {
    active.iter().fold(0xcbf2_9ce4_8422_2325, |h, &i| (h ^ u64::from(i)).wrapping_mul(0x0000_0100_0000_01b3))
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
