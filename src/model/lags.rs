/// Longest lag, in bins.
pub const LAG_BINS_MAX: u32 = 1024;

/// The lags, in bins, at which delayed correlations are kept: increasing, distinct, always with lag 1.
///
/// Lag 1 drives the kinetic models; the others serve delayed correlations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lags(Vec<u32>);

/// A list of lags that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LagsError {
    /// A lag outside 1 to [`LAG_BINS_MAX`].
    #[error("lag {lag_bins} bins is outside the allowed 1 to {LAG_BINS_MAX}")]
    OutOfRange {
        /// The lag found, in bins.
        lag_bins: u32,
    },
    /// More lags than a session keeps.
    #[error("{found} lags asked for, at most {} are kept", Lags::COUNT_MAX)]
    TooMany {
        /// Number of distinct lags asked for.
        found: usize,
    },
}

impl Lags {
    /// Most lags one session keeps: each costs a matrix of counts per window.
    pub const COUNT_MAX: usize = 16;

    /// The given lags, sorted, without repeats, lag 1 added when missing.
    ///
    /// # Errors
    /// [`LagsError`] for a lag outside the range or too many of them.
    pub fn new(lags_bins: &[u32]) -> Result<Self, LagsError> {
        if let Some(&lag_bins) = lags_bins.iter().find(|&&lag| lag == 0 || lag > LAG_BINS_MAX) {
            return Err(LagsError::OutOfRange { lag_bins });
        }
        let mut sorted: Vec<u32> = lags_bins.iter().copied().chain([1]).collect();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() > Self::COUNT_MAX {
            return Err(LagsError::TooMany { found: sorted.len() });
        }
        Ok(Self(sorted))
    }

    /// The lags in increasing order; the first is 1.
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }

    /// The longest lag, in bins.
    #[must_use]
    pub fn longest(&self) -> u32 {
        self.0[self.0.len() - 1]
    }
}

impl Default for Lags {
    fn default() -> Self {
        Self(vec![1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_one_is_always_there() {
        assert_eq!(Lags::new(&[5, 2, 5]).unwrap().as_slice(), [1, 2, 5]);
        assert_eq!(Lags::new(&[]).unwrap(), Lags::default());
    }

    #[test]
    fn bad_lags_are_refused() {
        assert_eq!(Lags::new(&[0]), Err(LagsError::OutOfRange { lag_bins: 0 }));
        assert_eq!(Lags::new(&[1025]), Err(LagsError::OutOfRange { lag_bins: 1025 }));
        let many: Vec<u32> = (1..=17).collect();
        assert_eq!(Lags::new(&many), Err(LagsError::TooMany { found: 17 }));
    }
}
