//! The `forall` command: arguments and exit codes. Each subcommand has its own file.

mod bench;
mod bind;
mod body;
mod check;
mod devices;
mod interrupt;
mod layout;
mod npy;
mod progress;
mod run;
mod summary;
mod tune;
mod value;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Numeric loops, written once as WGSL, on GPU, SIMD lanes or threads.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 it failed (files, data, backend), 2 bad usage, 130 Ctrl-C."
)]
struct Command {
    #[command(subcommand)]
    subcommand: Sub,
}

#[derive(Debug, Subcommand)]
enum Sub {
    Run(run::Options),
    Check(check::Options),
    Bench(bench::Options),
    Devices(devices::Options),
    Tune(tune::Options),
}

/// Why the command ends with an error.
#[derive(Debug)]
enum Failure {
    /// What was asked for makes no sense: exit code 2.
    Usage(String),
    /// It makes sense, and failed: exit code 1.
    Run(String),
    /// `forall check` found a difference, `forall bench` a slow-down; the text for stdout: exit code 1.
    Differs(String),
    /// Ctrl-C, after `forall bench` had measured something; the text for stdout.
    Partial(String),
    /// Ctrl-C.
    Interrupted,
}

impl Failure {
    /// The same with another message.
    fn map(self, message: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Usage(text) => Self::Usage(message(text)),
            Self::Run(text) => Self::Run(message(text)),
            Self::Differs(_) | Self::Partial(_) | Self::Interrupted => self,
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Run(_) | Self::Differs(_) => 1,
            Self::Usage(_) => 2,
            Self::Interrupted | Self::Partial(_) => interrupt::EXIT_CODE,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Usage(message) | Self::Run(message) | Self::Differs(message) | Self::Partial(message) => {
                message
            }
            Self::Interrupted => "interrupted; every file is as it was before",
        })
    }
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
            | E::WrongCall { .. }
            | E::GridTooLarge { .. }
            | E::UnknownBinding { .. }
            | E::MissingBinding { .. }
            | E::WrongAccess { .. }
            | E::UnknownBackend { .. }
            | E::Config { .. } => Self::Usage(message),
            E::Cancelled { .. } => Self::Interrupted,
            _ => Self::Run(message),
        }
    }
}

/// Says which variables are misspelt: a setting that nobody reads would be ignored in silence.
fn warn_of_variables() {
    const KNOWN: [&str; 7] = [
        "FORALL_BACKEND",
        "FORALL_THREADS",
        "FORALL_PROFILE",
        "FORALL_DETERMINISTIC",
        "FORALL_EXPLAIN",
        "FORALL_ALLOW_SOFTWARE_GPU",
        "FORALL_REQUIRE_GPU",
    ];
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"FORALL_") && !KNOWN.iter().any(|known| name == *known) {
            let (name, known) = (name.display(), KNOWN.join(", "));
            let _ = writeln!(io::stderr(), "warning: {name} is no variable of forall, which reads {known}");
        }
    }
}

fn main() -> ExitCode {
    warn_of_variables();
    // Bad usage too is an object where JSON is asked for; what it is that was asked for, clap does not tell then.
    // (`forall bench --json` names a file for results.)
    let words = || std::env::args_os().skip(1).take_while(|arg| arg != "--");
    let json =
        words().next().is_some_and(|subcommand| subcommand != "bench") && words().any(|arg| arg == "--json");
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) if json && error.use_stderr() => {
            let message = error.to_string();
            return fail(&Failure::Usage(message.trim_end().trim_start_matches("error: ").to_owned()), json);
        }
        Err(error) => error.exit(),
    };
    let done = match command.subcommand {
        Sub::Run(options) => run::run(&options),
        Sub::Check(options) => check::run(&options),
        Sub::Bench(options) => bench::run(&options),
        Sub::Devices(options) => devices::run(&options),
        Sub::Tune(options) => tune::run(&options),
    };
    match done.and_then(|text| print(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure @ (Failure::Differs(_) | Failure::Partial(_))) => {
            let _ = print(&failure.to_string());
            ExitCode::from(failure.exit_code())
        }
        Err(failure) => fail(&failure, json),
    }
}

/// Says what went wrong: as one line of JSON on stdout, where the result would be, or in words on stderr.
fn fail(failure: &Failure, json: bool) -> ExitCode {
    let exit = failure.exit_code();
    // Where even stdout or stderr is closed, the exit code alone tells.
    if json {
        let object = serde_json::json!({ "error": { "exit": exit, "message": failure.to_string() } });
        let _ = print(&format!("{object}\n"));
    } else {
        let _ = writeln!(io::stderr(), "error: {failure}");
    }
    ExitCode::from(exit)
}

/// All of a command's output at once. A reader that has read enough, as `head`, is no error.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Run(format!("stdout: {e}"))),
        _ => Ok(()),
    }
}
