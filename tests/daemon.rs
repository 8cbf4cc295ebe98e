//! The real server on a free port, driven by real clients.
#![cfg(feature = "daemon")]

mod daemon {
    mod inference;
    mod ingest;
    mod lifecycle;
    pub(crate) mod rig;
    mod sessions;
}
