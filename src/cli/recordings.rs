//! Recordings on the command line: which file, cut into which bins, estimated how.

use std::path::{Path, PathBuf};

use clap::Args;
use glauber::ingest::{self, BinnedRecording};
use glauber::model::{BinWidth, Estimator, Lags, RecordedSession, Ridges, SessionMetadata};
use serde_json::{Value, json};

use super::error::CliError;
use super::reading::{self, ReadRecording, ReadingArgs};
use super::{Manner, output, progress, text};

/// A recording and how it is cut into bins.
#[derive(Debug, Clone, Args)]
pub(crate) struct RecordingArgs {
    /// Recording: NWB or another HDF5 layout, recognised from its content
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Width of a bin, 0.1ms to 1s
    #[arg(long, value_name = "WIDTH")]
    pub(crate) bin_width: BinWidth,
    /// Keep only the N most active units
    #[arg(long, value_name = "N", value_parser = parse_top)]
    pub(crate) top: Option<usize>,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

/// What is estimated; what is left out is taken from the defaults.
#[derive(Debug, Clone, Args)]
pub(crate) struct EstimationArgs {
    /// Estimators: nmf, tap, tap-self-consistent, exact-mean-field, exact, online, trial-nmf, trial-tap, trial-exact; several
    /// with commas or by repeating [default: nmf,tap,exact-mean-field,exact]
    #[arg(long = "estimator", alias = "estimators", value_name = "NAME", value_delimiter = ',')]
    pub(crate) estimators: Vec<Estimator>,
    /// Ridge λ of the estimators, dimensionless: a number, numbers to choose from by how they predict, such as 0,0.1,1, or
    /// auto [default: auto]
    #[arg(long, value_name = "LAMBDA", allow_negative_numbers = true)]
    pub(crate) ridge: Option<Ridges>,
    /// Lags of the delayed correlations, in bins [default: 1]
    #[arg(long, value_name = "BINS", value_delimiter = ',')]
    pub(crate) lags: Vec<u32>,
}

impl EstimationArgs {
    /// Refuse what no session could be made of, before any file is read.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        check_estimators(&self.estimators)?;
        Lags::new(&self.lags)?;
        Ok(())
    }
}

/// Refuse an estimator that is given twice.
pub(crate) fn check_estimators(estimators: &[Estimator]) -> Result<(), CliError> {
    for (place, estimator) in estimators.iter().enumerate() {
        if estimators[..place].contains(estimator) {
            let problem = format!("'{estimator}' is given twice");
            return Err(CliError::Argument { argument: "--estimator", problem });
        }
    }
    Ok(())
}

pub(crate) fn parse_top(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(top) if top > 0 => Ok(top),
        _ => Err(format!("'{text}' is not a number of units: expected a whole number >= 1")),
    }
}

/// Read a recording and cut it into bins; tells about its problems on stderr.
pub(crate) fn load(args: &RecordingArgs, manner: Manner) -> Result<BinnedRecording, CliError> {
    load_with_metadata(args, manner).map(|(binned, _)| binned)
}

/// The same, and what the file says about the session; its start is the time of the left edge of bin 0.
pub(crate) fn load_with_metadata(
    args: &RecordingArgs,
    manner: Manner,
) -> Result<(BinnedRecording, SessionMetadata), CliError> {
    let spinner = progress::spinner("reading the recording", manner);
    let recording = reading::recording(&args.file, &args.reading)?;
    let binned = ingest::bin_recording(&recording.session, args.bin_width, args.top);
    spinner.finish_and_clear();
    tell_problems(&recording, &args.file, manner);
    if !manner.quiet && trials_leave_gaps(&recording.session) {
        output::note(format_args!("note: {}: {BETWEEN_TRIALS}", args.file.display()));
    }
    let binned = binned.map_err(|source| CliError::Binning { path: args.file.clone(), source })?;
    let mut metadata = recording.metadata;
    let first_bin_ns = binned.origin_ns.saturating_sub(recording.session.origin_ns);
    metadata.start_ns = metadata.start_ns.map(|start_ns| start_ns.saturating_add(first_bin_ns));
    Ok((binned, metadata))
}

