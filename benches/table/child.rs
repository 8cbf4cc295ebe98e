//! Programs that are run and listened to.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program that is measured, as built with this benchmark.
pub(crate) const GLAUBER: &str = env!("CARGO_BIN_EXE_glauber");

/// How the error of a program begins that took too long.
pub(crate) const LATE: &str = "it was ended after";

/// What a program has said, and how long it took.
pub(crate) struct Said {
    pub(crate) stdout: String,
    pub(crate) seconds: f64,
}

/// Run a program to its end, which must be a good one and come in time. What it writes to stderr is passed on.
///
/// Whatever goes wrong is told in one line, with the last one it wrote.
pub(crate) fn run(command: &mut Command, time_limit: Duration) -> Result<Said, String> {
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let stdout = scope.spawn(|| {
            let mut text = String::new();
            stdout.map_or(Ok(0), |mut stdout| stdout.read_to_string(&mut text)).map(|_| text)
        });
        let last = scope.spawn(|| stderr.map_or_else(String::new, pass_on));
        let status = wait(&mut child, began + time_limit);
        let seconds = began.elapsed().as_secs_f64();
        let stdout = stdout.join().map_err(|_| "its output was lost")?.map_err(|error| error.to_string())?;
        let last = last.join().unwrap_or_default();
        match status? {
            Some(status) if status.success() => Ok(Said { stdout, seconds }),
            Some(status) => Err(if last.is_empty() { status.to_string() } else { last }),
            None => Err(format!("{LATE} {:.0} s", time_limit.as_secs_f64())),
        }
    })
}

/// Its exit status; `None` when it had to be ended.
fn wait(child: &mut Child, until: Instant) -> Result<Option<std::process::ExitStatus>, String> {
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => return Ok(Some(status)),
            None if Instant::now() >= until => {
                end(child);
                return Ok(None);
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn end(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}

/// Show each line; gives the last that says something.
fn pass_on(stderr: impl Read) -> String {
    let mut last = String::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        eprintln!("   {line}");
        if !line.trim().is_empty() {
            last = line.trim_start_matches("error: ").to_owned();
        }
    }
    last
}

/// The JSON document that a program prints.
pub(crate) fn json(said: &Said) -> Result<serde_json::Value, String> {
    serde_json::from_str(&said.stdout).map_err(|error| format!("what it printed is not JSON: {error}"))
}

/// Another benchmark of this project, with arguments.
pub(crate) fn bench(root: &Path, name: &str, arguments: &[String]) -> (Command, String) {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["bench", "--quiet", "--locked", "--bench", name, "--"]).args(arguments).current_dir(root);
    // What cargo has told this program about itself would make build scripts that look at it (ring's) run again, and everything after them.
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        let told = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
            "CARGO_TARGET_TMPDIR",
        ];
        if told.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&key);
        }
    }
    (command, format!("cargo bench --bench {name} -- {}", arguments.join(" ")))
}

/// The numbers of a line `NAME: median MS ms (min MS ms)`, by its name.
pub(crate) fn median_ms(output: &str, name: &str) -> Result<f64, String> {
    let said = output.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": median "));
    let number = said.and_then(|rest| rest.split(' ').next()?.parse().ok());
    number.ok_or_else(|| format!("it printed no line '{name}: median MS ms …'"))
}

/// A daemon, ended when dropped.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) address: String,
}

impl Daemon {
    /// Start one that keeps everything in this directory, with a key of its configuration set.
    pub(crate) fn start(directory: &Path, setting: Option<&str>) -> Result<Self, String> {
        let mut command = Command::new(GLAUBER);
        command.args(["serve", "--json", "--listen", "127.0.0.1:0"]);
        if cfg!(target_os = "linux") {
            command.args(["--stop-with-parent", &std::process::id().to_string()]);
        }
        command.arg("--archive-dir").arg(directory.join("snapshots"));
        command.arg("--journal-dir").arg(directory.join("journal"));
        if let Some(setting) = setting {
            command.args(["--set", setting]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("{GLAUBER}: {error}"))?;
        let mut daemon = Self { child, address: String::new() };
        let mut line = String::new();
        if let Some(stdout) = daemon.child.stdout.as_mut() {
            BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        }
        let said: Option<serde_json::Value> = serde_json::from_str(&line).ok();
        let address = said.as_ref().and_then(|said| said["address"].as_str());
        daemon.address = address.ok_or("the daemon did not start")?.to_owned();
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}
