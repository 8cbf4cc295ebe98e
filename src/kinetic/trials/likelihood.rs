use super::row::Receiver;

/// Most steps of one field; the bracket alone halves down to rounding in some sixty.
const FIELD_STEPS_MAX: usize = 100;

/// The mean log-likelihood of one row as a function of its couplings alone: for each trial bin the field that fits best.
///
/// With `u_r = 2 Σ_{j active} J_ij` the input of transition `r` is `θ_r = η_t + u_r`, `η_t = h_i(t) − Σ_j J_ij`: a transition
/// costs its active senders.
pub(super) struct ProfileLikelihood<'a> {
    receiver: &'a Receiver<'a>,
    /// Whether the receiver fired, one entry per transition of the receiver's bins.
    fired: Vec<bool>,
    /// `Σ_r s_i(r, t + 1)` of the receiver's bins.
    spins: Vec<f64>,
    /// `u_r`, then the residual `s_r − tanh θ_r`.
    work: Vec<f64>,
    /// `η_t` of the receiver's bins.
    pub(super) silent_fields: Vec<f64>,
    /// `λ a_i`.
    pub(super) penalty: f64,
}

/// Value and slope at one point.
#[derive(Debug, Clone)]
pub(super) struct Evaluation {
    /// Negative mean log-likelihood with its penalty.
    pub(super) loss: f64,
    /// Gradient of the loss with respect to the couplings.
    pub(super) gradient: Vec<f64>,
    /// Euclidean norm of the gradient with respect to couplings and fields.
    pub(super) gradient_norm: f64,
}

impl<'a> ProfileLikelihood<'a> {
    pub(super) fn of(receiver: &'a Receiver<'a>) -> Self {
        let repeats = receiver.repeats;
        let mut all = vec![false; repeats.transitions()];
        repeats.fired(receiver.row).iter().for_each(|&r| all[r] = true);
        let fired = receiver.bins.iter().flat_map(|&t| all[repeats.transitions_of(t)].to_vec()).collect();
        let spins = (receiver.bins.iter())
            .map(|&t| 2.0 * repeats.receives[[receiver.row, t]] - repeats.repeats[t] as f64)
            .collect();
        let most = receiver.bins.iter().map(|&t| repeats.transitions_of(t).len()).max().unwrap_or(0);
        Self {
            fired,
            spins,
            work: vec![0.0; most],
            silent_fields: receiver.bins.iter().map(|&t| receiver.magnetization(t).atanh()).collect(),
            penalty: receiver.ridge * receiver.total_gain / receiver.transitions as f64,
            receiver,
        }
    }

    /// Evaluate at `couplings`, moving the fields to where they fit best.
    pub(super) fn evaluate(&mut self, couplings: &[f64]) -> Evaluation {
        let repeats = self.receiver.repeats;
        let mut residuals = vec![0.0; couplings.len()];
        let (mut log_likelihood, mut left_over, mut left_square, mut base) = (0.0, 0.0, 0.0, 0);
        for (place, &t) in self.receiver.bins.iter().enumerate() {
            let transitions = repeats.transitions_of(t);
            let inputs = &mut self.work[..transitions.len()];
            for (input, r) in inputs.iter_mut().zip(transitions.clone()) {
                *input = input_of(couplings, repeats.senders(r));
            }
            let field = best_field(inputs, self.spins[place], self.silent_fields[place]);
            self.silent_fields[place] = field;
            let mut rest = 0.0;
            for ((input, r), &fired) in inputs.iter().zip(transitions).zip(&self.fired[base..]) {
                let theta = field + input;
                let spin = if fired { 1.0 } else { -1.0 };
                // −ln(1 + exp(−2 s θ)), which loses no digits on either side.
                let against = -2.0 * spin * theta;
                log_likelihood -= against.max(0.0) + (-against.abs()).exp().ln_1p();
                let residual = spin - theta.tanh();
                rest += residual;
                for &j in repeats.senders(r) {
                    residuals[usize::from(j)] += residual;
                }
            }
            base += inputs.len();
            left_over += rest;
            left_square += rest * rest;
        }
        let count = self.receiver.transitions as f64;
        let mut gradient = residuals;
        for (gradient, j) in gradient.iter_mut().zip(couplings) {
            *gradient = self.penalty * j - (2.0 * *gradient - left_over) / count;
        }
        let square: f64 = couplings.iter().map(|j| j * j).sum();
        let loss = 0.5 * self.penalty * square - log_likelihood / count;
        let gradient_norm =
            (gradient.iter().map(|g| g * g).sum::<f64>() + left_square / (count * count)).sqrt();
        Evaluation { loss, gradient, gradient_norm }
    }

