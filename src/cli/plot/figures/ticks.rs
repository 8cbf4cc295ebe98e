//! Round numbers along an axis.

/// Round numbers from `low` to `high`, at most `count` steps of them, and how they are written.
pub(crate) fn ticks(low: f64, high: f64, count: usize) -> Vec<(f64, String)> {
    let span = high - low;
    // Nor is there anything along an axis whose ends are no numbers.
    if span.is_nan() || span <= 0.0 || span.is_infinite() || count == 0 {
        return Vec::new();
    }
    let rough = span / count as f64;
    let unit = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|k| k * unit).into_iter().find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(10.0 * unit);
    let decimals = (-(step * 1.0001).log10().floor()).max(0.0) as usize;
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last)
        .map(|k| {
            let value = k as f64 * step;
            (value, written(value, decimals))
        })
        .collect()
}

fn written(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    // Nothing is less than nothing.
    if text.trim_start_matches('-').chars().all(|c| "0.".contains(c)) {
        return text.trim_start_matches('-').to_owned();
    }
    text.replace('-', "−")
}

/// Powers of ten from `low` to `high`, both above 0.
pub(crate) fn decades(low: f64, high: f64) -> Vec<(f64, String)> {
    let (first, last) = (low.log10().ceil() as i32, high.log10().floor() as i32);
    let step = ((last - first) / 6 + 1).max(1) as usize;
    (first..=last).step_by(step).map(|k| (10_f64.powi(k), power(k))).collect()
}

fn power(exponent: i32) -> String {
    match exponent {
        -2..=3 => format!("{}", 10_f64.powi(exponent)),
        _ => {
            let digits = exponent.to_string();
            let raised = |c: char| match c {
                '-' => '⁻',
                '1' => '¹',
                '2' => '²',
                '3' => '³',
                other => char::from_u32(0x2070 + other.to_digit(10).unwrap_or(0)).unwrap_or(other),
            };
            format!("10{}", digits.chars().map(raised).collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(ticks: &[(f64, String)]) -> Vec<&str> {
        ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(words(&ticks(-0.13, 0.13, 5)), ["−0.1", "0.0", "0.1"]);
        assert_eq!(words(&ticks(-0.13, 0.13, 6)), ["−0.10", "−0.05", "0.00", "0.05", "0.10"]);
        assert_eq!(words(&ticks(0.0, 60.0, 6)), ["0", "10", "20", "30", "40", "50", "60"]);
        assert_eq!(words(&ticks(0.0, 7200.0, 5)), ["0", "2000", "4000", "6000"]);
        assert!(ticks(1.0, 1.0, 5).is_empty() && ticks(0.0, f64::INFINITY, 5).is_empty());
        assert!(ticks(f64::NAN, 1.0, 5).is_empty());
    }

    #[test]
    fn decades_are_powers_of_ten() {
        assert_eq!(words(&decades(0.5e-4, 2.0)), ["10⁻⁴", "10⁻³", "0.01", "0.1", "1"]);
    }
}
