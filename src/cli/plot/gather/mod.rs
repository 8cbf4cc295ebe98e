//! Getting together what there is to plot: from a snapshot, from a recording, from a daemon.

pub(crate) mod daemon;
pub(crate) mod newest_spikes;
pub(crate) mod recording;
pub(crate) mod snapshot;

use glauber::model::EquilibriumMethod;
use glauber::proto::v1;

use crate::cli::client::Asked;
use crate::cli::equilibrium;

/// Whose couplings and which model to plot, of several.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Choice {
    /// The one with the best score when nobody says, or the first.
    pub(crate) estimator: Option<Asked>,
    /// The same of equilibrium methods.
    pub(crate) method: Option<v1::EquilibriumMethod>,
}

impl Choice {
    /// The method that is asked for by its name; `None` for the best one.
    pub(crate) fn method_named(&self) -> Option<EquilibriumMethod> {
        self.method.and_then(equilibrium::method_of)
    }
}
