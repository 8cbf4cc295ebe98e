//! Pseudo-likelihood: equal to scikit-learn (`tests/fixtures/make_pseudo_likelihood.py`), as near known couplings as a numpy
//! implementation, the same for any number of threads, and honest about what has no maximum.

use glauber::equilibrium::{EquilibriumError, PseudoLikelihoodOptions, Samples, pseudo_likelihood};
use glauber::model::{EquilibriumDiagnostics, EquilibriumModel, Ridges, RowStatus, Runs, SpikeBlock};
use glauber::simulate::{EquilibriumIsing, GibbsSampler};
use ndarray::{Array1, Array2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

fn with_ridges(ridges: &[f64]) -> PseudoLikelihoodOptions {
    PseudoLikelihoodOptions { ridges: Ridges::new(ridges).unwrap(), threads: 2, ..Default::default() }
}

fn fit(runs: &Runs, options: &PseudoLikelihoodOptions) -> EquilibriumModel {
    let model = pseudo_likelihood(&Samples::of(runs), options).unwrap();
    assert_sound(&model, options);
    model
}

fn ridge_and_path(model: &EquilibriumModel) -> (f64, Vec<(f64, f64)>) {
    let EquilibriumDiagnostics::PseudoLikelihood { ridge, path, .. } = &model.diagnostics else {
        panic!("other diagnostics")
    };
    (*ridge, path.iter().map(|score| (score.ridge, score.bits_per_bin)).collect())
}

fn assert_sound(model: &EquilibriumModel, options: &PseudoLikelihoodOptions) {
    let EquilibriumDiagnostics::PseudoLikelihood { path, gradient_norm, .. } = &model.diagnostics else {
        panic!("other diagnostics")
    };
    assert!(model.couplings.iter().chain(&model.fields).chain(gradient_norm).all(|v| v.is_finite()));
    assert!(path.iter().all(|score| score.bits_per_bin.is_finite() && score.bits_per_bin < 0.0));
    assert_eq!(model.couplings, model.couplings.t());
    assert!(model.couplings.diag().iter().all(|&own| own == 0.0));
    for (i, status) in model.status.iter().enumerate() {
        assert!(*status != RowStatus::Ok || gradient_norm[i] <= options.gradient_norm_max);
        if !status.has_estimate() {
            assert!(model.fields[i] == 0.0 && model.couplings.row(i).iter().all(|&v| v == 0.0), "row {i}");
        }
        if let Some(errors) = &model.errors {
            assert_eq!(errors.couplings, errors.couplings.t());
            for (j, other) in model.status.iter().enumerate() {
                let estimated = i != j && status.has_estimate() && other.has_estimate();
                assert_eq!(errors.couplings[[i, j]] > 0.0, estimated, "error of {i}, {j}");
            }
            assert_eq!(errors.fields[i] > 0.0, status.has_estimate());
            assert!(errors.couplings.row(i).iter().all(|e| e.is_finite()) && errors.fields[i].is_finite());
        }
    }
}

fn runs_of(lists: &[Vec<u16>], n_neurons: usize) -> Runs {
    Runs { n_neurons, blocks: vec![SpikeBlock::from_lists(0, lists, n_neurons).unwrap()] }
}

/// `h_i` of N(bias, g²/n), `J_ij = J_ji` of N(0, g²/n).
fn sk(n: usize, g: f64, bias: f64, seed: u64) -> EquilibriumIsing {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let normal = Normal::new(0.0, g / (n as f64).sqrt()).unwrap();
    let fields = Array1::from_shape_fn(n, |_| bias + normal.sample(&mut random));
    let upper = Array2::from_shape_fn((n, n), |(i, j)| if i < j { normal.sample(&mut random) } else { 0.0 });
    EquilibriumIsing { couplings: &upper + &upper.t(), fields }
}

fn sampled(network: &EquilibriumIsing, bins: usize, seed: u64) -> Runs {
    let mut sampler = GibbsSampler::new(network, seed);
    (0..500).for_each(|_| sampler.sweep());
    Runs { n_neurons: network.n_neurons(), blocks: vec![sampler.bins(bins, 6)] }
}

/// Over `h_i` and `J_ij`, i < j.
fn mean_square_error(model: &EquilibriumModel, network: &EquilibriumIsing) -> f64 {
    let n = network.n_neurons();
    let couplings = (&model.couplings - &network.couplings).mapv(|e| e * e).sum() / 2.0;
    let fields = (&model.fields - &network.fields).mapv(|e| e * e).sum();
    (couplings + fields) / (n * (n + 1) / 2) as f64
}

/// Mean and its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

#[test]
fn couplings_equal_those_of_scikit_learn() {
    let bins: Vec<Vec<u16>> = include_str!("fixtures/pseudo_likelihood_bins.txt")
        .lines()
        .map(|line| line.chars().enumerate().filter(|&(_, c)| c == '1').map(|(i, _)| i as u16).collect())
        .collect();
    let runs = runs_of(&bins, 10);
    let mut compared = 0;
    for line in include_str!("fixtures/pseudo_likelihood_model.tsv").lines() {
        let numbers: Vec<f64> = line.split('\t').map(|text| text.parse().unwrap()).collect();
        let (ridge, i, j, expected) = (numbers[0], numbers[1] as usize, numbers[2] as usize, numbers[3]);
        let model = fit(&runs, &PseudoLikelihoodOptions { errors: false, ..with_ridges(&[ridge]) });
        assert!(model.status.iter().all(|status| *status == RowStatus::Ok));
        assert!(ridge_and_path(&model).1.is_empty(), "nothing to choose");
        let found = if i == j { model.fields[i] } else { model.couplings[[i, j]] };
        // Both stop at gradients of 1e-8 or less, where the curvature is some 0.3.
        assert!((found - expected).abs() < 1e-7, "ridge {ridge}, {i}, {j}: {found} for {expected}");
        compared += 1;
    }
    assert_eq!(compared, 3 * 55);
}

/// Mean square errors over all parameters of SK networks, 10⁴ bins, mean over five networks.
#[test]
fn errors_on_equilibrium_samples_are_those_of_the_reference() {
    for (n, g, expected) in [(20, 0.5, 1.62e-4), (20, 1.0, 3.9e-4), (40, 0.5, 1.68e-4)] {
        let errors: Vec<f64> = (0..5)
            .map(|seed| {
                let network = sk(n, g, 0.0, 10 + seed);
                let runs = sampled(&network, 10_000, 100 + seed);
                let none = PseudoLikelihoodOptions { errors: false, ..with_ridges(&[0.0]) };
                mean_square_error(&fit(&runs, &none), &network)
            })
            .collect();
        let (found, error) = mean(&errors);
        println!("n = {n}, g = {g}: {found:.3e} ± {error:.0e}, expected {expected:.2e}");
        // The value expected is of one network: as uncertain as each of ours.
        let tolerance = 3.0 * error * (1.0 + 5.0f64).sqrt();
        assert!((found - expected).abs() < tolerance.max(0.1 * expected), "{found:e} for {expected:e}");
    }
}

#[test]
fn with_few_samples_the_ridge_chosen_does_good_and_with_many_no_harm() {
    let (mut none, mut chosen) = (Vec::new(), Vec::new());
    for seed in 0..12 {
        let network = sk(20, 1.0, 0.0, 30 + seed);
        let runs = sampled(&network, 200, 300 + seed);
        let samples = Samples::of(&runs);
        let at = |options: &PseudoLikelihoodOptions| {
            let model = pseudo_likelihood(&samples, options).unwrap();
            (mean_square_error(&model, &network), model)
        };
        none.push(at(&with_ridges(&[0.0])).0);
        let (error, model) = at(&PseudoLikelihoodOptions::default());
        let (ridge, path) = ridge_and_path(&model);
        assert!(ridge > 0.0 && path.len() >= 7, "{ridge}, {path:?}");
        let best = path.iter().fold(f64::NEG_INFINITY, |best, &(_, bits)| best.max(bits));
        assert!(path.contains(&(ridge, best)));
        chosen.push(error);
    }
    let ((none, none_error), (chosen, chosen_error)) = (mean(&none), mean(&chosen));
    println!("200 bins: {none:.4} ± {none_error:.4} without, {chosen:.4} ± {chosen_error:.4} with a ridge");
    // A single network had 0.095 and 0.018.
    assert!((0.04..0.2).contains(&none) && (0.012..0.024).contains(&chosen));

    let network = sk(20, 1.0, 0.0, 50);
    let runs = sampled(&network, 10_000, 500);
    let none = mean_square_error(&fit(&runs, &with_ridges(&[0.0])), &network);
    let chosen = mean_square_error(&fit(&runs, &PseudoLikelihoodOptions::default()), &network);
    assert!(chosen < 1.1 * none, "{chosen:e} with a ridge, {none:e} without");
}

/// 95 % intervals of couplings and fields over repeated recordings of one network, where spikes are rarer than silence.
#[test]
fn standard_errors_are_the_spread_of_the_estimates() {
    let (n, repeats, seed) = (8, 40, 7);
    let network = sk(n, 0.6, -0.4, seed);
    for ridge in [0.0, 0.02] {
        let models: Vec<EquilibriumModel> = (0..repeats)
            .map(|repeat| fit(&sampled(&network, 2000, 700 + repeat), &with_ridges(&[ridge])))
            .collect();
        let (mut covered, mut all, mut squares) = (0, 0, 0.0);
        let mut take = |value: &dyn Fn(&EquilibriumModel) -> (f64, f64), truth: f64| {
            let found: Vec<(f64, f64)> = models.iter().map(value).collect();
            let (centre, _) = mean(&found.iter().map(|(v, _)| *v).collect::<Vec<_>>());
            // A ridge's bias is not in the errors.
            let centre = if ridge == 0.0 { truth } else { centre };
            for (value, error) in found {
                let z = (value - centre) / error;
                covered += usize::from(z.abs() < 1.96);
                squares += z * z;
                all += 1;
            }
        };
        for i in 0..n {
            let field = |m: &EquilibriumModel| (m.fields[i], m.errors.as_ref().unwrap().fields[i]);
            take(&field, network.fields[i]);
            for j in 0..i {
                let at = |m: &EquilibriumModel| {
                    (m.couplings[[i, j]], m.errors.as_ref().unwrap().couplings[[i, j]])
                };
                take(&at, network.couplings[[i, j]]);
            }
        }
        let (coverage, variance) = (covered as f64 / all as f64, squares / all as f64);
        println!("ridge {ridge}: coverage {coverage:.3}, variance of z {variance:.3} over {all}");
        // Errors from 32 blocks make z a t variable with 31 degrees of freedom: coverage 0.941, variance 1.069. Of 1440 values, not all
        // independent, coverage is known to ±0.007 and the variance to ±0.04; around the mean of 40 it is 1/40 smaller.
        assert!((0.915..0.965).contains(&coverage) && (0.93..1.20).contains(&variance));
    }
}

#[test]
fn results_do_not_depend_on_threads() {
    let network = sk(40, 0.8, -0.3, 3);
    let runs = sampled(&network, 9000, 4);
    let at = |threads| {
        let ridges = Ridges::new(&[0.0, 0.01, 0.1]).unwrap();
        fit(&runs, &PseudoLikelihoodOptions { ridges, folds: 3, threads, ..Default::default() })
    };
    let one = at(1);
    assert!(one.errors.is_some());
    for threads in [0, 2, 5] {
        assert_eq!(at(threads), one);
    }
}

#[test]
fn silent_saturated_and_repeated_neurons_leave_the_others_unharmed() {
    let network = sk(6, 0.5, 0.0, 1);
    let runs = sampled(&network, 2000, 2);
    // Neurons 0 to 5 become 1, 2, 4, 5, 6, 8; 0 is silent, 3 saturated, 7 repeats 2.
    let places = [1u16, 2, 4, 5, 6, 8];
    let lists: Vec<Vec<u16>> = runs.blocks[0]
        .bins()
        .map(|bin| {
            let others: Vec<u16> = bin.iter().map(|&i| places[usize::from(i)]).collect();
            let repeat = others.contains(&2).then_some(7);
            others.into_iter().chain([3]).chain(repeat).collect()
        })
        .collect();
    let options = with_ridges(&[0.0, 0.1]);
    let (alone, among) = (fit(&runs, &options), fit(&runs_of(&lists, 9), &options));
    for (i, status) in [(0, RowStatus::Silent), (3, RowStatus::Saturated), (7, RowStatus::Duplicate)] {
        assert_eq!(among.status[i], status);
    }
    for (i, &a) in places.iter().enumerate() {
        assert_eq!(
            (among.status[usize::from(a)], among.fields[usize::from(a)]),
            (RowStatus::Ok, alone.fields[i])
        );
        for (j, &b) in places.iter().enumerate() {
            assert_eq!(among.couplings[[usize::from(a), usize::from(b)]], alone.couplings[[i, j]]);
        }
    }
}

#[test]
fn neurons_without_a_finite_maximum_are_separated_and_the_others_fitted_without_them() {
    let network = sk(6, 0.5, 0.0, 8);
    let runs = sampled(&network, 3000, 9);
    // Neurons 4 and 5 never fire together.
    let lists: Vec<Vec<u16>> = runs.blocks[0]
        .bins()
        .map(|bin| bin.iter().copied().filter(|&i| i != 5 || !bin.contains(&4)).collect())
        .collect();
    let model = fit(&runs_of(&lists, 6), &with_ridges(&[0.0]));
    let (ok, separated) = (RowStatus::Ok, RowStatus::Separated);
    assert_eq!(model.status, [ok, ok, ok, ok, separated, separated]);
    let without: Vec<Vec<u16>> =
        lists.iter().map(|bin| bin.iter().copied().filter(|&i| i < 4).collect()).collect();
    let others = fit(&runs_of(&without, 4), &with_ridges(&[0.0]));
    for i in 0..4 {
        assert!((model.fields[i] - others.fields[i]).abs() < 1e-9);
        assert!((0..4).all(|j| (model.couplings[[i, j]] - others.couplings[[i, j]]).abs() < 1e-9));
    }
    // Among several ridges zero is not scored, and every neuron has an estimate.
    let model = fit(&runs_of(&lists, 6), &with_ridges(&[0.0, 0.01, 0.1]));
    let (ridge, path) = ridge_and_path(&model);
    assert!(ridge > 0.0 && path.iter().map(|(ridge, _)| *ridge).eq([0.01, 0.1]));
    assert!(model.status.iter().all(|status| *status == ok));
    assert!(model.couplings[[4, 5]] < -0.3);
}

#[test]
fn a_neuron_told_by_two_others_together_is_separated() {
    // Neuron 2 never fires when both others are silent and always when both fire, so that no pair of neurons has an empty cell.
    let network = sk(3, 0.2, 0.0, 2);
    let lists: Vec<Vec<u16>> = sampled(&network, 4000, 6).blocks[0]
        .bins()
        .map(|bin| match (bin.contains(&0), bin.contains(&1)) {
            (true, true) => vec![0, 1, 2],
            (false, false) => vec![],
            _ => bin.to_vec(),
        })
        .collect();
    // Then either of the others follows from the rest where 2 and the third differ.
    assert_eq!(fit(&runs_of(&lists, 3), &with_ridges(&[0.0])).status, [RowStatus::Separated; 3]);
    assert!(fit(&runs_of(&lists, 3), &with_ridges(&[0.01])).status.iter().all(|s| *s == RowStatus::Ok));
}

#[test]
fn too_little_data_is_a_status_and_never_a_number() {
    let empty = Runs { n_neurons: 3, blocks: Vec::new() };
    assert_eq!(fit(&empty, &PseudoLikelihoodOptions::default()).status, [RowStatus::Undersampled; 3]);
    let network = sk(12, 0.5, 0.0, 1);
    let few = sampled(&network, 10, 3);
    let none = fit(&few, &with_ridges(&[0.0]));
    let taking_part = Samples::of(&few).taking_part;
    assert!(
        taking_part.len() >= 10 && taking_part.iter().all(|&i| none.status[i] == RowStatus::Undersampled)
    );
    let chosen = fit(&few, &PseudoLikelihoodOptions { folds: 100, ..Default::default() });
    assert!(taking_part.iter().all(|&i| chosen.status[i] == RowStatus::Ok));
    // One bin, or the same one again and again.
    for lists in [vec![vec![0, 2]], vec![vec![1]; 50]] {
        let model = fit(&runs_of(&lists, 3), &PseudoLikelihoodOptions::default());
        assert!(model.status.iter().all(|s| matches!(s, RowStatus::Silent | RowStatus::Saturated)));
    }
    // Two bins: what is left of them is one.
    let model = fit(&runs_of(&[vec![0], vec![1]], 2), &PseudoLikelihoodOptions::default());
    assert!(model.status.iter().all(|status| status.has_estimate()));
    // A sum of others makes the correlations singular unless there is a ridge.
    let lists: Vec<Vec<u16>> =
        (0..90u16).map(|t| [vec![], vec![0, 2], vec![1, 2]][usize::from(t * t % 7 % 3)].clone()).collect();
    assert_eq!(fit(&runs_of(&lists, 3), &with_ridges(&[0.0])).status, [RowStatus::Singular; 3]);
    assert_eq!(fit(&runs_of(&lists, 3), &with_ridges(&[0.1])).status, [RowStatus::Ok; 3]);
}

#[test]
fn one_neuron_has_a_closed_form() {
    let model = fit(&runs_of(&[vec![0], vec![], vec![], vec![]], 1), &PseudoLikelihoodOptions::default());
    assert_eq!(model.status, [RowStatus::Ok]);
    assert!((model.fields[0] - (-0.5f64).atanh()).abs() < 1e-12);
}

#[test]
fn an_iteration_cut_short_says_so() {
    let runs = sampled(&sk(10, 1.0, 0.0, 4), 3000, 5);
    let options = PseudoLikelihoodOptions { iterations_max: 1, ..with_ridges(&[0.0]) };
    let model = fit(&runs, &options);
    assert_eq!((&model.status[..], model.iterations), (&[RowStatus::NotConverged; 10][..], 1));
}

#[test]
fn options_outside_their_ranges_are_refused() {
    let samples = Samples::of(&runs_of(&[vec![0], vec![1]], 2));
    let default = PseudoLikelihoodOptions::default;
    for (what, options) in [
        ("number of folds", PseudoLikelihoodOptions { folds: 1, ..default() }),
        ("number of folds", PseudoLikelihoodOptions { folds: 101, ..default() }),
        ("gradient_norm_max", PseudoLikelihoodOptions { gradient_norm_max: 0.0, ..default() }),
        ("gradient_norm_max", PseudoLikelihoodOptions { gradient_norm_max: f64::NAN, ..default() }),
        ("iterations_max", PseudoLikelihoodOptions { iterations_max: 0, ..default() }),
    ] {
        let error = pseudo_likelihood(&samples, &options).unwrap_err();
        assert!(matches!(error, EquilibriumError::Range { what: found, .. } if found == what), "{error}");
    }
}
