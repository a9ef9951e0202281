//! Generated shaders are valid for every way of binding the parameters, and errors point into the user's text.

mod levels;
pub(crate) mod slicing;

use crate::cpu::CpuLevel;
use crate::error::Error;
use crate::kernel::source::Source;
use crate::kernel::wgsl;
use crate::kernel::{Kernel, Takes};
use crate::launch::{Arg, Args, IntoArg, IntoArgs, IntoOutputs, OutputArg, OutputArgs, check};
use crate::part::{Bound, Index, Part, Shape};

/// Every shape a kernel can be called with.
fn shapes(kernel: &Kernel) -> Vec<Shape> {
    let mut all = vec![Vec::new()];
    for param in &kernel.signature().params {
        let choices: &[Bound] = match param.takes {
            Takes::Whole => &[Bound::Whole],
            _ if param.field.ty.to_string() == "u32" => &[Bound::Uniform, Bound::Array, Bound::Index],
            _ => &[Bound::Uniform, Bound::Array],
        };
        all = all
            .into_iter()
            .flat_map(|bounds: Vec<Bound>| {
                choices.iter().map(move |&bound| bounds.iter().copied().chain([bound]).collect())
            })
            .collect();
    }
    all.into_iter().map(Shape::of).collect()
}

/// The GPU text of every shape parses and validates on its own, with the bindings it claims.
fn assert_generates(text: &str) {
    let kernel = Kernel::map(text).unwrap_or_else(|error| panic!("{error}"));
    for shape in shapes(&kernel) {
        let shader = kernel.0.wgsl.as_ref().expect("a WGSL kernel").shader(shape).expect("generates");
        let source = Source { name: "generated".into(), text: shader.text.clone(), offset: 0 };
        let module =
            wgsl::parse(&source, &shader.text).unwrap_or_else(|error| panic!("{error}\n{}", shader.text));
        wgsl::validate(&source, &module, wgsl::CAPABILITIES)
            .unwrap_or_else(|error| panic!("{error}\n{}", shader.text));
        assert_eq!(module.entry_points.len(), 1, "{}", shader.text);
        assert_eq!(module.entry_points[0].name, shader.entry);
        let mut bindings: Vec<u32> =
            module.global_variables.iter().filter_map(|(_, v)| v.binding.map(|b| b.binding)).collect();
        bindings.sort_unstable();
        let expected: Vec<u32> = (0..u32::try_from(shader.bindings.len()).expect("few")).collect();
        assert_eq!(bindings, expected, "{}", shader.text);
    }
}

/// Every loop of `shaders/`, hostile names, every type, in every shape.
#[test]
fn generated_shaders_are_valid() {
    for text in [
        include_str!("../../shaders/saxpy.wgsl"),
        include_str!("../../shaders/black_scholes.wgsl"),
        include_str!("../../shaders/mandelbrot.wgsl"),
        include_str!("../../shaders/nbody.wgsl"),
        include_str!("../../shaders/collatz.wgsl"),
        include_str!("../../shaders/logistic_map.wgsl"),
        "fn forall_main(base: u32, n: u32, i: u32, out: f32) -> f32 { return out + f32(base + n + i); }",
        "struct forall_Words { forall_r: f32, n: f32 }
         fn forall_words(forall_i: f32) -> forall_Words { return forall_Words(forall_i, 1.0); }",
        "const forall1_x = 1.0; fn forall_read(x: f32) -> f32 { return x * forall1_x; }",
        "fn read(x: f32) -> f32 { return x; } fn select(x: f32) -> bool { return read(x) > 1.0; }",
        "fn base(größe: vec3<f32>, ω: vec2<i32>, b: bool, q: vec4<u32>) -> vec3<i32> {
             return select(vec3<i32>(ω.xy, 1), vec3<i32>(q.xyz), b) + vec3<i32>(größe);
         }",
        "struct R { flag: bool, v: vec2<f32>, w: vec3<u32>, i: i32 }
         fn f(x: bool) -> R { return R(!x, vec2(1.0, 2.0), vec3(1u, 2u, 3u), -1); }
         // the last line is a comment",
        "@group(3) /* here */ @binding(7) var<storage, read> a: array<f32>;
         var<private> scratch: f32 = 2.0;
         var<storage> b: array<vec3<u32>>; var<storage> c: array<vec2<i32>>;
         const K = 2u;
         fn helper(x: f32) -> f32 { scratch += x; return scratch; }
         fn f(i: u32) -> f32 { return helper(a[i % arrayLength(&a)]) + f32(b[i * K].y) + f32(c[i].x); }",
    ] {
        assert_generates(text);
    }
}

