use hdf5::dataset::Layout;
use hdf5::types::TypeDescriptor;
use hdf5_metno as hdf5;

use super::{InputFile, StorageError, text};

/// A dataset whose declared size has been compared with what the file holds.
#[derive(Debug)]
pub(crate) struct InputDataset<'f> {
    file: &'f InputFile,
    object: String,
    dataset: hdf5::Dataset,
    stored: TypeDescriptor,
    shape: Vec<usize>,
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
    /// Chunks that were never written hold fill values and take no room in the file.
    const UNSTORED_BYTES_MAX: u64 = 1 << 16;

    pub(super) fn open(file: &'f InputFile, object: &str) -> Result<Self, StorageError> {
        let unreadable = |e: &hdf5::Error| StorageError::unreadable(&file.path, object, e);
        let dataset = file.file.dataset(object).map_err(|e| unreadable(&e))?;
        let properties = dataset.create_plist().map_err(|e| unreadable(&e))?;
        let layout = properties.get_layout().map_err(|e| unreadable(&e))?;
        if layout == Layout::Virtual {
            return Err(file.not_followed(object, "a virtual dataset"));
        }
        if !properties.get_external().map_err(|e| unreadable(&e))?.is_empty() {
            return Err(file.not_followed(object, "stored in another file"));
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
                let expanded = stored.saturating_mul(Self::EXPANSION_MAX);
                (expanded + Self::UNSTORED_BYTES_MAX, "its stored bytes can expand to")
            }
            _ => (self.file.bytes, "bytes of the whole file"),
        };
        if declared <= limit {
            return Ok(());
        }
        let (path, object) = (self.file.path.clone(), self.object.clone());
        Err(StorageError::TooLarge { path, object, declared, unit: "bytes", limit, reason })
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
        if self.shape.len() == 1 { Ok(self) } else { Err(self.wrong_shape("one dimension")) }
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

    /// All values, row-major, as [`InputDataset::numbers`]; integers are taken for real numbers.
    pub(crate) fn numbers_or_integers(&self) -> Result<Vec<f64>, StorageError> {
        match self.stored {
            TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_) => {
                Ok(self.integers()?.into_iter().map(|value| value as f64).collect())
            }
            _ => self.numbers(),
        }
    }

    fn raw<T: hdf5::H5Type>(&self) -> Result<Vec<T>, StorageError> {
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
    fn check_memory(&self, elements: u64, element_bytes: usize) -> Result<(), StorageError> {
        let bytes = elements.saturating_mul(element_bytes as u64);
        if bytes <= Self::MEMORY_BYTES_MAX {
            return Ok(());
        }
        Err(self.too_large(bytes, "bytes", Self::MEMORY_BYTES_MAX))
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
        let elements = self.elements();
        let list = self.shape.len() == 1;
        let limit = if list { Self::TEXTS_MAX } else { InputFile::ATTRIBUTE_TEXTS_MAX };
        if elements > limit {
            return Err(self.too_large(elements, "texts", limit));
        }
        if !list {
            return text::read(&self.dataset, &self.stored, None).map_err(|e| self.unreadable(&e));
        }
        let mut texts = Vec::with_capacity(elements as usize);
        let mut bytes = 0;
        while texts.len() < self.shape[0] {
            let end = self.shape[0].min(texts.len() + self.batch_texts());
            let part = text::read(&self.dataset, &self.stored, Some(texts.len()..end));
            texts.extend(
                part.map_err(|e| self.unreadable(&e))?.into_iter().inspect(|t| bytes += t.len() as u64),
            );
            if bytes > Self::TEXT_BYTES_MAX {
                return Err(self.too_large(bytes, "bytes of text", Self::TEXT_BYTES_MAX));
            }
        }
        Ok(texts)
    }

    /// Texts that can be converted at once: those of variable length may all be the same stretch of the file, which
    /// none can be longer than.
    fn batch_texts(&self) -> usize {
        if !text::is_variable_length(&self.stored) {
            return Self::BATCH_TEXTS;
        }
        let fitting = Self::TEXT_BYTES_MAX / self.file.bytes.max(1);
        (fitting as usize).clamp(1, Self::BATCH_TEXTS)
    }

    fn unreadable(&self, error: &hdf5::Error) -> StorageError {
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
