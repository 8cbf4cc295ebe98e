//! `glauber plot`: figures of a snapshot, a recording or a live session, as PNG or SVG.
//!
//! `gather` reads files or asks a daemon and gives `material`; `figures` makes numbers, orders and words of it, and `draw` shapes of these
//! and bytes of the shapes. None knows of those that come after it.

mod draw;
mod figures;
mod gather;
mod live;
pub(crate) mod material;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use glauber::equilibrium::{CheckOptions, PredictedPairs, predicted_pairs};
use glauber::model::{
    BinWidth, EquilibriumDiagnostics, EquilibriumModel, Estimator, RecordedSession, Ridges, RowStatus, Window,
};
use glauber::proto::v1;
use glauber::storage::write_whole;
use ndarray::{Array1, Array2};
use serde_json::json;

use super::client::{Asked, ConnectArgs, Daemon};
use super::error::CliError;
use super::fit::{self, FitArgs};
use super::output::{self, outln};
use super::reading::{self, Plottable, ReadingArgs};
use super::recordings::{self, EstimationArgs, RecordingArgs};
use super::{Manner, equilibrium, progress, text, values};
use draw::Scene;
use figures::Words;
use figures::coupling_map::CouplingMap;
use figures::order::Sort;
use figures::prediction::PredictionFigure;
use figures::score::ScoreFigure;
pub(crate) use gather::{Choice, snapshot::read as read_snapshot};
use material::{Equilibrium, Material};

/// Draw a snapshot, a recording or a live session as PNG or SVG
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Of a snapshot, and of a session of a daemon: the matrix of couplings with the surest pairs, the score of each estimator, and what an equilibrium model predicts next to what was observed. Of a session that is open its newest spikes as well. Of a recording: its spikes over time, and with --fit all of the above, by the same code as glauber fit. Several figures stand below each other in one file.

The same input gives the same bytes. SVG keeps text as text; PNG has two pixels to each unit of it.

Examples:
  glauber plot fit.h5 -o fit.png
  glauber plot fit.h5 -o couplings.svg --what heatmap --sort cluster --estimator exact
  glauber plot session.nwb -o spikes.png --from 5min --duration 2min --top 60
  glauber plot session.nwb -o all.png --fit nmf,exact --bin-width 20ms --top 60 --equilibrium boltzmann
  glauber plot --session retina --connect http://rig:50051 -o now.png --force
  glauber plot --session retina -o spikes.png --what raster --duration 10s")]
pub(crate) struct PlotArgs {
    /// Snapshot or recording, recognised from its content
    #[arg(value_name = "FILE", required_unless_present = "session", conflicts_with = "session")]
    file: Option<PathBuf>,
    /// Instead of a file, a session of a daemon: its id or name, or a prefix that fits only one
    #[arg(long, value_name = "SESSION", value_parser = values::parse_session)]
    session: Option<String>,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Figure to write: .png or .svg
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Format, where the name of the figure does not say it
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Replace the figure if it exists
    #[arg(long)]
    force: bool,
    /// What to draw [default: all there is]
    #[arg(long, value_name = "FIGURE", value_delimiter = ',')]
    what: Vec<What>,
    /// Order of the neurons
    #[arg(long, value_name = "ORDER", default_value = "index")]
    sort: Sort,
    /// End of the colour scale of couplings [default: what 99.5 % of them reach]
    #[arg(long, value_name = "J", value_parser = parse_limit, allow_negative_numbers = true)]
    limit: Option<f64>,
    /// Whose couplings: an estimator, or 'best' [default: best by score, or the first]
    #[arg(long, value_name = "NAME")]
    estimator: Option<Asked>,
    /// Equilibrium method whose model is drawn, or 'best'; of a recording, the one to fit
    #[arg(long, value_name = "METHOD", value_parser = equilibrium::parse_method)]
    equilibrium: Option<v1::EquilibriumMethod>,
    /// 'all' or the end of the recording, such as 10min; of a session, one of its windows
    #[arg(long, value_name = "WINDOW")]
    window: Option<Window>,
    #[command(flatten)]
    fitting: FittingArgs,
    /// Keep only the N most active units of a recording
    #[arg(long, value_name = "N", value_parser = recordings::parse_top)]
    top: Option<usize>,
    #[command(flatten)]
    raster: RasterArgs,
    #[command(flatten)]
    reading: ReadingArgs,
}

