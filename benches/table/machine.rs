//! What this machine can do at best: the limits that shares are shares of.

use std::hint::black_box;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use glauber::moments::InstructionSet;

use super::row::Row;
use super::{Asked, Found, median_s, popcount};

/// Limits of this machine, measured in the same run.
#[derive(Default)]
pub(crate) struct Machine {
    processor: String,
    pub(crate) cores: usize,
    /// Words of 64 bins of two neurons compared per second, on one core.
    pub(crate) words_per_s: f64,
    /// Operations per second of a product of matrices, on one core.
    pub(crate) flops: f64,
}

impl Machine {
    /// For the head of the table.
    pub(crate) fn line(&self) -> String {
        format!("{}, {} cores, {}.", self.processor, self.cores, std::env::consts::OS)
    }
}

pub(crate) fn measure(asked: &Asked, found: &mut Found) -> Vec<Row> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let n = 1000;
    let machine =
        Machine { processor: processor(), cores, words_per_s: popcount::words_per_s(), flops: flops(1, n) };
    let set = InstructionSet::best();
    let mut rows = vec![
        Row::new(
            format!("AND and population count, {set:?}, one core"),
            machine.words_per_s / 1e9,
            "G words/s",
        )
        .beside("first-level cache and registers, 64 bins of a pair a word"),
    ];
    for threads in [1, cores] {
        let on = if threads == 1 { "one core".to_owned() } else { format!("{threads} cores") };
        let (read, copied) = bandwidth(threads);
        rows.push(Row::new(format!("memory read, {on}"), read / 1e9, "GB/s").beside("256 MB"));
        rows.push(
            Row::new(format!("memory copied, {on}"), copied / 1e9, "GB/s").beside("256 MB, read and written"),
        );
        let rate = if threads == 1 { machine.flops } else { flops(threads, n) };
        let of = if threads == 1 { "faer" } else { "faer, one product on each" };
        rows.push(
            Row::new(format!("product of matrices, f64, n = {n}, {on}"), rate / 1e9, "GFlop/s").beside(of),
        );
        if cores == 1 {
            break;
        }
    }
    found.machine = machine;
    rows.into_iter().map(|row| row.by(&asked.myself("machine"))).collect()
}

fn processor() -> String {
    let said = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = said.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    match name {
        Some((_, name)) => name.trim().to_owned(),
        None => std::process::Command::new("sysctl")
            .args(["-n", "machdep.cpu.brand_string"])
            .output()
            .ok()
            .filter(|output| output.status.success())
            .map_or_else(
                || std::env::consts::ARCH.to_owned(),
                |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            ),
    }
}

/// Bytes per second, read, and read and written.
fn bandwidth(threads: usize) -> (f64, f64) {
    const WORDS: usize = 32 << 20;
    let from: Vec<u64> = (0..WORDS as u64).collect();
    let mut to = vec![1_u64; WORDS];
    let part = WORDS.div_ceil(threads);
    let expected = (0..WORDS as u64).sum::<u64>();
    let read = median_s(5, 0.2, || {
        let sum: u64 = std::thread::scope(|scope| {
            let parts: Vec<_> = from.chunks(part).map(|part| scope.spawn(|| sum(black_box(part)))).collect();
            parts.into_iter().map(|part| part.join().expect("a sum")).sum()
        });
        assert_eq!(sum, expected);
    });
    let copied = median_s(5, 0.2, || {
        std::thread::scope(|scope| {
            for (from, to) in from.chunks(part).zip(to.chunks_mut(part)) {
                scope.spawn(move || to.copy_from_slice(black_box(from)));
            }
        });
    });
    assert!(from == to);
    let bytes = 8.0 * WORDS as f64;
    (bytes / read, 2.0 * bytes / copied)
}

fn sum(words: &[u64]) -> u64 {
    let (eights, rest) = words.as_chunks::<16>();
    let mut sums = [0_u64; 16];
    for eight in eights {
        for (sum, word) in sums.iter_mut().zip(eight) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().chain(rest).fold(0, |all, word| all.wrapping_add(*word))
}

/// Operations per second of products of matrices, one product on each thread.
fn flops(threads: usize, n: usize) -> f64 {
    let a = Mat::from_fn(n, n, |i, j| ((i * 7 + j * 3) % 11) as f64);
    let products: Vec<Mat<f64>> = (0..threads).map(|_| Mat::zeros(n, n)).collect();
    let mut products = products;
    let seconds = median_s(5, 0.3, || {
        std::thread::scope(|scope| {
            for product in &mut products {
                scope.spawn(|| {
                    matmul(product.as_mut(), Accum::Replace, a.as_ref(), a.as_ref(), 1.0, Par::Seq);
                });
            }
        });
    });
    // Integers, exact in any order.
    let exact: f64 = (0..n).map(|k| a[(3, k)] * a[(k, 5)]).sum();
    assert!(products.iter().all(|product| product[(3, 5)] == exact));
    2.0 * (n as f64).powi(3) * threads as f64 / seconds
}
