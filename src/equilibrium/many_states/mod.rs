mod clusters;
mod descent;
mod jackknife;
mod mean_field;
mod states;
mod tap;

use ndarray::{Array1, Array2};

use super::compatible::compatible;
use super::{Configurations, EquilibriumError, Samples};
use crate::model::{EquilibriumDiagnostics, EquilibriumMethod, EquilibriumModel, RowStatus};
use crate::moments::threads::map;
use clusters::Clustering;
use descent::Limits;
use mean_field::{MeanField, rows_by_states, usable};
use states::{State, total};
use tap::{Preconditioner, TapProblem};

/// Multiplications that a fit may cost: about a minute at the 2·10⁹ a second measured on a busy core.
const OPERATIONS_MAX: f64 = 137_438_953_472.0; // 2³⁷
/// Steps of the minimisation of TAP that this must leave.
const STEPS_LEAST: f64 = 100.0;

/// How couplings are found from several states.
#[derive(Debug, Clone, PartialEq)]
pub struct ManyStatesOptions {
    /// Number of states, 1 to 64; 2 unless told. At high temperature, where there is one state, more of them make the couplings worse: k-means
    /// then cuts one cloud in parts, whose correlations the cuts have changed.
    pub states: usize,
    /// Whether by TAP instead of naive mean field.
    pub tap: bool,
    /// Clusterings from different seeds, of which the one with the largest overlap is taken, 1 to 100; 4 unless told.
    pub restarts: usize,
    /// Most steps of the minimisation of TAP, 1 to 100,000; 1,000 unless told.
    pub iterations_max: usize,
    /// Seed of the clusterings.
    pub seed: u64,
    /// Most threads to use; 0 counts as 1. No result depends on it.
    pub threads: usize,
}

impl Default for ManyStatesOptions {
    fn default() -> Self {
        Self { states: 2, tap: false, restarts: 4, iterations_max: 1000, seed: 1, threads: 1 }
    }
}

impl ManyStatesOptions {
    fn checked(&self) -> Result<(), EquilibriumError> {
        let within = |what, found, min, max| {
            let fits = (min..=max).contains(&found);
            if fits { Ok(()) } else { Err(EquilibriumError::Count { what, min, max, found }) }
        };
        within("states", self.states, 1, 64)?;
        within("restarts", self.restarts, 1, 100)?;
        within("iterations", self.iterations_max, 1, 100_000)
    }

    /// Refused is what would cost more than [`OPERATIONS_MAX`] with so many sets of states that neurons are frozen in.
    fn affordable(&self, n: usize, sets: usize) -> Result<(), EquilibriumError> {
        let of_tap = if self.tap { STEPS_LEAST * (2.0 * self.states as f64 + 8.0) } else { 0.0 };
        let cost = mean_field::cost(self.states, 1, sets) + of_tap;
        let max = (OPERATIONS_MAX / cost).cbrt() as usize;
        if n <= max {
            Ok(())
        } else {
            Err(EquilibriumError::TooManyNeurons { method: self.method(), max, found: n })
        }
    }

    fn method(&self) -> EquilibriumMethod {
        if self.tap { EquilibriumMethod::ManyStatesTap } else { EquilibriumMethod::ManyStates }
    }
}

