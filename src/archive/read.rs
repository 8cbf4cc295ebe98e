use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use super::{ArchiveError, FORMAT, FORMAT_VERSION, Provenance};
use crate::model::{BinWidth, Estimator, Lags, Neuron, Ridges, SessionMetadata, Window};
use crate::moments::{Counts, LagCounts};
use crate::session::{EquilibriumSpec, SessionSpec, Snapshot, WindowCounts};
use crate::storage::{InputDataset, InputFile, InputLimits, StorageError};

/// A snapshot as its file holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSnapshot {
    /// Equal to the snapshot that was written.
    pub snapshot: Snapshot,
    /// Where it came from.
    pub provenance: Provenance,
    /// Version of the program that wrote the file.
    pub glauber_version: String,
}

/// What a snapshot file says about itself in its attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotSummary {
    /// Name of the session.
    pub session_name: String,
    /// Where the snapshot came from.
    pub provenance: Provenance,
    /// Version of the program that wrote the file.
    pub glauber_version: String,
    /// Number of neurons.
    pub n_neurons: u64,
    /// Width of a bin.
    pub bin_width: BinWidth,
    /// The window the snapshot is of.
    pub window: Window,
    /// First bin that the window reaches back to.
    pub first_bin: u64,
    /// Bin after the newest one counted.
    pub end_bin: u64,
    /// Bins observed between the two.
    pub bins_observed: u64,
    /// Lags of the delayed correlations.
    pub lags: Lags,
    /// Estimators of the session.
    pub estimators: Vec<Estimator>,
    /// Ridge of the estimators, or those to choose from.
    pub ridges: Ridges,
}

/// What a snapshot file says about itself: attributes only, cheap at any size.
///
/// # Errors
/// [`ArchiveError`] when the file cannot be read, is no snapshot or of an unknown version.
pub fn describe(path: impl AsRef<Path>) -> Result<SnapshotSummary, ArchiveError> {
    Reader::open(path.as_ref())?.summary()
}

/// Read a snapshot; it is equal, bit for bit, to the one written.
///
/// # Errors
/// [`ArchiveError`] when the file cannot be read, is no snapshot, or a value in it means nothing.
pub fn read_snapshot(path: impl AsRef<Path>) -> Result<StoredSnapshot, ArchiveError> {
    let reader = Reader::open(path.as_ref())?;
    let summary = reader.summary()?;
    let spec = reader.spec(&summary)?;
    let n = spec.n_neurons();
    let counts = reader.counts(n, summary.bins_observed, &summary.lags)?;
    let present = reader.file.members("/estimators")?;
    let written = spec.estimators.iter().filter(|e| present.iter().any(|name| name == e.as_str()));
    let bins = summary.first_bin..summary.end_bin;
    let estimates = written.map(|&e| reader.estimate(e, n, &bins)).collect::<Result<_, _>>()?;
    let window = WindowCounts {
        window: summary.window,
        first_bin: summary.first_bin,
        end_bin: summary.end_bin,
        counts: Arc::new(counts),
    };
    let present = reader.file.members("/equilibrium")?;
    let written = spec.equilibrium.methods.iter().filter(|m| present.iter().any(|name| name == m.as_str()));
    let equilibrium = written.map(|&method| reader.equilibrium(method, n)).collect::<Result<_, _>>()?;
    let snapshot = Snapshot { spec: Arc::new(spec), window, estimates, equilibrium };
    let SnapshotSummary { provenance, glauber_version, .. } = summary;
    Ok(StoredSnapshot { snapshot, provenance, glauber_version })
}

/// The file just written must describe the snapshot and hold every dataset in its shape.
pub(super) fn verify(written: &Path, snapshot: &Snapshot) -> Result<(), ArchiveError> {
    let reader = Reader::open(written)?;
    let summary = reader.summary()?;
    let window = &snapshot.window;
    if (summary.first_bin, summary.end_bin) != (window.first_bin, window.end_bin) {
        let got = format!("{} to {}", summary.first_bin, summary.end_bin);
        return Err(reader.bad_value("/@end_bin", "the bins that were written", &got));
    }
    let (n, n_lags) = (snapshot.spec.n_neurons(), window.counts.lags.len());
    for (object, shape) in [
        ("/neurons/id", &[n][..]),
        ("/neurons/label", &[n]),
        ("/magnetization", &[n]),
        ("/magnetization_sender", &[n]),
        ("/magnetization_receiver", &[n]),
        ("/equal_time", &[n, n]),
        ("/delayed", &[n_lags, n, n]),
        ("/counts/spikes", &[n]),
        ("/counts/equal_time", &[n, n]),
        ("/counts/transitions", &[n_lags]),
        ("/counts/sender", &[n_lags, n]),
        ("/counts/receiver", &[n_lags, n]),
        ("/counts/delayed", &[n_lags, n, n]),
    ] {
        reader.dataset(object, shape)?;
    }
    for scored in &snapshot.estimates {
        let group = format!("/estimators/{}", scored.estimate.estimator);
        reader.dataset(&format!("{group}/couplings"), &[n, n])?;
        reader.dataset(&format!("{group}/standard_errors"), &[n, n])?;
        for vector in ["fields", "status", "field_standard_errors", "score_spikes", "score_gain_bits"] {
            reader.dataset(&format!("{group}/{vector}"), &[n])?;
        }
    }
    for scored in &snapshot.equilibrium {
        let group = format!("/equilibrium/{}", scored.fitted.method);
        if scored.fitted.model.is_ok() {
            reader.dataset(&format!("{group}/couplings"), &[n, n])?;
            reader.dataset(&format!("{group}/fields"), &[n])?;
        }
        reader.dataset(&format!("{group}/score_gain_bits"), &[n])?;
    }
    Ok(())
}