/// What is fitted to a recording.
#[derive(Debug, Clone, Args)]
struct FittingArgs {
    /// Of a recording, fit these estimators; several with commas
    #[arg(long, value_name = "ESTIMATOR", value_delimiter = ',', requires = "bin_width")]
    fit: Vec<Estimator>,
    /// Width of a bin to fit to, 0.1ms to 1s
    #[arg(long, value_name = "WIDTH", requires = "fit")]
    bin_width: Option<BinWidth>,
    /// Ridge λ, as glauber fit takes it [default: auto]
    #[arg(long, value_name = "LAMBDA", allow_negative_numbers = true, requires = "fit")]
    ridge: Option<Ridges>,
    /// Most bins an equilibrium model is fitted to, the newest ones; 64 or more [default: 32768]
    #[arg(long, value_name = "BINS", requires_all = ["equilibrium", "fit"],
          value_parser = clap::value_parser!(u64).range(64..=glauber::session::SessionSpec::REFIT_BINS_MAX))]
    equilibrium_bins: Option<u64>,
}

/// Which part of a recording is shown.
#[derive(Debug, Clone, Args)]
pub(crate) struct RasterArgs {
    /// Where the raster of a recording begins, such as 5min
    #[arg(long, value_name = "TIME", value_parser = values::parse_duration)]
    pub(crate) from: Option<Duration>,
    /// How much of a recording the raster shows; of a session, how much of its newest bins [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = values::parse_duration)]
    pub(crate) duration: Option<Duration>,
}

impl RasterArgs {
    /// How much is shown.
    pub(crate) fn duration(&self) -> Duration {
        self.duration.unwrap_or(Duration::from_secs(30))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Png,
    Svg,
}

/// A kind of figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Spikes over time, and rates
    Raster,
    /// The matrix of couplings, and the surest pairs
    Heatmap,
    /// How well each estimator predicts
    Score,
    /// What an equilibrium model predicts, and what was observed
    Predicted,
    /// All there is
    All,
}

fn parse_limit(text: &str) -> Result<f64, String> {
    let limit = text.parse().ok().filter(|limit: &f64| limit.is_normal() && *limit > 0.0);
    limit.ok_or_else(|| format!("'{text}' is not the end of a scale: expected a number above 0, such as 0.5"))
}

impl PlotArgs {
    fn wants(&self, what: What) -> bool {
        self.what.is_empty() || self.what.contains(&What::All) || self.what.contains(&what)
    }

    /// Whether it is asked for by name, so that it is an error when there is none.
    fn insists_on(&self, what: What) -> bool {
        self.what.contains(&what)
    }

    fn choice(&self) -> Choice {
        Choice { estimator: self.estimator, method: self.equilibrium }
    }

    fn format(&self) -> Result<Format, CliError> {
        let extension = self.out.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let problem = match (self.format, extension.as_deref()) {
            (Some(format), _) => return Ok(format),
            (None, Some("png")) => return Ok(Format::Png),
            (None, Some("svg")) => return Ok(Format::Svg),
            (None, Some(other)) => {
                format!("'.{other}' is no format of figures: expected .png or .svg, or --format")
            }
            (None, None) => format!(
                "'{}' does not say its format: end it in .png or .svg, or use --format",
                self.out.display()
            ),
        };
        Err(CliError::Argument { argument: "--out", problem })
    }

