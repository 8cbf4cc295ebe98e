use std::ops::Range;

use hdf5::dataset::Layout;
use hdf5::types::TypeDescriptor;
use hdf5_metno as hdf5;

use super::{InputFile, StorageError, attribute_path, filters, text};

/// A dataset whose declared size has been compared with what the file holds.
#[derive(Debug)]
pub(crate) struct InputDataset<'f> {
    pub(super) file: &'f InputFile,
    pub(super) object: String,
    pub(super) dataset: hdf5::Dataset,
    pub(super) stored: TypeDescriptor,
    pub(super) shape: Vec<usize>,
}

impl<'f> InputDataset<'f> {
    /// Most elements that a dataset may declare.
    const ELEMENTS_MAX: u64 = 1 << 31;
    /// Most bytes of memory that the values read from one dataset may take.
    const MEMORY_BYTES_MAX: u64 = 1 << 32;
    /// Most texts of one dataset that are read.
    const TEXTS_MAX: u64 = 1 << 20;
    /// Texts that are converted at once.
    const BATCH_TEXTS: usize = 1 << 16;
    /// Most bytes of text that are read from one dataset.
    const TEXT_BYTES_MAX: u64 = 1 << 28;
    /// Deflate cannot expand more than 1032-fold; filters before it change nothing about that.
    const EXPANSION_MAX: u64 = 1100;
    /// Bytes to which anything may expand that deflate can expand to them, whatever the limits say.
    const EXPANDED_BYTES_MIN: u64 = 1 << 26;
    /// Chunks that a file may declare however short it is.
    const CHUNKS_MIN: u64 = 1 << 14;
    /// Least room that a chunk takes in the index of the chunks, in bytes.
    const CHUNK_ENTRY_BYTES: u64 = 8;
    /// Chunks that were never written hold fill values and take no room in the file.
    const UNSTORED_BYTES_MAX: u64 = 1 << 16;

    pub(super) fn open(file: &'f InputFile, object: &str) -> Result<Self, StorageError> {
        let unreadable = |e: &hdf5::Error| StorageError::unreadable(&file.path, object, e);
        let dataset = file.file.dataset(object).map_err(|e| unreadable(&e))?;
        Self::checked(file, object, dataset)
    }

    /// Compare what a dataset declares with what is read here and with what the file can hold.
    pub(super) fn checked(
        file: &'f InputFile,
        object: &str,
        dataset: hdf5::Dataset,
    ) -> Result<Self, StorageError> {
        let unreadable = |e: &hdf5::Error| StorageError::unreadable(&file.path, object, e);
        let properties = dataset.create_plist().map_err(|e| unreadable(&e))?;
        let layout = properties.get_layout().map_err(|e| unreadable(&e))?;
        if layout == Layout::Virtual {
            return Err(file.not_followed(object, "a virtual dataset"));
        }
        if !properties.get_external().map_err(|e| unreadable(&e))?.is_empty() {
            return Err(file.not_followed(object, "stored in another file"));
        }
        if let Some(filter) = filters::unreadable(&properties).map_err(|e| unreadable(&e))? {
            let (path, object) = (file.path.clone(), object.to_owned());
            return Err(StorageError::UnknownFilter { path, object, filter });
        }
        let stored = dataset.dtype().and_then(|t| t.to_descriptor());
        let stored = stored
            .map_err(|e| file.wrong_type(object, "integers, float32, float64 or text", &e.to_string()))?;
        let shape = dataset.get_shape().map_err(|e| unreadable(&e))?;
        let chunk = properties.get_chunk().map_err(|e| unreadable(&e))?;
        let opened = Self { file, object: object.to_owned(), dataset, stored, shape };
        opened.check_size(layout, chunk.as_deref())?;
        Ok(opened)
    }

