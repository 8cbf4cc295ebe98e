//! Moments and estimates equal an independent numpy implementation (`tests/fixtures/make_reference.py`,
//! `tests/fixtures/make_trial_reference.py`).
#![cfg(feature = "hdf5")]

use std::path::{Path, PathBuf};

use glauber::ingest::bin_recording;
use glauber::kinetic::{self, TrialOptions};
use glauber::model::{
    BinWidth, Estimate, Estimator, Lags, RowStatus, Runs, SamplingVariance, SpikeBlock, Trial,
};
use glauber::moments::{Accumulator, Counts};
use hdf5_metno as hdf5;
use ndarray::{Array1, Array2};

fn fixture(name: &str) -> hdf5::File {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    hdf5::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn vector(file: &hdf5::File, name: &str) -> Array1<f64> {
    file.dataset(name).unwrap().read_1d().unwrap()
}

fn matrix(file: &hdf5::File, name: &str) -> Array2<f64> {
    file.dataset(name).unwrap().read_2d().unwrap()
}

fn count(blocks: &[SpikeBlock], n: usize) -> Counts {
    let mut counts = Accumulator::new(n, &Lags::default());
    for block in blocks {
        counts.add_newest(block, 0..block.n_bins());
    }
    counts.counts()
}

fn assert_close<'a>(
    what: &str,
    ours: impl IntoIterator<Item = &'a f64>,
    theirs: impl IntoIterator<Item = &'a f64>,
    absolute: f64,
    relative: f64,
) {
    for (k, (a, b)) in ours.into_iter().zip(theirs).enumerate() {
        assert!((a - b).abs() <= absolute + relative * b.abs(), "{what}[{k}]: {a} and {b}");
    }
}

/// Couplings and fields to 1e-8 of the largest of their row: an entry near zero is a difference of larger numbers.
fn assert_estimate(file: &hdf5::File, name: &str, ours: &Estimate) {
    let theirs = matrix(file, &format!("{name}/couplings"));
    for (i, (a, b)) in ours.couplings.rows().into_iter().zip(theirs.rows()).enumerate() {
        let scale = b.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        assert_close(&format!("{name} row {i}"), a, b, 1e-8 * scale, 1e-8);
    }
    let fields = vector(file, &format!("{name}/fields"));
    assert_close(&format!("{name} fields"), &ours.fields, &fields, 1e-8, 1e-8);
    // Naive mean field has no root to find; its rows count as valid where TAP has one.
    let rooted = if name == "nmf" { "tap" } else { name };
    if name != "nmf-ridge" {
        let has_root: Vec<u8> = file.dataset(&format!("{rooted}/has_root")).unwrap().read_raw().unwrap();
        let ours: Vec<u8> = ours.status.iter().map(|&s| u8::from(s == RowStatus::Ok)).collect();
        assert_eq!(ours, has_root, "{name}: rows with a root");
    }
    assert!(ours.status.iter().all(|s| s.has_estimate()));
}

fn assert_reference(name: &str, counts: &Counts) {
    let file = fixture(name);
    let lag = &counts.lags[0];
    let close = |what: &str, ours: &Array1<f64>| assert_close(what, ours, &vector(&file, what), 1e-12, 0.0);
    close("magnetization_sender", &lag.magnetization_sender());
    close("magnetization_receiver", &lag.magnetization_receiver());
    assert_close("C", &counts.equal_time_correlations(), &matrix(&file, "equal_time"), 1e-12, 0.0);
    assert_close("D", &lag.delayed_correlations(), &matrix(&file, "delayed"), 1e-12, 0.0);

    let estimates = kinetic::estimate(counts, &Estimator::MOMENTS, 0.0);
    for estimate in &estimates {
        assert_estimate(&file, estimate.estimator.as_str(), estimate);
    }
    let variance = |ours: &Estimate, what: &str| {
        let SamplingVariance::Factored { sender, .. } = &ours.variance else { panic!("not factored") };
        assert_close(what, sender, &vector(&file, what), 0.0, 1e-8);
    };
    variance(&estimates[0], "sampling_variance");
    let ridge: f64 = file.attr("ridge").unwrap().read_scalar().unwrap();
    let ridged = &kinetic::estimate(counts, &[Estimator::Nmf], ridge)[0];
    assert_estimate(&file, "nmf-ridge", ridged);
    variance(ridged, "sampling_variance_ridge");
}

/// The spikes of a fixture that holds them.
fn spikes(file: &hdf5::File) -> Vec<Vec<u16>> {
    let active_counts: Vec<u32> = file.dataset("spikes/active_counts").unwrap().read_raw().unwrap();
    let neurons: Vec<u16> = file.dataset("spikes/neurons").unwrap().read_raw().unwrap();
    let mut left = neurons.as_slice();
    active_counts
        .iter()
        .map(|&count| {
            let (bin, rest) = left.split_at(count as usize);
            left = rest;
            bin.to_vec()
        })
        .collect()
}

