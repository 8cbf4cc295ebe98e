/// A fit that cannot be begun. What the data do not allow is no error: the neurons' [`RowStatus`](crate::model::RowStatus) tells it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EquilibriumError {
    /// An `ε` of the erasure machine outside its range.
    #[error("epsilon {found} is not allowed: expected a number above 0 and at most 1")]
    Epsilon {
        /// The value given.
        found: f64,
    },
    /// No value where at least one is needed, or too many.
    #[error("{what}: expected {min} to {max} values, got {found}")]
    Count {
        /// Of what.
        what: &'static str,
        /// Fewest.
        min: usize,
        /// Most.
        max: usize,
        /// Number given.
        found: usize,
    },
    /// A number outside its range.
    #[error("{what} {found} is not allowed: expected {min} to {max}")]
    Range {
        /// What it is.
        what: &'static str,
        /// The value given.
        found: f64,
        /// Least.
        min: f64,
        /// Largest.
        max: f64,
    },
    /// More neurons than the method can do.
    #[error("{method} takes at most {max} neurons that fire and are silent, got {found}")]
    TooManyNeurons {
        /// The method.
        method: crate::model::EquilibriumMethod,
        /// Most of them.
        max: usize,
        /// Number of neurons that take part.
        found: usize,
    },
}
