use super::active_sets::{ActiveSets, Grouping};
use crate::model::Runs;

/// The distinct patterns of sender activity among the observations, with how often each occurs.
///
/// The likelihood sees the senders through the set of those active alone, and the receivers through counts alone. Where spikes are
/// rare, most bins repeat: a silent bin costs the same however many there are.
pub(crate) struct Patterns {
    /// Number of neurons that take part; every sender index is below it.
    pub(crate) n_senders: usize,
    /// Pattern `p` holds `senders[offsets[p]..offsets[p + 1]]`.
    offsets: Vec<usize>,
    /// Indices among the neurons that take part, increasing inside a pattern.
    senders: Vec<u16>,
    /// Observations with the pattern.
    weights: Vec<f64>,
}

impl Patterns {
    /// The patterns of the `active` neurons (increasing) over the sender bins of all lag-1 transitions, in the order of their first
    /// occurrence.
    pub(crate) fn of_transitions(runs: &Runs, active: &[usize]) -> Self {
        let mut grouping = Grouping::new(runs.n_neurons, active);
        for block in &runs.blocks {
            for bin in block.bins().take(block.n_bins().saturating_sub(1)) {
                grouping.add(bin);
            }
        }
        let sets = grouping.finish();
        let all = sets.counts().iter().enumerate().map(|(set, &count)| (set, count));
        Self::gathered(active.len(), all, |set| sets.active(set).iter().copied())
    }

    /// Sets of `n_neurons` with the number of observations of each, seen by the neurons `keep` (increasing) alone, which are numbered anew.
    pub(crate) fn of_sets(
        sets: &ActiveSets,
        n_neurons: usize,
        keep: &[usize],
        observations: impl Iterator<Item = (usize, u64)>,
    ) -> Self {
        let mut place = vec![u16::MAX; n_neurons];
        keep.iter().enumerate().for_each(|(k, &neuron)| place[neuron] = k as u16);
        Self::gathered(keep.len(), observations, |set| {
            let places = sets.active(set).iter().map(|&neuron| place[usize::from(neuron)]);
            places.filter(|&place| place != u16::MAX)
        })
    }

    fn gathered<S: Iterator<Item = u16>>(
        n_senders: usize,
        observations: impl Iterator<Item = (usize, u64)>,
        active: impl Fn(usize) -> S,
    ) -> Self {
        let mut patterns = Self { n_senders, offsets: vec![0], senders: Vec::new(), weights: Vec::new() };
        for (set, count) in observations {
            patterns.senders.extend(active(set));
            patterns.offsets.push(patterns.senders.len());
            patterns.weights.push(count as f64);
        }
        patterns
    }

    /// Number of distinct patterns.
    pub(crate) fn len(&self) -> usize {
        self.weights.len()
    }

    /// Active senders of a pattern, increasing.
    #[inline(always)]
    pub(crate) fn senders(&self, pattern: usize) -> &[u16] {
        &self.senders[self.offsets[pattern]..self.offsets[pattern + 1]]
    }

    /// Observations with the pattern.
    #[inline(always)]
    pub(crate) fn weight(&self, pattern: usize) -> f64 {
        self.weights[pattern]
    }

    /// Active entries over all patterns.
    pub(crate) fn n_active(&self) -> usize {
        self.senders.len()
    }

    /// Pairs `i ≤ j` of active entries over all patterns, the constant counted as an entry of each.
    pub(crate) fn n_pairs(&self) -> u64 {
        self.offsets.windows(2).map(|w| (w[1] - w[0]) as u64 + 1).map(|k| k * (k + 1) / 2).sum()
    }

    /// `K_ij`, observations in which both senders are active, shape `(n_senders, n_senders)` row-major; `K_i` on the diagonal.
    pub(crate) fn pair_counts(&self) -> Vec<u64> {
        let n = self.n_senders;
        let mut counts = vec![0; n * n];
        for pattern in 0..self.len() {
            let (senders, weight) = (self.senders(pattern), self.weight(pattern) as u64);
            for (k, &i) in senders.iter().enumerate() {
                let row = &mut counts[usize::from(i) * n..][..n];
                senders[k..].iter().for_each(|&j| row[usize::from(j)] += weight);
            }
        }
        for i in 0..n {
            (0..i).for_each(|j| counts[i * n + j] = counts[j * n + i]);
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SpikeBlock;

    fn runs() -> Runs {
        let blocks = vec![
            SpikeBlock::from_lists(0, &[vec![0, 3], vec![], vec![3, 1], vec![0, 1, 3], vec![1]], 4).unwrap(),
            SpikeBlock::from_lists(9, &[vec![2]], 4).unwrap(),
            SpikeBlock::from_lists(12, &[vec![], vec![0]], 4).unwrap(),
        ];
        Runs { n_neurons: 4, blocks }
    }

    #[test]
    fn sender_bins_are_grouped_and_weighted() {
        // Neuron 0 takes no part; the last bin of a run sends nothing.
        let patterns = Patterns::of_transitions(&runs(), &[1, 2, 3]);
        let found: Vec<_> = (0..patterns.len()).map(|p| (patterns.senders(p), patterns.weight(p))).collect();
        assert_eq!(found, [(&[2u16][..], 1.0), (&[], 2.0), (&[0, 2], 2.0)]);
        assert_eq!((patterns.n_active(), patterns.n_pairs()), (3, 3 + 1 + 6));
    }

    #[test]
    fn pairs_are_counted_over_the_observations_given() {
        let mut grouping = Grouping::new(4, &[0, 1, 3]);
        let places: Vec<u32> =
            runs().blocks.iter().flat_map(|b| b.bins()).map(|bin| grouping.add(bin)).collect();
        assert_eq!(places, [0, 1, 2, 3, 4, 1, 1, 5]);
        let sets = grouping.finish();
        assert_eq!(sets.counts(), [1, 3, 1, 1, 1, 1]);
        let patterns = Patterns::of_sets(&sets, 3, &[0, 2], [(0, 5), (2, 7), (5, 1)].into_iter());
        assert_eq!(patterns.pair_counts(), [6, 5, 5, 12]);
    }
}
