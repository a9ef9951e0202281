//! Every wrong call through the front door gives its documented error, whatever the backend, and leaves the outputs alone.
//!
//! Wrong WGSL of every kind is in `diagnostics.rs`. Loops too long to be counted need arrays that no test can have: the checks
//! of `launch` and of `kernel::map` are held to their limits there.

use forall::{
    Arg, Args, Backend, Dispatcher, Element, Error, Index, IntoArgs, IntoOutputs, Kernel, OutputArg,
    OutputArgs, Policy,
};

const X: &[f32] = &[1.0, 2.0, 3.0];
const TABLE: &[f32] = &[10.0, 20.0, 30.0, 40.0];

/// The same loop in both forms: three parameters, a whole array, two outputs.
fn kernels() -> [Kernel; 2] {
    let wgsl = "var<storage, read> table: array<f32>;
        struct Both { sum: f32, index: u32 }
        fn both(a: f32, x: f32, i: u32) -> Both { return Both(a * x + table[i], i); }";
    let closure = |a: f32, x: f32, i: u32, table: &[f32]| (a * x + table[i as usize], i);
    let names: [&[&str]; 2] = [&["a", "x", "i", "table"], &["sum", "index"]];
    [
        Kernel::map(wgsl).expect("valid WGSL"),
        Kernel::scalar("both", closure).named(names[0], names[1]).expect("as many names"),
    ]
}

fn policies() -> [Policy; 4] {
    [Policy::Auto, Policy::Only(Backend::Simd), Policy::Only(Backend::Threads), Policy::Only(Backend::Gpu)]
}

/// Every kernel refuses these inputs on every backend, before a backend is looked for, and the outputs keep their poison.
fn refused<'a>(args: impl IntoArgs<'a> + Clone, is_right: impl Fn(&Error) -> bool) {
    for kernel in kernels() {
        for policy in policies() {
            let (mut sum, mut index) = ([-7.5_f32; 3], [77_u32; 3]);
            let forall = Dispatcher::new().with_policy(policy);
            let error = forall.run(&kernel, args.clone(), (&mut sum, &mut index)).expect_err("a wrong call");
            assert!(is_right(&error), "{policy:?}: {error:?}");
            assert_eq!((sum, index), ([-7.5; 3], [77; 3]), "{policy:?}: {error}");
        }
    }
}

/// The error of right inputs with these outputs.
fn output_error<'a>(kernel: &Kernel, outputs: impl IntoOutputs<'a>) -> Error {
    Dispatcher::new().run(kernel, (2.0_f32, X, Index, TABLE), outputs).expect_err("a wrong call")
}

#[test]
fn a_right_call_is_right() {
    for kernel in kernels() {
        for policy in [Policy::Only(Backend::Simd), Policy::Only(Backend::Threads)] {
            let (mut sum, mut index) = ([-7.5_f32; 3], [77_u32; 3]);
            let forall = Dispatcher::new().with_policy(policy);
            let args = Args::new().push(2.0_f32).bind("table", TABLE).bind("i", Index).bind("x", X);
            forall.run(&kernel, args, (&mut sum, &mut index)).expect("a right call");
            assert_eq!((sum, index), ([12.0, 24.0, 36.0], [0, 1, 2]));
        }
    }
}

#[test]
fn lengths_that_disagree() {
    let is = |wanted: &'static str, length: usize| {
        move |error: &Error| {
            matches!(error, Error::LengthMismatch { name, got, expected: 3, other, .. }
                if name == wanted && *got == length && other == "sum")
        }
    };
    refused((2.0_f32, &X[..2], Index, TABLE), is("x", 2));
    refused((2.0_f32, TABLE, Index, TABLE), is("x", 4));
    refused((2.0_f32, &X[..0], Index, TABLE), is("x", 0));
    refused((X, X, &[1_u32; 300], TABLE), is("i", 300));
    for kernel in kernels() {
        let (mut sum, mut index) = ([-7.5_f32; 3], [77_u32; 4]);
        let error = output_error(&kernel, (&mut sum, &mut index));
        assert!(
            matches!(&error, Error::LengthMismatch { name, got: 4, expected: 3, .. } if name == "index"),
            "{error:?}"
        );
        assert_eq!((sum, index), ([-7.5; 3], [77; 4]));
    }
}

#[test]
fn types_and_kinds_that_do_not_fit() {
    let is = |wanted: &'static str, given: &'static str| move |error: &Error| matches!(error, Error::WrongType { name, got, .. } if name == wanted && got == given);
    refused((2.0_f64, X, Index, TABLE), is("a", "a single f64"));
    refused((2.0_f32, &[1.0_f64; 3], Index, TABLE), is("x", "an array of f64"));
    refused((2.0_f32, &[[1.0_f32; 3]; 3], Index, TABLE), is("x", "an array of vec3<f32>"));
    refused((2.0_f32, Index, Index, TABLE), is("x", "Index"));
    refused((2.0_f32, X, &[1_i32; 3], TABLE), is("i", "an array of i32"));
    refused((2.0_f32, X, Index, 1.0_f32), is("table", "a single f32"));
    refused((2.0_f32, X, Index, Index), is("table", "Index"));
    for kernel in kernels() {
        let (mut sum, mut index) = ([-7.5_f64; 3], [77_u32; 3]);
        let error = output_error(&kernel, (&mut sum, &mut index));
        assert!(is("sum", "an array of f64")(&error), "{error:?}");
        assert_eq!((sum, index), ([-7.5; 3], [77; 3]));
    }
}

