//! Whole compute shaders through the front door: right launches on every CPU backend, and every wrong one with the words of its
//! error.

use std::time::{Duration, Instant};

use forall::{
    Array, Backend, Bindings, Cancel, Dispatcher, Error, Grid, Index, IntoBindings, Kernel, Policy, Progress,
    ShaderOptions, Texture, Value, fields,
};

const CPU: [Backend; 2] = [Backend::Simd, Backend::Threads];

fn on(backend: Backend) -> Dispatcher {
    Dispatcher::new().with_policy(Policy::Only(backend))
}

fn shader(wgsl: &str) -> Kernel {
    Kernel::shader(wgsl).unwrap_or_else(|error| panic!("{error}"))
}

/// Writes every id to its own element.
const IDS: &str = "
    @group(0) @binding(0) var<storage, read_write> ids: array<vec4<u32>>;
    @compute @workgroup_size(4, 2, 3)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u,
            @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32) {
        let size = groups * vec3u(4, 2, 3);
        let at = (id.z * size.y + id.y) * size.x + id.x;
        ids[at] = vec4u(id, (group.x + groups.x * (group.y + groups.y * group.z)) * 24 + local);
    }";

#[test]
fn every_invocation_of_a_grid_runs_once() {
    let kernel = shader(IDS);
    assert_eq!(kernel.workgroup_size(), Some([4, 2, 3]));
    for backend in CPU {
        for [x, y, z] in [[1_u32, 1, 1], [7, 1, 1], [1, 5, 1], [1, 1, 3], [2, 3, 4], [40, 3, 2], [300, 2, 1]]
        {
            let size = [4 * x, 2 * y, 3 * z];
            let n = size.iter().product::<u32>() as usize;
            let mut ids = vec![[u32::MAX; 4]; n];
            let bindings = Bindings::new().bind("ids", &mut ids);
            let report =
                on(backend).launch(&kernel, Grid::workgroups([x, y, z]), bindings).expect("launches");
            assert_eq!((report.n(), report.moved(), report.backend()), (n, 0, backend));
            for (at, id) in (0..).zip(&ids) {
                let [i, j, k] = [at % size[0], at / size[0] % size[1], at / size[0] / size[1]];
                let group = i / 4 + x * (j / 2 + y * (k / 3));
                let local = i % 4 + 4 * (j % 2 + 2 * (k % 3));
                assert_eq!(*id, [i, j, k, 24 * group + local], "{backend} {size:?} {at}");
            }
        }
    }
}

/// `y = a * x + y`, with a struct that has padding, and one of every kind of binding.
const SAXPY: &str = "
    struct Params { a: f32, offset: vec3f, n: u32 }
    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;
    @group(1) @binding(0) var<storage, read_write> y: array<f32>;
    @group(1) @binding(7) var<storage, read_write> unused: array<f32>;
    @compute @workgroup_size(64)
    fn saxpy(@builtin(global_invocation_id) id: vec3u) {
        if (id.x < params.n) { y[id.x] = params.a * x[id.x] + y[id.x] + params.offset.z; }
    }";

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    a: f32,
    pad: [f32; 3],
    offset: [f32; 3],
    n: u32,
}

impl Params {
    fn new(n: usize) -> Self {
        Self { a: 2.0, pad: [f32::NAN; 3], offset: [7.0, 8.0, 0.5], n: u32::try_from(n).expect("few") }
    }
}

#[test]
fn data_is_bound_by_name_by_place_and_in_any_order() {
    let kernel = shader(SAXPY);
    let declared: Vec<String> = kernel.bindings().iter().map(ToString::to_string).collect();
    let expected = [
        "@group(0) @binding(0) var<uniform> params: Params",
        "@group(0) @binding(1) var<storage, read> x: array<f32>",
        "@group(1) @binding(0) var<storage, read_write> y: array<f32>",
    ];
    assert_eq!(declared, expected);
    assert_eq!((kernel.name(), kernel.workgroup_size()), ("saxpy", Some([64, 1, 1])));
    for backend in CPU {
        for n in [1, 15, 16, 17, 63, 64, 65, 1023, 1024, 1025, 100_003_usize] {
            let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let expected: Vec<f32> = x.iter().map(|x| 2.0 * x + 1.0 + 0.5).collect();
            let (params, grid) = (Params::new(n), Grid::threads(u32::try_from(n).expect("few")));

            let mut y = vec![1.0_f32; n];
            let named = Bindings::new().bind("y", &mut y).value("params", params).bind("x", &x);
            on(backend).launch(&kernel, grid, named).expect("by name");
            assert_eq!(y, expected, "{backend} {n}");

            let mut y = vec![1.0_f32; n];
            let placed = (((0, 0), Value(params)), ((1, 0), &mut y), ((0, 1), x.as_slice()));
            on(backend).launch(&kernel, grid, placed).expect("by place");
            assert_eq!(y, expected, "{backend} {n}");

            // A struct in a slice of one, a slice that may be written where it is only read, and what nobody uses.
            let (mut y, mut x) = (vec![1.0_f32; n], x.clone());
            let (params, unused) = ([params], [0.0_f32]);
            let others = Bindings::new().bind("params", &params).bind("x", &mut x).bind("y", &mut y);
            on(backend).launch(&kernel, grid, others.bind("unused", &unused)).expect("in other forms");
            assert_eq!(y, expected, "{backend} {n}");
        }
    }
}

/// The error of binding that, after which `y` is as it was.
fn refused<'a>(kernel: &Kernel, bindings: impl IntoBindings<'a>) -> Error {
    Dispatcher::new().launch(kernel, Grid::threads(4), bindings).expect_err("a wrong launch")
}

const X: &[f32] = &[1.0, 2.0, 3.0, 4.0];

