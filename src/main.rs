//! Parses the command line and runs the command.

use std::process::ExitCode;

use clap::Parser;
use outrigger::commands::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
