//! The first call of a process: how a sweep asks for one, and how the process that is asked makes and times it. Starting that process, and
//! carrying question and answer to and fro, is the business of whoever has a program to start: `forall bench --cold`.
//!
//! **What is timed:** opening the loop, which compiles its kernel; the dispatcher; and its call, from the data in the host's memory to
//! the results there. So it is all that a program has to do besides having data, from the start of `main`. Making the data is not timed, nor
//! is what the system does before `main`: loading the program, its libraries, its page tables.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::check;
use super::loops::{Data, Side, Work, Workload};
use crate::backend::{Backend, Policy};
use crate::dispatch::Dispatcher;
use crate::error::{Error, Result};

/// A call that is to be the first one of a process of its own.
///
/// # Examples
/// A program that measures itself cold:
/// ```no_run
/// use std::process::Command;
/// use forall::bench::{FirstCall, Sweep, Workload};
///
/// // As the process that is asked: one answer, and no more.
/// if let Some(call) = std::env::args().nth(1) {
///     let call: FirstCall = serde_json::from_str(&call)?;
///     let outcome = call.run(|| Ok::<_, forall::Error>(Workload::named(&call.name)?.expect("a shipped loop")))?;
///     println!("{}", serde_json::to_string(&outcome)?);
///     return Ok(());
/// }
/// // As the one that asks.
/// let ask = |call: &FirstCall| {
///     let fail = |what: &dyn std::fmt::Display| call.failed(what);
///     let call = serde_json::to_string(call).map_err(|e| fail(&e))?;
///     let this = std::env::current_exe().map_err(|e| fail(&e))?;
///     let output = Command::new(this).arg(call).output().map_err(|e| fail(&e))?;
///     serde_json::from_slice(&output.stdout).map_err(|e| fail(&e))
/// };
/// let saxpy = Workload::named("saxpy")?.expect("a shipped loop");
/// let results = Sweep::new(vec![saxpy]).with_sizes(10, 10_000).with_first_calls(ask).run()?;
/// println!("{}", results.to_json());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstCall {
    /// The loop's name.
    pub name: String,
    /// Elements.
    pub n: usize,
    /// Where it runs; `None` leaves that to the dispatcher.
    pub backend: Option<Backend>,
    /// Of the random inputs.
    pub seed: u64,
    /// Whether results of a GPU are compared with those of `simd`, once the time has been taken. (Those of the CPU backends have a digest.)
    pub check: bool,
}

/// What came of a first call: it ran, or its backend cannot run it.
pub type Outcome = std::result::Result<Ran, Failed>;

/// A first call that ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ran {
    /// How long it took, in nanoseconds, with all that had to be done before it.
    pub ns: f64,
    /// Where it ran.
    pub backend: Backend,
    /// Of its results: the same for all backends of the CPU.
    pub digest: u64,
    /// How its results differ from those of `simd`, where they should not.
    pub difference: Option<String>,
    /// What it had to do.
    pub work: Work,
    /// How the size is told, where it is not one number.
    pub label: Option<String>,
}

/// A first call that did not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Why not.
    pub reason: String,
    /// The backend, if it can run nothing here: there is no GPU.
    pub unavailable: Option<Backend>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable { backend, reason, .. } => Self { reason, unavailable: Some(backend) },
            error => Self { reason: error.to_string(), unavailable: None },
        }
    }
}

impl FirstCall {
    /// Makes and times the call; `open` gives the loop, compiled in there and not before.
    ///
    /// # Errors
    /// Those of `open` and of making the data, and those of `simd` where results are compared with its. What the backend cannot do
    /// is an [`Outcome`].
    pub fn run<E: From<Error>>(&self, open: impl FnOnce() -> Result<Workload, E>) -> Result<Outcome, E> {
        let start = Instant::now();
        let workload = open()?;
        let opened = start.elapsed();
        let mut call = workload.call(Data { n: self.n, seed: self.seed, resident: false })?;
        let start = Instant::now();
        let forall = Dispatcher::new().with_policy(self.backend.map_or(Policy::Auto, Policy::Only));
        let ran = call.run(&forall, Side::Backend);
        let ns = (opened + start.elapsed()).as_nanos() as f64;
        let (backend, output) = match ran.and_then(|backend| Ok((backend, call.output()?))) {
            Ok(ran) => ran,
            Err(error) => return Ok(Err(error.into())),
        };
        let mut difference = None;
        if self.check && backend == Backend::Gpu {
            call.reset()?;
            call.run(&Dispatcher::new().with_policy(Policy::Only(Backend::Simd)), Side::Backend)?;
            difference = check::difference(&call.output()?, &output, true);
        }
        let (digest, work, label) = (check::digest(&output), call.work(&output), call.label());
        Ok(Ok(Ran { ns, backend, digest, difference, work, label }))
    }

    /// The error of a process that gave no outcome, to be returned to the sweep.
    pub fn failed(&self, what: impl std::fmt::Display) -> Error {
        let on = self.backend.map_or("auto", Backend::name);
        Error::Process { message: format!("the process for {} of {} on {on}: {what}", self.name, self.n) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, backend: Option<Backend>) -> FirstCall {
        FirstCall { name: name.into(), n: 1000, backend, seed: 7, check: true }
    }

    fn open(name: &str) -> impl FnOnce() -> Result<Workload> {
        let name = name.to_owned();
        move || Ok(Workload::named(&name)?.expect("a shipped loop"))
    }

    #[test]
    fn backends_of_the_cpu_have_one_digest_and_seeds_have_others() {
        for name in ["saxpy", "mandelbrot", "reduce_tree", "bitonic_sort"] {
            let ran = |backend| call(name, backend).run(open(name)).unwrap().unwrap();
            let (simd, threads) = (ran(Some(Backend::Simd)), ran(Some(Backend::Threads)));
            assert_eq!((simd.backend, threads.backend), (Backend::Simd, Backend::Threads));
            assert_eq!((simd.digest, simd.work), (threads.digest, threads.work), "{name}");
            assert!(simd.ns > 0.0 && simd.work.bytes > 0.0 && simd.difference.is_none());
        }
        let other = FirstCall { seed: 8, ..call("saxpy", Some(Backend::Simd)) };
        let digest = |call: FirstCall| call.run(open("saxpy")).unwrap().unwrap().digest;
        assert_ne!(digest(other), digest(call("saxpy", Some(Backend::Simd))));
    }

    #[test]
    fn questions_and_answers_are_json() {
        let there_and_back = |outcome: Outcome| {
            let text = serde_json::to_string(&outcome).unwrap();
            assert!(!text.contains('\n'));
            assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
        };
        let asked = call("matmul_tiled", None);
        assert_eq!(
            serde_json::from_str::<FirstCall>(&serde_json::to_string(&asked).unwrap()).unwrap(),
            asked
        );
        there_and_back(asked.run(open("matmul_tiled")).unwrap());
        there_and_back(Err(Failed { reason: "no\n\"GPU\"".into(), unavailable: Some(Backend::Gpu) }));
    }

    #[test]
    fn what_cannot_be_opened_is_an_error() {
        let error = Error::Process { message: "none".into() };
        assert_eq!(call("saxpy", None).run(|| Err(error.clone())), Err(error));
    }
}
