//! What an equilibrium model predicts next to what was observed: correlations of pairs, and how many neurons fire at once.

use glauber::equilibrium::PredictedPairs;
use glauber::model::{ActiveCount, Agreement, ModelCheck};

use super::{Words, signed, title_name};
use crate::cli::equilibrium::models;
use crate::cli::plot::material::{Equilibrium, Material, Span};
use crate::cli::{pairs, text};

/// Most pairs that are drawn.
const DRAWN_MAX: usize = 4000;

/// A pair of neurons.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PairPoint {
    pub(crate) observed: f64,
    pub(crate) predicted: f64,
    /// Standard error of the prediction, of drawing alone.
    pub(crate) predicted_error: f64,
}

/// The figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PredictionFigure {
    pub(crate) words: Words,
    pub(crate) points: Vec<PairPoint>,
    /// What stands in the corner of the pairs.
    pub(crate) agreement: Vec<String>,
    /// P(K), K from 0.
    pub(crate) active_counts: Vec<ActiveCount>,
    /// Bins that P(K) was observed in.
    pub(crate) bins: u64,
}

impl PredictionFigure {
    pub(crate) fn of(material: &Material, model: &Equilibrium, predicted: &PredictedPairs) -> Self {
        let all = points(model, predicted);
        let shown = every_kth(&all);
        let check = model.check.as_ref();
        let mut agreement = vec![format!("{} pairs", text::count(all.len() as u64))];
        agreement.push(match correlation(&all) {
            Some(r) => format!("r = {r:.3}"),
            None => "r not defined: one side does not vary".to_owned(),
        });
        agreement
            .push(format!("rms difference {}", small(rms(all.iter().map(|p| p.observed - p.predicted)))));
        agreement.push(format!("rms error of drawing {}", small(rms(all.iter().map(|p| p.predicted_error)))));
        if let Some(check) = check.filter(|check| check.pair_correlations.values > 0) {
            let error = check.pair_correlations.rms_observed_error;
            agreement.push(format!("rms error of observing {}", small(error)));
        }
        Self {
            words: words(material, model, predicted, &Sizes { all: all.len(), shown: shown.len() }),
            points: shown,
            agreement,
            active_counts: check.map_or_else(Vec::new, |check| check.active_counts.clone()),
            bins: check.map_or(0, |check| check.bins),
        }
    }
}

struct Sizes {
    all: usize,
    shown: usize,
}

fn points(model: &Equilibrium, predicted: &PredictedPairs) -> Vec<PairPoint> {
    let (n, neurons) = (model.estimated.len(), &predicted.neurons);
    let pairs = neurons.iter().enumerate().flat_map(|(k, &i)| neurons[k + 1..].iter().map(move |&j| (i, j)));
    let values = predicted.correlations.iter().zip(&predicted.correlation_errors);
    pairs
        .zip(values)
        .map(|((i, j), (&predicted, &predicted_error))| PairPoint {
            observed: model.observed.correlations[i * n + j],
            predicted,
            predicted_error,
        })
        .collect()
}

/// At most so many of the points, evenly spread: the same ones each time.
fn every_kth(all: &[PairPoint]) -> Vec<PairPoint> {
    let shown = all.len().min(DRAWN_MAX);
    (0..shown).map(|k| all[k * all.len() / shown]).collect()
}

fn rms(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0u64), |(sum, count), value| (sum + value * value, count + 1));
    if count == 0 { 0.0 } else { (sum / count as f64).sqrt() }
}

/// Pearson's r; `None` where one side is constant.
fn correlation(points: &[PairPoint]) -> Option<f64> {
    let n = points.len() as f64;
    let mean = |of: &dyn Fn(&PairPoint) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(&|p| p.observed), mean(&|p| p.predicted));
    let (xx, yy) = (mean(&|p| (p.observed - x).powi(2)), mean(&|p| (p.predicted - y).powi(2)));
    let xy = mean(&|p| (p.observed - x) * (p.predicted - y));
    let scale = (xx * yy).sqrt();
    (scale > 0.0 && scale.is_normal()).then(|| (xy / scale).clamp(-1.0, 1.0))
}

/// A small number with two digits.
fn small(value: f64) -> String {
    if value == 0.0 || value >= 0.01 {
        format!("{value:.3}")
    } else {
        format!("{value:.1e}").replace('-', "−")
    }
}