#[test]
fn parameters_that_are_missing_unknown_or_bound_twice() {
    let named = || Args::new().bind("a", 2.0_f32).bind("x", X).bind("i", Index);
    refused(named(), |e| matches!(e, Error::MissingParameter { name, .. } if name == "table"));
    refused(
        named().bind("tabel", TABLE),
        |e| matches!(e, Error::UnknownParameter { name, names, .. } if name == "tabel" && names == "a, x, i, table"),
    );
    refused(
        named().bind("x", X).bind("table", TABLE),
        |e| matches!(e, Error::DuplicateParameter { name, .. } if name == "x"),
    );
    refused((2.0_f32, X, Index), |e| {
        matches!(e, Error::ArgumentCount { what: "inputs", got: 3, expected: 4, .. })
    });
    refused((2.0_f32, X, Index, TABLE, TABLE), |e| matches!(e, Error::ArgumentCount { got: 5, .. }));
    refused((), |e| matches!(e, Error::ArgumentCount { got: 0, .. }));
    for kernel in kernels() {
        let mut sum = [-7.5_f32; 3];
        let error = output_error(&kernel, &mut sum);
        assert!(
            matches!(error, Error::ArgumentCount { what: "outputs", got: 1, expected: 2, .. }),
            "{error:?}"
        );
        let error = output_error(&kernel, OutputArgs::new().bind("sum", &mut sum));
        assert!(matches!(&error, Error::MissingParameter { name, .. } if name == "index"), "{error:?}");
        let error = output_error(&kernel, OutputArgs::new().bind("total", &mut sum));
        assert!(matches!(&error, Error::UnknownParameter { name, .. } if name == "total"), "{error:?}");
        assert_eq!(sum, [-7.5; 3]);
    }
}

#[test]
fn bytes_that_are_no_elements() {
    let is = |wanted: &'static str| move |error: &Error| matches!(error, Error::Misaligned { name, .. } if name == wanted);
    let words = [0x4040_4040_u32; 4];
    let bytes: &[u8] = bytemuck::cast_slice(&words);
    refused((2.0_f32, Arg::array(&bytes[1..13], f32::TYPE), Index, TABLE), is("x"));
    refused((2.0_f32, Arg::array(&bytes[..11], f32::TYPE), Index, TABLE), is("x"));
    refused((Arg::uniform(&bytes[..3], f32::TYPE), X, Index, TABLE), is("a"));
    for kernel in kernels() {
        let (mut sum, mut index) = (words, [77_u32; 3]);
        let unaligned = &mut bytemuck::cast_slice_mut::<u32, u8>(&mut sum)[2..14];
        let error = output_error(&kernel, (OutputArg::array(unaligned, f32::TYPE), &mut index));
        assert!(is("sum")(&error), "{error:?}");
        assert_eq!((sum, index), (words, [77; 3]));
    }
}

#[test]
fn no_elements_are_no_error() {
    for kernel in kernels() {
        for policy in [Policy::Auto, Policy::Only(Backend::Simd), Policy::Only(Backend::Threads)] {
            let forall = Dispatcher::new().with_policy(policy);
            let outputs = (&mut [] as &mut [f32], &mut [] as &mut [u32]);
            let empty: [f32; 0] = [];
            let report =
                forall.run(&kernel, (2.0_f32, &empty, Index, &empty), outputs).expect("nothing to do");
            assert_eq!(report.n(), 0);
        }
    }
}

#[test]
fn a_closure_runs_on_no_gpu() {
    let half = Kernel::scalar("half", |x: f64| x / 2.0);
    let x = [1.0_f64, 2.0];
    let mut out = [-7.5_f64; 2];
    let gpu = Dispatcher::new().with_policy(Policy::Only(Backend::Gpu));
    let error = gpu.run(&half, &x, &mut out).expect_err("f64, and a closure");
    assert!(
        matches!(&error, Error::Unavailable { kernel, backend: Backend::Gpu, .. } if kernel == "half"),
        "{error:?}"
    );
    assert_eq!(out, [-7.5; 2]);
    // The CPU takes it, and that is where Auto goes.
    Dispatcher::new().with_policy(Policy::Auto).run(&half, &x, &mut out).expect("runs");
    assert_eq!(out, [0.5, 1.0]);
}

/// With a GPU the loop runs; without one the call fails and says so. Never the CPU instead, never half a result.
#[test]
fn only_the_gpu_is_all_or_nothing() {
    let [wgsl, _] = kernels();
    let (mut sum, mut index) = ([-7.5_f32; 3], [77_u32; 3]);
    let gpu = Dispatcher::new().with_policy(Policy::Only(Backend::Gpu));
    match gpu.run(&wgsl, (2.0_f32, X, Index, TABLE), (&mut sum, &mut index)) {
        Ok(report) => {
            assert_eq!(report.backend(), Backend::Gpu);
            assert_eq!((sum, index), ([12.0, 24.0, 36.0], [0, 1, 2]));
        }
        Err(error) => {
            assert!(matches!(error, Error::Unavailable { backend: Backend::Gpu, .. }), "{error:?}");
            assert_eq!((sum, index), ([-7.5; 3], [77; 3]));
        }
    }
}

#[test]
fn bad_wgsl_makes_no_kernel() {
    for text in
        ["", "fn f(x: f32) -> f32 { return y; }", "fn f(x: f32) { }", "fn f(x: f32) -> f32 { return x"]
    {
        let error = Kernel::map(text).expect_err(text);
        assert!(matches!(error, Error::Wgsl { .. } | Error::Unsupported { .. }), "{text}: {error:?}");
    }
}
