//! `forall bench --cold`: asks other processes of this program for their first calls, and is such a process.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use std::{env, fs, process, thread};

use forall::Machine;
use forall::bench::{FirstCall, Outcome};

use super::loops::{self, Own};
use crate::{Failure, interrupt};

/// As such a process: one call, and its outcome as one line of JSON.
pub(super) fn answer(question: &str, names: &[OsString], own: &Own) -> Result<String, Failure> {
    let call: FirstCall = serde_json::from_str(question).map_err(|error| {
        Failure::Usage(format!("--first-call: {error}, expected what bench --cold gives"))
    })?;
    let outcome = call.run(|| loops::one(names, own))?;
    let line = serde_json::to_string(&outcome).map_err(|error| Failure::Run(error.to_string()))?;
    Ok(line + "\n")
}

/// Asks them. They find this machine's profile, measured for them and kept as long: what they choose by and what they pay for is the
/// same with and without a profile of the user's, in CI too.
pub(super) struct Asker {
    this: PathBuf,
    profile: PathBuf,
    /// Of each loop: its name, and the argument that names it.
    loops: Vec<(String, OsString)>,
    own: Vec<OsString>,
}

impl Asker {
    /// Measures the machine.
    pub(super) fn new(loops: Vec<(String, OsString)>, own: &Own) -> Result<Self, Failure> {
        let this = env::current_exe()
            .map_err(|error| Failure::Run(format!("cannot start another forall: {error}")))?;
        let profile = env::temp_dir().join(format!("forall-bench-{}.json", process::id()));
        let asker = Self { this, profile, loops, own: own.args() };
        Machine::measured()?.save_to(&asker.profile).map_err(|error| {
            Failure::Run(format!(
                "cannot keep a profile for other processes: {error}; TMPDIR names another folder"
            ))
        })?;
        Ok(asker)
    }

    /// One sample.
    pub(super) fn ask(&self, call: &FirstCall) -> Result<Outcome, forall::Error> {
        let question = serde_json::to_string(call).map_err(|error| call.failed(error))?;
        let argument = self.loops.iter().find(|(name, _)| *name == call.name);
        let (_, argument) = argument.ok_or_else(|| call.failed("no such loop was opened"))?;
        let mut command = Command::new(&self.this);
        command.arg("bench").args(&self.own).args(["--first-call", &question, "--"]).arg(argument);
        let output = command.env("FORALL_PROFILE", &self.profile).stdin(Stdio::null()).output();
        let output = output.map_err(|error| call.failed(format_args!("cannot be started: {error}")))?;
        outcome(&output).map_err(|message| {
            // Ctrl-C ends that process too, and may do so before this one has heard of it.
            thread::sleep(Duration::from_millis(100));
            match interrupt::requested() {
                true => forall::Error::Cancelled { kernel: call.name.clone() },
                false => call.failed(message),
            }
        })
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        // What may be left is a file in the system's folder for such files.
        let _ = fs::remove_file(&self.profile);
    }
}

/// What a process has said, or what it has done instead.
fn outcome(output: &Output) -> Result<Outcome, String> {
    /// The end of what it has said tells the most.
    const MOST: usize = 2000;
    let end = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim();
        text.char_indices().rev().nth(MOST).map_or(text, |(at, _)| &text[at..]).to_owned()
    };
    let words = || match end(&output.stderr) {
        words if words.is_empty() => "and said nothing on stderr".to_owned(),
        words => format!("and said on stderr:\n{words}"),
    };
    if !output.status.success() {
        return Err(format!("ended with {}, expected an outcome, {}", output.status, words()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| {
        format!("printed `{}`, expected an outcome ({error}), {}", end(&output.stdout), words())
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use forall::Backend;

    /// A process that does what a shell's text says.
    fn does(script: &str) -> Result<Outcome, String> {
        outcome(&Command::new("sh").args(["-c", script]).output().unwrap())
    }

    #[test]
    fn a_process_answers_or_says_why_not() {
        let failed =
            does("echo '{\"Err\":{\"reason\":\"no GPU\",\"unavailable\":\"gpu\"}}'; echo noise >&2").unwrap();
        assert_eq!(failed.unwrap_err().unavailable, Some(Backend::Gpu));
        for (script, says) in [
            (
                "echo 'error: no memory' >&2; exit 1",
                &["exit status: 1", "said on stderr:\nerror: no memory"][..],
            ),
            ("kill -SEGV $$", &["signal: 11", "said nothing on stderr"]),
            ("echo '{\"Ok\":3}'", &["printed `{\"Ok\":3}`, expected an outcome (invalid type"]),
            ("echo a driver greets; echo '{}'", &["printed `a driver greets\n{}`"]),
            ("", &["printed ``", "EOF"]),
        ] {
            let error = does(script).unwrap_err();
            assert!(says.iter().all(|words| error.contains(words)), "{script}: {error}");
        }
        let long = does("yes öö | head -n 9999 >&2; exit 3").unwrap_err();
        assert!(long.contains("exit status: 3") && long.chars().count() < 2200, "{long}");
    }
}