/// Couplings at low temperature, where the bins fall into several states that mean field theory holds in, but not over all of them
/// (Nguyen & Berg, PRL 109, 050602 (2012)).
///
/// Configurations are divided into states by spherical k-means, and the equations of naive mean field, or of TAP, in every state are solved for
/// one set of couplings by least squares; see the equations in `mean_field.rs` and `tap.rs`. Fields are means over states. All states count the
/// same. TAP starts from the couplings of naive mean field, or a part of them that fits its equations better, and need not find the lowest of
/// several minima. With fewer states than there are it often does not converge; with enough of them it is no better than naive
/// mean field, which unlike it leaves free what a neuron does to itself through others.
///
/// A neuron that is active in all bins of a state, or in none, has no equation there (`atanh ±1`). Neurons without an equation in any state, or
/// with couplings that no equation determines, say [`RowStatus::Singular`] and are zero: as few as suffice for the others to be
/// determined. Fewer distinct configurations than states is [`RowStatus::Undersampled`]; a clustering or minimisation that has not converged
/// [`RowStatus::NotConverged`]. A state that runs empty while clustering gets the configuration that fits its own state least.
///
/// Standard errors of naive mean field are from taking away half of each of [`ERROR_BLOCKS`](super::ERROR_BLOCKS) contiguous blocks of bins in
/// turn, with the division into states held fixed; there are none where other couplings would be determined then. TAP has none.
///
/// Cost: k-means some tens of O(states × spikes) for each restart, then some `(30 + 3 states) n³` multiplications for each different set of states
/// that neurons are frozen in, and for TAP `(8 + 2 states) n³` a step. All of it may be 2³⁷. Where that does not leave enough for standard
/// errors, 32 times as much as the fit, there are none: with two states above 487 neurons; where TAP comes to it before the minimum,
/// it says [`RowStatus::NotConverged`].
///
/// # Errors
/// [`EquilibriumError::Count`] for options outside their ranges, [`EquilibriumError::TooManyNeurons`] where the fit alone, of TAP 100 steps of it,
/// is above that bound: with two states above 1562 neurons, by TAP 480, and fewer with more states or sets.
pub fn many_states(
    samples: &Samples,
    options: &ManyStatesOptions,
) -> Result<EquilibriumModel, EquilibriumError> {
    options.checked()?;
    options.affordable(samples.n(), 1)?;
    let no_states = EquilibriumDiagnostics::ManyStates { bins: Vec::new(), residual: 0.0 };
    let configurations = &samples.configurations;
    let clustering =
        if samples.n() == 0 || samples.is_undersampled() { None } else { cluster(configurations, options) };
    let Some(clustering) = clustering else {
        return Ok(samples.nothing(options.method(), RowStatus::Undersampled, no_states));
    };
    let (n, state) = (samples.n(), largest_first(configurations, &clustering.state, options.states));
    let totals = total(configurations, &state, options.states);
    let states: Vec<State> = totals.iter().filter_map(states::Counts::state).collect();
    let sets = rows_by_states(&states, n).len();
    options.affordable(n, sets.max(1))?;
    let mean_field = MeanField::of(&states, n);
    let kept = determined_neurons(&states, &mean_field);
    let found = if options.tap {
        by_tap(&states, &mean_field, &kept, options.iterations_max as u32)
    } else {
        let (couplings, fields) = part(&states, &mean_field, &kept);
        let (squares, equations) = mean_field.residual;
        Found {
            couplings,
            fields,
            residual: (squares / equations.max(1.0)).sqrt(),
            iterations: 1,
            converged: true,
        }
    };
    let neurons: Vec<usize> = kept.iter().map(|&k| samples.taking_part[k]).collect();
    let bins = totals.iter().map(|counts| counts.bins as u64).collect();
    let diagnostics = EquilibriumDiagnostics::ManyStates { bins, residual: found.residual };
    let mut model = samples.nothing(options.method(), RowStatus::Singular, diagnostics);
    let converged = found.converged && clustering.converged;
    let status = if converged { RowStatus::Ok } else { RowStatus::NotConverged };
    neurons.iter().for_each(|&i| model.status[i] = status);
    (model.couplings, model.fields) = spread(&neurons, model.n_neurons(), &found.couplings, &found.fields);
    model.iterations = found.iterations;
    let replicates = (configurations.n_blocks() + 1) as f64;
    if !options.tap && replicates * mean_field::cost(options.states, n, sets) <= OPERATIONS_MAX {
        let estimate = jackknife::Estimate {
            configurations,
            state: &state,
            totals: &totals,
            kept: &kept,
            found: &(found.couplings, found.fields),
        };
        model.errors = jackknife::errors(&estimate, options.threads).map(|mut errors| {
            (errors.couplings, errors.fields) =
                spread(&neurons, model.n_neurons(), &errors.couplings, &errors.fields);
            errors
        });
    }
    Ok(model)
}

/// The best of several clusterings; `None` when there are fewer configurations than states.
fn cluster(configurations: &Configurations, options: &ManyStatesOptions) -> Option<Clustering> {
    let restarts = if options.states == 1 { 1 } else { options.restarts };
    let found = map(options.threads, restarts, |restart| {
        Clustering::of(configurations, options.states, options.seed.wrapping_add((restart as u64) << 32))
    });
    found.into_iter().flatten().reduce(Clustering::better)
}

