use std::collections::HashMap;
use std::ops::Range;

use ndarray::Array1;

use crate::model::{Runs, Trial};

/// Transitions to be predicted, those from equal bins together: what a model says of them is then worked out once. In sparse recordings
/// that saves nearly everything (most bins are silent, and most others have one active neuron).
#[derive(Debug, Clone)]
pub struct Transitions<'a> {
    pub(super) groups: Vec<Group<'a>>,
    /// Neurons active in the later bins, one group after the other.
    receivers: Vec<u16>,
    /// Number of transitions.
    pub(super) count: f64,
    /// Spikes in the later bins, shape `(n_neurons)`.
    pub(super) spikes: Array1<f64>,
}

/// Transitions from equal bins.
#[derive(Debug, Clone)]
pub(super) struct Group<'a> {
    /// Neurons active in the earlier bins.
    pub(super) active: &'a [u16],
    /// Place of the later bin in its trial, if it matters.
    pub(super) trial_bin: Option<u64>,
    pub(super) transitions: u32,
    receivers: Range<usize>,
}

impl<'a> Transitions<'a> {
    /// The transitions of `runs`. `trials` are those that have bins in them, in order, where predictions depend on the place in a trial;
    /// otherwise none. Groups are in the order in which they come first.
    #[must_use]
    pub fn of(runs: &'a Runs, trials: &[Trial]) -> Self {
        let mut found = Found::default();
        let mut spikes = Array1::zeros(runs.n_neurons);
        for run in &runs.blocks {
            // No run crosses the edge of a trial.
            let started = trials.partition_point(|trial| trial.start_bin <= run.first_bin());
            let trial = trials[..started].last().filter(|trial| run.first_bin() < trial.stop_bin);
            let place = trial.map(|trial| run.first_bin() - trial.start_bin);
            for t in 1..run.n_bins() {
                let receivers = run.bin(t);
                receivers.iter().for_each(|&neuron| spikes[usize::from(neuron)] += 1.0);
                found.add(run.bin(t - 1), place.map(|place| place + t as u64 - 1), receivers.len());
            }
        }
        let Found { mut groups, group_of, .. } = found;
        let mut end = 0;
        for group in &mut groups {
            // As yet their number alone is known.
            let size = group.receivers.end;
            group.receivers = end..end;
            end += size;
        }
        let mut receivers = vec![0; end];
        let later = runs.blocks.iter().flat_map(|run| (1..run.n_bins()).map(|t| run.bin(t)));
        for (active, &group) in later.zip(&group_of) {
            let range = &mut groups[group as usize].receivers;
            receivers[range.end..range.end + active.len()].copy_from_slice(active);
            range.end += active.len();
        }
        Self { groups, receivers, count: group_of.len() as f64, spikes }
    }

    /// Neurons active in the later bins of a group, once for each bin.
    pub(super) fn receivers(&self, group: &Group<'_>) -> &[u16] {
        &self.receivers[group.receivers.clone()]
    }

    /// Number of different bins that they start from.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.groups.len()
    }
}

#[derive(Default)]
struct Found<'a> {
    groups: Vec<Group<'a>>,
    /// Of each transition.
    group_of: Vec<u32>,
    places: HashMap<(Option<u64>, &'a [u16]), u32>,
    /// The group of silent bins outside trials, which are most of them.
    silent: Option<u32>,
}

impl<'a> Found<'a> {
    fn add(&mut self, active: &'a [u16], trial_bin: Option<u64>, receivers: usize) {
        let is_silent = active.is_empty() && trial_bin.is_none();
        let place = match self.silent.filter(|_| is_silent) {
            Some(place) => place,
            None => {
                let new = self.groups.len() as u32;
                let place = *self.places.entry((trial_bin, active)).or_insert(new);
                if place == new {
                    self.groups.push(Group { active, trial_bin, transitions: 0, receivers: 0..0 });
                }
                if is_silent {
                    self.silent = Some(place);
                }
                place
            }
        };
        let group = &mut self.groups[place as usize];
        group.transitions += 1;
        group.receivers.end += receivers;
        self.group_of.push(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SpikeBlock;

    #[test]
    fn equal_bins_come_together_and_nothing_is_lost() {
        let block = |first, lists: &[Vec<u16>]| SpikeBlock::from_lists(first, lists, 3).unwrap();
        let runs = Runs {
            n_neurons: 3,
            blocks: vec![
                block(0, &[vec![], vec![1], vec![], vec![0, 2], vec![1], vec![2]]),
                block(9, &[vec![], vec![0]]),
            ],
        };
        let of = |trials: &[Trial]| {
            let transitions = Transitions::of(&runs, trials);
            assert_eq!((transitions.count, transitions.spikes.to_vec()), (6.0, vec![2.0, 2.0, 2.0]));
            let of_group = |group: &Group<'_>| {
                (
                    group.active.to_vec(),
                    group.trial_bin,
                    group.transitions,
                    transitions.receivers(group).to_vec(),
                )
            };
            transitions.groups.iter().map(of_group).collect::<Vec<_>>()
        };
        let silent = (vec![], None, 3, vec![1, 0, 2, 0]);
        let after_one = (vec![1], None, 2, vec![2]);
        assert_eq!(of(&[]), [silent, after_one.clone(), (vec![0, 2], None, 1, vec![1])]);
        // The second run is the beginning of a trial, from its second bin on.
        let in_trial = of(&[Trial { start_bin: 8, stop_bin: 20 }]);
        assert_eq!(in_trial[0], (vec![], None, 2, vec![1, 0, 2]));
        assert_eq!(in_trial[3], (vec![], Some(1), 1, vec![0]));
        assert_eq!(in_trial[1], after_one);
    }
}
