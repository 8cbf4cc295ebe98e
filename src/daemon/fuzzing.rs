//! Requests as they come off the wire, for the fuzz targets.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use prost::Message as _;
use tonic::Status;

use super::choice::Choice;
use super::config::DaemonConfig;
use super::convert::{Neurons, spec_to_proto};
use super::couplings::Query;
use super::error::RequestError;
use super::handle::SessionHandle;
use super::journaling::SessionJournal;
use super::session_metadata;
use super::session_spec::session_spec;
use super::times::{binner, timed};
use crate::ingest::{self, TimestampBinner};
use crate::model::{SpikeBlock, TrialMark};
use crate::proto::v1;
use crate::proto::v1::spike_bins::Spikes;
use crate::proto::v1::stream_spikes_request::Message;
use crate::session::{Marks, Session, SessionSpec, Snapshot};

/// Counts and bins of a session that is made to try it.
const TRIED_BYTES_MAX: u64 = 64 << 20;

/// Decode a request, check it, and carry it out as far as it needs no engine: the first byte says which it is.
///
/// # Panics
/// When a request does what none may.
pub(crate) fn check_request(input: &[u8]) {
    let Some((kind, message)) = input.split_first() else { return };
    match kind % 4 {
        0 => specification(message),
        1 => bins(message),
        2 => query(message),
        _ => predictions(message),
    }
}

/// What a client would see.
fn refused(error: RequestError) {
    let status = Status::from(error);
    assert!(!status.message().is_empty());
}

/// A specification that is accepted can be counted with, and comes back from the journal as it was.
fn specification(message: &[u8]) {
    let Ok(mut asked) = v1::SessionSpec::decode(message) else { return };
    let config = DaemonConfig::default();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    session_metadata::fill(&mut asked, &config.recording, now);
    let spec = match session_spec(asked, &config.defaults, &config.limits) {
        Ok(spec) => spec,
        Err(error) => return refused(error),
    };
    let stored = spec_to_proto(&spec, Neurons::Listed).encode_to_vec();
    let stored = v1::SessionSpec::decode(stored.as_slice());
    let again = stored.map(|stored| session_spec(stored, &config.defaults, &config.limits));
    assert_eq!(
        again.as_ref().map(Result::as_ref),
        Ok(Ok(&spec)),
        "what the journal keeps is another session"
    );
    let bytes = Session::bytes_max(&spec);
    let Ok((ring, counts)) = bytes else { panic!("{bytes:?} of a session that was accepted") };
    let published = Snapshot::bytes_of_all_windows(&spec);
    if ring.saturating_add(counts).saturating_add(published) <= TRIED_BYTES_MAX {
        assert!(Session::new(spec).is_ok());
    }
}

/// A session of `n_neurons`; its windows are short enough for a few messages to fill them.
fn small_session(n_neurons: u32) -> SessionSpec {
    let asked = v1::SessionSpec {
        neuron_count: n_neurons,
        bin_width_us: 1000,
        windows: ["64ms", "200ms", "all"].map(String::from).to_vec(),
        lags_bins: vec![1, 2, 7],
        refresh_interval_bins: Some(100),
        ..Default::default()
    };
    let config = DaemonConfig::default();
    match session_spec(asked, &config.defaults, &config.limits) {
        Ok(spec) => spec,
        Err(error) => panic!("{error}"),
    }
}

/// Messages of one stream, each after its length, to a session of as many neurons as the first byte says.
fn bins(messages: &[u8]) {
    let Some((&n_neurons, mut rest)) = messages.split_first() else { return };
    let Ok(mut session) = Session::new(small_session(u32::from(n_neurons).max(1))) else { return };
    let mut binner = None;
    while let Ok(request) = v1::StreamSpikesRequest::decode_length_delimited(&mut rest) {
        let taken = match request.message {
            Some(Message::Open(v1::OpenStream { timestamps: Some(settings), .. })) => {
                open_times(settings, &session).map(|opened| binner = Some(opened))
            }
            Some(Message::Times(times)) => match &mut binner {
                Some(binner) => take_times(times, binner, &mut session),
                None => Err(RequestError::NotOpened),
            },
            Some(Message::Bins(bins)) => take(bins, &mut session),
            _ => Err(RequestError::NotOpened),
        };
        if let Err(error) = taken {
            return refused(error);
        }
        if rest.is_empty() {
            return;
        }
    }
}

fn open_times(settings: v1::TimestampSettings, session: &Session) -> Result<TimestampBinner, RequestError> {
    let limits = DaemonConfig::default().limits;
    Ok(binner(settings, session.spec(), 20, limits.message_bins_max)?.begin_at(session.next_bin()))
}

