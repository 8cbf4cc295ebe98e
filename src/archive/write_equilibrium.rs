use super::write::{explain, row_major};
use super::write_estimate::Group;
use crate::model::{
    Agreement, BoltzmannDiagnostics, CheckedPair, EquilibriumDiagnostics, EquilibriumErrors,
    EquilibriumMethod, EquilibriumModel, ErasureStep, ModelCheck,
};
use crate::session::ScoredEquilibrium;
use crate::storage::{OutputFile, Storage, StorageError};

pub(super) fn write_equilibrium(file: &OutputFile, scored: &ScoredEquilibrium) -> Result<(), StorageError> {
    let fitted = &*scored.fitted;
    let path = format!("/equilibrium/{}", fitted.method);
    let n_neurons = scored.score.total.spikes.len();
    let group = Group { file, path, n_neurons, neuron: "neuron", pair: "neuron i, neuron j" };
    file.group(&group.path)?;
    file.set_text(&group.path, "method", fitted.method.as_str())?;
    file.set_text(&group.path, "reference", reference(fitted.method))?;
    file.set(&group.path, "first_bin", fitted.first_bin)?;
    file.set(&group.path, "end_bin", fitted.end_bin)?;
    match &fitted.model {
        Ok(model) => group.write_model(model)?,
        Err(refusal) => file.set_text(&group.path, "refusal", &refusal.0)?,
    }
    if let Some(check) = &fitted.check {
        group.write_check(check)?;
    }
    let made_by = "models before, each neuron from the others of its bin";
    group.write_score("score", &scored.score.total, made_by, "since the session began")?;
    group.write_score("recent_score", &scored.score.recent, made_by, "with the past discounted")
}

