//! Equilibrium samplers against the distribution by enumeration, and generators against their definition.

use glauber::model::SpikeBlock;
use glauber::simulate::{
    CurieWeissSampler, EquilibriumIsing, GibbsSampler, PROPOSALS_MAX, Proposals, SimulationError,
    TemperedSampler, importance_resampled, lattice_pairs,
};

/// `P(s)` of every configuration; bit i of its index is neuron i.
fn enumerate(model: &EquilibriumIsing) -> Vec<f64> {
    let n = model.n_neurons();
    let spins = |c: usize| -> Vec<bool> { (0..n).map(|i| c >> i & 1 == 1).collect() };
    let weights: Vec<f64> = (0..1 << n).map(|c| model.minus_energy(&spins(c)).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

fn counts(bins: &SpikeBlock, n: usize) -> Vec<u64> {
    let mut counts = vec![0; 1 << n];
    bins.bins().for_each(|active| counts[active.iter().map(|&i| 1 << i).sum::<usize>()] += 1);
    counts
}

/// Pearson's χ² and its degrees of freedom; cells that expect fewer than five are one.
fn chi_square(counts: &[u64], probabilities: &[f64]) -> (f64, f64) {
    let bins = counts.iter().sum::<u64>() as f64;
    let (mut sum, mut cells) = (0.0, 0.0);
    let (mut rare, mut rare_expected) = (0.0, 0.0);
    for (&count, p) in counts.iter().zip(probabilities) {
        let expected = p * bins;
        if expected < 5.0 {
            rare += count as f64;
            rare_expected += expected;
        } else {
            sum += (count as f64 - expected).powi(2) / expected;
            cells += 1.0;
        }
    }
    if rare_expected > 5.0 {
        sum += (rare - rare_expected).powi(2) / rare_expected;
        cells += 1.0;
    }
    (sum, cells - 1.0)
}

/// χ² of independent samples has mean k and variance 2 k; five standard deviations.
fn assert_drawn_from(counts: &[u64], probabilities: &[f64]) {
    let (sum, freedom) = chi_square(counts, probabilities);
    assert!(sum < freedom + 5.0 * (2.0 * freedom).sqrt(), "χ² {sum} with {freedom} degrees of freedom");
}

#[test]
fn gibbs_samples_have_the_exact_distribution() {
    for seed in 1..4 {
        let model = EquilibriumIsing::sk(6, 0.7, 0.7, seed).unwrap();
        // Six sweeps between samples: what is left of a correlation is below 0.7⁶ ≈ 0.1, and of its square in χ² 0.01.
        let bins = GibbsSampler::new(&model, 10 + seed).burnt_in().bins(100_000, 6);
        assert_drawn_from(&counts(&bins, 6), &enumerate(&model));
    }
}

#[test]
fn large_inputs_are_exact_too() {
    // Beyond the table of probabilities, at |θ| > 10, a flip has a probability of e⁻²⁰ and less; at ±9 one of e⁻¹⁸.
    let mut model = EquilibriumIsing::sk(3, 0.0, 0.0, 1).unwrap();
    model.fields = ndarray::arr1(&[12.0, -300.0, 0.3]);
    let bins = GibbsSampler::new(&model, 1).burnt_in().bins(100_000, 1);
    assert!(bins.bins().all(|active| active.contains(&0) && !active.contains(&1)));
    let fired = bins.bins().filter(|active| active.contains(&2)).count() as f64 / 1e5;
    // Independent draws: standard deviation 1.5e-3; five of them.
    assert!((fired - 1.0 / (1.0 + (-0.6f64).exp())).abs() < 7.5e-3, "{fired}");
}

#[test]
fn couplings_that_are_mostly_zero_give_the_same_distribution() {
    // A chain of 12 has 22 of 144 couplings; one of 16 has 30 of 256, and is kept as lists.
    for n in [12, 16] {
        let model = EquilibriumIsing::lattice(1, n, 0.5, 0.1, false).unwrap();
        let exact = enumerate(&model);
        let bins = GibbsSampler::new(&model, 5).burnt_in().bins(60_000, 8);
        let aligned = |c: usize, i: usize| (c >> i & 1) == (c >> (i + 1) & 1);
        for i in 0..n - 1 {
            let expected: f64 = (0..1 << n).filter(|&c| aligned(c, i)).map(|c| exact[c]).sum();
            let same = |active: &[u16]| active.contains(&(i as u16)) == active.contains(&(i as u16 + 1));
            let found = bins.bins().filter(|active| same(active)).count() as f64 / 60_000.0;
            // √(0.25 / 60 000) = 2e-3 if independent; five, and a half more for what is left of correlations.
            assert!((found - expected).abs() < 0.015, "{n}: {i}: {found} {expected}");
        }
    }
}

#[test]
fn replicas_reach_both_states_of_a_cold_glass() {
    // At g = 8 without fields a chain keeps the sign it began with.
    for seed in 1..4 {
        let model = EquilibriumIsing::sk(8, 8.0, 0.0, seed).unwrap();
        let mut sampler = TemperedSampler::new(&model, 20 + seed).burnt_in();
        let bins = sampler.bins(40_000, 10);
        assert!(sampler.betas().len() > 3 && sampler.betas()[0] == 1.0);
        assert!(sampler.exchange_rates().iter().all(|rate| *rate > 0.2), "{:?}", sampler.exchange_rates());
        assert_drawn_from(&counts(&bins, 8), &enumerate(&model));
        let plain = GibbsSampler::new(&model, 20 + seed).burnt_in().bins(40_000, 10);
        let (stuck, freedom) = chi_square(&counts(&plain, 8), &enumerate(&model));
        let bound = freedom + 20.0 * (2.0 * freedom).sqrt();
        assert!(
            stuck > bound,
            "χ² {stuck} of one chain, {freedom} degrees of freedom: this tells nothing of replicas"
        );
    }
}

#[test]
fn one_replica_is_enough_where_it_is_hot() {
    let model = EquilibriumIsing::sk(6, 0.0, 1.0, 1).unwrap();
    let mut sampler = TemperedSampler::new(&model, 1).burnt_in();
    assert_eq!((sampler.betas(), sampler.exchange_rates()), (&[1.0][..], vec![]));
    assert_drawn_from(&counts(&sampler.bins(20_000, 1), 6), &enumerate(&model));
}

#[test]
fn curie_weiss_samples_have_the_exact_distribution() {
    for (beta, field) in [(1.42, 0.0), (0.5, 0.3), (1.2, -0.05)] {
        let model = EquilibriumIsing::curie_weiss(7, beta, field).unwrap();
        let bins = CurieWeissSampler::new(7, beta, field, 3).unwrap().bins(50_000);
        assert_drawn_from(&counts(&bins, 7), &enumerate(&model));
    }
}

#[test]
fn curie_weiss_has_two_states_below_its_temperature() {
    let mut sampler = CurieWeissSampler::new(100, 1.42, 0.0, 1).unwrap();
    let exact = sampler.active_probabilities();
    let bins = sampler.bins(50_000);
    let mut found = vec![0; 101];
    bins.bins().for_each(|active| found[active.len()] += 1);
    assert_drawn_from(&found, &exact);
    // m = tanh(1.42 m) has the root 0.824: 91.2 active neurons of 100, and as likely 8.8. The mode lies within a neuron or two of it.
    let mode = (51..101).max_by(|&a, &b| exact[a].total_cmp(&exact[b])).unwrap();
    assert!((90..94).contains(&mode), "{mode}");
    assert!((exact[mode] - exact[100 - mode]).abs() < 1e-12 && exact[50] < 0.1 * exact[mode]);
    assert!((exact.iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn importance_resampling_is_exact_with_enough_proposals_alone() {
    let model = EquilibriumIsing::sk(4, 1.0, 1.0, 1).unwrap();
    let sample = importance_resampled(&model, 2000, Proposals::Count(400_000), 2).unwrap();
    assert_drawn_from(&counts(&sample.bins, 4), &enumerate(&model));
    assert_eq!(sample.proposals, 400_000);
    // Of a single proposal every bin is a copy, whatever its weight.
    let one = importance_resampled(&model, 5, Proposals::Count(1), 2).unwrap();
    assert!(one.bins.bins().all(|active| active == one.bins.bin(0)) && one.effective_samples == 1.0);

    // As published: 30 for each of 100 neurons. The effective number of them at g = 1 varies between networks, from 1.0 to 6.0 in these.
    let mut effective: Vec<f64> = (0..21)
        .map(|seed| {
            let model = EquilibriumIsing::sk(100, 1.0, 1.0, seed).unwrap();
            let sample = importance_resampled(&model, 1000, Proposals::Published, 100 + seed).unwrap();
            assert_eq!((sample.proposals, sample.bins.n_bins()), (3000, 1000));
            sample.effective_samples
        })
        .collect();
    effective.sort_by(f64::total_cmp);
    println!("effective samples: median {}, {} to {}", effective[10], effective[0], effective[20]);
    assert!(effective[0] >= 1.0 && effective[10] < 5.0 && effective[20] < 20.0, "{effective:?}");
}

#[test]
fn networks_are_symmetric_and_of_the_scale_asked_for() {
    let network = EquilibriumIsing::sk(200, 0.8, 0.4, 3).unwrap();
    assert_eq!(network.couplings, network.couplings.t());
    assert!(network.couplings.diag().iter().all(|&j| j == 0.0));
    // 19 900 couplings: relative error of their variance √(2/19 900) = 0.01; five of them.
    let variance = network.couplings.mapv(|j| j * j).sum() / (200.0 * 199.0);
    assert!((variance / (0.64 / 200.0) - 1.0).abs() < 0.05, "{variance}");
    // 200 fields: 0.1; four.
    let variance = network.fields.mapv(|h| h * h).sum() / 200.0;
    assert!((variance / (0.16 / 200.0) - 1.0).abs() < 0.4, "{variance}");
    assert_eq!(EquilibriumIsing::sk(200, 0.8, 0.0, 3).unwrap().couplings, network.couplings);

    let network = EquilibriumIsing::curie_weiss(10, 1.5, 0.2).unwrap();
    assert!((network.couplings.sum() - 0.15 * 90.0).abs() < 1e-12 && network.fields.sum() == 2.0);
}

#[test]
fn lattices_have_their_neighbours() {
    let open = lattice_pairs(3, 4, false).unwrap();
    assert_eq!(open.len(), 3 * 3 + 2 * 4);
    let periodic = lattice_pairs(3, 4, true).unwrap();
    assert_eq!(periodic.len(), 2 * 12);
    let mut sorted = periodic.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), 24, "a pair twice");
    assert!(periodic.iter().all(|(i, j)| i < j && *j < 12));
    assert!(periodic.contains(&(0, 3)) && periodic.contains(&(0, 8)) && periodic.contains(&(7, 11)));
    let model = EquilibriumIsing::lattice(3, 4, 0.3, 0.1, true).unwrap();
    assert!(model.couplings.rows().into_iter().all(|row| row.iter().filter(|j| **j == 0.3).count() == 4));
}

#[test]
fn the_same_seed_gives_the_same_however_bins_are_asked_for() {
    let model = EquilibriumIsing::sk(12, 0.9, 0.3, 1).unwrap();
    let joined = |mut first: SpikeBlock, second: SpikeBlock| {
        assert_eq!(second.first_bin(), first.end_bin());
        first.extend_from(&second, 0, second.n_bins());
        first
    };
    let mut gibbs = GibbsSampler::new(&model, 4);
    let parts = joined(gibbs.bins(30, 2), gibbs.bins(70, 2));
    assert_eq!(parts, GibbsSampler::new(&model, 4).bins(100, 2));
    assert_ne!(parts, GibbsSampler::new(&model, 5).bins(100, 2));
    let mut tempered = TemperedSampler::new(&model, 4);
    let parts = joined(tempered.bins(30, 2), tempered.bins(70, 2));
    assert_eq!(parts, TemperedSampler::new(&model, 4).bins(100, 2));
    let sampler = |seed| CurieWeissSampler::new(12, 1.0, 0.0, seed).unwrap();
    let mut curie_weiss = sampler(4);
    let parts = joined(curie_weiss.bins(30), curie_weiss.bins(70));
    assert_eq!(parts, sampler(4).bins(100));
    assert_ne!(parts, sampler(5).bins(100));
    let resampled = |seed| importance_resampled(&model, 50, Proposals::Published, seed).unwrap();
    assert_eq!(resampled(1), resampled(1));
    assert_ne!(resampled(1), resampled(2));
}

#[test]
fn bad_parameters_are_refused() {
    type E = SimulationError;
    assert_eq!(EquilibriumIsing::sk(0, 1.0, 0.0, 1), Err(E::NeuronCount { found: 0 }));
    assert_eq!(EquilibriumIsing::sk(5, -1.0, 0.0, 1), Err(E::CouplingStd { found: -1.0 }));
    assert!(EquilibriumIsing::sk(5, 1.0, f64::NAN, 1).is_err());
    assert!(EquilibriumIsing::sk(20_000, 1.0, 0.0, 1).is_err());
    assert!(matches!(EquilibriumIsing::curie_weiss(5, f64::INFINITY, 0.0), Err(E::Coupling { .. })));
    assert!(matches!(EquilibriumIsing::curie_weiss(5, 1.0, 1e9), Err(E::Field { .. })));
    assert!(CurieWeissSampler::new(0, 1.0, 0.0, 1).is_err());
    assert!(CurieWeissSampler::new(5, f64::NAN, 0.0, 1).is_err());
    let lattice = |rows, columns, periodic| EquilibriumIsing::lattice(rows, columns, 0.2, 0.0, periodic);
    assert_eq!(lattice(0, 4, false), Err(E::LatticeShape { rows: 0, columns: 4, min: 1 }));
    assert_eq!(lattice(2, 4, true), Err(E::LatticeShape { rows: 2, columns: 4, min: 3 }));
    assert!(matches!(lattice(usize::MAX, 2, false), Err(E::NeuronCount { .. })));
    assert!(EquilibriumIsing::lattice(3, 3, -1e4, 0.0, true).is_err());
    let model = EquilibriumIsing::sk(5, 1.0, 0.0, 1).unwrap();
    assert_eq!(importance_resampled(&model, 5, Proposals::Count(0), 1), Err(E::Proposals { found: 0 }));
    for found in [PROPOSALS_MAX + 1, usize::MAX] {
        assert_eq!(importance_resampled(&model, 5, Proposals::Count(found), 1), Err(E::Proposals { found }));
    }
}
