//! `glauber refit`: new estimates now.

use std::time::Instant;

use clap::Args;
use glauber::proto::v1;
use serde_json::json;

use super::client::{ConnectArgs, Daemon};
use super::error::CliError;
use super::{Manner, output, text};

/// Estimate anew now, and wait until the new couplings are published
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Estimators that read the bins of their window (exact, trial-*) are refitted by themselves from time to time; this asks for it at once. A refit that is under way is waited for first.

Examples:
  glauber refit
  glauber refit retina && glauber couplings --session retina --estimator exact
  glauber refit retina --equilibrium && glauber equilibrium --session retina
  glauber refit retina --json | jq .publication")]
pub(crate) struct RefitArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Id or name of the session, or a prefix that fits only one [default: the only or most recent one]
    #[arg(value_name = "SESSION", value_parser = super::values::parse_session)]
    session: Option<String>,
    /// Fit the equilibrium models as well, and wait for them, too
    #[arg(long)]
    equilibrium: bool,
}

pub(crate) async fn run(args: RefitArgs, manner: Manner) -> Result<(), CliError> {
    let daemon = Daemon::connect(&args.connect).await?;
    let session_id = daemon.select(args.session.as_deref()).await?.session_id;
    let began = Instant::now();
    let request = v1::RefitRequest { session_id: session_id.clone(), equilibrium: args.equilibrium };
    let response = daemon.inference().refit(request).await.map_err(daemon.failure("refitting"))?;
    let v1::RefitResponse { publication, end_bin, equilibrium_publication } = response.into_inner();
    let took = began.elapsed();
    if manner.json {
        return output::json(&json!({
            "session_id": session_id, "publication": publication,
            "equilibrium_publication": equilibrium_publication, "end_bin": end_bin, "took_s": took.as_secs_f64(),
        }));
    }
    let models = match equilibrium_publication {
        Some(publication) => format!(", equilibrium models {}", text::count(publication)),
        None => String::new(),
    };
    output::print_facts(&[
        ("session", session_id),
        (
            "published",
            format!("publication {}{models}, after {}", text::count(publication), text::duration(took)),
        ),
        ("bins", format!("{} counted", text::count(end_bin))),
    ])
}