/// A file that is known to be a snapshot of a version that can be read.
pub(super) struct Reader {
    path: PathBuf,
    pub(super) file: InputFile,
    /// Version of the layout.
    pub(super) version: u64,
}

impl Reader {
    fn open(path: &Path) -> Result<Self, ArchiveError> {
        let mut reader =
            Self { path: path.to_owned(), file: InputFile::open(path, InputLimits::SNAPSHOT)?, version: 0 };
        let got = reader.file.optional_text_attribute("/", "format")?;
        if got.as_deref() != Some(FORMAT) {
            return Err(ArchiveError::NotASnapshot { path: reader.path, got });
        }
        let got = reader.file.unsigned_attribute("/", "format_version")?;
        if !(1..=u64::from(FORMAT_VERSION)).contains(&got) {
            return Err(ArchiveError::UnsupportedVersion { path: reader.path, got });
        }
        reader.version = got;
        Ok(reader)
    }

    fn summary(&self) -> Result<SnapshotSummary, ArchiveError> {
        let text = |name| self.file.text_attribute("/", name);
        let number = |name| self.file.unsigned_attribute("/", name);
        let created = text("created")?;
        let created: SystemTime = humantime::parse_rfc3339(&created)
            .map_err(|_| self.bad_value("/@created", "an RFC 3339 time", &created))?;
        let provenance = Provenance {
            session_id: text("session_id")?,
            source: text("source")?,
            created,
            gap_count: number("gap_count")?,
            gap_bins: number("gap_bins")?,
        };
        let bin_width_us = number("bin_width_us")?;
        let bin_width = BinWidth::from_us(bin_width_us)
            .map_err(|_| self.bad_value("/@bin_width_us", "100 to 1000000", &bin_width_us.to_string()))?;
        let estimators = self.file.texts_attribute("/", "estimators")?;
        let estimators = estimators
            .iter()
            .map(|name| self.parse("/@estimators", "names of estimators", name))
            .collect::<Result<_, _>>()?;
        Ok(SnapshotSummary {
            session_name: text("session_name")?,
            provenance,
            glauber_version: text("glauber_version")?,
            n_neurons: number("n_neurons")?,
            bin_width,
            window: self.parse("/@window", "a window", &text("window")?)?,
            first_bin: number("first_bin")?,
            end_bin: number("end_bin")?,
            bins_observed: number("bins_observed")?,
            lags: self.lags()?,
            estimators,
            ridges: self.ridges()?,
        })
    }

    fn lags(&self) -> Result<Lags, ArchiveError> {
        let stored = self.file.integers_attribute("/", "lags_bins")?;
        let bad =
            || self.bad_value("/@lags_bins", "increasing lags that begin with 1", &format!("{stored:?}"));
        let bins = stored.iter().map(|&lag| u32::try_from(lag).map_err(|_| bad()));
        let bins = bins.collect::<Result<Vec<u32>, _>>()?;
        let lags = Lags::new(&bins).map_err(|_| bad())?;
        if lags.as_slice() == bins { Ok(lags) } else { Err(bad()) }
    }

    fn ridges(&self) -> Result<Ridges, ArchiveError> {
        let stored = if self.version < 2 {
            vec![self.file.number_attribute("/", "ridge")?]
        } else {
            self.file.dataset("/ridges", "the ridges of the estimators")?.list()?.numbers()?
        };
        Ridges::new(&stored).map_err(|_| self.bad_value("/ridges", "ridges >= 0", &format!("{stored:?}")))
    }

