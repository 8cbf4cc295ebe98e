//! Boltzmann learning against exact maximum likelihood and known couplings: as close as it says, and honest where it is not.

use glauber::equilibrium::{
    BoltzmannOptions, Configurations, EquilibriumError, FitOptions, Samples, TiedModel, Tying, boltzmann,
    boltzmann_tied, fit, separated_pairs,
};
use glauber::model::{
    BoltzmannDiagnostics, EquilibriumDiagnostics, EquilibriumMethod, EquilibriumModel, RowStatus, Runs,
    SpikeBlock,
};
use glauber::simulate::{EquilibriumIsing, GibbsSampler, TemperedSampler};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn runs(block: SpikeBlock, n_neurons: usize) -> Runs {
    Runs { n_neurons, blocks: vec![block] }
}

fn of_lists(lists: &[Vec<u16>], n_neurons: usize) -> Samples {
    Samples::of(&runs(SpikeBlock::from_lists(0, lists, n_neurons).unwrap(), n_neurons))
}

fn drawn(model: &EquilibriumIsing, bins: usize, seed: u64) -> Samples {
    Samples::of(&runs(GibbsSampler::new(model, seed).burnt_in().bins(bins, 10), model.n_neurons()))
}

fn options() -> BoltzmannOptions {
    BoltzmannOptions { threads: 2, ..BoltzmannOptions::default() }
}

fn diagnostics(model: &EquilibriumModel) -> BoltzmannDiagnostics {
    let EquilibriumDiagnostics::Boltzmann(found) = model.diagnostics else {
        panic!("{:?}", model.diagnostics)
    };
    let numbers = [
        found.moment_residual,
        found.moment_residual_max,
        found.monte_carlo_error,
        found.parameter_error,
        found.chain_disagreement,
    ];
    assert!(numbers.iter().all(|x| x.is_finite()), "{found:?}");
    found
}

/// Fields, then couplings of pairs `i < j`.
fn parameters(couplings: &ndarray::Array2<f64>, fields: &ndarray::Array1<f64>) -> Vec<f64> {
    let n = fields.len();
    let upper = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
    fields.iter().copied().chain(upper.map(|(i, j)| couplings[[i, j]])).collect()
}

fn mean_square(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.len() as f64
}

/// Solve `A x = b` by elimination.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for k in 0..n {
        for i in k + 1..n {
            let factor = a[i][k] / a[k][k];
            let (above, below) = a.split_at_mut(i);
            below[0][k..].iter_mut().zip(&above[k][k..]).for_each(|(x, pivot)| *x -= factor * pivot);
            b[i] -= factor * b[k];
        }
    }
    for k in (0..n).rev() {
        b[k] = (b[k] - (k + 1..n).map(|j| a[k][j] * b[j]).sum::<f64>()) / a[k][k];
    }
    b
}

