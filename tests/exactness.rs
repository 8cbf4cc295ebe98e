//! Incremental counts equal a from-scratch count by `==`, whatever the order of blocks, gaps, trials and windows, and
//! whichever kernel counts them.

use std::collections::{BTreeMap, BTreeSet};

use glauber::model::{
    BinWidth, Estimator, Lags, Neuron, Ridges, SessionMetadata, SpikeBlock, Trial, TrialMark, Window,
};
use glauber::moments::{Accumulator, Counts, Kernel};
use glauber::session::{EquilibriumSpec, Marks, Session, SessionSpec};
use proptest::prelude::*;

/// The definition, written down with as little cleverness as possible.
struct Scratch {
    n_neurons: usize,
    bins: BTreeMap<u64, Vec<u16>>,
    edges: BTreeSet<u64>,
}

impl Scratch {
    fn is_transition(&self, from: u64, to: u64) -> bool {
        (from..=to).all(|t| self.bins.contains_key(&t)) && self.edges.range(from + 1..=to).next().is_none()
    }

    fn counts(&self, window: std::ops::Range<u64>, lags: &Lags) -> Counts {
        let n = self.n_neurons;
        let mut counts = Counts::zero(n, lags);
        let fired = |t: u64, i: usize| self.bins[&t].contains(&(i as u16));
        for &t in self.bins.keys().filter(|t| window.contains(t)) {
            counts.bins += 1;
            (0..n).filter(|&i| fired(t, i)).for_each(|i| counts.spikes[i] += 1);
            for (l, &lag) in lags.as_slice().iter().enumerate() {
                let later = t + u64::from(lag);
                if later >= window.end || !self.is_transition(t, later) {
                    continue;
                }
                let c = &mut counts.lags[l];
                c.transitions += 1;
                for i in 0..n {
                    c.sender[i] += u64::from(fired(t, i));
                    c.receiver[i] += u64::from(fired(later, i));
                    for j in 0..n {
                        c.delayed[i * n + j] += u64::from(fired(later, i) && fired(t, j));
                    }
                }
                if lag == 1 {
                    let mut place = 0;
                    for i in 0..n {
                        for j in i..n {
                            counts.equal_time[place] += u64::from(fired(t, i) && fired(t, j));
                            place += 1;
                        }
                    }
                }
            }
        }
        counts
    }
}

#[derive(Debug, Clone)]
enum Step {
    Bins(Vec<Vec<u16>>),
    Repeat(u64),
    Gap(u64),
    TrialEdge(u64),
    /// So many bins ahead, so many bins long.
    Trial(u64, Option<u64>),
}

fn step(n_neurons: usize, share_active: f64) -> impl Strategy<Value = Step> {
    let active = (share_active * n_neurons as f64).ceil() as usize;
    let bin = proptest::collection::vec(0..n_neurons as u16, 0..=active);
    prop_oneof![
        6 => proptest::collection::vec(bin, 1..90).prop_map(Step::Bins),
        1 => (1u64..40).prop_map(Step::Repeat),
        1 => (1u64..150).prop_map(Step::Gap),
        1 => (0u64..30).prop_map(Step::TrialEdge),
        2 => ((0u64..60), proptest::option::of(1u64..120)).prop_map(|(ahead, bins)| Step::Trial(ahead, bins)),
    ]
}

fn spec(n_neurons: usize, lags: &[u32], windows_ms: &[u64]) -> SessionSpec {
    let finite = windows_ms.iter().map(|&ms| Window::Last { ms });
    SessionSpec {
        name: "property".into(),
        neurons: (0..n_neurons as i64).map(|id| Neuron { id, label: String::new() }).collect(),
        bin_width: BinWidth::from_us(1000).unwrap(),
        origin_ns: 0,
        windows: finite.chain([Window::All]).collect(),
        lags: Lags::new(lags).unwrap(),
        estimators: vec![Estimator::Nmf],
        ridges: Ridges::none(),
        refit_interval_bins: 1000,
        refit_bins_max: 1 << 18,
        score_memory_bins: 1000,
        equilibrium: EquilibriumSpec::default(),
        metadata: SessionMetadata::default(),
        refresh_interval_bins: 37,
    }
}

