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
//! Two kernels count pairs with equal results: [`Kernel::Sparse`] increments the pairs of active neurons of each bin (k²
//! per bin), [`Kernel::Dense`] packs 64 bins into a word and counts the bits two neurons share (n²/64 per bin).
//! [`Kernel::choose`] picks the cheaper one for each stretch of bins.

mod accumulator;
mod correlations;
mod counts;
mod dense;
mod kernel;
mod sparse;

pub use accumulator::Accumulator;
pub(crate) use correlations::connected;
pub(crate) use counts::triangle_row;
pub use counts::{Counts, LagCounts};
pub use kernel::Kernel;
