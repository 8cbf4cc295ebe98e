//! How fast this processor can AND two words and count the bits they share, when it waits for nothing else.
//!
//! The words of one side come from the first-level cache, those of the other stay in registers; one loop per instruction set, written apart
//! from the kernels of the library. A word is 64 bits against 64 bits.

use std::hint::black_box;

use glauber::moments::InstructionSet;

/// 16 KiB.
const WORDS: usize = 2048;
/// Words that stay in registers.
const KEPT: usize = 8;

/// Words per second.
pub(crate) fn words_per_s() -> f64 {
    let words: Vec<u64> = (0..WORDS as u64).map(|k| k.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let kept: [u64; KEPT] = std::array::from_fn(|k| u64::MAX >> k);
    assert_eq!(count(InstructionSet::best(), &words, &kept), portable(&words, &kept), "the loops disagree");
    let calls = 200;
    let seconds = crate::median_s(15, 0.2, || {
        for _ in 0..calls {
            black_box(count(InstructionSet::best(), black_box(&words), black_box(&kept)));
        }
    });
    (calls * WORDS * KEPT) as f64 / seconds
}

fn count(set: InstructionSet, words: &[u64], kept: &[u64; KEPT]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    match set {
        InstructionSet::Avx512 if is_x86_feature_detected!("avx512vpopcntdq") => {
            // SAFETY: the processor has the instructions (VPOPCNTDQ comes with AVX-512F), which is all the function asks for.
            return unsafe { x86::avx512(words, kept) };
        }
        InstructionSet::Avx2 if is_x86_feature_detected!("avx2") => {
            // SAFETY: the processor has the instructions, which is all the function asks for.
            return unsafe { x86::avx2(words, kept) };
        }
        _ => {}
    }
    let _ = set;
    portable(words, kept)
}

fn portable(words: &[u64], kept: &[u64; KEPT]) -> u64 {
    let mut sums = [0_u64; KEPT];
    for word in words {
        for (sum, kept) in sums.iter_mut().zip(kept) {
            *sum += u64::from((word & kept).count_ones());
        }
    }
    sums.iter().sum()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_add_epi8, _mm256_add_epi64, _mm256_and_si256, _mm256_loadu_si256,
        _mm256_sad_epu8, _mm256_set1_epi8, _mm256_set1_epi64x, _mm256_setr_epi8, _mm256_setzero_si256,
        _mm256_shuffle_epi8, _mm256_srli_epi16, _mm256_storeu_si256, _mm512_add_epi64, _mm512_and_si512,
        _mm512_loadu_si512, _mm512_popcnt_epi64, _mm512_reduce_add_epi64, _mm512_set1_epi64,
        _mm512_setzero_si512,
    };

    use super::KEPT;

    #[target_feature(enable = "avx512f,avx512vpopcntdq")]
    pub(super) fn avx512(words: &[u64], kept: &[u64; KEPT]) -> u64 {
        let kept: [__m512i; KEPT] = std::array::from_fn(|k| _mm512_set1_epi64(kept[k].cast_signed()));
        let mut sums = [_mm512_setzero_si512(); KEPT];
        for eight in words.as_chunks::<8>().0 {
            // SAFETY: eight u64 are as long as the register, and unaligned loads are allowed.
            let words = unsafe { _mm512_loadu_si512(eight.as_ptr().cast()) };
            for (sum, &kept) in sums.iter_mut().zip(&kept) {
                *sum = _mm512_add_epi64(*sum, _mm512_popcnt_epi64(_mm512_and_si512(words, kept)));
            }
        }
        sums.iter().map(|&sum| _mm512_reduce_add_epi64(sum).cast_unsigned()).sum()
    }

    /// Half bytes looked up in a table, as AVX2 has no population count.
    #[target_feature(enable = "avx2")]
    pub(super) fn avx2(words: &[u64], kept: &[u64; KEPT]) -> u64 {
        let mut sums = [_mm256_setzero_si256(); KEPT];
        // 31 × 8 < 256: counts of bytes are added up before they can wrap.
        for words in words.as_chunks::<4>().0.chunks(31) {
            for (sum, &kept) in sums.iter_mut().zip(kept) {
                let kept = _mm256_set1_epi64x(kept.cast_signed());
                let mut bytes = _mm256_setzero_si256();
                for four in words {
                    // SAFETY: four u64 are as long as the register, and unaligned loads are allowed.
                    let words = unsafe { _mm256_loadu_si256(four.as_ptr().cast()) };
                    bytes = _mm256_add_epi8(bytes, ones_of_bytes(_mm256_and_si256(words, kept)));
                }
                *sum = _mm256_add_epi64(*sum, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
            }
        }
        let mut lanes = [0_u64; 4];
        let mut all = 0;
        for sum in sums {
            // SAFETY: four u64 are as long as the register, and unaligned stores are allowed.
            unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sum) };
            all += lanes.iter().sum::<u64>();
        }
        all
    }

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
}
