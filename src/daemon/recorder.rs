//! Recordings: sessions as NWB files, made from what is durable of them in the journal.
//!
//! A session is one file, `<session>.nwb`, written when it is closed. While it goes on, and where it is too large for one file, it is
//! several, `<session>_part001.nwb` and so on, each complete in itself; the one file takes their place.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::journaling::SessionJournal;
use super::recording_config::RecordingConfig;
use crate::journal::{JournalError, Record};
use crate::model::{SpikeBlock, TrialMark};
use crate::recording::{
    Overwrite, PartError, RecordedPart, RecordingError, SessionFile, SessionPart, WindowEstimate,
    WindowModel, file_name, write_session,
};
use crate::session::{SessionSpec, Snapshot};

/// Why a recording was not written. The journal keeps what would have been in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotRecorded {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error(transparent)]
    Part(#[from] PartError),
    #[error("making {}: {source}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("internal error of the recorder")]
    Panicked,
}

/// A session that is recorded.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) session_id: String,
    pub(super) spec: Arc<SessionSpec>,
    pub(super) journal: SessionJournal,
    /// Where its files go.
    pub(super) folder: PathBuf,
}

/// What a session is cut into parts by, as far as it has been read.
#[derive(Debug)]
pub(super) struct Parts {
    recorded: Recorded,
    next_sequence: u64,
    part: SessionPart,
    roll_bins: Option<u64>,
    /// Bin at which the part ends for the time being up.
    cut: u64,
    written: Vec<PathBuf>,
}

impl Recorded {
    fn part(&self, config: &RecordingConfig) -> SessionPart {
        let spec = &self.spec;
        SessionPart::new(spec.neurons.clone(), spec.bin_width, spec.origin_ns, config.spikes_max)
    }

    /// Write all of a session that is closed, with its last couplings; gives the files. None when no bin ever came.
    pub(super) fn write_all(
        &self,
        config: &RecordingConfig,
        snapshots: &[Arc<Snapshot>],
    ) -> Result<Vec<PathBuf>, NotRecorded> {
        let whole = if config.on_close { self.whole(config)? } else { None };
        match whole {
            Some(part) if part.is_empty() => Ok(Vec::new()),
            Some(part) => {
                let path = self.folder.join(file_name(&self.session_id, None));
                self.write(&path, &part.finish(), false, snapshots)?;
                let written = vec![path];
                self.remove_others(&written);
                Ok(written)
            }
            None => {
                let mut parts = Parts::new(self.clone(), config);
                parts.advance()?;
                let written = parts.finish(snapshots)?;
                self.remove_others(&written);
                Ok(written)
            }
        }
    }

    /// All of the session as one part; `None` when that is too much for one.
    fn whole(&self, config: &RecordingConfig) -> Result<Option<SessionPart>, NotRecorded> {
        let mut part = self.part(config);
        for record in self.journal.records_from(0)? {
            match push(&mut part, &record?) {
                Ok(()) => {}
                Err(PartError::Full) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(part))
    }

    fn write(
        &self,
        path: &Path,
        part: &RecordedPart,
        is_part: bool,
        snapshots: &[Arc<Snapshot>],
    ) -> Result<(), NotRecorded> {
        std::fs::create_dir_all(&self.folder)
            .map_err(|source| NotRecorded::Folder { path: self.folder.clone(), source })?;
        let file = SessionFile {
            session_id: &self.session_id,
            name: &self.spec.name,
            metadata: &self.spec.metadata,
            is_part,
            part,
            estimates: &estimates(snapshots),
            models: &models(snapshots),
            created: SystemTime::now(),
        };
        // One that stands there is of the same session: of an earlier attempt to close it, say, after which it went on.
        Ok(write_session(path, &file, Overwrite::Replace)?)
    }

    /// Remove the files of this session whose place those written now have taken: parts, or a whole of an earlier attempt.
    fn remove_others(&self, written: &[PathBuf]) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let is_ours =
                path.file_name().and_then(|name| name.to_str()).is_some_and(|name| self.is_recording(name));
            if is_ours && !written.contains(&path) {
                // One that stays holds nothing that is not in the others.
                if let Err(error) = std::fs::remove_file(&path) {
                    tracing::warn!(path = %path.display(), %error, "part of a recording stays beside the whole");
                }
            }
        }
    }

    /// Whether a file of that name holds bins of this session.
    fn is_recording(&self, name: &str) -> bool {
        let rest = name.strip_prefix(&self.session_id).and_then(|rest| rest.strip_suffix(".nwb"));
        match rest {
            Some("") => true,
            Some(rest) => rest.strip_prefix("_part").is_some_and(|number| number.parse::<u32>().is_ok()),
            None => false,
        }
    }
}

impl Parts {
    pub(super) fn new(recorded: Recorded, config: &RecordingConfig) -> Self {
        let interval = Duration::from_secs(config.roll_interval_s);
        let roll_bins = (!interval.is_zero()).then(|| recorded.spec.bin_width.bins_covering(interval));
        let part = recorded.part(config);
        Self { recorded, next_sequence: 0, part, roll_bins, cut: next_cut(roll_bins, 0), written: Vec::new() }
    }

