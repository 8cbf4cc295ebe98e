//! A panel with axes: where a value lies in it, and the numbers along its edges.

use super::page::{LABELS, SMALL};
use super::scene::{Anchor, Color, Frame, Scene, Style};
use crate::cli::plot::figures::ticks;

/// Values from one edge of a panel to the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    pub(super) low: f64,
    pub(super) high: f64,
    /// By powers of ten; both ends are above 0.
    pub(super) logarithmic: bool,
}

impl Range {
    pub(super) const fn linear(low: f64, high: f64) -> Self {
        Self { low, high, logarithmic: false }
    }

    pub(super) const fn logarithmic(low: f64, high: f64) -> Self {
        Self { low, high, logarithmic: true }
    }

    /// Where a value lies, 0 at the low end and 1 at the high one.
    fn share(&self, value: f64) -> f64 {
        let of = |value: f64| if self.logarithmic { value.ln() } else { value };
        (of(value) - of(self.low)) / (of(self.high) - of(self.low))
    }

    pub(super) fn holds(&self, value: f64) -> bool {
        let slack = 1e-9 * (self.high - self.low);
        value.is_finite() && value >= self.low - slack && value <= self.high + slack
    }

    fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        if self.logarithmic {
            ticks::decades(self.low, self.high)
        } else {
            ticks::ticks(self.low, self.high, count)
        }
    }
}

/// A panel whose x and y are values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axes {
    pub(super) frame: Frame,
    pub(super) x: Range,
    pub(super) y: Range,
}

impl Axes {
    pub(super) fn x(&self, value: f64) -> f64 {
        self.frame.x + self.x.share(value) * self.frame.width
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        self.frame.bottom() - self.y.share(value) * self.frame.height
    }

    pub(super) fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x(x), self.y(y))
    }

    /// Whether a point lies in the panel.
    pub(super) fn holds(&self, (x, y): (f64, f64)) -> bool {
        self.x.holds(x) && self.y.holds(y)
    }

    /// Numbers below, lines above them, and what they are.
    pub(super) fn draw_x(&self, scene: &mut Scene, count: usize, name: &str) {
        let Frame { y: top, height, .. } = self.frame;
        let bottom = top + height;
        for (value, text) in self.x.ticks(count) {
            let x = self.x(value);
            scene.line((x, top), (x, bottom), Color::GRID, 0.5);
            let style = Style::sized(SMALL).anchored(Anchor::Middle).across(Anchor::Start);
            scene.text((x, bottom + 5.0), text, style.colored(Color::SOFT));
        }
        let style = Style::sized(LABELS).anchored(Anchor::Middle).across(Anchor::Start);
        scene.text((self.frame.x + self.frame.width / 2.0, bottom + 22.0), name, style);
    }

    /// Numbers to the left, lines to the right of them, and what they are, `room` to the left of the panel.
    pub(super) fn draw_y(&self, scene: &mut Scene, count: usize, name: &str, room: f64) {
        let Frame { x: left, width, .. } = self.frame;
        for (value, text) in self.y.ticks(count) {
            let y = self.y(value);
            scene.line((left, y), (left + width, y), Color::GRID, 0.5);
            scene.text((left - 6.0, y), text, Style::sized(SMALL).anchored(Anchor::End).colored(Color::SOFT));
        }
        let style = Style::sized(LABELS).anchored(Anchor::Middle).upwards();
        scene.text((left - room, self.frame.y + self.frame.height / 2.0), name, style);
    }

    /// The edges of the panel.
    pub(super) fn draw_frame(&self, scene: &mut Scene) {
        let Frame { x, y, width, height } = self.frame;
        scene.outline(Frame::new(x - 0.5, y - 0.5, width + 1.0, height + 1.0), Color::FRAME, 0.5);
    }
}

/// Which of so many labels in a row there is room for: every first, second, fifth, … one.
pub(super) fn label_step(count: usize, each: f64, needed: f64) -> usize {
    let least = (needed / each.max(1e-6)).ceil().max(1.0) as usize;
    let powers = (0..9).map(|k| 10_usize.pow(k));
    let round = powers.flat_map(|power| [power, 2 * power, 5 * power]).find(|&step| step >= least);
    round.unwrap_or(count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_never_stand_closer_than_they_need() {
        assert_eq!(label_step(20, 28.0, 14.0), 1);
        assert_eq!(label_step(60, 9.3, 14.0), 2);
        assert_eq!(label_step(400, 1.4, 14.0), 10);
        assert_eq!(label_step(1120, 0.5, 14.0), 50);
    }

    #[test]
    fn values_lie_between_the_edges() {
        let frame = Frame::new(10.0, 20.0, 100.0, 50.0);
        let axes = Axes { frame, x: Range::linear(-1.0, 1.0), y: Range::logarithmic(0.01, 1.0) };
        assert_eq!(axes.at((0.0, 0.1)), (60.0, 45.0));
        assert!(axes.holds((1.0, 0.01)) && !axes.holds((1.1, 0.5)) && !axes.holds((0.0, f64::NAN)));
    }
}
