//! What goes over the pipe: a mark, the length of what follows, and one answer.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::ReadRecording;
use crate::cli::plot::material::Material;

/// First bytes of an answer, with the version of the form.
const MARK: [u8; 8] = *b"glauber1";
/// Bytes before the answer itself.
const HEAD_BYTES: usize = MARK.len() + size_of::<u64>();

/// A child's answer.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// A recording.
    Recording(Box<ReadRecording>),
    /// What a snapshot holds to be plotted.
    Material(Box<Material>),
    /// What is to be printed.
    Text(String),
    /// An error in words and the exit code that belongs to it.
    Error { text: String, code: u8 },
}

impl Reply {
    /// The kind of answer, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Recording(_) => "a recording",
            Self::Material(_) => "a snapshot",
            Self::Text(_) => "text",
            Self::Error { .. } => "an error",
        }
    }

    /// Write the answer as one frame.
    pub(super) fn send(&self, mut to: impl Write) -> io::Result<()> {
        let body = postcard::to_stdvec(self).map_err(io::Error::other)?;
        to.write_all(&MARK)?;
        to.write_all(&(body.len() as u64).to_le_bytes())?;
        to.write_all(&body)?;
        to.flush()
    }

    /// The answer of which `bytes` are the whole frame.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() {
            return Err("it said nothing".to_owned());
        }
        let body = bytes.get(HEAD_BYTES..).filter(|_| bytes.starts_with(&MARK));
        let body = body.ok_or("it said something else")?;
        let length = bytes[MARK.len()..HEAD_BYTES].try_into().map(u64::from_le_bytes);
        if length.ok() != Some(body.len() as u64) {
            return Err(format!("it ended after {} bytes", bytes.len()));
        }
        match postcard::take_from_bytes(body) {
            Ok((reply, [])) => Ok(reply),
            Ok((_, rest)) => Err(format!("{} bytes were left over", rest.len())),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use glauber::model::{Interval, Neuron, RecordedSession, RecordedUnit, SessionMetadata};

    use super::*;

    fn replies() -> Vec<Reply> {
        let unit = RecordedUnit {
            neuron: Neuron { id: -5, label: "é".to_owned() },
            spike_times_ns: vec![i64::MIN, -1, 0, i64::MAX],
            observed: Some(vec![Interval { start_ns: -3, stop_ns: 4 }]),
        };
        let session = RecordedSession { units: vec![unit], ..Default::default() };
        vec![
            Reply::Recording(Box::new(ReadRecording {
                session,
                metadata: SessionMetadata::default(),
                problems: vec!["sorted".to_owned()],
            })),
            Reply::Text("a\nb".to_owned()),
            Reply::Error { text: "x.nwb: no such file".to_owned(), code: 2 },
        ]
    }

    #[test]
    fn answers_come_through_whole_or_not_at_all() {
        for reply in replies() {
            let mut frame = Vec::new();
            reply.send(&mut frame).unwrap();
            for length in 0..frame.len() {
                assert!(Reply::parse(&frame[..length]).is_err(), "{length} bytes of {reply:?}");
            }
            let longer = [&frame[..], &[0]].concat();
            assert!(Reply::parse(&longer).is_err());
            assert_eq!(Reply::parse(&frame), Ok(reply));
        }
    }
}
