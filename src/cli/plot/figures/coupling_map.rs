//! The matrix of couplings: who acts on whom, how strongly, and how sure that is.

use glauber::model::Neuron;

use super::colors::ColorScale;
use super::order::{Sort, of_couplings};
use super::{Words, label, median, signed, title_name, two_digits, with_error};
use crate::cli::plot::material::{Couplings, EstimatorScore, Material};
use crate::cli::{fit, pairs, text};

/// Most cells in a row of the matrix; of more neurons several share one.
pub(crate) const CELLS_MAX: usize = 1120;
/// Most neurons of which every significant pair is outlined; of more a small map beside tells.
const OUTLINED_MAX: usize = 60;
/// Pairs that are listed.
const LISTED: usize = 18;

/// What a cell shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell {
    Coupling(f64),
    /// Not estimated, or not reliably.
    Unknown,
}

/// A coupling in words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ListedPair {
    /// `sender → receiver`.
    pub(crate) pair: String,
    pub(crate) coupling: f64,
    pub(crate) standard_error: f64,
    pub(crate) q: f64,
}

/// The figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CouplingMap {
    pub(crate) words: Words,
    /// Name of each row and column of cells.
    pub(crate) labels: Vec<String>,
    /// Square, row by row.
    pub(crate) cells: Vec<Cell>,
    /// Rows of cells without a valid estimate.
    pub(crate) invalid: Vec<usize>,
    /// Significant cells, row and column.
    pub(crate) significant: Vec<(usize, usize)>,
    /// Whether those are to be outlined in the matrix, instead of shown in a map beside it.
    pub(crate) outlined: bool,
    pub(crate) scale: ColorScale,
    pub(crate) listed: Vec<ListedPair>,
    /// What is listed beside the matrix.
    pub(crate) list_title: String,
}

impl CouplingMap {
    /// The figure of couplings; `limit` sets the end of the scale.
    pub(crate) fn of(material: &Material, couplings: &Couplings, sort: Sort, limit: Option<f64>) -> Self {
        let n = couplings.status.len();
        let order = of_couplings(couplings, sort);
        let values = off_diagonal(couplings);
        let scale = match limit {
            Some(limit) => ColorScale { limit },
            None => ColorScale::for_values(values.iter().map(|value| value.abs()).collect()),
        };
        let beyond = values.iter().filter(|value| value.abs() > scale.limit).count();
        let block = n.div_ceil(CELLS_MAX).max(1);
        let groups: Vec<&[usize]> = order.chunks(block).collect();
        let cells = groups
            .iter()
            .flat_map(|rows| groups.iter().map(|columns| strongest_of(couplings, rows, columns)))
            .collect();
        let is_significant = |rows: &[usize], columns: &[usize]| {
            rows.iter().any(|&i| columns.iter().any(|&j| i != j && significant(couplings, i, j)))
        };
        let places = (0..groups.len()).flat_map(|row| (0..groups.len()).map(move |column| (row, column)));
        let significant: Vec<(usize, usize)> =
            places.filter(|&(row, column)| is_significant(groups[row], groups[column])).collect();
        let invalid = (0..groups.len()).filter(|&row| groups[row].iter().all(|&i| !couplings.is_ok(i)));
        let listed = listed(couplings, &material.neurons);
        Self {
            words: words(material, couplings, &Told { scale, beyond, block, sort }),
            labels: groups.iter().map(|group| label(&material.neurons[group[0]])).collect(),
            cells,
            invalid: invalid.collect(),
            significant,
            outlined: n <= OUTLINED_MAX,
            scale,
            list_title: if listed.is_empty() {
                String::new()
            } else {
                "surest pairs: J ± SE and q".to_owned()
            },
            listed,
        }
    }

    /// Rows and columns of cells.
    pub(crate) fn size(&self) -> usize {
        self.labels.len()
    }
}

/// Whether the coupling is known as well as its estimator can know it.
fn known(couplings: &Couplings, i: usize, j: usize) -> bool {
    couplings.is_ok(i) && couplings.has_error(i, j)
}

fn significant(couplings: &Couplings, i: usize, j: usize) -> bool {
    known(couplings, i, j) && couplings.q[i * couplings.status.len() + j] <= fit::FALSE_DISCOVERY_RATE
}