fn says(error: &Error, words: &[&str]) {
    let text = error.to_string();
    assert!(words.iter().all(|words| text.contains(words)), "{text}\nshould say {words:?}");
}

#[test]
fn wrong_names_are_told() {
    let kernel = shader(SAXPY);
    let mut y = [1.0_f32; 4];
    let params = Params::new(4);
    let error = refused(&kernel, (("params", Value(params)), ("x", X), ("Y", &mut y)));
    assert!(matches!(error, Error::UnknownBinding { .. }), "{error:?}");
    says(&error, &["saxpy: there is no variable `Y`; did you mean `y`? the shader has: params, x, y"]);
    let error = refused(&kernel, Bindings::new().value("prams", params));
    says(&error, &["`prams`; did you mean `params`?"]);
    let error = refused(&kernel, Bindings::new().bind("velocity", X));
    says(&error, &["there is no variable `velocity`; the shader has: params, x, y"]);
    let error = refused(&kernel, Bindings::new().bind((2, 1), X));
    says(
        &error,
        &["no variable @group(2) @binding(1); the shader has: params at (0, 0), x at (0, 1), y at (1, 0)"],
    );

    let error = refused(&kernel, (("params", Value(params)), ("x", X)));
    assert!(matches!(error, Error::MissingBinding { .. }), "{error:?}");
    says(
        &error,
        &[
            "nothing is bound to `y` (@group(1) @binding(0) var<storage, read_write> y: array<f32>)",
            ".bind(\"y\", &mut …), or an Array",
        ],
    );
    says(&refused(&kernel, ()), &["nothing is bound to `params`", "add .value(\"params\", …)"]);

    let error = refused(&kernel, (("x", X), ((0, 1), X)));
    assert!(matches!(error, Error::DuplicateParameter { .. }), "{error:?}");
    says(&error, &["saxpy: `x` is bound twice"]);
    says(&refused(&kernel, (("unused", X), ("unused", X))), &["`unused` is bound twice"]);
    assert_eq!(y, [1.0; 4]);
}

#[test]
fn what_is_written_needs_a_mut_or_an_array() {
    let kernel = shader(SAXPY);
    let params = Value(Params::new(4));
    let error = refused(&kernel, (("params", params), ("x", X), ("y", X)));
    assert!(matches!(error, Error::WrongAccess { .. }), "{error:?}");
    says(
        &error,
        &[
            "`y` got a shared slice of f32, expected `&mut` data or an Array, because the shader declares it var<storage, read_write> y: array<f32>",
        ],
    );
    let error = refused(&kernel, (("params", params), ("x", X), ("y", 1.0_f32)));
    says(&error, &["got a value of f32"]);

    let array = Array::from(X);
    let error = refused(&kernel, (("params", params), ("x", &array), ("y", &array.clone())));
    assert!(matches!(error, Error::Aliased { .. }), "{error:?}");
    says(&error, &["`y` and `x` are bound to the same array, and the shader writes `y`"]);
    assert_eq!(array.to_vec().expect("on the host"), X);
}

