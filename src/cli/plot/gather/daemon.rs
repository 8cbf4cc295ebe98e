//! What a daemon has published last of a session.

use glauber::model::{BinWidth, Neuron, Window};
use glauber::proto::v1;
use tonic::Code;

use super::Choice;
use crate::cli::client::{self, Asked, Daemon, Publication};
use crate::cli::equilibrium::{self, fetch_with_rows};
use crate::cli::error::CliError;
use crate::cli::plot::material::{
    Couplings, Equilibrium, EstimatorScore, Material, Observed, ScoreSums, Span,
};
use crate::cli::text;

/// What to ask for.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) window: Option<Window>,
    pub(crate) choice: Choice,
    /// Whether an equilibrium model is wanted at all: it is as large as the couplings.
    pub(crate) model: bool,
}

/// Ask a daemon.
pub(crate) async fn ask(
    daemon: &Daemon,
    session: &v1::Session,
    question: &Question,
) -> Result<Material, CliError> {
    let asking = Asking { daemon, session, question };
    let spec = session.spec.clone().unwrap_or_default();
    let Matched { publication, headers } =
        until_matched(TIMES_MAX, || asking.publication_and_headers(&spec)).await?;
    // What belongs together is asked of the same window.
    let window = publication.header.window.clone();
    let mut missing = Vec::new();
    let equilibrium = if question.model { asking.equilibrium(&window, &mut missing).await? } else { None };
    let width = BinWidth::from_us(u64::from(spec.bin_width_us)).ok();
    let ids = publication.header.neuron_ids.clone();
    Ok(Material {
        name: spec.name.clone(),
        origin: format!("live session {} at {}", session.session_id, daemon.address()),
        bin_width: width.map_or_else(String::new, |width| width.to_string()),
        bin_s: width.map_or(0.0, BinWidth::seconds),
        neurons: neurons(&spec, &ids),
        scores: headers.iter().map(score).collect(),
        mixed: mixed(&publication.header, &headers),
        couplings: Some(asking.take_couplings(publication)?),
        equilibrium,
        missing,
    })
}

/// The neurons of a session, which names them only where they were named.
fn neurons(spec: &v1::SessionSpec, ids: &[i64]) -> Vec<Neuron> {
    let label =
        |place: usize| spec.neurons.get(place).map_or_else(String::new, |neuron| neuron.label.clone());
    ids.iter().enumerate().map(|(place, &id)| Neuron { id, label: label(place) }).collect()
}

/// How often couplings and scores are asked for until they are of the same publication: a session may publish between two requests.
const TIMES_MAX: usize = 4;

/// Couplings, and what is told of every estimator.
#[derive(Debug, Clone, Default)]
struct Matched {
    publication: Publication,
    headers: Vec<v1::EstimateHeader>,
}

/// Ask until the answers are of one publication, at most so many times; the last ones otherwise.
async fn until_matched<F: Future<Output = Result<Matched, CliError>>>(
    times_max: usize,
    mut ask: impl FnMut() -> F,
) -> Result<Matched, CliError> {
    let mut found = ask().await?;
    for _ in 1..times_max {
        if mixed(&found.publication.header, &found.headers).is_none() {
            break;
        }
        found = ask().await?;
    }
    Ok(found)
}

/// That scores are of other publications than the couplings, where they are.
fn mixed(couplings: &v1::EstimateHeader, scores: &[v1::EstimateHeader]) -> Option<String> {
    let of = || scores.iter().map(|header| header.publication);
    let (first, last) = (of().min()?, of().max()?);
    (first != couplings.publication || last != couplings.publication).then(|| {
        let which = if first == last {
            format!("publication {}", text::count(first))
        } else {
            format!("publications {} to {}", text::count(first), text::count(last))
        };
        format!(
            "The session published while it was asked: scores are of {which}, couplings of {}.",
            text::count(couplings.publication)
        )
    })
}

struct Asking<'a> {
    daemon: &'a Daemon,
    session: &'a v1::Session,
    question: &'a Question,
}

