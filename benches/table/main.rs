//! Everything that is fast or slow, measured in one run on one machine, in one table.
//!
//! ```text
//! cargo bench --bench table [-- --only SECTION] [--quick] [--write-docs]
//! ```
//!
//! Writes `target/bench/table.md`, `table.json` beside it and plots of how times grow. `--only` (machine, counting, ingest, estimators,
//! queries, offline, scaling; may be repeated) measures a part, `--quick` less of everything, to see that it works; `--write-docs` puts the
//! table between its markers in README.md and the plots into docs/bench/, if nothing failed.
//!
//! Recordings are read from `GLAUBER_DATA`; baselines are run with `GLAUBER_PYTHON` (else python3) if it has numpy and scipy. What is not
//! there is skipped, and the table says so. Spikes are seeded; counts are compared between kernels and with numpy, and a load checks itself:
//! what does not agree is a row that says `failed`, and exit code 1.

mod baselines;
mod bins;
mod child;
mod counting;
mod docs;
mod estimators;
mod ingest;
mod machine;
mod offline;
mod plot;
mod popcount;
mod queries;
mod refresh;
mod row;
mod scaling;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use machine::Machine;
use row::{Row, Section, Table};

/// What was asked for, and where.
struct Asked {
    quick: bool,
    write_docs: bool,
    /// Sections; all of them when empty.
    only: Vec<String>,
    /// The project.
    root: PathBuf,
    /// Where everything that is made goes.
    directory: PathBuf,
}

/// What a section finds out that others need.
#[derive(Default)]
struct Found {
    machine: Machine,
    /// Neurons, and how long a refresh takes, milliseconds.
    refreshes: Vec<(usize, f64)>,
}

type Measure = fn(&Asked, &mut Found) -> Vec<Row>;

const SECTIONS: [(&str, &str, Measure); 7] = [
    ("machine", "This machine", machine::measure),
    ("counting", "Counting, in the library", counting::measure),
    ("ingest", "Taking bins in, through gRPC", ingest::measure),
    ("estimators", "Estimates, on one core", estimators::measure),
    ("queries", "Queries, through gRPC", queries::measure),
    ("offline", "Recordings", offline::measure),
    ("scaling", "How times grow", scaling::measure),
];

fn main() -> ExitCode {
    let asked = match Asked::parse(std::env::args().skip(1)) {
        Ok(Some(asked)) => asked,
        Ok(None) => return ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            return ExitCode::from(2);
        }
    };
    match run(&asked) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("error: something failed; the rows say what");
            ExitCode::FAILURE
        }
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Measure, write, and say whether all went well.
fn run(asked: &Asked) -> Result<bool, String> {
    make_directory(&asked.directory)?;
    let began = Instant::now();
    let mut found = Found::default();
    let mut sections = Vec::new();
    for (name, title, measure) in SECTIONS {
        // The others' shares are shares of this machine's limits.
        if name == "machine" || asked.wants(name) {
            eprintln!("-- {title}");
            let measured =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| measure(asked, &mut found)));
            let rows = measured.unwrap_or_else(|_| {
                vec![Row::failed("everything", "it panicked; see above").by(&asked.myself(name))]
            });
            rows.iter().for_each(|row| eprintln!("   {}", row.line()));
            sections.push(Section { name, title, rows });
        }
    }
    let table = Table {
        machine: found.machine.line(),
        quick: asked.quick,
        seconds: began.elapsed().as_secs_f64(),
        sections,
    };
    let markdown = table.markdown();
    println!("{markdown}");
    let json = serde_json::to_string_pretty(&table.json()).map_err(|error| error.to_string())?;
    write(&asked.directory.join("table.md"), &markdown)?;
    write(&asked.directory.join("table.json"), &json)?;
    eprintln!("written: {}", asked.directory.join("table.md").display());
    if asked.write_docs && !table.has_failed() {
        docs::write_all(asked, &markdown)?;
    }
    Ok(!table.has_failed())
}

impl Asked {
    /// `None` when nothing is to be measured.
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let directory = root.join("target/bench");
        let mut asked = Self { quick: false, write_docs: false, only: Vec::new(), root, directory };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => asked.quick = true,
                "--write-docs" => asked.write_docs = true,
                "--only" => asked.only.push(arguments.next().ok_or("--only wants the name of a section")?),
                // Both from cargo.
                "--bench" => {}
                "--list" => return Ok(None),
                other => return Err(format!("'{other}' is not --only SECTION, --quick or --write-docs")),
            }
        }
        for name in &asked.only {
            if !SECTIONS.iter().any(|(known, ..)| known == name) {
                let known: Vec<&str> = SECTIONS.iter().map(|(name, ..)| *name).collect();
                return Err(format!("there is no section '{name}', but {}", known.join(", ")));
            }
        }
        if asked.write_docs && !asked.only.is_empty() {
            return Err("--write-docs wants the whole table, not --only a part".to_owned());
        }
        Ok(Some(asked))
    }

    fn wants(&self, section: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == section)
    }

    /// Either of two, by how much time there is.
    fn pick<T>(&self, quick: T, whole: T) -> T {
        if self.quick { quick } else { whole }
    }

    /// The command that measures a section again.
    fn myself(&self, section: &str) -> String {
        let quick = if self.quick { " --quick" } else { "" };
        format!("cargo bench --bench table -- --only {section}{quick}")
    }
}

fn make_directory(directory: &Path) -> Result<(), String> {
    std::fs::create_dir_all(directory).map_err(|error| format!("making {}: {error}", directory.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("writing {}: {error}", path.display()))
}

/// The median time of a call in seconds, over at least `repeats` calls and `seconds`.
fn median_s(repeats: usize, seconds: f64, mut call: impl FnMut()) -> f64 {
    let mut times = Vec::new();
    while times.len() < repeats || times.iter().sum::<f64>() < seconds {
        let began = Instant::now();
        call();
        times.push(began.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
