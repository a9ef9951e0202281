//! Heat that spreads on a plate: a hundred launches, each of which reads what the one before wrote.

mod common;

use forall::{Array, Bindings, Dispatcher, Grid, Kernel, Result};

/// The shader, and the launches.
pub struct Jacobi(Kernel);

impl Jacobi {
    /// Compiles the shader.
    pub fn new() -> Result<Self> {
        Ok(Self(Kernel::shader(include_str!("../shaders/jacobi.wgsl"))?))
    }

    /// The plate, width and height, after `steps` steps.
    pub fn run(
        &self,
        forall: &Dispatcher,
        size: [u32; 2],
        plate: &Array<f32>,
        steps: usize,
    ) -> Result<Array<f32>> {
        let plates = [Array::zeros(plate.len()), Array::zeros(plate.len())];
        let (mut old, mut launches) = (plate, forall.sequence());
        for step in 0..steps {
            let next = &plates[step % 2];
            let bindings = Bindings::new().value("size", size).bind("old", old).bind("next", next);
            launches.launch(&self.0, Grid::threads(size), bindings)?;
            old = next;
        }
        launches.run()?;
        Ok(old.clone())
    }
}

/// The plain loops.
pub fn plain([width, height]: [u32; 2], plate: &[f32], steps: usize) -> Vec<f32> {
    let (width, height) = (width as usize, height as usize);
    let mut old = plate.to_vec();
    for _ in 0..steps {
        let mut next = old.clone();
        for y in 1..height.saturating_sub(1) {
            for x in 1..width.saturating_sub(1) {
                let i = y * width + x;
                next[i] = 0.25 * (old[i - 1] + old[i + 1] + old[i - width] + old[i + width]);
            }
        }
        old = next;
    }
    old
}

/// How far apart two plates of numbers in [0, 1] may be where one adds in another order: a step adds three times, to sums below 2, 3
/// and 4, which rounds by at most 2⁻²⁴ of them, and takes a quarter, which is exact; the mean of four errors is no larger than they.
pub fn bound(steps: usize) -> f64 {
    2.0 * steps as f64 * 0.25 * 9.0 * 0.5_f64.powi(24)
}

/// A plate of random temperatures, with a hot edge on the left.
pub fn plate([width, height]: [u32; 2]) -> Vec<f32> {
    let mut plate = common::uniform(1, width as usize * height as usize, 0.0, 1.0);
    plate.iter_mut().step_by(width as usize).for_each(|edge| *edge = 1.0);
    plate
}

#[allow(dead_code, reason = "tests and benches have their own")]
fn main() -> Result<()> {
    let (size, steps) = ([1024, 768], 100);
    let plate = plate(size);
    let expected: Vec<f64> = plain(size, &plate, steps).into_iter().map(f64::from).collect();
    let points = steps as f64 * plate.len() as f64;
    let plate = Array::from(plate);
    let jacobi = Jacobi::new()?;
    println!("jacobi: {steps} steps of {} × {} points", size[0], size[1]);
    let run = |forall: &Dispatcher| jacobi.run(forall, size, &plate, steps);
    common::on_every_backend(points, "points", run, |got| {
        common::assert_close("plate", &got.to_vec()?, &expected, bound(steps));
        Ok(())
    })
}