/// Carry the steps out on a session and on the record from which the oracle counts.
fn run(session: &mut Session, steps: &[Step]) -> (Scratch, Vec<(u64, Counts)>) {
    let n_neurons = session.spec().n_neurons();
    let mut record = Scratch { n_neurons, bins: BTreeMap::new(), edges: BTreeSet::new() };
    let mut refreshes = Vec::new();
    let mut hole = 0;
    for step in steps {
        let next = session.next_bin();
        match step {
            Step::Bins(lists) => {
                let block = SpikeBlock::from_lists(next + hole, lists, n_neurons).unwrap();
                hole = 0;
                for (k, bin) in block.bins().enumerate() {
                    record.bins.insert(block.first_bin() + k as u64, bin.to_vec());
                }
                let mut keep = |s: &mut Session| {
                    refreshes.push((s.next_bin(), s.window_counts(0).counts.as_ref().clone()))
                };
                session.push(&block, &mut keep).unwrap();
            }
            Step::Repeat(back) => {
                let first = next.saturating_sub(*back);
                let lists = vec![vec![0]; (next - first) as usize];
                let block = SpikeBlock::from_lists(first, &lists, n_neurons).unwrap();
                let outcome = session.push(&block, &mut |_| panic!("a repeat refreshes nothing")).unwrap();
                assert_eq!((outcome.applied_bins, outcome.repeated_bins), (0, next - first));
            }
            Step::Gap(bins) => hole = *bins,
            Step::TrialEdge(ahead) => {
                session.mark_trial_edge(next + ahead).unwrap();
                record.edges.insert(next + ahead);
            }
            Step::Trial(ahead, bins) => {
                let (start, stop) = (next + ahead, bins.map(|bins| next + ahead + bins));
                // One that overlaps another is refused and leaves no trace.
                if session.mark_trial(start, stop).is_ok() {
                    record.edges.extend([Some(start), stop].into_iter().flatten());
                }
            }
        }
    }
    (record, refreshes)
}

