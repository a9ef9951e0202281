//! Compute shaders as workloads: their launches, over arrays that stay where they are, or are moved at every call.

use std::f64::consts::TAU;

use bytemuck::Pod;

use super::{Call, Data, Output, Random, Side, Work, Workload};
use crate::array::Array;
use crate::backend::Backend;
use crate::dispatch::{Dispatcher, Report};
use crate::error::Result;
use crate::kernel::{Kernel, Layout, ShaderOptions};
use crate::launch::{Bindings, Grid};

/// A shipped shader.
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    element: &'static str,
    integer: bool,
    text: &'static str,
    /// Empty for the only one.
    entries: &'static [&'static str],
    fit: fn(usize) -> usize,
    make: fn(Data) -> Made,
}

/// Data of a size, and what a call does with it.
struct Made {
    /// Read by every call.
    inputs: Vec<Box<dyn Numbers>>,
    /// Makes the inputs as they were, where a call changes them.
    reset: Option<Box<dyn Fn() -> Result<()>>>,
    /// Its kernels are those of `entries`. Gives the arrays of the result too.
    run: Box<Run>,
    work: Work,
    label: Option<String>,
}

type Run = dyn Fn(&Dispatcher, &[Kernel]) -> Result<(Report, Vec<Box<dyn Numbers>>)>;

pub(super) const SPECS: [Spec; 8] = [
    Spec {
        name: "reduce_tree",
        what: "a sum: trees in workgroup memory, launched again over their own results",
        element: "element",
        integer: false,
        text: include_str!("../../../shaders/reduce_tree.wgsl"),
        entries: &[],
        fit: |n| n.max(1),
        make: reduce_tree,
    },
    Spec {
        name: "prefix_scan",
        what: "prefix sums in one pass: workgroups that wait for the ones before them",
        element: "element",
        integer: true,
        text: include_str!("../../../shaders/prefix_scan.wgsl"),
        entries: &[],
        fit: |n| n.max(1),
        make: prefix_scan,
    },
    Spec {
        name: "histogram",
        what: "how often each byte occurs: atomics in workgroup memory, then in storage",
        element: "key",
        integer: true,
        text: include_str!("../../../shaders/histogram.wgsl"),
        entries: &[],
        fit: |n| n.max(1),
        make: histogram,
    },
    Spec {
        name: "matmul_tiled",
        what: "the product of two matrices, the cube root of n wide: tiles in workgroup memory",
        element: "product",
        integer: false,
        text: include_str!("../../../shaders/matmul_tiled.wgsl"),
        entries: &[],
        fit: |n| side(n).pow(3),
        make: matmul_tiled,
    },
    Spec {
        name: "jacobi",
        what: "ten steps of heat on a plate: a stencil, a launch for each step",
        element: "point",
        integer: false,
        text: include_str!("../../../shaders/jacobi.wgsl"),
        entries: &[],
        fit: |n| square(n).iter().product(),
        make: jacobi,
    },
    Spec {
        name: "game_of_life",
        what: "ten generations on a torus: a stencil of whole numbers, a launch for each",
        element: "cell",
        integer: true,
        text: include_str!("../../../shaders/game_of_life.wgsl"),
        entries: &[],
        fit: |n| square(n).iter().product(),
        make: game_of_life,
    },
    Spec {
        name: "bitonic_sort",
        what: "a sorting network: tiles in workgroup memory, then launches over all keys",
        element: "key",
        integer: true,
        text: include_str!("../../../shaders/bitonic_sort.wgsl"),
        entries: &["sort_tiles", "mirror", "meet", "merge_tiles"],
        fit: |n| n.max(2),
        make: bitonic_sort,
    },
    Spec {
        name: "fft_stockham",
        what: "the Fourier transform of a power of two of complex numbers, a launch for each factor of four",
        element: "number",
        integer: false,
        text: include_str!("../../../shaders/fft_stockham.wgsl"),
        entries: &["radix_64", "radix_4", "radix_4_long", "radix_2"],
        fit: |n| power_of_two(n),
        make: fft_stockham,
    },
];

