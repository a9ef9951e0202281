//! One call on every backend and every CPU level there is, compared with the reference interpreter.
//!
//! The reference runs the program as it was lowered, one invocation after the other, before any pass: it says what the WGSL
//! means. Nothing of the caller's data is written.

use std::fmt;

use super::compare::{Allowed, Comparison, Runs, compare};
use super::dispatcher::{Dispatcher, is_no_shader};
use super::report::Subject;
use crate::backend::{Backend, Policy};
use crate::cpu::CpuLevel;
use crate::error::{Error, Result};
use crate::exec::shader;
use crate::exec::threads::Threads;
use crate::kernel::{BindingKind, Kernel};
use crate::launch::job::{self, Job};
use crate::launch::{self, Grid, IntoArgs, IntoBindings, IntoOutputs};
use crate::part::Part;
use crate::spmd::oracle::{Fusion, run_watched};

/// What each backend made of a call, compared with the reference. Prints as a table.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Verification {
    /// The kernel's name.
    pub kernel: String,
    /// What ran, or was to run.
    pub runs: Vec<Checked>,
    /// Why backends may differ, where they do: what to look for in the shader.
    pub hint: Option<&'static str>,
}

/// One backend's part in a [`Verification`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Checked {
    /// The backend.
    pub backend: Backend,
    /// The vector instructions that it was to use, of [`Backend::Simd`].
    pub level: Option<CpuLevel>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of one backend's run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// It ran; one for each output.
    Compared(Vec<Comparison>),
    /// It is not there: why.
    Absent(String),
    /// It should have run, as the reference did, and failed.
    Failed(Error),
}

impl Verification {
    /// Whether every backend that is there gave what is allowed.
    pub fn agrees(&self) -> bool {
        self.runs.iter().all(|run| match &run.outcome {
            Outcome::Compared(outputs) => outputs.iter().all(|output| output.differing == 0),
            Outcome::Absent(_) => true,
            Outcome::Failed(_) => false,
        })
    }
}

/// The outputs of a call as one backend left them.
type Outputs = Vec<Vec<u64>>;

impl Dispatcher {
    /// Runs a loop on every backend and every CPU level there is, and compares the outputs with those of the reference interpreter.
    /// The outputs given say how many elements there are; they are not written.
    ///
    /// # Backends
    /// Each level of the CPU, the thread pool, and the GPU if there is one and the policy is not another backend's.
    ///
    /// # Numerics
    /// CPU levels must give the bits of the reference, with the fused multiply-add of the level or without. A GPU, and a
    /// closure, may differ by what WGSL allows its least accurate functions: by 4096 ULP or 2⁻¹¹ of the output's
    /// largest number, in any way where one of the two is not finite, and not at all in whole numbers.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`Error::WrongCall`] for a closure alone, which has no meaning to compare with;
    /// [`Error::TimeLimit`] and [`Error::Cancelled`] where the reference was stopped: each backend has that time for itself.
    ///
    /// # Cost
    /// The reference is hundreds of times slower than the backends.
    ///
    /// # Examples
    /// ```
    /// use forall::{Dispatcher, Kernel};
    ///
    /// let hypot = Kernel::map("fn hypot(x: f32, y: f32) -> f32 { return sqrt(x * x + y * y); }")?;
    /// let x = [3.0, f32::NAN, -0.0, f32::MAX, 1e-40];
    /// let verified = Dispatcher::new().verify(&hypot, (&x, &x), &mut [0.0_f32; 5])?;
    /// assert!(verified.agrees(), "{verified}");
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn verify<'a, 'b>(
        &self,
        kernel: &Kernel,
        args: impl IntoArgs<'a>,
        outputs: impl IntoOutputs<'b>,
    ) -> Result<Verification> {
        is_no_shader(kernel, "verify")?;
        let mut part = launch::check(kernel.signature(), args.into_args(), outputs.into_outputs())?;
        let closure_alone = || Error::WrongCall {
            kernel: kernel.name().to_owned(),
            call: "verify",
            got: "a closure alone, which has nothing to be compared with",
            hint: "give it a WGSL body, Kernel::map(…)?.with_closure(…)",
        };
        let outputs = &kernel.signature().outputs;
        let runs = outputs.iter().map(|field| {
            let numbers = part.n * usize::from(field.ty.width);
            (field.name.clone(), vec![(0, field.ty.scalar.name(), numbers)])
        });
        let mut verify = Verify { dispatcher: self, kernel, outputs: runs.collect(), done: Vec::new() };
        let mut run = |run: &mut dyn FnMut(Part<'_>) -> Result<()>| self.on_poison(&mut part, run);
        let reference = |fusion, part: Part<'_>| {
            kernel.run_reference(fusion, part).unwrap_or_else(|| Err(closure_alone()))
        };
        let references = References::make(|fusion| run(&mut |part| reference(fusion, part)), || self.limit)?;
        for level in CpuLevel::available() {
            let ran = run(&mut |part| kernel.run_wgsl(level, part).unwrap_or_else(|| Err(closure_alone())));
            verify.add(Backend::Simd, Some(level), references.at(level), ran, Allowed::Nothing);
        }
        let allowed = if kernel.has_closure() { Allowed::Wgsl } else { Allowed::Nothing };
        let pool = Threads::global()?;
        let ran = run(&mut |part| pool.run(kernel, part).map(|_| ()));
        verify.add(Backend::Threads, None, references.at(CpuLevel::detected()), ran, allowed);
        if let Some(gpu) = self.to_gpu()? {
            let ran = run(&mut |part| gpu.run_part(kernel, part).map(|_| ()));
            verify.add(Backend::Gpu, None, &references.fused, ran, Allowed::Wgsl);
        }
        Ok(verify.result(None))
    }

