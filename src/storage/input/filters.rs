//! Which filters the values of a dataset pass through, and that no others are ever loaded.

use std::ptr;
use std::sync::Once;

use hdf5_metno as hdf5;
use hdf5_metno_sys::h5p::{H5Pget_filter2, H5Pget_nfilters};
use hdf5_metno_sys::h5pl::H5PLset_loading_state;

/// Deflate, shuffle, Fletcher-32 and szip: those whose decoders are part of the library and in daily use.
const READABLE: [i32; 4] = [1, 2, 3, 4];

/// Keep the library from loading filters from folders that the environment names. Done once, before any file is opened.
pub(super) fn forbid_plugins() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut none = 0;
        hdf5::sync::sync(|| {
            // SAFETY: the argument is a mask of one C integer that the library only reads; the lock it needs is held.
            unsafe { H5PLset_loading_state(&raw mut none) };
        });
    });
}

/// The first filter of a dataset's pipeline that is not read here, in words; `None` when all are.
pub(super) fn unreadable(properties: &hdf5::plist::DatasetCreate) -> hdf5::Result<Option<String>> {
    hdf5::sync::sync(|| {
        // SAFETY: the property list is open as long as `properties` lives, and the lock that the library needs is held.
        let filters = unsafe { H5Pget_nfilters(properties.id()) };
        for place in 0..u32::try_from(filters).map_err(|_| "the filters cannot be read")? {
            let (mut flags, mut values) = (0, 0);
            // SAFETY: as above; no room for values or a name is offered, and the library may leave out both.
            let filter = unsafe {
                H5Pget_filter2(
                    properties.id(),
                    place,
                    &raw mut flags,
                    &raw mut values,
                    ptr::null_mut(),
                    0,
                    ptr::null_mut(),
                    ptr::null_mut(),
                )
            };
            if !READABLE.contains(&filter) {
                return Ok(Some(named(filter)));
            }
        }
        Ok(None)
    })
}

/// A filter's registered number and, of those that laboratories meet, its name.
fn named(filter: i32) -> String {
    let name = match filter {
        5 => "n-bit",
        6 => "scale-offset",
        401 => "MaxWell",
        32000 => "lzf",
        32001 => "blosc",
        32004 => "lz4",
        32008 => "bitshuffle",
        32013 => "zfp",
        32015 => "zstd",
        32026 => "blosc2",
        _ => return filter.to_string(),
    };
    format!("{filter} ({name})")
}
