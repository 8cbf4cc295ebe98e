//! Talking to a daemon: connecting, choosing a session, fetching couplings.

use std::str::FromStr;
use std::time::Duration;

use glauber::model::{Estimator, Ridges, TapForm, UnknownEstimator};
use glauber::proto::v1;
use glauber::proto::v1::inference_service_client::InferenceServiceClient;
use glauber::proto::v1::ingest_service_client::IngestServiceClient;
use glauber::proto::v1::session_service_client::SessionServiceClient;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::access::Bearer;
pub(crate) use super::access::{ConnectArgs, CredentialArgs};
use super::error::{CliError, root_cause};
use super::trust;

/// What the daemon may send of one answer before it is read.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const FRAME_BYTES: u32 = 1 << 20;

/// Largest message taken: a list of many sessions names every neuron of each.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to a daemon.
#[derive(Debug, Clone)]
pub(crate) struct Daemon {
    address: String,
    calls: Calls,
}

/// What calls are made through.
pub(crate) type Calls = InterceptedService<Channel, Bearer>;

impl Daemon {
    /// Connect as told.
    ///
    /// # Errors
    /// [`CliError::NoDaemon`] when nobody answers there, [`CliError::NotTrusted`] when the daemon or we are not
    /// trusted, others for arguments that make no sense.
    pub(crate) async fn connect(args: &ConnectArgs) -> Result<Self, CliError> {
        let address = args.connect.clone();
        let bearer = args.bearer()?;
        let (endpoint, pem) = args.endpoint()?;
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            // Without these a daemon whose machine lost power is waited for without end.
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(20))
            // A matrix is megabytes: with less the daemon waits for the client's permission to go on, and cuts it into thousands of frames.
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(2 * STREAM_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES)
            .tcp_nodelay(true);
        let failed = |error: &(dyn std::error::Error + 'static)| match trust::refusal(error) {
            Some(problem) => CliError::NotTrusted { address: address.clone(), problem },
            None => CliError::NoDaemon { address: address.clone(), reason: root_cause(error) },
        };
        let connect = async {
            match &pem {
                Some(pem) => trust::probe(endpoint.uri(), pem).await.map_err(|error| failed(&error))?,
                None if trust::speaks_tls(endpoint.uri()).await => {
                    let problem = "what listens there speaks TLS: use https:// and --ca FILE".to_owned();
                    return Err(CliError::NotTrusted { address: address.clone(), problem });
                }
                None => {}
            }
            endpoint.connect().await.map_err(|error| failed(&error))
        };
        // The endpoint's own limit is that of TCP; who then says nothing is not waited for either.
        let channel = tokio::time::timeout(2 * CONNECT_TIMEOUT, connect)
            .await
            .map_err(|_| CliError::NoDaemon { address: address.clone(), reason: "no answer".to_owned() })??;
        Ok(Self { address, calls: InterceptedService::new(channel, bearer) })
    }

    /// Where the daemon listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What calls of other codecs are made through.
    pub(crate) fn calls(&self) -> Calls {
        self.calls.clone()
    }

    /// The session service.
    pub(crate) fn sessions(&self) -> SessionServiceClient<Calls> {
        SessionServiceClient::new(self.calls.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The ingest service.
    pub(crate) fn ingest(&self) -> IngestServiceClient<Calls> {
        IngestServiceClient::new(self.calls.clone())
    }

    /// The inference service.
    pub(crate) fn inference(&self) -> InferenceServiceClient<Calls> {
        InferenceServiceClient::new(self.calls.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// An answer of the daemon that is no success, in words.
    pub(crate) fn failure(&self, doing: &'static str) -> impl Fn(Status) -> CliError {
        let address = self.address.clone();
        move |status| CliError::from_status(doing, &address, &status)
    }

    /// An answer the interface does not allow.
    pub(crate) fn protocol(&self, what: &str) -> CliError {
        CliError::Protocol { address: self.address.clone(), what: what.to_owned() }
    }

    /// Every session of the daemon, and the daemon's version.
    pub(crate) async fn list(&self) -> Result<(Vec<v1::Session>, String), CliError> {
        let response = self
            .sessions()
            .list_sessions(v1::ListSessionsRequest {})
            .await
            .map_err(self.failure("listing sessions"))?
            .into_inner();
        Ok((response.sessions, response.daemon_version))
    }

    /// How the daemon's journal is; `None` when it keeps none.
    pub(crate) async fn journal(&self) -> Result<Option<v1::JournalStatus>, CliError> {
        let response = self.sessions().list_sessions(v1::ListSessionsRequest {}).await;
        Ok(response.map_err(self.failure("listing sessions"))?.into_inner().journal)
    }

    /// Whether sessions survive the end of the daemon.
    pub(crate) async fn keeps_journal(&self) -> Result<bool, CliError> {
        Ok(self.journal().await?.is_some())
    }

    /// The session of that id or name, or of a prefix that fits only one; without a wish the only or newest one.
    pub(crate) async fn select(&self, wanted: Option<&str>) -> Result<v1::Session, CliError> {
        let (sessions, _) = self.list().await?;
        if sessions.is_empty() {
            return Err(CliError::NoSessions { address: self.address.clone() });
        }
        match wanted {
            Some(wanted) => choose(sessions, wanted, &self.address),
            None => Ok(most_recent(sessions)),
        }
    }

    /// The couplings published last: header and strongest pairs.
    pub(crate) async fn couplings(&self, query: v1::CouplingsQuery) -> Result<Publication, CliError> {
        let doing = "fetching couplings";
        let mut stream = self
            .inference()
            .get_couplings(v1::GetCouplingsRequest { query: Some(query) })
            .await
            .map_err(self.failure(doing))?
            .into_inner();
        let mut publication = Publication::default();
        let mut has_header = false;
        while let Some(response) = stream.message().await.map_err(self.failure(doing))? {
            use v1::get_couplings_response::Part;
            match response.part {
                Some(Part::Header(header)) => {
                    publication.header = header;
                    has_header = true;
                }
                Some(Part::Pairs(pairs)) => publication.take_pairs(pairs),
                Some(Part::Rows(rows)) => publication.rows.push(rows),
                Some(Part::TrialFields(fields)) => publication.trial_fields.push(fields),
                None => {}
            }
        }
        if has_header { Ok(publication) } else { Err(self.protocol("couplings without a header")) }
    }

    /// A session with its list of neurons.
    pub(crate) async fn session(&self, session_id: &str) -> Result<v1::Session, CliError> {
        let request = v1::GetSessionRequest { session_id: session_id.to_owned() };
        let response = self.sessions().get_session(request).await;
        let session = response.map_err(self.failure("looking a session up"))?.into_inner().session;
        session.ok_or_else(|| self.protocol("no session"))
    }

    /// The couplings each time they are published.
    pub(crate) async fn watch(
        &self,
        query: v1::CouplingsQuery,
    ) -> Result<Streaming<v1::WatchCouplingsResponse>, CliError> {
        let request = v1::WatchCouplingsRequest { query: Some(query) };
        let response = self.inference().watch_couplings(request).await;
        Ok(response.map_err(self.failure("watching couplings"))?.into_inner())
    }
}

/// One publication of couplings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Publication {
    /// What it is of.
    pub(crate) header: v1::EstimateHeader,
    /// The strongest pairs, when asked for.
    pub(crate) pairs: Vec<v1::CouplingPair>,
    /// How many pairs there are within the q asked for.
    pub(crate) found: u64,
    /// The rows, when asked for.
    pub(crate) rows: Vec<v1::CouplingRows>,
    /// The fields of each bin of a trial, when asked for.
    pub(crate) trial_fields: Vec<v1::TrialFieldRows>,
}

impl Publication {
    /// Take in one message of pairs.
    pub(crate) fn take_pairs(&mut self, pairs: v1::CouplingPairs) {
        self.found = pairs.found;
        self.pairs.extend(pairs.pairs);
    }
}

/// Whom to ask: an estimator, or whichever predicts best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Best,
    One(Estimator),
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "best" {
            return Ok(Self::Best);
        }
        text.parse().map(Self::One).map_err(|error: UnknownEstimator| format!("{error}, best"))
    }
}

