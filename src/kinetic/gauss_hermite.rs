use nalgebra::DMatrix;

/// Nodes and weights such that `Σ_k w_k f(x_k) ≈ E f(x)` for a standard normal `x`, exact for polynomials of degree below
/// twice the number of nodes (Golub & Welsch, Math. Comp. 23, 221 (1969)).
pub(super) fn nodes_and_weights(count: usize) -> Vec<(f64, f64)> {
    // Jacobi matrix of the probabilists' Hermite polynomials: zero diagonal, √k beside it.
    let jacobi = DMatrix::from_fn(count, count, |i, j| match i.abs_diff(j) {
        1 => (i.max(j) as f64).sqrt(),
        _ => 0.0,
    });
    let eigen = jacobi.symmetric_eigen();
    let mut rule: Vec<(f64, f64)> =
        (0..count).map(|k| (eigen.eigenvalues[k], eigen.eigenvectors[(0, k)].powi(2))).collect();
    rule.sort_by(|a, b| a.0.total_cmp(&b.0));
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integrates_the_moments_of_the_normal_distribution() {
        let rule = nodes_and_weights(64);
        let mean = |f: fn(f64) -> f64| -> f64 { rule.iter().map(|&(x, w)| w * f(x)).sum() };
        for (name, value, expected) in [
            ("1", mean(|_| 1.0), 1.0),
            ("x", mean(|x| x), 0.0),
            ("x^2", mean(|x| x * x), 1.0),
            ("x^4", mean(|x| x.powi(4)), 3.0),
            ("x^8", mean(|x| x.powi(8)), 105.0),
            ("exp(x)", mean(f64::exp), 0.5f64.exp()),
        ] {
            assert!((value - expected).abs() < 1e-12 * expected.max(1.0), "E {name} = {value}");
        }
    }
}
