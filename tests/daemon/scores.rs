use std::collections::BTreeSet;

use glauber::model::Significance;
use glauber::proto::v1;
use glauber::proto::v1::get_couplings_response::Part;
use glauber::proto::v1::watch_couplings_response::Part as WatchPart;
use tonic::{Code, Streaming};

use super::rig::{NEURONS, Producer, Rig, active, assert_status, pattern, query, spec};

const N: usize = NEURONS as usize;

/// A published model: header and couplings, row = receiver.
pub(super) struct Model {
    pub(super) header: v1::EstimateHeader,
    couplings: Vec<f64>,
}

impl Model {
    /// Log-odds of a spike of neuron `i` in the bin after one in which `active` fired.
    pub(super) fn log_odds(&self, i: usize, active: &BTreeSet<u32>) -> f64 {
        let n = self.header.fields.len();
        let spin = |j: usize| if active.contains(&(j as u32)) { 1.0 } else { -1.0 };
        let input: f64 = (0..n).map(|j| self.couplings[i * n + j] * spin(j)).sum();
        2.0 * (self.header.fields[i] + input)
    }
}

/// The next publication of a watcher that asked for rows.
pub(super) async fn next_model(stream: &mut Streaming<v1::WatchCouplingsResponse>) -> Model {
    let mut model = None;
    loop {
        match stream.message().await.unwrap().expect("another publication").part.unwrap() {
            WatchPart::Header(header) => model = Some(Model { header, couplings: Vec::new() }),
            WatchPart::Rows(rows) => {
                let model = model.as_mut().expect("a header first");
                model.couplings.extend(rows.couplings);
            }
            other => panic!("expected rows, got {other:?}"),
        }
        let n = model.as_ref().map_or(usize::MAX, |model| model.header.fields.len());
        if let Some(model) = model.take_if(|model| model.couplings.len() == n * n) {
            return model;
        }
    }
}

fn log2_probability(log_odds: f64, fired: bool) -> f64 {
    let signed = if fired { log_odds } else { -log_odds };
    -(-signed).exp().ln_1p() / std::f64::consts::LN_2
}

/// Log-odds by the rate of a neuron over the transitions of the bins before `end_bin`.
fn rate_log_odds(i: usize, end_bin: u64) -> f64 {
    let spikes = (1..end_bin).filter(|&bin| active(bin).contains(&(i as u32))).count() as f64;
    ((spikes + 0.5) / ((end_bin - 1) as f64 - spikes + 0.5)).ln()
}

#[tokio::test]
async fn a_score_is_what_the_publications_before_have_predicted() {
    let mut rig = Rig::new().await;
    let asked = v1::SessionSpec {
        windows: vec!["all".into()],
        estimators: vec![v1::Estimator::Tap.into()],
        ridge: Some(0.1),
        score_memory_bins: Some(300),
        ..spec()
    };
    let session = rig.create_from(asked).await.unwrap().session_id;
    let request = v1::WatchCouplingsRequest { query: Some(query(&session)) };
    let mut watcher = rig.inference.watch_couplings(request).await.unwrap().into_inner();
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    let (mut total, mut recent, mut spikes) = ([0.0; N], [0.0; N], [0.0; N]);
    let mut before: Option<Model> = None;
    for end_bin in [100_u64, 200, 300, 400] {
        producer.send(pattern(end_bin - 100, 100)).await;
        let model = next_model(&mut watcher).await;
        assert_eq!(model.header.end_bin, end_bin);
        let score = model.header.score.clone().unwrap();
        let (found_total, found_recent) = (score.total.unwrap(), score.recent.unwrap());
        let Some(predicting) = before.replace(model) else {
            assert_eq!((found_total.transitions, found_total.bits_per_spike), (0.0, None));
            continue;
        };
        for i in 0..N {
            let rate = rate_log_odds(i, predicting.header.end_bin);
            let bits = |bin: u64| {
                let fired = active(bin).contains(&(i as u32));
                let log_odds = predicting.log_odds(i, &active(bin - 1));
                log2_probability(log_odds, fired) - log2_probability(rate, fired)
            };
            let gained: f64 = (end_bin - 100..end_bin).map(bits).sum();
            total[i] += gained;
            recent[i] = recent[i] * f64::exp(-100.0 / 300.0) + gained;
            let fired = |bin: &u64| active(*bin).contains(&(i as u32));
            spikes[i] += (end_bin - 100..end_bin).filter(fired).count() as f64;
            // Predictors hold couplings as f32: 100 transitions of 5 inputs, each to some 1e-7.
            assert!((found_total.neuron_gain_bits[i] - total[i]).abs() < 1e-4);
            assert!((found_recent.neuron_gain_bits[i] - recent[i]).abs() < 1e-4);
        }
        assert_eq!(found_total.neuron_spikes, spikes);
        assert_eq!(found_total.transitions, (end_bin - 100) as f64);
        let per_spike = total.iter().sum::<f64>() / spikes.iter().sum::<f64>();
        assert!((found_total.bits_per_spike.unwrap() - per_spike).abs() < 1e-5);
    }
}