fn check(n_neurons: usize, lags: &[u32], windows_ms: &[u64], steps: &[Step]) {
    let mut session = Session::new(spec(n_neurons, lags, windows_ms)).unwrap();
    let (record, _) = run(&mut session, steps);
    let spec = session.spec().clone();
    for index in 0..spec.windows.len() {
        let window = session.window_counts(index);
        let longest = windows_ms.get(index).copied();
        // A sixteenth of the window as a power of two, at least 64: all windows here are short.
        let expected_start = longest.map_or(0, |bins| window.end_bin.saturating_sub(bins) / 64 * 64);
        assert_eq!(session.window_step_bins(index), longest.map(|_| 64));
        assert_eq!(window.first_bin, expected_start);
        assert_eq!(
            *window.counts,
            record.counts(window.first_bin..window.end_bin, &spec.lags),
            "window {index}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn incremental_equals_from_scratch(steps in proptest::collection::vec(step(5, 0.6), 1..20)) {
        check(5, &[2, 7], &[100, 333], &steps);
    }

    #[test]
    fn incremental_equals_from_scratch_for_many_neurons(steps in proptest::collection::vec(step(70, 0.5), 1..8)) {
        check(70, &[3], &[64], &steps);
    }

    #[test]
    fn lags_may_be_as_long_as_the_window(steps in proptest::collection::vec(step(3, 0.9), 1..20)) {
        check(3, &[64], &[64, 700], &steps);
    }

    #[test]
    fn blocks_may_be_cut_anywhere(
        steps in proptest::collection::vec(step(6, 0.5), 1..12),
        cuts in proptest::collection::vec(1usize..60, 1..200),
    ) {
        let spec = spec(6, &[2], &[100, 500]);
        let mut whole = Session::new(spec.clone()).unwrap();
        let (_, refreshes) = run(&mut whole, &steps);

        let mut cut = Session::new(spec).unwrap();
        let mut sizes = cuts.iter().cycle();
        let mut small = Vec::new();
        for step in &steps {
            match step {
                Step::Bins(lists) => {
                    let mut left = lists.as_slice();
                    while !left.is_empty() {
                        let (now, later) = left.split_at(left.len().min(*sizes.next().unwrap()));
                        small.push(Step::Bins(now.to_vec()));
                        left = later;
                    }
                }
                // A trial edge is set before the bins around it in either order of pushes; gaps and repeats stand between bins.
                other => small.push(other.clone()),
            }
        }
        let (_, cut_refreshes) = run(&mut cut, &small);
        for index in 0..3 {
            prop_assert_eq!(whole.window_counts(index), cut.window_counts(index));
        }
        prop_assert_eq!(whole.gaps(), cut.gaps());
        prop_assert_eq!(whole.trials(0..u64::MAX), cut.trials(0..u64::MAX));
        prop_assert_eq!(refreshes, cut_refreshes);
    }

    #[test]
    fn every_kernel_and_number_of_threads_counts_the_same(
        bins in proptest::collection::vec(proptest::collection::vec(0u16..97, 0..60), 1..300),
        split in 0.0..1.0f64,
        lags in proptest::collection::vec(1u32..80, 0..3),
    ) {
        let lags = Lags::new(&lags).unwrap();
        let block = SpikeBlock::from_lists(0, &bins, 97).unwrap();
        let split = (split * bins.len() as f64) as usize;
        let count = |kernel, is_newest: bool, threads| {
            let mut counts = Accumulator::new(97, &lags);
            counts.set_threads(threads);
            match is_newest {
                true => counts.add_newest_with(&block, split..block.n_bins(), kernel),
                false => counts.add_oldest_with(&block, 0..split, kernel),
            }
            counts.counts()
        };
        for is_newest in [true, false] {
            let expected = count(Kernel::Direct, is_newest, 1);
            for kernel in Kernel::all() {
                prop_assert_eq!(&count(kernel, is_newest, 1), &expected, "{:?}", kernel);
                prop_assert_eq!(&count(kernel, is_newest, 3), &expected, "{:?} on threads", kernel);
            }
        }
    }
}

/// Bins wait to be counted, in several pieces, across chunks of the ring and more words than one pass of the dense kernel takes.
#[test]
fn many_busy_bins_are_counted_as_one_by_one() {
    let (n, n_bins) = (40, 10_000);
    let mut state = 9_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u16
    };
    let lists: Vec<Vec<u16>> =
        (0..n_bins).map(|_| (0..n as u16).filter(|_| next() % 10 < 3).collect()).collect();
    let all = SpikeBlock::from_lists(0, &lists, n).unwrap();
    // Runs begin here: after gaps (the bins before are left out) or at trial edges.
    let (gaps, edges) = ([(2_500_usize, 2_510_usize), (7_000, 7_300)], [900_u64, 4_444, 4_445, 9_000]);
    for batch in [1, 7, 3000, n_bins] {
        let spec = SessionSpec { refresh_interval_bins: u64::MAX >> 8, ..spec(n, &[1, 65], &[100, 3000]) };
        let mut session = Session::new(spec).unwrap();
        session.set_threads(2);
        edges.iter().for_each(|&edge| session.mark_trial_edge(edge).unwrap());
        let mut from = 0;
        for (gap_start, gap_end) in gaps.into_iter().chain([(n_bins, n_bins)]) {
            while from < gap_start {
                let to = gap_start.min(from + batch);
                session.push(&all.slice(from, to), &mut |_| {}).unwrap();
                from = to;
            }
            from = gap_end;
        }
        for index in 0..3 {
            let window = session.window_counts(index);
            let mut expected = Accumulator::new(n, &Lags::new(&[1, 65]).unwrap());
            let begins = |bin: usize| {
                edges.contains(&(bin as u64))
                    || gaps.iter().any(|gap| gap.1 == bin)
                    || bin as u64 == window.first_bin
            };
            let is_missing = |bin: usize| gaps.iter().any(|gap| (gap.0..gap.1).contains(&bin));
            let first = window.first_bin as usize;
            let mut start = first;
            for bin in first..=n_bins {
                if bin == n_bins || begins(bin) || is_missing(bin) {
                    if start < bin && !is_missing(start) {
                        let run = all.slice(start, bin);
                        expected.add_newest_with(&run, 0..run.n_bins(), Kernel::Direct);
                    }
                    start = bin;
                }
            }
            assert_eq!(*window.counts, expected.counts(), "batches of {batch}, window {index}");
        }
    }
    for kernel in Kernel::all() {
        let count = |kernel| {
            let mut counts = Accumulator::new(n, &Lags::new(&[1, 65]).unwrap());
            counts.add_newest_with(&all, 0..5_000, kernel);
            counts.add_newest_with(&all, 5_000..n_bins, kernel);
            counts.counts()
        };
        assert_eq!(count(kernel), count(Kernel::Direct), "{kernel:?}");
    }
}

