//! Couplings at low temperature, from several states.

use glauber::equilibrium::{EquilibriumError, FitOptions, ManyStatesOptions, Samples, fit, many_states};
use glauber::model::{
    EquilibriumDiagnostics, EquilibriumMethod, EquilibriumModel, RowStatus, Runs, SpikeBlock,
};
use ndarray::Array2;
use rand::seq::index;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

fn runs(lists: &[Vec<u16>], n_neurons: usize) -> Runs {
    Runs { n_neurons, blocks: vec![SpikeBlock::from_lists(0, lists, n_neurons).unwrap()] }
}

/// Independent configurations of the Curie–Weiss model `J_ij = β/n`: the number of active neurons has the weight
/// `C(n, k) exp(β (2k − n)² / 2n)`, and given it all sets of neurons are equally likely.
fn curie_weiss(n: usize, beta: f64, samples: usize, seed: u64) -> Samples {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut log_binomial = 0.0;
    let mut cumulated = Vec::with_capacity(n + 1);
    let mut sum = 0.0;
    for k in 0..=n {
        let total = 2.0 * k as f64 - n as f64;
        sum += (log_binomial + beta * total * total / (2.0 * n as f64) - 0.5 * beta * n as f64).exp();
        cumulated.push(sum);
        log_binomial += ((n - k) as f64 / (k + 1) as f64).ln();
    }
    let lists: Vec<Vec<u16>> = (0..samples)
        .map(|_| {
            let at = random.random::<f64>() * sum;
            let k = cumulated.partition_point(|&c| c < at).min(n);
            index::sample(&mut random, n, k).into_iter().map(|i| i as u16).collect()
        })
        .collect();
    Samples::of(&runs(&lists, n))
}

/// Root mean square of `J_ij / scale − truth / scale` over pairs.
fn coupling_error(model: &EquilibriumModel, truth: &Array2<f64>, scale: f64) -> f64 {
    let n = model.n_neurons();
    let pairs = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
    let squares: f64 = pairs.map(|at| ((model.couplings[at] - truth[at]) / scale).powi(2)).sum();
    (squares / (n * (n - 1) / 2) as f64).sqrt()
}

/// `J ~ N(0, g²/n)` without fields, and independent draws from the probabilities of all configurations.
fn sk_samples(n: usize, g: f64, bins: usize, seed: u64) -> (Array2<f64>, Samples) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut couplings = Array2::<f64>::zeros((n, n));
    for i in 0..n {
        for j in 0..i {
            let z: f64 = StandardNormal.sample(&mut random);
            couplings[[i, j]] = g * z / (n as f64).sqrt();
            couplings[[j, i]] = couplings[[i, j]];
        }
    }
    // In Gray-code order; bit i of a state's number says whether neuron i fires.
    let mut spins = vec![-1.0; n];
    let mut inputs: Vec<f64> = couplings.rows().into_iter().map(|row| -row.sum()).collect();
    let mut exponent = 0.5 * couplings.sum();
    let (mut state, mut cumulated) = (0_usize, vec![0.0; 1 << n]);
    cumulated[0] = exponent;
    for step in 1..1_usize << n {
        let i = step.trailing_zeros() as usize;
        exponent -= 2.0 * spins[i] * inputs[i];
        spins[i] = -spins[i];
        state ^= 1 << i;
        inputs.iter_mut().zip(couplings.row(i)).for_each(|(input, j)| *input += 2.0 * spins[i] * j);
        cumulated[state] = exponent;
    }
    let highest = cumulated.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for weight in &mut cumulated {
        sum += (*weight - highest).exp();
        *weight = sum;
    }
    let draw = |_| {
        let at = random.random::<f64>() * sum;
        let state = cumulated.partition_point(|&c| c < at);
        (0..n as u16).filter(|&i| state >> i & 1 == 1).collect()
    };
    let lists: Vec<Vec<u16>> = (0..bins).map(draw).collect();
    (couplings, Samples::of(&runs(&lists, n)))
}

fn with(states: usize, tap: bool) -> ManyStatesOptions {
    ManyStatesOptions { states, tap, ..ManyStatesOptions::default() }
}

