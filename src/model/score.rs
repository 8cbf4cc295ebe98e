use ndarray::{Array1, Zip};

/// How much better than independent rates a model predicts: log-likelihood gained over transitions it was not fitted to.
///
/// The rates are those of the bins the model was fitted to, `(K_i⁺ + ½) / (T + 1)`. A transition counts for every neuron, whether it
/// fired or not; the gain is then given per spike, as is usual.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Transitions scored, or bins where a model of configurations is; not whole once older ones are discounted.
    pub transitions: f64,
    /// Spikes in their later bins, shape `(n_neurons)`.
    pub spikes: Array1<f64>,
    /// Bits gained, shape `(n_neurons)`; negative when the model predicts worse than the rates.
    pub gain_bits: Array1<f64>,
}

impl Score {
    /// Nothing scored yet.
    #[must_use]
    pub fn new(n_neurons: usize) -> Self {
        Self { transitions: 0.0, spikes: Array1::zeros(n_neurons), gain_bits: Array1::zeros(n_neurons) }
    }

    /// Bits per spike over all neurons; `None` while there is less than one spike, be it that the last ones are discounted to less:
    /// silence alone has a gain but nothing to share it among.
    #[must_use]
    pub fn bits_per_spike(&self) -> Option<f64> {
        ratio(self.gain_bits.sum(), self.spikes.sum())
    }

    /// Bits per spike of one neuron; `None` as for all.
    #[must_use]
    pub fn neuron_bits_per_spike(&self, neuron: usize) -> Option<f64> {
        ratio(self.gain_bits[neuron], self.spikes[neuron])
    }

    /// Add what another stretch scored.
    pub fn add(&mut self, other: &Self) {
        self.transitions += other.transitions;
        self.spikes += &other.spikes;
        self.gain_bits += &other.gain_bits;
    }

    /// Let everything so far count for `factor` of what it did.
    pub fn discount(&mut self, factor: f64) {
        self.transitions *= factor;
        Zip::from(&mut self.spikes).and(&mut self.gain_bits).for_each(|spikes, gain| {
            *spikes *= factor;
            *gain *= factor;
        });
    }
}

fn ratio(gain_bits: f64, spikes: f64) -> Option<f64> {
    (spikes >= 1.0 && gain_bits.is_finite()).then(|| gain_bits / spikes)
}

/// The score of a line of models, each on the transitions that came after it (Dawid's prequential principle).
#[derive(Debug, Clone, PartialEq)]
pub struct RunningScore {
    /// Since the session began.
    pub total: Score,
    /// The same with the past discounted, so that it says what predicts well now.
    pub recent: Score,
}

impl RunningScore {
    /// Nothing scored yet.
    #[must_use]
    pub fn new(n_neurons: usize) -> Self {
        Self { total: Score::new(n_neurons), recent: Score::new(n_neurons) }
    }

    /// Add a newer stretch; what was recent before it is discounted by `factor`.
    pub fn add(&mut self, newer: &Score, factor: f64) {
        self.total.add(newer);
        self.recent.discount(factor);
        self.recent.add(newer);
    }
}
