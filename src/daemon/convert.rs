//! The vocabulary of the core in the words of the interface, and back.

use std::time::Duration;

use super::equilibrium::method_to_proto;
use super::handle::SessionHandle;
use super::publish::Publication;
use crate::model::{Estimator, RowStatus, RunningScore, Score, TapForm};
use crate::proto::v1;
use crate::session::SessionSpec;

pub(super) fn estimator_to_proto(estimator: Estimator) -> v1::Estimator {
    match estimator {
        Estimator::Nmf => v1::Estimator::Nmf,
        Estimator::Tap(TapForm::Preprint) => v1::Estimator::Tap,
        Estimator::Tap(TapForm::SelfConsistent) => v1::Estimator::TapSelfConsistent,
        Estimator::ExactMeanField => v1::Estimator::ExactMeanField,
        Estimator::Exact => v1::Estimator::Exact,
        Estimator::Online => v1::Estimator::Online,
        Estimator::TrialNmf => v1::Estimator::TrialNmf,
        Estimator::TrialTap => v1::Estimator::TrialTap,
        Estimator::TrialExact => v1::Estimator::TrialExact,
    }
}

/// The estimator of a number; `Ok(None)` when it is left open, the number itself when it stands for none.
pub(super) fn estimator_from_proto(number: i32) -> Result<Option<Estimator>, i32> {
    match v1::Estimator::try_from(number) {
        Ok(v1::Estimator::Unspecified) => Ok(None),
        Ok(v1::Estimator::Nmf) => Ok(Some(Estimator::Nmf)),
        Ok(v1::Estimator::Tap) => Ok(Some(Estimator::Tap(TapForm::Preprint))),
        Ok(v1::Estimator::TapSelfConsistent) => Ok(Some(Estimator::Tap(TapForm::SelfConsistent))),
        Ok(v1::Estimator::ExactMeanField) => Ok(Some(Estimator::ExactMeanField)),
        Ok(v1::Estimator::Exact) => Ok(Some(Estimator::Exact)),
        Ok(v1::Estimator::Online) => Ok(Some(Estimator::Online)),
        Ok(v1::Estimator::TrialNmf) => Ok(Some(Estimator::TrialNmf)),
        Ok(v1::Estimator::TrialTap) => Ok(Some(Estimator::TrialTap)),
        Ok(v1::Estimator::TrialExact) => Ok(Some(Estimator::TrialExact)),
        Ok(v1::Estimator::Best) | Err(_) => Err(number),
    }
}

pub(super) fn status_to_proto(status: RowStatus) -> v1::RowStatus {
    match status {
        RowStatus::Ok => v1::RowStatus::Ok,
        RowStatus::Silent => v1::RowStatus::Silent,
        RowStatus::Saturated => v1::RowStatus::Saturated,
        RowStatus::Duplicate => v1::RowStatus::Duplicate,
        RowStatus::Undersampled => v1::RowStatus::Undersampled,
        RowStatus::Singular => v1::RowStatus::Singular,
        RowStatus::TapNoRoot => v1::RowStatus::TapNoRoot,
        RowStatus::ExactMeanFieldNoRoot => v1::RowStatus::ExactMeanFieldNoRoot,
        RowStatus::NotConverged => v1::RowStatus::NotConverged,
        RowStatus::MeanFieldInvalid => v1::RowStatus::MeanFieldInvalid,
        RowStatus::Separated => v1::RowStatus::Separated,
        RowStatus::TooFewRepeats => v1::RowStatus::TooFewRepeats,
    }
}

/// Whether a session is told of with its list of neurons and its metadata: in a list of sessions they would pass any message limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Neurons {
    Listed,
    Counted,
}

/// The specification with every default filled in; with [`Neurons::Listed`], [`session_spec`](super::session_spec::session_spec) gives the
/// very same one back.
pub(super) fn spec_to_proto(spec: &SessionSpec, neurons: Neurons) -> v1::SessionSpec {
    let listed = spec.neurons.iter().filter(|_| neurons == Neurons::Listed);
    v1::SessionSpec {
        name: spec.name.clone(),
        neurons: listed.map(|n| v1::Neuron { id: n.id, label: n.label.clone() }).collect(),
        neuron_count: spec.n_neurons() as u32,
        bin_width_us: spec.bin_width.us(),
        origin_ns: spec.origin_ns,
        windows: spec.windows.iter().map(ToString::to_string).collect(),
        lags_bins: spec.lags.as_slice().to_vec(),
        estimators: spec.estimators.iter().map(|&e| estimator_to_proto(e).into()).collect(),
        ridge: spec.ridges.fixed(),
        ridge_path: match spec.ridges.fixed() {
            Some(_) => Vec::new(),
            None => spec.ridges.as_slice().to_vec(),
        },
        refresh_interval_bins: Some(spec.refresh_interval_bins),
        refit_interval_bins: Some(spec.refit_interval_bins),
        refit_bins_max: Some(spec.refit_bins_max),
        score_memory_bins: Some(spec.score_memory_bins),
        equilibrium_methods: spec.equilibrium.methods.iter().map(|&m| method_to_proto(m).into()).collect(),
        equilibrium_interval_bins: Some(spec.equilibrium.interval_bins),
        equilibrium_bins_max: Some(spec.equilibrium.bins_max),
        equilibrium_seed: Some(spec.equilibrium.seed),
        no_equilibrium: spec.equilibrium.is_empty(),
        metadata: (neurons == Neurons::Listed).then(|| spec.metadata.clone().into()),
    }
}

