//! What the neurons that were not observed in a bin did, by an equilibrium model.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::choice::{Choice, Found};
use super::header::identity;
use crate::daemon::convert::status_to_proto;
use crate::daemon::error::RequestError;
use crate::daemon::handle::SessionHandle;
use crate::daemon::registry::Registry;
use crate::equilibrium::{Missing, Observation, ReconstructOptions, reconstruct};
use crate::proto::v1;

/// A checked request.
pub(in crate::daemon) struct Reconstruction {
    session: Arc<SessionHandle>,
    choice: Choice,
    observed: Observation,
    seed: u64,
}

impl Reconstruction {
    /// Check a request against the session it names.
    pub(in crate::daemon) fn check(
        registry: &Registry,
        request: &v1::ReconstructRequest,
    ) -> Result<Self, RequestError> {
        let session = registry.get(&request.session_id)?;
        let choice = Choice::check(&session, request.method, &request.window)?;
        let n_neurons = session.spec.n_neurons();
        for (field, neurons) in [("active", &request.active), ("silent", &request.silent)] {
            if let Some(&neuron) = neurons.iter().find(|&&neuron| neuron as usize >= n_neurons) {
                return Err(RequestError::UnknownObserved { field, neuron, n_neurons });
            }
        }
        let observed = Observation::new(n_neurons, &request.active, &request.silent)?;
        Ok(Self { session, choice, observed, seed: request.seed.unwrap_or(1) })
    }

    /// Reconstruct by the newest model, on a thread that takes `place`.
    ///
    /// # Errors
    /// When there is none.
    pub(in crate::daemon) async fn answer(
        self,
        place: OwnedSemaphorePermit,
    ) -> Result<v1::ReconstructResponse, RequestError> {
        let found = self.choice.find(&self.session)?;
        if let Err(refusal) = &found.scored.fitted.model {
            let (method, reason) = (found.scored.fitted.method, refusal.0.clone());
            return Err(RequestError::ModelRefused { session_id: self.session.id.clone(), method, reason });
        }
        let answer = tokio::task::spawn_blocking(move || {
            // Kept while it works, though nobody may wait any more.
            let _place = place;
            self.reconstruct(&found)
        });
        answer.await.map_err(|_| RequestError::Stopped { what: "reconstruction" })?
    }

    fn reconstruct(&self, found: &Found) -> Result<v1::ReconstructResponse, RequestError> {
        let stopped = RequestError::Stopped { what: "reconstruction" };
        let Ok(model) = &found.scored.fitted.model else { return Err(stopped) };
        let options = ReconstructOptions { seed: self.seed, ..ReconstructOptions::default() };
        let reconstruction = reconstruct(model, self.observed.values(), &options)?;
        let neuron = |missing: &Missing| v1::ReconstructedNeuron {
            neuron: missing.neuron as u32,
            neuron_id: self.session.spec.neurons[missing.neuron].id,
            active: missing.guess.map(|guess| guess.active),
            probability: missing.guess.map(|guess| guess.probability),
            probability_error: missing.guess.map(|guess| guess.monte_carlo_error),
            status: status_to_proto(model.status[missing.neuron]).into(),
        };
        Ok(v1::ReconstructResponse {
            identity: Some(identity(&self.session, found)),
            neurons: reconstruction.missing.iter().map(neuron).collect(),
            exact: reconstruction.exact,
        })
    }
}