    /// The same for a launch: what [`launch`](Self::launch) would do, on every backend, compared with the reference. Nothing that
    /// is bound is written.
    ///
    /// # Numerics
    /// As [`verify`](Self::verify). A shader whose result depends on the order in which its invocations run differs;
    /// [`Verification::hint`] then says what to look for.
    ///
    /// # Errors
    /// As [`launch`](Self::launch) and [`verify`](Self::verify).
    ///
    /// # Examples
    /// ```
    /// use forall::{Dispatcher, Grid, Kernel};
    ///
    /// let reverse = Kernel::shader(
    ///     "@group(0) @binding(0) var<storage, read_write> x: array<u32>;
    ///      @compute @workgroup_size(64) fn reverse(@builtin(global_invocation_id) id: vec3u) {
    ///          x[arrayLength(&x) - 1 - id.x] = x[id.x];
    ///      }",
    /// )?;
    /// let mut x: Vec<u32> = (0..64).collect();
    /// let verified = Dispatcher::new().verify_launch(&reverse, Grid::threads(64), (("x", &mut x),))?;
    /// // Who reads first? One invocation after the other is not all at once.
    /// assert!(!verified.agrees() && verified.hint.is_some());
    /// assert_eq!(x[1], 1);
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn verify_launch<'a>(
        &self,
        kernel: &Kernel,
        grid: Grid,
        bindings: impl IntoBindings<'a>,
    ) -> Result<Verification> {
        let job = job::check(kernel, grid, bindings.into_bindings())?;
        let contents = job.contents()?;
        let (shader, grid) = (&job.shader, &job.grid);
        let written = || shader.bindings.iter().zip(&contents).filter(|(binding, _)| binding.is_writable());
        let runs = written().map(|(binding, content)| {
            let mut runs: Runs = Vec::new();
            match &binding.kind {
                BindingKind::Texture(texture) => {
                    let number = texture.number;
                    runs.push((0, number, content.len() / crate::kernel::number_bytes(number) as usize));
                }
                BindingKind::Uniform(layout) | BindingKind::Read(layout) | BindingKind::ReadWrite(layout) => {
                    layout.numbers(content.len(), &mut |start, number, count| {
                        runs.push((start, number, count));
                    });
                }
            }
            (binding.name.clone(), runs)
        });
        let mut verify = Verify { dispatcher: self, kernel, outputs: runs.collect(), done: Vec::new() };

        let run = |run: &mut dyn FnMut(&mut Job<'_>) -> Result<()>| -> Result<Outputs> {
            let mut copies: Vec<Vec<u64>> = contents.iter().map(|content| words(content)).collect();
            let bytes = copies
                .iter_mut()
                .zip(&contents)
                .map(|(copy, content)| &mut bytemuck::cast_slice_mut::<u64, u8>(copy)[..content.len()]);
            run(&mut job.with(bytes))?;
            let outputs = shader.bindings.iter().zip(copies).filter(|(binding, _)| binding.is_writable());
            Ok(outputs.map(|(_, copy)| copy).collect())
        };
        let program = shader.reference(grid)?;
        let reference = |fusion| {
            let watch = self.watch();
            run(&mut |job: &mut Job<'_>| {
                job.on_host(false, |buffers| {
                    run_watched(&program, buffers, grid, fusion, &watch)
                        .map_err(|why| Error::stopped(kernel.name(), why))
                })
            })
        };
        let references = References::make(reference, || self.limit)?;
        let on_cpu = |level, pool| {
            let watch = self.watch();
            run(&mut |job: &mut Job<'_>| shader::run(job, level, pool, &watch, None).map(|_| ()))
        };
        for level in CpuLevel::available() {
            let ran = on_cpu(level, None);
            verify.add(Backend::Simd, Some(level), references.at(level), ran, Allowed::Nothing);
        }
        let level = CpuLevel::detected();
        let ran = on_cpu(level, Some(Threads::global()?));
        verify.add(Backend::Threads, None, references.at(level), ran, Allowed::Nothing);
        if let Some(gpu) = self.to_gpu()? {
            let ran = run(&mut |job: &mut Job<'_>| {
                let subject = Subject::Launch(kernel.clone(), job.grid);
                gpu.launch_all(std::slice::from_mut(job), subject).map(|_| ())
            });
            verify.add(Backend::Gpu, None, &references.fused, ran, Allowed::Wgsl);
        }
        Ok(verify.result(Some(ORDER_HINT)))
    }

    /// The same on the GPU alone, unless the policy is another backend's.
    fn to_gpu(&self) -> Result<Option<Self>> {
        let wanted = matches!(self.policy()?, Policy::Auto | Policy::Only(Backend::Gpu));
        Ok(wanted.then(|| self.clone().with_policy(Policy::Only(Backend::Gpu))))
    }

    /// Runs `run` on the part with outputs of its own, which it gives back. They hold what no result has by chance, so that an
    /// element nobody writes differs.
    fn on_poison(&self, part: &mut Part<'_>, run: &mut dyn FnMut(Part<'_>) -> Result<()>) -> Result<Outputs> {
        let poison = |output: &crate::part::Output<'_>| vec![POISON; output.data.len().div_ceil(8)];
        let mut copies: Outputs = part.outputs.iter().map(poison).collect();
        let n = part.n;
        let mut slice = part.slice(0..n);
        slice.watch = self.watch();
        for (output, words) in slice.outputs.iter_mut().zip(&mut copies) {
            let bytes = output.data.len();
            output.data = &mut bytemuck::cast_slice_mut(words)[..bytes];
        }
        run(slice)?;
        Ok(copies)
    }
}