#[test]
fn a_simulated_recording_agrees_with_numpy() {
    let lists = spikes(&fixture("reference_units20.h5"));
    let block = SpikeBlock::from_lists(0, &lists, 20).unwrap();
    let counts = count(std::slice::from_ref(&block), 20);
    let share = |i: u16| lists.iter().flatten().filter(|&&n| n == i).count() as f64 / block.n_bins() as f64;
    let magnetization: Vec<f64> = (0..20).map(|i| 2.0 * share(i) - 1.0).collect();
    assert_close("m over all bins", &counts.magnetization(), &magnetization, 1e-14, 0.0);
    assert_reference("reference_units20.h5", &counts);
}

#[test]
fn estimates_from_repeated_trials_agree_with_numpy_and_scikit_learn() {
    let file = fixture("reference_trials.h5");
    let block = SpikeBlock::from_lists(0, &spikes(&file), 6).unwrap();
    let runs = Runs { n_neurons: 6, blocks: vec![block] };
    let bounds: Array2<u64> = file.dataset("trials").unwrap().read_2d().unwrap();
    let trials: Vec<Trial> =
        bounds.rows().into_iter().map(|row| Trial { start_bin: row[0], stop_bin: row[1] }).collect();
    let repeats: Vec<u64> = file.dataset("repeats").unwrap().read_raw().unwrap();
    let estimated: Array2<u8> = file.dataset("estimated").unwrap().read_2d().unwrap();
    assert!(estimated.iter().any(|&known| known == 0), "no bin without a field: the test is idle");
    let estimators = [Estimator::TrialNmf, Estimator::TrialTap, Estimator::TrialExact];
    for (suffix, ridge) in [("", 0.0), ("-ridge", file.attr("ridge").unwrap().read_scalar().unwrap())] {
        // The reference's gradient is zero to rounding; ours must be small enough to compare.
        let options = TrialOptions { ridge, gradient_norm_max: 1e-10, ..TrialOptions::default() };
        for estimate in kinetic::from_trials(&runs, &trials, &estimators, &options) {
            let name = format!("{}{suffix}", estimate.estimator);
            let tolerance = if estimate.estimator == Estimator::TrialExact { 1e-7 } else { 1e-10 };
            assert_eq!(estimate.n_ok(), 6, "{name}: {:?}", estimate.status);
            let fields = estimate.trial_fields.as_ref().unwrap();
            assert_eq!(fields.repeats, repeats);
            assert_eq!(fields.estimated, estimated.mapv(|known| known == 1));
            let close = |what: &str, ours: &Array2<f64>| {
                let theirs = matrix(&file, &format!("{name}/{what}"));
                assert_close(&format!("{name} {what}"), ours, &theirs, tolerance, tolerance);
            };
            close("couplings", &estimate.couplings);
            // Where the field is infinite ours is that of a smoothed rate.
            let finite = |field: f64, &known: &bool| if known { field } else { 0.0 };
            let mut known = fields.fields.clone();
            known.zip_mut_with(&fields.estimated, |field, known| *field = finite(*field, known));
            close("fields", &known);
            assert!(fields.fields.iter().all(|field| field.is_finite()));
            let SamplingVariance::Full { couplings, fields, .. } = &estimate.variance else {
                panic!("{name}: not full")
            };
            close("coupling_variance", couplings);
            let theirs = vector(&file, &format!("{name}/field_variance"));
            assert_close(&format!("{name} field variance"), fields, &theirs, tolerance, tolerance);
        }
    }
}

/// Recordings that are not part of the project, when GLAUBER_DATA names their folder.
fn recording(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("GLAUBER_DATA").map(|folder| Path::new(&folder).join(name));
    let path = path.filter(|path| path.exists());
    if path.is_none() {
        println!("skipped: no {name} in the folder of recordings (set GLAUBER_DATA)");
    }
    path
}

fn assert_recording(name: &str, bin_us: u64, top: Option<usize>, reference: &str) {
    let Some(path) = recording(name) else { return };
    let recording = glauber::recording::open(path).unwrap();
    let binned = bin_recording(&recording.session, BinWidth::from_us(bin_us).unwrap(), top).unwrap();
    assert_reference(reference, &count(&binned.blocks, binned.neurons.len()));
}

#[test]
fn the_wong_retina_recording_agrees_with_numpy() {
    for file in ["real/retina_wong1993_p5.nwb", "real/Wong1993_P5.h5"] {
        assert_recording(file, 20_000, Some(40), "reference_wong1993_p5.h5");
    }
}

#[test]
fn the_simulated_nwb_file_agrees_with_numpy() {
    assert_recording("nwb_good/units20_60s.nwb", 10_000, None, "reference_units20.h5");
}
