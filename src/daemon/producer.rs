//! Who may send bins into a session: one producer at a time, and none of a lower epoch than one before.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::error::RequestError;

/// One producer's stream, as its handler, the engine and the session's state share it.
#[derive(Debug)]
pub(super) struct ProducerLink {
    pub(super) epoch: u64,
    connected: AtomicBool,
    received_through: AtomicU64,
    fault: watch::Sender<Option<RequestError>>,
}

impl ProducerLink {
    fn new(epoch: u64, connected: bool) -> Self {
        Self {
            epoch,
            connected: AtomicBool::new(connected),
            received_through: AtomicU64::new(0),
            fault: watch::Sender::new(None),
        }
    }

    /// End the stream with this error, unless another one came first.
    pub(super) fn fail(&self, error: RequestError) {
        self.fault.send_if_modified(|fault| {
            let first = fault.is_none();
            if first {
                *fault = Some(error);
            }
            first
        });
    }

    pub(super) fn fault(&self) -> Option<RequestError> {
        self.fault.borrow().clone()
    }

    pub(super) fn watch_fault(&self) -> watch::Receiver<Option<RequestError>> {
        self.fault.subscribe()
    }

    /// Note that bins before `bin` have been taken over from the stream.
    pub(super) fn receive_through(&self, bin: u64) {
        self.received_through.fetch_max(bin, Ordering::Relaxed);
    }

    /// Bin before which everything was received; `None` once a message was refused, for then it was not.
    pub(super) fn received_through(&self) -> Option<u64> {
        match *self.fault.borrow() {
            Some(_) => None,
            None => Some(self.received_through.load(Ordering::Relaxed)),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }
}

/// The place of a session's producer.
#[derive(Debug, Default)]
pub(super) struct ProducerSlot {
    /// The newest producer, connected or not.
    current: Mutex<Option<Arc<ProducerLink>>>,
}

/// Holds a session's place for as long as the stream lives.
#[derive(Debug)]
pub(super) struct ProducerGuard {
    pub(super) link: Arc<ProducerLink>,
}

impl Drop for ProducerGuard {
    fn drop(&mut self) {
        self.link.connected.store(false, Ordering::Release);
    }
}

impl ProducerSlot {
    /// Take the place, from a producer of a lower epoch if need be.
    pub(super) fn take(&self, session_id: &str, epoch: u64) -> Result<ProducerGuard, RequestError> {
        // A poisoned lock guards a single assignment: what it holds is whole.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = current.as_ref() {
            // Also when it has left: what a fenced producer still holds must not come after what its successor sent.
            if epoch < link.epoch {
                return Err(RequestError::Fenced { session_id: session_id.to_owned(), epoch: link.epoch });
            }
            if epoch == link.epoch && link.is_connected() {
                return Err(RequestError::ProducerConnected {
                    session_id: session_id.to_owned(),
                    connected: link.epoch,
                    asked: epoch,
                });
            }
            // Only then: what one that has left still has in the queue is to be counted.
            if link.is_connected() {
                link.fail(RequestError::Fenced { session_id: session_id.to_owned(), epoch });
            }
        }
        let link = Arc::new(ProducerLink::new(epoch, true));
        *current = Some(Arc::clone(&link));
        Ok(ProducerGuard { link })
    }

    /// Remember the producer of an earlier run of the daemon, so that those it fenced stay fenced.
    pub(super) fn restore(&self, epoch: u64) {
        let link = Arc::new(ProducerLink::new(epoch, false));
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
    }

    /// The newest producer, connected or not.
    pub(super) fn current(&self) -> Option<Arc<ProducerLink>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_producer_needs_a_higher_epoch() {
        let slot = ProducerSlot::default();
        let first = slot.take("s", 1).unwrap();
        assert!(matches!(slot.take("s", 0), Err(RequestError::Fenced { epoch: 1, .. })));
        assert!(matches!(slot.take("s", 1), Err(RequestError::ProducerConnected { connected: 1, .. })));
        assert_eq!(first.link.fault(), None);
        let second = slot.take("s", 2).unwrap();
        assert!(matches!(first.link.fault(), Some(RequestError::Fenced { epoch: 2, .. })));
        drop(first);
        assert!(slot.take("s", 1).is_err());
        drop(second);
        for fenced in [0, 1] {
            assert!(matches!(slot.take("s", fenced), Err(RequestError::Fenced { epoch: 2, .. })));
        }
        drop(slot.take("s", 2).unwrap());
        assert!(slot.take("s", 5).is_ok());
    }

    #[test]
    fn what_was_fenced_before_a_restart_stays_fenced() {
        let slot = ProducerSlot::default();
        slot.restore(3);
        assert!(matches!(slot.take("s", 2), Err(RequestError::Fenced { epoch: 3, .. })));
        assert!(slot.take("s", 3).is_ok(), "the producer itself comes back");
    }

    #[test]
    fn the_first_fault_stays() {
        let slot = ProducerSlot::default();
        let producer = slot.take("s", 0).unwrap();
        producer.link.receive_through(7);
        assert_eq!(producer.link.received_through(), Some(7));
        producer.link.fail(RequestError::ShuttingDown);
        producer.link.fail(RequestError::NotOpened);
        assert_eq!(producer.link.fault(), Some(RequestError::ShuttingDown));
        assert_eq!(producer.link.received_through(), None);
    }
}