fn off_diagonal(couplings: &Couplings) -> Vec<f64> {
    let n = couplings.status.len();
    let pairs = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
    pairs.filter(|&(i, j)| i != j && known(couplings, i, j)).map(|(i, j)| couplings.at(i, j)).collect()
}

/// The strongest coupling of a block of the matrix.
fn strongest_of(couplings: &Couplings, rows: &[usize], columns: &[usize]) -> Cell {
    let pairs = rows.iter().flat_map(|&i| columns.iter().map(move |&j| (i, j)));
    let values = pairs.filter(|&(i, j)| known(couplings, i, j)).map(|(i, j)| couplings.at(i, j));
    values.max_by(|a, b| a.abs().total_cmp(&b.abs())).map_or(Cell::Unknown, Cell::Coupling)
}

/// The pairs of different neurons with the largest |z|.
fn listed(couplings: &Couplings, neurons: &[Neuron]) -> Vec<ListedPair> {
    let n = couplings.status.len();
    let z = |k: usize| (couplings.values[k] / couplings.errors[k]).abs();
    let mut places: Vec<usize> =
        (0..n * n).filter(|k| k / n != k % n && known(couplings, k / n, k % n)).collect();
    let surer = |a: &usize, b: &usize| z(*b).total_cmp(&z(*a)).then(a.cmp(b));
    if places.len() > LISTED {
        places.select_nth_unstable_by(LISTED, surer);
        places.truncate(LISTED);
    }
    places.sort_by(surer);
    places
        .into_iter()
        .map(|k| ListedPair {
            pair: format!("{} → {}", label(&neurons[k % n]), label(&neurons[k / n])),
            coupling: couplings.values[k],
            standard_error: couplings.errors[k],
            q: couplings.q[k],
        })
        .collect()
}

/// What the words need besides the couplings.
struct Told {
    scale: ColorScale,
    beyond: usize,
    block: usize,
    sort: Sort,
}

fn words(material: &Material, couplings: &Couplings, told: &Told) -> Words {
    let n = couplings.status.len();
    let tested = off_diagonal(couplings).len();
    let pairs = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
    let found = pairs.filter(|&(i, j)| i != j && significant(couplings, i, j)).count();
    let score = material.scores.iter().find(|score| score.estimator == couplings.estimator);
    let span = &couplings.span;
    let mut facts = vec![
        format!(
            "{}; bins of {}; ridge {}; {}",
            text::counted(n as u64, "neuron"),
            material.bin_width,
            couplings.ridge,
            score.map_or_else(|| "not scored".to_owned(), score_words)
        ),
        format!(
            "window {}: bins {} to {}{}, {} transitions; q ≤ {} for {} of {} pairs",
            span.window,
            text::count(span.first_bin),
            text::count(span.end_bin.saturating_sub(1)),
            span.observed.map_or_else(String::new, |bins| format!(", {} observed", text::count(bins))),
            text::count(couplings.transitions),
            fit::FALSE_DISCOVERY_RATE,
            text::count(found as u64),
            text::count(tested as u64),
        ),
    ];
    facts.push(match &couplings.age {
        Some(age) => format!("{}; {age}", material.origin),
        None => material.origin.clone(),
    });
    Words {
        title: format!("{}: couplings J by {}", title_name(&material.name), couplings.estimator),
        facts,
        caption: caption(couplings, told),
    }
}

