//! A requested session, with the daemon's defaults where it says nothing.

use std::time::Duration;

use super::config::{Limits, SessionDefaults};
use super::convert::estimator_from_proto;
use super::equilibrium::method_from_proto;
use super::error::{RequestError, SpecProblem, echoed};
use crate::model::{
    BinWidth, EquilibriumMethod, Estimator, Lags, Neuron, Ridges, UnknownEquilibriumMethod, UnknownEstimator,
    Window, WindowError,
};
use crate::proto::v1;
use crate::session::{EquilibriumSpec, SessionSpec};

/// Most characters of a session's name, and of a neuron's label.
pub(super) const NAME_CHARS_MAX: usize = 256;

/// The specification asked for, checked.
///
/// # Errors
/// [`RequestError`] naming the field.
pub(super) fn session_spec(
    asked: v1::SessionSpec,
    defaults: &SessionDefaults,
    limits: &Limits,
) -> Result<SessionSpec, RequestError> {
    name(&asked.name).map_err(at("spec.name"))?;
    let bin_width = BinWidth::from_us(asked.bin_width_us.into()).map_err(at("spec.bin_width_us"))?;
    let refresh_interval_bins = asked
        .refresh_interval_bins
        .unwrap_or_else(|| bin_width.bins_covering(Duration::from_millis(defaults.refresh_interval_ms)));
    let lags_bins = if asked.lags_bins.is_empty() { &defaults.lags_bins } else { &asked.lags_bins };
    let equilibrium = equilibrium(&asked, bin_width, defaults).map_err(at("spec.equilibrium_methods"))?;
    let spec = SessionSpec {
        name: asked.name,
        neurons: neurons(asked.neurons, asked.neuron_count, limits)?,
        bin_width,
        origin_ns: asked.origin_ns,
        windows: windows(&asked.windows, defaults).map_err(at("spec.windows"))?,
        lags: Lags::new(lags_bins).map_err(at("spec.lags_bins"))?,
        estimators: estimators(&asked.estimators, defaults).map_err(at("spec.estimators"))?,
        ridges: ridges(asked.ridge, &asked.ridge_path, defaults).map_err(at("spec.ridge"))?,
        refresh_interval_bins,
        refit_interval_bins: asked
            .refit_interval_bins
            .unwrap_or_else(|| bin_width.bins_covering(Duration::from_millis(defaults.refit_interval_ms))),
        refit_bins_max: asked.refit_bins_max.unwrap_or(defaults.refit_bins_max),
        score_memory_bins: asked
            .score_memory_bins
            .unwrap_or_else(|| bin_width.bins_covering(Duration::from_secs(defaults.score_memory_s))),
        equilibrium,
    };
    spec.check().map_err(|error| {
        let field = field_of(&error);
        at(field)(error)
    })?;
    Ok(spec)
}

fn at<E: Into<SpecProblem>>(field: &'static str) -> impl FnOnce(E) -> RequestError {
    move |problem| RequestError::Spec { field: field.into(), problem: problem.into() }
}

/// Check a name or label, which is listed, printed and stored as it is.
fn name(text: &str) -> Result<(), SpecProblem> {
    let found = text.chars().count();
    if found > NAME_CHARS_MAX {
        return Err(SpecProblem::TooLong { found, max: NAME_CHARS_MAX });
    }
    match text.chars().enumerate().find(|(_, found)| found.is_control()) {
        Some((place, found)) => Err(SpecProblem::ControlCharacter { place, found }),
        None => Ok(()),
    }
}

fn field_of(error: &crate::session::SpecError) -> &'static str {
    use crate::session::SpecError as E;
    match error {
        E::NeuronCount { .. } | E::DuplicateNeuronId { .. } => "spec.neurons",
        E::WindowCount { .. } | E::Window(_) | E::WindowShorterThanLag { .. } => "spec.windows",
        E::EstimatorCount { .. } => "spec.estimators",
        E::RefreshInterval => "spec.refresh_interval_bins",
        E::RefitInterval => "spec.refit_interval_bins",
        E::RefitBins { .. } => "spec.refit_bins_max",
        E::ScoreMemory => "spec.score_memory_bins",
        E::EquilibriumMethodCount { .. } => "spec.equilibrium_methods",
        E::EquilibriumInterval => "spec.equilibrium_interval_bins",
        E::EquilibriumBins { .. } => "spec.equilibrium_bins_max",
    }
}

