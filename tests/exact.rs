//! Exact maximum likelihood: equal to scikit-learn and scipy (`tests/fixtures/make_exact.py`), at the Cramér–Rao bound on known
//! couplings, the same for any number of threads, and honest about what has no maximum.

use glauber::kinetic::{ExactOptions, exact, exact_path};
use glauber::model::{Estimate, Estimator, Lags, Ridges, RowStatus, Runs, SamplingVariance, SpikeBlock};
use glauber::moments::{Accumulator, Counts};
use glauber::simulate::{KineticIsing, KineticSimulation};
use ndarray::ArrayView1;

fn count(runs: &Runs) -> Counts {
    let mut counts = Accumulator::new(runs.n_neurons, &Lags::default());
    for block in &runs.blocks {
        counts.add_newest(block, 0..block.n_bins());
    }
    counts.counts()
}

fn with_ridge(ridge: f64) -> ExactOptions {
    ExactOptions { ridge, threads: 2, ..ExactOptions::default() }
}

fn fit(runs: &Runs, options: &ExactOptions) -> Estimate {
    exact(runs, &count(runs), options, None)
}

fn runs_of(lists: &[Vec<u16>], n_neurons: usize) -> Runs {
    Runs { n_neurons, blocks: vec![SpikeBlock::from_lists(0, lists, n_neurons).unwrap()] }
}

fn simulated(n: usize, g: f64, probability: f64, bins: usize, seed: u64) -> (KineticIsing, Runs) {
    let network = KineticIsing::asymmetric_sk(n, g, 0.0, seed).unwrap();
    let network = network.with_spike_probability(probability).unwrap();
    let block = KineticSimulation::new(&network, 1000 + seed).bins(bins);
    (network, Runs { n_neurons: n, blocks: vec![block] })
}

/// Gradient of the penalised mean log-likelihood of a row with respect to `(h, J)` from the definition, bin by bin.
fn gradient(runs: &Runs, estimate: &Estimate, row: usize) -> Vec<f64> {
    let n = runs.n_neurons;
    let spins = |bin: &[u16]| -> Vec<f64> {
        (0..n as u16).map(|i| if bin.contains(&i) { 1.0 } else { -1.0 }).collect()
    };
    let (mut sum, mut mean, mut transitions) = (vec![0.0; n + 1], 0.0, 0.0);
    for block in &runs.blocks {
        for t in 1..block.n_bins() {
            let (before, after) = (spins(block.bin(t - 1)), spins(block.bin(t))[row]);
            let theta = estimate.fields[row] + estimate.couplings.row(row).dot(&ArrayView1::from(&before));
            let residual = after - theta.tanh();
            sum[0] += residual;
            sum[1..].iter_mut().zip(&before).for_each(|(sum, s)| *sum += residual * s);
            mean += after;
            transitions += 1.0;
        }
    }
    mean /= transitions;
    sum.iter_mut().for_each(|s| *s /= transitions);
    for (j, coupling) in estimate.couplings.row(row).iter().enumerate() {
        sum[1 + j] -= estimate.ridge * (1.0 - mean * mean) * coupling;
    }
    sum
}

fn assert_sound(estimate: &Estimate) {
    assert_eq!(estimate.estimator, Estimator::Exact);
    assert!(estimate.trial_fields.is_none());
    assert!(estimate.couplings.iter().chain(&estimate.fields).all(|v| v.is_finite()));
    let convergence = estimate.convergence.as_ref().unwrap();
    assert!(convergence.gradient_norm.iter().all(|g| g.is_finite()));
    let n = estimate.n_neurons();
    for (i, status) in estimate.status.iter().enumerate() {
        for j in 0..n {
            let error = estimate.standard_error(i, j);
            assert!(error.is_none_or(|e| e.is_finite() && e > 0.0), "standard error {error:?}");
        }
        if status.has_estimate() {
            assert!(*status != RowStatus::Ok || convergence.gradient_norm[i] <= 1e-8);
        } else {
            assert!(estimate.couplings.row(i).iter().all(|&v| v == 0.0), "row {i}");
            assert_eq!((estimate.fields[i], estimate.standard_error(i, 0)), (0.0, None));
        }
        if matches!(status, RowStatus::Silent | RowStatus::Saturated | RowStatus::Duplicate) {
            assert!(estimate.couplings.column(i).iter().all(|&v| v == 0.0), "column {i}");
        }
    }
}

