//! Counting pairs, beside the processor's limit and what others take.

use std::path::PathBuf;
use std::time::Instant;

use glauber::model::{Lags, Runs, SpikeBlock};
use glauber::moments::{Accumulator, InstructionSet, Kernel};
use glauber::session::Session;

use super::baselines::Python;
use super::row::{Row, share, times};
use super::{Asked, Found, bins, median_s};

const NEURONS: usize = 1000;
/// As many as are counted in one go.
pub(crate) const BINS: usize = 4096;
/// Microseconds per bin.
const TARGET_ONE_PERCENT: f64 = 1.5;
const TARGET_ANY: f64 = 3.0;
const REAL_TIME: f64 = 1000.0;

pub(crate) fn measure(asked: &Asked, found: &mut Found) -> Vec<Row> {
    let command = asked.myself("counting");
    let mut rows = Vec::new();
    let shares: &[f64] = asked.pick(&[0.01, 0.5], &[0.001, 0.01, 0.03, 0.1, 0.5]);
    for &active in shares {
        rows.extend(density(asked, found, active));
    }
    rows.extend(baselines(asked, found));
    let (n, active) = asked.pick((3000, 0.005), (10_000, 0.005));
    let bins = asked.pick(1000, 2000);
    let spikes = bins::independent(n, active, 3 * bins);
    for threads in [1, found.machine.cores] {
        let us = session_us(n, &spikes, bins, threads);
        let what =
            format!("a session of n = {n}, {} % active, with two windows, {}", 100.0 * active, on(threads));
        let row = match us {
            Ok(us) => Row::new(what, us, "µs/bin").at_most(REAL_TIME).beside("batches of 10 bins of 1 ms"),
            Err(why) => Row::failed(what, why),
        };
        rows.push(row.by(&command));
        if found.machine.cores == 1 {
            break;
        }
    }
    rows
}

fn on(threads: usize) -> String {
    if threads == 1 { "one core".to_owned() } else { format!("{threads} cores") }
}

/// What n = 1000 takes when so many are active.
fn density(asked: &Asked, found: &Found, active: f64) -> Vec<Row> {
    let block = bins::independent(NEURONS, active, BINS);
    let what = |does: &str| format!("{does}n = {NEURONS}, {} % active, lag 1", 100.0 * active);
    let one = Lags::default();
    if let Err(why) = check(&block, &one) {
        return vec![Row::failed(what(""), why)];
    }
    let target = if active == 0.01 { TARGET_ONE_PERCENT } else { TARGET_ANY };
    let mut rows =
        vec![Row::new(what(""), add_us(NEURONS, &block, &one, Add::Newest(1)), "µs/bin").at_most(target)];
    let removed = add_us(NEURONS, &block, &one, Add::Oldest);
    rows.push(Row::new(what("leaving a window, "), removed, "µs/bin").at_most(target));
    if active == 0.01 || active == 0.5 {
        let four = Lags::new(&[1, 2, 3, 4]).expect("lags");
        let us = add_us(NEURONS, &block, &four, Add::Newest(1));
        rows.push(Row::new(what("").replace("lag 1", "4 lags"), us, "µs/bin"));
    }
    if active == 0.5 {
        let dense = Kernel::Dense(InstructionSet::best());
        let us = add_us(NEURONS, &block, &one, Add::With(dense));
        // A triangle of equal times, a square of delayed ones, 64 bins a word.
        let words = (NEURONS * (NEURONS + 1) / 2 + NEURONS * NEURONS) as f64 / 64.0;
        let limit = share("the population count limit", words / (1e-6 * us) / found.machine.words_per_s);
        rows.push(Row::new(what("the dense kernel alone, "), us, "µs/bin").against(limit));
    }
    rows.into_iter().map(|row| row.by(&asked.myself("counting"))).collect()
}

/// How bins are added.
#[derive(Clone, Copy)]
pub(crate) enum Add {
    /// As those of a session are, on up to so many threads.
    Newest(usize),
    /// As those that leave a window are.
    Oldest,
    With(Kernel),
}

/// Median microseconds per bin.
pub(crate) fn add_us(n: usize, block: &SpikeBlock, lags: &Lags, add: Add) -> f64 {
    let mut counts = Accumulator::new(n, lags);
    if let Add::Newest(threads) = add {
        counts.set_threads(threads);
    }
    let all = 0..block.n_bins();
    let seconds = median_s(5, 0.1, || match add {
        Add::Newest(_) => counts.add_newest(block, all.clone()),
        Add::Oldest => counts.add_oldest(block, all.clone()),
        Add::With(kernel) => counts.add_newest_with(block, all.clone(), kernel),
    });
    1e6 * seconds / block.n_bins() as f64
}

/// Every kernel counts the same, both ways.
fn check(block: &SpikeBlock, lags: &Lags) -> Result<(), String> {
    let some = 512.min(block.n_bins());
    let mut expected = Accumulator::new(NEURONS, lags);
    let part = block.slice(0, some);
    expected.add_newest_with(&part, 0..some, Kernel::Direct);
    let expected = expected.counts();
    for kernel in Kernel::all() {
        let (mut newest, mut oldest) = (Accumulator::new(NEURONS, lags), Accumulator::new(NEURONS, lags));
        newest.add_newest_with(&part, 0..some, kernel);
        oldest.add_oldest_with(&part, 0..some, kernel);
        if newest.counts() != expected || oldest.counts() != expected {
            return Err(format!("{kernel:?} counts otherwise than the direct kernel"));
        }
    }
    Ok(())
}

