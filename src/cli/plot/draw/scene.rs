//! A figure as a list of shapes, in units of a pixel of a plain screen; x grows to the right, y downwards.

/// A colour with its opacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Color {
    pub(crate) rgb: [u8; 3],
    pub(crate) alpha: f64,
}

impl Color {
    pub(crate) const WHITE: Self = Self::of(255, 255, 255);
    pub(crate) const INK: Self = Self::of(34, 34, 34);
    pub(crate) const SOFT: Self = Self::of(95, 95, 95);
    pub(crate) const GRID: Self = Self::of(226, 226, 226);
    pub(crate) const FRAME: Self = Self::of(140, 140, 140);
    /// What nothing is known of.
    pub(crate) const UNKNOWN: Self = Self::of(205, 205, 205);
    pub(crate) const HATCH: Self = Self::of(150, 150, 150);
    pub(crate) const BLUE: Self = Self::of(0, 90, 160);
    pub(crate) const ORANGE: Self = Self::of(200, 85, 0);

    pub(crate) const fn of(red: u8, green: u8, blue: u8) -> Self {
        Self { rgb: [red, green, blue], alpha: 1.0 }
    }

    pub(crate) const fn with_alpha(self, alpha: f64) -> Self {
        Self { alpha, ..self }
    }
}

/// Which part of a text stands at its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// How text stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Style {
    /// Height of a line of type.
    pub(crate) size: f64,
    pub(crate) color: Color,
    /// Along the line.
    pub(crate) anchor: Anchor,
    /// Across it: start = hangs below the point, end = stands on it.
    pub(crate) across: Anchor,
    /// Written upwards.
    pub(crate) upwards: bool,
}

impl Style {
    /// Ink that begins at the point and is centred on it across.
    pub(crate) const fn sized(size: f64) -> Self {
        Self { size, color: Color::INK, anchor: Anchor::Start, across: Anchor::Middle, upwards: false }
    }

    pub(crate) const fn anchored(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    pub(crate) const fn across(self, across: Anchor) -> Self {
        Self { across, ..self }
    }

    pub(crate) const fn colored(self, color: Color) -> Self {
        Self { color, ..self }
    }

    pub(crate) const fn upwards(self) -> Self {
        Self { upwards: true, ..self }
    }
}

/// A rectangle of the page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frame {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Frame {
    pub(crate) const fn new(x: f64, y: f64, width: f64, height: f64) -> Self {
        Self { x, y, width, height }
    }

    pub(crate) fn right(&self) -> f64 {
        self.x + self.width
    }

    pub(crate) fn bottom(&self) -> f64 {
        self.y + self.height
    }
}

/// Cells of one colour each, drawn sharp.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cells {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    /// Pixels of the device, two to a unit, that a cell is wide and high.
    pub(crate) cell: (u32, u32),
    /// Colours, row by row.
    pub(crate) colors: Vec<[u8; 3]>,
}

/// Something drawn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// Filled.
    Box(Frame, Color),
    /// Its edges, with a line inside it that is so wide.
    Outline(Frame, Color, f64),
    Line([(f64, f64); 2], Color, f64),
    Path(Vec<(f64, f64)>, Color, f64),
    Dot((f64, f64), f64, Color),
    Ring((f64, f64), f64, Color),
    Text((f64, f64), String, Style),
    Cells(Cells),
}

/// Everything on one page.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Scene {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) shapes: Vec<Shape>,
}

impl Scene {
    /// Pixels of the device to a unit.
    pub(crate) const DENSITY: f64 = 2.0;

    pub(crate) fn fill(&mut self, frame: Frame, color: Color) {
        self.shapes.push(Shape::Box(frame, color));
    }

    pub(crate) fn outline(&mut self, frame: Frame, color: Color, width: f64) {
        self.shapes.push(Shape::Outline(frame, color, width));
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), color: Color, width: f64) {
        self.shapes.push(Shape::Line([from, to], color, width));
    }

    pub(crate) fn text(&mut self, at: (f64, f64), text: impl Into<String>, style: Style) {
        self.shapes.push(Shape::Text(at, text.into(), style));
    }

    pub(crate) fn dot(&mut self, at: (f64, f64), radius: f64, color: Color) {
        self.shapes.push(Shape::Dot(at, radius, color));
    }

    /// Diagonal strokes in a frame: not known.
    pub(crate) fn hatch(&mut self, frame: Frame, step: f64, color: Color) {
        let (right, bottom) = (frame.right(), frame.bottom());
        let count = ((frame.width + frame.height) / step) as u32;
        for k in 1..=count {
            // The stroke on which x + y is so much more than at the upper left corner.
            let along = f64::from(k) * step;
            let from = (frame.x + along.min(frame.width), frame.y + (along - frame.width).max(0.0));
            let to = (frame.x + (along - frame.height).max(0.0), frame.y + along.min(frame.height));
            if from.0 <= right && to.1 <= bottom {
                self.line(from, to, color, 0.5);
            }
        }
    }

    /// Put a scene below what there is already.
    pub(crate) fn append_below(&mut self, mut other: Self) {
        let down = self.height;
        let moved = |frame: Frame| Frame { y: frame.y + down, ..frame };
        let point = |(x, y): (f64, f64)| (x, y + down);
        for shape in &mut other.shapes {
            match shape {
                Shape::Box(frame, _) | Shape::Outline(frame, ..) => *frame = moved(*frame),
                Shape::Line(ends, ..) => *ends = ends.map(point),
                Shape::Path(points, ..) => points.iter_mut().for_each(|p| *p = point(*p)),
                Shape::Dot(at, ..) | Shape::Ring(at, ..) | Shape::Text(at, ..) => *at = point(*at),
                Shape::Cells(cells) => cells.y += down,
            }
        }
        self.shapes.append(&mut other.shapes);
        self.width = self.width.max(other.width);
        self.height += other.height;
    }
}
