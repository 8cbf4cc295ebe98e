//! Spherical k-means: configurations, all of the same length `√n`, join the centre they overlap with most.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::Configurations;

/// Most rounds of one clustering.
const ROUNDS_MAX: usize = 300;

/// A division of configurations into states.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clustering {
    /// The state of each distinct configuration; every state has at least one.
    pub(super) state: Vec<usize>,
    /// `Σ multiplicity · overlap`.
    overlap: f64,
    /// Whether no configuration would change its state any more.
    pub(super) converged: bool,
}

impl Clustering {
    /// The better of two; of equals the first.
    pub(super) fn better(self, other: Self) -> Self {
        if other.overlap > self.overlap { other } else { self }
    }

    /// Into so many states from one seed; `None` when there are fewer distinct configurations.
    pub(super) fn of(configurations: &Configurations, states: usize, seed: u64) -> Option<Self> {
        let distinct = configurations.len();
        if distinct < states {
            return None;
        }
        if states == 1 {
            return Some(Self { state: vec![0; distinct], overlap: 0.0, converged: true });
        }
        let mut centres = seeded(configurations, states, seed);
        let mut state = vec![usize::MAX; distinct];
        let mut overlaps = vec![0.0; distinct];
        let mut converged = false;
        for _ in 0..ROUNDS_MAX {
            let mut changed = false;
            for c in 0..distinct {
                let (nearest, overlap) = nearest(&centres, configurations.active(c));
                changed |= state[c] != nearest;
                (state[c], overlaps[c]) = (nearest, overlap);
            }
            changed |= fill_empty(&mut state, &mut overlaps, states);
            if !changed {
                converged = true;
                break;
            }
            centres = (0..states).map(|a| Centre::of(configurations, &state, a)).collect();
        }
        let weighted =
            configurations.multiplicities().iter().zip(&overlaps).map(|(&count, q)| count as f64 * q);
        Some(Self { overlap: weighted.sum(), state, converged })
    }
}

/// A direction of unit length.
struct Centre {
    direction: Vec<f64>,
    sum: f64,
}

impl Centre {
    fn new(mut direction: Vec<f64>) -> Self {
        let length = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
        // Configurations that cancel have no direction; nothing overlaps with such a centre.
        if length > 0.0 {
            direction.iter_mut().for_each(|x| *x /= length);
        }
        Self { sum: direction.iter().sum(), direction }
    }

    fn at(n: usize, active: &[u16]) -> Self {
        let mut direction = vec![-1.0; n];
        active.iter().for_each(|&i| direction[usize::from(i)] = 1.0);
        Self::new(direction)
    }

    fn of(configurations: &Configurations, state: &[usize], own: usize) -> Self {
        let mut direction = vec![0.0; configurations.n_neurons()];
        let mut total = 0.0;
        for (c, count) in configurations.multiplicities().iter().enumerate().filter(|(c, _)| state[*c] == own)
        {
            total += *count as f64;
            configurations.active(c).iter().for_each(|&i| direction[usize::from(i)] += 2.0 * *count as f64);
        }
        direction.iter_mut().for_each(|x| *x -= total);
        Self::new(direction)
    }

    /// `s · μ / √n`, 1 for the same direction.
    fn overlap(&self, active: &[u16]) -> f64 {
        let own: f64 = active.iter().map(|&i| self.direction[usize::from(i)]).sum();
        (2.0 * own - self.sum) / (self.direction.len() as f64).sqrt()
    }
}

fn nearest(centres: &[Centre], active: &[u16]) -> (usize, f64) {
    let mut best = (0, f64::NEG_INFINITY);
    for (a, centre) in centres.iter().enumerate() {
        let overlap = centre.overlap(active);
        if overlap > best.1 {
            best = (a, overlap);
        }
    }
    best
}

