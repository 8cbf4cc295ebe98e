//! The erasure machine and the closed forms: fixed points, errors, and the errors known from other programs.

use glauber::equilibrium::{
    ERROR_BLOCKS, EquilibriumError, ErasureOptions, ErasureSolver, FitOptions, HopfieldOptions,
    MeanFieldOptions, Samples, erasure_machine, erasure_path, fit, hopfield, nmf, tap,
};
use glauber::model::{
    EquilibriumDiagnostics, EquilibriumErrors, EquilibriumMethod, EquilibriumModel, ErasureStep, RowStatus,
    Runs, SpikeBlock,
};
use glauber::simulate::{EquilibriumIsing, GibbsSampler};
use ndarray::{Array1, Array2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Fields and symmetric couplings from N(0, g²/n).
fn network(n: usize, g: f64, seed: u64) -> EquilibriumIsing {
    EquilibriumIsing::sk(n, g, g, seed).unwrap()
}

fn gibbs(model: &EquilibriumIsing, bins: usize, seed: u64) -> Runs {
    let mut chain = GibbsSampler::new(model, seed);
    (0..500).for_each(|_| chain.sweep());
    Runs { n_neurons: model.n_neurons(), blocks: vec![chain.bins(bins, 8)] }
}

fn runs_of(n_neurons: usize, bins: &[Vec<u16>]) -> Runs {
    Runs { n_neurons, blocks: vec![SpikeBlock::from_lists(0, bins, n_neurons).unwrap()] }
}

fn at(epsilon: f64) -> ErasureOptions {
    ErasureOptions { epsilons: vec![epsilon], errors: false, ..ErasureOptions::default() }
}

fn plain(iterations: u32) -> ErasureSolver {
    ErasureSolver::Plain { rate: 0.1, iterations }
}

fn path_of(model: &EquilibriumModel) -> (usize, Vec<ErasureStep>) {
    match &model.diagnostics {
        EquilibriumDiagnostics::Erasure { chosen, path } => (*chosen, path.clone()),
        other => panic!("{other:?}"),
    }
}

/// Mean square error over fields and pairs.
fn mean_square(truth: &EquilibriumIsing, couplings: &Array2<f64>, fields: &Array1<f64>) -> f64 {
    let n = fields.len();
    let pairs = (couplings - &truth.couplings).mapv(|e| e * e).sum() / 2.0;
    (pairs + (fields - &truth.fields).mapv(|e| e * e).sum()) / (n + n * (n - 1) / 2) as f64
}

fn is_finite(model: &EquilibriumModel) -> bool {
    let of_path = match &model.diagnostics {
        EquilibriumDiagnostics::Erasure { path, .. } => path.clone(),
        _ => Vec::new(),
    };
    let errors = model.errors.iter().flat_map(|errors| errors.couplings.iter().chain(&errors.fields));
    model.couplings.iter().chain(&model.fields).chain(errors).all(|v| v.is_finite())
        && of_path
            .iter()
            .all(|s| s.mean_energy.is_finite() && s.residual.is_finite() && s.effective_samples.is_finite())
}

/// `max |⟨O⟩_f̃ − ε w|`, straight from bins, with no code of the library.
fn residual_by_hand(runs: &Runs, model: &EquilibriumModel, epsilon: f64) -> f64 {
    let n = runs.n_neurons;
    let bins: Vec<Vec<f64>> = runs.blocks[0]
        .bins()
        .map(|bin| (0..n).map(|i| if bin.contains(&(i as u16)) { 1.0 } else { -1.0 }).collect())
        .collect();
    let minus_energy = |s: &[f64]| -> f64 {
        let pairs: f64 = (0..n)
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .map(|(i, j)| model.couplings[[i, j]] * s[i] * s[j])
            .sum();
        pairs + (0..n).map(|i| model.fields[i] * s[i]).sum::<f64>()
    };
    let logs: Vec<f64> = bins.iter().map(|s| (epsilon - 1.0) * minus_energy(s)).collect();
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = logs.iter().map(|log| (log - top).exp()).sum();
    let mut largest = 0.0_f64;
    for i in 0..n {
        for j in 0..=i {
            let mean = bins
                .iter()
                .zip(&logs)
                .map(|(s, log)| (log - top).exp() / total * if i == j { s[i] } else { s[i] * s[j] });
            let parameter = if i == j { model.fields[i] } else { model.couplings[[i, j]] };
            largest = largest.max((mean.sum::<f64>() - epsilon * parameter).abs());
        }
    }
    largest
}

#[test]
fn what_is_found_is_a_fixed_point_at_any_coupling() {
    for (n, g) in [(5, 0.5), (12, 1.0), (20, 2.0)] {
        let runs = gibbs(&network(n, g, 1), 2000, 2);
        let samples = Samples::of(&runs);
        for epsilon in [1.0, 0.97, 0.6, 0.2, 0.05] {
            let model = erasure_machine(&samples, &at(epsilon)).unwrap();
            let (_, path) = path_of(&model);
            assert!(path[0].converged && path[0].residual <= 1e-6, "g = {g}: {path:?}");
            // The residual that is reported is the true one, up to rounding.
            assert!((residual_by_hand(&runs, &model, epsilon) - path[0].residual).abs() < 1e-10);
        }
    }
}

#[test]
fn the_fixed_point_does_not_depend_on_where_the_search_begins() {
    let samples = Samples::of(&gibbs(&network(15, 1.5, 3), 3000, 4));
    let tight =
        |epsilons| ErasureOptions { epsilons, tolerance: 1e-9, errors: false, ..ErasureOptions::default() };
    let mut of_path = Vec::new();
    erasure_path(&samples, &tight(vec![0.1, 1.0, 0.4, 0.7, 0.2]), |step, j, h| {
        of_path.push((step.epsilon, j.clone(), h.clone()));
    })
    .unwrap();
    assert_eq!(of_path.iter().map(|point| point.0).collect::<Vec<_>>(), [1.0, 0.7, 0.4, 0.2, 0.1]);
    for (epsilon, couplings, fields) in of_path {
        let alone = erasure_machine(&samples, &tight(vec![epsilon])).unwrap();
        // |Δw| ≤ |residual| / ε in the norm over 120 parameters: twice √120 · 1e-9 / 0.1.
        assert!((&alone.couplings - &couplings).iter().all(|e| e.abs() < 3e-7), "ε = {epsilon}");
        assert!((&alone.fields - &fields).iter().all(|e| e.abs() < 3e-7), "ε = {epsilon}");
    }
}

#[test]
fn the_numpy_oracle_agrees() {
    let text = include_str!("fixtures/reference_erasure.tsv");
    let mut lines = text.lines();
    let (n, bins) = lines.next().unwrap().split_once('\t').unwrap();
    let (n, bins): (usize, usize) = (n.parse().unwrap(), bins.parse().unwrap());
    let of_line = |line: &str| (0..n as u16).filter(|&i| line.as_bytes()[i as usize] == b'1').collect();
    let lists: Vec<Vec<u16>> = lines.by_ref().take(bins).map(of_line).collect();
    let samples = Samples::of(&runs_of(n, &lists));
    let mut cases = 0;
    for line in lines {
        let numbers: Vec<f64> = line.split('\t').map(|v| v.parse().unwrap()).collect();
        let (epsilon, iterations, energy) = (numbers[0], numbers[1], numbers[2]);
        let (fields, couplings) = numbers[3..].split_at(n);
        let same = |options: &ErasureOptions, tolerance: f64| {
            let model = erasure_machine(&samples, options).unwrap();
            let close = |a: &f64, b: &f64| (a - b).abs() < tolerance;
            assert!(model.fields.iter().zip(fields).all(|(a, b)| close(a, b)), "{epsilon} {iterations}");
            assert!(
                model.couplings.iter().zip(couplings).all(|(a, b)| close(a, b)),
                "{epsilon} {iterations}"
            );
            assert!((path_of(&model).1[0].mean_energy - energy).abs() < 21.0 * tolerance);
            model
        };
        let steps = ErasureOptions { solver: plain(iterations as u32), tolerance: 1e-12, ..at(epsilon) };
        if iterations == 100.0 {
            // The same sums in another order.
            let model = same(&steps, 1e-10);
            assert!(model.status.iter().all(|&status| status == RowStatus::NotConverged));
        } else {
            // Residuals of 1e-12 (the oracle's) and 1e-10, over ε.
            same(&ErasureOptions { tolerance: 1e-10, ..at(epsilon) }, 1e-8);
        }
        cases += 1;
    }
    assert_eq!(cases, 8);
}

#[test]
fn epsilon_one_is_hopfields_rule() {
    let samples = Samples::of(&gibbs(&network(9, 1.0, 5), 500, 6));
    let rule = hopfield(&samples, &HopfieldOptions::default()).unwrap();
    let machine = erasure_machine(&samples, &ErasureOptions { errors: true, ..at(1.0) }).unwrap();
    assert_eq!((&machine.couplings, &machine.fields), (&rule.couplings, &rule.fields));
    assert_eq!(path_of(&machine).1[0].residual, 0.0);
    // Standard errors of means, exact for both: the jackknife is linear in them.
    let (machine, rule) = (machine.errors.unwrap(), rule.errors.unwrap());
    assert_eq!((machine.blocks, rule.blocks), (ERROR_BLOCKS as u32, ERROR_BLOCKS as u32));
    let close = |(a, b): (&f64, &f64)| (a - b).abs() < 0.02 * b + 1e-12;
    // Where a pair is hardly ever in one of its four states, the erasure machine gives none.
    let told = machine.couplings.iter().zip(&rule.couplings).filter(|(a, _)| **a > 0.0);
    assert!(told.clone().count() > 36 && told.clone().all(close));
    assert!(machine.fields.iter().zip(&rule.fields).all(close));
}

#[test]
fn no_result_depends_on_the_number_of_threads() {
    // Large enough that threads are used: 40 neurons, half of them active, 6000 configurations.
    let samples = Samples::of(&gibbs(&network(40, 0.7, 7), 6000, 8));
    let options = ErasureOptions { epsilons: vec![1.0, 0.8, 0.6], ..ErasureOptions::default() };
    let one = erasure_machine(&samples, &options).unwrap();
    assert!(one.errors.is_some());
    for threads in [0, 2, 5] {
        assert_eq!(erasure_machine(&samples, &ErasureOptions { threads, ..options.clone() }).unwrap(), one);
    }
    let methods = [
        EquilibriumMethod::ErasureMachine,
        EquilibriumMethod::Hopfield,
        EquilibriumMethod::Nmf,
        EquilibriumMethod::Tap,
    ];
    let few = Samples::of(&gibbs(&network(10, 0.7, 7), 800, 8));
    for method in methods {
        let fitted = |threads| fit(&few, method, &FitOptions { threads, seed: 1 }).unwrap();
        assert_eq!(fitted(1).method, method);
        assert_eq!(fitted(1), fitted(3));
    }
}

/// How far the mean logarithm of the errors of five networks may be from a number that another program gave, probably for one network:
/// Hopfield's rule, naive mean field, and the erasure machine twice. 3 · √1.2 times the spread of the logarithm from network to network, as
/// `equilibrium_timing errors gibbs` shows it for 20 and 40 neurons: 0.2, 0.25 and 0.18 at g = 0.5; 0.57, 0.85 and 0.18 at g = 1.
fn allowed(g: f64) -> [f64; 4] {
    if g < 0.75 { [0.65, 0.8, 0.6, 0.6] } else { [1.9, 2.8, 0.6, 0.6] }
}
/// The same for 200 bins of 20 neurons: the published value is of one network, and spreads there are some 0.3.
const FEW_ALLOWED: f64 = 1.0;

/// Logarithms: mean and standard deviation.
fn of_logs(values: &[f64]) -> (f64, f64) {
    let logs: Vec<f64> = values.iter().map(|v| v.ln()).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    let square: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
    (mean, (square / (logs.len() - 1) as f64).sqrt())
}

/// The table of errors at 10⁴ bins of Sherrington-Kirkpatrick networks that another program (numpy) gave: Hopfield, naive mean field, and
/// the erasure machine after 100 plain iterations, at the ε of largest mean energy.
///
/// Its values at n = 20 are those of ε ≥ 0.7: with smaller ε the largest mean energy is at 0.4 to 0.55, and the error is half of it.
#[test]
fn known_errors_are_reproduced() {
    let table = [
        (20_u32, 0.5, [2.8e-3, 2.5e-4, 8.6e-4], [14, 17, 20]),
        (20, 1.0, [1.8e-2, 3.0e-3, 8.2e-3], [14, 17, 20]),
        (40, 0.5, [2.6e-3, 2.1e-4, 4.6e-4], [12, 14, 16]),
        (40, 1.0, [3.8e-2, 3.7e-3, 4.7e-3], [12, 14, 16]),
    ];
    for (n, g, known, twentieths) in table {
        let mut found: [Vec<f64>; 4] = Default::default();
        for seed in 1..=5 {
            let truth = network(n as usize, g, seed);
            let samples = Samples::of(&gibbs(&truth, 10_000, seed));
            let error = |model: EquilibriumModel| mean_square(&truth, &model.couplings, &model.fields);
            found[0].push(error(hopfield(&samples, &HopfieldOptions { errors: false }).unwrap()));
            found[1].push(error(nmf(&samples, &MeanFieldOptions { errors: false, ridge: 0.0 }).unwrap()));
            let epsilons: Vec<f64> = twentieths.iter().map(|&k| f64::from(k) / 20.0).collect();
            let options = ErasureOptions {
                epsilons,
                solver: plain(100),
                errors: false,
                threads: 2,
                ..ErasureOptions::default()
            };
            found[2].push(error(erasure_machine(&samples, &options).unwrap()));
            let converged = ErasureOptions { solver: ErasureOptions::default().solver, ..options };
            found[3].push(error(erasure_machine(&samples, &converged).unwrap()));
        }
        for (k, (values, known)) in found.iter().zip(known).enumerate() {
            let mean = of_logs(values).0;
            let allowed = allowed(g)[k];
            println!(
                "n = {n}, g = {g}: {:.2e} (log ± {:.2}), known {known:.2e}",
                mean.exp(),
                of_logs(values).1
            );
            assert!((mean - f64::ln(known)).abs() < allowed, "n = {n}, g = {g}: {values:?}, known {known:e}");
        }
        // Where the maximum is, ε is so large that 100 iterations arrive.
        let (plain, converged) = (of_logs(&found[2]).0, of_logs(&found[3]).0);
        assert!((plain - converged).abs() < 0.02, "n = {n}, g = {g}");
    }
}

#[test]
fn the_largest_mean_energy_lies_next_to_the_least_error() {
    for (g, bins) in [(0.5, 5000), (0.5, 10_000), (1.0, 5000), (1.0, 10_000)] {
        for seed in 1..=3 {
            let truth = network(40, g, seed);
            let samples = Samples::of(&gibbs(&truth, bins, 10 + seed));
            let options = ErasureOptions {
                epsilons: (9..=16).map(|k| f64::from(k) / 20.0).collect(),
                errors: false,
                threads: 2,
                // Two digits of the error are enough to compare.
                tolerance: 1e-4,
                ..ErasureOptions::default()
            };
            let mut steps = Vec::new();
            erasure_path(&samples, &options, |step, j, h| steps.push((*step, mean_square(&truth, j, h))))
                .unwrap();
            let energy = |k: usize| steps[k].0.mean_energy;
            let chosen = (0..steps.len()).max_by(|&a, &b| energy(a).total_cmp(&energy(b))).unwrap();
            let least = (0..steps.len()).min_by(|&a, &b| steps[a].1.total_cmp(&steps[b].1)).unwrap();
            println!("g = {g}, {bins} bins: ε = {} and {}", steps[chosen].0.epsilon, steps[least].0.epsilon);
            // Steps of 0.05. The error is flat at its least: a step changes it by some percent.
            assert!(
                chosen.abs_diff(least) <= 2 && steps[chosen].1 < 1.15 * steps[least].1,
                "g = {g}, {bins} bins: {chosen} and {least} of {steps:?}"
            );
            assert!(chosen > 0 && chosen + 1 < steps.len(), "an end of the path");
        }
    }
}

#[test]
fn the_scan_ends_after_falls_of_the_mean_energy_and_chooses_the_same() {
    let samples = Samples::of(&gibbs(&network(15, 0.5, 2), 3000, 5));
    let scan = |stop_after_falls| {
        let options = ErasureOptions { stop_after_falls, errors: false, ..ErasureOptions::default() };
        erasure_machine(&samples, &options).unwrap()
    };
    let (all, four, one) = (scan(None), scan(Some(4)), scan(Some(1)));
    let ((chosen, path), (chosen_of_four, path_of_four)) = (path_of(&all), path_of(&four));
    assert_eq!(path.len(), 20);
    assert!(chosen > 0 && chosen + 5 < 20, "a maximum inside: {chosen}");
    assert_eq!((chosen_of_four, path_of_four.len()), (chosen, chosen + 5));
    assert_eq!(path_of_four, path[..chosen + 5]);
    assert_eq!((&four.couplings, &four.fields), (&all.couplings, &all.fields));
    assert_eq!((path_of(&one).0, path_of(&one).1.len()), (chosen, chosen + 2));
    assert_eq!(scan(Some(0)), one);
    // Whoever asks for the path gets all of it.
    let mut visited = 0;
    let options = ErasureOptions { stop_after_falls: Some(1), errors: false, ..ErasureOptions::default() };
    erasure_path(&samples, &options, |_, _, _| visited += 1).unwrap();
    assert_eq!(visited, 20);
}

#[test]
fn few_samples_and_strong_couplings() {
    let mut errors = Vec::new();
    for seed in 1..=5 {
        let truth = network(20, 1.0, seed);
        let samples = Samples::of(&gibbs(&truth, 200, seed));
        let options = ErasureOptions { errors: false, ..ErasureOptions::default() };
        let model = erasure_machine(&samples, &options).unwrap();
        errors.push(mean_square(&truth, &model.couplings, &model.fields));
    }
    let (mean, deviation) = of_logs(&errors);
    println!("n = 20, g = 1, 200 bins: {:.2e} (log ± {deviation:.2})", mean.exp());
    // 0.024 in numpy, with other networks.
    assert!((mean - 0.024_f64.ln()).abs() < FEW_ALLOWED, "{errors:?}");

    // Strong couplings: the default solver arrives where 100 plain iterations do not.
    let samples = Samples::of(&gibbs(&network(20, 2.0, 1), 5000, 2));
    let quick = ErasureOptions { errors: false, stop_after_falls: None, ..ErasureOptions::default() };
    let (_, path) = path_of(&erasure_machine(&samples, &quick).unwrap());
    assert_eq!(path.len(), 20);
    assert!(path.iter().all(|step| step.converged), "{path:?}");
    let model = erasure_machine(&samples, &ErasureOptions { solver: plain(100), ..quick.clone() }).unwrap();
    assert!(path_of(&model).1.iter().all(|step| !step.converged));
    assert!(model.status.iter().all(|&status| status == RowStatus::NotConverged) && is_finite(&model));
    // And says so when it is stopped on the way.
    let solver = ErasureSolver::Minimize { iterations_max: 2 };
    let model = erasure_machine(&samples, &ErasureOptions { solver, ..at(0.1) }).unwrap();
    assert!(model.status.iter().all(|&status| status == RowStatus::NotConverged) && is_finite(&model));
    assert_eq!(model.iterations, 2);
}

/// Ratio of mean squared standard error to the variance over recordings.
fn calibration(fits: &[EquilibriumModel]) -> f64 {
    let n = fits[0].n_neurons();
    let (mut claimed, mut seen) = (0.0, 0.0);
    let mut add = |value: &dyn Fn(&EquilibriumModel) -> f64, error: &dyn Fn(&EquilibriumErrors) -> f64| {
        let count = fits.len() as f64;
        let mean = fits.iter().map(value).sum::<f64>() / count;
        seen += fits.iter().map(|model| (value(model) - mean).powi(2)).sum::<f64>() / (count - 1.0);
        claimed +=
            fits.iter().map(|model| error(model.errors.as_ref().unwrap()).powi(2)).sum::<f64>() / count;
    };
    for i in 0..n {
        add(&|model| model.fields[i], &|errors| errors.fields[i]);
        (0..i).for_each(|j| add(&|model| model.couplings[[i, j]], &|errors| errors.couplings[[i, j]]));
    }
    claimed / seen
}

#[test]
fn standard_errors_are_the_spread_over_recordings() {
    let truth = network(6, 0.8, 3);
    let recordings: Vec<Samples> =
        (0..60).map(|seed| Samples::of(&gibbs(&truth, 2000, 100 + seed))).collect();
    type Fit = fn(&Samples) -> Result<EquilibriumModel, EquilibriumError>;
    let methods: [(&str, Fit); 5] = [
        ("hopfield", |samples| hopfield(samples, &HopfieldOptions::default())),
        ("nmf", |samples| nmf(samples, &MeanFieldOptions::default())),
        ("tap", |samples| tap(samples, &MeanFieldOptions { ridge: 0.01, ..MeanFieldOptions::default() })),
        ("ε = 0.7", |samples| erasure_machine(samples, &ErasureOptions { errors: true, ..at(0.7) })),
        ("ε = 0.2", |samples| erasure_machine(samples, &ErasureOptions { errors: true, ..at(0.2) })),
    ];
    for (name, method) in methods {
        let fits: Vec<_> = recordings.iter().map(|samples| method(samples).unwrap()).collect();
        let ratio = calibration(&fits);
        println!("{name}: {ratio:.3}");
        // 21 parameters, partly dependent, times 59 degrees of freedom: √(2/(59·10)) ≈ 0.06 for ten independent ones; three of these. Where
        // ε is small the fixed point bends between recordings, and what a linear response claims is too small: 0.77 and 0.89 were seen.
        let expected = if name == "ε = 0.2" { 0.83 } else { 1.0 };
        assert!((ratio - expected).abs() < 0.2, "{name}: {ratio}");
    }
}

#[test]
fn standard_errors_are_those_of_leaving_blocks_out() {
    let n = 8;
    let runs = gibbs(&network(n, 1.0, 4), 32 * 150, 9);
    let epsilon = 0.4;
    let options = ErasureOptions { tolerance: 1e-9, ..at(epsilon) };
    let mut couplings: Vec<Array2<f64>> = Vec::new();
    for block in 0..32 {
        let (start, end) = (block * 150, (block + 1) * 150);
        let bins = &runs.blocks[0];
        let blocks: Vec<_> = [bins.slice(0, start), bins.slice(end, 32 * 150)]
            .into_iter()
            .filter(|part| part.n_bins() > 0)
            .collect();
        let samples = Samples::of(&Runs { n_neurons: n, blocks });
        couplings.push(erasure_machine(&samples, &options).unwrap().couplings);
    }
    let mean = couplings.iter().fold(Array2::<f64>::zeros((n, n)), |sum, j| sum + j) / 32.0;
    let square =
        couplings.iter().fold(Array2::<f64>::zeros((n, n)), |sum, j| sum + (j - &mean).mapv(|e| e * e));
    let left_out = square.mapv(|s| (31.0 / 32.0 * s).sqrt());
    let model = erasure_machine(&Samples::of(&runs), &ErasureOptions { errors: true, ..options }).unwrap();
    let errors = model.errors.unwrap();
    assert_eq!(errors.blocks, 32);
    for i in 0..n {
        for j in 0..i {
            let ratio = errors.couplings[[i, j]] / left_out[[i, j]];
            // To first order in 1/32, and solved to 1 %.
            assert!((ratio - 1.0).abs() < 0.1, "({i}, {j}): {ratio}");
            assert_eq!(errors.couplings[[i, j]], errors.couplings[[j, i]]);
        }
    }
}

#[test]
fn mean_field_solves_its_equations() {
    let truth = network(12, 0.5, 6);
    let samples = Samples::of(&gibbs(&truth, 20_000, 7));
    let m = &samples.magnetizations;
    let n = m.len();
    for ridge in [0.0, 0.05] {
        let options = MeanFieldOptions { ridge, errors: false };
        let naive = nmf(&samples, &options).unwrap();
        let tap = tap(&samples, &options).unwrap();
        assert!(tap.status.iter().all(|&status| status == RowStatus::Ok));
        let covariance = nalgebra::DMatrix::from_fn(n, n, |i, j| {
            samples.second_moments[[i, j]] - m[i] * m[j] + if i == j { ridge } else { 0.0 }
        });
        let inverse = covariance.try_inverse().unwrap();
        for i in 0..n {
            let (mut field, mut tap_field) = (m[i].atanh(), m[i].atanh());
            for j in (0..n).filter(|&j| j != i) {
                let (j_naive, j_tap) = (naive.couplings[[i, j]], tap.couplings[[i, j]]);
                assert!((j_naive + inverse[(i, j)]).abs() < 1e-12);
                assert!((inverse[(i, j)] + j_tap + 2.0 * j_tap * j_tap * m[i] * m[j]).abs() < 1e-12);
                // The root that tends to the naive one, not the other, near −1 / (2 m_i m_j).
                assert!((j_tap - j_naive).abs() < 0.2 * j_naive.abs() + 1e-3);
                field -= j_naive * m[j];
                tap_field += m[i] * j_tap * j_tap * (1.0 - m[j] * m[j]) - j_tap * m[j];
            }
            assert!((naive.fields[i] - field).abs() < 1e-12 && (tap.fields[i] - tap_field).abs() < 1e-12);
            assert_eq!(naive.couplings[[i, i]], 0.0);
        }
    }
    // The correction corrects: 20,000 bins are enough to see it.
    let error = |model: EquilibriumModel| mean_square(&truth, &model.couplings, &model.fields);
    let options = MeanFieldOptions::default();
    let (naive, tap) = (error(nmf(&samples, &options).unwrap()), error(tap(&samples, &options).unwrap()));
    assert!(tap < 0.9 * naive, "{tap:e} {naive:e}");
}

#[test]
fn a_pair_without_a_root_keeps_naive_mean_field_and_says_so() {
    // Rare spikes of 0 and 1, never together; 2 fires by itself.
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let bins: Vec<Vec<u16>> = (0..4000)
        .map(|_| {
            let first: f64 = random.random();
            let mut bin = if first < 0.1 {
                vec![0]
            } else if first < 0.2 {
                vec![1]
            } else {
                vec![]
            };
            if random.random::<f64>() < 0.5 {
                bin.push(2);
            }
            bin
        })
        .collect();
    let samples = Samples::of(&runs_of(3, &bins));
    let (naive, tap) = (
        nmf(&samples, &MeanFieldOptions::default()).unwrap(),
        tap(&samples, &MeanFieldOptions::default()).unwrap(),
    );
    assert_eq!(tap.status, [RowStatus::TapNoRoot, RowStatus::TapNoRoot, RowStatus::Ok]);
    assert_eq!(tap.couplings[[0, 1]], naive.couplings[[0, 1]]);
    assert!(tap.couplings[[0, 2]] != naive.couplings[[0, 2]]);
    assert!(is_finite(&tap) && is_finite(&naive));
    // No error for a coupling that is none of TAP's, nor for fields with it in them.
    let (of_tap, of_naive) = (tap.errors.unwrap(), naive.errors.unwrap());
    assert_eq!((of_tap.couplings[[0, 1]], of_tap.couplings[[1, 0]]), (0.0, 0.0));
    assert_eq!((of_tap.fields[0], of_tap.fields[1]), (0.0, 0.0));
    assert!(of_tap.couplings[[0, 2]] > 0.0 && of_tap.fields[2] > 0.0 && of_naive.couplings[[0, 1]] > 0.0);
}

fn everything(samples: &Samples) -> [EquilibriumModel; 4] {
    [
        erasure_machine(samples, &ErasureOptions::default()).unwrap(),
        hopfield(samples, &HopfieldOptions::default()).unwrap(),
        nmf(samples, &MeanFieldOptions::default()).unwrap(),
        tap(samples, &MeanFieldOptions::default()).unwrap(),
    ]
}

#[test]
fn data_that_allow_no_estimate_are_a_status() {
    use RowStatus::{Duplicate, Ok, Saturated, Silent, Singular, Undersampled};
    // Neurons 0 and 5 fire at random, 1 never, 2 always, 3 with 0.
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let bins: Vec<Vec<u16>> = (0..300)
        .map(|_| {
            let mut bin = vec![2];
            if random.random::<f64>() < 0.4 {
                bin.extend([0, 3]);
            }
            bin.extend([4, 5].into_iter().filter(|_| random.random::<f64>() < 0.3));
            bin.sort_unstable();
            bin
        })
        .collect();
    for model in everything(&Samples::of(&runs_of(6, &bins))) {
        assert_eq!(model.status, [Ok, Silent, Saturated, Duplicate, Ok, Ok], "{}", model.method);
        assert!(is_finite(&model) && model.couplings[[0, 4]] != 0.0);
        assert!(
            [1, 2, 3]
                .iter()
                .all(|&i| model.fields[i] == 0.0 && model.couplings.row(i).iter().all(|&j| j == 0.0))
        );
        let errors = model.errors.unwrap();
        assert!(errors.couplings[[0, 4]] > 0.0 && errors.couplings[[0, 1]] == 0.0);
    }
    // Neuron 1 is silent whenever 0 fires and the reverse: no duplicate, but no inverse either.
    let opposite: Vec<Vec<u16>> =
        bins.iter().map(|bin| if bin.contains(&0) { vec![0] } else { vec![1] }).collect();
    for model in everything(&Samples::of(&runs_of(2, &opposite))) {
        let singular = matches!(model.method, EquilibriumMethod::Nmf | EquilibriumMethod::Tap);
        assert_eq!(model.status, [if singular { Singular } else { Ok }; 2], "{}", model.method);
        assert!(is_finite(&model));
    }
    let ridged = MeanFieldOptions { ridge: 0.1, ..MeanFieldOptions::default() };
    assert_eq!(nmf(&Samples::of(&runs_of(2, &opposite)), &ridged).unwrap().status, [Ok; 2]);
    // As many bins as neurons; one configuration only; no bin; no neuron.
    let few: Vec<Vec<u16>> = vec![vec![0], vec![1], vec![2]];
    for (n, bins, status) in [
        (3, few, vec![Undersampled; 3]),
        (3, vec![vec![1]; 50], vec![Silent, Saturated, Silent]),
        (2, Vec::new(), vec![Undersampled; 2]),
        (0, vec![Vec::new(); 5], Vec::new()),
    ] {
        for model in everything(&Samples::of(&runs_of(n, &bins))) {
            assert_eq!(model.status, status, "{}", model.method);
            assert!(is_finite(&model) && model.couplings.iter().chain(&model.fields).all(|&v| v == 0.0));
        }
    }
}

#[test]
fn a_neuron_that_fires_once_has_finite_errors() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let bins: Vec<Vec<u16>> = (0..2000)
        .map(|t| {
            let mut bin: Vec<u16> = (0..5).filter(|_| random.random::<f64>() < 0.1).collect();
            if t == 700 {
                bin.push(5);
            }
            bin
        })
        .collect();
    for model in everything(&Samples::of(&runs_of(6, &bins))) {
        assert!(is_finite(&model), "{}", model.method);
        assert!(model.errors.is_some(), "{}", model.method);
    }
}

