//! What the daemon is told about recordings of sessions.

use serde::{Deserialize, Serialize};

use super::config::{ConfigError, in_range};
use crate::model::{SessionMetadata, Subject};

/// Recordings of sessions as NWB files, in the archive's directory; and what is said in them that `CreateSession` does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordingConfig {
    /// Whether closing a session writes its recording.
    pub on_close: bool,
    /// Recording time after which a part of a session that goes on is written; 0 = never.
    pub roll_interval_s: u64,
    /// Spikes of one file; a session with more becomes several.
    pub spikes_max: u64,
    /// What was done, in words.
    pub session_description: String,
    /// Who did it.
    pub experimenters: Vec<String>,
    /// In which laboratory.
    pub lab: String,
    /// At which institution.
    pub institution: String,
    /// Words to find sessions by.
    pub keywords: Vec<String>,
    /// Identifier of the subject.
    pub subject_id: String,
    /// Its species.
    pub species: String,
    /// Its sex.
    pub sex: String,
    /// Its age.
    pub age: String,
    /// What else there is to say about it.
    pub subject_description: String,
    /// Its strain.
    pub strain: String,
    /// Its genotype.
    pub genotype: String,
}

impl Default for RecordingConfig {
    fn default() -> Self {
        Self {
            on_close: true,
            roll_interval_s: 0,
            spikes_max: 20_000_000,
            session_description: String::new(),
            experimenters: Vec::new(),
            lab: String::new(),
            institution: String::new(),
            keywords: Vec::new(),
            subject_id: String::new(),
            species: String::new(),
            sex: String::new(),
            age: String::new(),
            subject_description: String::new(),
            strain: String::new(),
            genotype: String::new(),
        }
    }
}

impl RecordingConfig {
    /// What is said about every session that does not say it itself.
    #[must_use]
    pub fn metadata(&self) -> SessionMetadata {
        SessionMetadata {
            description: self.session_description.clone(),
            experimenters: self.experimenters.clone(),
            lab: self.lab.clone(),
            institution: self.institution.clone(),
            keywords: self.keywords.clone(),
            start_ns: None,
            subject: Subject {
                subject_id: self.subject_id.clone(),
                species: self.species.clone(),
                sex: self.sex.clone(),
                age: self.age.clone(),
                description: self.subject_description.clone(),
                strain: self.strain.clone(),
                genotype: self.genotype.clone(),
            },
        }
    }

    /// Whether sessions are recorded at all.
    pub(super) fn is_on(&self) -> bool {
        self.on_close || self.roll_interval_s > 0
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        in_range("recording.roll_interval_s", self.roll_interval_s, 0, 604_800)?;
        in_range("recording.spikes_max", self.spikes_max, 1000, 400_000_000)?;
        self.metadata().check().map_err(|error| {
            let key = match error.field {
                "description" => "recording.session_description",
                "experimenters" => "recording.experimenters",
                "lab" => "recording.lab",
                "institution" => "recording.institution",
                "keywords" => "recording.keywords",
                "subject.subject_id" => "recording.subject_id",
                "subject.species" => "recording.species",
                "subject.sex" => "recording.sex",
                "subject.age" => "recording.age",
                "subject.description" => "recording.subject_description",
                "subject.strain" => "recording.strain",
                _ => "recording.genotype",
            };
            ConfigError::text(key, &error.problem)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut RecordingConfig)) -> String {
        let mut config = RecordingConfig::default();
        change(&mut config);
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn what_no_file_could_say_is_refused_with_its_key() {
        assert_eq!(RecordingConfig::default().check(), Ok(()));
        assert_eq!(
            refused(|c| c.species = "mouse".into()),
            "recording.species = 'mouse' is not allowed: expected a Latin binomial such as 'Mus musculus' or a link such as \
             'http://purl.obolibrary.org/obo/NCBITaxon_10090'"
        );
        type Change = fn(&mut RecordingConfig);
        let changes: [(&str, Change); 14] = [
            ("spikes_max", |c| c.spikes_max = 0),
            ("roll_interval_s", |c| c.roll_interval_s = 1 << 40),
            ("session_description", |c| c.session_description = "x".repeat(5000)),
            ("experimenters", |c| c.experimenters = vec![String::new()]),
            ("lab", |c| c.lab = "\n".into()),
            ("institution", |c| c.institution = "x".repeat(300)),
            ("keywords", |c| c.keywords = vec!["x".into(); 33]),
            ("subject_id", |c| c.subject_id = "a/b".into()),
            ("species", |c| c.species = "Mus".into()),
            ("sex", |c| c.sex = "female".into()),
            ("age", |c| c.age = "9 days".into()),
            ("subject_description", |c| c.subject_description = "\u{7}".into()),
            ("strain", |c| c.strain = "x".repeat(300)),
            ("genotype", |c| c.genotype = "x".repeat(300)),
        ];
        for (key, change) in changes {
            assert!(refused(change).starts_with(&format!("recording.{key} ")), "{}", refused(change));
        }
    }
}