    /// Refuse a declaration that the file cannot honour, before anything of that size is allocated.
    fn check_size(&self, layout: Layout, chunk: Option<&[usize]>) -> Result<(), StorageError> {
        let product = |dims: &[usize]| dims.iter().try_fold(1_u64, |n, &d| n.checked_mul(d as u64));
        let elements = self.elements();
        self.file.check_elements(&self.object, elements, Self::ELEMENTS_MAX)?;
        let element_bytes = self.stored.size() as u64;
        let chunk_elements = chunk.map_or(Some(0), product).unwrap_or(u64::MAX);
        let declared = elements.max(chunk_elements).saturating_mul(element_bytes);
        let (limit, reason) = match layout {
            Layout::Chunked if elements == 0 => return Ok(()),
            Layout::Chunked => {
                let stored = self.dataset.storage_size().min(self.file.bytes);
                let possible = stored.saturating_mul(Self::EXPANSION_MAX) + Self::UNSTORED_BYTES_MAX;
                let sensible = stored.saturating_mul(self.file.limits.expansion_max);
                let sensible = sensible.max(Self::EXPANDED_BYTES_MIN);
                if declared <= possible && declared > sensible {
                    (sensible, "that so few stored bytes are taken to hold")
                } else {
                    (possible, "its stored bytes can expand to")
                }
            }
            _ => (self.file.bytes, "bytes of the whole file"),
        };
        if declared <= limit {
            return self.check_chunks(chunk);
        }
        let (path, object) = (self.file.path.clone(), self.object.clone());
        Err(StorageError::TooLarge { path, object, declared, unit: "bytes", limit, reason })
    }

    /// Refuse more chunks than the file has room to list: the library would visit each, stored or not.
    fn check_chunks(&self, chunk: Option<&[usize]>) -> Result<(), StorageError> {
        if chunk.is_none() {
            return Ok(());
        }
        let along = |(&length, &step): (&usize, &usize)| length.div_ceil(step.max(1)) as u64;
        let counts = self.shape.iter().zip(chunk.unwrap_or(&[])).map(along);
        let declared = counts.fold(1, u64::saturating_mul);
        let limit = (self.file.bytes / Self::CHUNK_ENTRY_BYTES).max(Self::CHUNKS_MIN);
        if declared <= limit {
            return Ok(());
        }
        let (path, object) = (self.file.path.clone(), self.object.clone());
        let reason = "that the file has room to list";
        Err(StorageError::TooLarge { path, object, declared, unit: "chunks", limit, reason })
    }

    /// Absolute path inside the file.
    pub(crate) fn object(&self) -> &str {
        &self.object
    }

    /// Length of each dimension; empty for a scalar.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Whether the values are single-precision reals.
    pub(crate) fn is_single_precision(&self) -> bool {
        matches!(self.stored, TypeDescriptor::Float(size) if size as usize == 4)
    }

    /// Whether the values are signed integers.
    pub(crate) fn is_signed(&self) -> bool {
        matches!(self.stored, TypeDescriptor::Integer(_))
    }

    /// Whether the values are texts.
    pub(crate) fn is_text(&self) -> bool {
        text::is_text(&self.stored)
    }

    /// The dataset itself when it has the given shape.
    pub(crate) fn with_shape(self, expected: &[usize]) -> Result<Self, StorageError> {
        if self.shape == expected { Ok(self) } else { Err(self.wrong_shape(&format!("{expected:?}"))) }
    }

    /// The dataset itself when it has at most so many rows.
    pub(crate) fn rows_at_most(self, limit: usize, unit: &'static str) -> Result<Self, StorageError> {
        let rows = self.shape.first().copied().unwrap_or(1);
        if rows <= limit {
            return Ok(self);
        }
        Err(self.too_large(rows as u64, unit, limit as u64))
    }

    /// The dataset itself when it is a list.
    pub(crate) fn list(self) -> Result<Self, StorageError> {
        self.list_ref()?;
        Ok(self)
    }

    pub(crate) fn wrong_shape(&self, expected: &str) -> StorageError {
        StorageError::WrongShape {
            path: self.file.path.clone(),
            object: self.object.clone(),
            expected: expected.to_owned(),
            got: self.shape.clone(),
        }
    }

    /// All values, row-major; single-precision ones are widened exactly.
    pub(crate) fn numbers(&self) -> Result<Vec<f64>, StorageError> {
        if !matches!(self.stored, TypeDescriptor::Float(_)) {
            return Err(self.file.wrong_type(&self.object, "float32 or float64", &self.stored.to_string()));
        }
        self.raw::<f64>()
    }