    /// Read on, and write every part that has become complete. Where the parts are cut depends on what was recorded alone.
    pub(super) fn advance(&mut self) -> Result<(), NotRecorded> {
        let recorded = self.recorded.clone();
        let records = recorded.journal.records_from(self.next_sequence)?;
        let end = records.end();
        for record in records {
            self.take(record?)?;
        }
        self.next_sequence = end;
        Ok(())
    }

    fn take(&mut self, record: Record) -> Result<(), NotRecorded> {
        let Record::Bins { mut block, mut trial_edges, mut trials, .. } = record else {
            return Ok(push(&mut self.part, &record)?);
        };
        while block.end_bin() > self.cut {
            let cut = self.cut;
            if block.first_bin() < cut {
                // Bins before the cut, with all marks: what reaches beyond goes on in the next part.
                self.push_bins(&before(&block, cut), &trial_edges, &trials)?;
                block = from(&block, cut);
                trial_edges.retain(|&bin| bin >= cut);
                trials.retain(|trial| trial.start_bin >= cut);
            }
            self.begin_next(block.first_bin())?;
        }
        self.push_bins(&block, &trial_edges, &trials)
    }

    fn push_bins(
        &mut self,
        block: &SpikeBlock,
        edges: &[u64],
        trials: &[TrialMark],
    ) -> Result<(), NotRecorded> {
        match self.part.push(block, edges, trials) {
            Err(PartError::Full) => {
                self.begin_next(self.part.bins().end)?;
                Ok(self.part.push(block, edges, trials)?)
            }
            pushed => Ok(pushed?),
        }
    }

    /// Write the part and begin the next one at `bin`.
    fn begin_next(&mut self, bin: u64) -> Result<(), NotRecorded> {
        self.cut = next_cut(self.roll_bins, bin);
        let number = self.part.number() + u32::from(!self.part.is_empty());
        let next = self.part.next_part().of_bins(bin..u64::MAX, number);
        let part = std::mem::replace(&mut self.part, next);
        self.write(part, &[])
    }

    fn write(&mut self, part: SessionPart, snapshots: &[Arc<Snapshot>]) -> Result<(), NotRecorded> {
        if part.is_empty() {
            return Ok(());
        }
        let name = file_name(&self.recorded.session_id, Some(part.number()));
        let path = self.recorded.folder.join(name);
        self.recorded.write(&path, &part.finish(), true, snapshots)?;
        self.written.push(path);
        Ok(())
    }

    /// Write what is left, with the last couplings; gives all files.
    fn finish(mut self, snapshots: &[Arc<Snapshot>]) -> Result<Vec<PathBuf>, NotRecorded> {
        let next = self.part.next_part();
        let last = std::mem::replace(&mut self.part, next);
        self.write(last, snapshots)?;
        Ok(self.written)
    }
}

/// The first multiple of the interval after `bin`.
fn next_cut(roll_bins: Option<u64>, bin: u64) -> u64 {
    roll_bins.map_or(u64::MAX, |roll_bins| (bin / roll_bins + 1).saturating_mul(roll_bins))
}

fn push(part: &mut SessionPart, record: &Record) -> Result<(), PartError> {
    match record {
        Record::Bins { block, trial_edges, trials, .. } => part.push(block, trial_edges, trials)?,
        Record::Trial(mark) => part.mark_trial(*mark),
        Record::ProducerEpoch(_) | Record::LostSpikes(_) => {}
    }
    Ok(())
}

/// The bins of a block before `bin`.
fn before(block: &SpikeBlock, bin: u64) -> SpikeBlock {
    block.slice(0, (bin.saturating_sub(block.first_bin()) as usize).min(block.n_bins()))
}

/// The bins of a block from `bin` on.
fn from(block: &SpikeBlock, bin: u64) -> SpikeBlock {
    block.slice((bin.saturating_sub(block.first_bin()) as usize).min(block.n_bins()), block.n_bins())
}

fn estimates(snapshots: &[Arc<Snapshot>]) -> Vec<WindowEstimate<'_>> {
    let of_window = |snapshot: &'_ Arc<Snapshot>| snapshot.window.window;
    snapshots
        .iter()
        .flat_map(|snapshot| snapshot.estimates.iter().map(move |scored| (of_window(snapshot), scored)))
        .map(|(window, scored)| WindowEstimate {
            window,
            first_bin: scored.first_bin,
            end_bin: scored.end_bin,
            estimate: &scored.estimate,
            score: &scored.score,
        })
        .collect()
}

fn models(snapshots: &[Arc<Snapshot>]) -> Vec<WindowModel<'_>> {
    let of_window = |snapshot: &'_ Arc<Snapshot>| snapshot.window.window;
    snapshots
        .iter()
        .flat_map(|snapshot| snapshot.equilibrium.iter().map(move |scored| (of_window(snapshot), scored)))
        .filter_map(|(window, scored)| {
            // What a method refused has no couplings to write.
            let model = scored.fitted.model.as_ref().ok()?;
            let (first_bin, end_bin) = (scored.fitted.first_bin, scored.fitted.end_bin);
            Some(WindowModel { window, first_bin, end_bin, model, score: &scored.score })
        })
        .collect()
}
