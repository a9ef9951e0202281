//! Launches that are recorded and then run together.

use super::dispatcher::Dispatcher;
use super::report::{Report, Subject};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::launch::job::{self, Job};
use crate::launch::{Grid, IntoBindings};

/// Launches of shaders over [`Array`](crate::Array)s, recorded once and run together: on a GPU as one submission, on the CPU one
/// after the other. Each sees what the launches before it have written.
///
/// # Examples
/// ```
/// use forall::{Array, Dispatcher, Grid, Kernel};
///
/// let blur = Kernel::shader(
///     "@group(0) @binding(0) var<storage, read> x: array<f32>;
///      @group(0) @binding(1) var<storage, read_write> out: array<f32>;
///      @compute @workgroup_size(64)
///      fn blur(@builtin(global_invocation_id) id: vec3u) {
///          let last = arrayLength(&x) - 1;
///          if (id.x > last) { return; }
///          out[id.x] = (x[max(id.x, 1) - 1] + x[id.x] + x[min(id.x + 1, last)]) / 3;
///      }",
/// )?;
/// let (mut x, mut out) = (Array::from(vec![0.0_f32, 3.0, 9.0, 6.0]), Array::zeros(4));
/// let forall = Dispatcher::new();
/// let mut steps = forall.sequence();
/// for _ in 0..100 {
///     steps.launch(&blur, Grid::threads(4), (("x", &x), ("out", &out)))?;
///     std::mem::swap(&mut x, &mut out);
/// }
/// let report = steps.run()?;
/// assert!(x.read()?.iter().all(|x| (x - 4.5).abs() < 1e-3));
/// println!("{report}");
/// # Ok::<(), forall::Error>(())
/// ```
#[derive(Debug)]
pub struct Sequence<'a> {
    forall: &'a Dispatcher,
    first: Option<Kernel>,
    jobs: Vec<Job<'static>>,
}

impl<'a> Sequence<'a> {
    pub(super) fn new(forall: &'a Dispatcher) -> Self {
        Self { forall, first: None, jobs: Vec::new() }
    }

    /// Records a launch. It is checked now and runs nothing; what is bound are [`Array`](crate::Array)s, and values as they are now.
    ///
    /// # Errors
    /// As [`Dispatcher::launch`], except those that only running can find. Nothing is recorded then.
    pub fn launch(
        &mut self,
        kernel: &Kernel,
        grid: Grid,
        bindings: impl IntoBindings<'static>,
    ) -> Result<&mut Self> {
        let job = job::check(kernel, grid, bindings.into_bindings())?;
        self.first.get_or_insert_with(|| kernel.clone());
        self.jobs.push(job);
        Ok(self)
    }

    /// Launches recorded.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether nothing is recorded.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Runs what is recorded, and returns when it is done. It may be run again.
    ///
    /// # Errors
    /// As [`Dispatcher::launch`]. On the CPU, the launches before the one that was stopped are then done.
    pub fn run(&mut self) -> Result<Report> {
        let subject = Subject::Sequence(self.jobs.len(), self.first.clone());
        self.forall.launch_all(&mut self.jobs, subject)
    }
}
