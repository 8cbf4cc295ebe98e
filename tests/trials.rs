//! Couplings from repeated trials: found where they are, and not where a stimulus merely drives neurons together.

use glauber::kinetic::{self, TRIAL_BINS_MAX, TrialOptions, from_trials};
use glauber::model::{Estimate, Estimator, Lags, Ridges, RowStatus, Runs, SpikeBlock, Trial};
use glauber::moments::Accumulator;
use glauber::simulate::{KineticIsing, StimulusSimulation, stimulus_drive};

const TRIAL_ESTIMATORS: [Estimator; 3] = [Estimator::TrialNmf, Estimator::TrialTap, Estimator::TrialExact];

fn options() -> TrialOptions {
    TrialOptions { threads: 2, ..TrialOptions::default() }
}

struct Locked {
    network: KineticIsing,
    runs: Runs,
    trials: Vec<Trial>,
}

/// A network under a drive of standard deviation `drive`, half of its variance shared.
fn locked(n: usize, coupling_std: f64, drive: f64, bins: usize, repeats: usize, seed: u64) -> Locked {
    let network = KineticIsing::asymmetric_sk(n, coupling_std, -0.3, seed).unwrap();
    let drive = stimulus_drive(n, bins, drive, seed + 1000).unwrap();
    let (runs, trials) = StimulusSimulation::new(&network, &drive, seed + 2000).unwrap().trials(repeats);
    Locked { network, runs, trials }
}

fn stationary(runs: &Runs, estimators: &[Estimator]) -> Vec<Estimate> {
    let mut counts = Accumulator::new(runs.n_neurons, &Lags::default());
    runs.blocks.iter().for_each(|block| counts.add_newest(block, 0..block.n_bins()));
    kinetic::estimate(&counts.counts(), estimators, 0.0)
}