/// A closed session whose estimates were scored.
async fn scored(rig: &mut Rig, asked: v1::SessionSpec) -> String {
    let session = rig.create_from(asked).await.unwrap().session_id;
    let request = v1::WatchCouplingsRequest {
        query: Some(v1::CouplingsQuery { header_only: true, ..query(&session) }),
    };
    let mut watcher = rig.inference.watch_couplings(request).await.unwrap().into_inner();
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    for first_bin in (0..600).step_by(100) {
        producer.send(pattern(first_bin, 100)).await;
        watcher.message().await.unwrap().unwrap();
    }
    producer.finish().await.unwrap();
    rig.close(&session).await;
    session
}

async fn header(rig: &mut Rig, query: v1::CouplingsQuery) -> v1::EstimateHeader {
    let parts = rig.couplings(v1::CouplingsQuery { header_only: true, ..query }).await.unwrap();
    let [Part::Header(header)] = &parts[..] else { panic!("expected a header, got {parts:?}") };
    header.clone()
}

fn recent_bits(header: &v1::EstimateHeader) -> f64 {
    header.score.as_ref().unwrap().recent.as_ref().unwrap().bits_per_spike.unwrap()
}

#[tokio::test]
async fn best_is_the_estimate_with_the_highest_score() {
    let mut rig = Rig::new().await;
    let session = scored(&mut rig, spec()).await;
    let mut all = Vec::new();
    for window in ["all", "10s"] {
        for estimator in [v1::Estimator::Nmf, v1::Estimator::Tap, v1::Estimator::ExactMeanField] {
            let asked =
                v1::CouplingsQuery { estimator: estimator.into(), window: window.into(), ..query(&session) };
            let header = header(&mut rig, asked).await;
            // The ridge in use is the one with the best score of the path.
            let scores = header.ridge_path.iter().map(|score| (score.ridge, score.bits_per_spike.unwrap()));
            let best = scores.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            assert_eq!((header.ridge, header.ridge_path.len()), (best.0, 7));
            assert_eq!(recent_bits(&header), best.1);
            all.push(header);
        }
    }
    let highest = |headers: &[v1::EstimateHeader]| headers.iter().map(recent_bits).fold(f64::MIN, f64::max);
    let best = v1::CouplingsQuery { estimator: v1::Estimator::Best.into(), ..query(&session) };
    let found = header(&mut rig, best.clone()).await;
    assert_eq!(recent_bits(&found), highest(&all));
    assert_ne!(found.estimator(), v1::Estimator::Best);
    let in_window = header(&mut rig, v1::CouplingsQuery { window: "10s".into(), ..best }).await;
    assert_eq!((in_window.window.as_str(), recent_bits(&in_window)), ("10s", highest(&all[3..])));
    let told = rig.session(&session).await.best.unwrap();
    assert_eq!(
        (told.estimator(), told.window, told.ridge),
        (found.estimator(), found.window.clone(), found.ridge)
    );
    assert_eq!(told.bits_per_spike, recent_bits(&found));
}

#[tokio::test]
async fn before_a_score_or_a_refit_it_is_told_when_one_comes() {
    let mut rig = Rig::new().await;
    let asked = v1::SessionSpec {
        estimators: vec![
            v1::Estimator::Nmf.into(),
            v1::Estimator::Exact.into(),
            v1::Estimator::Online.into(),
        ],
        refit_interval_bins: Some(10_000),
        ..spec()
    };
    let session = rig.create_from(asked).await.unwrap().session_id;
    let of = |estimator: v1::Estimator| v1::CouplingsQuery { estimator: estimator.into(), ..query(&session) };
    let status = rig.couplings(of(v1::Estimator::Best)).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["first estimate comes at bin 100"]);
    let request = v1::WatchCouplingsRequest { query: Some(query(&session)) };
    let mut watcher = rig.inference.watch_couplings(request).await.unwrap().into_inner();
    let waiting = v1::WatchCouplingsRequest { query: Some(of(v1::Estimator::Best)) };
    let mut waiting = rig.inference.watch_couplings(waiting).await.unwrap().into_inner();
    let unfitted = v1::WatchCouplingsRequest { query: Some(of(v1::Estimator::TrialNmf)) };
    assert!(rig.inference.watch_couplings(unfitted).await.is_err(), "not an estimator of the session");
    let producer = Producer::open(&rig.channel, &session, 0).await.unwrap();
    producer.send(pattern(0, 100)).await;
    next_model(&mut watcher).await;
    let status = rig.couplings(of(v1::Estimator::Best)).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["first score comes at bin 200", &session]);
    let status = rig.couplings(of(v1::Estimator::Exact)).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["'exact'", "comes at bin 10000"]);
    // Estimates that follow the stream are there at once.
    assert_eq!(header(&mut rig, of(v1::Estimator::Online)).await.end_bin, 100);
    producer.send(pattern(100, 100)).await;
    next_model(&mut watcher).await;
    // A watcher of the best has waited for the first score, of which publication 2 is.
    assert_eq!(next_model(&mut waiting).await.header.publication, 2);
    let best = header(&mut rig, of(v1::Estimator::Best)).await;
    let told = rig.session(&session).await.best.unwrap();
    assert_eq!((told.estimator(), told.bits_per_spike), (best.estimator(), recent_bits(&best)));
    let status = rig
        .create_from(v1::SessionSpec { estimators: vec![v1::Estimator::Best.into()], ..spec() })
        .await
        .unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["'best'"]);
}