/// A shader that has one variable `v` of that declaration, and uses it.
fn with(declaration: &str, using: &str) -> Kernel {
    shader(&format!(
        "struct Particle {{ position: vec3f, mass: f32, velocity: vec3f }}
         struct Counted {{ count: atomic<u32>, items: array<vec2u> }}
         @group(0) @binding(0) {declaration};
         @compute @workgroup_size(1) fn main() {{ {using} }}"
    ))
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Packed {
    position: [f32; 3],
    mass: f32,
    velocity: [f32; 3],
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Particle {
    position: [f32; 3],
    mass: f32,
    velocity: [f32; 3],
    pad: f32,
}

#[test]
fn structs_of_another_size_are_shown_the_layout_of_wgsl() {
    let kernel = with("var<storage, read> v: array<Particle>", "_ = v[0].mass;");
    let packed = [Packed { position: [0.0; 3], mass: 0.0, velocity: [0.0; 3] }; 3];
    let error = refused(&kernel, (("v", &packed),));
    assert!(matches!(error, Error::WrongLayout { .. }), "{error:?}");
    let expected = "main: `v` got Packed of 28 bytes, expected elements of 32 bytes each for array<Particle>; it is 4 bytes short: \
                    add the padding that WGSL has
array<Particle>: stride 32, align 16
struct Particle {  // align 16, size 32
    position: vec3<f32>,  // offset  0, size 12
    mass: f32,            // offset 12, size 4
    velocity: vec3<f32>,  // offset 16, size 12
    // 4 bytes of padding
}";
    assert_eq!(error.to_string(), expected);
    let particles = [Particle { position: [0.0; 3], mass: 0.0, velocity: [0.0; 3], pad: 0.0 }; 3];
    Dispatcher::new().launch(&kernel, Grid::workgroups(1), (("v", &particles),)).expect("the right struct");

    kernel.check_struct(&fields!(Particle { position, mass, velocity, pad })).expect("the right struct");
    {
        #[repr(C)]
        struct Particle {
            velocity: [f32; 3],
            mass: f32,
            position: [f32; 3],
            pad: f32,
        }
        let error =
            kernel.check_struct(&fields!(Particle { velocity, mass, position, pad })).expect_err("swapped");
        says(
            &error,
            &[
                "`Particle.position` got offset 16, expected offset 0 (vec3<f32>)",
                "velocity: vec3<f32>,  // offset 16",
            ],
        );
        let error =
            kernel.check_struct(&fields!(Particle { velocity, mass })).expect_err("a field is left out");
        says(&error, &["`Particle.position` got no such field, of velocity, mass"]);
    }
    {
        #[repr(C)]
        struct Particle {
            position: [f32; 2],
            more: f32,
            mass: f32,
            velocity: [f32; 4],
        }
        let error =
            kernel.check_struct(&fields!(Particle { position, more, mass, velocity })).expect_err("short");
        says(&error, &["`Particle.position` got 8 bytes, expected 12 bytes"]);
    }
    let error =
        kernel.check_struct(&fields!(Packed { position, mass, velocity })).expect_err("no such struct");
    says(&error, &["there is no variable with a struct `Packed`; the shader has: Particle"]);
}

#[test]
fn numbers_are_never_converted_and_padding_is_seen() {
    let ok = |kernel: &Kernel, bindings: Bindings<'_>| {
        Dispatcher::new()
            .launch(kernel, Grid::workgroups(1), bindings)
            .unwrap_or_else(|error| panic!("{error}"));
    };
    fn v<'a>() -> Bindings<'a> {
        Bindings::new()
    }
    let floats = with("var<storage, read> v: array<f32>", "_ = v[0];");
    for error in [
        refused(&floats, v().bind("v", &[1.0_f64])),
        refused(&floats, v().bind("v", &[1_i32])),
        refused(&floats, v().bind("v", &[[1_u32; 2]; 2])),
        refused(&floats, v().bind("v", 1_u32)),
    ] {
        says(&error, &["numbers are never converted: give f32", "array<f32>: stride 4"]);
    }
    // Bytes are anybody's; vectors and matrices without padding are their numbers.
    ok(&floats, v().bind("v", &[0_u8; 12]));
    ok(&floats, v().bind("v", &[[1.0_f32; 3]; 5]));
    let matrices = with("var<storage, read> v: array<mat4x4<f32>>", "_ = v[0];");
    ok(&matrices, v().bind("v", &[[[1.0_f32; 4]; 4]; 2]));
    ok(&matrices, v().bind("v", &[1.0_f32; 32]));
    let error = refused(&matrices, v().bind("v", &[1.0_f32; 33]));
    says(&error, &["got 33 × f32 = 132 bytes, expected whole elements of 64 bytes", "4 bytes are left over"]);

    let vec3s = with("var<storage, read> v: array<vec3<f32>>", "_ = v[0];");
    ok(&vec3s, v().bind("v", &[[1.0_f32; 4]; 3]));
    for error in
        [refused(&vec3s, v().bind("v", &[[1.0_f32; 3]; 4])), refused(&vec3s, v().bind("v", &[1.0_f32; 12]))]
    {
        says(
            &error,
            &["a vec3 in an array takes 16 bytes: give [f32; 4] rows", "array<vec3<f32>>: stride 16"],
        );
    }
    let mat3 = with("var<uniform> v: mat3x3<f32>", "_ = v;");
    ok(&mat3, v().bind("v", &[[1.0_f32; 4]; 3]));
    says(&refused(&mat3, v().bind("v", &[[1.0_f32; 3]; 3])), &["[f32; 4] rows"]);

    let mixed = with("var<storage, read> v: Particle", "_ = v.mass;");
    says(&refused(&mixed, v().bind("v", &[1.0_f32; 8])), &["padding between its numbers"]);
    let counted = with(
        "var<storage, read_write> v: Counted",
        "v.items[arrayLength(&v.items) - 1].y = atomicAdd(&v.count, 1);",
    );
    let mut words = [5_u32; 6];
    ok(&counted, v().bind("v", &mut words[..]));
    assert_eq!(words, [6, 5, 5, 5, 5, 5]);
    let error = refused(&counted, v().bind("v", &mut words[..3]));
    says(
        &error,
        &[
            "got 3 × u32 = 12 bytes, expected at least 16 bytes, one element of Counted",
            "struct Counted {  // align 8, size 16",
            "count: atomic<u32>,       // offset  0, size 4",
            "items: array<vec2<u32>>,  // offset  8, stride 8",
        ],
    );
    says(&refused(&counted, v().bind("v", &mut words[..5])), &["4 bytes are left over"]);

    // One value.
    let one = with("var<uniform> v: vec4<f32>", "_ = v;");
    ok(&one, v().bind("v", [1.0_f32; 4]));
    ok(&one, v().value("v", [1.0_f32; 4]));
    says(&refused(&one, v().bind("v", [1.0_f32; 3])), &["expected 16 bytes for vec4<f32>"]);
    says(&refused(&one, v().bind("v", [1_u32; 4])), &["numbers are never converted"]);
}

#[test]
fn an_empty_grid_runs_nothing_and_binds_even_empty_arrays() {
    let kernel = shader(SAXPY);
    let (mut y, x): (Vec<f32>, Vec<f32>) = (Vec::new(), Vec::new());
    let params = Value(Params::new(0));
    let report = Dispatcher::new()
        .launch(&kernel, Grid::threads(0), (("params", params), ("x", &x), ("y", &mut y)))
        .expect("nothing to do");
    assert_eq!(report.n(), 0);
    let error = refused(&kernel, (("params", params), ("x", &x), ("y", &mut y)));
    says(&error, &["`x` got 0 × f32 = 0 bytes, expected at least 4 bytes, one element of array<f32>"]);
    let mut y = vec![1.0_f32];
    Dispatcher::new()
        .launch(&kernel, Grid::workgroups([3, 0, 1]), (("params", params), ("x", X), ("y", &mut y)))
        .expect("nothing to do");
    assert_eq!(y, [1.0]);
    let huge = Dispatcher::new().launch(&kernel, Grid::workgroups(1 << 27), ()).expect_err("too large");
    assert!(matches!(huge, Error::GridTooLarge { .. }), "{huge:?}");
    says(
        &huge,
        &[
            "saxpy: the grid got 134217728 × 1 × 1 workgroups, expected less than 2³² invocations along each axis",
        ],
    );
}

#[test]
fn maps_run_and_shaders_launch() {
    let map = Kernel::map("fn twice(x: f32) -> f32 { return 2.0 * x; }").expect("valid WGSL");
    let error = refused(&map, ());
    assert!(matches!(error, Error::WrongCall { .. }), "{error:?}");
    says(
        &error,
        &["twice: launch got a kernel of one element", "call Dispatcher::run(&kernel, inputs, outputs)"],
    );
    assert_eq!((map.bindings(), map.workgroup_size()), (&[][..], None));
    let mut out = [0.0_f32; 4];
    let kernel = shader(SAXPY);
    let error = Dispatcher::new().run(&kernel, X, &mut out).expect_err("a shader");
    says(
        &error,
        &["saxpy: run got a whole compute shader", "call Dispatcher::launch(&kernel, grid, bindings)"],
    );
    let error = Dispatcher::new().plan(&kernel, X, &mut out).expect_err("a shader");
    says(&error, &["saxpy: plan got a whole compute shader"]);
    let closure = Kernel::scalar("k", |x: f32| x);
    says(
        &kernel.clone().with_closure(closure.clone()).expect_err("no pair"),
        &["got a compute shader, expected a kernel of WGSL"],
    );
    says(
        &map.with_closure(kernel.clone()).expect_err("no pair"),
        &["got a compute shader, expected a kernel of a closure"],
    );
    assert!(kernel.dump().contains("fn saxpy"), "{}", kernel.dump());
}

const CONSTANTS: &str = "
    override width: u32;
    @id(12) override gain = 1.5;
    override half = gain / 2;
    override flip: bool = false;
    @group(0) @binding(0) var<storage, read_write> out: array<f32>;
    var<workgroup> tile: array<f32, width>;
    @compute @workgroup_size(width)
    fn fill(@builtin(local_invocation_index) i: u32, @builtin(global_invocation_id) id: vec3u) {
        tile[i] = select(gain, -gain, flip) + half;
        workgroupBarrier();
        out[id.x] = tile[width - 1 - i] + f32(width);
    }
    @compute @workgroup_size(1) fn other() { out[0] = 7; }
    @fragment fn paint() {}";

#[test]
fn constants_and_entry_points_are_chosen() {
    let fill = ShaderOptions::new().entry("fill");
    let run = |kernel: &Kernel| {
        let mut out = [f32::NAN; 8];
        Dispatcher::new().launch(kernel, Grid::workgroups(1), (("out", &mut out),)).expect("launches");
        out
    };
    let kernel = fill.clone().constant("width", 4).build(CONSTANTS).expect("width has a value");
    assert_eq!((kernel.workgroup_size(), kernel.name()), (Some([4, 1, 1]), "fill"));
    assert_eq!(run(&kernel)[..4], [1.5 + 0.75 + 4.0; 4]);
    let all =
        fill.clone().constant("width", 8).constant("gain", 3).constant("flip", 1).constant("half", -0.5);
    assert_eq!(run(&all.clone().build(CONSTANTS).expect("valid")), [-3.0 - 0.5 + 8.0; 8]);
    let by_id = fill.clone().constant("width", 2).constant("width", 8).constant("12", 4);
    assert_eq!(run(&by_id.build(CONSTANTS).expect("valid")), [4.0 + 2.0 + 8.0; 8]);
    // What needs no constant needs no value.
    assert_eq!(run(&ShaderOptions::new().entry("other").build(CONSTANTS).expect("valid"))[0], 7.0);

    let error = |options: &ShaderOptions| options.build(CONSTANTS).expect_err("wrong options");
    says(
        &error(&fill),
        &["fill:2:14: the constant `width` has no value", "ShaderOptions::new().constant(\"width\", 1)"],
    );
    says(
        &error(&ShaderOptions::new()),
        &["the text has 2 compute entry points: fill, other", "ShaderOptions::new().entry(\"fill\")"],
    );
    says(
        &error(&ShaderOptions::new().entry("paint")),
        &["there is no compute entry point `paint`", "the text has: fill, other"],
    );
    let wide = |value: f64| error(&fill.clone().constant("width", value));
    for value in [-1.0, 0.5, f64::NAN, 5e9] {
        says(
            &wide(value),
            &["the constant `width` got ", "expected a whole number from 0 to 4294967295 (it is a u32)"],
        );
    }
    says(&wide(0.0), &["the workgroup size is not positive with these constants"]);
    says(&wide(2048.0), &["a workgroup of 2048 × 1 × 1 = 2048 invocations (at most 1024): not supported"]);
    says(
        &error(&all.clone().constant("gian", 1)),
        &["there is no override constant `gian`", "width, gain (@id(12)), half, flip"],
    );
    says(&error(&all.clone().constant("12", 1)), &["the constant `12` is given twice"]);
    says(&error(&all.clone().constant("half", 1e300)), &["`half` got 1", "expected a finite f32"]);
    let none = Kernel::shader("fn f() {}").expect_err("no entry point");
    says(&none, &["there is no compute entry point in the text", "Kernel::map"]);
    let unknown = ShaderOptions::new().constant("n", 1).build(SAXPY).expect_err("no constants");
    says(&unknown, &["there is no override constant `n`", "the text declares none"]);
}

#[test]
fn what_cannot_be_run_is_refused_with_its_place() {
    let cases = [
        (
            "@group(0) @binding(0) var s: sampler;\n@group(0) @binding(1) var t: texture_2d<f32>;\n@group(0) @binding(2) var<storage, read_write> o: array<vec4f>;\n@compute @workgroup_size(1) fn main() { o[0] = textureSampleLevel(t, s, vec2f(), 0); }",
            "main:1:27: a sampler: not supported in a compute shader",
            1,
        ),
        (
            "@group(0) @binding(0) var t: texture_multisampled_2d<f32>;\n@group(0) @binding(2) var<storage, read_write> o: array<vec4f>;\n@compute @workgroup_size(1) fn main() { o[0] = textureLoad(t, vec2u(), 0); }",
            "a multisampled texture: not supported",
            1,
        ),
        (
            "@compute\n@workgroup_size(32, 33)\nfn main() { }",
            "main:3:4: a workgroup of 32 × 33 × 1 = 1056 invocations (at most 1024)",
            3,
        ),
        (
            "@group(0) @binding(0) var<storage> a: array<atomic<u32>>;\n@group(0) @binding(1) var<storage, read_write> o: array<u32>;\n@compute @workgroup_size(1) fn main() { o[0] = atomicLoad(&a[0]); }",
            "an atomic in storage that is declared read-only",
            3,
        ),
    ];
    for (text, words, at) in cases {
        let error = Kernel::shader(text).expect_err(text);
        assert!(matches!(&error, Error::Unsupported { line, .. } if *line == at), "{error:?}");
        says(&error, &[words, "^"]);
    }
    let error = Kernel::shader("@compute @workgroup_size(1) fn main() {\n  let x: f32 = 1u;\n}")
        .expect_err("invalid");
    assert!(matches!(error, Error::Wgsl { line: 2, .. }), "{error:?}");
    says(&error, &["main:2:", "^"]);
}

/// Naga names these by flags of its own, and types that have no name it does not place.
#[test]
fn what_needs_more_than_wgsl_is_named_with_its_place() {
    for (declaration, body, words) in [
        (
            "var<storage, read_write> v: array<atomic<f32>>",
            "atomicAdd(&v[0], 1.0);",
            "main:1:23: an atomic of f32: not supported",
        ),
        (
            "var<storage, read_write> v: array<atomic<u64>>",
            "atomicMax(&v[0], 1lu);",
            "main:1:23: an atomic of 64 bits: not supported",
        ),
        (
            "var<storage, read_write> v: array<u64>",
            "v[0] = 1lu;",
            "main:1:23: Using `u64` values: not supported",
        ),
        (
            "var v: texture_storage_2d<r32uint, atomic>",
            "textureAtomicAdd(v, vec2u(), 1u);",
            "atomic operations on a texture: not supported",
        ),
        (
            "var v: texture_storage_2d<r16unorm, write>",
            "textureStore(v, vec2u(), vec4f());",
            "main:1:23: this texel format: not supported",
        ),
    ] {
        let text = format!(
            "@group(0) @binding(0) {declaration};\n@compute @workgroup_size(1) fn main() {{ {body} }}"
        );
        says(&Kernel::shader(&text).expect_err(&text), &[words, "^", "= "]);
    }
    // A shader may have them.
    let text = "var<immediate> v: u32; fn f(x: u32) -> u32 { return x + v; }";
    says(&Kernel::map(text).expect_err(text), &["var<immediate>", "^"]);
    let text = "var<workgroup> v: array<u32, 4>;\nfn first(v: ptr<workgroup, array<u32, 4>>) -> u32 { return (*v)[0]; }
        @compute @workgroup_size(1) fn main() { _ = first(&v); }";
    says(
        &Kernel::shader(text).expect_err(text),
        &["main:2:", "takes pointers to variables of functions", "naga"],
    );
}

#[test]
fn unaligned_bytes_and_halves_of_words_come_back() {
    let kernel = with(
        "var<storage, read_write> v: array<u32>",
        "for (var i = 0u; i < arrayLength(&v); i++) { v[i] += 0x01010101; }",
    );
    for backend in CPU {
        for shift in 0..4 {
            let mut bytes = [0_u8; 20];
            bytes[shift..shift + 12].fill(7);
            let launched =
                on(backend).launch(&kernel, Grid::workgroups(1), (("v", &mut bytes[shift..shift + 12]),));
            launched.expect("bytes at any address");
            let at = |i: usize| if (shift..shift + 12).contains(&i) { 8 } else { 0 };
            assert_eq!(bytes, std::array::from_fn(at), "{backend} {shift}");
        }
    }
}

#[test]
fn a_texel_may_have_blue_first_or_two_halves() {
    let kernel = shader(
        "@group(0) @binding(0) var screen: texture_storage_2d<bgra8unorm, write>;
         @group(0) @binding(1) var motion: texture_storage_2d<rg16float, read_write>;
         @compute @workgroup_size(1)
         fn shade(@builtin(global_invocation_id) id: vec3u) {
             textureStore(screen, id.xy, vec4f(1, 0, 0.2, 1));
             textureStore(motion, id.xy, textureLoad(motion, id.xy) * 2);
         }",
    );
    for backend in CPU {
        let (mut screen, mut motion) = ([[9_u8; 4]; 3], [[0x3c00_u16, 0xc000]; 3]);
        let bindings = Bindings::new()
            .bind("screen", Texture::new(&mut screen, [3, 1]))
            .bind("motion", Texture::new(&mut motion, [3, 1]));
        on(backend).launch(&kernel, Grid::threads([3, 1]), bindings).expect("launches");
        assert_eq!((screen, motion), ([[51, 0, 255, 255]; 3], [[0x4000, 0xc400]; 3]), "{backend}");
    }
}

#[test]
fn textures_have_the_texels_of_their_format() {
    let kernel = shader(
        "@group(0) @binding(0) var source: texture_2d<f32>;
         @group(0) @binding(1) var sink: texture_storage_2d<rgba8unorm, write>;
         @compute @workgroup_size(8, 8)
         fn shade(@builtin(global_invocation_id) id: vec3u) {
             let size = textureDimensions(sink);
             if (all(id.xy < size)) { textureStore(sink, id.xy, textureLoad(source, id.xy, 0) + vec4f(0, 0, 0, 1)); }
         }",
    );
    let source: Vec<[f32; 4]> = (0..15).map(|i| [i as f32 / 255.0, 1.0, 2.0, 0.0]).collect();
    for backend in CPU {
        let mut sink = vec![[9_u8; 4]; 15];
        let bindings = Bindings::new()
            .bind("source", Texture::new(&source, [5, 3]))
            .bind("sink", Texture::new(&mut sink, [5, 3]));
        on(backend).launch(&kernel, Grid::threads([5, 3]), bindings).expect("launches");
        assert!(sink.iter().zip(0..).all(|(texel, i)| *texel == [i, 255, 255, 255]), "{backend} {sink:?}");
    }
    let mut sink = vec![[9_u8; 4]; 15];
    let mut error = |size: [u32; 2]| {
        refused(&kernel, (("source", Texture::new(&source, [5, 3])), ("sink", Texture::new(&mut sink, size))))
    };
    says(
        &error([4, 4]),
        &[
            "`sink` got 60 bytes, expected 4 × 4 × 1 texels of 4 bytes = 64 bytes for texture_storage_2d<rgba8unorm, write>",
        ],
    );
    says(&error([0, 3]), &["at least one texel"]);
    let source_is = |texture: Texture<'_>| refused(&kernel, (("source", texture),));
    says(&source_is(Texture::new(&[0_i32; 60], [5, 3])), &["texels are never converted: give [f32; 4] each"]);
    says(&source_is(Texture::new(&source, [5, 1, 3])), &["got 5 × 1 × 3, expected a size along 2 axes"]);
    says(&refused(&kernel, (("source", &source),)), &["Texture::new(texels, [width, height])"]);
    says(
        &refused(
            &kernel,
            (("source", Texture::new(&source, [5, 3])), ("sink", Texture::new(&source, [5, 3]))),
        ),
        &["because the shader declares it var sink: texture_storage_2d<rgba8unorm, write>"],
    );
    let plain = with("var<storage, read> v: array<f32>", "_ = v[0];");
    says(&refused(&plain, (("v", Texture::new(&source, [5, 3])),)), &["got a texture, expected a buffer"]);
}

const STEP: &str = "
    @group(0) @binding(0) var<storage, read> old: array<u32>;
    @group(0) @binding(1) var<storage, read_write> to: array<u32>;
    @group(0) @binding(2) var<uniform> k: u32;
    @compute @workgroup_size(32)
    fn step(@builtin(global_invocation_id) id: vec3u) {
        let n = arrayLength(&to);
        if (id.x < n) { to[id.x] = 3 * old[(id.x + 1) % n] + k; }
    }";

#[test]
fn arrays_go_from_launch_to_launch() {
    const N: u32 = 1000;
    let kernel = shader(STEP);
    let mut expected: Vec<u32> = (0..N).collect();
    for k in 0..20 {
        expected = (0..expected.len())
            .map(|i| expected[(i + 1) % expected.len()].wrapping_mul(3).wrapping_add(k))
            .collect();
    }
    for backend in CPU {
        let forall = on(backend);
        let (mut from, mut to): (Array<u32>, _) = ((0..N).collect(), Array::zeros(N as usize));
        for k in 0..20_u32 {
            forall
                .launch(&kernel, Grid::threads(N), (("old", &from), ("to", &to), ("k", k)))
                .expect("launches");
            std::mem::swap(&mut from, &mut to);
        }
        assert_eq!(from.to_vec().expect("on the host"), expected);

        let (mut from, mut to): (Array<u32>, _) = ((0..N).collect(), Array::zeros(N as usize));
        let start = from.clone();
        let mut steps = forall.sequence();
        for k in 0..20_u32 {
            steps
                .launch(&kernel, Grid::threads(N), (("old", &from), ("to", &to), ("k", k)))
                .expect("is right");
            std::mem::swap(&mut from, &mut to);
        }
        let error = steps.launch(&kernel, Grid::threads(N), (("old", &from), ("to", &from), ("k", 1_u32)));
        assert!(matches!(error, Err(Error::Aliased { .. })), "{error:?}");
        assert_eq!(
            (steps.len(), start.to_vec().expect("on the host")),
            (20, (0..N).collect()),
            "nothing ran yet"
        );
        let report = steps.run().expect("runs");
        assert_eq!(from.to_vec().expect("on the host"), expected);
        assert_eq!((report.n(), report.kernel()), (20 * 1024, "step"));
        assert!(
            report.to_string().starts_with(&format!("20 launches from step on on {backend}")),
            "{report}"
        );
    }
    let report = Dispatcher::new().sequence().run().expect("nothing to do");
    assert_eq!((report.n(), report.kernel()), (0, "sequence"));
}

#[test]
fn loops_over_elements_take_arrays() {
    let kernel = Kernel::map("fn f(x: f32, y: f32) -> f32 { return x - y; }").expect("valid WGSL");
    let (x, y, out) = (Array::from(X), [1.0_f32; 4], Array::<f32>::zeros(4));
    for backend in CPU {
        on(backend).run(&kernel, (&x, &y), &out).expect("runs");
        assert_eq!(out.to_vec().expect("on the host"), [0.0, 1.0, 2.0, 3.0]);
    }
    let error = Dispatcher::new().run(&kernel, (&x, &out), &out).expect_err("in place");
    assert!(matches!(error, Error::Aliased { .. }), "{error:?}");
    says(&error, &["f: `output 1` and `input 2` are bound to the same array"]);
    let short = Array::<f32>::zeros(3);
    let error = Dispatcher::new().run(&kernel, (&x, &short), &out).expect_err("too short");
    assert!(matches!(error, Error::LengthMismatch { .. }), "{error:?}");
    assert!(Dispatcher::new().run(&kernel, (&x, &Array::<u32>::zeros(4)), &out).is_err());
}

/// Never ends, for one invocation of many.
const ENDLESS: &str = "
    @group(0) @binding(0) var<storage, read_write> x: array<u32>;
    @group(0) @binding(1) var<storage, read_write> total: array<u32>;
    @compute @workgroup_size(64)
    fn endless(@builtin(global_invocation_id) id: vec3u) {
        x[id.x] = 5;
        total[id.x] = 6;
        loop { if (x[id.x] != 5 || id.x % 100 != 7) { break; } }
    }";

#[test]
fn a_limit_and_a_cancel_end_what_never_ends() {
    let kernel = shader(ENDLESS);
    let map = Kernel::map("fn f(i: u32) -> u32 { var k = i; while (k != 7) { k = k & 7 | 8; } return k; }")
        .expect("valid WGSL");
    for backend in CPU {
        let begun = Instant::now();
        let limit = Duration::from_millis(50);
        let forall = on(backend).with_time_limit(limit);
        let (mut x, total) = (vec![1_u32; 1000], Array::from(vec![2_u32; 1000]));
        let late = forall
            .launch(&kernel, Grid::threads(1000), (("x", &mut x), ("total", &total)))
            .expect_err("endless");
        assert_eq!(late, Error::TimeLimit { kernel: "endless".to_owned(), limit });
        says(&late, &["endless: stopped after the time limit of 50ms"]);
        assert_eq!((x, total.to_vec().expect("on the host")), (vec![1; 1000], vec![2; 1000]), "{backend}");
        let mut out = vec![3_u32; 5000];
        let late = forall.run(&map, Index, &mut out).expect_err("endless");
        assert_eq!(late, Error::TimeLimit { kernel: "f".to_owned(), limit });
        assert_eq!(out, vec![3; 5000]);
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());

        let cancel = Cancel::new();
        let forall = on(backend).with_cancel(&cancel);
        let (mut x, mut total) = (vec![1_u32; 1000], vec![2_u32; 1000]);
        let ended = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(30));
                cancel.cancel();
            });
            forall.launch(&kernel, Grid::threads(1000), (("x", &mut x), ("total", &mut total)))
        });
        assert_eq!(ended.expect_err("endless"), Error::Cancelled { kernel: "endless".to_owned() });
        assert_eq!((x, total), (vec![1; 1000], vec![2; 1000]), "{backend}");
        let mut out = vec![3_u32; 5000];
        let error = forall.run(&map, Index, &mut out).expect_err("cancelled");
        assert_eq!(error, Error::Cancelled { kernel: "f".to_owned() });
        let closure = Kernel::scalar("k", |i: u32| i);
        let error = forall.run(&closure, Index, &mut out).expect_err("cancelled");
        assert_eq!(error, Error::Cancelled { kernel: "k".to_owned() });
        assert_eq!(out, vec![3; 5000]);
    }
}

