use blur::{Params, SHADER};
use forall::{Backend, Bindings, Dispatcher, Grid, Kernel, Policy};

/// What the shader should do, as plainly as it can be said.
fn plain(params: Params, image: &[f32]) -> Vec<f32> {
    let Params { width, height, radius } = params;
    let (last, radius) = (width as i64 - 1, radius as i64);
    let mut blurred = Vec::new();
    for row in image.chunks(width as usize).take(height as usize) {
        for x in 0..=last {
            let around = (x - radius..=x + radius).map(|x| row[x.clamp(0, last) as usize]);
            blurred.push(around.sum::<f32>() / (2 * radius + 1) as f32);
        }
    }
    blurred
}

/// Runs the shader itself, as the GPU would: the same text, bindings and workgroups.
fn shader(backend: Backend, params: Params, image: &[f32]) -> Result<Vec<f32>, forall::Error> {
    let kernel = Kernel::shader(SHADER)?;
    let mut blurred = vec![f32::NAN; image.len()];
    Dispatcher::new().with_policy(Policy::Only(backend)).launch(
        &kernel,
        Grid::threads([params.width, params.height]),
        Bindings::new().value("params", params).bind("image", image).bind("blurred", &mut blurred),
    )?;
    Ok(blurred)
}

#[test]
fn blurs_like_the_plain_loop() -> Result<(), forall::Error> {
    // Widths on both sides of a workgroup, and narrower than the blur.
    for width in [1, 5, 63, 64, 65, 200] {
        for radius in [0, 1, 16] {
            let params = Params { width, height: 3, radius };
            let image: Vec<f32> = (0..3 * width).map(|i| (i * i % 97) as f32).collect();
            let expected = plain(params, &image);
            for backend in [Backend::Simd, Backend::Threads] {
                assert_eq!(shader(backend, params, &image)?, expected, "{width} wide, radius {radius}");
            }
        }
    }
    Ok(())
}
