//! How long things took: histograms of microseconds, and what is told of them.

use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::cli::error::CliError;

/// What takes longer counts as this, microseconds.
const LONGEST_US: u64 = 3_600_000_000;
/// Digits that are kept of each value.
const DIGITS: u8 = 3;

/// Spans of one kind.
#[derive(Debug, Clone)]
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    pub(super) fn new() -> Result<Self, CliError> {
        Histogram::new_with_bounds(1, LONGEST_US, DIGITS).map(Self).map_err(|error| CliError::System {
            doing: "preparing a histogram",
            source: io::Error::other(error.to_string()),
        })
    }

    /// One more.
    pub(super) fn record(&mut self, span: Duration) {
        self.0.saturating_record(u64::try_from(span.as_micros()).unwrap_or(LONGEST_US));
    }

    /// Those of others as well.
    pub(super) fn add(&mut self, others: &Self) {
        // Bounds and digits are the same, so there is room.
        let _ = self.0.add(&others.0);
    }

    /// What is told of them; nothing when there are none.
    pub(super) fn quantiles(&self) -> Option<Quantiles> {
        let at = |quantile: f64| self.0.value_at_quantile(quantile) as f64 / 1000.0;
        (!self.0.is_empty()).then(|| Quantiles {
            samples: self.0.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: at(1.0),
        })
    }
}

/// Spans in milliseconds, to three digits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Quantiles {
    /// How many there were.
    pub(super) samples: u64,
    /// Median.
    pub(super) p50_ms: f64,
    /// What 90 % do not exceed, and so on.
    pub(super) p90_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) p999_ms: f64,
    /// The longest.
    pub(super) max_ms: f64,
}

/// When a message was due, and when it was handed over to its stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) due: Instant,
    pub(super) handed: Instant,
}

/// Spans until something became of a message, from both times.
#[derive(Debug, Clone)]
pub(super) struct Until {
    pub(super) from_due: Latencies,
    pub(super) from_handed: Latencies,
}

impl Until {
    /// None yet.
    pub(super) fn new(empty: &Latencies) -> Self {
        Self { from_due: empty.clone(), from_handed: empty.clone() }
    }

    /// It has become so now.
    pub(super) fn record(&mut self, times: Times, now: Instant) {
        self.from_due.record(now.saturating_duration_since(times.due));
        self.from_handed.record(now.saturating_duration_since(times.handed));
    }

    /// Those of others as well.
    pub(super) fn add(&mut self, others: &Self) {
        self.from_due.add(&others.from_due);
        self.from_handed.add(&others.from_handed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_told_in_milliseconds() {
        let mut all = Latencies::new().unwrap();
        assert_eq!(all.quantiles(), None);
        let mut others = all.clone();
        for ms in 1..=100 {
            let half = if ms % 2 == 0 { &mut all } else { &mut others };
            half.record(Duration::from_millis(ms));
        }
        all.add(&others);
        let told = all.quantiles().unwrap();
        assert_eq!(told.samples, 100);
        for (found, expected) in [(told.p50_ms, 50.0), (told.p90_ms, 90.0), (told.max_ms, 100.0)] {
            assert!((found - expected).abs() < 0.002 * expected, "{found} for {expected}");
        }
        all.record(Duration::from_secs(1 << 40));
        assert!(all.quantiles().unwrap().max_ms >= LONGEST_US as f64 / 1000.0);
    }
}
