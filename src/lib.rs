//! glauber: live couplings between neurons.
//!
//! ```text
//! rigs, replay ──gRPC──▶ ingest ─▶ session (ring, moments) ─▶ kinetic ─▶ snapshot ─▶ query / watch (gRPC)
//!                        admit      exact integer counts       couplings   immutable     │
//!                        & bin      of every window                                      └─▶ archive (HDF5)
//! ```
//!
//! One room, one question; imports point one way (`tests/architecture.rs`). The rooms from [`model`] to [`session`] are a library of
//! their own: no clock, network or file, and no thread that outlives the call which starts it.
//!
//! | room | question |
//! |---|---|
//! | [`model`] | what do the words mean: neurons, bins, lags, windows, couplings, statuses? |
//! | [`ingest`] | which spikes are admissible, and in which bin? |
//! | [`ring`] | which blocks are still inside the window? |
//! | [`moments`] | what are the exact counts, and the m, C, D they give? |
//! | `regression` | which logistic regressions make the observed spikes most probable? |
//! | [`kinetic`] | which couplings do the transitions give? |
//! | [`simulate`] | what would a known network do? |
//! | [`equilibrium`] | which couplings do the configurations give? |
//! | [`session`] | what is the state of one recording? |
//! | `storage` | how is an HDF5 file read without trust and written without a trace of failure? |
//! | `recording` | what does a recorded session hold? |
//! | `archive` | how is a snapshot kept? |
//! | `journal` | what survives a crash? |
//! | `proto` | (generated) the gRPC messages and those of the journal |
//! | `daemon` | how do threads, queues and gRPC carry all this? |
//!
//! From bins to couplings:
//!
//! ```
//! use glauber::kinetic;
//! use glauber::model::{Estimator, Lags};
//! use glauber::moments::Accumulator;
//! use glauber::simulate::{KineticIsing, KineticSimulation};
//!
//! let network = KineticIsing::asymmetric_sk(20, 0.5, 0.0, 1)?;
//! let bins = KineticSimulation::new(&network, 2).bins(50_000);
//! let mut counts = Accumulator::new(20, &Lags::default());
//! counts.add_newest(&bins, 0..bins.n_bins());
//! let estimates = kinetic::estimate(&counts.counts(), &[Estimator::ExactMeanField], 0.0);
//! let error = &estimates[0].couplings - &network.couplings;
//! assert!(error.iter().all(|e| e.abs() < 0.05));
//! # Ok::<(), glauber::simulate::SimulationError>(())
//! ```

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)
)]

#[cfg(feature = "hdf5")]
pub mod archive;
#[cfg(feature = "daemon")]
pub mod daemon;
pub mod equilibrium;
#[cfg(all(any(test, fuzzing), feature = "daemon"))]
pub mod fuzzing;
pub mod ingest;
#[cfg(feature = "daemon")]
pub mod journal;
pub mod kinetic;
pub mod model;
pub mod moments;
#[cfg(feature = "daemon")]
pub mod proto;
#[cfg(feature = "hdf5")]
pub mod recording;
mod regression;
pub mod ring;
pub mod session;
pub mod simulate;
#[cfg(feature = "hdf5")]
pub mod storage;