impl Group<'_> {
    fn write_model(&self, model: &EquilibriumModel) -> Result<(), StorageError> {
        let file = self.file;
        file.set(&self.path, "bins_observed", model.samples)?;
        file.set(&self.path, "distinct_configurations", model.distinct)?;
        file.set(&self.path, "iterations", model.iterations)?;
        let description = "couplings J_ij of P(s) ~ exp(sum_i h_i s_i + sum_{i<j} J_ij s_i s_j)";
        self.square("couplings", &row_major(&model.couplings), description)?;
        self.vector("fields", &model.fields.to_vec(), "1", "field h_i of the neuron")?;
        self.write_status(&model.status, "what the neuron's couplings and field are worth")?;
        if let Some(errors) = &model.errors {
            self.write_errors(errors)?;
        }
        self.write_diagnostics(&model.diagnostics)
    }

    fn write_errors(&self, errors: &EquilibriumErrors) -> Result<(), StorageError> {
        self.file.set(&self.path, "error_blocks", errors.blocks)?;
        let description = "standard error of each coupling from differences between blocks of bins; 0 = none";
        self.square("standard_errors", &row_major(&errors.couplings), description)?;
        let description = "standard error of each field from differences between blocks of bins; 0 = none";
        self.vector("field_standard_errors", &errors.fields.to_vec(), "1", description)
    }

    fn set(&self, name: &str, value: f64) -> Result<(), StorageError> {
        self.file.set(&self.path, name, value)
    }

    fn set_flag(&self, name: &str, value: bool) -> Result<(), StorageError> {
        self.file.set(&self.path, name, u64::from(value))
    }

    fn write_diagnostics(&self, diagnostics: &EquilibriumDiagnostics) -> Result<(), StorageError> {
        let kind = |kind: &str| self.file.set_text(&self.path, "diagnostics", kind);
        match diagnostics {
            EquilibriumDiagnostics::ClosedForm => kind("closed-form"),
            EquilibriumDiagnostics::Erasure { chosen, path } => {
                kind("erasure")?;
                self.file.set(&self.path, "chosen", *chosen as u64)?;
                self.write_erasure_path(path)
            }
            EquilibriumDiagnostics::PseudoLikelihood { ridge, path, gradient_norm } => {
                kind("pseudo-likelihood")?;
                self.set("ridge", *ridge)?;
                let ridges: Vec<f64> = path.iter().map(|point| point.ridge).collect();
                self.list("path_ridge", &ridges, "1", "ridges that were tried", "ridge")?;
                let bits: Vec<f64> = path.iter().map(|point| point.bits_per_bin).collect();
                let description = "mean pseudo-log-likelihood of a bin that was left out";
                self.list("path_bits_per_bin", &bits, "bits", description, "ridge")?;
                let description = "norm of the gradient of the neuron's mean log-likelihood at the end";
                self.vector("gradient_norm", &gradient_norm.to_vec(), "1", description)
            }
            EquilibriumDiagnostics::MaximumLikelihood { gradient_norm, log_likelihood_bits } => {
                kind("maximum-likelihood")?;
                self.set("gradient_norm", *gradient_norm)?;
                self.set("log_likelihood_bits", *log_likelihood_bits)
            }
            EquilibriumDiagnostics::Boltzmann(told) => {
                kind("boltzmann")?;
                self.write_boltzmann(told)
            }
            EquilibriumDiagnostics::ManyStates { bins, residual } => {
                kind("many-states")?;
                self.counts("state_bins", bins, "bins", "bins in each state, largest first", "state")?;
                self.set("residual", *residual)
            }
        }
    }

    fn write_erasure_path(&self, path: &[ErasureStep]) -> Result<(), StorageError> {
        let numbers = |name: &str, of: fn(&ErasureStep) -> f64, description: &str| {
            let values: Vec<f64> = path.iter().map(of).collect();
            self.list(name, &values, "1", description, "epsilon")
        };
        numbers("path_epsilon", |step| step.epsilon, "epsilon, decreasing; 1 is Hopfield's rule")?;
        numbers("path_mean_energy", |step| step.mean_energy, "mean energy over the bins as observed")?;
        let description = "how many distinct configurations count: 1 / sum of squared weights";
        numbers("path_effective_samples", |step| step.effective_samples, description)?;
        let description = "largest difference between reweighted moments and what they should be";
        numbers("path_residual", |step| step.residual, description)?;
        let counts = |name: &str, of: fn(&ErasureStep) -> u64, unit: &str, description: &str| {
            let values: Vec<u64> = path.iter().map(of).collect();
            self.counts(name, &values, unit, description, "epsilon")
        };
        let description = "passes over the configurations";
        counts("path_iterations", |step| step.iterations.into(), "passes", description)?;
        let description = "1 where the residual is below its bound";
        counts("path_converged", |step| step.converged.into(), "1", description)
    }

    fn write_boltzmann(&self, told: &BoltzmannDiagnostics) -> Result<(), StorageError> {
        self.file.set(&self.path, "chains", told.chains)?;
        self.file.set(&self.path, "sweeps", told.sweeps)?;
        self.set("moment_residual", told.moment_residual)?;
        self.set("moment_residual_max", told.moment_residual_max)?;
        self.set("monte_carlo_error", told.monte_carlo_error)?;
        self.set("parameter_error", told.parameter_error)?;
        self.set("chain_disagreement", told.chain_disagreement)?;
        self.set_flag("converged", told.converged)
    }

    /// What the model predicts next to what the bins show, as a group inside.
    fn write_check(&self, check: &ModelCheck) -> Result<(), StorageError> {
        let group = Group { path: format!("{}/check", self.path), ..*self };
        self.file.group(&group.path)?;
        self.file.set(&group.path, "drawn", check.drawn)?;
        self.file.set(&group.path, "bins", check.bins)?;
        group.write_agreement("means", &check.means)?;
        group.write_agreement("pair_correlations", &check.pair_correlations)?;
        group.write_agreement("triplet_correlations", &check.triplet_correlations)?;
        let counts = &check.active_counts;
        let active: Vec<u64> = counts.iter().map(|count| count.active.into()).collect();
        group.counts("active", &active, "neurons", "number of active neurons of a bin", "place")?;
        let shares = |name: &str, of: Vec<f64>, description: &str| {
            group.list(name, &of, "1", description, "place (see active)")
        };
        let observed = counts.iter().map(|count| count.observed).collect();
        shares("active_observed", observed, "share of the bins")?;
        let predicted = counts.iter().map(|count| count.predicted).collect();
        shares("active_predicted", predicted, "probability by the model")?;
        let errors = counts.iter().map(|count| count.predicted_error).collect();
        shares("active_predicted_error", errors, "Monte Carlo error of active_predicted")?;
        group.write_checked_pairs(&check.pairs)
    }

    /// Pairs one by one; nothing where none were kept.
    fn write_checked_pairs(&self, pairs: &[CheckedPair]) -> Result<(), StorageError> {
        if pairs.is_empty() {
            return Ok(());
        }
        for (place, name) in ["pair_first", "pair_second"].into_iter().enumerate() {
            let neurons: Vec<u64> = pairs.iter().map(|pair| pair.neurons[place].into()).collect();
            self.counts(name, &neurons, "1", "index of a neuron of the pair", "pair")?;
        }
        let numbers = |name: &str, of: fn(&CheckedPair) -> f64, description: &str| {
            let values: Vec<f64> = pairs.iter().map(of).collect();
            self.list(name, &values, "1", description, "pair")
        };
        numbers("pair_observed", |pair| pair.observed, "<s_i s_j> - <s_i><s_j> of the bins")?;
        let description = "standard error of pair_observed, from blocks of bins";
        numbers("pair_observed_error", |pair| pair.observed_error, description)?;
        numbers("pair_predicted", |pair| pair.predicted, "the same by the model")?;
        let description = "Monte Carlo error of pair_predicted";
        numbers("pair_predicted_error", |pair| pair.predicted_error, description)
    }

    fn write_agreement(&self, name: &str, found: &Agreement) -> Result<(), StorageError> {
        self.file.set(&self.path, &format!("{name}_values"), found.values)?;
        if let Some(correlation) = found.correlation {
            self.set(&format!("{name}_correlation"), correlation)?;
        }
        self.set(&format!("{name}_rms_difference"), found.rms_difference)?;
        self.set(&format!("{name}_rms_observed"), found.rms_observed)?;
        self.set(&format!("{name}_rms_predicted_error"), found.rms_predicted_error)?;
        self.set(&format!("{name}_rms_observed_error"), found.rms_observed_error)?;
        self.set(&format!("{name}_rms_error"), found.rms_error)
    }

    /// A list of its own length, in the words of one dimension.
    fn list(
        &self,
        name: &str,
        values: &[f64],
        unit: &str,
        description: &str,
        dimension: &str,
    ) -> Result<(), StorageError> {
        let object = format!("{}/{name}", self.path);
        self.file.values(&object, &[values.len()], values, Storage::Plain)?;
        explain(self.file, &object, unit, description, dimension)
    }

    /// The same of whole numbers.
    fn counts(
        &self,
        name: &str,
        values: &[u64],
        unit: &str,
        description: &str,
        dimension: &str,
    ) -> Result<(), StorageError> {
        let object = format!("{}/{name}", self.path);
        self.file.values(&object, &[values.len()], values, Storage::Plain)?;
        explain(self.file, &object, unit, description, dimension)
    }
}

/// Where the equations of a method are printed.
fn reference(method: EquilibriumMethod) -> &'static str {
    match method {
        EquilibriumMethod::ErasureMachine => "Jo, Hoang & Periwal, arXiv:1909.04305 (2019)",
        EquilibriumMethod::Hopfield => "Hopfield, Proc. Natl. Acad. Sci. USA 79, 2554 (1982)",
        EquilibriumMethod::Nmf => "Kappen & Rodriguez, Neural Comput. 10, 1137 (1998), naive mean field",
        EquilibriumMethod::Tap => "Kappen & Rodriguez, Neural Comput. 10, 1137 (1998), TAP",
        EquilibriumMethod::PseudoLikelihood => "Aurell & Ekeberg, Phys. Rev. Lett. 108, 090201 (2012)",
        EquilibriumMethod::MaximumLikelihood | EquilibriumMethod::Boltzmann => {
            "Ackley, Hinton & Sejnowski, Cogn. Sci. 9, 147 (1985)"
        }
        EquilibriumMethod::ManyStates | EquilibriumMethod::ManyStatesTap => {
            "Nguyen & Berg, Phys. Rev. Lett. 109, 050602 (2012)"
        }
    }
}
