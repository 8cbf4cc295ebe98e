//! `glauber predict`: how probable a spike is in the next bin, bin by bin.

use clap::Args;
use glauber::model::Window;
use glauber::proto::v1;
use glauber::proto::v1::stream_predictions_response::Part;
use serde_json::json;
use tonic::Streaming;

use super::client::{self, Asked, ConnectArgs, Daemon};
use super::error::CliError;
use super::output::{self, outln};
use super::{Manner, text};

/// Follow predictions of the next bin, made as each bin is counted
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Each line is of one bin: its number and, by identifier of the neuron, the probability of a spike in it, given the bin before. Of more than 8 neurons the 8 most probable are shown; --json has all, one document per message. Lines that begin with # tell which estimate predicts and what was skipped. Ends when the session is closed.

Examples:
  glauber predict --neurons 3,17
  glauber predict --session retina --estimator tap --window 10min --count 100
  glauber predict --json | jq -c '.bins[]?'")]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Id or name of the session, or a prefix that fits only one [default: the only or most recent one]
    #[arg(long, value_name = "SESSION", value_parser = super::values::parse_session)]
    session: Option<String>,
    /// One of the session's estimators, such as tap, or 'best' for the one with the best score
    #[arg(long, value_name = "NAME", default_value = "best")]
    estimator: Asked,
    /// 'all' or a duration such as 10min [default: with 'best' the one with the best score, otherwise the session's first]
    #[arg(long, value_name = "WINDOW")]
    window: Option<Window>,
    /// Identifiers of the neurons to predict, separated by commas [default: all]
    #[arg(long, value_name = "IDS", value_delimiter = ',', allow_negative_numbers = true)]
    neurons: Vec<i64>,
    /// Stop after so many bins
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

pub(crate) async fn run(args: PredictArgs, manner: Manner) -> Result<(), CliError> {
    tokio::select! {
        followed = follow(args, manner) => followed,
        // Ctrl-C is how one leaves: no error.
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn follow(args: PredictArgs, manner: Manner) -> Result<(), CliError> {
    let daemon = Daemon::connect(&args.connect).await?;
    let session_id = daemon.select(args.session.as_deref()).await?.session_id;
    let mut screen = Screen {
        json: manner.json,
        neuron_ids: Vec::new(),
        publication: None,
        left: args.count.unwrap_or(u64::MAX),
    };
    let request = v1::StreamPredictionsRequest {
        estimator: args.estimator.wire(),
        window: args.window.map_or_else(String::new, |window| window.to_string()),
        neurons: places(&daemon, &session_id, &args.neurons).await?,
        session_id,
    };
    let doing = "following predictions";
    let response = daemon.inference().stream_predictions(request).await;
    let mut stream: Streaming<_> = response.map_err(daemon.failure(doing))?.into_inner();
    while let Some(message) = stream.message().await.map_err(daemon.failure(doing))? {
        match message.part {
            Some(Part::Header(header)) => screen.begin(header)?,
            Some(Part::Predictions(predictions)) => screen.show(&predictions)?,
            None => {}
        }
        if screen.left == 0 {
            break;
        }
    }
    Ok(())
}

/// The indices of neurons with these identifiers.
async fn places(daemon: &Daemon, session_id: &str, ids: &[i64]) -> Result<Vec<u32>, CliError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let neurons = daemon.session(session_id).await?.spec.unwrap_or_default().neurons;
    let place = |id: &i64| {
        let found = neurons.iter().position(|neuron| neuron.id == *id);
        found.map(|place| place as u32).ok_or_else(|| CliError::Argument {
            argument: "--neurons",
            problem: format!("session {session_id} has no neuron {id}"),
        })
    };
    ids.iter().map(place).collect()
}

/// Where predictions are shown.
struct Screen {
    json: bool,
    neuron_ids: Vec<i64>,
    /// Of the estimate that predicted last.
    publication: Option<u64>,
    /// Bins still to be shown.
    left: u64,
}

impl Screen {
    fn begin(&mut self, header: v1::PredictionsHeader) -> Result<(), CliError> {
        if self.json {
            output::json_line(&json!({ "session_id": header.session_id, "neuron_ids": header.neuron_ids }))?;
        }
        self.neuron_ids = header.neuron_ids;
        Ok(())
    }

    fn show(&mut self, predictions: &v1::Predictions) -> Result<(), CliError> {
        let rows = predictions.probabilities.chunks(self.neuron_ids.len().max(1));
        let bins = predictions.first_bin + 1..;
        let rows: Vec<(u64, &[f32])> =
            bins.zip(rows).take(usize::try_from(self.left).unwrap_or(usize::MAX)).collect();
        self.left -= rows.len() as u64;
        let model = predictions.model.clone().unwrap_or_default();
        if self.json {
            return json_line(predictions.skipped, &model, &rows);
        }
        if predictions.skipped > 0 {
            outln!("# {} skipped: reading was too slow", text::counted(predictions.skipped, "bin"))?;
        }
        if self.publication.replace(model.publication) != Some(model.publication) {
            outln!("# {}", model_text(&model))?;
        }
        for (bin, probabilities) in rows {
            outln!("{bin}  {}", line(&self.neuron_ids, probabilities))?;
        }
        Ok(())
    }
}

fn json_line(skipped: u64, model: &v1::PredictionModel, rows: &[(u64, &[f32])]) -> Result<(), CliError> {
    let bins: Vec<_> = rows
        .iter()
        .map(|(bin, probabilities)| json!({ "bin": bin, "probabilities": probabilities }))
        .collect();
    output::json_line(&json!({
        "bins": bins,
        "skipped": skipped,
        "publication": model.publication,
        "estimator": client::estimator_name(model.estimator),
        "window": model.window,
        "ridge": model.ridge,
        "end_bin": model.end_bin,
    }))
}

fn model_text(model: &v1::PredictionModel) -> String {
    format!(
        "publication {}: {}, window {}, ridge {}, of the bins before {}",
        text::count(model.publication),
        client::estimator_name(model.estimator),
        model.window,
        model.ridge,
        text::count(model.end_bin)
    )
}

/// The most probable neurons with their probabilities, in the order of the neurons.
fn line(neuron_ids: &[i64], probabilities: &[f32]) -> String {
    const SHOWN_MAX: usize = 8;
    let mut shown: Vec<usize> = (0..neuron_ids.len().min(probabilities.len())).collect();
    shown.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    shown.truncate(SHOWN_MAX);
    shown.sort_unstable();
    let texts = shown.iter().map(|&k| format!("{}:{:.3}", neuron_ids[k], probabilities[k]));
    texts.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn of_many_neurons_the_most_probable_are_shown_in_their_order() {
        assert_eq!(line(&[7, 3], &[0.25, 0.5]), "7:0.250 3:0.500");
        let ids: Vec<i64> = (0..20).collect();
        let probabilities: Vec<f32> = (0..20).map(|i| i as f32 / 20.0).collect();
        assert!(line(&ids, &probabilities).starts_with("12:0.600 13:0.650"));
        assert!(line(&ids, &probabilities).ends_with("19:0.950"));
    }
}
