//! Scores of equilibrium models by pseudo-likelihood, and their checks by short Monte Carlo.

use glauber::equilibrium::{
    CheckOptions, Conditional, EquilibriumError, MaximumLikelihoodOptions, Rates, Samples, check,
    maximum_likelihood, predicted_pairs,
};
use glauber::model::{
    Agreement, EquilibriumDiagnostics, EquilibriumMethod, EquilibriumModel, RowStatus, Runs, SpikeBlock,
};
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

fn spin(bin: &[u16], i: usize) -> f64 {
    if bin.contains(&(i as u16)) { 1.0 } else { -1.0 }
}

#[test]
fn the_score_is_the_pseudo_likelihood_gained_over_rates() {
    let truth = network(7, 0.6, -0.4, 3);
    let (old, newer) = (bins(&truth, 400, 1), bins(&truth, 1300, 2));
    let mut fitted = model(&truth);
    // One without an estimate: predicted by its rate, and silent in what the others are told.
    fitted.status[2] = RowStatus::Separated;
    fitted.couplings.row_mut(2).fill(0.0);
    fitted.couplings.column_mut(2).fill(0.0);
    fitted.fields[2] = 0.0;
    let rates = Rates::of(&old);
    let conditional = Conditional::new(&fitted, &rates);
    let score = conditional.score(&newer, &rates);
    assert_eq!(score.transitions, 1300.0);
    for i in 0..7 {
        let fired = |runs: &Runs| runs.blocks[0].bins().filter(|bin| spin(bin, i) > 0.0).count() as f64;
        let rate = (fired(&old) + 0.5) / 401.0;
        assert_eq!(score.spikes[i], fired(&newer));
        let mut gain = 0.0;
        for bin in newer.blocks[0].bins() {
            let input =
                fitted.fields[i] + (0..7).map(|j| fitted.couplings[[i, j]] * spin(bin, j)).sum::<f64>();
            let by_model = 1.0 / (1.0 + (-2.0 * input * spin(bin, i)).exp());
            let by_rate = if spin(bin, i) > 0.0 { rate } else { 1.0 - rate };
            gain += (by_model / by_rate).log2() * f64::from(i != 2);
            if i != 2 {
                let fires = if spin(bin, i) > 0.0 { by_model } else { 1.0 - by_model };
                assert!((conditional.probability(i, bin) - fires).abs() < 1e-6);
            }
        }
        // Couplings are kept to 24 bits: 6e-8 of each of 1300 log-odds of some units.
        assert!((score.gain_bits[i] - gain).abs() < 1e-3, "{i}: {} {gain}", score.gain_bits[i]);
        assert!(i == 2 || gain > 10.0, "the true couplings predict better than rates: {gain}");
    }
}

#[test]
fn rates_are_finite_for_neurons_that_never_or_always_fire() {
    let rates = Rates::from_counts(&[0, 5, 10], 10);
    let shares = [0.5 / 11.0, 0.5, 10.5 / 11.0];
    for (i, share) in shares.into_iter().enumerate() {
        assert!((rates.log_probability(i, true) - f64::ln(share)).abs() < 1e-14);
        assert!((rates.log_probability(i, false) - (1.0 - share).ln()).abs() < 1e-14);
    }
    let nothing = Runs { n_neurons: 3, blocks: Vec::new() };
    let score = Conditional::new(&model(&network(3, 0.5, 0.0, 1)), &rates).score(&nothing, &rates);
    assert!(score.gain_bits.iter().all(|&gain| gain == 0.0) && score.transitions == 0.0);
}

#[test]
fn the_true_model_agrees_within_the_errors_and_one_of_rates_does_not() {
    for seed in [1, 2, 3] {
        let truth = network(20, 0.4, -0.3, seed);
        let samples = Samples::of(&bins(&truth, 20_000, seed + 10));
        let options = CheckOptions { chains: 16, sweeps: 4000, ..CheckOptions::default() };
        let found = check(&samples, &model(&truth), &options).unwrap();
        assert_eq!((found.drawn, found.bins), (64_000, 20_000));
        for (kind, values) in
            [(found.means, 20), (found.pair_correlations, 190), (found.triplet_correlations, 1140)]
        {
            assert_eq!(kind.values, values);
            // Differences of neurons go together, so that the 20 means scatter more than independent ones would.
            let ratio = kind.rms_difference / kind.rms_error;
            assert!((0.5..2.0).contains(&ratio), "seed {seed}, {values} values: {ratio}");
            assert!(kind.correlation.unwrap() > 0.9, "seed {seed}: {kind:?}");
        }
        let silent_log_odds = samples.magnetizations.mapv(f64::atanh);
        let independent = EquilibriumIsing { couplings: Array2::zeros((20, 20)), fields: silent_log_odds };
        let found = check(&samples, &model(&independent), &options).unwrap();
        assert!(found.means.rms_difference < 2.0 * found.means.rms_error);
        let pairs = found.pair_correlations;
        assert!(pairs.rms_difference > 10.0 * pairs.rms_error, "{pairs:?}");
        assert!((pairs.rms_difference / pairs.rms_observed - 1.0).abs() < 0.05, "{pairs:?}");
    }
}

