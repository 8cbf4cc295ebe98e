//! What are the exact counts, and the moments they give?
//!
//! Every statistic is kept as integer counts over *transitions*, pairs of bins (t, t + ℓ) inside one trial without a gap
//! between them, so that adding, retracting and replaying are exact and independent of order:
//!
//! ```text
//! m⁻_i    = 2 K⁻_i / T − 1                              sender side (earlier bin)
//! m⁺_i    = 2 K⁺_i / T − 1                              receiver side (later bin)
//! C_ij    = 4 (T K_ij − K⁻_i K⁻_j) / T²                 connected equal-time correlation, sender bins
//! D_ij(ℓ) = 4 (T K_ij(ℓ) − K⁺_i K⁻_j) / T²              connected delayed correlation, i later, j earlier
//! ```
//!
//! Three kernels count pairs with equal results: [`Kernel::Direct`] increments the pairs of active neurons bin by bin (k² per
//! bin), [`Kernel::Gathered`] does the same neuron by neuron, so that the counters stay in the cache, and [`Kernel::Dense`] packs 64
//! bins into a word and counts the bits two neurons share (n²/64 per bin). The cheapest one is chosen for each stretch of bins.

mod accumulator;
mod bin_spikes;
mod bits;
mod correlations;
mod counts;
mod dense;
mod direct;
mod gathered;
mod kernel;
mod packed;
mod piece;
mod rows;
pub(crate) mod threads;

pub use accumulator::Accumulator;
pub(crate) use correlations::connected;
pub(crate) use counts::triangle_row;
pub use counts::{Counts, LagCounts};
pub use dense::InstructionSet;
pub use kernel::Kernel;
pub(crate) use kernel::Work;