/// Say on stderr what is odd about a recording.
pub(crate) fn tell_problems(recording: &ReadRecording, file: &Path, manner: Manner) {
    if !manner.quiet {
        for problem in &recording.problems {
            output::note(format_args!("note: {}: {problem}", file.display()));
        }
    }
}

/// Cut a recording that has been read into bins.
pub(crate) fn bin(
    session: &RecordedSession,
    file: &Path,
    bin_width: BinWidth,
    top: Option<usize>,
) -> Result<BinnedRecording, CliError> {
    let binned = ingest::bin_recording(session, bin_width, top);
    binned.map_err(|source| CliError::Binning { path: file.to_owned(), source })
}

/// What becomes of the time that no trial covers.
pub(crate) const BETWEEN_TRIALS: &str =
    "bins between trials are counted as stretches of their own; no transition crosses a trial edge";

/// Whether there is time between, before or after the trials in which units fired or could have.
pub(crate) fn trials_leave_gaps(session: &RecordedSession) -> bool {
    let trials = &session.trials;
    let Some(first) = trials.first() else { return false };
    let mut covered_ns = first.stop_ns;
    for trial in trials {
        if trial.start_ns > covered_ns {
            return true;
        }
        covered_ns = covered_ns.max(trial.stop_ns);
    }
    let outside = |time: &&i64| **time < first.start_ns || **time >= covered_ns;
    session.units.iter().any(|unit| {
        let times = &unit.spike_times_ns;
        times.first().as_ref().is_some_and(outside) || times.last().as_ref().is_some_and(outside)
    })
}

/// The name of a file without directory and extension.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

/// Sizes of a binned recording, for summaries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) neurons: u64,
    pub(crate) bin_width: BinWidth,
    pub(crate) bins: u64,
    pub(crate) observed: u64,
    pub(crate) gaps: u64,
    pub(crate) active: u64,
    merged: u64,
    masked: u64,
}

impl Sizes {
    pub(crate) fn of(recording: &BinnedRecording) -> Self {
        let blocks = &recording.blocks;
        Self {
            neurons: recording.neurons.len() as u64,
            bin_width: recording.bin_width,
            bins: recording.n_bins,
            observed: blocks.iter().map(|block| block.n_bins() as u64).sum(),
            gaps: blocks.windows(2).filter(|pair| pair[0].end_bin() < pair[1].first_bin()).count() as u64,
            active: blocks.iter().map(|block| block.n_active() as u64).sum(),
            merged: recording.merged_spikes,
            masked: recording.masked_spikes,
        }
    }

    /// Length in seconds, gaps included.
    pub(crate) fn seconds(&self) -> f64 {
        self.bins as f64 * self.bin_width.seconds()
    }

    /// Two lines for people.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let gaps = match self.gaps {
            0 => "no gaps".to_owned(),
            n => format!("{} ({} bins)", text::counted(n, "gap"), text::count(self.bins - self.observed)),
        };
        vec![
            (
                "recording",
                format!(
                    "{}, {} of {} = {}, {gaps}",
                    text::counted(self.neurons, "neuron"),
                    text::counted(self.bins, "bin"),
                    self.bin_width,
                    text::seconds(self.seconds())
                ),
            ),
            (
                "spikes",
                format!(
                    "{} counted, {} in a bin already taken, {} outside observed time",
                    text::count(self.active),
                    text::count(self.merged),
                    text::count(self.masked)
                ),
            ),
        ]
    }

    pub(crate) fn to_json(self) -> Value {
        json!({
            "neurons": self.neurons,
            "bin_width_us": self.bin_width.us(),
            "bins": self.bins,
            "bins_observed": self.observed,
            "gaps": self.gaps,
            "spikes": self.active,
            "spikes_merged": self.merged,
            "spikes_masked": self.masked,
            "seconds": self.seconds(),
        })
    }
}
