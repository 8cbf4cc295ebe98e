//! Equilibrium models beside the estimates: fitted on a thread of their own, published on their own, asked for on their own.

mod answer;
mod choice;
mod fits;
mod header;
mod publication;
mod reconstruct;
mod schedule;

pub(super) use answer::Query;
pub(super) use choice::{method_from_proto, method_to_proto};
pub(super) use fits::{FitJob, LastFit, LastFitTurn, fit};
pub(super) use publication::{EquilibriumPublication, EquilibriumState, attach};
pub(super) use reconstruct::Reconstruction;
pub(super) use schedule::{Fits, WaitingForFit};