/// The maximum of the likelihood by Newton's method, moments by enumeration.
fn maximum_likelihood(samples: &Samples) -> Vec<f64> {
    let n = samples.n();
    let operators = |c: usize| -> Vec<f64> {
        let spin = |i: usize| if c >> i & 1 == 1 { 1.0 } else { -1.0 };
        let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        (0..n).map(spin).chain(pairs.map(|(i, j)| spin(i) * spin(j))).collect()
    };
    let all: Vec<Vec<f64>> = (0..1 << n).map(operators).collect();
    let data = parameters(&samples.second_moments, &samples.magnetizations);
    let mut w = vec![0.0; data.len()];
    for _ in 0..100 {
        let weights: Vec<f64> =
            all.iter().map(|o| o.iter().zip(&w).map(|(o, w)| o * w).sum::<f64>().exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut mean = vec![0.0; w.len()];
        for (o, weight) in all.iter().zip(&weights) {
            mean.iter_mut().zip(o).for_each(|(mean, o)| *mean += o * weight / total);
        }
        let mut information = vec![vec![0.0; w.len()]; w.len()];
        for (o, weight) in all.iter().zip(&weights) {
            let centred: Vec<f64> = o.iter().zip(&mean).map(|(o, mean)| o - mean).collect();
            for (row, x) in information.iter_mut().zip(&centred) {
                row.iter_mut().zip(&centred).for_each(|(sum, y)| *sum += x * y * weight / total);
            }
        }
        let gradient: Vec<f64> = data.iter().zip(&mean).map(|(data, mean)| data - mean).collect();
        let change = solve(information, gradient);
        let largest = change.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
        let factor = (0.3 / largest).min(1.0);
        w.iter_mut().zip(&change).for_each(|(w, x)| *w += factor * x);
        if largest < 1e-11 {
            return w;
        }
    }
    panic!("Newton's method has not converged");
}

#[test]
fn it_is_maximum_likelihood_within_the_error_it_reports() {
    let mut ratios = Vec::new();
    for (seed, g) in [(1, 0.5), (2, 1.0), (3, 1.5)] {
        let samples = drawn(&EquilibriumIsing::sk(10, g, g, seed).unwrap(), 10_000, seed);
        let exact = maximum_likelihood(&samples);
        // At g = 1.5 moments are correlated over many sweeps.
        let sweeps_per_step = if g > 1.0 { 1000 } else { 256 };
        let model = boltzmann(&samples, &BoltzmannOptions { seed, sweeps_per_step, ..options() }).unwrap();
        let found = diagnostics(&model);
        assert!(found.converged && model.status.iter().all(|s| *s == RowStatus::Ok), "{found:?}");
        let error = mean_square(&parameters(&model.couplings, &model.fields), &exact).sqrt();
        println!("g = {g}: error {error:.2e}, reported {:.2e}; {found:?}", found.parameter_error);
        ratios.push(error / found.parameter_error);
        let errors = model.errors.unwrap();
        let statistical = parameters(&errors.couplings, &errors.fields);
        // The chains are as good as a recording of several times the bins.
        let statistical = mean_square(&statistical, &vec![0.0; statistical.len()]).sqrt();
        assert!(found.parameter_error < 0.5 * statistical, "{found:?} {statistical}");
    }
    // The error reported comes from 8 chains, 26 % for one parameter; over 55 correlated ones it is surer. A factor of 1.6 either way.
    assert!(ratios.iter().all(|ratio| (0.6..1.6).contains(ratio)), "{ratios:?}");
}

#[test]
fn learning_agrees_with_exact_maximum_likelihood_at_20_neurons() {
    for g in [0.5, 1.0] {
        let samples = drawn(&EquilibriumIsing::sk(20, g, g, 11).unwrap(), 10_000, 7);
        let exact = glauber::equilibrium::maximum_likelihood(&samples, &Default::default()).unwrap();
        assert!(exact.status.iter().all(|s| *s == RowStatus::Ok), "{:?}", exact.status);
        let model = boltzmann(&samples, &options()).unwrap();
        let found = diagnostics(&model);
        assert!(found.converged && model.status == exact.status, "{found:?}");
        let (w, exact) =
            (parameters(&model.couplings, &model.fields), parameters(&exact.couplings, &exact.fields));
        let ratio = mean_square(&w, &exact).sqrt() / found.parameter_error;
        println!("g = {g}: {ratio} of the error reported, {found:?}");
        // 210 parameters, and the spread between 8 chains of each: 5 % each way were they independent. Soft directions have most of the
        // error, so that far fewer count; 26 % if it were one alone.
        assert!((0.6..1.6).contains(&ratio), "{ratio} {found:?}");
    }
}

#[test]
fn couplings_are_recovered_as_well_as_maximum_likelihood_does() {
    // Mean square error of exact maximum likelihood over fields and couplings with 10⁴ samples, by enumeration: 1.62e-4 and 4.0e-4.
    for (g, expected) in [(0.5, 1.62e-4), (1.0, 4.0e-4)] {
        let mut square = 0.0;
        let mut chi = 0.0;
        for seed in 1..5 {
            let network = EquilibriumIsing::sk(20, g, g, seed).unwrap();
            let truth = parameters(&network.couplings, &network.fields);
            let model = boltzmann(&drawn(&network, 10_000, seed), &options()).unwrap();
            let found = diagnostics(&model);
            assert!(found.converged, "{found:?}");
            let w = parameters(&model.couplings, &model.fields);
            square += mean_square(&w, &truth) / 4.0;
            let errors = model.errors.unwrap();
            let errors = parameters(&errors.couplings, &errors.fields);
            let z = w.iter().zip(&truth).zip(&errors).map(|((w, truth), error)| (w - truth) / error);
            chi += z.map(|z| z * z).sum::<f64>() / (4 * w.len()) as f64;
        }
        println!("g = {g}: mean square error {square:.3e}, mean z² {chi:.3}");
        // 840 parameters: a relative error of their mean square of some 5 % to 8 %, and networks differ.
        assert!((0.75..1.3).contains(&(square / expected)), "{g}: {square}");
        // With 32 blocks the mean of z² is 31/29; as sure as the mean square error.
        assert!((0.8..1.35).contains(&chi), "{g}: {chi}");
    }
}

#[test]
fn threads_do_not_matter_and_the_seed_does() {
    let samples = drawn(&EquilibriumIsing::sk(7, 0.8, 0.3, 1).unwrap(), 2000, 1);
    let fit = |threads, seed| {
        let short =
            BoltzmannOptions { steps: 40, sweeps_per_step: 50, chains: 5, threads, seed, ..options() };
        boltzmann(&samples, &short).unwrap()
    };
    let one = fit(1, 3);
    for threads in [0, 2, 3, 16] {
        assert_eq!(fit(threads, 3), one, "{threads} threads");
    }
    assert_ne!(fit(1, 4).couplings, one.couplings);
    assert_eq!(one.couplings, one.couplings.t());
    assert!(one.couplings.diag().iter().all(|&j| j == 0.0));
}

#[test]
fn too_few_sweeps_are_told() {
    let samples = drawn(&EquilibriumIsing::sk(10, 1.0, 1.0, 1).unwrap(), 10_000, 1);
    let model = boltzmann(&samples, &BoltzmannOptions { steps: 8, sweeps_per_step: 4, ..options() }).unwrap();
    let found = diagnostics(&model);
    assert!(!found.converged && found.monte_carlo_error > 5e-3, "{found:?}");
    assert!(model.status.iter().all(|s| *s == RowStatus::NotConverged));
    assert!(model.couplings.iter().any(|j| *j != 0.0), "the last values are kept");
    // Few steps, each with many sweeps: the moments are well known, and not those of the data.
    let samples = drawn(&EquilibriumIsing::sk(10, 2.0, 2.0, 1).unwrap(), 10_000, 1);
    let model =
        boltzmann(&samples, &BoltzmannOptions { steps: 8, sweeps_per_step: 4000, ..options() }).unwrap();
    let found = diagnostics(&model);
    println!("{found:?}");
    assert!(!found.converged && found.moment_residual > 2.0 * found.monte_carlo_error, "{found:?}");
}

#[test]
fn chains_that_stay_in_different_states_are_told() {
    // At g = 6 a single chain of 20 neurons keeps the sign it began with; the data, from replicas, have both.
    let network = EquilibriumIsing::sk(20, 6.0, 0.0, 2).unwrap();
    let block = TemperedSampler::new(&network, 1).burnt_in().bins(5000, 5);
    let samples = Samples::of(&runs(block, 20));
    let model = boltzmann(&samples, &options()).unwrap();
    let found = diagnostics(&model);
    println!("{found:?}");
    assert!(!found.converged && found.chain_disagreement > 3.0, "{found:?}");
    assert!(!model.status.contains(&RowStatus::Ok));
    assert!(model.couplings.iter().chain(&model.fields).all(|x| x.is_finite()));
}

#[test]
fn rare_spikes_and_pairs_that_never_meet() {
    // Some 3 % active, 12 neurons; neurons 0 and 1 are never active together: their coupling has no finite maximum.
    let mut network = EquilibriumIsing::sk(12, 0.5, 0.0, 4).unwrap();
    network.fields.fill(-1.7);
    let bins = GibbsSampler::new(&network, 3).burnt_in().bins(20_000, 5);
    let mut block = SpikeBlock::empty(0);
    for active in bins.bins() {
        let apart: Vec<u16> = active.iter().copied().filter(|&i| i != 1 || !active.contains(&0)).collect();
        block.push_sorted(&apart);
    }
    let mut samples = Samples::of(&runs(block, 12));
    assert_eq!(separated_pairs(&samples), [(0, 1)]);
    let model = boltzmann(&samples, &options()).unwrap();
    let found = diagnostics(&model);
    assert!(found.converged && model.status.iter().all(|s| *s == RowStatus::Ok), "{found:?}");

    // The maximum where 0 and 1 have met for e / (1 + 2 e) bins, e those expected of independent neurons: some 18.
    let spikes = |i: usize| 10_000.0 * (1.0 + samples.magnetizations[i]);
    let expected = spikes(0) * spikes(1) / 20_000.0;
    let given = expected / (1.0 + 2.0 * expected);
    assert!((0.4..0.5).contains(&given), "{given}");
    samples.second_moments[[0, 1]] += 4.0 * given / 20_000.0;
    samples.second_moments[[1, 0]] = samples.second_moments[[0, 1]];
    let exact = maximum_likelihood(&samples);
    let w = parameters(&model.couplings, &model.fields);
    // Parameter 12 is J_01. Chains of 0.8 million sweeps see the two meet some 20 times: ¼/√20 = 0.06; four times that.
    println!("J_01 {} exactly {}, {found:?}", w[12], exact[12]);
    assert!((w[12] - exact[12]).abs() < 0.24, "{} {}", w[12], exact[12]);
    assert!(mean_square(&w, &exact).sqrt() < 2.0 * found.parameter_error, "{found:?}");

    // What rests on that half bin has no standard error; nor has anything where the two never meet among the configurations sampled.
    if let Some(errors) = model.errors {
        assert_eq!((errors.couplings[[0, 1]], errors.fields[0], errors.fields[1]), (0.0, 0.0, 0.0));
        assert!(errors.couplings[[2, 3]] > 0.0 && errors.fields[2] > 0.0);
    }
}

/// 60 neurons active in a percent of the bins, mostly in common bursts: many pairs never meet.
#[test]
fn sparse_recordings_are_fitted_or_not_said_to_be() {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let bins: Vec<Vec<u16>> = (0..20_000)
        .map(|_| {
            let burst = random.random_bool(0.03);
            let rate = |i: u16| (if burst { 0.1 } else { 0.004 }) * (0.3 + f64::from(i) / 60.0);
            (0..60).filter(|&i| random.random_bool(rate(i))).collect()
        })
        .collect();
    let samples = of_lists(&bins, 60);
    let pairs = separated_pairs(&samples);
    let model = boltzmann(&samples, &options()).unwrap();
    let found = diagnostics(&model);
    println!("{} pairs never meet, {} steps, {found:?}", pairs.len(), model.iterations);
    assert!(pairs.len() > 50, "{}", pairs.len());
    let expected = if found.converged { RowStatus::Ok } else { RowStatus::NotConverged };
    assert!(model.status.iter().all(|s| *s == expected), "{found:?}");
    assert!(found.moment_residual < 0.01, "{found:?}");
    assert!(model.couplings.iter().chain(&model.fields).all(|x| x.is_finite()));
}

#[test]
fn what_the_data_do_not_allow_is_a_status() {
    let few = of_lists(&[vec![0], vec![1], vec![0, 2]], 3);
    let model = boltzmann(&few, &options()).unwrap();
    assert_eq!(model.status, vec![RowStatus::Undersampled; 3]);
    assert!(model.couplings.iter().all(|&j| j == 0.0) && !diagnostics(&model).converged);

    // Neuron 1 is silent, 3 saturated, 4 repeats 0.
    let lists: Vec<Vec<u16>> = (0..400u16)
        .map(|t| {
            let mut active = vec![3];
            if t % 3 == 0 {
                active.extend([0, 4]);
            }
            if t % 4 == 0 {
                active.push(2);
            }
            active.sort_unstable();
            active
        })
        .collect();
    let model = boltzmann(&of_lists(&lists, 5), &options()).unwrap();
    let expected =
        [RowStatus::Ok, RowStatus::Silent, RowStatus::Ok, RowStatus::Saturated, RowStatus::Duplicate];
    assert_eq!(model.status, expected);
    assert!(model.couplings.row(1).iter().chain(model.couplings.row(4)).all(|&j| j == 0.0));
    // Every third and every fourth bin: independent, P(fires) = 1/3 and 1/4; errors by the chains alone are about 0.005.
    assert!((model.fields[0] - 0.5 * 0.5f64.ln()).abs() < 0.03, "{}", model.fields[0]);
    assert!(model.couplings[[0, 2]].abs() < 0.03, "{}", model.couplings[[0, 2]]);

    let same = of_lists(&vec![vec![0]; 50], 2);
    let model = boltzmann(&same, &options()).unwrap();
    assert_eq!(model.status, [RowStatus::Saturated, RowStatus::Silent]);
    let alone = boltzmann(
        &of_lists(&(0..50).map(|t| vec![0; usize::from(t % 5 == 0)]).collect::<Vec<_>>(), 1),
        &options(),
    );
    assert!((alone.unwrap().fields[0] - 0.5 * 0.25f64.ln()).abs() < 0.03);
    assert!(
        boltzmann(&of_lists(&[], 3), &options())
            .unwrap()
            .status
            .iter()
            .all(|s| *s == RowStatus::Undersampled)
    );
}

#[test]
fn bad_options_are_refused() {
    let samples = of_lists(&[vec![0], vec![1]], 2);
    let default = BoltzmannOptions::default;
    for bad in [
        BoltzmannOptions { chains: 1, ..default() },
        BoltzmannOptions { chains: 1000, ..default() },
        BoltzmannOptions { steps: 7, ..default() },
        BoltzmannOptions { sweeps_per_step: 0, ..default() },
        BoltzmannOptions { moment_error_max: 0.0, ..default() },
        BoltzmannOptions { moment_error_max: f64::NAN, ..default() },
    ] {
        assert!(boltzmann(&samples, &bad).is_err(), "{bad:?}");
    }
    let max = BoltzmannOptions::NEURONS_MAX;
    let many = drawn(&EquilibriumIsing::sk(max + 1, 0.1, 0.0, 1).unwrap(), 300, 1);
    let method = EquilibriumMethod::Boltzmann;
    assert_eq!(
        boltzmann(&many, &default()),
        Err(EquilibriumError::TooManyNeurons { method, max, found: max + 1 })
    );
}

#[test]
fn the_method_is_fitted_by_its_name() {
    let samples = drawn(&EquilibriumIsing::sk(4, 0.5, 0.5, 1).unwrap(), 500, 1);
    let by_name = fit(&samples, EquilibriumMethod::Boltzmann, &FitOptions { threads: 2, seed: 5 }).unwrap();
    assert_eq!(by_name, boltzmann(&samples, &BoltzmannOptions { seed: 5, ..options() }).unwrap());
}

fn images(rows: usize, columns: usize, coupling: f64, field: f64, count: usize, seed: u64) -> Configurations {
    let model = EquilibriumIsing::lattice(rows, columns, coupling, field, true).unwrap();
    let block = GibbsSampler::new(&model, seed).burnt_in().bins(count, 50);
    Configurations::of(&runs(block, rows * columns))
}

#[test]
fn the_lattice_behind_images_is_found() {
    let tying = Tying::lattice(16, 16, true).unwrap();
    // At J = 0.35 moments are correlated over many sweeps.
    let short = BoltzmannOptions { steps: 150, sweeps_per_step: 60, moment_error_max: 0.01, ..options() };
    let mut squares = Vec::new();
    for (coupling, field) in [(0.2, 0.1), (0.35, 0.02)] {
        for seed in 1..5 {
            let model = boltzmann_tied(&images(16, 16, coupling, field, 100, seed), &tying, &short).unwrap();
            assert_eq!(model.status, RowStatus::Ok, "{:?}", model.diagnostics);
            let z = |parameter: &glauber::equilibrium::TiedParameter, truth: f64| {
                (parameter.value - truth) / parameter.standard_error.unwrap()
            };
            let (j, h) = (model.couplings[0], model.fields[0]);
            assert_eq!((j.members, h.members), (512, 256));
            println!(
                "{coupling} {field}: J {:.4} ± {:.4}, h {:.4} ± {:.4}; {:?}",
                j.value,
                j.standard_error.unwrap(),
                h.value,
                h.standard_error.unwrap(),
                model.diagnostics
            );
            // 100 images of 256 pixels: errors of thousandths.
            assert!(j.standard_error.unwrap() < 0.01 && h.standard_error.unwrap() < 0.01);
            squares.extend([z(&j, coupling).powi(2), z(&h, field).powi(2)]);
        }
    }
    // 16 squares of normal numbers: mean 1, standard deviation √(2/16) = 0.35; J and h of an image are correlated.
    let mean = squares.iter().sum::<f64>() / squares.len() as f64;
    println!("mean z² {mean}");
    assert!((0.2..2.4).contains(&mean), "{squares:?}");
    assert!(squares.iter().all(|z| *z < 16.0), "{squares:?}");
}

/// Every pair and field a class of its own: the model with nothing tied.
#[test]
fn classes_of_one_are_the_model_with_nothing_tied() {
    let network = EquilibriumIsing::sk(5, 0.7, 0.7, 2).unwrap();
    let block = GibbsSampler::new(&network, 1).burnt_in().bins(5000, 5);
    let (samples, configurations) =
        (Samples::of(&runs(block.clone(), 5)), Configurations::of(&runs(block, 5)));
    let pairs: Vec<_> = (0..5).flat_map(|i| (i + 1..5).map(move |j| (i, j))).collect();
    let classes: Vec<_> = pairs.iter().enumerate().map(|(class, &(i, j))| (i, j, class)).collect();
    let tying = Tying::new(&classes, &(0..5).map(Some).collect::<Vec<_>>()).unwrap();
    let tied: TiedModel = boltzmann_tied(&configurations, &tying, &options()).unwrap();
    assert_eq!(tied.status, RowStatus::Ok);
    let exact = maximum_likelihood(&samples);
    let expanded = tied.model(&tying);
    let error = mean_square(&parameters(&expanded.couplings, &expanded.fields), &exact).sqrt();
    println!("error {error}, reported {}", tied.diagnostics.parameter_error);
    assert!(error < 2.0 * tied.diagnostics.parameter_error, "{error} {:?}", tied.diagnostics);
    // Standard errors of both are those of the same Fisher information, once by formula and once by blocks (±13 %).
    let untied = boltzmann(&samples, &options()).unwrap().errors.unwrap();
    let by_blocks: f64 = pairs.iter().map(|&(i, j)| untied.couplings[[i, j]]).sum();
    let by_formula: f64 = tied.couplings.iter().map(|p| p.standard_error.unwrap()).sum();
    assert!((0.8..1.25).contains(&(by_formula / by_blocks)), "{by_formula} {by_blocks}");
}

#[test]
fn one_image_is_enough_for_tied_parameters() {
    let tying = Tying::lattice(32, 32, true).unwrap();
    let short = BoltzmannOptions { steps: 100, sweeps_per_step: 40, moment_error_max: 0.01, ..options() };
    let model = boltzmann_tied(&images(32, 32, 0.25, 0.0, 1, 5), &tying, &short).unwrap();
    let (j, h) = (model.couplings[0], model.fields[0]);
    println!("{model:?}");
    assert_eq!(model.status, RowStatus::Ok);
    assert!((j.value - 0.25).abs() < 4.0 * j.standard_error.unwrap(), "{j:?}");
    assert!(h.value.abs() < 4.0 * h.standard_error.unwrap(), "{h:?}");
}

#[test]
fn tied_models_say_what_images_do_not_allow() {
    let tying = Tying::lattice(3, 3, true).unwrap();
    let fit = |lists: &[Vec<u16>]| {
        let configurations = Configurations::of(&runs(SpikeBlock::from_lists(0, lists, 9).unwrap(), 9));
        boltzmann_tied(&configurations, &tying, &options()).unwrap()
    };
    assert_eq!(fit(&[]).status, RowStatus::Undersampled);
    assert_eq!(fit(&[vec![], vec![]]).status, RowStatus::Silent);
    assert_eq!(fit(&[(0..9).collect()]).status, RowStatus::Saturated);
    let model = fit(&[(0..9).collect(), vec![]]);
    assert_eq!(model.status, RowStatus::Separated);
    assert_eq!((model.couplings[0].value, model.couplings[0].standard_error), (0.0, None));
}

#[test]
fn bad_tyings_are_refused() {
    let field = vec![Some(0); 4];
    assert!(Tying::new(&[(0, 1, 0), (2, 3, 0)], &field).is_ok());
    for (pairs, fields) in [
        (vec![(0, 4, 0)], field.clone()),
        (vec![(1, 1, 0)], field.clone()),
        (vec![(0, 1, 0), (1, 0, 0)], field.clone()),
        (vec![(0, 1, 1)], field.clone()),
        (vec![(0, 1, usize::MAX)], field.clone()),
        (vec![], vec![None; 4]),
        (vec![], vec![Some(1); 4]),
        (vec![], vec![Some(usize::MAX); 4]),
    ] {
        assert!(Tying::new(&pairs, &fields).is_err(), "{pairs:?} {fields:?}");
    }
    assert!(Tying::lattice(2, 5, true).is_err() && Tying::lattice(0, 5, false).is_err());
    assert!(Tying::lattice(usize::MAX, usize::MAX, false).is_err());
    let other = Configurations::of(&runs(SpikeBlock::from_lists(0, &[vec![0]], 2).unwrap(), 2));
    let found = boltzmann_tied(&other, &Tying::lattice(3, 3, false).unwrap(), &options());
    assert!(matches!(found, Err(EquilibriumError::Count { min: 9, found: 2, .. })), "{found:?}");
}