fn assert_near(a: &Estimate, b: &Estimate, tolerance: f64) {
    assert_eq!(a.status, b.status);
    let far = |a: &f64, b: &f64| (a - b).abs() > tolerance;
    assert!(!a.couplings.iter().zip(&b.couplings).any(|(a, b)| far(a, b)));
    assert!(!a.fields.iter().zip(&b.fields).any(|(a, b)| far(a, b)));
}

#[cfg(feature = "hdf5")]
mod reference {
    use super::*;
    use hdf5_metno as hdf5;
    use ndarray::Array2;

    #[test]
    fn couplings_equal_those_of_scikit_learn_and_scipy() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/reference_exact.h5");
        let file = hdf5::File::open(path).unwrap();
        let raw = |name: &str| file.dataset(name).unwrap().read_raw::<u32>().unwrap();
        let neurons: Vec<u16> = file.dataset("spikes/neurons").unwrap().read_raw().unwrap();
        let (mut sizes, mut neurons) = (raw("spikes/active_counts").into_iter(), neurons.into_iter());
        let mut blocks = Vec::new();
        for bins in raw("spikes/run_bins") {
            let sizes = sizes.by_ref().take(bins as usize);
            let lists: Vec<Vec<u16>> =
                sizes.map(|size| neurons.by_ref().take(size as usize).collect()).collect();
            blocks.push(SpikeBlock::from_lists(10_000 * blocks.len() as u64, &lists, 12).unwrap());
        }
        let runs = Runs { n_neurons: 12, blocks };
        let ridges: Vec<f64> = file.dataset("ridges").unwrap().read_raw().unwrap();
        for (k, &ridge) in ridges.iter().enumerate() {
            let ours = fit(&runs, &with_ridge(ridge));
            assert_sound(&ours);
            assert_eq!(ours.n_ok(), 12);
            for program in ["sklearn", "scipy"] {
                let theirs = |name: &str| file.dataset(&format!("{program}/{k}/{name}")).unwrap();
                let couplings: Array2<f64> = theirs("couplings").read_2d().unwrap();
                let fields: Vec<f64> = theirs("fields").read_raw().unwrap();
                let all = ours.couplings.iter().chain(&ours.fields).zip(couplings.iter().chain(&fields));
                let worst = all.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(worst < 1e-6, "{program}, ridge {ridge}: off by {worst:e}");
            }
        }
    }

    #[test]
    fn a_sparse_retina_recording_converges() {
        let folder = std::env::var_os("GLAUBER_DATA").map(std::path::PathBuf::from);
        let path =
            folder.map(|folder| folder.join("real/retina_wong1993_p5.nwb")).filter(|path| path.exists());
        let Some(path) = path else {
            println!(
                "skipped: no real/retina_wong1993_p5.nwb in the folder of recordings (set GLAUBER_DATA)"
            );
            return;
        };
        let recording = glauber::recording::open(path).unwrap();
        let width = glauber::model::BinWidth::from_us(20_000).unwrap();
        let binned = glauber::ingest::bin_recording(&recording.session, width, Some(40)).unwrap();
        let runs = Runs { n_neurons: binned.neurons.len(), blocks: binned.blocks };
        let counts = count(&runs);
        let started = std::time::Instant::now();
        for estimate in exact_path(&runs, &counts, &[0.0, 1e-3, 0.1, 0.5], &with_ridge(0.0), None) {
            assert_sound(&estimate);
            let iterations = &estimate.convergence.as_ref().unwrap().iterations;
            println!("ridge {}: {} rows, passes {iterations:?}", estimate.ridge, estimate.n_ok());
            assert!(estimate.status.iter().all(|&s| s != RowStatus::NotConverged), "{:?}", estimate.status);
            assert!(estimate.ridge == 0.0 || estimate.n_ok() == runs.n_neurons);
        }
        println!("{:?}", started.elapsed());
    }
}