/// `(J − J_true) / SE` of every coupling of rows that are OK.
fn z_scores(estimate: &Estimate, network: &KineticIsing) -> Vec<f64> {
    let pairs = estimate.couplings.indexed_iter().filter(|((i, _), _)| estimate.status[*i] == RowStatus::Ok);
    pairs
        .map(|((i, j), found)| (found - network.couplings[[i, j]]) / estimate.standard_error(i, j).unwrap())
        .collect()
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.into_iter().collect();
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn a_stimulus_makes_stationary_estimators_see_couplings_that_are_not_there() {
    // No couplings at all. 400 pairs: |z| > 4 comes by chance in 0.025 of them.
    let Locked { network, runs, trials } = locked(20, 0.0, 1.0, 50, 200, 1);
    for estimate in stationary(&runs, &[Estimator::Nmf, Estimator::ExactMeanField]) {
        let false_pairs = count_large(&estimate);
        println!("{}: {false_pairs} of 400 couplings with |z| > 4, none true", estimate.estimator);
        assert!(false_pairs > 100, "{}: {false_pairs}", estimate.estimator);
    }
    for estimate in from_trials(&runs, &trials, &TRIAL_ESTIMATORS, &options()) {
        let false_pairs = count_large(&estimate);
        println!("{}: {false_pairs} of 400 couplings with |z| > 4, none true", estimate.estimator);
        assert_eq!(estimate.n_ok(), 20);
        assert!(false_pairs <= 1, "{}: {false_pairs}", estimate.estimator);
        // 400 z² average to 1 within 3 · √(2/400) = 21 %.
        let square = mean(z_scores(&estimate, &network).into_iter().map(|z| z * z));
        assert!((square - 1.0).abs() < 0.21, "{}: {square}", estimate.estimator);
    }
}

fn count_large(estimate: &Estimate) -> usize {
    let large = |((i, j), coupling): ((usize, usize), &f64)| {
        estimate.standard_error(i, j).is_some_and(|error| coupling.abs() > 4.0 * error)
    };
    estimate.couplings.indexed_iter().filter(|&entry| large(entry)).count()
}

#[test]
fn couplings_under_a_strong_common_drive_are_recovered_to_their_standard_error() {
    // Four networks of 20 neurons, 400 z each: the mean of 1600 z² scatters by √(2/1600) = 3.5 %, a share in 95 % by 0.54 %.
    // Maximum likelihood is biased by R/(R − 1), 0.7 % of couplings that are 3 SE at most; mean field has an error of its own, which
    // at g = 0.2 is a small part of the SE.
    let mut z: [Vec<f64>; 3] = Default::default();
    let (mut squared_error, mut variance) = ([0.0; 3], [0.0; 3]);
    for seed in 10..14 {
        let Locked { network, runs, trials } = locked(20, 0.2, 1.0, 40, 150, seed);
        for (k, estimate) in from_trials(&runs, &trials, &TRIAL_ESTIMATORS, &options()).iter().enumerate() {
            assert_eq!(estimate.n_ok(), 20, "{}", estimate.estimator);
            z[k].extend(z_scores(estimate, &network));
            squared_error[k] += (&estimate.couplings - &network.couplings).mapv(|e| e * e).sum();
            variance[k] += (0..400).map(|p| estimate.variance.of_coupling(p / 20, p % 20)).sum::<f64>();
        }
    }
    for (k, estimator) in TRIAL_ESTIMATORS.into_iter().enumerate() {
        let square = mean(z[k].iter().map(|z| z * z));
        let covered = mean(z[k].iter().map(|z| f64::from(u8::from(z.abs() < 1.96))));
        let efficiency = squared_error[k] / variance[k];
        println!(
            "{estimator}: variance of z {square:.3}, coverage {covered:.4}, error/bound {efficiency:.3}"
        );
        assert!((0.89..1.14).contains(&square), "{estimator}: variance of z {square}");
        assert!((0.93..0.97).contains(&covered), "{estimator}: coverage {covered}");
        assert!((0.89..1.14).contains(&efficiency), "{estimator}: MSE over its bound {efficiency}");
    }
}

#[test]
fn free_fields_bias_maximum_likelihood_by_one_in_the_number_of_repeats() {
    // The slope of found on true couplings. T = 40 · 10 · R per row over six networks: its SE is about 3 % at R = 5.
    for (repeats, networks) in [(5, 12), (40, 2)] {
        let (mut product, mut square) = ([0.0; 3], 0.0);
        for seed in 0..networks {
            let Locked { network, runs, trials } = locked(10, 0.3, 0.7, 400, repeats, seed);
            square += network.couplings.iter().map(|j| j * j).sum::<f64>();
            for (k, e) in from_trials(&runs, &trials, &TRIAL_ESTIMATORS, &options()).iter().enumerate() {
                product[k] += (&e.couplings * &network.couplings).sum();
            }
        }
        let slope = product.map(|product| product / square);
        println!("R = {repeats}: found / true = {slope:.3?} (nMF, TAP, exact)");
        let expected = repeats as f64 / (repeats as f64 - 1.0);
        assert!((slope[2] / expected - 1.0).abs() < 0.08, "exact at R = {repeats}: {}", slope[2]);
        // Mean field has no such bias, but neglects the variance of the input: 1 − 0.3² · ⟨a⟩ is 0.93 for naive mean field.
        assert!((slope[0] - 0.93).abs() < 0.05, "nMF at R = {repeats}: {}", slope[0]);
    }
}

#[test]
fn fields_follow_the_drive() {
    let network = KineticIsing::asymmetric_sk(8, 0.3, -0.3, 3).unwrap();
    let drive = stimulus_drive(8, 20, 0.8, 4).unwrap();
    let (runs, trials) = StimulusSimulation::new(&network, &drive, 5).unwrap().trials(2000);
    for estimate in from_trials(&runs, &trials, &[Estimator::TrialTap, Estimator::TrialExact], &options()) {
        let fields = estimate.trial_fields.as_ref().unwrap();
        assert_eq!((fields.fields.dim(), fields.repeats.len()), ((8, 19), 19));
        let mut errors = Vec::new();
        for ((i, t), field) in fields.fields.indexed_iter() {
            assert!(fields.estimated[[i, t]]);
            errors.push((field - network.fields[i] - drive[[i, t]]).powi(2));
            assert_eq!(estimate.field_at(i, Some(t as u64)), *field);
        }
        // 1/(R a) with a near 0.6, and what eight couplings add: about 0.0013.
        assert!(mean(errors.iter().copied()) < 0.003, "{}", mean(errors));
        for i in 0..8 {
            assert_eq!(estimate.field_at(i, None), estimate.fields[i]);
            assert_eq!(estimate.field_at(i, Some(19)), estimate.fields[i]);
            let truth = network.fields[i] + drive.row(i).iter().take(19).sum::<f64>() / 19.0;
            let z = (estimate.fields[i] - truth) / estimate.field_standard_error(i).unwrap();
            // Sixteen z: one beyond 4 comes by chance in a thousand such tests.
            assert!(z.abs() < 4.0, "{} field {i}: z = {z}", estimate.estimator);
        }
    }
}

#[test]
fn rows_do_not_depend_on_the_number_of_threads() {
    let Locked { runs, trials, .. } = locked(9, 0.4, 1.0, 12, 60, 2);
    let with =
        |threads| from_trials(&runs, &trials, &TRIAL_ESTIMATORS, &TrialOptions { threads, ..options() });
    let alone = with(1);
    for threads in [0, 2, 3, 50] {
        assert_eq!(with(threads), alone);
    }
}

fn assert_well_defined(estimates: &[Estimate]) {
    for e in estimates {
        let fields = e.trial_fields.as_ref().unwrap();
        let numbers = e.couplings.iter().chain(&e.fields).chain(&fields.fields);
        assert!(numbers.into_iter().all(|v| v.is_finite()), "{}", e.estimator);
        for (i, status) in e.status.iter().enumerate() {
            for j in 0..e.n_neurons() {
                let variance = e.variance.of_coupling(i, j);
                assert!(variance.is_finite() && variance >= 0.0);
                if !status.has_estimate() {
                    assert_eq!((e.couplings[[i, j]], variance), (0.0, 0.0));
                }
            }
            let any = fields.estimated.row(i).iter().any(|&known| known);
            assert_eq!(any, status.has_estimate(), "{} row {i} {status}", e.estimator);
            assert!(e.variance.of_field(i).is_finite());
        }
    }
}

#[test]
fn trials_of_unequal_length_share_the_bins_they_have() {
    let Locked { runs, trials, .. } = locked(6, 0.3, 0.4, 20, 60, 4);
    // Every third trial ends early; only the first keeps its last five bins.
    let cut: Vec<Trial> = trials
        .iter()
        .enumerate()
        .map(|(k, trial)| {
            let short = if k == 0 {
                0
            } else if k % 3 == 0 {
                12
            } else {
                5
            };
            Trial { stop_bin: trial.stop_bin - short, ..*trial }
        })
        .collect();
    let estimates = from_trials(&runs, &cut, &TRIAL_ESTIMATORS, &options());
    assert_well_defined(&estimates);
    for estimate in &estimates {
        let fields = estimate.trial_fields.as_ref().unwrap();
        assert_eq!(fields.repeats, [vec![60; 7], vec![41; 7]].concat());
        assert_eq!(estimate.variance.transitions(), 60 * 7 + 41 * 7);
        assert_eq!(estimate.n_ok(), 6, "{} {:?}", estimate.estimator, estimate.status);
    }
    // What only one trial has tells nothing.
    let mut even = cut.clone();
    even[0].stop_bin -= 5;
    assert_eq!(from_trials(&runs, &even, &TRIAL_ESTIMATORS, &options()), estimates);
}

#[test]
fn too_few_repeats_are_a_status() {
    let Locked { runs, trials, .. } = locked(5, 0.3, 0.8, 30, 3, 4);
    let empty = Trial { start_bin: 40, stop_bin: 40 };
    let backwards = Trial { start_bin: 40, stop_bin: 10 };
    let beyond = Trial { start_bin: u64::MAX - 2, stop_bin: u64::MAX };
    let single = Trial { start_bin: 3, stop_bin: 4 };
    let cases: [&[Trial]; 6] = [
        &[],
        &trials[..1],
        &[empty, backwards],
        &[single, single],
        &[beyond, trials[0], beyond],
        &[empty; 3],
    ];
    for given in cases {
        let estimates = from_trials(&runs, given, &TRIAL_ESTIMATORS, &options());
        assert_eq!(estimates.len(), 3);
        assert_well_defined(&estimates);
        for e in &estimates {
            assert!(e.status.iter().all(|&s| s == RowStatus::TooFewRepeats), "{given:?}: {:?}", e.status);
            assert_eq!(e.variance.transitions(), 0);
        }
    }
    let nothing = Runs { n_neurons: 2, blocks: vec![] };
    assert_eq!(from_trials(&nothing, &trials, &[Estimator::TrialNmf], &options())[0].n_ok(), 0);
    assert_eq!(from_trials(&runs, &trials, &[Estimator::Nmf], &options()), []);
    // Two repeats are enough to be counted, but not for six unknowns per row and bin.
    let estimates = from_trials(&runs, &trials[..2], &TRIAL_ESTIMATORS, &options());
    assert_well_defined(&estimates);
    assert!(estimates.iter().all(|e| e.variance.transitions() == 58));
}

#[test]
fn what_is_no_ridge_leaves_no_estimate() {
    let Locked { runs, trials, .. } = locked(5, 0.3, 0.8, 10, 40, 4);
    for ridge in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 2.0 * Ridges::VALUE_MAX] {
        let estimates = from_trials(&runs, &trials, &TRIAL_ESTIMATORS, &TrialOptions { ridge, ..options() });
        assert_well_defined(&estimates);
        for e in &estimates {
            assert!(e.status.iter().all(|&s| s == RowStatus::Singular), "{ridge}: {:?}", e.status);
        }
    }
    let strong = TrialOptions { ridge: Ridges::VALUE_MAX, ..options() };
    let estimates = from_trials(&runs, &trials, &TRIAL_ESTIMATORS, &strong);
    assert_well_defined(&estimates);
    for e in &estimates {
        assert_eq!(e.n_ok(), 5, "{}", e.estimator);
        assert!(e.couplings.iter().all(|j| j.abs() < 2.0 / Ridges::VALUE_MAX));
        assert!((0..5).all(|i| e.standard_error(i, (i + 1) % 5).is_some()));
    }
}