impl Asked {
    /// Its number in the interface.
    pub(crate) fn wire(self) -> i32 {
        match self {
            Self::Best => v1::Estimator::Best.into(),
            Self::One(estimator) => wire_estimator(estimator).into(),
        }
    }
}

/// The name of a session, empty when it has none.
pub(crate) fn session_name(session: &v1::Session) -> &str {
    session.spec.as_ref().map_or("", |spec| spec.name.as_str())
}

fn choose(sessions: Vec<v1::Session>, wanted: &str, address: &str) -> Result<v1::Session, CliError> {
    type Fits = fn(&v1::Session, &str) -> bool;
    let ways: [Fits; 4] = [
        |session, wanted| session.session_id == wanted,
        |session, wanted| session_name(session) == wanted,
        |session, wanted| session.session_id.starts_with(wanted),
        |session, wanted| session_name(session).starts_with(wanted),
    ];
    for fits in ways {
        let mut matches: Vec<&v1::Session> =
            sessions.iter().filter(|session| fits(session, wanted)).collect();
        match matches.len() {
            0 => {}
            1 => return Ok(matches.remove(0).clone()),
            _ => {
                let matches = described(matches.into_iter());
                return Err(CliError::AmbiguousSession { wanted: wanted.to_owned(), matches });
            }
        }
    }
    let known = described(sessions.iter());
    Err(CliError::UnknownSession { wanted: wanted.to_owned(), address: address.to_owned(), known })
}