fn caption(couplings: &Couplings, told: &Told) -> Vec<String> {
    let n = couplings.status.len();
    let limit = two_digits(told.scale.limit);
    let beyond = match told.beyond {
        0 => String::new(),
        1 => ", beyond which 1 pair lies".to_owned(),
        many => format!(", beyond which {} pairs lie", text::count(many as u64)),
    };
    let order = match told.sort {
        Sort::Index => "as recorded",
        Sort::Strength => "by strength, the strongest first",
        Sort::Cluster => "by average linkage of |J|, coupled ones together",
    };
    let mut caption = vec![format!(
        "J acts from the sender j (column) on the receiver i (row) one bin later; colours end at ±{limit}{beyond}. Neurons stand {order}."
    )];
    if n <= OUTLINED_MAX {
        caption.push("Outlined: q ≤ 0.05 (Benjamini–Hochberg over all pairs).".to_owned());
    }
    if told.block > 1 {
        let size = told.block;
        caption.push(format!("Each cell shows the strongest of up to {size} × {size} couplings."));
    }
    let errors = (0..n * n).filter(|k| k / n != k % n && known(couplings, k / n, k % n));
    if let Some(middle) = median(errors.map(|k| couplings.errors[k]).collect()) {
        caption.push(format!(
            "Standard errors: {} in the median; they are of sampling alone, not of the {}.",
            two_digits(middle),
            if couplings.ridge > 0.0 {
                "ridge, the method, or common input"
            } else {
                "method or common input"
            }
        ));
    }
    let invalid = couplings.status.iter().filter(|status| *status != "OK").count();
    caption.push(if invalid == 0 {
        "Every row has a valid estimate.".to_owned()
    } else {
        let counts = pairs::status_counts(couplings.status.iter().map(String::as_str));
        format!(
            "Grey: {} without a valid estimate ({}), and neurons that take no part.",
            text::counted(invalid as u64, "row"),
            pairs::status_line(&counts)
        )
    });
    caption
}

/// `+1.25 ± 0.08 bits/spike on newer bins`.
fn score_words(score: &EstimatorScore) -> String {
    match super::score::bits_per_spike(&score.recent) {
        Some((bits, Some(error))) => {
            format!("score {} bits/spike on bins not fitted to", with_error(bits, error))
        }
        Some((bits, None)) => {
            format!("score {} bits/spike on bins not fitted to (error not known)", signed(bits, 2))
        }
        None => "not scored yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{couplings, material};
    use super::*;

    #[test]
    fn rows_without_a_valid_estimate_show_no_coupling_and_are_counted() {
        let mut found = couplings(4, |i, j| if (i, j) == (0, 1) { 0.4 } else { 0.05 });
        found.status[2] = "TAP_NO_ROOT".to_owned();
        found.status[3] = "SILENT".to_owned();
        for k in 0..4 {
            found.errors[3 * 4 + k] = 0.0;
            found.errors[k * 4 + 3] = 0.0;
        }
        let map = CouplingMap::of(&material(4), &found, Sort::Index, None);
        assert_eq!(map.invalid, [2, 3]);
        assert_eq!(map.cells[1], Cell::Coupling(0.4));
        assert!(map.cells[8..].iter().all(|cell| *cell == Cell::Unknown));
        assert_eq!((map.cells[3], map.cells[7]), (Cell::Unknown, Cell::Unknown));
        assert_eq!(map.significant, [(0, 1)]);
        assert!(map.words.facts[1].contains("q ≤ 0.05 for 1 of 4 pairs"), "{:?}", map.words.facts);
        assert!(map.words.caption.iter().any(|line| line.contains("2 rows without a valid estimate")));
        assert_eq!(map.listed[0].pair, "101 → 100");
        // Rows 0 and 1, senders 0, 1 and 2 without themselves.
        assert_eq!(map.listed.len(), 4);
    }

    #[test]
    fn many_neurons_share_cells_that_show_their_strongest_coupling() {
        let n = CELLS_MAX + 5;
        let found = couplings(n, |i, j| if (i, j) == (1, 3) { -0.5 } else { 0.1 });
        let map = CouplingMap::of(&material(n), &found, Sort::Index, None);
        assert_eq!(map.size(), n.div_ceil(2));
        assert_eq!(map.cells[1], Cell::Coupling(-0.5));
        assert_eq!(map.significant, [(0, 1)]);
        assert!(!map.outlined && map.words.caption.iter().any(|line| line.contains("2 × 2")));
    }

    #[test]
    fn nothing_known_is_no_failure() {
        let mut found = couplings(3, |_, _| 0.0);
        found.status.fill("SILENT".to_owned());
        found.errors.fill(0.0);
        let map = CouplingMap::of(&material(3), &found, Sort::Cluster, None);
        assert!(map.listed.is_empty() && map.cells.iter().all(|cell| *cell == Cell::Unknown));
    }
}
