use super::{EquilibriumIsing, KineticIsing};
use crate::model::NEURONS_MAX;

/// A network that cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SimulationError {
    /// Too few or too many neurons.
    #[error("a simulation has 1 to {NEURONS_MAX} neurons, got {found}")]
    NeuronCount {
        /// Number asked for.
        found: usize,
    },
    /// A standard deviation of the summed input that is negative, not a number or absurdly large.
    #[error(
        "coupling standard deviation {found} is not allowed: expected 0 to {}",
        KineticIsing::COUPLING_STD_MAX
    )]
    CouplingStd {
        /// The value given.
        found: f64,
    },
    /// A field that is not a number or absurdly large.
    #[error("field {found} is not allowed: expected -{0} to {0}", KineticIsing::FIELD_MAX)]
    Field {
        /// The value given.
        found: f64,
    },
    /// A drive of another shape than the network's.
    #[error(
        "a drive of {neurons} neurons and {bins} bins does not fit: expected {expected} neurons and at least 1 bin"
    )]
    DriveShape {
        /// Neurons of the drive.
        neurons: usize,
        /// Bins of the drive.
        bins: usize,
        /// Neurons of the network.
        expected: usize,
    },
    /// A standard deviation of a drive that is negative, not a number or absurdly large.
    #[error("drive standard deviation {found} is not allowed: expected 0 to {}", KineticIsing::DRIVE_STD_MAX)]
    Drive {
        /// The value given.
        found: f64,
    },
    /// A spike probability per bin that is not strictly between 0 and 1, or too close to either for a finite field.
    #[error(
        "spike probability per bin {found} is not allowed: expected more than 1e-15 and less than 1 - 1e-15"
    )]
    SpikeProbability {
        /// The value given.
        found: f64,
    },
    /// A coupling that is not a number or absurdly large.
    #[error("{what} {found} is not allowed: expected -{0} to {0}", EquilibriumIsing::COUPLING_MAX)]
    Coupling {
        /// What it is called.
        what: &'static str,
        /// The value given.
        found: f64,
    },
    /// A lattice without sites, or a periodic one in which a site would be its own neighbour or one twice.
    #[error("a lattice of {rows} rows and {columns} columns: expected at least {min} of each")]
    LatticeShape {
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
        /// Fewest of either.
        min: usize,
    },
    /// Too few or too many configurations to choose from.
    #[error(
        "importance resampling takes 1 to {} configurations to choose from, got {found}",
        super::PROPOSALS_MAX
    )]
    Proposals {
        /// Number asked for.
        found: usize,
    },
}
