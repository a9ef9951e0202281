//! Gravity of every body on every other: a uniform loop over a whole array. The bar is the loop by hand on 16 lanes.

mod harness;

use fearless_simd::{Level, Simd, dispatch, f32x16, prelude::*};
use forall::Kernel;
use harness::{Table, backends, one_thread, opaque, random};
use wide::f32x8;

const SOFTENING: f32 = 0.05;

#[inline(always)]
fn acceleration(body: [f32; 4], bodies: &[[f32; 4]]) -> [f32; 3] {
    let mut a = [0.0_f32; 3];
    for other in bodies {
        let r = [other[0] - body[0], other[1] - body[1], other[2] - body[2]];
        let d2 = r[0] * r[0] + r[1] * r[1] + r[2] * r[2] + SOFTENING * SOFTENING;
        let pull = other[3] / (d2 * d2.sqrt());
        for k in 0..3 {
            a[k] += r[k] * pull;
        }
    }
    a
}

fn naive(bodies: &[[f32; 4]], out: &mut [[f32; 3]]) {
    for (out, &body) in out.iter_mut().zip(bodies) {
        *out = acceleration(body, bodies);
    }
}

fn hand_written(bodies: &[[f32; 4]], out: &mut [[f32; 3]]) {
    #[inline(always)]
    fn body<S: Simd>(simd: S, bodies: &[[f32; 4]], out: &mut [[f32; 3]]) {
        simd.vectorize(
            #[inline(always)]
            || {
                let c = |v: f32| f32x16::splat(simd, v);
                for (chunk, own) in out.chunks_mut(16).zip(bodies.chunks(16)) {
                    let lane = |k: usize| {
                        let lanes: [f32; 16] =
                            std::array::from_fn(|i| own.get(i).map_or(0.0, |body| body[k]));
                        f32x16::from_slice(simd, &lanes)
                    };
                    let (px, py, pz) = (lane(0), lane(1), lane(2));
                    let (mut ax, mut ay, mut az) = (c(0.0), c(0.0), c(0.0));
                    for other in bodies {
                        let (rx, ry, rz) = (c(other[0]) - px, c(other[1]) - py, c(other[2]) - pz);
                        let d2 = rx.mul_add(rx, ry.mul_add(ry, rz.mul_add(rz, c(SOFTENING * SOFTENING))));
                        let pull = c(other[3]) / (d2 * d2.sqrt());
                        ax = rx.mul_add(pull, ax);
                        ay = ry.mul_add(pull, ay);
                        az = rz.mul_add(pull, az);
                    }
                    let (ax, ay, az): ([f32; 16], [f32; 16], [f32; 16]) = (ax.into(), ay.into(), az.into());
                    for (i, out) in chunk.iter_mut().enumerate() {
                        *out = [ax[i], ay[i], az[i]];
                    }
                }
            },
        );
    }
    dispatch!(Level::new(), simd => body(simd, bodies, out));
}

/// Eight bodies at a time, each loop over all the others.
fn lanes(bodies: &[[f32; 4]], own: &[[f32; 4]], out: &mut [[f32; 3]]) {
    for (chunk, own) in out.chunks_mut(8).zip(own.chunks(8)) {
        let lane = |k: usize| f32x8::new(std::array::from_fn(|i| own.get(i).map_or(0.0, |body| body[k])));
        let p = [lane(0), lane(1), lane(2)];
        let mut a = [f32x8::ZERO; 3];
        for other in bodies {
            let r = [0, 1, 2].map(|k| f32x8::splat(other[k]) - p[k]);
            let d2 = r[0] * r[0] + r[1] * r[1] + r[2] * r[2] + f32x8::splat(SOFTENING * SOFTENING);
            let pull = f32x8::splat(other[3]) / (d2 * d2.sqrt());
            for k in 0..3 {
                a[k] += r[k] * pull;
            }
        }
        let a = a.map(f32x8::to_array);
        for (i, out) in chunk.iter_mut().enumerate() {
            *out = [a[0][i], a[1][i], a[2][i]];
        }
    }
}

fn main() {
    let wgsl = Kernel::map(include_str!("../shaders/nbody.wgsl")).expect("valid WGSL");
    let scalar = Kernel::scalar("nbody", |body: [f32; 4], bodies: &[[f32; 4]]| acceleration(body, bodies));
    let chunk = Kernel::chunk("nbody")
        .input::<[f32; 4]>("body")
        .whole::<[f32; 4]>("bodies")
        .output::<[f32; 3]>("acceleration")
        .body(|c| lanes(c.whole("bodies"), c.input("body"), c.output("acceleration")));
    let (one, all) = (one_thread(), backends());

    for n in harness::sizes(&[256, 2_048]) {
        let coordinates = random(4 * n, 1, -1.0, 1.0);
        let bodies: Vec<[f32; 4]> = coordinates.chunks(4).map(|b| [b[0], b[1], b[2], b[3].abs()]).collect();
        let mut expected = vec![[0.0; 3]; n];
        naive(&bodies, &mut expected);
        let (bodies, expected) = (&bodies[..], &expected[..]);

        let exact = move |out: &[[f32; 3]]| assert!(out == expected);
        // n terms of at most 1/softening² = 400, each with about 8 roundings and summed one after the other: the error is under
        // (8 + n) · 2⁻²⁴ · Σ|term|; terms average below 4 for points in a cube of side 2.
        let bound = (8.0 + n as f32) * f32::EPSILON / 2.0 * 4.0 * n as f32 + 1e-3;
        let near = move |out: &[[f32; 3]]| {
            let flat = |v: &[[f32; 3]]| v.iter().flatten().copied().collect::<Vec<_>>();
            harness::close("nbody", &flat(out), &flat(expected), |_| bound);
        };
        let mut table = Table::new("nbody", n, 28);
        table.function("naive scalar", [f32::NAN; 3], move |out| naive(opaque(bodies), out), exact);
        table.function("hand-written", [f32::NAN; 3], move |out| hand_written(opaque(bodies), out), near);
        table.kernel("closure, lanes (chunk)", &one, &chunk, (bodies, bodies), [f32::NAN; 3], exact);
        table.kernel("closure, scalar", &one, &scalar, (bodies, bodies), [f32::NAN; 3], exact);
        for (name, forall) in &all {
            table.kernel(name, forall, &wgsl, (bodies, SOFTENING, bodies), [f32::NAN; 3], near);
        }
        table.print("hand-written");
    }
}
