use ndarray::{Array1, Array2, Zip};

use super::mean_field::{MeanField, rows_by_states};
use super::states::{Counts, State};
use super::{in_parallel, part};
use crate::model::EquilibriumErrors;

/// Multiplications that errors may cost at most.
const OPERATIONS_MAX: f64 = 17_179_869_184.0; // 2³⁴

/// Standard errors of the neurons kept from leaving out each block in turn (Efron 1982); `None` where there is one block, or they
/// cost too much.
pub(super) fn errors(
    blocks: &[Vec<Counts>],
    totals: &[Counts],
    states: &[State],
    kept: &[usize],
    threads: usize,
) -> Option<EquilibriumErrors> {
    let n = states.first()?.magnetizations.len();
    let once = (rows_by_states(states, n).len() as f64) * (n as f64).powi(3);
    if blocks.len() < 2 || (blocks.len() + 1) as f64 * once > OPERATIONS_MAX {
        return None;
    }
    let replicates = in_parallel(blocks.len(), threads, |b| {
        let left: Vec<State> =
            totals.iter().zip(&blocks[b]).filter_map(|(all, own)| all.without(own).state()).collect();
        part(&left, &MeanField::of(&left, n), kept)
    });
    let count = blocks.len() as f64;
    let k = kept.len();
    let (mut couplings, mut fields) = (Array2::<f64>::zeros((k, k)), Array1::<f64>::zeros(k));
    for replicate in &replicates {
        couplings.scaled_add(1.0 / count, &replicate.0);
        fields.scaled_add(1.0 / count, &replicate.1);
    }
    let (mut coupling_squares, mut field_squares) = (Array2::<f64>::zeros((k, k)), Array1::<f64>::zeros(k));
    for replicate in &replicates {
        Zip::from(&mut coupling_squares)
            .and(&replicate.0)
            .and(&couplings)
            .for_each(|sum, own, mean| *sum += (own - mean).powi(2));
        Zip::from(&mut field_squares)
            .and(&replicate.1)
            .and(&fields)
            .for_each(|sum, own, mean| *sum += (own - mean).powi(2));
    }
    let error = |squares: f64| (squares * (count - 1.0) / count).sqrt();
    Some(EquilibriumErrors {
        couplings: coupling_squares.mapv(error),
        fields: field_squares.mapv(error),
        blocks: blocks.len() as u32,
    })
}
