//! Simulate a network, or time the maximum likelihood fit of simulated bins: what `benches/compare_kinetic.py` compares with others.
//!
//! ```text
//! kinetic_timing simulate NEURONS BINS COUPLING_STD SPIKE_PROBABILITY SEED BINS_FILE
//! kinetic_timing fit BINS_FILE RIDGE THREADS COUPLINGS_FILE
//! ```
//!
//! A bins file is little-endian: neurons and bins (u32), the number of active neurons of each bin (u32), their indices bin by bin (u16). A
//! couplings file holds fields, then couplings row by row (f64). `fit` prints one line of JSON.

use std::error::Error;
use std::fs;
use std::time::Instant;

use glauber::kinetic::{ExactOptions, exact};
use glauber::model::{Estimate, Lags, Runs, SamplingVariance, SpikeBlock};
use glauber::moments::Accumulator;
use glauber::simulate::{KineticIsing, KineticSimulation};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["simulate", neurons, bins, std, probability, seed, file] => {
            let network = KineticIsing::asymmetric_sk(neurons.parse()?, std.parse()?, 0.0, seed.parse()?)?
                .with_spike_probability(probability.parse()?)?;
            let block = KineticSimulation::new(&network, 1).bins(bins.parse()?);
            write_bins(file, network.n_neurons(), &block)
        }
        ["fit", bins, ridge, threads, out] => {
            let (n_neurons, block) = read_bins(bins)?;
            let options =
                ExactOptions { ridge: ridge.parse()?, threads: threads.parse()?, ..ExactOptions::default() };
            fit(Runs { n_neurons, blocks: vec![block] }, &options, out)
        }
        _ => Err("see the head of examples/kinetic_timing.rs for the arguments".into()),
    }
}

fn write_bins(file: &str, n_neurons: usize, block: &SpikeBlock) -> Result<(), Box<dyn Error>> {
    let mut bytes = Vec::new();
    for number in [n_neurons, block.n_bins()].into_iter().chain(block.bins().map(<[u16]>::len)) {
        bytes.extend_from_slice(&u32::try_from(number)?.to_le_bytes());
    }
    bytes.extend(block.bins().flatten().flat_map(|neuron| neuron.to_le_bytes()));
    Ok(fs::write(file, bytes)?)
}

fn read_bins(file: &str) -> Result<(usize, SpikeBlock), Box<dyn Error>> {
    let bytes = fs::read(file)?;
    let mut numbers = bytes.as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word) as usize);
    let (n_neurons, n_bins) = numbers.next().zip(numbers.next()).ok_or("no header")?;
    let sizes: Vec<usize> = numbers.take(n_bins).collect();
    let words = bytes.get(8 + 4 * n_bins..).ok_or("too short")?.as_chunks::<2>().0;
    let neurons: Vec<u64> = words.iter().map(|&word| u64::from(u16::from_le_bytes(word))).collect();
    let (mut block, mut start) = (SpikeBlock::empty(0), 0);
    for size in sizes {
        let active = neurons.get(start..start + size).ok_or("too short")?;
        block.push_unsorted(active.iter().copied(), n_neurons)?;
        start += size;
    }
    Ok((n_neurons, block))
}

fn fit(runs: Runs, options: &ExactOptions, out: &str) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let mut counts = Accumulator::new(runs.n_neurons, &Lags::default());
    for block in &runs.blocks {
        counts.add_newest(block, 0..block.n_bins());
    }
    let counts = counts.counts();
    let counting = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let estimate = exact(&runs, &counts, options, None);
    let fitting = started.elapsed().as_secs_f64();
    let numbers = estimate.fields.iter().chain(&estimate.couplings);
    fs::write(out, numbers.flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())?;
    println!("{}", report(&estimate, counting, fitting));
    Ok(())
}

fn report(estimate: &Estimate, counting: f64, fitting: f64) -> String {
    let (passes, norm) = estimate.convergence.as_ref().map_or((0, 0.0), |convergence| {
        let passes = convergence.iterations.iter().copied().max().unwrap_or(0);
        (passes, convergence.gradient_norm.iter().copied().fold(0.0, f64::max))
    });
    let full = matches!(estimate.variance, SamplingVariance::Full { .. });
    format!(
        "{{\"neurons\": {}, \"rows_ok\": {}, \"counting_seconds\": {counting:.4}, \"fitting_seconds\": {fitting:.4}, \
         \"passes\": {passes}, \"gradient_norm_max\": {norm:e}, \"full_variance\": {full}, \"peak_memory_mb\": {:.1}}}",
        estimate.n_neurons(),
        estimate.n_ok(),
        peak_memory_mb(),
    )
}

/// High-water mark of the resident memory; 0 where the system does not say.
fn peak_memory_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).map_or(0.0, |kb| kb / 1024.0)
}