pub(super) fn shipped(spec: &'static Spec) -> Result<Workload> {
    let kernels = sides(match spec.entries {
        [] => vec![Kernel::shader(spec.text)?],
        entries => {
            let built = entries.iter().map(|entry| ShaderOptions::new().entry(entry).build(spec.text));
            built.collect::<Result<_>>()?
        }
    });
    let make = move |data: Data| -> Result<Box<dyn Call>> {
        let made = (spec.make)(data);
        Ok(Box::new(Launches { kernels: kernels.clone(), made, resident: data.resident, last: Vec::new() }))
    };
    let element = spec.element.to_owned();
    Ok(Workload { element, integer: spec.integer, ..Workload::new(spec.name, spec.what, spec.fit, make) })
}

/// Those for each [`Side`].
fn sides(kernels: Vec<Kernel>) -> [Vec<Kernel>; 2] {
    let twins = kernels.iter().map(Kernel::twin).collect();
    [kernels, twins]
}

/// See [`Workload::shader`].
pub(super) fn custom(
    what: String,
    kernel: Kernel,
    data: impl Fn(usize) -> Result<Launch> + Send + Sync + 'static,
) -> Workload {
    let name = kernel.name().to_owned();
    let kernels = sides(vec![kernel]);
    let make = move |Data { n, resident, .. }: Data| -> Result<Box<dyn Call>> {
        let made = launch(&kernels[0][0], data(n)?);
        Ok(Box::new(Launches { kernels: kernels.clone(), made, resident, last: Vec::new() }))
    };
    Workload::new(name, what, |n| n.max(1), make)
}

/// One launch of a shader: what runs, over what.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// How much of it runs.
    pub grid: Grid,
    /// The data of every variable, in the order of [`Kernel::bindings`]: the bytes of its WGSL type.
    pub data: Vec<Vec<u8>>,
}

fn launch(kernel: &Kernel, launch: Launch) -> Made {
    let bytes = launch.data.iter().map(Vec::len).sum();
    let places: Vec<_> = kernel.bindings().iter().map(|binding| (binding.group, binding.binding)).collect();
    let variables: Vec<Variable> = (launch.data.iter().zip(kernel.bindings()))
        .map(|(data, binding)| Variable {
            array: Array::from(&data[..]),
            float: binding.layout().and_then(Layout::number) == Some("f32"),
            writable: binding.is_writable(),
        })
        .collect();
    let again = variables.clone();
    let reset = move || {
        let mut pairs = again.iter().zip(&launch.data);
        pairs.try_for_each(|(variable, data)| variable.array.write(|now| now.copy_from_slice(data)))
    };
    Made {
        inputs: variables.iter().map(|variable| Box::new(variable.clone()) as Box<dyn Numbers>).collect(),
        reset: Some(Box::new(reset)),
        run: Box::new(move |forall, kernels| {
            let mut bindings = Bindings::new();
            for (place, variable) in places.iter().zip(&variables) {
                bindings = bindings.bind(*place, &variable.array);
            }
            let report = forall.launch(&kernels[0], launch.grid, bindings)?;
            let written = variables.iter().filter(|variable| variable.writable);
            Ok((report, written.map(|variable| Box::new(variable.clone()) as Box<dyn Numbers>).collect()))
        }),
        work: work(bytes, 0.0),
        label: None,
    }
}

/// The data of a variable of any type.
#[derive(Clone)]
struct Variable {
    array: Array<u8>,
    /// Whether all its numbers are floats.
    float: bool,
    writable: bool,
}

impl Numbers for Variable {
    fn touch(&self) -> Result<()> {
        self.array.write(|_| ())
    }

    fn fetch(&self) -> Result<()> {
        self.array.read().map(drop)
    }

