//! Equilibrium Ising models with known couplings, and configurations drawn from them.
//!
//! | sampler | draws | good for |
//! |---|---|---|
//! | [`GibbsSampler`] | dependent configurations of the very distribution | any model that is not frozen |
//! | [`TemperedSampler`] | the same, with hot replicas that carry it over barriers | low temperature |
//! | [`CurieWeissSampler`] | independent ones | the Curie–Weiss model |
//! | [`importance_resampled`] | uniform ones, reweighted | showing what published rankings rest on |

mod curie_weiss;
mod gibbs;
mod importance;
mod model;
mod tempering;

pub use curie_weiss::CurieWeissSampler;
pub use gibbs::GibbsSampler;
pub(crate) use gibbs::{GibbsChain, InputRows};
pub use importance::{ImportanceSample, PROPOSALS_MAX, Proposals, importance_resampled};
pub use model::{EquilibriumIsing, lattice_pairs};
pub use tempering::TemperedSampler;

/// Active neurons of a configuration, increasing.
fn active_of(spins: &[bool], active: &mut Vec<u16>) {
    active.clear();
    active.extend(spins.iter().enumerate().filter_map(|(i, &fires)| fires.then_some(i as u16)));
}