#[test]
fn the_gradient_vanishes_bin_by_bin() {
    // Dense and sparse, with and without Newton steps; runs of one bin hold no transition.
    for (n, probability, bins, ridge) in [(9, 0.4, 3000, 0.0), (30, 0.02, 6000, 0.1), (40, 0.5, 2000, 0.03)] {
        let (_, mut runs) = simulated(n, 0.5, probability, bins, 3);
        let block = runs.blocks.remove(0);
        runs.blocks = vec![block.slice(0, bins / 3), block.slice(bins / 3, bins / 3 + 1)];
        runs.blocks.push(block.slice(bins / 2, bins));
        let estimate = fit(&runs, &with_ridge(ridge));
        assert_sound(&estimate);
        assert_eq!(estimate.n_ok(), n);
        for row in [0, n / 2, n - 1] {
            let gradient = gradient(&runs, &estimate, row);
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            assert!(norm <= 1.01e-8, "row {row} of {n}: {norm:e}");
            let told = estimate.convergence.as_ref().unwrap().gradient_norm[row];
            assert!((norm - told).abs() < 1e-12, "told {told:e}, is {norm:e}");
        }
    }
}

#[test]
fn known_couplings_are_recovered_at_the_cramer_rao_bound() {
    // n² squared errors scatter about their mean by √2 / n: with these seeds the average is within 3 %, a third of the margin.
    for (n, seeds) in [(50, 2), (100, 1)] {
        for g in [0.3, 0.5, 1.0] {
            let mut ratios = Vec::new();
            for seed in 0..seeds {
                let network = KineticIsing::asymmetric_sk(n, g, 0.0, 20 + seed).unwrap();
                let mut simulation = KineticSimulation::new(&network, 50 + seed);
                let runs = Runs { n_neurons: n, blocks: vec![simulation.bins(100_000)] };
                let estimate = fit(&runs, &with_ridge(0.0));
                assert_eq!(estimate.n_ok(), n);
                let mse = (&estimate.couplings - &network.couplings).mapv(|d| d * d).mean().unwrap();
                // The bound from the true gain; the senders' correlations as the recording has them.
                let nmf = glauber::kinetic::estimate(&count(&runs), &[Estimator::Nmf], 0.0);
                let SamplingVariance::Factored { sender, transitions, .. } = &nmf[0].variance else {
                    panic!("naive mean field has factored variances")
                };
                let information = simulation.mean_gain() * *transitions as f64;
                ratios.push(mse / (information.mapv(f64::recip).mean().unwrap() * sender.mean().unwrap()));
            }
            let mean = ratios.iter().sum::<f64>() / seeds as f64;
            println!("n {n}, g {g}: MSE / Cramér–Rao = {mean:.3}");
            assert!((0.9..1.1).contains(&mean), "n {n}, g {g}: {ratios:?}");
        }
    }
}

