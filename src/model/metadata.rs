use std::fmt;

use serde::{Deserialize, Serialize};

/// What is said about a session besides its bins: who recorded what, where and when. A text that is empty says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SessionMetadata {
    /// What was done, in words.
    pub description: String,
    /// Who did it, as `Last, First` each.
    pub experimenters: Vec<String>,
    /// In which laboratory.
    pub lab: String,
    /// At which institution.
    pub institution: String,
    /// Words to find the session by.
    pub keywords: Vec<String>,
    /// Wall-clock time of the left edge of bin 0, in nanoseconds since 1970-01-01 UTC; `None` when nobody said.
    pub start_ns: Option<i64>,
    /// Whose neurons these are.
    pub subject: Subject,
}

/// Whose neurons are recorded. A text that is empty says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subject {
    /// Identifier of the animal, culture or simulation; no slashes.
    pub subject_id: String,
    /// Latin binomial such as `Mus musculus`, or a link to the NCBI taxonomy.
    pub species: String,
    /// `M`, `F`, `O` (other) or `U` (unknown); of *Caenorhabditis elegans* `XX` or `XO`.
    pub sex: String,
    /// Age as an ISO 8601 duration such as `P90D`, or a range of two, `P80D/P100D`, either of which may be left out.
    pub age: String,
    /// Anything else, in words.
    pub description: String,
    /// Genetic strain.
    pub strain: String,
    /// Genotype.
    pub genotype: String,
}

/// Something said about a session that cannot be recorded as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct MetadataError {
    /// The field, such as `subject.species`.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: MetadataProblem,
}

/// What is wrong with one field of a session's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataProblem {
    /// Too many characters.
    TooLong {
        /// Number of characters given.
        found: usize,
        /// The largest number allowed.
        max: usize,
    },
    /// A character that could not be printed or stored as it is.
    ControlCharacter {
        /// Place of the character, from 0.
        place: usize,
        /// The character.
        found: char,
    },
    /// Too many entries of a list.
    TooMany {
        /// Number of entries given.
        found: usize,
        /// The largest number allowed.
        max: usize,
    },
    /// An entry of a list that says nothing.
    EmptyEntry {
        /// Place of the entry, from 0.
        place: usize,
    },
    /// A text of another form than the NWB format asks for.
    Form {
        /// What was given.
        found: String,
        /// What is expected.
        expected: &'static str,
    },
}

impl fmt::Display for MetadataProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { found, max } => write!(f, "has {found} characters, at most {max} are allowed"),
            Self::ControlCharacter { place, found } => {
                let found = found.escape_unicode();
                write!(f, "has the control character {found} at place {place}, which is not allowed")
            }
            Self::TooMany { found, max } => write!(f, "has {found} entries, at most {max} are allowed"),
            Self::EmptyEntry { place } => write!(f, "has an empty entry at place {place}"),
            Self::Form { found, expected } => write!(f, "is '{found}': expected {expected}"),
        }
    }
}

const ELEGANS: &str = "Caenorhabditis elegans";
const SUBJECT_ID: &str = "no slash";
const SPECIES: &str = "a Latin binomial such as 'Mus musculus' or a link such as \
                       'http://purl.obolibrary.org/obo/NCBITaxon_10090'";
const SEX: &str = "M, F, O (other) or U (unknown)";
const SEX_OF_ELEGANS: &str = "XX or XO, as the NWB format asks for Caenorhabditis elegans";
const AGE: &str = "an ISO 8601 duration such as P90D or P12W, or a range such as P80D/P100D";

impl SessionMetadata {
    /// Most characters of a text.
    pub const TEXT_CHARS_MAX: usize = 256;
    /// Most characters of a description.
    pub const DESCRIPTION_CHARS_MAX: usize = 4096;
    /// Most experimenters, and most keywords.
    pub const ENTRIES_MAX: usize = 32;

    /// Check every field.
    ///
    /// # Errors
    /// The first [`MetadataError`] found.
    pub fn check(&self) -> Result<(), MetadataError> {
        self.errors().next().map_or(Ok(()), Err)
    }