/// What numpy, scipy and Elephant take, which must count the same.
fn baselines(asked: &Asked, found: &Found) -> Vec<Row> {
    let what = format!("others, n = {NEURONS}, lag 1");
    let python = match Python::with(asked, &["numpy", "scipy"]) {
        Ok(python) => python,
        Err(why) => return vec![Row::skipped(what, why)],
    };
    let cases = [0.01, 0.5].map(|active| (active, bins::independent(NEURONS, active, BINS)));
    let mut directories = vec!["counting".to_owned()];
    for (active, block) in &cases {
        let directory = asked.directory.join(format!("counting-{active}"));
        if let Err(why) = leave(&directory, block) {
            return vec![Row::failed(what, format!("writing {}: {why}", directory.display()))];
        }
        directories.push(directory.strip_prefix(&asked.root).unwrap_or(&directory).display().to_string());
    }
    let mut rows = Vec::new();
    for threads in [1, found.machine.cores] {
        let (answer, command) = python.ask(&directories, threads);
        let answers = match answer {
            Ok(answers) => answers,
            Err(why) => return vec![Row::failed(what, why).by(&command)],
        };
        for ((active, block), answer) in cases.iter().zip(answers.as_array().into_iter().flatten()) {
            let ours = add_us(NEURONS, block, &Lags::default(), Add::Newest(threads));
            for (name, seconds) in answer.as_object().into_iter().flatten() {
                let Some(seconds) = seconds.as_f64().filter(|_| name != "bins") else { continue };
                // These use one core whatever there is.
                if threads > 1 && !name.starts_with("numpy") {
                    continue;
                }
                let us = 1e6 * seconds / BINS as f64;
                let what = format!("{name}, n = {NEURONS}, {} % active, {}", 100.0 * active, on(threads));
                rows.push(Row::new(what, us, "µs/bin").against(times(us / ours, "ours")).by(&command));
            }
        }
        if found.machine.cores == 1 {
            break;
        }
    }
    rows
}

/// Leave bins and their counts for others.
fn leave(directory: &PathBuf, block: &SpikeBlock) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut raster = vec![0_u8; BINS * NEURONS];
    for bin in 0..block.n_bins() {
        block.bin(bin).iter().for_each(|&neuron| raster[bin * NEURONS + usize::from(neuron)] = 1);
    }
    let mut counts = Accumulator::new(NEURONS, &Lags::default());
    counts.add_newest(block, 0..block.n_bins());
    let counts = counts.counts();
    let pairs = (0..NEURONS).flat_map(|i| (0..NEURONS).map(move |j| (i, j)));
    let equal_time: Vec<u8> = pairs.flat_map(|(i, j)| counts.equal_time(i, j).to_le_bytes()).collect();
    let delayed: Vec<u8> = counts.lags[0].delayed.iter().flat_map(|count| count.to_le_bytes()).collect();
    let shape = serde_json::json!({ "neurons": NEURONS, "bins": BINS }).to_string();
    std::fs::write(directory.join("raster.u8"), raster)?;
    std::fs::write(directory.join("equal_time.u64"), equal_time)?;
    std::fs::write(directory.join("delayed.u64"), delayed)?;
    std::fs::write(directory.join("shape.json"), shape)
}

/// Median microseconds per bin of a session with windows of half a stretch and a whole one; their counts must be those of their bins.
fn session_us(n: usize, all: &SpikeBlock, stretch: usize, threads: usize) -> Result<f64, String> {
    const BATCH: usize = 10;
    let windows = [format!("{}ms", stretch / 2), format!("{stretch}ms"), "all".to_owned()];
    let spec = bins::session(n, &windows.each_ref().map(String::as_str));
    let mut session = Session::new(spec).map_err(|error| error.to_string())?;
    session.set_threads(threads);
    let messages: Vec<SpikeBlock> =
        (0..all.n_bins()).step_by(BATCH).map(|from| all.slice(from, from + BATCH)).collect();
    let mut settled = Vec::new();
    for (place, messages) in messages.chunks(stretch / BATCH).enumerate() {
        let began = Instant::now();
        for block in messages {
            session.push(block, &mut |_| {}).map_err(|error| error.to_string())?;
        }
        // The first stretch fills the windows.
        if place > 0 {
            settled.push(began.elapsed().as_secs_f64());
        }
    }
    for (window, name) in windows.iter().enumerate() {
        let counted = session.window_counts(window);
        let held = Runs { n_neurons: n, blocks: vec![all.clone()] };
        let mut anew = Accumulator::new(n, &Lags::default());
        anew.set_threads(threads);
        anew.add_runs(&held.range(counted.first_bin..counted.end_bin), 0..u64::MAX);
        if anew.counts() != *counted.counts {
            return Err(format!("window {name} is not what its bins give"));
        }
    }
    settled.sort_by(f64::total_cmp);
    Ok(1e6 * settled[settled.len() / 2] / stretch as f64)
}
