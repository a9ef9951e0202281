//! The Mandelbrot set: divergent lanes, and a loop over the index alone. Writes a picture.
//!
//! `cargo run --release --example mandelbrot [FILE.png]`

use std::io::BufWriter;

use forall::{Backend, Dispatcher, Index, Kernel, Result};
use wide::{f32x8, u32x8};

/// The loop as WGSL: every backend.
pub fn wgsl() -> Result<Kernel> {
    Kernel::map(include_str!("../shaders/mandelbrot.wgsl"))
}

/// The loop as a closure over lanes, with the mask that the WGSL leaves to forall: the CPU.
pub fn lanes() -> Kernel {
    Kernel::lanes("mandelbrot", |pixel: u32x8, width: u32, height: u32, max_iter: u32, view: [f32; 4]| {
        let [left, bottom, right, top] = view;
        let column = f32x8::new(pixel.to_array().map(|pixel| (pixel % width) as f32));
        let row = f32x8::new(pixel.to_array().map(|pixel| (pixel / width) as f32));
        let cx = left + (column + 0.5) / width as f32 * (right - left);
        let cy = top + (row + 0.5) / height as f32 * (bottom - top);
        let (mut x, mut y) = (f32x8::ZERO, f32x8::ZERO);
        // A float counts exactly up to 2^24.
        let mut steps = f32x8::ZERO;
        let mut alive = x.simd_eq(x);
        for _ in 0..max_iter {
            let (xx, yy) = (x * x, y * y);
            alive &= (xx + yy).simd_le(f32x8::splat(4.0));
            if alive.none() {
                break;
            }
            steps += alive & f32x8::ONE;
            (x, y) = (xx - yy + cx, 2.0 * x * y + cy);
        }
        u32x8::new(steps.to_array().map(|steps| steps as u32))
    })
}

/// One element of the plain loop: what the others must agree with.
pub fn plain(pixel: u32, width: u32, height: u32, max_iter: u32, view: [f32; 4]) -> u32 {
    let [left, bottom, right, top] = view;
    let at = [((pixel % width) as f32 + 0.5) / width as f32, ((pixel / width) as f32 + 0.5) / height as f32];
    let c = [left + at[0] * (right - left), top + at[1] * (bottom - top)];
    let [mut x, mut y] = [0.0_f32; 2];
    for i in 0..max_iter {
        let (xx, yy) = (x * x, y * y);
        if xx + yy > 4.0 {
            return i;
        }
        (x, y) = (xx - yy + c[0], 2.0 * x * y + c[1]);
    }
    max_iter
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (width, height, max_iter) = (1024_u32, 768_u32, 500_u32);
    let view = [-2.2_f32, -1.2, 1.0, 1.2];
    let n = (width * height) as usize;
    let expected: Vec<u32> = (0..n as u32).map(|pixel| plain(pixel, width, height, max_iter, view)).collect();

    let forall = Dispatcher::new();
    let mut iterations = vec![u32::MAX; n];
    for kernel in [lanes(), wgsl()?] {
        iterations.fill(u32::MAX);
        let report = forall.run(&kernel, (Index, width, height, max_iter, view), &mut iterations)?;
        println!("{report}");
        let differ = iterations.iter().zip(&expected).filter(|(got, expected)| got != expected).count();
        // The same bits on a CPU. A GPU may fuse multiplications and additions, and the set's edge magnifies the least rounding.
        let allowed = if report.backend() == Backend::Gpu { n / 50 } else { 0 };
        assert!(differ <= allowed, "{differ} pixels differ, at most {allowed} may");
    }

    let path = std::env::args_os().nth(1).unwrap_or_else(|| "target/mandelbrot.png".into());
    let mut png = png::Encoder::new(BufWriter::new(std::fs::File::create(&path)?), width, height);
    png.set_color(png::ColorType::Rgb);
    png.set_depth(png::BitDepth::Eight);
    let colours: Vec<u8> = iterations.iter().flat_map(|&steps| colour(steps, max_iter)).collect();
    png.write_header()?.write_image_data(&colours)?;
    println!("picture in {}", path.display());
    Ok(())
}

/// Black inside; outside from red over white to blue and back, faster near zero steps than later.
fn colour(steps: u32, max_iter: u32) -> [u8; 3] {
    if steps == max_iter {
        return [0, 0, 0];
    }
    let phase = (steps as f32 + 1.0).ln() * 1.6;
    [0.0, 0.7, 1.4].map(|lag| (127.5 - 127.5 * (phase - lag).cos()) as u8)
}
