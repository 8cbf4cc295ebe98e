//! Messages of the interface as JSON: the names of their fields, the names of enums in lower case with dashes. Identifiers of neurons are texts,
//! since JavaScript has no whole numbers of 64 bits.

use serde_json::{Value, json};

use crate::proto::v1;
use crate::proto::v1::score_series::Model;

/// The name of a value of an enum without what all of them begin with.
fn name(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase().replace('_', "-")
}

fn estimator(number: i32) -> String {
    name(v1::Estimator::try_from(number).unwrap_or_default().as_str_name(), "ESTIMATOR_")
}

fn method(number: i32) -> String {
    name(v1::EquilibriumMethod::try_from(number).unwrap_or_default().as_str_name(), "EQUILIBRIUM_METHOD_")
}

/// As everywhere else, in capitals.
fn row_status(number: i32) -> &'static str {
    let name = v1::RowStatus::try_from(number).unwrap_or_default().as_str_name();
    name.strip_prefix("ROW_STATUS_").unwrap_or(name)
}

fn row_statuses(numbers: &[i32]) -> Vec<&'static str> {
    numbers.iter().map(|&number| row_status(number)).collect()
}

fn texts(ids: &[i64]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

pub(super) fn sessions(listed: &v1::ListSessionsResponse) -> Value {
    let journal = listed.journal.as_ref().map(|journal| {
        json!({
            "health": name(journal.health().as_str_name(), "JOURNAL_HEALTH_"),
            "reason": journal.reason,
            "entry_bytes": journal.entry_bytes,
            "file_bytes": journal.file_bytes,
            "bytes_max": journal.bytes_max,
        })
    });
    json!({
        "sessions": listed.sessions.iter().map(session).collect::<Vec<_>>(),
        "daemon_version": listed.daemon_version,
        "journal": journal,
    })
}

pub(super) fn session(session: &v1::Session) -> Value {
    let best = session.best.as_ref().map(|best| {
        json!({
            "estimator": estimator(best.estimator),
            "window": best.window,
            "ridge": best.ridge,
            "bits_per_spike": best.bits_per_spike,
        })
    });
    let watermarks = session.watermarks.unwrap_or_default();
    json!({
        "session_id": session.session_id,
        "spec": session.spec.as_ref().map(spec),
        "state": name(session.state().as_str_name(), "SESSION_STATE_"),
        "watermarks": {
            "received_through": watermarks.received_through,
            "applied_through": watermarks.applied_through,
            "durable_through": watermarks.durable_through,
        },
        "gap_bins": session.gap_bins,
        "gap_count": session.gap_count,
        "active_entries": session.active_entries,
        "repeated_bins": session.repeated_bins,
        "refreshes_published": session.refreshes_published,
        "refreshes_skipped": session.refreshes_skipped,
        "producer_connected": session.producer_connected,
        "memory_bytes": session.memory_bytes,
        "last_bin_age_ms": session.last_bin_age_ms,
        "snapshot_failures": session.snapshot_failures,
        "last_snapshot_error": session.last_snapshot_error,
        "best": best,
        "refits": session.refits,
        "refit_running": session.refit_running,
        "equilibrium_published": session.equilibrium_published,
        "equilibrium_skipped": session.equilibrium_skipped,
        "equilibrium_running": session.equilibrium_running,
        "late_spikes": session.late_spikes,
        "merged_spikes": session.merged_spikes,
        "masked_spikes": session.masked_spikes,
    })
}

fn spec(spec: &v1::SessionSpec) -> Value {
    let neuron = |neuron: &v1::Neuron| json!({ "id": neuron.id.to_string(), "label": neuron.label });
    json!({
        "name": spec.name,
        "neurons": spec.neurons.iter().map(neuron).collect::<Vec<_>>(),
        "neuron_count": spec.neuron_count,
        "bin_width_us": spec.bin_width_us,
        "windows": spec.windows,
        "lags_bins": spec.lags_bins,
        "estimators": spec.estimators.iter().map(|&number| estimator(number)).collect::<Vec<_>>(),
        "refresh_interval_bins": spec.refresh_interval_bins,
        "equilibrium_methods": spec.equilibrium_methods.iter().map(|&number| method(number)).collect::<Vec<_>>(),
        "equilibrium_interval_bins": spec.equilibrium_interval_bins,
    })
}

/// The recent and the whole score, without those of single neurons.
fn score(score: Option<&v1::Score>) -> Value {
    let sum = |sum: &v1::ScoreSum| {
        json!({
            "transitions": sum.transitions,
            "spikes": sum.spikes,
            "gain_bits": sum.gain_bits,
            "bits_per_spike": sum.bits_per_spike,
        })
    };
    json!({
        "total": score.and_then(|score| score.total.as_ref()).map(sum),
        "recent": score.and_then(|score| score.recent.as_ref()).map(sum),
    })
}

pub(super) fn estimate_header(header: &v1::EstimateHeader) -> Value {
    json!({
        "session_id": header.session_id,
        "estimator": estimator(header.estimator),
        "window": header.window,
        "first_bin": header.first_bin,
        "end_bin": header.end_bin,
        "bins_observed": header.bins_observed,
        "transitions": header.transitions,
        "ridge": header.ridge,
        "publication": header.publication,
        "age_ms": header.age_ms,
        "bins_since": header.bins_since,
        "status": row_statuses(&header.status),
        "fields": header.fields,
        "field_standard_errors": header.field_standard_errors,
        "field_q": header.field_q,
        "neuron_ids": texts(&header.neuron_ids),
        "window_first_bin": header.window_first_bin,
        "window_end_bin": header.window_end_bin,
        "score": score(header.score.as_ref()),
    })
}

/// Couplings to one receiver.
pub(super) fn row(header: &v1::EstimateHeader, receiver: u32, rows: &v1::CouplingRows) -> Value {
    json!({
        "publication": header.publication,
        "estimator": estimator(header.estimator),
        "window": header.window,
        "receiver": receiver,
        "couplings": rows.couplings,
        "standard_errors": rows.standard_errors,
        "q_values": rows.q_values,
    })
}

pub(super) fn pairs(header: &v1::EstimateHeader, pairs: &[v1::CouplingPair]) -> Value {
    let pair = |pair: &v1::CouplingPair| {
        json!({
            "receiver": pair.receiver,
            "sender": pair.sender,
            "coupling": pair.coupling,
            "standard_error": pair.standard_error,
            "z": pair.z,
            "p": pair.p,
            "q": pair.q,
            "status": row_status(pair.status),
        })
    };
    json!({
        "publication": header.publication,
        "estimator": estimator(header.estimator),
        "window": header.window,
        "pairs": pairs.iter().map(pair).collect::<Vec<_>>(),
    })
}

pub(super) fn correlations_header(header: &v1::CorrelationsHeader) -> Value {
    json!({
        "window": header.window,
        "first_bin": header.first_bin,
        "end_bin": header.end_bin,
        "bins_observed": header.bins_observed,
        "lag_bins": header.lag_bins,
        "transitions": header.transitions,
        "spikes": header.spikes,
    })
}

pub(super) fn recent_spikes(told: &v1::GetRecentSpikesResponse) -> Value {
    let run = |run: &v1::SpikeRun| json!({ "first_bin": run.first_bin, "bins": run.active_counts.len(), "spikes": run.neurons.len() });
    json!({
        "first_bin": told.first_bin,
        "end_bin": told.end_bin,
        "runs": told.runs.iter().map(run).collect::<Vec<_>>(),
    })
}

pub(super) fn score_history(history: &v1::GetScoreHistoryResponse) -> Value {
    let series = |series: &v1::ScoreSeries| {
        let (kind, name) = match series.model {
            Some(Model::Estimator(number)) => ("estimator", estimator(number)),
            Some(Model::Method(number)) => ("method", method(number)),
            None => ("", String::new()),
        };
        json!({
            "kind": kind,
            "name": name,
            "window": series.window,
            "end_bins": series.end_bins,
            "bits_per_spike": series.bits_per_spike,
            "ridge": series.ridge,
        })
    };
    json!({ "series": history.series.iter().map(series).collect::<Vec<_>>(), "points_max": history.points_max })
}

pub(super) fn equilibrium_header(header: &v1::EquilibriumHeader) -> Value {
    let identity = header.identity.clone().unwrap_or_default();
    json!({
        "method": method(identity.method),
        "window": identity.window,
        "first_bin": identity.first_bin,
        "end_bin": identity.end_bin,
        "publication": identity.publication,
        "refusal": header.refusal,
        "bins_observed": header.bins_observed,
        "status": row_statuses(&header.status),
        "age_ms": header.age_ms,
        "bins_since": header.bins_since,
        "score": score(header.score.as_ref()),
        "check": header.check.as_ref().map(check),
    })
}

fn check(check: &v1::ModelCheck) -> Value {
    let agreement = check.pair_correlations.as_ref().map(|agreement| {
        json!({
            "values": agreement.values,
            "correlation": agreement.correlation,
            "rms_difference": agreement.rms_difference,
            "rms_observed": agreement.rms_observed,
            "rms_error": agreement.rms_error,
        })
    });
    let pairs = check.pairs.as_ref().map(|pairs| {
        json!({
            "first": pairs.first,
            "second": pairs.second,
            "observed": pairs.observed,
            "observed_error": pairs.observed_error,
            "predicted": pairs.predicted,
            "predicted_error": pairs.predicted_error,
        })
    });
    json!({ "drawn": check.drawn, "bins": check.bins, "pair_correlations": agreement, "pairs": pairs })
}
