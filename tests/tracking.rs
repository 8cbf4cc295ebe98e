//! Estimates as they follow each other: what is scored on what, which ridge is chosen, how fast couplings that change are followed.

use glauber::kinetic::{self, ExactOptions, Predictor};
use glauber::model::{
    BinWidth, Estimate, Estimator, Lags, Neuron, Ridges, RowStatus, Runs, SessionMetadata, SpikeBlock, Window,
};
use glauber::session::{EquilibriumSpec, RefitScope, Session, SessionSpec, Snapshot, Tracker, WindowCounts};
use glauber::simulate::{KineticIsing, KineticSimulation};
use ndarray::Array2;

fn spec(n: usize, window: Window, estimators: &[Estimator], ridges: &[f64]) -> SessionSpec {
    SessionSpec {
        name: "tracked".to_owned(),
        neurons: (0..n as i64).map(|id| Neuron { id, label: String::new() }).collect(),
        bin_width: BinWidth::from_us(1000).unwrap(),
        origin_ns: 0,
        windows: vec![window],
        lags: Lags::default(),
        estimators: estimators.to_vec(),
        ridges: Ridges::new(ridges).unwrap(),
        refresh_interval_bins: 500,
        refit_interval_bins: 5000,
        refit_bins_max: 1 << 18,
        score_memory_bins: 20_000,
        equilibrium: EquilibriumSpec::default(),
        metadata: SessionMetadata::default(),
    }
}

/// Run a session over the bins with a refresh at each interval; gives what each published, with the counts and new bins it saw.
fn track(spec: SessionSpec, bins: &SpikeBlock) -> Vec<(Snapshot, Runs)> {
    let mut session = Session::new(spec).unwrap();
    let mut tracker = Tracker::new(session.spec().clone(), u64::MAX);
    let mut published = Vec::new();
    let mut on_refresh = |session: &mut Session| {
        let windows: Vec<WindowCounts> = vec![session.window_counts(0)];
        let newest = session.newest_bins(tracker.observed_through());
        let (newest, trials) = (newest.bins.runs(), newest.trials);
        tracker.observe(&windows, &newest, &trials);
        published.push((tracker.publish(windows, None).remove(0), newest));
    };
    session.push(bins, &mut on_refresh).unwrap();
    published
}

fn rms(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - b).mapv(|d| d * d).mean().unwrap().sqrt()
}

/// Log-likelihood gained over the rates of the estimate's counts, in bits, straight from the definition.
fn gain_bits(estimate: &Estimate, window: &WindowCounts, runs: &Runs) -> Vec<f64> {
    let lag = &window.counts.lags[0];
    let n = estimate.n_neurons();
    let mut bits = vec![0.0; n];
    for block in &runs.blocks {
        for t in 1..block.n_bins() {
            let spin = |t: usize, i: usize| if block.bin(t).contains(&(i as u16)) { 1.0 } else { -1.0 };
            for (i, bits) in bits.iter_mut().enumerate() {
                let rate = (lag.receiver[i] as f64 + 0.5) / (lag.transitions as f64 + 1.0);
                let by_rate = if spin(t, i) > 0.0 { rate } else { 1.0 - rate };
                let drive: f64 = (0..n).map(|j| estimate.couplings[[i, j]] * spin(t - 1, j)).sum();
                let theta = estimate.fields[i] + drive;
                let by_model = (theta * spin(t, i)).exp() / (2.0 * theta.cosh());
                let by_model = if estimate.status[i].has_estimate() { by_model } else { by_rate };
                *bits += (by_model / by_rate).log2();
            }
        }
    }
    bits
}

#[test]
fn scores_are_those_of_the_estimates_before_on_the_bins_after() {
    let network = KineticIsing::asymmetric_sk(8, 0.6, 0.0, 1).unwrap().with_spike_probability(0.2).unwrap();
    let mut bins = KineticSimulation::new(&network, 2).bins(3000);
    // A neuron that never fires is predicted by its rate.
    let lists: Vec<Vec<u16>> =
        bins.bins().map(|bin| bin.iter().copied().filter(|&i| i != 3).collect()).collect();
    bins = SpikeBlock::from_lists(0, &lists, 8).unwrap();
    let estimators = [Estimator::Nmf, Estimator::ExactMeanField];
    let published = track(spec(8, Window::All, &estimators, &[0.1]), &bins);
    assert_eq!(published.len(), 6);
    for place in 0..estimators.len() {
        let mut expected = vec![0.0; 8];
        for (k, (snapshot, newest)) in published.iter().enumerate() {
            assert_eq!(newest.transitions(), if k == 0 { 499 } else { 500 }, "each transition once");
            if k > 0 {
                let (before, _) = &published[k - 1];
                let gained = gain_bits(&before.estimates[place].estimate, &before.window, newest);
                expected.iter_mut().zip(gained).for_each(|(sum, gain)| *sum += gain);
            }
            let score = &snapshot.estimates[place].score;
            for (i, (&got, &expected)) in score.total.gain_bits.iter().zip(&expected).enumerate() {
                assert!(
                    (got - expected).abs() < 1e-3 * (1.0 + expected.abs()),
                    "neuron {i}: {got} {expected}"
                );
            }
        }
        let score = &published[5].0.estimates[place].score;
        assert_eq!(score.total.transitions, 2500.0);
        assert!(score.total.gain_bits[3].abs() < 1e-9 && score.total.bits_per_spike().unwrap() > 0.0);
        // Five stretches of 500 bins, each discounted by those after it.
        let discounted: f64 = (0..5).map(|age| 500.0 * (-0.025 * f64::from(age)).exp()).sum();
        assert!((score.recent.transitions - discounted).abs() < 1e-9);
    }
}