/// k-means++ (Arthur & Vassilvitskii 2007): each next centre is a configuration drawn with its multiplicity times its squared distance
/// `2 (1 − overlap)` from the nearest centre so far.
fn seeded(configurations: &Configurations, states: usize, seed: u64) -> Vec<Centre> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let n = configurations.n_neurons();
    let counts: Vec<f64> = configurations.multiplicities().iter().map(|&count| count as f64).collect();
    let mut distance = vec![1.0; counts.len()];
    let mut centres: Vec<Centre> = Vec::with_capacity(states);
    while centres.len() < states {
        let total: f64 = counts.iter().zip(&distance).map(|(count, d)| count * d).sum();
        let mut left = random.random::<f64>() * total;
        let drawn = counts.iter().zip(&distance).position(|(count, d)| {
            left -= count * d;
            left < 0.0
        });
        // Rounding can leave nothing drawn: the farthest then.
        let farthest = || (0..distance.len()).max_by(|&a, &b| distance[a].total_cmp(&distance[b]));
        let chosen = drawn.or_else(farthest).unwrap_or(0);
        let centre = Centre::at(n, configurations.active(chosen));
        for (c, d) in distance.iter_mut().enumerate() {
            let own = (2.0 - 2.0 * centre.overlap(configurations.active(c))).max(0.0);
            *d = if centres.is_empty() { own } else { d.min(own) };
        }
        centres.push(centre);
    }
    centres
}

/// Give every state that lost all its configurations the one that fits its own state least, from states with several; whether
/// there was any.
fn fill_empty(state: &mut [usize], overlaps: &mut [f64], states: usize) -> bool {
    let mut sizes = vec![0_usize; states];
    state.iter().for_each(|&a| sizes[a] += 1);
    let mut filled = false;
    for empty in 0..states {
        if sizes[empty] > 0 {
            continue;
        }
        let several = (0..state.len()).filter(|&c| sizes[state[c]] > 1);
        if let Some(worst) = several.min_by(|&a, &b| overlaps[a].total_cmp(&overlaps[b])) {
            sizes[state[worst]] -= 1;
            (state[worst], overlaps[worst], sizes[empty]) = (empty, 1.0, 1);
            filled = true;
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Runs, SpikeBlock};

    fn configurations(lists: &[Vec<u16>], n_neurons: usize) -> Configurations {
        let blocks = vec![SpikeBlock::from_lists(0, lists, n_neurons).unwrap()];
        Configurations::of(&Runs { n_neurons, blocks })
    }

    #[test]
    fn two_opposite_groups_are_told_apart() {
        let group = |range: std::ops::Range<u16>| {
            range.clone().map(move |left_out| range.clone().filter(|&i| i != left_out).collect::<Vec<_>>())
        };
        let lists: Vec<Vec<u16>> = group(0..6).chain(group(6..12)).collect();
        let found = configurations(&lists, 12);
        for seed in 0..20 {
            let clustering = Clustering::of(&found, 2, seed).unwrap();
            assert!(clustering.converged);
            let first = clustering.state[0];
            assert!((0..6).all(|c| clustering.state[c] == first), "seed {seed}");
            assert!((6..12).all(|c| clustering.state[c] == 1 - first), "seed {seed}");
        }
    }

    #[test]
    fn no_state_is_empty_and_too_few_configurations_are_none() {
        let lists: Vec<Vec<u16>> =
            [vec![0], vec![1], vec![0, 1], vec![]].iter().cycle().take(40).cloned().collect();
        let found = configurations(&lists, 3);
        for seed in 0..20 {
            for states in 1..=4 {
                let clustering = Clustering::of(&found, states, seed).unwrap();
                assert!((0..states).all(|a| clustering.state.contains(&a)), "{states} states, seed {seed}");
            }
            assert_eq!(Clustering::of(&found, 5, seed), None);
        }
        let (mut state, mut overlaps) = (vec![0, 0, 0, 2], vec![0.9, 0.2, 0.5, 0.1]);
        assert!(fill_empty(&mut state, &mut overlaps, 4));
        assert_eq!(state, [0, 1, 3, 2]);
    }
}