pub(super) fn watermarks(session: &SessionHandle) -> v1::Watermarks {
    // In this order: what comes between two readings must not pass the one after.
    let durable_through = session.durable_through();
    let applied_through = session.applied_through();
    let received_through = session.received_through().max(applied_through);
    v1::Watermarks { received_through, applied_through, durable_through }
}

pub(super) fn session_to_proto(session: &SessionHandle, neurons: Neurons) -> v1::Session {
    use std::sync::atomic::Ordering::Relaxed;
    let state = if session.is_closed() { v1::SessionState::Closed } else { v1::SessionState::Open };
    let record = session.record().clone();
    let producer = session.producer.current();
    let counters = &session.counters;
    v1::Session {
        session_id: session.id.clone(),
        spec: Some(spec_to_proto(&session.spec, neurons)),
        state: state.into(),
        watermarks: Some(watermarks(session)),
        gap_bins: counters.gap_bins.load(Relaxed),
        gap_count: counters.gap_count.load(Relaxed),
        active_entries: counters.active_entries.load(Relaxed),
        repeated_bins: counters.repeated_bins.load(Relaxed),
        refreshes_published: session.publisher.count(),
        refreshes_skipped: counters.refreshes_skipped.load(Relaxed),
        producer_connected: producer.as_ref().is_some_and(|link| link.is_connected()),
        producer_epoch: producer.map_or(0, |link| link.epoch),
        memory_bytes: session.memory_bytes(),
        last_bin_age_ms: record.last_bin_at.map(|at| milliseconds(at.elapsed())),
        snapshot_failures: record.snapshot_failures,
        last_snapshot_error: record.last_snapshot_error,
        best: session.publisher.latest().and_then(|publication| best_estimate(&publication)),
        refits: counters.refits.count(),
        refit_running: session.is_refitting(),
        equilibrium_published: session.equilibrium.count(),
        equilibrium_skipped: session.equilibrium.counters.skipped.load(Relaxed),
        equilibrium_running: session.equilibrium.counters.running.load(Relaxed),
        late_spikes: counters.late_spikes.load(Relaxed),
        merged_spikes: counters.merged_spikes.load(Relaxed),
        masked_spikes: counters.masked_spikes.load(Relaxed),
    }
}

fn best_estimate(publication: &Publication) -> Option<v1::BestEstimate> {
    let best = publication.best(None)?;
    let estimate = &best.scored().estimate;
    Some(v1::BestEstimate {
        estimator: estimator_to_proto(estimate.estimator).into(),
        window: best.snapshot.window.window.to_string(),
        ridge: estimate.ridge,
        bits_per_spike: best.bits_per_spike()?,
    })
}

/// A score in the words of the interface.
pub(super) fn score_to_proto(score: &RunningScore) -> v1::Score {
    let sum = |score: &Score| v1::ScoreSum {
        transitions: score.transitions,
        spikes: score.spikes.sum(),
        gain_bits: score.gain_bits.sum(),
        bits_per_spike: score.bits_per_spike(),
        neuron_spikes: score.spikes.to_vec(),
        neuron_gain_bits: score.gain_bits.to_vec(),
    };
    v1::Score { total: Some(sum(&score.total)), recent: Some(sum(&score.recent)) }
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimators_and_statuses_keep_their_meaning() {
        for estimator in Estimator::ALL {
            assert_eq!(estimator_from_proto(estimator_to_proto(estimator).into()), Ok(Some(estimator)));
        }
        assert_eq!(estimator_from_proto(0), Ok(None));
        assert_eq!(estimator_from_proto(99), Err(99));
        assert_eq!(estimator_from_proto(v1::Estimator::Best.into()), Err(100));
        for status in RowStatus::ALL {
            assert_eq!(
                status_to_proto(status).as_str_name().strip_prefix("ROW_STATUS_"),
                Some(status.as_str())
            );
        }
    }
}
