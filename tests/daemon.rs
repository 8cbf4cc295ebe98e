//! The real server on a free port, driven by real clients.
#![cfg(feature = "daemon")]

mod certificates;

mod daemon {
    mod equilibrium;
    mod inference;
    mod ingest;
    mod journal;
    mod lifecycle;
    mod metrics;
    mod predictions;
    mod refits;
    pub(crate) mod rig;
    mod scores;
    mod security;
    mod sessions;
    mod storm;
    mod subscribers;
    mod timestamps;
}
