//! From numbers of samples to nanoseconds, in integers.

use std::fmt;

/// A sample rate, in millionths of a hertz.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    micro_hz: u64,
}

impl Rate {
    /// What a rate may be.
    pub(super) const RANGE: &'static str = "100 to 1000000 Hz";
    /// The largest number of a sample: a thousand years at 30 kHz. At 100 Hz its time is beyond what nanoseconds can tell, which is checked.
    pub(super) const SAMPLE_MAX: i64 = 1 << 50;

    /// The rate of so many samples per second, to the millionth of a hertz; `None` when out of range.
    pub(super) fn new(hz: f64) -> Option<Self> {
        (100.0..=1e6).contains(&hz).then(|| Self { micro_hz: (hz * 1e6).round() as u64 })
    }

    /// Time of a sample, nanoseconds from sample 0, rounded down; `None` when it is beyond an `i64`.
    pub(super) fn time_ns(self, sample: i64) -> Option<i64> {
        let sample = u128::try_from(sample).ok()?;
        i64::try_from(sample * 1_000_000_000_000_000 / u128::from(self.micro_hz)).ok()
    }

    /// How long so many samples take, nanoseconds, rounded up.
    pub(super) fn span_ns(self, samples: u32) -> i64 {
        (u128::from(samples) * 1_000_000_000_000_000).div_ceil(u128::from(self.micro_hz)) as i64
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} Hz", self.micro_hz as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact() {
        let rate = Rate::new(30_000.0).unwrap();
        assert_eq!(rate.time_ns(30_000), Some(1_000_000_000));
        assert_eq!(rate.time_ns(1), Some(33_333));
        assert_eq!(rate.time_ns(2), Some(66_666));
        assert_eq!(rate.time_ns(3), Some(100_000));
        let day = 30_000 * 86_400 * 365;
        assert_eq!(rate.time_ns(day + 1), Some(86_400 * 365 * 1_000_000_000 + 33_333));
        assert_eq!(Rate::new(24_414.062_5).unwrap().time_ns(244_140_625), Some(10_000_000_000_000));
        assert_eq!(Rate::new(100.0).unwrap().time_ns(Rate::SAMPLE_MAX), None);
        assert_eq!(rate.time_ns(-1), None);
        assert_eq!(rate.span_ns(1), 33_334);
    }

    #[test]
    fn absurd_rates_are_none() {
        for hz in [0.0, -30_000.0, 99.0, 1e7, f64::NAN, f64::INFINITY] {
            assert_eq!(Rate::new(hz), None, "{hz}");
        }
        assert_eq!(Rate::new(30_000.0).unwrap().to_string(), "30000 Hz");
    }
}