#[test]
fn standard_errors_are_the_spread_of_the_estimates() {
    // 400 couplings × 10 recordings: the variance of z scatters by √(2/4000) = 2.2 %; four of them.
    let network = KineticIsing::asymmetric_sk(20, 0.5, 0.0, 5).unwrap().with_spike_probability(0.15).unwrap();
    let (mut couplings, mut fields) = (0.0, 0.0);
    for seed in 0..10 {
        let block = KineticSimulation::new(&network, seed).bins(20_000);
        let estimate = fit(&Runs { n_neurons: 20, blocks: vec![block] }, &with_ridge(0.0));
        assert!(matches!(estimate.variance, SamplingVariance::Full { .. }));
        for ((i, j), coupling) in estimate.couplings.indexed_iter() {
            couplings +=
                ((coupling - network.couplings[[i, j]]) / estimate.standard_error(i, j).unwrap()).powi(2);
        }
        for (i, field) in estimate.fields.iter().enumerate() {
            fields += ((field - network.fields[i]) / estimate.field_standard_error(i).unwrap()).powi(2);
        }
    }
    let (couplings, fields) = (couplings / 4000.0, fields / 200.0);
    println!("variance of z: couplings {couplings:.3}, fields {fields:.3}");
    assert!((0.91..1.09).contains(&couplings), "variance of z = {couplings}");
    // 200 fields: √(2/200) = 10 %; three of them.
    assert!((0.7..1.3).contains(&fields), "variance of z of fields = {fields}");
}

#[test]
fn results_do_not_depend_on_threads() {
    // Few and many active neurons; more than one block of rows; bins enough for several units of work.
    for (n, probability, bins) in [(70, 0.02, 4000), (40, 0.5, 9000), (6, 0.3, 60_000)] {
        let (_, runs) = simulated(n, 0.5, probability, bins, 8);
        let counts = count(&runs);
        let with = |threads| exact(&runs, &counts, &ExactOptions { threads, ..with_ridge(0.02) }, None);
        let one = with(1);
        assert_sound(&one);
        assert_eq!(one.n_ok(), n);
        assert_eq!(one, with(1), "another run");
        for threads in [0, 2, 3, 64] {
            assert_eq!(one, with(threads), "{threads} threads");
        }
    }
}

#[test]
fn a_warm_start_ends_where_a_cold_one_does() {
    let (_, runs) = simulated(30, 0.6, 0.2, 20_000, 2);
    let counts = count(&runs);
    let cold = exact(&runs, &counts, &with_ridge(0.01), None);
    let again = exact(&runs, &counts, &with_ridge(0.01), Some(&cold));
    assert_near(&cold, &again, 1e-7);
    assert!(again.convergence.unwrap().iterations.iter().all(|&k| k <= 1));
    let neighbour = exact(&runs, &counts, &with_ridge(0.1), None);
    assert_near(&cold, &exact(&runs, &counts, &with_ridge(0.01), Some(&neighbour)), 1e-7);
    // Worse than independent rates, not a number, of another size: dropped.
    for spoil in [30.0, f64::NAN, f64::INFINITY, 1e300] {
        let mut warm = cold.clone();
        warm.couplings.fill(spoil);
        let dropped = exact(&runs, &counts, &with_ridge(0.01), Some(&warm));
        assert_eq!((&dropped.couplings, &dropped.fields), (&cold.couplings, &cold.fields), "{spoil}");
    }
    let (_, other) = simulated(7, 0.6, 0.2, 1000, 2);
    assert_eq!(exact(&runs, &counts, &with_ridge(0.01), Some(&fit(&other, &with_ridge(0.5)))), cold);
}

#[test]
fn a_path_of_ridges_equals_single_fits() {
    let (_, runs) = simulated(20, 0.5, 0.1, 8000, 6);
    let counts = count(&runs);
    let ridges = [0.01, 1.0, 0.0, 0.3];
    let path = exact_path(&runs, &counts, &ridges, &with_ridge(7.0), None);
    for (estimate, ridge) in path.iter().zip(ridges) {
        assert_eq!(estimate.ridge, ridge);
        assert_sound(estimate);
        assert_near(estimate, &fit(&runs, &with_ridge(ridge)), 1e-6);
    }
    assert!(exact_path(&runs, &counts, &[], &with_ridge(0.0), None).is_empty());
}

