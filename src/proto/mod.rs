//! The gRPC interface as Rust types, clients and servers, and the messages of the journal: what `proto/` says and nothing else.
//!
//! The Rust files and `descriptor_set.bin` are generated and committed, so that building needs no protobuf compiler;
//! `tests/generated_proto.rs` fails when they are not current, and rewrites them with `GLAUBER_REGENERATE=1`.

/// Version 1 of the interface.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic, clippy::nursery)]
#[allow(clippy::restriction, rustdoc::all)]
#[rustfmt::skip]
pub mod v1 {
    include!("glauber.v1.rs");
}

/// What the journal holds.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic, clippy::nursery)]
#[allow(clippy::restriction, rustdoc::all)]
#[rustfmt::skip]
pub mod journal {
    include!("glauber.journal.v1.rs");
}

/// The encoded `FileDescriptorSet` of the interface, for server reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!("descriptor_set.bin");
