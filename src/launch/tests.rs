//! Every wrong call gives its documented error and writes nothing; right calls become the part they say.

use super::*;
use crate::part::Index;

/// `fn f(a: f32, x: f32, i: u32, v: vec3<f32>) -> {call, put: vec2<f32>}` with a whole array `w` of vec4.
fn signature() -> Signature {
    let field = |name: &str, ty| Field { name: name.to_owned(), ty };
    let param = |name: &str, ty, takes| Param { field: field(name, ty), takes };
    Signature {
        name: "f".to_owned(),
        params: vec![
            param("a", f32::TYPE, Takes::Uniform),
            param("x", f32::TYPE, Takes::Element),
            param("i", u32::TYPE, Takes::Element),
            param("v", <[f32; 3]>::TYPE, Takes::Array),
            param("w", <[f32; 4]>::TYPE, Takes::Whole),
        ],
        outputs: vec![field("call", f32::TYPE), field("put", <[f32; 2]>::TYPE)],
    }
}

const X: &[f32] = &[1.0, 2.0, 3.0];
const I: &[u32] = &[4, 5, 6];
const V: &[[f32; 3]] = &[[1.0; 3], [2.0; 3], [3.0; 3]];
const W: &[[f32; 4]] = &[[1.0; 4]; 5];

/// The error of a call with right outputs, which must keep their poison.
fn error<'a>(args: impl IntoArgs<'a>) -> Error {
    let (mut call, mut put) = ([-7.5_f32; 3], [[-7.5_f32; 2]; 3]);
    let error = check(&signature(), args.into_args(), (&mut call, &mut put).into_outputs())
        .expect_err("a wrong call");
    assert_eq!((call, put), ([-7.5; 3], [[-7.5; 2]; 3]));
    error
}

/// The error of a call with right inputs.
fn output_error<'a>(outputs: impl IntoOutputs<'a>) -> Error {
    check(&signature(), (1.0_f32, X, I, V, W).into_args(), outputs.into_outputs()).expect_err("a wrong call")
}

#[test]
fn a_right_call_becomes_a_part() {
    let (mut call, mut put) = ([0.0_f32; 3], [[0.0_f32; 2]; 3]);
    let args = (9.0_f32, 2.0_f32, Index, V, W).into_args();
    let part = check(&signature(), args, (&mut call, &mut put).into_outputs()).expect("right");
    assert_eq!((part.start, part.n, part.outputs.len()), (0, 3, 2));
    assert!(
        matches!(part.inputs[0], Input::Uniform { bytes, ty } if ty == f32::TYPE && bytes[..4] == 9.0_f32.to_ne_bytes())
    );
    assert!(matches!(part.inputs[1], Input::Uniform { bytes, .. } if bytes[..4] == 2.0_f32.to_ne_bytes()));
    assert!(matches!(part.inputs[2], Input::Index));
    assert!(matches!(part.inputs[3], Input::Array { data, .. } if data.len() == 36));
    assert!(matches!(part.inputs[4], Input::Whole { data, .. } if data.len() == 80));
    assert_eq!(part.outputs[1].data.len(), 24);
}

#[test]
fn names_bind_in_any_order_and_after_positions() {
    let by_position = |args: Args<'_>| {
        let (mut call, mut put) = ([0.0_f32; 3], [[0.0_f32; 2]; 3]);
        let outputs = OutputArgs::new().bind("put", &mut put).bind("call", &mut call);
        let part = check(&signature(), args, outputs).expect("right");
        assert_eq!((part.outputs[0].ty, part.outputs[1].ty), (f32::TYPE, <[f32; 2]>::TYPE));
        format!("{:?}", part.inputs)
    };
    let all = by_position((9.0_f32, X, I, V, W).into_args());
    let named = Args::new().bind("w", W).bind("i", I).bind("v", V).bind("a", 9.0_f32).bind("x", X);
    assert_eq!(by_position(named), all);
    let mixed = Args::new().push(9.0_f32).push(X).bind("w", W).bind("v", V).bind("i", I);
    assert_eq!(by_position(mixed), all);
}

#[test]
fn every_kind_of_value_converts() {
    let vec = vec![1.0_f32, 2.0];
    let slice: &[f32] = &vec;
    let kinds = [
        vec.as_slice().into_arg().describe(),
        (&vec).into_arg().describe(),
        slice.into_arg().describe(),
        (&[1_u64, 2]).into_arg().describe(),
        [1_i32, 2, 3, 4].into_arg().describe(),
        true.into_arg().describe(),
        7_i64.into_arg().describe(),
        Index.into_arg().describe(),
        Arg::array(&[0; 8], f64::TYPE).describe(),
    ];
    assert_eq!(
        kinds,
        [
            "an array of f32",
            "an array of f32",
            "an array of f32",
            "an array of u64",
            "a single vec4<i32>",
            "a single u32",
            "a single i64",
            "Index",
            "an array of f64"
        ]
    );
    assert!(matches!(false.into_arg().0, ArgValue::Uniform { bytes, .. } if bytes == [0; 32]));
    let tuple = (1_u32, 2_u32, 3_u32, 4_u32, 5_u32, 6_u32, 7_u32, 8_u32, 9_u32, 10_u32, 11_u32, 12_u32);
    assert_eq!(tuple.into_args().0.len(), 12);
    assert_eq!(().into_args().0.len(), 0);
    assert_eq!(1.0_f32.into_args().0.len(), 1);
}

