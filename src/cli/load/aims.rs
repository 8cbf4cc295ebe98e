//! What a user hopes for of a load, and whether it came true.

use super::report::{Report, Spans};

/// What the user hopes for.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct AimArgs {
    /// Fail when bins take longer to be visible, 99th percentile, milliseconds
    #[arg(long, value_name = "MS", value_parser = positive)]
    expect_visible_p99_ms: Option<f64>,
    /// Fail when bins take longer to be durable, 99th percentile, milliseconds
    #[arg(long, value_name = "MS", value_parser = positive)]
    expect_durable_p99_ms: Option<f64>,
    /// Fail when the daemon uses more than this of one core, %
    #[arg(long, value_name = "PERCENT", value_parser = positive)]
    expect_cpu_percent: Option<f64>,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err(format!("'{text}' is not a bound: expected a number above 0")),
    }
}

impl AimArgs {
    /// Each aim that was missed, in a line.
    pub(super) fn missed(&self, report: &Report) -> Vec<String> {
        let p99 = |spans: Option<&Spans>| Some(spans?.from_due?.p99_ms);
        let latency = &report.latency;
        let cpu = report.daemon.as_ref().map(|daemon| daemon.cpu.percent);
        let aims = [
            ("visible p99", "ms", self.expect_visible_p99_ms, p99(Some(&latency.visible))),
            ("durable p99", "ms", self.expect_durable_p99_ms, p99(latency.durable.as_ref())),
            ("CPU of the daemon", "% of one core", self.expect_cpu_percent, cpu),
        ];
        aims.into_iter()
            .filter_map(|(what, unit, expected, found)| match (expected?, found) {
                (expected, Some(found)) if found <= expected => None,
                (expected, Some(found)) => {
                    Some(format!("{what}: expected at most {expected} {unit}, got {found:.1}"))
                }
                (expected, None) => {
                    Some(format!("{what}: expected at most {expected} {unit}, but it could not be measured"))
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::positive;

    #[test]
    fn a_bound_is_a_number_above_zero() {
        assert_eq!(positive("2.5"), Ok(2.5));
        for text in ["0", "-1", "nan", "inf", "x", ""] {
            assert!(positive(text).is_err(), "{text:?} was taken");
        }
    }
}