#[test]
fn the_ridge_chosen_is_the_one_that_has_predicted_best() {
    for (probability, least, most) in [(0.5, 0.0, 0.03), (0.01, 0.1, 1.0)] {
        let network = KineticIsing::asymmetric_sk(20, 0.4, 0.0, 3).unwrap();
        let network = network.with_spike_probability(probability).unwrap();
        let bins = KineticSimulation::new(&network, 4).bins(15_000);
        let ridges = Ridges::auto();
        let published =
            track(spec(20, Window::All, &[Estimator::Nmf, Estimator::Online], ridges.as_slice()), &bins);
        let first = &published[0].0.estimates[0];
        assert_eq!(first.estimate.ridge, 0.3, "the one to begin with");
        assert!(first.path.iter().all(|point| point.bits_per_spike.is_none()));
        for scored in &published.last().unwrap().0.estimates {
            let bits =
                |ridge: f64| scored.path.iter().find(|p| p.ridge == ridge).unwrap().bits_per_spike.unwrap();
            let best = scored.path.iter().filter_map(|p| p.bits_per_spike).fold(f64::MIN, f64::max);
            assert_eq!(bits(scored.estimate.ridge), best);
            assert_eq!(scored.score.recent.bits_per_spike(), Some(best));
            assert!((least..=most).contains(&scored.estimate.ridge), "{probability}: {:?}", scored.path);
        }
        let last = &published.last().unwrap().0;
        // The ridge alone gives the very same numbers.
        let alone =
            kinetic::estimate(&last.window.counts, &[Estimator::Nmf], last.estimates[0].estimate.ridge);
        assert_eq!(*last.estimates[0].estimate, alone[0]);
        let best = last.best().unwrap().score.recent.bits_per_spike();
        assert!(last.estimates.iter().all(|e| e.score.recent.bits_per_spike() <= best));
    }
}

#[test]
fn online_agrees_with_the_batch_when_nothing_changes() {
    for g in [0.3, 0.7] {
        let network = KineticIsing::asymmetric_sk(20, g, 0.0, 5).unwrap();
        let bins = KineticSimulation::new(&network, 6).bins(60_000);
        let published = track(spec(20, Window::All, &[Estimator::Online], &[0.0]), &bins);
        let (last, _) = published.last().unwrap();
        let online = &last.estimates[0].estimate;
        let runs = Runs { n_neurons: 20, blocks: vec![bins] };
        let batch = kinetic::exact(&runs, &last.window.counts, &ExactOptions::default(), None);
        let distance = rms(&online.couplings, &batch.couplings) / batch.standard_error(0, 1).unwrap();
        println!("g = {g}: online differs from the batch by {distance:.3} standard errors");
        // A variance larger by 1/8 is a difference of 0.35; what is left of the start comes on top.
        assert!(distance < 0.6, "g = {g}: {distance} standard errors");
        let ratio = rms(&online.couplings, &network.couplings) / rms(&batch.couplings, &network.couplings);
        assert!(ratio < 1.15, "g = {g}: error {ratio} times that of the batch");
    }
}

