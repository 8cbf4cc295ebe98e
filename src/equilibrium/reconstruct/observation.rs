use crate::model::NEURONS_MAX;

/// A reconstruction that cannot be begun.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReconstructError {
    /// An observation of another number of neurons than the model's.
    #[error("the observation is of {found} neurons, the model of {expected}")]
    Length {
        /// Neurons of the model.
        expected: usize,
        /// Neurons of the observation.
        found: usize,
    },
    /// A neuron that does not exist.
    #[error("neuron {neuron} does not exist: there are {n_neurons} neurons, counted from 0")]
    NeuronOutOfRange {
        /// The index given.
        neuron: u64,
        /// Number of neurons.
        n_neurons: usize,
    },
    /// A neuron given as active and as silent.
    #[error("neuron {neuron} is said to be active and silent in the same bin")]
    Contradiction {
        /// The neuron.
        neuron: usize,
    },
    /// A number of something outside its range.
    #[error("{what}: expected {min} to {max}, got {found}")]
    Count {
        /// Of what.
        what: &'static str,
        /// Least.
        min: usize,
        /// Most.
        max: usize,
        /// Number given.
        found: usize,
    },
    /// A share outside its range.
    #[error("the share of hidden neurons {found} is not allowed: expected a number above 0 and at most 1")]
    Share {
        /// The value given.
        found: f64,
    },
}

/// What was seen of a bin: neurons that fired, neurons that did not, and those nobody looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    values: Vec<Option<bool>>,
}

impl Observation {
    /// Of lists of the neurons seen active and seen silent, in any order; a neuron named twice in the same list counts once.
    ///
    /// # Errors
    /// [`ReconstructError::NeuronOutOfRange`], [`ReconstructError::Contradiction`] for one in both lists, [`ReconstructError::Count`] for
    /// more than [`NEURONS_MAX`] neurons.
    pub fn new(n_neurons: usize, active: &[u32], silent: &[u32]) -> Result<Self, ReconstructError> {
        if n_neurons > NEURONS_MAX {
            return Err(ReconstructError::Count {
                what: "neurons",
                min: 0,
                max: NEURONS_MAX,
                found: n_neurons,
            });
        }
        let mut values = vec![None; n_neurons];
        for (list, value) in [(active, true), (silent, false)] {
            for &neuron in list {
                let out_of_range =
                    ReconstructError::NeuronOutOfRange { neuron: u64::from(neuron), n_neurons };
                let place = values.get_mut(neuron as usize).ok_or(out_of_range)?;
                if *place == Some(!value) {
                    return Err(ReconstructError::Contradiction { neuron: neuron as usize });
                }
                *place = Some(value);
            }
        }
        Ok(Self { values })
    }

    /// Whether each neuron was active; `None` for those not looked at.
    #[must_use]
    pub fn values(&self) -> &[Option<bool>] {
        &self.values
    }
}
