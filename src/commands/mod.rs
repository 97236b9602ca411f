//! The command line: one file for each command.
//!
//! Exit codes: 0 done; 1 refused or failed, with the reasons on stderr; 2 usage.

mod completions;
mod demo;
pub mod engine;
mod inject;
mod manifest;
mod marked;
mod reference;
mod serve;
mod sidecars;
mod source;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "outrigger", version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Inject(inject::Args),
    Demo(demo::Args),
    Sidecars(sidecars::Args),
    Completions(completions::Args),
}

impl Cli {
    /// Runs the command, and says on stderr why it failed if it did.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let result = match self.command {
            Command::Serve(args) => serve::run(args),
            Command::Inject(args) => inject::run(args),
            Command::Demo(args) => demo::run(args),
            Command::Sidecars(args) => sidecars::run(args),
            Command::Completions(args) => completions::run(args),
        };
        result.unwrap_or_else(|error| {
            // `outrigger ... | head` has what it wanted: nobody is left to tell.
            if error.downcast_ref::<io::Error>().is_some_and(is_broken_pipe) {
                return ExitCode::SUCCESS;
            }
            say(&format!("error: {error:#}\n"));
            ExitCode::FAILURE
        })
    }
}

fn is_broken_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// A value as JSON for people.
fn pretty(value: &serde_json::Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Writes a command's result to stdout, all of it or an error.
fn put(text: &str) -> anyhow::Result<ExitCode> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Writes to stderr. A failure is ignored: there is no third place to report it.
fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