#[test]
fn bins_beyond_the_longest_trial_are_left_out() {
    let bins = TRIAL_BINS_MAX + 5;
    let lists: Vec<Vec<u16>> = (0..2 * bins)
        .map(|bin| {
            let fires = |i: u64| (bin as u64 * 31 + i).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63 == 0;
            (0..2).filter(|&i| fires(u64::from(i))).collect()
        })
        .collect();
    let runs = Runs { n_neurons: 2, blocks: vec![SpikeBlock::from_lists(0, &lists, 2).unwrap()] };
    let trial = |k: usize| Trial { start_bin: (k * bins) as u64, stop_bin: ((k + 1) * bins) as u64 };
    let estimate = &from_trials(&runs, &[trial(0), trial(1)], &[Estimator::TrialNmf], &options())[0];
    assert_eq!(estimate.variance.transitions(), 2 * TRIAL_BINS_MAX as u64);
    assert_eq!(estimate.trial_fields.as_ref().unwrap().repeats.len(), TRIAL_BINS_MAX);
}

#[test]
fn a_trial_ends_where_another_begins() {
    let Locked { runs, trials, .. } = locked(5, 0.3, 0.8, 10, 200, 4);
    let reach_over: Vec<Trial> = trials.iter().map(|t| Trial { stop_bin: t.stop_bin + 15, ..*t }).collect();
    // The last one has nothing behind it to end at but the end of the runs.
    assert_eq!(
        from_trials(&runs, &reach_over, &TRIAL_ESTIMATORS, &options()),
        from_trials(&runs, &trials, &TRIAL_ESTIMATORS, &options())
    );
    let twice: Vec<Trial> = trials.iter().chain(&trials).copied().collect();
    assert_eq!(
        from_trials(&runs, &twice, &TRIAL_ESTIMATORS, &options()),
        from_trials(&runs, &trials, &TRIAL_ESTIMATORS, &options())
    );
}