#[test]
fn what_ends_in_time_is_written() {
    let kernel = shader(SAXPY);
    for backend in CPU {
        let progress = Progress::new();
        let forall = on(backend)
            .with_time_limit(Duration::MAX)
            .with_cancel(&Cancel::new())
            .with_progress(progress.clone());
        for n in [1, 64, 1000, 100_000_usize] {
            let before = progress.done();
            let (x, mut y) = (vec![1.0_f32; n], vec![3.0_f32; n]);
            let grid = Grid::threads(u32::try_from(n).expect("few"));
            let bindings = Bindings::new().value("params", Params::new(n)).bind("x", &x).bind("y", &mut y);
            forall.launch(&kernel, grid, bindings).expect("in time");
            assert_eq!(y, vec![5.5; n], "{backend}");
            assert_eq!(progress.done() - before, n.next_multiple_of(64), "{backend} {n}");
            let twice = Kernel::map("fn twice(x: f32) -> f32 { return 2.0 * x; }").expect("valid WGSL");
            let mut out = vec![f32::NAN; n];
            forall.run(&twice, &y, &mut out).expect("in time");
            assert_eq!(out, vec![11.0; n]);
        }
    }
}

#[test]
fn reports_and_plans_say_what_ran() {
    let kernel = shader(SAXPY);
    let mut y = [0.0_f32; 4];
    let plan = Dispatcher::new()
        .with_policy(Policy::Auto)
        .plan_launch(&kernel, Grid::threads(4), (("params", Value(Params::new(4))), ("x", X), ("y", &mut y)))
        .expect("a right launch");
    assert_eq!(plan.backend, Backend::Simd);
    let report = on(Backend::Simd)
        .launch(&kernel, Grid::threads([4, 3]), (("params", Value(Params::new(4))), ("x", X), ("y", &mut y)))
        .expect("a right launch");
    assert!(
        report.to_string().starts_with("saxpy: 1 × 3 × 1 workgroups of 64 × 1 × 1 on simd in "),
        "{report}"
    );
}

