use super::Prepared;
use super::inversion::Moments;
use super::participation::Participation;
use crate::model::{Estimate, Estimator};
use crate::moments::Counts;

/// Estimates for many ridges, so that a score on other bins can choose among them: outer `ridges` in the order given, inner the
/// estimators that need moments alone, in theirs. Entry by entry the very same as [`estimate`](super::estimate) gives.
///
/// The moments and which neurons take part are found once; each ridge takes a Cholesky factorization, an inverse and the solves for `B`, some
/// 3.5 n³ operations of which 2 n³ are `B` itself. One eigendecomposition `C = V Λ Vᵀ` for all ridges spares less than it costs until there
/// are about fifteen: at n = 1000 it takes 0.38 s, and each `B = (D V) (Λ + λ)⁻¹ Vᵀ` another 0.06 s, against 0.09 s for factor and solves
/// here (`cargo bench --bench estimators -- 1000`).
///
/// The results take 8 n² bytes for each ridge and estimator.
#[must_use]
pub fn path(counts: &Counts, estimators: &[Estimator], ridges: &[f64]) -> Vec<Vec<Estimate>> {
    let mut path = Vec::with_capacity(ridges.len());
    for_each_ridge(counts, estimators, ridges, &|_| true, &mut |_, estimates| path.push(estimates));
    path
}

/// [`path()`] one ridge at a time, for whoever need not keep them all: `take` is given the place of the ridge and its estimates.
/// Standard errors are worked out at the places for which someone `wants_errors`; estimates without have
/// [`SamplingVariance::none`](crate::model::SamplingVariance::none), and are spared the inverse.
pub fn for_each_ridge(
    counts: &Counts,
    estimators: &[Estimator],
    ridges: &[f64],
    wants_errors: &dyn Fn(usize) -> bool,
    take: &mut dyn FnMut(usize, Vec<Estimate>),
) {
    let participation = Participation::of(counts);
    let moments = Moments::of(counts, &participation.active);
    Prepared::of(&participation, &moments).for_each_ridge(estimators, ridges, wants_errors, take);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinetic::estimate;
    use crate::model::{Lags, RowStatus, SpikeBlock};
    use crate::moments::Accumulator;

    /// Six neurons, the last silent, the fourth a copy of the third, spikes by a fixed sequence.
    fn counts(n_bins: u32) -> Counts {
        let lists: Vec<Vec<u16>> = (0..n_bins)
            .map(|t| {
                let word = t.wrapping_mul(2_654_435_761) >> 20;
                let copied = |i: u16| i == 3 && word & 4 != 0;
                (0..5).filter(|&i| if i == 3 { copied(i) } else { word >> i & 1 == 1 }).collect()
            })
            .collect();
        let block = SpikeBlock::from_lists(0, &lists, 6).unwrap();
        let mut counts = Accumulator::new(6, &Lags::default());
        counts.add_newest(&block, 0..block.n_bins());
        counts.counts()
    }

    #[test]
    fn a_path_is_its_estimates_one_by_one() {
        let estimators = [Estimator::ExactMeanField, Estimator::Exact, Estimator::Nmf];
        let ridges = [0.3, 0.0, 1e-3, -1.0, f64::NAN, 10.0];
        for n_bins in [0, 1, 4, 5000] {
            let counts = counts(n_bins);
            let path = path(&counts, &estimators, &ridges);
            assert_eq!(path.len(), ridges.len());
            for (found, &ridge) in path.iter().zip(&ridges) {
                let alone = estimate(&counts, &estimators, ridge);
                let kinds: Vec<Estimator> = found.iter().map(|e| e.estimator).collect();
                assert_eq!(kinds, [Estimator::ExactMeanField, Estimator::Nmf], "{n_bins} bins");
                for (found, alone) in found.iter().zip(&alone) {
                    assert_eq!((&found.couplings, &found.fields), (&alone.couplings, &alone.fields));
                    assert_eq!((&found.status, &found.variance), (&alone.status, &alone.variance));
                    assert!(found.couplings.iter().chain(&found.fields).all(|v| v.is_finite()));
                }
            }
        }
    }

    #[test]
    fn rows_without_an_estimate_say_why_ridge_by_ridge() {
        let status = |counts: &Counts, ridge: f64| path(counts, &[Estimator::Nmf], &[ridge])[0][0].status[0];
        assert_eq!(status(&counts(5), 0.0), RowStatus::Undersampled);
        assert!(status(&counts(5), 0.1).has_estimate());
        assert!(status(&counts(5000), 0.0).has_estimate());
        for no_ridge in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(status(&counts(5000), no_ridge), RowStatus::Singular);
        }
    }
}
