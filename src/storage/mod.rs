//! What does it take to read a stranger's HDF5 file safely, and to make a file of our own appear whole or not at all?
//!
//! The floor that `recording` and `archive` stand on, and the only code besides them that names HDF5:
//!
//! * `InputFile` opens a file for reading without locking it, walks hard links only, and compares every declared
//!   size with what the file can hold *before* it allocates;
//! * `OutputFile` builds a file in memory, so that a full disk is an ordinary I/O error and a crash leaves nothing;
//! * `publish` puts finished bytes in place: temporary name → fsync → reopen and verify → rename → fsync directory;
//!   `remove_abandoned` removes what a killed writer left under a temporary name.

mod error;
mod input;
mod output;
mod publish;

pub use error::StorageError;
pub(crate) use input::{Found, InputDataset, InputFile, InputLimits, InputReference};
pub(crate) use output::{OutputFile, Storage};
pub use publish::{Overwrite, write_whole};
pub(crate) use publish::{publish, remove_abandoned};