/// The length of an array of workgroup memory may be a constant that the caller gives.
#[test]
fn arrays_are_as_long_as_their_constants_say() {
    let text = "
        override half: u32 = 2;
        @group(0) @binding(0) var<storage, read_write> out: array<u32>;
        var<workgroup> turned: array<u32, 2 * half>;
        var<workgroup> fixed: array<u32, 4>;
        @compute @workgroup_size(2 * half)
        fn turn(@builtin(local_invocation_index) i: u32) {
            turned[2 * half - 1 - i] = i;
            fixed[i] = i;
            workgroupBarrier();
            out[i] = 10 * turned[i] + fixed[i];
        }";
    for half in [1_u32, 2, 4] {
        let turn = ShaderOptions::new().constant("half", half).build(text).unwrap();
        let mut out = vec![99; 2 * half as usize];
        let forall = Dispatcher::new().with_policy(Policy::Only(Backend::Simd));
        forall.launch(&turn, Grid::workgroups(1), Bindings::new().bind("out", &mut out)).unwrap();
        let last = 2 * half - 1;
        let expected: Vec<u32> = (0..=last).map(|i| 10 * (last - i) + if i < 4 { i } else { 0 }).collect();
        assert_eq!(out, expected);
    }
    let error = ShaderOptions::new().constant("half", 0).build(text).unwrap_err();
    assert!(matches!(error, Error::Wgsl { .. }), "{error}");
}

