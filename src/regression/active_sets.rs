use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Distinct sets of active neurons, in the order of their first occurrence, and how often each occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActiveSets {
    /// Set `s` holds `active[offsets[s]..offsets[s + 1]]`.
    offsets: Vec<usize>,
    /// Increasing inside a set.
    active: Vec<u16>,
    counts: Vec<u64>,
}

impl ActiveSets {
    /// Number of distinct sets.
    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Active neurons of a set, increasing.
    #[inline(always)]
    pub(crate) fn active(&self, set: usize) -> &[u16] {
        &self.active[self.offsets[set]..self.offsets[set + 1]]
    }

    /// How often each set occurs.
    pub(crate) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Active entries over all distinct sets.
    pub(crate) fn n_active(&self) -> usize {
        self.active.len()
    }
}

/// Takes up bins one by one and tells the distinct ones apart.
pub(crate) struct Grouping {
    sets: ActiveSets,
    /// New index of each neuron; `u16::MAX` for those that are left out.
    place: Vec<u16>,
    known: HashMap<u64, u32>,
    bin: Vec<u16>,
}

impl Grouping {
    /// Of bins of `n_neurons`, seen by the neurons `keep` (increasing) alone, which are numbered anew in this order.
    pub(crate) fn new(n_neurons: usize, keep: &[usize]) -> Self {
        let mut place = vec![u16::MAX; n_neurons];
        keep.iter().enumerate().for_each(|(k, &neuron)| place[neuron] = k as u16);
        let sets = ActiveSets { offsets: vec![0], active: Vec::new(), counts: Vec::new() };
        Self { sets, place, known: HashMap::new(), bin: Vec::new() }
    }

    /// Take up the active neurons of a bin, increasing; gives the number of their set.
    pub(crate) fn add(&mut self, bin: &[u16]) -> u32 {
        self.bin.clear();
        let kept = bin.iter().map(|&neuron| self.place[usize::from(neuron)]);
        self.bin.extend(kept.filter(|&place| place != u16::MAX));
        let mut key = hash(&self.bin);
        loop {
            match self.known.entry(key) {
                Entry::Occupied(entry) => {
                    let set = *entry.get();
                    if self.sets.active(set as usize) == self.bin {
                        self.sets.counts[set as usize] += 1;
                        return set;
                    }
                    // Another set with the same hash: look one further.
                    key = key.wrapping_add(1);
                }
                Entry::Vacant(entry) => {
                    let set = self.sets.counts.len() as u32;
                    entry.insert(set);
                    self.sets.active.extend_from_slice(&self.bin);
                    self.sets.offsets.push(self.sets.active.len());
                    self.sets.counts.push(1);
                    return set;
                }
            }
        }
    }

    /// The sets found.
    pub(crate) fn finish(self) -> ActiveSets {
        self.sets
    }
}

/// FNV-1a over the indices; equal sets are told by comparison, so that only speed depends on it.
fn hash(active: &[u16]) -> u64 {
    active.iter().fold(0xcbf2_9ce4_8422_2325, |h, &i| (h ^ u64::from(i)).wrapping_mul(0x0000_0100_0000_01b3))
}