#[test]
fn an_edge_of_the_past_and_a_leap_too_far_are_refused_and_change_nothing() {
    let mut session = Session::new(spec(3, &[1], &[100])).unwrap();
    session.push(&SpikeBlock::from_lists(0, &vec![vec![1]; 50], 3).unwrap(), &mut |_| {}).unwrap();
    let before = session.window_counts(0);
    assert!(session.mark_trial_edge(49).unwrap_err().to_string().contains("comes too late"));
    session.mark_trial_edge(50).unwrap();
    session.mark_trial_edge(50).unwrap();
    assert!(session.mark_trial_edge(u64::MAX).is_err());
    let far = SpikeBlock::from_lists(1 << 40, &[vec![1]], 3).unwrap();
    assert!(session.push(&far, &mut |_| {}).unwrap_err().to_string().contains("past bin 50"));
    let beyond = SpikeBlock::from_lists(u64::MAX - 5, &[vec![1]], 3).unwrap();
    assert!(session.push(&beyond, &mut |_| {}).is_err());
    assert_eq!(session.window_counts(0), before);
    assert_eq!((session.next_bin(), session.gaps()), (50, (0, 0)));
}

#[test]
fn a_message_that_comes_again_may_bring_its_trial_edges_again_however_late() {
    let mut session = Session::new(spec(3, &[1], &[100])).unwrap();
    let block = |first: u64, bins: usize| SpikeBlock::from_lists(first, &vec![vec![1]; bins], 3).unwrap();
    let mut push =
        |first, bins, edges: &[u64]| session.push_with_trial_edges(&block(first, bins), edges, &mut |_| {});
    push(0, 50, &[0, 20]).unwrap();
    for first in (50..50 + Session::TRIAL_EDGE_MEMORY_BINS).step_by(1 << 16) {
        push(first, 1 << 16, &[]).unwrap();
    }
    assert_eq!(push(0, 50, &[0, 20]).unwrap().repeated_bins, 50);
    // An edge inside bins that are new is refused with them when another edge comes too late.
    let next = 50 + Session::TRIAL_EDGE_MEMORY_BINS;
    assert!(push(next - 1, 10, &[next - 1, next + 2]).is_err());
    assert_eq!(push(next - 1, 10, &[next + 2]).unwrap().applied_bins, 9);
    let empty = push(next + 500, 0, &[]).unwrap();
    assert_eq!((empty.gap, empty.applied_bins, session.gaps()), (None, 0, (0, 0)));
}

fn trial(start_bin: u64, stop_bin: u64) -> Trial {
    Trial { start_bin, stop_bin }
}

fn push(session: &mut Session, first_bin: u64, bins: usize) {
    let block = SpikeBlock::from_lists(first_bin, &vec![vec![1]; bins], 3).unwrap();
    session.push(&block, &mut |_| {}).unwrap();
}

#[test]
fn trials_are_kept_once_they_are_over() {
    let mut session = Session::new(spec(3, &[1], &[100])).unwrap();
    session.mark_trial(0, Some(20)).unwrap();
    session.mark_trial(20, None).unwrap();
    session.mark_trial(45, None).unwrap();
    push(&mut session, 0, 50);
    // The last one has no end yet; the one before ends where it starts.
    assert_eq!(session.trials(0..u64::MAX), [trial(0, 20), trial(20, 45)]);
    assert_eq!(session.trials(1..45), [trial(20, 45)]);
    assert_eq!(session.trials(0..44), [trial(0, 20)]);
    assert_eq!(session.window_counts(1).counts.lags[0].transitions, 47);
    // The end of a trial may be told after its start, and hearing of the start again does not untell it.
    session.mark_trial(45, Some(60)).unwrap();
    session.mark_trial(45, None).unwrap();
    push(&mut session, 50, 9);
    assert_eq!(session.trials(0..u64::MAX).len(), 2);
    push(&mut session, 59, 1);
    assert_eq!(session.trials(0..u64::MAX)[2], trial(45, 60));
}

