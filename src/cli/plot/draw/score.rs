//! Scores of estimators on a page.

use super::axes::{Axes, Range};
use super::letters;
use super::page::{self, LABELS, MARGIN, SMALL};
use super::scene::{Anchor, Color, Frame, Scene, Shape, Style};
use crate::cli::plot::figures::score::{Bar, Path, ScoreFigure};
use crate::cli::plot::figures::{signed, with_error};

/// Colours of the paths, told apart with any common colour blindness (Wong 2011), and by the names at their ends.
const PATHS: [Color; 7] = [
    Color::of(0, 114, 178),
    Color::of(213, 94, 0),
    Color::of(0, 158, 115),
    Color::of(204, 121, 167),
    Color::of(120, 94, 240),
    Color::of(130, 100, 20),
    Color::of(60, 60, 60),
];
/// Height of an estimator, at least and at most.
const ROW: f64 = 44.0;
const ROW_MAX: f64 = 80.0;
const GREEN: Color = Color::of(0, 120, 90);

/// The figure as a page.
pub(crate) fn draw(figure: &ScoreFigure) -> Scene {
    let (mut page, top) = page::begin(&figure.words);
    let names = figure.bars.iter().map(|bar| letters::width(&bar.estimator, LABELS)).fold(60.0, f64::max);
    let left = MARGIN + names + 12.0;
    let has_paths = !figure.paths.is_empty();
    let right = if has_paths { 600.0 } else { page::WIDTH - MARGIN } - 92.0;
    let count = figure.bars.len().max(1) as f64;
    let height = if has_paths {
        (ROW_MAX * count).clamp(ROW * count, 240.0_f64.max(ROW * count))
    } else {
        ROW * count
    };
    let frame = Frame::new(left, top + 8.0, right - left, height);
    draw_bars(&mut page, figure, frame);
    let mut bottom = frame.bottom();
    if has_paths {
        let frame = Frame::new(694.0, frame.y, page::WIDTH - MARGIN - 694.0, height.max(240.0));
        draw_paths(&mut page, &figure.paths, frame);
        bottom = bottom.max(frame.bottom() + 24.0 + 16.0 * (figure.paths.len() as f64 / 2.0).ceil());
    }
    page::end(page, bottom + 48.0, &figure.words)
}

fn draw_bars(page: &mut Scene, figure: &ScoreFigure, frame: Frame) {
    let ends = figure.bars.iter().flat_map(|bar| {
        let (bits, error) = bar.recent.unwrap_or((0.0, None));
        let error = error.unwrap_or(0.0);
        [bits - error, bits + error, bar.total.unwrap_or(0.0)]
    });
    let mut ends: Vec<f64> = ends.chain([0.0]).collect();
    // Single neurons stretch the axis as far as the middle nine tenths of them reach.
    let mut neurons: Vec<f64> = figure.bars.iter().flat_map(|bar| bar.neurons.iter().copied()).collect();
    neurons.sort_by(f64::total_cmp);
    let at = |share: f64| neurons.get((share * neurons.len().saturating_sub(1) as f64) as usize).copied();
    ends.extend(at(0.05).into_iter().chain(at(0.95)));
    let (low, high) = (ends.iter().copied().fold(0.0, f64::min), ends.iter().copied().fold(0.0, f64::max));
    let spare = ((high - low) * 0.06).max(0.02);
    let low = if low < 0.0 { low - spare } else { -spare / 2.0 };
    let axes = Axes { frame, x: Range::linear(low, high + spare), y: Range::linear(0.0, 1.0) };
    axes.draw_x(page, 5, "bits per spike over rates");
    for (place, bar) in figure.bars.iter().enumerate() {
        draw_bar(page, bar, &axes, frame.y + (place as f64 + 0.5) * frame.height / figure.bars.len() as f64);
    }
    page.line((axes.x(0.0), frame.y - 4.0), (axes.x(0.0), frame.bottom()), Color::INK, 1.0);
    let style = Style::sized(SMALL).anchored(Anchor::Middle).across(Anchor::End).colored(Color::SOFT);
    page.text((axes.x(0.0), frame.y - 2.0), "rates alone", style);
    axes.draw_frame(page);
    page.line((axes.x(0.0), frame.y), (axes.x(0.0), frame.bottom()), Color::INK, 1.0);
}

