use std::cell::Cell;
use std::ffi::CString;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

use hdf5::types::TypeDescriptor;
use hdf5_metno as hdf5;
use hdf5_metno_sys::h5l::{H5L_info1_t, H5L_type_t, H5Lget_info1};
use hdf5_metno_sys::h5p::H5P_DEFAULT;

use super::StorageError;
use super::error::innermost;

mod dataset;
mod filters;
mod records;
mod text;

pub(crate) use dataset::InputDataset;
pub(crate) use records::InputReference;

/// An HDF5 file open for reading.
#[derive(Debug)]
pub(crate) struct InputFile {
    path: PathBuf,
    bytes: u64,
    file: hdf5::File,
    limits: InputLimits,
    /// Bytes of values that were read so far.
    charged: Cell<u64>,
}

/// How much may come out of a file, beyond what is impossible anyway.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InputLimits {
    /// Most bytes that the values read from all datasets together may take in memory.
    charged_bytes_max: u64,
    /// How many times its stored bytes a dataset may expand to when that is much.
    expansion_max: u64,
}

impl InputLimits {
    /// For recordings: half a billion spikes, times and indices, which never compress a hundredfold.
    pub(crate) const RECORDING: Self = Self { charged_bytes_max: 1 << 32, expansion_max: 100 };
    /// For snapshots: matrices of 10,000 neurons by the dozen, of which many may be zeros.
    pub(crate) const SNAPSHOT: Self = Self { charged_bytes_max: 1 << 36, expansion_max: 1100 };
}

/// What stands at a path inside a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    Group,
    Dataset,
}

const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

impl InputFile {
    /// Most texts of an attribute, or of a dataset that is no list.
    const ATTRIBUTE_TEXTS_MAX: u64 = 1 << 12;
    /// As before, of variable length.
    const VARIABLE_TEXTS_MAX: u64 = 1 << 8;

    /// Open without locking, so that a file another program holds open can be read.
    pub(crate) fn open(path: &Path, limits: InputLimits) -> Result<Self, StorageError> {
        filters::forbid_plugins();
        let metadata = fs::metadata(path).map_err(|e| StorageError::io(path, "open", e))?;
        if !metadata.is_file() {
            return Err(StorageError::NotAFile { path: path.to_owned() });
        }
        let bytes = metadata.len();
        if bytes == 0 {
            return Err(StorageError::Empty { path: path.to_owned() });
        }
        if !has_signature(path, bytes)? {
            return Err(StorageError::NotHdf5 { path: path.to_owned() });
        }
        let opened = hdf5::File::with_options().with_fapl(|p| p.file_locking(false)).open(path);
        let file = opened.map_err(|e| open_error(path, bytes, &e))?;
        Ok(Self { path: path.to_owned(), bytes, file, limits, charged: Cell::new(0) })
    }

    /// Take note of values about to be read: many small datasets, or one that is pointed to many times, are one large one.
    fn charge(&self, object: &str, bytes: u64) -> Result<(), StorageError> {
        self.check_room(object, bytes)?;
        self.charged.set(self.charged.get().saturating_add(bytes));
        Ok(())
    }

    /// Refuse values that would take more room together than is left, before the first of them is read.
    pub(crate) fn check_room(&self, object: &str, bytes: u64) -> Result<(), StorageError> {
        let declared = self.charged.get().saturating_add(bytes);
        let limit = self.limits.charged_bytes_max;
        if declared <= limit {
            return Ok(());
        }
        let (path, object) = (self.path.clone(), object.to_owned());
        let reason = "accepted of one file";
        Err(StorageError::TooLarge {
            path,
            object,
            declared,
            unit: "bytes with all before it",
            limit,
            reason,
        })
    }