#[test]
fn a_depth_texture_is_an_array_of_f32() {
    let kernel = shader(
        "@group(0) @binding(0) var depth: texture_depth_2d;
         @group(0) @binding(1) var<storage, read_write> nearest: array<f32>;
         @compute @workgroup_size(4)
         fn rows(@builtin(global_invocation_id) id: vec3u) {
             if (id.x >= arrayLength(&nearest)) { return; }
             var least = 1.0;
             for (var x = 0u; x < textureDimensions(depth).x; x++) {
                 least = min(least, textureLoad(depth, vec2u(x, id.x), 0));
             }
             nearest[id.x] = least;
         }",
    );
    let depth: Vec<f32> = (0..15).map(|i| (i * 7 % 15) as f32 / 16.0).collect();
    for backend in CPU {
        let mut nearest = [f32::NAN; 3];
        let bindings =
            Bindings::new().bind("depth", Texture::new(&depth, [5, 3])).bind("nearest", &mut nearest[..]);
        on(backend).launch(&kernel, Grid::threads(3), bindings).expect("launches");
        // Of 0 7 14 6 13, 5 12 4 11 3, 10 2 9 1 8.
        assert_eq!(nearest, [0.0, 3.0 / 16.0, 1.0 / 16.0], "{backend}");
    }
    let four = vec![[0.0_f32; 4]; 15];
    says(
        &refused(&kernel, (("depth", Texture::new(&four, [5, 3])),)),
        &["expected 5 × 3 × 1 texels of 4 bytes = 60 bytes for texture_depth_2d"],
    );
}

