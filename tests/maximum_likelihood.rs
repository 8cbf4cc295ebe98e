//! Maximum likelihood by enumeration of all configurations.

use glauber::equilibrium::{
    EquilibriumError, FitOptions, MaximumLikelihoodOptions, Samples, fit, maximum_likelihood,
};
use glauber::model::{
    EquilibriumDiagnostics, EquilibriumMethod, EquilibriumModel, RowStatus, Runs, SpikeBlock,
};
use glauber::simulate::{EquilibriumIsing, GibbsSampler};
use ndarray::{Array1, Array2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Couplings and fields from a normal distribution of variance `g²/n`.
fn sk(n: usize, g: f64, seed: u64) -> EquilibriumIsing {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = || {
        let z: f64 = StandardNormal.sample(&mut random);
        g * z / (n as f64).sqrt()
    };
    let mut couplings = Array2::zeros((n, n));
    for i in 0..n {
        for j in 0..i {
            couplings[[i, j]] = draw();
            couplings[[j, i]] = couplings[[i, j]];
        }
    }
    EquilibriumIsing { couplings, fields: (0..n).map(|_| draw()).collect() }
}

fn bins(network: &EquilibriumIsing, n_bins: usize, seed: u64) -> Runs {
    let mut sampler = GibbsSampler::new(network, seed);
    (0..500).for_each(|_| sampler.sweep());
    Runs { n_neurons: network.n_neurons(), blocks: vec![sampler.bins(n_bins, 5)] }
}

fn runs(lists: &[Vec<u16>], n_neurons: usize) -> Runs {
    Runs { n_neurons, blocks: vec![SpikeBlock::from_lists(0, lists, n_neurons).unwrap()] }
}

fn fitted(runs: &Runs) -> EquilibriumModel {
    maximum_likelihood(&Samples::of(runs), &MaximumLikelihoodOptions::default()).unwrap()
}

/// `⟨s_i⟩`, `⟨s_i s_j⟩` and the mean log-likelihood in bits by the definition, state by state.
fn by_definition(model: &EquilibriumModel, data: &Samples) -> (Array1<f64>, Array2<f64>, f64) {
    let n = model.n_neurons();
    let (mut first, mut second, mut partition) = (Array1::<f64>::zeros(n), Array2::<f64>::zeros((n, n)), 0.0);
    for state in 0..1_u32 << n {
        let s = Array1::from_shape_fn(n, |i| if state >> i & 1 == 1 { 1.0 } else { -1.0 });
        let weight = (model.fields.dot(&s) + 0.5 * s.dot(&model.couplings.dot(&s))).exp();
        partition += weight;
        first.scaled_add(weight, &s);
        for i in 0..n {
            second.row_mut(i).scaled_add(weight * s[i], &s);
        }
    }
    let energy =
        model.fields.dot(&data.magnetizations) + 0.5 * (&model.couplings * &data.second_moments).sum();
    (first / partition, second / partition, (energy - f64::ln(partition)) / std::f64::consts::LN_2)
}

fn assert_finite(model: &EquilibriumModel) {
    assert!(model.couplings.iter().chain(&model.fields).all(|x| x.is_finite()));
    if let Some(errors) = &model.errors {
        assert!(errors.couplings.iter().chain(&errors.fields).all(|x| x.is_finite()));
    }
}

#[test]
fn moments_by_the_definition_are_those_of_the_data() {
    for (n, g, seed) in [(1, 1.0, 1), (2, 1.0, 2), (5, 1.0, 3), (10, 0.5, 4), (10, 1.5, 5)] {
        let samples = Samples::of(&bins(&sk(n, g, seed), 3000, seed));
        let model = maximum_likelihood(&samples, &MaximumLikelihoodOptions::default()).unwrap();
        assert!(model.status.iter().all(|&status| status == RowStatus::Ok), "{:?}", model.status);
        let (first, second, bits) = by_definition(&model, &samples);
        assert!((first - &samples.magnetizations).iter().all(|d| d.abs() < 1e-9));
        assert!((second - &samples.second_moments).iter().all(|d| d.abs() < 1e-9));
        let EquilibriumDiagnostics::MaximumLikelihood { gradient_norm, log_likelihood_bits } =
            model.diagnostics
        else {
            panic!("{:?}", model.diagnostics)
        };
        assert!(
            gradient_norm <= 1e-10 && (log_likelihood_bits - bits).abs() < 1e-9,
            "{log_likelihood_bits} {bits}"
        );
        assert_eq!(model.couplings, model.couplings.t());
        assert!(model.couplings.diag().iter().all(|&own| own == 0.0));
    }
}

#[test]
fn an_independent_optimiser_finds_the_same_parameters() {
    // Moment matching by the definition, one small step after the other, has no code and no method in common.
    for seed in [1, 2, 3] {
        let samples = Samples::of(&bins(&sk(6, 0.8, seed), 2000, seed));
        let model = maximum_likelihood(&samples, &MaximumLikelihoodOptions::default()).unwrap();
        let mut slow = model.clone();
        (slow.couplings, slow.fields) = (Array2::zeros((6, 6)), Array1::zeros(6));
        for _ in 0..20_000 {
            let (first, second, _) = by_definition(&slow, &samples);
            slow.fields = &slow.fields + &((&samples.magnetizations - &first) * 0.2);
            slow.couplings = &slow.couplings + &((&samples.second_moments - &second) * 0.2);
            slow.couplings.diag_mut().fill(0.0);
        }
        assert!((&slow.couplings - &model.couplings).iter().all(|d| d.abs() < 1e-8), "seed {seed}");
        assert!((&slow.fields - &model.fields).iter().all(|d| d.abs() < 1e-8), "seed {seed}");
    }
}

#[test]
fn errors_are_those_of_the_reference_table() {
    // 10⁴ samples of n = 20, mean squared error over all 210 parameters: 1.62e-4 at g = 0.5 and 4.0e-4 at g = 1.0.
    for (g, reference) in [(0.5, 1.62e-4), (1.0, 4.0e-4)] {
        let found: Vec<f64> = (1..=6)
            .map(|seed| {
                let truth = sk(20, g, seed);
                let model = fitted(&bins(&truth, 10_000, seed + 100));
                let fields = (&model.fields - &truth.fields).iter().map(|d| d * d).sum::<f64>();
                let couplings = (&model.couplings - &truth.couplings).iter().map(|d| d * d).sum::<f64>();
                (fields + 0.5 * couplings) / 210.0
            })
            .collect();
        let mean = found.iter().sum::<f64>() / 6.0;
        let spread = (found.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 5.0).sqrt();
        println!("g = {g}: {mean:.3e} ± {:.1e}, seeds {spread:.1e}", spread / 6.0_f64.sqrt());
        // Networks differ, the reference's own among them: its error is that of one of ours.
        assert!((mean - reference).abs() < 3.0 * spread * (1.0 + 1.0 / 6.0_f64).sqrt(), "g = {g}: {found:?}");
        assert!((mean / reference - 1.0).abs() < 0.3, "g = {g}: {found:?}");
    }
}

#[test]
fn standard_errors_cover_the_truth() {
    let (mut covered, mut total, mut squares) = (0, 0, 0.0);
    for seed in 0..20 {
        let truth = sk(8, 0.7, seed);
        let model = fitted(&bins(&truth, 4000, seed + 1000));
        let errors = model.errors.unwrap();
        assert_eq!((errors.blocks, errors.couplings[[3, 3]]), (32, 0.0));
        let fields = (0..8).map(|i| (model.fields[i] - truth.fields[i]) / errors.fields[i]);
        let pairs = (0..8).flat_map(|i| (0..i).map(move |j| (i, j)));
        let pairs = pairs.map(|at| (model.couplings[at] - truth.couplings[at]) / errors.couplings[at]);
        for z in fields.chain(pairs) {
            covered += i32::from(z.abs() < 1.96);
            squares += z * z;
            total += 1;
        }
    }
    // With errors from 32 blocks z has Student's distribution of 31 degrees: 0.941 within 1.96 and a variance of 31/29. 720 values, some of them
    // correlated.
    let share = f64::from(covered) / f64::from(total);
    assert!((0.915..0.97).contains(&share), "{share}");
    assert!((squares / f64::from(total) - 31.0 / 29.0).abs() < 0.2, "{}", squares / f64::from(total));
}

#[test]
fn neurons_that_take_no_part_do_not_count() {
    let block = bins(&sk(20, 0.5, 1), 3000, 2).blocks[0].clone();
    // Twenty-one neurons: one too many, unless the last is silent, saturated or a copy.
    let with = |last: &dyn Fn(usize, &[u16]) -> bool| {
        let lists: Vec<Vec<u16>> = (0..block.n_bins())
            .map(|t| block.bin(t).iter().copied().chain(last(t, block.bin(t)).then_some(20)).collect())
            .collect();
        Samples::of(&runs(&lists, 21))
    };
    let options = MaximumLikelihoodOptions::default();
    let error = maximum_likelihood(&with(&|t, _| t % 3 == 0), &options).unwrap_err();
    assert_eq!(
        error,
        EquilibriumError::TooManyNeurons { method: EquilibriumMethod::MaximumLikelihood, max: 20, found: 21 }
    );
    let silent = maximum_likelihood(&with(&|_, _| false), &options).unwrap();
    for (samples, why) in [
        (with(&|_, _| false), RowStatus::Silent),
        (with(&|_, _| true), RowStatus::Saturated),
        (with(&|_, bin| bin.contains(&4)), RowStatus::Duplicate),
    ] {
        let model = maximum_likelihood(&samples, &options).unwrap();
        assert!(model.status[..20].iter().all(|&status| status == RowStatus::Ok));
        assert_eq!((model.status[20], model.fields[20]), (why, 0.0));
        assert_eq!((&model.couplings, &model.fields), (&silent.couplings, &silent.fields));
        assert!(model.couplings.row(20).iter().all(|&j| j == 0.0));
    }
}

#[test]
fn a_pair_that_lacks_a_state_is_separated_and_the_rest_is_fitted() {
    // 1 never fires with 0; 2 to 4 are anything.
    let free = bins(&sk(5, 0.5, 7), 2000, 3);
    let lists: Vec<Vec<u16>> = free.blocks[0]
        .bins()
        .map(|bin| bin.iter().copied().filter(|&i| !(i == 1 && bin.contains(&0))).collect())
        .collect();
    let model = fitted(&runs(&lists, 5));
    assert_finite(&model);
    // Of the two, 1 has lost spikes and is the rarer.
    let ok = RowStatus::Ok;
    assert_eq!(model.status, [ok, RowStatus::Separated, ok, ok, ok]);
    let without: Vec<Vec<u16>> = lists
        .iter()
        .map(|bin| bin.iter().filter(|&&i| i != 1).map(|&i| if i > 1 { i - 1 } else { i }).collect())
        .collect();
    let rest = fitted(&runs(&without, 4));
    assert!((model.fields[2] - rest.fields[1]).abs() < 1e-12);
    assert!((model.couplings[[0, 4]] - rest.couplings[[0, 3]]).abs() < 1e-12);
    assert!(model.couplings.row(1).iter().all(|&j| j == 0.0) && model.fields[1] == 0.0);
}

#[test]
fn a_triple_that_lacks_states_has_no_maximum() {
    // All pairs show all states, but three never agree: ⟨s_0 s_1⟩ + ⟨s_0 s_2⟩ + ⟨s_1 s_2⟩ = −1 is the least there is.
    let lists: Vec<Vec<u16>> = (0..600_usize)
        .map(|t| {
            let three: &[u16] = [&[0][..], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[1]][t % 7];
            three.iter().copied().chain((t % 5 < 2).then_some(3)).collect()
        })
        .collect();
    let model = fitted(&runs(&lists, 4));
    assert_eq!(model.status, [RowStatus::Separated; 4]);
    assert!(model.couplings.iter().all(|&j| j == 0.0) && model.errors.is_none());
    assert!(model.iterations > 1);
}

#[test]
fn rare_spikes_converge() {
    // Every state of every pair occurs, some of them once in 20,000 bins.
    let mut lists = vec![Vec::new(); 20_000];
    for (k, list) in lists.iter_mut().enumerate().take(130) {
        *list = [vec![0], vec![1], vec![2], vec![0, 1], vec![0, 2], vec![1, 2]]
            [if k < 120 { k % 3 } else { 3 + k % 3 }]
        .clone();
    }
    lists[200] = vec![0, 1, 2];
    let model = fitted(&runs(&lists, 3));
    assert_eq!(model.status, [RowStatus::Ok; 3]);
    assert_finite(&model);
    assert!(model.errors.is_some());
}

#[test]
fn what_cannot_be_fitted_says_why() {
    let one = fitted(&runs(&vec![vec![1]; 50], 3));
    assert_eq!(one.status, [RowStatus::Silent, RowStatus::Saturated, RowStatus::Silent]);
    let few = fitted(&runs(&[vec![0], vec![1]], 3));
    assert_eq!(few.status, [RowStatus::Undersampled, RowStatus::Undersampled, RowStatus::Silent]);
    let empty = fitted(&Runs { n_neurons: 2, blocks: Vec::new() });
    assert_eq!(empty.status, [RowStatus::Undersampled; 2]);
    // Two neurons, never the same.
    let opposite = fitted(&runs(&[vec![0], vec![1], vec![0], vec![1], vec![1]], 2));
    assert_eq!(opposite.status.iter().filter(|&&s| s == RowStatus::Separated).count(), 1);
    for model in [one, few, empty, opposite] {
        assert_finite(&model);
        assert!(model.couplings.iter().all(|&j| j == 0.0));
    }
}

#[test]
fn options_are_checked_and_an_early_end_is_reported() {
    let samples = Samples::of(&bins(&sk(6, 1.0, 1), 2000, 3));
    for iterations_max in [0, 1001] {
        let error = maximum_likelihood(&samples, &MaximumLikelihoodOptions { iterations_max }).unwrap_err();
        assert!(matches!(error, EquilibriumError::Count { what: "iterations", .. }), "{error}");
    }
    let early = maximum_likelihood(&samples, &MaximumLikelihoodOptions { iterations_max: 2 }).unwrap();
    assert_eq!(early.status, [RowStatus::NotConverged; 6]);
    let by_default = fit(&samples, EquilibriumMethod::MaximumLikelihood, &FitOptions::default()).unwrap();
    assert_eq!(by_default, maximum_likelihood(&samples, &MaximumLikelihoodOptions::default()).unwrap());
    let threads = FitOptions { threads: 3, seed: 9 };
    assert_eq!(fit(&samples, EquilibriumMethod::MaximumLikelihood, &threads).unwrap(), by_default);
}
