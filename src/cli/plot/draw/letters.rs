//! Letters in bitmaps, from a font that is part of the program.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, InvalidFont, PxScale, ScaleFont, point};
use plotters::backend::DrawingBackend;
use plotters::prelude::BitMapBackend as BitmapBackend;
use plotters::style::RGBAColor;

use super::render::RenderError;
use super::scene::{Anchor, Scene, Style};

static FONT: LazyLock<Result<FontRef<'static>, InvalidFont>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("../../../../assets/fonts/DejaVuSans-subset.ttf"))
});
/// Where the baseline is below the middle of digits and capitals, and above and below the edges of a line, in sizes of type.
const MIDDLE: f64 = 0.34;
const TOP: f64 = 0.76;
const BOTTOM: f64 = -0.27;

/// How long a text of such a size is.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    let Ok(font) = FONT.as_ref() else { return 0.0 };
    let font = font.as_scaled(scale(font, size));
    text.chars().map(|c| f64::from(font.h_advance(font.glyph_id(c)))).sum()
}

/// The library's scale for type whose em is so large.
fn scale(font: &FontRef<'_>, em: f64) -> PxScale {
    let units = font.units_per_em().unwrap_or(1000.0);
    PxScale::from(em as f32 * font.height_unscaled() / units)
}

/// Write a text at a pixel.
pub(super) fn write(
    backend: &mut BitmapBackend<'_>,
    at: (i32, i32),
    text: &str,
    style: &Style,
) -> Result<(), RenderError> {
    let Ok(font) = FONT.as_ref() else { return Err(RenderError::Drawing("its font is damaged".to_owned())) };
    let em = style.size * Scene::DENSITY;
    let scale = scale(font, em);
    let advance = font.as_scaled(scale);
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let mut along = match style.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => -width(&text, em) / 2.0,
        Anchor::End => -width(&text, em),
    } as f32;
    let baseline = match style.across {
        Anchor::Start => TOP,
        Anchor::Middle => MIDDLE,
        Anchor::End => BOTTOM,
    } * em;
    let [red, green, blue] = style.color.rgb;
    let mut outcome = Ok(());
    for c in text.chars() {
        let id = font.glyph_id(c);
        let glyph = id.with_scale_and_position(scale, point(along, baseline.round() as f32));
        along += advance.h_advance(id);
        let Some(outline) = font.outline_glyph(glyph) else { continue };
        let corner = outline.px_bounds().min;
        outline.draw(|x, y, coverage| {
            let (x, y) = (corner.x as i32 + x as i32, corner.y as i32 + y as i32);
            let (x, y) = if style.upwards { (y, -x) } else { (x, y) };
            let color = RGBAColor(red, green, blue, style.color.alpha * f64::from(coverage.clamp(0.0, 1.0)));
            let (x, y) = (at.0 + x, at.1 + y);
            if coverage > 0.0 && x >= 0 && y >= 0 && outcome.is_ok() {
                outcome = backend.draw_pixel((x, y), plotters::style::Color::to_backend_color(&color));
            }
        });
    }
    outcome.map_err(|error| RenderError::Drawing(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sign_that_figures_use_is_in_the_font() {
        let font = FONT.as_ref().unwrap();
        for sign in "−±≤≥→←…–—·⟨⟩×λμσρΣ√∞≈ᵢⱼ₁₂éüßЯ".chars() {
            assert_ne!(font.glyph_id(sign).0, 0, "{sign}");
        }
    }

    #[test]
    fn a_text_is_as_long_as_its_letters_and_in_proportion_to_its_size() {
        let one = width("m", 10.0);
        assert!(one > 5.0 && (width("mm", 20.0) - 4.0 * one).abs() < 1e-3, "{one}");
        assert_eq!(width("", 10.0), 0.0);
    }
}
