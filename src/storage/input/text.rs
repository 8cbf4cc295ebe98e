use hdf5::types::{FixedAscii, FixedUnicode, TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5_metno as hdf5;

/// Longest fixed-length text that is read, in bytes.
const FIXED_BYTES_MAX: usize = 1024;

pub(super) fn is_text(stored: &TypeDescriptor) -> bool {
    use TypeDescriptor::{FixedAscii, FixedUnicode, VarLenAscii, VarLenUnicode};
    matches!(stored, FixedAscii(_) | FixedUnicode(_) | VarLenAscii | VarLenUnicode)
}

/// All texts of a dataset or attribute. The memory type must be the stored one: the library converts
/// variable-length ASCII to UTF-8 only after some other variable-length text has been read in the process.
pub(super) fn read(container: &hdf5::Container, stored: &TypeDescriptor) -> hdf5::Result<Vec<String>> {
    if container.size() == 0 {
        return Ok(Vec::new());
    }
    match stored {
        // A text that was never written is a null pointer, whose bytes must not be asked for.
        TypeDescriptor::VarLenAscii => {
            let texts = container.read_raw::<VarLenAscii>()?;
            Ok(texts
                .iter()
                .map(|t| if t.is_empty() { String::new() } else { decode(t.as_bytes()) })
                .collect())
        }
        TypeDescriptor::VarLenUnicode => {
            let texts = container.read_raw::<VarLenUnicode>()?;
            Ok(texts
                .iter()
                .map(|t| if t.is_empty() { String::new() } else { decode(t.as_bytes()) })
                .collect())
        }
        TypeDescriptor::FixedAscii(bytes) if *bytes <= FIXED_BYTES_MAX => {
            let texts = container.read_raw::<FixedAscii<FIXED_BYTES_MAX>>()?;
            Ok(texts.iter().map(|t| unpad(t.as_bytes())).collect())
        }
        TypeDescriptor::FixedUnicode(bytes) if *bytes <= FIXED_BYTES_MAX => {
            let texts = container.read_raw::<FixedUnicode<FIXED_BYTES_MAX>>()?;
            Ok(texts.iter().map(|t| unpad(t.as_bytes())).collect())
        }
        other => Err(format!("{other} is not a text of at most {FIXED_BYTES_MAX} bytes").into()),
    }
}

/// Bytes as text; those that are not UTF-8 are replaced.
fn decode(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A fixed-length text without what fills its field.
fn unpad(bytes: &[u8]) -> String {
    decode(bytes).trim_end_matches(['\0', ' ']).to_owned()
}
