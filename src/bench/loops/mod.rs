//! The loops that a sweep measures: each compiled, and with data for any size. The shipped ones by their names, and a user's own.

mod function;
mod shader;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::backend::Backend;
use crate::dispatch::Dispatcher;
use crate::error::Result;
use crate::kernel::Kernel;
use crate::launch::job;

pub use function::Given;
pub use shader::Launch;

/// A loop that can be measured at any size.
pub struct Workload {
    name: String,
    what: String,
    element: String,
    integer: bool,
    stays: bool,
    fit: Box<dyn Fn(usize) -> usize + Send + Sync>,
    make: Box<Make>,
}

type Make = dyn Fn(Data) -> Result<Box<dyn Call>> + Send + Sync;

/// What the data of a call are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    /// Elements.
    pub n: usize,
    /// Of random numbers.
    pub seed: u64,
    /// Whether data stays where it was last used from one call to the next. Otherwise every call finds its inputs in the host's memory,
    /// and leaves its outputs there.
    pub resident: bool,
}

/// One loop at one size, with its data: what a sample times.
pub trait Call {
    /// Runs it once; tells where.
    ///
    /// # Errors
    /// Those of [`Dispatcher::run`] and [`Dispatcher::launch`].
    fn run(&mut self, forall: &Dispatcher, side: Side) -> Result<Backend>;

    /// Makes the inputs as they were, where calls change them.
    ///
    /// # Errors
    /// Where the data is lost with a GPU.
    fn reset(&mut self) -> Result<()> {
        Ok(())
    }

    /// The results of the last call.
    ///
    /// # Errors
    /// Where the data is lost with a GPU.
    fn output(&self) -> Result<Vec<Output>>;

    /// What the call has to do, which may depend on its results.
    fn work(&self, output: &[Output]) -> Work;

    /// How the size is told, where it is not one number: `256 × 256`.
    fn label(&self) -> Option<String> {
        None
    }
}

/// Whose kernels run. A dispatcher learns from what a kernel has cost: it has kernels of its own, so that it is not told by the
/// contenders that it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A backend by its name.
    Backend,
    /// The dispatcher's choice.
    Dispatcher,
}

/// The numbers that a call has written to one array.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Floats.
    F32(Vec<f32>),
    /// Whole numbers, signed ones by their bits.
    U32(Vec<u32>),
}

/// What a call has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Bytes to read and to write, each once.
    pub bytes: f64,
    /// Operations, as in [`Size::flops`](super::Size::flops); 0 where nobody has counted them.
    pub flops: f64,
}

impl Workload {
    /// A loop of one's own. `fit` gives the nearest size that it has; `make` compiles nothing and makes the data for a size.
    ///
    /// # Examples
    /// See [`Workload::function`], which is this for a function of one element.
    pub fn new(
        name: impl Into<String>,
        what: impl Into<String>,
        fit: impl Fn(usize) -> usize + Send + Sync + 'static,
        make: impl Fn(Data) -> Result<Box<dyn Call>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            what: what.into(),
            element: "element".into(),
            integer: false,
            stays: true,
            fit: Box::new(fit),
            make: Box::new(make),
        }
    }

    /// A function of one element. What `given` says nothing about is an array of random numbers: floats in [0, 1), whole numbers below 1000.
    ///
    /// # Errors
    /// [`Error::UnknownParameter`](crate::Error::UnknownParameter), or [`Error::Unsupported`](crate::Error::Unsupported) where an array is of
    /// other numbers than those of 32 bits.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use forall::Kernel;
    /// use forall::bench::{Sweep, Workload};
    ///
    /// let cube = Kernel::map("fn cube(x: f32) -> f32 { return x * x * x; }")?;
    /// let cube = Workload::function("my own", cube, Vec::new())?;
    /// let results = Sweep::new(vec![cube]).with_sizes(10, 1000).with_budget(Duration::from_millis(50)).run()?;
    /// for size in &results.loops[0].sizes {
    ///     println!("{}: {:?} is the fastest", size.n, size.winner);
    /// }
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn function(what: impl Into<String>, kernel: Kernel, given: Vec<(String, Given)>) -> Result<Self> {
        function::custom(what.into(), kernel, given)
    }

    /// A compute shader, launched once in each call; `data` makes what it runs over for a size. What the shader writes, it finds in the next
    /// call as it left it.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use forall::bench::{Launch, Sweep, Workload};
    /// use forall::{Grid, Kernel};
    ///
    /// let step = Kernel::shader(
    ///     "@group(0) @binding(0) var<storage, read_write> x: array<f32>;
    ///      @compute @workgroup_size(64)
    ///      fn step(@builtin(global_invocation_id) id: vec3u) { x[id.x] = 0.5 * x[id.x] + 1.0; }",
    /// )?;
    /// let step = Workload::shader("my own", step, |n| {
    ///     Ok(Launch { grid: Grid::threads(n as u32), data: vec![vec![0; 4 * n]] })
    /// });
    /// let results = Sweep::new(vec![step]).with_sizes(10, 100).with_budget(Duration::from_millis(20)).run()?;
    /// assert!(results.loops[0].sizes[0].winner.is_some());
    /// # Ok::<(), forall::Error>(())
    /// ```
    pub fn shader(
        what: impl Into<String>,
        kernel: Kernel,
        data: impl Fn(usize) -> Result<Launch> + Send + Sync + 'static,
    ) -> Self {
        shader::custom(what.into(), kernel, data)
    }

    /// The names of the shipped loops, and what they compute.
    pub fn shipped() -> impl Iterator<Item = (&'static str, &'static str)> {
        function::SPECS.iter().map(|s| (s.name, s.what)).chain(shader::SPECS.iter().map(|s| (s.name, s.what)))
    }

    /// A shipped loop, compiled; `None` if there is none of that name.
    ///
    /// # Errors
    /// None, on a platform on which the tests of this library pass.
    pub fn named(name: &str) -> Result<Option<Self>> {
        if let Some(spec) = function::SPECS.iter().find(|spec| spec.name == name) {
            return function::shipped(spec).map(Some);
        }
        shader::SPECS.iter().find(|spec| spec.name == name).map(shader::shipped).transpose()
    }

    /// The shipped loop that a misspelt name most likely means.
    pub fn closest(name: &str) -> Option<&'static str> {
        job::closest(name, Self::shipped().map(|(name, _)| name))
    }

    /// As `forall bench` takes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it computes.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What an element is.
    pub fn element(&self) -> &str {
        &self.element
    }

    /// Whether its operations are on whole numbers.
    pub fn integer(&self) -> bool {
        self.integer
    }

    /// Whether its data can stay where it was last used; that of functions is always in the host's memory.
    pub fn stays(&self) -> bool {
        self.stays
    }

    /// The nearest size that it has.
    pub fn fit(&self, n: usize) -> usize {
        (self.fit)(n)
    }

    /// The data for a size that it has.
    ///
    /// # Errors
    /// Those of the loop's own making.
    pub fn call(&self, data: Data) -> Result<Box<dyn Call>> {
        (self.make)(data)
    }
}

impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workload").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Side {
    fn index(self) -> usize {
        self as usize
    }
}

/// Random numbers, the same in every run: SplitMix64 (Steele, Lea and Flood, 2014).
pub(super) struct Random(u64);

impl Random {
    /// `stream` tells apart the arrays of one seed.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed);
        random.0 = random.next() ^ stream.wrapping_mul(0xd134_2543_de82_ef95);
        random
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [low, high).
    pub(super) fn float(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.next() >> 40) as f32 * 2.0_f32.powi(-24))
    }

    pub(super) fn floats(mut self, n: usize, low: f32, high: f32) -> Vec<f32> {
        (0..n).map(|_| self.float(low, high)).collect()
    }

    pub(super) fn words(mut self, n: usize) -> Vec<u32> {
        (0..n).map(|_| (self.next() >> 32) as u32).collect()
    }

    /// In 0..n.
    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Policy;

    #[test]
    fn every_shipped_loop_runs_alike_on_both_sides_and_backends() {
        let names: Vec<_> = Workload::shipped().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 14);
        let only = |backend| Dispatcher::new().with_policy(Policy::Only(backend));
        let (simd, threads) = (only(Backend::Simd), only(Backend::Threads));
        for name in names {
            let workload = Workload::named(name).unwrap().unwrap();
            for n in [1, 2, 10, 1000, 30_000] {
                let n = workload.fit(n);
                assert_eq!(workload.fit(n), n, "{name}: a size that it has is its own");
                let mut outputs = Vec::new();
                for resident in [false, true] {
                    let mut call = workload.call(Data { n, seed: 3, resident }).unwrap();
                    for (forall, side) in [(&simd, Side::Backend), (&threads, Side::Dispatcher)] {
                        call.reset().unwrap();
                        call.run(forall, side).unwrap();
                        outputs.push(call.output().unwrap());
                    }
                    let work = call.work(&outputs[0]);
                    assert!(work.bytes > 0.0 && work.flops >= 0.0, "{name}");
                }
                let numbers = |output: &Output| match output {
                    Output::F32(x) => x.len(),
                    Output::U32(x) => x.len(),
                };
                assert!(outputs[0].iter().map(numbers).sum::<usize>() > 0, "{name}");
                assert!(outputs.iter().all(|output| *output == outputs[0]), "{name} of {n} differs");
            }
        }
        assert!(Workload::named("saxpi").unwrap().is_none());
    }

    #[test]
    fn sorted_keys_are_sorted() {
        let workload = Workload::named("bitonic_sort").unwrap().unwrap();
        let mut call = workload.call(Data { n: 5000, seed: 1, resident: false }).unwrap();
        call.run(&Dispatcher::new(), Side::Backend).unwrap();
        let [Output::U32(keys)] = &call.output().unwrap()[..] else { panic!("one array of keys") };
        assert!(keys.is_sorted() && keys.len() == 5000 && keys[0] != keys[4999]);
    }
}
