//! What a file of a session that was recorded by the daemon says beyond the NWB format.
//!
//! ```text
//! /processing/glauber                  ProcessingModule
//!   session                            DynamicTable of one row: bin_width_us, origin_ns, first_bin, end_bin, … (see `session_file`)
//!   trial_edges                        DynamicTable: time, seconds; instants that no transition crosses, besides the edges of trials
//!   estimates, kinetic_<window>_<estimator>, equilibrium_models, equilibrium_<window>_<method>   (see `session_models`)
//! /intervals/unfinished_trials         TimeIntervals: the trial that was going on at the end
//! ```

use super::RecordingError;
use super::times::{INTERVALS_MAX, nanoseconds};
use crate::model::{BinWidth, RecordedSession};
use crate::storage::{InputFile, StorageError};

pub(super) const MODULE: &str = "/processing/glauber";
pub(super) const SESSION: &str = "/processing/glauber/session";
pub(super) const TRIAL_EDGES: &str = "/processing/glauber/trial_edges";
pub(super) const UNFINISHED: &str = "/intervals/unfinished_trials";

/// What a file of the daemon says of itself.
pub(super) struct Own {
    pub(super) bin_width: BinWidth,
    origin_ns: i64,
}

/// The row of the session; `None` when the file is of somebody else.
pub(super) fn read(file: &InputFile) -> Result<Option<Own>, StorageError> {
    let integer = |name: &str| -> Result<Option<i64>, StorageError> {
        let Some(column) = file.optional_dataset(&format!("{SESSION}/{name}"))? else { return Ok(None) };
        Ok(column.list()?.rows_at_most(1, "rows")?.integers()?.first().copied())
    };
    let (Some(width_us), Some(origin_ns)) = (integer("bin_width_us")?, integer("origin_ns")?) else {
        return Ok(None);
    };
    let width = u64::try_from(width_us).ok().and_then(|us| BinWidth::from_us(us).ok());
    Ok(width.map(|bin_width| Own { bin_width, origin_ns }))
}

impl Own {
    /// Complete a session by the origin of its clock and its edges.
    pub(super) fn complete(
        &self,
        file: &InputFile,
        session: &mut RecordedSession,
    ) -> Result<(), RecordingError> {
        session.origin_ns = self.origin_ns;
        for object in [format!("{TRIAL_EDGES}/time"), format!("{UNFINISHED}/start_time")] {
            let Some(column) = file.optional_dataset(&object)? else { continue };
            let times = column.list()?.rows_at_most(INTERVALS_MAX, "edges")?.numbers()?;
            session
                .edges_ns
                .extend(times.into_iter().filter_map(nanoseconds).map(|ns| self.nearest_edge(ns)));
        }
        session.edges_ns.sort_unstable();
        session.edges_ns.dedup();
        Ok(())
    }

    /// Far from zero seconds are not exact; what is written here stands at the edge of a bin.
    fn nearest_edge(&self, ns: i64) -> i64 {
        let width_ns = self.bin_width.ns();
        (ns + width_ns / 2).div_euclid(width_ns) * width_ns
    }
}
