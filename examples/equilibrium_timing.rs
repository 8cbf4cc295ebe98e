//! Simulate an equilibrium model, fit it, time the erasure machine and pseudo-likelihood, or print the errors of all methods: what
//! `benches/compare_equilibrium.py` compares with others.
//!
//! ```text
//! equilibrium_timing simulate NEURONS BINS COUPLING_STD SEED BINS_FILE
//! equilibrium_timing scan BINS_FILE THREADS MODEL_FILE [all]
//! equilibrium_timing published-scan BINS_FILE THREADS MODEL_FILE
//! equilibrium_timing iterate BINS_FILE THREADS EPSILON ITERATIONS MODEL_FILE
//! equilibrium_timing pseudo-likelihood BINS_FILE THREADS MODEL_FILE
//! equilibrium_timing peak THREADS
//! equilibrium_timing errors gibbs|importance NEURONS BINS COUPLING_STD SEEDS
//! equilibrium_timing path NEURONS BINS COUPLING_STD SEED
//! ```
//!
//! Fields and couplings are drawn from N(0, COUPLING_STD² / NEURONS), bins by Gibbs sampling, or by `importance` resampling of uniform
//! configurations, 30 for each neuron as published. `scan` is the scan of the erasure machine over its 20 ε as it is by default, or with
//! `all` to the last ε; `published-scan` the published iteration, 100 steps at each of the 20; `iterate` that iteration at one ε;
//! `pseudo-likelihood` without a ridge; all without standard errors. `peak` is the rate of products of matrices in operations per second;
//! `errors` the mean square error of fields and couplings. A bins file is that of `kinetic_timing`; a model file holds fields, then
//! couplings row by row (f64). Each prints one line of JSON, `errors` and `path` a table.

use std::error::Error;
use std::fs;
use std::time::Instant;

