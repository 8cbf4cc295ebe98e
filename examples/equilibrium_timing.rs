//! Simulate an equilibrium model, fit it, time the erasure machine, or print the errors of its rivals: what `benches/compare_equilibrium.py`
//! compares with others.
//!
//! ```text
//! equilibrium_timing simulate NEURONS BINS COUPLING_STD SEED BINS_FILE
//! equilibrium_timing scan BINS_FILE THREADS MODEL_FILE
//! equilibrium_timing iterate BINS_FILE THREADS EPSILON ITERATIONS MODEL_FILE
//! equilibrium_timing peak THREADS
//! equilibrium_timing errors NEURONS BINS COUPLING_STD SEEDS
//! equilibrium_timing path NEURONS BINS COUPLING_STD SEED
//! ```
//!
//! Fields and couplings are drawn from N(0, COUPLING_STD² / NEURONS), bins by Gibbs sampling. `scan` is the default scan of the erasure
//! machine, without and with standard errors; `iterate` the published iteration at one ε; `peak` the rate of products of matrices in operations per
//! second; `errors` the mean square error of fields and couplings, averaged over seeds. A bins file is that of `kinetic_timing`; a
//! model file holds fields, then couplings row by row (f64). Each prints one line of JSON, `errors` a table.

use std::error::Error;
use std::fs;
use std::time::Instant;

use faer::{Accum, Mat, Par};
use glauber::equilibrium::{
    ErasureOptions, ErasureSolver, HopfieldOptions, MeanFieldOptions, Samples, erasure_machine, erasure_path,
    hopfield, nmf, tap,
};
use glauber::model::{EquilibriumDiagnostics, EquilibriumModel, ErasureStep, Runs, SpikeBlock};
use glauber::simulate::{EquilibriumIsing, GibbsSampler};
use ndarray::{Array1, Array2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["simulate", neurons, bins, std, seed, file] => {
            let (_, block) = simulate(neurons.parse()?, bins.parse()?, std.parse()?, seed.parse()?)?;
            write_bins(file, neurons.parse()?, &block)
        }
        ["scan", bins, threads, out] => scan(bins, threads.parse()?, out),
        ["iterate", bins, threads, epsilon, iterations, out] => {
            let solver = ErasureSolver::Plain { rate: 0.1, iterations: iterations.parse()? };
            let epsilons = vec![epsilon.parse()?];
            iterate(bins, ErasureOptions { solver, epsilons, threads: threads.parse()?, ..quick() }, out)
        }
        ["peak", threads] => {
            println!("{{\"operations_per_second\": {:e}}}", peak(threads.parse()?));
            Ok(())
        }
        ["errors", neurons, bins, std, seeds] => {
            errors(neurons.parse()?, bins.parse()?, std.parse()?, seeds.parse()?)
        }
        ["path", neurons, bins, std, seed] => {
            path(neurons.parse()?, bins.parse()?, std.parse()?, seed.parse()?)
        }
        _ => Err("see the head of examples/equilibrium_timing.rs for the arguments".into()),
    }
}

fn quick() -> ErasureOptions {
    ErasureOptions { errors: false, ..ErasureOptions::default() }
}

fn simulate(
    n: usize,
    bins: usize,
    std: f64,
    seed: u64,
) -> Result<(EquilibriumIsing, SpikeBlock), Box<dyn Error>> {
    let (mut random, normal) = (ChaCha8Rng::seed_from_u64(seed), Normal::new(0.0, std / (n as f64).sqrt())?);
    let fields = Array1::from_shape_fn(n, |_| normal.sample(&mut random));
    let mut couplings = Array2::zeros((n, n));
    for i in 0..n {
        for j in 0..i {
            couplings[[i, j]] = normal.sample(&mut random);
            couplings[[j, i]] = couplings[[i, j]];
        }
    }
    let model = EquilibriumIsing { couplings, fields };
    let mut chain = GibbsSampler::new(&model, seed);
    (0..1000).for_each(|_| chain.sweep());
    let block = chain.bins(bins, 10);
    Ok((model, block))
}

fn write_bins(file: &str, n_neurons: usize, block: &SpikeBlock) -> Result<(), Box<dyn Error>> {
    let mut bytes = Vec::new();
    for number in [n_neurons, block.n_bins()].into_iter().chain(block.bins().map(<[u16]>::len)) {
        bytes.extend_from_slice(&u32::try_from(number)?.to_le_bytes());
    }
    bytes.extend(block.bins().flatten().flat_map(|neuron| neuron.to_le_bytes()));
    Ok(fs::write(file, bytes)?)
}

fn read_bins(file: &str) -> Result<Runs, Box<dyn Error>> {
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
    Ok(Runs { n_neurons, blocks: vec![block] })
}

fn write_model(model: &EquilibriumModel, out: &str) -> Result<(), Box<dyn Error>> {
    let numbers = model.fields.iter().chain(&model.couplings);
    Ok(fs::write(out, numbers.flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())?)
}

fn path_of(model: &EquilibriumModel) -> (usize, &[ErasureStep]) {
    match &model.diagnostics {
        EquilibriumDiagnostics::Erasure { chosen, path } => (*chosen, path),
        _ => (0, &[]),
    }
}

