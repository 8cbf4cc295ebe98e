//! Moments of groups of configurations, blocks of bins or chains, and what the spread between the groups says of their errors.

use std::collections::BTreeSet;

use ndarray::{Array1, Array2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Configurations of one block or chain: active neurons, increasing, and how often.
pub(super) type Group<'a> = Vec<(&'a [u16], f64)>;

/// A value of each kind with its squared standard error.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Value {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

/// What is compared, of bins or of a model.
pub(super) struct Statistics {
    /// `⟨s_i⟩`.
    pub(super) means: Vec<Value>,
    /// `⟨(s_i − m_i)(s_j − m_j)⟩` over pairs `i < j`, row by row.
    pub(super) pairs: Vec<Value>,
    /// `⟨(s_i − m_i)(s_j − m_j)(s_k − m_k)⟩` of the triplets asked for.
    pub(super) triplets: Vec<Value>,
    /// `P(K)`.
    pub(super) active_counts: Vec<Value>,
}

/// Triplets `i < j < k` of `n` neurons, in order: all, or so many drawn at random by a fixed seed.
pub(super) fn triplets(n: usize, most: usize) -> Vec<[usize; 3]> {
    let count = n.saturating_mul(n.saturating_sub(1)).saturating_mul(n.saturating_sub(2)) / 6;
    if count <= most {
        let from = |i: usize| (i + 1..n).flat_map(move |j| (j + 1..n).map(move |k| [i, j, k]));
        return (0..n).flat_map(from).collect();
    }
    let mut random = ChaCha8Rng::seed_from_u64(0x0007_2191_e755);
    let mut chosen = BTreeSet::new();
    while chosen.len() < most {
        let mut triplet = [0, 1, 2].map(|_: usize| random.random_range(0..n));
        triplet.sort_unstable();
        if triplet[0] < triplet[1] && triplet[1] < triplet[2] {
            chosen.insert(triplet);
        }
    }
    chosen.into_iter().collect()
}

/// Pairs `i < j` of `n` neurons, in order: all, or so many drawn at random by a fixed seed.
pub(super) fn pairs(n: usize, most: usize) -> Vec<[usize; 2]> {
    if n * n.saturating_sub(1) / 2 <= most {
        return (0..n).flat_map(|i| (i + 1..n).map(move |j| [i, j])).collect();
    }
    let mut random = ChaCha8Rng::seed_from_u64(0x0002_9a12_5eed);
    let mut chosen = BTreeSet::new();
    while chosen.len() < most {
        let mut pair = [0, 1].map(|_: usize| random.random_range(0..n));
        pair.sort_unstable();
        if pair[0] < pair[1] {
            chosen.insert(pair);
        }
    }
    chosen.into_iter().collect()
}

/// Means of one group.
struct GroupMoments {
    /// `⟨s_i⟩`.
    first: Array1<f64>,
    /// `⟨s_i s_j⟩` of `i ≤ j`; zero below the diagonal.
    second: Array2<f64>,
    /// `⟨s_i s_j s_k⟩`.
    third: Vec<f64>,
    /// `P(K)`, `K` to the largest.
    active_counts: Vec<f64>,
}