fn neurons(listed: Vec<v1::Neuron>, neuron_count: u32, limits: &Limits) -> Result<Vec<Neuron>, RequestError> {
    if !listed.is_empty() {
        if neuron_count != 0 && neuron_count as usize != listed.len() {
            let problem = SpecProblem::NeuronCounts { neuron_count, listed: listed.len() };
            return Err(RequestError::Spec { field: "spec.neuron_count".into(), problem });
        }
        for (i, neuron) in listed.iter().enumerate() {
            name(&neuron.label).map_err(|problem| {
                let field = format!("spec.neurons[{i}].label").into();
                RequestError::Spec { field, problem }
            })?;
        }
        return Ok(listed.into_iter().map(|n| Neuron { id: n.id, label: n.label }).collect());
    }
    // Before the list is made: a count of four billion is a short message.
    if neuron_count as usize > limits.neurons_max {
        let (asked, max) = (neuron_count.into(), limits.neurons_max as u64);
        return Err(RequestError::Limit { key: "neurons_max", what: "neurons of the session", asked, max });
    }
    Ok((0..neuron_count).map(|id| Neuron { id: id.into(), label: String::new() }).collect())
}

fn windows(asked: &[String], defaults: &SessionDefaults) -> Result<Vec<Window>, WindowError> {
    let texts = if asked.is_empty() { &defaults.windows } else { asked };
    texts.iter().map(|text| echoed(text).parse()).collect()
}

fn ridges(asked: Option<f64>, path: &[f64], defaults: &SessionDefaults) -> Result<Ridges, SpecProblem> {
    match (asked, path) {
        (None, []) => Ok(defaults.ridge.parse()?),
        (Some(ridge), []) => Ok(Ridges::new(&[ridge])?),
        (None, path) => Ok(Ridges::new(path)?),
        (Some(_), _) => Err(SpecProblem::RidgeTwice),
    }
}

fn estimators(asked: &[i32], defaults: &SessionDefaults) -> Result<Vec<Estimator>, SpecProblem> {
    let estimators: Vec<Estimator> = if asked.is_empty() {
        defaults.estimators.iter().map(|text| text.parse()).collect::<Result<_, UnknownEstimator>>()?
    } else {
        let known = |&number: &i32| match estimator_from_proto(number) {
            Ok(Some(estimator)) => Ok(estimator),
            _ if number == v1::Estimator::Best as i32 => Err(SpecProblem::EstimatorBest),
            _ => Err(SpecProblem::EstimatorNumber { number }),
        };
        asked.iter().map(known).collect::<Result<_, _>>()?
    };
    let distinct: std::collections::HashSet<_> = estimators.iter().collect();
    if distinct.len() != estimators.len() {
        return Err(SpecProblem::EstimatorTwice);
    }
    Ok(estimators)
}

fn equilibrium(
    asked: &v1::SessionSpec,
    bin_width: BinWidth,
    defaults: &SessionDefaults,
) -> Result<EquilibriumSpec, SpecProblem> {
    let known = |&number: &i32| match method_from_proto(number) {
        Some(method) => Ok(method),
        None if number == v1::EquilibriumMethod::Best as i32 => Err(SpecProblem::EquilibriumMethodBest),
        None => Err(SpecProblem::EquilibriumMethodNumber { number }),
    };
    let methods: Vec<EquilibriumMethod> = match (asked.no_equilibrium, &asked.equilibrium_methods[..]) {
        (true, []) => Vec::new(),
        (true, _) => return Err(SpecProblem::EquilibriumAndNone),
        (false, []) => {
            let parsed = defaults.equilibrium_methods.iter().map(|text| text.parse());
            parsed.collect::<Result<_, UnknownEquilibriumMethod>>()?
        }
        (false, numbers) => numbers.iter().map(known).collect::<Result<_, _>>()?,
    };
    let interval = Duration::from_millis(defaults.equilibrium_interval_ms);
    Ok(EquilibriumSpec {
        methods,
        interval_bins: asked.equilibrium_interval_bins.unwrap_or_else(|| bin_width.bins_covering(interval)),
        bins_max: asked.equilibrium_bins_max.unwrap_or(defaults.equilibrium_bins_max),
        seed: asked.equilibrium_seed.unwrap_or(1),
    })
}
