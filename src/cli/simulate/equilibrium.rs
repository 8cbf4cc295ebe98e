//! `glauber simulate --equilibrium`: configurations of an equilibrium model whose couplings are known.

use clap::{Args, ValueEnum};
use glauber::ingest::BinnedRecording;
use glauber::model::{RecordedSession, SpikeBlock};
use glauber::recording::{Truth, TruthModel};
use glauber::simulate::{
    CurieWeissSampler, EquilibriumIsing, GibbsSampler, Proposals, TemperedSampler, importance_resampled,
};
use serde_json::json;

use super::{SPIKES_MAX, SimulateArgs, Trains, write};
use crate::cli::error::CliError;
use crate::cli::{Manner, output, text};

/// Sweeps between two bins.
const SWEEPS: usize = 10;

/// An equilibrium model and how it is sampled.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Equilibrium models")]
pub(crate) struct EquilibriumArgs {
    /// Draw bins from an equilibrium model
    #[arg(
        long,
        value_name = "MODEL",
        value_enum,
        conflicts_with_all = ["trials", "trial_length", "stimulus_drive", "rate_hz"]
    )]
    pub(super) equilibrium: Option<Model>,
    /// How bins are drawn [default: exact for curie-weiss, else gibbs]
    #[arg(long, value_name = "NAME", value_enum, requires = "equilibrium")]
    sampler: Option<Sampler>,
    /// Number of bins, instead of --duration
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=BinnedRecording::BINS_MAX),
        requires = "equilibrium",
        conflicts_with = "duration"
    )]
    bins: Option<u64>,
    /// gibbs, tempered: sweeps over all neurons from one bin to the next, 1 to 1000000 [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), requires = "equilibrium")]
    sweeps: Option<u32>,
    /// importance: number of uniform configurations to choose from [default: 30 for each neuron]
    #[arg(long, value_name = "N", requires = "equilibrium")]
    proposals: Option<usize>,
    /// sk: fields are normal with standard deviation F / √neurons [default: that of the couplings]
    #[arg(long, value_name = "F", requires = "equilibrium")]
    field_std: Option<f64>,
    /// curie-weiss: inverse temperature; two states from 1 on
    #[arg(long, value_name = "BETA", requires = "equilibrium", allow_negative_numbers = true)]
    beta: Option<f64>,
    /// lattice: coupling between neighbours; order from 0.44 on
    #[arg(long, value_name = "J", requires = "equilibrium", allow_negative_numbers = true)]
    coupling: Option<f64>,
    /// lattice: rows and columns
    #[arg(long, value_name = "N", requires = "equilibrium")]
    side: Option<usize>,
    /// lattice: rows, with --columns
    #[arg(long, value_name = "N", requires = "columns", conflicts_with = "side")]
    rows: Option<usize>,
    /// lattice: columns, with --rows
    #[arg(long, value_name = "N", requires = "rows", conflicts_with = "side")]
    columns: Option<usize>,
    /// lattice: with edges, instead of neighbours around them
    #[arg(long, requires = "equilibrium")]
    open: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Model {
    /// Sherrington-Kirkpatrick: --neurons, --coupling-std, --field-std
    Sk,
    /// Every neuron coupled to every other alike: --neurons, --beta, --field
    CurieWeiss,
    /// Neighbours on a square lattice: --side or --rows and --columns, --coupling, --field, --open
    Lattice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sampler {
    /// One chain, neuron after neuron
    Gibbs,
    /// Replica exchange: chains at several temperatures
    Tempered,
    /// Independent; curie-weiss alone
    Exact,
    /// Uniform configurations, resampled by their weight
    Importance,
}

fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

pub(super) fn run(args: &SimulateArgs, model: Model, manner: Manner) -> Result<(), CliError> {
    let own = &args.equilibrium;
    check_combination(args, model)?;
    let network = network(args, model)?;
    let bins = match (own.bins, args.duration) {
        (Some(bins), _) => bins,
        (None, duration) => args.bin_width.bins_covering(duration.unwrap_or_default()),
    };
    if bins > BinnedRecording::BINS_MAX {
        let problem = format!("more than {} bins", BinnedRecording::BINS_MAX);
        return Err(CliError::Argument { argument: "--duration", problem });
    }
    let n = network.n_neurons();
    let mut running = Running::start(args, model, &network, bins)?;
    let mut trains = Trains::new(n, bins, args.bin_width, manner);
    while let Some(piece) = trains.next_piece() {
        trains.take(&running.bins(piece))?;
    }
    let (units, spikes) = trains.finish();
    let session = RecordedSession { units, ..Default::default() };
    let described = running.describe();
    drop(running);
    let truth =
        Truth { model: TruthModel::Equilibrium, couplings: network.couplings, fields: network.fields };
    write(&args.out, &session, &truth, args.bin_width, args.force)?;

    let seconds = bins as f64 * args.bin_width.seconds();
    let active = spikes as f64 / (n as f64 * bins as f64);
    let sampler = sampler(args, model);
    if manner.json {
        return output::json(&json!({
            "file": args.out.display().to_string(),
            "equilibrium": name(model),
            "neurons": n,
            "bins": bins,
            "bin_width_us": args.bin_width.us(),
            "seconds": seconds,
            "spikes": spikes,
            "active_share": active,
            "sampler": name(sampler),
            "sweeps": described.sweeps,
            "proposals": described.proposals,
            "effective_samples": described.effective_samples,
            "exchange_rate_min": described.exchange_rate_min,
            "seed": args.seed,
        }));
    }
    let bins_in_words = format!(
        "{}, {} of {}, {:.1} % active",
        text::counted(n as u64, "neuron"),
        text::counted(bins, "bin"),
        args.bin_width,
        100.0 * active
    );
    output::print_facts(&[
        ("written", args.out.display().to_string()),
        ("model", in_words(args, model)),
        ("recording", bins_in_words),
        ("sampler", described.in_words(sampler)),
        ("next", format!("glauber inspect {}", text::quoted(&args.out))),
    ])
}

fn in_words(args: &SimulateArgs, model: Model) -> String {
    let own = &args.equilibrium;
    let field = args.field.unwrap_or_default();
    match model {
        Model::Sk => {
            let g = args.coupling_std.unwrap_or_default();
            format!("sk, g = {g}, fields {}", own.field_std.unwrap_or(g))
        }
        Model::CurieWeiss => format!("curie-weiss, β = {}, field {field}", own.beta.unwrap_or_default()),
        Model::Lattice => {
            let (rows, columns) = shape(own).unwrap_or_default();
            let edges = if own.open { "open" } else { "periodic" };
            format!(
                "lattice, {rows} × {columns}, {edges}, coupling {}, field {field}",
                own.coupling.unwrap_or_default()
            )
        }
    }
}

fn shape(own: &EquilibriumArgs) -> Option<(usize, usize)> {
    own.side.map(|side| (side, side)).or(own.rows.zip(own.columns))
}

fn sampler(args: &SimulateArgs, model: Model) -> Sampler {
    let usual = if model == Model::CurieWeiss { Sampler::Exact } else { Sampler::Gibbs };
    args.equilibrium.sampler.unwrap_or(usual)
}

/// Refuse what belongs to another model or sampler rather than ignore it.
fn check_combination(args: &SimulateArgs, model: Model) -> Result<(), CliError> {
    let own = &args.equilibrium;
    let sampler = sampler(args, model);
    let of_models: [(&'static str, bool, &[Model]); 10] = [
        ("--neurons", args.neurons.is_some(), &[Model::Sk, Model::CurieWeiss]),
        ("--coupling-std", args.coupling_std.is_some(), &[Model::Sk]),
        ("--field-std", own.field_std.is_some(), &[Model::Sk]),
        ("--field", args.field.is_some(), &[Model::CurieWeiss, Model::Lattice]),
        ("--beta", own.beta.is_some(), &[Model::CurieWeiss]),
        ("--coupling", own.coupling.is_some(), &[Model::Lattice]),
        ("--side", own.side.is_some(), &[Model::Lattice]),
        ("--rows", own.rows.is_some(), &[Model::Lattice]),
        ("--columns", own.columns.is_some(), &[Model::Lattice]),
        ("--open", own.open, &[Model::Lattice]),
    ];
    for (argument, given, models) in of_models {
        if given && !models.contains(&model) {
            let problem = format!("has no meaning for --equilibrium {}", name(model));
            return Err(CliError::Argument { argument, problem });
        }
    }
    let of_samplers: [(&'static str, bool, &[Sampler]); 2] = [
        ("--sweeps", own.sweeps.is_some(), &[Sampler::Gibbs, Sampler::Tempered]),
        ("--proposals", own.proposals.is_some(), &[Sampler::Importance]),
    ];
    for (argument, given, samplers) in of_samplers {
        if given && !samplers.contains(&sampler) {
            let problem = format!("has no meaning for --sampler {}", name(sampler));
            return Err(CliError::Argument { argument, problem });
        }
    }
    if sampler == Sampler::Exact && model != Model::CurieWeiss {
        let problem = format!(
            "exact samples are of curie-weiss alone: choose gibbs, tempered or importance for {}",
            name(model)
        );
        return Err(CliError::Argument { argument: "--sampler", problem });
    }
    Ok(())
}

fn network(args: &SimulateArgs, model: Model) -> Result<EquilibriumIsing, CliError> {
    let own = &args.equilibrium;
    let field = args.field.unwrap_or_default();
    Ok(match model {
        Model::Sk => {
            let coupling_std = needed(args.coupling_std, "--coupling-std", model)?;
            let neurons = needed(args.neurons, "--neurons", model)?;
            EquilibriumIsing::sk(neurons, coupling_std, own.field_std.unwrap_or(coupling_std), args.seed)?
        }
        Model::CurieWeiss => {
            let neurons = needed(args.neurons, "--neurons", model)?;
            EquilibriumIsing::curie_weiss(neurons, needed(own.beta, "--beta", model)?, field)?
        }
        Model::Lattice => {
            let (rows, columns) = needed(shape(own), "--side", model)?;
            EquilibriumIsing::lattice(
                rows,
                columns,
                needed(own.coupling, "--coupling", model)?,
                field,
                !own.open,
            )?
        }
    })
}

fn needed<T>(value: Option<T>, argument: &'static str, model: Model) -> Result<T, CliError> {
    value.ok_or_else(|| CliError::Argument {
        argument,
        problem: format!("needed for --equilibrium {}", name(model)),
    })
}

/// A sampler that is under way.
enum Running<'a> {
    Gibbs(GibbsSampler<'a>, usize),
    Tempered(TemperedSampler<'a>, usize),
    Exact(CurieWeissSampler),
    Importance { bins: SpikeBlock, given: usize, proposals: usize, effective_samples: f64 },
}

impl<'a> Running<'a> {
    fn start(
        args: &SimulateArgs,
        model: Model,
        network: &'a EquilibriumIsing,
        bins: u64,
    ) -> Result<Self, CliError> {
        let own = &args.equilibrium;
        let sweeps = own.sweeps.map_or(SWEEPS, |sweeps| sweeps as usize);
        // Couplings were drawn with the seed itself.
        let seed = args.seed.wrapping_add(1);
        Ok(match sampler(args, model) {
            Sampler::Gibbs => Self::Gibbs(GibbsSampler::new(network, seed).burnt_in(), sweeps),
            Sampler::Tempered => Self::Tempered(TemperedSampler::new(network, seed).burnt_in(), sweeps),
            Sampler::Exact => {
                let beta = own.beta.unwrap_or_default();
                let field = args.field.unwrap_or_default();
                Self::Exact(CurieWeissSampler::new(network.n_neurons(), beta, field, seed)?)
            }
            Sampler::Importance => {
                // All at once: the share of active neurons is only known then.
                if bins as f64 * network.n_neurons() as f64 > 2.0 * SPIKES_MAX {
                    let problem = format!(
                        "{bins} bins are too many for importance resampling, which draws them at once"
                    );
                    return Err(CliError::Argument { argument: "--sampler", problem });
                }
                let proposals = own.proposals.map_or(Proposals::Published, Proposals::Count);
                let sample = importance_resampled(network, bins as usize, proposals, seed)?;
                let (proposals, effective_samples) = (sample.proposals, sample.effective_samples);
                Self::Importance { bins: sample.bins, given: 0, proposals, effective_samples }
            }
        })
    }

    fn bins(&mut self, count: usize) -> SpikeBlock {
        match self {
            Self::Gibbs(sampler, sweeps) => sampler.bins(count, *sweeps),
            Self::Tempered(sampler, sweeps) => sampler.bins(count, *sweeps),
            Self::Exact(sampler) => sampler.bins(count),
            Self::Importance { bins, given, .. } => {
                *given += count;
                bins.slice(*given - count, *given)
            }
        }
    }

    fn describe(&self) -> Described {
        let mut described = Described::default();
        match self {
            Self::Gibbs(_, sweeps) => described.sweeps = Some(*sweeps),
            Self::Tempered(sampler, sweeps) => {
                described.sweeps = Some(*sweeps);
                described.replicas = Some(sampler.betas().len());
                described.exchange_rate_min = sampler.exchange_rates().into_iter().reduce(f64::min);
            }
            Self::Exact(_) => {}
            Self::Importance { proposals, effective_samples, .. } => {
                described.proposals = Some(*proposals);
                described.effective_samples = Some(*effective_samples);
            }
        }
        described
    }
}

/// What a sampler says of itself.
#[derive(Debug, Clone, Copy, Default)]
struct Described {
    sweeps: Option<usize>,
    replicas: Option<usize>,
    exchange_rate_min: Option<f64>,
    proposals: Option<usize>,
    effective_samples: Option<f64>,
}

impl Described {
    fn in_words(&self, sampler: Sampler) -> String {
        let mut words = name(sampler);
        if let Some(sweeps) = self.sweeps {
            words += &format!(", {} between bins", text::counted(sweeps as u64, "sweep"));
        }
        if let Some(replicas) = self.replicas {
            words += &format!(", {}", text::counted(replicas as u64, "replica"));
        }
        if let Some(rate) = self.exchange_rate_min {
            words += &format!(", at least {:.0} % of exchanges made", 100.0 * rate);
        }
        if let (Some(proposals), Some(effective)) = (self.proposals, self.effective_samples) {
            words += &format!(
                ", {} to choose from, of which {effective:.1} count (effective sample size)",
                text::counted(proposals as u64, "uniform configuration")
            );
        }
        words
    }
}