#[test]
fn a_fitted_model_is_off_by_chance_as_the_bins_compared_say() {
    // Mean squares over networks; of each kind in units of the Monte Carlo error, and of that and the sampling error together.
    let (mut own, mut newer) = ([[0.0; 2]; 2], [[0.0; 2]; 2]);
    let networks = 6;
    for seed in 1..=networks {
        let truth = network(12, 0.4, -0.3, seed);
        let fitted_to = Samples::of(&bins(&truth, 5000, seed + 10));
        let others = Samples::of(&bins(&truth, 5000, seed + 20));
        let model = maximum_likelihood(&fitted_to, &MaximumLikelihoodOptions::default()).unwrap();
        assert_eq!(model.status, [RowStatus::Ok; 12]);
        let options = CheckOptions { chains: 32, sweeps: 4000, ..CheckOptions::default() };
        for (samples, ratios) in [(&fitted_to, &mut own), (&others, &mut newer)] {
            let found = check(samples, &model, &options).unwrap();
            for (kind, [predicted, both]) in [found.means, found.pair_correlations].into_iter().zip(ratios) {
                let sum = kind.rms_predicted_error.hypot(kind.rms_observed_error);
                assert!((kind.rms_error - sum).abs() < 1e-12);
                *predicted += (kind.rms_difference / kind.rms_predicted_error).powi(2) / networks as f64;
                *both += (kind.rms_difference / kind.rms_error).powi(2) / networks as f64;
            }
        }
    }
    println!("own bins {own:?}, newer {newer:?}");
    let [means, pairs] = own;
    // Mean squares of 72 means that go together and 396 pairs, and errors known from 32 chains or blocks.
    assert!((0.5..1.7).contains(&means[0]) && (0.75..1.3).contains(&pairs[0]), "{own:?}");
    assert!(means[1] < 0.4 && pairs[1] < 0.4, "{own:?}");
    // 1 + T_newer / T_fit = 2, less the share of the Monte Carlo error.
    let [means, pairs] = newer;
    assert!((1.0..3.0).contains(&means[1]) && (1.5..2.4).contains(&pairs[1]), "{newer:?}");
}

#[test]
fn the_number_of_active_neurons_is_that_of_enumeration() {
    let truth = network(8, 0.7, -0.3, 5);
    let mut expected = [0.0; 9];
    for state in 0..256_u32 {
        let s = |i: usize| if state >> i & 1 == 1 { 1.0 } else { -1.0 };
        let pairs: f64 = (0..8)
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .map(|(i, j)| truth.couplings[[i, j]] * s(i) * s(j))
            .sum();
        let fields: f64 = (0..8).map(|i| truth.fields[i] * s(i)).sum();
        expected[state.count_ones() as usize] += (pairs + fields).exp();
    }
    let total: f64 = expected.iter().sum();
    let samples = Samples::of(&bins(&truth, 20_000, 1));
    let found =
        check(&samples, &model(&truth), &CheckOptions { chains: 32, ..CheckOptions::default() }).unwrap();
    assert_eq!(found.active_counts.len(), 9);
    for (count, weight) in found.active_counts.iter().zip(expected) {
        let exact = weight / total;
        // 32 chains: an error that is itself known to some 13 %; nine values.
        assert!((count.predicted - exact).abs() < 4.5 * count.predicted_error + 1e-4, "{count:?} {exact}");
        // 20,000 bins five sweeps apart: nearly independent.
        assert!((count.observed - exact).abs() < 6.0 * (exact / 20_000.0).sqrt() + 1e-4, "{count:?} {exact}");
    }
    for sum in [
        found.active_counts.iter().map(|count| count.observed).sum::<f64>(),
        found.active_counts.iter().map(|count| count.predicted).sum(),
    ] {
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
    }
}

