use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::{KineticIsing, KineticSimulation, SimulationError};
use crate::model::{Runs, SpikeBlock, Trial};

/// A network under a stimulus that comes again and again: parallel Glauber dynamics with the field `h_i + h_i(t)`, `t` counted from
/// the first bin of each trial.
///
/// Trials follow one another without a pause. The drive of bin `t` acts on bin `t + 1`, that of the last bin of a trial on the
/// first bin of the next one, so that trials begin in a typical state.
#[derive(Debug, Clone)]
pub struct StimulusSimulation {
    simulation: KineticSimulation,
    /// Drive, shape `(n_bins, n_neurons)`.
    drive: Array2<f64>,
    next_bin: u64,
}

impl StimulusSimulation {
    /// Start a simulation under `drive`, shape `(n_neurons, n_bins)`: what is added to the network's own fields in each bin of a
    /// trial; dimensionless. The same network, drive and seed always give the same spikes.
    ///
    /// # Errors
    /// [`SimulationError`] when the drive is not of the network's neurons, has no bins, or holds something other than numbers
    /// within ±[`KineticIsing::FIELD_MAX`].
    pub fn new(network: &KineticIsing, drive: &Array2<f64>, seed: u64) -> Result<Self, SimulationError> {
        let (neurons, bins) = drive.dim();
        if neurons != network.n_neurons() || bins == 0 {
            return Err(SimulationError::DriveShape { neurons, bins, expected: network.n_neurons() });
        }
        let fits = |field: &&f64| !(-KineticIsing::FIELD_MAX..=KineticIsing::FIELD_MAX).contains(*field);
        if let Some(&found) = drive.iter().find(fits) {
            return Err(SimulationError::Field { found });
        }
        let simulation = KineticSimulation::new(network, seed);
        Ok(Self { simulation, drive: drive.t().as_standard_layout().into_owned(), next_bin: 0 })
    }

    /// Number of bins of a trial.
    #[must_use]
    pub fn trial_bins(&self) -> usize {
        self.drive.nrows()
    }

    /// The next `n_bins` bins, over as many trials as they reach.
    pub fn bins(&mut self, n_bins: usize) -> SpikeBlock {
        let mut block = SpikeBlock::empty(self.next_bin);
        for _ in 0..n_bins {
            let length = self.trial_bins() as u64;
            // Below the length of a trial.
            let before = ((self.next_bin + length - 1) % length) as usize;
            block.push_sorted(self.simulation.driven_bin(self.drive.row(before)));
            self.next_bin += 1;
        }
        block
    }

    /// So many trials from the first bin of the next one on: their bins, one run per trial, and where they lie.
    pub fn trials(&mut self, repeats: usize) -> (Runs, Vec<Trial>) {
        let length = self.trial_bins();
        let left = (length - (self.next_bin % length as u64) as usize) % length;
        self.bins(left);
        let blocks: Vec<SpikeBlock> = (0..repeats).map(|_| self.bins(length)).collect();
        let trials =
            blocks.iter().map(|b| Trial { start_bin: b.first_bin(), stop_bin: b.end_bin() }).collect();
        (Runs { n_neurons: self.drive.ncols(), blocks }, trials)
    }

    /// `⟨1 − tanh² θ_i⟩` over the bins so far; see [`KineticSimulation::mean_gain`].
    #[must_use]
    pub fn mean_gain(&self) -> ndarray::Array1<f64> {
        self.simulation.mean_gain()
    }
}

/// A drive that changes smoothly over the bins of a trial, shape `(n_neurons, n_bins)`: for each neuron `std/√2` times the sum of a
/// time course that all share and one of its own, both normal with unit variance and a correlation of `0.8` from bin to bin.
///
/// # Errors
/// [`SimulationError::Drive`] for a standard deviation that is negative, not a number or above
/// [`KineticIsing::DRIVE_STD_MAX`].
pub fn stimulus_drive(
    n_neurons: usize,
    n_bins: usize,
    std: f64,
    seed: u64,
) -> Result<Array2<f64>, SimulationError> {
    const MEMORY: f64 = 0.8;
    if !(0.0..=KineticIsing::DRIVE_STD_MAX).contains(&std) {
        return Err(SimulationError::Drive { found: std });
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut course = || -> Vec<f64> {
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        let mut value = normal();
        let step = |_| {
            let next = MEMORY * value + (1.0 - MEMORY * MEMORY).sqrt() * normal();
            std::mem::replace(&mut value, next)
        };
        (0..n_bins).map(step).collect()
    };
    let shared = course();
    let mut drive = Array2::zeros((n_neurons, n_bins));
    for mut row in drive.rows_mut() {
        for ((value, own), shared) in row.iter_mut().zip(course()).zip(&shared) {
            *value = std * std::f64::consts::FRAC_1_SQRT_2 * (own + shared);
        }
    }
    Ok(drive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_are_the_same_however_they_are_asked_for_and_follow_the_drive() {
        let network = KineticIsing::asymmetric_sk(3, 0.0, 0.0, 1).unwrap();
        let mut drive = stimulus_drive(3, 4, 0.0, 5).unwrap();
        drive.row_mut(1).assign(&ndarray::arr1(&[20.0, -20.0, -20.0, 20.0]));
        let (runs, trials) = StimulusSimulation::new(&network, &drive, 7).unwrap().trials(5);
        let whole = StimulusSimulation::new(&network, &drive, 7).unwrap().bins(20);
        assert_eq!(trials[4], Trial { start_bin: 16, stop_bin: 20 });
        assert_eq!((runs.n_bins(), runs.transitions()), (20, 15));
        for (block, t) in runs.blocks.iter().flat_map(|b| (0..4).map(move |t| (b, t))) {
            assert_eq!(block.bin(t), whole.bin(block.first_bin() as usize + t));
            // The field of a bin acts on the next.
            assert_eq!(block.bin(t).contains(&1), [true, true, false, false][t]);
        }
        let mut parts = StimulusSimulation::new(&network, &drive, 7).unwrap();
        parts.bins(6);
        assert_eq!(parts.trials(2).1[0], Trial { start_bin: 8, stop_bin: 12 });
    }

    #[test]
    fn a_drive_has_the_strength_asked_for() {
        let drive = stimulus_drive(200, 500, 1.5, 3).unwrap();
        assert_eq!(drive, stimulus_drive(200, 500, 1.5, 3).unwrap());
        let square = drive.iter().map(|h| h * h).sum::<f64>() / drive.len() as f64;
        // The shared course is 500 bins of nine bins' memory, some 55 independent ones: its square is known to √(2/55) = 19 %.
        assert!((square / 2.25 - 1.0).abs() < 0.5, "{square}");
        assert!(stimulus_drive(2, 2, -1.0, 1).is_err() && stimulus_drive(2, 2, f64::NAN, 1).is_err());
    }

    #[test]
    fn a_drive_that_does_not_fit_is_refused() {
        let network = KineticIsing::asymmetric_sk(3, 0.0, 0.0, 1).unwrap();
        for (neurons, bins) in [(2, 4), (4, 4), (3, 0)] {
            let error = StimulusSimulation::new(&network, &Array2::zeros((neurons, bins)), 1).err();
            assert_eq!(error, Some(SimulationError::DriveShape { neurons, bins, expected: 3 }));
        }
        let drive = Array2::from_elem((3, 2), f64::NAN);
        assert!(matches!(StimulusSimulation::new(&network, &drive, 1), Err(SimulationError::Field { .. })));
    }
}
