//! The product of two matrices: tiles in workgroup memory, sixteen results to an invocation.

mod common;

use forall::{Array, Bindings, Dispatcher, Grid, Kernel, Result};

/// The shader, and the launch.
pub struct Matmul(Kernel);

/// Rows of A, columns of B, and what they share.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Of A and of the product.
    pub rows: usize,
    /// Of B and of the product.
    pub columns: usize,
    /// Columns of A, rows of B.
    pub inner: usize,
}

impl Matmul {
    /// Compiles the shader.
    pub fn new() -> Result<Self> {
        Ok(Self(Kernel::shader(include_str!("../shaders/matmul_tiled.wgsl"))?))
    }

    /// `c = a b`, all of them row by row. No side may be 0.
    pub fn run(
        &self,
        forall: &Dispatcher,
        size: Size,
        a: &Array<f32>,
        b: &Array<f32>,
        c: &Array<f32>,
    ) -> Result<()> {
        let sides = [size.rows, size.columns, size.inner].map(|side| side as u32);
        let tiles = |side: usize| side.div_ceil(64) as u32;
        let bindings = Bindings::new().value("size", sides).bind("a", a).bind("b", b).bind("c", c);
        forall.launch(&self.0, Grid::workgroups([tiles(size.columns), tiles(size.rows)]), bindings)?;
        Ok(())
    }
}

/// The plain loops: the order of additions is that of the shader.
pub fn plain(size: Size, a: &[f32], b: &[f32]) -> Vec<f32> {
    let mut c = vec![0.0; size.rows * size.columns];
    for row in 0..size.rows {
        for k in 0..size.inner {
            for column in 0..size.columns {
                c[row * size.columns + column] += a[row * size.inner + k] * b[k * size.columns + column];
            }
        }
    }
    c
}

/// How far apart two products of matrices of numbers below 1 may be, where one fuses multiplication and addition and the other does
/// not. In each, addition k rounds a sum below k to half a unit in the last place, 2⁻²⁴ of it, and a product rounds once more:
/// 2⁻²⁴ (inner² / 2 + inner). A tenth more for products of roundings.
pub fn bound(size: Size) -> f64 {
    let inner = size.inner as f64;
    1.1 * 2.0 * 0.5_f64.powi(24) * (inner * inner / 2.0 + inner)
}

#[allow(dead_code, reason = "tests and benches have their own")]
fn main() -> Result<()> {
    let size = Size { rows: 512, columns: 512, inner: 512 };
    let a = common::uniform(1, size.rows * size.inner, -1.0, 1.0);
    let b = common::uniform(2, size.inner * size.columns, -1.0, 1.0);
    let expected: Vec<f64> = plain(size, &a, &b).into_iter().map(f64::from).collect();
    let (a, b) = (Array::from(&a[..]), Array::from(&b[..]));
    let matmul = Matmul::new()?;
    println!("matmul_tiled: {} × {} × {}", size.rows, size.inner, size.columns);
    let operations = 2.0 * size.rows as f64 * size.inner as f64 * size.columns as f64;
    let run = |forall: &Dispatcher| {
        let c = Array::zeros(size.rows * size.columns);
        matmul.run(forall, size, &a, &b, &c)?;
        Ok(c)
    };
    common::on_every_backend(operations, "FLOP", run, |c| {
        common::assert_close("c", &c.to_vec()?, &expected, bound(size));
        Ok(())
    })
}
