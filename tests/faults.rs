//! The real daemon on a disk that is full, broken or forbidden: a small library preloaded into it (tests/fixtures/faults.c) lets system
//! calls fail while it runs. Runs on Linux where there is a C compiler; skipped elsewhere.
#![cfg(all(feature = "daemon", target_os = "linux"))]

#[path = "daemon/rig.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon in this process")]
mod rig;

mod faults {
    mod archive;
    mod journal;
    mod server;
    mod shim;
    mod start;
}
