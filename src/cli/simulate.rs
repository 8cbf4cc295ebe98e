//! `glauber simulate`: a recording of a network whose couplings are known.

mod equilibrium;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use glauber::ingest::BinnedRecording;
use glauber::model::{BinWidth, Interval, Neuron, RecordedSession, RecordedUnit, SpikeBlock};
use glauber::recording::{self, NwbMetadata, Subject, Truth, TruthModel};
use glauber::simulate::{KineticIsing, KineticSimulation, StimulusSimulation, stimulus_drive};
use indicatif::ProgressBar;
use ndarray::{Array1, Array2};
use serde_json::json;

use self::equilibrium::EquilibriumArgs;
use super::error::CliError;
use super::fit::{check_output, overwrite};
use super::{Manner, output, progress, text, values};

/// Bins between two movements of the progress bar.
const PIECE_BINS: u64 = 4096;
/// Most bins of a trial, as many as fields are estimated for.
const TRIAL_BINS_MAX: u64 = glauber::kinetic::TRIAL_BINS_MAX as u64;
/// Most spikes of one recording: 4 GB of times, and as many as are read back.
const SPIKES_MAX: f64 = 5e8;

/// Simulate a network with known couplings and write the recording (NWB)
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A kinetic Ising network: neuron i fires in bin t+1 with probability 1 / (1 + exp(-2 (h_i + Σ_j J_ij s_j(t)))), s = +1 for a spike and -1 for none. The couplings J are independent and normal with standard deviation g / √neurons; they and the fields h are written into the file beside the spikes.

With --trials the recording is that many repeats of a stimulus, which adds to the fields a drive that is the same in every repeat: smooth in time, half of its variance shared by all neurons.

With --equilibrium the bins are configurations of an equilibrium model P(s) ∝ exp(Σ_i h_i s_i + Σ_{i<j} J_ij s_i s_j) instead, as good as independent of each other: sk (Sherrington-Kirkpatrick: couplings normal with standard deviation g / √neurons), curie-weiss (the coupling β / neurons between all) or lattice (one coupling between neighbours). The sampler says how they are drawn: gibbs; tempered (replica exchange, for low temperature); exact (independent, Curie-Weiss alone); importance (uniform configurations resampled by their weight, as in published comparisons: look at its effective sample size).

Examples:
  glauber simulate --neurons 60 --coupling-std 0.5 --duration 10min --bin-width 10ms --out rig.nwb
  glauber simulate --neurons 200 --coupling-std 0.3 --duration 1h --bin-width 5ms --rate-hz 8 --seed 7 --out slow.nwb
  glauber simulate --neurons 40 --coupling-std 0 --trials 200 --trial-length 2s --bin-width 10ms --out locked.nwb
  glauber simulate --equilibrium sk --neurons 100 --coupling-std 1 --bins 10000 --bin-width 10ms --out sk.nwb
  glauber simulate --equilibrium curie-weiss --neurons 100 --beta 1.42 --bins 100000 --bin-width 10ms --out states.nwb
  glauber simulate --equilibrium lattice --side 16 --coupling 0.35 --bins 1000 --bin-width 10ms --out images.nwb")]
