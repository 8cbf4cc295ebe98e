use super::write::{explain, row_major};
use crate::model::{
    Convergence, Estimate, Estimator, RowStatus, SamplingVariance, Score, Significance, TapForm, TrialFields,
};
use crate::session::{RidgeScore, ScoredEstimate};
use crate::storage::{OutputFile, Storage, StorageError};

/// Where one estimate, or equilibrium model, is written.
pub(super) struct Group<'a> {
    pub(super) file: &'a OutputFile,
    pub(super) path: String,
    pub(super) n_neurons: usize,
    /// What the dimension of a vector is.
    pub(super) neuron: &'static str,
    /// What the dimensions of a matrix are.
    pub(super) pair: &'static str,
}

pub(super) fn write_estimate(file: &OutputFile, scored: &ScoredEstimate) -> Result<(), StorageError> {
    let estimate = &*scored.estimate;
    let path = format!("/estimators/{}", estimate.estimator);
    let n_neurons = estimate.n_neurons();
    let group = Group { file, path, n_neurons, neuron: "receiver", pair: "receiver, sender" };
    file.group(&group.path)?;
    file.set_text(&group.path, "estimator", estimate.estimator.as_str())?;
    file.set_text(&group.path, "reference", reference(estimate.estimator))?;
    file.set(&group.path, "ridge", estimate.ridge)?;
    file.set(&group.path, "transitions", estimate.variance.transitions())?;
    file.set(&group.path, "first_bin", scored.first_bin)?;
    file.set(&group.path, "end_bin", scored.end_bin)?;
    group.write_estimate(estimate)?;
    group.write_significance(estimate)?;
    group.write_variance(&estimate.variance)?;
    if let Some(convergence) = &estimate.convergence {
        group.write_convergence(convergence)?;
    }
    if let Some(trial_fields) = &estimate.trial_fields {
        group.write_trial_fields(trial_fields)?;
    }
    let made_by = "estimates before";
    group.write_score("score", &scored.score.total, made_by, "since the session began")?;
    group.write_score("recent_score", &scored.score.recent, made_by, "with the past discounted")?;
    group.write_path(&scored.path)
}