#[test]
fn counts_and_names() {
    let got = error((1.0_f32, X));
    assert!(
        matches!(&got, Error::ArgumentCount { what: "inputs", got: 2, expected: 5, names, .. } if names == "a, x, i, v, w"),
        "{got}"
    );
    let got = error((1.0_f32, X, I, V, W, X));
    assert!(matches!(got, Error::ArgumentCount { got: 6, .. }));
    let got = error(Args::new().bind("y", X));
    assert!(
        matches!(&got, Error::UnknownParameter { name, names, .. } if name == "y" && names == "a, x, i, v, w"),
        "{got}"
    );
    let got = error(Args::new().bind("a", 1.0_f32).bind("a", 1.0_f32));
    assert!(matches!(&got, Error::DuplicateParameter { name, .. } if name == "a"), "{got}");
    let got = error(Args::new().push(1.0_f32).bind("a", 1.0_f32));
    assert!(matches!(&got, Error::DuplicateParameter { name, .. } if name == "a"), "{got}");
    let got = error(Args::new().bind("a", 1.0_f32).bind("x", X).bind("v", V).bind("w", W));
    assert!(
        matches!(&got, Error::MissingParameter { name, expected, .. } if name == "i" && expected == "u32"),
        "{got}"
    );
    let many = (0..6).fold(Args::new().bind("a", 1.0_f32), |args, _| args.push(1.0_f32));
    assert!(matches!(error(many), Error::ArgumentCount { .. } | Error::DuplicateParameter { .. }));

    let mut out = [0.0_f32; 3];
    let got = output_error(&mut out);
    assert!(
        matches!(&got, Error::ArgumentCount { what: "outputs", got: 1, expected: 2, names, .. } if names == "call, put"),
        "{got}"
    );
    let got = output_error(OutputArgs::new().bind("sum", &mut out));
    assert!(
        matches!(&got, Error::UnknownParameter { name, names, .. } if name == "sum" && names == "call, put"),
        "{got}"
    );
    let got = output_error(OutputArgs::new().bind("call", &mut out));
    assert!(matches!(&got, Error::MissingParameter { name, .. } if name == "put"), "{got}");
}

#[test]
fn types_and_kinds_are_exact() {
    let wide = [1.0_f64; 3];
    let signed = [1_i32; 3];
    let rows = [[1.0_f32; 4]; 3];
    // argument, its parameter, what the message says of what was got and what was expected
    let cases: [(Error, &str, &str, &str); 12] = [
        (error((1.0_f64, X, I, V, W)), "a", "a single f64", "a single f32"),
        (error((X, X, I, V, W)), "a", "an array of f32", "a single f32"),
        (error((1.0_f32, &wide, I, V, W)), "x", "an array of f64", "an array of f32"),
        (error((1.0_f32, 1.0_f64, I, V, W)), "x", "a single f64", "a single f32"),
        (error((1.0_f32, Index, I, V, W)), "x", "Index", "a single f32"),
        (error((1.0_f32, X, &signed, V, W)), "i", "an array of i32", "an array of u32, or Index"),
        (error((1.0_f32, X, 1_i32, V, W)), "i", "a single i32", "a single u32"),
        (error((1.0_f32, X, I, &rows, W)), "v", "an array of vec4<f32>", "an array of vec3<f32>"),
        (error((1.0_f32, X, I, [1.0_f32; 3], W)), "v", "a single vec3<f32>", "an array of vec3<f32>"),
        (error((1.0_f32, X, I, V, [1.0_f32; 4])), "w", "a single vec4<f32>", "an array of vec4<f32>"),
        (error((1.0_f32, X, I, V, V)), "w", "an array of vec3<f32>", "an array of vec4<f32>"),
        (error((1.0_f32, X, I, V, Index)), "w", "Index", "an array of vec4<f32>"),
    ];
    for (error, parameter, got_words, expected_words) in cases {
        let Error::WrongType { name, got, expected, .. } = &error else { panic!("{error}") };
        assert_eq!((name.as_str(), got.as_str()), (parameter, got_words));
        assert!(expected.contains(expected_words), "{error}");
    }
    // What to do is said.
    assert!(error((1.0_f32, &wide, I, V, W)).to_string().ends_with("convert first, with `as f32`"));

    let (mut call, mut put) = ([0.5_f64; 3], [[0.5_f32; 2]; 3]);
    let got = output_error((&mut call, &mut put));
    assert!(
        matches!(&got, Error::WrongType { name, got, .. } if name == "call" && got == "an array of f64"),
        "{got}"
    );
    assert_eq!((call, put), ([0.5; 3], [[0.5; 2]; 3]));
}

