//! `glauber couplings`: the strongest couplings published last.

use clap::Args;
use glauber::model::{BinWidth, Estimator, Window};
use glauber::proto::v1;
use serde_json::{Value, json};

use super::Manner;
use super::client::{self, ConnectArgs, Daemon, Publication};
use super::error::CliError;
use super::output::{self, outln};
use super::pairs::{self, Pair};
use super::text;

/// Show the strongest couplings a session has right now
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A coupling J goes from the sender to the receiver one bin later. z = J / standard error: |z| above 4 or so is hard to get by chance among thousands of pairs.

Examples:
  glauber couplings --top 20
  glauber couplings --session retina --estimator exact-mean-field --window 10min
  glauber couplings --top 1000 --json | jq '.pairs[] | select(.z > 5)'")]
pub(crate) struct CouplingsArgs {
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
}

/// Which couplings, of which session, of which daemon.
#[derive(Debug, Clone, Args)]
pub(crate) struct SelectionArgs {
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// Id or name of the session, or a prefix that fits only one [default: the only or most recent one]
    #[arg(long, value_name = "SESSION", value_parser = super::values::parse_session)]
    pub(crate) session: Option<String>,
    /// nmf, tap, tap-self-consistent or exact-mean-field [default: the session's first]
    #[arg(long, value_name = "NAME")]
    estimator: Option<Estimator>,
    /// 'all' or a duration such as 10min [default: the session's first]
    #[arg(long, value_name = "WINDOW")]
    window: Option<Window>,
    /// Number of pairs to show, strongest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    top: u32,
}

impl SelectionArgs {
    /// The query for a session of the daemon.
    pub(crate) fn query(&self, session: &v1::Session) -> v1::CouplingsQuery {
        v1::CouplingsQuery {
            session_id: session.session_id.clone(),
            estimator: self.estimator.map_or(0, |estimator| client::wire_estimator(estimator) as i32),
            window: self.window.map_or_else(String::new, |window| window.to_string()),
            receivers: Vec::new(),
            top_pairs: self.top,
            header_only: false,
        }
    }
}

pub(crate) async fn run(args: CouplingsArgs, manner: Manner) -> Result<(), CliError> {
    let daemon = Daemon::connect(&args.selection.connect.connect).await?;
    let session = daemon.select(args.selection.session.as_deref()).await?;
    let publication = daemon.couplings(args.selection.query(&session)).await?;
    if manner.json {
        return output::json(&to_json(&publication));
    }
    output::print_facts(&header_facts(&publication.header, &session))?;
    outln!("")?;
    pairs::print_pairs(&publication.pairs.iter().map(Pair::from).collect::<Vec<_>>())
}

/// What the couplings are of and how current they are.
pub(crate) fn header_facts(
    header: &v1::EstimateHeader,
    session: &v1::Session,
) -> Vec<(&'static str, String)> {
    let name = match client::session_name(session) {
        "" => header.session_id.clone(),
        name => format!("{} ({name})", header.session_id),
    };
    let width = session.spec.as_ref().and_then(|spec| BinWidth::from_us(u64::from(spec.bin_width_us)).ok());
    let width_s = width.map_or(0.0, BinWidth::seconds);
    let counts = pairs::status_counts(header.status.iter().map(|&status| client::status_name(status)));
    let missing =
        (header.end_bin - header.first_bin.min(header.end_bin)).saturating_sub(header.bins_observed);
    let gaps = if missing > 0 { format!(", {} missing", text::count(missing)) } else { String::new() };
    vec![
        ("session", name),
        ("estimator", format!("{}, ridge {}", client::estimator_name(header.estimator), header.ridge)),
        (
            "window",
            format!(
                "{}: bins {} to {}, {} ({}) observed{gaps}",
                header.window,
                text::count(header.first_bin),
                text::count(header.end_bin.saturating_sub(1)),
                text::counted(header.bins_observed, "bin"),
                text::seconds(header.bins_observed as f64 * width_s),
            ),
        ),
        (
            "computed",
            format!(
                "{} ago, {} come since (publication {})",
                text::seconds(header.age_ms as f64 / 1000.0),
                match header.bins_since {
                    1 => "1 bin has".to_owned(),
                    bins => format!("{} bins have", text::count(bins)),
                },
                text::count(header.publication)
            ),
        ),
        ("rows", pairs::status_line(&counts)),
    ]
}

/// A publication as JSON.
pub(crate) fn to_json(publication: &Publication) -> Value {
    let header = &publication.header;
    let statuses = header.status.iter().map(|&status| client::status_name(status));
    let not_ok: Vec<Value> = (header.neuron_ids.iter().zip(statuses.clone()))
        .filter(|(_, status)| *status != "OK")
        .map(|(id, status)| json!({ "neuron_id": id, "status": status }))
        .collect();
    json!({
        "session_id": header.session_id,
        "estimator": client::estimator_name(header.estimator),
        "window": header.window,
        "first_bin": header.first_bin,
        "end_bin": header.end_bin,
        "bins_observed": header.bins_observed,
        "transitions": header.transitions,
        "ridge": header.ridge,
        "publication": header.publication,
        "skipped": header.skipped,
        "age_ms": header.age_ms,
        "bins_since": header.bins_since,
        "status_counts": pairs::status_counts(statuses),
        "rows_not_ok": not_ok,
        "pairs": publication.pairs.iter().map(|pair| Pair::from(pair).to_json()).collect::<Vec<_>>(),
    })
}
