//! `glauber watch`: the strongest couplings, each time new ones are published.

use clap::Args;
use glauber::proto::v1;

use super::Manner;
use super::client::{Daemon, Publication};
use super::couplings::{self, SelectionArgs};
use super::error::CliError;
use super::output::{self, outln};
use super::pairs::{self, Pair};

/// Follow the strongest couplings of a session as they are published
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
On a terminal the table is redrawn in place; otherwise each publication is printed below the one before, with --json as one JSON document per line. Ends when the session is closed.

Examples:
  glauber watch
  glauber watch --session retina --estimator tap --top 10
  glauber watch --estimator best --q 0.05
  glauber watch --count 5 --json")]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    selection: SelectionArgs,
    /// Stop after so many publications
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

pub(crate) async fn run(args: WatchArgs, manner: Manner) -> Result<(), CliError> {
    tokio::select! {
        followed = follow(args, manner) => followed,
        // Ctrl-C is how one leaves: no error.
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn follow(args: WatchArgs, manner: Manner) -> Result<(), CliError> {
    let daemon = Daemon::connect(&args.selection.connect).await?;
    let session = daemon.select(args.selection.session.as_deref()).await?;
    let mut stream = daemon.watch(args.selection.query(&session)).await?;
    let redraws = output::stdout_is_terminal() && !manner.json;
    let mut screen = Screen { json: manner.json, redraws, lines: 0, left: args.count };
    let mut header = None;
    let selection = &args.selection;
    while let Some(response) = stream.message().await.map_err(daemon.failure("watching couplings"))? {
        use v1::watch_couplings_response::Part;
        match response.part {
            Some(Part::Header(new)) => header = Some(new),
            Some(Part::Pairs(pairs)) => {
                let Some(header) = header.take() else { continue };
                let mut publication = Publication { header, ..Default::default() };
                publication.take_pairs(pairs);
                if screen.publish(&publication, selection, &session)? {
                    break;
                }
            }
            Some(Part::Rows(_) | Part::TrialFields(_)) | None => {}
        }
    }
    Ok(())
}

/// One publication as text.
fn block(publication: &Publication, selection: &SelectionArgs, session: &v1::Session) -> String {
    let mut lines: Vec<String> = couplings::header_facts(&publication.header, session)
        .into_iter()
        .chain(selection.pair_facts(publication))
        .map(|(name, value)| format!("{name:<9}  {value}"))
        .collect();
    if publication.header.skipped > 0 {
        lines.push(format!("missed     {} since the last one shown", publication.header.skipped));
    }
    lines.push(String::new());
    let pairs: Vec<Pair> = publication.pairs.iter().map(Pair::from).collect();
    if pairs.is_empty() {
        lines.push(selection.no_pairs());
    } else {
        lines.push(pairs::pair_table(&pairs).trim_fmt());
    }
    lines.join("\n")
}

/// The block, cut at its end so that it and the cursor below fit the terminal: what has scrolled away cannot be drawn over.
fn fitting(block: &str, lines_max: Option<usize>) -> String {
    let lines_max = lines_max.map_or(usize::MAX, |lines| lines.saturating_sub(1).max(1));
    block.lines().take(lines_max).collect::<Vec<_>>().join("\n")
}

/// Where the blocks go: over one another on a terminal, below one another elsewhere.
struct Screen {
    json: bool,
    redraws: bool,
    /// Lines of the block shown last.
    lines: usize,
    /// Publications still to be shown; no end when `None`.
    left: Option<u64>,
}

impl Screen {
    /// Show one publication; tells whether it was the last one wanted.
    fn publish(
        &mut self,
        publication: &Publication,
        selection: &SelectionArgs,
        session: &v1::Session,
    ) -> Result<bool, CliError> {
        if self.json {
            output::json_line(&couplings::to_json(publication))?;
        } else {
            let block = block(publication, selection, session);
            let lines_max = if self.redraws { output::terminal_lines() } else { None };
            self.show(&fitting(&block, lines_max))?;
        }
        self.left = self.left.map(|left| left - 1);
        Ok(self.left == Some(0))
    }

    fn show(&mut self, block: &str) -> Result<(), CliError> {
        if !self.redraws {
            return outln!("{block}\n");
        }
        if self.lines > 0 {
            output::clear_lines(self.lines)?;
        }
        self.lines = block.lines().count();
        outln!("{block}")
    }
}

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn a_block_fits_the_terminal_with_the_cursor_below() {
        assert_eq!(fitting("a\nb\nc", Some(3)), "a\nb");
        assert_eq!(fitting("a\nb\nc", Some(4)), "a\nb\nc");
        assert_eq!(fitting("a\nb\nc", None), "a\nb\nc");
    }
}
