//! `glauber couplings`: the strongest couplings published last.

use clap::Args;
use glauber::model::{BinWidth, Window};
use glauber::proto::v1;
use serde_json::{Value, json};

use super::Manner;
use super::client::{self, Asked, ConnectArgs, Daemon, Publication};
use super::error::CliError;
use super::output::{self, outln};
use super::pairs::{self, Pair};
use super::{score, text};

/// Show the strongest couplings a session has right now
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A coupling J goes from the sender to the receiver one bin later. z = J / standard error. q is the share of chance findings to expect among all pairs with a q as small: with --q 0.05, some 5 in 100 of those shown. The score says how much better than the rates of the neurons alone the estimates have predicted bins that came after them; 'best' is the estimator with the best score.

Examples:
  glauber couplings --top 20
  glauber couplings --estimator best --q 0.05
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
    /// One of the session's estimators, such as tap, or 'best' for the one with the best score [default: the session's first]
    #[arg(long, value_name = "NAME")]
    estimator: Option<Asked>,
    /// 'all' or a duration such as 10min [default: the session's first; with 'best', the one with the best score]
    #[arg(long, value_name = "WINDOW")]
    window: Option<Window>,
    /// Number of pairs to show, strongest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    top: u32,
    /// Show only pairs with a q of at most this: above 0, at most 1
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    q: Option<f64>,
}

/// A level of q.
fn parse_level(text: &str) -> Result<f64, String> {
    let level = text.parse().ok().filter(|level: &f64| *level > 0.0 && *level <= 1.0);
    level
        .ok_or_else(|| format!("'{text}' is not a level: expected a number above 0, at most 1, such as 0.05"))
}

impl SelectionArgs {
    /// The query for a session of the daemon.
    pub(crate) fn query(&self, session: &v1::Session) -> v1::CouplingsQuery {
        v1::CouplingsQuery {
            session_id: session.session_id.clone(),
            estimator: self.estimator.map_or(0, Asked::wire),
            window: self.window.map_or_else(String::new, |window| window.to_string()),
            top_pairs: self.top,
            q_max: self.q,
            ..Default::default()
        }
    }

    /// What is known of the pairs besides those shown.
    pub(crate) fn pair_facts(&self, publication: &Publication) -> Option<(&'static str, String)> {
        let q = self.q?;
        let (found, shown) = (publication.found, publication.pairs.len() as u64);
        let shown = if shown < found {
            format!(", the strongest {} shown", text::count(shown))
        } else {
            String::new()
        };
        Some(("pairs", format!("{} with q <= {q}{shown}", text::count(found))))
    }
}

pub(crate) async fn run(args: CouplingsArgs, manner: Manner) -> Result<(), CliError> {
    let daemon = Daemon::connect(&args.selection.connect.connect).await?;
    let session = daemon.select(args.selection.session.as_deref()).await?;
    let publication = daemon.couplings(args.selection.query(&session)).await?;
    if manner.json {
        return output::json(&to_json(&publication));
    }
    let mut facts = header_facts(&publication.header, &session);
    facts.extend(args.selection.pair_facts(&publication));
    output::print_facts(&facts)?;
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
        header.window_end_bin.saturating_sub(header.window_first_bin).saturating_sub(header.bins_observed);
    let gaps = if missing > 0 { format!(", {} missing", text::count(missing)) } else { String::new() };
    vec![
        ("session", name),
        ("estimator", estimator_text(header)),
        ("score", score::score_text(header.score.as_ref())),
        ("ridge", score::ridge_text(header.ridge, &header.ridge_path)),
        (
            "window",
            format!(
                "{}: bins {} to {}, {} ({}) observed{gaps}",
                header.window,
                text::count(header.window_first_bin),
                text::count(header.window_end_bin.saturating_sub(1)),
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

/// The estimator, and what it read when that was not the window as it is now.
fn estimator_text(header: &v1::EstimateHeader) -> String {
    let name = client::estimator_name(header.estimator);
    if header.end_bin == header.window_end_bin && header.first_bin == header.window_first_bin {
        return name.to_owned();
    }
    let (first, last) = (text::count(header.first_bin), text::count(header.end_bin.saturating_sub(1)));
    format!("{name}, last refitted on bins {first} to {last}")
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
        "window_first_bin": header.window_first_bin,
        "window_end_bin": header.window_end_bin,
        "bins_observed": header.bins_observed,
        "transitions": header.transitions,
        "ridge": header.ridge,
        "ridge_path": score::ridge_path_json(&header.ridge_path),
        "score": score::score_json(header.score.as_ref()),
        "fields": fields_json(header),
        "publication": header.publication,
        "skipped": header.skipped,
        "age_ms": header.age_ms,
        "bins_since": header.bins_since,
        "status_counts": pairs::status_counts(statuses),
        "rows_not_ok": not_ok,
        "pairs_found": publication.found,
        "pairs": publication.pairs.iter().map(|pair| Pair::from(pair).to_json()).collect::<Vec<_>>(),
    })
}

/// The fields with what they are worth.
fn fields_json(header: &v1::EstimateHeader) -> Vec<Value> {
    let place = |values: &[f64], i: usize| values.get(i).copied();
    let field = |(i, (id, field)): (usize, (&i64, &f64))| {
        json!({
            "neuron_id": id,
            "field": field,
            "standard_error": place(&header.field_standard_errors, i),
            "z": place(&header.field_z, i),
            "p": place(&header.field_p, i),
            "q": place(&header.field_q, i),
        })
    };
    header.neuron_ids.iter().zip(&header.fields).enumerate().map(field).collect()
}
