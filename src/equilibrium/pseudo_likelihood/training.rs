use ndarray::{Array1, Array2};

use super::bins::Bins;
use crate::model::RowStatus;
use crate::moments::connected;
use crate::regression::{self, Own, Parameters, Patterns, Problem, Row, Stopping, Table};

/// The regressions of some neurons on each other, over some of the bins.
pub(super) struct Training {
    /// The neurons, increasing, all of which fire and are silent in these bins.
    pub(super) keep: Vec<usize>,
    table: Table,
    patterns: Patterns,
}

/// The rows of a [`Training`] at the end of an iteration.
pub(super) struct Fitted<'a> {
    pub(super) problem: Problem<'a>,
    /// Rows with a maximum as far as the counts tell; the others are missing.
    pub(super) rows: Vec<Row>,
}

/// `J` and `h` of the neurons of a [`Training`].
pub(super) struct Symmetric {
    pub(super) couplings: Array2<f64>,
    pub(super) fields: Array1<f64>,
}

impl Training {
    /// Of the neurons `keep`.
    pub(super) fn of(bins: &Bins<'_>, keep: Vec<usize>) -> Self {
        let n = keep.len();
        let active: Vec<u64> = keep.iter().map(|&i| bins.active(i)).collect();
        let correlations = Array2::from_shape_fn((n, n), |(i, j)| {
            connected(bins.total, bins.together(keep[i], keep[j]), active[i], active[j])
        });
        let pairs = keep.iter().flat_map(|&i| keep.iter().map(move |&j| bins.together(i, j)));
        let table = Table {
            observations: bins.total,
            together: pairs.collect(),
            cross_correlations: correlations.clone(),
            correlations,
            senders: active.clone(),
            receivers: active,
            own: Own::Held,
        };
        let patterns = bins.patterns(&keep);
        Self { keep, table, patterns }
    }

    /// Of those that fire and are silent in these bins.
    pub(super) fn of_all(bins: &Bins<'_>) -> Self {
        let varies = |&i: &usize| 0 < bins.active(i) && bins.active(i) < bins.total;
        Self::of(bins, (0..bins.n_neurons()).filter(varies).collect())
    }

    /// Every row at its maximum, from independent rates or from a fit of the same training with another ridge.
    ///
    /// # Errors
    /// Why no row has an estimate.
    pub(super) fn fit(
        &self,
        ridge: f64,
        warm: Option<&Fitted<'_>>,
        stopping: Stopping,
    ) -> Result<Fitted<'_>, RowStatus> {
        // A row has as many unknowns as there are neurons: a field, and a coupling to each other one.
        if ridge == 0.0 && self.table.observations <= self.keep.len() as u64 {
            return Err(RowStatus::Undersampled);
        }
        let problem = Problem::new(&self.table, &self.patterns, ridge).ok_or(RowStatus::Singular)?;
        let mut rows: Vec<Row> = match warm {
            Some(Fitted { problem: before, rows }) => rows
                .iter()
                .map(|row| {
                    let here = problem.reridged(row.place, &row.parameters, row.here.clone(), before.ridge);
                    Row::new(row.place, row.parameters.clone(), here)
                })
                .collect(),
            None => (0..problem.n())
                .map(|row| {
                    let (parameters, here) = problem.independent(row);
                    Row::new(row, parameters, here)
                })
                .collect(),
        };
        rows.retain(|row| ridge > 0.0 || !problem.has_empty_cell(row.place));
        regression::maximise(&problem, &mut rows, stopping);
        Ok(Fitted { problem, rows })
    }
}

impl Fitted<'_> {
    /// Whether the counts leave every row a maximum.
    pub(super) fn is_complete(&self) -> bool {
        self.rows.len() == self.problem.n()
    }

    /// The model the rows agree on: the mean of the two couplings of a pair, and fields that keep each neuron's mean input
    /// `h_i + Σ_j J_ij m_j` as its row found it. Of a complete fit.
    pub(super) fn symmetric(&self) -> Symmetric {
        let n = self.problem.n();
        let parameters: Vec<&Parameters> = self.rows.iter().map(|row| &row.parameters).collect();
        let couplings = Array2::from_shape_fn((n, n), |(i, j)| {
            0.5 * (parameters[i].couplings[j] + parameters[j].couplings[i])
        });
        let magnetizations = Array1::from_shape_fn(n, |j| self.problem.magnetization(j));
        let drives = Array1::from_shape_fn(n, |i| parameters[i].drive);
        let fields = drives - couplings.dot(&magnetizations);
        Symmetric { couplings, fields }
    }
}
