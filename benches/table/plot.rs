//! Times against sizes, both logarithmic, as SVG.

use std::error::Error;
use std::path::Path;

use plotters::prelude::{
    ChartBuilder, Circle, Color, IntoDrawingArea, IntoLogRange, LineSeries, RGBColor, SVGBackend, WHITE,
};
use plotters::style::{BLACK, IntoFont};

use super::row::digits;
use super::scaling::slope;

const LINE: RGBColor = RGBColor(0, 90, 160);
const FAINT: RGBColor = RGBColor(225, 225, 225);

/// What was measured of something at several sizes.
pub(crate) struct Plot {
    /// Name of the file, without `.svg`.
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Plot {
    /// Draw it into a directory.
    pub(crate) fn write(&self, directory: &Path) -> Result<(), Box<dyn Error>> {
        let path = directory.join(self.file).with_extension("svg");
        let area = SVGBackend::new(&path, (560, 380)).into_drawing_area();
        area.fill(&WHITE)?;
        let (x, y) = (decades(self.points.iter().map(|p| p.0)), decades(self.points.iter().map(|p| p.1)));
        let title = format!("{} (slope {:.2})", self.title, slope(&self.points));
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 15).into_font())
            .margin(12)
            .x_label_area_size(42)
            .y_label_area_size(64)
            .build_cartesian_2d((x.0..x.1).log_scale(), (y.0..y.1).log_scale())?;
        chart
            .configure_mesh()
            .light_line_style(FAINT)
            .bold_line_style(FAINT)
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&|x| digits(*x))
            .y_label_formatter(&|y| digits(*y))
            .label_style(("sans-serif", 13).into_font().color(&BLACK))
            .draw()?;
        chart.draw_series(LineSeries::new(self.points.iter().copied(), LINE.stroke_width(2)))?;
        chart.draw_series(self.points.iter().map(|&point| Circle::new(point, 4, LINE.filled())))?;
        area.present()?;
        Ok(())
    }
}

/// The powers of ten around these.
fn decades(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let least = values.clone().fold(f64::INFINITY, f64::min).log10().floor();
    let most = values.fold(0.0, f64::max).log10().ceil();
    (10_f64.powf(least), 10_f64.powf(most.max(least + 1.0)))
}
