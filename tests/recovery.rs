//! Known couplings are recovered as well as the reference implementation recovers them, and as the Cramér–Rao bound allows.

use glauber::kinetic;
use glauber::model::{Estimate, Estimator, Lags, RowStatus, SamplingVariance, SpikeBlock, TapForm};
use glauber::moments::Accumulator;
use glauber::simulate::{KineticIsing, KineticSimulation};

const N: usize = 50;
const BINS: usize = 100_000;
const SEEDS: u64 = 6;

struct Recovered {
    /// Mean square error over all couplings.
    mse: [f64; 4],
    rows_ok: [usize; 4],
    /// Cramér–Rao bound of the mean square error.
    bound: f64,
    /// `1 / (T ⟨1 − tanh² θ⟩)` with one mean over all neurons, as the reference gives it.
    pooled_bound: f64,
}

fn recover(g: f64, seed: u64) -> Recovered {
    let network = KineticIsing::asymmetric_sk(N, g, 0.0, seed).unwrap();
    let mut simulation = KineticSimulation::new(&network, 1000 + seed);
    let bins = simulation.bins(BINS);
    let estimates = estimate(&bins, N);
    let error = |e: &Estimate| (&e.couplings - &network.couplings).mapv(|d| d * d).mean().unwrap();
    let SamplingVariance::Factored { sender, transitions, .. } = &estimates[0].variance else {
        panic!("naive mean field has factored variances")
    };
    let transitions = *transitions as f64;
    let gain = simulation.mean_gain();
    let per_receiver = gain.mapv(|gain| 1.0 / (transitions * gain));
    Recovered {
        mse: std::array::from_fn(|k| error(&estimates[k])),
        rows_ok: std::array::from_fn(|k| estimates[k].n_ok()),
        bound: per_receiver.mean().unwrap() * sender.mean().unwrap(),
        pooled_bound: 1.0 / (transitions * gain.mean().unwrap()),
    }
}

fn estimate(bins: &SpikeBlock, n: usize) -> Vec<Estimate> {
    let mut counts = Accumulator::new(n, &Lags::default());
    counts.add_newest(bins, 0..bins.n_bins());
    kinetic::estimate(&counts.counts(), &Estimator::MOMENTS, 0.0)
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
}

/// Mean square errors of one network of the reference implementation: g, the estimators in the order of `Estimator::MOMENTS`, bound.
/// The self-consistent form of TAP has few roots from g = 0.5 on.
const REFERENCE: [(f64, [Option<f64>; 4], f64); 3] = [
    (0.3, [Some(2.06e-5), Some(1.14e-5), Some(1.33e-5), Some(1.14e-5)], 1.08e-5),
    (0.5, [Some(1.63e-4), Some(1.33e-5), None, Some(1.28e-5)], 1.21e-5),
    (1.0, [Some(3.20e-3), Some(1.52e-3), None, Some(9.0e-5)], 1.66e-5),
];

#[test]
fn the_reference_errors_are_reproduced_within_the_spread_between_networks() {
    for (g, reference, bound) in REFERENCE {
        let runs: Vec<Recovered> = (0..SEEDS).map(|seed| recover(g, seed)).collect();
        for (k, reference) in reference.into_iter().enumerate() {
            let Some(reference) = reference else { continue };
            let name = Estimator::MOMENTS[k];
            let (mean, deviation) = mean_and_deviation(&runs.iter().map(|r| r.mse[k]).collect::<Vec<_>>());
            // The reference is one draw of a network; 5 % covers the two or three digits it is given with.
            let allowed = 4.0 * deviation * (1.0 + 1.0 / SEEDS as f64).sqrt() + 0.05 * reference;
            println!("g {g} {name:20} mse {mean:.3e} ± {deviation:.1e}, reference {reference:.3e}");
            assert!(
                (mean - reference).abs() <= allowed,
                "g {g}, {name}: {mean:.3e}, reference {reference:.3e}"
            );
            assert!(
                allowed < if g < 1.0 { 0.35 } else { 0.9 } * reference,
                "g {g}, {name}: the spread {deviation:.1e} makes this test idle"
            );
        }
        let (mean_bound, _) = mean_and_deviation(&runs.iter().map(|r| r.pooled_bound).collect::<Vec<_>>());
        assert!(
            (mean_bound / bound - 1.0).abs() < 0.05,
            "g {g}: bound {mean_bound:.3e}, reference {bound:.3e}"
        );
    }
}