/// The bins of the runs with some neurons added.
fn with_more(runs: &Runs, n_neurons: usize, more: &dyn Fn(&[u16]) -> Vec<u16>) -> Runs {
    let block = |block: &SpikeBlock| {
        let lists: Vec<Vec<u16>> = block.bins().map(|bin| [bin.to_vec(), more(bin)].concat()).collect();
        SpikeBlock::from_lists(block.first_bin(), &lists, n_neurons).unwrap()
    };
    Runs { n_neurons, blocks: runs.blocks.iter().map(block).collect() }
}

#[test]
fn silent_saturated_and_repeated_neurons_leave_the_others_unharmed() {
    let Locked { runs, trials, .. } = locked(5, 0.4, 0.8, 12, 80, 6);
    // Neuron 5 is silent, 6 always fires, 7 copies 2.
    let spoiled = with_more(&runs, 8, &|bin| if bin.contains(&2) { vec![6, 7] } else { vec![6] });
    let alone = from_trials(&runs, &trials, &TRIAL_ESTIMATORS, &options());
    let among = from_trials(&spoiled, &trials, &TRIAL_ESTIMATORS, &options());
    assert_well_defined(&among);
    for (alone, among) in alone.iter().zip(&among) {
        assert_eq!(among.status[5..], [RowStatus::Silent, RowStatus::Saturated, RowStatus::Duplicate]);
        assert_eq!(among.status[..5], alone.status[..]);
        assert_eq!(among.couplings.slice(ndarray::s![..5, ..5]), alone.couplings);
        assert_eq!(among.fields.slice(ndarray::s![..5]), alone.fields);
    }
}