pub(crate) struct SimulateArgs {
    /// Number of neurons
    #[arg(long, value_name = "N", required_unless_present = "equilibrium")]
    neurons: Option<usize>,
    /// g: standard deviation of the summed input to a neuron, 0 to 100
    #[arg(long, value_name = "G", required_unless_present = "equilibrium")]
    coupling_std: Option<f64>,
    /// Length of the recording, such as 10min
    #[arg(
        long,
        value_name = "TIME",
        value_parser = values::parse_duration,
        required_unless_present_any = ["trials", "bins"],
        conflicts_with = "trials"
    )]
    duration: Option<Duration>,
    /// Number of repeats of a stimulus, back to back
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u64).range(1..), requires = "trial_length")]
    trials: Option<u64>,
    /// Length of a trial, such as 2s
    #[arg(long, value_name = "TIME", value_parser = values::parse_duration, requires = "trials")]
    trial_length: Option<Duration>,
    /// Standard deviation of the stimulus' drive over the bins of a trial, dimensionless [default: 1]
    #[arg(long, value_name = "X", requires = "trials")]
    stimulus_drive: Option<f64>,
    /// Width of a bin, 0.1ms to 1s
    #[arg(long, value_name = "WIDTH")]
    bin_width: BinWidth,
    /// Mean rate of a neuron, in bins with a spike per second
    #[arg(long, value_name = "HZ", conflicts_with = "field")]
    rate_hz: Option<f64>,
    /// Field h of every neuron, dimensionless; 0 is a spike in every other bin [default: 0]
    #[arg(long, value_name = "H", allow_negative_numbers = true)]
    field: Option<f64>,
    /// Seed of the couplings and spikes: the same seed gives the same recording
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File to write (NWB)
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    equilibrium: EquilibriumArgs,
}

pub(crate) fn run(args: &SimulateArgs, manner: Manner) -> Result<(), CliError> {
    check_output(&args.out, args.force)?;
    if let Some(model) = args.equilibrium.equilibrium {
        return equilibrium::run(args, model, manner);
    }
    // The parser asks for both.
    let (neurons, coupling_std) = (args.neurons.unwrap_or_default(), args.coupling_std.unwrap_or_default());
    let network = network(args, neurons, coupling_std)?;
    let stimulus = stimulus(args, neurons)?;
    let bins = match &stimulus {
        Some(stimulus) => stimulus.bins()?,
        None => args.bin_width.bins_covering(args.duration.unwrap_or_default()),
    };
    let simulated = simulate(&network, stimulus.as_ref(), bins, args.bin_width, args.seed, manner)?;
    simulated.write(&args.out, args.bin_width, args.force)?;

    let seconds = bins as f64 * args.bin_width.seconds();
    let rate = simulated.spikes as f64 / (neurons as f64 * seconds);
    if manner.json {
        return output::json(&json!({
            "file": args.out.display().to_string(),
            "neurons": neurons,
            "bins": bins,
            "bin_width_us": args.bin_width.us(),
            "seconds": seconds,
            "spikes": simulated.spikes,
            "rate_hz": rate,
            "coupling_std": coupling_std,
            "trials": simulated.session.trials.len(),
            "seed": args.seed,
        }));
    }
    let out = args.out.display();
    let mut facts = vec![
        ("written", out.to_string()),
        (
            "recording",
            format!(
                "{}, {} of {} = {}",
                text::counted(neurons as u64, "neuron"),
                text::counted(bins, "bin"),
                args.bin_width,
                text::seconds(seconds)
            ),
        ),
        ("spikes", format!("{}, {rate:.2} per second and neuron", text::count(simulated.spikes))),
        ("couplings", format!("normal, standard deviation {:.4}", coupling_std / (neurons as f64).sqrt())),
    ];
    if let Some(stimulus) = &stimulus {
        let length = text::counted(stimulus.drive.ncols() as u64, "bin");
        facts.push(("trials", format!("{} of {length}", text::count(stimulus.repeats))));
    }
    facts.push((
        "next",
        format!("glauber fit {} --bin-width {} --out fit.h5", text::quoted(&args.out), args.bin_width),
    ));
    output::print_facts(&facts)
}

/// A stimulus that comes again and again.
#[derive(Debug, Clone)]
pub(crate) struct Stimulus {
    /// Added to the fields in each bin of a trial, shape `(n_neurons, n_bins)`.
    drive: Array2<f64>,
    repeats: u64,
}

impl Stimulus {
    fn bins(&self) -> Result<u64, CliError> {
        (self.drive.ncols() as u64)
            .checked_mul(self.repeats)
            .filter(|&bins| bins <= BinnedRecording::BINS_MAX)
            .ok_or_else(|| CliError::Argument {
                argument: "--trials",
                problem: format!("more than {} bins", BinnedRecording::BINS_MAX),
            })
    }
}