#[test]
fn marks_that_contradict_each_other_are_refused_and_leave_no_trace() {
    let mut session = Session::new(spec(3, &[1], &[100])).unwrap();
    for (start, stop) in [(10, Some(30)), (40, None), (90, Some(95))] {
        session.mark_trial(start, stop).unwrap();
        session.mark_trial(start, stop).unwrap();
    }
    push(&mut session, 0, 35);
    let refused = |session: &mut Session, start, stop, part: &str| {
        let error = session.mark_trial(start, stop).unwrap_err().to_string();
        assert!(error.contains(part), "'{error}' does not say '{part}'");
    };
    refused(&mut session, 50, Some(50), "not after its start at bin 50");
    refused(&mut session, 50, Some(7), "not after its start");
    refused(&mut session, 10, Some(31), "a trial of bins 10 to 31 contradicts the one of bins 10 to 30");
    refused(&mut session, 29, None, "contradicts the one of bins 10 to 30");
    refused(&mut session, 36, Some(41), "contradicts the one of bin 40 on");
    refused(&mut session, 91, None, "contradicts the one of bins 90 to 95");
    refused(&mut session, 40, Some(91), "contradicts the one of bins 90 to 95");
    refused(&mut session, 33, Some(38), "trial edge at bin 33 comes too late");
    // Nothing of a block is taken when its marks contradict each other.
    let block = SpikeBlock::from_lists(35, &vec![vec![1]; 5], 3).unwrap();
    let marks = [(36, Some(39)), (38, None)].map(|(start_bin, stop_bin)| TrialMark { start_bin, stop_bin });
    let marks = Marks { trial_edges: &[37], trials: &marks };
    assert!(session.push_with_marks(&block, marks, &mut |_| {}).is_err());
    assert_eq!(session.next_bin(), 35);
    push(&mut session, 35, 65);
    assert_eq!(session.trials(0..u64::MAX), [trial(10, 30), trial(40, 90), trial(90, 95)]);
    // Edges at 10, 30, 40, 90 and 95 alone cut the 99 transitions.
    assert_eq!(session.window_counts(1).counts.lags[0].transitions, 94);
}

#[test]
fn trials_are_forgotten_when_no_window_holds_them_and_their_edges_are_forgotten() {
    let mut finite = spec(3, &[1], &[100]);
    finite.windows.truncate(1);
    let mut sliding = Session::new(finite).unwrap();
    let mut whole = Session::new(spec(3, &[1], &[100])).unwrap();
    for session in [&mut sliding, &mut whole] {
        session.mark_trial(5, Some(9)).unwrap();
        session.mark_trial(20, None).unwrap();
        push(session, 0, 1000);
        assert_eq!(session.trials(0..u64::MAX), [trial(5, 9)]);
        session.mark_trial(5, Some(9)).unwrap();
        session.mark_trial(Session::TRIAL_EDGE_MEMORY_BINS, None).unwrap();
        let messages =
            [(1000, 5), (Session::TRIAL_EDGE_MEMORY_BINS - 1, 2), (2 * Session::TRIAL_EDGE_MEMORY_BINS, 200)];
        for (first, bins) in messages {
            push(session, first, bins);
        }
    }
    assert_eq!(sliding.trials(0..u64::MAX), []);
    assert!(sliding.mark_trial(5, Some(9)).unwrap_err().to_string().contains("comes too late"));
    // A window that is the whole session holds them all.
    assert_eq!(whole.trials(0..u64::MAX), [trial(5, 9), trial(20, Session::TRIAL_EDGE_MEMORY_BINS)]);
    whole.mark_trial(5, Some(9)).unwrap();
}

#[test]
fn a_message_that_comes_again_may_bring_its_trials_again_however_late() {
    let mut session = Session::new(spec(3, &[1], &[100])).unwrap();
    let block = SpikeBlock::from_lists(0, &vec![vec![1]; 50], 3).unwrap();
    let trials = [(0, Some(30)), (30, None)].map(|(start_bin, stop_bin)| TrialMark { start_bin, stop_bin });
    let marks = Marks { trial_edges: &[7], trials: &trials };
    session.push_with_marks(&block, marks, &mut |_| {}).unwrap();
    let again = session.push_with_marks(&block, marks, &mut |_| {}).unwrap();
    assert_eq!((again.applied_bins, again.repeated_bins), (0, 50));
    push(&mut session, 2 * Session::TRIAL_EDGE_MEMORY_BINS, 100);
    session.push_with_marks(&block, marks, &mut |_| {}).unwrap();
    assert_eq!(session.trials(0..u64::MAX), [trial(0, 30)]);
}

