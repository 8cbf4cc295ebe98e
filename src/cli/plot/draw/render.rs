//! Shapes to bytes: PNG, two pixels to a unit, or SVG with text as text.

use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::prelude::BitMapBackend as BitmapBackend;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontTransform, IntoFont, RGBAColor, TextStyle};

use super::letters;
use super::scene::{Anchor, Cells, Color, Frame, Scene, Shape, Style};

/// What SVG asks for: the font that bitmaps are written with, or one that is about as wide.
const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";
/// The library's size of a font for type of size 1 in SVG.
const TYPE: f64 = 1.24;

/// Why there are no bytes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderError {
    #[error("the figure cannot be drawn: {0}")]
    Drawing(String),
    #[error("the figure cannot be written as PNG: {0}")]
    Png(#[from] png::EncodingError),
}

/// A failure of the library, which on bytes in memory there is none of.
fn failed(error: impl std::fmt::Display) -> RenderError {
    RenderError::Drawing(error.to_string())
}

fn device(units: f64) -> i32 {
    (units * Scene::DENSITY).round() as i32
}

fn at((x, y): (f64, f64)) -> (i32, i32) {
    (device(x), device(y))
}

fn rgba(color: Color) -> RGBAColor {
    let [red, green, blue] = color.rgb;
    RGBAColor(red, green, blue, color.alpha)
}

/// The scene as PNG.
pub(crate) fn png(scene: &Scene, title: &str) -> Result<Vec<u8>, RenderError> {
    let (width, height) = size(scene);
    let mut pixels = vec![255u8; width as usize * height as usize * 3];
    {
        let mut backend = BitmapBackend::with_buffer(&mut pixels, (width, height));
        for shape in &scene.shapes {
            match shape {
                Shape::Cells(cells) => draw_cells(&mut backend, cells)?,
                Shape::Text(point, text, style) => letters::write(&mut backend, at(*point), text, style)?,
                shape => draw(&mut backend, shape)?,
            }
        }
        backend.present().map_err(failed)?;
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    // Flat colours repeat; differences between neighbours do not.
    encoder.set_filter(png::Filter::NoFilter);
    // So that the picture is as large on a page as its text is meant to be: pixels per metre of two to a unit, 96 units to an inch.
    let per_metre = (96.0 * Scene::DENSITY / 0.0254).round() as u32;
    let dimensions = png::PixelDimensions { xppu: per_metre, yppu: per_metre, unit: png::Unit::Meter };
    encoder.set_pixel_dims(Some(dimensions));
    encoder.add_itxt_chunk("Title".to_owned(), title.to_owned())?;
    encoder
        .add_text_chunk("Software".to_owned(), concat!("glauber ", env!("CARGO_PKG_VERSION")).to_owned())?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(bytes)
}

/// The scene as SVG, of units that are half as large as those of the scene.
pub(crate) fn svg(scene: &Scene, title: &str, description: &str) -> Result<Vec<u8>, RenderError> {
    let (width, height) = size(scene);
    let mut body = String::new();
    for stretch in scene.shapes.chunk_by(|a, b| is_cells(a) == is_cells(b)) {
        if let [Shape::Cells(_), ..] = stretch {
            for shape in stretch {
                if let Shape::Cells(cells) = shape {
                    body.push_str(&embedded(cells)?);
                }
            }
        } else {
            body.push_str(&drawn(stretch, (width, height))?);
        }
    }
    let (shown_width, shown_height) = (scene.width, scene.height);
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{shown_width}\" height=\"{shown_height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{}</title>\n<desc>{}</desc>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#FFFFFF\"/>\n{body}</svg>\n",
        escaped(title),
        escaped(description),
    )
    .into_bytes())
}

fn is_cells(shape: &Shape) -> bool {
    matches!(shape, Shape::Cells(_))
}

/// Shapes as elements, without the document around them.
fn drawn(shapes: &[Shape], size: (u32, u32)) -> Result<String, RenderError> {
    let mut document = String::new();
    {
        let mut backend = SVGBackend::with_string(&mut document, size);
        for shape in shapes {
            match shape {
                // One element instead of four.
                Shape::Outline(frame, color, width) => draw(&mut backend, &edges(*frame, *color, *width))?,
                shape => draw(&mut backend, shape)?,
            }
        }
        backend.present().map_err(failed)?;
    }
    let inside = document.split_once(">\n").map_or("", |(_, rest)| rest);
    // Centred on digits and capitals instead of small letters.
    Ok(inside.trim_end().trim_end_matches("</svg>").replace("dy=\"0.5ex\"", "dy=\"0.34em\""))
}

