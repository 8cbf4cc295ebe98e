//! More neurons than can be enumerated: annealing and Gibbs chains.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::check::chain_seed;
use super::{Marginal, Part, ReconstructOptions, Solution, flip};

/// Additions that all searches and chains may cost at most, missing² of them a sweep.
const OPERATIONS_MAX: usize = 1 << 31;
/// Temperatures at which a search begins and ends; the model's own is 1.
const HOTTEST: f64 = 2.0;
const COLDEST: f64 = 0.05;
/// One sweep in so many is not counted, all at the beginning.
const BURN_IN_SHARE: usize = 5;

pub(super) fn solve(part: &Part, options: &ReconstructOptions) -> Solution {
    // Searches and chains: twice.
    let bound = OPERATIONS_MAX / (part.n() * part.n()).max(1) / (2 * options.restarts);
    let sweeps = options.sweeps.min(bound.max(10));
    let mut best: Option<(f64, Vec<bool>)> = None;
    for restart in 0..options.restarts {
        let mut walker = Walker::new(part, chain_seed(options.seed, 2 * restart as u64));
        walker.anneal(sweeps);
        walker.climb(sweeps);
        let minus_energy = part.minus_energy(&walker.active);
        if best.as_ref().is_none_or(|(highest, _)| minus_energy > *highest) {
            best = Some((minus_energy, walker.active));
        }
    }
    let most_likely = best.map(|(_, active)| active).unwrap_or_default();
    let chains = (0..options.restarts).map(|chain| {
        let mut walker = Walker::new(part, chain_seed(options.seed, 2 * chain as u64 + 1));
        if chain % 2 == 0 {
            walker.begin_at(most_likely.clone());
        }
        walker.marginals(sweeps)
    });
    Solution { marginals: pooled(&chains.collect::<Vec<_>>()), most_likely, exact: false }
}

/// A configuration that moves.
struct Walker<'a> {
    part: &'a Part,
    active: Vec<bool>,
    inputs: Vec<f64>,
    random: ChaCha8Rng,
}

impl<'a> Walker<'a> {
    fn new(part: &'a Part, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let active: Vec<bool> = (0..part.n()).map(|_| random.random()).collect();
        Self { inputs: part.inputs(&active), part, active, random }
    }

    fn begin_at(&mut self, active: Vec<bool>) {
        self.inputs = self.part.inputs(&active);
        self.active = active;
    }

    fn set(&mut self, i: usize, active: bool) {
        if self.active[i] != active {
            flip(self.part, &mut self.active, &mut self.inputs, i);
        }
    }

    /// Draw each neuron given all others at a temperature.
    fn sweep(&mut self, temperature: f64) {
        for i in 0..self.active.len() {
            let odds_against = (-2.0 * self.inputs[i] / temperature).exp();
            let active = self.random.random::<f64>() * (1.0 + odds_against) < 1.0;
            self.set(i, active);
        }
    }

    fn anneal(&mut self, sweeps: usize) {
        let ratio: f64 = COLDEST / HOTTEST;
        for k in 0..sweeps {
            self.sweep(HOTTEST * ratio.powf(k as f64 / (sweeps - 1).max(1) as f64));
        }
    }

    /// Set each neuron to its likelier value until none changes, at most so many times (iterated conditional modes, Besag 1986).
    fn climb(&mut self, sweeps: usize) {
        self.inputs = self.part.inputs(&self.active);
        for _ in 0..sweeps {
            let before = self.active.clone();
            for i in 0..self.active.len() {
                if self.inputs[i] != 0.0 {
                    self.set(i, self.inputs[i] > 0.0);
                }
            }
            if self.active == before {
                break;
            }
        }
    }

    /// Mean conditional probabilities of being active and silent over the sweeps after the first.
    fn marginals(&mut self, sweeps: usize) -> Vec<[f64; 2]> {
        let burn_in = sweeps / BURN_IN_SHARE;
        (0..burn_in).for_each(|_| self.sweep(1.0));
        let kept = (sweeps - burn_in) as f64;
        let mut sums = vec![[0.0; 2]; self.active.len()];
        for _ in burn_in..sweeps {
            for (i, sum) in sums.iter_mut().enumerate() {
                let input = self.inputs[i];
                let (active, silent) = (logistic(2.0 * input), logistic(-2.0 * input));
                sum[0] += active / kept;
                sum[1] += silent / kept;
                let fires = self.random.random::<f64>() < active;
                self.set(i, fires);
            }
        }
        sums
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Means over chains and their standard error.
fn pooled(chains: &[Vec<[f64; 2]>]) -> Vec<Marginal> {
    let count = chains.len() as f64;
    let of = |i: usize| {
        let mean = |value: usize| chains.iter().map(|chain| chain[i][value]).sum::<f64>() / count;
        let active = mean(0);
        let squares: f64 = chains.iter().map(|chain| (chain[i][0] - active).powi(2)).sum();
        Marginal { active, silent: mean(1), error: (squares / (count * (count - 1.0))).sqrt() }
    };
    (0..chains.first().map_or(0, Vec::len)).map(of).collect()
}