fn assert_finite(model: &EquilibriumModel) {
    assert!(model.couplings.iter().chain(&model.fields).all(|x| x.is_finite()));
    if let Some(errors) = &model.errors {
        assert!(errors.couplings.iter().chain(&errors.fields).all(|x| x.is_finite()));
    }
    let EquilibriumDiagnostics::ManyStates { residual, .. } = model.diagnostics else { panic!() };
    assert!(residual.is_finite());
}

#[test]
fn two_states_of_curie_weiss_are_consistent_and_one_is_not() {
    let (n, beta) = (100, 1.42);
    let truth = Array2::from_elem((n, n), beta / n as f64);
    // 4950 couplings: an error is known to a percent or so, and to some percent as samples differ in how the states divide them.
    for (bins, references) in [(10_000, [0.0239, 0.0210]), (100_000, [0.0126, 0.0068])] {
        for seed in 1..=3 {
            let samples = curie_weiss(n, beta, bins, seed);
            for (states, reference) in [1, 2].into_iter().zip(references) {
                let model = many_states(&samples, &with(states, false)).unwrap();
                assert!(model.status.iter().all(|&status| status == RowStatus::Ok));
                let found = coupling_error(&model, &truth, beta);
                let differs = found / reference - 1.0;
                assert!(
                    differs.abs() < 0.06,
                    "{states} states, {bins} bins, seed {seed}: {found}, not {reference}"
                );
            }
        }
    }
}

#[test]
fn more_states_make_one_state_worse() {
    let (n, beta) = (40, 0.5);
    let truth = Array2::from_elem((n, n), beta / n as f64);
    for seed in 1..=3 {
        let samples = curie_weiss(n, beta, 10_000, seed);
        let error =
            |states| coupling_error(&many_states(&samples, &with(states, false)).unwrap(), &truth, beta);
        let (one, two, six) = (error(1), error(2), error(6));
        assert!(one < two && 1.3 * one < six, "{one} {two} {six}");
    }
}

#[test]
fn more_states_and_tap_are_better_at_low_temperature() {
    // Means over networks: single ones differ by a factor of 8, and at the mildest TAP is no better.
    let numbers = [1, 2, 4, 8];
    let mut errors = [[0.0; 4]; 2];
    for seed in 1..=3 {
        let (truth, samples) = sk_samples(20, 1.5, 10_000, seed);
        for (k, states) in numbers.into_iter().enumerate() {
            for tap in [false, true] {
                let model = many_states(&samples, &with(states, tap)).unwrap();
                assert_finite(&model);
                // In one state TAP does not hold and need not converge; it must say so and stay finite.
                assert!(model.status.iter().all(|status| status.has_estimate()));
                errors[usize::from(tap)][k] += coupling_error(&model, &truth, 1.0) / 3.0;
            }
        }
    }
    println!("naive mean field {:.3?}, TAP {:.3?}", errors[0], errors[1]);
    for by_states in errors {
        assert!(by_states.windows(2).all(|pair| pair[1] < pair[0]), "{errors:?}");
    }
    // With eight states there is little left for TAP to correct.
    for k in 0..3 {
        assert!(errors[1][k] < 0.8 * errors[0][k], "{} states: {errors:?}", numbers[k]);
    }
}

#[test]
fn one_state_of_weak_couplings_is_naive_mean_field() {
    let samples = curie_weiss(12, 0.5, 5000, 1);
    let model = many_states(&samples, &with(1, false)).unwrap();
    let n = 12;
    let m = &samples.magnetizations;
    let covariance = nalgebra::DMatrix::from_fn(n, n, |i, j| samples.second_moments[[i, j]] - m[i] * m[j]);
    let inverse = covariance.try_inverse().unwrap();
    for i in 0..n {
        for j in 0..i {
            assert!((model.couplings[[i, j]] + inverse[(i, j)]).abs() < 1e-10);
        }
        let field = m[i].atanh() - model.couplings.row(i).dot(m);
        assert!((model.fields[i] - field).abs() < 1e-10);
    }
    let EquilibriumDiagnostics::ManyStates { bins, residual } = &model.diagnostics else { panic!() };
    assert!(bins[..] == [5000] && *residual < 1e-10, "{residual}");
}

