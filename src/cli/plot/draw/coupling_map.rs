//! The matrix of couplings on a page.

use super::axes::label_step;
use super::page::{self, LABELS, MARGIN, SMALL};
use super::scene::{Anchor, Cells, Color, Frame, Scene, Style};
use super::{letters, scene};
use crate::cli::plot::figures::coupling_map::{Cell, CouplingMap};
use crate::cli::plot::figures::{signed, ticks, with_error};
use crate::cli::text;

/// Room that the matrix has, and where it begins.
const MATRIX: f64 = 560.0;
const LEFT: f64 = 82.0;
/// Room to the left of the names of rows.
const CELL_MAX: u32 = 96;
/// Least height of a row that is hatched, not grey alone, and that is outlined.
const HATCHED_MIN: f64 = 5.0;

/// The figure as a page.
pub(crate) fn draw(map: &CouplingMap) -> Scene {
    let (mut page, top) = page::begin(&map.words);
    let n = map.size().max(1);
    let cell = ((MATRIX * Scene::DENSITY) as u32 / n as u32).clamp(1, CELL_MAX);
    let side = f64::from(cell) / Scene::DENSITY * n as f64;
    let matrix = Frame::new(LEFT, top + 22.0, side, side);
    draw_matrix(&mut page, map, matrix, cell);
    draw_names(&mut page, map, matrix);
    let bar = Frame::new(matrix.right() + 18.0, matrix.y, 14.0, side.clamp(160.0, 260.0));
    draw_bar(&mut page, map, bar);
    let right = bar.right() + 52.0;
    let mut below = matrix.y;
    if !map.outlined {
        below = draw_significant(&mut page, map, right, matrix.y);
    }
    let listed = draw_list(
        &mut page,
        map,
        Frame::new(right, below, page::WIDTH - MARGIN - right, matrix.bottom() - below),
    );
    page::end(page, matrix.bottom().max(bar.bottom() + 24.0).max(listed) + 44.0, &map.words)
}

fn draw_matrix(page: &mut Scene, map: &CouplingMap, matrix: Frame, cell: u32) {
    let n = map.size();
    let colors = map.cells.iter().map(|cell| match cell {
        Cell::Coupling(value) => map.scale.color(*value),
        Cell::Unknown => Color::UNKNOWN.rgb,
    });
    page.shapes.push(scene::Shape::Cells(Cells {
        x: matrix.x,
        y: matrix.y,
        columns: n,
        rows: n,
        cell: (cell, cell),
        colors: colors.collect(),
    }));
    let size = f64::from(cell) / Scene::DENSITY;
    if size >= HATCHED_MIN {
        for &row in &map.invalid {
            let strip = Frame::new(matrix.x, matrix.y + row as f64 * size, matrix.width, size);
            page.hatch(strip, 7.0, Color::HATCH);
        }
    }
    if map.outlined {
        let width = if size >= 12.0 { 1.0 } else { 0.5 };
        for &(row, column) in &map.significant {
            let (x, y) = (matrix.x + column as f64 * size, matrix.y + row as f64 * size);
            page.outline(Frame::new(x, y, size, size), Color::INK, width);
        }
    }
    let around = Frame::new(matrix.x - 0.5, matrix.y - 0.5, matrix.width + 1.0, matrix.height + 1.0);
    page.outline(around, Color::FRAME, 0.5);
}

/// Names of rows to the left, of columns below, as far as there is room.
fn draw_names(page: &mut Scene, map: &CouplingMap, matrix: Frame) {
    let n = map.size();
    let each = matrix.width / n.max(1) as f64;
    let type_size = SMALL.min((each * 0.92).max(9.0));
    let longest = map.labels.iter().map(|label| letters::width(label, type_size)).fold(0.0, f64::max);
    let upright = longest + 6.0 > each * label_step(n, each, type_size + 3.0) as f64;
    let needed = if upright { type_size + 3.0 } else { (longest + 6.0).max(type_size + 3.0) };
    let rows = label_step(n, each, type_size + 3.0);
    let columns = label_step(n, each, needed);
    let style = Style::sized(type_size).colored(Color::SOFT);
    let middle = |place: usize| (place as f64 + 0.5) * each;
    for place in (0..n).step_by(rows) {
        let at = (matrix.x - 5.0, matrix.y + middle(place));
        page.text(at, &map.labels[place], style.anchored(Anchor::End));
    }
    for place in (0..n).step_by(columns) {
        let at = (matrix.x + middle(place), matrix.bottom() + 5.0);
        if upright {
            page.text(at, &map.labels[place], style.anchored(Anchor::End).upwards());
        } else {
            page.text(at, &map.labels[place], style.anchored(Anchor::Middle).across(Anchor::Start));
        }
    }
    let room = if upright { longest } else { type_size } + 14.0;
    let style = Style::sized(LABELS).anchored(Anchor::Middle);
    let center = (matrix.x + matrix.width / 2.0, matrix.y + matrix.height / 2.0);
    page.text((center.0, matrix.bottom() + room), "sender j", style.across(Anchor::Start));
    page.text((matrix.x - longest - 16.0, center.1), "receiver i", style.upwards());
}

