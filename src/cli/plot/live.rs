//! The figures of a session of a daemon.

use super::figures::raster::RasterFigure;
use super::{Page, PlotArgs, What, draw, gather, pages_of};
use crate::cli::client::Daemon;
use crate::cli::error::CliError;
use crate::cli::{Manner, output, text};

/// What is asked for of a session, and there is.
pub(super) async fn pages(args: &PlotArgs, daemon: &Daemon, manner: Manner) -> Result<Vec<Page>, CliError> {
    if let Some(argument) = args.of_recordings_alone() {
        let problem = "it is of recordings, and this is a session of a daemon".to_owned();
        return Err(CliError::Argument { argument, problem });
    }
    let found = daemon.select(args.session.as_deref()).await?;
    let session = daemon.session(&found.session_id).await?;
    let mut pages = Vec::new();
    if args.wants(What::Raster) {
        match gather::newest_spikes::ask(daemon, &session, args.raster.duration()).await? {
            Ok(newest) => {
                let figure = RasterFigure::of(&newest.spikes, &newest.view(args.sort));
                pages.push(Page { scene: draw::raster(&figure), words: figure.words });
            }
            Err(refusal) if args.insists_on(What::Raster) => return Err(refusal),
            Err(refusal) if !manner.quiet => output::note(format_args!("note: no raster: {refusal}")),
            Err(_) => {}
        }
    }
    let of_couplings = [What::Heatmap, What::Score, What::Predicted];
    let insists = of_couplings.into_iter().any(|what| args.insists_on(what));
    if session.refreshes_published == 0 && !pages.is_empty() && !insists {
        if args.wants(What::Heatmap) && !manner.quiet {
            output::note(format_args!("note: spikes alone: the session has published no couplings yet"));
        }
        return Ok(pages);
    }
    if of_couplings.into_iter().any(|what| args.wants(what)) {
        let question = gather::daemon::Question {
            window: args.window,
            choice: args.choice(),
            model: args.wants(What::Predicted),
        };
        let material = gather::daemon::ask(daemon, &session, &question).await?;
        let of = format!("session {}", text::name(&session.session_id));
        pages.extend(pages_of(args, &material, &of, manner)?);
    }
    Ok(pages)
}
