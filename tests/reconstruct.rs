//! Missing neurons of a bin from those observed.

use glauber::equilibrium::{
    Observation, Rates, ReconstructError, ReconstructOptions, ReconstructionScoreOptions, reconstruct,
    reconstruction_score,
};
use glauber::model::{EquilibriumDiagnostics, EquilibriumMethod, EquilibriumModel, RowStatus, Runs};
use glauber::simulate::{EquilibriumIsing, GibbsSampler};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Couplings and fields drawn evenly from ±`width` around 0 and `field`.
fn network(n: usize, width: f64, field: f64, seed: u64) -> EquilibriumIsing {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut couplings = Array2::zeros((n, n));
    for i in 0..n {
        for j in 0..i {
            couplings[[i, j]] = random.random_range(-width..width);
            couplings[[j, i]] = couplings[[i, j]];
        }
    }
    let fields = (0..n).map(|_| field + random.random_range(-width..width)).collect();
    EquilibriumIsing { couplings, fields }
}

fn model(network: &EquilibriumIsing) -> EquilibriumModel {
    let status = vec![RowStatus::Ok; network.n_neurons()];
    let method = EquilibriumMethod::Boltzmann;
    let zeros = EquilibriumModel::zeros(method, status, 0, 0, EquilibriumDiagnostics::ClosedForm);
    EquilibriumModel { couplings: network.couplings.clone(), fields: network.fields.clone(), ..zeros }
}

fn bins(network: &EquilibriumIsing, n_bins: usize, seed: u64) -> Runs {
    let mut sampler = GibbsSampler::new(network, seed);
    (0..200).for_each(|_| sampler.sweep());
    Runs { n_neurons: network.n_neurons(), blocks: vec![sampler.bins(n_bins, 5)] }
}

/// `Σ h_i s_i + Σ_{i<j} J_ij s_i s_j`, term by term.
fn minus_energy(network: &EquilibriumIsing, active: &[bool]) -> f64 {
    let s = |i: usize| if active[i] { 1.0 } else { -1.0 };
    let n = active.len();
    let pairs = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
    pairs.map(|(i, j)| network.couplings[[i, j]] * s(i) * s(j)).sum::<f64>()
        + (0..n).map(|i| network.fields[i] * s(i)).sum::<f64>()
}

/// Most likely configuration and probabilities of all neurons, from every configuration that agrees with what was observed.
fn brute_force(network: &EquilibriumIsing, observed: &[Option<bool>]) -> (Vec<bool>, Vec<f64>) {
    let n = observed.len();
    let states: Vec<Vec<bool>> = (0..1_u32 << n)
        .map(|state| (0..n).map(|i| state >> i & 1 == 1).collect::<Vec<bool>>())
        .filter(|state| observed.iter().zip(state).all(|(seen, s)| seen.is_none_or(|seen| seen == *s)))
        .collect();
    let weights: Vec<f64> = states.iter().map(|state| minus_energy(network, state).exp()).collect();
    let best = (0..states.len()).max_by(|&a, &b| weights[a].total_cmp(&weights[b])).unwrap();
    let total: f64 = weights.iter().sum();
    let share = |i: usize| {
        states.iter().zip(&weights).filter(|(state, _)| state[i]).map(|(_, w)| w).sum::<f64>() / total
    };
    (states[best].clone(), (0..n).map(share).collect())
}

fn observation(n: usize, missing: &[usize], seed: u64) -> Vec<Option<bool>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|i| Some(random.random::<bool>()).filter(|_| !missing.contains(&i))).collect()
}

#[test]
fn few_missing_neurons_are_found_exactly() {
    for seed in 0..5 {
        let truth = network(12, 0.8, -0.2, seed);
        for missing in [&[3][..], &[0, 11], &[1, 4, 5, 6, 9], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]] {
            let observed = observation(12, missing, seed + 100);
            let found = reconstruct(&model(&truth), &observed, &ReconstructOptions::default()).unwrap();
            let (best, probabilities) = brute_force(&truth, &observed);
            assert!(found.exact);
            assert_eq!(found.missing.iter().map(|m| m.neuron).collect::<Vec<_>>(), missing);
            for (at, guess) in found.missing.iter().map(|m| (m.neuron, m.guess.unwrap())) {
                assert_eq!((guess.active, guess.monte_carlo_error), (best[at], 0.0));
                assert!(
                    (guess.probability - probabilities[at]).abs() < 1e-12,
                    "{guess:?} {}",
                    probabilities[at]
                );
            }
        }
    }
}