#[test]
fn a_neuron_that_only_follows_the_stimulus_takes_no_part() {
    let Locked { runs, trials, .. } = locked(4, 0.2, 0.8, 12, 80, 6);
    // Neuron 4 fires in bin 3 of every trial and in no other.
    let block = |block: &SpikeBlock| {
        let mut lists: Vec<Vec<u16>> = block.bins().map(<[u16]>::to_vec).collect();
        lists[3].push(4);
        SpikeBlock::from_lists(block.first_bin(), &lists, 5).unwrap()
    };
    let with = Runs { n_neurons: 5, blocks: runs.blocks.iter().map(block).collect() };
    let estimates = from_trials(&with, &trials, &TRIAL_ESTIMATORS, &options());
    assert_well_defined(&estimates);
    for e in &estimates {
        assert_eq!((e.status[4], e.n_ok()), (RowStatus::TooFewRepeats, 4), "{}", e.estimator);
    }
}

#[test]
fn a_neuron_that_follows_another_without_fail_is_separated() {
    let Locked { runs, trials, .. } = locked(4, 0.0, 0.5, 12, 80, 6);
    // Neuron 4 fires one bin after neuron 1.
    let block = |block: &SpikeBlock| {
        let bins: Vec<Vec<u16>> = block.bins().map(<[u16]>::to_vec).collect();
        let follows = |t: usize| t > 0 && bins[t - 1].contains(&1);
        let lists: Vec<Vec<u16>> =
            (0..bins.len()).map(|t| [&bins[t][..], if follows(t) { &[4] } else { &[] }].concat()).collect();
        SpikeBlock::from_lists(block.first_bin(), &lists, 5).unwrap()
    };
    let with = Runs { n_neurons: 5, blocks: runs.blocks.iter().map(block).collect() };
    let exact = [Estimator::TrialExact];
    let estimate = &from_trials(&with, &trials, &exact, &options())[0];
    assert_eq!((estimate.status[4], estimate.n_ok()), (RowStatus::Separated, 4));
    assert_well_defined(std::slice::from_ref(estimate));
    let ridged = &from_trials(&with, &trials, &exact, &TrialOptions { ridge: 0.1, ..options() })[0];
    assert_eq!(ridged.n_ok(), 5);
    assert!(ridged.couplings[[4, 1]] > 1.0 && ridged.couplings[[4, 1]].is_finite());
    // The summed input of that neuron is all there is: no TAP root, and naive mean field says that it does not hold.
    let fields = from_trials(&with, &trials, &TRIAL_ESTIMATORS[..2], &options());
    assert_eq!(fields[0].status[4], RowStatus::MeanFieldInvalid);
    assert_eq!(fields[1].status[4], RowStatus::TapNoRoot);
    assert_eq!(fields[1].couplings.row(4), fields[0].couplings.row(4));
    assert_eq!(fields[1].fields[4], fields[0].fields[4]);
}

