//! What is said about a session, in the words of the interface and back.

use std::time::SystemTime;

use super::recording_config::RecordingConfig;
use crate::model::{SessionMetadata, Subject};
use crate::proto::v1;

/// Fill in what a client has left open: from the configuration, and the time. A specification that was filled in stays as it is.
pub(super) fn fill(asked: &mut v1::SessionSpec, config: &RecordingConfig, now: SystemTime) {
    let said = from_proto(asked.metadata.take());
    let now_ns = now.duration_since(SystemTime::UNIX_EPOCH).ok();
    let start_ns = now_ns.and_then(|since| i64::try_from(since.as_nanos()).ok());
    let known = said.or(&SessionMetadata { start_ns, ..config.metadata() });
    asked.metadata = Some(known.into());
}

pub(super) fn from_proto(metadata: Option<v1::SessionMetadata>) -> SessionMetadata {
    let metadata = metadata.unwrap_or_default();
    let subject = metadata.subject.unwrap_or_default();
    SessionMetadata {
        description: metadata.description,
        experimenters: metadata.experimenters,
        lab: metadata.lab,
        institution: metadata.institution,
        keywords: metadata.keywords,
        start_ns: metadata.start_unix_ns,
        subject: Subject {
            subject_id: subject.subject_id,
            species: subject.species,
            sex: subject.sex,
            age: subject.age,
            description: subject.description,
            strain: subject.strain,
            genotype: subject.genotype,
        },
    }
}

impl From<SessionMetadata> for v1::SessionMetadata {
    fn from(metadata: SessionMetadata) -> Self {
        let subject = metadata.subject;
        Self {
            description: metadata.description,
            experimenters: metadata.experimenters,
            lab: metadata.lab,
            institution: metadata.institution,
            keywords: metadata.keywords,
            start_unix_ns: metadata.start_ns,
            subject: (subject != Subject::default()).then_some(v1::Subject {
                subject_id: subject.subject_id,
                species: subject.species,
                sex: subject.sex,
                age: subject.age,
                description: subject.description,
                strain: subject.strain,
                genotype: subject.genotype,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_left_open_is_filled_in_once() {
        let config = RecordingConfig {
            lab: "Night lab".to_owned(),
            species: "Mus musculus".to_owned(),
            ..RecordingConfig::default()
        };
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut asked = v1::SessionSpec::default();
        fill(&mut asked, &config, at(1000));
        let filled = from_proto(asked.metadata.clone());
        assert_eq!((filled.lab.as_str(), filled.start_ns), ("Night lab", Some(1_000_000_000_000)));
        assert_eq!(filled.subject.species, "Mus musculus");
        let before = asked.clone();
        fill(&mut asked, &config, at(2000));
        assert_eq!(asked, before);
    }
}