    fn numbers(&self) -> Result<Output> {
        let bytes = self.array.read()?;
        let whole = &bytes[..bytes.len() / 4 * 4];
        Ok(match self.float {
            true => Output::F32(bytemuck::pod_collect_to_vec(whole)),
            false => Output::U32(bytemuck::pod_collect_to_vec(whole)),
        })
    }
}

/// One shader, or a sequence of launches, with its arrays.
struct Launches {
    kernels: [Vec<Kernel>; 2],
    made: Made,
    resident: bool,
    /// The result of the last call.
    last: Vec<Box<dyn Numbers>>,
}

impl Call for Launches {
    fn run(&mut self, forall: &Dispatcher, side: Side) -> Result<Backend> {
        if !self.resident {
            // What the host may have changed is moved again.
            self.made.inputs.iter().try_for_each(|input| input.touch())?;
        }
        let (report, output) = (self.made.run)(forall, &self.kernels[side.index()])?;
        if !self.resident {
            output.iter().try_for_each(|output| output.fetch())?;
        }
        self.last = output;
        Ok(report.backend())
    }

    fn reset(&mut self) -> Result<()> {
        self.made.reset.as_ref().map_or(Ok(()), |reset| reset())
    }

    fn output(&self) -> Result<Vec<Output>> {
        self.last.iter().map(|output| output.numbers()).collect()
    }

    fn work(&self, _: &[Output]) -> Work {
        self.made.work
    }

    fn label(&self) -> Option<String> {
        self.made.label.clone()
    }
}

/// An array, whatever its type.
trait Numbers {
    /// Makes the host's copy the only current one.
    fn touch(&self) -> Result<()>;
    /// Makes the host's copy current.
    fn fetch(&self) -> Result<()>;
    fn numbers(&self) -> Result<Output>;
}

/// A number of a shader.
trait Number: Pod {
    fn output(numbers: Vec<Self>) -> Output;
}

impl Number for f32 {
    fn output(numbers: Vec<Self>) -> Output {
        Output::F32(numbers)
    }
}

impl Number for u32 {
    fn output(numbers: Vec<Self>) -> Output {
        Output::U32(numbers)
    }
}

impl<T: Number> Numbers for Array<T> {
    fn touch(&self) -> Result<()> {
        self.write(|_| ())
    }

    fn fetch(&self) -> Result<()> {
        self.read().map(drop)
    }

    fn numbers(&self) -> Result<Output> {
        self.to_vec().map(T::output)
    }
}

fn boxed<T: Number>(array: &Array<T>) -> Box<dyn Numbers> {
    Box::new(array.clone())
}

fn work(bytes: usize, flops: f64) -> Work {
    Work { bytes: bytes as f64, flops }
}

fn groups(n: usize, per_group: usize) -> Grid {
    Grid::workgroups(u32::try_from(n.div_ceil(per_group)).unwrap_or(u32::MAX))
}

/// The width of a cube of about `n`.
fn side(n: usize) -> usize {
    (n as f64).cbrt().round().max(1.0) as usize
}

/// The width and height of a square of about `n` points.
fn square(n: usize) -> [usize; 2] {
    let side = (n as f64).sqrt().round().max(1.0) as usize;
    [side, side]
}

fn power_of_two(n: usize) -> usize {
    let below = 1 << n.max(2).ilog2();
    // The nearer one on a logarithmic scale.
    if (n as f64) * (n as f64) > 2.0 * (below as f64) * (below as f64) { 2 * below } else { below }
}

fn reduce_tree(data: Data) -> Made {
    const TILE: usize = 256 * 16;
    let x = Array::from(Random::new(data.seed, 1).floats(data.n, -1.0, 1.0));
    let mut arrays = vec![x.clone()];
    let mut left = data.n;
    while arrays.len() < 2 || left > 1 {
        left = left.div_ceil(TILE);
        arrays.push(Array::zeros(left));
    }
    Made {
        inputs: vec![boxed(&x)],
        reset: None,
        run: Box::new(move |forall, kernels| {
            let mut launches = forall.sequence();
            for pair in arrays.windows(2) {
                let bindings = Bindings::new().bind("input", &pair[0]).bind("sums", &pair[1]);
                launches.launch(&kernels[0], groups(pair[0].len(), TILE), bindings)?;
            }
            let report = launches.run()?;
            Ok((report, vec![boxed(arrays.last().unwrap_or(&x))]))
        }),
        work: work(4 * data.n, data.n as f64),
        label: None,
    }
}