    fn fit_args(&self, file: &Path, bin_width: BinWidth) -> FitArgs {
        FitArgs {
            recording: RecordingArgs {
                file: file.to_owned(),
                bin_width,
                top: self.top,
                reading: self.reading.clone(),
            },
            window: self.window.unwrap_or(Window::All),
            estimation: EstimationArgs {
                estimators: self.fitting.fit.clone(),
                ridge: self.fitting.ridge.clone(),
                lags: Vec::new(),
            },
            equilibrium: self.choice().method_named().into_iter().collect(),
            equilibrium_bins: self.fitting.equilibrium_bins,
            seed: 1,
            out: self.out.clone(),
            force: self.force,
        }
    }
}

/// A figure on its way into the file.
struct Page {
    words: Words,
    scene: Scene,
}

pub(crate) async fn run(args: PlotArgs, manner: Manner) -> Result<(), CliError> {
    let format = args.format()?;
    fit::check_output(&args.out, args.force)?;
    recordings::check_estimators(&args.fitting.fit)?;
    let pages = match &args.file {
        Some(file) => pages_of_file(&args, file, manner)?,
        None => {
            let daemon = Daemon::connect(&args.connect).await?;
            live::pages(&args, &daemon, manner).await?
        }
    };
    write(&args, format, pages, manner)
}

fn pages_of_file(args: &PlotArgs, file: &Path, manner: Manner) -> Result<Vec<Page>, CliError> {
    let spinner = progress::spinner("reading the file", manner);
    let found = reading::plottable(file, &args.reading, args.choice_words());
    spinner.finish_and_clear();
    let of = file.display().to_string();
    match found? {
        Plottable::Snapshot(material) => {
            if let Some(argument) = args.of_recordings_alone() {
                let problem = "it is of recordings, and this is a snapshot".to_owned();
                return Err(CliError::Argument { argument, problem });
            }
            if args.raster.duration.is_some() {
                let problem = "it is of spikes, and a snapshot holds none".to_owned();
                return Err(CliError::Argument { argument: "--duration", problem });
            }
            if args.insists_on(What::Raster) {
                let problem = "a snapshot holds no spikes: plot the recording".to_owned();
                return Err(CliError::Plot { of, problem });
            }
            pages_of(args, &material, &of, manner)
        }
        Plottable::Recording(recording) => {
            recordings::tell_problems(&recording, file, manner);
            pages_of_recording(args, &recording.session, file, manner)
        }
    }
}

fn pages_of_recording(
    args: &PlotArgs,
    session: &RecordedSession,
    file: &Path,
    manner: Manner,
) -> Result<Vec<Page>, CliError> {
    let mut pages = Vec::new();
    if args.wants(What::Raster) {
        let figure = gather::recording::raster(session, args, file)?;
        pages.push(Page { scene: draw::raster(&figure), words: figure.words });
    }
    let of = file.display().to_string();
    if let Some(width) = args.fitting.bin_width {
        let binned = recordings::bin(session, file, width, args.top)?;
        let fit_args = args.fit_args(file, width);
        let material = gather::recording::fitted(&fit_args, &binned, &args.choice(), manner)?;
        pages.extend(pages_of(args, &material, &of, manner)?);
    } else if [What::Heatmap, What::Score, What::Predicted].into_iter().any(|what| args.insists_on(what)) {
        let problem =
            "a recording holds no couplings: fit some with --fit ESTIMATOR --bin-width WIDTH".to_owned();
        return Err(CliError::Plot { of, problem });
    }
    Ok(pages)
}