    /// The first values of a list, as [`InputDataset::numbers`].
    pub(crate) fn first_numbers(&self, count: usize) -> Result<Vec<f64>, StorageError> {
        if self.shape.len() != 1 || self.shape[0] <= count {
            return self.numbers();
        }
        if !matches!(self.stored, TypeDescriptor::Float(_)) {
            return Err(self.file.wrong_type(&self.object, "float32 or float64", &self.stored.to_string()));
        }
        self.check_memory(count as u64, size_of::<f64>())?;
        let read = self.dataset.read_slice_1d::<f64, _>(ndarray::s![..count]);
        Ok(read.map_err(|e| self.unreadable(&e))?.into_iter().collect())
    }

    /// The first value of a list or the only one, real or integer; `None` when there is none.
    pub(crate) fn first_quantity(&self) -> Result<Option<f64>, StorageError> {
        match self.stored {
            TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_) => {
                Ok(self.first_integer()?.map(|value| value as f64))
            }
            _ if self.elements() <= 1 => Ok(self.numbers()?.first().copied()),
            _ => Ok(self.list_ref()?.first_numbers(1)?.first().copied()),
        }
    }

    /// The first integer of a list or the only one; `None` when there is none.
    pub(crate) fn first_integer(&self) -> Result<Option<i64>, StorageError> {
        if self.elements() <= 1 {
            return Ok(self.integers()?.first().copied());
        }
        let dataset = &self.list_ref()?.dataset;
        let first = ndarray::s![..1];
        let read = match self.stored {
            TypeDescriptor::Integer(_) => dataset.read_slice_1d::<i64, _>(first).map(|v| v[0]),
            TypeDescriptor::Unsigned(_) => {
                dataset.read_slice_1d::<u64, _>(first).map(|v| i64::try_from(v[0]).unwrap_or(i64::MAX))
            }
            _ => return Err(self.file.wrong_type(&self.object, "integers", &self.stored.to_string())),
        };
        read.map(Some).map_err(|e| self.unreadable(&e))
    }

    /// An integer attribute of the dataset, `None` when it is absent or no integer.
    pub(crate) fn optional_integer_attribute(&self, name: &str) -> Result<Option<i64>, StorageError> {
        let at = attribute_path(&self.object, name);
        let Some((attribute, stored)) = self.file.attribute_at(self.dataset.as_location(), &at, name)? else {
            return Ok(None);
        };
        match read_integers(&attribute, &stored) {
            Some(values) => {
                let values = values.map_err(|e| StorageError::unreadable(&self.file.path, &at, &e))?;
                Ok(values.first().copied())
            }
            None => Ok(None),
        }
    }

    fn list_ref(&self) -> Result<&Self, StorageError> {
        if self.shape.len() == 1 { Ok(self) } else { Err(self.wrong_shape("one dimension")) }
    }

    /// All values, row-major, as [`InputDataset::numbers`]; integers are taken for real numbers.
    pub(crate) fn numbers_or_integers(&self) -> Result<Vec<f64>, StorageError> {
        match self.stored {
            TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_) => {
                Ok(self.integers()?.into_iter().map(|value| value as f64).collect())
            }
            _ => self.numbers(),
        }
    }

    pub(super) fn raw<T: hdf5::H5Type>(&self) -> Result<Vec<T>, StorageError> {
        if self.shape.contains(&0) {
            return Ok(Vec::new());
        }
        self.check_memory(self.elements(), size_of::<T>())?;
        self.dataset.read_raw::<T>().map_err(|e| self.unreadable(&e))
    }

    fn elements(&self) -> u64 {
        self.shape.iter().try_fold(1_u64, |n, &d| n.checked_mul(d as u64)).unwrap_or(u64::MAX)
    }

    /// Compressed values take little room in a file and all of theirs in memory.
    pub(super) fn check_memory(&self, elements: u64, element_bytes: usize) -> Result<(), StorageError> {
        let bytes = elements.saturating_mul(element_bytes as u64);
        if bytes > Self::MEMORY_BYTES_MAX {
            return Err(self.too_large(bytes, "bytes", Self::MEMORY_BYTES_MAX));
        }
        self.file.charge(&self.object, bytes)
    }

    fn too_large(&self, declared: u64, unit: &'static str, limit: u64) -> StorageError {
        StorageError::TooLarge {
            path: self.file.path.clone(),
            object: self.object.clone(),
            declared,
            unit,
            limit,
            reason: "accepted",
        }
    }

    /// All values, row-major; an unsigned value above the largest `i64` is returned as that.
    pub(crate) fn integers(&self) -> Result<Vec<i64>, StorageError> {
        self.check_memory(self.elements(), size_of::<i64>())?;
        match read_integers(&self.dataset, &self.stored) {
            Some(values) => values.map_err(|e| self.unreadable(&e)),
            None => Err(self.file.wrong_type(&self.object, "integers", &self.stored.to_string())),
        }
    }

    /// All values, row-major, of a dataset that must hold unsigned 64-bit integers.
    pub(crate) fn counts(&self) -> Result<Vec<u64>, StorageError> {
        if !matches!(self.stored, TypeDescriptor::Unsigned(_)) {
            return Err(self.file.wrong_type(&self.object, "unsigned integers", &self.stored.to_string()));
        }
        self.raw::<u64>()
    }

    /// All texts, row-major.
    pub(crate) fn texts(&self) -> Result<Vec<String>, StorageError> {
        if !self.is_text() {
            return Err(self.file.wrong_type(&self.object, "text", &self.stored.to_string()));
        }
        if self.shape.len() == 1 {
            return self.text_rows(&self.stored, |rows| text::read(&self.dataset, &self.stored, Some(rows)));
        }
        let limit = InputFile::texts_max(&self.stored);
        if self.elements() > limit {
            return Err(self.too_large(self.elements(), "texts", limit));
        }
        text::read(&self.dataset, &self.stored, None).map_err(|e| self.unreadable(&e))
    }

    /// All texts of a list, read in parts by `read`, so that what they take can be bounded while they are read.
    pub(super) fn text_rows(
        &self,
        stored: &TypeDescriptor,
        read: impl Fn(Range<usize>) -> hdf5::Result<Vec<String>>,
    ) -> Result<Vec<String>, StorageError> {
        let [rows] = self.shape[..] else { return Err(self.wrong_shape("one dimension")) };
        if rows as u64 > Self::TEXTS_MAX {
            return Err(self.too_large(rows as u64, "texts", Self::TEXTS_MAX));
        }
        let mut texts = Vec::with_capacity(rows);
        let mut bytes = 0;
        while texts.len() < rows {
            let end = rows.min(texts.len() + self.batch_texts(stored));
            let part = read(texts.len()..end).map_err(|e| self.unreadable(&e))?;
            texts.extend(part.into_iter().inspect(|t| bytes += t.len() as u64));
            if bytes > Self::TEXT_BYTES_MAX {
                return Err(self.too_large(bytes, "bytes of text", Self::TEXT_BYTES_MAX));
            }
        }
        self.file.charge(&self.object, bytes)?;
        Ok(texts)
    }

    /// Texts that can be converted at once: those of variable length may all be the same stretch of the file, which
    /// none can be longer than.
    fn batch_texts(&self, stored: &TypeDescriptor) -> usize {
        if !text::is_variable_length(stored) {
            return Self::BATCH_TEXTS;
        }
        let fitting = Self::TEXT_BYTES_MAX / self.file.bytes.max(1);
        (fitting as usize).clamp(1, Self::BATCH_TEXTS)
    }

    pub(super) fn unreadable(&self, error: &hdf5::Error) -> StorageError {
        StorageError::unreadable(&self.file.path, &self.object, error)
    }
}

/// Integers of any width and sign, `None` when the values are something else.
///
/// Signed and unsigned values are read as what they are: the library's own conversion would turn a negative
/// number into 0 without a word.
pub(super) fn read_integers(
    container: &hdf5::Container,
    stored: &TypeDescriptor,
) -> Option<hdf5::Result<Vec<i64>>> {
    let signed = match stored {
        TypeDescriptor::Integer(_) => true,
        TypeDescriptor::Unsigned(_) => false,
        _ => return None,
    };
    if container.size() == 0 {
        return Some(Ok(Vec::new()));
    }
    Some(if signed {
        container.read_raw::<i64>()
    } else {
        let widened = container.read_raw::<u64>();
        widened.map(|values| values.into_iter().map(|v| i64::try_from(v).unwrap_or(i64::MAX)).collect())
    })
}
