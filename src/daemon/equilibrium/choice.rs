//! Which equilibrium model a client means: of which window, by which method or by the best one.

use std::sync::Arc;

use super::publication::EquilibriumPublication;
use crate::daemon::choice;
use crate::daemon::error::{Awaited, RequestError};
use crate::daemon::handle::SessionHandle;
use crate::model::EquilibriumMethod;
use crate::proto::v1;
use crate::session::ScoredEquilibrium;

pub(in crate::daemon) fn method_to_proto(method: EquilibriumMethod) -> v1::EquilibriumMethod {
    match method {
        EquilibriumMethod::ErasureMachine => v1::EquilibriumMethod::ErasureMachine,
        EquilibriumMethod::Hopfield => v1::EquilibriumMethod::Hopfield,
        EquilibriumMethod::Nmf => v1::EquilibriumMethod::Nmf,
        EquilibriumMethod::Tap => v1::EquilibriumMethod::Tap,
        EquilibriumMethod::PseudoLikelihood => v1::EquilibriumMethod::PseudoLikelihood,
        EquilibriumMethod::MaximumLikelihood => v1::EquilibriumMethod::MaximumLikelihood,
        EquilibriumMethod::Boltzmann => v1::EquilibriumMethod::Boltzmann,
        EquilibriumMethod::ManyStates => v1::EquilibriumMethod::ManyStates,
        EquilibriumMethod::ManyStatesTap => v1::EquilibriumMethod::ManyStatesTap,
    }
}

/// The method of a number; `None` when it stands for none that a session can run.
pub(in crate::daemon) fn method_from_proto(number: i32) -> Option<EquilibriumMethod> {
    EquilibriumMethod::ALL.into_iter().find(|&method| method_to_proto(method) as i32 == number)
}

/// A checked choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    /// Place of the window among those of the session; `None` for the first, or the one with the best score.
    window: Option<usize>,
    /// `None` for the best one.
    method: Option<EquilibriumMethod>,
}

/// A model of a publication.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) publication: Arc<EquilibriumPublication>,
    /// Place of the window among those of the session.
    pub(super) window: usize,
    pub(super) scored: Arc<ScoredEquilibrium>,
}

impl Choice {
    /// Check what a request chooses.
    pub(super) fn check(session: &SessionHandle, method: i32, window: &str) -> Result<Self, RequestError> {
        let methods = &session.spec.equilibrium.methods;
        let Some(&first) = methods.first() else {
            return Err(RequestError::NoEquilibriumModels { session_id: session.id.clone() });
        };
        let window = choice::window(session, window, "window")?;
        let asked = method_from_proto(method);
        let method = match v1::EquilibriumMethod::try_from(method) {
            Ok(v1::EquilibriumMethod::Unspecified) => Some(first),
            Ok(v1::EquilibriumMethod::Best) => None,
            _ if asked.is_some_and(|asked| methods.contains(&asked)) => asked,
            _ => {
                let names: Vec<_> = methods.iter().map(|method| method.as_str()).collect();
                return Err(RequestError::NotOfSession {
                    field: "method",
                    asked: asked.map_or_else(|| method.to_string(), |asked| asked.to_string()),
                    available: names.join(", "),
                });
            }
        };
        Ok(Self { window, method })
    }

    /// The model chosen, of the newest publication.
    ///
    /// # Errors
    /// When there is none yet, or none is scored.
    pub(super) fn find(&self, session: &SessionHandle) -> Result<Found, RequestError> {
        let session_id = session.id.clone();
        let publication = session.equilibrium.latest();
        let of = |publication: &EquilibriumPublication| match self.method {
            Some(method) => publication.find(self.window.unwrap_or(0), method).map(own),
            None => publication.best(self.window).map(own),
        };
        if let Some((publication, (window, scored))) =
            publication.and_then(|publication| Some((Arc::clone(&publication), of(&publication)?)))
        {
            return Ok(Found { publication, window, scored });
        }
        let interval = session.spec.equilibrium.interval_bins;
        Err(match self.method {
            Some(method) => {
                let when = Awaited::at(session, interval);
                RequestError::NotFitted { session_id, method, when }
            }
            // Models are scored at the fit after the one they come of.
            None => {
                let when = Awaited::at(session, interval.saturating_mul(2));
                RequestError::NoModelScored { session_id, when }
            }
        })
    }
}

fn own((window, scored): (usize, &Arc<ScoredEquilibrium>)) -> (usize, Arc<ScoredEquilibrium>) {
    (window, Arc::clone(scored))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_keep_their_meaning() {
        for method in EquilibriumMethod::ALL {
            assert_eq!(method_from_proto(method_to_proto(method).into()), Some(method));
            let name = method_to_proto(method).as_str_name().to_lowercase().replace('_', "-");
            assert_eq!(name.strip_prefix("equilibrium-method-"), Some(method.as_str()));
        }
        for number in [0, 10, 100, -1] {
            assert_eq!(method_from_proto(number), None);
        }
    }
}