/// States numbered anew, the one with the most bins first.
fn largest_first(configurations: &Configurations, state: &[usize], states: usize) -> Vec<usize> {
    let mut bins = vec![0; states];
    state.iter().zip(configurations.multiplicities()).for_each(|(&a, count)| bins[a] += count);
    let mut order: Vec<usize> = (0..states).collect();
    order.sort_by_key(|&a| std::cmp::Reverse(bins[a]));
    let mut place = vec![0; states];
    order.iter().enumerate().for_each(|(rank, &a)| place[a] = rank);
    state.iter().map(|&a| place[a]).collect()
}

/// Neurons that are left when as few as need be are taken out for all couplings to be determined, increasing.
fn determined_neurons(states: &[State], mean_field: &MeanField) -> Vec<usize> {
    let n = mean_field.couplings.nrows();
    let equations: Vec<usize> = (0..n).map(|i| usable(states, i).len()).collect();
    let lost = |i: usize, j: usize| equations[i] == 0 || equations[j] == 0 || !mean_field.determined[[i, j]];
    let left = compatible(n, lost, |i| equations[i] as f64);
    left.into_iter().filter(|&i| equations[i] > 0).collect()
}

/// Couplings and fields of the neurons kept, by naive mean field: `h_i` is the mean of `atanh m_i − Σ_j J_ij m_j` over states.
fn part(states: &[State], mean_field: &MeanField, kept: &[usize]) -> (Array2<f64>, Array1<f64>) {
    let couplings =
        Array2::from_shape_fn((kept.len(), kept.len()), |(i, j)| mean_field.couplings[[kept[i], kept[j]]]);
    let field = |(row, &i): (usize, &usize)| {
        let used = usable(states, i);
        let of = |&a: &usize| {
            let m = &states[a].magnetizations;
            m[i].atanh()
                - kept.iter().zip(couplings.row(row)).map(|(&j, coupling)| coupling * m[j]).sum::<f64>()
        };
        used.iter().map(of).sum::<f64>() / used.len().max(1) as f64
    };
    let fields = kept.iter().enumerate().map(field).collect();
    (couplings, fields)
}

/// What a version found of the neurons kept.
struct Found {
    couplings: Array2<f64>,
    fields: Array1<f64>,
    residual: f64,
    iterations: u32,
    converged: bool,
}

fn by_tap(states: &[State], mean_field: &MeanField, kept: &[usize], iterations_max: u32) -> Found {
    let states: Vec<State> = states.iter().map(|state| state.of(kept)).collect();
    let start =
        Array2::from_shape_fn((kept.len(), kept.len()), |(i, j)| mean_field.couplings[[kept[i], kept[j]]]);
    let problem = TapProblem::new(&states, kept.len());
    let Some(preconditioner) = Preconditioner::of(&states) else {
        let fields = problem.mean_fields(&problem.fields(&start));
        return Found { couplings: start, fields, residual: 0.0, iterations: 0, converged: kept.is_empty() };
    };
    let limits = Limits { iterations: iterations_max, operations: OPERATIONS_MAX };
    // Naive mean field can be far off; J² then is more so.
    let values = [1.0, 0.5, 0.25, 0.0].map(|part| (problem.evaluate(&(&start * part)).value, part));
    let least = values.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
    let start = start * least.map_or(0.0, |(_, part)| part);
    let minimum = descent::minimise(&problem, &preconditioner, start, &limits);
    Found {
        fields: problem.mean_fields(&problem.fields(&minimum.couplings)),
        residual: (2.0 * minimum.value / problem.equations().max(1.0)).sqrt(),
        couplings: minimum.couplings,
        iterations: minimum.iterations,
        converged: minimum.converged,
    }
}

/// Spread over all `n` neurons.
fn spread(
    neurons: &[usize],
    n: usize,
    couplings: &Array2<f64>,
    fields: &Array1<f64>,
) -> (Array2<f64>, Array1<f64>) {
    let (mut all, mut all_fields) = (Array2::zeros((n, n)), Array1::zeros(n));
    for (row, &i) in neurons.iter().enumerate() {
        all_fields[i] = fields[row];
        neurons.iter().zip(couplings.row(row)).for_each(|(&j, coupling)| all[[i, j]] = *coupling);
    }
    (all, all_fields)
}