/// A NaN as a float and large as an integer.
const POISON: u64 = 0xffa5_a5a5_ffa5_a5a5;

const ORDER_HINT: &str = "the result depends on the order in which invocations run: look for data that one invocation writes \
     and another one reads without a barrier between them, for indices out of an array's bounds, for what atomics return, and \
     for float sums by atomics";

/// The same where every CPU gives what the reference gives.
const GPU_HINT: &str = "only the GPU differs. Either the result depends on the order in which invocations run: look for data that \
     one invocation writes and another one reads without a barrier between them, such as workgroup memory that the next round of \
     a loop overwrites. Or whole numbers and texels are made of floats where WGSL leaves open what they become: of a NaN, or \
     of one at the edge between two";

fn words(bytes: &[u8]) -> Vec<u64> {
    let mut words = vec![0; bytes.len().div_ceil(8)];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
    words
}

/// What the reference gave, for levels with a fused multiply-add and for those without.
struct References {
    fused: Outputs,
    /// `None` where every level has one.
    split: Option<Outputs>,
}

impl References {
    fn make(
        mut run: impl FnMut(Fusion) -> Result<Outputs>,
        limit: impl Fn() -> Option<std::time::Duration>,
    ) -> Result<Self> {
        let mut run = |fusion| run(fusion).map_err(|error| error.with_limit(limit()));
        let fused = run(Fusion::Fused)?;
        let split = CpuLevel::available().iter().any(|level| !level.has_fma());
        Ok(Self { fused, split: split.then(|| run(Fusion::Split)).transpose()? })
    }

    fn at(&self, level: CpuLevel) -> &Outputs {
        self.split.as_ref().filter(|_| Fusion::of(level) == Fusion::Split).unwrap_or(&self.fused)
    }
}

/// A verification under way.
struct Verify<'a> {
    dispatcher: &'a Dispatcher,
    kernel: &'a Kernel,
    /// Names, and where their numbers are.
    outputs: Vec<(String, Runs)>,
    done: Vec<Checked>,
}

