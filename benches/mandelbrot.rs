//! Escape times: a divergent loop. The bar is the loop by hand on 16 lanes, left when all of them have escaped.

mod harness;

use fearless_simd::{Level, Simd, dispatch, f32x16, prelude::*};
use forall::{Index, Kernel};
use harness::{Table, backends, nearly_equal, one_thread, opaque, testing};
use wide::{f32x8, u32x8};

const VIEW: [f32; 4] = [-2.0, -1.25, 0.5, 1.25];
const LIMIT: u32 = 256;

#[inline(always)]
fn point(pixel: u32, width: u32, height: u32) -> (f32, f32) {
    let x = ((pixel % width) as f32 + 0.5) / width as f32;
    let y = ((pixel / width) as f32 + 0.5) / height as f32;
    (VIEW[0] + x * (VIEW[2] - VIEW[0]), VIEW[3] + y * (VIEW[1] - VIEW[3]))
}

#[inline(always)]
fn escape(pixel: u32, width: u32, height: u32) -> u32 {
    let (cx, cy) = point(pixel, width, height);
    let (mut x, mut y) = (0.0_f32, 0.0_f32);
    for i in 0..LIMIT {
        let (xx, yy) = (x * x, y * y);
        if xx + yy > 4.0 {
            return i;
        }
        (x, y) = (xx - yy + cx, 2.0 * x * y + cy);
    }
    LIMIT
}

fn naive(width: u32, height: u32, out: &mut [u32]) {
    for (pixel, out) in (0..).zip(out) {
        *out = escape(pixel, width, height);
    }
}

fn lanes_escape(pixel: u32x8, width: u32, height: u32) -> u32x8 {
    let points = pixel.to_array().map(|pixel| point(pixel, width, height));
    let (cx, cy) = (f32x8::new(points.map(|p| p.0)), f32x8::new(points.map(|p| p.1)));
    let (mut x, mut y, mut count) = (f32x8::ZERO, f32x8::ZERO, f32x8::ZERO);
    let mut active = f32x8::splat(f32::from_bits(u32::MAX));
    for _ in 0..LIMIT {
        let (xx, yy) = (x * x, y * y);
        active &= !(xx + yy).simd_gt(f32x8::splat(4.0));
        if active.to_bitmask() == 0 {
            break;
        }
        count += active & f32x8::ONE;
        (x, y) = (xx - yy + cx, f32x8::splat(2.0) * x * y + cy);
    }
    u32x8::new(count.to_array().map(|count| count as u32))
}

mod hand {
    use super::*;

    #[inline(always)]
    fn body<S: Simd>(simd: S, width: u32, height: u32, out: &mut [u32]) {
        simd.vectorize(
            #[inline(always)]
            || {
                let c = |v: f32| f32x16::splat(simd, v);
                let mut pixel = 0;
                for chunk in out.chunks_mut(16) {
                    let points: [(f32, f32); 16] =
                        std::array::from_fn(|lane| point(pixel + lane as u32, width, height));
                    pixel += 16;
                    let cx = f32x16::from_slice(simd, &points.map(|p| p.0));
                    let cy = f32x16::from_slice(simd, &points.map(|p| p.1));
                    let (mut x, mut y, mut count) = (c(0.0), c(0.0), c(0.0));
                    for _ in 0..LIMIT {
                        let (xx, yy) = (x * x, y * y);
                        let active = (xx + yy).simd_le(c(4.0));
                        if !active.any_true() {
                            break;
                        }
                        count = active.select(count + c(1.0), count);
                        y = (x + x).mul_add(y, cy);
                        x = xx - yy + cx;
                    }
                    let counts: [f32; 16] = count.into();
                    for (out, count) in chunk.iter_mut().zip(counts) {
                        *out = count as u32;
                    }
                }
            },
        );
    }

    pub(super) fn written(width: u32, height: u32, out: &mut [u32]) {
        dispatch!(Level::new(), simd => body(simd, width, height, out));
    }
}

fn main() {
    let wgsl = Kernel::map(include_str!("../shaders/mandelbrot.wgsl")).expect("valid WGSL");
    let lanes = Kernel::lanes("mandelbrot", lanes_escape);
    let scalar = Kernel::scalar("mandelbrot", escape);
    let (one, all) = (one_thread(), backends());

    let pictures: &[(u32, u32)] =
        if testing() { &[(1, 1), (17, 5), (64, 33)] } else { &[(256, 256), (1024, 1024)] };
    for &(width, height) in pictures {
        let n = (width * height) as usize;
        let mut expected = vec![0; n];
        naive(opaque(width), height, &mut expected);
        let expected = &expected[..];
        let exact = move |out: &[u32]| assert!(out == expected);
        // Fused multiply-adds move a point by a rounding; only pixels on the border of the set can tell.
        let fused = move |out: &[u32]| nearly_equal("mandelbrot", out, expected, 50);

        let mut table = Table::new(&format!("mandelbrot {width} × {height}"), n, 4);
        table.function("naive scalar", u32::MAX, move |out| naive(opaque(width), height, out), exact);
        table.function("hand-written", u32::MAX, move |out| hand::written(opaque(width), height, out), fused);
        table.kernel("closure, lanes", &one, &lanes, (Index, width, height), u32::MAX, exact);
        table.kernel("closure, scalar", &one, &scalar, (Index, width, height), u32::MAX, exact);
        for (name, forall) in &all {
            table.kernel(name, forall, &wgsl, (Index, width, height, LIMIT, VIEW), u32::MAX, fused);
        }
        table.print("hand-written");
    }
}
