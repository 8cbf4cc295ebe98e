//! How close couplings come to the ones a simulation was made with.

use glauber::proto::v1;
use ndarray::{Array1, Array2};

/// One estimate against the truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Recovery {
    /// Bins the estimate is of.
    pub(crate) bins: u64,
    /// Pearson correlation of found and true couplings, over all pairs and self-couplings.
    pub(crate) correlation: f64,
    /// Root mean square of their difference.
    pub(crate) rms_error: f64,
    /// Mean square of their difference over the mean Cramér–Rao bound.
    pub(crate) times_bound: f64,
}

/// Compare couplings with the truth.
///
/// The bound of a pair is `(C⁻¹)_jj / (T ⟨1 − tanh² θ_i⟩)`, which takes the gain of a receiver as independent of its
/// senders; `(C⁻¹)_jj` and T are those of the estimate, which must be without a ridge, the gain is the true one.
pub(crate) fn compare(
    found: &Array2<f64>,
    truth: &Array2<f64>,
    header: &v1::EstimateHeader,
    mean_gain: &Array1<f64>,
) -> Recovery {
    let count = found.len() as f64;
    let square_error = found.iter().zip(truth).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / count;
    let sender = mean(header.variance_sender.iter().copied());
    let receiver = mean(mean_gain.iter().map(|gain| 1.0 / gain));
    let bound = sender * receiver / header.transitions as f64;
    Recovery {
        bins: header.end_bin,
        correlation: correlation(found, truth),
        rms_error: square_error.sqrt(),
        times_bound: square_error / bound,
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

fn correlation(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    let (mean_a, mean_b) = (mean(a.iter().copied()), mean(b.iter().copied()));
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (x - mean_a, y - mean_b);
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    ab / (aa * bb).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn errors_are_measured_against_the_bound() {
        let truth = arr2(&[[0.1, -0.2], [0.3, 0.0]]);
        let found = &truth + 0.1;
        let header = v1::EstimateHeader {
            end_bin: 201,
            transitions: 200,
            variance_sender: vec![1.0, 3.0],
            ..Default::default()
        };
        let recovery = compare(&found, &truth, &header, &Array1::from_elem(2, 0.5));
        assert_eq!(recovery.bins, 201);
        assert!((recovery.correlation - 1.0).abs() < 1e-12, "a shift leaves the correlation");
        assert!((recovery.rms_error - 0.1).abs() < 1e-12);
        // Bound 2 · 2 / 200 = 0.02; square error 0.01.
        assert!((recovery.times_bound - 0.5).abs() < 1e-12);
    }
}