/// The figures of couplings and models that are asked for and that there is something to draw of.
fn pages_of(args: &PlotArgs, material: &Material, of: &str, manner: Manner) -> Result<Vec<Page>, CliError> {
    let mut pages = Vec::new();
    let lacking = |what: &str| {
        let why: Vec<&str> = material.missing.iter().map(String::as_str).collect();
        let problem = if why.is_empty() { what.to_owned() } else { why.join("; ") };
        CliError::Plot { of: of.to_owned(), problem }
    };
    match &material.couplings {
        Some(couplings) if args.wants(What::Heatmap) => {
            let figure = CouplingMap::of(material, couplings, args.sort, args.limit);
            pages.push(Page { scene: draw::coupling_map(&figure), words: figure.words });
        }
        None if args.insists_on(What::Heatmap) => return Err(lacking("it holds no couplings")),
        _ => {}
    }
    if args.wants(What::Score) && !material.scores.is_empty() {
        let figure = ScoreFigure::of(material);
        pages.push(Page { scene: draw::score(&figure), words: figure.words });
    } else if args.insists_on(What::Score) {
        return Err(lacking("it holds no scores"));
    }
    match &material.equilibrium {
        Some(model) if args.wants(What::Predicted) => {
            let spinner = progress::spinner("drawing from the model", manner);
            let predicted = predicted(model)?;
            spinner.finish_and_clear();
            let figure = PredictionFigure::of(material, model, &predicted);
            pages.push(Page { scene: draw::prediction(&figure), words: figure.words });
        }
        None if args.insists_on(What::Predicted) => return Err(lacking("it holds no equilibrium model")),
        _ => {}
    }
    if pages.is_empty() { Err(lacking("there is nothing to draw")) } else { Ok(pages) }
}

/// Pair correlations of configurations drawn from the model.
fn predicted(model: &Equilibrium) -> Result<PredictedPairs, CliError> {
    let n = model.estimated.len();
    let status =
        model.estimated.iter().map(|&is| if is { RowStatus::Ok } else { RowStatus::Silent }).collect();
    let method = model.method.parse().unwrap_or(glauber::model::EquilibriumMethod::Boltzmann);
    let empty = EquilibriumModel::zeros(method, status, 0, 0, EquilibriumDiagnostics::ClosedForm);
    let drawn_from = EquilibriumModel {
        couplings: Array2::from_shape_fn((n, n), |(i, j)| model.couplings[i * n + j]),
        fields: Array1::from(model.fields.clone()),
        ..empty
    };
    let options = CheckOptions { threads: fit::threads(), ..CheckOptions::default() };
    Ok(predicted_pairs(&drawn_from, &options)?)
}

impl PlotArgs {
    /// An argument that says something about a recording, if there is one.
    fn of_recordings_alone(&self) -> Option<&'static str> {
        let given = [
            (!self.fitting.fit.is_empty(), "--fit"),
            (self.top.is_some(), "--top"),
            (self.raster.from.is_some(), "--from"),
        ];
        given.into_iter().find_map(|(is_given, name)| is_given.then_some(name))
    }

    /// The choice, for a child.
    fn choice_words(&self) -> Vec<String> {
        let mut words = Vec::new();
        match self.estimator {
            Some(Asked::Best) => words.push("--estimator=best".to_owned()),
            Some(Asked::One(estimator)) => words.push(format!("--estimator={estimator}")),
            None => {}
        }
        if let Some(method) = self.choice().method_named() {
            words.push(format!("--equilibrium={method}"));
        }
        words
    }
}

fn write(args: &PlotArgs, format: Format, pages: Vec<Page>, manner: Manner) -> Result<(), CliError> {
    let mut scene = Scene::default();
    let mut titles = Vec::new();
    let mut descriptions = Vec::new();
    for page in pages {
        scene.append_below(page.scene);
        descriptions.push(page.words.description());
        titles.push(page.words.title);
    }
    let title = titles.join("; ");
    let bytes = match format {
        Format::Png => draw::png(&scene, &title),
        Format::Svg => draw::svg(&scene, &title, &descriptions.join(" ")),
    };
    let bytes = bytes.map_err(|source| CliError::Plot {
        of: args.out.display().to_string(),
        problem: source.to_string(),
    })?;
    write_whole(&args.out, &bytes, fit::overwrite(args.force))?;
    if manner.json {
        return output::json(&json!({
            "figure": args.out.display().to_string(),
            "bytes": bytes.len(),
            "titles": titles,
            "descriptions": descriptions,
        }));
    }
    for title in &titles {
        outln!("drawn    {title}")?;
    }
    outln!("written  {}, {}", args.out.display(), text::bytes(bytes.len() as u64))
}