/// As the ingest service and the engine do. Clocks may leap by an hour a message: what that makes is counted up to a point.
fn take_times(
    times: v1::SpikeTimes,
    binner: &mut TimestampBinner,
    session: &mut Session,
) -> Result<(), RequestError> {
    let given = times.neurons.len() as u64;
    binner.take(&timed(times))?;
    for _ in 0..4 {
        let Some(block) = binner.next_block() else { break };
        push(session, &block, Marks::default())?;
    }
    assert!(binner.take_lost().late <= given);
    Ok(())
}

/// As the ingest service and the engine do.
fn take(bins: v1::SpikeBins, session: &mut Session) -> Result<(), RequestError> {
    let v1::SpikeBins { first_bin, spikes, mut trial_edges, trials } = bins;
    ingest::check_trial_edges(first_bin, &trial_edges)?;
    let mark = |v1::Trial { start_bin, stop_bin }| TrialMark { start_bin, stop_bin };
    let mut trials: Vec<TrialMark> = trials.into_iter().map(mark).collect();
    ingest::check_trials(first_bin, &trials)?;
    let n_neurons = session.spec().n_neurons();
    let bins_max = DaemonConfig::default().limits.message_bins_max;
    let blocks = match spikes {
        None => return Err(RequestError::Missing { field: "bins.spikes" }),
        Some(Spikes::Sparse(v1::SparseBins { active_counts, neurons })) => {
            vec![ingest::from_sparse(first_bin, &active_counts, &neurons, n_neurons, bins_max)?]
        }
        Some(Spikes::Packed(v1::PackedBins { bin_count, bits })) => {
            ingest::from_packed(first_bin, bin_count, &bits, n_neurons, bins_max)?.collect()
        }
    };
    for block in blocks {
        the_other_form_is_the_same(&block, n_neurons, bins_max)?;
        let marks =
            Marks { trial_edges: &std::mem::take(&mut trial_edges), trials: &std::mem::take(&mut trials) };
        push(session, &block, marks)?;
    }
    Ok(())
}

fn push(session: &mut Session, block: &SpikeBlock, marks: Marks<'_>) -> Result<(), RequestError> {
    let before = (session.next_bin(), session.gaps(), session.bytes());
    match session.push_with_marks(block, marks, &mut |_| ()) {
        Ok(outcome) => {
            assert_eq!(outcome.applied_bins + outcome.repeated_bins, block.n_bins() as u64);
            assert_eq!(session.next_bin(), before.0.max(block.end_bin()));
            Ok(())
        }
        Err(error) => {
            assert_eq!((session.next_bin(), session.gaps(), session.bytes()), before, "{error}");
            Err(error.into())
        }
    }
}

/// Lists as bits, and bits as lists, are the same bins.
fn the_other_form_is_the_same(
    block: &SpikeBlock,
    n_neurons: usize,
    bins_max: u32,
) -> Result<(), RequestError> {
    let row_bytes = n_neurons.div_ceil(8);
    let mut bits = vec![0_u8; block.n_bins() * row_bytes];
    for (bin, row) in block.bins().zip(bits.chunks_exact_mut(row_bytes)) {
        bin.iter().for_each(|&neuron| row[usize::from(neuron) / 8] |= 1 << (neuron % 8));
    }
    let mut joined = SpikeBlock::empty(block.first_bin());
    let n_bins = block.n_bins() as u32;
    for part in ingest::from_packed(block.first_bin(), n_bins, &bits, n_neurons, bins_max)? {
        joined.extend_from(&part, 0, part.n_bins());
    }
    assert_eq!(&joined, block);
    let counts: Vec<u32> = block.bins().map(|bin| bin.len() as u32).collect();
    let neurons: Vec<u32> = block.bins().flatten().map(|&neuron| u32::from(neuron)).collect();
    assert_eq!(&ingest::from_sparse(block.first_bin(), &counts, &neurons, n_neurons, bins_max)?, block);
    Ok(())
}

fn some_session() -> Arc<SessionHandle> {
    static SESSION: OnceLock<Arc<SessionHandle>> = OnceLock::new();
    let made = SESSION.get_or_init(|| {
        let (sender, _) = tokio::sync::mpsc::channel(1);
        let spec = Arc::new(small_session(9));
        Arc::new(SessionHandle::new("s-1".to_owned(), spec, sender, 1 << 20, SessionJournal::default()))
    });
    Arc::clone(made)
}

fn query(message: &[u8]) {
    let Ok(query) = v1::CouplingsQuery::decode(message) else { return };
    match Query::of_session(some_session(), query) {
        Ok(query) => {
            query.is_bulk();
        }
        Err(error) => refused(error),
    }
}

fn predictions(message: &[u8]) {
    let Ok(asked) = v1::StreamPredictionsRequest::decode(message) else { return };
    if let Err(error) = Choice::of_predictions(&some_session(), &asked) {
        refused(error);
    }
}
