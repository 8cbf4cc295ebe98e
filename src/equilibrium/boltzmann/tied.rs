use ndarray::{Array1, Array2};

use super::chains::{Family, Network};
use super::information::Information;
use super::learn::{Learnt, learn};
use super::{BoltzmannOptions, Tying};
use crate::equilibrium::{Configurations, EquilibriumError};
use crate::model::{BoltzmannDiagnostics, NEURONS_MAX, RowStatus};
use crate::simulate::{EquilibriumIsing, GibbsChain, InputRows};

/// Steps of the pseudo-likelihood fit that learning starts from, and what ends it.
const START_STEPS_MAX: usize = 50;
const START_CHANGE_MAX: f64 = 0.5;
const START_CHANGE_MIN: f64 = 1e-8;
/// Largest parameter to start from.
const START_MAX: f64 = 2.0;

/// A model with tied parameters. No number in it is NaN or infinite.
#[derive(Debug, Clone, PartialEq)]
pub struct TiedModel {
    /// Of each class of couplings.
    pub couplings: Vec<TiedParameter>,
    /// Of each class of fields.
    pub fields: Vec<TiedParameter>,
    /// [`RowStatus::Ok`]; [`RowStatus::Undersampled`] without any configuration, [`RowStatus::Silent`] or [`RowStatus::Saturated`] where the
    /// neurons of a field never fire or always, [`RowStatus::Separated`] where the pairs of a coupling never differ or always do: then all is
    /// zero; or [`RowStatus::NotConverged`] with the last values.
    pub status: RowStatus,
    /// Configurations.
    pub samples: u64,
    /// Parameter updates.
    pub iterations: u32,
    /// What learning ended with. Moments are means over the members of a class.
    pub diagnostics: BoltzmannDiagnostics,
}

/// One parameter of many pairs or neurons.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TiedParameter {
    /// Its value.
    pub value: f64,
    /// Its standard error, from the Fisher information of that many independent configurations and from the finite chains; `None` where the
    /// information is singular. Configurations that depend on each other make it too small.
    pub standard_error: Option<f64>,
    /// Pairs or neurons it stands for.
    pub members: u64,
}

impl TiedModel {
    /// The model of all neurons.
    #[must_use]
    pub fn model(&self, tying: &Tying) -> EquilibriumIsing {
        let n = tying.n_neurons();
        let mut couplings = Array2::zeros((n, n));
        for &(i, j, class) in tying.pairs() {
            couplings[[i, j]] = self.couplings[class].value;
            couplings[[j, i]] = self.couplings[class].value;
        }
        let fields = tying.fields().iter().map(|class| class.map_or(0.0, |c| self.fields[c].value)).collect();
        EquilibriumIsing { couplings, fields }
    }
}

/// Maximum likelihood of a model with tied parameters by Boltzmann learning, such as of the homogeneous lattice on binary images, each of
/// them a configuration. All neurons take part, silent ones too: they say something of parameters they share with others.
///
/// Learning starts from the maximum of the pseudo-likelihood (Besag 1975), and its steps are preconditioned by the Fisher information there.
///
/// # Errors
/// [`EquilibriumError`] for options outside their range, or configurations of another number of neurons than the tying's.
pub fn boltzmann_tied(
    configurations: &Configurations,
    tying: &Tying,
    options: &BoltzmannOptions,
) -> Result<TiedModel, EquilibriumError> {
    options.check()?;
    let (n, found) = (tying.n_neurons(), configurations.n_neurons());
    if n != found {
        return Err(EquilibriumError::Count { what: "neurons of the configurations", min: n, max: n, found });
    }
    debug_assert!(n <= NEURONS_MAX);
    let samples = configurations.n_bins() as u64;
    let family = Classes::of(configurations, tying);
    if let Some(status) = family.unbounded(samples) {
        let nothing = |members: &u64| TiedParameter { value: 0.0, standard_error: None, members: *members };
        return Ok(TiedModel {
            couplings: tying.pair_counts().iter().map(nothing).collect(),
            fields: tying.field_counts().iter().map(nothing).collect(),
            status,
            samples,
            iterations: 0,
            diagnostics: options.nothing(),
        });
    }
    let start = family.pseudo_likelihood(configurations);
    let Learnt { parameters, diagnostics, information, chain_variance, steps } =
        learn(&family, start, options);
    let standard_errors = information.map(|information| {
        let own = information.variances();
        let both =
            own.iter().zip(&chain_variance).map(|(own, chains)| (own / samples as f64 + chains).sqrt());
        both.collect::<Vec<_>>()
    });
    let parameter = |a: usize, members: u64| TiedParameter {
        value: parameters[a],
        standard_error: standard_errors.as_ref().map(|errors| errors[a]),
        members,
    };
    let couplings = tying.pair_counts().len();
    let numbered = |first: usize, counts: &[u64]| -> Vec<TiedParameter> {
        counts.iter().enumerate().map(|(k, &members)| parameter(first + k, members)).collect()
    };
    Ok(TiedModel {
        couplings: numbered(0, tying.pair_counts()),
        fields: numbered(couplings, tying.field_counts()),
        status: if diagnostics.converged { RowStatus::Ok } else { RowStatus::NotConverged },
        samples,
        iterations: steps,
        diagnostics,
    })
}

