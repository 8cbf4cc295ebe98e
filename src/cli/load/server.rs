//! A daemon of our own: the same program, in a directory that goes when it ends.

use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cli::config;
use crate::cli::error::CliError;

/// How long it may take until it listens: it has nothing to recover.
const START_WAIT: Duration = Duration::from_secs(60);
/// How long one that does not listen may take to end.
const END_WAIT: Duration = Duration::from_secs(5);

/// How it is to be started.
#[derive(Debug, Clone)]
pub(super) struct Wanted<'a> {
    /// Where to put its directory; the system's place for such when `None`.
    pub(super) within: Option<&'a Path>,
    pub(super) journal: bool,
    pub(super) config: Option<&'a Path>,
    /// `KEY=VALUE` of its configuration.
    pub(super) settings: &'a [String],
}

/// A daemon that ends, and leaves nothing, when this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    address: String,
    directory: TempDir,
}

impl Server {
    /// Start it and wait until it listens. It ends with the thread that this is called from, where the system can do that: that must be
    /// one that lives as long as the program.
    pub(super) async fn start(wanted: &Wanted<'_>) -> Result<Self, CliError> {
        let within = wanted.within.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let failed = |doing: &'static str, path: PathBuf| move |source| CliError::Io { doing, path, source };
        let directory = tempfile::Builder::new()
            .prefix("glauber-load-")
            .tempdir_in(&within)
            .map_err(failed("making a directory in", within.clone()))?;
        let log = log(directory.path());
        let stderr = std::fs::File::create(&log).map_err(failed("making", log))?;
        let program = std::env::current_exe()
            .map_err(|source| CliError::System { doing: "finding this program", source })?;
        let mut command = Command::new(&program);
        command.args(["serve", "--json", "--listen", "127.0.0.1:0"]);
        if cfg!(target_os = "linux") {
            command.arg("--stop-with-parent").arg(std::process::id().to_string());
        }
        command.arg("--archive-dir").arg(directory.path().join("snapshots"));
        command.arg("--journal-dir");
        if wanted.journal {
            command.arg(directory.path().join("journal"))
        } else {
            command.arg("")
        };
        match wanted.config {
            Some(config) => {
                command.arg("--config").arg(config);
            }
            // They may be meant for the daemon that is in use here: what was not asked for must not decide what is measured.
            None => config::environment().for_each(|name| {
                command.env_remove(name);
            }),
        }
        for setting in wanted.settings {
            command.arg("--set").arg(setting);
        }
        // Ctrl-C goes to all of a terminal's processes; this one is to live until everything is drained and checked.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let child = command.spawn().map_err(failed("starting", program))?;
        let mut server = Self { child, address: String::new(), directory };
        server.address = server.announced().await?;
        Ok(server)
    }

    /// Where it says that it listens.
    async fn announced(&mut self) -> Result<String, CliError> {
        let stdout = self.child.stdout.take();
        let listen = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            let Some(mut stdout) = stdout.map(BufReader::new) else { return Ok((line, None)) };
            stdout.read_line(&mut line).map(|_| (line, Some(stdout.into_inner())))
        });
        let heard = tokio::time::timeout(START_WAIT, listen).await.map_err(|_| {
            let (said, seconds) = (self.last_words(), START_WAIT.as_secs());
            CliError::Load(format!("the daemon did not listen within {seconds} s; it said last: '{said}'"))
        })?;
        let (line, stdout) = heard
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(|source| CliError::System { doing: "listening to the daemon", source })?;
        // As long as it is kept, whatever else the daemon says is no error for it.
        self.child.stdout = stdout;
        let said: Option<serde_json::Value> = serde_json::from_str(&line).ok();
        if let Some(address) = said.as_ref().and_then(|said| said["address"].as_str()) {
            return Ok(address.to_owned());
        }
        let status = self.status(END_WAIT).await;
        let said = self.last_words();
        Err(match status {
            // A setting that it does not take is one that we were given.
            Some(status) if status.code() == Some(2) => CliError::Config { problem: said },
            Some(status) => CliError::Load(format!("the daemon did not start ({}): {said}", ended(status))),
            None => CliError::Load(format!("the daemon did not say where it listens: {said}")),
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it keeps everything.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What became of it, if it ends within that time.
    pub(super) async fn end(&mut self, patience: Duration) -> Option<String> {
        let status = self.status(patience).await?;
        Some(match self.last_words() {
            said if said.is_empty() => ended(status),
            said => format!("{}; it said last: {said}", ended(status)),
        })
    }

    /// How it ended, if it does within that time.
    async fn status(&mut self, patience: Duration) -> Option<ExitStatus> {
        let asked = Instant::now();
        loop {
            match self.child.try_wait().ok()? {
                Some(status) => return Some(status),
                None if asked.elapsed() >= patience => return None,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// The last line that it wrote about its work.
    fn last_words(&self) -> String {
        let said = std::fs::read(log(self.directory.path())).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        last.trim_start_matches("error: ").to_owned()
    }
}

impl Drop for Server {
    /// Everything that is to be known of it is known: no need for it to write its last files.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn log(directory: &Path) -> PathBuf {
    directory.join("log")
}

fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Whether a directory lies in memory, where nothing is ever synced to a disk.
pub(super) fn is_in_memory(directory: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        const TMPFS: u64 = 0x0102_1994;
        rustix::fs::statfs(directory).is_ok_and(|system| system.f_type as u64 == TMPFS)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = directory;
        false
    }
}
