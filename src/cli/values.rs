//! Values of arguments that need more than their own parser: speeds, durations, addresses.

use std::str::FromStr;
use std::time::Duration;

/// How fast a recording is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Speed {
    /// As fast as the daemon takes it.
    Max,
    /// So many times real time, above zero.
    Times(f64),
}

/// Text that is no speed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is not a speed: expected 'max' or a factor of real time from 0.001x to 1000000x, such as 1x or 0.5x"
)]
pub(crate) struct SpeedError {
    text: String,
}

impl FromStr for Speed {
    type Err = SpeedError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let factor = text.strip_suffix(['x', '×']).and_then(|number| number.parse::<f64>().ok());
        match factor {
            Some(factor) if (0.001..=1e6).contains(&factor) => Ok(Self::Times(factor)),
            _ => Err(SpeedError { text: text.to_owned() }),
        }
    }
}

/// A span such as `10min`, `90s` or `1h 30min`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(span) if !span.is_zero() => Ok(span),
        _ => Err(format!(
            "'{text}' is not a duration: expected a number with a unit, such as 90s, 10min or 2h"
        )),
    }
}

/// Where a daemon listens: `http://host:port` or `https://host:port`; the former when the scheme is left out.
pub(crate) fn parse_address(text: &str) -> Result<String, String> {
    let unreadable = || format!("'{text}' is not an address: expected http://host:port or https://host:port");
    let address = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let uri: tonic::transport::Uri = address.parse().map_err(|_| unreadable())?;
    match (uri.scheme_str(), uri.port_u16()) {
        (Some(scheme @ ("http" | "https")), Some(_)) => {
            // Schemes are the same in any case; ours are compared as they are written here.
            let rest = address.split_once("://").map_or("", |(_, rest)| rest);
            Ok(format!("{scheme}://{}", rest.trim_end_matches('/')))
        }
        _ => Err(unreadable()),
    }
}

/// A session's id, name or prefix, which an empty text is not.
pub(crate) fn parse_session(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("an empty text names no session: leave it out, or give an id or name".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds() {
        assert_eq!("max".parse::<Speed>().unwrap(), Speed::Max);
        assert_eq!("1x".parse::<Speed>().unwrap(), Speed::Times(1.0));
        assert_eq!("0.5x".parse::<Speed>().unwrap(), Speed::Times(0.5));
        for text in ["", "x", "0x", "-1x", "NaNx", "infx", "2", "fast"] {
            assert!(text.parse::<Speed>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn addresses_need_a_port() {
        assert_eq!(parse_address("127.0.0.1:50051").unwrap(), "http://127.0.0.1:50051");
        assert_eq!(parse_address("http://[::1]:5/").unwrap(), "http://[::1]:5");
        assert_eq!(parse_address("https://rig:5").unwrap(), "https://rig:5");
        for text in ["", "localhost", "http://localhost", "ftp://localhost:1", "http://a b:1"] {
            assert!(parse_address(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn durations_are_not_zero() {
        assert_eq!(parse_duration("10min").unwrap(), Duration::from_secs(600));
        assert!(parse_duration("0s").is_err());
        assert!(parse_duration("10").is_err());
    }
}