#[tokio::test]
async fn pairs_within_a_q_are_those_of_the_definition() {
    let mut rig = Rig::new().await;
    let session = scored(&mut rig, v1::SessionSpec { ridge: Some(0.0), ..spec() }).await;
    let asked = v1::CouplingsQuery { standard_errors: true, q_values: true, ..query(&session) };
    let parts = rig.couplings(asked).await.unwrap();
    let [Part::Header(header), Part::Rows(rows)] = &parts[..] else { panic!("{parts:?}") };
    let z = |k: usize| rows.couplings[k] / rows.standard_errors[k];
    let mut between: Vec<(f64, usize)> =
        (0..N * N).filter(|k| k / N != k % N).map(|k| (Significance::p(z(k)), k)).collect();
    between.sort_by(|a, b| a.0.total_cmp(&b.0));
    // q of rank k is the smallest m p / l of the ranks l from k on.
    let m = between.len() as f64;
    let mut lowest = 1.0;
    let mut q = [1.0; N * N];
    for (rank, &(p, k)) in between.iter().enumerate().rev() {
        lowest = f64::min(lowest, p * m / (rank + 1) as f64);
        q[k] = lowest;
    }
    for (rank, &(_, k)) in between.iter().enumerate() {
        assert!((rows.q_values[k] - q[k]).abs() < 1e-12, "rank {rank}");
    }
    // At a q that occurs, so that the pair itself is among those found; and where there is nothing to exclude.
    for q_max in [rows.q_values[between[2].1], 0.5, 1.0] {
        let expected: BTreeSet<usize> =
            between.iter().map(|&(_, k)| k).filter(|&k| rows.q_values[k] <= q_max).collect();
        let pairs = async |rig: &mut Rig, top_pairs: u32| {
            let asked = v1::CouplingsQuery { q_max: Some(q_max), top_pairs, ..query(&session) };
            let parts = rig.couplings(asked).await.unwrap();
            let [_, Part::Pairs(pairs)] = &parts[..] else { panic!("{parts:?}") };
            pairs.clone()
        };
        let found = pairs(&mut rig, 0).await;
        let places: BTreeSet<usize> =
            found.pairs.iter().map(|pair| pair.receiver as usize * N + pair.sender as usize).collect();
        assert_eq!((places, found.found as usize), (expected.clone(), expected.len()));
        for pair in &found.pairs {
            let k = pair.receiver as usize * N + pair.sender as usize;
            assert_eq!((pair.p, pair.q), (Significance::p(pair.z), Some(rows.q_values[k])));
        }
        let capped = pairs(&mut rig, 2).await;
        assert_eq!(
            (capped.pairs.as_slice(), capped.found),
            (&found.pairs[..found.pairs.len().min(2)], found.found)
        );
    }
    for i in 0..N {
        let field_variance =
            header.variance_field / (header.transitions as f64 * header.variance_receiver[i]);
        assert!((header.field_standard_errors[i] - field_variance.sqrt()).abs() < 1e-15);
        assert_eq!(header.field_z[i], header.fields[i] / header.field_standard_errors[i]);
        assert_eq!(header.field_p[i], Significance::p(header.field_z[i]));
        assert!(header.field_q[i] >= header.field_p[i]);
    }
}

#[tokio::test]
async fn selections_that_make_no_sense_are_refused() {
    let mut rig = Rig::new().await;
    let session = scored(&mut rig, spec()).await;
    for q_max in [0.0, -0.1, 1.000_001, f64::NAN] {
        let asked = v1::CouplingsQuery { q_max: Some(q_max), ..query(&session) };
        let status = rig.couplings(asked).await.unwrap_err();
        assert_status(&status, Code::InvalidArgument, &["q_max", "at most 1"]);
    }
    let asked = v1::CouplingsQuery { trial_fields: true, ..query(&session) };
    assert_status(&rig.couplings(asked).await.unwrap_err(), Code::InvalidArgument, &["'nmf'", "trial-nmf"]);
}
