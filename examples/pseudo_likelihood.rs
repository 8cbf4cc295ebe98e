//! Times and checks pseudo-likelihood on an SK network, and writes the bins for `examples/compare_pseudo_likelihood.py`.
//!
//! usage: pseudo_likelihood [N_NEURONS] [G] [BINS] [SEED] [FILE]

use std::time::Instant;

use glauber::equilibrium::{PseudoLikelihoodOptions, Samples, pseudo_likelihood};
use glauber::model::{EquilibriumDiagnostics, EquilibriumModel, Ridges, Runs};
use glauber::simulate::{EquilibriumIsing, GibbsSampler};
use ndarray::{Array1, Array2};
use rand::SeedableRng;
use rand_distr::{Distribution, Normal};

/// `h_i` and `J_ij = J_ji` are N(0, g²/n).
fn sk(n: usize, g: f64, seed: u64) -> Result<EquilibriumIsing, rand_distr::NormalError> {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let normal = Normal::new(0.0, g / (n as f64).sqrt())?;
    let fields = Array1::from_shape_fn(n, |_| normal.sample(&mut random));
    let mut couplings = Array2::zeros((n, n));
    for i in 0..n {
        for j in 0..i {
            couplings[[i, j]] = normal.sample(&mut random);
            couplings[[j, i]] = couplings[[i, j]];
        }
    }
    Ok(EquilibriumIsing { couplings, fields })
}

/// Mean square error over `h_i` and `J_ij`, i < j.
fn mean_square_error(model: &EquilibriumModel, network: &EquilibriumIsing) -> f64 {
    let n = network.n_neurons();
    let couplings = (&model.couplings - &network.couplings).mapv(|e| e * e).sum() / 2.0;
    let fields = (&model.fields - &network.fields).mapv(|e| e * e).sum();
    (couplings + fields) / (n * (n + 1) / 2) as f64
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |place: usize, default: f64| given.get(place).map_or(Ok(default), |text| text.parse::<f64>());
    let (n, g) = (number(0, 100.0)? as usize, number(1, 0.5)?);
    let (bins, seed) = (number(2, 1e4)? as usize, number(3, 1.0)? as u64);
    let network = sk(n, g, seed)?;
    let mut sampler = GibbsSampler::new(&network, 1000 + seed);
    (0..2000).for_each(|_| sampler.sweep());
    let block = sampler.bins(bins, 20);
    if let Some(file) = given.get(4) {
        let lines = block.bins().map(|bin| {
            let spins = (0..n as u16).map(|i| if bin.contains(&i) { "1" } else { "-1" });
            spins.collect::<Vec<_>>().join(" ")
        });
        std::fs::write(file, lines.collect::<Vec<_>>().join("\n"))?;
    }
    let runs = Runs { n_neurons: n, blocks: vec![block] };
    let start = Instant::now();
    let samples = Samples::of(&runs);
    println!("samples    {:8.3} s", start.elapsed().as_secs_f64());
    let path = Ridges::auto_pseudo_likelihood();
    for (name, ridges, errors) in [
        ("no ridge", Ridges::none(), false),
        ("no ridge", Ridges::none(), true),
        ("path", path.clone(), false),
        ("path", path, true),
    ] {
        for threads in [1, 2] {
            let options =
                PseudoLikelihoodOptions { ridges: ridges.clone(), errors, threads, ..Default::default() };
            let start = Instant::now();
            let model = pseudo_likelihood(&samples, &options)?;
            let seconds = start.elapsed().as_secs_f64();
            let EquilibriumDiagnostics::PseudoLikelihood { ridge, path, .. } = &model.diagnostics else {
                continue;
            };
            println!(
                "{name:10} {seconds:8.3} s  threads {threads}  errors {:5}  passes {:3}  ridge {ridge:6}  mean square error {:.3e}  ok {}",
                model.errors.is_some(),
                model.iterations,
                mean_square_error(&model, &network),
                model.status.iter().filter(|s| **s == glauber::model::RowStatus::Ok).count(),
            );
            if threads == 1 {
                path.iter()
                    .for_each(|s| println!("    ridge {:6}  {:.6} bits per bin", s.ridge, s.bits_per_bin));
            }
        }
    }
    Ok(())
}
