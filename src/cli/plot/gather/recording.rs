//! What a recording shows, and what is fitted to it.

use std::ops::Range;
use std::path::Path;

use glauber::ingest::BinnedRecording;
use glauber::model::{Interval, Lags, RecordedSession};
use glauber::moments::Accumulator;

use super::{Choice, snapshot};
use crate::cli::error::CliError;
use crate::cli::fit::{self, FitArgs};
use crate::cli::plot::figures::raster::{RasterFigure, RasterView, extent};
use crate::cli::plot::material::{Material, Observed, Span};
use crate::cli::plot::{PlotArgs, RasterArgs};
use crate::cli::{Manner, recordings, text};

/// The raster of a recording.
pub(crate) fn raster(
    session: &RecordedSession,
    args: &PlotArgs,
    file: &Path,
) -> Result<RasterFigure, CliError> {
    let problem = |problem| CliError::Plot { of: file.display().to_string(), problem };
    let all = extent(session).ok_or_else(|| problem("it holds no spikes to plot".to_owned()))?;
    let view = RasterView {
        name: &recordings::stem(file),
        origin: &file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        top: args.top,
        sort: args.sort,
        shown: shown(all, &args.raster)?,
        all,
        zero_ns: all.start_ns,
        binned: None,
    };
    Ok(RasterFigure::of(session, &view))
}

/// The stretch of a recording that is asked for.
fn shown(all: Interval, args: &RasterArgs) -> Result<Interval, CliError> {
    let ns = |time: std::time::Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    let start_ns = all.start_ns.saturating_add(args.from.map_or(0, ns));
    if start_ns >= all.stop_ns {
        let length = text::seconds(all.stop_ns.saturating_sub(all.start_ns) as f64 / 1e9);
        let problem = format!("nothing is left: the recording ends after {length}");
        return Err(CliError::Argument { argument: "--from", problem });
    }
    let stop_ns = start_ns.saturating_add(ns(args.duration())).min(all.stop_ns);
    Ok(Interval { start_ns, stop_ns })
}

/// The couplings of a recording, by the code of `glauber fit`.
pub(crate) fn fitted(
    args: &FitArgs,
    binned: &BinnedRecording,
    choice: &Choice,
    manner: Manner,
) -> Result<Material, CliError> {
    let fitted = fit::fitted(args, binned, manner)?;
    let file =
        args.recording.file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let origin = format!("fitted to {}", text::name(&file));
    let observed = |bins: Range<u64>| Some(observed(binned, bins));
    snapshot::material(&fitted.snapshot, origin, choice, &observed)
}

/// Correlations in these bins of a recording.
fn observed(binned: &BinnedRecording, bins: Range<u64>) -> Observed {
    let runs = binned.runs(bins.clone());
    let mut accumulator = Accumulator::new(binned.neurons.len(), &Lags::default());
    accumulator.set_threads(fit::threads());
    accumulator.add_runs(&runs, bins.clone());
    let counts = accumulator.counts();
    Observed {
        span: Span {
            window: "all".to_owned(),
            first_bin: bins.start,
            end_bin: bins.end,
            observed: Some(counts.bins),
        },
        same_bins: true,
        correlations: counts.equal_time_correlations().iter().copied().collect(),
    }
}
