//! glauber
#[cfg(feature = "hdf5")]
pub mod archive;
#[cfg(feature = "daemon")]
pub mod daemon;
pub mod ingest;
pub mod kinetic;
pub mod model;
pub mod moments;
#[cfg(feature = "daemon")]
pub mod proto;
#[cfg(feature = "hdf5")]
pub mod recording;
pub mod ring;
pub mod session;
pub mod simulate;
#[cfg(feature = "hdf5")]
pub mod storage;
