use std::cmp::{Ordering, Reverse};

use super::{Estimate, RowStatus, Significance};

/// The coupling between two different neurons, with what it is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CouplingPair {
    /// Index of the neuron that is acted on.
    pub receiver: usize,
    /// Index of the neuron that acts.
    pub sender: usize,
    /// `J`; dimensionless.
    pub coupling: f64,
    /// Asymptotic standard error of `J`.
    pub standard_error: f64,
    /// The false discovery rate at which the pair is still significant; `None` when it was ranked without a
    /// [`Significance`] or is in no family of one (its row is not [`RowStatus::Ok`]).
    pub q: Option<f64>,
}

impl CouplingPair {
    /// `J / SE`.
    #[must_use]
    pub fn z(&self) -> f64 {
        self.coupling / self.standard_error
    }

    /// Two-sided p of [`CouplingPair::z`], were the coupling zero and its row [`RowStatus::Ok`].
    #[must_use]
    pub fn p(&self) -> f64 {
        Significance::p(self.z())
    }
}

/// Orders pairs: those of rows estimated as asked first, then by larger |z|, then by smaller indices.
#[derive(Debug, PartialEq)]
struct Ranked {
    row_is_ok: bool,
    pair: CouplingPair,
}

impl Eq for Ranked {}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.pair, &other.pair);
        let place = |pair: &CouplingPair| Reverse((pair.receiver, pair.sender));
        let by_strength = a.z().abs().total_cmp(&b.z().abs()).then_with(|| place(a).cmp(&place(b)));
        self.row_is_ok.cmp(&other.row_is_ok).then(by_strength)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The strongest of many pairs, kept unordered until there are twice too many.
struct Strongest {
    count: usize,
    kept: Vec<Reverse<Ranked>>,
    /// What pairs must exceed in `(row_is_ok, |z|)`, or equal, to be among them.
    least: (bool, f64),
}

impl Strongest {
    /// Fewest pairs that are sorted out at once.
    const SPARE_MIN: usize = 1 << 10;

    fn new(count: usize) -> Self {
        Self { count, kept: Vec::new(), least: (false, 0.0) }
    }

    fn offer(&mut self, candidate: Ranked) {
        let strength = (candidate.row_is_ok, candidate.pair.z().abs());
        if strength < self.least {
            return;
        }
        self.kept.push(Reverse(candidate));
        if self.kept.len() >= self.count.saturating_add(self.count.max(Self::SPARE_MIN)) {
            self.cut();
        }
    }

    /// Forget all but the strongest.
    fn cut(&mut self) {
        if self.kept.len() > self.count {
            // The smallest `Reverse` is the strongest pair.
            let (_, Reverse(weakest), _) = self.kept.select_nth_unstable(self.count - 1);
            self.least = (weakest.row_is_ok, weakest.pair.z().abs());
            self.kept.truncate(self.count);
        }
    }

    fn sorted(mut self) -> Vec<CouplingPair> {
        self.cut();
        self.kept.sort_unstable();
        self.kept.into_iter().map(|Reverse(ranked)| ranked.pair).collect()
    }
}

impl Estimate {
    /// The pairs with the largest `|J| / SE`, strongest first and ties by index. Rows that hold a fallback or did not converge
    /// come after all rows that are [`RowStatus::Ok`]; self-couplings, and pairs of which one neuron takes no part, are left
    /// out. Cost O(n²) and sorting `count`, memory O(`count`).
    #[must_use]
    pub fn strongest_pairs(&self, count: usize) -> Vec<CouplingPair> {
        let mut strongest = Strongest::new(count);
        let mut errors = vec![0.0; self.n_neurons()];
        let rows =
            (0..self.n_neurons()).filter(|&receiver| count > 0 && self.status[receiver].has_estimate());
        for receiver in rows {
            let row_is_ok = self.status[receiver] == RowStatus::Ok;
            self.standard_errors_into(receiver, &mut errors);
            for (sender, (&coupling, &standard_error)) in
                self.couplings.row(receiver).iter().zip(&errors).enumerate()
            {
                if standard_error > 0.0 && sender != receiver {
                    let pair = CouplingPair { receiver, sender, coupling, standard_error, q: None };
                    strongest.offer(Ranked { row_is_ok, pair });
                }
            }
        }
        strongest.sorted()
    }

    /// [`Estimate::strongest_pairs`] with the q that `significance`, which must have been made of this estimate, gives them.
    #[must_use]
    pub fn strongest_pairs_with_q(&self, count: usize, significance: &Significance) -> Vec<CouplingPair> {
        let mut pairs = self.strongest_pairs(count);
        for pair in &mut pairs {
            pair.q = significance.coupling_q(self, pair.receiver, pair.sender);
        }
        pairs
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};

    use super::*;
    use crate::model::{Estimator, SamplingVariance};

    fn estimate() -> Estimate {
        let couplings =
            [[9.0, 0.5, -0.25, 1.0], [0.5, 9.0, 0.0, 1.0], [0.25, -2.0, 9.0, 1.0], [7.0, 7.0, 7.0, 9.0]];
        Estimate {
            estimator: Estimator::Nmf,
            ridge: 0.0,
            couplings: Array2::from_shape_fn((4, 4), |(i, j)| couplings[i][j]),
            fields: Array1::zeros(4),
            status: vec![RowStatus::Ok, RowStatus::Ok, RowStatus::TapNoRoot, RowStatus::Silent],
            variance: SamplingVariance::Factored {
                sender: Array1::from(vec![1.0, 1.0, 1.0, 0.0]),
                receiver: Array1::from(vec![1.0, 1.0, 1.0, 0.0]),
                field: 1.0,
                transitions: 100,
            },
            convergence: None,
            trial_fields: None,
        }
    }

    #[test]
    fn strongest_first_fallback_rows_last_ties_by_index_without_self_and_silent() {
        let all = estimate().strongest_pairs(100);
        let places: Vec<_> = all.iter().map(|pair| (pair.receiver, pair.sender)).collect();
        assert_eq!(places, [(0, 1), (1, 0), (0, 2), (1, 2), (2, 1), (2, 0)]);
        assert!((all[4].z() + 20.0).abs() < 1e-12);
    }

    #[test]
    fn fewer_are_the_first_of_all() {
        let all = estimate().strongest_pairs(100);
        for count in 0..=6 {
            assert_eq!(estimate().strongest_pairs(count), all[..count]);
        }
    }

    #[test]
    fn pairs_of_fallback_rows_are_ranked_without_a_q() {
        let estimate = estimate();
        let pairs = estimate.strongest_pairs_with_q(100, &Significance::of(&estimate));
        let q: Vec<Option<f64>> = pairs.iter().map(|pair| pair.q).collect();
        // z of the four pairs of rows that are OK: 5, 5, -2.5 and 0.
        let expected =
            [Some(2.0 * pairs[0].p()), Some(2.0 * pairs[0].p()), Some(pairs[2].p() * 4.0 / 3.0), Some(1.0)];
        assert_eq!((&q[..4], &q[4..]), (&expected[..], &[None, None][..]));
        assert!(estimate.strongest_pairs(100).iter().all(|pair| pair.q.is_none()));
    }
}