#[test]
fn weak_couplings_are_recovered_at_the_cramer_rao_bound() {
    // 2500 squared errors average to their mean within √(2/2500) = 2.8 %; six networks within 1.2 %. The estimators
    // themselves lose a few per cent at g = 0.3.
    let ratios: Vec<[f64; 2]> = (10..10 + SEEDS)
        .map(|seed| recover(0.3, seed))
        .map(|r| [r.mse[1] / r.bound, r.mse[3] / r.bound])
        .collect();
    for k in 0..2 {
        let (mean, _) = mean_and_deviation(&ratios.iter().map(|r| r[k]).collect::<Vec<_>>());
        assert!((0.95..1.1).contains(&mean), "MSE / Cramér–Rao = {mean}");
    }
}

#[test]
fn tap_rows_without_a_root_hold_naive_mean_field_and_say_so() {
    let network = KineticIsing::asymmetric_sk(N, 0.5, 0.0, 1).unwrap();
    let estimates = estimate(&KineticSimulation::new(&network, 2).bins(BINS), N);
    let (nmf, tap) = (&estimates[0], &estimates[2]);
    assert_eq!(tap.estimator, Estimator::Tap(TapForm::SelfConsistent));
    let without: Vec<usize> = (0..N).filter(|&i| tap.status[i] == RowStatus::TapNoRoot).collect();
    // The reference finds a root in 16 % of the rows here.
    assert!((25..50).contains(&without.len()), "{} of {N} rows without a root", without.len());
    for i in 0..N {
        assert_eq!(tap.couplings.row(i) == nmf.couplings.row(i), without.contains(&i), "row {i}");
        assert_eq!(tap.fields[i] == nmf.fields[i], without.contains(&i), "row {i}");
    }
    let strong = recover(1.0, 3);
    assert_eq!(strong.rows_ok[0], strong.rows_ok[1], "naive mean field is valid where TAP has a root");
    assert!(strong.rows_ok[2] < N / 2);
}

#[test]
fn standard_errors_are_the_spread_of_the_estimates() {
    // One network of 20 neurons, 40 recordings: z must have unit variance. 400 couplings × 40 recordings are 16,000 z, whose
    // variance scatters by √(2/16000) = 1.1 %; the mean field error of these weak couplings adds about 1 %.
    let network = KineticIsing::asymmetric_sk(20, 0.2, 0.0, 5).unwrap();
    let mut sum = [0.0; 2];
    for seed in 0..40 {
        let estimates = estimate(&KineticSimulation::new(&network, seed).bins(20_000), 20);
        for (sum, estimate) in sum.iter_mut().zip([&estimates[1], &estimates[3]]) {
            for ((i, j), coupling) in estimate.couplings.indexed_iter() {
                let z = (coupling - network.couplings[[i, j]]) / estimate.standard_error(i, j).unwrap();
                *sum += z * z;
            }
        }
    }
    for sum in sum {
        let variance = sum / 16_000.0;
        println!("variance of z = {variance:.3}");
        assert!((0.96..1.06).contains(&variance), "variance of z = {variance}");
    }
}

fn counts(lists: &[Vec<u16>], n: usize) -> glauber::moments::Counts {
    let block = SpikeBlock::from_lists(0, lists, n).unwrap();
    let mut counts = Accumulator::new(n, &Lags::default());
    counts.add_newest(&block, 0..block.n_bins());
    counts.counts()
}