#[test]
fn many_missing_neurons_agree_with_enumeration_within_their_error() {
    for seed in 0..5 {
        let truth = network(18, 0.5, -0.2, seed);
        let missing: Vec<usize> = (2..18).collect();
        let observed = observation(18, &missing, seed + 50);
        let exact = reconstruct(&model(&truth), &observed, &ReconstructOptions::default()).unwrap();
        let options = ReconstructOptions {
            exact_missing_max: 5,
            restarts: 20,
            sweeps: 2000,
            ..ReconstructOptions::default()
        };
        let found = reconstruct(&model(&truth), &observed, &options).unwrap();
        assert!(exact.exact && !found.exact);
        for (found, exact) in found.missing.iter().zip(&exact.missing) {
            let (found, exact) = (found.guess.unwrap(), exact.guess.unwrap());
            assert_eq!(found.active, exact.active, "seed {seed}");
            // Twenty chains know their error to 16 %; 80 probabilities are compared.
            let error = (found.probability - exact.probability).abs();
            assert!(error < 5.0 * found.monte_carlo_error + 1e-9, "seed {seed}: {found:?} {exact:?}");
            assert!(found.monte_carlo_error < 0.02, "{found:?}");
        }
        assert_eq!(reconstruct(&model(&truth), &observed, &options).unwrap(), found);
    }
}

#[test]
fn very_strong_couplings_stay_finite() {
    let mut truth = network(40, 1.0, 0.0, 1);
    truth.couplings *= 1e4;
    for exact_missing_max in [0, 16] {
        let options = ReconstructOptions { exact_missing_max, ..ReconstructOptions::default() };
        let found =
            reconstruct(&model(&truth), &observation(40, &(0..12).collect::<Vec<_>>(), 3), &options).unwrap();
        for guess in found.missing.iter().map(|m| m.guess.unwrap()) {
            assert!(
                (0.0..=1.0).contains(&guess.probability) && guess.monte_carlo_error.is_finite(),
                "{guess:?}"
            );
        }
    }
}

#[test]
fn a_neuron_without_an_estimate_is_not_reconstructed() {
    let mut fitted = model(&network(5, 0.5, 0.0, 1));
    fitted.status[1] = RowStatus::Silent;
    fitted.couplings.row_mut(1).fill(0.0);
    fitted.couplings.column_mut(1).fill(0.0);
    let observed = observation(5, &[1, 3], 2);
    let found = reconstruct(&fitted, &observed, &ReconstructOptions::default()).unwrap();
    assert_eq!(
        found.missing.iter().map(|m| (m.neuron, m.guess.is_some())).collect::<Vec<_>>(),
        [(1, false), (3, true)]
    );
    let found = reconstruct(&fitted, &observation(5, &[], 2), &ReconstructOptions::default()).unwrap();
    assert!(found.missing.is_empty() && found.exact);
    let found = reconstruct(&fitted, &observation(5, &[1], 2), &ReconstructOptions::default()).unwrap();
    assert!(found.missing[0].guess.is_none() && found.exact);
}