#[test]
fn a_step_in_the_couplings_is_followed_within_one_and_a_half_windows() {
    let before = KineticIsing::asymmetric_sk(20, 0.5, 0.0, 7).unwrap();
    let after = KineticIsing::asymmetric_sk(20, 0.5, 0.0, 8).unwrap();
    let mut bins = KineticSimulation::new(&before, 9).bins(30_000);
    let later = KineticSimulation::new(&after, 10).bins(30_000);
    bins.extend_from(&later, 0, later.n_bins());
    let window = Window::Last { ms: 20_000 };
    let published = track(spec(20, window, &[Estimator::Online, Estimator::Nmf], &[0.0]), &bins);
    let online = |bin: u64| {
        let of_bin = |(snapshot, _): &&(Snapshot, Runs)| snapshot.window.end_bin == bin;
        &published.iter().find(of_bin).unwrap().0.estimates[0].estimate
    };
    let step = rms(&before.couplings, &after.couplings);
    let settled = rms(&online(30_000).couplings, &before.couplings);
    assert!(settled < 0.1 * step, "before the step: error {settled} of {step}");
    // The share of the step that is yet to be made, along the step itself so that noise averages out.
    let change = &after.couplings - &before.couplings;
    let left =
        |bin: u64| ((&after.couplings - &online(bin).couplings) * &change).sum() / (&change * &change).sum();
    let shares = [30_000, 35_000, 40_000, 50_000, 60_000].map(left);
    println!("left of the step after 0, 0.25, 0.5, 1 and 1.5 windows: {shares:.3?}");
    assert!((shares[0] - 1.0).abs() < 0.05);
    assert!(shares[4].abs() < 0.1, "{shares:?}");
}

#[test]
fn probabilities_are_those_of_the_model() {
    let network = KineticIsing::asymmetric_sk(6, 0.8, 0.0, 11).unwrap().with_spike_probability(0.3).unwrap();
    let bins = KineticSimulation::new(&network, 12).bins(5000);
    let published = track(spec(6, Window::All, &[Estimator::Nmf], &[0.05]), &bins);
    let (last, _) = published.last().unwrap();
    let estimate = &last.estimates[0].estimate;
    let predictor = Predictor::new(estimate, &last.window.counts);
    for active in [&[][..], &[0], &[1, 4], &[0, 1, 2, 3, 4, 5]] {
        for i in 0..6 {
            let spin = |j: usize| if active.contains(&(j as u16)) { 1.0 } else { -1.0 };
            let drive: f64 = (0..6).map(|j| estimate.couplings[[i, j]] * spin(j)).sum();
            let expected = 1.0 / (1.0 + (-2.0 * (estimate.fields[i] + drive)).exp());
            assert!((predictor.probability(i, active, None) - expected).abs() < 1e-6);
        }
    }
}

#[test]
fn a_neuron_that_comes_back_is_predicted_by_its_rate_and_its_silence_shifts_nobody() {
    // Neuron 0 drives neuron 1, falls silent for longer than the window, and comes back.
    let network = KineticIsing::asymmetric_sk(6, 0.6, 0.0, 21).unwrap().with_spike_probability(0.1).unwrap();
    let bins = KineticSimulation::new(&network, 22).bins(12_000);
    let quiet = 4000..8000;
    let lists: Vec<Vec<u16>> = bins
        .bins()
        .enumerate()
        .map(|(t, bin)| bin.iter().copied().filter(|&i| i != 0 || !quiet.contains(&t)).collect())
        .collect();
    let bins = SpikeBlock::from_lists(0, &lists, 6).unwrap();
    let window = Window::Last { ms: 2000 };
    let published = track(spec(6, window, &[Estimator::Online], &[0.1]), &bins);
    let mut statuses = Vec::new();
    for (snapshot, _) in &published {
        let estimate = &snapshot.estimates[0].estimate;
        statuses.push(estimate.status[0]);
        let predictor = Predictor::new(estimate, &snapshot.window.counts);
        // One that starts at no field at all would be predicted at one half.
        for i in 0..6 {
            let rate = snapshot.window.counts.lags[0].receiver[i] as f64
                / snapshot.window.counts.lags[0].transitions as f64;
            let predicted = predictor.probability(i, &[], None);
            assert!(
                predicted < 3.0 * rate.max(0.1),
                "bin {}: neuron {i} at {predicted}, rate {rate}",
                snapshot.window.end_bin
            );
        }
    }
    assert!(statuses.contains(&RowStatus::Silent) && statuses.last() == Some(&RowStatus::Ok));
}