    /// Most texts that are read at once. Those of variable length may each be as long as the file.
    fn texts_max(stored: &TypeDescriptor) -> u64 {
        if text::is_variable_length(stored) { Self::VARIABLE_TEXTS_MAX } else { Self::ATTRIBUTE_TEXTS_MAX }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the members of a group, sorted; of nothing when there is no such group.
    pub(crate) fn members(&self, group: &str) -> Result<Vec<String>, StorageError> {
        if self.find(group)? != Found::Group {
            return Ok(Vec::new());
        }
        let names = self.file.group(group).and_then(|g| g.member_names());
        let mut names = names.map_err(|e| StorageError::unreadable(&self.path, group, &e))?;
        names.sort_unstable();
        Ok(names)
    }

    /// Absolute paths of the groups in a group, sorted. Links are passed over: what they lead to is not read.
    pub(crate) fn groups(&self, group: &str) -> Result<Vec<String>, StorageError> {
        let at = group.trim_end_matches('/');
        let members = self.members(group)?.into_iter().map(|name| format!("{at}/{name}"));
        Ok(members.filter(|object| matches!(self.find(object), Ok(Found::Group))).collect())
    }

    /// Whether a dataset that can be read stands at a path and has rows.
    pub(crate) fn has_rows(&self, object: &str) -> bool {
        let dataset = self.optional_dataset(object).ok().flatten();
        dataset.is_some_and(|dataset| dataset.shape().first().is_some_and(|&rows| rows > 0))
    }

    /// What stands at an absolute path, walking hard links only.
    pub(crate) fn find(&self, object: &str) -> Result<Found, StorageError> {
        let unreadable = |at: &str, e: &hdf5::Error| StorageError::unreadable(&self.path, at, e);
        let mut found = Found::Group;
        let mut at = String::new();
        for name in object.split('/').filter(|name| !name.is_empty()) {
            if found != Found::Group {
                return Ok(Found::Nothing);
            }
            let parent = if at.is_empty() { "/" } else { &at };
            let group = self.file.group(parent).map_err(|e| unreadable(parent, &e))?;
            at = format!("{at}/{name}");
            if !group.link_exists(name) {
                return Ok(Found::Nothing);
            }
            let kind = match link_type(&group, name).map_err(|e| unreadable(&at, &e))? {
                LINK_HARD => group.loc_type_by_name(name).map_err(|e| unreadable(&at, &e))?,
                LINK_SOFT => return Err(self.not_followed(&at, "a soft link")),
                LINK_EXTERNAL => {
                    return Err(self.not_followed(&at, "a link to another file"));
                }
                _ => return Err(self.not_followed(&at, "a link of an unknown kind")),
            };
            found = match kind {
                hdf5::LocationType::Group => Found::Group,
                hdf5::LocationType::Dataset => Found::Dataset,
                _ => Found::Nothing,
            };
        }
        Ok(found)
    }

    /// The dataset at an absolute path, `None` when nothing stands there.
    pub(crate) fn optional_dataset(&self, object: &str) -> Result<Option<InputDataset<'_>>, StorageError> {
        match self.find(object)? {
            Found::Nothing => Ok(None),
            Found::Dataset => InputDataset::open(self, object).map(Some),
            Found::Group => Err(StorageError::WrongType {
                path: self.path.clone(),
                object: object.to_owned(),
                expected: "a dataset",
                got: "a group".to_owned(),
            }),
        }
    }

