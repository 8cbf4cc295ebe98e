use ndarray::Array1;

use crate::moments::threads::for_each_piece;
use crate::simulate::{GibbsChain, InputRows};

/// Couplings and fields as chains need them.
pub(super) struct Network {
    pub(super) rows: InputRows<'static>,
    pub(super) fields: Array1<f64>,
}

/// Models of the form `P(s) ∝ exp(Σ_a w_a O_a(s))` and the data they are fitted to.
pub(super) trait Family: Sync {
    /// `⟨O_a⟩` of the data.
    fn data(&self) -> &[f64];

    /// What each `O_a` is divided by to be between −1 and 1.
    fn scale(&self, parameter: usize) -> f64;

    /// The model with these parameters.
    fn network(&self, parameters: &[f64]) -> Network;

    /// Run a chain for so many sweeps: `Σ O_a` over them.
    fn run(&self, chain: &mut GibbsChain, network: &Network, sweeps: usize) -> Vec<f64>;

    /// Whether learning starts so close to its end that the Fisher information there serves for the first steps.
    fn starts_close(&self) -> bool;

    /// About `F⁻¹` times a residual of the moments, from the data alone.
    fn precondition(&self, residual: &[f64]) -> Vec<f64>;

    /// Covariance of the operators over these configurations, the lower triangle of a matrix by rows.
    fn covariance(&self, configurations: &[Vec<bool>], threads: usize) -> Vec<Vec<f64>>;
}

/// Persistent chains.
pub(super) struct Chains {
    chains: Vec<GibbsChain>,
    threads: usize,
    pub(super) sweeps: u64,
}

impl Chains {
    pub(super) fn new(network: &Network, count: usize, seed: u64, threads: usize) -> Self {
        // Apart from the seeds of other fits with neighbouring seeds.
        let seed_of = |c: usize| seed.wrapping_add((c as u64 + 1) << 40);
        let chains = (0..count).map(|c| GibbsChain::new(&network.rows, &network.fields, seed_of(c)));
        Self { chains: chains.collect(), threads: threads.clamp(1, count), sweeps: 0 }
    }

    /// Run every chain in a model for so many sweeps: mean moments of each chain.
    pub(super) fn run<F: Family>(&mut self, family: &F, network: &Network, sweeps: usize) -> Vec<Vec<f64>> {
        self.sweeps += sweeps as u64;
        self.each(|chain| {
            chain.enter(&network.rows, &network.fields);
            let mut moments = family.run(chain, network, sweeps);
            moments.iter_mut().for_each(|sum| *sum /= sweeps as f64);
            moments
        })
    }

    /// So many configurations of each chain, each so many sweeps after the one before.
    pub(super) fn draw(&mut self, network: &Network, count: usize, sweeps: usize) -> Vec<Vec<bool>> {
        self.sweeps += (count * sweeps) as u64;
        let drawn = self.each(|chain| {
            chain.enter(&network.rows, &network.fields);
            let one = |_| {
                (0..sweeps).for_each(|_| chain.sweep(&network.rows, 1.0));
                chain.spins().to_vec()
            };
            (0..count).map(one).collect::<Vec<_>>()
        });
        drawn.into_iter().flatten().collect()
    }

    /// `work` on every chain, in their order; each has its own random numbers, so that threads do not matter.
    fn each<R: Send>(&mut self, work: impl Fn(&mut GibbsChain) -> R + Sync) -> Vec<R> {
        let mut pairs: Vec<(&mut GibbsChain, Option<R>)> =
            self.chains.iter_mut().map(|chain| (chain, None)).collect();
        for_each_piece(self.threads, &mut pairs, 1, |piece| {
            piece.iter_mut().for_each(|(chain, result)| *result = Some(work(chain)));
        });
        pairs.into_iter().filter_map(|(_, result)| result).collect()
    }
}
