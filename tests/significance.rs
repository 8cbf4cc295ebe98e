//! p and q equal those of scipy (`tests/fixtures/make_significance.py`).

use glauber::model::{Estimate, Estimator, RowStatus, SamplingVariance, Significance};
use ndarray::{Array1, Array2};

/// Pairs of numbers, one pair a line.
fn table(text: &str) -> Vec<(f64, f64)> {
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    let pair = |line: &str| {
        let (first, second) = line.split_once('\t').unwrap();
        (first.parse().unwrap(), second.parse().unwrap())
    };
    rows.map(pair).collect()
}

#[test]
fn p_keeps_its_digits_far_into_the_tail() {
    let rows = table(include_str!("fixtures/significance_p.tsv"));
    assert_eq!(rows.len(), 159);
    let mut worst = 0.0_f64;
    for &(z, expected) in &rows {
        let p = Significance::p(z);
        assert_eq!(p, Significance::p(-z));
        // Both round arguments of exponentials near 700 in the far tail; the last place of a subnormal number is 5e-324.
        let (relative, last_place) = (3e-13 * expected, 4.0 * 5e-324);
        assert!((p - expected).abs() <= relative + last_place, "z = {z}: {p:e}, scipy {expected:e}");
        if expected > 1e-300 {
            worst = worst.max((p / expected - 1.0).abs());
        }
    }
    println!("largest relative difference of p > 1e-300: {worst:.1e}");
    assert_eq!((Significance::p(39.0), Significance::p(f64::INFINITY)), (0.0, 0.0));
}

#[test]
fn q_is_that_of_benjamini_and_hochberg() {
    const N: usize = 10;
    let rows = table(include_str!("fixtures/significance_q.tsv"));
    assert_eq!(rows.len(), N * (N - 1));
    let off_diagonal = |i: usize, j: usize| i * (N - 1) + j - usize::from(j > i);
    let estimate = Estimate {
        estimator: Estimator::Nmf,
        ridge: 0.0,
        // Self-couplings and fields beyond doubt must not help the others.
        couplings: Array2::from_shape_fn(
            (N, N),
            |(i, j)| if i == j { -50.0 } else { rows[off_diagonal(i, j)].0 },
        ),
        fields: Array1::from_elem(N, -50.0),
        status: vec![RowStatus::Ok; N],
        variance: SamplingVariance::Full {
            couplings: Array2::ones((N, N)),
            fields: Array1::ones(N),
            transitions: 1000,
        },
        convergence: None,
        trial_fields: None,
    };
    let significance = Significance::of(&estimate);
    for ((i, j), q) in significance.couplings_q(&estimate).indexed_iter() {
        let expected = if i == j { 0.0 } else { rows[off_diagonal(i, j)].1 };
        assert!((q - expected).abs() <= 1e-12 * expected, "{j} to {i}: {q}, scipy {expected}");
    }
    for level in [0.001, 0.01, 0.05, 0.2, 0.9] {
        let expected = rows.iter().filter(|&&(_, q)| q < level).count();
        assert_eq!(significance.n_significant(level), expected, "q < {level}");
    }
}
