//! `glauber simulate`: a recording of a network whose couplings are known.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;
use glauber::ingest::BinnedRecording;
use glauber::model::{BinWidth, Interval, Neuron, RecordedSession, RecordedUnit, SpikeBlock};
use glauber::recording::{self, NwbMetadata, Subject, Truth};
use glauber::simulate::{KineticIsing, KineticSimulation, StimulusSimulation, stimulus_drive};
use ndarray::{Array1, Array2};
use serde_json::json;

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

Examples:
  glauber simulate --neurons 60 --coupling-std 0.5 --duration 10min --bin-width 10ms --out rig.nwb
  glauber simulate --neurons 200 --coupling-std 0.3 --duration 1h --bin-width 5ms --rate-hz 8 --seed 7 --out slow.nwb
  glauber simulate --neurons 40 --coupling-std 0 --trials 200 --trial-length 2s --bin-width 10ms --out locked.nwb")]
pub(crate) struct SimulateArgs {
    /// Number of neurons
    #[arg(long, value_name = "N")]
    neurons: usize,
    /// g: standard deviation of the summed input to a neuron, 0 to 100
    #[arg(long, value_name = "G")]
    coupling_std: f64,
    /// Length of the recording, such as 10min
    #[arg(
        long,
        value_name = "TIME",
        value_parser = values::parse_duration,
        required_unless_present = "trials",
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
    /// Field h of every neuron, dimensionless; 0 is a spike in every other bin
    #[arg(long, value_name = "H", default_value_t = 0.0, allow_negative_numbers = true)]
    field: f64,
    /// Seed of the couplings and spikes: the same seed gives the same recording
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File to write (NWB)
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: &SimulateArgs, manner: Manner) -> Result<(), CliError> {
    check_output(&args.out, args.force)?;
    let network = network(args)?;
    let stimulus = stimulus(args)?;
    let bins = match &stimulus {
        Some(stimulus) => stimulus.bins()?,
        None => args.bin_width.bins_covering(args.duration.unwrap_or_default()),
    };
    let simulated = simulate(&network, stimulus.as_ref(), bins, args.bin_width, args.seed, manner)?;
    simulated.write(&args.out, args.bin_width, args.force)?;

    let neurons = args.neurons as f64;
    let seconds = bins as f64 * args.bin_width.seconds();
    let rate = simulated.spikes as f64 / (neurons * seconds);
    if manner.json {
        return output::json(&json!({
            "file": args.out.display().to_string(),
            "neurons": args.neurons,
            "bins": bins,
            "bin_width_us": args.bin_width.us(),
            "seconds": seconds,
            "spikes": simulated.spikes,
            "rate_hz": rate,
            "coupling_std": args.coupling_std,
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
                text::counted(args.neurons as u64, "neuron"),
                text::counted(bins, "bin"),
                args.bin_width,
                text::seconds(seconds)
            ),
        ),
        ("spikes", format!("{}, {rate:.2} per second and neuron", text::count(simulated.spikes))),
        ("couplings", format!("normal, standard deviation {:.4}", args.coupling_std / neurons.sqrt())),
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

fn stimulus(args: &SimulateArgs) -> Result<Option<Stimulus>, CliError> {
    let (Some(repeats), Some(length)) = (args.trials, args.trial_length) else { return Ok(None) };
    let bins = args.bin_width.bins_covering(length);
    if bins > TRIAL_BINS_MAX {
        let problem = format!("{bins} bins, more than the {TRIAL_BINS_MAX} of one trial");
        return Err(CliError::Argument { argument: "--trial-length", problem });
    }
    let std = args.stimulus_drive.unwrap_or(1.0);
    // Couplings and spikes are drawn with the seed and the one after.
    let drive = stimulus_drive(args.neurons, bins as usize, std, args.seed.wrapping_add(2))?;
    Ok(Some(Stimulus { drive, repeats }))
}

fn network(args: &SimulateArgs) -> Result<KineticIsing, CliError> {
    let network = KineticIsing::asymmetric_sk(args.neurons, args.coupling_std, args.field, args.seed)?;
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
    let n = network.n_neurons();
    let mut spike_times_ns: Vec<Vec<i64>> = vec![Vec::new(); n];
    let mut spikes = 0u64;
    let bar = progress::bins(bins, manner);
    bar.set_prefix("simulate");
    let mut done = 0;
    while done < bins {
        let piece = PIECE_BINS.min(bins - done);
        let block = simulation.bins(piece as usize);
        spikes += block.n_active() as u64;
        for (bin, active) in (done..).zip(block.bins()) {
            // In the middle of the bin, where no rounding of seconds moves a spike out of it.
            let time_ns = bin as i64 * bin_width.ns() + bin_width.ns() / 2;
            for &neuron in active {
                spike_times_ns[usize::from(neuron)].push(time_ns);
            }
        }
        done += piece;
        let expected = spikes as f64 * (bins as f64 / done as f64);
        if expected > SPIKES_MAX {
            let problem =
                format!("about {expected:.1e} spikes, more than the {SPIKES_MAX:.0e} kept in memory");
            return Err(CliError::Argument { argument: "--duration", problem });
        }
        bar.set_position(done);
    }
    bar.finish_and_clear();
    let whole = Interval { start_ns: 0, stop_ns: bins as i64 * bin_width.ns() };
    let unit = |(id, spike_times_ns): (usize, Vec<i64>)| RecordedUnit {
        neuron: Neuron { id: id as i64, label: String::new() },
        spike_times_ns,
        observed: Some(vec![whole]),
    };
    let trial_ns = |stimulus: &Stimulus| stimulus.drive.ncols() as i64 * bin_width.ns();
    let trial = |k: i64, length: i64| Interval { start_ns: k * length, stop_ns: (k + 1) * length };
    let trials = stimulus.map_or_else(Vec::new, |stimulus| {
        (0..stimulus.repeats as i64).map(|k| trial(k, trial_ns(stimulus))).collect()
    });
    Ok(Simulated {
        session: RecordedSession {
            units: spike_times_ns.into_iter().enumerate().map(unit).collect(),
            trials,
            ..Default::default()
        },
        truth: Truth { couplings: network.couplings.clone(), fields: network.fields.clone() },
        mean_gain: simulation.mean_gain(),
        spikes,
    })
}

impl Simulated {
    /// Write the recording with its truth as NWB.
    pub(crate) fn write(
        &self,
        path: &std::path::Path,
        bin_width: BinWidth,
        force: bool,
    ) -> Result<(), CliError> {
        let now = SystemTime::now();
        let metadata = NwbMetadata {
            identifier: format!("glauber-simulation-{}", super::recordings::stem(path)),
            session_description: "Simulated kinetic Ising network with known couplings".to_owned(),
            session_start: now,
            created: now,
            resolution_seconds: bin_width.seconds(),
            subject: Subject::simulated(),
        };
        recording::write_nwb(path, &self.session, &metadata, Some(&self.truth), overwrite(force))?;
        Ok(())
    }
}
