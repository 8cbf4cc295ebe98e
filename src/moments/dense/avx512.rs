//! Four rows by four registers of eight columns: sixteen running counts stay in registers over all words.

use std::arch::x86_64::{
    __m512i, _mm256_storeu_si256, _mm512_add_epi64, _mm512_and_si512, _mm512_cvtepi64_epi32,
    _mm512_loadu_si512, _mm512_popcnt_epi64, _mm512_set1_epi64, _mm512_setzero_si512,
};

use super::TileCounts;
use crate::moments::packed::{TILE, TileWord};

/// Columns of a register.
const LANES: usize = 8;
const REGISTERS: usize = TILE / LANES;
/// Rows at a time.
const ROWS: usize = 4;

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vpopcntdq")
}

pub(super) fn count_tiles(rows: &[TileWord], columns: &[TileWord], counts: &mut TileCounts) {
    assert!(is_available());
    // SAFETY: the processor has the instructions, which is all the function asks for.
    unsafe { count(rows, columns, counts) }
}

#[target_feature(enable = "avx512f,avx512vpopcntdq")]
fn count(rows: &[TileWord], columns: &[TileWord], counts: &mut TileCounts) {
    for (block, counts) in counts.as_chunks_mut::<ROWS>().0.iter_mut().enumerate() {
        let mut sums = [[_mm512_setzero_si512(); REGISTERS]; ROWS];
        for (row, column) in rows.iter().zip(columns) {
            let columns: [__m512i; REGISTERS] = std::array::from_fn(|c| load(column, c));
            for (r, sums) in sums.iter_mut().enumerate() {
                let row = _mm512_set1_epi64(row[block * ROWS + r].cast_signed());
                for (sum, &column) in sums.iter_mut().zip(&columns) {
                    let both = _mm512_popcnt_epi64(_mm512_and_si512(row, column));
                    *sum = _mm512_add_epi64(*sum, both);
                }
            }
        }
        for (sums, counts) in sums.iter().zip(counts) {
            for (&sum, counts) in sums.iter().zip(counts.as_chunks_mut::<LANES>().0) {
                // SAFETY: eight u32 are as long as the register, and unaligned stores are allowed.
                unsafe { _mm256_storeu_si256(counts.as_mut_ptr().cast(), _mm512_cvtepi64_epi32(sum)) };
            }
        }
    }
}

#[target_feature(enable = "avx512f")]
fn load(words: &TileWord, register: usize) -> __m512i {
    let words: &[u64; LANES] = &words.as_chunks::<LANES>().0[register];
    // SAFETY: eight u64 are as long as the register, and unaligned loads are allowed.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}