    /// The dataset at an absolute path.
    pub(crate) fn dataset(
        &self,
        object: &str,
        expected: &'static str,
    ) -> Result<InputDataset<'_>, StorageError> {
        self.optional_dataset(object)?.ok_or_else(|| self.missing(object, expected))
    }

    /// The attribute `name` of a group or dataset, with its stored type; `None` when there is none.
    fn attribute(
        &self,
        object: &str,
        name: &str,
    ) -> Result<Option<(hdf5::Attribute, TypeDescriptor)>, StorageError> {
        let location = match self.find(object)? {
            Found::Nothing => return Ok(None),
            Found::Group => self.file.group(object).and_then(|g| g.as_location()),
            Found::Dataset => self.file.dataset(object).and_then(|d| d.as_location()),
        };
        self.attribute_at(location, &attribute_path(object, name), name)
    }

    /// As before, of an object that is open; `at` is what the attribute is called in messages.
    fn attribute_at(
        &self,
        location: hdf5::Result<hdf5::Location>,
        at: &str,
        name: &str,
    ) -> Result<Option<(hdf5::Attribute, TypeDescriptor)>, StorageError> {
        let read = || -> hdf5::Result<Option<_>> {
            let location = location?;
            if !location.attr_names()?.iter().any(|n| n == name) {
                return Ok(None);
            }
            let attribute = location.attr(name)?;
            let stored = attribute.dtype()?.to_descriptor()?;
            Ok(Some((attribute, stored)))
        };
        let found = read().map_err(|e| StorageError::unreadable(&self.path, at, &e))?;
        // An attribute lives in an object header or its heap; a million values is no attribute of ours.
        if let Some((attribute, stored)) = &found {
            let limit = if text::is_text(stored) { Self::texts_max(stored) } else { 1 << 20 };
            self.check_elements(at, attribute.size() as u64, limit)?;
        }
        Ok(found)
    }

    /// A text attribute, `None` when it is absent or not text.
    pub(crate) fn optional_text_attribute(
        &self,
        object: &str,
        name: &str,
    ) -> Result<Option<String>, StorageError> {
        match self.attribute(object, name)? {
            Some((attribute, stored)) if text::is_text(&stored) => {
                let texts = text::read(&attribute, &stored, None)
                    .map_err(|e| StorageError::unreadable(&self.path, &attribute_path(object, name), &e))?;
                Ok(texts.into_iter().next())
            }
            _ => Ok(None),
        }
    }

    /// A list of texts that must be there.
    pub(crate) fn texts_attribute(&self, object: &str, name: &str) -> Result<Vec<String>, StorageError> {
        let at = attribute_path(object, name);
        let (attribute, stored) =
            self.attribute(object, name)?.ok_or_else(|| self.missing(&at, "a text attribute"))?;
        if !text::is_text(&stored) {
            return Err(self.wrong_type(&at, "text", &stored.to_string()));
        }
        text::read(&attribute, &stored, None).map_err(|e| StorageError::unreadable(&self.path, &at, &e))
    }

    /// A text that must be there.
    pub(crate) fn text_attribute(&self, object: &str, name: &str) -> Result<String, StorageError> {
        let first = self.texts_attribute(object, name)?.into_iter().next();
        first.ok_or_else(|| self.missing(&attribute_path(object, name), "a text attribute"))
    }

    /// Integers that must be there, one for a scalar attribute.
    pub(crate) fn integers_attribute(&self, object: &str, name: &str) -> Result<Vec<i64>, StorageError> {
        let at = attribute_path(object, name);
        let (attribute, stored) =
            self.attribute(object, name)?.ok_or_else(|| self.missing(&at, "an integer attribute"))?;
        dataset::read_integers(&attribute, &stored)
            .ok_or_else(|| self.wrong_type(&at, "an integer", &stored.to_string()))?
            .map_err(|e| StorageError::unreadable(&self.path, &at, &e))
    }

    /// A count or bin number that must be there.
    pub(crate) fn unsigned_attribute(&self, object: &str, name: &str) -> Result<u64, StorageError> {
        let at = attribute_path(object, name);
        if let Some((attribute, TypeDescriptor::Unsigned(_))) = self.attribute(object, name)? {
            let values = attribute.read_raw::<u64>();
            let values = values.map_err(|e| StorageError::unreadable(&self.path, &at, &e))?;
            return values.first().copied().ok_or_else(|| self.missing(&at, "an integer attribute"));
        }
        let values = self.integers_attribute(object, name)?;
        let first = values.first().copied();
        let first = first.ok_or_else(|| self.missing(&at, "an integer attribute"))?;
        u64::try_from(first)
            .map_err(|_| self.wrong_type(&at, "an integer that is not negative", &first.to_string()))
    }

    /// A real number, `None` when it is absent or not one.
    pub(crate) fn optional_number_attribute(
        &self,
        object: &str,
        name: &str,
    ) -> Result<Option<f64>, StorageError> {
        match self.attribute(object, name)? {
            Some((attribute, TypeDescriptor::Float(_))) => {
                let values = attribute.read_raw::<f64>();
                let values = values
                    .map_err(|e| StorageError::unreadable(&self.path, &attribute_path(object, name), &e))?;
                Ok(values.first().copied())
            }
            _ => Ok(None),
        }
    }

    /// A real number or an integer, `None` when it is absent or neither.
    pub(crate) fn optional_quantity_attribute(
        &self,
        object: &str,
        name: &str,
    ) -> Result<Option<f64>, StorageError> {
        match self.attribute(object, name)? {
            Some((_, TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_))) => {
                Ok(self.integers_attribute(object, name)?.first().map(|&value| value as f64))
            }
            _ => self.optional_number_attribute(object, name),
        }
    }

    /// A real number that must be there.
    pub(crate) fn number_attribute(&self, object: &str, name: &str) -> Result<f64, StorageError> {
        let value = self.optional_number_attribute(object, name)?;
        value.ok_or_else(|| self.missing(&attribute_path(object, name), "a real number attribute"))
    }

    pub(crate) fn missing(&self, object: &str, expected: &'static str) -> StorageError {
        StorageError::Missing { path: self.path.clone(), object: object.to_owned(), expected }
    }

    pub(crate) fn wrong_type(&self, object: &str, expected: &'static str, got: &str) -> StorageError {
        StorageError::WrongType {
            path: self.path.clone(),
            object: object.to_owned(),
            expected,
            got: got.to_owned(),
        }
    }

    fn not_followed(&self, object: &str, kind: &'static str) -> StorageError {
        StorageError::NotFollowed { path: self.path.clone(), object: object.to_owned(), kind }
    }

    fn check_elements(&self, object: &str, declared: u64, limit: u64) -> Result<(), StorageError> {
        if declared <= limit {
            return Ok(());
        }
        Err(StorageError::TooLarge {
            path: self.path.clone(),
            object: object.to_owned(),
            declared,
            unit: "elements",
            limit,
            reason: "accepted",
        })
    }
}