impl GroupMoments {
    /// Cost Σ k² over the configurations, and at most three steps per triplet.
    fn of(n: usize, triplets: &[[usize; 3]], group: &Group<'_>) -> Self {
        let mut both = Array2::<f64>::zeros((n, n));
        let mut all_three = vec![0.0; triplets.len()];
        let mut active_counts = vec![0.0; n + 1];
        let starts: Vec<usize> = (0..=n).map(|i| triplets.partition_point(|t| t[0] < i)).collect();
        let mut fires = vec![false; n];
        let total: f64 = group.iter().map(|(_, count)| count).sum();
        for &(active, count) in group {
            active.iter().for_each(|&i| fires[usize::from(i)] = true);
            active_counts[active.len()] += count / total;
            for (k, i) in active.iter().map(|&i| usize::from(i)).enumerate() {
                active[k..].iter().for_each(|&j| both[[i, usize::from(j)]] += count / total);
                let own = starts[i]..starts[i + 1];
                for (&[_, j, k], sum) in triplets[own.clone()].iter().zip(&mut all_three[own]) {
                    if fires[j] && fires[k] {
                        *sum += count / total;
                    }
                }
            }
            active.iter().for_each(|&i| fires[usize::from(i)] = false);
        }
        let first = both.diag().mapv(|x| 2.0 * x - 1.0);
        let mut second = Array2::<f64>::zeros((n, n));
        for i in 0..n {
            let columns = both.row(i).into_iter().zip(&first).skip(i);
            for (second, (both, m)) in second.row_mut(i).iter_mut().skip(i).zip(columns) {
                *second = 4.0 * both - first[i] - m - 1.0;
            }
        }
        let third = triplets.iter().zip(&all_three).map(|(&[i, j, k], xyz)| {
            let pairs = both[[i, j]] + both[[i, k]] + both[[j, k]];
            8.0 * xyz - 4.0 * pairs + 2.0 * (both[[i, i]] + both[[j, j]] + both[[k, k]]) - 1.0
        });
        Self { third: third.collect(), first, second, active_counts }
    }
}

impl Statistics {
    /// Of two or more groups of (nearly) equal size; less would leave the errors unknown. They are taken for independent.
    ///
    /// A connected moment varies from group to group as the mean of its influence function does; for triplets
    /// `x_i x_j x_k − C_jk x_i − C_ik x_j − C_ij x_k` with `x = s − m`.
    pub(super) fn of(n: usize, triplets: &[[usize; 3]], groups: &[Group<'_>]) -> Self {
        let size = |group: &Group<'_>| group.iter().map(|(_, count)| count).sum::<f64>();
        // All bins are counted twice, instead of keeping the matrices of all groups.
        let GroupMoments { first, second, .. } = GroupMoments::of(n, &[], &groups.concat());
        let connected = |i: usize, j: usize| second[[i, j]] - first[i] * first[j];
        let (mut means, mut pairs) = (Spread::new(n), Spread::new(n * n.saturating_sub(1) / 2));
        let (mut thirds, mut counts) = (Spread::new(triplets.len()), Spread::new(n + 1));
        for group in groups {
            let moments = GroupMoments::of(n, triplets, group);
            let (m, s, weight) = (&moments.first, &moments.second, size(group));
            means.add(weight, m.iter().copied());
            pairs.add(weight, (0..n).flat_map(|i| centred_row(i, &first, &moments)));
            let third = |(&[i, j, k], raw): (&[usize; 3], &f64)| {
                let pairs = first[i] * s[[j, k]] + first[j] * s[[i, k]] + first[k] * s[[i, j]];
                let singles =
                    m[i] * first[j] * first[k] + first[i] * m[j] * first[k] + first[i] * first[j] * m[k];
                let centred = raw - pairs + singles - first[i] * first[j] * first[k];
                let means = connected(j, k) * (m[i] - first[i])
                    + connected(i, k) * (m[j] - first[j])
                    + connected(i, j) * (m[k] - first[k]);
                centred - means
            };
            thirds.add(weight, triplets.iter().zip(&moments.third).map(third));
            counts.add(weight, moments.active_counts.iter().copied());
        }
        Self {
            means: means.values(),
            pairs: pairs.values(),
            triplets: thirds.values(),
            active_counts: counts.values(),
        }
    }
}

/// `⟨(s_i − first_i)(s_j − first_j)⟩` of a group for `j > i`.
fn centred_row(i: usize, first: &Array1<f64>, group: &GroupMoments) -> impl Iterator<Item = f64> {
    let (own, mean) = (group.first[i], first[i]);
    let others = group.second.row(i).into_iter().zip(&group.first).zip(first).skip(i + 1);
    others.map(move |((s, m), other)| s - mean * m - other * own + mean * other)
}

/// Mean of each value over groups, weighted by their sizes, and its squared standard error.
struct Spread {
    groups: f64,
    weight: f64,
    mean: Vec<f64>,
    /// Weighted sum of squared differences from the mean (West 1979).
    squares: Vec<f64>,
}

impl Spread {
    fn new(values: usize) -> Self {
        Self { groups: 0.0, weight: 0.0, mean: vec![0.0; values], squares: vec![0.0; values] }
    }

