//! Spikes over time on a page.

use super::axes::{Axes, Range, label_step};
use super::page::{self, LABELS, MARGIN, SMALL};
use super::scene::{Anchor, Cells, Color, Frame, Scene, Shape, Style};
use crate::cli::plot::figures::raster::{COLUMNS, Mark, RasterFigure};

const LEFT: f64 = 92.0;
/// Height of the rows together, at most and at least.
const ROWS_MAX: f64 = 560.0;
const ROWS_MIN: f64 = 120.0;
const ROW_MAX: u32 = 28;

/// The figure as a page.
pub(crate) fn draw(figure: &RasterFigure) -> Scene {
    let (mut page, top) = page::begin(&figure.words);
    let strip = Frame::new(LEFT, top + 8.0, COLUMNS as f64, 70.0);
    draw_population(&mut page, figure, strip);
    let n = figure.rows.len().max(1);
    let row = ((ROWS_MAX * Scene::DENSITY) as u32 / n as u32).clamp(1, ROW_MAX);
    // Of more neurons than there are pixels, a row shows several.
    let block = n.div_ceil((ROWS_MAX * Scene::DENSITY) as usize);
    let rows = n.div_ceil(block);
    let height = f64::from(row) / Scene::DENSITY * rows as f64;
    let frame = Frame::new(LEFT, strip.bottom() + 16.0, COLUMNS as f64, height);
    draw_marks(&mut page, figure, frame, (row, block));
    let time = Range::linear(figure.from_s, figure.to_s);
    let axes = Axes { frame, x: time, y: Range::linear(0.0, 1.0) };
    draw_time(&mut page, &axes);
    draw_names(&mut page, figure, frame, block);
    let left = frame.right() + 24.0;
    let rates = Frame::new(left, frame.y, page::WIDTH - MARGIN - 12.0 - left, height);
    draw_rates(&mut page, figure, rates, block);
    page::end(page, frame.bottom().max(frame.y + ROWS_MIN / 2.0) + 50.0, &figure.words)
}

/// Spikes per second of all neurons together.
fn draw_population(page: &mut Scene, figure: &RasterFigure, frame: Frame) {
    let most = figure.population.iter().flatten().copied().fold(0.0, f64::max);
    let y = Range::linear(0.0, if most > 0.0 { most * 1.05 } else { 1.0 });
    let axes = Axes { frame, x: Range::linear(figure.from_s, figure.to_s), y };
    let each = frame.width / figure.population.len().max(1) as f64;
    for (place, rate) in figure.population.iter().enumerate() {
        let x = frame.x + place as f64 * each;
        match rate {
            Some(rate) => {
                let top = axes.y(*rate);
                if *rate > 0.0 {
                    page.fill(Frame::new(x, top, each, frame.bottom() - top), Color::BLUE.with_alpha(0.75));
                }
            }
            None => page.fill(Frame::new(x, frame.y, each, frame.height), Color::UNKNOWN),
        }
    }
    axes.draw_y(page, 2, "mean Hz", 62.0);
    axes.draw_frame(page);
}

fn draw_marks(page: &mut Scene, figure: &RasterFigure, frame: Frame, (row, block): (u32, usize)) {
    let color = |marks: &[&Mark]| {
        if marks.contains(&&Mark::Spike) {
            Color::INK.rgb
        } else if marks.iter().all(|mark| **mark == Mark::Unobserved) {
            Color::UNKNOWN.rgb
        } else {
            Color::WHITE.rgb
        }
    };
    let groups: Vec<_> = figure.rows.chunks(block).collect();
    let cells = groups.iter().flat_map(|rows| {
        (0..COLUMNS).map(move |column| color(&rows.iter().map(|row| &row.marks[column]).collect::<Vec<_>>()))
    });
    page.shapes.push(Shape::Cells(Cells {
        x: frame.x,
        y: frame.y,
        columns: COLUMNS,
        rows: groups.len(),
        cell: (Scene::DENSITY as u32, row),
        colors: cells.collect(),
    }));
    // Rows that are high enough are told apart.
    if row >= 8 {
        let each = f64::from(row) / Scene::DENSITY;
        for place in 1..groups.len() {
            let y = frame.y + place as f64 * each;
            page.line((frame.x, y), (frame.right(), y), Color::WHITE, 1.0);
        }
    }
}

fn draw_time(page: &mut Scene, axes: &Axes) {
    axes.draw_frame(page);
    let Axes { frame, .. } = *axes;
    // Ticks alone: lines would look like spikes.
    for (value, text) in crate::cli::plot::figures::ticks::ticks(axes.x.low, axes.x.high, 8) {
        let x = axes.x(value);
        page.line((x, frame.bottom()), (x, frame.bottom() + 4.0), Color::FRAME, 0.5);
        let style = Style::sized(SMALL).anchored(Anchor::Middle).across(Anchor::Start);
        page.text((x, frame.bottom() + 7.0), text, style.colored(Color::SOFT));
    }
    let style = Style::sized(LABELS).anchored(Anchor::Middle).across(Anchor::Start);
    page.text((frame.x + frame.width / 2.0, frame.bottom() + 24.0), "time (s)", style);
}

fn draw_names(page: &mut Scene, figure: &RasterFigure, frame: Frame, block: usize) {
    let rows = figure.rows.len().div_ceil(block);
    let each = frame.height / rows.max(1) as f64;
    let size = SMALL.min((each * 0.95).max(9.0));
    for place in (0..rows).step_by(label_step(rows, each, size + 2.0)) {
        let at = (frame.x - 6.0, frame.y + (place as f64 + 0.5) * each);
        let style = Style::sized(size).anchored(Anchor::End).colored(Color::SOFT);
        page.text(at, &figure.rows[place * block].label, style);
    }
    let style = Style::sized(LABELS).anchored(Anchor::Middle).upwards();
    page.text((frame.x - 62.0, frame.y + frame.height / 2.0), "neuron", style);
}

/// Rates of all of the recording, with their errors.
fn draw_rates(page: &mut Scene, figure: &RasterFigure, frame: Frame, block: usize) {
    let most = figure.rows.iter().filter_map(|row| row.rate.map(|(rate, error)| rate + error));
    let most = most.fold(0.0, f64::max);
    let x = Range::linear(0.0, if most > 0.0 { most * 1.03 } else { 1.0 });
    let axes = Axes { frame, x, y: Range::linear(0.0, 1.0) };
    axes.draw_x(page, 3, "rate (Hz)");
    let rows = figure.rows.len().div_ceil(block);
    let each = frame.height / rows.max(1) as f64;
    for (place, row) in figure.rows.iter().step_by(block).enumerate() {
        let middle = frame.y + (place as f64 + 0.5) * each;
        let Some((rate, error)) = row.rate else { continue };
        let height = (each * 0.6).max(0.5);
        let bar = Frame::new(frame.x, middle - height / 2.0, axes.x(rate) - frame.x, height);
        page.fill(bar, Color::BLUE.with_alpha(0.75));
        if each >= 4.0 {
            let low = axes.x((rate - error).max(0.0));
            page.line((low, middle), (axes.x(rate + error), middle), Color::INK, 1.0);
        }
    }
    axes.draw_frame(page);
}
