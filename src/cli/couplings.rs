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
    /// With --json, tell the fields of each bin of a trial as well, of an estimator that has them
    #[arg(long)]
    trial_fields: bool,
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

    /// Why there are no pairs to show.
    pub(crate) fn no_pairs(&self) -> String {
        match self.q {
            Some(q) => format!("no pair has q <= {q}"),
            None => "no pair can be estimated yet".to_owned(),
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
    if args.trial_fields && !manner.json {
        return Err(CliError::Usage {
            problem: "--trial-fields needs --json: no table holds them".to_owned(),
        });
    }
    let daemon = Daemon::connect(&args.selection.connect).await?;
    let session = daemon.select(args.selection.session.as_deref()).await?;
    let query = args.selection.query(&session);
    let query = v1::CouplingsQuery { trial_fields: args.trial_fields, ..query };
    let publication = daemon.couplings(query).await?;
    if manner.json {
        let mut value = to_json(&publication);
        if args.trial_fields {
            value["trial_fields"] = trial_fields_json(&publication);
        }
        return output::json(&value);
    }
    let mut facts = header_facts(&publication.header, &session);
    facts.extend(args.selection.pair_facts(&publication));
    output::print_facts(&facts)?;
    outln!("")?;
    if publication.pairs.is_empty() {
        return outln!("{}", args.selection.no_pairs());
    }
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
    // Counted from the end of what the estimator read, which a refit has read earlier than the end of the window.
    let since = (header.end_bin + header.bins_since).saturating_sub(header.window_end_bin);
    let mut facts = vec![
        ("session", name),
        ("estimator", client::estimator_name(header.estimator).to_owned()),
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
                match since {
                    1 => "1 bin has".to_owned(),
                    bins => format!("{} bins have", text::count(bins)),
                },
                text::count(header.publication)
            ),
        ),
        ("rows", pairs::status_line(&counts)),
    ];
    if let Some(refit) = refit_text(header) {
        let place = facts.iter().position(|(name, _)| *name == "rows").unwrap_or(facts.len());
        facts.insert(place, ("refitted", refit));
    }
    facts
}

/// What the estimator read when that was not the window as it is now.
fn refit_text(header: &v1::EstimateHeader) -> Option<String> {
    if header.end_bin == header.window_end_bin && header.first_bin == header.window_first_bin {
        return None;
    }
    let (first, last) = (text::count(header.first_bin), text::count(header.end_bin.saturating_sub(1)));
    Some(format!("on bins {first} to {last}, {} ago", text::counted(header.bins_since, "bin")))
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

/// The fields of each bin of a trial, `null` where not estimated.
fn trial_fields_json(publication: &Publication) -> Value {
    let ids = &publication.header.neuron_ids;
    let of_neuron = |(receiver, fields): (&u32, Vec<Option<f64>>)| json!({ "neuron_id": ids.get(*receiver as usize), "fields": fields });
    let of_rows = |rows: &v1::TrialFieldRows| {
        let fields = rows.fields.iter().zip(&rows.estimated);
        let fields: Vec<Option<f64>> =
            fields.map(|(&field, &estimated)| estimated.then_some(field)).collect();
        let of_bins = fields.chunks(rows.bin_count.max(1) as usize).map(<[_]>::to_vec);
        rows.receivers.iter().zip(of_bins).map(of_neuron).collect::<Vec<_>>()
    };
    let repeats = publication.trial_fields.first().map_or(&[][..], |rows| &rows.repeats);
    let neurons: Vec<Value> = publication.trial_fields.iter().flat_map(of_rows).collect();
    json!({ "repeats": repeats, "neurons": neurons })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(header: &v1::EstimateHeader) -> Vec<(&'static str, String)> {
        header_facts(header, &v1::Session::default())
    }

    fn fact(header: &v1::EstimateHeader, name: &str) -> Option<String> {
        facts(header).into_iter().find_map(|(found, value)| (found == name).then_some(value))
    }

    #[test]
    fn bins_since_are_those_after_the_window_and_a_refit_has_a_line_of_its_own() {
        let moments = v1::EstimateHeader {
            end_bin: 1000,
            window_end_bin: 1000,
            bins_since: 7,
            age_ms: 500,
            ..Default::default()
        };
        assert!(fact(&moments, "computed").unwrap().contains("7 bins have come since"));
        assert_eq!(fact(&moments, "refitted"), None);
        let refit = v1::EstimateHeader { end_bin: 600, bins_since: 407, ..moments };
        assert!(fact(&refit, "computed").unwrap().contains("7 bins have come since"));
        assert_eq!(fact(&refit, "refitted").unwrap(), "on bins 0 to 599, 407 bins ago");
    }

    #[test]
    fn facts_fit_80_columns() {
        let sum = |bits| Some(v1::ScoreSum { bits_per_spike: Some(bits), ..Default::default() });
        let ridges = [0.0, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0];
        for bits in [None, Some(12.345), Some(-12.345)] {
            for extra in [0, 9] {
                let ridges = ridges.iter().copied().chain((0..extra).map(|k| 1.5 + f64::from(k)));
                let header = v1::EstimateHeader {
                    session_id: "s-0123abcd".to_owned(),
                    window: "10min".to_owned(),
                    window_first_bin: 1_000_000,
                    window_end_bin: 1_030_000,
                    end_bin: 1_020_000,
                    bins_observed: 30_000,
                    bins_since: 12_000,
                    age_ms: 999,
                    publication: 1000,
                    ridge: 0.03,
                    score: Some(v1::Score { recent: bits.and_then(sum), total: bits.and_then(sum) }),
                    ridge_path: ridges.map(|ridge| v1::RidgeScore { ridge, bits_per_spike: bits }).collect(),
                    ..Default::default()
                };
                for (name, value) in facts(&header) {
                    // Names take 9 columns, and two are between.
                    assert!(name.len() <= 9 && value.chars().count() <= 69, "{name}  {value}");
                }
            }
        }
    }

    #[test]
    fn trial_fields_are_told_by_neuron() {
        let rows = v1::TrialFieldRows {
            receivers: vec![1, 0],
            bin_count: 2,
            fields: vec![0.5, 0.0, -1.0, 2.0],
            estimated: vec![true, false, true, true],
            repeats: vec![4, 3],
        };
        let header = v1::EstimateHeader { neuron_ids: vec![70, 71], ..Default::default() };
        let publication = Publication { header, trial_fields: vec![rows], ..Default::default() };
        let expected = json!({ "repeats": [4, 3], "neurons": [
            { "neuron_id": 71, "fields": [0.5, null] },
            { "neuron_id": 70, "fields": [-1.0, 2.0] },
        ] });
        assert_eq!(trial_fields_json(&publication), expected);
    }
}