fn prefix_scan(data: Data) -> Made {
    const TILE: usize = 2048;
    let x = Array::from(Random::new(data.seed, 1).words(data.n));
    let (input, sums) = (boxed(&x), Array::zeros(data.n));
    Made {
        inputs: vec![input],
        reset: None,
        run: Box::new(move |forall, kernels| {
            // A ticket, and two words for every tile: zero before each launch.
            let state = Array::<u32>::zeros(1 + 2 * x.len().div_ceil(TILE));
            let bindings = Bindings::new().bind("input", &x).bind("output", &sums).bind("state", &state);
            let report = forall.launch(&kernels[0], groups(x.len(), TILE), bindings)?;
            Ok((report, vec![boxed::<u32>(&sums)]))
        }),
        work: work(8 * data.n, data.n as f64),
        label: None,
    }
}

fn histogram(data: Data) -> Made {
    const TILE: usize = 256 * 32;
    let keys = Array::from(Random::new(data.seed, 1).words(data.n));
    Made {
        inputs: vec![boxed(&keys)],
        reset: None,
        run: Box::new(move |forall, kernels| {
            let counts = Array::<u32>::zeros(256);
            let bindings = Bindings::new().bind("keys", &keys).value("shift", 24_u32).bind("counts", &counts);
            let report = forall.launch(&kernels[0], groups(keys.len(), TILE), bindings)?;
            Ok((report, vec![boxed(&counts)]))
        }),
        // Shift, mask, add.
        work: work(4 * data.n + 4 * 256, 3.0 * data.n as f64),
        label: None,
    }
}

fn matmul_tiled(data: Data) -> Made {
    let side = side(data.n);
    let matrix = |stream| Array::from(Random::new(data.seed, stream).floats(side * side, -1.0, 1.0));
    let (a, b, c) = (matrix(1), matrix(2), Array::<f32>::zeros(side * side));
    Made {
        inputs: vec![boxed(&a), boxed(&b)],
        reset: None,
        run: Box::new(move |forall, kernels| {
            let bindings = Bindings::new().value("size", [side as u32; 3]).bind("a", &a).bind("b", &b);
            let tiles = side.div_ceil(64) as u32;
            let report =
                forall.launch(&kernels[0], Grid::workgroups([tiles, tiles]), bindings.bind("c", &c))?;
            Ok((report, vec![boxed(&c)]))
        }),
        work: work(12 * side * side, 2.0 * (side as f64).powi(3)),
        label: Some(format!("{side} × {side} × {side}")),
    }
}

/// Launches of the two stencils in a call.
const STEPS: usize = 10;

fn stencil<T: Number + Send + Sync>(size: [usize; 2], old: Array<T>, flops: f64) -> Made {
    let n = old.len();
    let buffers = [Array::<T>::zeros(n), Array::<T>::zeros(n)];
    let [width, height] = size;
    Made {
        inputs: vec![boxed(&old)],
        reset: None,
        run: Box::new(move |forall, kernels| {
            let size = size.map(|side| side as u32);
            let (mut from, mut launches) = (&old, forall.sequence());
            for to in buffers.iter().cycle().take(STEPS) {
                let bindings = Bindings::new().value("size", size).bind("old", from).bind("next", to);
                launches.launch(&kernels[0], Grid::threads(size), bindings)?;
                from = to;
            }
            let report = launches.run()?;
            Ok((report, vec![boxed(from)]))
        }),
        work: work(8 * n * STEPS, flops * (n * STEPS) as f64),
        label: Some(format!("{width} × {height}")),
    }
}

