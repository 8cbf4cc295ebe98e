//! The real server on a free port, driven by real clients.
#![cfg(feature = "daemon")]

mod daemon {
    mod equilibrium;
    mod inference;
    mod ingest;
    mod lifecycle;
    mod metrics;
    mod predictions;
    mod refits;
    pub(crate) mod rig;
    mod scores;
    mod sessions;
    mod storm;
}
