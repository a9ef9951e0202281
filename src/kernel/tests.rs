//! Generated shaders are valid for every way of binding the parameters, and errors point into the user's text.

use crate::kernel::source::Source;
use crate::kernel::wgsl;
use crate::kernel::{Kernel, Takes};
use crate::part::{Bound, Shape};

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
        wgsl::validate(&source, &module).unwrap_or_else(|error| panic!("{error}\n{}", shader.text));
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