impl Asking<'_> {
    fn window(&self) -> String {
        self.question.window.map_or_else(String::new, |window| window.to_string())
    }

    fn query(&self, estimator: i32, window: String) -> v1::CouplingsQuery {
        v1::CouplingsQuery {
            session_id: self.session.session_id.clone(),
            estimator,
            window,
            standard_errors: true,
            q_values: true,
            ..Default::default()
        }
    }

    /// The couplings asked for; where nobody says by which estimator, of the best one, or of the first while nothing is scored.
    async fn couplings(&self) -> Result<Publication, CliError> {
        if let Some(asked) = self.question.choice.estimator {
            return self.daemon.couplings(self.query(asked.wire(), self.window())).await;
        }
        if self.session.best.is_some() {
            return self.daemon.couplings(self.query(Asked::Best.wire(), self.window())).await;
        }
        self.daemon.couplings(self.query(0, self.window())).await
    }

    fn take_couplings(&self, publication: Publication) -> Result<Couplings, CliError> {
        let header = publication.header;
        let n = header.status.len();
        let mut found = Couplings {
            estimator: client::estimator_name(header.estimator).to_owned(),
            ridge: header.ridge,
            span: Span {
                window: header.window.clone(),
                first_bin: header.first_bin,
                end_bin: header.end_bin,
                observed: (header.end_bin == header.window_end_bin).then_some(header.bins_observed),
            },
            transitions: header.transitions,
            age: Some(format!(
                "computed {} ago, {} bins since",
                text::seconds(header.age_ms as f64 / 1000.0),
                text::count(header.bins_since)
            )),
            status: header.status.iter().map(|&status| client::status_name(status).to_owned()).collect(),
            values: vec![0.0; n * n],
            errors: vec![0.0; n * n],
            q: vec![1.0; n * n],
        };
        let mut rows_seen = 0;
        for rows in &publication.rows {
            let parts = [
                (&rows.couplings, &mut found.values),
                (&rows.standard_errors, &mut found.errors),
                (&rows.q_values, &mut found.q),
            ];
            for (sent, into) in parts {
                fill(sent, &rows.receivers, n, into).ok_or_else(|| self.wrong_shape())?;
            }
            rows_seen += rows.receivers.len();
        }
        if rows_seen == n && header.neuron_ids.len() == n { Ok(found) } else { Err(self.wrong_shape()) }
    }

    fn wrong_shape(&self) -> CliError {
        self.daemon.protocol("a matrix of another shape than its header says")
    }

    async fn publication_and_headers(&self, spec: &v1::SessionSpec) -> Result<Matched, CliError> {
        let publication = self.couplings().await?;
        let headers = self.headers(spec, &publication).await?;
        Ok(Matched { publication, headers })
    }

    /// What is told of every estimator of the session, its score among that; one that has no estimate yet is left out.
    async fn headers(
        &self,
        spec: &v1::SessionSpec,
        shown: &Publication,
    ) -> Result<Vec<v1::EstimateHeader>, CliError> {
        let mut headers = Vec::new();
        for &estimator in &spec.estimators {
            if estimator == shown.header.estimator {
                headers.push(shown.header.clone());
                continue;
            }
            let window = shown.header.window.clone();
            let query = v1::CouplingsQuery { header_only: true, ..self.query(estimator, window) };
            let request = v1::GetCouplingsRequest { query: Some(query) };
            let doing = "fetching scores";
            let mut stream = match self.daemon.inference().get_couplings(request).await {
                Ok(response) => response.into_inner(),
                Err(status) if status.code() == Code::FailedPrecondition => continue,
                Err(status) => return Err(self.daemon.failure(doing)(status)),
            };
            while let Some(response) = stream.message().await.map_err(self.daemon.failure(doing))? {
                if let Some(v1::get_couplings_response::Part::Header(header)) = response.part {
                    headers.push(header);
                }
            }
        }
        Ok(headers)
    }

    async fn equilibrium(
        &self,
        window: &str,
        missing: &mut Vec<String>,
    ) -> Result<Option<Equilibrium>, CliError> {
        let request = v1::GetEquilibriumModelRequest {
            session_id: self.session.session_id.clone(),
            method: self.question.choice.method.map_or(0, i32::from),
            window: window.to_owned(),
            ..Default::default()
        };
        let answer = match fetch_with_rows(self.daemon, request).await? {
            Ok(answer) => answer,
            Err(status) if status.code() == Code::FailedPrecondition => {
                missing.push(status.message().to_owned());
                return Ok(None);
            }
            Err(status) => {
                return Err(self.daemon.failure("fetching the equilibrium model")(status));
            }
        };
        let header = &answer.header;
        let identity = header.identity.clone().unwrap_or_default();
        let method = equilibrium::method_name(identity.method).to_owned();
        if !header.refusal.is_empty() {
            missing.push(format!("{method} gave no model: {}", header.refusal));
            return Ok(None);
        }
        let n = header.fields.len();
        let mut couplings = vec![0.0; n * n];
        for rows in &answer.rows {
            fill(&rows.couplings, &rows.receivers, n, &mut couplings).ok_or_else(|| self.wrong_shape())?;
        }
        let status: Vec<&str> = header.status.iter().map(|&status| client::status_name(status)).collect();
        let without = glauber::model::RowStatus::ALL.into_iter().filter(|status| !status.has_estimate());
        let without: Vec<&str> = without.map(glauber::model::RowStatus::as_str).collect();
        let observed = self.correlations(&identity.window, n).await?;
        Ok(Some(Equilibrium {
            method,
            span: Span {
                window: identity.window,
                first_bin: identity.first_bin,
                end_bin: identity.end_bin,
                observed: Some(header.bins_observed),
            },
            estimated: status.iter().map(|name| !without.contains(name)).collect(),
            status: status.into_iter().map(str::to_owned).collect(),
            couplings,
            fields: header.fields.clone(),
            bits_per_spike: header.score.as_ref().and_then(|score| score.recent.as_ref()?.bits_per_spike),
            check: answer.check(),
            observed: Observed {
                same_bins: (observed.span.first_bin, observed.span.end_bin)
                    == (identity.first_bin, identity.end_bin),
                ..observed
            },
        }))
    }

    async fn correlations(&self, window: &str, n: usize) -> Result<Observed, CliError> {
        use v1::get_correlations_response::Part;
        let doing = "fetching correlations";
        let request = v1::GetCorrelationsRequest {
            session_id: self.session.session_id.clone(),
            window: window.to_owned(),
            ..Default::default()
        };
        let response = self.daemon.inference().get_correlations(request).await;
        let mut stream = response.map_err(self.daemon.failure(doing))?.into_inner();
        let (mut span, mut correlations) = (Span::default(), vec![0.0; n * n]);
        let mut rows_seen = 0;
        while let Some(response) = stream.message().await.map_err(self.daemon.failure(doing))? {
            match response.part {
                Some(Part::Header(header)) => {
                    span = Span {
                        window: header.window,
                        first_bin: header.first_bin,
                        end_bin: header.end_bin,
                        observed: Some(header.bins_observed),
                    };
                }
                Some(Part::Rows(rows)) => {
                    let of: Vec<u32> = (rows.first_row..).take(rows.row_count as usize).collect();
                    fill(&rows.equal_time, &of, n, &mut correlations).ok_or_else(|| self.wrong_shape())?;
                    rows_seen += of.len();
                }
                None => {}
            }
        }
        if rows_seen == n {
            Ok(Observed { span, same_bins: false, correlations })
        } else {
            Err(self.wrong_shape())
        }
    }
}

