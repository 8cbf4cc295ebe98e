//! The decoding of the journal, for the fuzz targets.

use super::Record;
use super::record::{CHECKSUM_BYTES, Committed, decode, encode};

/// Decode a value of the database, as it is and with the checksum that fits: what it gives comes back when it is encoded.
///
/// # Panics
/// When it does not.
pub(crate) fn check_value(value: &[u8], n_neurons: usize) -> Vec<Record> {
    check(decode(value, n_neurons), n_neurons);
    let Some((_, body)) = value.split_first_chunk::<CHECKSUM_BYTES>() else { return Vec::new() };
    let sealed = [&crc32fast::hash(body).to_le_bytes()[..], body].concat();
    check(decode(&sealed, n_neurons), n_neurons)
}

fn check(decoded: Result<Committed, String>, n_neurons: usize) -> Vec<Record> {
    let Ok(committed) = decoded else { return Vec::new() };
    assert_eq!(decode(&encode(&committed, n_neurons), n_neurons).as_ref(), Ok(&committed));
    committed.records
}

/// A value as a journal holds it.
#[cfg(test)]
pub(crate) fn value(records: Vec<Record>, next_bin: u64, n_neurons: usize) -> Vec<u8> {
    encode(&Committed { records, next_bin }, n_neurons)
}