fn stimulus(args: &SimulateArgs, neurons: usize) -> Result<Option<Stimulus>, CliError> {
    let (Some(repeats), Some(length)) = (args.trials, args.trial_length) else { return Ok(None) };
    let bins = args.bin_width.bins_covering(length);
    if bins > TRIAL_BINS_MAX {
        let problem = format!("{bins} bins, more than the {TRIAL_BINS_MAX} of one trial");
        return Err(CliError::Argument { argument: "--trial-length", problem });
    }
    let std = args.stimulus_drive.unwrap_or(1.0);
    // Couplings and spikes are drawn with the seed and the one after.
    let drive = stimulus_drive(neurons, bins as usize, std, args.seed.wrapping_add(2))?;
    Ok(Some(Stimulus { drive, repeats }))
}

fn network(args: &SimulateArgs, neurons: usize, coupling_std: f64) -> Result<KineticIsing, CliError> {
    let field = args.field.unwrap_or_default();
    let network = KineticIsing::asymmetric_sk(neurons, coupling_std, field, args.seed)?;
    let Some(rate_hz) = args.rate_hz else { return Ok(network) };
    let probability = rate_hz * args.bin_width.seconds();
    if !(probability > 0.0 && probability < 1.0) {
        let most = 1.0 / args.bin_width.seconds();
        let problem = format!(
            "{rate_hz} Hz is not possible in bins of {}: expected more than 0 and less than {most} Hz",
            args.bin_width
        );
        return Err(CliError::Argument { argument: "--rate-hz", problem });
    }
    Ok(network.with_spike_probability(probability)?)
}

/// Spikes and the network they came from.
#[derive(Debug, Clone)]
pub(crate) struct Simulated {
    /// The recording; its units are observed for exactly the bins simulated.
    pub(crate) session: RecordedSession,
    /// The couplings and fields.
    pub(crate) truth: Truth,
    /// `⟨1 − tanh² θ_i⟩`, shape `(n_neurons)`.
    pub(crate) mean_gain: Array1<f64>,
    /// Number of spikes.
    pub(crate) spikes: u64,
}

/// A simulation that is under way.
enum Running {
    Free(KineticSimulation),
    Driven(StimulusSimulation),
}

impl Running {
    fn bins(&mut self, n_bins: usize) -> SpikeBlock {
        match self {
            Self::Free(simulation) => simulation.bins(n_bins),
            Self::Driven(simulation) => simulation.bins(n_bins),
        }
    }

    fn mean_gain(&self) -> Array1<f64> {
        match self {
            Self::Free(simulation) => simulation.mean_gain(),
            Self::Driven(simulation) => simulation.mean_gain(),
        }
    }
}

/// Run a network, under a stimulus if there is one, for so many bins.
pub(crate) fn simulate(
    network: &KineticIsing,
    stimulus: Option<&Stimulus>,
    bins: u64,
    bin_width: BinWidth,
    seed: u64,
    manner: Manner,
) -> Result<Simulated, CliError> {
    // The couplings were drawn with the seed itself.
    let seed = seed.wrapping_add(1);
    let mut simulation = match stimulus {
        Some(stimulus) => Running::Driven(StimulusSimulation::new(network, &stimulus.drive, seed)?),
        None => Running::Free(KineticSimulation::new(network, seed)),
    };
    let mut trains = Trains::new(network.n_neurons(), bins, bin_width, manner);
    while let Some(piece) = trains.next_piece() {
        trains.take(&simulation.bins(piece))?;
    }
    let trial_ns = |stimulus: &Stimulus| stimulus.drive.ncols() as i64 * bin_width.ns();
    let trial = |k: i64, length: i64| Interval { start_ns: k * length, stop_ns: (k + 1) * length };
    let trials = stimulus.map_or_else(Vec::new, |stimulus| {
        (0..stimulus.repeats as i64).map(|k| trial(k, trial_ns(stimulus))).collect()
    });
    let (units, spikes) = trains.finish();
    Ok(Simulated {
        session: RecordedSession { units, trials, ..Default::default() },
        truth: Truth {
            model: TruthModel::Kinetic,
            couplings: network.couplings.clone(),
            fields: network.fields.clone(),
        },
        mean_gain: simulation.mean_gain(),
        spikes,
    })
}

