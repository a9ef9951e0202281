//! A loop in pieces gives the bits of the loop in one: any cuts, any way of binding, either form of body.

use proptest::prelude::*;

use super::{map, run_at, words};
use crate::cpu::CpuLevel;
use crate::element::Element;
use crate::kernel::{Kernel, Signature, Takes};
use crate::launch::{Arg, Args};
use crate::part::{Index, Part};

/// Parameters of every kind, divergence, three outputs of different widths.
pub(crate) fn wgsl() -> Kernel {
    map("var<storage, read> table: array<vec2<f32>>;
         struct Out { sum: f32, row: vec3<u32>, even: bool }
         fn f(x: f32, k: u32, v: vec3<f32>, on: bool) -> Out {
             var sum = x * v.y + v.z;
             for (var j = 0u; j < min(k % 7u, arrayLength(&table)); j++) {
                 sum += table[j].x * table[(j + k) % arrayLength(&table)].y;
             }
             return Out(sum, vec3<u32>(k, 31u * k, u32(on)), on != (k % 2u == 0u));
         }")
}

fn kernels() -> [Kernel; 4] {
    [
        wgsl(),
        Kernel::scalar("scalar", |x: f32, k: u32, v: [f32; 3], table: &[f32]| {
            let at = table.get(k as usize % 50).copied().unwrap_or(0.5);
            (x * v[1] + at, [k, 31_u32.wrapping_mul(k)], [v[2], x, at])
        }),
        Kernel::lanes("lanes", |a: f32, x: wide::f32x8, k: wide::u32x8, table: &[f32]| {
            (x * a + wide::f32x8::splat(table.iter().sum()), k + k)
        }),
        Kernel::chunk("chunk")
            .uniform::<u32>("a")
            .input::<[u32; 3]>("x")
            .whole::<u32>("table")
            .output::<u32>("out")
            .body(|chunk| {
                let (start, a, x) = (chunk.start() as u32, chunk.uniform::<u32>("a"), chunk.input("x"));
                let last = chunk.whole("table").last().copied().unwrap_or(a);
                for ((i, out), x) in (start..).zip(chunk.output::<u32>("out")).zip::<&[[u32; 3]]>(x) {
                    *out = i.wrapping_mul(a) ^ last ^ x[0] ^ x[2];
                }
            }),
    ]
}

/// Each parameter bound as two bits of `choices` say, to some of `words`.
pub(crate) fn bind<'a>(
    signature: &Signature,
    choices: u32,
    words: &'a [u32],
    n: usize,
    whole: usize,
) -> Args<'a> {
    let mut args = Args::new();
    for (p, param) in signature.params.iter().enumerate() {
        let (ty, bytes) = (param.field.ty, bytemuck::cast_slice::<u32, u8>(&words[p..]));
        let uniform = Arg::uniform(&bytes[..ty.size()], ty);
        args = match (param.takes, choices >> (2 * p) & 3) {
            (Takes::Whole, _) => args.push(Arg::array(&bytes[..whole * ty.size()], ty)),
            (Takes::Uniform, _) | (Takes::Element, 0) => args.push(uniform),
            (Takes::Element, 1) if ty == u32::TYPE => args.push(Index),
            _ => args.push(Arg::array(&bytes[..n * ty.size()], ty)),
        };
    }
    args
}

/// Words for up to `n` elements. As f32 they are between 0 and 2: sums have no NaN, whose payload nobody promises.
pub(crate) fn noise(n: usize) -> Vec<u32> {
    (0..4 * n as u32 + 64).map(|i| i.wrapping_mul(2_654_435_761) >> 2).collect()
}

/// Cuts the part in two at the first cut, each of the two at the second one, and so on; runs the pieces from the last to the first.
fn pieces(mut part: Part<'_>, cuts: &[(usize, bool)], run: &impl Fn(Part<'_>)) {
    let Some((&(at, borrowed), cuts)) = cuts.split_first() else { return run(part) };
    let (n, at) = (part.n, at % (part.n + 1));
    if borrowed {
        pieces(part.slice(at..n), cuts, run);
        pieces(part.slice(0..at), cuts, run);
    } else {
        let (low, high) = part.split_at(at);
        pieces(high, cuts, run);
        pieces(low, cuts, run);
    }
}

proptest! {
    #[test]
    fn sliced_equals_unsliced(
        n in 0_usize..2200,
        whole in 0_usize..40,
        choices: u32,
        level: proptest::sample::Index,
        cuts in prop::collection::vec((0_usize..2200, any::<bool>()), 1..5),
    ) {
        let level = *level.get(&CpuLevel::available());
        let noise = noise(n.max(whole));
        for kernel in kernels() {
            let args = bind(kernel.signature(), choices, &noise, n, whole);
            let run = |part: Part<'_>| run_at(&kernel, level, part);
            let one = words(&kernel, args.clone(), n, run);
            let many = words(&kernel, args, n, |part| pieces(part, &cuts, &run));
            prop_assert!(one == many, "{} at {level}", kernel.name());
        }
    }
}