#[test]
fn standard_errors_cover_the_truth() {
    // Mean field is biased; between recordings couplings scatter as the errors say.
    let recordings = 40;
    let models: Vec<_> = (0..recordings)
        .map(|seed| many_states(&curie_weiss(20, 1.42, 4000, seed), &with(2, false)).unwrap())
        .collect();
    let (mut predicted, mut found) = (0.0, 0.0);
    for i in 0..20 {
        for j in 0..i {
            let values: Vec<f64> = models.iter().map(|model| model.couplings[[i, j]]).collect();
            let mean = values.iter().sum::<f64>() / recordings as f64;
            found += values.iter().map(|j| (j - mean).powi(2)).sum::<f64>() / (recordings - 1) as f64;
            let squares = models.iter().map(|model| model.errors.as_ref().unwrap().couplings[[i, j]].powi(2));
            predicted += squares.sum::<f64>() / recordings as f64;
        }
    }
    // 190 variances, each known to √(2/39).
    let ratio = (predicted / found).sqrt();
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
    assert_eq!(models[0].errors.as_ref().unwrap().blocks, 32);
}

#[test]
fn a_neuron_that_fires_in_one_block_has_an_error() {
    // The last fires once, the one before four times within one of 32 blocks of 100 bins.
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let lists: Vec<Vec<u16>> = (0..3200)
        .map(|t| {
            let fires = |&i: &u16| match i {
                7 => t == 1234,
                6 => (610..650).contains(&t) && t % 10 == 0,
                _ => random.random::<f64>() < 0.3,
            };
            (0..8).filter(fires).collect()
        })
        .collect();
    let model = many_states(&Samples::of(&runs(&lists, 8)), &with(1, false)).unwrap();
    assert_eq!(model.status, [RowStatus::Ok; 8]);
    let errors = model.errors.as_ref().unwrap();
    println!("{:?} {:?}", model.fields, errors.fields);
    for i in [6, 7] {
        // The logarithm of a count that varies as much as it is large: half of it, ½ ln 2, is twice its influence.
        assert!((0.5..0.9).contains(&errors.fields[i]), "{i}: {} ± {}", model.fields[i], errors.fields[i]);
    }
    assert!((0..6).all(|i| errors.fields[i] < 0.1));
}

#[test]
fn a_rare_neuron_among_correlated_ones_is_determined() {
    // 119 neurons that fire together or not at all but for a few, and one spike: eigenvalues of the normal matrix from 4·10⁻⁹ to 9·10³.
    let n = 120;
    let mut random = ChaCha8Rng::seed_from_u64(6);
    let lists: Vec<Vec<u16>> = (0..65_536)
        .map(|t| {
            let rate = if random.random::<bool>() { 0.95 } else { 0.05 };
            (0..n as u16)
                .filter(|&i| if i == 50 { t == 40_000 } else { random.random::<f64>() < rate })
                .collect()
        })
        .collect();
    let samples = Samples::of(&runs(&lists, n));
    let model = many_states(&samples, &with(1, false)).unwrap();
    assert!(model.status.iter().all(|&status| status == RowStatus::Ok), "{:?}", model.status[50]);
    let m = &samples.magnetizations;
    let covariance = nalgebra::DMatrix::from_fn(n, n, |i, j| samples.second_moments[[i, j]] - m[i] * m[j]);
    let inverse = covariance.try_inverse().unwrap();
    for j in (0..n).filter(|&j| j != 50) {
        let (found, expected) = (model.couplings[[50, j]], -inverse[(50, j)]);
        assert!((found - expected).abs() < 1e-4 * (1.0 + expected.abs()), "{j}: {found} {expected}");
    }
    assert_finite(&model);
}

