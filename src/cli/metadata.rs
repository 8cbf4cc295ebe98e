//! What is said about a session on the command line, and by the recording it is replayed from.

use clap::Args;
use glauber::model::{SessionMetadata, Subject};

use super::error::CliError;

/// What is said about a session; what is left out is taken from the recording, then from the daemon's configuration.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "About the session, for its recording [default: what the file says]")]
pub(crate) struct MetadataArgs {
    /// Identifier of the animal or culture; another one than the file's is another subject, of which the file says nothing
    #[arg(long, value_name = "ID")]
    subject_id: Option<String>,
    /// Latin binomial such as 'Mus musculus', or a link to the NCBI taxonomy
    #[arg(long, value_name = "NAME")]
    species: Option<String>,
    /// M, F, O (other) or U (unknown)
    #[arg(long, value_name = "SEX")]
    sex: Option<String>,
    /// Age as an ISO 8601 duration, such as P90D
    #[arg(long, value_name = "AGE")]
    age: Option<String>,
    /// What was done
    #[arg(long, value_name = "TEXT")]
    session_description: Option<String>,
    /// Who did it, as 'Last, First'; may be given several times
    #[arg(long, value_name = "NAME")]
    experimenter: Vec<String>,
    /// In which laboratory
    #[arg(long, value_name = "NAME")]
    lab: Option<String>,
    /// At which institution
    #[arg(long, value_name = "NAME")]
    institution: Option<String>,
}

impl MetadataArgs {
    /// Refuse what no recording could say, before any file is read.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        self.over(SessionMetadata::default()).check().map_err(|error| {
            let argument = match error.field {
                "description" => "--session-description",
                "experimenters" => "--experimenter",
                "lab" => "--lab",
                "institution" => "--institution",
                "subject.subject_id" => "--subject-id",
                "subject.species" => "--species",
                "subject.sex" => "--sex",
                _ => "--age",
            };
            CliError::Argument { argument, problem: error.problem.to_string() }
        })
    }

    /// What is said here and, where nothing is, what the file says.
    pub(crate) fn over(&self, mut file: SessionMetadata) -> SessionMetadata {
        if self.subject_id.as_ref().is_some_and(|id| *id != file.subject.subject_id) {
            file.subject = Subject::default();
        }
        let texts = [
            (&mut file.subject.subject_id, &self.subject_id),
            (&mut file.subject.species, &self.species),
            (&mut file.subject.sex, &self.sex),
            (&mut file.subject.age, &self.age),
            (&mut file.description, &self.session_description),
            (&mut file.lab, &self.lab),
            (&mut file.institution, &self.institution),
        ];
        for (text, said) in texts {
            if let Some(said) = said {
                text.clone_from(said);
            }
        }
        if !self.experimenter.is_empty() {
            file.experimenters.clone_from(&self.experimenter);
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_here_counts_and_another_subject_is_another_one() {
        let file = SessionMetadata {
            lab: "Old lab".to_owned(),
            subject: Subject { age: "P3D".to_owned(), ..Subject::simulated() },
            ..SessionMetadata::default()
        };
        let aged = MetadataArgs { age: Some("P9D".to_owned()), ..MetadataArgs::default() };
        let told = aged.over(file.clone());
        assert_eq!((told.subject.age.as_str(), told.subject.species.as_str()), ("P9D", "In silico"));
        let other = MetadataArgs { subject_id: Some("m7".to_owned()), ..MetadataArgs::default() };
        let told = other.over(file);
        assert_eq!(told.subject, Subject { subject_id: "m7".to_owned(), ..Subject::default() });
        assert_eq!(told.lab, "Old lab");
    }

    #[test]
    fn what_no_recording_could_say_is_refused_with_its_argument() {
        let args = MetadataArgs { species: Some("mouse".to_owned()), ..MetadataArgs::default() };
        let told = args.check().unwrap_err().to_string();
        assert!(
            told.contains("--species") && told.contains("'mouse'") && told.contains("Mus musculus"),
            "{told}"
        );
    }
}