#[test]
fn stretches_that_no_transition_crosses_and_skipped_refreshes_are_scored_as_they_are_counted() {
    let network = KineticIsing::asymmetric_sk(5, 0.6, 0.0, 31).unwrap().with_spike_probability(0.2).unwrap();
    let all = KineticSimulation::new(&network, 32).bins(5000);
    let spec = SessionSpec { refresh_interval_bins: 100, ..spec(5, Window::All, &[Estimator::Nmf], &[0.1]) };
    let mut session = Session::new(spec).unwrap();
    let mut tracker = Tracker::new(session.spec().clone(), u64::MAX);
    let mut before: Option<(Snapshot, u64)> = None;
    let (mut expected, mut transitions) = (vec![0.0; 5], 0.0);
    let mut refreshes = 0;
    let mut on_refresh = |session: &mut Session| {
        refreshes += 1;
        // Two of three are skipped, as on a busy machine.
        if refreshes % 3 != 0 {
            return;
        }
        let newest = session.newest_bins(tracker.observed_through());
        let (runs, trials) = (newest.bins.runs(), newest.trials);
        let counts = session.window_counts(0);
        tracker.observe(std::slice::from_ref(&counts), &runs, &trials);
        if let Some((before, counted)) = &before {
            let gained = gain_bits(&before.estimates[0].estimate, &before.window, &runs);
            expected.iter_mut().zip(gained).for_each(|(sum, gain)| *sum += gain);
            let new = counts.counts.lags[0].transitions - counted;
            assert_eq!(runs.transitions(), new, "what is scored is what was counted since");
            transitions += new as f64;
        }
        let snapshot = tracker.publish(vec![counts.clone()], None).remove(0);
        before = Some((snapshot, counts.counts.lags[0].transitions));
    };
    for edge in [250, 777, 778, 3000] {
        session.mark_trial_edge(edge).unwrap();
    }
    for (from, to) in [(0, 1234), (1234, 2000), (2500, 2501), (2600, 4900)] {
        session.push(&all.slice(from, to), &mut on_refresh).unwrap();
    }
    let score = &before.unwrap().0.estimates[0].score.total;
    assert_eq!(score.transitions, transitions);
    for (got, expected) in score.gain_bits.iter().zip(&expected) {
        assert!((got - expected).abs() < 1e-3 * (1.0 + expected.abs()), "{got} {expected}");
    }
}

#[test]
fn a_refit_is_scored_only_on_bins_that_come_after_it_is_published() {
    let network = KineticIsing::asymmetric_sk(5, 0.6, 0.0, 41).unwrap();
    let bins = KineticSimulation::new(&network, 42).bins(3000);
    let mut session = Session::new(spec(5, Window::All, &[Estimator::Exact], &[0.1])).unwrap();
    let mut tracker = Tracker::new(session.spec().clone(), u64::MAX);
    let (mut task, mut scored) = (None, Vec::new());
    let mut on_refresh = |session: &mut Session| {
        let counts = vec![session.window_counts(0)];
        let newest = session.newest_bins(tracker.observed_through());
        tracker.observe(&counts, &newest.bins.runs(), &newest.trials);
        let bin = session.next_bin();
        if bin == 1000 {
            task = tracker.refit_task(vec![session.window_bins(0)], RefitScope::Path);
        }
        // It takes its time, and bins arrive meanwhile.
        let refit = (bin == 2000).then(|| task.as_ref().unwrap().run(2));
        let snapshot = tracker.publish(counts, refit).remove(0);
        scored.push((bin, snapshot.estimates.first().map(|e| (e.end_bin, e.score.total.transitions))));
    };
    session.push(&bins, &mut on_refresh).unwrap();
    let of = |bin: u64| scored.iter().find(|(b, _)| *b == bin).unwrap().1;
    assert_eq!((of(1500), of(2000)), (None, Some((1000, 0.0))));
    assert_eq!((of(2500), of(3000)), (Some((1000, 500.0)), Some((1000, 1000.0))));
}

#[test]
fn the_best_window_is_not_the_one_with_the_rates_that_are_out_of_date() {
    // Rates rise late: over its own old rates the old window would seem to predict well.
    let quiet = KineticIsing::asymmetric_sk(10, 0.2, 0.0, 51).unwrap().with_spike_probability(0.02).unwrap();
    let busy = KineticIsing::asymmetric_sk(10, 0.2, 0.0, 51).unwrap().with_spike_probability(0.2).unwrap();
    let mut bins = KineticSimulation::new(&quiet, 52).bins(20_000);
    let later = KineticSimulation::new(&busy, 53).bins(6000);
    bins.extend_from(&later, 0, later.n_bins());
    let windows = vec![Window::All, Window::Last { ms: 2000 }];
    let spec = SessionSpec { windows, ..spec(10, Window::All, &[Estimator::Nmf], &[0.1]) };
    let mut session = Session::new(spec).unwrap();
    let mut tracker = Tracker::new(session.spec().clone(), u64::MAX);
    let mut last = Vec::new();
    let mut on_refresh = |session: &mut Session| {
        let counts: Vec<WindowCounts> = (0..2).map(|k| session.window_counts(k)).collect();
        let newest = session.newest_bins(tracker.observed_through());
        tracker.observe(&counts, &newest.bins.runs(), &newest.trials);
        last = tracker.publish(counts, None);
    };
    session.push(&bins, &mut on_refresh).unwrap();
    let recent = |k: usize| last[k].estimates[0].score.recent.bits_per_spike().unwrap();
    println!("all {:.3}, newest {:.3} bits/spike", recent(0), recent(1));
    assert!(recent(1) > recent(0), "all {}, newest {}", recent(0), recent(1));
}