#[test]
fn lengths_agree_with_the_first_output() {
    let got = error((1.0_f32, &[1.0_f32; 4], I, V, W));
    assert!(
        matches!(&got, Error::LengthMismatch { name, got: 4, expected: 3, other, .. } if name == "x" && other == "call"),
        "{got}"
    );
    let got = error((1.0_f32, X, I, &V[..2], W));
    assert!(matches!(&got, Error::LengthMismatch { name, got: 2, expected: 3, .. } if name == "v"), "{got}");
    let (mut call, mut put) = ([0.5_f32; 3], [[0.5_f32; 2]; 2]);
    let got = output_error((&mut call, &mut put));
    assert!(
        matches!(&got, Error::LengthMismatch { name, got: 2, expected: 3, .. } if name == "put"),
        "{got}"
    );
    assert_eq!((call, put), ([0.5; 3], [[0.5; 2]; 2]));
}

#[test]
fn nothing_is_a_length_too() {
    let empty: [f32; 0] = [];
    let (mut call, mut put): ([f32; 0], [[f32; 2]; 0]) = ([], []);
    // An empty array of a file may start anywhere.
    let bytes = [0_u8; 9];
    let args = (1.0_f32, &empty, Index, Arg::array(&bytes[1..1], <[f32; 3]>::TYPE), &[[0.0_f32; 4]; 0]);
    let outputs = OutputArgs::new().push(&mut call).push(&mut put);
    let part = check(&signature(), args.into_args(), outputs).expect("right");
    assert_eq!(part.n, 0);
    for input in &part.inputs {
        if let Input::Array { data, .. } | Input::Whole { data, .. } = input {
            assert_eq!(bytemuck::cast_slice::<u8, u32>(data).len(), 0);
        }
    }
}

#[test]
fn bytes_must_be_whole_aligned_elements() {
    let words = [0_u64; 6];
    let bytes: &[u8] = bytemuck::cast_slice(&words);
    let x = |bytes| error((1.0_f32, Arg::array(bytes, f32::TYPE), I, V, W));
    let got = x(&bytes[1..13]);
    assert!(matches!(&got, Error::Misaligned { name, align: 4, size: 4, .. } if name == "x"), "{got}");
    assert!(got.to_string().contains("start 1 past an aligned address"), "{got}");
    let got = x(&bytes[..13]);
    assert!(matches!(&got, Error::Misaligned { got, .. } if got == "13 bytes"), "{got}");
    let got = error((Arg::uniform(&bytes[..3], f32::TYPE), X, I, V, W));
    assert!(matches!(&got, Error::Misaligned { name, .. } if name == "a"), "{got}");
    let got = error((Arg::uniform(bytes, f32::TYPE), X, I, V, W));
    assert!(matches!(&got, Error::Misaligned { got, .. } if got == "one f32 of 48 bytes"), "{got}");
    // Aligned for a byte only, where the elements are wide.
    let (mut out, mut put) = ([0_u64; 3], [[0.5_f32; 2]; 3]);
    let raw: &mut [u8] = bytemuck::cast_slice_mut(&mut out);
    let got = output_error((OutputArg::array(&mut raw[2..14], f32::TYPE), &mut put));
    assert!(matches!(&got, Error::Misaligned { name, .. } if name == "call"), "{got}");
    // The same bytes, aligned.
    let part = |start: usize| {
        let (mut call, mut put) = ([0.0_f32; 3], [[0.0_f32; 2]; 3]);
        let args = (1.0_f32, Arg::array(&bytes[start..start + 12], f32::TYPE), I, V, W).into_args();
        check(&signature(), args, (&mut call, &mut put).into_outputs()).map(|part| part.n)
    };
    assert_eq!(part(4), Ok(3));
}

#[test]
fn more_elements_than_u32_counts() {
    let limit = usize::try_from(1_u64 << 32).unwrap_or(usize::MAX);
    assert_eq!(index_fits("f", "i", limit), Ok(()));
    if let Some(more) = limit.checked_add(1) {
        let got = index_fits("f", "i", more).expect_err("too long");
        assert!(
            matches!(&got, Error::TooLong { got, limit: at_most, .. } if *got == more && *at_most == limit),
            "{got}"
        );
    }
}
