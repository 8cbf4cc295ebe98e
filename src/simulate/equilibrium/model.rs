use ndarray::{Array1, Array2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::model::NEURONS_MAX;
use crate::simulate::{KineticIsing, SimulationError};

/// An equilibrium Ising model: `P(s) ∝ exp(Σ_i h_i s_i + Σ_{i<j} J_ij s_i s_j)`, `s = ±1`.
#[derive(Debug, Clone, PartialEq)]
pub struct EquilibriumIsing {
    /// `J`, shape `(n_neurons, n_neurons)`, symmetric, zero on the diagonal.
    pub couplings: Array2<f64>,
    /// `h`, shape `(n_neurons)`.
    pub fields: Array1<f64>,
}

impl EquilibriumIsing {
    /// Largest coupling on either side of zero.
    pub const COUPLING_MAX: f64 = 1000.0;

    /// Sherrington–Kirkpatrick model: `J_ij = J_ji ~ N(0, g²/n)` and `h_i ~ N(0, f²/n)`, all independent
    /// (Sherrington & Kirkpatrick, PRL 35, 1792 (1975)).
    ///
    /// `g` (`coupling_std`) is the inverse temperature: without fields, the glass begins at `g = 1`. `f` (`field_std`) is on the
    /// same scale; `f = g` gives fields the size of a coupling, 0 none at all. Couplings do not depend on `f`.
    ///
    /// # Errors
    /// [`SimulationError`] for values outside their range.
    pub fn sk(
        n_neurons: usize,
        coupling_std: f64,
        field_std: f64,
        seed: u64,
    ) -> Result<Self, SimulationError> {
        check_neurons(n_neurons)?;
        for found in [coupling_std, field_std] {
            if !(0.0..=KineticIsing::COUPLING_STD_MAX).contains(&found) {
                return Err(SimulationError::CouplingStd { found });
            }
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let scale = 1.0 / (n_neurons as f64).sqrt();
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        let mut couplings = Array2::zeros((n_neurons, n_neurons));
        for i in 0..n_neurons {
            for j in 0..i {
                let coupling = coupling_std * scale * normal();
                couplings[[i, j]] = coupling;
                couplings[[j, i]] = coupling;
            }
        }
        let fields = Array1::from_shape_simple_fn(n_neurons, || field_std * scale * normal());
        Ok(Self { couplings, fields })
    }

    /// Curie–Weiss model: `J_ij = β/n` for every pair, the same field everywhere. Without a field it has two states from `β = 1` on.
    ///
    /// # Errors
    /// [`SimulationError`] for values outside their range.
    pub fn curie_weiss(n_neurons: usize, beta: f64, field: f64) -> Result<Self, SimulationError> {
        check_neurons(n_neurons)?;
        check_coupling("inverse temperature", beta)?;
        check_field(field)?;
        let mut couplings = Array2::from_elem((n_neurons, n_neurons), beta / n_neurons as f64);
        couplings.diag_mut().fill(0.0);
        Ok(Self { couplings, fields: Array1::from_elem(n_neurons, field) })
    }

    /// Square lattice with one coupling for all nearest neighbours and one field for all sites; site `(r, c)` is neuron
    /// `r · columns + c`. Without a field, an infinite lattice orders at `J = ½ ln(1 + √2) ≈ 0.4407` (Onsager 1944).
    ///
    /// # Errors
    /// [`SimulationError`] for values outside their range; a periodic lattice has at least 3 rows and 3 columns.
    pub fn lattice(
        rows: usize,
        columns: usize,
        coupling: f64,
        field: f64,
        periodic: bool,
    ) -> Result<Self, SimulationError> {
        let pairs = lattice_pairs(rows, columns, periodic)?;
        check_coupling("coupling", coupling)?;
        check_field(field)?;
        let n = rows * columns;
        let mut couplings = Array2::zeros((n, n));
        for (i, j) in pairs {
            couplings[[i, j]] = coupling;
            couplings[[j, i]] = coupling;
        }
        Ok(Self { couplings, fields: Array1::from_elem(n, field) })
    }

    /// Number of neurons.
    #[must_use]
    pub fn n_neurons(&self) -> usize {
        self.fields.len()
    }

    /// `−E(s) = Σ_i h_i s_i + Σ_{i<j} J_ij s_i s_j` of one configuration, `true` for a neuron that fires. Cost O(n²).
    ///
    /// # Panics
    /// When the number of spins is not that of neurons.
    #[must_use]
    pub fn minus_energy(&self, spins: &[bool]) -> f64 {
        assert_eq!(spins.len(), self.n_neurons(), "a configuration has a spin for every neuron");
        let signs: Vec<f64> = spins.iter().map(|&fires| if fires { 1.0 } else { -1.0 }).collect();
        let of = |i: usize| {
            let row = self.couplings.row(i);
            let pairs: f64 = row.iter().zip(&signs[..i]).map(|(j, s)| j * s).sum();
            signs[i] * (self.fields[i] + pairs)
        };
        (0..signs.len()).map(of).sum()
    }
}

/// Nearest neighbours `(i, j)`, `i < j`, of a square lattice, each pair once; site `(r, c)` is neuron `r · columns + c`.
///
/// # Errors
/// [`SimulationError`] without rows or columns, with more than [`NEURONS_MAX`] sites, or for a periodic lattice with fewer than 3 of
/// either, where pairs would be neighbours twice.
pub fn lattice_pairs(
    rows: usize,
    columns: usize,
    periodic: bool,
) -> Result<Vec<(usize, usize)>, SimulationError> {
    let min = if periodic { 3 } else { 1 };
    if rows < min || columns < min {
        return Err(SimulationError::LatticeShape { rows, columns, min });
    }
    check_neurons(rows.saturating_mul(columns))?;
    let mut pairs = Vec::with_capacity(2 * rows * columns);
    for r in 0..rows {
        for c in 0..columns {
            let site = r * columns + c;
            if c + 1 < columns {
                pairs.push((site, site + 1));
            } else if periodic {
                pairs.push((r * columns, site));
            }
            if r + 1 < rows {
                pairs.push((site, site + columns));
            } else if periodic {
                pairs.push((c, site));
            }
        }
    }
    Ok(pairs)
}

pub(super) fn check_neurons(found: usize) -> Result<(), SimulationError> {
    if found == 0 || found > NEURONS_MAX {
        return Err(SimulationError::NeuronCount { found });
    }
    Ok(())
}

pub(super) fn check_coupling(what: &'static str, found: f64) -> Result<(), SimulationError> {
    let max = EquilibriumIsing::COUPLING_MAX;
    if !(-max..=max).contains(&found) {
        return Err(SimulationError::Coupling { what, found });
    }
    Ok(())
}

pub(super) fn check_field(found: f64) -> Result<(), SimulationError> {
    if !(-KineticIsing::FIELD_MAX..=KineticIsing::FIELD_MAX).contains(&found) {
        return Err(SimulationError::Field { found });
    }
    Ok(())
}