fn draw_bar(page: &mut Scene, map: &CouplingMap, bar: Frame) {
    const STEPS: usize = 201;
    let limit = map.scale.limit;
    let rows = (bar.height * Scene::DENSITY) as usize;
    let value = |row: usize| limit * (1.0 - 2.0 * row as f64 / (rows - 1) as f64);
    let level = |value: f64| (value / limit * (STEPS / 2) as f64).round() / (STEPS / 2) as f64 * limit;
    page.shapes.push(scene::Shape::Cells(Cells {
        x: bar.x,
        y: bar.y,
        columns: 1,
        rows,
        cell: ((bar.width * Scene::DENSITY) as u32, 1),
        colors: (0..rows).map(|row| map.scale.color(level(value(row)))).collect(),
    }));
    page.outline(Frame::new(bar.x - 0.5, bar.y - 0.5, bar.width + 1.0, bar.height + 1.0), Color::FRAME, 0.5);
    let style = Style::sized(SMALL).colored(Color::SOFT);
    for (value, text) in ticks::ticks(-limit, limit, 5) {
        let y = bar.y + (1.0 - value / limit) / 2.0 * bar.height;
        page.line((bar.right(), y), (bar.right() + 3.0, y), Color::FRAME, 0.5);
        page.text((bar.right() + 6.0, y), text, style);
    }
    page.text((bar.x, bar.y - 12.0), "J", Style::sized(LABELS));
    if !map.invalid.is_empty() {
        let patch = Frame::new(bar.x, bar.bottom() + 14.0, bar.width, 10.0);
        page.fill(patch, Color::UNKNOWN);
        page.hatch(patch, 7.0, Color::HATCH);
        page.text((bar.right() + 6.0, patch.y + 5.0), "none", style);
    }
}

/// Which pairs are significant, small; gives where it ends.
fn draw_significant(page: &mut Scene, map: &CouplingMap, x: f64, y: f64) -> f64 {
    const SIDE: f64 = 200.0;
    let n = map.size();
    let points = ((SIDE * Scene::DENSITY) as usize).min(n.max(1));
    let cell = ((SIDE * Scene::DENSITY) as u32 / points as u32).max(1);
    let mut colors = vec![Color::WHITE.rgb; points * points];
    for &(row, column) in &map.significant {
        let place = |at: usize| at * points / n;
        let color = match map.cells[row * n + column] {
            Cell::Coupling(value) if value < 0.0 => Color::BLUE,
            _ => Color::ORANGE,
        };
        colors[place(row) * points + place(column)] = color.rgb;
    }
    let side = f64::from(cell) / Scene::DENSITY * points as f64;
    page.text((x, y - 12.0), "q ≤ 0.05, by sign", Style::sized(LABELS));
    page.shapes.push(scene::Shape::Cells(Cells {
        x,
        y,
        columns: points,
        rows: points,
        cell: (cell, cell),
        colors,
    }));
    page.outline(Frame::new(x - 0.5, y - 0.5, side + 1.0, side + 1.0), Color::FRAME, 0.5);
    y + side + 38.0
}

/// A q in a few letters.
fn q_words(q: f64) -> String {
    if q < 1e-99 { "<1e−99".to_owned() } else { text::probability(q).replace('-', "−") }
}

