//! Threads whose work can wait: estimates, refits and fits of equilibrium models give way to ingest, queries and the journal.

use std::thread::JoinHandle;

/// How threads in the background are started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Background {
    /// Added to the niceness of the daemon; 0 leaves them as they are.
    nice: u8,
}

impl Background {
    pub(super) fn new(nice: u8) -> Self {
        Self { nice }
    }

    /// Start a thread of lower priority; so are the threads that it starts. On systems other than Linux, where only a whole
    /// process has a niceness, it is a thread like all others.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn spawn<R: Send + 'static>(
        self,
        name: String,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> std::io::Result<JoinHandle<R>> {
        std::thread::Builder::new().name(name).spawn(move || {
            self.give_way();
            work()
        })
    }

    /// Lower the priority of the calling thread, for good.
    #[cfg(target_os = "linux")]
    pub(super) fn give_way(self) {
        use rustix::process::{getpid, getpriority_process, setpriority_process};
        // On Linux both are of one thread: the first, which nobody lowers, so that whoever gives way twice does so once, and the calling one.
        // That may always be made nicer; should the system refuse, it is a thread like all others.
        let lowered = getpriority_process(Some(getpid()))
            .and_then(|nice| setpriority_process(None, (nice + i32::from(self.nice)).min(19)));
        if let Err(error) = lowered {
            tracing::warn!(%error, "priority of a thread not lowered");
        }
    }

    /// Of no effect here.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn give_way(self) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Niceness of the calling thread: the 19th field, of which the second, in parentheses, may hold spaces.
    fn nice() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, after_name) = stat.rsplit_once(") ").unwrap();
        after_name.split(' ').nth(16).unwrap().parse().unwrap()
    }

    #[test]
    fn threads_and_those_they_start_are_nicer_and_others_as_before() {
        let before = nice();
        let inherited = || std::thread::scope(|scope| scope.spawn(nice).join().unwrap());
        let spawned = Background::new(3).spawn("x y) z".to_owned(), move || (nice(), inherited())).unwrap();
        let expected = (before + 3).min(19);
        assert_eq!(spawned.join().unwrap(), (expected, expected));
        assert_eq!(nice(), before);
        let twice = Background::new(3).spawn(String::new(), || {
            Background::new(3).give_way();
            nice()
        });
        assert_eq!(twice.unwrap().join().unwrap(), expected);
        let most = Background::new(19).spawn(String::new(), nice).unwrap();
        assert_eq!(most.join().unwrap(), (before + 19).min(19));
    }
}