/// wgpu's data without a buffer: any layout that storage may have, and `push_constant`, as it was called.
#[test]
fn immediate_data_are_bound_by_name() {
    for space in ["immediate", "push_constant", " immediate "] {
        let kernel = shader(&format!(
            "requires immediate_address_space;
             struct Push {{ n: u32, by: array<f32, 3>, start: vec3f }}
             var<{space}> push: Push;
             @group(0) @binding(1) var<storage, read> x: array<f32>;
             @group(0) @binding(0) var<storage, read_write> y: array<f32>;
             var<private> at: u32;
             @compute @workgroup_size(4)
             fn main(@builtin(global_invocation_id) id: vec3u) {{
                 at = id.x;
                 if at < push.n {{ y[id.x] = push.start.z + push.by[id.x % 3] * x[id.x]; }}
             }}"
        ));
        let names: Vec<_> = kernel.bindings().iter().map(|b| (b.name.as_str(), b.group, b.binding)).collect();
        assert_eq!(names, [("y", 0, 0), ("x", 0, 1), ("push", 0, 2)]);
        let push: [f32; 8] = [f32::from_bits(5), 1.0, 10.0, 100.0, 0.0, 0.0, 0.5, 0.0];
        for backend in CPU {
            let mut y = [-1.0_f32; 7];
            let bindings = Bindings::new()
                .bind("x", &[1.0_f32; 7])
                .bind("y", &mut y)
                .bind("push", bytemuck::bytes_of(&push));
            on(backend).launch(&kernel, Grid::threads(7), bindings).expect("launches");
            assert_eq!(y, [1.5, 10.5, 100.5, 1.5, 10.5, -1.0, -1.0], "{backend} {space}");
        }
    }
    // The places of what is wrong stay.
    let error =
        Kernel::shader("var<push_constant> a: u32; @compute @workgroup_size(1) fn main() { let x = a + ; }")
            .expect_err("does not parse");
    says(&error, &["1:80", "var<push_constant> a"]);
    // One that nobody may have.
    let error = Kernel::shader(
        "var<immediate> a: atomic<u32>; @compute @workgroup_size(1) fn main() { atomicAdd(&a, 1u); }",
    )
    .expect_err("immediate data are read-only");
    says(&error, &["a"]);
}