impl Verify<'_> {
    fn add(
        &mut self,
        backend: Backend,
        level: Option<CpuLevel>,
        expected: &Outputs,
        ran: Result<Outputs>,
        allowed: Allowed,
    ) {
        let outcome = match ran {
            Ok(got) => Outcome::Compared(
                (self.outputs.iter().zip(expected.iter().zip(&got)))
                    .map(|((name, runs), (expected, got))| {
                        let (expected, got) = (bytemuck::cast_slice(expected), bytemuck::cast_slice(got));
                        compare(name, runs, expected, got, allowed)
                    })
                    .collect(),
            ),
            Err(Error::Unavailable { reason, .. }) => Outcome::Absent(reason),
            Err(error) => Outcome::Failed(error.with_limit(self.dispatcher.limit)),
        };
        self.done.push(Checked { backend, level, outcome });
    }

    fn result(self, hint: Option<&'static str>) -> Verification {
        let all = Verification { kernel: self.kernel.name().to_owned(), runs: self.done, hint: None };
        let right = |run: &&Checked| matches!(&run.outcome, Outcome::Compared(outputs) if outputs.iter().all(|o| o.differing == 0));
        let on_cpus = all.runs.iter().filter(|run| run.backend != Backend::Gpu);
        let only_the_gpu = on_cpus.clone().filter(right).count() == on_cpus.count();
        let hint = hint.filter(|_| !all.agrees()).map(|hint| if only_the_gpu { GPU_HINT } else { hint });
        Verification { hint, ..all }
    }
}

/// The backend, and its level where it has one.
impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => f.pad(&format!("{} {level}", self.backend)),
            None => f.pad(self.backend.name()),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { output, numbers, max_ulp, open, differing, first } = self;
        write!(f, "{output}: {numbers} numbers, ")?;
        match (*max_ulp, first) {
            (0, None) => f.write_str("the same")?,
            (ulp, None) => write!(f, "at most {ulp} ULP apart")?,
            (ulp, Some(first)) => {
                write!(f, "{differing} differ")?;
                if ulp < u64::MAX {
                    write!(f, ", by {ulp} ULP at most")?;
                }
                write!(
                    f,
                    "; the first is number {}: {}, expected {}",
                    first.number, first.got, first.expected
                )?;
            }
        }
        if *open > 0 {
            write!(f, "; {open} not finite on one side")?;
        }
        Ok(())
    }
}