    /// `1 − tanh² θ_r` of every transition in use, 0 outside of the receiver's bins, at the fields of the last evaluation.
    pub(super) fn gains(&self, couplings: &[f64]) -> Vec<f64> {
        let repeats = self.receiver.repeats;
        let mut gains = vec![0.0; repeats.transitions()];
        for (&t, field) in self.receiver.bins.iter().zip(&self.silent_fields) {
            for r in repeats.transitions_of(t) {
                let tanh = (field + input_of(couplings, repeats.senders(r))).tanh();
                gains[r] = (1.0 - tanh) * (1.0 + tanh);
            }
        }
        gains
    }

    /// Whether the couplings, with a threshold of its own in each bin, tell every spike from every silence: the likelihood
    /// then grows for ever along them.
    pub(super) fn separates(&self, couplings: &[f64]) -> bool {
        let repeats = self.receiver.repeats;
        let mut fired = self.fired.iter();
        self.receiver.bins.iter().all(|&t| {
            let (mut spikes_from, mut silences_to) = (f64::INFINITY, f64::NEG_INFINITY);
            for r in repeats.transitions_of(t) {
                let input = input_of(couplings, repeats.senders(r));
                if fired.next() == Some(&true) {
                    spikes_from = spikes_from.min(input);
                } else {
                    silences_to = silences_to.max(input);
                }
            }
            spikes_from > silences_to
        })
    }
}

/// `2 Σ_{j active} J_ij`.
fn input_of(couplings: &[f64], senders: &[u16]) -> f64 {
    2.0 * senders.iter().map(|&j| couplings[usize::from(j)]).sum::<f64>()
}

/// The root in `η` of `Σ_r tanh(η + u_r) = S`, with |S| below the number of terms: Newton inside a bracket.
fn best_field(inputs: &[f64], spins: f64, start: f64) -> f64 {
    let (least, most) =
        inputs.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &u| (a.min(u), b.max(u)));
    let alone = (spins / inputs.len() as f64).atanh();
    let (mut low, mut high) = (alone - most, alone - least);
    let mut field = start.clamp(low, high);
    for _ in 0..FIELD_STEPS_MAX {
        let (mut error, mut slope) = (-spins, 0.0);
        for input in inputs {
            let tanh = (field + input).tanh();
            error += tanh;
            slope += 1.0 - tanh * tanh;
        }
        let newton = field - error / slope;
        // First, for a step that rounding swallows ends on the bracket.
        if error == 0.0 || (newton - field).abs() <= 4.0 * f64::EPSILON * field.abs().max(1.0) {
            break;
        }
        if error < 0.0 {
            low = field;
        } else {
            high = field;
        }
        field = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        if high - low <= f64::EPSILON * field.abs() {
            break;
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_field_matches_the_mean_however_far_apart_the_inputs_lie() {
        for (inputs, spins) in [
            (vec![0.0, 0.0], 0.0),
            (vec![-30.0, 40.0, 0.1], 1.0),
            (vec![3.0, 3.0, 3.0, -5.0], -2.0),
            (vec![200.0, -200.0], 0.0),
        ] {
            for start in [-500.0, 0.0, 7.0] {
                let field = best_field(&inputs, spins, start);
                let mean: f64 = inputs.iter().map(|u| (field + u).tanh()).sum();
                assert!((mean - spins).abs() < 1e-12, "{inputs:?} {spins}: {field} gives {mean}");
            }
        }
    }
}
