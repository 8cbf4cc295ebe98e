use super::patterns::Patterns;

/// How the sums over senders are taken. Only speed depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Over the active senders of each pattern, one by one.
    Sparse,
    /// As products of matrices, tile by tile of patterns.
    Dense,
}

/// Expected costs, in nanoseconds of one core with AVX-512.
///
/// They are functions of the sizes and counts of the problem, never of a clock, so that what is chosen by them is the same on every
/// run and every machine; on a slower one the choice is at worst less than optimal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Costs {
    pub(crate) pass_layout: Layout,
    /// One pass over the observations for one row.
    pub(crate) pass: f64,
    pub(crate) fisher_layout: Layout,
    /// Fisher information and its Cholesky factor for one row.
    pub(crate) fisher: f64,
}

// Measured at n = 100 (half of all bins active) and n = 1000 (1 % active) on a machine shared with others: good to a factor of two.
const LOGISTIC_NS: f64 = 1.2;
const SPARSE_ADD_NS: f64 = 0.12;
const DENSE_ADD_NS: f64 = 0.04;
const SPARSE_PAIR_NS: f64 = 0.25;
const DENSE_PAIR_NS: f64 = 0.04;
const CHOLESKY_NS: f64 = 0.02;

impl Costs {
    pub(crate) fn of(patterns: &Patterns) -> Self {
        let (all, columns) = (patterns.len() as f64, patterns.n_senders as f64 + 1.0);
        let (sparse, dense) =
            (2.0 * SPARSE_ADD_NS * patterns.n_active() as f64, 2.0 * DENSE_ADD_NS * all * columns);
        let pass_layout = if sparse <= dense { Layout::Sparse } else { Layout::Dense };
        let pass = LOGISTIC_NS * all + sparse.min(dense);
        let sparse = SPARSE_PAIR_NS * patterns.n_pairs() as f64;
        let dense = DENSE_PAIR_NS * all * columns * columns;
        let fisher_layout = if sparse <= dense { Layout::Sparse } else { Layout::Dense };
        let fisher = pass + sparse.min(dense) + CHOLESKY_NS * columns.powi(3);
        Self { pass_layout, pass, fisher_layout, fisher }
    }
}