/// A line for each backend and output.
impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let agrees = if self.agrees() { "agree" } else { "DIFFER" };
        write!(f, "{}: backends and reference {agrees}", self.kernel)?;
        for run in &self.runs {
            match &run.outcome {
                Outcome::Absent(reason) => write!(f, "\n  {run:<16} not here: {reason}")?,
                Outcome::Failed(error) => write!(f, "\n  {run:<16} failed: {error}")?,
                Outcome::Compared(outputs) => {
                    for output in outputs {
                        write!(f, "\n  {run:<16} {output}")?;
                    }
                }
            }
        }
        self.hint.map_or(Ok(()), |hint| write!(f, "\n  {hint}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::Bindings;
    use std::time::Duration;

    fn on_cpu() -> Dispatcher {
        Dispatcher::new().with_policy(Policy::Only(Backend::Threads))
    }

    #[test]
    fn what_only_the_gpu_has_otherwise_has_a_hint_of_its_own() {
        let kernel = Kernel::map("fn f(x: f32) -> f32 { return x; }").expect("WGSL");
        let dispatcher = on_cpu();
        let hint = |cpu: &[u8], gpu: &[u8]| {
            let runs = vec![(0, "u8", 1)];
            let compared =
                |got: &[u8]| Outcome::Compared(vec![compare("out", &runs, &[0], got, Allowed::Nothing)]);
            let done = vec![
                Checked { backend: Backend::Threads, level: None, outcome: compared(cpu) },
                Checked { backend: Backend::Gpu, level: None, outcome: compared(gpu) },
            ];
            Verify { dispatcher: &dispatcher, kernel: &kernel, outputs: Vec::new(), done }
                .result(Some(ORDER_HINT))
                .hint
        };
        assert_eq!(hint(&[0], &[0]), None);
        assert_eq!(hint(&[0], &[255]), Some(GPU_HINT));
        assert_eq!(hint(&[255], &[255]), Some(ORDER_HINT));
    }

    #[test]
    fn every_level_and_the_pool_agree_on_special_numbers() {
        let kernel = Kernel::map(
            "struct Out { a: f32, b: vec2<i32> }
             fn all(x: f32, i: u32) -> Out { return Out(fma(x, x, sin(x)) / x, vec2<i32>(i32(x), i32(i) / (i32(i) % 2))); }",
        )
        .expect("valid WGSL");
        for n in [0, 1, 15, 16, 17, 1025] {
            let special = [0.0, -0.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE, 1e-45, f32::MAX, -3.5];
            let x: Vec<f32> = (0..n).map(|i| special[i % 8] * (1 + i / 8) as f32).collect();
            let (mut a, mut b) = (vec![7.0_f32; n], vec![[7_i32; 2]; n]);
            let verified =
                on_cpu().verify(&kernel, (&x, crate::part::Index), (&mut a, &mut b)).expect("a right call");
            assert!(verified.agrees(), "{verified}");
            assert_eq!(verified.runs.len(), CpuLevel::available().len() + 1);
            assert!(a.iter().all(|a| *a == 7.0) && b.iter().all(|b| *b == [7; 2]), "nothing is written");
        }
    }

    const TICKETS: &str = "@group(0) @binding(0) var<storage, read_write> next: atomic<u32>;
        @group(0) @binding(1) var<storage, read_write> out: array<vec3f>;
        @compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3u) {
            out[id.x] = vec3f(f32(atomicAdd(&next, 1u)));
        }";

    #[test]
    fn launches_leave_what_is_bound_as_it_was() {
        let kernel = Kernel::shader(TICKETS).expect("valid WGSL");
        let (mut next, mut out) = ([5_u32], [[7.0_f32; 4]; 8]);
        let bindings = Bindings::new().bind("next", &mut next).bind("out", &mut out);
        let verified = on_cpu().verify_launch(&kernel, Grid::workgroups(1), bindings).expect("a right call");
        // One workgroup draws in the order of its invocations, everywhere.
        assert!(verified.agrees(), "{verified}");
        assert_eq!((next, out), ([5], [[7.0; 4]; 8]));
        let Outcome::Compared(outputs) = &verified.runs[0].outcome else { panic!("{verified}") };
        assert_eq!(outputs.iter().map(|o| o.numbers).collect::<Vec<_>>(), [1, 24], "no padding");
    }

    #[test]
    fn an_endless_loop_is_an_error_and_a_closure_has_no_meaning() {
        let kernel = Kernel::shader(
            "@group(0) @binding(0) var<storage, read_write> x: array<u32>;
             @compute @workgroup_size(1) fn main() { loop { if x[0] == 1u { break; } x[1] += 1u; } }",
        )
        .expect("valid WGSL");
        let limited = on_cpu().with_time_limit(Duration::from_millis(50));
        let error = limited
            .verify_launch(&kernel, Grid::workgroups(1), (("x", &mut [0_u32; 2]),))
            .expect_err("no end");
        assert!(
            matches!(error, Error::TimeLimit { limit, .. } if limit == Duration::from_millis(50)),
            "{error}"
        );
        let endless =
            Kernel::map("fn f(x: u32) -> u32 { loop { if x == 1u { break; } } return x; }").expect("valid");
        let error = limited.verify(&endless, &[0_u32], &mut [0_u32]).expect_err("no end");
        assert!(matches!(error, Error::TimeLimit { .. }), "{error}");

        let closure = Kernel::scalar("half", |x: f32| x / 2.0);
        let error = on_cpu().verify(&closure, &[1.0_f32], &mut [0.0_f32]).expect_err("nothing to compare");
        assert!(matches!(error, Error::WrongCall { .. }), "{error}");
        // Beside a WGSL body it is compared, and may be a little off, or wrong.
        let wgsl = Kernel::map("fn half(x: f32) -> f32 { return x * 0.5; }").expect("valid");
        let both = wgsl.clone().with_closure(closure).expect("they fit");
        assert!(on_cpu().verify(&both, &[1.0_f32], &mut [0.0_f32]).expect("right").agrees());
        let wrong = wgsl.with_closure(Kernel::scalar("third", |x: f32| x / 3.0)).expect("they fit");
        let verified = on_cpu().verify(&wrong, &[1.0_f32], &mut [0.0_f32]).expect("right");
        assert!(!verified.agrees() && verified.hint.is_none(), "{verified}");
        assert!(verified.to_string().contains("1 differ"), "{verified}");
    }
}
