use std::fmt;
use std::str::FromStr;

use super::BinWidth;

/// Which part of the session a statistic is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    /// The newest bins that span this time, in whole milliseconds.
    Last {
        /// Length in milliseconds, at least 1.
        ms: u64,
    },
    /// Everything since the session began.
    All,
}

/// A window that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The text is neither `all` nor a duration.
    #[error("'{text}' is not a window: expected 'all' or a duration such as 30s, 10min or 2h")]
    Unreadable {
        /// What was given.
        text: String,
    },
    /// The window is shorter than is useful or longer than is kept.
    #[error("window {window} is outside the allowed {min_bins} bins to 7 days (bins of {bin_width})")]
    OutOfRange {
        /// The window asked for.
        window: Window,
        /// Fewest bins of a window.
        min_bins: u64,
        /// Bin width of the session.
        bin_width: BinWidth,
    },
}

impl Window {
    /// Fewest bins of a window: one word of bit-packed bins.
    pub const BINS_MIN: u64 = 64;
    const MS_MAX: u64 = 7 * 24 * 3600 * 1000;

    /// Length in bins of the given width, rounded up; `None` for the whole session.
    ///
    /// # Errors
    /// [`WindowError::OutOfRange`] below [`Window::BINS_MIN`] bins or above 7 days.
    pub fn bins(self, bin_width: BinWidth) -> Result<Option<u64>, WindowError> {
        let Self::Last { ms } = self else { return Ok(None) };
        let bins = (ms.min(Self::MS_MAX) * 1000).div_ceil(u64::from(bin_width.us()));
        if ms > Self::MS_MAX || bins < Self::BINS_MIN {
            return Err(WindowError::OutOfRange { window: self, min_bins: Self::BINS_MIN, bin_width });
        }
        Ok(Some(bins))
    }
}

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unreadable = || WindowError::Unreadable { text: text.to_owned() };
        let trimmed = text.trim();
        if trimmed == "all" {
            return Ok(Self::All);
        }
        let unit_at = trimmed.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(unreadable)?;
        let (number, unit) = trimmed.split_at(unit_at);
        let ms_per_unit: u64 = match unit {
            "ms" => 1,
            "s" | "sec" => 1000,
            "m" | "min" => 60_000,
            "h" | "hour" | "hours" => 3_600_000,
            _ => return Err(unreadable()),
        };
        let value: u64 = number.trim().parse().map_err(|_| unreadable())?;
        match value.checked_mul(ms_per_unit) {
            Some(ms) if ms > 0 => Ok(Self::Last { ms }),
            _ => Err(unreadable()),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::All => f.write_str("all"),
            Self::Last { ms } if ms.is_multiple_of(3_600_000) => write!(f, "{}h", ms / 3_600_000),
            Self::Last { ms } if ms.is_multiple_of(60_000) => write!(f, "{}min", ms / 60_000),
            Self::Last { ms } if ms.is_multiple_of(1000) => write!(f, "{}s", ms / 1000),
            Self::Last { ms } => write!(f, "{ms}ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_the_usual_spellings() {
        for (text, shown) in
            [("all", "all"), ("600s", "10min"), ("10m", "10min"), ("90s", "90s"), ("2h", "2h")]
        {
            assert_eq!(text.parse::<Window>().unwrap().to_string(), shown);
        }
        for text in
            ["", "10", "min", "-1s", "0s", "ten min", "99999999999999999999s", "18446744073709551615h"]
        {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
    }

    #[test]
    fn length_in_bins_is_checked() {
        let width = BinWidth::from_us(20_000).unwrap();
        assert_eq!(Window::Last { ms: 60_000 }.bins(width), Ok(Some(3000)));
        assert_eq!(Window::All.bins(width), Ok(None));
        assert!(Window::Last { ms: 1000 }.bins(width).is_err());
        assert!(Window::Last { ms: u64::MAX }.bins(width).is_err());
    }
}