    fn add(&mut self, weight: f64, values: impl Iterator<Item = f64>) {
        self.groups += 1.0;
        self.weight += weight;
        for ((value, mean), squares) in values.zip(&mut self.mean).zip(&mut self.squares) {
            let difference = value - *mean;
            *mean += difference * (weight / self.weight);
            *squares += weight * difference * (value - *mean);
        }
    }

    fn values(&self) -> Vec<Value> {
        let degrees = self.weight * (self.groups - 1.0);
        let value = |(&mean, &squares): (&f64, &f64)| Value { mean, variance: squares / degrees };
        self.mean.iter().zip(&self.squares).map(value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_definition() {
        // Every configuration of four neurons, some of them several times, in two groups.
        let lists: Vec<Vec<u16>> = (0..16u16).map(|c| (0..4).filter(|i| c >> i & 1 == 1).collect()).collect();
        let counts: Vec<f64> = (0..16).map(|c| f64::from(1 + c * 7 % 5)).collect();
        let total: f64 = counts.iter().sum();
        let group: Group<'_> = lists.iter().zip(&counts).map(|(list, &count)| (&list[..], count)).collect();
        let chosen = triplets(4, 2000);
        assert_eq!(chosen, [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]]);
        let found = Statistics::of(4, &chosen, &[group.clone(), group]);
        let mean = |f: &dyn Fn(usize) -> f64| (0..16).map(|c| counts[c] / total * f(c)).sum::<f64>();
        let spin = |c: usize, i: usize| if c >> i & 1 == 1 { 1.0 } else { -1.0 };
        let m: Vec<f64> = (0..4).map(|i| mean(&|c| spin(c, i))).collect();
        for (value, m) in found.means.iter().zip(&m) {
            assert!((value.mean - m).abs() < 1e-14 && value.variance < 1e-30, "{value:?} {m}");
        }
        assert!((found.pairs[4].mean - mean(&|c| (spin(c, 1) - m[1]) * (spin(c, 3) - m[3]))).abs() < 1e-14);
        for (value, triplet) in found.triplets.iter().zip(&chosen) {
            let expected = mean(&|c| triplet.iter().map(|&i| spin(c, i) - m[i]).product());
            assert!((value.mean - expected).abs() < 1e-14, "{triplet:?}");
        }
        assert!((found.active_counts[2].mean - mean(&|c| f64::from(c.count_ones() == 2))).abs() < 1e-14);
    }

    #[test]
    fn few_of_many_triplets_are_chosen_once_each() {
        let chosen = triplets(100, 2000);
        assert_eq!(chosen.len(), 2000);
        assert!(chosen.iter().all(|t| t[0] < t[1] && t[1] < t[2] && t[2] < 100));
        assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(chosen, triplets(100, 2000));
        assert!(triplets(2, 2000).is_empty() && triplets(0, 2000).is_empty());
    }

    #[test]
    fn few_of_many_pairs_are_chosen_once_each() {
        assert_eq!(pairs(3, 3), [[0, 1], [0, 2], [1, 2]]);
        let chosen = pairs(100, 2000);
        assert_eq!((chosen.len(), &chosen), (2000, &pairs(100, 2000)));
        assert!(chosen.iter().all(|pair| pair[0] < pair[1] && pair[1] < 100));
        assert!(chosen.windows(2).all(|two| two[0] < two[1]));
        assert!(pairs(1, 2000).is_empty() && pairs(0, 2000).is_empty());
    }
}
