//! What the ZMQ Interface plugin of Open Ephys sends, message by message.
//!
//! Checked against the plugin's source (github.com/open-ephys-plugins/zmq-interface, `Source/ZmqInterface.cpp`: `sendData`, `sendSpikeEvent`,
//! `sendEvent`, `startAcquisition`, `process`) and its manual (github.com/open-ephys/gui-docs,
//! `source/User-Manual/Plugins/ZMQ-Interface.rst`):
//!
//! * Three frames: an envelope, `DATA` or `EVENT` and a zero byte; a JSON header; the payload. An event without payload has two.
//! * `message_num` is a signed 32-bit number shared by all kinds of messages, counted up before each and set to 0 when acquisition starts:
//!   the first message has number 1.
//! * A plugin sends one stream, and names that stream in every message. For each block of samples it sends the events and spikes, then a
//!   `data` message for each selected channel, all with the sample number of the block's first sample; `sample_rate` is written there alone.
//! * Of a spike what is of interest stands under `spike`, not under `content` as the manual says. `sample_num` is that of its peak,
//!   `sorted_id` is 0 unless a sorter has given another.
//! * `timestamp` is the time of the rig's computer in milliseconds since 1970.

use serde::Deserialize;

use super::rate::Rate;

/// Largest header taken, bytes.
const HEADER_BYTES_MAX: usize = 64 << 10;
/// Longest name of a stream or an electrode, bytes.
const NAME_BYTES_MAX: usize = 200;
/// Most channels of an electrode; a tetrode has four.
const CHANNELS_MAX: i64 = 1024;
/// Most samples of a block or a waveform.
const SAMPLES_MAX: i64 = 1 << 20;

/// A message, without what nobody asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    /// Its number in the acquisition, from 1.
    pub(super) number: i32,
    /// Time of the rig's computer, milliseconds since 1970.
    pub(super) timestamp_ms: Option<i64>,
    /// What it tells.
    pub(super) body: Body,
}

/// What a message tells.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    /// A block of samples of one channel.
    Data(Block),
    /// A spike.
    Spike(Spike),
    /// A TTL event.
    Event(Event),
    /// Something else, which only counts as a message.
    Other,
}

/// A block of samples: the stream has come this far.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    /// Name of the stream.
    pub(super) stream: String,
    /// Number of the first sample.
    pub(super) first_sample: i64,
    /// Number of samples, at least 1.
    pub(super) samples: i64,
    /// Samples per second.
    pub(super) rate: Rate,
}

/// A spike.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spike {
    /// Name of the stream.
    pub(super) stream: String,
    /// Which unit it is of.
    pub(super) unit: Unit,
    /// Number of the sample of its peak.
    pub(super) sample: i64,
}

/// A TTL event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    /// Name of the stream.
    pub(super) stream: String,
    /// Number of its sample.
    pub(super) sample: i64,
}

/// What a spike is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Unit {
    /// Name of the electrode.
    pub(super) electrode: String,
    /// Number of the processor that found the spike.
    pub(super) node: i64,
    /// What the sorter has given it; 0 when it was not sorted.
    pub(super) sorted_id: u32,
}

/// Why a message is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// Not as many frames as there should be.
    #[error("{got} frames, expected {expected}")]
    Parts { expected: &'static str, got: usize },
    /// An envelope that does not go with what it holds.
    #[error("an envelope {0} around a header of another kind")]
    Envelope(String),
    /// A header that is too long.
    #[error("a header of {0} bytes, expected at most {HEADER_BYTES_MAX}")]
    HeaderBytes(usize),
    /// A header that is not JSON, or lacks something.
    #[error("a header that cannot be read: {0}")]
    Header(String),
    /// A plugin of before version 0.6 of the GUI.
    #[error(
        "`message_no` instead of `message_num`: the plugin is older than version 0.6 of the Open Ephys GUI; update it"
    )]
    OldPlugin,
    /// A number or name out of its range.
    #[error("{field} is {value}, expected {expected}")]
    Range { field: &'static str, value: String, expected: &'static str },
    /// A payload of another size than the header says.
    #[error("a payload of {got} bytes, expected {expected}")]
    Payload { expected: i64, got: usize },
}

#[derive(Deserialize)]
struct Header {
    message_num: Option<i64>,
    message_no: Option<i64>,
    #[serde(rename = "type")]
    kind: String,
    content: Option<Content>,
    spike: Option<SpikeHeader>,
    data_size: Option<i64>,
    timestamp: Option<f64>,
}

#[derive(Deserialize)]
struct Content {
    stream: Option<String>,
    num_samples: Option<i64>,
    sample_num: Option<i64>,
    sample_rate: Option<f64>,
}

#[derive(Deserialize)]
struct SpikeHeader {
    stream: String,
    source_node: i64,
    electrode: String,
    sample_num: i64,
    num_channels: i64,
    num_samples: i64,
    sorted_id: i64,
}