use faer::{Accum, Mat, Par};
use glauber::equilibrium::{
    ErasureOptions, ErasureSolver, HopfieldOptions, MaximumLikelihoodOptions, MeanFieldOptions,
    PseudoLikelihoodOptions, Samples, erasure_machine, erasure_path, hopfield, maximum_likelihood, nmf,
    pseudo_likelihood, tap,
};
use glauber::model::{
    EquilibriumDiagnostics, EquilibriumModel, ErasureStep, Ridges, RowStatus, Runs, SpikeBlock,
};
use glauber::simulate::{EquilibriumIsing, GibbsSampler, Proposals, importance_resampled};
use ndarray::{Array1, Array2};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["simulate", neurons, bins, std, seed, file] => {
            let (_, block) = simulate(neurons.parse()?, bins.parse()?, std.parse()?, seed.parse()?)?;
            write_bins(file, neurons.parse()?, &block)
        }
        ["scan", bins, threads, out] => {
            scan(bins, &ErasureOptions { threads: threads.parse()?, ..quick() }, out)
        }
        ["scan", bins, threads, out, "all"] => {
            scan(bins, &ErasureOptions { threads: threads.parse()?, ..to_the_end() }, out)
        }
        ["published-scan", bins, threads, out] => {
            let solver = ErasureSolver::Plain { rate: 0.1, iterations: 100 };
            scan(bins, &ErasureOptions { solver, threads: threads.parse()?, ..to_the_end() }, out)
        }
        ["pseudo-likelihood", bins, threads, out] => fit_pseudo_likelihood(bins, threads.parse()?, out),
        ["iterate", bins, threads, epsilon, iterations, out] => {
            let solver = ErasureSolver::Plain { rate: 0.1, iterations: iterations.parse()? };
            let epsilons = vec![epsilon.parse()?];
            iterate(bins, ErasureOptions { solver, epsilons, threads: threads.parse()?, ..quick() }, out)
        }
        ["peak", threads] => {
            println!("{{\"operations_per_second\": {:e}}}", peak(threads.parse()?));
            Ok(())
        }
        ["errors", generator, neurons, bins, std, seeds] => {
            errors(generator, neurons.parse()?, bins.parse()?, std.parse()?, seeds.parse()?)
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

fn to_the_end() -> ErasureOptions {
    ErasureOptions { stop_after_falls: None, ..quick() }
}

fn simulate(
    n: usize,
    bins: usize,
    std: f64,
    seed: u64,
) -> Result<(EquilibriumIsing, SpikeBlock), Box<dyn Error>> {
    let model = EquilibriumIsing::sk(n, std, std, seed)?;
    let block = GibbsSampler::new(&model, seed).burnt_in().bins(bins, 10);
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

fn scan(bins: &str, options: &ErasureOptions, out: &str) -> Result<(), Box<dyn Error>> {
    let runs = read_bins(bins)?;
    let started = Instant::now();
    let samples = Samples::of(&runs);
    let grouping = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let model = erasure_machine(&samples, options)?;
    let fitting = started.elapsed().as_secs_f64();
    write_model(&model, out)?;
    let (chosen, path) = path_of(&model);
    let steps: Vec<String> = path.iter().map(step_of).collect();
    println!(
        "{{\"neurons\": {}, \"bins\": {}, \"distinct\": {}, \"chosen\": {chosen}, \"passes\": {}, \"converged\": {}, \
         \"grouping_seconds\": {grouping:.4}, \"fitting_seconds\": {fitting:.4}, \"path\": [{}]}}",
        model.n_neurons(),
        model.samples,
        model.distinct,
        model.iterations,
        path.iter().filter(|step| step.converged).count(),
        steps.join(", "),
    );
    Ok(())
}

fn unridged(threads: usize) -> PseudoLikelihoodOptions {
    PseudoLikelihoodOptions { ridges: Ridges::none(), errors: false, threads, ..Default::default() }
}

fn fit_pseudo_likelihood(bins: &str, threads: usize, out: &str) -> Result<(), Box<dyn Error>> {
    let samples = Samples::of(&read_bins(bins)?);
    let started = Instant::now();
    let model = pseudo_likelihood(&samples, &unridged(threads))?;
    let seconds = started.elapsed().as_secs_f64();
    write_model(&model, out)?;
    let ok = model.status.iter().filter(|&&status| status == RowStatus::Ok).count();
    println!("{{\"fitting_seconds\": {seconds:.4}, \"passes\": {}, \"rows_ok\": {ok}}}", model.iterations);
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

/// Mean square errors of every method, one after the other as in the heading.
fn errors_of(truth: &EquilibriumIsing, samples: &Samples) -> Result<Vec<Option<f64>>, Box<dyn Error>> {
    let mean_field = MeanFieldOptions { errors: false, ..MeanFieldOptions::default() };
    let plain = ErasureSolver::Plain { rate: 0.1, iterations: 100 };
    let scan = ErasureOptions { threads: 2, ..to_the_end() };
    let chosen = PseudoLikelihoodOptions { ridges: Ridges::auto_pseudo_likelihood(), ..unridged(2) };
    let mut models = vec![
        hopfield(samples, &HopfieldOptions { errors: false })?,
        nmf(samples, &mean_field)?,
        tap(samples, &mean_field)?,
        erasure_machine(samples, &ErasureOptions { solver: plain, ..scan.clone() })?,
        erasure_machine(samples, &scan)?,
        pseudo_likelihood(samples, &unridged(2))?,
        pseudo_likelihood(samples, &chosen)?,
    ];
    if samples.n() <= MaximumLikelihoodOptions::NEURONS_MAX {
        models.push(maximum_likelihood(samples, &MaximumLikelihoodOptions::default())?);
    }
    // The published iteration never arrives; what it gives is compared all the same.
    let fitted =
        |status: &RowStatus| matches!(status, RowStatus::Ok | RowStatus::NotConverged | RowStatus::TapNoRoot);
    Ok(models
        .iter()
        .map(|model| {
            let all = model.status.iter().all(fitted);
            all.then(|| mean_square(truth, &model.couplings, &model.fields))
        })
        .collect())
}

fn errors(generator: &str, n: usize, bins: usize, std: f64, seeds: u64) -> Result<(), Box<dyn Error>> {
    println!("{generator}, {n} neurons, {bins} bins, g = {std}: mean square errors of {seeds} networks");
    println!("seed  distinct  hopfield     nmf       tap       plain     erasure   pl        pl ridged ml");
    let mut all: Vec<Vec<f64>> = Vec::new();
    for seed in 1..=seeds {
        let truth = EquilibriumIsing::sk(n, std, std, seed)?;
        let block = match generator {
            "gibbs" => GibbsSampler::new(&truth, 1000 + seed).burnt_in().bins(bins, 10),
            "importance" => importance_resampled(&truth, bins, Proposals::Published, 1000 + seed)?.bins,
            _ => return Err("the generator is gibbs or importance".into()),
        };
        let samples = Samples::of(&Runs { n_neurons: n, blocks: vec![block] });
        let found = errors_of(&truth, &samples)?;
        let cells: Vec<String> = found
            .iter()
            .map(|error| error.map_or("       -".into(), |error| format!("{error:8.2e}")))
            .collect();
        println!("{seed:4}  {:8}  {}", samples.configurations.len(), cells.join("  "));
        all.resize(found.len(), Vec::new());
        all.iter_mut().zip(found).for_each(|(all, error)| all.extend(error));
    }
    let of_all = |number: &dyn Fn(&[f64]) -> f64| -> String {
        let cells: Vec<String> = all.iter().map(|errors| format!("{:8.2e}", number(errors))).collect();
        cells.join("  ")
    };
    let mean = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len() as f64;
    println!("          mean  {}", of_all(&mean));
    println!(
        "        spread  {}",
        of_all(&|errors| {
            let square = errors.iter().map(|error| (error - mean(errors)).powi(2)).sum::<f64>();
            (square / (errors.len() as f64 - 1.0)).sqrt()
        })
    );
    Ok(())
}