    /// What can be recorded as it is, and what was left out for it cannot.
    #[must_use]
    pub fn sound(mut self) -> (Self, Vec<MetadataError>) {
        let errors: Vec<MetadataError> = self.errors().collect();
        for error in &errors {
            self.clear(error.field);
        }
        (self, errors)
    }

    /// The lists and texts of which `self` says nothing, from `other`; a subject is taken as a whole, since the age of one animal is not
    /// that of another.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        let take = |text: &mut String, other: &String| {
            if text.is_empty() {
                text.clone_from(other);
            }
        };
        take(&mut self.description, &other.description);
        take(&mut self.lab, &other.lab);
        take(&mut self.institution, &other.institution);
        if self.experimenters.is_empty() {
            self.experimenters.clone_from(&other.experimenters);
        }
        if self.keywords.is_empty() {
            self.keywords.clone_from(&other.keywords);
        }
        if self.subject == Subject::default() {
            self.subject.clone_from(&other.subject);
        }
        self.start_ns = self.start_ns.or(other.start_ns);
        self
    }

    fn errors(&self) -> impl Iterator<Item = MetadataError> + '_ {
        let Subject { subject_id, species, sex, age, description, strain, genotype } = &self.subject;
        let texts = [
            ("description", &self.description, Self::DESCRIPTION_CHARS_MAX),
            ("lab", &self.lab, Self::TEXT_CHARS_MAX),
            ("institution", &self.institution, Self::TEXT_CHARS_MAX),
            ("subject.subject_id", subject_id, Self::TEXT_CHARS_MAX),
            ("subject.species", species, Self::TEXT_CHARS_MAX),
            ("subject.sex", sex, Self::TEXT_CHARS_MAX),
            ("subject.age", age, Self::TEXT_CHARS_MAX),
            ("subject.description", description, Self::DESCRIPTION_CHARS_MAX),
            ("subject.strain", strain, Self::TEXT_CHARS_MAX),
            ("subject.genotype", genotype, Self::TEXT_CHARS_MAX),
        ];
        let lists = [("experimenters", &self.experimenters), ("keywords", &self.keywords)];
        let wrong =
            |field, problem: Option<MetadataProblem>| problem.map(|problem| MetadataError { field, problem });
        let texts =
            texts.into_iter().filter_map(move |(field, text, max)| wrong(field, text_problem(text, max)));
        let lists = lists.into_iter().filter_map(move |(field, list)| wrong(field, list_problem(list)));
        let forms = self.subject.forms().into_iter().flatten();
        let start = self.start_ns.filter(|&start_ns| start_ns < 0).map(|start_ns| {
            let (found, expected) = (start_ns.to_string(), "a time after 1970-01-01");
            MetadataError { field: "start", problem: MetadataProblem::Form { found, expected } }
        });
        texts.chain(lists).chain(forms).chain(start)
    }

    fn clear(&mut self, field: &str) {
        let subject = &mut self.subject;
        match field {
            "description" => self.description.clear(),
            "lab" => self.lab.clear(),
            "institution" => self.institution.clear(),
            "experimenters" => self.experimenters.clear(),
            "keywords" => self.keywords.clear(),
            "subject.subject_id" => subject.subject_id.clear(),
            "subject.species" => subject.species.clear(),
            "subject.sex" if subject.species == ELEGANS => {
                // Of this species alone, a sex that is not said is not allowed.
                subject.sex.clear();
                subject.species.clear();
            }
            "subject.sex" => subject.sex.clear(),
            "subject.age" => subject.age.clear(),
            "subject.description" => subject.description.clear(),
            "subject.strain" => subject.strain.clear(),
            "start" => self.start_ns = None,
            _ => subject.genotype.clear(),
        }
    }
}

impl Subject {
    /// The subject of a simulation: nobody, in the words the NWB format asks for.
    #[must_use]
    pub fn simulated() -> Self {
        Self {
            subject_id: "simulation".to_owned(),
            species: "In silico".to_owned(),
            sex: "U".to_owned(),
            age: "P0D".to_owned(),
            description: "Simulated network: no animal was involved".to_owned(),
            ..Self::default()
        }
    }

