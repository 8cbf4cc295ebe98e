//! Tables of compound rows, and references to objects elsewhere in the file.

use hdf5::types::{
    CompoundField, CompoundType, FixedAscii, FixedUnicode, IntSize, TypeDescriptor, VarLenAscii,
    VarLenUnicode,
};
use hdf5_metno as hdf5;
use hdf5_metno_sys::h5d::H5Dread;
use hdf5_metno_sys::h5p::H5P_DEFAULT;
use hdf5_metno_sys::h5s::H5S_ALL;

use super::dataset::InputDataset;
use super::{InputFile, StorageError, text};

/// A reference to an object of the same file, as a dataset holds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InputReference(hdf5::ObjectReference1);

/// Bytes of a fixed-length label that are read.
const LABEL_BYTES: usize = 128;

#[derive(hdf5::H5Type)]
#[repr(C)]
struct FixedAsciiLabel {
    #[hdf5(rename = "Label")]
    label: FixedAscii<LABEL_BYTES>,
}

#[derive(hdf5::H5Type)]
#[repr(C)]
struct FixedUnicodeLabel {
    #[hdf5(rename = "Label")]
    label: FixedUnicode<LABEL_BYTES>,
}

#[derive(hdf5::H5Type)]
#[repr(C)]
struct AsciiLabel {
    #[hdf5(rename = "Label")]
    label: VarLenAscii,
}

#[derive(hdf5::H5Type)]
#[repr(C)]
struct UnicodeLabel {
    #[hdf5(rename = "Label")]
    label: VarLenUnicode,
}

impl InputDataset<'_> {
    /// Whether the values are references to objects.
    pub(crate) fn is_reference(&self) -> bool {
        matches!(self.stored, TypeDescriptor::Reference(hdf5::types::Reference::Object))
    }

    fn field(&self, name: &str) -> Option<&TypeDescriptor> {
        match &self.stored {
            TypeDescriptor::Compound(rows) => rows.fields.iter().find(|f| f.name == name).map(|f| &f.ty),
            _ => None,
        }
    }

    /// Integer fields of all rows of a list of compounds, in the order of `names`; an unsigned value above the largest
    /// `i64` is returned as that.
    pub(crate) fn integer_fields<const N: usize>(
        &self,
        names: [&'static str; N],
    ) -> Result<Vec<[i64; N]>, StorageError> {
        for name in names {
            let at = format!("{} field {name}", self.object);
            match self.field(name) {
                Some(TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_)) => {}
                Some(other) => return Err(self.file.wrong_type(&at, "an integer", &other.to_string())),
                None if matches!(self.stored, TypeDescriptor::Compound(_)) => {
                    return Err(self.file.missing(&at, "an integer in each row"));
                }
                None => {
                    return Err(self.file.wrong_type(
                        &self.object,
                        "rows of compounds",
                        &self.stored.to_string(),
                    ));
                }
            }
        }
        let [rows] = self.shape[..] else { return Err(self.wrong_shape("one dimension")) };
        // The rows themselves pass through memory as they are stored.
        let row_bytes = self.stored.size().saturating_add(size_of::<[i64; N]>());
        self.check_memory(rows as u64, row_bytes)?;
        let mut values = vec![[0_i64; N]; rows];
        if rows == 0 {
            return Ok(values);
        }
        let fields = names.iter().enumerate();
        let fields = fields.map(|(place, name)| {
            CompoundField::new(name, TypeDescriptor::Integer(IntSize::U8), place * size_of::<i64>(), place)
        });
        let row = CompoundType { fields: fields.collect(), size: size_of::<[i64; N]>() };
        let row = hdf5::Datatype::from_descriptor(&TypeDescriptor::Compound(row));
        let row = row.map_err(|e| self.unreadable(&e))?;
        // SAFETY: `values` has room for every row of the dataset's extent, which cannot change while the file is open for
        // reading only, each of the size that the memory type declares; both identifiers are open and the lock is held.
        let status = hdf5::sync::sync(|| unsafe {
            H5Dread(self.dataset.id(), row.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.as_mut_ptr().cast())
        });
        if status < 0 {
            let error = hdf5::Error::query().unwrap_or_else(|_| "the rows cannot be read".into());
            return Err(self.unreadable(&error));
        }
        Ok(values)
    }

    /// The field `Label` of all rows of a list of compounds; `None` when it is absent or not text.
    pub(crate) fn labels_field(&self) -> Result<Option<Vec<String>>, StorageError> {
        let stored = match self.field("Label") {
            Some(stored) if text::is_text(stored) => stored.clone(),
            _ => return Ok(None),
        };
        self.text_rows(&stored, |rows| {
            let part = ndarray::s![rows.start..rows.end];
            Ok(match &stored {
                TypeDescriptor::FixedAscii(_) => {
                    let rows = self.dataset.read_slice_1d::<FixedAsciiLabel, _>(part)?;
                    rows.iter().map(|row| text::unpad(row.label.as_bytes())).collect()
                }
                TypeDescriptor::FixedUnicode(_) => {
                    let rows = self.dataset.read_slice_1d::<FixedUnicodeLabel, _>(part)?;
                    rows.iter().map(|row| text::unpad(row.label.as_bytes())).collect()
                }
                TypeDescriptor::VarLenAscii => {
                    let rows = self.dataset.read_slice_1d::<AsciiLabel, _>(part)?;
                    rows.iter().map(|row| text::ascii(&row.label)).collect()
                }
                _ => {
                    let rows = self.dataset.read_slice_1d::<UnicodeLabel, _>(part)?;
                    rows.iter().map(|row| text::unicode(&row.label)).collect()
                }
            })
        })
        .map(Some)
    }

    /// All references, row-major.
    pub(crate) fn references(&self) -> Result<Vec<InputReference>, StorageError> {
        if !self.is_reference() {
            return Err(self.file.wrong_type(
                &self.object,
                "references to objects",
                &self.stored.to_string(),
            ));
        }
        Ok(self.raw::<hdf5::ObjectReference1>()?.into_iter().map(InputReference).collect())
    }
}

impl InputFile {
    /// The dataset that a reference points to; `name` is what it is called in messages.
    pub(crate) fn referenced(
        &self,
        reference: InputReference,
        name: &str,
    ) -> Result<InputDataset<'_>, StorageError> {
        let found = self.file.dereference(&reference.0);
        match found.map_err(|e| StorageError::unreadable(&self.path, name, &e))? {
            hdf5::ReferencedObject::Dataset(dataset) => InputDataset::checked(self, name, dataset),
            hdf5::ReferencedObject::Group(_) => {
                Err(self.wrong_type(name, "a reference to a dataset", "one to a group"))
            }
            hdf5::ReferencedObject::Datatype(_) => {
                Err(self.wrong_type(name, "a reference to a dataset", "one to a type"))
            }
        }
    }
}
