//! Predicted and observed on a page.

use super::axes::{Axes, Range};
use super::page::{self, LABELS, SMALL};
use super::scene::{Anchor, Color, Frame, Scene, Shape, Style};
use crate::cli::plot::figures::prediction::{PairPoint, PredictionFigure};

const SIDE: f64 = 420.0;
/// Most pairs whose errors are drawn.
const ERRORS_MAX: usize = 800;

/// The figure as a page.
pub(crate) fn draw(figure: &PredictionFigure) -> Scene {
    let (mut page, top) = page::begin(&figure.words);
    let frame = Frame::new(92.0, top + 22.0, SIDE, SIDE);
    draw_pairs(&mut page, figure, frame);
    let frame = Frame::new(620.0, frame.y, page::WIDTH - 24.0 - 620.0, SIDE);
    draw_active_counts(&mut page, figure, frame);
    page::end(page, frame.bottom() + 48.0, &figure.words)
}

fn draw_pairs(page: &mut Scene, figure: &PredictionFigure, frame: Frame) {
    let range = pair_range(&figure.points);
    let axes = Axes { frame, x: range, y: range };
    axes.draw_x(page, 5, "observed ⟨sᵢsⱼ⟩ − mᵢmⱼ");
    axes.draw_y(page, 5, "predicted", 58.0);
    page.text((frame.x, frame.y - 12.0), "pairs of neurons in the same bin", Style::sized(LABELS));
    page.line(axes.at((range.low, range.low)), axes.at((range.high, range.high)), Color::FRAME, 1.0);
    let many = figure.points.len() > ERRORS_MAX;
    let inside: Vec<&PairPoint> =
        figure.points.iter().filter(|point| axes.holds((point.observed, point.predicted))).collect();
    if !many {
        for point in &inside {
            let reach = |end: f64| {
                let y = point.predicted + end * point.predicted_error;
                axes.at((point.observed, y.clamp(range.low, range.high)))
            };
            page.line(reach(-1.0), reach(1.0), Color::BLUE.with_alpha(0.45), 0.75);
        }
    }
    let (radius, alpha) = if many { (1.5, 0.35) } else { (2.0, 0.7) };
    for point in &inside {
        page.dot(axes.at((point.observed, point.predicted)), radius, Color::BLUE.with_alpha(alpha));
    }
    for (line, text) in figure.agreement.iter().enumerate() {
        let at = (frame.x + 10.0, frame.y + 14.0 + 16.0 * line as f64);
        page.text(at, text, Style::sized(SMALL));
    }
    let outside = figure.points.len() - inside.len();
    if outside > 0 {
        let style = Style::sized(SMALL).anchored(Anchor::End);
        page.text((frame.right() - 8.0, frame.bottom() - 12.0), format!("{outside} lie outside"), style);
    }
    axes.draw_frame(page);
}

/// Both axes alike: all that was observed, and predictions as far as they are not many times as large.
fn pair_range(points: &[PairPoint]) -> Range {
    let ends = |of: &dyn Fn(&PairPoint) -> f64| {
        let values = points.iter().map(of);
        (values.clone().fold(0.0, f64::min), values.fold(0.0, f64::max))
    };
    let (observed, predicted) = (ends(&|p| p.observed), ends(&|p| p.predicted));
    let reach = 3.0 * observed.0.abs().max(observed.1).max(1e-12);
    let (low, high) = (observed.0.min(predicted.0.max(-reach)), observed.1.max(predicted.1.min(reach)));
    let spare = ((high - low) * 0.04).max(1e-12);
    Range::linear(low - spare, high + spare)
}

fn draw_active_counts(page: &mut Scene, figure: &PredictionFigure, frame: Frame) {
    page.text((frame.x, frame.y - 12.0), "how many neurons fire in a bin", Style::sized(LABELS));
    let counts = &figure.active_counts;
    if counts.is_empty() || figure.bins == 0 {
        page.outline(frame, Color::GRID, 1.0);
        let at = (frame.x + frame.width / 2.0, frame.y + frame.height / 2.0);
        let text = "the model was not checked against bins";
        page.text(at, text, Style::sized(SMALL).anchored(Anchor::Middle).colored(Color::SOFT));
        return;
    }
    // Less than one bin in all cannot be observed.
    let floor = 0.5 / figure.bins as f64;
    let last = counts.iter().rposition(|count| count.observed > 0.0 || count.predicted > floor);
    let most = f64::from(last.map_or(1, |k| counts[k].active).max(1));
    let axes = Axes { frame, x: Range::linear(-0.02 * most, 1.02 * most), y: Range::logarithmic(floor, 1.3) };
    axes.draw_x(page, 5, "active neurons K");
    axes.draw_y(page, 5, "P(K)", 52.0);
    let line: Vec<(f64, f64)> = counts
        .iter()
        .map(|count| (f64::from(count.active), count.predicted.max(floor)))
        .filter(|point| axes.holds(*point))
        .map(|point| axes.at(point))
        .collect();
    for count in counts.iter().filter(|count| count.predicted > floor) {
        let (low, high) = (count.predicted - count.predicted_error, count.predicted + count.predicted_error);
        let x = f64::from(count.active);
        if axes.x.holds(x) {
            let ends = [low, high].map(|p| axes.at((x, p.clamp(floor, 1.3))));
            page.line(ends[0], ends[1], Color::ORANGE.with_alpha(0.6), 1.5);
        }
    }
    page.shapes.push(Shape::Path(line, Color::ORANGE, 1.5));
    for count in counts.iter().filter(|count| count.observed > 0.0) {
        let point = (f64::from(count.active), count.observed);
        if axes.holds(point) {
            // As if bins were independent.
            let error = (count.observed * (1.0 - count.observed) / figure.bins as f64).sqrt();
            let ends = [-error, error].map(|e| axes.at((point.0, (point.1 + e).clamp(floor, 1.3))));
            page.line(ends[0], ends[1], Color::INK, 0.75);
            page.dot(axes.at(point), 2.5, Color::INK);
        }
    }
    let at = (frame.right() - 150.0, frame.y + 14.0);
    page.dot((at.0 + 9.0, at.1), 2.5, Color::INK);
    page.text((at.0 + 23.0, at.1), "observed, ± binomial", Style::sized(SMALL));
    page.line((at.0, at.1 + 17.0), (at.0 + 18.0, at.1 + 17.0), Color::ORANGE, 1.5);
    page.text((at.0 + 23.0, at.1 + 17.0), "model, ± drawing", Style::sized(SMALL));
    axes.draw_frame(page);
}
