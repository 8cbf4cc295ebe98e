use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hdf5::file::LibraryVersion;
use hdf5::types::{VarLenAscii, VarLenUnicode};
use hdf5::{H5Type, ObjectReference1, SimpleExtents};
use hdf5_metno as hdf5;
use hdf5_metno_sys::h5f::H5Fget_file_image;

use super::StorageError;

/// An HDF5 file under construction, in memory; objects are named by absolute paths.
pub(crate) struct OutputFile {
    path: PathBuf,
    file: hdf5::File,
}

/// How the values of a dataset are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    /// As they are: real numbers from an estimate do not compress.
    Plain,
    /// Chunks of whole rows, shuffled and deflated: counts and times shrink several-fold.
    Compressed,
    /// As [`Storage::Compressed`], and the first dimension may grow, as tables of the NWB format can.
    Extendable,
}

/// Bytes of values below which chunks and filters cost more than they save.
const SMALL_BYTES: usize = 1 << 14;
/// Bytes of one chunk: large enough for the filter to find repeats, small enough for the library's 1 MiB cache.
const CHUNK_BYTES: usize = 1 << 19;
/// Deflate at its fastest: under the library's one lock, time matters more than the last tenth of size.
const DEFLATE_LEVEL: u8 = 1;
/// Bytes by which the image in memory grows.
const GROWTH_BYTES: usize = 1 << 23;

impl OutputFile {
    /// A file that will be published as `path`; the disk is not touched.
    pub(crate) fn new(path: &Path) -> Result<Self, StorageError> {
        // The library takes two files in memory for the same one when they share a name.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("glauber-image-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let file = hdf5::File::with_options()
            .with_fapl(|p| {
                p.core_options(GROWTH_BYTES, false)
                    .libver_bounds(LibraryVersion::Earliest, LibraryVersion::V110)
            })
            .create(name)
            .map_err(|e| StorageError::unwritable(path, "the file", &e))?;
        Ok(Self { path: path.to_owned(), file })
    }

    pub(crate) fn group(&self, object: &str) -> Result<(), StorageError> {
        self.file.create_group(object).map(drop).map_err(|e| self.unwritable(object, &e))
    }

    /// A dataset of numbers, row-major.
    pub(crate) fn values<T: H5Type>(
        &self,
        object: &str,
        shape: &[usize],
        values: &[T],
        storage: Storage,
    ) -> Result<(), StorageError> {
        let write = || -> hdf5::Result<()> {
            let mut builder = self.file.new_dataset::<T>();
            let bytes = size_of_val(values);
            let chunked = match storage {
                Storage::Plain => false,
                Storage::Compressed => bytes >= SMALL_BYTES,
                Storage::Extendable => true,
            };
            if chunked {
                builder = builder.chunk(chunk_shape(shape, size_of::<T>()));
            }
            if chunked && bytes >= SMALL_BYTES {
                builder = builder.shuffle().deflate(DEFLATE_LEVEL);
            }
            let extents = match storage {
                Storage::Extendable => {
                    let grows = |(k, &dim): (usize, &usize)| {
                        if k == 0 { hdf5::Extent::resizable(dim) } else { hdf5::Extent::fixed(dim) }
                    };
                    SimpleExtents::new(shape.iter().enumerate().map(grows))
                }
                _ => SimpleExtents::fixed(shape),
            };
            let dataset = builder.shape(extents).create(object)?;
            if values.is_empty() { Ok(()) } else { dataset.write_raw(values) }
        };
        write().map_err(|e| self.unwritable(object, &e))
    }

    /// A scalar dataset of variable-length UTF-8 text.
    pub(crate) fn text(&self, object: &str, text: &str) -> Result<(), StorageError> {
        let text = self.unicode(object, text)?;
        let created = self.file.new_dataset::<VarLenUnicode>().create(object);
        created.and_then(|d| d.write_scalar(&text)).map_err(|e| self.unwritable(object, &e))
    }

    /// A list of variable-length UTF-8 texts.
    pub(crate) fn texts<S: AsRef<str>>(
        &self,
        object: &str,
        texts: &[S],
        storage: Storage,
    ) -> Result<(), StorageError> {
        let texts = self.unicodes(object, texts)?;
        self.values(object, &[texts.len()], &texts, storage)
    }

    /// A scalar dataset of variable-length ASCII text, as NWB wants its dates.
    pub(crate) fn ascii(&self, object: &str, text: &str) -> Result<(), StorageError> {
        let text = self.ascii_value(object, text)?;
        let created = self.file.new_dataset::<VarLenAscii>().create(object);
        created.and_then(|d| d.write_scalar(&text)).map_err(|e| self.unwritable(object, &e))
    }