fn draw_bar(page: &mut Scene, bar: &Bar, axes: &Axes, y: f64) {
    let frame = axes.frame;
    page.text((frame.x - 8.0, y - 6.0), &bar.estimator, Style::sized(LABELS).anchored(Anchor::End));
    let style = Style::sized(SMALL).anchored(Anchor::End).colored(Color::SOFT);
    page.text((frame.x - 8.0, y + 9.0), format!("ridge {}", bar.ridge), style);
    let Some((bits, error)) = bar.recent else {
        page.text((axes.x(0.0) + 8.0, y), "not scored", Style::sized(SMALL).colored(Color::SOFT));
        return;
    };
    let (from, to) = (axes.x(bits.min(0.0)), axes.x(bits.max(0.0)));
    let color = if bits < 0.0 { Color::ORANGE } else { GREEN };
    page.fill(Frame::new(from, y - 8.0, to - from, 12.0), color.with_alpha(0.8));
    if let Some(error) = error {
        page.line((axes.x(bits - error), y - 2.0), (axes.x(bits + error), y - 2.0), Color::INK, 1.5);
    }
    for (place, &neuron) in bar.neurons.iter().enumerate() {
        if axes.x.holds(neuron) {
            // Spread over a few lines, so that equal ones are seen.
            let down = 9.0 + (place * 7 % 5) as f64 * 1.6;
            page.dot((axes.x(neuron), y + down), 1.5, Color::SOFT.with_alpha(0.55));
        }
    }
    if let Some(total) = bar.total.filter(|total| axes.x.holds(*total)) {
        diamond(page, (axes.x(total), y - 2.0));
    }
    let score = match error {
        Some(error) => with_error(bits, error),
        None => format!("{} ± ?", signed(bits, 2)),
    };
    page.text((frame.right() + 8.0, y - 2.0), score, Style::sized(SMALL));
}

fn diamond(page: &mut Scene, (x, y): (f64, f64)) {
    const R: f64 = 4.0;
    let corners = vec![(x, y - R), (x + R, y), (x, y + R), (x - R, y), (x, y - R)];
    page.shapes.push(Shape::Path(corners.clone(), Color::WHITE, 2.0));
    page.shapes.push(Shape::Path(corners, Color::INK, 1.0));
}

/// Recent scores against the ridge; the ridges stand evenly, as they grow by factors and begin at 0.
fn draw_paths(page: &mut Scene, paths: &[Path], frame: Frame) {
    let mut ridges: Vec<f64> =
        paths.iter().flat_map(|path| path.points.iter().map(|point| point.0)).collect();
    ridges.sort_by(f64::total_cmp);
    ridges.dedup();
    let values = paths.iter().flat_map(|path| path.points.iter().map(|point| point.1));
    let (best, worst) = (values.clone().fold(f64::MIN, f64::max), values.fold(f64::MAX, f64::min));
    // What fails badly leaves the panel, lest all else be flat.
    let low = worst.max(best.min(0.0) - 1.5 * best.abs().max(0.5)).min(0.0);
    let high = best.max(0.0);
    let spare = (high - low) * 0.06;
    let last = ridges.len().saturating_sub(1).max(1) as f64;
    let axes =
        Axes { frame, x: Range::linear(-0.3, last + 0.3), y: Range::linear(low - spare, high + spare) };
    axes.draw_y(page, 5, "bits per spike", 46.0);
    let style = Style::sized(SMALL).anchored(Anchor::Middle).across(Anchor::Start).colored(Color::SOFT);
    for (place, ridge) in ridges.iter().enumerate() {
        page.text((axes.x(place as f64), frame.bottom() + 5.0), ridge.to_string(), style);
    }
    let style = Style::sized(LABELS).anchored(Anchor::Middle).across(Anchor::Start);
    page.text((frame.x + frame.width / 2.0, frame.bottom() + 22.0), "ridge", style);
    page.line((frame.x, axes.y(0.0)), (frame.right(), axes.y(0.0)), Color::INK, 1.0);
    for (k, path) in paths.iter().enumerate() {
        let color = PATHS[k % PATHS.len()];
        let place = |ridge: f64| ridges.iter().position(|&r| r == ridge).unwrap_or(0) as f64;
        let points: Vec<(f64, (f64, f64))> =
            path.points.iter().map(|&(ridge, bits)| (ridge, (place(ridge), bits))).collect();
        for stretch in points.split(|(_, point)| !axes.holds(*point)) {
            let line = stretch.iter().map(|(_, point)| axes.at(*point)).collect();
            page.shapes.push(Shape::Path(line, color, 1.5));
        }
        for (ridge, point) in points.iter().filter(|(_, point)| axes.holds(*point)) {
            page.dot(axes.at(*point), 2.0, color);
            if *ridge == path.chosen {
                page.shapes.push(Shape::Ring(axes.at(*point), 5.0, color));
            }
        }
        let at =
            (frame.x + (k % 2) as f64 * frame.width / 2.0, frame.bottom() + 52.0 + 16.0 * (k / 2) as f64);
        page.line(at, (at.0 + 18.0, at.1), color, 2.0);
        page.text((at.0 + 23.0, at.1), &path.estimator, Style::sized(SMALL));
    }
    axes.draw_frame(page);
}
