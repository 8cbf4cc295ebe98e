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
    /// Most elements of one dataset that are read.
    pub(crate) const ELEMENTS_MAX: u64 = 1 << 31;
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
        let stored = stored.map_err(|e| file.wrong_type(object, "a number or a text", &e.to_string()))?;
        let shape = dataset.get_shape().map_err(|e| unreadable(&e))?;
        let chunk = properties.get_chunk().map_err(|e| unreadable(&e))?;
        let opened = Self { file, object: object.to_owned(), dataset, stored, shape };
        opened.check_size(layout, chunk.as_deref())?;
        Ok(opened)
    }

    /// Refuse a declaration that the file cannot honour, before anything of that size is allocated.
    fn check_size(&self, layout: Layout, chunk: Option<&[usize]>) -> Result<(), StorageError> {
        let product = |dims: &[usize]| dims.iter().try_fold(1_u64, |n, &d| n.checked_mul(d as u64));
        let elements = product(&self.shape).unwrap_or(u64::MAX);
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
        Err(StorageError::TooLarge {
            path: self.file.path.clone(),
            object: self.object.clone(),
            declared,
            unit: "bytes",
            limit,
            reason,
        })
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
            return Err(self.file.wrong_type(&self.object, "real numbers", &self.stored.to_string()));
        }
        if self.shape.contains(&0) {
            return Ok(Vec::new());
        }
        self.dataset.read_raw::<f64>().map_err(|e| self.unreadable(&e))
    }

    /// All values, row-major; an unsigned value above the largest `i64` is returned as that.
    pub(crate) fn integers(&self) -> Result<Vec<i64>, StorageError> {
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
        if self.shape.contains(&0) {
            return Ok(Vec::new());
        }
        self.dataset.read_raw::<u64>().map_err(|e| self.unreadable(&e))
    }

    /// All texts, row-major.
    pub(crate) fn texts(&self) -> Result<Vec<String>, StorageError> {
        if !self.is_text() {
            return Err(self.file.wrong_type(&self.object, "text", &self.stored.to_string()));
        }
        text::read(&self.dataset, &self.stored).map_err(|e| self.unreadable(&e))
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
