//! `glauber completions`: what a shell completes after `glauber`.

use clap::Args;
use clap_complete::Shell;

use super::error::CliError;
use super::output;

/// Print the completions of a shell
#[derive(Debug, Clone, Copy, Args)]
#[command(after_help = "\
Examples:
  glauber completions bash > ~/.local/share/bash-completion/completions/glauber
  glauber completions zsh > ~/.zfunc/_glauber
  glauber completions fish > ~/.config/fish/completions/glauber.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: CompletionsArgs) -> Result<(), CliError> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut super::shown(), "glauber", &mut text);
    output::bytes(&text)
}
