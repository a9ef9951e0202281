//! The `forall` command: arguments and exit codes. Each subcommand has its own file.

mod devices;
mod npy;
mod progress;
mod run;
mod summary;
mod value;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Numeric loops, written once as WGSL, on GPU, SIMD lanes or threads.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 it failed (files, data, backend), 2 bad usage."
)]
struct Command {
    #[command(subcommand)]
    subcommand: Sub,
}

#[derive(Debug, Subcommand)]
enum Sub {
    Run(run::Options),
    Devices(devices::Options),
}

/// Why the command ends with an error.
#[derive(Debug)]
enum Failure {
    /// What was asked for makes no sense: exit code 2.
    Usage(String),
    /// It makes sense, and failed: exit code 1.
    Run(String),
}

/// A call that does not fit its kernel, and a body that is no kernel, are bad usage; all else failed on the way.
impl From<forall::Error> for Failure {
    fn from(error: forall::Error) -> Self {
        use forall::Error as E;
        let message = error.to_string();
        match error {
            E::Wgsl { .. }
            | E::Unsupported { .. }
            | E::ArgumentCount { .. }
            | E::UnknownParameter { .. }
            | E::MissingParameter { .. }
            | E::DuplicateParameter { .. }
            | E::WrongType { .. }
            | E::UnknownBackend { .. }
            | E::Config { .. } => Self::Usage(message),
            _ => Self::Run(message),
        }
    }
}

fn main() -> ExitCode {
    // Clap itself exits with 2 on bad usage, with 0 after --help.
    let done = match Command::parse().subcommand {
        Sub::Run(options) => run::run(&options),
        Sub::Devices(options) => devices::run(&options),
    };
    let (code, message) = match done.and_then(|text| print(&text)) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Run(message)) => (1, message),
        Err(Failure::Usage(message)) => (2, message),
    };
    // Where even stderr is closed, the exit code alone tells.
    let _ = writeln!(io::stderr(), "error: {message}");
    ExitCode::from(code)
}

/// All of a command's output at once. A reader that has read enough, as `head`, is no error.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Run(format!("stdout: {e}"))),
        _ => Ok(()),
    }
}
