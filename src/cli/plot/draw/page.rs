//! A page: title and facts above, the figure, its caption below.

use super::letters;
use super::scene::{Anchor, Color, Scene, Style};
use crate::cli::plot::figures::Words;

/// Width of every page.
pub(super) const WIDTH: f64 = 1040.0;
/// Room to the left and right of text.
pub(super) const MARGIN: f64 = 22.0;
const TITLE: f64 = 19.0;
const FACTS: f64 = 13.0;
const CAPTION: f64 = 12.5;
/// Height of a line, in sizes of its type.
const LEADING: f64 = 1.42;
/// Type of labels beside axes.
pub(super) const LABELS: f64 = 12.5;
/// Type of what belongs to one row or mark.
pub(super) const SMALL: f64 = 11.0;

/// A page with its title, and how far down it reaches.
pub(super) fn begin(words: &Words) -> (Scene, f64) {
    let mut scene = Scene { width: WIDTH, ..Scene::default() };
    let mut y = 16.0;
    scene.text((MARGIN, y), &words.title, Style::sized(TITLE).across(Anchor::Start));
    y += TITLE * 1.5;
    let style = Style::sized(FACTS).across(Anchor::Start).colored(Color::SOFT);
    y = lines(&mut scene, y, &words.facts, style);
    (scene, y + 8.0)
}

/// End a page below what reaches down to `y`.
pub(super) fn end(mut scene: Scene, y: f64, words: &Words) -> Scene {
    let style = Style::sized(CAPTION).across(Anchor::Start).colored(Color::SOFT);
    // Sentences run on.
    let caption = [words.caption.join(" ")];
    scene.height = (lines(&mut scene, y + 6.0, &caption, style) + 12.0).ceil();
    scene
}

/// Write paragraphs, broken into lines; gives where the next one would begin.
fn lines(scene: &mut Scene, mut y: f64, paragraphs: &[String], style: Style) -> f64 {
    for line in paragraphs.iter().flat_map(|text| wrapped(text, style.size, WIDTH - 2.0 * MARGIN)) {
        scene.text((MARGIN, y), line, style);
        y += style.size * LEADING;
    }
    y
}

/// A text in lines that are at most so long, broken at spaces; a word that is longer is a line of its own.
fn wrapped(text: &str, size: f64, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if letters::width(&format!("{line} {word}"), size) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_spaces_and_nothing_is_lost() {
        let text = "one two three four five six seven eight nine ten";
        let lines = wrapped(text, 10.0, 80.0);
        assert!(lines.len() > 2 && lines.iter().all(|line| letters::width(line, 10.0) <= 80.0), "{lines:?}");
        assert_eq!(lines.join(" "), text);
        assert_eq!(wrapped("incomprehensibilities x", 10.0, 20.0), ["incomprehensibilities", "x"]);
    }
}