impl Group<'_> {
    pub(super) fn vector(
        &self,
        name: &str,
        values: &[f64],
        unit: &str,
        description: &str,
    ) -> Result<(), StorageError> {
        let object = format!("{}/{name}", self.path);
        self.file.values(&object, &[values.len()], values, Storage::Plain)?;
        explain(self.file, &object, unit, description, self.neuron)
    }

    pub(super) fn square(&self, name: &str, values: &[f64], description: &str) -> Result<(), StorageError> {
        let (n, object) = (self.n_neurons, format!("{}/{name}", self.path));
        self.file.values(&object, &[n, n], values, Storage::Plain)?;
        explain(self.file, &object, "1", description, self.pair)
    }

    fn write_estimate(&self, estimate: &Estimate) -> Result<(), StorageError> {
        let n = self.n_neurons;
        self.square(
            "couplings",
            &row_major(&estimate.couplings),
            "couplings J_ij from sender j to receiver i",
        )?;
        self.vector("fields", &estimate.fields.to_vec(), "1", "field h_i of the receiver")?;

        self.write_status(&estimate.status, "what the receiver's row is worth; only OK is unreserved")?;

        let error = |i| (0..n).map(move |j| estimate.standard_error(i, j).unwrap_or(0.0));
        let standard_errors: Vec<f64> = (0..n).flat_map(error).collect();
        let description = "asymptotic standard error of each coupling; 0 marks a pair without an estimate";
        self.square("standard_errors", &standard_errors, description)?;
        let errors: Vec<f64> = (0..n).map(|i| estimate.field_standard_error(i).unwrap_or(0.0)).collect();
        let description = "asymptotic standard error of each field; 0 marks a row without an estimate";
        self.vector("field_standard_errors", &errors, "1", description)
    }

    pub(super) fn write_status(&self, status: &[RowStatus], description: &str) -> Result<(), StorageError> {
        let object = format!("{}/status", self.path);
        let names: Vec<&str> = status.iter().map(|status| status.as_str()).collect();
        self.file.texts(&object, &names, Storage::Plain)?;
        explain(self.file, &object, "text", description, self.neuron)
    }

    /// Derived from couplings, fields and standard errors, for readers that have no family ranking at hand; p is a function of z alone and
    /// left out.
    fn write_significance(&self, estimate: &Estimate) -> Result<(), StorageError> {
        let (n, significance) = (self.n_neurons, Significance::of(estimate));
        let object = format!("{}/q_values", self.path);
        // Mostly ones, which shrink to next to nothing.
        let q = row_major(&significance.couplings_q(estimate));
        self.file.values(&object, &[n, n], &q, Storage::Compressed)?;
        let description = "false discovery rate at which each coupling is still significant (Benjamini & Hochberg), \
                           self-couplings as a family of their own; 1 in rows that are not OK";
        explain(self.file, &object, "1", description, "receiver, sender")?;
        let q: Vec<f64> = (0..n).map(|i| significance.field_q(estimate, i).unwrap_or(1.0)).collect();
        let description = "the same of each field; 1 in rows that are not OK";
        self.vector("field_q_values", &q, "1", description)?;
        let below = significance.n_significant(0.05) as u64;
        self.file.set(&self.path, "significant_couplings", below)
    }

    /// What gives the standard errors back bit for bit.
    fn write_variance(&self, variance: &SamplingVariance) -> Result<(), StorageError> {
        match variance {
            SamplingVariance::Factored { sender, receiver, field, .. } => {
                self.file.set(&self.path, "sampling_variance_field", *field)?;
                let description = "factor of the sampling variance, 0 = takes no part";
                self.vector("sampling_variance_sender", &sender.to_vec(), "1", description)?;
                let description = "mean gain of the receiver, 0 = takes no part";
                self.vector("sampling_variance_receiver", &receiver.to_vec(), "1", description)
            }
            SamplingVariance::Full { couplings, fields, .. } => {
                let description =
                    "squared standard error of each coupling from the Fisher information of its row";
                self.square("sampling_variance_couplings", &row_major(couplings), description)?;
                let description = "squared standard error of each field";
                self.vector("sampling_variance_fields", &fields.to_vec(), "1", description)
            }
        }
    }

    fn write_convergence(&self, convergence: &Convergence) -> Result<(), StorageError> {
        let object = format!("{}/iterations", self.path);
        let iterations: Vec<u64> = convergence.iterations.iter().map(|&k| k.into()).collect();
        self.file.values(&object, &[iterations.len()], &iterations, Storage::Plain)?;
        explain(self.file, &object, "passes", "passes in which the row was still moving", "receiver")?;
        let description = "norm of the gradient of the mean log-likelihood, penalty included, at the end";
        self.vector("gradient_norm", &convergence.gradient_norm.to_vec(), "1", description)
    }

    fn write_trial_fields(&self, trial: &TrialFields) -> Result<(), StorageError> {
        let shape = trial.fields.dim();
        let object = format!("{}/trial_fields", self.path);
        self.file.values(&object, &[shape.0, shape.1], &row_major(&trial.fields), Storage::Plain)?;
        let description = "field h_i(t) of each bin of a trial; 0 where trial_fields_estimated is 0";
        explain(self.file, &object, "1", description, "receiver, bin of the trial")?;
        let object = format!("{}/trial_fields_estimated", self.path);
        let estimated: Vec<u64> = trial.estimated.iter().map(|&known| known.into()).collect();
        self.file.values(&object, &[shape.0, shape.1], &estimated, Storage::Compressed)?;
        let description = "1 where the field is finite and estimated";
        explain(self.file, &object, "1", description, "receiver, bin of the trial")?;
        let object = format!("{}/trial_repeats", self.path);
        self.file.values(&object, &[trial.repeats.len()], &trial.repeats, Storage::Plain)?;
        explain(self.file, &object, "trials", "repeats that each bin is averaged over", "bin of the trial")
    }

    pub(super) fn write_score(
        &self,
        name: &str,
        score: &Score,
        made_by: &str,
        since: &str,
    ) -> Result<(), StorageError> {
        let description = format!("spikes predicted by the {made_by}, {since}");
        self.vector(&format!("{name}_spikes"), &score.spikes.to_vec(), "spikes", &description)?;
        let description = format!("log-likelihood gained over independent rates, {since}");
        self.vector(&format!("{name}_gain_bits"), &score.gain_bits.to_vec(), "bits", &description)?;
        self.file.set(&self.path, &format!("{name}_transitions"), score.transitions)?;
        match score.bits_per_spike() {
            Some(bits) => self.file.set(&self.path, &format!("{name}_bits_per_spike"), bits),
            None => Ok(()),
        }
    }

    fn write_path(&self, path: &[RidgeScore]) -> Result<(), StorageError> {
        let write = |name: &str, values: Vec<f64>, unit: &str, description: &str| {
            let object = format!("{}/{name}", self.path);
            self.file.values(&object, &[values.len()], &values, Storage::Plain)?;
            explain(self.file, &object, unit, description, "ridge")
        };
        let ridges = path.iter().map(|point| point.ridge).collect();
        write("path_ridge", ridges, "1", "ridges that were tried")?;
        let scores = path.iter().map(|point| point.bits_per_spike.unwrap_or(0.0)).collect();
        let description = "recent score of each; 0 where path_scored is 0";
        write("path_bits_per_spike", scores, "bits/spike", description)?;
        let object = format!("{}/path_scored", self.path);
        let scored: Vec<u64> = path.iter().map(|point| point.bits_per_spike.is_some().into()).collect();
        self.file.values(&object, &[scored.len()], &scored, Storage::Plain)?;
        explain(self.file, &object, "1", "1 where there is a score", "ridge")
    }
}

/// Where the equations of an estimator are printed.
fn reference(estimator: Estimator) -> &'static str {
    match estimator {
        Estimator::Nmf => "Roudi & Hertz, Phys. Rev. Lett. 106, 048702 (2011), naive mean field",
        Estimator::Tap(TapForm::Preprint) => {
            "Roudi & Hertz, Phys. Rev. Lett. 106, 048702 (2011), TAP with F(1 - F^2) = r as in the preprint"
        }
        Estimator::Tap(TapForm::SelfConsistent) => {
            "Roudi & Hertz, Phys. Rev. Lett. 106, 048702 (2011), TAP with F(1 - F)^2 = r"
        }
        Estimator::ExactMeanField => "Mezard & Sakellariou, J. Stat. Mech. L07001 (2011)",
        Estimator::Exact | Estimator::Online => {
            "Roudi & Hertz, Phys. Rev. Lett. 106, 048702 (2011), maximum likelihood"
        }
        Estimator::TrialNmf | Estimator::TrialTap | Estimator::TrialExact => {
            "Roudi & Hertz, Phys. Rev. Lett. 106, 048702 (2011), non-stationary fields"
        }
    }
}
