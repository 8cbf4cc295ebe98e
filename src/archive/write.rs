use std::path::Path;

use super::write_equilibrium::write_equilibrium;
use super::write_estimate::write_estimate;
use super::{ArchiveError, FORMAT, FORMAT_VERSION, Provenance, read};
use crate::moments::{Counts, LagCounts};
use crate::session::{SessionSpec, Snapshot};
use crate::storage::{OutputFile, Overwrite, Storage, StorageError, publish};

/// Write a snapshot as `path`, whole or not at all.
///
/// The bytes go to a temporary file beside it, are synced, reopened and verified, and then get their name; on failure
/// the temporary file is removed. Cost O(L n²); see the module for the layout.
///
/// # Errors
/// [`ArchiveError`]: the file exists and may not be replaced, the directory cannot be written, the disk is full, a
/// text holds a zero byte, or estimates and counts are not of the session's size.
pub fn write_snapshot(
    path: impl AsRef<Path>,
    snapshot: &Snapshot,
    provenance: &Provenance,
    overwrite: Overwrite,
) -> Result<(), ArchiveError> {
    let path = path.as_ref();
    check_sizes(path, snapshot)?;
    let file = OutputFile::new(path)?;
    write_attributes(&file, snapshot, provenance)?;
    write_neurons(&file, &snapshot.spec)?;
    write_moments(&file, &snapshot.window.counts)?;
    write_counts(&file, &snapshot.window.counts)?;
    file.group("/estimators")?;
    for scored in &snapshot.estimates {
        write_estimate(&file, scored)?;
    }
    file.group("/equilibrium")?;
    for scored in &snapshot.equilibrium {
        write_equilibrium(&file, scored)?;
    }
    let bytes = file.into_bytes()?;
    publish(path, &bytes, overwrite, |written| read::verify(written, snapshot))
}

fn check_sizes(path: &Path, snapshot: &Snapshot) -> Result<(), ArchiveError> {
    let expected = snapshot.spec.n_neurons();
    let check = |object, got| {
        if got == expected {
            return Ok(());
        }
        Err(ArchiveError::SizeMismatch { path: path.to_owned(), object, got, expected })
    };
    check("counts", snapshot.window.counts.n_neurons)?;
    snapshot.estimates.iter().try_for_each(|scored| check("an estimate", scored.estimate.n_neurons()))?;
    let models = snapshot.equilibrium.iter().filter_map(|scored| scored.fitted.model.as_ref().ok());
    models.into_iter().try_for_each(|model| check("an equilibrium model", model.n_neurons()))
}

fn write_attributes(
    file: &OutputFile,
    snapshot: &Snapshot,
    provenance: &Provenance,
) -> Result<(), StorageError> {
    let Snapshot { spec, window, .. } = snapshot;
    let created = humantime::format_rfc3339_micros(provenance.created).to_string();
    let texts = [
        ("format", FORMAT),
        ("glauber_version", env!("CARGO_PKG_VERSION")),
        ("created", &created),
        ("source", &provenance.source),
        ("session_name", &spec.name),
        ("session_id", &provenance.session_id),
        ("window", &window.window.to_string()),
    ];
    for (name, text) in texts {
        file.set_text("/", name, text)?;
    }
    let numbers = [
        ("first_bin", window.first_bin),
        ("end_bin", window.end_bin),
        ("bins_observed", window.counts.bins),
        ("gap_count", provenance.gap_count),
        ("gap_bins", provenance.gap_bins),
        ("refresh_interval_bins", spec.refresh_interval_bins),
        ("refit_interval_bins", spec.refit_interval_bins),
        ("refit_bins_max", spec.refit_bins_max),
        ("score_memory_bins", spec.score_memory_bins),
        ("equilibrium_interval_bins", spec.equilibrium.interval_bins),
        ("equilibrium_bins_max", spec.equilibrium.bins_max),
        ("equilibrium_seed", spec.equilibrium.seed),
    ];
    for (name, number) in numbers {
        file.set("/", name, number)?;
    }
    file.set("/", "format_version", FORMAT_VERSION)?;
    file.set("/", "bin_width_us", spec.bin_width.us())?;
    file.set("/", "origin_ns", spec.origin_ns)?;
    file.set("/", "n_neurons", spec.n_neurons() as u32)?;
    file.set_list("/", "lags_bins", spec.lags.as_slice())?;
    let windows: Vec<String> = spec.windows.iter().map(ToString::to_string).collect();
    file.set_texts("/", "windows", &windows)?;
    let estimators: Vec<&str> = spec.estimators.iter().map(|e| e.as_str()).collect();
    file.set_texts("/", "estimators", &estimators)?;
    let methods: Vec<&str> = spec.equilibrium.methods.iter().map(|method| method.as_str()).collect();
    file.set_texts("/", "equilibrium_methods", &methods)?;
    let ridges = spec.ridges.as_slice();
    file.values("/ridges", &[ridges.len()], ridges, Storage::Plain)?;
    explain(file, "/ridges", "1", "ridge of the estimators, or those to choose from", "ridge")
}

