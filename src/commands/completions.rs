//! `outrigger completions`: what a shell needs to complete our command line.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

/// Print the completion script of a shell
///
/// For bash: source <(outrigger completions bash)
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell that is to complete
    shell: Shell,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    // By way of a buffer: the generator panics when its writer fails, as a closed pipe does.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "outrigger", &mut script);
    super::put(&String::from_utf8(script)?)
}