/// Spike trains under way from bins that come piece by piece.
struct Trains {
    spike_times_ns: Vec<Vec<i64>>,
    bins: u64,
    bin_width: BinWidth,
    done: u64,
    spikes: u64,
    bar: ProgressBar,
}

impl Trains {
    fn new(n_neurons: usize, bins: u64, bin_width: BinWidth, manner: Manner) -> Self {
        let bar = progress::bins(bins, manner);
        bar.set_prefix("simulate");
        Self { spike_times_ns: vec![Vec::new(); n_neurons], bins, bin_width, done: 0, spikes: 0, bar }
    }

    /// Bins of the next piece; `None` at the end.
    fn next_piece(&self) -> Option<usize> {
        let left = self.bins - self.done;
        (left > 0).then(|| PIECE_BINS.min(left) as usize)
    }

    fn take(&mut self, block: &SpikeBlock) -> Result<(), CliError> {
        self.spikes += block.n_active() as u64;
        for (bin, active) in (self.done..).zip(block.bins()) {
            // In the middle of the bin, where no rounding of seconds moves a spike out of it.
            let time_ns = bin as i64 * self.bin_width.ns() + self.bin_width.ns() / 2;
            for &neuron in active {
                self.spike_times_ns[usize::from(neuron)].push(time_ns);
            }
        }
        self.done += block.n_bins() as u64;
        let expected = self.spikes as f64 * (self.bins as f64 / self.done as f64);
        if expected > SPIKES_MAX {
            let problem =
                format!("about {expected:.1e} spikes, more than the {SPIKES_MAX:.0e} kept in memory");
            return Err(CliError::Argument { argument: "--duration", problem });
        }
        self.bar.set_position(self.done);
        Ok(())
    }

    /// Units that are observed for exactly the bins simulated, and their spikes.
    fn finish(self) -> (Vec<RecordedUnit>, u64) {
        self.bar.finish_and_clear();
        let whole = Interval { start_ns: 0, stop_ns: self.bins as i64 * self.bin_width.ns() };
        let unit = |(id, spike_times_ns): (usize, Vec<i64>)| RecordedUnit {
            neuron: Neuron { id: id as i64, label: String::new() },
            spike_times_ns,
            observed: Some(vec![whole]),
        };
        (self.spike_times_ns.into_iter().enumerate().map(unit).collect(), self.spikes)
    }
}

impl Simulated {
    /// Write the recording with its truth as NWB.
    pub(crate) fn write(&self, path: &Path, bin_width: BinWidth, force: bool) -> Result<(), CliError> {
        write(path, &self.session, &self.truth, bin_width, force)
    }
}

fn write(
    path: &Path,
    session: &RecordedSession,
    truth: &Truth,
    bin_width: BinWidth,
    force: bool,
) -> Result<(), CliError> {
    let now = SystemTime::now();
    let model = match truth.model {
        TruthModel::Kinetic => "kinetic Ising network",
        TruthModel::Equilibrium => "equilibrium Ising model",
    };
    let metadata = NwbMetadata {
        identifier: format!("glauber-simulation-{}", super::recordings::stem(path)),
        session_description: format!("Simulated {model} with known couplings"),
        session_start: now,
        created: now,
        resolution_seconds: bin_width.seconds(),
        subject: Subject::simulated(),
    };
    recording::write_nwb(path, session, &metadata, Some(truth), overwrite(force))?;
    Ok(())
}
