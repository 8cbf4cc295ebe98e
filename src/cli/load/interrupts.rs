//! Signals that ask a load to end.

use std::future::{Future, pending};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::process;
use crate::cli::error::CliError;

/// Ctrl-C, the end that a service manager asks for, and the end of the terminal.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    /// None where it is ignored.
    hangup: Option<Signal>,
}

impl Interrupts {
    /// Begin to listen.
    pub(crate) fn listen() -> Result<Self, CliError> {
        let listen =
            |kind| signal(kind).map_err(|source| CliError::System { doing: "listening for signals", source });
        // To listen would undo what nohup has done.
        let hears_hangup = !process::ignores_hangup();
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: hears_hangup.then(|| listen(SignalKind::hangup())).transpose()?,
        })
    }

    /// Wait for the next one.
    pub(crate) async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }

    /// What comes of `work`, unless one of them comes before: the error then ends with `what`, which says how far things were.
    pub(super) async fn during<T>(
        &mut self,
        work: impl Future<Output = Result<T, CliError>>,
        what: &str,
    ) -> Result<T, CliError> {
        tokio::select! {
            done = work => done,
            () = self.next() => Err(CliError::Interrupted(what.to_owned())),
        }
    }
}