#[test]
fn a_block_that_comes_again_may_tell_the_end_of_a_trial() {
    let mut session = Session::new(spec(3, &[1], &[100])).unwrap();
    let block = SpikeBlock::from_lists(0, &vec![vec![1]; 100], 3).unwrap();
    let mut send = |stop_bin| {
        let trials = [TrialMark { start_bin: 50, stop_bin }];
        session.push_with_marks(&block, Marks { trial_edges: &[], trials: &trials }, &mut |_| {})
    };
    send(None).unwrap();
    assert_eq!(send(Some(150)).unwrap().repeated_bins, 100);
    send(Some(150)).unwrap();
    assert!(send(Some(160)).unwrap_err().to_string().contains("contradicts"));
    push(&mut session, 100, 100);
    assert_eq!(session.trials(0..u64::MAX), [trial(50, 150)]);
    // The edges at 50 and 150 cut the 199 transitions.
    assert_eq!(session.window_counts(1).counts.lags[0].transitions, 197);
}

#[test]
fn trial_edges_that_come_together_are_no_more_than_may_be() {
    let mut session = Session::new(spec(3, &[1], &[100])).unwrap();
    let nothing = SpikeBlock::from_lists(0, &[] as &[Vec<u16>], 3).unwrap();
    let edges: Vec<u64> = (1..=Session::TRIAL_EDGES_MAX as u64 + 1).collect();
    let (most, last) = (&edges[..Session::TRIAL_EDGES_MAX], edges[Session::TRIAL_EDGES_MAX]);
    let mut send = |edges: &[u64]| session.push_with_trial_edges(&nothing, edges, &mut |_| {});
    assert!(send(&edges).is_err());
    send(&most[1..]).unwrap();
    assert!(send(&[1, last]).is_err());
    send(&[1, 1, 2]).unwrap();
    send(most).unwrap();
    assert!(session.mark_trial_edge(last).is_err());
}

#[test]
fn specifications_that_cannot_be_carried_out_are_refused() {
    let good = spec(3, &[1], &[100]);
    let refused = |change: &dyn Fn(&mut SessionSpec), part: &str| {
        let mut bad = good.clone();
        change(&mut bad);
        let error = Session::new(bad).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(part), "'{error}' does not say '{part}'");
    };
    refused(&|s| s.neurons.clear(), "1 to 16384 neurons, got 0");
    refused(&|s| s.neurons[2].id = 0, "neuron id 0 appears twice (indices 0 and 2)");
    refused(&|s| s.windows.clear(), "windows, got 0");
    refused(&|s| s.windows.push(Window::All), "got 2 distinct of 3");
    refused(&|s| s.windows[0] = Window::Last { ms: 5 }, "window 5ms is outside");
    refused(&|s| s.lags = Lags::new(&[200]).unwrap(), "shorter than the longest lag of 200 bins");
    refused(&|s| s.estimators.clear(), "got 0");
    refused(&|s| s.estimators.push(Estimator::Nmf), "got 2 of which 1");
    refused(&|s| s.refit_interval_bins = 0, "refit interval");
    refused(&|s| s.refit_bins_max = 63, "64 to 1073741824 bins, got 63");
    refused(&|s| s.refit_bins_max = u64::MAX, "got 18446744073709551615");
    refused(&|s| s.score_memory_bins = 0, "score memory");
    refused(&|s| s.refresh_interval_bins = 0, "at least 1 bin");
}

#[test]
fn memory_stays_within_the_stated_bound() {
    let spec = spec(50, &[1, 3], &[200, 5000]);
    let (ring, counts) = Session::bytes_max(&spec).unwrap();
    let mut session = Session::new(spec).unwrap();
    let all: Vec<u16> = (0..50).collect();
    for first in (0..40_000u64).step_by(400) {
        let lists: Vec<Vec<u16>> =
            (0..400).map(|k| all[..(first as usize / 800 + k) % 51].to_vec()).collect();
        session.push(&SpikeBlock::from_lists(first, &lists, 50).unwrap(), &mut |_| {}).unwrap();
        assert!(session.bytes() as u64 <= ring + counts, "{} > {ring} + {counts}", session.bytes());
    }
    // The bound is for bins that are each a run of their own, and not wildly loose for them.
    for bin in (40_000..60_000).step_by(2) {
        session
            .push(&SpikeBlock::from_lists(bin, std::slice::from_ref(&all), 50).unwrap(), &mut |_| {})
            .unwrap();
        assert!(session.bytes() as u64 <= ring + counts, "{} > {ring} + {counts}", session.bytes());
    }
    assert!(session.bytes() as u64 > (ring + counts) / 4, "{} of {ring} + {counts}", session.bytes());
}