#[test]
fn only_neurons_of_both_are_compared_and_threads_change_nothing() {
    let truth = network(9, 0.4, 0.0, 5);
    let mut block = SpikeBlock::empty(0);
    // Neuron 0 never fires in the bins.
    bins(&truth, 3000, 2).blocks[0]
        .bins()
        .for_each(|bin| block.push_sorted(bin.strip_prefix(&[0]).unwrap_or(bin)));
    let samples = Samples::of(&Runs { n_neurons: 9, blocks: vec![block] });
    let mut fitted = model(&truth);
    fitted.status[4] = RowStatus::Singular;
    let options = CheckOptions { sweeps: 300, chains: 5, ..CheckOptions::default() };
    let found = check(&samples, &fitted, &options).unwrap();
    assert_eq!((found.means.values, found.pair_correlations.values), (7, 21));
    for threads in [0, 2, 3, 40] {
        assert_eq!(check(&samples, &fitted, &CheckOptions { threads, ..options.clone() }).unwrap(), found);
    }
    assert_ne!(check(&samples, &fitted, &CheckOptions { seed: 2, ..options.clone() }).unwrap(), found);
    // Few bins have few blocks.
    let few = Samples::of(&Runs { n_neurons: 9, blocks: vec![bins(&truth, 2, 3).blocks[0].clone()] });
    let found = check(&few, &fitted, &options).unwrap();
    assert!(found.pair_correlations.rms_error.is_finite() && found.means.rms_difference.is_finite());
    let one = Samples::of(&Runs { n_neurons: 9, blocks: vec![bins(&truth, 1, 3).blocks[0].clone()] });
    assert_eq!(check(&one, &fitted, &options).unwrap().means, Agreement::default());
    // Nothing to compare.
    fitted.status.fill(RowStatus::Undersampled);
    let found = check(&samples, &fitted, &options).unwrap();
    assert_eq!((found.drawn, found.bins, found.means.values), (0, 3000, 0));
}

#[test]
fn what_is_no_option_is_refused() {
    let truth = network(3, 0.4, 0.0, 5);
    let samples = Samples::of(&bins(&truth, 50, 2));
    let default = CheckOptions::default();
    for (options, what) in [
        (CheckOptions { chains: 1, ..default.clone() }, "chains"),
        (CheckOptions { chains: 65, ..default.clone() }, "chains"),
        (CheckOptions { sweeps: 0, ..default.clone() }, "sweeps"),
        (CheckOptions { burn_in: 100_001, ..default }, "burn-in sweeps"),
    ] {
        let error = check(&samples, &model(&truth), &options).unwrap_err();
        assert!(matches!(error, EquilibriumError::Count { what: found, .. } if found == what), "{error}");
    }
}

#[test]
fn predicted_pairs_of_two_neurons_are_those_of_the_closed_form() {
    let (coupling, fields) = (0.4, [-0.6, 0.2]);
    // A third has no estimate, and no part in anything.
    let couplings =
        Array2::from_shape_vec((3, 3), vec![0.0, 0.0, coupling, 0.0, 0.0, 0.0, coupling, 0.0, 0.0]).unwrap();
    let network = EquilibriumIsing { couplings, fields: vec![fields[0], 0.0, fields[1]].into() };
    let mut model = model(&network);
    model.status[1] = RowStatus::Silent;
    let options = CheckOptions { sweeps: 20_000, ..CheckOptions::default() };
    let found = predicted_pairs(&model, &options).unwrap();
    assert_eq!((&found.neurons[..], found.drawn), (&[0, 2][..], 8 * 20_000));
    assert_eq!((found.means.len(), found.correlations.len(), found.correlation_errors.len()), (2, 1, 1));

    // P(s, t) ∝ exp(h₀ s + h₁ t + J s t).
    let states = [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)];
    let weight = |s: f64, t: f64| (fields[0] * s + fields[1] * t + coupling * s * t).exp();
    let total: f64 = states.iter().map(|&(s, t)| weight(s, t)).sum();
    let mean = |of: &dyn Fn(f64, f64) -> f64| {
        states.iter().map(|&(s, t)| of(s, t) * weight(s, t)).sum::<f64>() / total
    };
    let means = [mean(&|s, _| s), mean(&|_, t| t)];
    let correlation = mean(&|s, t| s * t) - means[0] * means[1];
    let error = found.correlation_errors[0];
    assert!(error > 0.0 && error < 0.01, "{error}");
    let away = (found.correlations[0] - correlation) / error;
    assert!(away.abs() < 4.0, "{} is {away} errors from {correlation}", found.correlations[0]);
    // Of means no errors are told: were the drawings independent, that of a spin would be at most this. They are not quite.
    for (found, mean) in found.means.iter().zip(means) {
        let error = (1.0 / (8.0 * 20_000.0_f64)).sqrt();
        assert!((found - mean).abs() < 8.0 * error, "{found} is not {mean}");
    }
}