#[test]
fn a_ridge_is_to_first_order_that_of_naive_mean_field() {
    let (_, runs) = simulated(20, 0.05, 0.3, 50_000, 4);
    let ours = fit(&runs, &with_ridge(0.7)).couplings;
    let nmf = &glauber::kinetic::estimate(&count(&runs), &[Estimator::Nmf], 0.7)[0].couplings;
    let largest = nmf.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    assert!(ours.iter().zip(nmf).all(|(a, b)| (a - b).abs() < 0.01 * largest));
}

#[test]
fn rows_without_a_finite_maximum_are_separated() {
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    // Neuron 1 never fires after 0. Neuron 2 fires after 0 and 3 together, after neither by chance, never after one of them: no sum
    // over senders tells that without exception.
    let mut lists: Vec<Vec<u16>> = vec![vec![]];
    for _ in 0..4000 {
        let last = lists.last().unwrap();
        let (zero, three) = (last.contains(&0), last.contains(&3));
        let mut bin = Vec::new();
        for (neuron, fires) in [
            (0, random() % 4 == 0),
            (1, !zero && random() % 3 == 0),
            (2, if zero || three { zero && three } else { random() % 2 == 0 }),
            (3, random() % 5 < 2),
        ] {
            if fires {
                bin.push(neuron);
            }
        }
        lists.push(bin);
    }
    let runs = runs_of(&lists, 4);
    let estimate = fit(&runs, &with_ridge(0.0));
    assert_sound(&estimate);
    assert_eq!(estimate.status, [RowStatus::Ok, RowStatus::Separated, RowStatus::Ok, RowStatus::Ok]);
    // Neuron 4 never fires after neither of 0 and 3 and always after both: each alone leaves exceptions, both together none.
    for t in 1..lists.len() {
        let (zero, three) = (lists[t - 1].contains(&0), lists[t - 1].contains(&3));
        if if zero == three { zero } else { random() % 2 == 0 } {
            lists[t].push(4);
        }
    }
    let runs = runs_of(&lists, 5);
    let estimate = fit(&runs, &with_ridge(0.0));
    assert_sound(&estimate);
    assert_eq!(estimate.status[4], RowStatus::Separated);
    assert_eq!(estimate.status[0], RowStatus::Ok);
    let ridged = fit(&runs, &with_ridge(1e-3));
    assert_sound(&ridged);
    assert_eq!(ridged.n_ok(), 5);
}

#[test]
fn one_neuron_has_a_closed_form() {
    let (_, runs) = simulated(1, 1.0, 0.3, 5000, 1);
    let counts = count(&runs);
    let lag = &counts.lags[0];
    let both = lag.delayed[0] as f64;
    let log_odds = |spikes: f64, all: f64| (spikes / (all - spikes)).ln();
    let active = log_odds(both, lag.sender[0] as f64);
    let silent = log_odds(lag.receiver[0] as f64 - both, (lag.transitions - lag.sender[0]) as f64);
    let estimate = fit(&runs, &with_ridge(0.0));
    assert_sound(&estimate);
    assert!((estimate.couplings[[0, 0]] - (active - silent) / 4.0).abs() < 1e-7);
    assert!((estimate.fields[0] - (active + silent) / 4.0).abs() < 1e-7);
}

#[test]
fn too_little_data_is_a_status_and_never_a_number() {
    for bins in 0..60_u16 {
        let lists: Vec<Vec<u16>> = (0..bins).map(|k| vec![(k * 7) % 5, (k * k) % 6]).collect();
        let runs = runs_of(&lists, 6);
        for ridge in [0.0, 1e-6, 0.5] {
            assert_sound(&fit(&runs, &with_ridge(ridge)));
        }
        let active = fit(&runs, &with_ridge(0.5)).status.iter().filter(|s| s.has_estimate()).count();
        let bare = fit(&runs, &with_ridge(0.0));
        let statuses = &bare.status;
        if active > 0 && usize::from(bins) <= active + 2 {
            assert!(statuses.contains(&RowStatus::Undersampled), "{bins} bins: {statuses:?}");
        }
    }
    let none = fit(&Runs { n_neurons: 3, blocks: Vec::new() }, &with_ridge(0.1));
    assert_eq!(none.status, [RowStatus::Undersampled; 3]);
    let silent = fit(&runs_of(&vec![vec![]; 50], 3), &with_ridge(0.1));
    assert_eq!(silent.status, [RowStatus::Silent; 3]);
    assert_sound(&silent);
}

