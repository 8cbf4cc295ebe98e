//! The only place that writes to the terminal: results to stdout, everything about the work to stderr.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::error::CliError;
use super::log;

/// A table without frames: aligned columns and one rule under the header.
const PLAIN: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Write text to stdout, control characters but the end of a line spelled out.
///
/// # Errors
/// [`CliError::StdoutClosed`] when the reader of a pipe has gone, which is no failure of ours.
pub(crate) fn print(text: fmt::Arguments<'_>) -> Result<(), CliError> {
    write(&printable(&text.to_string()))
}

/// Write text that a program reads to stdout, as it is.
pub(crate) fn bytes(text: &[u8]) -> Result<(), CliError> {
    write_bytes(text)
}

/// Go back up over so many lines of the terminal and clear what follows.
pub(crate) fn clear_lines(lines: usize) -> Result<(), CliError> {
    write(&format!("\x1b[{lines}A\x1b[J"))
}

/// The text with control characters spelled out, as JSON does: names come from files and daemons, and must not steer the
/// terminal.
fn printable(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\n';
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if steers(c) { out.push_str(&format!("\\u{:04x}", c as u32)) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// What is written meanwhile, for someone else to print.
static CAPTURED: Mutex<Option<String>> = Mutex::new(None);

/// What `work` prints, instead of printing it.
pub(crate) fn captured(work: impl FnOnce() -> Result<(), CliError>) -> Result<String, CliError> {
    *CAPTURED.lock().unwrap_or_else(PoisonError::into_inner) = Some(String::new());
    let done = work();
    let text = CAPTURED.lock().unwrap_or_else(PoisonError::into_inner).take();
    done.map(|()| text.unwrap_or_default())
}

fn write(text: &str) -> Result<(), CliError> {
    if let Some(captured) = CAPTURED.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        captured.push_str(text);
        return Ok(());
    }
    write_bytes(text.as_bytes())
}

fn write_bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => CliError::StdoutClosed,
        _ => CliError::Stdout { source: error },
    })
}

/// Write one line of results to stdout.
macro_rules! outln {
    ($($arg:tt)*) => { $crate::cli::output::print(format_args!("{}\n", format_args!($($arg)*))) };
}
pub(crate) use outln;

/// Tell the user about the work, on stderr; nothing is lost when nobody listens.
pub(crate) fn note(text: fmt::Arguments<'_>) {
    if log::is_json() {
        let _ = writeln!(io::stderr().lock(), "{}", log::line("INFO", text));
        return;
    }
    let _ = writeln!(io::stderr().lock(), "{}", printable(&text.to_string()));
}

/// Print one JSON document over several lines.
pub(crate) fn json(value: &serde_json::Value) -> Result<(), CliError> {
    outln!("{value:#}")
}

/// Print one JSON document on one line, for streams of them.
pub(crate) fn json_line(value: &serde_json::Value) -> Result<(), CliError> {
    outln!("{value}")
}

/// Whether stdout is a terminal.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether stderr may be coloured: it is a terminal and the user has not declined.
pub(crate) fn stderr_has_color() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Print the one line an error gets.
pub(crate) fn error(error: &CliError) {
    // A message from elsewhere may span lines; scripts and people grep for one.
    let text = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    if log::is_json() {
        let _ = writeln!(io::stderr().lock(), "{}", log::line("ERROR", text));
    } else if stderr_has_color() {
        let red = anstyle::AnsiColor::Red.on_default().bold();
        let _ = writeln!(io::stderr().lock(), "{red}error:{red:#} {}", printable(&text));
    } else {
        note(format_args!("error: {text}"));
    }
}

/// Which side a column's cells lean to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Lines of the terminal, `None` without one.
pub(crate) fn terminal_lines() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(_, height)| usize::from(height.0))
}

/// A table of the given columns. They keep their width: a number broken over lines is worse than a long line.
pub(crate) fn table(columns: &[(&str, Align)]) -> Table {
    let mut table = Table::new();
    table.load_style(PLAIN).set_content_arrangement(ContentArrangement::Disabled);
    if !stdout_is_terminal() {
        table.force_no_tty();
    }
    table.set_header(columns.iter().map(|&(name, align)| Cell::new(name).set_alignment(align.into())));
    for (index, &(_, align)) in columns.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            // The rule would go on under blanks after the last column.
            column.set_padding((0, if index + 1 == columns.len() { 0 } else { 2 }));
            column.set_cell_alignment(align.into());
        }
    }
    table
}

/// Print a table, without blanks at the line ends.
pub(crate) fn print_table(table: &Table) -> Result<(), CliError> {
    outln!("{}", table.trim_fmt())
}

/// Print facts, one per line, the values aligned.
pub(crate) fn print_facts(facts: &[(&str, String)]) -> Result<(), CliError> {
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in facts {
        outln!("{name:<width$}  {value}")?;
    }
    Ok(())
}

impl From<Align> for CellAlignment {
    fn from(align: Align) -> Self {
        match align {
            Align::Left => Self::Left,
            Align::Right => Self::Right,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelled_out() {
        assert_eq!(printable("a\nb é"), "a\nb é");
        assert_eq!(printable("\u{1b}[2J\r\u{9b}"), "\\u001b[2J\\u000d\\u009b");
    }

    #[test]
    fn columns_are_never_broken() {
        let mut table = table(&[("number of bins", Align::Right), ("file", Align::Left)]);
        table.set_width(12).add_row(["123,456,789", "a long name of a file"]);
        assert_eq!(table.trim_fmt().lines().count(), 3);
    }
}