fn assert_finite(estimates: &[Estimate]) {
    for e in estimates {
        assert!(e.couplings.iter().chain(&e.fields).all(|v| v.is_finite()), "{}", e.estimator);
        for (i, status) in e.status.iter().enumerate() {
            if !status.has_estimate() {
                assert!(e.couplings.row(i).iter().chain(e.couplings.column(i)).all(|&v| v == 0.0), "row {i}");
                assert_eq!((e.fields[i], e.standard_error(i, 0)), (0.0, None));
            }
        }
    }
}

#[test]
fn silent_saturated_and_repeated_neurons_leave_the_others_unharmed() {
    let network = KineticIsing::asymmetric_sk(6, 0.5, 0.0, 1).unwrap();
    let clean: Vec<Vec<u16>> =
        KineticSimulation::new(&network, 4).bins(5000).bins().map(<[u16]>::to_vec).collect();
    // Neuron 6 is silent, 7 always fires, 8 copies 2, 9 copies 2 again.
    let spoiled: Vec<Vec<u16>> = clean
        .iter()
        .map(|bin| {
            let copies: &[u16] = if bin.contains(&2) { &[8, 9] } else { &[] };
            [bin, &[7][..], copies].concat()
        })
        .collect();
    let alone = kinetic::estimate(&counts(&clean, 6), &Estimator::MOMENTS, 0.0);
    let among = kinetic::estimate(&counts(&spoiled, 10), &Estimator::MOMENTS, 0.0);
    assert_finite(&among);
    for (alone, among) in alone.iter().zip(&among) {
        use RowStatus::{Duplicate, Saturated, Silent};
        assert_eq!(among.status[6..], [Silent, Saturated, Duplicate, Duplicate]);
        assert_eq!(among.status[..6], alone.status[..]);
        assert_eq!(among.couplings.slice(ndarray::s![..6, ..6]), alone.couplings);
        assert_eq!(among.fields.slice(ndarray::s![..6]), alone.fields);
    }
}

#[test]
fn too_little_data_is_a_status_and_never_a_number() {
    let n = 5;
    for bins in 0..8 {
        let lists: Vec<Vec<u16>> = (0..bins).map(|k| vec![k as u16 % 5, (k * k) as u16 % 5]).collect();
        let estimates = kinetic::estimate(&counts(&lists, n), &Estimator::MOMENTS, 0.0);
        assert_finite(&estimates);
        let n_active = estimates[0]
            .status
            .iter()
            .filter(|s| !matches!(s, RowStatus::Silent | RowStatus::Saturated))
            .count();
        assert!(
            n_active == 0 || bins > n_active + 2 || estimates.iter().all(|e| e.n_ok() == 0),
            "{bins} bins"
        );
        let ridged = kinetic::estimate(&counts(&lists, n), &Estimator::MOMENTS, 0.5);
        assert_finite(&ridged);
    }
    let nothing = kinetic::estimate(&counts(&[], n), &Estimator::MOMENTS, 0.0);
    assert!(nothing.iter().all(|e| e.status.iter().all(|&s| s == RowStatus::Undersampled)));
}

#[test]
fn a_neuron_that_sums_up_others_makes_the_inversion_singular_unless_there_is_a_ridge() {
    // Neuron 2 fires exactly when 0 or 1 does, and those never together.
    let lists: Vec<Vec<u16>> = (0..4000u32)
        .map(|t| match t.wrapping_mul(2_654_435_761) >> 29 {
            0 | 1 => vec![0, 2],
            2 => vec![1, 2],
            3 => vec![3],
            _ => vec![],
        })
        .collect();
    let raw = kinetic::estimate(&counts(&lists, 4), &Estimator::MOMENTS, 0.0);
    assert_finite(&raw);
    assert!(raw.iter().all(|e| e.status.iter().all(|&s| s == RowStatus::Singular)));
    let ridged = kinetic::estimate(&counts(&lists, 4), &[Estimator::Nmf], 0.1);
    assert_finite(&ridged);
    assert_eq!(ridged[0].n_ok(), 4);
}