#[test]
fn silent_saturated_and_repeated_neurons_leave_the_others_unharmed() {
    let (_, clean) = simulated(6, 0.5, 0.4, 5000, 1);
    let spoiled: Vec<Vec<u16>> = clean.blocks[0]
        .bins()
        .map(|bin| {
            let copies: &[u16] = if bin.contains(&2) { &[8, 9] } else { &[] };
            [bin, &[7][..], copies].concat()
        })
        .collect();
    for ridge in [0.0, 0.2] {
        let alone = fit(&clean, &with_ridge(ridge));
        let among = fit(&runs_of(&spoiled, 10), &with_ridge(ridge));
        assert_sound(&among);
        use RowStatus::{Duplicate, Saturated, Silent};
        assert_eq!(among.status[6..], [Silent, Saturated, Duplicate, Duplicate]);
        assert_eq!(among.status[..6], alone.status[..]);
        assert_eq!(among.couplings.slice(ndarray::s![..6, ..6]), alone.couplings);
        assert_eq!(among.fields.slice(ndarray::s![..6]), alone.fields);
    }
}

#[test]
fn a_neuron_that_sums_up_others_makes_the_fit_singular_unless_there_is_a_ridge() {
    let lists: Vec<Vec<u16>> = (0..4000u32)
        .map(|t| match t.wrapping_mul(2_654_435_761) >> 29 {
            0 | 1 => vec![0, 2],
            2 => vec![1, 2],
            3 => vec![3],
            _ => vec![],
        })
        .collect();
    let raw = fit(&runs_of(&lists, 4), &with_ridge(0.0));
    assert_sound(&raw);
    assert!(raw.status.iter().all(|&s| s == RowStatus::Singular));
    let ridged = fit(&runs_of(&lists, 4), &with_ridge(0.1));
    assert_sound(&ridged);
    assert_eq!(ridged.n_ok(), 4);
}

#[test]
fn an_iteration_cut_short_says_so() {
    let (_, runs) = simulated(20, 0.5, 0.3, 5000, 9);
    for iterations_max in [0, 1, 2] {
        let estimate = fit(&runs, &ExactOptions { iterations_max, ..with_ridge(0.0) });
        assert_sound(&estimate);
        assert!(estimate.status.iter().all(|&s| s == RowStatus::NotConverged), "{iterations_max}");
        let convergence = estimate.convergence.unwrap();
        assert_eq!(convergence.iterations, [iterations_max; 20]);
        assert!(convergence.gradient_norm.iter().all(|&g| g > 1e-8));
    }
}

#[test]
fn what_is_no_ridge_leaves_no_estimate() {
    let (_, runs) = simulated(5, 0.3, 0.5, 2000, 1);
    for ridge in [-1.0, f64::NAN, f64::INFINITY, 1e300, 2.0 * Ridges::VALUE_MAX] {
        let estimate = fit(&runs, &with_ridge(ridge));
        assert_sound(&estimate);
        assert!(estimate.status.iter().all(|&s| s == RowStatus::Singular), "{ridge}: {:?}", estimate.status);
    }
    for fisher in [false, true] {
        let options = ExactOptions { fisher, ..with_ridge(Ridges::VALUE_MAX) };
        let estimate = fit(&runs, &options);
        assert_sound(&estimate);
        assert_eq!(estimate.n_ok(), 5);
        assert!((0..5).all(|i| estimate.standard_error(i, (i + 1) % 5).is_some()));
    }
}
