use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Width of a time bin, 0.1 ms to 1 s, a whole number of microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BinWidth {
    us: u32,
}

/// A bin width that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BinWidthError {
    /// The width lies outside 0.1 ms to 1 s.
    #[error("bin width {us} us is outside the allowed 100 us to 1000000 us (0.1 ms to 1 s)")]
    OutOfRange {
        /// The width that was asked for, in microseconds.
        us: u64,
    },
    /// The text is not a number with a unit.
    #[error("'{text}' is not a bin width: expected a number with a unit, such as 20ms, 500us or 0.1s")]
    Unreadable {
        /// What was given.
        text: String,
    },
    /// The width is not a whole number of microseconds.
    #[error("bin width '{text}' is not a whole number of microseconds")]
    NotWholeMicroseconds {
        /// What was given.
        text: String,
    },
}

impl BinWidth {
    /// Narrowest bin, in microseconds.
    pub const US_MIN: u32 = 100;
    /// Widest bin, in microseconds.
    pub const US_MAX: u32 = 1_000_000;

    /// A bin of `us` microseconds.
    ///
    /// # Errors
    /// [`BinWidthError::OutOfRange`] outside 100 to 1,000,000 µs.
    pub fn from_us(us: u64) -> Result<Self, BinWidthError> {
        match u32::try_from(us) {
            Ok(us) if (Self::US_MIN..=Self::US_MAX).contains(&us) => Ok(Self { us }),
            _ => Err(BinWidthError::OutOfRange { us }),
        }
    }

    /// The width in microseconds.
    #[must_use]
    pub fn us(self) -> u32 {
        self.us
    }

    /// The width in nanoseconds, the unit in which spike times are binned.
    #[must_use]
    pub fn ns(self) -> i64 {
        i64::from(self.us) * 1000
    }

    /// The width in seconds.
    #[must_use]
    pub fn seconds(self) -> f64 {
        f64::from(self.us) / 1e6
    }

    /// Number of whole bins that cover a duration, rounded up; at least one.
    #[must_use]
    pub fn bins_covering(self, duration: Duration) -> u64 {
        let bins = duration.as_nanos().div_ceil(u128::from(self.us) * 1000);
        u64::try_from(bins).unwrap_or(u64::MAX).max(1)
    }
}

/// The micro sign and the Greek letter, which keyboards give and nobody can tell apart.
const MICRO: [char; 2] = ['\u{b5}', '\u{3bc}'];

impl FromStr for BinWidth {
    type Err = BinWidthError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unreadable = || BinWidthError::Unreadable { text: text.to_owned() };
        let trimmed = text.trim();
        let unit_at =
            trimmed.find(|c: char| c.is_ascii_alphabetic() || MICRO.contains(&c)).ok_or_else(unreadable)?;
        let (number, unit) = trimmed.split_at(unit_at);
        let us_per_unit = match unit {
            "us" | "\u{b5}s" | "\u{3bc}s" => 1.0,
            "ms" => 1e3,
            "s" => 1e6,
            _ => return Err(unreadable()),
        };
        let value: f64 = number.trim().parse().map_err(|_| unreadable())?;
        let us = value * us_per_unit;
        if !us.is_finite() || us < 0.0 {
            return Err(unreadable());
        }
        // 0.1 ms is 100.00000000000001 us in binary: a billionth of a microsecond is a rounding, not a choice.
        if (us - us.round()).abs() > 1e-6 {
            return Err(BinWidthError::NotWholeMicroseconds { text: text.to_owned() });
        }
        Self::from_us(us.round() as u64)
    }
}

impl fmt::Display for BinWidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.us.is_multiple_of(1000) {
            write!(f, "{}ms", self.us / 1000)
        } else {
            write!(f, "{}us", self.us)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_usual_spellings() {
        for (text, us) in [
            ("20ms", 20_000),
            ("0.1ms", 100),
            ("1s", 1_000_000),
            ("500us", 500),
            ("500\u{b5}s", 500),
            ("500\u{3bc}s", 500),
            (" 2.5 ms", 2500),
        ] {
            assert_eq!(text.parse::<BinWidth>().map(BinWidth::us), Ok(us), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_width() {
        for text in ["20", "ms", "-5ms", "nanms", "infs", "20 minutes", ""] {
            assert!(matches!(text.parse::<BinWidth>(), Err(BinWidthError::Unreadable { .. })), "{text}");
        }
        assert!(matches!("0.05ms".parse::<BinWidth>(), Err(BinWidthError::OutOfRange { us: 50 })));
        assert!(matches!("2s".parse::<BinWidth>(), Err(BinWidthError::OutOfRange { us: 2_000_000 })));
        assert!(matches!("0.1234567ms".parse::<BinWidth>(), Err(BinWidthError::NotWholeMicroseconds { .. })));
    }

    #[test]
    fn display_reads_back() {
        for us in [100, 1000, 1500, 20_000, 1_000_000] {
            let width = BinWidth::from_us(us).unwrap();
            assert_eq!(width.to_string().parse(), Ok(width));
        }
    }

    #[test]
    fn covering_rounds_up_to_whole_bins() {
        let width = BinWidth::from_us(20_000).unwrap();
        assert_eq!(width.bins_covering(Duration::from_secs(60)), 3000);
        assert_eq!(width.bins_covering(Duration::from_millis(30)), 2);
        assert_eq!(width.bins_covering(Duration::from_nanos(20_000_001)), 2);
        assert_eq!(width.bins_covering(Duration::ZERO), 1);
        // In floating point this quotient is a hair above a whole number.
        let narrow = BinWidth::from_us(100).unwrap();
        assert_eq!(narrow.bins_covering(Duration::from_millis(2007)), 20_070);
        assert_eq!(narrow.bins_covering(Duration::MAX), u64::MAX);
    }
}