/// Browsers want the lines in front; naga knows some of them, needs none, and refuses others.
#[test]
fn directives_that_ask_for_what_is_there_are_taken() {
    let kernel = shader(
        "enable subgroups, f16;
         requires readonly_and_readwrite_storage_textures, unrestricted_pointer_parameters, a_later_feature;
         diagnostic(off, subgroup_uniformity);
         diagnostic(off, chromium.unreachable_code);
         enable subgroups;
         @group(0) @binding(0) var<storage, read_write> x: array<u32>;
         @compute @workgroup_size(32)
         fn main(@builtin(local_invocation_index) i: u32) {
             x[i] = u32(f16(subgroupExclusiveAdd(2u)));
         }",
    );
    for backend in CPU {
        let mut x = [u32::MAX; 32];
        on(backend)
            .launch(&kernel, Grid::workgroups(1), Bindings::new().bind("x", &mut x))
            .expect("launches");
        assert!(x.iter().zip(0..).all(|(&x, i)| x == 2 * i), "{backend} {x:?}");
    }
    // The places of what is wrong stay, and its line.
    let wrong = "enable subgroups;\n@compute @workgroup_size(1) fn main() { let x = 1 + ; }";
    let error = Kernel::shader(wrong).expect_err("does not parse");
    says(&error, &["2:53"]);
    let error = Kernel::shader("enable nothing_known;").expect_err("does not parse");
    says(&error, &["nothing_known"]);
}
