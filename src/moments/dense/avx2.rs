//! Two rows by four registers of four columns. AVX2 has no population count: a table of the bits of each half byte is looked up (Muła,
//! Kurz & Lemire 2018, Computer Journal 61:111), and the counts of bytes are added up before they can wrap.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi8, _mm256_add_epi64, _mm256_and_si256, _mm256_loadu_si256, _mm256_sad_epu8,
    _mm256_set1_epi8, _mm256_set1_epi64x, _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_srli_epi16, _mm256_storeu_si256,
};

use super::TileCounts;
use crate::moments::packed::{TILE, TileWord};

/// Columns of a register.
const LANES: usize = 4;
/// Registers of columns at a time.
const REGISTERS: usize = 4;
/// Rows at a time.
const ROWS: usize = 2;
/// Words whose counts fit a byte: 31 × 8 < 256.
const WORDS_PER_BYTE: usize = 31;

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
}

pub(super) fn count_tiles(rows: &[TileWord], columns: &[TileWord], counts: &mut TileCounts) {
    assert!(is_available());
    // SAFETY: the processor has the instructions, which is all the function asks for.
    unsafe { count(rows, columns, counts) }
}

#[target_feature(enable = "avx2")]
fn count(rows: &[TileWord], columns: &[TileWord], counts: &mut TileCounts) {
    for (block, counts) in counts.as_chunks_mut::<ROWS>().0.iter_mut().enumerate() {
        for part in 0..TILE / (LANES * REGISTERS) {
            let sums = count_block(rows, columns, block * ROWS, part * REGISTERS);
            for (sums, counts) in sums.iter().zip(&mut *counts) {
                for (r, &sum) in sums.iter().enumerate() {
                    let of_lanes = &mut counts.as_chunks_mut::<LANES>().0[part * REGISTERS + r];
                    for (count, sum) in of_lanes.iter_mut().zip(store(sum)) {
                        *count = sum as u32;
                    }
                }
            }
        }
    }
}

/// The rows from `first_row`, and the registers of columns from `first_register`.
#[target_feature(enable = "avx2")]
fn count_block(
    rows: &[TileWord],
    columns: &[TileWord],
    first_row: usize,
    first_register: usize,
) -> [[__m256i; REGISTERS]; ROWS] {
    let mut sums = [[_mm256_setzero_si256(); REGISTERS]; ROWS];
    for (rows, columns) in rows.chunks(WORDS_PER_BYTE).zip(columns.chunks(WORDS_PER_BYTE)) {
        let mut bytes = [[_mm256_setzero_si256(); REGISTERS]; ROWS];
        for (row, column) in rows.iter().zip(columns) {
            for (r, bytes) in bytes.iter_mut().enumerate() {
                let row = _mm256_set1_epi64x(row[first_row + r].cast_signed());
                for (c, bytes) in bytes.iter_mut().enumerate() {
                    let both = _mm256_and_si256(row, load(column, first_register + c));
                    *bytes = _mm256_add_epi8(*bytes, ones_of_bytes(both));
                }
            }
        }
        for (sum, bytes) in sums.as_flattened_mut().iter_mut().zip(bytes.as_flattened()) {
            *sum = _mm256_add_epi64(*sum, _mm256_sad_epu8(*bytes, _mm256_setzero_si256()));
        }
    }
    sums
}

/// The bits set in each byte.
#[target_feature(enable = "avx2")]
fn ones_of_bytes(words: __m256i) -> __m256i {
    let table = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
    );
    let half = _mm256_set1_epi8(0x0f);
    let low = _mm256_shuffle_epi8(table, _mm256_and_si256(words, half));
    let high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16::<4>(words), half));
    _mm256_add_epi8(low, high)
}

#[target_feature(enable = "avx2")]
fn load(words: &TileWord, register: usize) -> __m256i {
    let words: &[u64; LANES] = &words.as_chunks::<LANES>().0[register];
    // SAFETY: four u64 are as long as the register, and unaligned loads are allowed.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn store(register: __m256i) -> [u64; LANES] {
    let mut words = [0; LANES];
    // SAFETY: four u64 are as long as the register, and unaligned stores are allowed.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), register) };
    words
}