/// Operators `Σ s_i s_j` over the pairs of each class, then `Σ s_i` over the neurons of each.
struct Classes<'a> {
    tying: &'a Tying,
    /// Members of each class.
    members: Vec<f64>,
    data: Vec<f64>,
    /// Neighbours of neuron `i` and the class of their coupling: `neighbours[offsets[i]..offsets[i + 1]]`.
    offsets: Vec<usize>,
    neighbours: Vec<(u32, usize)>,
}

impl<'a> Classes<'a> {
    fn of(configurations: &Configurations, tying: &'a Tying) -> Self {
        let counts = tying.pair_counts().iter().chain(tying.field_counts());
        let mut lists: Vec<Vec<(u32, usize)>> = vec![Vec::new(); tying.n_neurons()];
        for &(i, j, class) in tying.pairs() {
            lists[i].push((j as u32, class));
            lists[j].push((i as u32, class));
        }
        let mut offsets = vec![0];
        for list in &lists {
            offsets.push(offsets[offsets.len() - 1] + list.len());
        }
        let mut family = Self {
            tying,
            members: counts.map(|&count| count as f64).collect(),
            data: Vec::new(),
            offsets,
            neighbours: lists.into_iter().flatten().collect(),
        };
        family.data = vec![0.0; family.members.len()];
        let mut sums = vec![0i64; family.members.len()];
        let total = (configurations.n_bins() as f64).max(1.0);
        for_each_configuration(configurations, |spins, count| {
            sums.fill(0);
            family.add_operators(spins, &mut sums);
            family.data.iter_mut().zip(&sums).for_each(|(mean, &sum)| *mean += count * sum as f64 / total);
        });
        family
    }

    fn add_operators(&self, spins: &[bool], sums: &mut [i64]) {
        let sign = |alike: bool| if alike { 1 } else { -1 };
        let (pairs, fields) = sums.split_at_mut(self.tying.pair_counts().len());
        for &(i, j, class) in self.tying.pairs() {
            pairs[class] += sign(spins[i] == spins[j]);
        }
        for (class, &fires) in self.tying.fields().iter().zip(spins) {
            if let Some(class) = class {
                fields[*class] += sign(fires);
            }
        }
    }

    /// Why there is no finite maximum, as far as single moments tell.
    fn unbounded(&self, samples: u64) -> Option<RowStatus> {
        if samples == 0 {
            return Some(RowStatus::Undersampled);
        }
        let couplings = self.tying.pair_counts().len();
        let status = |(a, (sum, members)): (usize, (&f64, &f64))| {
            // Means of sums of whole numbers: rounding is far smaller than one flip among all samples.
            let extreme = sum.abs() >= members - 0.5 / samples as f64;
            extreme.then_some(match (a < couplings, *sum < 0.0) {
                (true, _) => RowStatus::Separated,
                (false, true) => RowStatus::Silent,
                (false, false) => RowStatus::Saturated,
            })
        };
        self.data.iter().zip(&self.members).enumerate().rev().find_map(status)
    }

    /// The maximum of `Σ_i log P(s_i | the others)`, by Newton's method, as far as a few steps lead.
    fn pseudo_likelihood(&self, configurations: &Configurations) -> Vec<f64> {
        let n = self.members.len();
        let mut parameters = vec![0.0; n];
        for _ in 0..START_STEPS_MAX {
            let (gradient, curvature) = self.pseudo_gradient(configurations, &parameters);
            let Some(factor) = Information::factor(&curvature, 1.0) else { break };
            let change = factor.solve(&gradient);
            let largest = change.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
            let factor = if largest > START_CHANGE_MAX { START_CHANGE_MAX / largest } else { 1.0 };
            parameters
                .iter_mut()
                .zip(&change)
                .for_each(|(w, x)| *w = (*w + factor * x).clamp(-START_MAX, START_MAX));
            if largest < START_CHANGE_MIN {
                break;
            }
        }
        parameters
    }

