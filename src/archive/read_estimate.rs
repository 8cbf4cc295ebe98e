use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array1, Array2};

use super::ArchiveError;
use super::read::Reader;
use crate::model::{
    Convergence, Estimate, Estimator, RowStatus, RunningScore, SamplingVariance, Score, TrialFields,
};
use crate::session::{RidgeScore, ScoredEstimate};

/// The group of one estimate, or equilibrium model.
pub(super) struct Group<'a> {
    pub(super) reader: &'a Reader,
    pub(super) path: String,
    pub(super) n_neurons: usize,
}

impl Reader {
    /// The estimate of one estimator; `bins` are those of the window.
    pub(super) fn estimate(
        &self,
        estimator: Estimator,
        n_neurons: usize,
        bins: &Range<u64>,
    ) -> Result<ScoredEstimate, ArchiveError> {
        let group = Group { reader: self, path: format!("/estimators/{estimator}"), n_neurons };
        let estimate = Arc::new(group.estimate(estimator)?);
        if self.version < 2 {
            // Estimates were of the whole window and had no score.
            let score = RunningScore::new(n_neurons);
            let path = vec![RidgeScore { ridge: estimate.ridge, bits_per_spike: None }];
            return Ok(ScoredEstimate { estimate, first_bin: bins.start, end_bin: bins.end, score, path });
        }
        Ok(ScoredEstimate {
            estimate,
            first_bin: self.file.unsigned_attribute(&group.path, "first_bin")?,
            end_bin: self.file.unsigned_attribute(&group.path, "end_bin")?,
            score: RunningScore { total: group.score("score")?, recent: group.score("recent_score")? },
            path: group.ridge_path()?,
        })
    }
}

impl Group<'_> {
    fn object(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    pub(super) fn has(&self, name: &str) -> Result<bool, ArchiveError> {
        Ok(self.reader.file.optional_dataset(&self.object(name))?.is_some())
    }

    pub(super) fn vector(&self, name: &str) -> Result<Array1<f64>, ArchiveError> {
        let dataset = self.reader.dataset(&self.object(name), &[self.n_neurons])?;
        Ok(Array1::from_vec(dataset.numbers()?))
    }

    pub(super) fn matrix(&self, name: &str, columns: usize) -> Result<Array2<f64>, ArchiveError> {
        let shape = [self.n_neurons, columns];
        let dataset = self.reader.dataset(&self.object(name), &shape)?;
        Array2::from_shape_vec((shape[0], shape[1]), dataset.numbers()?)
            .map_err(|_| dataset.wrong_shape(&format!("{shape:?}")).into())
    }

    pub(super) fn status(&self) -> Result<Vec<RowStatus>, ArchiveError> {
        let object = self.object("status");
        let status = self.reader.dataset(&object, &[self.n_neurons])?.texts()?;
        let row_status = |name: &String| {
            let known = RowStatus::ALL.into_iter().find(|status| status.as_str() == name);
            known.ok_or_else(|| self.reader.bad_value(&object, "a row status", name))
        };
        status.iter().map(row_status).collect()
    }

    fn estimate(&self, estimator: Estimator) -> Result<Estimate, ArchiveError> {
        Ok(Estimate {
            estimator,
            ridge: self.reader.file.number_attribute(&self.path, "ridge")?,
            couplings: self.matrix("couplings", self.n_neurons)?,
            fields: self.vector("fields")?,
            status: self.status()?,
            variance: self.variance()?,
            convergence: if self.has("iterations")? { Some(self.convergence()?) } else { None },
            trial_fields: if self.has("trial_fields")? { Some(self.trial_fields()?) } else { None },
        })
    }

    fn variance(&self) -> Result<SamplingVariance, ArchiveError> {
        let file = &self.reader.file;
        let transitions = file.unsigned_attribute(&self.path, "transitions")?;
        if self.has("sampling_variance_couplings")? {
            let couplings = self.matrix("sampling_variance_couplings", self.n_neurons)?;
            let fields = self.vector("sampling_variance_fields")?;
            return Ok(SamplingVariance::Full { couplings, fields, transitions });
        }
        Ok(SamplingVariance::Factored {
            sender: self.vector("sampling_variance_sender")?,
            receiver: self.vector("sampling_variance_receiver")?,
            // Version 1 had no standard errors of fields.
            field: file.optional_number_attribute(&self.path, "sampling_variance_field")?.unwrap_or(0.0),
            transitions,
        })
    }

    fn convergence(&self) -> Result<Convergence, ArchiveError> {
        let object = self.object("iterations");
        let stored = self.reader.dataset(&object, &[self.n_neurons])?.counts()?;
        let bad = |k: u64| self.reader.bad_value(&object, "a number of passes", &k.to_string());
        let iterations = stored.into_iter().map(|k| u32::try_from(k).map_err(|_| bad(k)));
        let iterations = iterations.collect::<Result<_, _>>()?;
        Ok(Convergence { iterations, gradient_norm: self.vector("gradient_norm")? })
    }

    fn trial_fields(&self) -> Result<TrialFields, ArchiveError> {
        let expected = "the repeats of each bin of a trial";
        let repeats = self.reader.file.dataset(&self.object("trial_repeats"), expected)?.list()?.counts()?;
        let n_bins = repeats.len();
        let fields = self.matrix("trial_fields", n_bins)?;
        let shape = [self.n_neurons, n_bins];
        let estimated = self.reader.dataset(&self.object("trial_fields_estimated"), &shape)?;
        let known = estimated.counts()?.into_iter().map(|known| known != 0).collect();
        let estimated = Array2::from_shape_vec((shape[0], shape[1]), known)
            .map_err(|_| ArchiveError::from(estimated.wrong_shape(&format!("{shape:?}"))))?;
        Ok(TrialFields { fields, estimated, repeats })
    }

    pub(super) fn score(&self, name: &str) -> Result<Score, ArchiveError> {
        Ok(Score {
            transitions: self.reader.file.number_attribute(&self.path, &format!("{name}_transitions"))?,
            spikes: self.vector(&format!("{name}_spikes"))?,
            gain_bits: self.vector(&format!("{name}_gain_bits"))?,
        })
    }

    fn ridge_path(&self) -> Result<Vec<RidgeScore>, ArchiveError> {
        let file = &self.reader.file;
        let ridges =
            file.dataset(&self.object("path_ridge"), "the ridges that were tried")?.list()?.numbers()?;
        let shape = [ridges.len()];
        let bits = self.reader.dataset(&self.object("path_bits_per_spike"), &shape)?.numbers()?;
        let scored = self.reader.dataset(&self.object("path_scored"), &shape)?.counts()?;
        let point = |((ridge, bits), scored): ((f64, f64), u64)| RidgeScore {
            ridge,
            bits_per_spike: (scored != 0).then_some(bits),
        };
        Ok(ridges.into_iter().zip(bits).zip(scored).map(point).collect())
    }
}