/// Put rows into their places; `None` when they do not fit.
fn fill(sent: &[f64], rows: &[u32], n: usize, into: &mut [f64]) -> Option<()> {
    if sent.len() != rows.len() * n {
        return None;
    }
    for (values, &row) in sent.chunks_exact(n.max(1)).zip(rows) {
        let start = (row as usize).checked_mul(n)?;
        into.get_mut(start..start + n)?.copy_from_slice(values);
    }
    Some(())
}

fn score(header: &v1::EstimateHeader) -> EstimatorScore {
    let sums = |sum: Option<&v1::ScoreSum>| {
        sum.map_or_else(ScoreSums::default, |sum| ScoreSums {
            transitions: sum.transitions,
            spikes: sum.neuron_spikes.clone(),
            gain_bits: sum.neuron_gain_bits.clone(),
        })
    };
    let score = header.score.as_ref();
    EstimatorScore {
        estimator: client::estimator_name(header.estimator).to_owned(),
        ridge: header.ridge,
        recent: sums(score.and_then(|score| score.recent.as_ref())),
        total: sums(score.and_then(|score| score.total.as_ref())),
        path: header.ridge_path.iter().map(|point| (point.ridge, point.bits_per_spike)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_do_not_fit_are_refused() {
        let mut into = vec![0.0; 4];
        assert_eq!(fill(&[1.0, 2.0], &[1], 2, &mut into), Some(()));
        assert_eq!(into, [0.0, 0.0, 1.0, 2.0]);
        assert_eq!(fill(&[1.0, 2.0, 3.0], &[1], 2, &mut into), None);
        assert_eq!(fill(&[1.0, 2.0], &[2], 2, &mut into), None);
        assert_eq!(fill(&[], &[], 0, &mut []), Some(()));
    }

    fn of(publication: u64) -> v1::EstimateHeader {
        v1::EstimateHeader { publication, ..Default::default() }
    }

    #[test]
    fn other_publications_are_told_of() {
        assert_eq!(mixed(&of(7), &[]), None);
        assert_eq!(mixed(&of(7), &[of(7), of(7)]), None);
        let told = mixed(&of(7), &[of(7), of(1008)]).unwrap();
        assert!(told.contains("scores are of publications 7 to 1,008, couplings of 7."), "{told}");
        let told = mixed(&of(7), &[of(8)]).unwrap();
        assert!(told.contains("scores are of publication 8, couplings of 7."), "{told}");
    }

    #[tokio::test]
    async fn what_belongs_together_is_asked_for_again_but_not_for_ever() {
        // The session publishes during the first so many of the requests.
        for (disturbed, asked, is_mixed) in [(0, 1, false), (2, 3, false), (9, 4, true)] {
            let times = std::cell::Cell::new(0);
            let found = until_matched(4, || {
                times.set(times.get() + 1);
                let now = times.get();
                let couplings = Publication { header: of(now), ..Default::default() };
                let headers = vec![of(now), of(if now <= disturbed { now + 1 } else { now })];
                async move { Ok(Matched { publication: couplings, headers }) }
            });
            let found = found.await.unwrap();
            assert_eq!(times.get(), asked);
            assert_eq!(mixed(&found.publication.header, &found.headers).is_some(), is_mixed);
        }
    }
}
