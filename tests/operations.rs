//! The program in the hands of who operates it: configuration, service manager, health, log, packaging.
#![cfg(all(feature = "daemon", unix))]

mod operations {
    mod config;
    mod help;
    mod log;
    mod packaging;
    mod program;
    mod service;
    mod upgrade;
}