fn scan(bins: &str, threads: usize, out: &str) -> Result<(), Box<dyn Error>> {
    let runs = read_bins(bins)?;
    let started = Instant::now();
    let samples = Samples::of(&runs);
    let grouping = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let model = erasure_machine(&samples, &ErasureOptions { threads, ..quick() })?;
    let fitting = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let with_errors = erasure_machine(&samples, &ErasureOptions { threads, ..ErasureOptions::default() })?;
    let with_errors_seconds = started.elapsed().as_secs_f64();
    write_model(&model, out)?;
    let (chosen, path) = path_of(&model);
    let steps: Vec<String> = path.iter().map(step_of).collect();
    println!(
        "{{\"neurons\": {}, \"bins\": {}, \"distinct\": {}, \"chosen\": {chosen}, \"passes\": {}, \"grouping_seconds\": {grouping:.4}, \
         \"fitting_seconds\": {fitting:.4}, \"with_errors_seconds\": {with_errors_seconds:.4}, \"has_errors\": {}, \
         \"path\": [{}]}}",
        model.n_neurons(),
        model.samples,
        model.distinct,
        model.iterations,
        with_errors.errors.is_some(),
        steps.join(", "),
    );
    Ok(())
}

fn step_of(step: &ErasureStep) -> String {
    format!(
        "{{\"epsilon\": {}, \"mean_energy\": {:.6}, \"effective_samples\": {:.1}, \"residual\": {:e}, \"passes\": {}}}",
        step.epsilon, step.mean_energy, step.effective_samples, step.residual, step.iterations
    )
}

fn iterate(bins: &str, options: ErasureOptions, out: &str) -> Result<(), Box<dyn Error>> {
    let samples = Samples::of(&read_bins(bins)?);
    let started = Instant::now();
    let model = erasure_machine(&samples, &options)?;
    let seconds = started.elapsed().as_secs_f64();
    write_model(&model, out)?;
    let (chosen, path) = path_of(&model);
    println!("{{\"fitting_seconds\": {seconds:.4}, \"step\": {}}}", step_of(&path[chosen]));
    Ok(())
}

/// The best of some products of 512 × 512 matrices, all threads together.
fn peak(threads: usize) -> f64 {
    const N: usize = 512;
    let rate = || {
        let (a, b) = (Mat::<f64>::ones(N, N), Mat::<f64>::ones(N, N));
        let mut c = Mat::<f64>::zeros(N, N);
        let mut best = 0.0_f64;
        for _ in 0..60 {
            let started = Instant::now();
            faer::linalg::matmul::matmul(&mut c, Accum::Replace, &a, &b, 1.0, Par::Seq);
            best = best.max(2.0 * (N as f64).powi(3) / started.elapsed().as_secs_f64());
        }
        best
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(rate)).collect();
        running.into_iter().map(|thread| thread.join().unwrap_or(0.0)).sum()
    })
}

/// What every ε gives.
fn path(n: usize, bins: usize, std: f64, seed: u64) -> Result<(), Box<dyn Error>> {
    let (truth, block) = simulate(n, bins, std, seed)?;
    let samples = Samples::of(&Runs { n_neurons: n, blocks: vec![block] });
    println!("ε, ⟨E⟩, mean square error, effective samples, passes");
    erasure_path(&samples, &ErasureOptions { threads: 2, ..quick() }, |step, j, h| {
        let error = mean_square(&truth, j, h);
        let ErasureStep { epsilon, mean_energy, effective_samples, iterations, .. } = step;
        println!("{epsilon:.2}  {mean_energy:10.4}  {error:9.2e}  {effective_samples:8.1}  {iterations:4}");
    })?;
    Ok(())
}

/// Mean square error over fields and pairs.
fn mean_square(truth: &EquilibriumIsing, couplings: &Array2<f64>, fields: &Array1<f64>) -> f64 {
    let n = fields.len();
    let pairs: f64 = (couplings - &truth.couplings).mapv(|e| e * e).sum() / 2.0;
    (pairs + (fields - &truth.fields).mapv(|e| e * e).sum()) / (n + n * (n - 1) / 2) as f64
}

fn errors(n: usize, bins: usize, std: f64, seeds: u64) -> Result<(), Box<dyn Error>> {
    println!(
        "seed  distinct   hopfield        nmf        tap    plain (ε)        converged (ε)       best (ε)          best of plain (ε)"
    );
    for seed in 1..=seeds {
        let (truth, block) = simulate(n, bins, std, seed)?;
        let samples = Samples::of(&Runs { n_neurons: n, blocks: vec![block] });
        let error = |model: &EquilibriumModel| mean_square(&truth, &model.couplings, &model.fields);
        let hopfield = hopfield(&samples, &HopfieldOptions { errors: false })?;
        let mean_field = MeanFieldOptions { errors: false, ..MeanFieldOptions::default() };
        let (nmf, tap) = (nmf(&samples, &mean_field)?, tap(&samples, &mean_field)?);
        print!(
            "{seed:4}  {:8}  {:9.2e}  {:9.2e}  {:9.2e}",
            hopfield.distinct,
            error(&hopfield),
            error(&nmf),
            error(&tap)
        );
        let plain = ErasureSolver::Plain { rate: 0.1, iterations: 100 };
        for solver in [plain, ErasureOptions::default().solver] {
            let options = ErasureOptions { solver, threads: 2, ..quick() };
            let mut steps: Vec<(ErasureStep, f64)> = Vec::new();
            erasure_path(&samples, &options, |step, j, h| steps.push((*step, mean_square(&truth, j, h))))?;
            let chosen =
                steps.iter().max_by(|a, b| a.0.mean_energy.total_cmp(&b.0.mean_energy)).ok_or("no step")?;
            let least = steps.iter().min_by(|a, b| a.1.total_cmp(&b.1)).ok_or("no step")?;
            let passes: u32 = steps.iter().map(|step| step.0.iterations).sum();
            let unconverged = steps.iter().filter(|step| !step.0.converged).count();
            print!(
                "  | {:9.2e} ({:.2}) least {:9.2e} ({:.2}), {passes} passes, {unconverged} not converged",
                chosen.1, chosen.0.epsilon, least.1, least.0.epsilon
            );
        }
        println!();
    }
    Ok(())
}