/// Lengths on both sides of a lane chunk, a workgroup and a block.
const LENGTHS: &[usize] = &[0, 1, 2, 15, 16, 17, 255, 256, 257, 1023, 1024, 1025, 3000];

/// Runs a call on the calling thread at every CPU level.
fn run<'a>(
    kernel: &Kernel,
    inputs: impl IntoArgs<'a> + Clone,
    mut outputs: impl FnMut(&mut dyn FnMut(Outs<'_>)),
) {
    let map = kernel.0.wgsl.as_ref().expect("a WGSL kernel");
    for level in CpuLevel::available() {
        outputs(&mut |outs| {
            let part = check(kernel.signature(), inputs.clone().into_args(), outs).expect("a right call");
            map.run(level, part).expect("runs");
        });
    }
}

/// Runs every element of a part at one level, whatever the form of the body.
fn run_at(kernel: &Kernel, level: CpuLevel, part: Part<'_>) {
    match (&kernel.0.closure, &kernel.0.wgsl) {
        (Some(closure), _) => closure.run(level, part),
        (None, Some(map)) => map.run(level, part).expect("runs"),
        (None, None) => unreachable!("a kernel has a body"),
    }
}

/// What outputs hold before a run: a NaN, and the result of no loop.
const POISON: u32 = 0xFFA5_A5A5;

/// The words of all the outputs of a call, one array after the other; `run` runs it.
pub(crate) fn words(kernel: &Kernel, args: Args<'_>, n: usize, run: impl FnOnce(Part<'_>)) -> Vec<u32> {
    let types = kernel.signature().outputs.iter().map(|field| field.ty);
    let mut words = vec![POISON; types.clone().map(|ty| n * ty.size() / 4).sum()];
    let mut rest: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    let mut outputs = OutputArgs::new();
    for ty in types {
        let (now, later) = rest.split_at_mut(n * ty.size());
        (outputs, rest) = (outputs.push(OutputArg::array(now, ty)), later);
    }
    run(check(kernel.signature(), args, outputs).expect("a right call"));
    words
}

type Outs<'a> = crate::launch::OutputArgs<'a>;

fn map(text: &str) -> Kernel {
    Kernel::map(text).unwrap_or_else(|error| panic!("{error}"))
}

fn ramp(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32 * 0.37 - 100.0).collect()
}

#[test]
fn saxpy_has_the_bits_of_rust_at_every_length_and_level() {
    let kernel = map(include_str!("../../shaders/saxpy.wgsl"));
    for &n in LENGTHS {
        let x = ramp(n);
        let y: Vec<f32> = x.iter().map(|x| x * x - 3.0).collect();
        let expected: Vec<f32> = x.iter().zip(&y).map(|(x, y)| 2.7 * x + y).collect();
        run(&kernel, (2.7_f32, &x, &y), |call| {
            let mut out = vec![f32::NAN; n];
            call((&mut out).into_outputs());
            assert_eq!(out, expected);
        });
    }
}