/// An outline as one closed line inside its frame.
fn edges(frame: Frame, color: Color, width: f64) -> Shape {
    let half = width / 2.0;
    let (left, top, right, bottom) =
        (frame.x + half, frame.y + half, frame.right() - half, frame.bottom() - half);
    Shape::Path(vec![(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], color, width)
}

fn size(scene: &Scene) -> (u32, u32) {
    let device = |units: f64| (units * Scene::DENSITY).ceil() as u32;
    (device(scene.width), device(scene.height))
}

fn draw<B: DrawingBackend>(backend: &mut B, shape: &Shape) -> Result<(), RenderError> {
    match shape {
        Shape::Box(frame, color) => fill(backend, frame, *color),
        Shape::Outline(frame, color, width) => {
            let Frame { x, y, width: wide, height: high } = *frame;
            let sides = [
                Frame::new(x, y, wide, *width),
                Frame::new(x, y + high - width, wide, *width),
                Frame::new(x, y, *width, high),
                Frame::new(x + wide - width, y, *width, high),
            ];
            sides.iter().try_for_each(|side| fill(backend, side, *color))
        }
        Shape::Line([from, to], color, width) => line(backend, [*from, *to], *color, *width),
        Shape::Path(points, color, width) => {
            let style = rgba(*color).stroke_width(device(*width).max(1).unsigned_abs());
            backend.draw_path(points.iter().map(|&point| at(point)), &style).map_err(failed)
        }
        Shape::Dot(center, radius, color) => {
            let radius = device(*radius).max(1).unsigned_abs();
            backend.draw_circle(at(*center), radius, &rgba(*color), true).map_err(failed)
        }
        Shape::Ring(center, radius, color) => {
            let radius = device(*radius).max(1).unsigned_abs();
            let style = rgba(*color).stroke_width(2);
            backend.draw_circle(at(*center), radius, &style, false).map_err(failed)
        }
        Shape::Text(point, text, style) => write(backend, *point, text, style),
        Shape::Cells(_) => Ok(()),
    }
}

/// Edges lie where those of a neighbour do: on the nearest pixel.
fn fill<B: DrawingBackend>(backend: &mut B, frame: &Frame, color: Color) -> Result<(), RenderError> {
    let (left, top) = at((frame.x, frame.y));
    let (right, bottom) = at((frame.right(), frame.bottom()));
    let corner = (right.max(left + 1), bottom.max(top + 1));
    backend.draw_rect((left, top), corner, &rgba(color), true).map_err(failed)
}

fn line<B: DrawingBackend>(
    backend: &mut B,
    [from, to]: [(f64, f64); 2],
    color: Color,
    width: f64,
) -> Result<(), RenderError> {
    // Straight ones are sharp as boxes.
    if from.0 == to.0 {
        let (top, bottom) = (from.1.min(to.1), from.1.max(to.1));
        return fill(backend, &Frame::new(from.0 - width / 2.0, top, width, bottom - top), color);
    }
    if from.1 == to.1 {
        let (left, right) = (from.0.min(to.0), from.0.max(to.0));
        return fill(backend, &Frame::new(left, from.1 - width / 2.0, right - left, width), color);
    }
    let style = rgba(color).stroke_width(device(width).max(1).unsigned_abs());
    backend.draw_line(at(from), at(to), &style).map_err(failed)
}

fn write<B: DrawingBackend>(
    backend: &mut B,
    point: (f64, f64),
    text: &str,
    style: &Style,
) -> Result<(), RenderError> {
    // What no document may hold, whatever a file says.
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    if text.is_empty() {
        return Ok(());
    }
    let transform = if style.upwards { FontTransform::Rotate270 } else { FontTransform::None };
    let horizontal = match style.anchor {
        Anchor::Start => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::End => HPos::Right,
    };
    let vertical = match style.across {
        Anchor::Start => VPos::Top,
        Anchor::Middle => VPos::Center,
        Anchor::End => VPos::Bottom,
    };
    let font = (FAMILY, style.size * Scene::DENSITY * TYPE).into_font().transform(transform);
    let color = rgba(style.color);
    let style = TextStyle::from(font).pos(Pos::new(horizontal, vertical)).color(&color);
    backend.draw_text(&text, &style, at(point)).map_err(failed)
}

fn draw_cells(backend: &mut BitmapBackend<'_>, cells: &Cells) -> Result<(), RenderError> {
    let (left, top) = at((cells.x, cells.y));
    let (wide, high) = (cells.cell.0 as i32, cells.cell.1 as i32);
    for (place, &rgb) in cells.colors.iter().enumerate() {
        let (column, row) = ((place % cells.columns) as i32, (place / cells.columns) as i32);
        let (x, y) = (left + column * wide, top + row * high);
        let color = rgba(Color { rgb, alpha: 1.0 });
        backend.draw_rect((x, y), (x + wide, y + high), &color, true).map_err(failed)?;
    }
    Ok(())
}

/// Cells as a picture inside the document, a pixel each.
fn embedded(cells: &Cells) -> Result<String, RenderError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, cells.columns as u32, cells.rows as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(cells.colors.as_flattened())?;
    writer.finish()?;
    let (x, y) = at((cells.x, cells.y));
    let (width, height) = (cells.columns * cells.cell.0 as usize, cells.rows * cells.cell.1 as usize);
    Ok(format!(
        "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\" \
         style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>\n",
        base64(&bytes)
    ))
}