#[test]
fn options_outside_their_ranges_are_errors() {
    let samples = Samples::of(&gibbs(&network(4, 0.5, 1), 100, 1));
    for found in [0.0, -0.5, 1.0 + 1e-12, f64::INFINITY] {
        let options = ErasureOptions { epsilons: vec![0.5, found], ..ErasureOptions::default() };
        assert_eq!(erasure_machine(&samples, &options).unwrap_err(), EquilibriumError::Epsilon { found });
    }
    let refused = |options: ErasureOptions| {
        assert!(erasure_path(&samples, &options, |_, _, _| ()).is_err());
        erasure_machine(&samples, &options).unwrap_err()
    };
    assert!(matches!(refused(at(f64::NAN)), EquilibriumError::Epsilon { .. }));
    assert!(matches!(
        refused(ErasureOptions { epsilons: Vec::new(), ..ErasureOptions::default() }),
        EquilibriumError::Count { found: 0, .. }
    ));
    assert!(matches!(
        refused(ErasureOptions { epsilons: vec![0.5; 1001], ..ErasureOptions::default() }),
        EquilibriumError::Count { found: 1001, .. }
    ));
    for tolerance in [0.0, 2.0, f64::NAN] {
        let error = refused(ErasureOptions { tolerance, ..at(0.5) });
        assert!(matches!(error, EquilibriumError::Range { what: "tolerance", .. }));
    }
    for rate in [0.0, 1.5, f64::NAN] {
        let solver = ErasureSolver::Plain { rate, iterations: 10 };
        let error = refused(ErasureOptions { solver, ..at(0.5) });
        assert!(matches!(error, EquilibriumError::Range { what: "rate", .. }));
    }
    for solver in [plain(0), ErasureSolver::Minimize { iterations_max: 0 }] {
        let error = refused(ErasureOptions { solver, ..at(0.5) });
        assert!(matches!(error, EquilibriumError::Range { what: "iterations", .. }));
    }
    for ridge in [-0.1, 1e7, f64::NAN] {
        let options = MeanFieldOptions { ridge, errors: false };
        assert!(matches!(nmf(&samples, &options), Err(EquilibriumError::Range { what: "ridge", .. })));
        assert!(tap(&samples, &options).is_err());
    }
    // An ε next to nothing is allowed, and says that it has not arrived rather than give what is no number.
    let samples = Samples::of(&gibbs(&network(4, 2.0, 1), 20, 1));
    for epsilon in [1e-3, 1e-12, 1e-300] {
        let model = erasure_machine(&samples, &ErasureOptions { errors: true, ..at(epsilon) }).unwrap();
        assert!(is_finite(&model), "ε = {epsilon}: {model:?}");
    }
}
