//! How counts, times and numbers are written for people.

use std::path::Path;
use std::time::Duration;

/// `1234567` as `1,234,567`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A name or label from a file, as a daemon takes it: without control characters and not too long.
pub(crate) fn name(text: &str) -> String {
    const CHARS_MAX: usize = 256;
    text.chars().filter(|c| !c.is_control()).take(CHARS_MAX).collect()
}

/// The text, cut to so many characters.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

/// A count with its noun, in the plural when it is not one.
pub(crate) fn counted(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(value), if value == 1 { "" } else { "s" })
}

/// A path as a shell takes it.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%~".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A span of time with two units at most: `85 ms`, `3.2 s`, `12 min 5 s`, `2 h 3 min`.
pub(crate) fn seconds(value: f64) -> String {
    if value < 0.0 {
        return format!("-{}", seconds(-value));
    }
    if value < 0.9995 {
        return format!("{:.0} ms", value * 1000.0);
    }
    if value < 59.95 {
        return format!("{value:.1} s");
    }
    let whole = value.round() as u64;
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours} h {minutes} min") } else { format!("{minutes} min {rest} s") }
}

/// A span of time as short as it gets: `85ms`, `3.2s`, `12m05s`, `2h03m`.
pub(crate) fn short_seconds(value: f64) -> String {
    if value < 59.95 {
        return seconds(value).replace(' ', "");
    }
    let whole = value.round() as u64;
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours}h{minutes:02}m") } else { format!("{minutes}m{rest:02}s") }
}

/// A duration, as [`seconds`] writes it.
pub(crate) fn duration(value: Duration) -> String {
    seconds(value.as_secs_f64())
}

/// Memory or file sizes in powers of 1000.
pub(crate) fn bytes(value: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut scaled = value as f64;
    let mut unit = 0;
    while scaled >= 999.5 && unit + 1 < UNITS.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    if unit == 0 || scaled >= 99.5 {
        format!("{scaled:.0} {}", UNITS[unit])
    } else {
        format!("{scaled:.1} {}", UNITS[unit])
    }
}

/// A coupling with its sign: `+0.1234`, `-0.0210`.
pub(crate) fn signed(value: f64) -> String {
    if value.abs() < 9.99995 { format!("{value:+.4}") } else { format!("{value:+.1}") }
}

/// Bits per spike with their sign, in as many digits as mean something; `-` when nothing was scored.
pub(crate) fn bits(score: Option<f64>) -> String {
    match score {
        Some(bits) if bits.abs() < 99.995 => format!("{bits:+.2}"),
        Some(bits) if bits.abs() < 999_999.5 => format!("{bits:+.0}"),
        Some(bits) => format!("{bits:+.0e}"),
        None => "-".to_owned(),
    }
}

/// A probability in six characters at most: `0.0312`, `4e-12`, and `0` where it is less than any number.
pub(crate) fn probability(value: f64) -> String {
    // What would round to fewer than two digits is written as a power.
    if value >= 0.000_95 {
        format!("{value:.4}")
    } else if value > 0.0 {
        format!("{value:.0e}")
    } else {
        "0".to_owned()
    }
}

/// What the sign of a coupling means.
pub(crate) fn effect(coupling: f64) -> &'static str {
    if coupling > 0.0 {
        "excitatory"
    } else if coupling < 0.0 {
        "inhibitory"
    } else {
        "none"
    }
}

/// How many times real time a speed is: `850x`, `12.5x`, `0.98x`.
pub(crate) fn ratio(value: f64) -> String {
    if value >= 100.0 {
        format!("{}x", count(value.round() as u64))
    } else if value >= 10.0 {
        format!("{value:.1}x")
    } else {
        format!("{value:.2}x")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_and_cut() {
        assert_eq!(name("a\0\u{1b}[2Jb\u{9b}é"), "a[2Jbé");
        assert_eq!(name(&"é".repeat(300)).chars().count(), 256);
        assert_eq!(
            (cut("NOT_CONVERGED", 10), cut("SILENT", 10)),
            ("NOT_CONVE…".to_owned(), "SILENT".to_owned())
        );
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "gap"), "1 gap");
        assert_eq!(counted(0, "gap"), "0 gaps");
    }

    #[test]
    fn spans_use_the_units_that_fit() {
        assert_eq!(seconds(0.0004), "0 ms");
        assert_eq!(seconds(0.9999), "1.0 s");
        assert_eq!(seconds(59.94), "59.9 s");
        assert_eq!(seconds(59.96), "1 min 0 s");
        assert_eq!(seconds(3725.0), "1 h 2 min");
        assert_eq!(seconds(-2.0), "-2.0 s");
        assert_eq!(short_seconds(0.085), "85ms");
        assert_eq!(short_seconds(725.0), "12m05s");
        assert_eq!(short_seconds(7380.0), "2h03m");
    }

    #[test]
    fn scores_keep_their_sign() {
        assert_eq!(bits(Some(2.579)), "+2.58");
        assert_eq!(bits(Some(-44.3)), "-44.30");
        assert_eq!(bits(Some(-123.4)), "-123");
        assert_eq!(bits(Some(-1.2e7)), "-1e7");
        assert_eq!(bits(None), "-");
    }

    #[test]
    fn probabilities_take_six_characters_at_most() {
        for (value, text) in [
            (1.0, "1.0000"),
            (0.0312, "0.0312"),
            (0.000_96, "0.0010"),
            (0.000_94, "9e-4"),
            (4.4e-12, "4e-12"),
        ] {
            assert_eq!(probability(value), text);
        }
        assert_eq!((probability(5e-324).as_str(), probability(0.0).as_str()), ("5e-324", "0"));
    }

    #[test]
    fn sizes_do_not_spill_into_four_digits() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(999_999), "1.0 MB");
        assert_eq!(bytes(12_345_678), "12.3 MB");
    }

    #[test]
    fn ratios_keep_three_figures() {
        assert_eq!(ratio(1234.4), "1,234x");
        assert_eq!(ratio(12.34), "12.3x");
        assert_eq!(ratio(0.98), "0.98x");
    }
}
