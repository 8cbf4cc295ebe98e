//! Many numbers after a few words: a header of JSON, then numbers as they lie in memory of a little-endian machine.
//!
//! ```text
//!  "GLB1"   length of the header, u32   header: JSON, spaces to a multiple of 8 bytes   numbers
//! ```

use axum::body::Bytes;
use serde_json::Value;

/// What an answer of numbers begins with.
const MAGIC: &[u8; 4] = b"GLB1";

/// The beginning of an answer, up to its numbers.
pub(super) fn beginning(header: &Value) -> Vec<u8> {
    let mut text = header.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut out = Vec::with_capacity(8 + text.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(&text);
    out
}

/// Rows of matrices with `n` columns as 32-bit numbers: of each row that of the first matrix, then that of the next.
pub(super) fn rows(n: usize, matrices: &[&[f64]]) -> Bytes {
    let mut out = Vec::with_capacity(4 * matrices.iter().map(|matrix| matrix.len()).sum::<usize>());
    let count = matrices.first().map_or(0, |matrix| matrix.len() / n.max(1));
    for row in 0..count {
        for matrix in matrices {
            for &value in matrix.get(row * n..(row + 1) * n).unwrap_or_default() {
                out.extend_from_slice(&(value as f32).to_le_bytes());
            }
        }
    }
    out.into()
}

/// Whole numbers of 16 bits; of a larger one the largest of these.
pub(super) fn small(values: impl Iterator<Item = u32>, out: &mut Vec<u8>) {
    for value in values {
        out.extend_from_slice(&u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_begin_at_a_multiple_of_eight() {
        for text in ["", "a", "abcdefg"] {
            let begun = beginning(&json!({ "text": text }));
            let length = u32::from_le_bytes(begun[4..8].try_into().unwrap()) as usize;
            assert_eq!((&begun[..4], begun.len() % 8, begun.len()), (&MAGIC[..], 0, 8 + length));
            assert_eq!(serde_json::from_slice::<Value>(&begun[8..]).unwrap()["text"], text);
        }
    }

    #[test]
    fn matrices_are_told_row_by_row() {
        let told = rows(2, &[&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0]]);
        let numbers: Vec<f32> =
            told.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        assert_eq!(numbers, [1.0, 2.0, 5.0, 6.0, 3.0, 4.0, 7.0, 8.0]);
    }
}
