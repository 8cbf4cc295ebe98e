use std::ops::Range;

use hdf5::H5Type;
use hdf5::types::{FixedAscii, FixedUnicode, TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5_metno as hdf5;

/// Longest fixed-length text that is read, in bytes; each takes as much room in memory while it is converted.
pub(super) const FIXED_BYTES_MAX: usize = 1024;

pub(super) fn is_text(stored: &TypeDescriptor) -> bool {
    use TypeDescriptor::{FixedAscii, FixedUnicode, VarLenAscii, VarLenUnicode};
    matches!(stored, FixedAscii(_) | FixedUnicode(_) | VarLenAscii | VarLenUnicode)
}

/// Whether the texts have no length of their own in the type, so that each may be as long as the file.
pub(super) fn is_variable_length(stored: &TypeDescriptor) -> bool {
    matches!(stored, TypeDescriptor::VarLenAscii | TypeDescriptor::VarLenUnicode)
}

/// Texts of a dataset or attribute: all, or a part of a list. The memory type must be the stored one: the library
/// converts variable-length ASCII to UTF-8 only after some other variable-length text has been read in the process.
pub(super) fn read(
    container: &hdf5::Container,
    stored: &TypeDescriptor,
    part: Option<Range<usize>>,
) -> hdf5::Result<Vec<String>> {
    if container.size() == 0 {
        return Ok(Vec::new());
    }
    match stored {
        TypeDescriptor::VarLenAscii => {
            let texts = raw::<VarLenAscii>(container, part)?;
            Ok(texts.iter().map(ascii).collect())
        }
        TypeDescriptor::VarLenUnicode => {
            let texts = raw::<VarLenUnicode>(container, part)?;
            Ok(texts.iter().map(unicode).collect())
        }
        TypeDescriptor::FixedAscii(bytes) if *bytes <= FIXED_BYTES_MAX => {
            let texts = raw::<FixedAscii<FIXED_BYTES_MAX>>(container, part)?;
            Ok(texts.iter().map(|t| unpad(t.as_bytes())).collect())
        }
        TypeDescriptor::FixedUnicode(bytes) if *bytes <= FIXED_BYTES_MAX => {
            let texts = raw::<FixedUnicode<FIXED_BYTES_MAX>>(container, part)?;
            Ok(texts.iter().map(|t| unpad(t.as_bytes())).collect())
        }
        other => Err(format!("{other} is not a text of at most {FIXED_BYTES_MAX} bytes").into()),
    }
}

fn raw<T: H5Type>(container: &hdf5::Container, part: Option<Range<usize>>) -> hdf5::Result<Vec<T>> {
    match part {
        None => container.read_raw::<T>(),
        Some(part) => {
            Ok(container.read_slice_1d::<T, _>(ndarray::s![part.start..part.end])?.into_iter().collect())
        }
    }
}

/// A variable-length text. One that was never written is a null pointer, whose bytes must not be asked for.
pub(super) fn ascii(stored: &VarLenAscii) -> String {
    if stored.is_empty() { String::new() } else { decode(stored.as_bytes()) }
}

/// As [`ascii`].
pub(super) fn unicode(stored: &VarLenUnicode) -> String {
    if stored.is_empty() { String::new() } else { decode(stored.as_bytes()) }
}

/// Bytes as text; those that are not UTF-8 are replaced.
fn decode(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A fixed-length text without what fills its field.
pub(super) fn unpad(bytes: &[u8]) -> String {
    decode(bytes).trim_end_matches(['\0', ' ']).to_owned()
}