fn jacobi(data: Data) -> Made {
    let size @ [width, height] = square(data.n);
    let mut plate = Random::new(data.seed, 1).floats(width * height, 0.0, 1.0);
    plate.iter_mut().step_by(width).for_each(|edge| *edge = 1.0);
    stencil(size, Array::from(plate), 4.0)
}

fn game_of_life(data: Data) -> Made {
    let size @ [width, height] = square(data.n);
    let mut random = Random::new(data.seed, 1);
    let world: Vec<u32> = (0..width * height).map(|_| u32::from(random.below(3) == 0)).collect();
    // 9 additions, 3 comparisons, 3 to choose; finding the neighbours is left out.
    stencil(size, Array::from(world), 15.0)
}

fn bitonic_sort(data: Data) -> Made {
    const TILE: usize = 1024;
    let n = data.n;
    let original = Random::new(data.seed, 1).words(n);
    let keys = Array::from(&original[..]);
    let levels = f64::from(n.next_power_of_two().ilog2());
    let (input, again) = (boxed(&keys), keys.clone());
    Made {
        inputs: vec![input],
        // What a network does depends on no key: sorted keys take as long.
        reset: Some(Box::new(move || again.write(|keys| keys.copy_from_slice(&original)))),
        run: Box::new(move |forall, kernels| {
            let [sort_tiles, mirror, meet, merge_tiles] = kernels else { unreachable!("four entry points") };
            let grid = groups(n, TILE);
            let bind = || Bindings::new().bind("keys", &keys);
            let mut launches = forall.sequence();
            launches.launch(sort_tiles, grid, bind())?;
            let mut height = TILE;
            while height < n {
                launches.launch(mirror, grid, bind().value("height", height as u32))?;
                let mut apart = height / 2;
                while apart >= TILE {
                    launches.launch(meet, grid, bind().value("height", apart as u32))?;
                    apart /= 2;
                }
                launches.launch(merge_tiles, grid, bind())?;
                height *= 2;
            }
            let report = launches.run()?;
            Ok((report, vec![boxed(&keys)]))
        }),
        // n / 2 meetings on each of the levels, a minimum and a maximum each.
        work: work(8 * n, n as f64 * levels * (levels + 1.0) / 2.0),
        label: None,
    }
}

fn fft_stockham(data: Data) -> Made {
    let n = data.n;
    let x = Array::from(Random::new(data.seed, 1).floats(2 * n, -1.0, 1.0));
    let angle = |j: usize| -TAU * j as f64 / n as f64;
    let roots = (0..n).map(|j| angle(j).cos() as f32).chain((0..n).map(|j| angle(j).sin() as f32));
    let roots: Array<f32> = roots.collect();
    let buffers = [Array::<f32>::zeros(2 * n), Array::<f32>::zeros(2 * n)];
    Made {
        inputs: vec![boxed(&x), boxed(&roots)],
        reset: None,
        run: Box::new(move |forall, kernels| {
            let [radix_64, radix_4, radix_4_long, radix_2] = kernels else {
                unreachable!("four entry points")
            };
            let (mut input, mut done, mut launches) = (&x, 1, forall.sequence());
            for output in buffers.iter().cycle() {
                let (kernel, radix) = match done {
                    _ if done == n => break,
                    1 if n >= 1024 => (radix_64, 64),
                    _ if done == n / 2 => (radix_2, 2),
                    64.. => (radix_4_long, 4),
                    _ => (radix_4, 4),
                };
                let bindings = Bindings::new().bind("input", input).bind("output", output);
                let bindings = bindings.bind("roots", &roots).value("done", done as u32);
                launches.launch(kernel, groups(n, if radix == 2 { 512 } else { 1024 }), bindings)?;
                (input, done) = (output, done * radix);
            }
            let report = launches.run()?;
            Ok((report, vec![boxed(input)]))
        }),
        // The usual count.
        work: work(24 * n, 5.0 * n as f64 * f64::from(n.ilog2())),
        label: None,
    }
}
