//! What figures show, as plain numbers and words: order, scale, counts, captions. Nothing here knows of shapes, files or daemons.

pub(crate) mod colors;
pub(crate) mod coupling_map;
pub(crate) mod order;
pub(crate) mod prediction;
pub(crate) mod raster;
pub(crate) mod score;
pub(crate) mod ticks;

use glauber::model::Neuron;

use crate::cli::text;

/// What stands above and below every figure.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Words {
    /// One line, large.
    pub(crate) title: String,
    /// What it is of: lines below the title.
    pub(crate) facts: Vec<String>,
    /// How to read it, and what is known of its errors: sentences below the figure.
    pub(crate) caption: Vec<String>,
}

impl Words {
    /// All of it as one text, for who cannot see the figure.
    pub(crate) fn description(&self) -> String {
        let lines = self.facts.iter().chain(&self.caption);
        lines.map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

/// Most letters of a label beside a row.
const LABEL_CHARS_MAX: usize = 10;

/// What a neuron is called in a figure: its label where there is a short one, or its id.
pub(crate) fn label(neuron: &Neuron) -> String {
    let label = text::name(neuron.label.trim());
    if label.is_empty() || label.chars().count() > LABEL_CHARS_MAX { neuron.id.to_string() } else { label }
}

/// A name, as a title has room for it.
pub(crate) fn title_name(name: &str) -> String {
    const CHARS_MAX: usize = 48;
    let name = text::name(name);
    if name.is_empty() { "unnamed session".to_owned() } else { text::cut(&name, CHARS_MAX) }
}

/// A number with its sign, a real minus.
pub(crate) fn signed(value: f64, decimals: usize) -> String {
    format!("{value:+.decimals$}").replace('-', "−")
}

/// A value with its standard error, to two digits of that.
pub(crate) fn with_error(value: f64, error: f64) -> String {
    let decimals = if error > 0.0 { (1.0 - error.log10().floor()).clamp(2.0, 6.0) as usize } else { 2 };
    format!("{} ± {error:.decimals$}", signed(value, decimals))
}

/// A number above 0 to two digits, without what rounding has left behind.
pub(crate) fn two_digits(value: f64) -> String {
    let decimals = (1.0 - value.log10().floor()).clamp(0.0, 12.0) as usize;
    format!("{value:.decimals$}")
}

/// The middle one of some values; `None` of none.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get((values.len().max(1) - 1) / 2)?, values.get(values.len() / 2)?);
    Some((low + high) / 2.0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cli::plot::material::{Couplings, Material, Span};

    /// Couplings of `n` neurons that are all OK, with standard errors of 0.1 and a q of 0.01 beyond 0.3.
    pub(crate) fn couplings(n: usize, of: impl Fn(usize, usize) -> f64) -> Couplings {
        let values: Vec<f64> = (0..n * n).map(|k| of(k / n, k % n)).collect();
        Couplings {
            estimator: "exact".to_owned(),
            ridge: 0.1,
            span: Span { window: "all".to_owned(), first_bin: 0, end_bin: 1000, observed: Some(900) },
            transitions: 899,
            age: None,
            status: vec!["OK".to_owned(); n],
            q: values.iter().map(|value| if value.abs() > 0.3 { 0.01 } else { 0.5 }).collect(),
            errors: vec![0.1; n * n],
            values,
        }
    }

    fn neurons(n: usize) -> Vec<Neuron> {
        (0..n).map(|k| Neuron { id: 100 + k as i64, label: String::new() }).collect()
    }

    pub(crate) fn material(n: usize) -> Material {
        Material {
            name: "rig".to_owned(),
            origin: "a test".to_owned(),
            bin_width: "20 ms".to_owned(),
            bin_s: 0.02,
            neurons: neurons(n),
            couplings: None,
            scores: Vec::new(),
            mixed: None,
            equilibrium: None,
            missing: Vec::new(),
        }
    }

    #[test]
    fn labels_are_short_ones_or_ids() {
        let neuron = |label: &str| Neuron { id: -7, label: label.to_owned() };
        assert_eq!(label(&neuron(" a\u{7}1 ")), "a1");
        assert_eq!(label(&neuron("")), "-7");
        assert_eq!(label(&neuron("electrode 12 unit 3")), "-7");
    }

    #[test]
    fn errors_keep_two_digits() {
        assert_eq!(with_error(-0.1234, 0.0071), "−0.1234 ± 0.0071");
        assert_eq!(with_error(1.25, 0.31), "+1.25 ± 0.31");
        assert_eq!(with_error(12.5, 3.0), "+12.50 ± 3.00");
        assert_eq!(
            (two_digits(0.072_000_000_000_000_01), two_digits(32.0)),
            ("0.072".to_owned(), "32".to_owned())
        );
    }

    #[test]
    fn the_median_is_between_the_middle_ones() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }
}