    /// Gradient of the pseudo-log-likelihood and minus its second derivatives, the lower triangle by rows.
    fn pseudo_gradient(
        &self,
        configurations: &Configurations,
        parameters: &[f64],
    ) -> (Vec<f64>, Vec<Vec<f64>>) {
        let n = self.members.len();
        let couplings = self.tying.pair_counts().len();
        let mut gradient = vec![0.0; n];
        let mut curvature: Vec<Vec<f64>> = (0..n).map(|a| vec![0.0; a + 1]).collect();
        // What the neuron's input holds of each parameter, and which of them it has seen.
        let mut features = vec![0.0; n];
        let mut seen: Vec<usize> = Vec::new();
        for_each_configuration(configurations, |spins, count| {
            for (i, &fires) in spins.iter().enumerate() {
                for &(j, class) in &self.neighbours[self.offsets[i]..self.offsets[i + 1]] {
                    features[class] += if spins[j as usize] { 1.0 } else { -1.0 };
                    seen.push(class);
                }
                if let Some(class) = self.tying.fields()[i] {
                    features[couplings + class] += 1.0;
                    seen.push(couplings + class);
                }
                seen.sort_unstable();
                seen.dedup();
                let input: f64 = seen.iter().map(|&a| parameters[a] * features[a]).sum();
                let mean = input.tanh();
                let residual = count * (if fires { 1.0 } else { -1.0 } - mean);
                let gain = count * (1.0 - mean * mean);
                for (k, &a) in seen.iter().enumerate() {
                    gradient[a] += residual * features[a];
                    seen[..=k].iter().for_each(|&b| curvature[a][b] += gain * features[a] * features[b]);
                }
                seen.drain(..).for_each(|a| features[a] = 0.0);
            }
        });
        (gradient, curvature)
    }
}

impl Family for Classes<'_> {
    fn data(&self) -> &[f64] {
        &self.data
    }

    fn scale(&self, parameter: usize) -> f64 {
        self.members[parameter]
    }

    fn network(&self, parameters: &[f64]) -> Network {
        let (pairs, fields) = parameters.split_at(self.tying.pair_counts().len());
        let fields: Array1<f64> =
            self.tying.fields().iter().map(|class| class.map_or(0.0, |c| fields[c])).collect();
        let neighbours = self.neighbours.iter().map(|&(j, class)| (j, pairs[class])).collect();
        Network { rows: InputRows::Sparse { offsets: self.offsets.clone(), neighbours }, fields }
    }

    fn run(&self, chain: &mut GibbsChain, network: &Network, sweeps: usize) -> Vec<f64> {
        let mut sums = vec![0; self.members.len()];
        for _ in 0..sweeps {
            chain.sweep(&network.rows, 1.0);
            self.add_operators(chain.spins(), &mut sums);
        }
        sums.iter().map(|&sum| sum as f64).collect()
    }

    fn starts_close(&self) -> bool {
        true
    }

    fn precondition(&self, residual: &[f64]) -> Vec<f64> {
        // Independent spins: the variance of a sum is the number of its members.
        residual.iter().zip(&self.members).map(|(r, members)| r / members).collect()
    }

    fn covariance(&self, configurations: &[Vec<bool>], _: usize) -> Vec<Vec<f64>> {
        let n = self.members.len();
        let count = configurations.len() as f64;
        let of = |spins: &Vec<bool>| {
            let mut sums = vec![0; n];
            self.add_operators(spins, &mut sums);
            sums.iter().map(|&sum| sum as f64).collect::<Vec<f64>>()
        };
        let values: Vec<Vec<f64>> = configurations.iter().map(of).collect();
        let means: Vec<f64> = (0..n).map(|a| values.iter().map(|v| v[a]).sum::<f64>() / count).collect();
        let mut lower: Vec<Vec<f64>> = (0..n).map(|a| vec![0.0; a + 1]).collect();
        for value in &values {
            for (a, row) in lower.iter_mut().enumerate() {
                let x = (value[a] - means[a]) / count;
                row.iter_mut().enumerate().for_each(|(b, sum)| *sum += x * (value[b] - means[b]));
            }
        }
        lower
    }
}

/// Every distinct configuration and how often it occurs.
fn for_each_configuration(configurations: &Configurations, mut work: impl FnMut(&[bool], f64)) {
    let mut spins = vec![false; configurations.n_neurons()];
    for (c, &count) in configurations.multiplicities().iter().enumerate() {
        spins.fill(false);
        configurations.active(c).iter().for_each(|&i| spins[usize::from(i)] = true);
        work(&spins, count as f64);
    }
}