/// RFC 4648.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |k: usize| u32::from(three.get(k).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for k in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * k) & 63) as usize];
            text.push(if k <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_control()) {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Width and pixels of a PNG.
    fn decoded(bytes: &[u8]) -> (usize, Vec<[u8; 3]>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgb);
        (info.width as usize, pixels.as_chunks::<3>().0.to_vec())
    }

    #[test]
    fn boxes_and_cells_fill_the_very_pixels_that_are_theirs() {
        let mut scene = Scene { width: 10.0, height: 5.0, ..Scene::default() };
        scene.fill(Frame::new(1.0, 1.0, 2.0, 0.5), Color::BLUE);
        let colors = vec![[1, 2, 3], [4, 5, 6]];
        scene.shapes.push(Shape::Cells(Cells { x: 5.0, y: 2.0, columns: 2, rows: 1, cell: (3, 1), colors }));
        let (width, pixels) = decoded(&png(&scene, "boxes").unwrap());
        assert_eq!((width, pixels.len()), (20, 200));
        let places = |rgb: [u8; 3]| -> Vec<(usize, usize)> {
            let found = pixels.iter().enumerate().filter(|(_, pixel)| **pixel == rgb);
            found.map(|(place, _)| (place % width, place / width)).collect()
        };
        assert_eq!(places(Color::BLUE.rgb), [(2, 2), (3, 2), (4, 2), (5, 2)]);
        assert_eq!(places([1, 2, 3]), [(10, 4), (11, 4), (12, 4)]);
        assert_eq!(places([4, 5, 6]), [(13, 4), (14, 4), (15, 4)]);
    }

    #[test]
    fn letters_are_drawn_and_the_same_scene_gives_the_same_bytes() {
        let mut scene = Scene { width: 60.0, height: 60.0, ..Scene::default() };
        scene.text((5.0, 30.0), "J ± SE", Style::sized(12.0));
        scene.text((50.0, 55.0), "q", Style::sized(12.0).upwards());
        let bytes = png(&scene, "letters").unwrap();
        let (width, pixels) = decoded(&bytes);
        let dark = |pixel: &[u8; 3]| pixel[0] < 100;
        assert!(pixels.iter().filter(|pixel| dark(pixel)).count() > 50);
        // Written upwards: above its point, beside nothing else.
        let right = pixels.iter().enumerate().filter(|(at, pixel)| at % width > 90 && dark(pixel));
        assert!(right.clone().count() > 5 && right.into_iter().all(|(at, _)| at / width <= 110));
        assert_eq!(png(&scene, "letters").unwrap(), bytes);
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        let pairs =
            ["", "", "f", "Zg==", "fo", "Zm8=", "foo", "Zm9v", "foob", "Zm9vYg==", "fooba", "Zm9vYmE="];
        for pair in pairs.chunks(2) {
            assert_eq!(base64(pair[0].as_bytes()), pair[1]);
        }
    }

    #[test]
    fn what_a_name_holds_stays_text() {
        let mut scene = Scene { width: 100.0, height: 20.0, ..Scene::default() };
        scene.text((5.0, 10.0), "a<b>&\"c\"\u{1}", Style::sized(12.0));
        let document = String::from_utf8(svg(&scene, "<t>", "d & e").unwrap()).unwrap();
        assert!(document.contains("a&lt;b&gt;&amp;&quot;c&quot;\n</text>"), "{document}");
        assert!(
            document.contains("<title>&lt;t&gt;</title>") && document.contains("d &amp; e"),
            "{document}"
        );
    }
}
