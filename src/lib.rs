//! glauber
pub mod ingest;
pub mod kinetic;
pub mod model;
pub mod moments;
pub mod ring;
pub mod session;
pub mod simulate;
#[cfg(feature = "hdf5")]
pub mod archive;
#[cfg(feature = "hdf5")]
pub mod recording;
#[cfg(feature = "daemon")]
pub mod proto;
#[cfg(feature = "hdf5")]
pub mod storage;