fn words(material: &Material, model: &Equilibrium, predicted: &PredictedPairs, sizes: &Sizes) -> Words {
    let statuses = pairs::status_counts(model.status.iter().map(String::as_str));
    let score = model.bits_per_spike.map_or_else(
        || "not scored".to_owned(),
        |bits| {
            format!(
                "score {} bits/spike given the others, on bins not fitted to (error not known)",
                signed(bits, 2)
            )
        },
    );
    let (fitted, observed) = (&model.span, &model.observed.span);
    let mut caption = vec![observed_words(fitted, observed, model.observed.same_bins)];
    caption.push(format!(
        "Predicted: {} configurations drawn from the model by Gibbs sampling; vertical bars are ± 1 standard error of drawing, horizontal errors are stated.",
        text::count(predicted.drawn)
    ));
    if sizes.shown < sizes.all {
        caption.push(format!(
            "Drawn are {} pairs, evenly spread over all {}; the numbers are of all.",
            text::count(sizes.shown as u64),
            text::count(sizes.all as u64)
        ));
    }
    if let Some(check) = &model.check {
        caption.extend(check_words(check));
    }
    Words {
        title: format!("{}: what the {} model predicts", title_name(&material.name), model.method),
        facts: vec![
            format!(
                "bins of {}; fitted to bins {} to {} of window {}; {score}",
                material.bin_width,
                text::count(fitted.first_bin),
                text::count(fitted.end_bin.saturating_sub(1)),
                fitted.window,
            ),
            format!("neurons: {}; {}", pairs::status_line(&statuses), material.origin),
        ],
        caption,
    }
}

/// In which bins was observed, next to those that the model was fitted to.
fn observed_words(fitted: &Span, observed: &Span, same: bool) -> String {
    if same {
        return "Observed in the very bins that the model was fitted to.".to_owned();
    }
    let among = |span: &Span| {
        let bins = span.end_bin.saturating_sub(span.first_bin);
        let last = span.end_bin.saturating_sub(1);
        let count = text::counted(span.observed.unwrap_or(bins), "bin");
        (count, format!("{} to {}", text::count(span.first_bin), text::count(last)))
    };
    let ((seen, seen_at), (read, read_at)) = (among(observed), among(fitted));
    if observed.first_bin <= fitted.first_bin && fitted.end_bin <= observed.end_bin {
        return format!("Observed in all {seen} of the window; the model was fitted to {read} of them.");
    }
    let shared = fitted.first_bin.max(observed.first_bin) < fitted.end_bin.min(observed.end_bin);
    let which = if shared { "not all of which are among those" } else { "none of which is among those" };
    format!(
        "Observed in {seen} of the window, from {seen_at}; the model was fitted to {read} from {read_at}, {which}."
    )
}

/// What the model's own check says of what it was not fitted to.
fn check_words(check: &ModelCheck) -> Vec<String> {
    let told = |what: &str, agreement: &Agreement| {
        format!(
            "{what}: r {}, rms difference {} where chance allows {}.",
            models::correlation(agreement),
            small(agreement.rms_difference),
            small(agreement.rms_error)
        )
    };
    let mut lines = Vec::new();
    if check.triplet_correlations.values > 0 {
        let count = text::count(check.triplet_correlations.values);
        lines
            .push(told(&format!("Not fitted to: {count} triplet correlations"), &check.triplet_correlations));
    }
    if !check.active_counts.is_empty() {
        lines.push(format!("P(K): {} of the probability is misplaced.", models::misplaced(check)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(observed: f64, predicted: f64) -> PairPoint {
        PairPoint { observed, predicted, predicted_error: 0.01 }
    }

    #[test]
    fn r_is_pearsons_and_not_defined_for_a_constant() {
        let line: Vec<PairPoint> = (0..5).map(|k| point(f64::from(k), 3.0 - f64::from(k))).collect();
        assert!((correlation(&line).unwrap() + 1.0).abs() < 1e-12);
        assert_eq!(correlation(&[point(1.0, 2.0), point(2.0, 2.0)]), None);
        assert_eq!(correlation(&[]), None);
    }

    #[test]
    fn of_many_pairs_the_same_ones_are_drawn_each_time() {
        let all: Vec<PairPoint> = (0..79_800).map(|k| point(f64::from(k), 0.0)).collect();
        let shown = every_kth(&all);
        assert_eq!((shown.len(), shown[0].observed), (DRAWN_MAX, 0.0));
        assert_eq!(shown, every_kth(&all));
        assert!(shown.windows(2).all(|two| two[0].observed < two[1].observed));
        assert_eq!(every_kth(&all[..7]).len(), 7);
        assert!(every_kth(&[]).is_empty());
    }

    #[test]
    fn bins_are_said_to_be_among_others_only_where_they_are() {
        let span =
            |first_bin, end_bin, observed| Span { window: "1min".to_owned(), first_bin, end_bin, observed };
        let words = |fitted, observed| observed_words(&fitted, &observed, false);
        assert_eq!(
            words(span(1000, 3000, Some(1990)), span(0, 3000, Some(2500))),
            "Observed in all 2,500 bins of the window; the model was fitted to 1,990 bins of them."
        );
        // The window has moved on since the fit.
        assert_eq!(
            words(span(1000, 3000, Some(1990)), span(2000, 4000, None)),
            "Observed in 2,000 bins of the window, from 2,000 to 3,999; the model was fitted to 1,990 bins from 1,000 to 2,999, not all of which \
             are among those."
        );
        let apart = words(span(0, 1000, None), span(1000, 2000, None));
        assert!(apart.ends_with("1,000 bins from 0 to 999, none of which is among those."), "{apart}");
        assert!(observed_words(&span(0, 1, None), &span(0, 1, None), true).contains("the very bins"));
    }
}
