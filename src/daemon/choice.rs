//! Which estimate a client means: of which window, by which estimator or by the best one.

use super::convert::estimator_from_proto;
use super::error::{Awaited, RequestError, echoed};
use super::handle::SessionHandle;
use super::publish::{Found, Publication};
use crate::model::{Estimator, Window};
use crate::proto::v1;

/// A checked choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    /// Place of the window among those of the session; `None` for the one with the best score.
    window: Option<usize>,
    /// `None` for the best one.
    estimator: Option<Estimator>,
}

/// The place of the window of this name among those of the session; `None` when it is empty.
pub(super) fn window(
    session: &SessionHandle,
    name: &str,
    field: &'static str,
) -> Result<Option<usize>, RequestError> {
    if name.is_empty() {
        return Ok(None);
    }
    let windows = &session.spec.windows;
    let asked = name.parse::<Window>().ok();
    let place = asked.and_then(|asked| windows.iter().position(|&window| window == asked));
    place.map(Some).ok_or_else(|| {
        let available: Vec<_> = windows.iter().map(ToString::to_string).collect();
        RequestError::NotOfSession { field, asked: echoed(name), available: available.join(", ") }
    })
}

/// The place of the window of this name among those of the session; the first when it is empty.
pub(super) fn window_index(
    session: &SessionHandle,
    name: &str,
    field: &'static str,
) -> Result<usize, RequestError> {
    Ok(window(session, name, field)?.unwrap_or(0))
}

/// The estimator of a number, which the session must run; `None` for the best one.
fn estimator(
    session: &SessionHandle,
    number: i32,
    unspecified: Option<Estimator>,
    field: &'static str,
) -> Result<Option<Estimator>, RequestError> {
    if number == v1::Estimator::Best as i32 {
        return Ok(None);
    }
    let estimators = &session.spec.estimators;
    let asked = match estimator_from_proto(number) {
        Ok(None) => return Ok(unspecified),
        Ok(asked) => asked,
        Err(_) => None,
    };
    if asked.is_some_and(|asked| estimators.contains(&asked)) {
        return Ok(asked);
    }
    let names: Vec<_> = estimators.iter().map(|estimator| estimator.as_str()).collect();
    Err(RequestError::NotOfSession {
        field,
        asked: asked.map_or_else(|| number.to_string(), |estimator| estimator.to_string()),
        available: names.join(", "),
    })
}

impl Choice {
    /// Check what a query chooses.
    pub(super) fn of_query(
        session: &SessionHandle,
        query: &v1::CouplingsQuery,
    ) -> Result<Self, RequestError> {
        let first = session.spec.estimators.first().copied();
        Ok(Self {
            window: window(session, &query.window, "query.window")?,
            estimator: estimator(session, query.estimator, first, "query.estimator")?,
        })
    }

    /// Check what predictions are asked of.
    pub(super) fn of_predictions(
        session: &SessionHandle,
        asked: &v1::StreamPredictionsRequest,
    ) -> Result<Self, RequestError> {
        Ok(Self {
            window: window(session, &asked.window, "window")?,
            estimator: estimator(session, asked.estimator, None, "estimator")?,
        })
    }

    /// The estimator chosen by name.
    pub(super) fn estimator(&self) -> Option<Estimator> {
        self.estimator
    }

    /// The estimate chosen, of a publication.
    ///
    /// # Errors
    /// When there is no estimate by that estimator yet, or none is scored.
    pub(super) fn find<'a>(
        &self,
        session: &SessionHandle,
        publication: &'a Publication,
    ) -> Result<Found<'a>, RequestError> {
        let session_id = || session.id.clone();
        match self.estimator {
            Some(estimator) => publication.find(self.window.unwrap_or(0), estimator).ok_or_else(|| {
                let when = Awaited::at(session, session.spec.refit_interval_bins);
                RequestError::NotEstimated { session_id: session_id(), estimator, when }
            }),
            None => {
                publication.best(self.window).ok_or_else(|| {
                    // Estimates are scored at the refresh after the one they came with.
                    let interval = session.spec.refresh_interval_bins;
                    let bin = (publication.end_bin() / interval).saturating_add(1).saturating_mul(interval);
                    RequestError::NothingScored { session_id: session_id(), when: Awaited::at(session, bin) }
                })
            }
        }
    }
}

impl Awaited {
    /// When something comes that is due at this bin.
    pub(super) fn at(session: &SessionHandle, bin: u64) -> Self {
        if session.is_closed() {
            return Self::Never;
        }
        if session.applied_through() < bin { Self::AtBin(bin) } else { Self::Soon }
    }
}
