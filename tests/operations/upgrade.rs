//! Files of earlier versions, which a newer program must open.
//!
//! snapshot_v1.h5 and snapshot_v2.h5 were written by the program while those layouts were current (tests/archive_roundtrip.rs); snapshot_v3.h5 by
//! `glauber fit tiny.nwb --bin-width 20ms --estimator nmf,exact --ridge 0.05 --lags 1,2 --equilibrium pseudo-likelihood` on
//! `glauber simulate --neurons 5 --coupling-std 0.3 --duration 60s --bin-width 20ms --rate-hz 10 --seed 4`, version 0.1.0.

use serde_json::Value;

use super::program::{ROOT, glauber, output, stdout};

fn fixture(version: u32) -> String {
    format!("{ROOT}/tests/fixtures/snapshot_v{version}.h5")
}

fn inspected(version: u32) -> Value {
    serde_json::from_str(&stdout(&mut glauber(&["inspect", &fixture(version), "--json"]))).unwrap()
}

fn close(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
}

#[test]
fn snapshots_of_every_layout_open_with_the_numbers_they_were_written_with() {
    // As h5py reads them; nothing of an equilibrium model was in the first two layouts, no score in the first.
    for (version, neurons, bins, estimators) in [
        (1, 3, 240, vec!["nmf", "tap"]),
        (2, 6, 3000, vec!["nmf", "exact"]),
        (3, 5, 3000, vec!["nmf", "exact"]),
    ] {
        let seen = inspected(version);
        assert_eq!((&seen["kind"], &seen["neurons"]), (&"snapshot".into(), &neurons.into()), "{version}");
        assert_eq!(
            (&seen["bins_observed"], &seen["bin_width_us"]),
            (&bins.into(), &20_000.into()),
            "{version}"
        );
        let found: Vec<&str> =
            seen["estimates"].as_array().unwrap().iter().map(|e| e["estimator"].as_str().unwrap()).collect();
        assert_eq!(found[..2], estimators[..], "{version}");
    }
    let (first, second, third) = (inspected(1), inspected(2), inspected(3));
    assert_eq!(
        (&first["estimates"][0]["bits_per_spike"], &first["estimates"][0]["ridge"]),
        (&Value::Null, &0.25.into())
    );
    close(&first["estimates"][0]["strongest"][0]["coupling"], 0.802_293_697);
    close(&second["estimates"][1]["bits_per_spike"], 0.104_025_724);
    assert_eq!(second["equilibrium"], Value::Array(vec![]));
    let strongest = &third["estimates"][1]["strongest"][0];
    assert_eq!((&strongest["sender_id"], &strongest["receiver_id"]), (&2.into(), &4.into()));
    close(&strongest["coupling"], -0.300_282_983);
    close(&strongest["standard_error"], 0.032_204_096);
    close(&third["estimates"][1]["bits_per_spike"], 0.089_106_250);
    close(&third["equilibrium"][0]["rms_coupling"], 0.009_599_387);
}

#[test]
fn what_is_no_snapshot_or_cut_off_is_one_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("half.h5");
    let whole = std::fs::read(fixture(3)).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let (code, out, errors) = output(glauber(&["inspect"]).arg(&path));
    assert_eq!((code, &*out, errors.lines().count()), (Some(1), "", 1), "{errors}");
    assert!(errors.contains("half.h5"), "{errors}");
}