/// The session a bin arrived in last; one that waits for its first bin counts as newest.
fn most_recent(sessions: Vec<v1::Session>) -> v1::Session {
    let open = |session: &v1::Session| session.state() == v1::SessionState::Open;
    sessions
        .into_iter()
        .min_by_key(|session| (!open(session), session.last_bin_age_ms.unwrap_or(0)))
        .unwrap_or_default()
}

fn described<'a>(sessions: impl Iterator<Item = &'a v1::Session>) -> String {
    let named: Vec<String> = sessions
        .map(|session| match session_name(session) {
            "" => session.session_id.clone(),
            name => format!("{} ({name})", session.session_id),
        })
        .collect();
    named.join(", ")
}

/// Ridges to choose from; none when there is nothing to choose, or the daemon shall say.
pub(crate) fn ridge_path(ridges: Option<&Ridges>) -> Vec<f64> {
    match ridges {
        Some(ridges) if ridges.fixed().is_none() => ridges.as_slice().to_vec(),
        _ => Vec::new(),
    }
}

/// The ridges of a session, for people.
pub(crate) fn ridge_text(spec: &v1::SessionSpec) -> String {
    match spec.ridge {
        Some(ridge) => ridge.to_string(),
        None => format!(
            "chosen from {}",
            Ridges::new(&spec.ridge_path).map_or_else(|_| "nothing".to_owned(), |r| r.to_string())
        ),
    }
}

/// The interface's name of an estimator.
pub(crate) fn wire_estimator(estimator: Estimator) -> v1::Estimator {
    match estimator {
        Estimator::Nmf => v1::Estimator::Nmf,
        Estimator::Tap(TapForm::Preprint) => v1::Estimator::Tap,
        Estimator::Tap(TapForm::SelfConsistent) => v1::Estimator::TapSelfConsistent,
        Estimator::ExactMeanField => v1::Estimator::ExactMeanField,
        Estimator::Exact => v1::Estimator::Exact,
        Estimator::Online => v1::Estimator::Online,
        Estimator::TrialNmf => v1::Estimator::TrialNmf,
        Estimator::TrialTap => v1::Estimator::TrialTap,
        Estimator::TrialExact => v1::Estimator::TrialExact,
    }
}

/// The command line's name of an estimator of the interface.
pub(crate) fn estimator_name(wire: i32) -> &'static str {
    Estimator::ALL
        .into_iter()
        .find(|&estimator| wire_estimator(estimator) as i32 == wire)
        .map_or("unknown", Estimator::as_str)
}

/// The short name of a row status of the interface.
pub(crate) fn status_name(wire: i32) -> &'static str {
    let status = v1::RowStatus::try_from(wire).unwrap_or(v1::RowStatus::Unspecified);
    status.as_str_name().trim_start_matches("ROW_STATUS_")
}

/// The short name of a session's state.
pub(crate) fn state_name(session: &v1::Session) -> &'static str {
    match session.state() {
        v1::SessionState::Open => "open",
        v1::SessionState::Closed => "closed",
        v1::SessionState::Unspecified => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: &str, name: &str, age_ms: Option<u64>) -> v1::Session {
        v1::Session {
            session_id: id.to_owned(),
            spec: Some(v1::SessionSpec { name: name.to_owned(), ..Default::default() }),
            state: v1::SessionState::Open as i32,
            last_bin_age_ms: age_ms,
            ..Default::default()
        }
    }

    #[test]
    fn a_session_is_found_by_id_name_or_prefix() {
        let all =
            || vec![session("a1", "retina", None), session("a2", "retina-2", None), session("b", "", None)];
        let id = |wanted: &str| choose(all(), wanted, "x").map(|s| s.session_id).map_err(|e| e.to_string());
        assert_eq!(id("a2"), Ok("a2".to_owned()));
        assert_eq!(id("retina"), Ok("a1".to_owned()), "a whole name goes before a prefix");
        assert_eq!(id("retina-"), Ok("a2".to_owned()));
        assert_eq!(id("b"), Ok("b".to_owned()));
        assert_eq!(
            id("a"),
            Err("'a' fits several sessions: a1 (retina), a2 (retina-2); give the whole id".to_owned())
        );
        assert!(id("c").unwrap_err().starts_with("no session 'c' at x; there are: a1 (retina)"));
    }

    #[test]
    fn without_a_wish_an_open_session_with_the_newest_bin_is_taken() {
        let mut closed = session("closed", "", Some(1));
        closed.state = v1::SessionState::Closed as i32;
        let all = vec![session("old", "", Some(90)), closed, session("new", "", Some(10))];
        assert_eq!(most_recent(all).session_id, "new");
    }

    #[test]
    fn every_estimator_has_its_own_name_on_the_wire() {
        for estimator in Estimator::ALL {
            assert_eq!(estimator_name(wire_estimator(estimator) as i32), estimator.as_str());
        }
    }
}
