//! Who recorded what, where and when: what an NWB file says of it.

use std::time::{Duration, SystemTime};

use super::nwb_write::{UNKNOWN, UNKNOWN_AGE, UNKNOWN_SEX, UNKNOWN_SPECIES};
use crate::model::{SessionMetadata, Subject};
use crate::storage::InputFile;

/// The metadata of an NWB file. What is stored in some odd way, or says no more than that it is unknown, is left empty.
pub(super) fn read(file: &InputFile) -> SessionMetadata {
    let text = |object: &str| texts(file, object).into_iter().next().unwrap_or_default();
    let said =
        |object: &str, unknown: &str| Some(text(object)).filter(|text| text != unknown).unwrap_or_default();
    let mut subject = Subject {
        subject_id: said("/general/subject/subject_id", UNKNOWN),
        species: said("/general/subject/species", UNKNOWN_SPECIES),
        sex: text("/general/subject/sex"),
        age: said("/general/subject/age", UNKNOWN_AGE),
        description: text("/general/subject/description"),
        strain: text("/general/subject/strain"),
        genotype: text("/general/subject/genotype"),
    };
    // What is written of a subject of whom nothing is known.
    if subject == (Subject { sex: UNKNOWN_SEX.to_owned(), ..Subject::default() }) {
        subject.sex.clear();
    }
    SessionMetadata {
        description: said("/session_description", UNKNOWN),
        experimenters: texts(file, "/general/experimenter"),
        lab: text("/general/lab"),
        institution: text("/general/institution"),
        keywords: texts(file, "/general/keywords"),
        start_ns: reference_time(&text("/timestamps_reference_time"))
            .or_else(|| reference_time(&text("/session_start_time"))),
        subject,
    }
}

/// A scalar or a list, without entries that are empty.
fn texts(file: &InputFile, object: &str) -> Vec<String> {
    let found = file.optional_dataset(object).ok().flatten();
    let found = found.and_then(|dataset| dataset.rows_at_most(TEXTS_MAX, "texts").ok());
    let texts = found.and_then(|dataset| dataset.texts().ok()).unwrap_or_default();
    texts.into_iter().filter(|text| !text.is_empty()).collect()
}

/// Most experimenters or keywords that are read.
const TEXTS_MAX: usize = 1024;

/// Nanoseconds since 1970 of an ISO 8601 time with its zone; `None` when it is none, or before 1970.
fn reference_time(text: &str) -> Option<i64> {
    let time_at = text.find('T')?;
    let zone_at = text[time_at..].find(['Z', '+', '-']).map(|place| place + time_at)?;
    let (local, zone) = text.split_at(zone_at);
    let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    let local_ns = i64::try_from(local.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_nanos()).ok()?;
    let ahead = Duration::from_secs(60 * zone_minutes(zone)?);
    let ahead_ns = i64::try_from(ahead.as_nanos()).ok()?;
    let ns = if zone.starts_with('-') { local_ns.checked_add(ahead_ns)? } else { local_ns - ahead_ns };
    (ns >= 0).then_some(ns)
}

/// Minutes of `Z`, `+hh:mm`, `-hhmm` or `+hh`, whatever the sign.
fn zone_minutes(zone: &str) -> Option<u64> {
    if zone == "Z" {
        return Some(0);
    }
    let digits: String = zone[1..].chars().filter(|&c| c != ':').collect();
    let numeric = digits.bytes().all(|byte| byte.is_ascii_digit());
    if !numeric || !matches!(digits.len(), 2 | 4) {
        return None;
    }
    let (hours, minutes) = digits.split_at(2);
    let minutes: u64 = if minutes.is_empty() { 0 } else { minutes.parse().ok()? };
    Some(60 * hours.parse::<u64>().ok()? + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_any_zone() {
        let noon = Some(1_717_243_200_000_000_000);
        for text in [
            "2024-06-01T12:00:00Z",
            "2024-06-01T12:00:00.000000+00:00",
            "2024-06-01T14:00:00+02:00",
            "2024-06-01T06:30:00-0530",
            "2024-06-01T13:00:00+01",
        ] {
            assert_eq!(reference_time(text), noon, "{text}");
        }
        assert_eq!(reference_time("2024-06-01T12:00:00.5Z"), noon.map(|ns| ns + 500_000_000));
        for text in [
            "",
            "2024-06-01",
            "2024-06-01T12:00:00",
            "noonTZ",
            "2024-06-01T12:00:00+1",
            "1969-01-01T00:00:00Z",
            "1970-01-01T00:00:00+01:00",
        ] {
            assert_eq!(reference_time(text), None, "{text}");
        }
    }
}
