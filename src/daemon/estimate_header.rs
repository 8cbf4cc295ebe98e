//! What an estimate is of and what it is worth, in the words of the interface.

use super::convert::{estimator_to_proto, milliseconds, score_to_proto, status_to_proto};
use super::handle::SessionHandle;
use super::publish::{Found, Publication};
use crate::model::SamplingVariance;
use crate::proto::v1;
use crate::session::RidgeScore;

/// The header of an estimate of a publication. Cost O(n log n) the first time.
pub(super) fn estimate_header(
    session: &SessionHandle,
    publication: &Publication,
    found: &Found<'_>,
    skipped: u64,
) -> v1::EstimateHeader {
    let (window, scored) = (&found.snapshot.window, found.scored());
    let estimate = &scored.estimate;
    let facts = found.derived.fields(estimate);
    let convergence = estimate.convergence.as_ref();
    let ridge_score =
        |score: &RidgeScore| v1::RidgeScore { ridge: score.ridge, bits_per_spike: score.bits_per_spike };
    let header = v1::EstimateHeader {
        session_id: session.id.clone(),
        estimator: estimator_to_proto(estimate.estimator).into(),
        window: window.window.to_string(),
        first_bin: scored.first_bin,
        end_bin: scored.end_bin,
        bins_observed: window.counts.bins,
        transitions: estimate.variance.transitions(),
        ridge: estimate.ridge,
        publication: publication.sequence,
        skipped,
        age_ms: milliseconds(publication.published_at.elapsed()),
        bins_since: session.applied_through().saturating_sub(scored.end_bin),
        status: estimate.status.iter().map(|&status| status_to_proto(status).into()).collect(),
        fields: estimate.fields.to_vec(),
        neuron_ids: found.snapshot.spec.neurons.iter().map(|neuron| neuron.id).collect(),
        window_first_bin: window.first_bin,
        window_end_bin: window.end_bin,
        score: Some(score_to_proto(&scored.score)),
        ridge_path: scored.path.iter().map(ridge_score).collect(),
        field_standard_errors: facts.standard_errors.clone(),
        field_z: facts.z.clone(),
        field_p: facts.p.clone(),
        field_q: facts.q.clone(),
        iterations: convergence.map_or_else(Vec::new, |convergence| convergence.iterations.clone()),
        gradient_norm: convergence.map_or_else(Vec::new, |convergence| convergence.gradient_norm.to_vec()),
        ..Default::default()
    };
    with_variance(header, &estimate.variance)
}

fn with_variance(mut header: v1::EstimateHeader, variance: &SamplingVariance) -> v1::EstimateHeader {
    match variance {
        SamplingVariance::Factored { sender, receiver, field, .. } => {
            header.variance_sender = sender.to_vec();
            header.variance_receiver = receiver.to_vec();
            header.variance_field = *field;
            header.variance_form = v1::VarianceForm::Factored.into();
        }
        SamplingVariance::Full { .. } => header.variance_form = v1::VarianceForm::Full.into(),
    }
    header
}