    /// A list of one variable-length ASCII text.
    pub(crate) fn ascii_list(&self, object: &str, text: &str) -> Result<(), StorageError> {
        let text = self.ascii_value(object, text)?;
        self.values(object, &[1], &[text], Storage::Extendable)
    }

    /// A scalar attribute.
    pub(crate) fn set<T: H5Type>(&self, object: &str, name: &str, value: T) -> Result<(), StorageError> {
        let created = self.location(object).and_then(|l| l.new_attr::<T>().create(name));
        created
            .and_then(|a| a.write_scalar(&value))
            .map_err(|e| self.unwritable(&format!("{object}@{name}"), &e))
    }

    /// An attribute that is a list.
    pub(crate) fn set_list<T: H5Type>(
        &self,
        object: &str,
        name: &str,
        values: &[T],
    ) -> Result<(), StorageError> {
        let created = self.location(object).and_then(|l| l.new_attr::<T>().shape(values.len()).create(name));
        created
            .and_then(|a| if values.is_empty() { Ok(()) } else { a.write_raw(values) })
            .map_err(|e| self.unwritable(&format!("{object}@{name}"), &e))
    }

    /// A text attribute.
    pub(crate) fn set_text(&self, object: &str, name: &str, text: &str) -> Result<(), StorageError> {
        let text = self.unicode(&format!("{object}@{name}"), text)?;
        self.set(object, name, text)
    }

    /// An attribute that is a list of texts.
    pub(crate) fn set_texts<S: AsRef<str>>(
        &self,
        object: &str,
        name: &str,
        texts: &[S],
    ) -> Result<(), StorageError> {
        let texts = self.unicodes(&format!("{object}@{name}"), texts)?;
        self.set_list(object, name, &texts)
    }

    /// An attribute that refers to another object of the file.
    pub(crate) fn set_reference(&self, object: &str, name: &str, target: &str) -> Result<(), StorageError> {
        let reference = self.file.reference::<ObjectReference1>(target);
        let reference = reference.map_err(|e| self.unwritable(&format!("{object}@{name}"), &e))?;
        self.set(object, name, reference)
    }

    /// The finished file, byte for byte.
    pub(crate) fn into_bytes(self) -> Result<Vec<u8>, StorageError> {
        self.file.flush().map_err(|e| self.unwritable("the file", &e))?;
        let id = self.file.id();
        let image = |buffer: *mut u8, bytes: usize| {
            // SAFETY: `id` is an open file; the buffer is null, which only asks for the length, or has `bytes` bytes;
            // `sync` holds the lock that the library needs.
            hdf5::sync::sync(|| unsafe { H5Fget_file_image(id, buffer.cast(), bytes) })
        };
        let failed =
            || self.unwritable("the file", &hdf5::Error::query().unwrap_or_else(|_| "no image".into()));
        let bytes = usize::try_from(image(std::ptr::null_mut(), 0)).map_err(|_| failed())?;
        let mut buffer = vec![0_u8; bytes];
        let written = usize::try_from(image(buffer.as_mut_ptr(), bytes)).map_err(|_| failed())?;
        if written == bytes { Ok(buffer) } else { Err(failed()) }
    }

    fn location(&self, object: &str) -> hdf5::Result<hdf5::Location> {
        match self.file.loc_type_by_name(object)? {
            hdf5::LocationType::Dataset => self.file.dataset(object)?.as_location(),
            _ => self.file.group(object)?.as_location(),
        }
    }

    fn unicode(&self, object: &str, text: &str) -> Result<VarLenUnicode, StorageError> {
        text.parse().map_err(|e| self.bad_text(object, &e))
    }

    fn unicodes<S: AsRef<str>>(&self, object: &str, texts: &[S]) -> Result<Vec<VarLenUnicode>, StorageError> {
        texts.iter().map(|text| self.unicode(object, text.as_ref())).collect()
    }

    fn ascii_value(&self, object: &str, text: &str) -> Result<VarLenAscii, StorageError> {
        VarLenAscii::from_ascii(text).map_err(|e| self.bad_text(object, &e))
    }

    fn bad_text(&self, object: &str, error: &hdf5::types::StringError) -> StorageError {
        StorageError::Unwritable {
            path: self.path.clone(),
            object: object.to_owned(),
            detail: error.to_string(),
        }
    }

    fn unwritable(&self, object: &str, error: &hdf5::Error) -> StorageError {
        StorageError::unwritable(&self.path, object, error)
    }
}

/// Whole rows up to [`CHUNK_BYTES`]; never longer than the data, except that no dimension is zero.
fn chunk_shape(shape: &[usize], element_bytes: usize) -> Vec<usize> {
    let mut room = (CHUNK_BYTES / element_bytes).max(1);
    let mut chunk: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&dim| {
            let length = dim.clamp(1, room);
            room = (room / length).max(1);
            length
        })
        .collect();
    chunk.reverse();
    chunk
}
