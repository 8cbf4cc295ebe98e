//! A requested session, with the daemon's defaults where it says nothing.

use std::time::Duration;

use super::config::{Limits, SessionDefaults};
use super::convert::estimator_from_proto;
use super::equilibrium::method_from_proto;
use super::error::{RequestError, SpecProblem, echoed};
use super::session_metadata;
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
        metadata: session_metadata::from_proto(asked.metadata),
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
        E::Metadata(_) => "spec.metadata",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::DaemonConfig;
    use crate::daemon::convert::{Neurons, spec_to_proto};
    use crate::model::{SessionMetadata, Subject, TapForm};

    fn full() -> SessionSpec {
        SessionSpec {
            name: "rétina 2".to_owned(),
            neurons: (0..4).map(|k| Neuron { id: 7 * k - 9, label: format!("Ω{k}") }).collect(),
            bin_width: BinWidth::from_us(12_345).unwrap(),
            origin_ns: i64::MIN + 3,
            windows: [1_234, 90_000, 3_600_001, 7 * 24 * 3_600_000].map(|ms| Window::Last { ms }).to_vec(),
            lags: Lags::new(&[1, 3, 50]).unwrap(),
            estimators: vec![
                Estimator::TrialExact,
                Estimator::Tap(TapForm::SelfConsistent),
                Estimator::Online,
            ],
            ridges: Ridges::new(&[0.1 + 0.2, 0.0, 1e-300, 1e6]).unwrap(),
            refresh_interval_bins: u64::MAX,
            refit_interval_bins: 17,
            refit_bins_max: 4321,
            score_memory_bins: 99,
            equilibrium: EquilibriumSpec {
                methods: vec![EquilibriumMethod::ManyStatesTap, EquilibriumMethod::Boltzmann],
                interval_bins: 5,
                bins_max: 64,
                seed: u64::MAX,
            },
            metadata: SessionMetadata {
                description: "d".to_owned(),
                experimenters: vec!["Doe, Jane".to_owned(), "Roe, R".to_owned()],
                lab: "l".to_owned(),
                institution: "i".to_owned(),
                keywords: vec!["k".to_owned()],
                start_ns: Some(1),
                subject: Subject {
                    subject_id: "s".to_owned(),
                    species: "Mus musculus".to_owned(),
                    sex: "F".to_owned(),
                    age: "P1D/".to_owned(),
                    description: "sd".to_owned(),
                    strain: "st".to_owned(),
                    genotype: "g".to_owned(),
                },
            },
        }
    }

    /// Whatever the defaults are: a session that is made again from its specification is the same.
    #[test]
    fn a_resolved_specification_is_its_own_request() {
        let mut window_all = full();
        window_all.windows = vec![Window::All];
        window_all.ridges = Ridges::new(&[0.3]).unwrap();
        window_all.equilibrium =
            EquilibriumSpec { methods: Vec::new(), interval_bins: 9, bins_max: 100, seed: 0 };
        window_all.metadata = SessionMetadata::default();
        let mut nameless = window_all.clone();
        nameless.name.clear();
        nameless.neurons = (0..3).map(|id| Neuron { id, label: String::new() }).collect();
        nameless.ridges = Ridges::none();
        nameless.equilibrium = EquilibriumSpec::default();
        for estimator in Estimator::ALL {
            nameless.estimators = vec![estimator];
            check_round_trip(&nameless);
        }
        for method in EquilibriumMethod::ALL {
            nameless.equilibrium.methods = vec![method];
            check_round_trip(&nameless);
        }
        check_round_trip(&window_all);
        check_round_trip(&full());
    }

    fn check_round_trip(spec: &SessionSpec) {
        spec.check().unwrap();
        let config = DaemonConfig::default();
        let again = session_spec(spec_to_proto(spec, Neurons::Listed), &config.defaults, &config.limits);
        assert_eq!(again.as_ref(), Ok(spec));
    }

    #[test]
    fn metadata_that_no_file_could_say_is_refused_with_its_field() {
        let config = DaemonConfig::default();
        let mut asked = spec_to_proto(&full(), Neurons::Listed);
        asked.metadata.as_mut().unwrap().subject.as_mut().unwrap().age = "9 days".to_owned();
        let error = session_spec(asked, &config.defaults, &config.limits).unwrap_err().to_string();
        assert_eq!(
            error,
            "spec.metadata: subject.age is '9 days': expected an ISO 8601 duration such as P90D or P12W, or a range such as P80D/P100D"
        );
    }
}