    /// A number of bins that version 1 did not know; 1 where it matters to nobody any more.
    fn since_2(&self, name: &str) -> Result<u64, StorageError> {
        if self.version < 2 { Ok(1) } else { self.file.unsigned_attribute("/", name) }
    }

    fn spec(&self, summary: &SnapshotSummary) -> Result<SessionSpec, ArchiveError> {
        let n = usize::try_from(summary.n_neurons).unwrap_or(usize::MAX);
        let ids = self.dataset("/neurons/id", &[n])?.integers()?;
        let labels = self.dataset("/neurons/label", &[n])?.texts()?;
        let neurons = ids.into_iter().zip(labels).map(|(id, label)| Neuron { id, label }).collect();
        let windows = self.file.texts_attribute("/", "windows")?;
        let windows = windows
            .iter()
            .map(|window| self.parse("/@windows", "windows", window))
            .collect::<Result<_, _>>()?;
        let origin = self.file.integers_attribute("/", "origin_ns")?;
        let origin_ns = origin
            .first()
            .copied()
            .ok_or_else(|| self.bad_value("/@origin_ns", "a time in nanoseconds", "nothing"))?;
        Ok(SessionSpec {
            name: summary.session_name.clone(),
            neurons,
            bin_width: summary.bin_width,
            origin_ns,
            windows,
            lags: summary.lags.clone(),
            estimators: summary.estimators.clone(),
            ridges: summary.ridges.clone(),
            refresh_interval_bins: self.file.unsigned_attribute("/", "refresh_interval_bins")?,
            refit_interval_bins: self.since_2("refit_interval_bins")?,
            refit_bins_max: self.since_2("refit_bins_max")?,
            score_memory_bins: self.since_2("score_memory_bins")?,
            equilibrium: self.equilibrium_spec()?,
            metadata: SessionMetadata::default(),
        })
    }

    /// Versions before 3 had no equilibrium models.
    fn equilibrium_spec(&self) -> Result<EquilibriumSpec, ArchiveError> {
        if self.version < 3 {
            return Ok(EquilibriumSpec::default());
        }
        let methods = self.file.texts_attribute("/", "equilibrium_methods")?;
        let parse = |name: &String| self.parse("/@equilibrium_methods", "names of equilibrium methods", name);
        Ok(EquilibriumSpec {
            methods: methods.iter().map(parse).collect::<Result<_, _>>()?,
            interval_bins: self.file.unsigned_attribute("/", "equilibrium_interval_bins")?,
            bins_max: self.file.unsigned_attribute("/", "equilibrium_bins_max")?,
            seed: self.file.unsigned_attribute("/", "equilibrium_seed")?,
        })
    }

    fn counts(&self, n: usize, bins: u64, lags: &Lags) -> Result<Counts, ArchiveError> {
        let n_lags = lags.as_slice().len();
        let full = self.dataset("/counts/equal_time", &[n, n])?.counts()?;
        let equal_time = (0..n).flat_map(|i| &full[i * n + i..(i + 1) * n]).copied().collect();
        let transitions = self.dataset("/counts/transitions", &[n_lags])?.counts()?;
        let sender = self.dataset("/counts/sender", &[n_lags, n])?.counts()?;
        let receiver = self.dataset("/counts/receiver", &[n_lags, n])?.counts()?;
        let delayed = self.dataset("/counts/delayed", &[n_lags, n, n])?.counts()?;
        let lag_counts = |(k, (&lag_bins, transitions)): (usize, (&u32, u64))| LagCounts {
            lag_bins,
            transitions,
            sender: sender[k * n..(k + 1) * n].to_vec(),
            receiver: receiver[k * n..(k + 1) * n].to_vec(),
            delayed: delayed[k * n * n..(k + 1) * n * n].to_vec(),
        };
        let lags = lags.as_slice().iter().zip(transitions).enumerate().map(lag_counts).collect();
        let spikes = self.dataset("/counts/spikes", &[n])?.counts()?;
        Ok(Counts { n_neurons: n, bins, spikes, equal_time, lags })
    }

    pub(super) fn dataset(&self, object: &str, shape: &[usize]) -> Result<InputDataset<'_>, StorageError> {
        self.file.dataset(object, "a dataset of the snapshot")?.with_shape(shape)
    }

    pub(super) fn parse<T: FromStr>(
        &self,
        object: &str,
        expected: &'static str,
        text: &str,
    ) -> Result<T, ArchiveError> {
        text.parse().map_err(|_| self.bad_value(object, expected, text))
    }

    pub(super) fn bad_value(&self, object: &str, expected: &'static str, got: &str) -> ArchiveError {
        ArchiveError::BadValue {
            path: self.path.clone(),
            object: object.to_owned(),
            expected,
            got: got.to_owned(),
        }
    }
}