const LINK_HARD: i32 = H5L_type_t::H5L_TYPE_HARD as i32;
const LINK_SOFT: i32 = H5L_type_t::H5L_TYPE_SOFT as i32;
const LINK_EXTERNAL: i32 = H5L_type_t::H5L_TYPE_EXTERNAL as i32;

/// What kind of link stands in a group under a name; looked up, not searched for.
fn link_type(group: &hdf5::Group, name: &str) -> hdf5::Result<i32> {
    let name = CString::new(name).map_err(|_| "a name with a zero byte")?;
    let mut info = MaybeUninit::<H5L_info1_t>::zeroed();
    // SAFETY: the group is open, `name` ends with a zero byte and `info` is ours to write; `sync` holds the lock that
    // the library needs.
    let status = hdf5::sync::sync(|| unsafe {
        H5Lget_info1(group.id(), name.as_ptr(), info.as_mut_ptr(), H5P_DEFAULT)
    });
    if status < 0 {
        return Err(hdf5::Error::query().unwrap_or_else(|_| "the link cannot be read".into()));
    }
    // SAFETY: the kind comes first and is a C integer. As the enumeration that it is declared to be it must not be
    // read: a file may hold kinds that are not among its values.
    Ok(unsafe { info.as_ptr().cast::<i32>().read() })
}

/// How an attribute is named in messages.
fn attribute_path(object: &str, name: &str) -> String {
    format!("{object}@{name}")
}

/// Whether the HDF5 signature stands at byte 0, 512, 1024, 2048, … as the format allows.
fn has_signature(path: &Path, bytes: u64) -> Result<bool, StorageError> {
    let io = |e| StorageError::io(path, "open", e);
    let mut file = fs::File::open(path).map_err(io)?;
    let mut offset = 0_u64;
    while offset + SIGNATURE.len() as u64 <= bytes {
        let mut found = [0; SIGNATURE.len()];
        file.seek(SeekFrom::Start(offset)).map_err(io)?;
        file.read_exact(&mut found).map_err(io)?;
        if found == SIGNATURE {
            return Ok(true);
        }
        offset = if offset == 0 { 512 } else { offset * 2 };
    }
    Ok(false)
}

fn open_error(path: &Path, bytes: u64, error: &hdf5::Error) -> StorageError {
    let path = path.to_owned();
    let detail = innermost(error);
    if detail.contains("truncated file") {
        StorageError::Truncated { path, bytes, detail }
    } else if detail.contains("already open for write") {
        StorageError::NotClosed { path }
    } else {
        StorageError::Unreadable { path, object: "the file".to_owned(), detail }
    }
}
