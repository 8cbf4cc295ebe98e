//! `glauber man`: the manual, made from the very arguments.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;

use super::Manner;
use super::error::CliError;
use super::output::{self, outln};

/// Print the manual page, or write those of all subcommands into a directory
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  glauber man | man -l -
  glauber man --dir /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Directory to write glauber.1, glauber-serve.1 and so on into; made when missing
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &ManArgs, manner: Manner) -> Result<(), CliError> {
    let mut program = super::shown().disable_help_subcommand(true);
    program.build();
    let Some(dir) = &args.dir else { return output::bytes(&page(&program)?) };
    std::fs::create_dir_all(dir).map_err(|source| CliError::Io {
        doing: "making the directory",
        path: dir.clone(),
        source,
    })?;
    let written = write_pages(&program, dir)?;
    if manner.quiet { Ok(()) } else { outln!("{written} manual pages in {}", dir.display()) }
}

/// Write the page of a command and those of its subcommands; gives how many.
fn write_pages(command: &Command, dir: &Path) -> Result<usize, CliError> {
    let path = dir.join(format!("{}.1", command.get_display_name().unwrap_or_else(|| command.get_name())));
    let failed = |source| CliError::Io { doing: "writing", path: path.clone(), source };
    let text = page(command)?;
    // Whole or not at all.
    let file = tempfile::Builder::new().permissions(Permissions::from_mode(0o644)).tempfile_in(dir);
    let mut file = file.map_err(failed)?;
    file.write_all(&text).map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    let mut written = 1;
    for subcommand in command.get_subcommands() {
        written += write_pages(subcommand, dir)?;
    }
    Ok(written)
}

fn page(command: &Command) -> Result<Vec<u8>, CliError> {
    let mut text = Vec::new();
    Man::new(command.clone())
        .manual("glauber")
        .render(&mut text)
        .map_err(|source| CliError::System { doing: "writing the manual page", source })?;
    Ok(text)
}