    /// Fields whose text has not the form that the NWB format asks for.
    fn forms(&self) -> [Option<MetadataError>; 4] {
        let check = |field, text: &String, sound: bool, expected| {
            (!sound).then(|| {
                // Echoed, and so cut: it may be anything.
                let found = text.chars().take(64).flat_map(char::escape_debug).collect();
                MetadataError { field, problem: MetadataProblem::Form { found, expected } }
            })
        };
        let said = |text: &str, sound: fn(&str) -> bool| text.is_empty() || sound(text);
        let elegans = self.species == ELEGANS;
        let sex = match elegans {
            true => matches!(self.sex.as_str(), "XX" | "XO"),
            false => matches!(self.sex.as_str(), "" | "M" | "F" | "O" | "U"),
        };
        [
            check("subject.subject_id", &self.subject_id, !self.subject_id.contains('/'), SUBJECT_ID),
            check("subject.species", &self.species, said(&self.species, is_species), SPECIES),
            check("subject.sex", &self.sex, sex, if elegans { SEX_OF_ELEGANS } else { SEX }),
            check("subject.age", &self.age, said(&self.age, is_age), AGE),
        ]
    }
}

fn text_problem(text: &str, max: usize) -> Option<MetadataProblem> {
    let found = text.chars().count();
    if found > max {
        return Some(MetadataProblem::TooLong { found, max });
    }
    let control = text.chars().enumerate().find(|(_, found)| found.is_control());
    control.map(|(place, found)| MetadataProblem::ControlCharacter { place, found })
}

fn list_problem(list: &[String]) -> Option<MetadataProblem> {
    let (found, max) = (list.len(), SessionMetadata::ENTRIES_MAX);
    if found > max {
        return Some(MetadataProblem::TooMany { found, max });
    }
    if let Some(place) = list.iter().position(String::is_empty) {
        return Some(MetadataProblem::EmptyEntry { place });
    }
    list.iter().find_map(|text| text_problem(text, SessionMetadata::TEXT_CHARS_MAX))
}

/// `Genus species`, or a term of the NCBI taxonomy.
fn is_species(text: &str) -> bool {
    if let Some(number) = text.strip_prefix("http://purl.obolibrary.org/obo/NCBITaxon_") {
        return !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    }
    let Some((genus, species)) = text.split_once(' ') else { return false };
    let lower = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase());
    genus.starts_with(|first: char| first.is_ascii_uppercase())
        && genus.get(1..).is_some_and(lower)
        && !species.is_empty()
        && lower(species)
}

/// A duration, or two around a slash of which one may be missing.
fn is_age(text: &str) -> bool {
    match text.split_once('/') {
        None => is_duration(text),
        Some(("", "")) => false,
        Some((from, to)) => [from, to].into_iter().all(|bound| bound.is_empty() || is_duration(bound)),
    }
}

/// `PnYnMnWnDTnHnMnS`: any of the parts, in this order, at least one; a number may have a decimal point.
fn is_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('P') else { return false };
    let (date, time) = match rest.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (rest, None),
    };
    let date_parts = duration_parts(date, "YMWD");
    match time {
        None => date_parts.is_some_and(|parts| parts > 0),
        Some(time) => date_parts.is_some() && duration_parts(time, "HMS").is_some_and(|parts| parts > 0),
    }
}

