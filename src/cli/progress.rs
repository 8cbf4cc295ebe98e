//! Progress bars on stderr, and only on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Manner;

/// A bar over so many bins, with rate and time left; invisible without a terminal.
pub(crate) fn bins(total: u64, manner: Manner) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{prefix:>8} [{wide_bar}] {percent:>3}%  {human_pos} bins  {msg}  {eta} left",
    );
    start(ProgressBar::new(total), style, manner)
}

/// A bar over so many steps of unequal length; invisible without a terminal.
pub(crate) fn steps(total: u64, manner: Manner) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>8} [{wide_bar}] {percent:>3}%  {msg}  {elapsed}");
    let bar = start(ProgressBar::new(total), style, manner);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// A sign of life for work whose length is not known.
pub(crate) fn spinner(what: &'static str, manner: Manner) -> ProgressBar {
    let bar =
        start(ProgressBar::new_spinner(), ProgressStyle::with_template("{spinner} {msg}  {elapsed}"), manner);
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn start<E>(bar: ProgressBar, style: Result<ProgressStyle, E>, manner: Manner) -> ProgressBar {
    if manner.quiet {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    match style {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        // A template that does not parse costs the looks of the bar, not the work.
        Err(_) => bar,
    }
}