#[test]
fn an_iteration_that_is_cut_short_says_so() {
    let Locked { runs, trials, .. } = locked(5, 0.6, 1.0, 12, 80, 6);
    let hurried =
        from_trials(&runs, &trials, &TRIAL_ESTIMATORS, &TrialOptions { iterations_max: 3, ..options() });
    assert_well_defined(&hurried);
    assert_eq!(hurried[0].n_ok(), 5);
    assert!(hurried[0].convergence.is_none());
    assert!(hurried[1].status.iter().all(|&s| s == RowStatus::NotConverged));
    assert_eq!(hurried[1].couplings, hurried[0].couplings);
    let exact = hurried[2].convergence.as_ref().unwrap();
    assert!(hurried[2].status.iter().all(|&s| s == RowStatus::NotConverged));
    assert!(exact.iterations.iter().all(|&k| k == 3) && exact.gradient_norm.iter().all(|&g| g > 1e-8));
    let full = from_trials(&runs, &trials, &TRIAL_ESTIMATORS, &options());
    let exact = full[2].convergence.as_ref().unwrap();
    assert!(full[2].n_ok() == 5 && exact.gradient_norm.iter().all(|&g| g <= 1e-8));
}

#[test]
fn no_data_however_odd_gives_anything_but_numbers_and_statuses() {
    let mut state = 1u64;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for case in 0..150 {
        let n = 1 + draw(5) as usize;
        let blocks = (0..draw(4))
            .map(|k| {
                let lists: Vec<Vec<u16>> =
                    (0..1 + draw(40)).map(|_| (0..n as u16).filter(|_| draw(3) == 0).collect()).collect();
                SpikeBlock::from_lists(50 * k + draw(10), &lists, n).unwrap()
            })
            .collect();
        let trials: Vec<Trial> = (0..draw(12))
            .map(|_| {
                let start_bin = draw(180);
                Trial { start_bin, stop_bin: start_bin + draw(30) }
            })
            .collect();
        let ridge = if case % 2 == 0 { 0.0 } else { 0.2 };
        let options = TrialOptions { ridge, iterations_max: 100, ..options() };
        let runs = Runs { n_neurons: n, blocks };
        assert_well_defined(&from_trials(&runs, &trials, &TRIAL_ESTIMATORS, &options));
    }
}
