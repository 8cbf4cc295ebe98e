use std::fmt;
use std::str::FromStr;

/// One ridge, or several from which the one that predicts best is chosen: 0 to [`Ridges::VALUE_MAX`], increasing.
#[derive(Debug, Clone, PartialEq)]
pub struct Ridges(Vec<f64>);

/// Ridges that are not allowed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RidgesError {
    /// Not a number from 0 to [`Ridges::VALUE_MAX`].
    #[error("ridge {found} is not allowed: expected a number from 0 to {}", Ridges::VALUE_MAX)]
    Value {
        /// The value given.
        found: f64,
    },
    /// None, or too many.
    #[error("1 to {} ridges can be chosen from, got {found}", Ridges::MAX)]
    Count {
        /// Number of ridges given.
        found: usize,
    },
    /// Neither numbers nor `auto`.
    #[error("'{text}' is not a ridge: expected 'auto', a number >= 0, or numbers separated by commas")]
    Unreadable {
        /// What was given.
        text: String,
    },
}

impl Ridges {
    /// Most ridges to choose from: each costs an estimate per estimator and window.
    pub const MAX: usize = 16;
    /// Largest ridge. Correlations are at most 1, so that couplings are zero to six digits there; far above, the squares that standard
    /// errors need leave the range of floats.
    pub const VALUE_MAX: f64 = 1e6;

    /// Whether this is a ridge: a number from 0 to [`Ridges::VALUE_MAX`].
    #[must_use]
    pub fn allows(ridge: f64) -> bool {
        (0.0..=Self::VALUE_MAX).contains(&ridge)
    }

    /// No ridge at all.
    #[must_use]
    pub fn none() -> Self {
        Self(vec![0.0])
    }

    /// The path from which a ridge is chosen when nobody names one. In units of the variances 1 − m² ≤ 1 on the diagonal of C; recordings
    /// with many spikes per bin want the lower end, sparse ones 0.1 to 1.
    #[must_use]
    pub fn auto() -> Self {
        Self(vec![0.0, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0])
    }

    /// The path for pseudo-likelihood, whose score is not disturbed by drift as much as that of the next bins: half of all spins up and 10⁴
    /// bins want none, a few hundred bins 0.03 to 0.3.
    #[must_use]
    pub fn auto_pseudo_likelihood() -> Self {
        Self(vec![0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0])
    }

    /// These ridges, in any order, repeats once.
    ///
    /// # Errors
    /// [`RidgesError`] for a value that is not from 0 to [`Ridges::VALUE_MAX`], or too many of them.
    pub fn new(ridges: &[f64]) -> Result<Self, RidgesError> {
        if let Some(&found) = ridges.iter().find(|&&ridge| !Self::allows(ridge)) {
            return Err(RidgesError::Value { found });
        }
        // −0 and 0 are the same ridge.
        let mut sorted: Vec<f64> = ridges.iter().map(|ridge| ridge + 0.0).collect();
        sorted.sort_by(f64::total_cmp);
        sorted.dedup();
        if sorted.is_empty() || sorted.len() > Self::MAX {
            return Err(RidgesError::Count { found: sorted.len() });
        }
        Ok(Self(sorted))
    }

    /// The ridges, increasing.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// The ridge when there is nothing to choose.
    #[must_use]
    pub fn fixed(&self) -> Option<f64> {
        match self.0[..] {
            [ridge] => Some(ridge),
            _ => None,
        }
    }

    /// Index of the ridge used before anything has been scored: the one nearest 0.3, which does little harm on any recording.
    #[must_use]
    pub fn unscored_choice(&self) -> usize {
        let distance = |k: &usize| (self.0[*k] - 0.3).abs();
        (0..self.0.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
    }
}

impl FromStr for Ridges {
    type Err = RidgesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "auto" {
            return Ok(Self::auto());
        }
        let unreadable = || RidgesError::Unreadable { text: text.to_owned() };
        let parse = |part: &str| part.trim().parse::<f64>().map_err(|_| unreadable());
        let ridges = text.split(',').map(parse).collect::<Result<Vec<f64>, _>>()?;
        Self::new(&ridges)
    }
}

impl fmt::Display for Ridges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.pad(&texts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["0", "0.3", "0,0.1,1"] {
            assert_eq!(text.parse::<Ridges>().unwrap().to_string(), text);
        }
        assert_eq!("auto".parse::<Ridges>().unwrap(), Ridges::auto());
        assert_eq!("1, 0.1,-0,1".parse::<Ridges>().unwrap().as_slice(), [0.0, 0.1, 1.0]);
        assert_eq!(Ridges::auto().unscored_choice(), 4);
    }

    #[test]
    fn refuses_what_is_no_ridge() {
        for text in ["", "best", "0.1,,1", "-1", "NaN", "inf", "0.1;1", "1000001", "1e300"] {
            assert!(text.parse::<Ridges>().is_err(), "{text}");
        }
        assert_eq!("1e6".parse::<Ridges>().unwrap().as_slice(), [Ridges::VALUE_MAX]);
        let error = "1e7".parse::<Ridges>().unwrap_err().to_string();
        assert_eq!(error, "ridge 10000000 is not allowed: expected a number from 0 to 1000000");
        assert_eq!(Ridges::new(&[]), Err(RidgesError::Count { found: 0 }));
        let many: Vec<f64> = (0..17).map(f64::from).collect();
        assert_eq!(Ridges::new(&many), Err(RidgesError::Count { found: 17 }));
    }
}