/// Read one message.
///
/// # Errors
/// [`Malformed`] for everything that a plugin does not send.
pub(super) fn parse(parts: &[Vec<u8>]) -> Result<Message, Malformed> {
    let (envelope, header, payload) = match parts {
        [envelope, header] => (envelope, header, None),
        [envelope, header, payload] => (envelope, header, Some(payload.len())),
        _ => return Err(Malformed::Parts { expected: "2 or 3", got: parts.len() }),
    };
    if header.len() > HEADER_BYTES_MAX {
        return Err(Malformed::HeaderBytes(header.len()));
    }
    let header: Header =
        serde_json::from_slice(header).map_err(|error| Malformed::Header(error.to_string()))?;
    let number = match (header.message_num, header.message_no) {
        (Some(number), _) => {
            i32::try_from(number).map_err(|_| range("message_num", number, "a number of 32 bits"))?
        }
        (None, Some(_)) => return Err(Malformed::OldPlugin),
        (None, None) => return Err(missing("message_num")),
    };
    let body = match header.kind.as_str() {
        "data" => Body::Data(data(header.content, payload)?),
        "spike" => Body::Spike(spike(header.spike, payload)?),
        "event" => event(header.content, header.data_size, payload)?,
        _ => Body::Other,
    };
    let name = envelope.strip_suffix(b"\0").unwrap_or(envelope);
    let fits = match body {
        Body::Data(_) => name == b"DATA",
        Body::Spike(_) | Body::Event(_) => name == b"EVENT",
        Body::Other => true,
    };
    if !fits {
        let shown: String = String::from_utf8_lossy(name).chars().take(16).collect();
        return Err(Malformed::Envelope(format!("{shown:?}")));
    }
    // Neither infinite nor beyond the year 10000.
    let timestamp_ms = header.timestamp.filter(|ms| (0.0..2.6e14).contains(ms)).map(|ms| ms as i64);
    Ok(Message { number, timestamp_ms, body })
}

fn data(content: Option<Content>, payload: Option<usize>) -> Result<Block, Malformed> {
    let content = content.ok_or_else(|| missing("content"))?;
    let samples = content.num_samples.ok_or_else(|| missing("num_samples"))?;
    if !(1..=SAMPLES_MAX).contains(&samples) {
        return Err(range("num_samples", samples, "1 to 1048576"));
    }
    check_payload(4 * samples, payload)?;
    let rate = content.sample_rate.ok_or_else(|| missing("sample_rate"))?;
    Ok(Block {
        stream: name("stream", content.stream.ok_or_else(|| missing("stream"))?)?,
        first_sample: sample(content.sample_num)?,
        samples,
        rate: Rate::new(rate).ok_or_else(|| range("sample_rate", rate, Rate::RANGE))?,
    })
}

fn spike(header: Option<SpikeHeader>, payload: Option<usize>) -> Result<Spike, Malformed> {
    let header = header.ok_or_else(|| missing("spike"))?;
    if !(1..=CHANNELS_MAX).contains(&header.num_channels) {
        return Err(range("num_channels", header.num_channels, "1 to 1024"));
    }
    if !(1..=SAMPLES_MAX / CHANNELS_MAX).contains(&header.num_samples) {
        return Err(range("num_samples", header.num_samples, "1 to 1024"));
    }
    check_payload(4 * header.num_channels * header.num_samples, payload)?;
    let sorted_id = u32::try_from(header.sorted_id).ok().filter(|&id| id <= 1_000_000);
    Ok(Spike {
        stream: name("stream", header.stream)?,
        unit: Unit {
            electrode: name("electrode", header.electrode)?,
            node: header.source_node,
            sorted_id: sorted_id.ok_or_else(|| range("sorted_id", header.sorted_id, "0 to 1000000"))?,
        },
        sample: sample(Some(header.sample_num))?,
    })
}

/// An event; one without a stream and a sample is a message of some other kind.
fn event(content: Option<Content>, size: Option<i64>, payload: Option<usize>) -> Result<Body, Malformed> {
    if let Some(size) = size {
        match (size, payload) {
            (0, None) => {}
            _ => check_payload(size, payload)?,
        }
    }
    match content {
        Some(Content { stream: Some(stream), sample_num, .. }) if sample_num.is_some() => {
            Ok(Body::Event(Event { stream: name("stream", stream)?, sample: sample(sample_num)? }))
        }
        _ => Ok(Body::Other),
    }
}

fn check_payload(expected: i64, payload: Option<usize>) -> Result<(), Malformed> {
    let got = payload.ok_or(Malformed::Parts { expected: "3", got: 2 })?;
    if i64::try_from(got) == Ok(expected) { Ok(()) } else { Err(Malformed::Payload { expected, got }) }
}

fn name(field: &'static str, name: String) -> Result<String, Malformed> {
    let expected = "at most 200 bytes without control characters, not empty";
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(char::is_control) {
        let shown: String = name.chars().take(32).collect();
        return Err(Malformed::Range { field, value: format!("{shown:?}"), expected });
    }
    Ok(name)
}

fn sample(number: Option<i64>) -> Result<i64, Malformed> {
    let number = number.ok_or_else(|| missing("sample_num"))?;
    if (0..=Rate::SAMPLE_MAX).contains(&number) {
        return Ok(number);
    }
    Err(range("sample_num", number, "0 to 2^50"))
}

fn missing(field: &'static str) -> Malformed {
    Malformed::Header(format!("no `{field}`"))
}

fn range(field: &'static str, value: impl ToString, expected: &'static str) -> Malformed {
    Malformed::Range { field, value: value.to_string(), expected }
}