#[test]
fn vectors_are_packed_and_bools_are_words() {
    let kernel = map("struct R { flag: bool, w: vec3<u32>, v: vec2<f32>, i: i32 }
         fn f(x: vec3<f32>, on: bool, q: vec4<i32>, k: vec2<u32>) -> R {
             return R(on && x.y > 0.0, vec3<u32>(k, u32(q.w)), vec2<f32>(x.z, x.x), select(-1, q.x, on));
         }");
    for &n in LENGTHS {
        let x: Vec<[f32; 3]> = (0..n).map(|i| [i as f32, (i % 3) as f32 - 1.0, -(i as f32)]).collect();
        // Any word but 0 is true.
        let on: Vec<u32> = (0..n as u32).map(|i| (i % 4) * 0x4000_0000).collect();
        let q: Vec<[i32; 4]> = (0..n as i32).map(|i| [i, -i, 7, i * 3]).collect();
        run(&kernel, (&x, &on, &q, [5_u32, 6]), |call| {
            let (mut flag, mut w) = (vec![9_u32; n], vec![[9_u32; 3]; n]);
            let (mut v, mut i) = (vec![[9.0_f32; 2]; n], vec![9_i32; n]);
            call((&mut flag, &mut w, &mut v, &mut i).into_outputs());
            for e in 0..n {
                assert_eq!(flag[e], u32::from(on[e] != 0 && x[e][1] > 0.0), "flag of {e}");
                assert_eq!(w[e], [5, 6, 3 * e as u32]);
                assert_eq!(v[e], [x[e][2], x[e][0]]);
                assert_eq!(i[e], if on[e] != 0 { e as i32 } else { -1 });
            }
        });
        run(&kernel, ([1.0_f32, 2.0, 3.0], true, [1, 2, 3, 4], [5_u32, 6]), |call| {
            let (mut flag, mut w) = (vec![9_u32; n], vec![[9_u32; 3]; n]);
            let (mut v, mut i) = (vec![[9.0_f32; 2]; n], vec![9_i32; n]);
            call((&mut flag, &mut w, &mut v, &mut i).into_outputs());
            assert_eq!((flag, w), (vec![1; n], vec![[5, 6, 4]; n]));
            assert_eq!((v, i), (vec![[3.0, 1.0]; n], vec![1; n]));
        });
    }
}

/// The same values bound in each of the 27 ways give the same results, also in two parts.
#[test]
fn every_way_of_binding_agrees() {
    let kernel = map("fn f(a: u32, b: u32, c: u32) -> u32 { return (a * 31u + b) * 31u + c; }");
    let n = 300;
    let array: Vec<u32> = (0..n as u32).map(|i| i * i + 5).collect();
    let values: [Arg<'_>; 3] = [77_u32.into_arg(), (&array).into_arg(), Index.into_arg()];
    let value = |way: usize, i: usize| [77, array[i], i as u32][way];
    for ways in 0..27 {
        let (a, b, c) = (ways % 3, ways / 3 % 3, ways / 9);
        let mut out = vec![0xdead_beef_u32; n];
        let args = (values[a], values[b], values[c]).into_args();
        let part = check(kernel.signature(), args, (&mut out).into_outputs()).expect("a right call");
        let (low, high) = part.split_at(113);
        kernel.run(high).expect("runs");
        kernel.run(low).expect("runs");
        for (i, got) in out.iter().enumerate() {
            let expected = (value(a, i).wrapping_mul(31).wrapping_add(value(b, i))).wrapping_mul(31);
            assert_eq!(*got, expected.wrapping_add(value(c, i)), "ways {a} {b} {c}, element {i}");
        }
    }
}

#[test]
fn whole_arrays_have_any_length() {
    let kernel = map("var<private> calls: u32;
         @group(2) @binding(5) var<storage, read> table: array<f32>;
         var<storage> rows: array<vec3<i32>>;
         const SCALE = 10u;
         fn at(i: u32) -> f32 { calls += 1u; return table[i % max(arrayLength(&table), 1u)]; }
         fn f(i: u32) -> vec2<f32> {
             let sum = at(i) + at(i + 1u);
             return vec2<f32>(sum, f32(calls * SCALE + arrayLength(&rows)) + f32(rows[i / 2u].z));
         }");
    let params: Vec<String> = kernel
        .signature()
        .params
        .iter()
        .map(|p| format!("{} {} {}", p.field.name, p.field.ty, p.takes))
        .collect();
    assert_eq!(params, ["i u32 an element", "table f32 a whole array", "rows vec4<i32> a whole array"]);
    for (table_n, rows_n) in [(0_usize, 0_usize), (1, 1), (3, 150), (1000, 3)] {
        let table = ramp(table_n);
        let rows: Vec<[i32; 4]> = (0..rows_n as i32).map(|i| [-1, -2, i * 7, -3]).collect();
        for &n in LENGTHS {
            run(&kernel, (Index, &table, &rows), |call| {
                let mut out = vec![[f32::NAN; 2]; n];
                call((&mut out).into_outputs());
                for (i, [sum, rest]) in out.into_iter().enumerate() {
                    let at = |i: usize| if table_n == 0 { 0.0 } else { table[i % table_n] };
                    assert_eq!(sum, at(i) + at(i + 1));
                    // Outside the array WGSL gives some element of it or zero; forall gives zero or the last one.
                    if i / 2 < rows_n {
                        assert_eq!(rest, (20 + rows_n) as f32 + (i / 2 * 7) as f32);
                    }
                }
            });
        }
    }
    assert!(
        super::map::whole_fits("k", "w", 4 * (u32::MAX as usize), <[f32; 4] as crate::Element>::TYPE).is_ok()
    );
    let error = super::map::whole_fits("k", "w", 16 << 30, <[f32; 4] as crate::Element>::TYPE);
    assert!(
        matches!(error, Err(Error::TooLong { got, limit: 0x3fff_ffff, .. }) if got == 1 << 30),
        "{error:?}"
    );
}

#[test]
fn what_cannot_be_lowered_is_refused_when_the_kernel_is_made() {
    for (text, line) in [
        ("fn f(x: f32) -> f32 {\n  workgroupBarrier();\n  return x; }", 2),
        ("fn f(x: f32) -> f32 {\n\n  return dpdx(x); }", 3),
        ("fn f(x: f32) -> f32 { discard; return x; }", 1),
    ] {
        let error = Kernel::map(text).expect_err(text);
        assert!(matches!(error, Error::Unsupported { line: got, .. } if got == line), "{error}");
    }
}

#[test]
fn the_same_shape_is_compiled_once_by_any_number_of_threads() {
    let kernel = map(include_str!("../../shaders/saxpy.wgsl"));
    let map = kernel.0.wgsl.as_ref().expect("a WGSL kernel");
    let found: Vec<Vec<usize>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|t| {
                scope.spawn(move || {
                    let shapes: Vec<u64> = (0..8).map(|i| (i + t) % 8).collect();
                    let mut found = vec![0; 8];
                    for shape in shapes {
                        let bits = (0..3).fold(0, |bits, p| bits | (shape >> p & 1) << (2 * p));
                        found[shape as usize] =
                            std::ptr::from_ref(map.variant(Shape(bits)).expect("compiles")).addr();
                    }
                    found
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(found.iter().all(|each| *each == found[0] && each.iter().all(|address| *address != 0)));
}

/// The bounds of loops are read from the call: a uniform argument, the length of a whole array.
#[test]
fn operations_follow_the_call() {
    let count = |kernel: &Kernel, args: crate::launch::Args<'_>| {
        let mut out = vec![0.0_f32; 8];
        let part = check(kernel.signature(), args, (&mut out).into_outputs()).expect("a right call");
        kernel
            .0
            .wgsl
            .as_ref()
            .expect("a WGSL kernel")
            .operations(&part)
            .expect("compiles")
            .counts
            .operations()
    };
    let x = ramp(8);
    let logistic = map(include_str!("../../shaders/logistic_map.wgsl"));
    let [ten, thousand] = [10_u32, 1000].map(|steps| count(&logistic, (&x, 3.0_f32, steps).into_args()));
    assert!((90.0..110.0).contains(&(thousand / ten)), "{ten} {thousand}");
    let sum = map(
        "var<storage, read> all: array<vec2<f32>>;
         fn sum(x: f32) -> f32 { var s = x; for (var j = 0u; j < arrayLength(&all); j++) { s += all[j].x; } return s; }",
    );
    let [few, many] = [10, 1000].map(|n| count(&sum, (&x, &vec![[1.0_f32; 2]; n]).into_args()));
    assert!((50.0..110.0).contains(&(many / few)), "{few} {many}");
}

#[test]
fn dump_shows_the_shader_and_the_program() {
    let dump = map("fn twice(x: f32) -> f32 { return 2.0 * x; }").dump();
    assert!(dump.contains("fn twice") && dump.contains("@compute") && dump.contains("forall_out0"), "{dump}");
}

/// Outputs that go past the caches get every element, and nothing beside them is touched.
#[test]
fn a_loop_larger_than_the_caches() {
    const N: usize = (64 << 20) / 12 + 1000;
    let kernel = map(include_str!("../../shaders/saxpy.wgsl"));
    let (x, y) = (ramp(N), ramp(N));
    let mut out = vec![f32::NAN; N + 12];
    for shift in [4, 5] {
        let inside = &mut out[shift..shift + N];
        let part = check(kernel.signature(), (2.0_f32, &x, &y).into_args(), inside.into_outputs());
        kernel.run(part.expect("a right call")).expect("runs");
        assert!(out[shift..shift + N].iter().zip(&x).zip(&y).all(|((out, x), y)| *out == 2.0 * x + y));
        assert!(out[..shift].iter().chain(&out[shift + N..]).all(|out| out.is_nan()));
        out.fill(f32::NAN);
    }
}

#[test]
fn debug_shows_the_signature_and_not_the_program() {
    let map = Kernel::map("fn f(a: f32, v: vec2<u32>) -> vec2<u32> { return v * u32(a); }").unwrap();
    assert_eq!(format!("{map:?}"), "Kernel(f: (a: f32, v: vec2<u32>) -> (out: vec2<u32>))");
    let shader = Kernel::shader(
        "@group(0) @binding(0) var<storage, read_write> x: array<f32>;
         @compute @workgroup_size(1) fn main() { x[0] = 1.0; }",
    )
    .unwrap();
    assert_eq!(format!("{shader:?}"), "Kernel(main: var<storage, read_write> x: array<f32>)");
}