#[test]
fn neurons_frozen_in_a_state_stay_finite() {
    // Two groups of bins; neuron 0 tells them apart without exception, neuron 1 never fires in the second.
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let lists: Vec<Vec<u16>> = (0..4000)
        .map(|t| {
            let first = t % 2 == 0;
            (0..12_u16)
                .filter(|&i| match i {
                    0 => first,
                    1 => first && random.random::<f64>() < 0.5,
                    2..7 => random.random::<f64>() < if first { 0.97 } else { 0.03 },
                    _ => random.random::<f64>() < if first { 0.03 } else { 0.97 },
                })
                .collect()
        })
        .collect();
    let samples = Samples::of(&runs(&lists, 12));
    for tap in [false, true] {
        let model = many_states(&samples, &with(2, tap)).unwrap();
        assert_finite(&model);
        assert_eq!(model.status[0], RowStatus::Singular, "no equation in either state");
        assert!(model.couplings.row(0).iter().all(|&j| j == 0.0) && model.fields[0] == 0.0);
        assert_eq!(
            model.status.iter().filter(|&&status| status == RowStatus::Ok).count(),
            11,
            "{:?}",
            model.status
        );
        assert_eq!(model.couplings, model.couplings.t());
        let EquilibriumDiagnostics::ManyStates { bins, .. } = &model.diagnostics else { panic!() };
        assert_eq!(bins[..], [2000, 2000]);
        assert_eq!(model.errors.is_some(), !tap);
    }
    // As many states as there are configurations: every neuron is frozen in all of them.
    let four: Vec<Vec<u16>> =
        [vec![], vec![0], vec![1], vec![0, 1]].iter().cycle().take(100).cloned().collect();
    let model = many_states(&Samples::of(&runs(&four, 2)), &with(4, false)).unwrap();
    assert_eq!(model.status, [RowStatus::Singular; 2]);
    assert_finite(&model);
}

#[test]
fn what_cannot_be_fitted_says_why() {
    let four: Vec<Vec<u16>> =
        [vec![], vec![0], vec![1], vec![0, 1]].iter().cycle().take(100).cloned().collect();
    for (lists, states, expected) in [
        (four, 5, [RowStatus::Undersampled; 2]),
        (vec![vec![0], vec![1]], 1, [RowStatus::Undersampled; 2]),
        (vec![vec![0]; 30], 2, [RowStatus::Saturated, RowStatus::Silent]),
        (Vec::new(), 2, [RowStatus::Undersampled; 2]),
    ] {
        for tap in [false, true] {
            let model = many_states(&Samples::of(&runs(&lists, 2)), &with(states, tap)).unwrap();
            assert_eq!(model.status, expected);
            assert_finite(&model);
            assert!(model.couplings.iter().all(|&j| j == 0.0));
        }
    }
}

#[test]
fn too_many_neurons_are_refused() {
    let n = 520;
    let mut random = ChaCha8Rng::seed_from_u64(8);
    let lists: Vec<Vec<u16>> =
        (0..n + 1).map(|_| (0..n as u16).filter(|_| random.random::<f64>() < 0.1).collect()).collect();
    let samples = Samples::of(&runs(&lists, n));
    let method = EquilibriumMethod::ManyStatesTap;
    for (states, max) in [(2, 480), (8, 382)] {
        let error = many_states(&samples, &with(states, true)).unwrap_err();
        assert_eq!(error, EquilibriumError::TooManyNeurons { method, max, found: n });
    }
}

#[test]
fn options_are_checked_and_threads_change_nothing() {
    let samples = curie_weiss(15, 1.5, 2000, 4);
    let default = ManyStatesOptions::default();
    for (options, what) in [
        (ManyStatesOptions { states: 0, ..default.clone() }, "states"),
        (ManyStatesOptions { states: 65, ..default.clone() }, "states"),
        (ManyStatesOptions { restarts: 0, ..default.clone() }, "restarts"),
        (ManyStatesOptions { iterations_max: 0, ..default.clone() }, "iterations"),
    ] {
        let error = many_states(&samples, &options).unwrap_err();
        assert!(matches!(error, EquilibriumError::Count { what: found, .. } if found == what), "{error}");
    }
    for (method, tap) in [(EquilibriumMethod::ManyStates, false), (EquilibriumMethod::ManyStatesTap, true)] {
        let found = many_states(&samples, &ManyStatesOptions { tap, seed: 7, ..default.clone() }).unwrap();
        assert_eq!(found.method, method);
        for threads in [0, 1, 3, 50] {
            assert_eq!(fit(&samples, method, &FitOptions { threads, seed: 7 }).unwrap(), found);
        }
    }
    let early =
        many_states(&samples, &ManyStatesOptions { tap: true, iterations_max: 1, ..default }).unwrap();
    assert_eq!(early.status, [RowStatus::NotConverged; 15]);
    assert_finite(&early);
}