/// Number of parts `<number><unit>`, their units in the order given; `None` when it is something else.
fn duration_parts(mut text: &str, mut units: &str) -> Option<usize> {
    let mut parts = 0;
    while !text.is_empty() {
        let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
        let (whole, fraction) = text[..unit_at].split_once('.').unwrap_or((&text[..unit_at], "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return None;
        }
        let place = units.find(&text[unit_at..=unit_at])?;
        units = &units[place + 1..];
        text = &text[unit_at + 1..];
        parts += 1;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(change: impl FnOnce(&mut SessionMetadata)) -> Option<String> {
        let mut metadata = SessionMetadata::default();
        change(&mut metadata);
        metadata.check().err().map(|error| error.to_string())
    }

    #[test]
    fn nothing_and_a_simulation_can_be_recorded() {
        assert_eq!(SessionMetadata::default().check(), Ok(()));
        let metadata = SessionMetadata { subject: Subject::simulated(), ..SessionMetadata::default() };
        assert_eq!(metadata.check(), Ok(()));
    }

    #[test]
    fn ages_are_durations_or_ranges_of_them() {
        for age in ["P90D", "P1Y2M3W4D", "PT6H", "P1.5D", "P2DT3H4M5.5S", "P80D/P100D", "P80D/", "/P100D", ""]
        {
            assert_eq!(problem(|m| m.subject.age = age.into()), None, "{age}");
        }
        for age in [
            "P", "PT", "90D", "P90", "P1D2Y", "P1DT", "P.5D", "P1.D", "/", "P1D/P2", "p90d", "P1D P2D", "P1é",
        ] {
            assert!(problem(|m| m.subject.age = age.into()).is_some(), "{age}");
        }
    }

    #[test]
    fn species_are_binomials_or_links() {
        for species in ["Mus musculus", "In silico", "http://purl.obolibrary.org/obo/NCBITaxon_10090", ""] {
            assert_eq!(problem(|m| m.subject.species = species.into()), None, "{species}");
        }
        for species in [
            "mouse",
            "Mus",
            "mus musculus",
            "Mus Musculus",
            "Mus  musculus",
            "Mus m. domesticus",
            "É coli",
            " x",
        ] {
            assert!(problem(|m| m.subject.species = species.into()).is_some(), "{species}");
        }
        assert!(
            problem(|m| m.subject.species = "http://purl.obolibrary.org/obo/NCBITaxon_".into()).is_some()
        );
    }

    #[test]
    fn a_worm_has_a_sex_of_its_own() {
        let worm = |sex: &str| {
            problem(|m| {
                m.subject.species = "Caenorhabditis elegans".into();
                m.subject.sex = sex.into();
            })
        };
        assert_eq!((worm("XX"), worm("XO")), (None, None));
        assert!(worm("").is_some_and(|told| told.contains("XX or XO")));
        assert!(worm("M").is_some());
        let subject = Subject { species: ELEGANS.to_owned(), age: "P3D".to_owned(), ..Subject::default() };
        let (sound, _) = SessionMetadata { subject, ..SessionMetadata::default() }.sound();
        assert_eq!((sound.check(), sound.subject.age.as_str()), (Ok(()), "P3D"));
        assert_eq!(
            problem(|m| m.subject.sex = "male".into()).as_deref(),
            Some("subject.sex is 'male': expected M, F, O (other) or U (unknown)")
        );
    }

    #[test]
    fn every_field_is_bounded_and_what_is_left_out_makes_the_rest_sound() {
        let long = "x".repeat(SessionMetadata::DESCRIPTION_CHARS_MAX + 1);
        let list = vec!["a\nb".to_owned()];
        let metadata = SessionMetadata {
            description: long.clone(),
            experimenters: list.clone(),
            lab: "a\u{0}b".to_owned(),
            institution: long.clone(),
            keywords: vec![String::new(); 40],
            start_ns: Some(-5),
            subject: Subject {
                subject_id: "a/b".to_owned(),
                species: "cat".to_owned(),
                sex: "m".to_owned(),
                age: "old".to_owned(),
                description: long.clone(),
                strain: long.clone(),
                genotype: long,
            },
        };
        let (sound, errors) = metadata.sound();
        assert_eq!(errors.len(), 13);
        assert_eq!(sound, SessionMetadata::default());
    }

    #[test]
    fn a_subject_is_taken_as_a_whole() {
        let defaults = SessionMetadata {
            lab: "Night lab".to_owned(),
            subject: Subject { age: "P90D".to_owned(), ..Subject::simulated() },
            ..SessionMetadata::default()
        };
        let subject = Subject { subject_id: "m7".to_owned(), ..Subject::default() };
        let said = SessionMetadata { subject: subject.clone(), ..SessionMetadata::default() }.or(&defaults);
        assert_eq!((said.lab.as_str(), said.subject), ("Night lab", subject));
        assert_eq!(SessionMetadata::default().or(&defaults), defaults);
    }
}