/// The surest pairs with their errors; gives where the list ends.
fn draw_list(page: &mut Scene, map: &CouplingMap, frame: Frame) -> f64 {
    const ROW: f64 = 19.0;
    if map.listed.is_empty() {
        page.text((frame.x, frame.y), "no pair can be estimated", Style::sized(LABELS));
        return frame.y + ROW;
    }
    let room = frame.height.max(6.0 * ROW);
    let rows = map.listed.len().min((room / ROW) as usize);
    let listed = &map.listed[..rows];
    page.text((frame.x, frame.y - 12.0), &map.list_title, Style::sized(LABELS));
    let names = listed.iter().map(|pair| letters::width(&pair.pair, SMALL)).fold(0.0, f64::max);
    let numbers = 156.0;
    let (left, right) = (frame.x + names + 8.0, frame.right() - numbers);
    let reach = |end: f64| {
        let ends = listed.iter().map(|pair| pair.coupling + end * pair.standard_error);
        ends.fold(0.0, if end > 0.0 { f64::max } else { f64::min })
    };
    let (low, high) = (reach(-1.0), reach(1.0));
    let x = |value: f64| left + (value - low) / (high - low).max(1e-300) * (right - left);
    let bottom = frame.y + rows as f64 * ROW;
    page.line((x(0.0), frame.y), (x(0.0), bottom), Color::FRAME, 0.5);
    for (row, pair) in listed.iter().enumerate() {
        let y = frame.y + (row as f64 + 0.5) * ROW;
        let color = if pair.coupling < 0.0 { Color::BLUE } else { Color::ORANGE };
        page.text((frame.x, y), &pair.pair, Style::sized(SMALL));
        let (from, to) = (pair.coupling - pair.standard_error, pair.coupling + pair.standard_error);
        page.line((x(from), y), (x(to), y), color, 1.5);
        page.dot((x(pair.coupling), y), 2.5, color);
        let style = Style::sized(SMALL).anchored(Anchor::End).colored(Color::SOFT);
        let value = with_error(pair.coupling, pair.standard_error);
        page.text((frame.right() - 52.0, y), value, style);
        page.text((frame.right(), y), q_words(pair.q), style);
    }
    let style = Style::sized(SMALL).across(Anchor::Start).colored(Color::SOFT);
    page.text((x(0.0), bottom + 3.0), "0", style.anchored(Anchor::Middle));
    let end = if high > -low { high } else { low };
    if (x(end) - x(0.0)).abs() > 40.0 {
        page.text((x(end), bottom + 3.0), signed(end, 2), style.anchored(Anchor::Middle));
    }
    bottom + 16.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plot::draw::scene::Shape;
    use crate::cli::plot::figures::order::Sort;
    use crate::cli::plot::figures::tests::{couplings, material};

    #[test]
    fn each_cell_has_the_colour_of_its_coupling_and_unknown_ones_are_grey() {
        let mut found = couplings(3, |i, j| [[0.1, -0.5, 0.2], [0.4, 0.0, 0.0], [0.0, 0.0, 0.0]][i][j]);
        found.status[2] = "SILENT".to_owned();
        let map = CouplingMap::of(&material(3), &found, Sort::Index, Some(0.5));
        let scene = draw(&map);
        let is_matrix = |shape: &&Shape| matches!(shape, Shape::Cells(cells) if cells.columns == 3);
        let Some(Shape::Cells(cells)) = scene.shapes.iter().find(is_matrix) else { panic!("no matrix") };
        assert_eq!(cells.colors[1], map.scale.color(-0.5));
        assert_eq!(cells.colors[3], map.scale.color(0.4));
        assert!(cells.colors[6..].iter().all(|color| *color == Color::UNKNOWN.rgb));
        // In the picture, a little inside the cell of receiver 0 and sender 1.
        let bytes = crate::cli::plot::draw::png(&scene, "matrix").unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        let (x, y) = ((cells.x * Scene::DENSITY) as u32, (cells.y * Scene::DENSITY) as u32);
        let pixel = |row: u32, column: u32| {
            let (x, y) =
                (x + column * cells.cell.0 + cells.cell.0 / 3, y + row * cells.cell.1 + cells.cell.1 / 3);
            let at = (y * info.width + x) as usize * 3;
            [pixels[at], pixels[at + 1], pixels[at + 2]]
        };
        assert_eq!([pixel(0, 1), pixel(1, 0)], [map.scale.color(-0.5), map.scale.color(0.4)]);
    }

    #[test]
    fn no_two_names_of_many_neurons_stand_on_each_other() {
        let map =
            CouplingMap::of(&material(400), &couplings(400, |i, j| (i + j) as f64 * 1e-4), Sort::Index, None);
        let scene = draw(&map);
        let rows: Vec<f64> = scene
            .shapes
            .iter()
            .filter_map(|shape| match shape {
                Shape::Text((x, y), _, style)
                    if *x < LEFT && style.anchor == Anchor::End && !style.upwards =>
                {
                    Some(*y)
                }
                _ => None,
            })
            .collect();
        assert!(rows.len() > 10 && rows.windows(2).all(|two| two[1] - two[0] >= 9.0), "{rows:?}");
    }
}