fn write_neurons(file: &OutputFile, spec: &SessionSpec) -> Result<(), StorageError> {
    let n = spec.n_neurons();
    let ids: Vec<i64> = spec.neurons.iter().map(|neuron| neuron.id).collect();
    let labels: Vec<&str> = spec.neurons.iter().map(|neuron| neuron.label.as_str()).collect();
    file.group("/neurons")?;
    file.values("/neurons/id", &[n], &ids, Storage::Plain)?;
    explain(file, "/neurons/id", "1", "identifier in the source", "neuron")?;
    file.texts("/neurons/label", &labels, Storage::Plain)?;
    explain(file, "/neurons/label", "text", "name or electrode label, may be empty", "neuron")
}

/// What a dataset holds, as attributes.
pub(super) fn explain(
    file: &OutputFile,
    object: &str,
    unit: &str,
    description: &str,
    dimensions: &str,
) -> Result<(), StorageError> {
    file.set_text(object, "unit", unit)?;
    file.set_text(object, "description", description)?;
    file.set_text(object, "dimensions", dimensions)
}

fn write_moments(file: &OutputFile, counts: &Counts) -> Result<(), StorageError> {
    let n = counts.n_neurons;
    let vector = |object: &str, values: ndarray::Array1<f64>, description: &str| {
        file.values(object, &[n], &values.to_vec(), Storage::Plain)?;
        explain(file, object, "1", description, "neuron")
    };
    vector("/magnetization", counts.magnetization(), "mean spin over all observed bins of the window")?;
    if let Some(lag) = counts.lag(1) {
        let sender = "mean spin in the earlier bins of the lag-1 transitions";
        vector("/magnetization_sender", lag.magnetization_sender(), sender)?;
        let receiver = "mean spin in the later bins of the lag-1 transitions";
        vector("/magnetization_receiver", lag.magnetization_receiver(), receiver)?;
    }
    let equal_time = row_major(&counts.equal_time_correlations());
    file.values("/equal_time", &[n, n], &equal_time, Storage::Plain)?;
    let description = "connected equal-time correlations C_ij over the earlier bins of the lag-1 transitions";
    explain(file, "/equal_time", "1", description, "neuron i, neuron j")?;
    let delayed: Vec<f64> =
        counts.lags.iter().flat_map(|lag| row_major(&lag.delayed_correlations())).collect();
    file.values("/delayed", &[counts.lags.len(), n, n], &delayed, Storage::Plain)?;
    let description =
        "connected delayed correlations D_ij(lag): receiver i later by the lag, sender j earlier";
    explain(file, "/delayed", "1", description, "lag (see lags_bins), receiver, sender")
}

/// Entries in row-major order, whatever the order in memory.
pub(super) fn row_major(matrix: &ndarray::Array2<f64>) -> Vec<f64> {
    matrix.iter().copied().collect()
}

fn write_counts(file: &OutputFile, counts: &Counts) -> Result<(), StorageError> {
    let (n, n_lags) = (counts.n_neurons, counts.lags.len());
    file.group("/counts")?;
    file.values("/counts/spikes", &[n], &counts.spikes, Storage::Plain)?;
    let description = "observed bins in which the neuron fired";
    explain(file, "/counts/spikes", "bins", description, "neuron")?;

    let full = full_square(counts);
    file.values("/counts/equal_time", &[n, n], &full, Storage::Compressed)?;
    let description =
        "earlier bins of lag-1 transitions in which both neurons fired; symmetric, stored in full";
    explain(file, "/counts/equal_time", "bins", description, "neuron i, neuron j")?;

    let transitions: Vec<u64> = counts.lags.iter().map(|lag| lag.transitions).collect();
    file.values("/counts/transitions", &[n_lags], &transitions, Storage::Plain)?;
    let description = "pairs of bins at the lag inside one trial and without a gap between them";
    explain(file, "/counts/transitions", "transitions", description, "lag (see lags_bins)")?;

    let joined = |part: fn(&LagCounts) -> &[u64]| -> Vec<u64> {
        counts.lags.iter().flat_map(|lag| part(lag).iter().copied()).collect()
    };
    file.values("/counts/sender", &[n_lags, n], &joined(|lag| &lag.sender), Storage::Plain)?;
    let description = "transitions in whose earlier bin the neuron fired";
    explain(file, "/counts/sender", "transitions", description, "lag (see lags_bins), neuron")?;
    file.values("/counts/receiver", &[n_lags, n], &joined(|lag| &lag.receiver), Storage::Plain)?;
    let description = "transitions in whose later bin the neuron fired";
    explain(file, "/counts/receiver", "transitions", description, "lag (see lags_bins), neuron")?;
    file.values("/counts/delayed", &[n_lags, n, n], &joined(|lag| &lag.delayed), Storage::Compressed)?;
    let description = "transitions in whose later bin the receiver and in whose earlier bin the sender fired";
    explain(file, "/counts/delayed", "transitions", description, "lag (see lags_bins), receiver, sender")
}

/// The packed upper triangle of the equal-time counts as a full symmetric matrix, which any reader understands.
fn full_square(counts: &Counts) -> Vec<u64> {
    let n = counts.n_neurons;
    let mut full = vec![0; n * n];
    let mut packed = counts.equal_time.iter();
    for i in 0..n {
        for (j, &count) in (i..n).zip(&mut packed) {
            full[i * n + j] = count;
            full[j * n + i] = count;
        }
    }
    full
}