#[test]
fn contradictions_and_wrong_options_are_refused() {
    let seen = Observation::new(4, &[2, 2], &[0]).unwrap();
    assert_eq!(seen.values(), [Some(false), None, Some(true), None]);
    assert_eq!(Observation::new(4, &[2, 1], &[0, 2]), Err(ReconstructError::Contradiction { neuron: 2 }));
    let out_of_range = Err(ReconstructError::NeuronOutOfRange { neuron: 4, n_neurons: 4 });
    assert_eq!(Observation::new(4, &[0], &[4]), out_of_range);
    assert!(matches!(Observation::new(usize::MAX, &[], &[]), Err(ReconstructError::Count { .. })));
    let fitted = model(&network(5, 0.5, 0.0, 1));
    let default = ReconstructOptions::default();
    let wrong = reconstruct(&fitted, seen.values(), &default);
    assert_eq!(wrong, Err(ReconstructError::Length { expected: 5, found: 4 }));
    for options in [
        ReconstructOptions { exact_missing_max: 21, ..default.clone() },
        ReconstructOptions { restarts: 1, ..default.clone() },
        ReconstructOptions { sweeps: 9, ..default },
    ] {
        let error = reconstruct(&fitted, &[None; 5], &options).unwrap_err();
        assert!(matches!(error, ReconstructError::Count { .. }), "{error}");
    }
}

#[test]
fn held_out_values_are_recovered_better_than_from_rates() {
    for seed in [1, 2, 3] {
        let truth = network(30, 0.5, -0.4, seed);
        let (old, newer) = (bins(&truth, 5000, seed), bins(&truth, 1000, seed + 20));
        let rates = Rates::of(&old);
        let options = ReconstructionScoreOptions::default();
        let score = reconstruction_score(&model(&truth), &newer, &rates, &options).unwrap();
        assert_eq!((score.bins, score.values), (500, 1500));
        assert!(score.exact && score.active <= score.values && score.active_recovered <= score.active);
        // Some 150 values are recovered by one and not the other: a difference uncertain by 12.
        assert!(score.recovered > score.recovered_by_rates + 40, "seed {seed}: {score:?}");
        assert!(score.active_recovered > score.active_recovered_by_rates, "seed {seed}: {score:?}");
        assert!(score.gain_bits > 5.0 * score.gain_error_bits && score.gain_error_bits > 0.0, "{score:?}");
        for threads in [0, 3] {
            let options = ReconstructionScoreOptions { threads, ..options.clone() };
            assert_eq!(reconstruction_score(&model(&truth), &newer, &rates, &options).unwrap(), score);
        }
        // A model of rates alone recovers what rates do and gains nothing.
        let independent = EquilibriumIsing {
            couplings: Array2::zeros((30, 30)),
            fields: rates.log_odds().mapv(|x| 0.5 * x),
        };
        let score = reconstruction_score(&model(&independent), &newer, &rates, &options).unwrap();
        assert_eq!(score.recovered, score.recovered_by_rates);
        assert_eq!(score.active_recovered, score.active_recovered_by_rates);
        assert!(score.gain_bits.abs() < 1e-9, "{score:?}");
    }
}

#[test]
fn every_share_can_be_hidden_and_no_other() {
    let truth = network(25, 0.3, -0.4, 4);
    let newer = bins(&truth, 20, 5);
    let rates = Rates::of(&newer);
    let mut fitted = model(&truth);
    fitted.status[7] = RowStatus::Duplicate;
    let score = |hidden: f64, bins_max: usize| {
        let options =
            ReconstructionScoreOptions { hidden, bins_max, ..ReconstructionScoreOptions::default() };
        reconstruction_score(&fitted, &newer, &rates, &options)
    };
    let all = score(1.0, 100).unwrap();
    assert_eq!((all.bins, all.values, all.exact), (20, 480, false));
    assert_eq!(score(1e-9, 7).unwrap().values, 7);
    for hidden in [0.0, -1.0, 1.1, f64::NAN] {
        assert!(matches!(score(hidden, 5), Err(ReconstructError::Share { .. })), "{hidden}");
    }
    assert!(matches!(score(0.5, 0), Err(ReconstructError::Count { .. })));
    let empty = Runs { n_neurons: 25, blocks: Vec::new() };
    let options = ReconstructionScoreOptions::default();
    assert_eq!(reconstruction_score(&fitted, &empty, &rates, &options).unwrap().values, 0);
    let other = Runs { n_neurons: 24, blocks: Vec::new() };
    let wrong = reconstruction_score(&fitted, &other, &rates, &options);
    assert_eq!(wrong, Err(ReconstructError::Length { expected: 25, found: 24 }));
}
