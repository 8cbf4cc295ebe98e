use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::model::Runs;

/// The distinct patterns of sender activity among the transitions, with how often each occurs.
///
/// The likelihood sees a sender bin through the set of neurons active in it alone, and the receiver bins through the delayed counts
/// alone. Where spikes are rare, most bins repeat: a silent bin costs the same however many there are.
pub(super) struct Patterns {
    /// Number of neurons that take part; every sender index is below it.
    pub(super) n_senders: usize,
    /// Pattern `p` holds `senders[offsets[p]..offsets[p + 1]]`.
    offsets: Vec<usize>,
    /// Indices among the neurons that take part, increasing inside a pattern.
    senders: Vec<u16>,
    /// Transitions with the pattern.
    weights: Vec<f64>,
}

impl Patterns {
    /// The patterns of the `active` neurons (increasing) over the sender bins of all lag-1 transitions, in the order of their first
    /// occurrence.
    pub(super) fn of(runs: &Runs, active: &[usize]) -> Self {
        let mut place = vec![u16::MAX; runs.n_neurons];
        for (k, &neuron) in active.iter().enumerate() {
            place[neuron] = k as u16;
        }
        let mut patterns =
            Self { n_senders: active.len(), offsets: vec![0], senders: Vec::new(), weights: Vec::new() };
        let mut known: HashMap<u64, u32> = HashMap::new();
        let mut pattern: Vec<u16> = Vec::new();
        for block in &runs.blocks {
            for bin in block.bins().take(block.n_bins().saturating_sub(1)) {
                pattern.clear();
                pattern.extend(bin.iter().map(|&i| place[usize::from(i)]).filter(|&k| k != u16::MAX));
                patterns.add(&pattern, &mut known);
            }
        }
        patterns
    }

    fn add(&mut self, pattern: &[u16], known: &mut HashMap<u64, u32>) {
        let mut key = hash(pattern);
        loop {
            match known.entry(key) {
                Entry::Occupied(entry) => {
                    let place = *entry.get() as usize;
                    if self.senders(place) == pattern {
                        self.weights[place] += 1.0;
                        return;
                    }
                    // Another pattern with the same hash: look one further.
                    key = key.wrapping_add(1);
                }
                Entry::Vacant(entry) => {
                    entry.insert(self.weights.len() as u32);
                    self.senders.extend_from_slice(pattern);
                    self.offsets.push(self.senders.len());
                    self.weights.push(1.0);
                    return;
                }
            }
        }
    }

    /// Number of distinct patterns.
    pub(super) fn len(&self) -> usize {
        self.weights.len()
    }

    /// Active senders of a pattern, increasing.
    #[inline(always)]
    pub(super) fn senders(&self, pattern: usize) -> &[u16] {
        &self.senders[self.offsets[pattern]..self.offsets[pattern + 1]]
    }

    /// Transitions with the pattern.
    #[inline(always)]
    pub(super) fn weight(&self, pattern: usize) -> f64 {
        self.weights[pattern]
    }

    /// Active entries over all patterns.
    pub(super) fn n_active(&self) -> usize {
        self.senders.len()
    }

    /// Pairs `i ≤ j` of active entries over all patterns, the constant counted as an entry of each.
    pub(super) fn n_pairs(&self) -> u64 {
        self.offsets.windows(2).map(|w| (w[1] - w[0]) as u64 + 1).map(|k| k * (k + 1) / 2).sum()
    }
}

/// FNV-1a over the indices; equal patterns are told by comparison, so that only speed depends on it.
fn hash(pattern: &[u16]) -> u64 {
    pattern.iter().fold(0xcbf2_9ce4_8422_2325, |h, &i| (h ^ u64::from(i)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SpikeBlock;

    #[test]
    fn sender_bins_are_grouped_and_weighted() {
        let blocks = vec![
            SpikeBlock::from_lists(0, &[vec![0, 3], vec![], vec![3, 1], vec![0, 1, 3], vec![1]], 4).unwrap(),
            SpikeBlock::from_lists(9, &[vec![2]], 4).unwrap(),
            SpikeBlock::from_lists(12, &[vec![], vec![0]], 4).unwrap(),
        ];
        // Neuron 0 takes no part; the last bin of a run sends nothing.
        let patterns = Patterns::of(&Runs { n_neurons: 4, blocks }, &[1, 2, 3]);
        let found: Vec<_> = (0..patterns.len()).map(|p| (patterns.senders(p), patterns.weight(p))).collect();
        assert_eq!(found, [(&[2u16][..], 1.0), (&[], 2.0), (&[0, 2], 2.0)]);
        assert_eq!((patterns.n_active(), patterns.n_pairs()), (3, 3 + 1 + 6));
    }
}
